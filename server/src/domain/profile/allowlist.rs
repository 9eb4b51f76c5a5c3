//! Adds one package to the apps that a profile's text allows, or takes it out. Everything else in the text stays as somebody
//! wrote it, comments too; what comes of it is read again before anybody sees it.

use nestwarden_policy_schema::policy::AppId;
use nestwarden_policy_schema::profile::PolicyProfile;
use serde::Deserialize;
use std::ops::Range;
use toml::Spanned;

/// In lists that do not show how they are indented.
const INDENT: &str = "    ";

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowlistError {
    #[error(
        "what is live cannot be read by this version of the server, so nothing can be added to it or taken out; write it anew"
    )]
    Unreadable,
    #[error("this profile leaves apps alone: write `[policy.apps]` into its text first")]
    NoApps,
    #[error("this profile allows the app already")]
    Already,
    #[error("this profile does not allow the app")]
    NotThere,
    #[error("its list of apps is written in a way that is changed by hand only; change it below")]
    ByHand,
}

/// `source` with `app` among the apps it allows.
pub fn with(source: &str, app: &AppId) -> Result<String, AllowlistError> {
    let mut wanted = read(source)?;
    let apps = wanted.policy.apps.as_mut().ok_or(AllowlistError::NoApps)?;
    if !apps.allowed.insert(app.clone()) {
        return Err(AllowlistError::Already);
    }
    let elements = elements(source)?;
    let last = elements.last().ok_or(AllowlistError::ByHand)?;
    let changed = added(source, &last.at, app);
    match PolicyProfile::from_toml(&changed) {
        Ok(profile) if profile == wanted => Ok(changed),
        Ok(_) | Err(_) => Err(AllowlistError::ByHand),
    }
}

/// `source` without `app` among the apps it allows. It may be a profile that has to be refused, such as one without an
/// essential app: whoever compares it says why.
pub fn without(source: &str, app: &AppId) -> Result<String, AllowlistError> {
    let mut wanted = read(source)?;
    let apps = wanted.policy.apps.as_mut().ok_or(AllowlistError::NoApps)?;
    if !apps.allowed.remove(app) {
        return Err(AllowlistError::NotThere);
    }
    let name = app.to_string();
    let mut changed = source.to_owned();
    // One after the other: each moves those behind it.
    loop {
        let elements = elements(&changed)?;
        let Some(index) = elements.iter().position(|element| element.name == name) else {
            break;
        };
        let before = index.checked_sub(1).and_then(|index| elements.get(index));
        let part = around(
            &changed,
            &elements[index].at,
            before,
            elements.get(index + 1),
        );
        changed.replace_range(part, "");
    }
    match PolicyProfile::from_toml(&changed) {
        Ok(profile) if profile != wanted => Err(AllowlistError::ByHand),
        Ok(_) | Err(_) => Ok(changed),
    }
}

fn read(source: &str) -> Result<PolicyProfile, AllowlistError> {
    PolicyProfile::from_toml(source).map_err(|_| AllowlistError::Unreadable)
}

/// One text of the list, and where it stands, quotes included.
struct Element {
    name: String,
    at: Range<usize>,
}

fn elements(source: &str) -> Result<Vec<Element>, AllowlistError> {
    #[derive(Deserialize)]
    struct Whole {
        policy: Policy,
    }
    #[derive(Deserialize)]
    struct Policy {
        apps: Apps,
    }
    #[derive(Deserialize)]
    struct Apps {
        allowed: Vec<Spanned<String>>,
    }
    let whole: Whole = toml::from_str(source).map_err(|_| AllowlistError::ByHand)?;
    let element = |spanned: Spanned<String>| Element {
        at: spanned.span(),
        name: spanned.into_inner(),
    };
    Ok(whole.policy.apps.allowed.into_iter().map(element).collect())
}

/// What stands around a place on its line.
struct OnLine<'t> {
    begins: usize,
    /// Without the end of the line.
    ends: usize,
    before: &'t str,
    has_comma: bool,
    /// Behind the comma, if there is one.
    behind: &'t str,
}

