#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::authenticator::Authenticator;
use super::ceremony::{Ceremonies, LIFE, Owner, RelyingParty};
use super::passkey::{self, MOST, Offered, PasskeyError};
use super::set_up::{SetUpError, Wanted, WantedFactor, set_up};
use super::sign_in::{Shown, SignInError, SignedIn, sign_in};
use super::tests::{PASSWORD, acts, code, dana, house, later, operator, release, secret, try_in};
use super::{invitation, sealed};
use crate::storage::testing::{TestStorage, now};
use crate::storage::{Erased, Operator, Passkey, Role, Storage};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::Secret;

const ORIGIN: &str = "https://nursery-box.local:7444";

/// Dana, who has an account with an authenticator, in one browser.
struct Desk {
    test: TestStorage,
    ceremonies: Ceremonies,
    dana: Operator,
}

impl Desk {
    async fn open() -> Self {
        let test = TestStorage::create().await;
        let dana = dana(&test.storage).await.operator;
        Self {
            test,
            ceremonies: Ceremonies::of(RelyingParty::new(ORIGIN)),
            dana,
        }
    }

    fn storage(&self) -> &Storage {
        &self.test.storage
    }

    fn offered<'a>(&'a self, owner: Owner, answer: &'a str) -> Offered<'a> {
        Offered {
            ceremonies: &self.ceremonies,
            owner,
            answer,
        }
    }

    async fn add(&self, key: &mut Authenticator, name: &str) -> Result<(), PasskeyError> {
        let owner = Owner::signed_in("session");
        let asked = self
            .ceremonies
            .begin_adding(owner, &self.dana, Vec::new(), None, now())
            .unwrap();
        let answer = key.create(ORIGIN, &asked);
        let who = (&self.dana, now());
        passkey::add(
            self.storage(),
            self.offered(owner, &answer),
            who,
            name,
            now(),
        )
        .await
    }

    async fn try_in(
        &self,
        key: &mut Authenticator,
        origin: &str,
        at: Timestamp,
    ) -> Result<SignedIn, SignInError> {
        let owner = Owner::signing_in("browser");
        let asked = self.ceremonies.begin_sign_in(owner, None, at).unwrap();
        let answer = key.get(origin, &asked);
        self.show(owner, &answer, at).await
    }

    async fn show(
        &self,
        owner: Owner,
        answer: &str,
        at: Timestamp,
    ) -> Result<SignedIn, SignInError> {
        let shown = Shown::Passkey(self.offered(owner, answer));
        let password = secret(PASSWORD);
        sign_in(self.storage(), &release(), "Dana Lead", password, shown, at).await
    }

    async fn keys(&self) -> Vec<Passkey> {
        self.storage().passkey_list(self.dana.id).await.unwrap()
    }
}

#[tokio::test]
async fn a_key_signs_in_beside_the_password_and_says_when_it_was_used() {
    let desk = Desk::open().await;
    let mut key = Authenticator::new("blue");
    desk.add(&mut key, " Blue key ").await.unwrap();
    assert_eq!(desk.keys().await[0].last_used_at, None);
    for minute in 1..3 {
        let at = later(60 * minute);
        let signed_in = desk.try_in(&mut key, ORIGIN, at).await.unwrap();
        assert_eq!(signed_in.operator.name, "Dana Lead");
        let known = desk.keys().await.remove(0);
        assert_eq!(known.name, "Blue key");
        assert_eq!(known.last_used_at, Some(at));
    }
    assert_eq!(
        acts(desk.storage()).await[..3],
        ["account.sign_in", "account.sign_in", "passkey.add"]
    );
    // The authenticator goes on beside it.
    let at = later(600);
    assert!(try_in(desk.storage(), &code(at), at).await.is_ok());
}

