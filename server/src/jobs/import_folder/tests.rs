#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::profile;
use crate::storage::testing::{TestStorage, now};
use nestwarden_policy_schema::profile::EARLY_YEARS;

const HEADER: &str = "reference,first_name,last_name,website\n";

#[tokio::test]
async fn a_file_is_taken_once_it_stopped_growing_and_moved_away() {
    let mut world = World::new(None).await;
    world.put("a.csv", &rows(3, "Yes"));
    assert_eq!(
        world.look().await,
        Look::default(),
        "seen for the first time"
    );
    world.put("a.csv", &rows(4, "Yes"));
    assert_eq!(world.look().await, Look::default(), "it grew");
    assert_eq!(world.look().await.imported, vec!["a.csv"]);
    assert_eq!(world.children().await, 4);
    assert!(world.folder().join("done/a.csv").exists() && !world.folder().join("a.csv").exists());
    assert!(!world.folder().join("done/a.csv.txt").exists());
    // The next export has the same name.
    world.put("a.csv", &rows(5, "Yes"));
    assert_eq!(world.looked().await.imported, vec!["a.csv"]);
    assert_eq!(
        fs::read_dir(world.folder().join("done")).unwrap().count(),
        2
    );
    assert_eq!(world.children().await, 5);
}

#[tokio::test]
async fn a_refused_file_is_put_aside_with_the_reason() {
    let mut world = World::new(None).await;
    world.put("a.csv", "reference,first_name\nA1,Ann\n");
    assert_eq!(world.looked().await.refused, vec!["a.csv"]);
    let why = fs::read_to_string(world.folder().join("refused/a.csv.txt")).unwrap();
    assert!(why.contains("column `last_name`"), "{why}");
    assert_eq!(world.children().await, 0);
}

#[tokio::test]
async fn rows_that_were_refused_are_told_beside_the_file() {
    let mut world = World::new(None).await;
    world.put("a.csv", &format!("{}R9,Ann,Bee,maybe\n", rows(3, "Yes")));
    assert_eq!(world.looked().await.imported, vec!["a.csv"]);
    let told = fs::read_to_string(world.folder().join("done/a.csv.txt")).unwrap();
    assert!(
        told.starts_with("row 5 (R9), column `website`: \"maybe\""),
        "{told}"
    );
}

