//! `photo …` and `device found`: numbers, days and ids. There is no image here to show.

use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::correction::{self, WhoIsIn};
use crate::domain::photo::{self, Judge};
use crate::domain::unseal::{self, Decided};
use crate::storage::PhotoRow;
use anyhow::Context as _;
use jiff::Timestamp;
use nestwarden_policy_schema::consent::{FoundDecision, Stage, Standing};
use nestwarden_policy_schema::id::{ChildId, DeviceId, PhotoId};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Lines of a listing for people; `--json` has all of them.
const MAX_LINES: usize = 200;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// What tablets told of their photos: where each stands, and what is due when
    List(ListArgs),
    /// Say who is in a photo; it replaces what was said on the tablet (manager, DSL or deputy)
    Correct(CorrectArgs),
    /// Let a sealed photo be opened although the register does not say so (DSL or deputy)
    ///
    /// Under a hold a second person must run the same command. The tablet gets the key when it next asks, for a week.
    Unseal {
        photo: PhotoId,
        /// Why; no names of children
        #[arg(long)]
        reason: String,
    },
}

#[derive(clap::Args)]
pub(super) struct ListArgs {
    /// Photos that show, or may show, this child
    #[arg(long, value_name = "REFERENCE")]
    child: Option<String>,
    #[arg(long, value_enum)]
    stage: Option<At>,
    /// A tablet's name or id
    #[arg(long)]
    device: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum At {
    Live,
    Withheld,
    Sealed,
    Destroyed,
}

impl At {
    const fn stage(self) -> Stage {
        match self {
            Self::Live => Stage::Live,
            Self::Withheld => Stage::Withheld,
            Self::Sealed => Stage::Sealed,
            Self::Destroyed => Stage::Destroyed,
        }
    }
}

#[derive(clap::Args)]
#[group(skip)]
#[command(group(clap::ArgGroup::new("who").required(true).args(["children", "no_child", "someone_else", "untagged"])))]
pub(super) struct CorrectArgs {
    photo: PhotoId,
    /// These children, and nobody else
    #[arg(long = "in", value_name = "REFERENCE", num_args = 1..)]
    children: Vec<String>,
    /// Somebody looked, and there is no child in it
    #[arg(long)]
    no_child: bool,
    /// Somebody who is not on the register: no use until that is resolved
    #[arg(long)]
    someone_else: bool,
    /// What was said was wrong, and nobody knows yet who is in it
    #[arg(long)]
    untagged: bool,
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    match action {
        Action::List(args) => list(args, session).await,
        Action::Correct(args) => correct(args, session).await,
        Action::Unseal { photo, reason } => {
            let by = session.operator()?;
            let storage = &session.storage;
            let decided = unseal::decide(storage, photo, &reason, by, session.now()).await?;
            let (stands, text) = match decided {
                Decided::Stands => (
                    true,
                    "The tablet gets the key when it next asks, within a week.",
                ),
                Decided::SecondPersonNeeded => (
                    false,
                    "Noted. A hold covers the photo: it stands when a second person runs the same command.",
                ),
            };
            Ok(Reply::new(
                json!({ "photo": photo, "stands": stands }),
                text,
            ))
        }
    }
}

async fn list(args: ListArgs, session: &Session) -> anyhow::Result<Reply> {
    let child = match &args.child {
        None => None,
        Some(reference) => {
            let found = session.storage.child_by_reference(reference).await?;
            Some(found.with_context(|| {
                format!("there is no child with reference \"{reference}\"; `child list` shows those there are")
            })?)
        }
    };
    let device = match &args.device {
        None => None,
        Some(named) => Some(session.device(named).await?.id),
    };
    if let Some(child) = &child {
        let viewed = session.audit("photo.list", child.id.to_string(), json!({}));
        session.storage.audit_add(&viewed).await?;
    }
    let judge = Judge::load(&session.storage, session.now()).await?;
    let devices = session.storage.device_list().await?;
    let names: BTreeMap<DeviceId, String> = devices.into_iter().map(|d| (d.id, d.name)).collect();
    let mut rows = vec![row![
        "photo", "tablet", "stage", "tagging", "children", "withhold", "seal", "destroy", "notes"
    ]];
    let (mut answers, mut stages) = (Vec::new(), BTreeMap::<Stage, u64>::new());
    photo::each(&session.storage, |row| {
        let wanted = device.is_none_or(|device| row.device == device)
            && args.stage.is_none_or(|at| row.stage == at.stage())
            && child
                .as_ref()
                .is_none_or(|child| shows(&judge, &row, child.id));
        if wanted {
            *stages.entry(row.stage).or_default() += 1;
            let name = names.get(&row.device).map_or("", String::as_str);
            let answer = entry(&judge, &row, name);
            if rows.len() <= MAX_LINES {
                rows.push(line(&answer));
            }
            answers.push(answer);
        }
    })
    .await?;
    let counts: Vec<String> = stages
        .iter()
        .map(|(stage, count)| format!("{count} {}", word(*stage)))
        .collect();
    let mut text = table(&rows);
    if answers.len() >= rows.len() {
        text.push_str("… and more; --json has all of them\n");
    }
    let _ = write!(text, "{} photos: {}", answers.len(), counts.join(", "));
    if answers.is_empty() {
        "No photo.".clone_into(&mut text);
    }
    Ok(Reply::new(
        json!({ "photos": answers, "stages": stages }),
        text,
    ))
}

/// Whether a child is, or may be, in a photo.
fn shows(judge: &Judge, row: &PhotoRow, child: ChildId) -> bool {
    judge.facts(row).is_some_and(|facts| {
        let date = judge
            .setup(row.device)
            .map(|setup| setup.calendar.local_date(facts.captured_at));
        match date {
            Some(date) => facts.subjects.all(&judge.register, date).contains(&child),
            None => facts.subjects.confirmed.contains(&child),
        }
    }) || row
        .receipt
        .as_ref()
        .is_some_and(|receipt| receipt.child == Some(child))
}

fn entry(judge: &Judge, row: &PhotoRow, tablet: &str) -> Value {
    let facts = judge.facts(row);
    let verdict = facts.as_ref().and_then(|facts| judge.verdict(facts));
    let gone = row.stage == Stage::Destroyed;
    let verdict = verdict.filter(|_| !gone);
    let (frozen, schedule) = match verdict.as_ref().map(|verdict| &verdict.standing) {
        Some(Standing::Frozen) => (true, None),
        Some(Standing::Scheduled(schedule)) => (false, Some(*schedule)),
        None => (false, None),
    };
    let holds = verdict.map(|verdict| verdict.holds);
    json!({
        "photo": row.photo,
        "device": row.device,
        "tablet": tablet,
        "media": row.media,
        "stage": row.stage,
        "since": row.stage_at,
        "cause": row.cause,
        "captured_at": facts.as_ref().map(|facts| facts.captured_at),
        "tagging": facts.as_ref().map(|facts| facts.subjects.tagging),
        "children": facts.as_ref().map(|facts| facts.subjects.confirmed.len()),
        "unregistered_person": facts.as_ref().is_some_and(|f| f.subjects.unregistered_person),
        "withhold": schedule.and_then(|s| s.withhold),
        "seal": schedule.and_then(|s| s.seal),
        "destroy": schedule.and_then(|s| s.destroy),
        "holds": holds.filter(|holds| !holds.is_empty()),
        "frozen": frozen,
        "incomplete": row.incomplete.as_ref().map(|i| json!({ "since": i.since, "problem": i.problem })),
        "receipt": row.receipt.as_ref().map(|receipt| receipt.id),
    })
}

fn line(entry: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let day = |value: &Value| {
        let at = value["at"]
            .as_str()
            .and_then(|at| at.parse::<Timestamp>().ok());
        at.map_or_else(
            || "–".to_owned(),
            |at| at.strftime("%Y-%m-%d %H:%MZ").to_string(),
        )
    };
    let mut notes: Vec<String> = Vec::new();
    if entry["frozen"] == json!(true) {
        notes.push("FROZEN".to_owned());
    } else if !entry["holds"].is_null() {
        notes.push("held: not destroyed".to_owned());
    }
    if entry["unregistered_person"] == json!(true) {
        notes.push("someone not on the register".to_owned());
    }
    if let Some(problem) = entry["incomplete"]["problem"].as_str() {
        notes.push(format!("incomplete: {problem}"));
    }
    if entry["tagging"].is_null() {
        notes.push("the tablet told nothing of it".to_owned());
    }
    row![
        text(&entry["photo"]),
        text(&entry["tablet"]),
        text(&entry["stage"]),
        text(&entry["tagging"]),
        text(&entry["children"]),
        day(&entry["withhold"]),
        day(&entry["seal"]),
        day(&entry["destroy"]),
        notes.join(", ")
    ]
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Live => "live",
        Stage::Withheld => "withheld",
        Stage::Sealed => "sealed",
        Stage::Destroyed => "destroyed",
    }
}

