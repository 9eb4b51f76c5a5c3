//! What incidents and concerns want done, worked out for whoever looks. None of it is kept among the tasks: that one waits
//! would tell those who are left out of it.

use super::{concerns, incidents};
use crate::domain::registers::concern::Concern;
use crate::domain::registers::incident::Incident;
use crate::domain::registers::incident::illegal::Step;
use crate::domain::registers::{Entry, Kept};
use crate::http::app::App;
use crate::http::console::gate::Visitor;
use crate::http::console::layout::{Tone, badge};
use crate::http::console::when::When;
use crate::http::console::words;
use crate::http::error::ApiError;
use crate::storage::{Operator, Role, Which};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

/// An incident of which nothing else is due is seen to within this time.
const FINISH_WITHIN: SignedDuration = SignedDuration::from_hours(28 * 24);

/// No name is in it.
pub(in crate::http::console) struct Matter {
    says: &'static str,
    path: String,
    owner: Role,
    due: Timestamp,
}

impl Matter {
    /// Whoever may read a concern is who it waits for, and deputies stand in for the DSL.
    pub(in crate::http::console) fn is_for(&self, person: &Operator) -> bool {
        let roles = &person.roles;
        roles.contains(&self.owner) || (self.owner == Role::Dsl && roles.contains(&Role::Deputy))
    }

    pub(in crate::http::console) fn item(&self, when: &When) -> Markup {
        html! {
            li {
                @if self.due <= when.now { (badge(Tone::Bad, "Overdue")) " " }
                a href=(self.path) { (self.says) } "."
                br;
                span.soft { (words::role(self.owner)) ", due " (when.local.at(self.due)) }
            }
        }
    }
}

/// The first that is due comes first.
pub(in crate::http::console) async fn of(
    app: &App,
    visitor: &Visitor,
) -> Result<Vec<Matter>, ApiError> {
    let mut all = Vec::new();
    for kept in concerns::readable(app, visitor, Which::Open).await? {
        all.extend(of_concern(&kept, owner(app, &kept)));
    }
    for kept in incidents::readable(app, visitor, Which::Open).await? {
        all.push(of_incident(&kept, owner(app, &kept)));
    }
    all.sort_by_key(|matter| matter.due);
    Ok(all)
}

fn owner<E: Entry>(app: &App, kept: &Kept<E>) -> Role {
    let circle = super::registers(app).circle(kept);
    circle.map_or(Role::Manager, |circle| circle.owner())
}

fn of_concern(kept: &Kept<Concern>, owner: Role) -> Option<Matter> {
    let says = if kept.now.acknowledged_at.is_none() {
        "Read a concern and acknowledge it"
    } else {
        "Decide on a concern, then close it or make it an incident"
    };
    Some(Matter {
        says,
        path: concerns::path_of(kept.id),
        owner,
        due: kept.now.due()?,
    })
}

fn of_incident(kept: &Kept<Incident>, owner: Role) -> Matter {
    let incident = &kept.now;
    let path = incidents::path_of(kept.id);
    let step = incident
        .steps_left()
        .next()
        .map(|step| (next(step), step.due(&incident.facts)));
    let breach = incident.breach.filter(|breach| breach.decided.is_none());
    let breach = breach.map(|breach| {
        (
            "Report a personal-data breach, or say why not",
            breach.due(),
        )
    });
    let finish = incident.opened_at.checked_add(FINISH_WITHIN);
    let finish = (
        "Finish an incident: debrief, then close it",
        finish.unwrap_or(Timestamp::MAX),
    );
    let (says, due) = [step, breach]
        .into_iter()
        .flatten()
        .min_by_key(|(_, due)| *due)
        .unwrap_or(finish);
    Matter {
        says,
        path,
        owner,
        due,
    }
}

const fn next(step: Step) -> &'static str {
    match step {
        Step::Isolate => "Illegal content: isolate the tablet",
        Step::HandsOff => "Illegal content: tell everybody to keep their hands off",
        Step::Police => "Illegal content: call the police",
        Step::Lado => "Illegal content: tell the LADO",
        Step::Regulator => "Illegal content: tell the regulator",
    }
}
