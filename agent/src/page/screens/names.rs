//! Asks the server for names once more.

use super::super::Desk;
use super::super::answer::{self, Answer, Trouble};
use super::super::router::Ask;
use crate::photos::PhotosError;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where the button may lead back to.
const BACK: [&str; 4] = ["/", "/here", "/here?all=1", "/sort"];

pub(in super::super) async fn ask_again(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let roll = desk.photos.roll().await?;
    let session = roll.session.ok_or(PhotosError::NoSession)?;
    let rooms = if ask.form.has("whole") {
        BTreeSet::new()
    } else {
        session.rooms
    };
    desk.names.ask(session.id, rooms).await;
    let back = ask.form.get("back").unwrap_or("/");
    let known = BACK.into_iter().find(|known| *known == back);
    Ok(answer::see(known.ok_or(Trouble::Request)?))
}
