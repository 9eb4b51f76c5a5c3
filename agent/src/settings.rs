//! What an administrator may set on a tablet: `/etc/nestwarden/agent.toml`, which may be absent.

use crate::paths::Paths;
use serde::Deserialize;
use std::path::PathBuf;

/// Checked settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whose members may start sessions and say who is in a photo; `None`: root alone.
    pub staff_group: Option<StaffGroup>,
    pub log: LogLevel,
    /// Where the tablet's page is served, on the loopback address; 0: any that is free.
    pub page_port: u16,
}

/// Beside the server's, so that both can be tried out on one machine.
const PAGE_PORT: u16 = 7445;

/// A group of this tablet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaffGroup {
    pub name: String,
    pub gid: u32,
}

/// How much goes to standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("failed to read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "`{path}`: {problem}write only `staff_group = \"GROUP\"`, `page_port = 7445` and `log = \"error\"`, `\"warn\"`, `\"info\"` or `\"debug\"`"
    )]
    Syntax { path: PathBuf, problem: String },
    #[error(
        "`{path}`: `staff_group` is \"{name}\", and this tablet has no such group; make it with `groupadd {name}` or name another"
    )]
    NoSuchGroup { path: PathBuf, name: String },
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    staff_group: Option<String>,
    #[serde(default)]
    log: LogLevel,
    page_port: Option<u16>,
}

impl Settings {
    /// Reads and checks them; the defaults where there is no file.
    pub fn read(paths: &Paths) -> Result<Self, SettingsError> {
        let path = paths.settings_path();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(SettingsError::Read { path, source }),
        };
        let written: Written = toml::from_str(&text).map_err(|error| SettingsError::Syntax {
            path: path.clone(),
            // Names line, column and value, and shows the line.
            problem: error.to_string(),
        })?;
        let staff_group = written
            .staff_group
            .map(|name| match nix::unistd::Group::from_name(&name) {
                Ok(Some(group)) => Ok(StaffGroup {
                    name,
                    gid: group.gid.as_raw(),
                }),
                Ok(None) | Err(_) => Err(SettingsError::NoSuchGroup { path, name }),
            })
            .transpose()?;
        Ok(Self {
            staff_group,
            log: written.log,
            page_port: written.page_port.unwrap_or(PAGE_PORT),
        })
    }
}

impl LogLevel {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());
        std::fs::create_dir_all(paths.settings_path().parent().unwrap()).unwrap();
        std::fs::write(paths.settings_path(), text).unwrap();
        Settings::read(&paths).map_err(|error| error.to_string())
    }

    #[test]
    fn no_file_means_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::read(&Paths::new(dir.path())).unwrap();
        assert_eq!(settings.staff_group, None);
        assert_eq!(settings.log, LogLevel::Info);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let refused = read("log = \"warn\"\nloglevel = 3\n").unwrap_err();
        assert!(refused.contains("line 2"), "{refused}");
        assert!(refused.contains("loglevel"), "{refused}");
        assert!(refused.contains("agent.toml"), "{refused}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_with_what_to_write() {
        let refused = read("log = \"loud\"\n").unwrap_err();
        assert!(refused.contains("loud"), "{refused}");
        assert!(refused.contains("`\"debug\"`"), "{refused}");
    }

    #[test]
    fn a_group_that_does_not_exist_is_refused() {
        let refused = read("staff_group = \"no-such-group-here\"\n").unwrap_err();
        assert!(refused.contains("groupadd"), "{refused}");
    }
}
