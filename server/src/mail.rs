//! How e-mail leaves this server: to the one mail server that the settings name, and to nobody else.

use crate::settings::{Encryption, MailServer};
use jiff::Timestamp;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use nestwarden_policy_schema::bytes::Digest;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// A mail server that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_PASSWORD_BYTES: u64 = 4_096;
/// What is kept of an error.
const PROBLEM_CHARS: usize = 300;
/// Replies that say there is no such recipient (RFC 5321, 4.2.2). Any other refusal may end by itself, or by somebody's work.
const NO_SUCH_RECIPIENT: [u16; 2] = [550, 553];

/// One e-mail, ready to be handed over.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub to: &'a str,
    pub subject: &'a str,
    pub body: &'a str,
    /// The same for the same e-mail sent again, so that who has it already may leave it out.
    pub id: Digest,
    pub at: Timestamp,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotSent {
    /// Trying again may help. Says what failed, without passwords.
    #[error("{0}")]
    Later(String),
    /// Trying again does not help.
    #[error("{0}")]
    Never(String),
}

pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), NotSent>> + Send + 'a>>;

/// What takes e-mail.
pub trait Post: Send + Sync + 'static {
    /// Comes back once the mail server has taken it over, or after a time-out.
    fn send<'a>(&'a self, mail: Outgoing<'a>) -> Sending<'a>;
}

#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("failed to read `{path}`, which `mail.{key}` in `server.toml` names")]
    Read {
        key: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{0}` holds no certificate in PEM; `mail.authority` in `server.toml` names it")]
    Authority(PathBuf),
    #[error("the connection to the mail server cannot be set up: {0}")]
    Tls(String),
    #[error("`mail.from` in `server.toml` cannot be used: {0}")]
    From(String),
}

/// A mail server that is spoken to by SMTP (RFC 5321), over TLS 1.2 or newer: not all of them speak 1.3 yet.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    /// Reads password and certificate. Blocks for that.
    pub fn new(settings: &MailServer) -> Result<Self, MailError> {
        let (host, port) = settings.host_and_port();
        let from: Mailbox = settings
            .from
            .parse()
            .map_err(|error: lettre::address::AddressError| MailError::From(error.to_string()))?;
        let tls = match settings.encryption {
            Encryption::Tls => Tls::Wrapper(parameters(host, settings)?),
            Encryption::Starttls => Tls::Required(parameters(host, settings)?),
            Encryption::None => Tls::None,
        };
        // Not the name of this machine, which is nobody's business.
        let name = ClientId::Domain(from.email.domain().to_owned());
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .tls(tls)
            .hello_name(name)
            .timeout(Some(PATIENCE));
        if let Some((user, path)) = settings.user.as_ref().zip(settings.password_file.as_ref()) {
            let password = read("password_file", path)?;
            let password = password.trim_end_matches(['\r', '\n']).to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self {
            transport: builder.build(),
            from,
        })
    }
}

fn parameters(host: &str, settings: &MailServer) -> Result<TlsParameters, MailError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = &settings.authority {
        let pem = read("authority", path)?;
        let certificate = Certificate::from_pem(pem.as_bytes());
        builder = builder
            .add_root_certificate(certificate.map_err(|_| MailError::Authority(path.clone()))?);
    }
    builder
        .build_rustls()
        .map_err(|error| MailError::Tls(told(&error)))
}

fn read(key: &'static str, path: &Path) -> Result<Zeroizing<String>, MailError> {
    use std::io::Read as _;
    let failed = |source| MailError::Read {
        key,
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = Zeroizing::new(String::new());
    let limit = if key == "authority" {
        1 << 20
    } else {
        MAX_PASSWORD_BYTES
    };
    file.take(limit).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Stands for a mail server that cannot be used, for this reason, until the next start.
pub struct Broken(pub String);

impl Post for Broken {
    fn send<'a>(&'a self, _mail: Outgoing<'a>) -> Sending<'a> {
        Box::pin(async { Err(NotSent::Later(self.0.clone())) })
    }
}

impl Post for Smtp {
    fn send<'a>(&'a self, mail: Outgoing<'a>) -> Sending<'a> {
        Box::pin(async move {
            let message = message(&self.from, mail)?;
            let sent = self.transport.send(message).await;
            sent.map(drop).map_err(|error| {
                let is_gone = error
                    .status()
                    .is_some_and(|code| NO_SUCH_RECIPIENT.contains(&code.into()));
                if is_gone {
                    NotSent::Never(told(&error))
                } else {
                    NotSent::Later(told(&error))
                }
            })
        })
    }
}

fn message(from: &Mailbox, mail: Outgoing<'_>) -> Result<Message, NotSent> {
    let never = |what: &str| NotSent::Never(what.to_owned());
    let to = mail.to.parse().map_err(|_| never("this is no address"))?;
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(mail.subject)
        .date(SystemTime::from(mail.at))
        .message_id(Some(format!("<{}@{}>", mail.id, from.email.domain())))
        .header(ContentType::TEXT_PLAIN)
        .body(mail.body.to_owned())
        .map_err(|error| NotSent::Never(error.to_string()))
}

/// With what is behind it, on one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(behind) = source {
        let more = behind.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = behind.source();
    }
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(PROBLEM_CHARS).collect()
}

#[cfg(test)]
mod tests;
