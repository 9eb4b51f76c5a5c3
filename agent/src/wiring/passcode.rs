//! What setting a passcode needs of the server. Whoever sets it never knows the network.

use super::Shared;
use crate::platform::PasscodeSetter;
use crate::reconcile::new_code::{CodeSource, CodeWithheld, NewCodeTask};
use crate::sync::{Connection, SyncError};
use nestwarden_policy_schema::device_api::code;
use std::sync::Arc;

pub(super) fn task(connection: &Arc<Connection>, shared: &Shared) -> NewCodeTask {
    NewCodeTask {
        ledger: shared.ledger.clone(),
        clock: shared.clock.clone(),
        setter: Arc::new(PasscodeSetter::new(&shared.paths)),
        source: source(connection),
        handing_back: shared.handing_back.subscribe(),
    }
}

/// Asks for the code of one command.
fn source(connection: &Arc<Connection>) -> CodeSource {
    let connection = Arc::clone(connection);
    Arc::new(move |command| {
        let connection = Arc::clone(&connection);
        Box::pin(async move {
            let answer = crate::sync::passcode(connection, command).await;
            answer.map_err(|error| {
                let is_over = matches!(&error, SyncError::Server(refusal)
                    if refusal.is_code(code::PASSCODE_OVER) || refusal.is_code(code::NOT_FOUND));
                if is_over {
                    CodeWithheld::Over
                } else {
                    CodeWithheld::NotNow(crate::whole_text(&error))
                }
            })
        })
    })
}
