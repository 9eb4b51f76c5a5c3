//! Against a mail server that speaks SMTP over real TLS.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::settings::Settings;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// How it meets who connects.
#[derive(Clone, Copy, PartialEq)]
enum Door {
    Tls,
    Starttls,
    /// Says nothing of encryption, as somebody in between would have it.
    Open,
}

struct MailServerHere {
    dir: tempfile::TempDir,
    port: u16,
    /// Every line it was told, without encryption or within.
    told: Arc<Mutex<Vec<(bool, String)>>>,
}

impl MailServerHere {
    async fn start(door: Door, to_recipient: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(dir.path().join("authority.pem"), cert.pem()).unwrap();
        std::fs::write(dir.path().join("password"), "acorn tree\n").unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&told);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, told) = (acceptor.clone(), Arc::clone(&noted));
                tokio::spawn(async move {
                    if door == Door::Tls {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            speak(stream, (true, false), to_recipient, &told).await;
                        }
                        return;
                    }
                    let offers = door == Door::Starttls;
                    if let Some(stream) = speak(stream, (false, offers), to_recipient, &told).await
                        && let Ok(stream) = acceptor.accept(stream).await
                    {
                        speak(stream, (true, false), to_recipient, &told).await;
                    }
                });
            }
        });
        Self { dir, port, told }
    }

    fn settings(&self, encryption: &str, more: &str) -> MailServer {
        let text = format!(
            "setting = \"0192e4a1-7c3b-7d10-8f2e-5a6b7c8d9e0f\"\nname = \"Little Acorns\"\n\
             [tablets]\nlisten = \"127.0.0.1:0\"\naddress = \"box:7443\"\n\
             [console]\nlisten = \"127.0.0.1:0\"\n\
             [mail]\nserver = \"localhost:{}\"\nencryption = \"{encryption}\"\n\
             from = \"box@acorns.example\"\n{more}",
            self.port
        );
        Settings::from_toml(&text).unwrap().mail.unwrap()
    }

    fn trusted(&self) -> String {
        let file = |name: &str| self.dir.path().join(name).display().to_string();
        format!(
            "authority = \"{}\"\nuser = \"box\"\npassword_file = \"{}\"\n",
            file("authority.pem"),
            file("password")
        )
    }

    fn lines(&self, encrypted: bool) -> Vec<String> {
        let told = self.told.lock().unwrap();
        let lines = told.iter().filter(|(was, _)| *was == encrypted);
        lines.map(|(_, line)| line.clone()).collect()
    }
}

/// Gives the stream back where encryption begins.
async fn speak<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    (encrypted, offers): (bool, bool),
    to_recipient: &str,
    told: &Mutex<Vec<(bool, String)>>,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    // After STARTTLS the client speaks first.
    let greets = !encrypted || told.lock().unwrap().is_empty();
    if greets {
        stream.write_all(b"220 here\r\n").await.ok()?;
    }
    let mut in_data = false;
    loop {
        stream.flush().await.ok()?;
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        told.lock().unwrap().push((encrypted, line.clone()));
        let answer = match line.split(' ').next().unwrap() {
            "." if in_data => {
                in_data = false;
                "250 taken"
            }
            _ if in_data => continue,
            "EHLO" if offers => "250-here\r\n250 STARTTLS",
            "EHLO" => "250-here\r\n250 AUTH PLAIN",
            "STARTTLS" => {
                stream.write_all(b"220 go on\r\n").await.ok()?;
                stream.flush().await.ok()?;
                return Some(stream.into_inner());
            }
            "AUTH" => "235 welcome",
            "RCPT" => to_recipient,
            "DATA" => {
                in_data = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        let bytes = format!("{answer}\r\n");
        stream.write_all(bytes.as_bytes()).await.ok()?;
    }
}

fn mail(to: &str) -> Outgoing<'_> {
    Outgoing {
        to,
        subject: "Little Acorns: 2 things to do",
        body: "- Zoë: nothing\n.\n- done\n",
        id: Digest::sha256(b"one"),
        at: "2026-03-10T08:00:00Z".parse().unwrap(),
    }
}

async fn sent(server: &MailServerHere, settings: &MailServer) -> Result<(), NotSent> {
    let smtp = Smtp::new(settings).unwrap();
    let sent = smtp.send(mail("dana@acorns.example")).await;
    assert!(
        server
            .lines(false)
            .iter()
            .all(|line| !line.contains("dana"))
    );
    sent
}

#[tokio::test]
async fn a_mail_reaches_the_mail_server_whole_and_encrypted() {
    for (door, encryption) in [(Door::Tls, "tls"), (Door::Starttls, "starttls")] {
        let server = MailServerHere::start(door, "250 fine").await;
        let settings = server.settings(encryption, &server.trusted());
        sent(&server, &settings).await.unwrap();
        let lines = server.lines(true).join("\n");
        for said in [
            "EHLO acorns.example",
            "AUTH PLAIN AGJveABhY29ybiB0cmVl",
            "MAIL FROM:<box@acorns.example>",
            "RCPT TO:<dana@acorns.example>",
            "Subject: Little Acorns: 2 things to do",
            "Date: Tue, 10 Mar 2026 08:00:00 +0000",
            "Message-ID: <7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed@acorns.example>",
            // A line of one dot ends a mail, and is written as two.
            "\n..\n",
        ] {
            assert!(lines.contains(said), "{said} in {lines}");
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_that_does_not_encrypt_or_that_nobody_vouches_for() {
    let open = MailServerHere::start(Door::Open, "250 fine").await;
    let settings = open.settings("starttls", &open.trusted());
    let refused = sent(&open, &settings).await.unwrap_err();
    assert!(matches!(refused, NotSent::Later(_)));
    assert!(
        !open
            .lines(false)
            .iter()
            .any(|line| line.starts_with("AUTH"))
    );

    let unknown = MailServerHere::start(Door::Tls, "250 fine").await;
    let settings = unknown.settings("tls", "");
    let NotSent::Later(why) = sent(&unknown, &settings).await.unwrap_err() else {
        panic!("given up for good");
    };
    assert!(why.to_lowercase().contains("certificate"), "{why}");
    assert_eq!(unknown.lines(true), [""; 0]);
}

#[tokio::test]
async fn who_is_not_there_is_told_apart_from_what_may_pass() {
    for (answer, is_final) in [
        ("550 no such person", true),
        ("450 try later", false),
        ("554 not now", false),
    ] {
        let server = MailServerHere::start(Door::Tls, answer).await;
        let settings = server.settings("tls", &server.trusted());
        let refused = sent(&server, &settings).await.unwrap_err();
        assert_eq!(matches!(refused, NotSent::Never(_)), is_final, "{refused}");
        assert!(!refused.to_string().contains("acorn tree"));
    }
}

#[test]
fn a_password_that_cannot_be_read_is_named_with_its_key() {
    let settings = Settings::from_toml(
        "setting = \"0192e4a1-7c3b-7d10-8f2e-5a6b7c8d9e0f\"\nname = \"a\"\n\
         [tablets]\nlisten = \"127.0.0.1:0\"\naddress = \"box:7443\"\n\
         [console]\nlisten = \"127.0.0.1:0\"\n\
         [mail]\nserver = \"localhost:1\"\nencryption = \"tls\"\nfrom = \"box@acorns.example\"\n\
         user = \"box\"\npassword_file = \"/nowhere/password\"\n",
    );
    let Err(refused) = Smtp::new(&settings.unwrap().mail.unwrap()) else {
        panic!("it was read");
    };
    assert!(refused.to_string().contains("`mail.password_file`"));
}
