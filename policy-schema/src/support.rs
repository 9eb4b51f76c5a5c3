//! Which control is held on which platform, and why not where it is not. Shown before a profile is assigned. A table.

use crate::control::ControlName;
use crate::policy::{Mode, Policy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    Linux,
    Apple,
    Android,
    Windows,
}

impl Platform {
    pub const ALL: [Self; 4] = [Self::Linux, Self::Apple, Self::Android, Self::Windows];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Apple => "apple",
            Self::Android => "android",
            Self::Windows => "windows",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a platform; write one of linux, apple, android, windows")]
pub struct PlatformParseError(String);

impl std::str::FromStr for Platform {
    type Err = PlatformParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|p| p.as_str() == text)
            .ok_or_else(|| PlatformParseError(text.chars().take(80).collect()))
    }
}

/// How far a control can be held on a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "support", rename_all = "snake_case")]
pub enum Support {
    /// Changed by the agent and read back.
    Enforced,
    /// Held in part; the reason says what is missing.
    Partial { reason: &'static str },
    /// Not held at all, and never shown as compliant.
    Unsupported { reason: &'static str },
}

impl Support {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::Partial { .. } => "partial",
            Self::Unsupported { .. } => "unsupported",
        }
    }

    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Enforced => None,
            Self::Partial { reason } | Self::Unsupported { reason } => Some(reason),
        }
    }
}

const NO_AGENT_ON_ANDROID: Support = Support::Unsupported {
    reason: "there is no agent for Android tablets yet",
};

const NO_AGENT_ON_WINDOWS: Support = Support::Unsupported {
    reason: "there is no agent for Windows tablets yet",
};

/// How far `control` can be held on `platform` today.
pub const fn support(control: ControlName, platform: Platform) -> Support {
    match platform {
        Platform::Linux => on_linux(control),
        Platform::Apple => on_apple(control),
        Platform::Android => NO_AGENT_ON_ANDROID,
        Platform::Windows => NO_AGENT_ON_WINDOWS,
    }
}

const fn on_linux(control: ControlName) -> Support {
    match control {
        ControlName::Passcode => Support::Partial {
            reason: "length, quality, history, age and locking are held by PAM; a passcode chosen before enrolment is not measured until it is next changed; one that the manager sets is taken from the console, and root can still change it, which is told",
        },
        ControlName::Apps => Support::Partial {
            reason: "native programs are held by noexec mounts and fanotify (kernel 4.20 or newer, as root); code that an approved app runs inside itself is not seen",
        },
        ControlName::Radios => Support::Partial {
            reason: "Bluetooth and Wi-Fi radios are held by rfkill, hotspot and Wi-Fi Direct through NetworkManager, nearby sharing by service and app; NFC only where the kernel lists it, and an exception for one Bluetooth service only where bluetoothd has its admin plugin, which Debian's has not",
        },
        ControlName::Storage => Support::Partial {
            reason: "removable media are held; disk encryption is observed and never changed",
        },
        ControlName::Camera => Support::Partial {
            reason: "video devices of the kernel are held; a network camera is not a camera of the tablet",
        },
        ControlName::Hours => Support::Partial {
            reason: "the session is locked where there is a graphical session; use out of hours is reported",
        },
        ControlName::Photos => Support::Partial {
            reason: "held in the capture roots of the profile and for known copies in watched homes; uploads, prints and re-encoded copies are out of reach",
        },
    }
}

const fn on_apple(control: ControlName) -> Support {
    match control {
        ControlName::Passcode
        | ControlName::Apps
        | ControlName::Radios
        | ControlName::Storage
        | ControlName::Camera => Support::Partial {
            reason: "exported, not observed: the configuration profile asks for it, and nothing here reads back whether the iPad does it",
        },
        ControlName::Hours => Support::Unsupported {
            reason: "a configuration profile knows no times of day",
        },
        ControlName::Photos => Support::Unsupported {
            reason: "no Apple command deletes photos from the Photos library",
        },
    }
}

/// One line of what a person is shown before a profile is assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SupportLine {
    pub control: ControlName,
    /// `None`: the profile leaves the control unmanaged.
    pub mode: Option<Mode>,
    #[serde(flatten)]
    pub support: Support,
}

/// What becomes of each control of `policy` on `platform`, in the order of the profile; unmanaged controls too, because
/// nobody should have to notice what is missing.
pub fn support_of(policy: &Policy, platform: Platform) -> Vec<SupportLine> {
    ControlName::ALL
        .into_iter()
        .map(|control| SupportLine {
            control,
            mode: policy.mode(control),
            support: support(control, platform),
        })
        .collect()
}

impl fmt::Display for SupportLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(mode) = self.mode else {
            return write!(f, "{}: unmanaged by this profile", self.control);
        };
        let mode = match mode {
            Mode::Observe => "observe",
            Mode::Enforce => "enforce",
        };
        write!(f, "{} ({mode}): {}", self.control, self.support.name())?;
        match self.support.reason() {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot set up may panic")]
mod tests {
    use super::{Platform, Support, support, support_of};
    use crate::control::ControlName;
    use crate::policy::{CameraPolicy, Policy};

    #[test]
    fn whatever_is_not_enforced_says_why() {
        for platform in Platform::ALL {
            for control in ControlName::ALL {
                let support = support(control, platform);
                let silent = support.reason().is_none_or(|reason| reason.len() < 20);
                assert_eq!(
                    silent,
                    support == Support::Enforced,
                    "{control} on {platform}"
                );
            }
        }
    }

    #[test]
    fn only_linux_has_an_agent() {
        for platform in [Platform::Apple, Platform::Android, Platform::Windows] {
            let photos = support(ControlName::Photos, platform);
            assert!(matches!(photos, Support::Unsupported { .. }), "{platform}");
        }
        assert_eq!(
            support(ControlName::Photos, Platform::Linux).name(),
            "partial"
        );
        let exported = support(ControlName::Camera, Platform::Apple).reason();
        assert!(exported.unwrap().starts_with("exported, not observed"));
    }

    #[test]
    fn a_person_is_shown_every_control_also_the_unmanaged_ones() {
        let policy = Policy {
            camera: Some(CameraPolicy::default()),
            ..Policy::default()
        };
        let lines: Vec<String> = support_of(&policy, Platform::Android)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(lines.len(), ControlName::ALL.len());
        assert_eq!(lines[0], "passcode: unmanaged by this profile");
        assert_eq!(
            lines[4],
            "camera (observe): unsupported: there is no agent for Android tablets yet"
        );
    }

    #[test]
    fn a_platform_reads_as_it_is_written() {
        for platform in Platform::ALL {
            assert_eq!(platform.to_string().parse(), Ok(platform));
        }
        let error = "ipad".parse::<Platform>().unwrap_err().to_string();
        assert!(error.contains("linux, apple, android, windows"), "{error}");
    }
}
