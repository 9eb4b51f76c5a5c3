//! Setting a tablet's passcode in the console.

use super::person::Person;
use crate::nursery::Nursery;
use crate::passcodes::CODE;
use nestwarden_policy_schema::command::CommandKind;
use nestwarden_server::storage::Role;

/// What stands in the place where a passcode is shown.
fn shown_in(page: &str) -> String {
    let rest = page.split_once("<code class=\"once\">");
    let code = rest.and_then(|(_, rest)| rest.split('<').next());
    code.unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_passcode_is_set_shown_once_and_followed_until_the_tablet_has_it() {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    let tablet = nursery.enrolled().await.id;
    let person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let page = format!("/tablets/{tablet}");
    let act = format!("{page}/passcode");
    let before = person.get(&page).await.text().await.unwrap();
    assert!(before.contains("Set a new passcode"), "{before}");

    let fields = [("why", "due"), ("chosen", "suggested")];
    let set = person.post(&act, &fields).await;
    assert_eq!(set.status(), 200);
    assert_eq!(set.headers()["cache-control"], "no-store");
    let code = shown_in(&set.text().await.unwrap());
    assert_eq!(code.len(), 8, "{code}");
    let waiting = nursery.storage.command_waiting().await.unwrap();
    assert!(matches!(
        waiting[0].command.kind,
        CommandKind::SetPasscode { .. }
    ));
    // Monday morning.
    let after = person.get(&page).await.text().await.unwrap();
    assert!(after.contains("Set by Kim"), "{after}");
    assert!(
        after.contains("waits until contact hours end at"),
        "{after}"
    );
    assert!(!after.contains(&code));

    let cancel = format!("{page}/commands/{}/cancel", waiting[0].command.id);
    assert_eq!(person.post(&cancel, &[]).await.status(), 303);
    let after = person.get(&page).await.text().await.unwrap();
    assert!(after.contains("taken back or replaced by Kim"), "{after}");

    let log = nursery.storage.audit_list(99).await.unwrap();
    let of_it = log.iter().find(|act| act.act == "device.set_passcode");
    let of_it = of_it.unwrap();
    assert_eq!(
        (of_it.who.as_str(), of_it.subject.clone()),
        ("Kim", tablet.to_string())
    );
    assert_eq!(of_it.detail["reason"], "due");
    assert!(!format!("{log:?}").contains(&code));
    nursery.close().await;
}

#[tokio::test]
async fn one_that_was_typed_has_to_be_typed_twice_and_to_fit_the_profile() {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    let tablet = nursery.enrolled().await.id;
    let person = Person::of(&nursery, "Sam", &[Role::ItAdmin]).await;
    let act = format!("/tablets/{tablet}/passcode");
    let typed = async |code: &str, again: &str| {
        let fields = [
            ("why", "suspicion"),
            ("chosen", "typed"),
            ("code", code),
            ("again", again),
        ];
        let answer = person.post(&act, &fields).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for (code, again, why) in [
        (CODE, "kettle-48-mos", "were not the same"),
        ("123456", "123456", "too easy to guess"),
        ("48 0735", "48 0735", "without spaces"),
    ] {
        let (status, says) = typed(code, again).await;
        assert_eq!(status, 422, "{says}");
        assert!(says.contains(why) && !says.contains(code), "{says}");
    }
    assert_eq!(nursery.storage.command_waiting().await.unwrap(), []);
    let (status, says) = typed(CODE, CODE).await;
    assert_eq!((status, shown_in(&says).as_str()), (200, CODE));
    nursery.close().await;
}

#[tokio::test]
async fn only_managers_and_it_admins_are_offered_it_and_only_where_the_profile_has_it_so() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await.id;
    let page = format!("/tablets/{tablet}");
    let manager = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let says = manager.get(&page).await.text().await.unwrap();
    assert!(!says.contains("Set a new passcode"), "no profile is live");
    let fields = [("why", "due"), ("chosen", "suggested")];
    let act = format!("{page}/passcode");
    assert_eq!(manager.post(&act, &fields).await.status(), 409);

    nursery.holds_passcodes().await;
    let auditor = Person::of(&nursery, "Ada", &[Role::Auditor]).await;
    let says = auditor.get(&page).await.text().await.unwrap();
    assert!(says.contains("IT admins and managers set it."), "{says}");
    assert!(!says.contains(&act));
    assert_eq!(auditor.post(&act, &fields).await.status(), 403);
    assert_eq!(nursery.storage.command_waiting().await.unwrap(), []);
    nursery.close().await;
}
