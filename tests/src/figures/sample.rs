//! Measurements, and what they come to.

use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// One measured budget.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    /// What it must not exceed; `None` where nothing was promised.
    pub target: Option<f64>,
    /// Whether it kept to the target; `None` without one, or when it could not be measured here.
    pub holds: Option<bool>,
    /// The same without our part, from the same run, in alternated rounds.
    pub peer: Option<f64>,
    /// The middle 95 % of the rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// Where the true median lies, with 95 % confidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_interval: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounds: Option<usize>,
}

impl Figure {
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            target: None,
            holds: None,
            peer: None,
            interval: None,
            median_interval: None,
            rounds: None,
        }
    }

    pub fn at_most(self, target: f64) -> Self {
        Self {
            holds: Some(self.value <= target),
            target: Some(target),
            ..self
        }
    }

    /// Like [`Self::at_most`], for something that has to stay below it with this interval, too.
    pub fn surely_at_most(self, target: f64, interval: [f64; 2], rounds: usize) -> Self {
        Self {
            holds: Some(interval[1] <= target),
            target: Some(target),
            median_interval: Some(interval),
            rounds: Some(rounds),
            ..self
        }
    }

    pub fn beside(self, peer: f64) -> Self {
        Self {
            peer: Some(peer),
            ..self
        }
    }

    /// The interval of a median that nothing was promised of.
    pub fn within(self, interval: [f64; 2], rounds: usize) -> Self {
        Self {
            median_interval: Some(interval),
            rounds: Some(rounds),
            ..self
        }
    }

    pub fn over(self, samples: &Samples) -> Self {
        Self {
            interval: Some([samples.quantile(0.025), samples.quantile(0.975)]),
            rounds: Some(samples.0.len()),
            ..self
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:45} {:10.2} {}", self.name, self.value, self.unit)?;
        if let Some([low, high]) = self.median_interval {
            write!(f, " ({low:.2} to {high:.2})")?;
        }
        if let Some(target) = self.target {
            let target = format!("{target:.2}");
            let target = target.trim_end_matches('0').trim_end_matches('.');
            write!(f, ", at most {target}")?;
        }
        if let Some(peer) = self.peer {
            write!(f, ", without us {peer:.2}")?;
        }
        match self.holds {
            Some(true) => f.write_str(", holds"),
            Some(false) => f.write_str(", DOES NOT HOLD"),
            None => Ok(()),
        }
    }
}

/// Durations of rounds, sorted, in one unit.
#[derive(Clone, Debug)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn milliseconds(durations: &[Duration]) -> Self {
        Self::sorted(durations.iter().map(|d| d.as_secs_f64() * 1e3).collect())
    }

    pub fn microseconds(durations: &[Duration]) -> Self {
        Self::sorted(durations.iter().map(|d| d.as_secs_f64() * 1e6).collect())
    }

    fn sorted(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Differences may be less than 0.
    pub fn of_differences(values: Vec<f64>) -> Self {
        Self::sorted(values)
    }

    /// Between which two samples the true median lies, with 95 % confidence (order statistics: the number of samples
    /// below it is binomial, here by its normal approximation).
    #[expect(clippy::cast_precision_loss, reason = "a few thousand samples")]
    pub fn median_interval(&self) -> [f64; 2] {
        let count = self.0.len() as f64;
        let spread = 0.98 / count.sqrt();
        [
            self.quantile((0.5 - spread).max(0.0)),
            self.quantile((0.5 + spread + 1.0 / count).min(1.0)),
        ]
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest sample that at least `share` of all do not exceed; 0 without samples.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a few thousand samples"
    )]
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_sample_that_occurred() {
        let samples = Samples::milliseconds(&[5, 1, 4, 2, 3].map(Duration::from_millis));
        assert!((samples.median() - 3.0).abs() < 1e-9);
        assert!((samples.quantile(0.99) - 5.0).abs() < 1e-9);
        assert!((samples.quantile(0.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_interval_of_a_median_holds_it_and_narrows_with_more_samples() {
        let of = |count: u32| Samples::of_differences((0..count).map(f64::from).collect());
        let [low, high] = of(100).median_interval();
        assert!((low - 40.0).abs() < 1.5 && (high - 60.0).abs() < 1.5);
        let [low, high] = of(10_000).median_interval();
        assert!(low > 4_890.0 && high < 5_110.0);
        let [low, high] = of(1).median_interval();
        assert!(low.abs() < 1e-9 && high.abs() < 1e-9);
    }
}
