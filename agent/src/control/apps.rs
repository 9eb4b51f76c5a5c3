//! Which programs start: those of the base system and of approved packages, and nothing else.

use super::{Control, Reading, Situation, Unread};
use crate::decision::rules::Approval;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::control::ControlName;
use nestwarden_policy_schema::policy::apps::AppSource;
use nestwarden_policy_schema::policy::{AppId, Mode};
use std::fmt;

/// App control as a control.
#[derive(Debug)]
pub struct Apps;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppsWish {
    pub approval: Approval,
    /// In observe mode programs are asked about and let through.
    pub mode: Mode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppsObserved {
    pub gate: GateSeen,
    /// Where people can put files, and whether programs start from there.
    pub places: Vec<PlaceSeen>,
    pub entries: Vec<EntrySeen>,
    pub switches: Vec<SwitchSeen>,
}

/// What the kernel asks before a program starts, and by which rules it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateSeen {
    /// In the guard's own words; `None`: nobody answers.
    pub in_force: Option<RulesInForce>,
    /// Of the packages as they are installed now.
    pub inventory: Digest,
    /// File systems that programs start from unasked, with the reason.
    pub unguarded: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulesInForce {
    pub approval: Digest,
    pub inventory: Digest,
    pub mode: Mode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceSeen {
    pub path: String,
    pub runs_programs: bool,
}

/// An app in the app grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntrySeen {
    pub file_name: String,
    pub app: AppId,
    /// By us.
    pub is_hidden: bool,
}

/// A setting of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchSeen {
    pub switch: Switch,
    pub is_set: Reading<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// A user namespace shows its owner file systems that nobody else sees.
    UserNamespaces,
    /// Programs out of memory, without a file.
    MemoryPrograms,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppsChange {
    /// Puts the rules in force, and starts whoever answers by them.
    RefuseUnapproved(Approval),
    ForbidPrograms {
        path: String,
    },
    SetSwitch(Switch),
    HideEntries(Vec<String>),
    ShowEntries(Vec<String>),
    Unread {
        rule: &'static str,
        unread: Unread,
    },
}

impl fmt::Display for AppsChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RefuseUnapproved(approval) => write!(
                f,
                "refuse programs of apps other than the {} approved ones",
                approval.allowed.len()
            ),
            Self::ForbidPrograms { path } => write!(f, "let no program start from `{path}`"),
            Self::SetSwitch(Switch::UserNamespaces) => f.write_str("switch user namespaces off"),
            Self::SetSwitch(Switch::MemoryPrograms) => {
                f.write_str("let no program start out of memory")
            }
            Self::HideEntries(names) => write!(f, "hide {}", names.join(", ")),
            Self::ShowEntries(names) => write!(f, "show {} again", names.join(", ")),
            Self::Unread { rule, unread } => write!(f, "check {rule}: {}", unread.reason()),
        }
    }
}

impl Control for Apps {
    const NAME: ControlName = ControlName::Apps;
    type Desired = AppsWish;
    type Observed = AppsObserved;
    type Change = AppsChange;

    fn desired(situation: &Situation) -> Option<AppsWish> {
        let policy = situation.policy.apps.as_ref()?;
        Some(AppsWish {
            approval: Approval {
                allowed: policy.allowed.clone(),
                essential: policy.essential.clone(),
            },
            mode: policy.mode,
        })
    }

    /// Also in observe mode: what enforcing would change.
    fn diff(desired: &AppsWish, observed: &AppsObserved) -> Vec<AppsChange> {
        let mut changes = Vec::new();
        let wanted = RulesInForce {
            approval: desired.approval.digest(),
            inventory: observed.gate.inventory,
            mode: Mode::Enforce,
        };
        if observed.gate.in_force != Some(wanted) {
            changes.push(AppsChange::RefuseUnapproved(desired.approval.clone()));
        }
        let running = observed.places.iter().filter(|place| place.runs_programs);
        changes.extend(running.map(|place| AppsChange::ForbidPrograms {
            path: place.path.clone(),
        }));
        for seen in &observed.switches {
            // Flatpak builds its sandbox out of a user namespace, so an approved app needs them.
            let is_needed = seen.switch == Switch::UserNamespaces && desired.approval.has_flatpak();
            match &seen.is_set {
                Reading::Seen(false) if !is_needed => {
                    changes.push(AppsChange::SetSwitch(seen.switch));
                }
                Reading::Seen(_) => {}
                Reading::Unread(unread) => changes.push(AppsChange::Unread {
                    rule: "the kernel's settings",
                    unread: unread.clone(),
                }),
            }
        }
        changes.extend(entry_changes(desired, observed));
        changes.extend(
            observed
                .gate
                .unguarded
                .iter()
                .map(|reason| AppsChange::Unread {
                    rule: "where programs start",
                    unread: Unread::Unsupported(reason.clone()),
                }),
        );
        changes
    }

    fn unread(change: &AppsChange) -> Option<&Unread> {
        match change {
            AppsChange::Unread { unread, .. } => Some(unread),
            AppsChange::RefuseUnapproved(_)
            | AppsChange::ForbidPrograms { .. }
            | AppsChange::SetSwitch(_)
            | AppsChange::HideEntries(_)
            | AppsChange::ShowEntries(_) => None,
        }
    }
}

