//! `status`: the setting at a glance.

use super::delivery;
use super::device::standing;
use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::fleet::{self, InventoryCache};
use crate::domain::register::Register;
use crate::signing::keys::public_keys;
use anyhow::Context as _;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(super) async fn run(session: &Session) -> anyhow::Result<Reply> {
    let settings = session.settings()?;
    let now = session.now();
    let mut by_standing: BTreeMap<&'static str, usize> = BTreeMap::new();
    let tablets = fleet::all(&session.storage, &InventoryCache::default(), now).await?;
    let mut findings = Vec::new();
    let (mut put_back, mut conflicts, mut behind) = (Vec::new(), Vec::new(), Vec::new());
    let local = session.local_time().await?;
    for tablet in &tablets {
        let (device, compliance) = (tablet.device(), tablet.compliance(now));
        if device.revoked.is_none() {
            let found = compliance.findings(&local);
            findings.extend(found.iter().map(|f| format!("{}: {f}", device.name)));
            put_back.extend(
                compliance
                    .put_back
                    .map(|row| json!({ "device": device.name, "had": row })),
            );
            conflicts.extend(
                compliance
                    .record_conflict
                    .as_ref()
                    .map(|c| json!({ "device": device.name, "conflict": c })),
            );
            behind.extend(compliance.bundle_behind.then(|| device.name.clone()));
        }
        *by_standing
            .entry(standing(compliance.standing))
            .or_default() += 1;
    }
    let delivery = delivery::of_now(session).await?;
    findings.extend(delivery::why_not_issued(session, &delivery).await);
    let register = Register::load(&session.storage).await?;
    let missing = register
        .children
        .iter()
        .filter(|c| c.entry.missing_since.is_some())
        .count();
    let holds = session.storage.hold_list().await?;
    let open: Vec<_> = holds.iter().filter(|h| h.released.is_none()).collect();
    let overdue = open.iter().filter(|h| h.hold.review_by < now).count();
    let profiles: Vec<String> = session
        .storage
        .profile_list()
        .await?
        .into_iter()
        .map(|p| p.name)
        .collect();
    // What people compare archives with that were opened elsewhere.
    let public = public_keys(&session.data.keys_dir()).context("failed to read the keys")?;
    let signing_key = public.signing.key_id();
    let mut rows = vec![
        row!["setting", settings.name],
        row!["tablets", tablets.len()],
    ];
    rows.extend(
        by_standing
            .iter()
            .map(|(name, count)| row![format!("  {name}"), count]),
    );
    rows.push(row!["children", register.children.len()]);
    rows.push(row!["  missing from the last file", missing]);
    rows.push(row!["open holds", open.len()]);
    rows.push(row!["  overdue for review", overdue]);
    rows.push(row!["profiles", profiles.join(", ")]);
    rows.push(row!["signing key", signing_key]);
    let json = json!({
        "setting": settings.setting,
        "name": settings.name,
        "devices": tablets.len(),
        "by_standing": by_standing,
        "put_back": put_back,
        "record_conflicts": conflicts,
        "bundle_behind": behind,
        "bundles": delivery,
        "findings": findings,
        "children": register.children.len(),
        "children_missing": missing,
        "holds_open": open.len(),
        "holds_overdue": overdue,
        "profiles": profiles,
        "signing_key": signing_key,
    });
    let mut text = table(&rows);
    for finding in &findings {
        let _ = writeln!(text, "! {finding}");
    }
    Ok(Reply::new(json, text))
}
