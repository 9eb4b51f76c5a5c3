//! A page over a real photos task, and a browser that says exactly what a test wants.

use super::Page;
use crate::clock::TrustedClock;
use crate::door::NamesDoor;
use crate::ledger::Ledger;
use crate::paths::Paths;
use crate::photos::testing::{PICTURES, child, file_key, jpeg, policy};
use crate::photos::{PhotosContext, PhotosHandle, PhotosTask, UnsealRefusal, Unsealer};
use crate::reconcile::board::OutcomeBoard;
use crate::settings::{Settings, StaffGroup};
use crate::testing::{HandClock, Signer, enrolled};
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::consent::{ChildEntry, ConsentStanding, ConsentState, Purpose};
use nestwarden_policy_schema::device_api::{NamedChild, NamesAnswer, NamesRequest};
use nestwarden_policy_schema::envelope::verify_bundle;
use nestwarden_policy_schema::generation::Generation;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A server that knows these names, or none when it cannot be reached.
#[derive(Clone, Default)]
pub(super) struct Register {
    names: Arc<Mutex<Option<BTreeMap<u128, &'static str>>>>,
    asked: Arc<Mutex<Vec<NamesRequest>>>,
}

impl NamesDoor for Register {
    fn names(
        &self,
        request: NamesRequest,
    ) -> Pin<Box<dyn Future<Output = Result<NamesAnswer, String>> + Send + '_>> {
        self.asked.lock().unwrap().push(request);
        let names = self.names.lock().unwrap().clone();
        Box::pin(async move {
            let names = names.ok_or("the server cannot be reached")?;
            let children = names.into_iter().map(|(number, name)| NamedChild {
                child: child(number),
                name: name.to_owned(),
                rooms: BTreeSet::new(),
                booked_today: true,
            });
            Ok(NamesAnswer {
                children: children.collect(),
            })
        })
    }
}

