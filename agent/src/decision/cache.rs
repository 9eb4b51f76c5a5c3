//! Which verdicts the kernel may keep. It forgets one when the file is written to, but not when it is changed through a
//! shared mapping; so a verdict is kept only where nobody without privilege can have such a mapping.

use super::verdict::{Allow, FileFacts, Script, Verdict};

/// Whether the kernel may answer for this file from now on, whoever asks. The verdict already says that no unprivileged
/// user can write to the file or replace it.
pub fn may_keep(verdict: &Verdict, file: &FileFacts) -> bool {
    let for_everyone = match verdict {
        Verdict::Allow(Allow::Base | Allow::App) => true,
        Verdict::Allow(
            Allow::Root
            | Allow::SystemAccount
            | Allow::PackagedScript
            | Allow::StartedByApp
            | Allow::StartedByScript
            | Allow::Reading,
        )
        | Verdict::Deny(_)
        | Verdict::Failed(_) => false,
    };
    // A script's start is what licenses its interpreter, so it must be seen every time.
    for_everyone && !file.open_for_write && file.script == Script::No
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::verdict::{Deny, tests::file};

    #[test]
    fn an_approved_program_nobody_can_write_is_kept() {
        assert!(may_keep(&Verdict::Allow(Allow::Base), &file()));
        assert!(may_keep(&Verdict::Allow(Allow::App), &file()));
    }

    #[test]
    fn a_verdict_for_one_person_is_never_kept() {
        for allow in [
            Allow::Root,
            Allow::SystemAccount,
            Allow::PackagedScript,
            Allow::StartedByApp,
            Allow::StartedByScript,
            Allow::Reading,
        ] {
            assert!(!may_keep(&Verdict::Allow(allow), &file()));
        }
        assert!(!may_keep(&Verdict::Deny(Deny::NotPackaged), &file()));
    }

    #[test]
    fn a_file_somebody_holds_open_for_writing_is_never_kept() {
        let open = FileFacts {
            open_for_write: true,
            ..file()
        };
        assert!(!may_keep(&Verdict::Allow(Allow::Base), &open));
    }

    #[test]
    fn a_script_is_never_kept() {
        let script = FileFacts {
            script: Script::Direct("/bin/sh".into()),
            ..file()
        };
        assert!(!may_keep(&Verdict::Allow(Allow::Base), &script));
    }
}
