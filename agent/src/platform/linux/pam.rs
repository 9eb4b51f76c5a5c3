//! Passcode rules as PAM has them: our profiles for pam-auth-update, and the stacks it makes of them.

use crate::control::passcode::PasscodeRules;
use nestwarden_policy_schema::code;
use nestwarden_policy_schema::policy::SetBy;
use std::collections::BTreeMap;

/// Quality first, then history over the same new passcode, then pam_unix of the stock profile (priority 256). Debian 12's
/// pam_pwhistory reads no file of its own, so everything is said in arguments, which also outrank pwquality.conf.
pub(super) const QUALITY_PROFILE: &str = "nestwarden";
/// Counts a wrong passcode after pam_unix …
pub(super) const TRIES_PROFILE: &str = "nestwarden-tries";
/// … and refuses a locked account before it.
pub(super) const TRIES_FIRST_PROFILE: &str = "nestwarden-tries-first";

/// libpwquality accepts no shorter limit than this.
pub(super) const SHORTEST: u8 = code::SHORTEST;
const DEFAULT_MIN_LENGTH: u8 = 8;
const MAX_REPEAT: i64 = 2;
const MAX_SEQUENCE: i64 = 3;
/// How long an account stays locked after too many wrong tries. Never longer: nobody must be kept from the register.
pub(super) const UNLOCK_SECONDS: u32 = 600;
/// Wrong tries further apart than this do not count together: the module's own default.
pub(super) const FAIL_INTERVAL_SECONDS: i64 = 900;
const DEFAULT_DENY: u16 = 3;
const DEFAULT_REMEMBER: u16 = 10;

/// The arguments that hold pam_pwquality to the rules.
fn quality_arguments(rules: &PasscodeRules) -> Vec<(&'static str, i64)> {
    let mut arguments = vec![("minlen", i64::from(rules.min_length))];
    if rules.alphanumeric {
        arguments.extend([("dcredit", -1), ("lcredit", -1)]);
    }
    if rules.refuse_simple {
        arguments.extend([
            ("maxrepeat", MAX_REPEAT),
            ("maxsequence", MAX_SEQUENCE),
            ("dictcheck", 1),
            ("usercheck", 1),
        ]);
    }
    arguments
}

/// `/etc/security/pwquality.conf.d/`: the same for whatever else asks libpwquality, such as the desktop's settings.
pub(super) fn quality_file(rules: &PasscodeRules) -> String {
    let mut lines = vec!["# Written by Nestwarden. Changes are undone.".to_owned()];
    let settings = quality_arguments(rules).into_iter();
    lines.extend(settings.map(|(name, value)| format!("{name} = {value}")));
    lines.join("\n") + "\n"
}

/// `/usr/share/pam-configs/nestwarden`.
pub(super) fn quality_profile(rules: &PasscodeRules) -> String {
    let arguments: Vec<String> = quality_arguments(rules)
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let arguments = arguments.join(" ");
    let (first, for_root) = match rules.set_by {
        SetBy::User => ("", ""),
        // Who is not root is refused before anything is asked.
        SetBy::Manager => ("\trequisite\t\t\tpam_rootok.so\n", " enforce_for_root"),
    };
    let quality =
        format!("{first}\trequisite\t\t\tpam_pwquality.so retry=3 {arguments}{for_root}\n");
    let history = match rules.history {
        0 => String::new(),
        n => {
            format!("\trequisite\t\t\tpam_pwhistory.so remember={n} enforce_for_root use_authtok\n")
        }
    };
    let lines = quality + &history;
    format!(
        "Name: Nestwarden passcode quality and history\nDefault: yes\nPriority: 1040\nConflicts: pwquality, cracklib\n\
         Password-Type: Primary\nPassword:\n{lines}Password-Initial:\n{lines}"
    )
}

