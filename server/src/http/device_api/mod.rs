//! The device API, version 1: one file per noun. Bodies and codes are those of the shared schema.

pub(super) mod bundle;
pub(super) mod enrol;
pub(super) mod events;
pub(super) mod export;
pub(super) mod inventory;
pub(super) mod names;
pub(super) mod passcode;
pub(super) mod renew;
pub(super) mod unseal;

use super::auth;
use super::error::ApiError;
use crate::domain::enrolment::EnrolmentError;
use crate::signing::ca::CaError;
use axum::http::StatusCode;
use nestwarden_policy_schema::device_api::code;

/// By table: what each refusal of enrolment or renewal is on the wire.
fn enrolment_error(error: EnrolmentError) -> ApiError {
    let (status, code) = match &error {
        EnrolmentError::TokenUnknown => (StatusCode::FORBIDDEN, code::TOKEN_UNKNOWN),
        EnrolmentError::TokenUsed => (StatusCode::FORBIDDEN, code::TOKEN_USED),
        EnrolmentError::TokenExpired => (StatusCode::FORBIDDEN, code::TOKEN_EXPIRED),
        EnrolmentError::Text { .. } => (StatusCode::BAD_REQUEST, code::BODY_INVALID),
        EnrolmentError::Nonce => (StatusCode::FORBIDDEN, code::NONCE_INVALID),
        EnrolmentError::Signature => (StatusCode::FORBIDDEN, code::SIGNATURE_INVALID),
        EnrolmentError::TooManyNonces => (StatusCode::TOO_MANY_REQUESTS, code::TOO_MANY_REQUESTS),
        EnrolmentError::Ca(CaError::Csr(_)) => (StatusCode::BAD_REQUEST, code::CSR_INVALID),
        EnrolmentError::DeviceUnknown => return auth::device_unknown(),
        EnrolmentError::DeviceRevoked => return auth::device_revoked(),
        EnrolmentError::Random
        | EnrolmentError::Ca(CaError::Keys(_) | CaError::Unusable { .. } | CaError::Issue(_))
        | EnrolmentError::Storage(_) => return ApiError::internal(error),
    };
    ApiError::new(status, code, error.to_string())
}

/// Whether a refusal looks like guessing, and counts against the address it came from.
fn is_guess(error: &EnrolmentError) -> bool {
    match error {
        EnrolmentError::TokenUnknown
        | EnrolmentError::TokenUsed
        | EnrolmentError::TokenExpired
        | EnrolmentError::Nonce
        | EnrolmentError::Signature
        | EnrolmentError::DeviceUnknown
        | EnrolmentError::DeviceRevoked => true,
        EnrolmentError::Text { .. }
        | EnrolmentError::TooManyNonces
        | EnrolmentError::Random
        | EnrolmentError::Ca(_)
        | EnrolmentError::Storage(_) => false,
    }
}