#[tokio::test]
async fn an_answer_is_good_once_for_one_browser_and_for_five_minutes() {
    let desk = Desk::open().await;
    let mut key = Authenticator::new("blue");
    desk.add(&mut key, "Blue").await.unwrap();
    let [mine, theirs] = ["mine", "theirs"].map(Owner::signing_in);
    let ask = |owner, at| desk.ceremonies.begin_sign_in(owner, None, at).unwrap();

    let answer = key.get(ORIGIN, &ask(mine, now()));
    ask(theirs, now());
    assert!(desk.show(theirs, &answer, now()).await.is_err());
    desk.show(mine, &answer, now()).await.unwrap();
    assert!(desk.show(mine, &answer, now()).await.is_err());

    // To what was asked before, while something newer is asked.
    let older = ask(mine, now());
    ask(mine, now());
    assert!(
        desk.show(mine, &key.get(ORIGIN, &older), now())
            .await
            .is_err()
    );

    let late = key.get(ORIGIN, &ask(mine, now()));
    assert!(desk.show(mine, &late, now() + LIFE).await.is_err());
    let early = key.get(ORIGIN, &ask(mine, later(60)));
    assert!(desk.show(mine, &early, now()).await.is_err());
    let in_time = key.get(ORIGIN, &ask(mine, now()));
    let last_moment = now() + LIFE - SignedDuration::from_secs(1);
    assert!(desk.show(mine, &in_time, last_moment).await.is_ok());
}

#[tokio::test]
async fn an_answer_for_another_page_or_another_console_opens_nothing() {
    let desk = Desk::open().await;
    let mut key = Authenticator::new("blue");
    desk.add(&mut key, "Blue").await.unwrap();
    for origin in [
        "https://nursery-box.local",
        "https://nursery-box.local:7445",
        "http://nursery-box.local:7444",
        "https://evil.nursery-box.local:7444",
        "https://evil.example",
    ] {
        let refused = desk.try_in(&mut key, origin, now()).await;
        assert!(matches!(refused, Err(SignInError::Refused)), "{origin}");
    }
    let owner = Owner::signing_in("browser");
    let mut asked = desk.ceremonies.begin_sign_in(owner, None, now()).unwrap();
    asked["rpId"] = "evil.example".into();
    let answer = key.get(ORIGIN, &asked);
    assert!(desk.show(owner, &answer, now()).await.is_err());
    assert!(desk.show(owner, "{}", now()).await.is_err());
    assert!(desk.try_in(&mut key, ORIGIN, now()).await.is_ok());
}

#[tokio::test]
async fn another_persons_key_is_not_ones_own_whatever_it_says_it_is() {
    let desk = Desk::open().await;
    let storage = desk.storage();
    let kim = operator(storage, "Kim", Role::Manager).await;
    let (mut mine, mut kims) = (Authenticator::new("mine"), Authenticator::new("kims"));
    desk.add(&mut mine, "Mine").await.unwrap();
    set_up_kim(&desk, &kim, &mut kims).await.unwrap();
    assert!(desk.try_in(&mut kims, ORIGIN, now()).await.is_err());
    kims.user_handle = mine.user_handle.clone();
    assert!(desk.try_in(&mut kims, ORIGIN, now()).await.is_err());
    // The same key by its id and its person, which somebody else holds: only the signature tells.
    let mut forged = Authenticator::new("mine");
    forged.user_handle = mine.user_handle.clone();
    assert!(desk.try_in(&mut forged, ORIGIN, now()).await.is_err());
    assert_eq!(desk.keys().await[0].copied_at, None);
    mine.user_handle = "AAAAAAAAAAAAAAAAAAAAAA".to_owned();
    assert!(desk.try_in(&mut mine, ORIGIN, now()).await.is_err());
    // A key that is somebody's is nobody else's.
    let again = desk.add(&mut kims, "Kim's").await;
    assert!(matches!(again, Err(PasskeyError::Known)));
}

