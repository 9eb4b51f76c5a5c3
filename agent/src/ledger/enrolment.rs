//! Who this tablet is: taken over from the identity once, and compared with it ever after.

use super::{Ledger, LedgerError, meta};
use jiff::Timestamp;
use nestwarden_policy_schema::id::{DeviceId, SettingId};
use nestwarden_policy_schema::trust::Anchors;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

const KEY: &str = "enrolment";

/// What enrolling brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    pub device: DeviceId,
    pub setting: SettingId,
    pub device_name: String,
    /// Host and port.
    pub server: String,
    /// As given by the server then; they may have been replaced since.
    pub anchors: Anchors,
    /// Server time, authenticated by the pin.
    pub enrolled_at: Timestamp,
}

impl Ledger {
    /// Takes over an enrolment. Whether it is new to this ledger; the same one again changes nothing.
    pub fn adopt(&self, enrolment: &Enrolment) -> Result<bool, LedgerError> {
        self.transaction(|tx| {
            if let Some(known) = read(tx.sql())? {
                return if known.device == enrolment.device {
                    Ok(false)
                } else {
                    Err(LedgerError::OtherDevice {
                        ledger: known.device,
                        identity: enrolment.device,
                    })
                };
            }
            let text = serde_json::to_string(enrolment).map_err(LedgerError::Unwritable)?;
            tx.set_meta(KEY, &text)?;
            super::bundles::insert_anchors(tx.sql(), &enrolment.anchors, None)?;
            Ok(true)
        })
    }

    /// `None` before enrolment.
    pub fn enrolment(&self) -> Result<Option<Enrolment>, LedgerError> {
        self.read(read)
    }
}

pub(super) fn read(sql: &Connection) -> Result<Option<Enrolment>, LedgerError> {
    meta(sql, KEY)?
        .map(|text| {
            serde_json::from_str(&text).map_err(|e| LedgerError::Damaged {
                what: "enrolment".to_owned(),
                problem: e.to_string(),
            })
        })
        .transpose()
}

pub(super) fn device(sql: &Connection) -> Result<DeviceId, LedgerError> {
    read(sql)?
        .map(|enrolment| enrolment.device)
        .ok_or(LedgerError::NotEnrolled)
}