impl Register {
    pub(super) fn know(&self, names: &[(u128, &'static str)]) {
        *self.names.lock().unwrap() = Some(names.iter().copied().collect());
    }

    pub(super) fn asked(&self) -> Vec<NamesRequest> {
        self.asked.lock().unwrap().clone()
    }
}

pub(super) struct Nursery {
    pub(super) temp: tempfile::TempDir,
    pub(super) paths: Paths,
    pub(super) photos: PhotosHandle,
    pub(super) register: Register,
    pub(super) bundle: Bundle,
    pub(super) host: String,
    pub(super) token: String,
    /// Whether the server gives keys for reviews.
    pub(super) authorises: Arc<AtomicBool>,
    signer: Signer,
    pub(super) ledger: Ledger,
    _parts: tokio::task::JoinSet<()>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Came {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// What a browser says with every request.
#[derive(Clone, Debug, Default)]
pub(super) struct Headers(Vec<(&'static str, String)>);

impl Headers {
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value.into()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| *known != name);
        self
    }

    /// As it goes over the connection.
    pub(super) fn request(&self, method: &str, path: &str, body: &str) -> String {
        let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        for (name, value) in &self.0 {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        if method == "POST" {
            let _ = write!(text, "content-length: {}\r\n", body.len());
        }
        text + "\r\n" + body
    }
}

impl Nursery {
    /// Children 1 to 3, who said Yes, and a page nobody opened yet. The server cannot be reached.
    pub(super) async fn open() -> Self {
        Self::open_for(None).await
    }

    /// Likewise, on a tablet whose staff are this group.
    pub(super) async fn open_for(staff_group: Option<StaffGroup>) -> Self {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join(PICTURES)).unwrap();
        let paths = Paths::new(temp.path());
        std::fs::create_dir_all(paths.run_dir()).unwrap();
        let signer = Signer::new();
        let ledger = enrolled(&paths, &signer);
        let hands = HandClock::at("2026-03-02T10:00:00Z");
        let clock = TrustedClock::open(ledger.clone(), Arc::new(hands)).unwrap();
        clock.confirm(clock.now().at, Duration::ZERO).unwrap();
        clock.confirm_holds(clock.now().at);
        let board = OutcomeBoard::open(ledger.clone(), clock.now().at).unwrap();
        let release = age::x25519::Identity::generate();
        let authorises = Arc::new(AtomicBool::new(false));
        let unsealer: Unsealer = Arc::new({
            let (release, authorises) = (release.clone(), Arc::clone(&authorises));
            move |request| {
                // As the server: only for a request that two people made.
                let may = authorises.load(Ordering::SeqCst) && request.access.is_some();
                let key = may.then(|| file_key(&release, &request));
                Box::pin(async move { key.ok_or(UnsealRefusal::NotAuthorised) })
            }
        });
        let (photos, task) = PhotosTask::open(PhotosContext {
            ledger: ledger.clone(),
            clock: clock.clone(),
            paths: paths.clone(),
            board,
            device_id: signer.device,
            unsealer: Arc::clone(&unsealer),
        })
        .unwrap();
        let mut bundle = signer.content(1);
        bundle.policy.photos = Some(policy());
        let key = || age::x25519::Identity::generate().to_public().to_string();
        bundle.release_recipient = release.to_public().to_string();
        bundle.recovery_recipient = key();
        bundle.rooms = BTreeSet::from(["Owls".parse().unwrap()]);
        for number in 1..=3 {
            let said = entry(ConsentState::Given);
            bundle.register.children.insert(child(number), said);
        }
        let register = Register::default();
        let settings = Settings {
            page_port: 0,
            staff_group,
            ..Settings::read(&paths).unwrap()
        };
        let names = Arc::new(register.clone());
        let said = (ledger.clone(), clock);
        let page = Page::bind(&paths, &settings, said, photos.clone(), names, unsealer)
            .await
            .unwrap();
        let link = std::fs::read_to_string(paths.page_link_path()).unwrap();
        let (host, token) = link
            .trim()
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once("/open?token="))
            .unwrap();
        let mut parts = tokio::task::JoinSet::new();
        parts.spawn(task.run());
        parts.spawn(page.run());
        let mut nursery = Self {
            host: host.to_owned(),
            token: token.to_owned(),
            temp,
            paths,
            photos,
            register,
            bundle,
            authorises,
            signer,
            ledger,
            _parts: parts,
        };
        nursery.store();
        // Nothing of what is taken from now on was found at enrolment.
        nursery.photos.rescan().await.unwrap();
        nursery
    }

    /// Brings the tablet the bundle as it stands.
    pub(super) fn store(&mut self) {
        let signed = self.signer.sign_bundle(&self.bundle);
        let anchors = self.signer.anchors();
        let verified = verify_bundle(signed, &anchors, self.signer.device, None).unwrap();
        self.ledger.store_bundle(verified).unwrap();
        let next = self.bundle.generation.get() + 1;
        self.bundle.generation = Generation::new(next);
    }

    pub(super) fn device(&self) -> nestwarden_policy_schema::id::DeviceId {
        self.signer.device
    }

    /// Takes a photo, seen by the time this returns.
    pub(super) async fn take(&self, seed: u8) {
        let dir = self.temp.path().join(PICTURES);
        std::fs::write(dir.join(format!("{seed}.jpg")), jpeg(seed)).unwrap();
        self.photos.rescan().await.unwrap();
    }

    /// As the tablet's browser has them once the link was opened.
    pub(super) async fn browser(&self) -> Headers {
        let stranger = self.stranger();
        let path = format!("/open?token={}", self.token);
        let opened = self.ask("GET", &path, &stranger, "").await;
        assert_eq!(opened.status, 303, "{opened:?}");
        let cookie = opened.header("set-cookie").unwrap();
        stranger.with("cookie", cookie.split(';').next().unwrap())
    }

    /// Everything right but the cookie.
    pub(super) fn stranger(&self) -> Headers {
        Headers::default()
            .with("host", self.host.clone())
            .with("origin", format!("http://{}", self.host))
            .with("sec-fetch-site", "same-origin")
    }

    pub(super) async fn get(&self, path: &str, headers: &Headers) -> Came {
        self.ask("GET", path, headers, "").await
    }

    /// Follows where a form leads.
    pub(super) async fn post(&self, path: &str, form: &str, headers: &Headers) -> Came {
        let came = self.ask("POST", path, headers, form).await;
        match came.header("location") {
            Some(to) if came.status == 303 => self.get(to, headers).await,
            Some(_) | None => came,
        }
    }

    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &Headers,
        body: &str,
    ) -> Came {
        let mut stream = TcpStream::connect(&self.host).await.unwrap();
        let text = headers.request(method, path, body);
        // A body that is too long is refused before it is read to its end.
        let _ = stream.write_all(text.as_bytes()).await;
        let mut came = Vec::new();
        let _ = stream.read_to_end(&mut came).await;
        let came = String::from_utf8_lossy(&came).into_owned();
        let (head, body) = came.split_once("\r\n\r\n").unwrap_or((&came, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Came {
            status: status.unwrap_or_default(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }
}

pub(super) fn entry(state: ConsentState) -> ChildEntry {
    let standing = ConsentStanding {
        state,
        ..ConsentStanding::UNANSWERED
    };
    ChildEntry {
        rooms: BTreeSet::from(["Owls".parse().unwrap()]),
        purposes: BTreeMap::from([(Purpose::OwnLearningJournal, standing)]),
        ..ChildEntry::default()
    }
}
