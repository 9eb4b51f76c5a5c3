//! What the server decides. Knows no HTTP and no SQL.

pub mod account;
pub mod bundle;
pub mod child;
pub mod command;
pub mod compliance;
pub mod consent;
pub mod correction;
pub mod enrolment;
pub mod export;
pub mod fresh;
pub mod hold;
pub mod import;
pub mod ingest;
pub mod letter;
pub mod names;
pub mod people;
pub mod photo;
pub mod profile;
pub mod register;
pub mod returning;
pub mod role;
pub mod subject_access;
pub mod task;
pub mod token;
pub mod unseal;
pub mod verify;
