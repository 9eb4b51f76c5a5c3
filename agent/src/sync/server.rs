//! One connection to the setting's server: requests out, answers or stable error codes back, everything bounded.

use crate::identity::{OTHER_KEY, TlsError};
use futures_util::stream;
use nestwarden_policy_schema::device_api::{ErrorBody, code};
use reqwest::{Body, Client, RequestBuilder};
use rustls::ClientConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, Read as _};
use std::time::Duration;
use zeroize::Zeroizing;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// A silent network is noticed within about a minute, also while a fetch hangs.
const KEEPALIVE: Duration = Duration::from_secs(15);
const UNACKNOWLEDGED: Duration = Duration::from_secs(45);
/// Longer than between two reports: a new connection costs more bytes than a report does.
const IDLE: Duration = Duration::from_mins(8);
/// Bundles hold the register of a whole setting.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
const CHUNK_BYTES: usize = 128 * 1024;
const SLOWEST_BYTES_PER_S: u64 = 300_000;

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Nothing came back; the innermost reason is the one that helps.
    #[error("the server at {server} cannot be reached: {reason}")]
    Unreachable {
        server: String,
        reason: String,
        connected: bool,
    },
    #[error(
        "what answers at {server} is not the server this tablet was given: its key is another one. Check the address; to enrol, make a new link on the server itself with `nestwarden-server enrol-token create`; on a tablet in use ask who looks after the server whether its keys were replaced"
    )]
    OtherServer { server: String },
    #[error("the server refused: {message} ({code})")]
    Refused { code: String, message: String },
    #[error("the server's answer cannot be used: {0}")]
    Answer(String),
}

impl ServerError {
    pub fn is_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }

    pub fn is_revoked(&self) -> bool {
        self.is_code(code::DEVICE_REVOKED) || self.is_code(code::DEVICE_UNKNOWN)
    }
}

/// A client for one server with one set of pins and one certificate.
#[derive(Clone, Debug)]
pub struct Server {
    address: String,
    client: Client,
}

impl Server {
    /// `address`: host and port.
    pub fn new(address: &str, tls: ClientConfig) -> Result<Self, TlsError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE)
            .tcp_keepalive_retries(2)
            .tcp_user_timeout(UNACKNOWLEDGED)
            .pool_max_idle_per_host(2)
            .pool_idle_timeout(IDLE)
            .build()?;
        Ok(Self {
            address: address.to_owned(),
            client,
        })
    }

    /// Waits up to `hang` beyond the usual for an answer.
    pub async fn get<A: DeserializeOwned>(
        &self,
        path_and_query: &str,
        hang: Duration,
    ) -> Result<A, ServerError> {
        let request = self
            .client
            .get(self.url(path_and_query))
            .timeout(ANSWER_TIMEOUT + hang);
        self.answer(request).await
    }

    /// What came is overwritten once it was read.
    pub async fn get_secret<A: DeserializeOwned>(&self, path: &str) -> Result<A, ServerError> {
        let request = self.client.get(self.url(path)).timeout(ANSWER_TIMEOUT);
        let bytes = Zeroizing::new(self.bytes(request).await?);
        // The error could quote it.
        serde_json::from_slice(&bytes)
            .map_err(|_| ServerError::Answer("it is not what was asked for".to_owned()))
    }

    pub async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<A, ServerError> {
        let request = self
            .client
            .post(self.url(path))
            .timeout(ANSWER_TIMEOUT)
            .json(body);
        self.answer(request).await
    }

    pub async fn post_empty<A: DeserializeOwned>(&self, path: &str) -> Result<A, ServerError> {
        let request = self.client.post(self.url(path)).timeout(ANSWER_TIMEOUT);
        self.answer(request).await
    }

    /// For answers without a body.
    pub async fn put_down(&self, path: &str, body: &impl Serialize) -> Result<(), ServerError> {
        let request = self
            .client
            .post(self.url(path))
            .timeout(ANSWER_TIMEOUT)
            .json(body);
        self.bytes(request).await.map(drop)
    }

    /// Sends a file as it is read. Waits as long as the slowest network takes that is of use.
    pub async fn put_file(
        &self,
        path: &str,
        (file, bytes): (File, u64),
    ) -> Result<(), ServerError> {
        let chunks = stream::try_unfold((file, bytes), |(mut file, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let most = usize::try_from(left)
                .unwrap_or(CHUNK_BYTES)
                .min(CHUNK_BYTES);
            let read = tokio::task::spawn_blocking(move || {
                let mut chunk = vec![0; most];
                file.read_exact(&mut chunk)?;
                Ok::<_, io::Error>((chunk, file))
            });
            let (chunk, file) = read.await.map_err(io::Error::other)??;
            Ok::<_, io::Error>(Some((chunk, (file, left - most as u64))))
        });
        let patience = Duration::from_secs(bytes / SLOWEST_BYTES_PER_S);
        let request = self
            .client
            .put(self.url(path))
            .timeout(ANSWER_TIMEOUT + patience)
            .body(Body::wrap_stream(chunks));
        self.bytes(request).await.map(drop)
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    async fn answer<A: DeserializeOwned>(&self, request: RequestBuilder) -> Result<A, ServerError> {
        let bytes = self.bytes(request).await?;
        serde_json::from_slice(&bytes).map_err(|error| ServerError::Answer(error.to_string()))
    }

    async fn bytes(&self, request: RequestBuilder) -> Result<Vec<u8>, ServerError> {
        let mut response = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
            if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(ServerError::Answer(format!(
                    "it is longer than {MAX_ANSWER_BYTES} bytes"
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(bytes);
        }
        match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(body) => Err(ServerError::Refused {
                code: body.code,
                message: body.message,
            }),
            Err(_) => Err(ServerError::Answer(format!("it is HTTP status {status}"))),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ServerError {
        let mut innermost: &dyn std::error::Error = error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        if innermost.to_string().contains(OTHER_KEY) {
            return ServerError::OtherServer {
                server: self.address.clone(),
            };
        }
        ServerError::Unreachable {
            server: self.address.clone(),
            reason: innermost.to_string(),
            connected: !error.is_connect(),
        }
    }
}
