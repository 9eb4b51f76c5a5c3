//! `consent …` and `child list`. Names stay in the database: references and random ids are enough here.

use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::consent::{Withdrawal, withdraw};
use crate::domain::import::{self, MAX_FILE_BYTES, Plan};
use crate::domain::register::Register;
use crate::storage::Child;
use anyhow::{Context as _, bail};
use nestwarden_policy_schema::consent::{ConsentState, GivenBy, Method, Purpose, RoomName};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Take over the register from the booking system's CSV file
    ///
    /// Columns: reference, first_name, last_name; optional: family, room, days, start, leave, answered, valid_until; and
    /// one for each purpose with Yes, No, Withdrawn or nothing: own_learning_journal, other_childrens_journals,
    /// display_in_setting, website, social_media, press, marketing, training, each also with _answered and _valid_until.
    /// Dates are 2026-03-31 or 31/03/2026. A value we do not know means not given.
    Import {
        file: PathBuf,
        /// Say what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Go ahead although much would change
        #[arg(long)]
        confirm: bool,
    },
    /// Record that consent was withdrawn, here and now
    Withdraw {
        /// The child's reference
        #[arg(required_unless_present = "child", conflicts_with = "child")]
        reference: Option<String>,
        #[arg(long, value_name = "REFERENCE")]
        child: Option<String>,
        /// A purpose, or `all`; repeat for several
        #[arg(long = "purpose", default_value = "all")]
        purposes: Vec<String>,
        #[arg(long, value_enum, default_value = "parent")]
        given_by: Giver,
        #[arg(long, value_enum, default_value = "in_person")]
        method: How,
    },
    /// Every answer about one child
    Show {
        #[arg(required_unless_present = "child", conflicts_with = "child")]
        reference: Option<String>,
        #[arg(long, value_name = "REFERENCE")]
        child: Option<String>,
    },
}

#[derive(clap::Subcommand)]
pub(super) enum ChildAction {
    /// Every child: reference, the id tablets know, rooms, and what stands for each purpose
    List,
}

#[derive(Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Giver {
    Parent,
    LocalAuthority,
    DelegatedCarer,
    Court,
}

#[derive(Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum How {
    PaperForm,
    InPerson,
    Telephone,
    Email,
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    match action {
        Action::Import {
            file,
            dry_run,
            confirm,
        } => run_import(&file, dry_run, confirm, session).await,
        Action::Withdraw {
            reference,
            child,
            purposes,
            given_by,
            method,
        } => {
            let reference = reference.or(child).unwrap_or_default();
            let how = Withdrawal {
                given_by: match given_by {
                    Giver::Parent => GivenBy::Parent,
                    Giver::LocalAuthority => GivenBy::LocalAuthority,
                    Giver::DelegatedCarer => GivenBy::DelegatedCarer,
                    Giver::Court => GivenBy::Court,
                },
                method: match method {
                    How::PaperForm => Method::PaperForm,
                    How::InPerson => Method::InPerson,
                    How::Telephone => Method::Telephone,
                    How::Email => Method::Email,
                },
            };
            run_withdraw(&reference, &parsed(&purposes)?, how, session).await
        }
        Action::Show { reference, child } => {
            show(&reference.or(child).unwrap_or_default(), session).await
        }
    }
}

async fn run_import(
    path: &Path,
    dry_run: bool,
    confirm: bool,
    session: &Session,
) -> anyhow::Result<Reply> {
    let named = || format!("failed to read `{}`", path.display());
    let size = std::fs::metadata(path).with_context(named)?.len();
    if size > MAX_FILE_BYTES as u64 {
        bail!(
            "`{}` has {size} bytes; export the register only, at most {MAX_FILE_BYTES}",
            path.display()
        );
    }
    let bytes = std::fs::read(path).with_context(named)?;
    let now = session.now();
    let plan = import::plan(&session.storage, &bytes, now).await?;
    let stopped = !plan.concerns.is_empty() && !confirm;
    let apply = !dry_run && !stopped;
    if apply {
        import::apply(&session.storage, &plan, &bytes, &session.who(), now).await?;
        session.nudge();
    }
    let mut narration = described(&plan);
    let text = if apply {
        "Imported."
    } else if stopped && !dry_run {
        narration.push_str("If this is right, run it again with --confirm.\n");
        "Stopped: the register stays as it was."
    } else {
        "Nothing was changed."
    };
    let json = json!({
        "imported": apply,
        "needs_confirmation": stopped,
        "counts": plan.counts,
        "concerns": plan.concerns,
        "unreadable": plan.unreadable,
        "not_restored": plan.not_restored,
        "missing": plan.missing,
    });
    let reply = Reply::new(json, text).narrate(narration.trim_end());
    Ok(if stopped && !dry_run {
        reply.negative()
    } else {
        reply
    })
}

