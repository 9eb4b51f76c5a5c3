//! Who is here: ticked before the camera comes out.

use super::super::answer::{self, Answer, Trouble};
use super::super::router::Ask;
use super::super::{Desk, layout, texts};
use super::{chip, do_not_photograph, roll_in_session};
use crate::photos::roll::{Camera, OnRoll};
use maud::{Markup, html};
use nestwarden_policy_schema::id::ChildId;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(in super::super) async fn show(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let (roll, _, sheet) = roll_in_session(&desk).await?;
    let children: Vec<ChildId> = roll.children.iter().map(|entry| entry.child).collect();
    let on_roll: BTreeSet<ChildId> = children.iter().copied().collect();
    let others = if ask.query.has("all") {
        visitors(&sheet.besides(&on_roll))
    } else {
        Vec::new()
    };
    let (booked, not): (Vec<&OnRoll>, Vec<&OnRoll>) =
        roll.children.iter().partition(|entry| entry.booked_today);
    let group = |title: &str, group: &[&OnRoll]| -> Markup {
        html! {
            @if !group.is_empty() {
                fieldset {
                    legend { (title) }
                    div.chips {
                        @for entry in group { (chip(entry, &sheet, "child", entry.present.into())) }
                    }
                }
            }
        }
    };
    let content = html! {
        (do_not_photograph(&roll, &sheet))
        (layout::missing_names(&sheet, &children, "/here"))
        form method="post" action="/here" {
            @if children.is_empty() { p { (texts::EMPTY_ROOMS) } } @else { p { (texts::HERE_LEAD) } }
            (group(texts::BOOKED, &booked))
            (group(texts::NOT_BOOKED, &not))
            (group(texts::OTHER_ROOMS, &others.iter().collect::<Vec<_>>()))
            div.bar { button.main.wide { (texts::HERE_SAVE) } }
        }
        form method="post" action="/names" {
            input type="hidden" name="whole" value="1";
            input type="hidden" name="back" value="/here?all=1";
            button.quiet { (texts::OTHER_ROOMS_ASK) }
        }
    };
    Ok(answer::page(layout::screen(texts::HERE, &content)))
}

pub(in super::super) async fn save(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    desk.photos.present(ask.form.values("child")?).await?;
    Ok(answer::see("/?saved=1"))
}

/// Children of other rooms, as far as they are named. Whether they may be photographed is said once they are ticked.
fn visitors(
    others: &[(
        ChildId,
        &BTreeSet<nestwarden_policy_schema::consent::RoomName>,
    )],
) -> Vec<OnRoll> {
    let others = others.iter().map(|(child, rooms)| OnRoll {
        child: *child,
        rooms: (*rooms).clone(),
        booked_today: false,
        present: false,
        camera: Camera::May,
    });
    others.collect()
}
