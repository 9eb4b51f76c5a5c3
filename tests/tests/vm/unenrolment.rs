//! A tablet that goes back to being nobody's. The last of the sentences: there is no tablet after it.

use super::apps::held;
use super::tablet;

#[test]
fn a_tablet_handed_back_by_the_server_has_everything_as_it_was_before() {
    let tablet = tablet();
    held(&tablet);
    let held_to = tablet.traces().unwrap();
    assert_ne!(held_to, tablet.before(), "the controls leave traces");
    // Root's word on the tablet is not enough.
    let said = tablet.ask("nestwarden-agent unenrol").unwrap();
    assert_ne!(said.code, 0, "{said:?}");
    tablet
        .server("device unenrol Ladybird-1 --reason 'sold'")
        .unwrap();
    let mut last = String::new();
    tablet
        .until("what was there before", |tablet| {
            last = tablet.traces()?;
            Ok((last == tablet.before()).then_some(()))
        })
        .unwrap_or_else(|problem| {
            panic!(
                "{problem:?}\nbefore:\n{}\nnow:\n{last}\n{}",
                tablet.before(),
                tablet.agent_log()
            )
        });
    tablet
        .until("any program starting", |tablet| {
            Ok((tablet.staff("/usr/bin/loud-game boo")?.stdout == "boo\n").then_some(()))
        })
        .unwrap();
    tablet
        .until("the server to know", |tablet| {
            let shown = tablet.server("device list")?;
            Ok(shown.contains("revoked").then_some(()))
        })
        .unwrap();
}
