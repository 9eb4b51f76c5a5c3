//! `device …`.

use super::loss;
use super::passcode::Source;
use super::photo;
use super::profile::read;
use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::command;
use crate::domain::compliance::{Compliance, Standing};
use crate::domain::fleet::{self, InventoryCache};
use crate::domain::local_time::LocalTime;
use crate::domain::passcode;
use crate::domain::profile::{read_override, set_overrides};
use crate::storage::{Changed, CommandRow, Device, Revocation};
use anyhow::{Context as _, bail};
use jiff::Timestamp;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::code::CodeReason;
use nestwarden_policy_schema::consent::{RoomName, Stage};
use nestwarden_policy_schema::id::CommandId;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Every tablet and how it stands
    List,
    /// One tablet, control by control
    Show { device: String },
    /// Shut a tablet out: it gets no bundle and may report no more
    Revoke {
        device: String,
        /// Why; no names of children
        #[arg(long)]
        reason: String,
    },
    /// Ask for a tablet back: at its next contact every control is given back, and it is shut out
    Unenrol {
        device: String,
        /// Why; no names of children
        #[arg(long)]
        reason: String,
    },
    /// Have the passcode changed at the next sign-in: somebody left who knows it, or it may be known to others
    NewPasscode {
        device: String,
        /// Why; no names
        #[arg(long)]
        reason: String,
    },
    /// Set the passcode of a tablet's staff, where its profile has the manager set it. It is read from the standard input,
    /// one line, or suggested and printed once; tell it in person, never on paper or by e-mail
    SetPasscode {
        device: String,
        /// due or leaver: taken over outside contact hours. loss or suspicion: at once
        #[arg(long)]
        reason: CodeReason,
        /// Have one suggested
        #[arg(long)]
        suggest: bool,
    },
    /// Have every control measured now
    Refresh { device: String },
    /// Lock the sessions of a tablet now, within the hour
    Lock { device: String },
    /// Show a message on a tablet until somebody there says that they read it
    Message {
        device: String,
        /// One line, 500 characters at most; no names of children
        text: String,
    },
    /// Mark a tablet as lost: locked, camera off, photos out of sight, a new passcode due, until `device found`
    Lost {
        device: String,
        /// Why; no names of children
        #[arg(long)]
        reason: String,
    },
    /// Take back what a tablet was asked for and has not answered
    Cancel {
        device: String,
        /// As `device show` prints it
        command: CommandId,
    },
    /// Say in which rooms a tablet is used
    SetRooms {
        device: String,
        /// None: the whole setting
        rooms: Vec<RoomName>,
    },
    /// Say that a lost tablet was found (`--reason`); or decide on the photos that were on a tablet before it was enrolled
    /// (manager, DSL or deputy)
    Found {
        device: String,
        /// What becomes of photos that were there before the tablet was enrolled
        #[arg(
            value_enum,
            required_unless_present = "reason",
            conflicts_with = "reason"
        )]
        decision: Option<photo::Found>,
        /// How the lost tablet was found; no names of children
        #[arg(long)]
        reason: Option<String>,
    },
    /// Hold one tablet tighter than its profile
    Override {
        device: String,
        /// TOML with tables such as `[camera]`; together they replace the overrides there are
        #[arg(required_unless_present = "clear", conflicts_with = "clear")]
        files: Vec<PathBuf>,
        /// Remove every override
        #[arg(long)]
        clear: bool,
    },
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    match action {
        Action::List => list(session).await,
        Action::Show { device } => show(&device, session).await,
        Action::Found {
            device,
            decision: Some(decision),
            ..
        } => photo::found(&device, decision, session).await,
        Action::Found { device, reason, .. } => {
            loss::found(&device, &reason.unwrap_or_default(), session).await
        }
        Action::Lost { device, reason } => loss::lost(&device, &reason, session).await,
        Action::Lock { device } => loss::lock(&device, session).await,
        Action::Message { device, text } => loss::message(&device, &text, session).await,
        Action::Revoke { device, reason } => {
            let device = session.device(&device).await?;
            if command::is_frozen(&session.storage, &device).await? {
                return Err(command::CommandError::Frozen(device.name).into());
            }
            let revocation = Revocation {
                at: session.now(),
                reason,
            };
            let detail = json!({ "reason": revocation.reason });
            let audit = session.audit("device.revoke", device.id.to_string(), detail);
            let done = session
                .storage
                .device_revoke(device.id, &revocation, &audit);
            changed(done.await?, &device, "revoked", session)
        }
        Action::Unenrol { device, reason } => unenrol(&device, &reason, session).await,
        Action::Refresh { device } => refresh(&device, session).await,
        Action::Cancel { device, command } => cancel(&device, command, session).await,
        Action::NewPasscode { device, reason } => new_passcode(&device, &reason, session).await,
        Action::SetPasscode {
            device,
            reason,
            suggest,
        } => {
            let source = if suggest {
                Source::Suggested
            } else {
                Source::Input
            };
            super::passcode::set(&device, reason, source, session).await
        }
        Action::SetRooms { device, rooms } => {
            let device = session.device(&device).await?;
            let rooms: BTreeSet<RoomName> = rooms.into_iter().collect();
            let audit = session.audit(
                "device.set_rooms",
                device.id.to_string(),
                json!({ "rooms": rooms }),
            );
            let done = session.storage.device_set_rooms(device.id, &rooms, &audit);
            changed(done.await?, &device, "moved", session)
        }
        Action::Override { device, files, .. } => {
            let device = session.device(&device).await?;
            let mut overrides = Vec::new();
            for file in &files {
                overrides.push(read_override(&read(file)?)?);
            }
            let done = set_overrides(
                &session.storage,
                device.id,
                &overrides,
                &session.who(),
                session.now(),
            )
            .await?;
            changed(done, &device, "overridden", session)
        }
    }
}

