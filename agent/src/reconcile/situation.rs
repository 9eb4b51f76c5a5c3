//! The situation at one instant: what the bundle, the calendar, the clock and the session come to.

use super::space::Space;
use crate::control::Situation;
use crate::control::hours::Because;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::TrustedNow;
use nestwarden_policy_schema::policy::exception::with_exceptions;
use nestwarden_policy_schema::policy::{CameraUse, Mode, Policy};

/// Where the photos policy names no lease, because it manages no photos.
const DEFAULT_LEASE_OPENING_DAYS: u32 = 7;
/// Margins around contact hours are no longer than two hours, so nothing further back is looked for.
const LONGEST_MARGIN: SignedDuration = SignedDuration::from_hours(3);

/// What the tablet is held to now.
pub fn situation(
    bundle: &Bundle,
    now: &TrustedNow,
    (session_open, space): (bool, Space),
    passcode_change_asked_at: Option<Timestamp>,
) -> Situation {
    let calendar = &bundle.calendar;
    let exceptions = bundle
        .exceptions
        .iter()
        .filter(|exception| exception.is_active(calendar, now.at))
        .cloned()
        .collect();
    let policy = with_exceptions(&bundle.policy, &bundle.exceptions, calendar, now.at);
    let is_lost = now.lost_since.is_some();
    Situation {
        now: now.at,
        in_contact_hours: calendar.in_contact_hours(now.at),
        minutes_from_contact: minutes_from_contact(calendar, now.at),
        session_open,
        locked: is_lost.then_some(Because::Lost),
        capture_suspended: is_lost
            || now.doubtful
            || now.at >= lease_end(bundle, now)
            || space == Space::Short,
        exceptions,
        policy: if is_lost { while_lost(policy) } else { policy },
        passcode_change_asked_at,
    }
}

/// The next instant after `now` at which time alone changes the situation; `None` when none does.
pub fn next_change(bundle: &Bundle, now: &TrustedNow) -> Option<Timestamp> {
    let calendar = &bundle.calendar;
    let margin = bundle
        .policy
        .hours
        .as_ref()
        .map_or(0, |hours| i64::from(hours.margin_minutes));
    let margin = SignedDuration::from_mins(margin);
    let contact = calendar.next_contact_change(now.at);
    let before = contact.and_then(|at| at.checked_sub(margin).ok());
    let after = now
        .at
        .checked_sub(margin)
        .ok()
        .and_then(|at| calendar.next_contact_change(at))
        .and_then(|at| at.checked_add(margin).ok());
    let exceptions = bundle
        .exceptions
        .iter()
        .flat_map(|e| [calendar.start_of(e.from), calendar.end_of(e.until)]);
    [contact, before, after]
        .into_iter()
        .flatten()
        .chain(exceptions)
        .chain([lease_end(bundle, now), bundle.expires_at])
        .filter(|at| *at > now.at)
        .min()
}

/// Somebody said that the tablet is lost: it is locked and its camera off also where the profile only observes these, or says
/// nothing of them.
fn while_lost(mut policy: Policy) -> Policy {
    policy.hours.get_or_insert_default().mode = Mode::Enforce;
    let camera = policy.camera.get_or_insert_default();
    camera.mode = Mode::Enforce;
    camera.camera = CameraUse::Off;
    policy
}

/// When the tablet will have been without the server for too long.
fn lease_end(bundle: &Bundle, now: &TrustedNow) -> Timestamp {
    let days = bundle
        .policy
        .photos
        .as_ref()
        .map_or(DEFAULT_LEASE_OPENING_DAYS, |photos| {
            u32::from(photos.lease_opening_days)
        });
    let since = now.last_contact.unwrap_or(bundle.register.as_of);
    bundle.calendar.after_opening_days(since, days)
}

fn minutes_from_contact(calendar: &Calendar, now: Timestamp) -> Option<u32> {
    if calendar.in_contact_hours(now) {
        return Some(0);
    }
    let next = calendar.next_contact_change(now);
    let ahead = next.map(|next| next.duration_since(now));
    let behind = last_contact_change(calendar, now).map(|last| now.duration_since(last));
    let nearest = match (ahead, behind) {
        (Some(ahead), Some(behind)) => ahead.min(behind),
        (only, None) | (None, only) => only?,
    };
    Some(u32::try_from(nearest.as_secs() / 60).unwrap_or(u32::MAX))
}

