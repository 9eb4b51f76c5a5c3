//! Hands what a scan sees on to the photos task. While one batch is taken over the next is read; never more than that.

use super::scan::{Batch, Unread};
use super::task::Arrived;
use std::io;
use tokio::sync::{mpsc, oneshot};

pub(super) struct Outlet {
    arrivals: mpsc::Sender<Arrived>,
    /// The answer to the batch that was handed on last.
    pending: Option<oneshot::Receiver<Unread>>,
}

impl Outlet {
    pub(super) fn new(arrivals: mpsc::Sender<Arrived>) -> Self {
        Self {
            arrivals,
            pending: None,
        }
    }

    /// Blocks until the batch before was taken over. What that one needs read; of an empty batch nothing is handed on.
    pub(super) fn hand_on(&mut self, batch: Batch) -> io::Result<Unread> {
        let ended = || io::Error::other("what was seen could not be taken over");
        let unread = match self.pending.take() {
            Some(pending) => pending.blocking_recv().map_err(|_| ended())?,
            None => Unread::default(),
        };
        if !batch.is_empty() {
            let (reply, answer) = oneshot::channel();
            let arrived = Arrived::Seen(Box::new(batch), reply);
            self.arrivals.blocking_send(arrived).map_err(|_| ended())?;
            self.pending = Some(answer);
        }
        Ok(unread)
    }
}