async fn unenrol(named: &str, reason: &str, session: &Session) -> anyhow::Result<Reply> {
    let device = session.device(named).await?;
    let audit = session.audit(
        "device.unenrol",
        device.id.to_string(),
        json!({ "reason": reason }),
    );
    let limit = session.settings()?.commands.limit();
    let asked = command::unenrol(&session.storage, &device, limit, &audit, session.now());
    let command = asked.await?;
    session.nudge();
    let inventory = session.storage.inventory_find(device.id).await?;
    let photos = inventory.map(|stored| stored.inventory.photos);
    let count = |stage| photos.as_ref().and_then(|all| all.get(&stage)).copied();
    let behind = match (count(Stage::Withheld), count(Stage::Sealed)) {
        (None, None) if photos.is_none() => {
            "How many photos are withheld or sealed on it is not known.".to_owned()
        }
        (withheld, sealed) => format!(
            "{} photos are withheld on it and {} sealed; they stay so, and nobody can open them there. Decide about them first if they are wanted.",
            withheld.unwrap_or(0),
            sealed.unwrap_or(0)
        ),
    };
    let text = format!(
        "\"{}\" hands itself back at its next contact, until {}. {behind}",
        device.name,
        session.local_time().await?.at(command.expires_at)
    );
    Ok(Reply::new(
        json!({ "device": device.id, "command": command }),
        text,
    ))
}

async fn new_passcode(named: &str, reason: &str, session: &Session) -> anyhow::Result<Reply> {
    let device = session.device(named).await?;
    let audit = session.audit(
        "device.new_passcode",
        device.id.to_string(),
        json!({ "reason": reason }),
    );
    let limit = session.settings()?.commands.limit();
    let asked = command::new_passcode(&session.storage, &device, limit, &audit, session.now());
    let command = asked.await?;
    session.nudge();
    let profile = passcode::profile_of(&session.storage, &device).await?;
    let is_managers = profile.is_some_and(|known| passcode::is_managers(&known, &device).is_some());
    let text = if is_managers {
        format!(
            "\"{}\" reads overdue from its next contact on, until somebody set a new passcode with `device set-passcode` or in the console.",
            device.name
        )
    } else {
        format!(
            "\"{}\" asks for a new passcode at the next sign-in after its next contact. Until somebody chose one it reads overdue.",
            device.name
        )
    };
    Ok(Reply::new(
        json!({ "device": device.id, "command": command }),
        text,
    ))
}

/// What was asked, by whom, and how far it got.
fn progress(
    row: &CommandRow,
    local: &LocalTime,
    calendar: Option<&Calendar>,
    now: Timestamp,
) -> String {
    let command = &row.command.command;
    let how_far = if passcode::is_passcode(row) {
        passcode::progress(row, local, calendar, now)
    } else {
        command::progress(row, local, now)
    };
    format!(
        "{}: asked {} by {} at {}: {}",
        command.id,
        command::asked(&command.kind),
        row.ordered_by,
        local.at(command.issued_at),
        how_far
    )
}

async fn cancel(named: &str, id: CommandId, session: &Session) -> anyhow::Result<Reply> {
    let device = session.device(named).await?;
    let audit = session.audit(
        "device.cancel",
        device.id.to_string(),
        json!({ "command": id }),
    );
    command::cancel(&session.storage, &device, id, &audit).await?;
    session.nudge();
    let text = format!(
        "Taken back. If \"{}\" had it already, `device show` says what came of it.",
        device.name
    );
    Ok(Reply::new(
        json!({ "device": device.id, "command": id }),
        text,
    ))
}

