//! One photo, as the model of the rules follows it.

use super::history::{Fact, HoldOn};
use super::reference::{Clock, Place as Stands, Reference};
use super::told::Told;
use nestwarden_policy_schema::consent::{Stage, Tagging};
use nestwarden_policy_schema::id::PhotoId;
use std::path::PathBuf;

/// A photo, with what the model makes of it.
pub(super) struct Shot {
    pub(super) id: PhotoId,
    pub(super) path: PathBuf,
    pub(super) told: Told,
    pub(super) stage: Stage,
    pub(super) sealed_at: Option<i64>,
    pub(super) tagging: Tagging,
    pub(super) children: u8,
    pub(super) stranger: bool,
    pub(super) tagged_at: Option<i64>,
}

impl Shot {
    pub(super) fn reference(&self, clock: Clock) -> Reference<'_> {
        Reference::new(&self.told, clock, self.sealed_at)
    }

    pub(super) fn says(&mut self, now: i64, tagging: Tagging, children: u8, stranger: bool) {
        (self.tagging, self.children, self.stranger) = (tagging, children, stranger);
        let fact = Fact::Tagged {
            tagging,
            confirmed: children,
            stranger,
        };
        self.told.add(now, fact);
    }

    /// Goes where the model has it, one stage after the other.
    pub(super) fn settle(&mut self, clock: Clock, in_reach: bool) {
        for _ in 0..4 {
            let Stands::Due(due, _) = self.reference(clock).answer().place else {
                return;
            };
            match (self.stage, due) {
                (Stage::Sealed, Stage::Live) if !in_reach => return,
                // Further than it has to be is where a stricter reason brought it.
                (Stage::Destroyed, _) | (Stage::Sealed, Stage::Withheld) => return,
                (before, due) if before == due => return,
                (Stage::Live | Stage::Withheld, Stage::Sealed | Stage::Destroyed) => {
                    self.stage = Stage::Sealed;
                    self.sealed_at = Some(clock.now);
                }
                (_, due) => {
                    self.stage = due;
                    self.sealed_at = self.sealed_at.filter(|_| due > Stage::Withheld);
                }
            }
        }
    }
}

/// Whether a hold on one photo is on this one or on another.
pub(super) fn seen_from(fact: &Fact, photo: PhotoId, held: Option<PhotoId>) -> Fact {
    match held {
        Some(held) if held != photo => another(fact.clone()),
        _ => fact.clone(),
    }
}

pub(super) fn another(fact: Fact) -> Fact {
    match fact {
        Fact::Held { hold, category, .. } => Fact::Held {
            hold,
            on: HoldOn::AnotherPhoto,
            category,
        },
        other => other,
    }
}
