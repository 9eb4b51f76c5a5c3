//! How the domain's words read on a page, each with what to do about it.

use super::layout::Tone;
use crate::domain::compliance::{ControlStanding, Standing};
pub(super) use crate::domain::words::{cause, control, role};
use nestwarden_policy_schema::consent::{ConsentState, Purpose, Stage};
use nestwarden_policy_schema::control::{Outcome, wording};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::HoldCategory;
use nestwarden_policy_schema::policy::Mode;
use nestwarden_policy_schema::receipt::{ArtefactKind, ArtefactResult};

pub(super) const fn standing(standing: Standing) -> (Tone, &'static str) {
    match standing {
        Standing::Fine => (Tone::Good, "Ready"),
        Standing::Observing => (Tone::Watched, "Watched only"),
        Standing::NotChecked => (Tone::Open, "Not checked"),
        Standing::Attention => (Tone::Bad, "Needs attention"),
        Standing::Revoked => (Tone::Open, "Shut out"),
    }
}

/// What was found, and what to do.
pub(super) fn finding(standing: &ControlStanding) -> String {
    let Some(report) = &standing.report else {
        return match standing.mode {
            None => "Not in this tablet's profile.".to_owned(),
            Some(_) => {
                "Never measured. Switch the tablet on where it reaches the nursery's network."
                    .to_owned()
            }
        };
    };
    if standing.mode.is_none() {
        return "Not in this tablet's profile.".to_owned();
    }
    if standing.stale {
        return "Measured too long ago to say how it is now. Switch the tablet on where it reaches the nursery's network.".to_owned();
    }
    match &report.outcome {
        Outcome::Unmanaged => {
            "Measured before the profile asked for this. Wait for the next report.".to_owned()
        }
        Outcome::Observed { would_change } if would_change.is_empty() => {
            "Watched only; holding it would change nothing.".to_owned()
        }
        Outcome::Observed { would_change } => format!(
            "Watched only. Held, it would: {}. Nothing is stopped until the profile enforces it.",
            would_change.join("; ")
        ),
        Outcome::Compliant if standing.mode == Some(Mode::Observe) => {
            "Watched only. It is as the profile would have it.".to_owned()
        }
        Outcome::Compliant => "As the profile wants it. Nothing to do.".to_owned(),
        Outcome::Corrected { changed } => {
            format!(
                "Was put right and looked at again: {}. Nothing to do.",
                changed.join("; ")
            )
        }
        Outcome::Drifted { remaining, .. }
            if !remaining.is_empty()
                && remaining
                    .iter()
                    .all(|text| text.starts_with(wording::SET_IN_CONSOLE)) =>
        {
            format!(
                "{}. Managers and IT admins do it on the tablet's page, under Passcode.",
                sentence_of(remaining)
            )
        }
        Outcome::Drifted { remaining, error } => format!(
            "Not as the profile wants it, also after trying: {}{}. Take it out of use and restart it; if this stays, tell your IT admin.",
            remaining.join("; "),
            error.as_ref().map_or(String::new(), |e| format!(" ({e})"))
        ),
        Outcome::Unsupported { reason } => format!(
            "This tablet cannot do it: {reason}. Keep the rule by hand, or use another tablet."
        ),
        Outcome::Unknown { error } => format!(
            "Could not be read, so nobody knows: {error}. Restart the tablet; if this stays, tell your IT admin."
        ),
    }
}

fn sentence_of(remaining: &[String]) -> String {
    let text = remaining.join("; ");
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

pub(super) const fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::OwnLearningJournal => "Own learning journal",
        Purpose::OtherChildrensJournals => "Other children's journals",
        Purpose::DisplayInSetting => "Display in the setting",
        Purpose::Website => "Website",
        Purpose::SocialMedia => "Social media",
        Purpose::Press => "Press",
        Purpose::Marketing => "Marketing",
        Purpose::Training => "Training",
    }
}

/// In the middle of a sentence.
pub(super) const fn purpose_within(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::OwnLearningJournal => "own learning journal",
        Purpose::OtherChildrensJournals => "other children's journals",
        Purpose::DisplayInSetting => "display in the setting",
        Purpose::Website => "website",
        Purpose::SocialMedia => "social media",
        Purpose::Press => "press",
        Purpose::Marketing => "marketing",
        Purpose::Training => "training",
    }
}

pub(super) const fn consent(state: ConsentState) -> (Tone, &'static str) {
    match state {
        ConsentState::Given => (Tone::Good, "Given"),
        ConsentState::Unanswered => (Tone::Open, "Not given"),
        ConsentState::Refused => (Tone::Open, "Refused"),
        ConsentState::Withdrawn => (Tone::Open, "Withdrawn"),
        ConsentState::Expired => (Tone::Open, "Expired"),
        ConsentState::EndedLeaver => (Tone::Open, "Ended by leaving"),
        ConsentState::Conflicted => (Tone::Bad, "Parents disagree"),
    }
}