#[tokio::test]
async fn what_would_change_much_waits_until_a_person_imports_it() {
    let mut world = World::new(None).await;
    world.put("a.csv", &rows(8, "Yes"));
    world.looked().await;
    world.put("b.csv", &rows(8, "No"));
    for _ in 0..3 {
        assert_eq!(world.looked().await.waiting, vec!["b.csv"]);
    }
    let waiting = world.job.storage.waiting_list().await.unwrap();
    assert!(
        waiting[0].why.contains("8 of 8 consents would lapse"),
        "{waiting:?}"
    );
    let bytes = fs::read(world.folder().join("b.csv")).unwrap();
    let plan = import::plan(&world.job.storage, &bytes, now())
        .await
        .unwrap();
    import::apply(&world.job.storage, &plan, &bytes, "Kim", now())
        .await
        .unwrap();
    assert_eq!(world.look().await.imported, vec!["b.csv"]);
    assert!(world.job.storage.waiting_list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_newer_file_that_needs_nobody_replaces_one_that_waits() {
    let mut world = World::new(None).await;
    world.put("a.csv", &rows(8, "Yes"));
    world.looked().await;
    world.put("b.csv", &rows(8, "No"));
    assert_eq!(world.looked().await.waiting, vec!["b.csv"]);
    world.put("c.csv", &rows(9, "Yes"));
    let look = world.looked().await;
    assert_eq!(
        (look.imported, look.refused),
        (vec!["c.csv".to_owned()], vec!["b.csv".to_owned()])
    );
    let why = fs::read_to_string(world.folder().join("refused/b.csv.txt")).unwrap();
    assert!(why.contains("c.csv is newer"), "{why}");
    assert!(world.job.storage.waiting_list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_waits_for_its_mapping() {
    let mut world = World::new(Some("booking")).await;
    world.put("a.csv", &rows(3, "Yes"));
    assert_eq!(world.looked().await.waiting, vec!["a.csv"]);
    let waiting = world.job.storage.waiting_list().await.unwrap();
    assert!(
        waiting[0].why.contains("no mapping \"booking\""),
        "{waiting:?}"
    );
    fs::remove_file(world.folder().join("a.csv")).unwrap();
    assert_eq!(world.look().await, Look::default());
    assert!(world.job.storage.waiting_list().await.unwrap().is_empty());
}

#[tokio::test]
async fn links_hidden_files_and_other_kinds_are_not_touched() {
    let mut world = World::new(None).await;
    let elsewhere = world.dir.path().join("secret");
    fs::write(&elsewhere, rows(3, "Yes")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, world.folder().join("link.csv")).unwrap();
    world.put(".hidden.csv", &rows(3, "Yes"));
    world.put("notes.docx", "x");
    assert_eq!(world.looked().await, Look::default());
    assert_eq!(world.children().await, 0);
}

#[tokio::test]
async fn a_folder_that_is_gone_is_an_error_and_no_empty_register() {
    let mut world = World::new(None).await;
    fs::remove_dir_all(world.folder()).unwrap();
    assert!(matches!(
        world.job.look().await,
        Err(FolderError::Io { .. })
    ));
}

fn rows(count: usize, said: &str) -> String {
    let rows: Vec<String> = (0..count)
        .map(|n| format!("R{n},Ann,Bee,{said}\n"))
        .collect();
    format!("{HEADER}{}", rows.concat())
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> jiff::Timestamp {
        now()
    }
}

/// The machine's day, and some days on.
struct DaysOn(i64);

impl Clock for DaysOn {
    fn now(&self) -> jiff::Timestamp {
        crate::door::SystemClock.now() + jiff::SignedDuration::from_hours(24 * self.0)
    }
}

#[tokio::test]
async fn what_was_put_away_is_deleted_after_its_time_and_that_is_on_record() {
    let mut world = World::new(None).await;
    world.put("a.csv", &rows(3, "Yes"));
    world.looked().await;
    world.put("b.csv", "reference,first_name\nA1,Ann\n");
    world.looked().await;
    let there = |world: &World, name: &str| world.folder().join(name).exists();
    world.job.clock = Arc::new(DaysOn(29));
    world.look().await;
    assert!(there(&world, "done/a.csv") && there(&world, "refused/b.csv.txt"));
    world.job.clock = Arc::new(DaysOn(31));
    world.look().await;
    assert!(!there(&world, "done/a.csv"));
    assert!(there(&world, "refused/b.csv") && there(&world, "refused/b.csv.txt"));
    let log = world.job.storage.audit_list(1).await.unwrap();
    assert_eq!(
        (log[0].act.as_str(), log[0].subject.as_str()),
        ("import.file_deleted", "done/a.csv")
    );
    world.job.clock = Arc::new(DaysOn(91));
    world.look().await;
    assert!(!there(&world, "refused/b.csv") && !there(&world, "refused/b.csv.txt"));
}

struct World {
    job: ImportFolderJob,
    dir: tempfile::TempDir,
    _database: TestStorage,
    files: u64,
}

impl World {
    async fn new(mapping: Option<&str>) -> Self {
        let database = TestStorage::create().await;
        profile::apply(&database.storage, EARLY_YEARS, "os:test", now())
            .await
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("exports");
        fs::create_dir(&folder).unwrap();
        let mut job = ImportFolderJob::new(
            database.storage.clone(),
            folder,
            mapping.map(str::to_owned),
            Arc::new(Noon),
            Nudge::default(),
            Nudge::default(),
        );
        job.quiet = Duration::ZERO;
        Self {
            job,
            dir,
            _database: database,
            files: 0,
        }
    }

    fn folder(&self) -> &Path {
        &self.job.folder
    }

    /// Each file is a second newer than the one before.
    fn put(&mut self, name: &str, text: &str) {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap();
        self.files += 1;
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + self.files);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(modified).unwrap();
    }

    async fn look(&mut self) -> Look {
        self.job.look().await.unwrap()
    }

    /// Twice: once to see a file, and once to see that it is complete.
    async fn looked(&mut self) -> Look {
        self.look().await;
        self.look().await
    }

    async fn children(&self) -> usize {
        self.job.storage.child_list().await.unwrap().len()
    }
}