fn last_contact_change(calendar: &Calendar, now: Timestamp) -> Option<Timestamp> {
    let mut last = None;
    let mut at = now.checked_sub(LONGEST_MARGIN).ok()?;
    while let Some(change) = calendar.next_contact_change(at).filter(|c| *c <= now) {
        last = Some(change);
        at = change;
    }
    last
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;
    use crate::testing::Signer;
    use nestwarden_policy_schema::control::ControlName;
    use nestwarden_policy_schema::policy::{CameraPolicy, DatedException, HoursPolicy, Loosening};

    fn at(text: &str) -> TrustedNow {
        let at = text.parse().unwrap();
        TrustedNow {
            at,
            doubtful: false,
            last_contact: Some(at),
            lost_since: None,
            holds_confirmed_at: None,
        }
    }

    fn bundle() -> Bundle {
        Signer::new().content(1)
    }

    #[test]
    fn minutes_count_to_the_nearer_side() {
        let bundle = bundle();
        let minutes =
            |text| situation(&bundle, &at(text), (false, Space::Enough), None).minutes_from_contact;
        assert_eq!(minutes("2026-03-02T12:00:00Z"), Some(0));
        assert_eq!(minutes("2026-03-02T07:30:00Z"), Some(30));
        assert_eq!(minutes("2026-03-02T18:20:00Z"), Some(20));
    }

    #[test]
    fn capture_is_suspended_in_doubt_without_space_and_when_the_lease_is_over() {
        let bundle = bundle();
        let mut now = at("2026-03-02T12:00:00Z");
        assert!(!situation(&bundle, &now, (false, Space::Enough), None).capture_suspended);
        now.doubtful = true;
        assert!(situation(&bundle, &now, (false, Space::Enough), None).capture_suspended);
        now.doubtful = false;
        assert!(situation(&bundle, &now, (false, Space::Short), None).capture_suspended);
        now.at = "2026-03-12T00:00:00Z".parse().unwrap();
        assert!(situation(&bundle, &now, (false, Space::Enough), None).capture_suspended);
    }

    #[test]
    fn a_lost_tablet_is_locked_and_its_camera_off_whatever_the_profile_and_its_exceptions_say() {
        use crate::control::camera::{Camera, CameraWish};
        use crate::control::hours::{Because, Hours, HoursWish};
        use crate::control::{Control as _, Situation};
        let mut bundle = bundle();
        let mut now = at("2026-03-02T12:00:00Z");
        let wishes = |s: &Situation| (Hours::desired(s), Camera::desired(s));
        let look =
            |bundle: &Bundle, now: &TrustedNow| situation(bundle, now, (true, Space::Enough), None);
        assert_eq!(wishes(&look(&bundle, &now)), (None, None));
        now.lost_since = Some(now.at);
        let locked = HoursWish::Locked(Because::Lost);
        let lost = look(&bundle, &now);
        assert_eq!(wishes(&lost), (Some(locked), Some(CameraWish::Off)));
        for control in [ControlName::Hours, ControlName::Camera] {
            assert_eq!(lost.policy.mode(control), Some(Mode::Enforce));
        }
        for allow in [Loosening::Camera, Loosening::OpenOutsideContactHours] {
            bundle.exceptions.push(DatedException {
                allow,
                reason: "outing".to_owned(),
                approved_by: "manager".to_owned(),
                from: "2026-03-02".parse().unwrap(),
                until: "2026-03-02".parse().unwrap(),
                medical: false,
            });
        }
        bundle.policy.camera = Some(CameraPolicy::default());
        bundle.policy.hours = Some(HoursPolicy::default());
        let lost = look(&bundle, &now);
        assert_eq!(wishes(&lost), (Some(locked), Some(CameraWish::Off)));
    }

    #[test]
    fn the_next_change_is_the_nearest_of_hours_margins_exceptions_lease_and_expiry() {
        let mut bundle = bundle();
        let next = |bundle: &Bundle, text| next_change(bundle, &at(text)).unwrap().to_string();
        assert_eq!(
            next(&bundle, "2026-03-02T12:00:00Z"),
            "2026-03-02T18:00:00Z"
        );
        bundle.policy.hours = Some(HoursPolicy {
            margin_minutes: 30,
            ..HoursPolicy::default()
        });
        assert_eq!(
            next(&bundle, "2026-03-02T18:05:00Z"),
            "2026-03-02T18:30:00Z"
        );
        assert_eq!(
            next(&bundle, "2026-03-02T19:00:00Z"),
            "2026-03-03T07:30:00Z"
        );
        bundle.exceptions.push(DatedException {
            allow: Loosening::Camera,
            reason: "outing".to_owned(),
            approved_by: "manager".to_owned(),
            from: "2026-03-03".parse().unwrap(),
            until: "2026-03-03".parse().unwrap(),
            medical: false,
        });
        assert_eq!(
            next(&bundle, "2026-03-02T19:00:00Z"),
            "2026-03-03T00:00:00Z"
        );
    }

    #[test]
    fn an_exception_counts_only_on_its_days() {
        let mut bundle = bundle();
        bundle.exceptions.push(DatedException {
            allow: Loosening::Camera,
            reason: "outing".to_owned(),
            approved_by: "manager".to_owned(),
            from: "2026-03-03".parse().unwrap(),
            until: "2026-03-03".parse().unwrap(),
            medical: false,
        });
        let active = |text| {
            situation(&bundle, &at(text), (false, Space::Enough), None)
                .exceptions
                .len()
        };
        assert_eq!(active("2026-03-02T12:00:00Z"), 0);
        assert_eq!(active("2026-03-03T12:00:00Z"), 1);
        assert_eq!(active("2026-03-04T12:00:00Z"), 0);
    }
}
