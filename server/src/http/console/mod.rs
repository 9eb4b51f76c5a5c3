//! The people's console: pages made here, that work without a script and load nothing from elsewhere. What a page says and
//! does is asked of `domain`; who may open it is in the router's table.

pub(super) mod account;
pub(super) mod alerts;
pub(super) mod assets;
pub(super) mod child;
pub(super) mod consents;
pub(super) mod dashboard;
pub(super) mod draft;
pub(super) mod enrol;
pub(super) mod fleet;
mod form;
pub(super) mod gate;
pub(super) mod held;
pub(super) mod holds;
pub(super) mod import;
pub(super) mod layout;
mod multipart;
pub(super) mod once;
mod order_forms;
pub(super) mod orders;
pub(super) mod page;
mod pages;
pub(super) mod passcode;
pub(super) mod passkeys;
pub(super) mod people;
mod preview;
pub(super) mod profiles;
pub(super) mod receipts;
pub(super) mod registers;
pub(super) mod reports;
pub(super) mod rollout;
pub(super) mod set_up;
pub(super) mod sign_in;
pub(super) mod tablets;
pub(super) mod tasks;
pub(super) mod timeline;
mod when;
mod words;

use super::KnownHosts;
use crate::domain::reports::Thresholds;
use crate::settings::OutsideHelp;
use crate::storage::HourlyLimit;
use std::net::IpAddr;

/// What pages need to know of this installation.
#[derive(Clone, Debug)]
pub struct ConsoleSetup {
    /// What people call the nursery.
    pub setting_name: String,
    /// `https://HOST:PORT`, as people reach it.
    pub origin: String,
    /// Host and port by which tablets reach this machine.
    pub tablets_address: String,
    /// By which names and addresses people may ask for it.
    pub hosts: KnownHosts,
    /// Whom people may call who are not of this setting.
    pub help: OutsideHelp,
    /// Of commands that disrupt tablets.
    pub commands: HourlyLimit,
    /// The one machine whose word is taken on where a request comes from.
    pub proxy: Option<IpAddr>,
    /// Whether this server sends e-mail.
    pub has_mail: bool,
    /// What reports are held to.
    pub thresholds: Thresholds,
}
