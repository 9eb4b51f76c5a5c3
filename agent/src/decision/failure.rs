//! Every way in which deciding can fail, with its metric and what then happens.

/// Why no verdict was reached, or could not be carried through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The process ended while it waited.
    SubjectGone,
    /// Who asks cannot be read.
    SubjectUnreadable,
    /// The kernel asked about a process this namespace cannot see.
    SubjectInvisible,
    FileUnreadable,
    ContentUnreadable,
    /// Reading the content would take longer than anybody may wait.
    ContentTooLarge,
    /// The worker died with this event in flight and left no note of who asked.
    EventLost,
    /// The kernel spoke another version of the interface.
    EventMalformed,
    /// The kernel could not take a verdict into its mask: the next start asks again.
    CacheRefused,
    /// A file system could not be marked.
    MarkRefused,
    /// The worker died or exceeded its deadline; the guardian decided in its place.
    WorkerLost,
    /// A refusal could not be told; it is counted instead.
    ReportDropped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The program does not run.
    Deny,
    /// The decision stands; the failure is counted.
    Count,
}

impl Failure {
    pub const ALL: [Self; 12] = [
        Self::SubjectGone,
        Self::SubjectUnreadable,
        Self::SubjectInvisible,
        Self::FileUnreadable,
        Self::ContentUnreadable,
        Self::ContentTooLarge,
        Self::EventLost,
        Self::EventMalformed,
        Self::CacheRefused,
        Self::MarkRefused,
        Self::WorkerLost,
        Self::ReportDropped,
    ];

    pub const fn metric(self) -> &'static str {
        match self {
            Self::SubjectGone => "apps_subject_gone",
            Self::SubjectUnreadable => "apps_subject_unreadable",
            Self::SubjectInvisible => "apps_subject_invisible",
            Self::FileUnreadable => "apps_file_unreadable",
            Self::ContentUnreadable => "apps_content_unreadable",
            Self::ContentTooLarge => "apps_content_too_large",
            Self::EventLost => "apps_event_lost",
            Self::EventMalformed => "apps_event_malformed",
            Self::CacheRefused => "apps_cache_refused",
            Self::MarkRefused => "apps_mark_refused",
            Self::WorkerLost => "apps_worker_lost",
            Self::ReportDropped => "apps_report_dropped",
        }
    }

    pub const fn action(self) -> Action {
        match self {
            Self::SubjectGone
            | Self::SubjectUnreadable
            | Self::SubjectInvisible
            | Self::FileUnreadable
            | Self::ContentUnreadable
            | Self::ContentTooLarge
            | Self::EventLost
            | Self::EventMalformed => Action::Deny,
            Self::CacheRefused | Self::MarkRefused | Self::WorkerLost | Self::ReportDropped => {
                Action::Count
            }
        }
    }

    /// Its place in a table of counters.
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_failure_has_a_counter_and_a_metric_of_its_own() {
        let metrics: BTreeSet<_> = Failure::ALL.iter().map(|f| f.metric()).collect();
        assert_eq!(metrics.len(), Failure::ALL.len());
        for (place, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(failure.index(), place);
        }
    }

    #[test]
    fn what_cannot_be_decided_is_denied() {
        for failure in [
            Failure::SubjectUnreadable,
            Failure::FileUnreadable,
            Failure::ContentUnreadable,
            Failure::EventLost,
        ] {
            assert_eq!(failure.action(), Action::Deny);
        }
    }
}
