//! Giving staff a passcode that was set in the console: through chpasswd, which asks PAM, so that the rules and the history
//! in force hold for it. The code goes through standard input only, never into an argument, the environment or a file.

use super::passcode_ages::Setting;
use super::passcode_rules;
use super::shadow::{self, Account};
use super::tablet::Tablet;
use crate::control::EnforceError;
use crate::control::code::{CodeError, CodeOrder, CodeRefusal, CodeSetter};
use crate::paths::Paths;
use nestwarden_policy_schema::code::Code;
use nestwarden_policy_schema::policy::SetBy;
use zeroize::Zeroizing;

/// PAM's own: whether a passcode opens an account, without an attempt that counts as a wrong one.
const CHECK_PROGRAM: &str = "/usr/sbin/unix_chkpwd";
const SET_PROGRAM: &str = "chpasswd";

/// chpasswd and PAM.
#[derive(Debug)]
pub struct PasscodeSetter {
    tablet: Tablet,
}

impl PasscodeSetter {
    pub fn new(paths: &Paths) -> Self {
        Self {
            tablet: Tablet::new(paths),
        }
    }

    fn account(
        &self,
        setting: &mut Setting<'_>,
        account: &Account,
        order: &CodeOrder,
    ) -> Result<(), CodeError> {
        if self.opens(account, &order.code)? {
            // Done before, by this command, and the agent did not live to say so.
            if setting.has_changed(account) {
                return note(setting, account, order);
            }
            // It would get another hash, and be the same.
            return Err(CodeRefusal::UsedBefore.into());
        }
        self.give(account, &order.code)?;
        let now = shadow::accounts(&self.tablet)?;
        let now = now.into_iter().find(|seen| seen.uid == account.uid);
        match now.filter(|now| now.hash != account.hash) {
            Some(now) if self.opens(&now, &order.code)? => note(setting, &now, order),
            Some(_) | None => Err(CodeRefusal::NotTaken.into()),
        }
    }

    fn give(&self, account: &Account, code: &Code) -> Result<(), CodeError> {
        let line = Zeroizing::new(format!("{}:{}\n", account.name, code.expose()));
        let told = self.tablet.tell(SET_PROGRAM, &[], line.as_bytes());
        let told = told.map_err(final_if_unsupported)?;
        if told.is_success {
            return Ok(());
        }
        // What it says is never passed on.
        Err(refusal(&told.said).into())
    }

    fn opens(&self, account: &Account, code: &Code) -> Result<bool, CodeError> {
        let line = Zeroizing::new(format!("{}\0", code.expose()));
        let arguments = [account.name.as_str(), "nonull"];
        let told = self.tablet.tell(CHECK_PROGRAM, &arguments, line.as_bytes());
        Ok(told.map_err(final_if_unsupported)?.is_success)
    }
}

fn note(setting: &mut Setting<'_>, account: &Account, order: &CodeOrder) -> Result<(), CodeError> {
    // Never before it was asked for, should the tablet's clock be a little behind the server's.
    let at = order.now.max(order.issued_at);
    Ok(setting.note_set(account, at)?)
}

impl CodeSetter for PasscodeSetter {
    fn set(&self, order: &CodeOrder) -> Result<(), CodeError> {
        let in_force = passcode_rules::in_force(&self.tablet).map_err(final_if_unsupported)?;
        if in_force.set_by != SetBy::Manager {
            let why = "the tablet's rules for passcodes are not in force yet";
            return Err(EnforceError::Unreadable(why.to_owned()).into());
        }
        let accounts = || shadow::accounts(&self.tablet);
        let (mut setting, accounts) = Setting::begin(&self.tablet, order.command, accounts)?;
        if accounts.is_empty() {
            return Err(CodeRefusal::NoAccount.into());
        }
        accounts
            .iter()
            .try_for_each(|account| self.account(&mut setting, account, order))
    }
}

fn final_if_unsupported(error: EnforceError) -> CodeError {
    match error {
        EnforceError::Unsupported(reason) => CodeRefusal::Unsupported(reason).into(),
        error @ (EnforceError::Failed { .. } | EnforceError::Unreadable(_)) => error.into(),
    }
}

fn refusal(said: &str) -> CodeRefusal {
    if said.contains("already used") {
        CodeRefusal::UsedBefore
    } else if said.contains("BAD PASSWORD") {
        CodeRefusal::TooWeak
    } else {
        CodeRefusal::NotTaken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use nestwarden_policy_schema::id::CommandId;

    #[test]
    fn a_refusal_is_told_in_general_words() {
        let used = "Password has been already used. Choose another.\nchpasswd: (user room) pam_chauthtok() failed";
        assert_eq!(refusal(used), CodeRefusal::UsedBefore);
        let weak = "BAD PASSWORD: The password fails the dictionary check - it is based on a dictionary word";
        assert_eq!(refusal(weak), CodeRefusal::TooWeak);
        assert_eq!(refusal("chpasswd: cannot lock"), CodeRefusal::NotTaken);
    }

    #[test]
    #[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    fn beneath_a_bare_root_no_passcode_is_set_and_the_reason_is_said() {
        let root = tempfile::tempdir().unwrap();
        let setter = PasscodeSetter::new(&Paths::new(root.path()));
        let order = CodeOrder {
            command: CommandId::from_uuid(uuid::Uuid::from_u128(1)),
            issued_at: Timestamp::UNIX_EPOCH,
            now: Timestamp::UNIX_EPOCH,
            code: Code::new(Zeroizing::new("480735".to_owned())).unwrap(),
        };
        let refused = setter.set(&order).unwrap_err();
        assert!(matches!(
            refused,
            CodeError::Refused(CodeRefusal::Unsupported(_))
        ));
    }
}
