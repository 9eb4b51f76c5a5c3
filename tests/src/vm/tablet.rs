//! The tablet and its server in one machine, and what tests ask of them.

use super::image::{Image, Kernel};
use super::machine::{Machine, Said};
use super::nursery::{Hours, Profile};
use super::packages;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long anything on an emulated processor may take before it counts as broken.
pub const PATIENCE: Duration = Duration::from_mins(5);
/// A command that is no test of its own.
const USUAL_SECONDS: u32 = 300;

/// What the controls change on a tablet, as text.
const TRACES: &str = "cat /proc/sys/kernel/unprivileged_userns_clone /proc/sys/vm/memfd_noexec
findmnt --noheadings --list --output TARGET,OPTIONS | grep -E '^/(home|tmp|var/tmp|dev/shm)' | grep -o -E '^[^ ]+|noexec'
find /usr/local/share/applications /etc/polkit-1/rules.d /etc/udev/rules.d /etc/sysctl.d /usr/share/pam-configs /etc/security/pwquality.conf.d /etc/dconf/db/local.d /etc/systemd/user ! -type d 2>/dev/null | sort
getent shadow room | cut -d: -f5
cat /etc/pam.d/common-password /etc/pam.d/common-auth /etc/pam.d/common-account | grep -v '^#'";

/// An enrolled tablet that has measured everything once.
#[derive(Debug)]
pub struct Tablet {
    machine: Machine,
    before: String,
    /// The profile the tablet was last seen to have.
    held_to: Mutex<String>,
}

impl Tablet {
    /// Boots, installs, enrols. Takes a minute or two.
    pub fn set_up(kernel: Kernel) -> Result<Self> {
        let image = Image::ready()?;
        let payload = tempfile::tempdir()?;
        packages::gather(payload.path())?;
        let machine = Machine::boot(&image, kernel, payload.path())?;
        let mut tablet = Self {
            machine,
            before: String::new(),
            held_to: Mutex::default(),
        };
        tablet.before = tablet.traces()?;
        tablet.done("dpkg -i /run/payload/*.deb")?;
        tablet.server(
            "init --name 'Little Acorns' --address 127.0.0.1:7443 --recovery-out /var/lib/nestwarden-server/sheet.txt",
        )?;
        tablet.done("systemctl restart nestwarden-signer nestwarden-server")?;
        tablet.until("a server that signs", |tablet| {
            tablet.apply(&Profile::in_hours(Hours::Contact))?;
            Ok(Some(()))
        })?;
        let token =
            tablet.server("enrol-token create --name Ladybird-1 --profile acorns --json")?;
        let token: Value = serde_json::from_str(&token)?;
        let link = token["link"].as_str().context("a token has a link")?;
        tablet.done(&format!(
            "nestwarden-agent enrol '{link}' && systemctl start nestwarden-agent"
        ))?;
        Ok(tablet)
    }

    /// What of the controls' traces was there before the agent was.
    pub fn before(&self) -> &str {
        &self.before
    }

    pub fn traces(&self) -> Result<String> {
        Ok(self.ask(TRACES)?.stdout)
    }

    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Runs a script as root, to whatever end.
    pub fn ask(&self, script: &str) -> Result<Said> {
        self.machine.ask(script, USUAL_SECONDS)
    }

    /// Runs a script as root that has to succeed, and gives what it printed.
    pub fn done(&self, script: &str) -> Result<String> {
        let said = self.ask(script)?;
        ensure!(said.code == 0, "{said:?}\n{script}");
        Ok(said.stdout)
    }

    /// Starts a program as the member of staff who has the tablet. 126: it did not start.
    pub fn staff(&self, command: &str) -> Result<Said> {
        self.ask(&format!(
            "cd /home/room && setpriv --reuid=room --regid=room --init-groups -- {command}"
        ))
    }

    pub fn server(&self, arguments: &str) -> Result<String> {
        self.done(&format!(
            "cd / && runuser -u nestwarden-server -- nestwarden-server {arguments}"
        ))
    }

    /// Makes the profile live.
    pub fn apply(&self, profile: &Profile) -> Result<()> {
        self.done(&format!(
            "cat >/tmp/profile.toml <<'END'\n{}\nEND\nchmod 644 /tmp/profile.toml",
            profile.toml()
        ))?;
        self.server("profile apply /tmp/profile.toml").map(|_| ())
    }

    /// Makes the profile live and waits until the tablet has it.
    pub fn hold_to(&self, profile: &Profile) -> Result<()> {
        let wanted = profile.toml();
        let mut held_to = self.held_to.lock().unwrap_or_else(PoisonError::into_inner);
        if *held_to == wanted {
            return Ok(());
        }
        held_to.clear();
        let before = self.status()?["generation"].as_u64();
        let live = self.server("profile show acorns --json")?;
        self.apply(profile)?;
        if self.server("profile show acorns --json")? != live {
            self.until("the tablet's next bundle", |tablet| {
                Ok((tablet.status()?["generation"].as_u64() > before).then_some(()))
            })?;
        }
        *held_to = wanted;
        Ok(())
    }

    pub fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(
            &self.done("nestwarden-agent status --json")?,
        )?)
    }

    /// What was found of a control, and when.
    pub fn control(&self, name: &str) -> Result<Value> {
        let status = self.status()?;
        let controls = status["controls"].as_array().context("controls")?;
        let found = controls.iter().find(|report| report["control"] == name);
        found
            .cloned()
            .with_context(|| format!("no control {name} in {status}"))
    }

    /// Waits until a control was measured after this call, and gives what was found.
    pub fn measured_again(&self, name: &str) -> Result<Value> {
        let before = self.control(name)?["measured_at"].clone();
        self.until("another measurement", |tablet| {
            let now = tablet.control(name)?;
            Ok((now["measured_at"] != before).then_some(now))
        })
    }

    pub fn until_compliant(&self, name: &str) -> Result<()> {
        let mut last = Value::Null;
        let waited = self.until("compliance", |tablet| {
            last = tablet.control(name)?;
            let outcome = last["outcome"].as_str();
            Ok(matches!(outcome, Some("compliant" | "corrected")).then_some(()))
        });
        waited.with_context(|| format!("{name} was last {last}\n{}", self.agent_log()))
    }

    /// The end of what the agent said.
    pub fn agent_log(&self) -> String {
        let asked = self.ask("journalctl -u nestwarden-agent --no-pager -o cat -n 40");
        asked.map(|said| said.stdout).unwrap_or_default()
    }

    /// Looks until `see` gives something.
    pub fn until<T>(
        &self,
        what: &str,
        mut see: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let end = Instant::now() + PATIENCE;
        loop {
            match see(self) {
                Ok(Some(seen)) => return Ok(seen),
                Ok(None) if Instant::now() > end => bail!("waited {PATIENCE:?} for {what}"),
                Err(problem) if Instant::now() > end => {
                    return Err(problem.context(format!("waited {PATIENCE:?} for {what}")));
                }
                // Asking takes the machine a moment, and it has work to do.
                Ok(None) | Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }
}