async fn refresh(named: &str, session: &Session) -> anyhow::Result<Reply> {
    let device = session.device(named).await?;
    let audit = session.audit("device.refresh", device.id.to_string(), json!({}));
    let command = command::refresh(&session.storage, &device, &audit, session.now()).await?;
    session.nudge();
    let text = format!(
        "\"{}\" measures everything at its next contact; `device show` says what it found.",
        device.name
    );
    Ok(Reply::new(
        json!({ "device": device.id, "command": command }),
        text,
    ))
}

fn changed(
    changed: Changed,
    device: &Device,
    what: &str,
    session: &Session,
) -> anyhow::Result<Reply> {
    session.nudge();
    let text = match changed {
        Changed::Yes => format!("\"{}\" is {what}.", device.name),
        Changed::Already => format!("\"{}\" was so already.", device.name),
        Changed::Missing => bail!("the tablet {} is gone", device.id),
    };
    let json = json!({ "device": device.id, "changed": changed == Changed::Yes });
    Ok(Reply::new(json, text))
}

async fn list(session: &Session) -> anyhow::Result<Reply> {
    let mut rows = vec![row!["name", "id", "profile", "standing", "last heard"]];
    let mut json = Vec::new();
    let local = session.local_time().await?;
    let now = session.now();
    for tablet in fleet::all(&session.storage, &InventoryCache::default(), now).await? {
        let (device, compliance) = (tablet.device(), tablet.compliance(now));
        rows.push(row![
            device.name,
            device.id,
            device.profile,
            standing(compliance.standing),
            local.at_or(device.last_seen_at, "never")
        ]);
        json.push(view(device, &compliance, &local));
    }
    Ok(Reply::new(json!({ "devices": json }), table(&rows)))
}

async fn show(named: &str, session: &Session) -> anyhow::Result<Reply> {
    let device = session.device(named).await?;
    let tablet = fleet::one(&session.storage, device.id, session.now()).await?;
    let tablet = tablet.with_context(|| format!("the tablet {} is gone", device.id))?;
    let compliance = tablet.compliance(session.now());
    let newest = session.storage.bundle_newest(device.id).await?;
    let position = session.storage.event_position(device.id).await?;
    let inventory = session.storage.inventory_find(device.id).await?;
    let local = session.local_time().await?;
    let findings = compliance.findings(&local);
    let said = findings.iter().fold(String::new(), |mut said, finding| {
        let _ = writeln!(said, "! {finding}");
        said
    });
    let mut rows = vec![row!["control", "standing", "outcome", "measured at"]];
    for control in &compliance.controls {
        let (outcome, at) = control.report.as_ref().map_or_else(
            || ("never measured".to_owned(), "–".to_owned()),
            |r| (r.outcome.name().to_owned(), local.at(r.measured_at)),
        );
        let shown = if control.mode.is_some() {
            standing(control.standing)
        } else {
            "not in the policy"
        };
        rows.push(row![control.control, shown, outcome, at]);
    }
    let issued = newest.as_ref().map(|n| n.generation);
    let mut text = format!(
        "{} ({}): {}\nlast heard {}; bundle {} applied, {} issued; {} events received\n{}\n{}",
        device.name,
        device.id,
        standing(compliance.standing),
        local.at_or(device.last_seen_at, "never"),
        compliance.generation_applied,
        issued.map_or("none".to_owned(), |g| g.to_string()),
        position.seq,
        said,
        table(&rows)
    );
    let commands = session.storage.command_list(device.id).await?;
    let profile = passcode::profile_of(&session.storage, &device).await?;
    let calendar = profile.map(|profile| profile.calendar);
    for row in &commands {
        text.push('\n');
        text.push_str(&progress(row, &local, calendar.as_ref(), session.now()));
    }
    let mut json = view(&device, &compliance, &local);
    json["commands"] = json!(commands);
    json["generation_issued"] = json!(issued);
    json["events"] = json!(position.seq);
    json["overrides"] = json!(device.overrides);
    json["inventory"] = json!(inventory.map(|i| i.inventory));
    Ok(Reply::new(json, text))
}

fn view(device: &Device, compliance: &Compliance, local: &LocalTime) -> Value {
    json!({
        "id": device.id,
        "name": device.name,
        "profile": device.profile,
        "rooms": device.rooms,
        "platform": device.platform,
        "agent_version": device.agent_version,
        "time_zone_data": device.time_zone_data,
        "enrolled_at": device.enrolled_at,
        "last_seen_at": device.last_seen_at,
        "revoked": device.revoked,
        "compliance": compliance,
        "findings": compliance.findings(local),
    })
}

pub(super) const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Fine => "as the policy wants it",
        Standing::Observing => "observed only",
        Standing::NotChecked => "not checked",
        Standing::Attention => "needs attention",
        Standing::Revoked => "revoked",
    }
}
