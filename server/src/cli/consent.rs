//! `consent …`: what parents answered. Names stay in the database: references and random ids are enough here.

use super::delivery;
use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::consent::{self, Answered, Dates, Reach, Said};
use crate::domain::photo::{self, Effect};
use crate::domain::register::Register;
use jiff::civil::Date;
use nestwarden_policy_schema::consent::{ConsentState, GivenBy, Method, Purpose};
use serde_json::{Value, json};
use std::fmt::Write as _;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Take over the register from the booking system's CSV file
    ///
    /// Columns: reference, first_name, last_name; optional: family, room, days, start, leave, answered, valid_until; and
    /// one for each purpose with Yes, No, Withdrawn or nothing: own_learning_journal, other_childrens_journals,
    /// display_in_setting, website, social_media, press, marketing, training, each also with _answered and _valid_until.
    /// Dates are 2026-03-31 or 31/03/2026. A value we do not know means not given. A file with other headings or words is
    /// read by a mapping.
    Import(super::import::ImportArgs),
    /// How an export with other headings or words is read
    #[command(subcommand)]
    Mapping(super::mapping::Action),
    /// Record a Yes. It restores what was refused or withdrawn only if it was answered after that
    Give {
        /// The child's reference
        reference: String,
        /// A purpose the parent said Yes to; repeat for several
        #[arg(long = "purpose", required = true)]
        purposes: Vec<String>,
        #[command(flatten)]
        said: SaidArgs,
        /// The first day on which it holds
        #[arg(long, value_name = "DATE")]
        from: Option<Date>,
        /// The last day on which it holds
        #[arg(long, value_name = "DATE")]
        until: Option<Date>,
        /// The day on which it was answered [default: now]
        #[arg(long, value_name = "DATE")]
        answered: Option<Date>,
    },
    /// Record a No
    Refuse {
        /// The child's reference
        reference: String,
        /// A purpose, or `all`; repeat for several
        #[arg(long = "purpose", required = true)]
        purposes: Vec<String>,
        #[command(flatten)]
        said: SaidArgs,
        /// The day on which it was answered [default: now]
        #[arg(long, value_name = "DATE")]
        answered: Option<Date>,
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
        #[command(flatten)]
        said: SaidArgs,
        /// For every child of the family; without it they are named and stay as they are
        #[arg(long)]
        with_siblings: bool,
    },
    /// Every answer about one child
    Show {
        #[arg(required_unless_present = "child", conflicts_with = "child")]
        reference: Option<String>,
        #[arg(long, value_name = "REFERENCE")]
        child: Option<String>,
    },
}