impl<'t> OnLine<'t> {
    fn of(source: &'t str, at: &Range<usize>) -> Self {
        let begins = source[..at.start].rfind('\n').map_or(0, |end| end + 1);
        let rest = &source[at.end..];
        let line = rest.lines().next().unwrap_or_default();
        let after = line.trim_start();
        let behind = after.strip_prefix(',');
        Self {
            begins,
            ends: at.end + line.len(),
            before: &source[begins..at.start],
            has_comma: behind.is_some(),
            behind: behind.unwrap_or(after).trim(),
        }
    }

    /// Whether nothing but a comment follows.
    fn is_last(&self) -> bool {
        self.behind.is_empty() || self.behind.starts_with('#')
    }
}

fn added(source: &str, last: &Range<usize>, app: &AppId) -> String {
    let line = OnLine::of(source, last);
    let mut text = source.to_owned();
    if !line.is_last() {
        text.insert_str(last.end, &format!(", \"{app}\""));
        return text;
    }
    let indent = Some(line.before).filter(|before| before.trim().is_empty());
    let indent = indent.unwrap_or(INDENT);
    let comma = if line.has_comma { "," } else { "" };
    text.insert_str(line.ends, &format!("\n{indent}\"{app}\"{comma}"));
    if !line.has_comma {
        text.insert(last.end, ',');
    }
    text
}

