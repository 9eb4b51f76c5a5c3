//! What photos need of the server. They never know the network, and the network never knows them.

use crate::photos::sending::Sender;
use crate::photos::{UnsealRefusal, Unsealer};
use crate::sync::{Ciphertext, Connection, SyncError};
use nestwarden_policy_schema::device_api::code;
use std::sync::Arc;

/// Asks for the key of one sealed file.
pub(super) fn unsealer(connection: &Arc<Connection>) -> Unsealer {
    let connection = Arc::clone(connection);
    Arc::new(move |request| {
        let connection = Arc::clone(&connection);
        Box::pin(async move {
            let answer = crate::sync::unseal(connection, request).await;
            answer.map(|answer| answer.file_key).map_err(|error| {
                let SyncError::Server(refusal) = &error else {
                    return UnsealRefusal::NotNow(crate::whole_text(&error));
                };
                if refusal.is_code(code::UNSEAL_NOT_AUTHORISED) {
                    UnsealRefusal::NotAuthorised
                } else if refusal.is_code(code::BODY_INVALID) {
                    UnsealRefusal::Impossible(crate::whole_text(&error))
                } else {
                    UnsealRefusal::NotNow(crate::whole_text(&error))
                }
            })
        })
    })
}

/// Sends the ciphertext of one reviewed photo.
pub(super) fn sender(connection: &Arc<Connection>) -> Sender {
    let connection = Arc::clone(connection);
    Arc::new(move |upload| {
        let connection = Arc::clone(&connection);
        Box::pin(async move {
            let photo = Ciphertext {
                request: upload.request,
                photo: upload.photo,
                sha256: upload.sha256,
                bytes: upload.bytes,
                file: upload.file,
            };
            let sent = crate::sync::export(connection, photo).await;
            sent.map_err(|error| crate::whole_text(&error))
        })
    })
}
