//! Enrolment: a single-use token for a certificate and the anchors, over TLS pinned by the link.

use super::{DeviceKey, IdentityError, IdentityStore, NewIdentity, TlsError, tls_config};
use crate::ledger::Enrolment;
use crate::sync::server::{Server, ServerError};
use nestwarden_policy_schema::bytes::Base64;
use nestwarden_policy_schema::device_api::{ENROL_PATH, EnrolAnswer, EnrolRequest};
use nestwarden_policy_schema::enrol_link::EnrolLink;

#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error(
        "this tablet is already enrolled as \"{0}\"; a tablet that is to be enrolled anew has to be set up afresh first"
    )]
    AlreadyEnrolled(String),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(
        "the server's list of its own keys does not name the key it answered with; ask who looks after the server to run its `doctor`"
    )]
    PinNotNamed,
    #[error("the server gave anchors of another setting than the one it enrolled this tablet to")]
    OtherSetting,
    #[error("a task of the enrolment ended early")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Enrols this tablet. Durable when it returns.
pub async fn enrol(store: &IdentityStore, link: &EnrolLink) -> Result<Enrolment, EnrolError> {
    if let Some(identity) = store.load()? {
        return Err(EnrolError::AlreadyEnrolled(identity.enrolment.device_name));
    }
    let key = DeviceKey::generate()?;
    let server = Server::new(&link.server, tls_config(vec![link.pin], None)?)?;
    let request = EnrolRequest {
        token: link.token.clone(),
        csr: Base64(key.request()?),
        agent_version: crate::VERSION.to_owned(),
        platform: platform(),
        time_zone_data: crate::time_zone_data(),
    };
    let answer: EnrolAnswer = server.post(ENROL_PATH, &request).await?;
    if !answer.anchors.server_pins.contains(&link.pin) {
        return Err(EnrolError::PinNotNamed);
    }
    if answer.anchors.setting != answer.setting {
        return Err(EnrolError::OtherSetting);
    }
    let enrolment = Enrolment {
        device: answer.device,
        setting: answer.setting,
        device_name: answer.device_name,
        server: link.server.clone(),
        anchors: answer.anchors,
        enrolled_at: answer.time,
    };
    store.install(&NewIdentity {
        key: &key,
        certificate: &answer.certificate.0,
        ca_certificate: &answer.ca_certificate.0,
        enrolment: &enrolment,
    })?;
    Ok(enrolment)
}

/// As in `linux/debian 12`.
pub(crate) fn platform() -> String {
    format!(
        "{}/{} {}",
        std::env::consts::OS,
        sysinfo::System::distribution_id(),
        sysinfo::System::os_version().unwrap_or_else(|_| "unknown".to_owned()),
    )
}
