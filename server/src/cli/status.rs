//! `status`: the setting at a glance.

use super::device::standing;
use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::compliance;
use crate::domain::register::Register;
use serde_json::json;
use std::collections::BTreeMap;

pub(super) async fn run(session: &Session) -> anyhow::Result<Reply> {
    let settings = session.settings()?;
    let now = session.now();
    let mut by_standing: BTreeMap<&'static str, usize> = BTreeMap::new();
    let devices = session.storage.device_list().await?;
    for device in &devices {
        let compliance = compliance::of_device(&session.storage, device, now).await?;
        *by_standing
            .entry(standing(compliance.standing))
            .or_default() += 1;
    }
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
    let mut rows = vec![
        row!["setting", settings.name],
        row!["tablets", devices.len()],
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
    let json = json!({
        "setting": settings.setting,
        "name": settings.name,
        "devices": devices.len(),
        "by_standing": by_standing,
        "children": register.children.len(),
        "children_missing": missing,
        "holds_open": open.len(),
        "holds_overdue": overdue,
        "profiles": profiles,
    });
    Ok(Reply::new(json, table(&rows)))
}
