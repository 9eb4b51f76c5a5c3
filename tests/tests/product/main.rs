//! The whole product, seen from outside: processes, files, sockets and databases.

#![expect(
    clippy::unwrap_used,
    reason = "a step that fails is a test that fails, and says where"
)]

mod admin_api;
mod commands;
mod consent;
mod custody;
mod demo_month;
mod disk;
mod enrolment;
mod kill;
mod kill_photos;
mod lost;
mod network;
mod page;
mod put_back;
mod restart;
mod setting;
mod subject_access;
mod users;