fn entry_changes(desired: &AppsWish, observed: &AppsObserved) -> Vec<AppsChange> {
    let approval = &desired.approval;
    let names = |is_hidden: bool| -> Vec<String> {
        let wrong = observed.entries.iter().filter(|entry| {
            let is_approved =
                approval.allowed.contains(&entry.app) || approval.essential.contains(&entry.app);
            entry.is_hidden == is_hidden && is_approved == is_hidden
        });
        wrong.map(|entry| entry.file_name.clone()).collect()
    };
    let (to_hide, to_show) = (names(false), names(true));
    let mut changes = Vec::new();
    if !to_hide.is_empty() {
        changes.push(AppsChange::HideEntries(to_hide));
    }
    if !to_show.is_empty() {
        changes.push(AppsChange::ShowEntries(to_show));
    }
    changes
}

impl Approval {
    fn has_flatpak(&self) -> bool {
        self.allowed
            .iter()
            .any(|app| app.source() == AppSource::Flatpak)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::control::testing::reading;
    use crate::testing::situation;
    use nestwarden_policy_schema::policy::AppsPolicy;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn without_a_policy_apps_are_unmanaged() {
        assert_eq!(Apps::desired(&situation()), None);
    }

    #[test]
    fn the_wish_is_the_policy_s() {
        let mut now = situation();
        now.policy.apps = Some(AppsPolicy {
            mode: Mode::Enforce,
            requirements: BTreeSet::new(),
            allowed: apps(&["dpkg:register"]),
            essential: apps(&["dpkg:register"]),
        });
        assert_eq!(Apps::desired(&now), Some(wish(&["dpkg:register"])));
    }

    #[test]
    fn rules_made_from_older_packages_are_made_again() {
        let desired = wish(&["dpkg:register"]);
        let mut observed = held(&desired);
        assert_eq!(Apps::diff(&desired, &observed), []);
        observed.gate.inventory = Digest::sha256(b"upgraded");
        assert_eq!(
            Apps::diff(&desired, &observed),
            [AppsChange::RefuseUnapproved(desired.approval.clone())]
        );
    }

    #[test]
    fn observing_says_what_enforcing_would_change() {
        let desired = wish(&["dpkg:register"]);
        let mut observed = held(&desired);
        observed.gate.in_force = observed.gate.in_force.map(|in_force| RulesInForce {
            mode: Mode::Observe,
            ..in_force
        });
        assert_eq!(Apps::diff(&desired, &observed).len(), 1);
    }

    #[test]
    fn an_approved_flatpak_keeps_its_sandbox() {
        let mut observed = held(&wish(&[]));
        observed.switches = vec![SwitchSeen {
            switch: Switch::UserNamespaces,
            is_set: Reading::Seen(false),
        }];
        let switches = |names| {
            let changes = Apps::diff(&wish(names), &observed);
            changes.contains(&AppsChange::SetSwitch(Switch::UserNamespaces))
        };
        assert!(switches(&["dpkg:register"]));
        assert!(!switches(&["flatpak:org.example.Register"]));
    }

    proptest! {
        #[test]
        fn nothing_is_left_to_change_after_every_change(
            approved in any::<bool>(),
            in_force in any::<bool>(),
            runs_programs in any::<bool>(),
            is_hidden in any::<bool>(),
            is_set in reading(any::<bool>()),
        ) {
            let desired = wish(if approved { &["dpkg:chess"] } else { &["dpkg:register"] });
            let mut observed = held(&desired);
            if !in_force {
                observed.gate.in_force = None;
            }
            observed.places = vec![PlaceSeen { path: "/home".to_owned(), runs_programs }];
            observed.entries = vec![EntrySeen {
                file_name: "chess.desktop".to_owned(),
                app: "dpkg:chess".parse().unwrap(),
                is_hidden,
            }];
            observed.switches = vec![SwitchSeen { switch: Switch::MemoryPrograms, is_set }];
            for change in Apps::diff(&desired, &observed) {
                take_effect(&change, &mut observed);
            }
            let left = Apps::diff(&desired, &observed);
            prop_assert!(left.iter().all(|change| Apps::unread(change).is_some()), "{left:?}");
        }
    }

    fn take_effect(change: &AppsChange, observed: &mut AppsObserved) {
        match change {
            AppsChange::RefuseUnapproved(approval) => {
                observed.gate.in_force = Some(RulesInForce {
                    approval: approval.digest(),
                    inventory: observed.gate.inventory,
                    mode: Mode::Enforce,
                });
            }
            AppsChange::ForbidPrograms { path } => observed
                .places
                .iter_mut()
                .filter(|place| &place.path == path)
                .for_each(|place| place.runs_programs = false),
            AppsChange::SetSwitch(switch) => observed
                .switches
                .iter_mut()
                .filter(|seen| seen.switch == *switch)
                .for_each(|seen| seen.is_set = Reading::Seen(true)),
            AppsChange::HideEntries(_) => observed.entries[0].is_hidden = true,
            AppsChange::ShowEntries(_) => observed.entries[0].is_hidden = false,
            AppsChange::Unread { .. } => {}
        }
    }

    fn held(desired: &AppsWish) -> AppsObserved {
        let inventory = Digest::sha256(b"installed");
        AppsObserved {
            gate: GateSeen {
                in_force: Some(RulesInForce {
                    approval: desired.approval.digest(),
                    inventory,
                    mode: Mode::Enforce,
                }),
                inventory,
                unguarded: Vec::new(),
            },
            places: Vec::new(),
            entries: Vec::new(),
            switches: Vec::new(),
        }
    }

    fn wish(allowed: &[&str]) -> AppsWish {
        AppsWish {
            approval: Approval {
                allowed: apps(allowed),
                essential: apps(allowed),
            },
            mode: Mode::Enforce,
        }
    }

    fn apps(names: &[&str]) -> BTreeSet<AppId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }
}
