//! Holds that stand for an incident with illegal content: whom they are kept from, and when they may be released.

use super::HoldError;
use crate::domain::registers::incident::Incident;
use crate::domain::registers::{Registers, every};
use crate::storage::{HoldRow, Operator, Storage, StorageError, Which};
use nestwarden_policy_schema::id::HoldId;
use std::collections::BTreeSet;

/// Those that this person is not told of, because they are left out of the incident. Where nobody can read who is left out,
/// it is kept from everybody.
pub async fn hidden_from(
    registers: &Registers<'_>,
    person: &Operator,
) -> Result<BTreeSet<HoldId>, StorageError> {
    let holds = registers.storage.hold_list().await?;
    if !holds.iter().any(|row| row.hold.category.freezes()) {
        return Ok(BTreeSet::new());
    }
    let incidents = every::<Incident>(registers.storage, Which::All).await?;
    let held = incidents.iter().filter_map(|kept| {
        let hold = kept.now.hold?;
        let circle = registers.circle(kept)?;
        circle.leaves_out(person).then_some(hold)
    });
    Ok(held.collect())
}

/// As for somebody who asks for a hold that there is not.
pub async fn known_to(
    registers: &Registers<'_>,
    person: &Operator,
    hold: HoldId,
) -> Result<(), HoldError> {
    if hidden_from(registers, person).await?.contains(&hold) {
        return Err(HoldError::Missing(hold));
    }
    Ok(())
}

/// What it holds may still be wanted for as long as anybody works on what it was opened for.
pub(super) async fn is_wanted(storage: &Storage, hold: &HoldRow) -> Result<bool, StorageError> {
    if !hold.hold.category.freezes() {
        return Ok(false);
    }
    let open = every::<Incident>(storage, Which::Open).await?;
    Ok(open.iter().any(|kept| kept.now.hold == Some(hold.hold.id)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use crate::domain::hold::{Release, release};
    use crate::domain::registers::incident::illegal::{self, Step};
    use crate::domain::registers::incident::{Act, Facts, OutcomeCode, Severity};
    use crate::domain::registers::testing::{House, hand};
    use crate::domain::registers::words::Words;
    use crate::storage::Role;
    use crate::storage::testing::{TestTablet, now};

    #[tokio::test]
    async fn a_freeze_ends_after_its_incident_and_is_kept_from_whoever_is_left_out_of_it() {
        let house = House::new().await;
        let (storage, registers) = (house.storage(), house.registers());
        let dana = house.person("Dana", &[Role::Dsl]).await;
        let eve = house.person("Eve", &[Role::Deputy]).await;
        let kim = house.person("Kim", &[Role::Manager]).await;
        let tablet = TestTablet::enrol(storage).await;
        let device = storage.device_find(tablet.id).await.unwrap().unwrap();
        let facts = Facts {
            happened_at: now(),
            noticed_at: now(),
            severity: Severity::Critical,
            device: Some(device.id),
        };
        let told = Words::default().text("facts", "seen").unwrap();
        let more = (&told, None, &[eve.id].into());
        let id = illegal::begin(&registers, Some(&device), facts, more, hand(&dana, now()))
            .await
            .unwrap();
        let hold = storage.hold_list().await.unwrap()[0].hold.id;

        let known = async |person| known_to(&registers, person, hold).await.is_ok();
        assert!(known(&dana).await && known(&kim).await);
        assert!(!known(&eve).await, "the deputy whom it is about");

        let asks = async |person| release(storage, hold, person, now()).await;
        assert!(matches!(asks(&dana).await, Err(HoldError::Wanted(_))));
        let done = Step::ALL.map(|step| Act::Step { step, at: now() });
        let closes = Act::Close {
            outcome: OutcomeCode::ReferredPolice,
        };
        for act in done.iter().chain([&Act::Debrief { due: None }, &closes]) {
            let by = hand(&dana, now());
            registers.add::<Incident>(id, act, &told, by).await.unwrap();
        }
        assert_eq!(asks(&dana).await.unwrap(), Release::Requested);
        // Opened again between the two.
        let by = hand(&dana, now());
        let again = registers.add::<Incident>(id, &Act::Reopen, &told, by);
        again.await.unwrap();
        assert!(matches!(asks(&kim).await, Err(HoldError::Wanted(_))));
        for act in [&Act::Debrief { due: None }, &closes] {
            let by = hand(&dana, now());
            registers.add::<Incident>(id, act, &told, by).await.unwrap();
        }
        assert!(!known(&eve).await, "also once it is closed");
        assert_eq!(asks(&kim).await.unwrap(), Release::Released);
    }
}