/// The part of `source` that goes with an element: its line, where it has one of its own; else as far as its neighbour.
fn around(
    source: &str,
    at: &Range<usize>,
    before: Option<&Element>,
    after: Option<&Element>,
) -> Range<usize> {
    let line = OnLine::of(source, at);
    if line.before.trim().is_empty() && line.is_last() {
        let rest = &source[line.ends..];
        let end = if rest.starts_with("\r\n") {
            2
        } else {
            rest.len().min(1)
        };
        return line.begins..line.ends + end;
    }
    match (before, after) {
        (_, Some(after)) => at.start..after.at.start,
        (Some(before), None) => before.at.end..at.end,
        (None, None) => {
            let comma = source[at.end..].find(',').filter(|_| line.has_comma);
            at.start..comma.map_or(at.end, |comma| at.end + comma + 1)
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use nestwarden_policy_schema::profile::EARLY_YEARS;
    use proptest::prelude::*;

    fn app(name: &str) -> AppId {
        name.parse().unwrap()
    }

    /// The starting profile with its list of apps written so.
    fn written(list: &str) -> String {
        let begins = EARLY_YEARS.find("allowed = [").unwrap();
        let ends = begins + EARLY_YEARS[begins..].find("\n]\n").unwrap() + 2;
        format!(
            "{}allowed = {list}{}",
            &EARLY_YEARS[..begins],
            &EARLY_YEARS[ends..]
        )
        .replace(
            "essential = [\"dpkg:nursery-register\", \"dpkg:nursery-emergency-contacts\"]",
            "essential = [\"dpkg:register\"]",
        )
    }

    /// How the list is written then.
    fn list(source: &str) -> &str {
        let begins = source.find("allowed = ").unwrap() + "allowed = ".len();
        let ends = begins + source[begins..].find(']').unwrap() + 1;
        &source[begins..ends]
    }

    const WAYS: [(&str, &str, &str); 6] = [
        (
            "[\"dpkg:register\"]",
            "[\"dpkg:register\", \"dpkg:paint\"]",
            "all on one line",
        ),
        (
            "[\"dpkg:register\",]",
            "[\"dpkg:register\", \"dpkg:paint\",]",
            "with a comma at the end",
        ),
        (
            "[\n  \"dpkg:register\", # first\n]",
            "[\n  \"dpkg:register\", # first\n  \"dpkg:paint\",\n]",
            "a line each, with a comment",
        ),
        (
            "[\n  \"dpkg:register\" # only\n]",
            "[\n  \"dpkg:register\", # only\n  \"dpkg:paint\"\n]",
            "a line each, without a comma at the end",
        ),
        (
            "[\r\n\t'dpkg:register',\r\n]",
            "[\r\n\t'dpkg:register',\n\t\"dpkg:paint\",\r\n]",
            "as another system ends lines",
        ),
        (
            "[ # apps\n  \"dpkg:register\",\n  # no more\n]",
            "[ # apps\n  \"dpkg:register\",\n  \"dpkg:paint\",\n  # no more\n]",
            "with a comment below",
        ),
    ];

    #[test]
    fn an_app_comes_into_the_list_and_out_of_it_however_it_is_written_and_nothing_else_changes() {
        for (before, after, how) in WAYS {
            let source = written(before);
            let changed = with(&source, &app("dpkg:paint")).unwrap();
            assert_eq!(list(&changed), after, "{how}");
            let back = without(&changed, &app("dpkg:paint")).unwrap();
            let (back, source) = (
                PolicyProfile::from_toml(&back),
                PolicyProfile::from_toml(&source),
            );
            assert_eq!(back.unwrap(), source.unwrap(), "{how}");
        }
    }

    #[test]
    fn a_line_goes_with_its_comment_and_the_others_keep_theirs() {
        let source = written(
            "[\n  \"dpkg:register\", # first\n  \"dpkg:paint\", # for children\n  \"dpkg:clock\",\n]",
        );
        let changed = without(&source, &app("dpkg:paint")).unwrap();
        assert_eq!(
            list(&changed),
            "[\n  \"dpkg:register\", # first\n  \"dpkg:clock\",\n]"
        );
        let source =
            written("[\n  \"dpkg:register\", # first\n  \"dpkg:paint\", # for children\n]");
        let changed = without(&source, &app("dpkg:paint")).unwrap();
        assert_eq!(list(&changed), "[\n  \"dpkg:register\", # first\n]");
        for (before, after) in [
            ("[\"dpkg:paint\", \"dpkg:register\"]", "[\"dpkg:register\"]"),
            ("[\"dpkg:register\", \"dpkg:paint\"]", "[\"dpkg:register\"]"),
            (
                "[\"dpkg:register\", \"dpkg:paint\", \"dpkg:paint\"]",
                "[\"dpkg:register\"]",
            ),
            (
                "[\"dpkg:paint\",\n  \"dpkg:register\"]",
                "[\"dpkg:register\"]",
            ),
            (
                "[\"dpkg:paint\", \"dpkg:paint\", \"dpkg:register\"]",
                "[\"dpkg:register\"]",
            ),
        ] {
            let changed = without(&written(before), &app("dpkg:paint")).unwrap();
            assert_eq!(list(&changed), after);
        }
    }

    #[test]
    fn what_cannot_be_is_refused_and_an_essential_app_is_for_the_profile_to_refuse() {
        let register = app("dpkg:nursery-register");
        assert_eq!(with(EARLY_YEARS, &register), Err(AllowlistError::Already));
        assert_eq!(with("name = ", &register), Err(AllowlistError::Unreadable));
        let none = without(EARLY_YEARS, &app("dpkg:paint"));
        assert_eq!(none, Err(AllowlistError::NotThere));
        let begins = EARLY_YEARS.find("[policy.apps]").unwrap();
        let ends = EARLY_YEARS.find("[policy.radios]").unwrap();
        let alone = format!("{}{}", &EARLY_YEARS[..begins], &EARLY_YEARS[ends..]);
        assert_eq!(with(&alone, &register), Err(AllowlistError::NoApps));
        let refused = PolicyProfile::from_toml(&without(EARLY_YEARS, &register).unwrap());
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("dpkg:nursery-register")
        );
    }

    proptest! {
        #[test]
        fn whatever_is_added_is_all_that_differs_and_taken_out_again_leaves_what_was(name in "[a-z][a-z0-9+._-]{0,30}") {
            let added = app(&format!("flatpak:{name}"));
            let was = PolicyProfile::from_toml(EARLY_YEARS).unwrap();
            let changed = with(EARLY_YEARS, &added).unwrap();
            let mut wanted = was.clone();
            wanted.policy.apps.as_mut().unwrap().allowed.insert(added.clone());
            prop_assert_eq!(PolicyProfile::from_toml(&changed).unwrap(), wanted);
            prop_assert_eq!(without(&changed, &added).unwrap(), EARLY_YEARS);
        }
    }
}
