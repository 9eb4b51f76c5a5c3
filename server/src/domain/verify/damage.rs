//! Lines that cannot be read: where they stand, and what may no longer be held against anybody because of them.

use super::{DeviceState, Verifier};
use crate::domain::export::Line;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::DeviceId;

#[derive(Default)]
pub(super) struct Damage {
    /// First and last of those that no readable line has followed yet.
    waiting: Option<(u64, u64)>,
    /// How many there were.
    pub(super) lines: u64,
    /// The line that named the tablet of what follows is among them.
    pub(super) is_nobodys: bool,
}

impl Verifier {
    /// A line that is none of an export. The check goes on behind it.
    pub fn unreadable(&mut self, number: u64) {
        self.damage.lines += 1;
        let (first, _) = self.damage.waiting.unwrap_or((number, number));
        self.damage.waiting = Some((first, number));
    }

    /// Says where damaged lines stand, now that it is known what follows.
    pub(super) fn place_damage(&mut self, next: Option<&Line>) {
        let Some((first, last)) = self.damage.waiting.take() else {
            return;
        };
        let lines = if first == last {
            format!("line {first} cannot be read; it stands")
        } else {
            format!("lines {first} to {last} cannot be read; they stand")
        };
        let after = match &self.device {
            None => String::new(),
            Some(device) if device.position.seq == 0 => " after its beginning".to_owned(),
            Some(device) => format!(" after event {}", device.position.seq),
        };
        let after = if self.damage.is_nobodys { "" } else { &after };
        let is_others = match &self.device {
            Some(device) => device.is_others(next),
            None => matches!(
                next,
                Some(Line::Bundle { .. } | Line::Head { .. } | Line::Event { .. })
            ),
        };
        let before = match next {
            _ if is_others => {
                " before what is of a tablet that nobody can tell; up to the next tablet nothing is checked".to_owned()
            }
            Some(Line::Device { device, .. }) => format!(" before tablet {device}"),
            Some(Line::Event { event, .. }) => format!(" before event {}", event.seq),
            Some(Line::Bundle { .. } | Line::Head { .. }) => " before its events".to_owned(),
            Some(Line::Export { .. }) => " before the export begins".to_owned(),
            Some(Line::End { .. }) => " before the end".to_owned(),
            None => " ends the export".to_owned(),
        };
        let and = if after.is_empty() { "" } else { " and" };
        self.problem(
            None,
            format!("{lines}{after}{and}{before}. Make the export again with `events export`"),
        );
        // What may have been on the line is not said to be missing.
        self.begun = true;
        self.ended |= next.is_none();
        if is_others {
            self.finish_device();
            self.damage.is_nobodys = true;
        } else if let Some(device) = &mut self.device {
            let id = device.id;
            let events = device.lose(last - first + 1, next);
            self.forget_expected(id, events);
        }
    }

    /// Places that are on a damaged line cannot be looked for.
    fn forget_expected(&mut self, device: DeviceId, lost: std::ops::RangeInclusive<u64>) {
        if let Some(places) = self.expected.get_mut(&device) {
            places.retain(|seq, _| !lost.contains(seq));
        }
    }
}

impl DeviceState {
    /// Whether what follows a damaged line cannot be of this tablet: bundles and heads come before events, and events grow.
    fn is_others(&self, next: Option<&Line>) -> bool {
        match next {
            Some(Line::Event { event, .. }) => event.seq <= self.position.seq,
            Some(Line::Bundle { .. } | Line::Head { .. }) => self.position.seq > 0,
            Some(Line::Export { .. } | Line::Device { .. } | Line::End { .. }) | None => false,
        }
    }

    /// The events that so many lines may have held. More than that are missing for another reason, and said to be.
    fn lose(&mut self, lines: u64, next: Option<&Line>) -> std::ops::RangeInclusive<u64> {
        self.any_erased = true;
        self.any_unissued |= self.position.seq == 0;
        // A record put back and going on may have been on it.
        self.applied = Generation::NONE;
        if let Some(continued) = &mut self.continued {
            continued.worked_out = None;
        }
        let before = self.position.seq;
        let most = before.saturating_add(lines);
        let mut lost = before + 1..=most;
        if let Some(Line::Event { event, .. }) = next {
            // Its hash binds it to this tablet, and to what it says it follows.
            let follows = event.follows();
            if (before..=most).contains(&follows.seq) {
                self.position = follows;
                lost = before + 1..=follows.seq;
            }
        }
        self.heads.retain(|seq, _| !lost.contains(seq));
        lost
    }
}
