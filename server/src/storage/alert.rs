//! What is told to people by e-mail, and how far it got.

use super::{Answer, AuditEntry, Changed, Role};
use jiff::Timestamp;
use nestwarden_policy_schema::id::OperatorId;
use serde::Serialize;
use std::collections::BTreeMap;

/// What went into mails. Whom they were sent to is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What it is about; one alert for each.
    pub key: String,
    /// Whose it is to look at it. `None`: nobody's in particular.
    pub owner: Option<Role>,
    pub made_at: Timestamp,
    /// When one of those whose it is first saw the list of tasks, and who. `None`: nobody did yet.
    pub opened: Option<(Timestamp, String)>,
    /// When it went on to who stands in for the owner.
    pub passed_on_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMail {
    /// One mail of a key for each person.
    pub key: String,
    pub to: OperatorId,
    pub subject: String,
    pub body: String,
}

/// One that was not sent yet. One that was is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mail {
    pub key: String,
    pub to: OperatorId,
    /// Of the person, as now.
    pub name: String,
    /// Of the person, as now. `None`: they have none any more.
    pub address: Option<String>,
    pub subject: String,
    #[serde(skip)]
    pub body: String,
    pub made_at: Timestamp,
    pub tries: u32,
    pub next_try_at: Timestamp,
    /// What the last try came to.
    pub problem: Option<String>,
    /// Not tried any more.
    pub gave_up_at: Option<Timestamp>,
}

/// All of it is kept, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertRound {
    /// Keys, and whose they are.
    pub made: Vec<(String, Option<Role>)>,
    /// Keys of earlier ones that go on to who stands in.
    pub passed_on: Vec<String>,
    /// A mail that is there already is left as it is.
    pub mails: Vec<NewMail>,
}

impl AlertRound {
    pub const fn is_empty(&self) -> bool {
        self.made.is_empty() && self.passed_on.is_empty() && self.mails.is_empty()
    }
}

/// How sending went last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MailState {
    pub sent_at: Option<Timestamp>,
    pub failed_at: Option<Timestamp>,
    /// What the last failure was.
    pub problem: Option<String>,
}

pub trait AlertStore: Send + Sync {
    /// Where alerts go, of everybody who has an address.
    fn address_list(&self) -> Answer<'_, BTreeMap<OperatorId, String>>;

    /// `None`: they get no mails any more. `Missing`: there is no such person.
    fn address_put<'a>(
        &'a self,
        operator: OperatorId,
        address: Option<&'a str>,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// Those made at `since` or later, by key.
    fn alert_list(&self, since: Timestamp) -> Answer<'_, BTreeMap<String, Alert>>;

    /// Also drops alerts made before `forget`, and mails given up before it.
    fn alert_round<'a>(
        &'a self,
        round: &'a AlertRound,
        now: Timestamp,
        forget: Timestamp,
    ) -> Answer<'a, ()>;

    /// Notes that `by` saw these; only what nobody saw before. Gives how many that were.
    fn alert_opened<'a>(
        &'a self,
        keys: &'a [String],
        by: &'a str,
        at: Timestamp,
    ) -> Answer<'a, u64>;

    /// The oldest first; also those given up.
    fn mail_list(&self) -> Answer<'_, Vec<Mail>>;

    /// That it is tried now, and when it is again if nothing more is heard of that: on record before anything is sent, so
    /// that a disk that is full then keeps nobody getting the same every minute.
    fn mail_tried<'a>(&'a self, mail: &'a Mail, next: Timestamp) -> Answer<'a, ()>;

    /// It is gone from here, and sending works.
    fn mail_sent<'a>(&'a self, mail: &'a Mail, at: Timestamp) -> Answer<'a, ()>;

    /// It is tried again when its try said.
    fn mail_failed<'a>(&'a self, mail: &'a Mail, problem: &'a str, at: Timestamp)
    -> Answer<'a, ()>;

    /// It is not tried any more.
    fn mail_given_up<'a>(
        &'a self,
        mail: &'a Mail,
        problem: &'a str,
        at: Timestamp,
    ) -> Answer<'a, ()>;

    fn mail_state(&self) -> Answer<'_, MailState>;
}
