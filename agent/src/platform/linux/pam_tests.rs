use super::*;

const STOCK_PASSWORD: &str = "\
# /etc/pam.d/common-password
password\t[success=1 default=ignore]\tpam_unix.so obscure yescrypt
password\trequisite\t\t\tpam_deny.so
password\trequired\t\t\tpam_permit.so
";

/// As pam-auth-update of Debian 12 writes them from our profiles.
const OUR_PASSWORD: &str = "\
password\trequisite\t\t\tpam_pwquality.so retry=3 minlen=6 maxrepeat=2 maxsequence=3 dictcheck=1 usercheck=1
password\trequisite\t\t\tpam_pwhistory.so remember=5 enforce_for_root use_authtok
password\t[success=1 default=ignore]\tpam_unix.so obscure use_authtok try_first_pass yescrypt
password\trequisite\t\t\tpam_deny.so
";
const OUR_AUTH: &str = "\
auth\trequisite\t\t\tpam_faillock.so preauth deny=5 unlock_time=600
auth\t[success=3 default=ignore]\tpam_unix.so nullok
auth\t[default=die]\t\t\tpam_faillock.so authfail deny=5 unlock_time=600
auth\tsufficient\t\t\tpam_faillock.so authsucc deny=5 unlock_time=600
";
const OUR_ACCOUNT: &str = "account\trequired\t\t\tpam_faillock.so\n";

fn ours() -> PasscodeRules {
    PasscodeRules {
        min_length: 6,
        alphanumeric: false,
        refuse_simple: true,
        history: 5,
        max_failed_attempts: Some(5),
        set_by: SetBy::User,
    }
}

fn files() -> PamFiles {
    PamFiles {
        password: OUR_PASSWORD.to_owned(),
        auth: OUR_AUTH.to_owned(),
        account: OUR_ACCOUNT.to_owned(),
        ..PamFiles::default()
    }
}

#[test]
fn a_stock_tablet_has_no_rules() {
    let files = PamFiles {
        password: STOCK_PASSWORD.to_owned(),
        ..PamFiles::default()
    };
    assert_eq!(files.rules(), PasscodeRules::default());
}

#[test]
fn our_stacks_hold_passcodes_to_our_rules() {
    assert_eq!(files().rules(), ours());
}

#[test]
fn history_before_quality_or_without_the_checked_passcode_does_not_count() {
    let mut swapped = files();
    let mut lines: Vec<_> = OUR_PASSWORD.lines().collect();
    lines.swap(0, 1);
    swapped.password = lines.join("\n");
    assert_eq!(swapped.rules().history, 0);
    for argument in [" use_authtok\n", " enforce_for_root"] {
        let mut without = files();
        without.password = OUR_PASSWORD.replacen(argument, "\n", 1);
        assert_eq!(without.rules().history, 0, "without{argument}");
    }
}

#[test]
fn a_check_whose_no_is_ignored_does_not_count() {
    let mut optional = files();
    optional.password = OUR_PASSWORD.replacen("requisite", "optional", 1);
    assert_eq!(optional.rules().min_length, 0);
    let mut again = files();
    again.password = OUR_PASSWORD.replace("obscure use_authtok", "obscure");
    assert_eq!(again.rules().min_length, 0, "pam_unix asks for another one");
}

#[test]
fn a_count_that_nobody_asks_does_not_lock() {
    for missing in ["preauth", "authfail"] {
        let mut files = files();
        let lines = OUR_AUTH.lines().filter(|line| !line.contains(missing));
        files.auth = lines.collect::<Vec<_>>().join("\n");
        assert_eq!(files.rules().max_failed_attempts, None, "{missing}");
    }
    let mut never = files();
    never.auth = OUR_AUTH.replace("deny=5", "deny=0");
    assert_eq!(never.rules().max_failed_attempts, None);
}

#[test]
fn arguments_outrank_files_and_later_files_earlier_ones() {
    let mut files = files();
    files.password = OUR_PASSWORD.replace(" minlen=6", "");
    files.pwquality = vec!["minlen = 9".to_owned(), "minlen=10 # more".to_owned()];
    assert_eq!(files.rules().min_length, 10);
    files.password = OUR_PASSWORD.to_owned();
    assert_eq!(files.rules().min_length, 6);
    files.auth = OUR_AUTH.replace(" deny=5", "");
    files.faillock = "deny = 4\n".to_owned();
    assert_eq!(files.rules().max_failed_attempts, Some(4));
}

#[test]
fn our_profiles_say_what_they_were_made_of() {
    for rules in [
        ours(),
        PasscodeRules {
            min_length: 12,
            alphanumeric: true,
            refuse_simple: false,
            history: 0,
            max_failed_attempts: None,
            set_by: SetBy::Manager,
        },
    ] {
        let tries = rules.max_failed_attempts.map(tries_profile);
        assert_eq!(
            rules_of_profiles(Some(&quality_profile(&rules)), tries.as_deref()),
            Some(rules)
        );
    }
    assert_eq!(rules_of_profiles(None, None), None);
}

const MANAGERS_PASSWORD: &str = "\
password\trequisite\t\t\tpam_rootok.so
password\trequisite\t\t\tpam_pwquality.so retry=3 minlen=6 maxrepeat=2 maxsequence=3 dictcheck=1 usercheck=1 enforce_for_root
password\trequisite\t\t\tpam_pwhistory.so remember=5 enforce_for_root use_authtok
password\t[success=1 default=ignore]\tpam_unix.so obscure use_authtok try_first_pass yescrypt
";

#[test]
fn a_passcode_is_the_managers_only_where_staff_are_refused_and_root_is_held_to_the_rules() {
    let mut files = files();
    files.password = MANAGERS_PASSWORD.to_owned();
    let managers = PasscodeRules {
        set_by: SetBy::Manager,
        ..ours()
    };
    assert_eq!(files.rules(), managers);
    for (was, becomes) in [
        ("requisite\t\t\tpam_rootok", "optional\t\t\tpam_rootok"),
        ("usercheck=1 enforce_for_root", "usercheck=1"),
    ] {
        let mut without = files.clone();
        without.password = MANAGERS_PASSWORD.replacen(was, becomes, 1);
        assert_eq!(without.rules(), ours(), "{becomes}");
    }
    let mut late = files.clone();
    let (first, rest) = MANAGERS_PASSWORD.split_once('\n').unwrap_or_default();
    late.password = format!("{rest}{first}\n");
    assert_eq!(late.rules(), ours());
}
