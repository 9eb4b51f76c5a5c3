//! One file a screen.

pub(super) mod assets;
pub(super) mod custody;
pub(super) mod end;
pub(super) mod here;
pub(super) mod home;
pub(super) mod names;
pub(super) mod notices;
pub(super) mod photos;
pub(super) mod picture;
pub(super) mod review;
pub(super) mod sort;

use super::Desk;
use super::names::Sheet;
use crate::photos::PhotosError;
use crate::photos::roll::{Camera, OnRoll, Roll};
use crate::photos::session::Session;
use maud::{Markup, html};
use nestwarden_policy_schema::id::ChildId;

/// The roll with its session and the names for both, sorted by name.
pub(super) async fn roll(desk: &Desk) -> Result<(Roll, Sheet), PhotosError> {
    let mut roll = desk.photos.roll().await?;
    let sheet = match &roll.session {
        Some(session) => desk.names.of(session.id, &session.rooms).await,
        None => Sheet::empty(),
    };
    sheet.sort(&mut roll.children, |entry| entry.child);
    Ok((roll, sheet))
}

/// The same for a screen that is none without a session.
pub(super) async fn roll_in_session(desk: &Desk) -> Result<(Roll, Session, Sheet), PhotosError> {
    let (mut roll, sheet) = roll(desk).await?;
    let session = roll.session.take().ok_or(PhotosError::NoSession)?;
    Ok((roll, session, sheet))
}

/// Whoever is booked or ticked and must not be in a photo, by name and without a reason.
fn do_not_photograph(roll: &Roll, sheet: &Sheet) -> Markup {
    let is_there = |entry: &&OnRoll| entry.booked_today || entry.present;
    let left_out: Vec<ChildId> = roll
        .children
        .iter()
        .filter(is_there)
        .filter(|entry| entry.camera == Camera::MayNot)
        .map(|entry| entry.child)
        .collect();
    html! {
        section.camera.stop[!left_out.is_empty()] aria-labelledby="camera" {
            h2 id="camera" { (super::texts::DO_NOT_PHOTOGRAPH) }
            @if left_out.is_empty() {
                p { (super::texts::ALL_MAY) }
            } @else {
                ul { @for child in left_out { li { (sheet.name(child)) } } }
            }
        }
    }
}

/// A child to tick, at least as big as a finger.
fn chip(entry: &OnRoll, sheet: &Sheet, field: &str, ticked: Ticked) -> Markup {
    let id = entry.child.to_string();
    let locked = ticked == Ticked::ForGood;
    html! {
        label.chip {
            input type="checkbox" name=(field) value=(id) checked[ticked != Ticked::No] disabled[locked];
            // What is disabled is not sent.
            @if locked { input type="hidden" name=(field) value=(id); }
            span {
                (sheet.name(entry.child))
                @if entry.camera == Camera::MayNot {
                    small { (super::texts::DO_NOT_PHOTOGRAPH_MARK) }
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ticked {
    No,
    Yes,
    /// Said before; staff add to it and take nothing back.
    ForGood,
}

impl From<bool> for Ticked {
    fn from(ticked: bool) -> Self {
        if ticked { Self::Yes } else { Self::No }
    }
}
