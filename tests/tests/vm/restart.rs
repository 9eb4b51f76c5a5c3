//! From the power button to the first sign-in, with no network.

use super::apps::{does_not_start, held};
use super::tablet;

/// Every start of an unapproved app that worked while people could sign in, until the agent has measured again.
const WATCH: &str = "until [ \"$(systemctl is-active nestwarden-agent)\" = active ] && [ \"$(systemctl is-active systemd-user-sessions)\" = active ]; do
    open=$(systemctl is-active systemd-user-sessions)
    said=$(setpriv --reuid=room --regid=room --init-groups -- /usr/bin/loud-game boo 2>/dev/null)
    if [ \"$open\" = active ] && [ -n \"$said\" ]; then echo \"ran: $said\"; fi
done; echo watched";

#[test]
fn nobody_signs_in_before_the_tablet_is_held_to_its_last_policy_also_without_the_server() {
    let tablet = tablet();
    held(&tablet);
    tablet
        .done("systemctl disable nestwarden-server nestwarden-signer")
        .unwrap();
    tablet.machine().reboot().unwrap();
    let said = tablet.done(WATCH).unwrap();
    assert_eq!(said, "watched\n");
    does_not_start(&tablet, "/usr/bin/loud-game boo");
    let order = tablet
        .done(
            "for unit in nestwarden-agent systemd-user-sessions; do
                 systemctl show --property=ActiveEnterTimestampMonotonic --value $unit
             done; systemctl is-active nestwarden-server || true",
        )
        .unwrap();
    let order: Vec<&str> = order.lines().collect();
    let at = |line: usize| order[line].parse::<u64>().unwrap();
    assert!(at(0) < at(1), "{order:?}");
    assert_eq!(order[2], "inactive", "the server was not there");
    tablet
        .done("systemctl enable --now nestwarden-signer nestwarden-server")
        .unwrap();
    held(&tablet);
}