#[tokio::test]
async fn a_key_that_counts_backwards_opens_nothing_any_more_and_is_told_of() {
    let desk = Desk::open().await;
    let mut key = Authenticator::new("blue");
    desk.add(&mut key, "Blue").await.unwrap();
    for _ in 0..3 {
        desk.try_in(&mut key, ORIGIN, now()).await.unwrap();
    }
    let inside = desk.try_in(&mut key, ORIGIN, now()).await.unwrap();
    key.counter = 1;
    assert!(desk.try_in(&mut key, ORIGIN, later(5)).await.is_err());
    assert_eq!(desk.keys().await[0].copied_at, Some(later(5)));
    assert_eq!(
        acts(desk.storage()).await[..2],
        ["account.refused", "passkey.copied"]
    );
    // Whoever had come in by either is out.
    let session = crate::domain::account::session::hash(&inside.secret);
    assert_eq!(desk.storage().session_find(session).await.unwrap(), None);
    // Nor does the other copy.
    key.counter = 100;
    assert!(desk.try_in(&mut key, ORIGIN, later(6)).await.is_err());
}

#[tokio::test]
async fn the_last_second_factor_stays() {
    let desk = Desk::open().await;
    let storage = desk.storage();
    let kim = operator(storage, "Kim", Role::Manager).await;
    let mut first = Authenticator::new("first");
    set_up_kim(&desk, &kim, &mut first).await.unwrap();
    let known = storage.passkey_list(kim.id).await.unwrap().remove(0);
    let remove = async |id, at| passkey::remove(storage, (&kim, now()), id, at).await;
    assert!(matches!(
        remove(known.id, now()).await,
        Err(PasskeyError::LastFactor)
    ));
    // Dana has an authenticator, and cannot touch Kim's.
    let others = passkey::remove(storage, (&desk.dana, now()), known.id, now()).await;
    assert!(matches!(others, Err(PasskeyError::Missing)));

    let mut second = Passkey {
        id: nestwarden_policy_schema::id::PasskeyId::from_uuid(crate::domain::fresh::random()),
        name: "Second".to_owned(),
        credential: b"another credential".to_vec(),
        ..known.clone()
    };
    second.added_at = later(1);
    let entry = crate::storage::testing::audit("passkey.add");
    storage.passkey_add(&second, MOST, &entry).await.unwrap();
    // One that may have been copied is none to stay with.
    storage
        .passkey_copied(kim.id, second.id, &entry)
        .await
        .unwrap();
    assert!(matches!(
        remove(known.id, now()).await,
        Err(PasskeyError::LastFactor)
    ));
    let late = later(15 * 60);
    assert!(matches!(
        remove(second.id, late).await,
        Err(PasskeyError::NotFresh)
    ));
    remove(second.id, later(60)).await.unwrap();
    assert_eq!(storage.passkey_list(kim.id).await.unwrap(), [known]);
    assert_eq!(acts(storage).await[0], "passkey.remove");
}

#[tokio::test]
async fn a_key_is_added_shortly_after_signing_in_with_a_name_and_only_so_many() {
    let desk = Desk::open().await;
    for wrong in ["", "  ", "two\nlines", &"x".repeat(41)] {
        let refused = desk.add(&mut Authenticator::new("key"), wrong).await;
        assert!(matches!(refused, Err(PasskeyError::Name)), "{wrong}");
    }
    let owner = Owner::signed_in("session");
    let offered = desk.offered(owner, "{}");
    let stale = (&desk.dana, now() - SignedDuration::from_mins(15));
    let refused = passkey::add(desk.storage(), offered, stale, "Key", now()).await;
    assert!(matches!(refused, Err(PasskeyError::NotFresh)));
    for number in 0..MOST {
        let mut key = Authenticator::new(&number.to_string());
        desk.add(&mut key, "Key").await.unwrap();
    }
    let more = desk.add(&mut Authenticator::new("more"), "Key").await;
    assert!(matches!(more, Err(PasskeyError::TooMany)));
}

