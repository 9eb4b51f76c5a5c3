//! `child …`: who is on the register, and what is said of them beside consent.

use super::export;
use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::child::{self, Done};
use crate::domain::register::Register;
use crate::storage::Child;
use jiff::civil::Date;
use nestwarden_policy_schema::consent::{ConsentState, LeaveReason, Restriction, RoomName};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Every child: reference, the id tablets know, rooms, and what stands for each purpose
    List,
    /// Everything about one child; that somebody looked is logged
    Show { reference: String },
    /// The letter to the parents: what was removed from tablets, and what we cannot reach
    Letter {
        reference: String,
        #[arg(long, value_enum, default_value = "text")]
        format: export::Format,
        /// The family may read what it says: the DSL or a deputy decided so. Asked for where that is for them to decide
        #[arg(long)]
        dsl_decided: bool,
    },
    /// Everything known of the child, signed, for a subject access request (manager, DSL or deputy)
    ///
    /// Consent history, photo list and receipts; the photos themselves come from the tablets.
    Export {
        reference: String,
        /// A new directory
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Set or lift a restriction (DSL or deputy). Why is not asked, and nowhere kept
    Restrict {
        reference: String,
        #[arg(value_enum)]
        restriction: Restricted,
    },
    /// The child leaves; the date is the last day
    Leave {
        reference: String,
        #[arg(value_name = "DATE")]
        date: Date,
    },
    /// The child has died: every deletion of their photos stops
    Died {
        reference: String,
        #[arg(value_name = "DATE")]
        date: Date,
    },
    /// The child stays after all: takes back a leave date, or a death recorded by mistake
    Stay { reference: String },
    /// The child's rooms; none: any room
    Room {
        reference: String,
        rooms: Vec<RoomName>,
    },
    /// Make children siblings, or with --split no longer
    Family {
        #[arg(required = true)]
        references: Vec<String>,
        /// Take these children out of their families
        #[arg(long)]
        split: bool,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Restricted {
    None,
    /// Not on the website, in social media, the press or marketing
    NoExternal,
    /// In no photo at all
    DoNotPhotograph,
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    let storage = &session.storage;
    let now = session.now();
    let done = match action {
        Action::List => return list(session).await,
        Action::Show { reference } => return show(&reference, session).await,
        Action::Letter {
            reference,
            format,
            dsl_decided,
        } => {
            let decided = if dsl_decided {
                export::Decided::Dsl
            } else {
                export::Decided::Nobody
            };
            return export::letter(&reference, format, decided, session).await;
        }
        Action::Export { reference, out } => {
            return export::child(&reference, &out, session).await;
        }
        Action::Restrict {
            reference,
            restriction,
        } => {
            let restriction = match restriction {
                Restricted::None => Restriction::None,
                Restricted::NoExternal => Restriction::NoExternal,
                Restricted::DoNotPhotograph => Restriction::DoNotPhotograph,
            };
            child::restrict(storage, &reference, restriction, session.operator()?, now).await?
        }
        Action::Leave { reference, date } => {
            child::leave(storage, &reference, date, session.operator()?, now).await?
        }
        Action::Died { reference, date } => {
            child::died(storage, &reference, date, session.operator()?, now).await?
        }
        Action::Stay { reference } => {
            child::stay(storage, &reference, session.operator()?, now).await?
        }
        Action::Room { reference, rooms } => {
            let rooms: BTreeSet<RoomName> = rooms.into_iter().collect();
            child::room(storage, &reference, &rooms, session.operator()?, now).await?
        }
        Action::Family { references, split } => {
            let by = session.operator()?;
            if split {
                child::split(storage, &references, by, now).await?
            } else {
                child::join(storage, &references, by, now).await?
            }
        }
    };
    session.nudge();
    answered(&done, session).await
}

async fn answered(done: &Done, session: &Session) -> anyhow::Result<Reply> {
    let register = Register::load(&session.storage).await?;
    let mut text = String::new();
    if !done.changed {
        text.push_str("It was so already.\n");
    }
    for child in &done.children {
        let _ = writeln!(text, "{}: {}", child.reference, said(&register, child));
    }
    let children: Vec<Value> = done.children.iter().map(|c| entry(&register, c)).collect();
    let json = json!({ "changed": done.changed, "children": children });
    Ok(Reply::new(json, text))
}

/// Whatever is out of the ordinary, in one line.
fn said(register: &Register, child: &Child) -> String {
    let notes = notes(register, child);
    if notes.is_empty() {
        "nothing out of the ordinary".to_owned()
    } else {
        notes.join(", ")
    }
}

async fn list(session: &Session) -> anyhow::Result<Reply> {
    let register = Register::load(&session.storage).await?;
    let mut rows = vec![row!["reference", "id", "rooms", "given", "notes"]];
    let mut json = Vec::new();
    for child in &register.children {
        let given: Vec<&str> = register
            .standings(child.id)
            .iter()
            .filter(|(_, standing)| standing.state == ConsentState::Given)
            .map(|(purpose, _)| purpose.as_str())
            .collect();
        rows.push(row![
            child.reference,
            child.id,
            rooms(child),
            given.join(" "),
            notes(&register, child).join(", ")
        ]);
        json.push(entry(&register, child));
    }
    Ok(Reply::new(json!({ "children": json }), table(&rows)))
}

fn rooms(child: &Child) -> String {
    let rooms: Vec<&str> = child.entry.rooms.iter().map(RoomName::as_str).collect();
    rooms.join("/")
}

fn notes(register: &Register, child: &Child) -> Vec<String> {
    let mut notes = Vec::new();
    match child.entry.restriction {
        Restriction::None => {}
        Restriction::NoExternal => notes.push("nothing external".to_owned()),
        Restriction::DoNotPhotograph => notes.push("DO NOT PHOTOGRAPH".to_owned()),
    }
    let disputed: Vec<&str> = register
        .standings(child.id)
        .iter()
        .filter(|(_, standing)| standing.state == ConsentState::Conflicted)
        .map(|(purpose, _)| purpose.as_str())
        .collect();
    if !disputed.is_empty() {
        notes.push(format!("PARENTS DISAGREE: {}", disputed.join(" ")));
    }
    if child.entry.missing_since.is_some() {
        notes.push("missing from the file".to_owned());
    }
    if let Some(leaving) = child.entry.leaves {
        notes.push(match leaving.reason {
            LeaveReason::Left => format!("leaves {}", leaving.date),
            LeaveReason::Died => format!("died {}; nothing is deleted", leaving.date),
        });
    }
    let here = &child.set_here;
    let kept: Vec<&str> = [
        (here.rooms.is_some(), "rooms"),
        (here.leaves.is_some(), "leave date"),
        (here.family.is_some(), "family"),
    ]
    .into_iter()
    .filter_map(|(set, what)| set.then_some(what))
    .collect();
    if !kept.is_empty() {
        notes.push(format!("set here: {}", kept.join(", ")));
    }
    let siblings: Vec<&str> = register
        .siblings(child)
        .map(|c| c.reference.as_str())
        .collect();
    if !siblings.is_empty() {
        notes.push(format!("siblings: {}", siblings.join(" ")));
    }
    notes
}

async fn show(reference: &str, session: &Session) -> anyhow::Result<Reply> {
    let register = Register::load(&session.storage).await?;
    let child = register.child(reference)?;
    // Views of a child's record are in the access log.
    let viewed = session.audit("child.show", child.id.to_string(), json!({}));
    session.storage.audit_add(&viewed).await?;
    let dash = |text: String| {
        if text.is_empty() {
            "–".to_owned()
        } else {
            text
        }
    };
    let days: Vec<String> = child
        .entry
        .attends
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut rows = vec![
        row!["reference", child.reference],
        row!["name", format!("{} {}", child.first_name, child.last_name)],
        row!["id on tablets", child.id],
        row!["rooms", dash(rooms(child))],
        row!["days", dash(days.join(" "))],
        row![
            "starts",
            dash(
                child
                    .entry
                    .starts
                    .map(|d| d.to_string())
                    .unwrap_or_default()
            )
        ],
        row!["notes", dash(notes(&register, child).join(", "))],
    ];
    for (purpose, standing) in register.standings(child.id) {
        let until = standing
            .valid_until
            .map(|until| format!(", until {until}"))
            .unwrap_or_default();
        let state = super::consent::state(standing.state);
        rows.push(row![purpose, format!("{state}{until}")]);
    }
    let mut json = entry(&register, child);
    json["first_name"] = json!(child.first_name);
    json["last_name"] = json!(child.last_name);
    Ok(Reply::new(json, table(&rows)))
}

pub(super) fn entry(register: &Register, child: &Child) -> Value {
    let siblings: Vec<&str> = register
        .siblings(child)
        .map(|c| c.reference.as_str())
        .collect();
    json!({
        "reference": child.reference,
        "id": child.id,
        "rooms": child.entry.rooms,
        "attends": child.entry.attends,
        "starts": child.entry.starts,
        "leaves": child.entry.leaves,
        "restriction": child.entry.restriction,
        "missing_since": child.entry.missing_since,
        "siblings": siblings,
        "set_here": child.set_here,
        "purposes": register.standings(child.id),
    })
}
