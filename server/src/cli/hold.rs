//! `hold …`.

use super::delivery;
use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::hold::{self, HoldError, Release, coverage, of_incident};
use crate::storage::HoldRow;
use anyhow::Context as _;
use jiff::Timestamp;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::id::{HoldId, PhotoId, StaffId};
use serde_json::json;
use std::collections::BTreeSet;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Let nothing it covers be destroyed; illegal content freezes it as it is
    Open(OpenArgs),
    /// Every hold
    List {
        /// Released ones too
        #[arg(long)]
        all: bool,
    },
    /// Say that a hold was looked at and stays (DSL or deputy)
    Review {
        hold: HoldId,
        /// Days until it is looked at again, at most 28
        #[arg(long, default_value = "28")]
        review_days: i64,
    },
    /// Ask for a release; when a second person asks too, it is released
    Release { hold: HoldId },
}

#[derive(clap::Args)]
#[group(skip)]
#[command(group(clap::ArgGroup::new("scope").required(true).args(["child", "photo", "device", "staff", "from"])))]
pub(super) struct OpenArgs {
    #[arg(long, value_enum)]
    category: Category,
    /// A child's reference
    #[arg(long, value_name = "REFERENCE")]
    child: Option<String>,
    #[arg(long)]
    photo: Option<PhotoId>,
    /// A tablet's name or id
    #[arg(long)]
    device: Option<String>,
    #[arg(long)]
    staff: Option<StaffId>,
    /// Everything captured from here on, such as 2026-03-10T08:00:00Z
    #[arg(long, requires = "to")]
    from: Option<Timestamp>,
    /// … until before here
    #[arg(long, requires = "from")]
    to: Option<Timestamp>,
    /// Days until it is looked at again, at most 28
    #[arg(long, default_value = "28")]
    review_days: i64,
}

#[derive(Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Category {
    Safeguarding,
    Complaint,
    SubjectAccess,
    Police,
    IllegalContent,
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    match action {
        Action::Open(args) => open(args, session).await,
        Action::List { all } => {
            let mut holds = session.storage.hold_list().await?;
            let hidden = hidden(session).await?;
            holds.retain(|row| all || row.released.is_none());
            holds.retain(|row| !hidden.contains(&row.hold.id));
            let local = session.local_time().await?;
            let mut rows = vec![row![
                "id",
                "category",
                "on",
                "opened by",
                "review by",
                "state"
            ]];
            for row in &holds {
                rows.push(row![
                    row.hold.id,
                    json!(row.hold.category).as_str().unwrap_or_default(),
                    json!(row.hold.scope),
                    row.opened_by,
                    local.at(row.hold.review_by),
                    state(row)
                ]);
            }
            Ok(Reply::new(json!({ "holds": holds }), table(&rows)))
        }
        Action::Review { hold, review_days } => {
            let by = session.operator()?;
            known(hold, session).await?;
            let storage = &session.storage;
            let review_by = hold::review(storage, hold, review_days, by, session.now()).await?;
            session.nudge();
            let text = format!(
                "It stays. Look at it again by {}.",
                session.local_time().await?.at(review_by)
            );
            Ok(Reply::new(
                json!({ "hold": hold, "review_by": review_by }),
                text,
            ))
        }
        Action::Release { hold } => {
            let by = session.operator()?;
            known(hold, session).await?;
            let done = hold::release(&session.storage, hold, by, session.now()).await?;
            session.nudge();
            let (released, text) = match done {
                Release::Requested => (
                    false,
                    "Noted. It is released when a second person runs the same command.",
                ),
                Release::Released => (true, "Released. Everything it covered is judged again."),
            };
            Ok(Reply::new(
                json!({ "hold": hold, "released": released }),
                text,
            ))
        }
    }
}

/// Holds of incidents that whoever acts is left out of.
async fn hidden(session: &Session) -> anyhow::Result<BTreeSet<HoldId>> {
    let Ok(person) = session.operator() else {
        return Ok(BTreeSet::new());
    };
    let keys = session.register_keys()?;
    let registers = keys.registers(&session.storage);
    Ok(of_incident::hidden_from(&registers, person).await?)
}

async fn known(hold: HoldId, session: &Session) -> anyhow::Result<()> {
    if hidden(session).await?.contains(&hold) {
        return Err(HoldError::Missing(hold).into());
    }
    Ok(())
}

async fn open(args: OpenArgs, session: &Session) -> anyhow::Result<Reply> {
    let by = session.operator()?;
    let scope = if let Some(reference) = &args.child {
        let child = session
            .storage
            .child_by_reference(reference)
            .await?
            .with_context(|| {
                format!("there is no child with reference \"{reference}\"; `child list` shows those there are")
            })?;
        HoldScope::Child { child: child.id }
    } else if let Some(named) = &args.device {
        HoldScope::Device {
            device: session.device(named).await?.id,
        }
    } else if let Some(photo) = args.photo {
        HoldScope::Photo { photo }
    } else if let Some(staff) = args.staff {
        HoldScope::Staff { staff }
    } else {
        let (from, to) = args.from.zip(args.to).context("say what it holds")?;
        HoldScope::Window { from, to }
    };
    let category = match args.category {
        Category::Safeguarding => HoldCategory::Safeguarding,
        Category::Complaint => HoldCategory::Complaint,
        Category::SubjectAccess => HoldCategory::SubjectAccess,
        Category::Police => HoldCategory::Police,
        Category::IllegalContent => HoldCategory::IllegalContent,
    };
    let opened = hold::open(
        &session.storage,
        scope,
        category,
        args.review_days,
        by,
        session.now(),
    )
    .await?;
    let delivery = delivery::after_change(session).await?;
    // It is open, whatever comes of the count.
    let covers = coverage::of(&session.storage, &opened, session.now()).await;
    let says = match &covers {
        Ok(covers) => covers.says(&opened),
        Err(error) => format!("How many photos it covers could not be counted ({error})."),
    };
    let text = format!(
        "Hold {} is open; review it by {}. {says} A tablet that does not have it yet goes on as before.",
        opened.id,
        session.local_time().await?.at(opened.review_by)
    );
    let mut answer = json!(opened);
    // `null`: they could not be counted.
    answer["covers"] = json!(covers.ok());
    Ok(Reply::new(answer, text).delivered(&delivery))
}

fn state(row: &HoldRow) -> String {
    match (&row.released, &row.release_requested) {
        (Some(act), _) => format!("released by {}", act.by),
        (None, Some(act)) => format!("{} asked for its release", act.by),
        (None, None) => "open".to_owned(),
    }
}