async fn set_up_kim(
    desk: &Desk,
    kim: &Operator,
    key: &mut Authenticator,
) -> Result<(), SetUpError> {
    let storage = desk.storage();
    let link = invitation::invite(storage, kim, "os:root", now())
        .await
        .unwrap();
    let owner = Owner::setting_up("browser", &link.token);
    let asked = desk
        .ceremonies
        .begin_adding(owner, kim, Vec::new(), None, now())
        .unwrap();
    let answer = key.create(ORIGIN, &asked);
    let wanted = |repeated: &str| Wanted {
        token: &link.token,
        password: secret(PASSWORD),
        repeated: secret(repeated),
        factor: WantedFactor::Passkey {
            name: "Kim's",
            offered: desk.offered(owner, &answer),
        },
        second: None,
    };
    // A slip of the hand does not cost the key its answer.
    let slip = set_up(storage, house(), wanted("other"), now()).await;
    assert!(matches!(slip, Err(SetUpError::Password(_))));
    set_up(storage, house(), wanted(PASSWORD), now())
        .await
        .map(drop)
}

#[tokio::test]
async fn an_account_is_made_with_a_key_and_without_an_authenticator() {
    let desk = Desk::open().await;
    let storage = desk.storage();
    let kim = operator(storage, "Kim", Role::Manager).await;
    let mut key = Authenticator::new("kims");
    set_up_kim(&desk, &kim, &mut key).await.unwrap();
    let account = storage.account_find(kim.id).await.unwrap().unwrap();
    assert!(account.totp.is_none());
    let owner = Owner::signing_in("browser");
    let asked = desk.ceremonies.begin_sign_in(owner, None, now()).unwrap();
    let answer = key.get(ORIGIN, &asked);
    let shown = Shown::Passkey(desk.offered(owner, &answer));
    let signed_in = sign_in(storage, &release(), "Kim", secret(PASSWORD), shown, now()).await;
    assert_eq!(signed_in.unwrap().operator.name, "Kim");
    // A new link takes the place of the keys, too.
    set_up_kim(&desk, &kim, &mut Authenticator::new("new"))
        .await
        .unwrap();
    assert_eq!(storage.passkey_list(kim.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_an_authenticator_shares_is_on_no_page_of_the_database_as_it_is() {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    let dana = dana(storage).await.operator;
    let account = storage.account_find(dana.id).await.unwrap().unwrap();
    let sealed_totp = account.totp.unwrap();
    let shared = sealed::open(&release(), dana.id, &sealed_totp).unwrap();
    assert_eq!(shared, Secret::new(b"12345678901234567890".to_vec()));
    let kim = operator(storage, "Kim", Role::Manager).await;
    assert!(sealed::open(&release(), kim.id, &sealed_totp).is_none());
    assert!(!on_disk(&test, "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA="));

    // As earlier versions kept it.
    let plain = "UPDATE accounts SET totp = 'MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=', sealed_totp = NULL";
    crate::storage::sql::testing_execute(&test.dir.path().join("nestwarden.db"), plain).await;
    assert!(on_disk(&test, "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA="));
    let at = later(60);
    let done = sealed::seal_all(storage, house().recipient, at)
        .await
        .unwrap();
    assert_eq!(done, (1, Erased::All));
    assert!(!on_disk(&test, "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA="));
    assert!(try_in(storage, &code(at), at).await.is_ok());
    let again = sealed::seal_all(storage, house().recipient, at)
        .await
        .unwrap();
    assert_eq!(again, (0, Erased::All));
}

/// Whether any file of the database has this.
fn on_disk(test: &TestStorage, wanted: &str) -> bool {
    let files = std::fs::read_dir(test.dir.path()).unwrap();
    files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .any(|path| {
            let bytes = std::fs::read(path).unwrap();
            bytes
                .windows(wanted.len())
                .any(|at| at == wanted.as_bytes())
        })
}
