//! What the server decides. Knows no HTTP and no SQL.

pub mod enrolment;
pub mod ingest;
