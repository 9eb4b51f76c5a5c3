//! No act on one photo reads the whole catalogue, however many there are.

use super::error::PhotosError;
use super::fault_tests::OPERATIONS;
use super::listing::Watchfulness;
use super::testing::Tablet;
use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Tables that grow with the photos and with what happens to them.
const LARGE: [&str; 5] = [
    "photo",
    "photo_file",
    "photo_tag",
    "photo_artefact",
    "events",
];

/// What means all of them, and is asked once: when the manager has decided on the photos that were found.
const MEANT: [&str; 1] =
    ["SELECT id, captured_at FROM photo WHERE found_month IS NOT NULL AND stage <> 'destroyed'"];

thread_local! {
    static RUN: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

fn note(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(statement, _) = event {
        RUN.with_borrow_mut(|run| run.insert(statement.sql().into_owned()));
    }
}

fn listen(sql: &Connection) {
    sql.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note));
}

fn listen_to(tablet: &Tablet) {
    let read = |sql: &Connection| {
        listen(sql);
        Ok::<_, PhotosError>(())
    };
    tablet.ledger.read(read).unwrap();
    let write = |tx: &crate::ledger::LedgerTx<'_>| {
        listen(tx.sql());
        Ok::<_, PhotosError>(())
    };
    tablet.ledger.transaction(write).unwrap();
}

/// The large tables that a statement reads from end to end.
fn scans(sql: &Connection, statement: &str) -> Vec<String> {
    let mut plan = sql
        .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
        .unwrap();
    let mut rows = plan.raw_query();
    let (mut scans, mut is_sorted) = (Vec::new(), false);
    while let Some(row) = rows.next().unwrap() {
        let step: String = row.get(3).unwrap();
        is_sorted |= step.contains("TEMP B-TREE");
        let table = step
            .strip_prefix("SCAN ")
            .and_then(|rest| rest.split(' ').next());
        // Counted from what holds nothing else.
        let is_count = step.ends_with("COVERING INDEX photo_counted");
        if table.is_some_and(|table| LARGE.contains(&table)) && !is_count {
            scans.push(step);
        }
    }
    // One that is read in the order of an index ends with its limit.
    if statement.contains("LIMIT") && !is_sorted {
        scans.clear();
    }
    scans
}

#[test]
fn nothing_that_is_done_to_a_photo_reads_a_whole_table() {
    let mut found = BTreeSet::new();
    for operation in OPERATIONS {
        let mut tablet = (operation.prepare)();
        listen_to(&tablet);
        (operation.act)(&mut tablet).unwrap();
        tablet
            .with(|engine, moment| engine.outcome(moment, &Watchfulness::default()))
            .unwrap();
        let run = RUN.take();
        let explain = |sql: &Connection| {
            for statement in run.iter().filter(|s| is_explained(s)) {
                let scans = scans(sql, statement);
                found.extend(
                    scans
                        .into_iter()
                        .map(|scan| (operation.name, scan, statement.clone())),
                );
            }
            Ok::<_, PhotosError>(())
        };
        tablet.ledger.read(explain).unwrap();
    }
    assert!(found.is_empty(), "{found:#?}");
}

fn is_explained(statement: &str) -> bool {
    let kinds = ["SELECT", "INSERT", "UPDATE", "DELETE"];
    // Tests look at all that was told.
    let of_a_test = statement == "SELECT body FROM events ORDER BY seq";
    let is_meant = of_a_test || MEANT.contains(&statement);
    !is_meant
        && kinds
            .iter()
            .any(|kind| statement.trim_start().starts_with(kind))
}