pub(super) const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Live => "in use",
        Stage::Withheld => "withheld",
        Stage::Sealed => "sealed",
        Stage::Destroyed => "destroyed",
    }
}

pub(super) const fn category(category: HoldCategory) -> &'static str {
    match category {
        HoldCategory::Safeguarding => "Safeguarding",
        HoldCategory::Complaint => "Complaint",
        HoldCategory::SubjectAccess => "Subject access request",
        HoldCategory::Police => "Police",
        HoldCategory::IllegalContent => "Illegal content (freezes)",
    }
}

pub(super) const fn artefact(kind: ArtefactKind) -> &'static str {
    match kind {
        ArtefactKind::Original => "Original",
        ArtefactKind::Copy => "Copy",
        ArtefactKind::HardLink => "Hard link",
        ArtefactKind::Thumbnail => "Thumbnail",
        ArtefactKind::Sidecar => "Sidecar file",
        ArtefactKind::Trash => "Trash",
        ArtefactKind::EditorBackup => "Editor's backup",
        ArtefactKind::Sealed => "Sealed file",
    }
}

pub(super) const fn result(result: ArtefactResult) -> &'static str {
    match result {
        ArtefactResult::DiscardRequested => "deleted, its storage handed back",
        ArtefactResult::NotFound => "had gone already",
        ArtefactResult::NotDeletedByUs => "not deleted by us",
        ArtefactResult::Failed => "could not be deleted",
    }
}

/// An event in a sentence; `None` for what a person need not read.
pub(super) fn event(body: &EventBody) -> Option<String> {
    Some(match body {
        EventBody::Enrolled { platform, .. } => format!("Enrolled ({platform})"),
        EventBody::AgentStarted { agent_version, .. } => format!("Started, agent {agent_version}"),
        EventBody::BundleApplied { generation, .. } => format!("Took over bundle {generation}"),
        EventBody::BundleRefused { reason } => format!("Refused a bundle: {reason}"),
        EventBody::BundleExpired { generation } => {
            format!("Bundle {generation} is past its end and stays in force")
        }
        EventBody::ControlChanged {
            control: name,
            outcome,
        } => {
            format!("{}: {}", control(*name), outcome.name())
        }
        EventBody::DriftReverted {
            control: name,
            what,
            count,
        } => {
            format!("{}: {what} was put back, {count} times", control(*name))
        }
        EventBody::AppRefused {
            program,
            observed_only: false,
            count,
        } => {
            format!("Refused to start {program}, {count} times")
        }
        EventBody::AppRefused {
            program,
            observed_only: true,
            count,
        } => {
            format!("Would have refused {program}, {count} times")
        }
        EventBody::PasscodeLockedOut { tries, .. } => {
            format!("{tries} wrong passcodes; it makes whoever holds it wait")
        }
        EventBody::CustodyTaken { .. } => "It was signed out on the tablet".to_owned(),
        EventBody::CustodyReturned { .. } => "It was signed in again on the tablet".to_owned(),
        EventBody::PinRefused { count: 1, .. } => "A wrong PIN was typed".to_owned(),
        EventBody::PinRefused { count, .. } => format!("Wrong PINs were typed, {count} times"),
        EventBody::PinLockedOut { tries, .. } => {
            format!("{tries} wrong PINs in a row for one person; it makes whoever holds it wait")
        }
        EventBody::SessionStarted { .. } => "A session began".to_owned(),
        EventBody::SessionEnded { photos, .. } => format!("A session ended with {photos} photos"),
        EventBody::PhotoStage {
            to,
            observed_only: false,
            cause: why,
            ..
        } => {
            let why = why
                .map(|why| format!(" ({})", cause(why)))
                .unwrap_or_default();
            format!("A photo is {}{why}", stage(*to))
        }
        EventBody::PhotoStage {
            to,
            observed_only: true,
            ..
        } => {
            format!("A photo would be {}", stage(*to))
        }
        EventBody::PhotoIncomplete { problem, .. } => {
            format!("A photo could not be put away yet: {problem}")
        }
        EventBody::Destroyed { receipt } => {
            format!("A photo was destroyed, receipt {}", receipt.id)
        }
        EventBody::ClockDoubt {
            doubtful: true,
            reason,
        } => format!("Its clock is in doubt: {reason}"),
        EventBody::ClockDoubt {
            doubtful: false, ..
        } => "Its clock is trusted again".to_owned(),
        EventBody::CommandOutcome { outcome, .. } => format!("Command: {outcome}"),
        EventBody::Unsupported {
            control: name,
            reason,
            ..
        } => {
            format!("{}: cannot be done here: {reason}", control(*name))
        }
        EventBody::RecordContinued { .. } => "Its record was put back and goes on".to_owned(),
        EventBody::Alarm { what } => format!("Alarm: {what}"),
        EventBody::PhotoSeen { .. }
        | EventBody::PhotoTagged { .. }
        | EventBody::PhotoKnown { .. }
        | EventBody::AccessReview { .. }
        | EventBody::PhotoReviewed { .. }
        | EventBody::PhotoExported { .. } => return None,
    })
}
