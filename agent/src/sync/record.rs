//! Whether the tablet's record and the server's are one, and what is done when one of them was put back.

use super::{Connected, SyncContext, SyncError, blocking};
use crate::ledger::Ledger;
use nestwarden_policy_schema::device_api::{EVENTS_PATH, EventBatch, EventsAck, code};
use nestwarden_policy_schema::event::{ChainHead, ChainPosition, Event};

/// Why the server's record cannot be continued as it is; `None`: it can.
pub fn difference(ledger: &Ledger, answer: EventsAck) -> Result<Option<SyncError>, SyncError> {
    let (server, ours) = (answer.on_disk, ledger.head()?.seq);
    if server > ours {
        return Ok(Some(SyncError::RecordPutBack { server, ours }));
    }
    let Some(theirs) = answer.hash.filter(|_| server > 0) else {
        return Ok(None);
    };
    Ok(match ledger.hash_at(server)? {
        Some(hash) if hash == theirs => None,
        Some(_) => Some(SyncError::RecordDiffers { seq: server }),
        None => Some(SyncError::RecordForgotten { server }),
    })
}

/// Finds the last event both have, and goes on after the server's last.
pub(super) async fn go_on_from(
    context: &SyncContext,
    connected: &Connected,
    server: ChainPosition,
) -> Result<(), SyncError> {
    let common = last_common(context, connected, server.seq).await?;
    let (ledger, now) = (context.ledger.clone(), context.clock.now().at);
    blocking(move || Ok(ledger.continue_after(server, common, now)?)).await
}

/// By halving: what follows a difference differs, too.
async fn last_common(
    context: &SyncContext,
    connected: &Connected,
    server: u64,
) -> Result<Option<ChainPosition>, SyncError> {
    let ledger = context.ledger.clone();
    let (oldest, end) =
        blocking(move || Ok::<_, SyncError>((ledger.oldest_event()?, ledger.head()?.seq))).await?;
    let Some(oldest) = oldest else {
        return Ok(Some(ChainPosition::START).filter(|_| server == 0));
    };
    // Below `differs` everything up to `same` is known to be the server's.
    let (mut same, mut differs) = (None, end.min(server).saturating_add(1));
    let mut lowest = oldest;
    while lowest < differs {
        let middle = lowest + (differs - lowest) / 2;
        match event_at(context, middle).await? {
            Some(event) if is_theirs(connected, &event).await? => {
                same = Some(event.position());
                lowest = middle + 1;
            }
            Some(_) => differs = middle,
            // Between two parts of a record that went on before: what is missing here is the server's alone.
            None => lowest = middle + 1,
        }
    }
    Ok(same.or((oldest == 1).then_some(ChainPosition::START)))
}

async fn event_at(context: &SyncContext, seq: u64) -> Result<Option<Event>, SyncError> {
    let ledger = context.ledger.clone();
    let found = blocking(move || {
        Ok::<_, SyncError>(ledger.events_after(seq.saturating_sub(1), 1, usize::MAX)?)
    })
    .await?;
    Ok(found.into_iter().next().filter(|event| event.seq == seq))
}

/// Sent again, an event that the server has is accepted, and another one under its number refused.
async fn is_theirs(connected: &Connected, event: &Event) -> Result<bool, SyncError> {
    let head = connected.identity.key.sign_head(&ChainHead {
        device: connected.identity.enrolment.device,
        position: event.position(),
    })?;
    let batch = EventBatch {
        events: vec![event.clone()],
        head: Some(head),
    };
    match connected
        .server
        .post::<EventsAck>(EVENTS_PATH, &batch)
        .await
    {
        Ok(_) => Ok(true),
        Err(error) if error.is_code(code::EVENT_CONFLICT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
