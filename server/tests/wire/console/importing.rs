//! A register's file, from choosing it to the register.

use super::person::{Person, origin};
use crate::nursery::Nursery;
use crate::support::start;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use nestwarden_server::domain::account::session::form_token;
use nestwarden_server::domain::profile;
use nestwarden_server::storage::Role;
use reqwest::{Method, Response};

const BOOKING: &str = "Child ID;First name;Surname;Room;Photo permission\n17;Ann;Bee;Owls;Y\n18;Cy;Dee;Owls;sometimes\n";

fn ours(answer: &str) -> String {
    let mut text = "reference,first_name,last_name,room,website\n".to_owned();
    for number in 0..8 {
        let row = format!("A{number},Ann,Bee{number},Owls,{answer}\n");
        text.push_str(&row);
    }
    text
}

async fn nursery() -> (Nursery, Person) {
    nursery_of(Role::Manager).await
}

async fn nursery_of(role: Role) -> (Nursery, Person) {
    let nursery = Nursery::open().await;
    profile::apply(&nursery.storage, EARLY_YEARS, "os:test", start())
        .await
        .unwrap();
    let person = Person::of(&nursery, "Kim", &[role]).await;
    (nursery, person)
}

/// With children in its register, and somebody signed in.
pub(super) async fn nursery_with_children(role: Role) -> (Nursery, Person) {
    let (nursery, person) = nursery_of(role).await;
    choose(&nursery, &person, ours("Yes").as_bytes(), &[]).await;
    let page = previewed(&person).await;
    let (status, said) = confirm(&person, &page, &[]).await;
    assert_eq!(status, 200, "{said}");
    (nursery, person)
}

