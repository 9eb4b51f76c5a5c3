//! A server in this process: real TLS with a key of its own, one request a connection, answers as the test says.

use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::trust::SpkiPin;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Status and body for a request's path (with query) and body.
pub(super) type Answers = dyn FnMut(&str, &[u8]) -> (u16, Value) + Send;

pub(super) struct TestServer {
    pub(super) address: String,
    pub(super) pin: SpkiPin,
    /// Paths asked for, without queries.
    pub(super) asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestServer {
    pub(super) async fn start(
        answers: impl FnMut(&str, &[u8]) -> (u16, Value) + Send + 'static,
    ) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap();
        let pin = super::super::identity::spki_pin(certificate.der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(certificate.der().to_vec())],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let answers: Arc<Mutex<Box<Answers>>> = Arc::new(Mutex::new(Box::new(answers)));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that does not like the pin hangs up here.
                let _ = serve(&acceptor, stream, &answers, &seen).await;
            }
        });
        Self {
            address,
            pin,
            asked,
            task,
        }
    }

    pub(super) fn was_asked(&self, path: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|asked| asked == path)
    }
}

/// A pin nobody has.
pub(super) fn other_pin() -> SpkiPin {
    SpkiPin(Digest([9; 32]))
}

async fn serve(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    answers: &Mutex<Box<Answers>>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut request = Vec::new();
    let head_end = loop {
        if let Some(end) = request.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&request[..head_end]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse::<usize>().unwrap());
    while request.len() < head_end + length {
        stream.read_buf(&mut request).await?;
    }
    let first_line = String::from_utf8_lossy(&request[..head_end])
        .lines()
        .next()
        .unwrap()
        .to_owned();
    let path = first_line.split(' ').nth(1).unwrap().to_owned();
    asked
        .lock()
        .unwrap()
        .push(path.split('?').next().unwrap().to_owned());
    let (status, body) = (answers.lock().unwrap())(&path, &request[head_end..]);
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
