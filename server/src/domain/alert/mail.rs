//! What mails say.

use crate::domain::reports::Period;
use crate::storage::{NewMail, Operator, Task, TaskKind};
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What every mail of this setting says.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// What people call the nursery.
    pub setting: &'a str,
    /// `https://HOST:PORT` of the console.
    pub origin: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    subject: String,
    body: String,
}

impl Said {
    pub(super) fn to(&self, person: &Operator, key: &str) -> NewMail {
        NewMail {
            key: key.to_owned(),
            to: person.id,
            subject: self.subject.clone(),
            body: self.body.clone(),
        }
    }
}

impl Words<'_> {
    pub(super) fn of_task(&self, task: &Task, today: Date) -> Said {
        let (one, _) = what(task.kind);
        let text = format!("{}{}.", capital(one), due(task.due, today));
        self.said("something cannot wait", &text, "/tasks")
    }

    pub(super) fn of_concern(&self) -> Said {
        self.said(
            "something waits for you",
            "Something waits for you that should not wait until tomorrow.",
            "/concerns",
        )
    }

    /// `None`: nothing waits.
    pub(super) fn of_morning(&self, waiting: &[&Task], today: Date) -> Option<Said> {
        if waiting.is_empty() {
            return None;
        }
        // The first that is due comes first.
        let mut kinds: BTreeMap<TaskKind, (Date, usize)> = BTreeMap::new();
        for task in waiting {
            let kind = kinds.entry(task.kind).or_insert((task.due, 0));
            *kind = (kind.0.min(task.due), kind.1 + 1);
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by_key(|(kind, (first, _))| (*first, *kind));
        let mut text = String::new();
        for (kind, (first, count)) in kinds {
            let (one, more) = what(kind);
            let line = match count {
                1 => capital(one),
                count => format!("{count} {more}"),
            };
            let _ = writeln!(text, "- {line}{}.", due(first, today));
        }
        let subject = match waiting.len() {
            1 => "1 thing to do".to_owned(),
            count => format!("{count} things to do"),
        };
        Some(self.said(&subject, text.trim_end(), "/tasks"))
    }

    pub(super) fn of_report(&self, period: Period) -> Said {
        let Period { first, last } = period;
        let text = format!(
            "The safeguarding report on the week to {} is ready to be read, printed and signed.",
            last.strftime("%-d %B")
        );
        let path = format!("/reports?period=days&first={first}&last={last}");
        self.said("the weekly report is ready", &text, &path)
    }

    /// That mails arrive.
    pub fn of_trial(&self) -> (String, String) {
        let said = self.said(
            "this is a trial",
            "Somebody tried whether e-mail of this server arrives. It does.",
            "/",
        );
        (said.subject, said.body)
    }

    fn said(&self, subject: &str, text: &str, path: &str) -> Said {
        let Self { setting, origin } = self;
        Said {
            subject: format!("{setting}: {subject}"),
            body: format!(
                "{text}\n\nSign in to see it: {origin}{path}\n\nNo name is in this mail, and none has to be in an answer. Where mails go is said at {origin}/account\n"
            ),
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(chars).collect()
}

fn due(day: Date, today: Date) -> String {
    let overdue = if day < today { "overdue since" } else { "due" };
    if day == today {
        return ", due today".to_owned();
    }
    format!(", {overdue} {}", day.strftime("%-d %B"))
}

/// One of them, and several, as it goes on after a number.
const fn what(kind: TaskKind) -> (&'static str, &'static str) {
    match kind {
        TaskKind::TakeDown => (
            "copies of photos have to be taken down outside the tablets",
            "times copies of photos have to be taken down outside the tablets",
        ),
        TaskKind::Withdrawal => (
            "a consent was withdrawn, and its photos go",
            "consents were withdrawn, and their photos go",
        ),
        TaskKind::ConsentConflicted => (
            "parents disagree about a consent",
            "consents about which parents disagree",
        ),
        TaskKind::ConsentExpiring => (
            "a consent ends soon, and has to be asked for again",
            "consents end soon, and have to be asked for again",
        ),
        TaskKind::ChildDied => (
            "something has to be decided with a family",
            "things have to be decided with families",
        ),
        TaskKind::ChildMissing => (
            "a child is missing from the booking system's file",
            "children are missing from the booking system's file",
        ),
        TaskKind::LeaversPack => (
            "a leaver's pack has to be offered",
            "leaver's packs have to be offered",
        ),
        TaskKind::HoldReview => ("a hold has to be reviewed", "holds have to be reviewed"),
        TaskKind::PhotoIncomplete => (
            "photos without consent could not be put away on a tablet for more than a day",
            "tablets on which photos without consent could not be put away for more than a day",
        ),
        TaskKind::UnregisteredPerson => (
            "photos show somebody who is not on the register",
            "times photos show somebody who is not on the register",
        ),
        TaskKind::PhotosUntagged => (
            "photos on a tablet wait for somebody to say who is in them",
            "tablets with photos that wait for somebody to say who is in them",
        ),
        TaskKind::ImportWaits => (
            "a file of the booking system waits for a person",
            "files of the booking system wait for a person",
        ),
        TaskKind::SetPasscode => (
            "a tablet needs a new passcode",
            "tablets need a new passcode",
        ),
        TaskKind::AskPasscode => (
            "a tablet has to be asked for a new passcode",
            "tablets have to be asked for a new passcode",
        ),
        TaskKind::TabletLost => ("a tablet is marked as lost", "tablets are marked as lost"),
        TaskKind::RolloutStopped => (
            "a tablet is in trouble with a new version of its profile",
            "new versions of profiles trouble tablets",
        ),
        TaskKind::AppsUnapproved => (
            "a profile allows apps that nobody approved",
            "profiles allow apps that nobody approved",
        ),
        TaskKind::AppDecision => ("an app waits for a decision", "apps wait for a decision"),
        TaskKind::AppReview => (
            "the decision on an app has to be reviewed",
            "decisions on apps have to be reviewed",
        ),
        TaskKind::CourseEnds => (
            "a course of one of the staff runs out",
            "courses of staff run out",
        ),
        TaskKind::AupOutstanding => (
            "some of the staff have not acknowledged the acceptable use policy",
            "versions of the acceptable use policy that some of the staff have not acknowledged",
        ),
        TaskKind::CustodyOverdue => (
            "a tablet that is signed out should be back",
            "tablets that are signed out should be back",
        ),
        TaskKind::PinOnTwoTablets => (
            "one PIN signed out two tablets that are both still out",
            "PINs signed out several tablets each that are still out",
        ),
        TaskKind::EndAccess => (
            "somebody who left or is suspended can still sign in",
            "people who left or are suspended can still sign in",
        ),
        TaskKind::TabletMissing => (
            "a tablet was missing at the last closing count",
            "tablets were missing at the last closing count",
        ),
    }
}