/// As a browser sends the form with its file.
async fn choose(
    nursery: &Nursery,
    person: &Person,
    file: &[u8],
    fields: &[(&str, &str)],
) -> Response {
    let (token, key) = (form_token(&person.session), person.key().await);
    let mut body = Vec::new();
    for (name, value) in [("form_token", token.as_str()), ("form_key", &key)]
        .iter()
        .chain(fields)
    {
        body.extend_from_slice(
            format!("--b7\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                .as_bytes(),
        );
    }
    body.extend_from_slice(b"--b7\r\nContent-Disposition: form-data; name=\"file\"; filename=\"register.csv\"\r\nContent-Type: text/csv\r\n\r\n");
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--b7--\r\n");
    person
        .request(Method::POST, "/consents/import")
        .header("origin", origin(&nursery.visitor()))
        .header("content-type", "multipart/form-data; boundary=b7")
        .body(body)
        .send()
        .await
        .unwrap()
}

async fn previewed(person: &Person) -> String {
    person
        .get("/consents/import/preview")
        .await
        .text()
        .await
        .unwrap()
}

/// What the preview's form sends back of what was seen.
fn seen(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"seen\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

async fn confirm(person: &Person, page: &str, ticked: &[(&str, &str)]) -> (u16, String) {
    let seen = seen(page);
    let mut fields = vec![("seen", seen.as_str())];
    fields.extend(ticked);
    let answer = person.post("/consents/import/confirm", &fields).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn children(nursery: &Nursery) -> usize {
    nursery.storage.child_list().await.unwrap().len()
}

#[tokio::test]
async fn a_file_is_chosen_seen_and_imported_and_only_the_last_press_changes_anything() {
    let (nursery, person) = nursery().await;
    let chosen = choose(
        &nursery,
        &person,
        ours("Yes").as_bytes(),
        &[("mapping", "")],
    )
    .await;
    assert_eq!(chosen.status(), 303);
    assert_eq!(chosen.headers()["location"], "/consents/import/preview");
    let page = previewed(&person).await;
    assert!(
        page.contains("8 children: 8 new") && page.contains("Website: Given"),
        "{page}"
    );
    assert_eq!(children(&nursery).await, 0);
    let (status, said) = confirm(&person, &page, &[]).await;
    assert!(status == 200 && said.contains("Imported. "), "{said}");
    assert_eq!(children(&nursery).await, 8);
    let acts = nursery.storage.audit_list(9).await.unwrap();
    let import = acts.iter().find(|act| act.act == "consent.import").unwrap();
    assert_eq!(import.who, "Kim");
    // The press is good once.
    let again = person
        .post("/consents/import/confirm", &[("seen", &seen(&page))])
        .await;
    assert_eq!(again.headers()["location"], "/consents/import");
    nursery.close().await;
}

#[tokio::test]
async fn what_changed_since_it_was_seen_is_shown_again_and_not_imported() {
    let (nursery, person) = nursery().await;
    choose(&nursery, &person, ours("Yes").as_bytes(), &[]).await;
    let before = previewed(&person).await;
    choose(&nursery, &person, ours("No").as_bytes(), &[]).await;
    let (status, said) = confirm(&person, &before, &[]).await;
    assert!(
        status == 409 && said.contains("Something changed since you looked"),
        "{said}"
    );
    assert_eq!(children(&nursery).await, 0);
    // Somebody else imports while this is looked at.
    let other = Person::of(&nursery, "Sam", &[Role::Manager]).await;
    choose(&nursery, &other, ours("No").as_bytes(), &[]).await;
    let theirs = previewed(&other).await;
    let mine = previewed(&person).await;
    assert_eq!(confirm(&other, &theirs, &[]).await.0, 200);
    assert_eq!(confirm(&person, &mine, &[]).await.0, 409);
    nursery.close().await;
}

#[tokio::test]
async fn a_large_change_is_imported_only_once_it_is_ticked() {
    let (nursery, person) = nursery().await;
    choose(&nursery, &person, ours("Yes").as_bytes(), &[]).await;
    confirm(&person, &previewed(&person).await, &[]).await;
    choose(&nursery, &person, ours("No").as_bytes(), &[]).await;
    let page = previewed(&person).await;
    assert!(page.contains("8 of 8 consents would lapse"), "{page}");
    let (status, said) = confirm(&person, &page, &[]).await;
    assert!(status == 422 && said.contains("tick first"), "{said}");
    let (status, said) = confirm(&person, &page, &[("confirmed", "yes")]).await;
    assert!(status == 200 && said.contains("8 consents lapse"), "{said}");
    nursery.close().await;
}

#[tokio::test]
async fn another_booking_systems_file_is_read_as_a_person_says() {
    let (nursery, person) = nursery().await;
    let new = [("mapping", "+new"), ("new_name", "booking")];
    assert_eq!(
        choose(&nursery, &person, BOOKING.as_bytes(), &new)
            .await
            .status(),
        303
    );
    let page = previewed(&person).await;
    assert!(
        page.contains("“sometimes” means") && page.contains("A. B."),
        "{page}"
    );
    let field = "says:own_learning_journal:sometimes";
    assert!(page.contains(field), "{page}");
    let said = person
        .post("/consents/import/words", &[(field, "refused")])
        .await;
    assert_eq!(said.status(), 303);
    // Agreed to is what is read now, not what was seen before.
    assert_eq!(confirm(&person, &page, &[("accepted", "yes")]).await.0, 409);
    let page = previewed(&person).await;
    assert_eq!(confirm(&person, &page, &[]).await.0, 422);
    assert_eq!(confirm(&person, &page, &[("accepted", "yes")]).await.0, 200);
    assert_eq!(children(&nursery).await, 2);
    let form = person.get("/consents/import").await.text().await.unwrap();
    assert!(form.contains("As in “booking”"), "{form}");
    let taken = choose(&nursery, &person, BOOKING.as_bytes(), &new).await;
    assert_eq!(taken.status(), 422);
    nursery.close().await;
}

#[tokio::test]
async fn every_mistake_in_a_file_is_shown_with_its_place_its_value_and_what_to_do() {
    let (nursery, person) = nursery().await;
    let twice = "reference,first_name,last_name,website\nA1,Ann,Bee,Yes\nA1,Cy,Dee,No\n";
    choose(&nursery, &person, twice.as_bytes(), &[]).await;
    let answer = person.get("/consents/import/preview").await;
    assert_eq!(answer.status(), 422);
    let page = answer.text().await.unwrap();
    for wanted in ["data-label=\"Row\"", "<div>3</div>", "“A1”"] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    let some = "reference,first_name,last_name,website\nA1,Ann,Bee,perhaps\nA2,Cy,Dee,Yes\n";
    choose(&nursery, &person, some.as_bytes(), &[]).await;
    let page = previewed(&person).await;
    for wanted in ["Rows that are refused", "<div>2</div>", "“perhaps”"] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    nursery.close().await;
}

#[tokio::test]
async fn no_file_an_empty_one_and_one_that_is_too_large_are_refused_in_words() {
    let (nursery, person) = nursery().await;
    for answer in [
        person.post("/consents/import", &[]).await,
        choose(&nursery, &person, b"", &[]).await,
    ] {
        assert_eq!(answer.status(), 422);
        assert!(
            answer
                .text()
                .await
                .unwrap()
                .contains("Choose the exported file first")
        );
    }
    let large = vec![b'x'; 16 * 1024 * 1024 + 65 * 1024];
    let answer = choose(&nursery, &person, &large, &[]).await;
    assert_eq!(answer.status(), 413);
    assert!(
        answer
            .text()
            .await
            .unwrap()
            .contains("export the register only")
    );
    // Nowhere else.
    let form = "form_token=".to_owned() + &"x".repeat(65 * 1024);
    let request = person.request(Method::POST, "/holds");
    let request = request
        .header("origin", origin(&nursery.visitor()))
        .body(form);
    assert_ne!(request.send().await.unwrap().status(), 303);
    nursery.close().await;
}

#[tokio::test]
async fn a_file_is_the_business_of_whoever_chose_it_and_is_forgotten() {
    let (nursery, mut person) = nursery().await;
    choose(&nursery, &person, ours("Yes").as_bytes(), &[]).await;
    let other = Person::of(&nursery, "Sam", &[Role::Dsl]).await;
    let answer = other.get("/consents/import/preview").await;
    assert_eq!(answer.headers()["location"], "/consents/import");
    nursery.clock.advance(jiff::SignedDuration::from_mins(31));
    person.sign_in(&nursery).await;
    let answer = person.get("/consents/import/preview").await;
    assert_eq!(answer.headers()["location"], "/consents/import");
    nursery.close().await;
}