/// Who answered, and how.
#[derive(clap::Args)]
pub(super) struct SaidArgs {
    #[arg(long, value_enum, default_value = "parent")]
    given_by: Giver,
    /// Whether that person has parental responsibility
    #[arg(long, value_enum)]
    responsibility: Option<YesNo>,
    #[arg(long, value_enum, default_value = "in_person")]
    method: How,
    /// The version of the form they answered
    #[arg(long, value_name = "NAME")]
    wording: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum YesNo {
    Yes,
    No,
}

impl SaidArgs {
    fn said(self) -> Said {
        Said {
            given_by: match self.given_by {
                Giver::Parent => GivenBy::Parent,
                Giver::OtherParent => GivenBy::OtherParent,
                Giver::LocalAuthority => GivenBy::LocalAuthority,
                Giver::DelegatedCarer => GivenBy::DelegatedCarer,
                Giver::Court => GivenBy::Court,
            },
            has_parental_responsibility: self.responsibility.map(|said| said == YesNo::Yes),
            method: match self.method {
                How::PaperForm => Method::PaperForm,
                How::InPerson => Method::InPerson,
                How::Telephone => Method::Telephone,
                How::Email => Method::Email,
            },
            wording: self.wording,
        }
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Giver {
    Parent,
    /// A second parent, who answers apart from the first
    OtherParent,
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
        Action::Import(args) => super::import::run(args, session).await,
        Action::Mapping(action) => super::mapping::run(action, session).await,
        Action::Give {
            reference,
            purposes,
            said,
            from,
            until,
            answered,
        } => {
            let dates = Dates {
                answered,
                from,
                until,
            };
            let done = consent::give(
                &session.storage,
                &reference,
                &one_by_one(&purposes)?,
                &said.said(),
                dates,
                session.operator()?,
                session.now(),
            )
            .await?;
            let delivery = delivery::after_change(session).await?;
            Ok(answered_reply(&done).delivered(&delivery))
        }
        Action::Refuse {
            reference,
            purposes,
            said,
            answered,
        } => {
            let done = consent::refuse(
                &session.storage,
                &reference,
                &parsed(&purposes)?,
                &said.said(),
                answered,
                &session.who(),
                session.now(),
            )
            .await?;
            let delivery = delivery::after_change(session).await?;
            Ok(answered_reply(&done).delivered(&delivery))
        }
        Action::Withdraw {
            reference,
            child,
            purposes,
            said,
            with_siblings,
        } => {
            let reference = reference.or(child).unwrap_or_default();
            let reach = if with_siblings {
                Reach::Family
            } else {
                Reach::Child
            };
            run_withdraw(
                &reference,
                &parsed(&purposes)?,
                &said.said(),
                reach,
                session,
            )
            .await
        }
        Action::Show { reference, child } => {
            show(&reference.or(child).unwrap_or_default(), session).await
        }
    }
}

/// What the answer came to, purpose by purpose.
fn answered_reply(done: &Answered) -> Reply {
    let mut text = format!("Recorded for {}.\n", done.child.reference);
    for (purpose, standing) in &done.standings {
        let _ = write!(text, "{purpose}: {}", state(standing.state));
        if let Some(until) = standing.valid_until {
            let _ = write!(text, ", until {until}");
        }
        let before = done.before.get(purpose).map(|s| s.state);
        let _ = writeln!(
            text,
            "{}",
            match (standing.state, before) {
                (ConsentState::Withdrawn, Some(ConsentState::Withdrawn)) =>
                    "; the withdrawal stands, and only a Yes answered after it restores",
                (ConsentState::Refused, Some(ConsentState::Refused)) =>
                    "; the earlier No stands, and only a Yes answered after it restores",
                (ConsentState::Conflicted, _) =>
                    "; nothing is permitted until whoever said No says Yes, or a court decides",
                _ => "",
            }
        );
    }
    let json = json!({
        "reference": done.child.reference,
        "child": done.child.id,
        "standings": done.standings,
        "before": done.before,
    });
    Reply::new(json, text)
}

/// What becomes of photos, as far as tablets told of them.
fn goes(effect: &Effect) -> String {
    let photos = effect.withheld + effect.sealed;
    if photos == 0 {
        return "No photo that tablets told of goes because of it.".to_owned();
    }
    let observed = match effect.observed_only {
        0 => String::new(),
        some => {
            format!(" ({some} of them on tablets that only observe: those stay, and are reported)")
        }
    };
    format!(
        "{photos} {} on {} {} will be out of use as soon as the tablets hear of it{observed}. If any must be kept as evidence, the DSL opens a hold now: `hold open --child REFERENCE --category safeguarding`.",
        if photos == 1 { "photo" } else { "photos" },
        effect.devices.len(),
        if effect.devices.len() == 1 {
            "tablet"
        } else {
            "tablets"
        },
    )
}

async fn run_withdraw(
    reference: &str,
    purposes: &[Purpose],
    said: &Said,
    reach: Reach,
    session: &Session,
) -> anyhow::Result<Reply> {
    let (storage, now) = (&session.storage, session.now());
    let who = session.who();
    // What is asked of photos is asked against the register from before, and after it is done: a count of every photo must
    // not keep a withdrawal waiting, nor undo it by failing.
    let before = photo::Judge::load(storage, now).await?;
    let change = consent::withdrawal_of(
        &Register::load(storage).await?,
        reference,
        purposes,
        said,
        reach,
        now,
    )?;
    let after = Register::load(storage).await?.with(&change);
    let done = consent::withdraw(storage, reference, purposes, said, reach, &who, now).await?;
    let delivery = delivery::after_change(session).await?;
    let effect = before.effect(storage, &after, now).await;
    let siblings: Vec<&str> = done.siblings.iter().map(|s| s.reference.as_str()).collect();
    let mut text = String::new();
    for (child, purposes) in &done.purposes {
        let reference = &child.reference;
        if purposes.is_empty() {
            let _ = writeln!(
                text,
                "No answer of {reference} changes: none was given, or all were withdrawn before. Only a Yes answered from now on counts."
            );
        } else {
            let names: Vec<&str> = purposes.iter().map(|p| p.as_str()).collect();
            let _ = writeln!(text, "Withdrawn for {reference}: {}.", names.join(", "));
        }
    }
    match &effect {
        Ok(effect) => {
            let _ = writeln!(text, "{}", goes(effect));
        }
        Err(error) => {
            let _ = writeln!(
                text,
                "It is recorded. How many photos go because of it could not be counted ({error}); `photo list` shows them."
            );
        }
    }
    if !siblings.is_empty() {
        let _ = writeln!(
            text,
            "Of the same family, and unchanged: {}. Ask whether it is meant for them too; if so, run it again with --with-siblings.",
            siblings.join(", ")
        );
    }
    let also: Vec<Value> = done
        .purposes
        .iter()
        .skip(1)
        .map(|(child, purposes)| json!({ "reference": child.reference, "purposes": purposes }))
        .collect();
    let json = json!({
        "reference": reference,
        "child": done.child.id,
        "purposes": done.purposes.first().map(|(_, purposes)| purposes),
        "also": also,
        "siblings": siblings,
        // `null`: it could not be counted.
        "photos": effect.ok().map(|effect| json!({
            "withheld": effect.withheld,
            "sealed": effect.sealed,
            "observed_only": effect.observed_only,
            "tablets": effect.devices.len(),
        })),
    });
    Ok(Reply::new(json, text).delivered(&delivery))
}

async fn show(reference: &str, session: &Session) -> anyhow::Result<Reply> {
    let register = Register::load(&session.storage).await?;
    let child = register.child(reference)?;
    // Views of a child's record are in the access log.
    let viewed = session.audit("consent.show", child.id.to_string(), json!({}));
    session.storage.audit_add(&viewed).await?;
    let records = register.records_of(child.id);
    let local = session.local_time().await?;
    let mut rows = vec![row!["purpose", "answer", "answered", "recorded", "until"]];
    for record in records {
        let answered = record
            .withdrawn_at
            .or(record.answered_at)
            .map_or_else(|| "–".to_owned(), |at| local.at(at));
        let until = record.valid_until.map_or("–".to_owned(), |d| d.to_string());
        rows.push(row![
            record.purpose,
            state(record.state),
            answered,
            local.at(record.recorded_at),
            until
        ]);
    }
    let mut json = super::child::entry(&register, child);
    json["records"] = json!(records);
    Ok(Reply::new(json, table(&rows)))
}

fn parsed(purposes: &[String]) -> anyhow::Result<Vec<Purpose>> {
    if purposes.iter().any(|p| p == "all") {
        return Ok(Purpose::ALL.to_vec());
    }
    one_by_one(purposes)
}

/// A Yes is to something that was asked, and never to everything.
fn one_by_one(purposes: &[String]) -> anyhow::Result<Vec<Purpose>> {
    if purposes.iter().any(|p| p == "all") {
        let known: Vec<&str> = Purpose::ALL.iter().map(|p| p.as_str()).collect();
        anyhow::bail!(
            "a Yes is given purpose by purpose: repeat --purpose for each one the parent was asked and said Yes to ({})",
            known.join(", ")
        );
    }
    purposes
        .iter()
        .map(|text| text.parse::<Purpose>().map_err(Into::into))
        .collect()
}

pub(super) const fn state(state: ConsentState) -> &'static str {
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
