//! What a browser sent: the query of an address or the fields of a form (application/x-www-form-urlencoded).

use super::answer::Trouble;
use std::str::FromStr;

/// Fields in the order they were sent.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

/// More fields than any screen has.
const MOST_FIELDS: usize = 2_000;

impl Form {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let fields = form_urlencoded::parse(bytes).into_owned();
        Self(fields.take(MOST_FIELDS).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|(key, _)| key == name);
        field.map(|(_, value)| value.as_str())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.0.iter().filter(move |(key, _)| key == name);
        fields.map(|(_, value)| value.as_str())
    }

    /// Absent is none; what cannot be read is a request the page does not make.
    pub(super) fn value<T: FromStr>(&self, name: &str) -> Result<Option<T>, Trouble> {
        let value = self.get(name).map(str::parse);
        value.transpose().map_err(|_| Trouble::Request)
    }

    pub(super) fn values<T: FromStr, C: FromIterator<T>>(&self, name: &str) -> Result<C, Trouble> {
        let values: Result<C, _> = self.all(name).map(str::parse::<T>).collect();
        values.map_err(|_| Trouble::Request)
    }
}