/// `/usr/share/pam-configs/nestwarden-tries`.
pub(super) fn tries_profile(deny: u16) -> String {
    format!(
        "Name: Nestwarden count of wrong passcodes\nDefault: yes\nPriority: 0\nAuth-Type: Primary\nAuth:\n\
         \t[default=die]\t\t\tpam_faillock.so authfail deny={deny} unlock_time={UNLOCK_SECONDS}\n\
         \tsufficient\t\t\tpam_faillock.so authsucc deny={deny} unlock_time={UNLOCK_SECONDS}\n"
    )
}

/// `/usr/share/pam-configs/nestwarden-tries-first`.
pub(super) fn tries_first_profile(deny: u16) -> String {
    format!(
        "Name: Nestwarden pause after wrong passcodes\nDefault: yes\nPriority: 1040\nAuth-Type: Primary\nAuth:\n\
         \trequisite\t\t\tpam_faillock.so preauth deny={deny} unlock_time={UNLOCK_SECONDS}\n\
         Account-Type: Primary\nAccount:\n\trequired\t\t\tpam_faillock.so\n"
    )
}

/// The text of the stacks and of what their modules read.
#[derive(Clone, Debug, Default)]
pub(super) struct PamFiles {
    pub(super) password: String,
    pub(super) auth: String,
    pub(super) account: String,
    /// pwquality's files in the order in which they are read; later ones win.
    pub(super) pwquality: Vec<String>,
    pub(super) faillock: String,
}

impl PamFiles {
    /// What is in force, whoever set it.
    pub(super) fn rules(&self) -> PasscodeRules {
        let password = parse_stack("password", &self.password);
        let unix = position(&password, "pam_unix.so");
        let quality = position(&password, "pam_pwquality.so").filter(|q| Some(*q) < unix);
        let token_is_kept = unix.is_some_and(|unix| password[unix].has("use_authtok"));
        let mut rules = PasscodeRules {
            max_failed_attempts: self.deny(),
            ..PasscodeRules::default()
        };
        if let Some(at) = quality.filter(|at| token_is_kept && password[*at].is_decisive()) {
            self.quality(&password[at], &mut rules);
            let history = position(&password, "pam_pwhistory.so")
                .filter(|history| at < *history && Some(*history) < unix)
                .map(|history| &password[history])
                .filter(|line| {
                    line.is_decisive() && line.has("use_authtok") && line.has("enforce_for_root")
                });
            rules.history = history.map_or(0, |line| {
                line.number("remember")
                    .map_or(DEFAULT_REMEMBER, |n| u16::try_from(n).unwrap_or(0))
            });
            let only_root = position(&password, "pam_rootok.so")
                .is_some_and(|first| first < at && password[first].is_decisive());
            rules.set_by = set_by(only_root, &password[at]);
        }
        rules
    }

    fn quality(&self, line: &Line, rules: &mut PasscodeRules) {
        let mut settings = BTreeMap::new();
        for text in &self.pwquality {
            settings.extend(parse_settings(text));
        }
        let value = |name: &str| {
            line.number(name)
                .or_else(|| settings.get(name).and_then(|text| text.parse().ok()))
        };
        let min_length = value("minlen").unwrap_or_else(|| i64::from(DEFAULT_MIN_LENGTH));
        rules.min_length = u8::try_from(min_length).unwrap_or(0).max(SHORTEST);
        let wants = |name: &str| value(name).is_some_and(|credit| credit < 0);
        rules.alphanumeric = wants("dcredit") && (wants("lcredit") || wants("ucredit"));
        let within =
            |name: &str, most: i64| value(name).is_some_and(|limit| (1..=most).contains(&limit));
        rules.refuse_simple = within("maxrepeat", MAX_REPEAT)
            && within("maxsequence", MAX_SEQUENCE)
            && value("dictcheck") != Some(0);
    }

