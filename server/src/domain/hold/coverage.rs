//! How much a hold covers, as far as tablets told, and what comes of it.

use crate::domain::photo::{self, Judge};
use crate::storage::{PhotoRow, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::hold::{Hold, HoldScope};

/// Photos that are still there, wherever they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Coverage {
    pub photos: usize,
    /// Of those, in use.
    pub in_use: usize,
    /// Others of which tablets told too little to say.
    pub unclear: usize,
}

/// Counts what an open hold covers. Reads every photo.
pub async fn of(storage: &Storage, hold: &Hold, now: Timestamp) -> Result<Coverage, StorageError> {
    let judge = Judge::load(storage, now).await?;
    let mut coverage = Coverage::default();
    photo::each(storage, |row| coverage.look(&judge, hold, &row)).await?;
    Ok(coverage)
}

impl Coverage {
    fn look(&mut self, judge: &Judge, hold: &Hold, row: &PhotoRow) {
        if row.stage == Stage::Destroyed {
            return;
        }
        let verdict = judge.facts(row).and_then(|facts| judge.verdict(&facts));
        let covers = match (verdict, &hold.scope) {
            (Some(verdict), _) => Some(verdict.holds.contains(&hold.id)),
            (None, HoldScope::Photo { photo }) => Some(*photo == row.photo),
            (None, HoldScope::Device { device }) => Some(*device == row.device),
            (
                None,
                HoldScope::Child { .. } | HoldScope::Staff { .. } | HoldScope::Window { .. },
            ) => None,
        };
        self.photos += usize::from(covers == Some(true));
        self.in_use += usize::from(covers == Some(true) && row.stage == Stage::Live);
        self.unclear += usize::from(covers.is_none());
    }

    /// What becomes of them while the hold is open.
    pub fn says(&self, hold: &Hold) -> String {
        let photos = match self.photos {
            1 => "1 photo".to_owned(),
            photos => format!("{photos} photos"),
        };
        let mut says = format!(
            "It covers {photos} that tablets told of, {} in use. ",
            self.in_use
        );
        if self.unclear > 0 {
            says = format!(
                "{says}Of {} more they told too little to say. ",
                self.unclear
            );
        }
        let comes = if hold.category.freezes() {
            "Nothing touches what it covers: it is neither withheld nor sealed, opened nor destroyed. Leave the tablet as it is; the police take it."
        } else {
            "Nothing it covers is destroyed. Otherwise all goes on as without it: what consent permits stays in use, what it does not goes out of use and is sealed, and comes back when consent does."
        };
        says + comes
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;
    use crate::domain::hold;
    use crate::storage::testing::{
        TestStorage, TestTablet, audit, child, destroyed, known, now, photo_id,
    };
    use crate::storage::{Operator, RegisterChange, Role};
    use nestwarden_policy_schema::consent::Tagging;
    use nestwarden_policy_schema::event::EventBody;
    use nestwarden_policy_schema::hold::HoldCategory;
    use nestwarden_policy_schema::id::OperatorId;
    use nestwarden_policy_schema::profile::EARLY_YEARS;

    #[tokio::test]
    async fn a_hold_says_how_many_photos_it_covers_and_how_many_of_them_are_in_use() {
        let test = TestStorage::create().await;
        let storage = &test.storage;
        storage
            .profile_put("early-years", 0, EARLY_YEARS, &audit("p"))
            .await
            .unwrap();
        let mut tablet = TestTablet::enrol(storage).await;
        let change = RegisterChange {
            children: vec![child(1), child(2)],
            records: vec![],
            import_key: None,
        };
        let version = storage.inputs_version().await.unwrap();
        storage
            .register_change(&change, version, &audit("c"))
            .await
            .unwrap();
        let sealed = EventBody::PhotoStage {
            photo: photo_id(2),
            from: Stage::Live,
            to: Stage::Sealed,
            cause: None,
            observed_only: false,
        };
        let told = [
            known(tablet.id, 1, &[1, 2], Tagging::Complete),
            known(tablet.id, 2, &[1], Tagging::Complete),
            known(tablet.id, 3, &[2], Tagging::Complete),
            known(tablet.id, 4, &[1], Tagging::Complete),
            sealed,
            destroyed(photo_id(4), child(1).id),
        ];
        let batch = tablet.batch_of(&told);
        storage.event_append(batch).await.unwrap();
        let dsl = Operator {
            id: OperatorId::from_uuid(uuid::Uuid::new_v4()),
            name: "D".to_owned(),
            roles: [Role::Dsl].into(),
            created_at: now(),
        };
        let opened = async |scope, category| {
            let opened = hold::open(storage, scope, category, 7, &dsl, now())
                .await
                .unwrap();
            (of(storage, &opened, now()).await.unwrap(), opened)
        };
        let scope = HoldScope::Child { child: child(1).id };
        let (coverage, police) = opened(scope, HoldCategory::Police).await;
        let counted = |photos, in_use| Coverage {
            photos,
            in_use,
            unclear: 0,
        };
        assert_eq!(coverage, counted(2, 1));
        insta::assert_snapshot!(coverage.says(&police), @"It covers 2 photos that tablets told of, 1 in use. Nothing it covers is destroyed. Otherwise all goes on as without it: what consent permits stays in use, what it does not goes out of use and is sealed, and comes back when consent does.");
        let scope = HoldScope::Photo { photo: photo_id(3) };
        let (coverage, freeze) = opened(scope, HoldCategory::IllegalContent).await;
        assert_eq!(coverage, counted(1, 1));
        insta::assert_snapshot!(coverage.says(&freeze), @"It covers 1 photo that tablets told of, 1 in use. Nothing touches what it covers: it is neither withheld nor sealed, opened nor destroyed. Leave the tablet as it is; the police take it.");
    }
}
