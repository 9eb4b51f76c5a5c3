//! `serve`'s side of the signer. Connects when it needs to, and again after the signer was restarted.

use crate::signing::archive::ArchiveManifest;
use crate::signing::protocol::{Answer, Refusal, Request, read_frame, write_frame};
use crate::signing::report::{PrintManifest, ReportManifest};
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::id::{DeviceId, SettingId};
use nestwarden_policy_schema::trust::{Anchors, SigningPublicKey};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

/// For one answer, the wait for earlier requests not included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum SignerClientError {
    #[error("failed to reach the signer at `{path}`; is `nestwarden-server signer` running?")]
    Unreachable { path: PathBuf, source: io::Error },
    #[error("lost the signer at `{path}` before it answered")]
    Lost { path: PathBuf, source: io::Error },
    #[error("the signer refused: {0}")]
    Refused(Refusal),
    #[error("the signer gave an answer that does not fit the request")]
    Misfit,
}

impl SignerClientError {
    /// The highest generation ever signed, where that is why the signer refused: the next one to ask for is above it.
    pub fn mark(&self) -> Option<Generation> {
        match self {
            Self::Refused(Refusal::NotAboveMark { mark, .. }) => Some(*mark),
            Self::Refused(_) | Self::Unreachable { .. } | Self::Lost { .. } | Self::Misfit => None,
        }
    }
}

/// Cheap to clone; clones share one connection and take turns.
#[derive(Clone, Debug)]
pub struct SignerClient {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Option<UnixStream>>>,
}

impl SignerClient {
    /// Does not connect yet.
    pub fn new(socket_path: PathBuf) -> Self {
        Self {
            path: Arc::new(socket_path),
            idle: Arc::new(Mutex::new(None)),
        }
    }

    pub async fn sign_bundle(&self, bundle: Bundle) -> Result<Signed, SignerClientError> {
        let bundle = Box::new(bundle);
        signed(self.ask(&Request::Bundle { bundle }).await?)
    }

    /// A signed `TimeStatement` with the signer's time.
    pub async fn sign_time(
        &self,
        device: DeviceId,
        generation: Generation,
        holds_digest: Digest,
        request_nonce: String,
    ) -> Result<Signed, SignerClientError> {
        let request = Request::Time {
            device,
            generation,
            holds_digest,
            request_nonce,
        };
        signed(self.ask(&request).await?)
    }

    pub async fn sign_anchors(&self, anchors: Anchors) -> Result<Signed, SignerClientError> {
        signed(self.ask(&Request::Anchors { anchors }).await?)
    }

    pub async fn sign_archive(
        &self,
        manifest: ArchiveManifest,
    ) -> Result<Signed, SignerClientError> {
        signed(self.ask(&Request::Archive { manifest }).await?)
    }

    pub async fn sign_report(&self, manifest: ReportManifest) -> Result<Signed, SignerClientError> {
        signed(self.ask(&Request::Report { manifest }).await?)
    }

    pub async fn sign_print(&self, manifest: PrintManifest) -> Result<Signed, SignerClientError> {
        signed(self.ask(&Request::Print { manifest }).await?)
    }

    pub async fn public_key(&self) -> Result<(SettingId, SigningPublicKey), SignerClientError> {
        match self.ask(&Request::Nothing).await? {
            Answer::PublicKey { setting, key } => Ok((setting, key)),
            Answer::Refused { refusal } => Err(SignerClientError::Refused(refusal)),
            Answer::Signed { .. } => Err(SignerClientError::Misfit),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Answer, SignerClientError> {
        let mut idle = self.idle.lock().await;
        // Taken out while in use: a caller that goes away must not leave its answer to the next.
        if let Some(stream) = idle.take()
            && let Ok((stream, answer)) = exchange(stream, request).await
        {
            *idle = Some(stream);
            return Ok(answer);
        }
        let stream = UnixStream::connect(self.path.as_path())
            .await
            .map_err(|source| SignerClientError::Unreachable {
                path: self.path.to_path_buf(),
                source,
            })?;
        let (stream, answer) =
            exchange(stream, request)
                .await
                .map_err(|source| SignerClientError::Lost {
                    path: self.path.to_path_buf(),
                    source,
                })?;
        *idle = Some(stream);
        Ok(answer)
    }
}

async fn exchange(mut stream: UnixStream, request: &Request) -> io::Result<(UnixStream, Answer)> {
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, async {
        write_frame(&mut stream, request).await?;
        read_frame(&mut stream)
            .await?
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    })
    .await??;
    Ok((stream, answer))
}

fn signed(answer: Answer) -> Result<Signed, SignerClientError> {
    match answer {
        Answer::Signed { signed } => Ok(signed),
        Answer::Refused { refusal } => Err(SignerClientError::Refused(refusal)),
        Answer::PublicKey { .. } => Err(SignerClientError::Misfit),
    }
}
