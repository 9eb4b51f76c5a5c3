//! How values of the domain are kept in columns, and read back without trust.

use super::StorageError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::fmt::Display;
use std::str::FromStr;

fn corrupt(what: &'static str) -> impl FnOnce(String) -> StorageError {
    move |problem| StorageError::Corrupt { what, problem }
}

pub(super) fn text(
    row: &SqliteRow,
    column: &'static str,
    what: &'static str,
) -> Result<String, StorageError> {
    row.try_get(column)
        .map_err(|e| corrupt(what)(e.to_string()))
}

pub(super) fn optional_text(
    row: &SqliteRow,
    column: &'static str,
    what: &'static str,
) -> Result<Option<String>, StorageError> {
    row.try_get(column)
        .map_err(|e| corrupt(what)(e.to_string()))
}

pub(super) fn number(
    row: &SqliteRow,
    column: &'static str,
    what: &'static str,
) -> Result<u64, StorageError> {
    let value: i64 = row
        .try_get(column)
        .map_err(|e| corrupt(what)(e.to_string()))?;
    u64::try_from(value).map_err(|e| corrupt(what)(e.to_string()))
}

/// A number as the database keeps it; what exceeds its range is held at the range's end, far beyond any real count.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn parsed<T: FromStr<Err: Display>>(
    row: &SqliteRow,
    column: &'static str,
    what: &'static str,
) -> Result<T, StorageError> {
    text(row, column, what)?
        .parse()
        .map_err(|e: T::Err| corrupt(what)(e.to_string()))
}

pub(super) fn time(
    row: &SqliteRow,
    column: &'static str,
    what: &'static str,
) -> Result<Timestamp, StorageError> {
    optional_time(row, column, what)?.ok_or_else(|| corrupt(what)(format!("`{column}` is missing")))
}

pub(super) fn optional_time(
    row: &SqliteRow,
    column: &'static str,
    what: &'static str,
) -> Result<Option<Timestamp>, StorageError> {
    let micros: Option<i64> = row
        .try_get(column)
        .map_err(|e| corrupt(what)(e.to_string()))?;
    micros
        .map(Timestamp::from_microsecond)
        .transpose()
        .map_err(|e| corrupt(what)(e.to_string()))
}

pub(super) fn json<T: DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
    what: &'static str,
) -> Result<T, StorageError> {
    serde_json::from_str(&text(row, column, what)?).map_err(|e| corrupt(what)(e.to_string()))
}

pub(super) fn to_json<T: Serialize + ?Sized>(
    value: &T,
    what: &'static str,
) -> Result<String, StorageError> {
    serde_json::to_string(value).map_err(|e| corrupt(what)(e.to_string()))
}

pub(super) fn bytes(
    row: &SqliteRow,
    column: &'static str,
    what: &'static str,
) -> Result<Vec<u8>, StorageError> {
    STANDARD
        .decode(text(row, column, what)?)
        .map_err(|e| corrupt(what)(e.to_string()))
}

pub(super) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
