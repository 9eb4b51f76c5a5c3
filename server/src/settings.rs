//! The data directory and the settings file in it, read and validated once.

mod reports;

use crate::domain::alert::is_address;
use crate::storage::HourlyLimit;
use crate::tls::TlsFiles;
use jiff::civil::Time;
use nestwarden_policy_schema::id::SettingId;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

pub use reports::{ReportEmail, Reports};

/// Where the server keeps everything. Nothing else builds these paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    pub fn dir(&self) -> &Path {
        &self.0
    }

    pub fn database_path(&self) -> PathBuf {
        self.0.join("nestwarden.db")
    }

    pub fn settings_path(&self) -> PathBuf {
        self.0.join("server.toml")
    }

    /// Keys of the serving process, 0700.
    pub fn keys_dir(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// What belongs to the signer process and its own user.
    pub fn signer_dir(&self) -> PathBuf {
        self.0.join("signer")
    }

    pub fn signer_socket_path(&self) -> PathBuf {
        self.signer_dir().join("signer.sock")
    }

    /// How the person who ran `init` showed that the recovery sheet was kept.
    pub fn recovery_proof_path(&self) -> PathBuf {
        self.0.join("recovery-proof.json")
    }

    /// Photos that tablets sent for subject access requests, encrypted, 0700.
    pub fn received_dir(&self) -> PathBuf {
        self.0.join("received")
    }

    /// Unix datagrams that make `serve` look for changes at once.
    pub fn wake_socket_path(&self) -> PathBuf {
        self.0.join("wake.sock")
    }
}

/// `server.toml`, as an operator may edit it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Written by `init`; never changes.
    pub setting: SettingId,
    /// What people call the nursery.
    pub name: String,
    pub tablets: TabletsListener,
    pub console: ConsoleListener,
    /// Absent: registers are imported by command only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<ImportFolder>,
    /// Absent: pages say that nobody entered the numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside_help: Option<OutsideHelp>,
    /// Absent: nobody is told anything by e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailServer>,
    #[serde(default, skip_serializing_if = "Commands::is_default")]
    pub commands: Commands,
    #[serde(default, skip_serializing_if = "Reports::is_default")]
    pub reports: Reports,
}

/// Who takes e-mail from this server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailServer {
    /// Its name and port.
    pub server: String,
    pub encryption: Encryption,
    /// The address that e-mail comes from.
    pub from: String,
    /// As whom this server signs in, with the password in `password_file`; both or neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// A certificate in PEM that is trusted besides those of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<PathBuf>,
    /// When the day's e-mail goes out, in the setting's time.
    #[serde(default = "eight")]
    pub digest_at: Time,
}

/// How the connection to the mail server is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// From the first byte on; mostly port 465.
    Tls,
    /// Begun in the open, and nothing is sent before it is encrypted; mostly port 587.
    Starttls,
    /// For a mail server on this very machine.
    None,
}

impl MailServer {
    /// Name and port, once validated.
    pub fn host_and_port(&self) -> (&str, u16) {
        let (host, port) = self.server.rsplit_once(':').unwrap_or((&self.server, ""));
        (host, port.parse().unwrap_or_default())
    }

    fn validate(&self) -> Result<(), String> {
        let Self { server, from, .. } = self;
        if !is_host_and_port(server) || server.starts_with('[') {
            return Err(format!(
                "`mail.server` is \"{server}\"; write the name of the mail server with the port, such as \"mail.example.org:465\""
            ));
        }
        let (host, _) = self.host_and_port();
        let is_here =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if self.encryption == Encryption::None && !is_here {
            return Err(
                "`mail.encryption` is \"none\", which is for a mail server on this very machine; write \"tls\" or \"starttls\""
                    .to_owned(),
            );
        }
        if !is_address(from) {
            return Err(format!(
                "`mail.from` is \"{from}\"; write the address that e-mail is to come from, such as \"nestwarden@little-acorns.example\""
            ));
        }
        if self.user.is_some() != self.password_file.is_some() {
            return Err(
                "`mail.user` and `mail.password_file` go together; name both, or neither where the mail server asks nobody"
                    .to_owned(),
            );
        }
        for (key, path) in [
            ("password_file", &self.password_file),
            ("authority", &self.authority),
        ] {
            if path.as_ref().is_some_and(|path| !path.is_absolute()) {
                return Err(format!("`mail.{key}` has to be a whole path, from / on"));
            }
        }
        Ok(())
    }
}

const fn eight() -> Time {
    Time::constant(8, 0, 0, 0)
}

