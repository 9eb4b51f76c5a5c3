//! People who run the server.

use super::{Answer, AuditEntry, Changed};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::id::OperatorId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Role {
    ItAdmin,
    Manager,
    /// The lead for safeguarding.
    Dsl,
    Deputy,
    Auditor,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operator {
    pub id: OperatorId,
    /// Unique in the setting.
    pub name: String,
    pub roles: BTreeSet<Role>,
    pub created_at: Timestamp,
}

/// What changes at once about people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeopleChange {
    pub add: Option<Operator>,
    pub roles: Vec<(OperatorId, BTreeSet<Role>)>,
    /// Their account, sessions, invitation and tokens go with them. Their name is given to nobody else.
    pub remove: Option<OperatorId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeoplePut {
    Done,
    /// Somebody has or had this name, in whatever capitals.
    NameTaken,
    /// People are not those the change was thought out for.
    ChangedMeanwhile,
}

/// The days, both included, on which a deputy is the DSL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cover {
    pub operator: OperatorId,
    pub first: Date,
    pub last: Date,
}

pub trait OperatorStore: Send + Sync {
    /// By name. People who were removed are in none of these.
    fn operator_list(&self) -> Answer<'_, Vec<Operator>>;

    /// `None`: nobody of that name.
    fn operator_by_name<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Operator>>;

    /// `Already`: the name is or was somebody's, in whatever capitals.
    fn operator_add<'a>(
        &'a self,
        operator: &'a Operator,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// Only where [`OperatorStore::operator_list`] would still answer `seen`.
    fn people_change<'a>(
        &'a self,
        seen: &'a [Operator],
        change: &'a PeopleChange,
        audit: &'a AuditEntry,
    ) -> Answer<'a, PeoplePut>;

    /// By first day. Also of people who are no deputies any more.
    fn cover_list(&self) -> Answer<'_, Vec<Cover>>;

    /// Replaces the cover of this operator (`None`: they cover no more), where people and covers are still those that
    /// were `seen`.
    fn cover_put<'a>(
        &'a self,
        seen: (&'a [Operator], &'a [Cover]),
        operator: OperatorId,
        cover: Option<Cover>,
        audit: &'a AuditEntry,
    ) -> Answer<'a, PeoplePut>;
}
