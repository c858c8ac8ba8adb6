//! What helps against a refusal, in the words of `tabletctl`: whoever types verbs is told verbs, not routes.

use crate::api::wire::ErrorBody;
use crate::model::ErrorCode;

/// What to say beside the sentence of a refusal. A sentence that names a verb has said it; a code that this release does
/// not know keeps the daemon's own hint.
pub(super) fn in_our_words(body: &ErrorBody) -> Option<String> {
    if body.error_msg.contains("tabletctl ") {
        return None;
    }
    match ErrorCode::ALL.iter().find(|code| code.as_str() == body.error_code) {
        Some(code) => verb(*code).map(str::to_owned),
        None => body.hint.clone(),
    }
}

/// The counterpart of the API's own table of hints: none where that has none.
const fn verb(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::TabletNotFound => "tabletctl tablet list shows the tablets of this node",
        ErrorCode::DiskNotFound => "tabletctl disk list shows the disks",
        ErrorCode::MigrationNotFound => "tabletctl list shows those that are remembered",
        ErrorCode::TaskNotFound => "tabletctl task list shows them",
        ErrorCode::TrashNotFound => "tabletctl trash list shows what is there",
        ErrorCode::QuarantineNotFound => "tabletctl quarantine list shows what is there",
        ErrorCode::OperationNotFound => "tabletctl operation list shows those that are remembered",
        ErrorCode::OperationExists => "tabletctl operation list says how far it is",
        ErrorCode::TabletUnavailable => "tabletctl status names the tablets that are not served, and why",
        ErrorCode::SchemaHashMismatch => "tabletctl tablet show TABLET_ID says what the tablet is now",
        ErrorCode::StepNotAllowed | ErrorCode::IllegalTransition => {
            "tabletctl migration show ID says what it takes now"
        }
        ErrorCode::IdempotencyMismatch => "take a new --idempotency-key for another request",
        ErrorCode::MigrationExists => {
            "tabletctl follow ID waits for the other migration, tabletctl abort ID ends it"
        }
        ErrorCode::DiskFull => "tabletctl tablet explain TABLET_ID --disk DISK gives the numbers",
        ErrorCode::SwapInDoubt => {
            "tabletctl disk list says how each disk is; tabletctl migration settle ID once one of the two is online"
        }
        ErrorCode::PlanDrifted => "look at the plan anew: the same command with --dry-run",
        ErrorCode::QueueFull => "repeat later; tabletctl config get migration_queue_size bounds the queue",
        ErrorCode::TooManyRequests => "nothing was done; repeat later, with fewer requests at once",
        ErrorCode::ShuttingDown => "repeat when the daemon is back",
        ErrorCode::DiskUnavailable => "tabletctl disk list says how each disk is",
        ErrorCode::JournalUnavailable => "tabletctl status says how state_dir and the journal are",
        ErrorCode::Internal => "the daemon's log says where",
        ErrorCode::InvalidArgument
        | ErrorCode::DiskExists
        // What is in the way differs, and each sentence names its way out.
        | ErrorCode::DiskInUse
        | ErrorCode::PreconditionFailed
        | ErrorCode::AlreadyOnDisk
        | ErrorCode::PlanRefused
        | ErrorCode::NotRevertible
        | ErrorCode::SourceDamaged
        | ErrorCode::SourceUnreadable
        | ErrorCode::UnexpectedEntry
        | ErrorCode::ReadBackMismatch
        | ErrorCode::SyncFailed
        | ErrorCode::NoSpace
        | ErrorCode::IoError
        | ErrorCode::DiskChanged
        | ErrorCode::RecordDamaged
        | ErrorCode::Aborted
        | ErrorCode::TimedOut
        | ErrorCode::NotDamaged
        | ErrorCode::OnlyOlderCopy
        | ErrorCode::ResourceExhausted => return None,
    })
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    use super::*;
    use crate::cli::args::Cli;

    fn body(code: &str, message: &str) -> ErrorBody {
        let hint = Some("GET /api/v1/x lists them".to_owned());
        ErrorBody { error_msg: message.to_owned(), error_code: code.to_owned(), hint, details: None }
    }

    #[test]
    fn a_hint_names_a_verb_unless_the_sentence_has() {
        let hint = in_our_words(&body("TASK_NOT_FOUND", "no task 9"));
        assert_eq!(hint.as_deref(), Some("tabletctl task list shows them"));
        assert_eq!(in_our_words(&body("DISK_IN_USE", "first: tabletctl disk drain /d1")), None);
        assert_eq!(in_our_words(&body("FROM_THE_FUTURE", "x")).as_deref(), Some("GET /api/v1/x lists them"));
    }

    #[test]
    fn every_verb_that_is_named_is_one() {
        fn is_a_command(command: &Command, words: &[&str]) -> bool {
            let Some((first, rest)) = words.split_first() else { return true };
            let below = command.get_subcommands().find(|below| below.get_name() == *first);
            below
                .map_or_else(|| command.get_subcommands().next().is_none(), |below| is_a_command(below, rest))
        }
        let command = Cli::command();
        for code in ErrorCode::ALL {
            let Some(hint) = verb(*code) else { continue };
            assert!(!hint.contains("/api/"), "{code}: {hint}");
            for said in hint.split("tabletctl ").skip(1) {
                let words: Vec<_> = said.split([' ', ';', ',']).take(2).collect();
                assert!(is_a_command(&command, &words), "{code}: {hint}");
            }
        }
    }
}
