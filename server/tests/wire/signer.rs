//! The signer over its socket, as `serve` meets it.

use crate::support::{SetClock, bundle, device, setting, start};
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bundle::{Bundle, TimeStatement};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::envelope::{SignedError, verify_bundle, verify_ed25519};
use nestwarden_policy_schema::id::SettingId;
use nestwarden_policy_schema::policy::AppsPolicy;
use nestwarden_policy_schema::trust::Anchors;
use nestwarden_server::signing::protocol::{Answer, MAX_FRAME_BYTES, read_frame};
use nestwarden_server::signing::report::ReportManifest;
use nestwarden_server::signing::signer::{SOCKET_NAME, SignerError, run};
use nestwarden_server::signing::{
    Refusal, SignerClient, SignerClientError, SignerLimits, SignerSettings, keys,
};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), SignerError>>,
}

impl Running {
    async fn start(dir: &Path, limits: SignerLimits) -> Self {
        let settings = SignerSettings {
            dir: dir.join("signer"),
            allowed_uids: std::collections::BTreeSet::new(),
            limits,
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(settings, SetClock::new().door(), async {
            let _ = stopped.await;
        }));
        while UnixStream::connect(socket(dir)).await.is_err() {
            assert!(!task.is_finished(), "the signer did not start");
            tokio::task::yield_now().await;
        }
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }

    /// Ends it where it stands; its socket stays behind, as after a kill.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("signer").join(SOCKET_NAME)
}

fn new_setting() -> (tempfile::TempDir, Anchors) {
    let dir = tempfile::tempdir().unwrap();
    let created = keys::create_all(dir.path(), setting(), &["localhost".to_owned()], start());
    (dir, created.unwrap().public.anchors())
}