    /// Wrong tries until an account locks, when the whole arrangement is in place.
    fn deny(&self) -> Option<u16> {
        let auth = parse_stack("auth", &self.auth);
        let account = parse_stack("account", &self.account);
        let of_faillock = |word: &str| {
            auth.iter()
                .position(|line| line.module == "pam_faillock.so" && line.has(word))
        };
        let unix = position(&auth, "pam_unix.so")?;
        let before = of_faillock("preauth").filter(|before| *before < unix)?;
        let after = of_faillock("authfail").filter(|after| *after > unix)?;
        position(&account, "pam_faillock.so")?;
        let settings = parse_settings(&self.faillock);
        let deny = |at: usize| {
            let value = auth[at]
                .number("deny")
                .or_else(|| settings.get("deny").and_then(|text| text.parse().ok()));
            value.map_or(DEFAULT_DENY, |deny| u16::try_from(deny).unwrap_or(0))
        };
        // 0 never locks; the two calls have to agree.
        let (before, after) = (deny(before), deny(after));
        (before > 0 && after > 0).then_some(before.max(after))
    }
}

fn set_by(only_root: bool, quality: &Line) -> SetBy {
    if only_root && quality.has("enforce_for_root") {
        SetBy::Manager
    } else {
        SetBy::User
    }
}

/// The rules that our own profiles ask for; `None` when we have none.
pub(super) fn rules_of_profiles(
    quality: Option<&str>,
    tries: Option<&str>,
) -> Option<PasscodeRules> {
    let lines = |text: &str, module: &str| {
        text.lines()
            .map(str::trim)
            .find(|line| line.contains(module))
            .and_then(|line| Line::parse(line.trim_start()))
    };
    let text = quality?;
    let quality = lines(text, "pam_pwquality.so")?;
    let mut rules = PasscodeRules::default();
    PamFiles::default().quality(&quality, &mut rules);
    rules.set_by = set_by(lines(text, "pam_rootok.so").is_some(), &quality);
    rules.history = lines(text, "pam_pwhistory.so")
        .and_then(|line| line.number("remember"))
        .map_or(0, |n| u16::try_from(n).unwrap_or(0));
    rules.max_failed_attempts = tries
        .and_then(|text| lines(text, "authfail"))
        .and_then(|line| line.number("deny"))
        .and_then(|deny| u16::try_from(deny).ok());
    Some(rules)
}

/// The shortest passcode that files other than ours allow; ours must not fall below it.
pub(super) fn min_length_of(texts: &[String]) -> Option<u8> {
    texts
        .iter()
        .filter_map(|text| parse_settings(text).get("minlen")?.parse().ok())
        .max()
}

/// One module of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    control: String,
    module: String,
    arguments: Vec<String>,
}

impl Line {
    /// `control module arguments…`, where the control may be several words in brackets.
    fn parse(text: &str) -> Option<Self> {
        let (control, rest) = if let Some(bracketed) = text.strip_prefix('[') {
            let (control, rest) = bracketed.split_once(']')?;
            (format!("[{control}]"), rest)
        } else {
            let (control, rest) = text.split_once(char::is_whitespace)?;
            (control.to_owned(), rest)
        };
        let mut words = rest.split_whitespace();
        let module = words.next()?.rsplit('/').next()?.to_owned();
        Some(Self {
            control,
            module,
            arguments: words.map(ToOwned::to_owned).collect(),
        })
    }

    /// Whether its no is the stack's no.
    fn is_decisive(&self) -> bool {
        matches!(self.control.as_str(), "requisite" | "required")
    }

    fn has(&self, word: &str) -> bool {
        self.arguments.iter().any(|argument| argument == word)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.arguments.iter().rev().find_map(|argument| {
            let (key, value) = argument.split_once('=')?;
            (key == name).then(|| value.parse().ok())?
        })
    }
}

fn parse_stack(kind: &str, text: &str) -> Vec<Line> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim().trim_start_matches('-');
            let (of, rest) = line.split_once(char::is_whitespace)?;
            (of == kind).then(|| Line::parse(rest.trim_start()))?
        })
        .collect()
}

fn position(stack: &[Line], module: &str) -> Option<usize> {
    stack.iter().position(|line| line.module == module)
}

/// `name = value` lines of pwquality.conf and faillock.conf.
fn parse_settings(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split('#').next()?.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
#[path = "pam_tests.rs"]
mod tests;