/// What tablets may be told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Commands {
    /// How many commands that keep tablets from use (lock, lost, passcodes, hand back) are given within an hour, in the whole
    /// setting; 1 to 1,000. Each tablet has a lower limit of its own that no server changes.
    pub disruptive_per_hour: u32,
}

impl Default for Commands {
    fn default() -> Self {
        Self {
            disruptive_per_hour: HourlyLimit::default().0,
        }
    }
}

impl Commands {
    pub const fn limit(&self) -> HourlyLimit {
        HourlyLimit(self.disruptive_per_hour)
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whom people call who do not want to, or cannot, tell anybody of the setting. Names and numbers as they are to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutsideHelp {
    /// The local authority's designated officer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lado: Option<String>,
    /// In England Ofsted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regulator: Option<String>,
    /// A line that gives advice to staff who do not want to be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl OutsideHelp {
    fn entries(&self) -> [(&'static str, Option<&str>); 3] {
        [
            ("lado", self.lado.as_deref()),
            ("regulator", self.regulator.as_deref()),
            ("advice", self.advice.as_deref()),
        ]
    }
}

/// Where the booking system puts its scheduled exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportFolder {
    pub folder: PathBuf,
    /// By which mapping they are read; absent: they have the register's own columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
    /// Days for which imported files are kept in `done/`: they hold names.
    #[serde(default = "keep_done_days")]
    pub keep_done_days: u16,
    /// Likewise those in `refused/`.
    #[serde(default = "keep_refused_days")]
    pub keep_refused_days: u16,
}

impl ImportFolder {
    fn kept(&self) -> [(&'static str, u16); 2] {
        [
            ("keep_done_days", self.keep_done_days),
            ("keep_refused_days", self.keep_refused_days),
        ]
    }
}

const HELP_CHARS: usize = 200;

const fn keep_done_days() -> u16 {
    30
}

const fn keep_refused_days() -> u16 {
    90
}

/// The listener that tablets use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TabletsListener {
    pub listen: SocketAddr,
    /// Host name or address and port by which tablets reach it; goes into enrolment links.
    pub address: String,
}

/// The listener that people use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleListener {
    pub listen: SocketAddr,
    /// Host name or address and port by which people reach it; goes into the links they are sent. Absent: as it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// A certificate chain and its key in PEM, both or neither. Absent: those made by `init`, which no browser knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// The address of a proxy before it, whose `X-Forwarded-For` is believed. Absent: nobody's is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<IpAddr>,
}

impl ConsoleListener {
    pub fn listening(listen: SocketAddr) -> Self {
        Self {
            listen,
            address: None,
            certificate: None,
            key: None,
            proxy: None,
        }
    }

    pub fn tls_files(&self) -> Option<TlsFiles> {
        let (certificate, key) = self.certificate.clone().zip(self.key.clone())?;
        Some(TlsFiles { key, certificate })
    }

    /// `https://HOST:PORT`, as people reach it.
    pub fn origin(&self) -> String {
        match &self.address {
            Some(address) => format!("https://{address}"),
            None => format!("https://{}", self.listen),
        }
    }