async fn refusal(client: &SignerClient, bundle: Bundle) -> Refusal {
    match client.sign_bundle(bundle).await {
        Err(SignerClientError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_signed_bundle_is_one_that_tablets_accept() {
    let (dir, anchors) = new_setting();
    let running = Running::start(dir.path(), SignerLimits::default()).await;
    let client = SignerClient::new(socket(dir.path()));
    let signed = client.sign_bundle(bundle(device(1), 1)).await.unwrap();
    let verified = verify_bundle(signed, &anchors, device(1), None).unwrap();
    assert_eq!(verified.bundle(), &bundle(device(1), 1));
    assert_eq!(
        client.public_key().await.unwrap(),
        (setting(), anchors.signing[0].clone())
    );
    running.stop().await;
}

#[tokio::test]
async fn a_generation_is_signed_once_also_after_a_restart_and_after_a_kill() {
    let (dir, _) = new_setting();
    let client = SignerClient::new(socket(dir.path()));
    let not_above = |asked, mark| Refusal::NotAboveMark {
        asked: Generation::new(asked),
        mark: Generation::new(mark),
    };
    let running = Running::start(dir.path(), SignerLimits::default()).await;
    client.sign_bundle(bundle(device(1), 5)).await.unwrap();
    assert_eq!(
        refusal(&client, bundle(device(1), 5)).await,
        not_above(5, 5)
    );
    assert_eq!(
        refusal(&client, bundle(device(1), 4)).await,
        not_above(4, 5)
    );
    // Generations are counted for each device.
    client.sign_bundle(bundle(device(2), 1)).await.unwrap();
    running.stop().await;

    let running = Running::start(dir.path(), SignerLimits::default()).await;
    assert_eq!(
        refusal(&client, bundle(device(1), 5)).await,
        not_above(5, 5)
    );
    client.sign_bundle(bundle(device(1), 6)).await.unwrap();
    running.kill().await;

    let running = Running::start(dir.path(), SignerLimits::default()).await;
    let error = client.sign_bundle(bundle(device(1), 6)).await.unwrap_err();
    assert_eq!(error.mark(), Some(Generation::new(6)));
    client.sign_bundle(bundle(device(1), 7)).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_signer_without_its_memory_does_not_start() {
    let (dir, _) = new_setting();
    std::fs::remove_file(dir.path().join("signer/high-water.json")).unwrap();
    let settings = SignerSettings {
        dir: dir.path().join("signer"),
        allowed_uids: std::collections::BTreeSet::new(),
        limits: SignerLimits::default(),
    };
    let refused = run(settings, SetClock::new().door(), std::future::pending()).await;
    assert!(matches!(refused, Err(SignerError::HighWater { .. })));
}

#[tokio::test]
async fn a_second_signer_does_not_start_beside_the_first() {
    let (dir, _) = new_setting();
    let running = Running::start(dir.path(), SignerLimits::default()).await;
    let settings = SignerSettings {
        dir: dir.path().join("signer"),
        allowed_uids: std::collections::BTreeSet::new(),
        limits: SignerLimits::default(),
    };
    let refused = run(settings, SetClock::new().door(), std::future::pending()).await;
    assert!(matches!(refused, Err(SignerError::InUse { .. })));
    running.stop().await;
}

#[tokio::test]
async fn another_settings_bundle_is_refused() {
    let (dir, _) = new_setting();
    let running = Running::start(dir.path(), SignerLimits::default()).await;
    let client = SignerClient::new(socket(dir.path()));
    let theirs = SettingId::from_uuid(uuid::Uuid::from_u128(99));
    let mut foreign = bundle(device(1), 1);
    foreign.setting = theirs;
    let ours = setting();
    assert_eq!(
        refusal(&client, foreign).await,
        Refusal::OtherSetting { ours, theirs }
    );
    running.stop().await;
}

#[tokio::test]
async fn a_policy_that_would_lock_a_tablet_out_is_refused_and_burns_no_generation() {
    let (dir, _) = new_setting();
    let running = Running::start(dir.path(), SignerLimits::default()).await;
    let client = SignerClient::new(socket(dir.path()));
    let mut unsound = bundle(device(1), 1);
    unsound.policy.apps =
        Some(serde_json::from_str::<AppsPolicy>(r#"{"allowed":[],"essential":[]}"#).unwrap());
    let refused = refusal(&client, unsound).await;
    insta::assert_snapshot!(refused, @"the policy is unsound: `apps.allowed` is empty: nothing but the base system would run; list the approved apps, the register first");
    let mut endless = bundle(device(1), 1);
    endless.expires_at = "2036-01-01T00:00:00Z".parse().unwrap();
    assert!(matches!(
        refusal(&client, endless).await,
        Refusal::Unsound { .. }
    ));
    client.sign_bundle(bundle(device(1), 1)).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn more_than_an_hours_worth_of_bundles_is_refused() {
    let (dir, _) = new_setting();
    let limits = SignerLimits {
        bundles_per_device_hour: 2,
        bundles_per_hour: 3,
        ..SignerLimits::default()
    };
    let running = Running::start(dir.path(), limits).await;
    let client = SignerClient::new(socket(dir.path()));
    for generation in [1, 2] {
        client
            .sign_bundle(bundle(device(1), generation))
            .await
            .unwrap();
    }
    assert_eq!(
        refusal(&client, bundle(device(1), 3)).await,
        Refusal::RateLimited
    );
    client.sign_bundle(bundle(device(2), 1)).await.unwrap();
    assert_eq!(
        refusal(&client, bundle(device(3), 1)).await,
        Refusal::RateLimited
    );
    running.stop().await;
}

#[tokio::test]
async fn a_time_statement_has_the_signers_time_and_never_a_generation_that_was_not_signed() {
    let (dir, anchors) = new_setting();
    let running = Running::start(dir.path(), SignerLimits::default()).await;
    let client = SignerClient::new(socket(dir.path()));
    let ask = |generation| {
        client.sign_time(
            device(1),
            Generation::new(generation),
            Digest::ZERO,
            "n1".to_owned(),
        )
    };
    let signed = ask(0).await.unwrap();
    let statement: TimeStatement = verify_ed25519(&signed, &[&anchors.signing[0]]).unwrap();
    assert_eq!((statement.time, statement.setting), (start(), setting()));
    assert_eq!(statement.request_nonce, "n1");
    assert!(matches!(
        ask(1).await,
        Err(SignerClientError::Refused(Refusal::NeverSigned { .. }))
    ));
    // A statement of time can never be passed off as anything else.
    let as_anchors = verify_ed25519::<Anchors>(&signed, &[&anchors.signing[0]]);
    assert_eq!(as_anchors, Err(SignedError::BadSignature));
    running.stop().await;
}

#[tokio::test]
async fn anchors_are_signed_only_for_this_setting_and_only_upwards() {
    let (dir, anchors) = new_setting();
    let running = Running::start(dir.path(), SignerLimits::default()).await;
    let client = SignerClient::new(socket(dir.path()));
    let newer = Anchors {
        version: 2,
        ..anchors.clone()
    };
    let signed = client.sign_anchors(newer.clone()).await.unwrap();
    assert_eq!(anchors.updated(&signed).unwrap(), newer);
    assert!(matches!(
        client.sign_anchors(newer).await,
        Err(SignerClientError::Refused(Refusal::AnchorsNotNewer {
            asked: 2,
            mark: 2
        }))
    ));
    running.stop().await;
}

#[tokio::test]
async fn an_oversized_or_malformed_frame_ends_the_connection_and_nothing_else() {
    let (dir, _) = new_setting();
    let running = Running::start(dir.path(), SignerLimits::default()).await;
    let client = SignerClient::new(socket(dir.path()));
    client.public_key().await.unwrap();
    let oversized = u32::try_from(MAX_FRAME_BYTES + 1)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    let malformed = [&9_u32.to_be_bytes()[..], b"{\"sign\":\"]"].concat();
    for bytes in [oversized, malformed] {
        let mut stream = UnixStream::connect(socket(dir.path())).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset says the same as an end: it was closed without an answer.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
    }
    client.sign_bundle(bundle(device(1), 1)).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_leave_its_answer_to_the_next() {
    let (dir, anchors) = new_setting();
    let running = Running::start(dir.path(), SignerLimits::default()).await;
    let client = SignerClient::new(socket(dir.path()));
    client.public_key().await.unwrap();
    for nonce in 0..50 {
        let ask = |n: String| client.sign_time(device(1), Generation::NONE, Digest::ZERO, n);
        let abandoned = ask(format!("abandoned-{nonce}"));
        tokio::select! { biased; _ = abandoned => {}, () = tokio::task::yield_now() => {} }
        let signed = ask(format!("kept-{nonce}")).await.unwrap();
        let statement: TimeStatement = verify_ed25519(&signed, &[&anchors.signing[0]]).unwrap();
        assert_eq!(statement.request_nonce, format!("kept-{nonce}"));
    }
    running.stop().await;
}

#[tokio::test]
async fn an_absent_signer_is_named_with_what_to_do() {
    let (dir, _) = new_setting();
    let client = SignerClient::new(socket(dir.path()));
    let error = client.public_key().await.unwrap_err();
    assert!(error.to_string().contains("nestwarden-server signer"));
    // The frame reader tells an end between frames from one within.
    let answer: Option<Answer> = read_frame(&mut &b""[..]).await.unwrap();
    assert!(answer.is_none());
    assert!(
        read_frame::<Answer>(&mut &b"\0\0\0\x09{"[..])
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_report_is_signed_of_this_setting_and_of_now_only() {
    let (dir, anchors) = new_setting();
    let running = Running::start(dir.path(), SignerLimits::default()).await;
    let client = SignerClient::new(socket(dir.path()));
    let report = |setting, made_at| ReportManifest {
        version: 1,
        setting,
        first: "2026-02-23".parse().unwrap(),
        last: "2026-03-01".parse().unwrap(),
        made_at,
        program: "0.1.0".to_owned(),
        events_root: Digest::ZERO,
        bytes: 2,
        sha256: Digest::sha256(b"{}"),
    };
    let ours = report(setting(), start());
    let signed = client.sign_report(ours.clone()).await.unwrap();
    assert_eq!(verify_ed25519(&signed, &[&anchors.signing[0]]), Ok(ours));
    let refused = async |report| match client.sign_report(report).await {
        Err(SignerClientError::Refused(refusal)) => refusal.to_string(),
        other => panic!("not refused: {other:?}"),
    };
    let theirs = SettingId::from_uuid(uuid::Uuid::from_u128(9));
    assert!(
        refused(report(theirs, start()))
            .await
            .contains("it belongs to setting")
    );
    let dated_back = start() - jiff::SignedDuration::from_hours(24);
    insta::assert_snapshot!(refused(report(setting(), dated_back)).await, @"it says it was made at 2026-03-01T08:00:00Z, and it is 2026-03-02T08:00:00Z");
    running.stop().await;
}
