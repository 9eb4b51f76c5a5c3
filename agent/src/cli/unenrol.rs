//! `unenrol` and `release`: handing the tablet back on the server's word, and giving its controls back when the package
//! is removed without it. Neither brings a photo back into use.

use super::Ended;
use super::print::Output;
use crate::clock::TrustedClock;
use crate::door::Doors;
use crate::identity::IdentityStore;
use crate::ledger::Ledger;
use crate::paths::Paths;
use crate::photos::mark;
use crate::photos::tree::Tree;
use crate::photos::vault;
use crate::reconcile::handback;
use crate::wiring;
use anyhow::{Context as _, bail};
use nestwarden_policy_schema::calendar::shown;
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::event::EventBody;
use serde_json::json;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

/// Vaults with photos in them, one path a line: what removing the package's state must leave alone.
const LEFT_BEHIND: &str = "left-behind";

pub(super) fn unenrol(paths: &Paths, output: Output) -> anyhow::Result<Ended> {
    if !paths.ledger_path().exists() {
        output.answer(&json!({ "enrolled": false }), || {
            "This tablet is not enrolled; there is nothing to hand back.".to_owned()
        });
        return Ok(Ended::Done);
    }
    let ledger = Ledger::open(paths)?;
    let name = ledger.enrolment()?.map(|enrolment| enrolment.device_name);
    let name = ledger
        .bundle()
        .map(|bundle| bundle.bundle().device_name.clone())
        .or(name)
        .unwrap_or_default();
    let Some(asked) = handback::asked(&ledger)? else {
        bail!(
            "this tablet is handed back on its setting's word only: run `nestwarden-server device unenrol \"{name}\"` on the server, and the tablet does the rest at its next contact"
        );
    };
    let left = left_text(&ledger)?;
    let time_zone = ledger
        .bundle()
        .map(|bundle| bundle.bundle().calendar.time_zone.clone());
    let json = json!({ "enrolled": true, "asked_at": asked.asked_at, "done_at": asked.done.map(|d| d.at) });
    let Some(done) = asked.done else {
        output.answer(&json, || {
            format!(
                "The server asked at {} for this tablet back. Not every control is given back yet; `nestwarden-agent status` says which.",
                shown(asked.asked_at, time_zone.as_deref())
            )
        });
        return Ok(Ended::Failed);
    };
    let server_knows = !IdentityStore::new(paths).exists();
    output.answer(&json, || {
        let told = if server_knows {
            "and the server knows"
        } else {
            "and the server is yet to hear of it"
        };
        format!("This tablet was handed back at {}, {told}.{left}", done.at)
    });
    Ok(Ended::Done)
}

/// As root and without a running agent: no agent is left that would hold anything again.
pub(super) async fn release(paths: &Paths, doors: &Doors, output: Output) -> anyhow::Result<Ended> {
    let previous = paths.state_dir().join("previous.json");
    if !paths.ledger_path().exists() && !previous.exists() {
        output.answer(&json!({ "released": [] }), || {
            "Nothing was ever held on this tablet.".to_owned()
        });
        return Ok(Ended::Done);
    }
    let _only = wiring::only_agent(paths)?;
    let ledger = Ledger::open(paths)?;
    let (released, failed) = wiring::release(&ledger, paths).await?;
    if !failed.is_empty() {
        bail!(
            "{}; put it right, and remove the package again",
            failed.join("; ")
        );
    }
    note_vaults(paths, &ledger)?;
    if handback::asked(&ledger)?.is_none() && ledger.enrolment()?.is_some() {
        let clock = TrustedClock::open(ledger.clone(), Arc::clone(&doors.clock))?;
        let body = EventBody::Alarm {
            what: "the agent was removed from this tablet without its setting's word".to_owned(),
        };
        ledger.record(clock.now().at, &body)?;
    }
    let left = left_text(&ledger)?;
    output.answer(&json!({ "released": released }), || {
        format!("Every control was given back.{left}")
    });
    Ok(Ended::Done)
}

fn note_vaults(paths: &Paths, ledger: &Ledger) -> anyhow::Result<()> {
    let vaults = ledger.read(mark::on_record)?;
    let tree = Tree::open(paths.root_dir())?;
    let mut lines = Vec::new();
    for (vault, mark) in vaults {
        // What should lie in it may lie elsewhere, and what cannot be looked into may hold photos.
        let is_empty = ledger.read(|sql| mark::holds_nothing(sql, &vault))?
            && vault::remove_empty(&tree, &vault, mark).unwrap_or(false);
        if !is_empty {
            lines.extend(tree.absolute(&vault).as_os_str().as_bytes());
            lines.push(b'\n');
        }
    }
    let path = paths.state_dir().join(LEFT_BEHIND);
    std::fs::write(&path, lines).with_context(|| format!("failed to write `{}`", path.display()))
}

/// Empty when no photo stays behind.
fn left_text(ledger: &Ledger) -> anyhow::Result<String> {
    let counts = handback::photos_left(ledger)?;
    let count = |stage| counts.get(&stage).copied().unwrap_or(0);
    let (withheld, sealed) = (count(Stage::Withheld), count(Stage::Sealed));
    Ok(if withheld + sealed == 0 {
        String::new()
    } else {
        format!(
            " {withheld} photos stay withheld and {sealed} sealed, where only root can go; a manager decides what becomes of them."
        )
    })
}
