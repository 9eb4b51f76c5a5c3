//! Characters in a file that nobody can see for what they are.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::profile;
use crate::storage::testing::{TestStorage, now};
use nestwarden_policy_schema::profile::EARLY_YEARS;

const HEADER: &str = "reference,first_name,last_name,room,website\n";

async fn imported(rows: &str) -> Result<Outcome, ImportError> {
    let test = TestStorage::create().await;
    profile::apply(&test.storage, EARLY_YEARS, "os:test", now())
        .await
        .unwrap();
    let by = By {
        who: "os:test",
        operator: None,
    };
    let file = format!("{HEADER}A1,Zoë,O\u{2019}Neill,Owls,Yes\n{rows}\n");
    let (storage, bytes) = (&test.storage, file.as_bytes());
    run(storage, bytes, None, Consent::default(), by, now()).await
}

fn is_printable(text: &str) -> bool {
    let unseen = nestwarden_policy_schema::text::is_unseen;
    !text.chars().any(|c| unseen(c) && c != '\n')
}

#[tokio::test]
async fn a_reference_with_them_refuses_the_file_because_nobody_can_tell_whose_row_it_is() {
    for reference in ["A\u{1b}[2J2", "\u{202e}2A", "A\u{200b}1"] {
        let refused = imported(&format!("{reference},Ann,Bee,Owls,Yes")).await;
        let says = refused.unwrap_err().to_string();
        assert!(says.contains("row 3, column `reference`"), "{says}");
        assert!(says.contains("cannot be seen"), "{says}");
        assert!(is_printable(&says), "{says:?}");
    }
}

#[tokio::test]
async fn a_name_or_a_room_with_them_refuses_the_row() {
    for row in [
        "A2,An\u{7}n,Bee,Owls,Yes",
        "A2,Ann,\u{2066}Bee,Owls,Yes",
        "A2,Ann,Bee,Ow\u{9b}ls,Yes",
    ] {
        let plan = imported(row).await.unwrap().plan;
        let refused: Vec<String> = plan.refused.iter().map(ToString::to_string).collect();
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(refused[0].starts_with("row 3 (A2)"), "{refused:?}");
        assert!(is_printable(&refused[0]), "{refused:?}");
    }
}
