//! Which failures are worth another attempt, and when.

use crate::model::ErrorCode;

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Once more, after this many milliseconds.
    RetryAfter(u64),
    /// No attempt can help, or there have been enough.
    GiveUp,
}

/// The longest pause between two attempts.
pub const PAUSE_MS_MAX: u64 = 60_000;

/// Decides after `attempts` attempts (at least 1) of at most `attempts_max`.
pub fn after_failure(code: ErrorCode, attempts: u32, attempts_max: u32, backoff_ms: u64) -> Verdict {
    if !may_pass_by_itself(code) || attempts >= attempts_max {
        return Verdict::GiveUp;
    }
    let doubled = backoff_ms.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    Verdict::RetryAfter(doubled.min(PAUSE_MS_MAX))
}

/// Whether time alone can mend it. Exhaustive on purpose: a new code does not compile until this is decided.
const fn may_pass_by_itself(code: ErrorCode) -> bool {
    match code {
        // Space is freed, descriptors return, a disk comes back.
        ErrorCode::NoSpace
        | ErrorCode::DiskFull
        | ErrorCode::TooManyRequests
        | ErrorCode::ResourceExhausted
        | ErrorCode::IoError
        | ErrorCode::TimedOut
        | ErrorCode::DiskUnavailable => true,
        // A failed sync leaves a disk whose cache cannot be believed: the disk is suspect and a person decides.
        // The same goes for bytes that came back different. Damage at the source does not heal.
        ErrorCode::SyncFailed
        | ErrorCode::ReadBackMismatch
        | ErrorCode::SourceDamaged
        | ErrorCode::UnexpectedEntry
        | ErrorCode::RecordDamaged
        | ErrorCode::DiskChanged
        | ErrorCode::InvalidArgument
        | ErrorCode::TabletNotFound
        | ErrorCode::SchemaHashMismatch
        | ErrorCode::TabletUnavailable
        | ErrorCode::DiskNotFound
        | ErrorCode::AlreadyOnDisk
        | ErrorCode::MigrationExists
        | ErrorCode::MigrationNotFound
        | ErrorCode::QueueFull
        | ErrorCode::IllegalTransition
        | ErrorCode::StepNotAllowed
        | ErrorCode::PreconditionFailed
        | ErrorCode::IdempotencyMismatch
        | ErrorCode::NotRevertible
        | ErrorCode::Aborted
        | ErrorCode::JournalUnavailable
        | ErrorCode::ShuttingDown
        | ErrorCode::TaskNotFound
        | ErrorCode::PlanRefused
        | ErrorCode::DiskExists
        | ErrorCode::DiskInUse
        | ErrorCode::PlanDrifted
        | ErrorCode::TrashNotFound
        | ErrorCode::QuarantineNotFound
        | ErrorCode::OperationNotFound
        | ErrorCode::OperationExists
        | ErrorCode::NotDamaged
        | ErrorCode::OnlyOlderCopy
        | ErrorCode::Internal => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_sync_is_never_tried_again() {
        assert_eq!(after_failure(ErrorCode::SyncFailed, 1, 10, 1), Verdict::GiveUp);
    }

    #[test]
    fn pauses_double_and_attempts_end() {
        let verdicts: Vec<_> = (1..=4).map(|n| after_failure(ErrorCode::NoSpace, n, 4, 1000)).collect();
        assert_eq!(
            verdicts,
            [
                Verdict::RetryAfter(1000),
                Verdict::RetryAfter(2000),
                Verdict::RetryAfter(4000),
                Verdict::GiveUp
            ]
        );
        assert_eq!(after_failure(ErrorCode::NoSpace, 60, u32::MAX, 1000), Verdict::RetryAfter(PAUSE_MS_MAX));
    }
}