fn described(plan: &Plan) -> String {
    let counts = &plan.counts;
    let mut text = format!(
        "{} children: {} new, {} changed, {} missing from the file. {} new answers, {} consents lapse.\n",
        counts.children,
        counts.new_children,
        counts.changed_children,
        counts.newly_missing,
        counts.answers_added,
        counts.lapsing,
    );
    for unreadable in &plan.unreadable {
        let _ = writeln!(
            text,
            "row {}, column `{}`: \"{}\" is not a value we know, so it counts as not given; write Yes or No",
            unreadable.row, unreadable.purpose, unreadable.value
        );
    }
    for kept in &plan.not_restored {
        let _ = writeln!(
            text,
            "{}, {}: the file says Yes, but an earlier answer stands ({}); a Yes restores only with the day it was answered, in the column `answered`",
            kept.reference,
            kept.purpose,
            state(kept.state)
        );
    }
    for reference in &plan.missing {
        let _ = writeln!(
            text,
            "{reference} is missing from the file: no new photos now, and after 72 hours theirs are withheld"
        );
    }
    for concern in &plan.concerns {
        let _ = writeln!(text, "{concern}.");
    }
    text
}

async fn run_withdraw(
    reference: &str,
    purposes: &[Purpose],
    how: Withdrawal,
    session: &Session,
) -> anyhow::Result<Reply> {
    let done = withdraw(
        &session.storage,
        reference,
        purposes,
        how,
        &session.who(),
        session.now(),
    )
    .await?;
    session.nudge();
    let siblings: Vec<&str> = done.siblings.iter().map(|s| s.reference.as_str()).collect();
    let mut text = if done.purposes.is_empty() {
        format!("Every one of these was withdrawn for {reference} before.\n")
    } else {
        let names: Vec<&str> = done.purposes.iter().map(|p| p.as_str()).collect();
        format!("Withdrawn for {reference}: {}.\n", names.join(", "))
    };
    if !siblings.is_empty() {
        let _ = writeln!(
            text,
            "Of the same family, and unchanged: {}. Ask whether it is meant for them too.",
            siblings.join(", ")
        );
    }
    let json = json!({
        "reference": reference,
        "child": done.child.id,
        "purposes": done.purposes,
        "siblings": siblings,
    });
    Ok(Reply::new(json, text))
}

async fn show(reference: &str, session: &Session) -> anyhow::Result<Reply> {
    let register = Register::load(&session.storage).await?;
    let child = register
        .children
        .iter()
        .find(|c| c.reference == reference)
        .with_context(|| {
            format!("there is no child with reference \"{reference}\"; `child list` shows those there are")
        })?;
    // Views of a child's record are in the access log.
    let viewed = session.audit("consent.show", child.id.to_string(), json!({}));
    session.storage.audit_add(&viewed).await?;
    let records = register.records_of(child.id);
    let mut rows = vec![row!["purpose", "answer", "answered", "recorded", "until"]];
    for record in records {
        let answered = record
            .withdrawn_at
            .or(record.answered_at)
            .map_or("–".to_owned(), |at| at.to_string());
        let until = record.valid_until.map_or("–".to_owned(), |d| d.to_string());
        rows.push(row![
            record.purpose,
            state(record.state),
            answered,
            record.recorded_at,
            until
        ]);
    }
    let mut json = entry(&register, child);
    json["records"] = json!(records);
    Ok(Reply::new(json, table(&rows)))
}

pub(super) async fn child(action: ChildAction, session: &Session) -> anyhow::Result<Reply> {
    let ChildAction::List = action;
    let register = Register::load(&session.storage).await?;
    let mut rows = vec![row!["reference", "id", "rooms", "given", "notes"]];
    let mut json = Vec::new();
    for child in &register.children {
        let rooms: Vec<&str> = child.entry.rooms.iter().map(RoomName::as_str).collect();
        let given: Vec<&str> = register
            .standings(child.id)
            .iter()
            .filter(|(_, standing)| standing.state == ConsentState::Given)
            .map(|(purpose, _)| purpose.as_str())
            .collect();
        let mut notes = Vec::new();
        if child.entry.missing_since.is_some() {
            notes.push("missing from the file".to_owned());
        }
        if let Some(leaving) = child.entry.leaves {
            notes.push(format!("leaves {}", leaving.date));
        }
        rows.push(row![
            child.reference,
            child.id,
            rooms.join("/"),
            given.join(" "),
            notes.join(", ")
        ]);
        json.push(entry(&register, child));
    }
    Ok(Reply::new(json!({ "children": json }), table(&rows)))
}

fn entry(register: &Register, child: &Child) -> Value {
    json!({
        "reference": child.reference,
        "id": child.id,
        "rooms": child.entry.rooms,
        "attends": child.entry.attends,
        "starts": child.entry.starts,
        "leaves": child.entry.leaves,
        "restriction": child.entry.restriction,
        "missing_since": child.entry.missing_since,
        "purposes": register.standings(child.id),
    })
}

fn parsed(purposes: &[String]) -> anyhow::Result<Vec<Purpose>> {
    if purposes.iter().any(|p| p == "all") {
        return Ok(Purpose::ALL.to_vec());
    }
    purposes
        .iter()
        .map(|text| text.parse::<Purpose>().map_err(Into::into))
        .collect()
}

const fn state(state: ConsentState) -> &'static str {
    match state {
        ConsentState::Unanswered => "not given",
        ConsentState::Given => "given",
        ConsentState::Refused => "refused",
        ConsentState::Withdrawn => "withdrawn",
        ConsentState::Expired => "expired",
        ConsentState::EndedLeaver => "ended by leaving",
        ConsentState::Conflicted => "parents disagree",
    }
}
