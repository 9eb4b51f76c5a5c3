//! Background work of the serving process. Every job may be run again at any time without harm.

pub mod alerts;
pub mod bundles;
pub mod import_folder;
pub mod passcodes;
pub mod received;
pub mod reminders;
pub mod rollouts;
pub mod wake;