async fn correct(args: CorrectArgs, session: &Session) -> anyhow::Result<Reply> {
    let who = if args.no_child {
        WhoIsIn::NoChild
    } else if args.someone_else {
        WhoIsIn::SomeoneElse
    } else if args.untagged {
        WhoIsIn::Untagged
    } else {
        WhoIsIn::Children(args.children)
    };
    let by = session.operator()?;
    let done = correction::correct(&session.storage, args.photo, &who, by, session.now()).await?;
    session.nudge();
    let (row, correction) = done;
    let text = "Noted. The tablet judges the photo again with its next bundle.";
    let json = json!({ "device": row.device, "correction": correction });
    Ok(Reply::new(json, text))
}

/// What a manager decides on photos found at enrolment.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Found {
    /// They count as taken now, by nobody who said who is in them
    Sort,
    /// They stay as they are
    Leave,
}

pub(super) async fn found(device: &str, found: Found, session: &Session) -> anyhow::Result<Reply> {
    let device = session.device(device).await?;
    let decision = match found {
        Found::Sort => FoundDecision::Sort,
        Found::Leave => FoundDecision::Leave,
    };
    let by = session.operator()?;
    let storage = &session.storage;
    let decided = correction::found(storage, &device, decision, by, session.now()).await?;
    session.nudge();
    let text = match found {
        Found::Sort => "Noted. They are sorted on the tablet from now on, as if taken now.",
        Found::Leave => "Noted. They stay as they are.",
    };
    Ok(Reply::new(
        json!({ "device": device.id, "found_photos": decided }),
        text,
    ))
}