    /// The page on which an invitation is used.
    pub fn set_up_link(&self, token: &str) -> String {
        format!("{}/set-up?token={token}", self.origin())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(
        "failed to read `{path}`; run `nestwarden-server init` first, or name the right directory with --data"
    )]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{path}` cannot be used: {problem}")]
    Invalid { path: PathBuf, problem: String },
}

impl Settings {
    pub fn load(data: &DataDir) -> Result<Self, SettingsError> {
        let path = data.settings_path();
        let text = std::fs::read_to_string(&path).map_err(|source| SettingsError::Read {
            path: path.clone(),
            source,
        })?;
        Self::from_toml(&text).map_err(|problem| SettingsError::Invalid { path, problem })
    }

    /// Reads and validates; the error names key, value and remedy.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let settings: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        settings.validate()?;
        Ok(settings)
    }

    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }

    fn validate(&self) -> Result<(), String> {
        if self.name.trim().is_empty() {
            return Err("`name` is empty; write what people call the nursery".to_owned());
        }
        if !is_host_and_port(&self.tablets.address) {
            return Err(format!(
                "`tablets.address` is \"{}\"; write the name or address by which tablets reach this machine, with the port, such as \"192.168.1.20:7443\"",
                self.tablets.address
            ));
        }
        if let Some(address) = &self.console.address
            && !is_host_and_port(address)
        {
            return Err(format!(
                "`console.address` is \"{address}\"; write the name or address by which people reach this machine, with the port, such as \"nursery-box.local:7444\""
            ));
        }
        if self.console.certificate.is_some() != self.console.key.is_some() {
            return Err(
                "`console.certificate` and `console.key` go together; name both files, or neither to use what `init` made"
                    .to_owned(),
            );
        }
        for (key, days) in self.import.iter().flat_map(ImportFolder::kept) {
            if !(1..=366).contains(&days) {
                return Err(format!("`import.{key}` is {days}; write 1 to 366 days"));
            }
        }
        let most = self.commands.disruptive_per_hour;
        if !(1..=1_000).contains(&most) {
            return Err(format!(
                "`commands.disruptive_per_hour` is {most}; write 1 to 1000, or leave it out for 20"
            ));
        }
        for (key, text) in self.outside_help.iter().flat_map(OutsideHelp::entries) {
            if text.is_some_and(|text| text.trim().is_empty() || text.chars().count() > HELP_CHARS)
            {
                return Err(format!(
                    "`outside_help.{key}` has to be 1 to {HELP_CHARS} characters; write the name and the number, or leave the key out"
                ));
            }
        }
        self.mail.as_ref().map_or(Ok(()), MailServer::validate)?;
        self.reports.validate(self.mail.is_some())?;
        if let Some(import) = &self.import
            && !import.folder.is_absolute()
        {
            return Err(format!(
                "`import.folder` is \"{}\"; write the whole path, from / on",
                import.folder.display()
            ));
        }
        if self.tablets.listen == self.console.listen && self.tablets.listen.port() != 0 {
            return Err(format!(
                "`console.listen` is {}, which is also `tablets.listen`; give each its own port",
                self.console.listen
            ));
        }
        Ok(())
    }
}

fn is_host_and_port(address: &str) -> bool {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let is_plain = !host.contains(|c: char| c == '/' || c.is_whitespace());
    !host.is_empty() && is_plain && port.parse::<u16>().is_ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        setting = "0192e4a1-7c3b-7d10-8f2e-5a6b7c8d9e0f"
        name = "Little Acorns"
        [tablets]
        listen = "0.0.0.0:7443"
        address = "nursery.local:7443"
        [console]
        listen = "127.0.0.1:7444"
    "#;

    #[test]
    fn settings_survive_being_written_and_read() {
        let settings = Settings::from_toml(GOOD).unwrap();
        assert_eq!(
            Settings::from_toml(&settings.to_toml().unwrap()).unwrap(),
            settings
        );
    }

    #[test]
    fn a_mistake_in_the_settings_names_key_value_and_remedy() {
        for (from, to, says) in [
            ("nursery.local:7443", "nursery.local", "tablets.address"),
            ("127.0.0.1:7444", "0.0.0.0:7443", "give each its own port"),
            (
                "listen = \"127",
                "address = \"https://box\"\nlisten = \"127",
                "`console.address`",
            ),
            (
                "listen = \"127",
                "key = \"/console.key\"\nlisten = \"127",
                "go together",
            ),
            ("Little Acorns", " ", "`name` is empty"),
            ("listen = \"127", "lisen = \"127", "lisen"),
            (
                "[console]",
                "[outside_help]\nlado = \" \"\n[console]",
                "`outside_help.lado`",
            ),
            (
                "[console]",
                "[mail]\nserver = \"mail.example.org:25\"\nencryption = \"none\"\nfrom = \"box@acorns.example\"\n[console]",
                "`mail.encryption`",
            ),
            (
                "[console]",
                "[mail]\nserver = \"mail.example.org\"\nencryption = \"tls\"\nfrom = \"box@acorns.example\"\n[console]",
                "`mail.server`",
            ),
            (
                "[console]",
                "[mail]\nserver = \"mail.example.org:465\"\nencryption = \"tls\"\nfrom = \"box\"\n[console]",
                "`mail.from`",
            ),
            (
                "[console]",
                "[mail]\nserver = \"mail.example.org:465\"\nencryption = \"tls\"\nfrom = \"box@acorns.example\"\nuser = \"box\"\n[console]",
                "go together",
            ),
            (
                "[console]",
                "[import]\nfolder = \"exports\"\n[console]",
                "`import.folder`",
            ),
            (
                "[console]",
                "[import]\nfolder = \"/exports\"\nkeep_done_days = 0\n[console]",
                "`import.keep_done_days` is 0",
            ),
            (
                "[console]",
                "[commands]\ndisruptive_per_hour = 0\n[console]",
                "`commands.disruptive_per_hour` is 0",
            ),
            (
                "[console]",
                "[reports.thresholds]\napps_ran = 0\n[console]",
                "`reports.thresholds.apps_ran` is 0",
            ),
            (
                "[console]",
                "[reports.email]\nweekday = \"monday\"\n[console]",
                "`reports.email` needs a mail server",
            ),
        ] {
            let refused = Settings::from_toml(&GOOD.replace(from, to)).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
