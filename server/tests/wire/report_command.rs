//! `report` and `verify`, as they are typed at the server.

use crate::support::SetClock;
use nestwarden_server::cli;
use nestwarden_server::door::Doors;
use nestwarden_server::signing::signer::{SOCKET_NAME, run};
use nestwarden_server::signing::{SignerLimits, SignerSettings};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::JoinHandle;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

struct Setting {
    dir: tempfile::TempDir,
    clock: SetClock,
    stop: oneshot::Sender<()>,
    signer: JoinHandle<()>,
}

impl Setting {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = SetClock::new();
        let sheet = dir.path().join("sheet.txt");
        let init = [
            "init",
            "--name",
            "Little Acorns",
            "--operator",
            "Dana Lead",
            "--address",
            "127.0.0.1:7443",
            "--recovery-out",
        ];
        let mut arguments = init.map(str::to_owned).to_vec();
        arguments.push(sheet.to_string_lossy().into_owned());
        assert_eq!(typed(dir.path(), &clock, &arguments), ExitCode::SUCCESS);
        let (stop, signer) = start_signer(dir.path(), &clock);
        Self {
            dir,
            clock,
            stop,
            signer,
        }
    }

    fn typed(&self, arguments: &[&str]) -> ExitCode {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        typed(self.dir.path(), &self.clock, &arguments)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn end(self) {
        self.stop.send(()).unwrap();
        self.signer.join().unwrap();
    }
}

fn typed(dir: &Path, clock: &SetClock, arguments: &[String]) -> ExitCode {
    let data = dir.join("data");
    let begin = [
        "nestwarden-server".into(),
        "--data".into(),
        data.into_os_string(),
    ];
    let rest = arguments.iter().map(OsString::from);
    let doors = Doors {
        clock: clock.door(),
    };
    cli::run(begin.into_iter().chain(rest), doors)
}

fn start_signer(dir: &Path, clock: &SetClock) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let settings = SignerSettings {
        dir: dir.join("data/signer"),
        allowed_uids: BTreeSet::new(),
        limits: SignerLimits::default(),
    };
    let socket = settings.dir.join(SOCKET_NAME);
    let (stop, stopped) = oneshot::channel();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let clock = clock.door();
    let signer = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let running = tokio::spawn(run(settings, clock, async {
                let _ = stopped.await;
            }));
            while UnixStream::connect(&socket).await.is_err() {
                assert!(!running.is_finished(), "the signer did not start");
                tokio::task::yield_now().await;
            }
            ready.send(()).unwrap();
            running.await.unwrap().unwrap();
        });
    });
    is_ready.recv().unwrap();
    (stop, signer)
}

#[test]
fn a_report_is_made_in_each_form_and_its_figures_hold_until_somebody_changes_them() {
    let setting = Setting::new();
    let (refused, wrong_use) = (ExitCode::from(1), ExitCode::from(2));
    let forms = ["html", "csv", "json", "pdf"];
    let files = forms.map(|form| setting.path(form));
    for (form, path) in forms.into_iter().zip(&files) {
        let out = path.to_str().unwrap();
        let made = setting.typed(&[
            "--as",
            "Dana Lead",
            "report",
            "--format",
            form,
            "--out",
            out,
        ]);
        assert_eq!(made, ExitCode::SUCCESS, "{form}");
        assert_eq!(
            setting.typed(&["report", "--out", out]),
            refused,
            "written over"
        );
    }
    let [html, csv, json] = [0, 1, 2].map(|form: usize| fs::read_to_string(&files[form]).unwrap());
    assert!(html.contains("Little Acorns") && html.contains("23 Feb – 1 Mar 2026"));
    assert!(csv.contains("Filtering and monitoring,not checked") || csv.contains("not checked"));
    let figures: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(figures["report"]["period"]["first"], "2026-02-23");

    let (json, events) = (files[2].to_str().unwrap(), setting.path("events"));
    let events = events.to_str().unwrap();
    assert_eq!(
        setting.typed(&["events", "export", "--out", events]),
        ExitCode::SUCCESS
    );
    assert_eq!(setting.typed(&["verify", json]), ExitCode::SUCCESS);
    assert_eq!(
        setting.typed(&["verify", json, "--evidence", events]),
        ExitCode::SUCCESS
    );
    assert_eq!(setting.typed(&["verify", events]), ExitCode::SUCCESS);
    let key = "0".repeat(64);
    assert_eq!(
        setting.typed(&["verify", json, "--expect-key", &key]),
        refused
    );
    assert_eq!(
        setting.typed(&["verify", json, "--evidence", json]),
        refused
    );
    assert_eq!(
        setting.typed(&["verify", files[1].to_str().unwrap()]),
        refused
    );
    let pdf = files[3].to_str().unwrap();
    assert_eq!(setting.typed(&["verify", pdf]), ExitCode::SUCCESS);
    assert_eq!(
        setting.typed(&["verify", pdf, "--expect-key", &key]),
        refused
    );
    // Its figures are words.
    assert_eq!(
        setting.typed(&["verify", pdf, "--evidence", events]),
        refused
    );
    let mut bytes = fs::read(pdf).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(pdf, bytes).unwrap();
    assert_eq!(setting.typed(&["verify", pdf]), refused);
    assert_eq!(
        setting.typed(&["report", "--format", "pdf"]),
        refused,
        "to the screen"
    );
    let text = fs::read_to_string(json).unwrap();
    fs::write(json, text.replace("\"holds_open\":0", "\"holds_open\":1")).unwrap();
    assert_eq!(setting.typed(&["verify", json]), refused);
    assert_eq!(
        setting.typed(&["report", "--period", "fortnight"]),
        wrong_use
    );
    let inspection = setting.path("inspection");
    let out = inspection.to_str().unwrap();
    let day = ["report", "--inspection", "2026-03-01", "--out", out];
    assert_eq!(setting.typed(&day), ExitCode::SUCCESS);
    assert!(fs::read_to_string(out).unwrap().contains("1 Mar 2026"));
    let both = ["report", "--inspection", "2026-03-01", "--period", "week"];
    assert_eq!(setting.typed(&both), wrong_use);
    let future = ["report", "--period", "2026-03-03..2026-03-04"];
    assert_eq!(setting.typed(&future), refused);
    setting.end();
}

#[test]
fn without_its_signer_a_server_makes_pages_and_tables_and_nothing_that_is_signed() {
    let setting = Setting::new();
    let Setting {
        dir,
        clock,
        stop,
        signer,
    } = setting;
    stop.send(()).unwrap();
    signer.join().unwrap();
    for (form, code) in [("html", 0), ("csv", 0), ("json", 1), ("pdf", 1)] {
        let out = dir.path().join(form).to_string_lossy().into_owned();
        let arguments = ["report", "--format", form, "--out", &out].map(str::to_owned);
        assert_eq!(
            typed(dir.path(), &clock, &arguments),
            ExitCode::from(code),
            "{form}"
        );
        assert_eq!(Path::new(&out).exists(), code == 0, "{form}");
    }
}
