//! A profile as other programs read it: other platforms' own files, and its JSON Schema.

pub mod apple;
mod schema;

pub use schema::schema_json;
