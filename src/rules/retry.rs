//! Which failures are worth another attempt, and when.

use crate::model::ErrorCode;

/// What a failed attempt leaves in staging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// Nothing, or bytes that nobody has compared yet.
    Unverified,
    /// A copy of which every byte was read back.
    Verified,
}

/// What becomes of a copy that is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    Nothing,
    /// It is set aside in quarantine: it may be the better one.
    Copy,
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Once more, after this many milliseconds.
    RetryAfter(u64),
    /// Once more when there is space, however often that has to be looked for. An unverified copy is not kept meanwhile.
    WaitForSpace,
    /// No attempt can help, or there have been enough.
    GiveUp(Leave),
}

/// The longest pause between two attempts.
pub const PAUSE_MS_MAX: u64 = 60_000;

/// The longest pause before space is looked for again.
pub const SPACE_PAUSE_MS_MAX: u64 = 10_000;

/// Decides after `attempts` attempts (at least 1) of at most `attempts_max`. Patience ends with an unverified copy only.
pub fn after_failure(
    code: ErrorCode,
    copy: Copied,
    attempts: u32,
    attempts_max: u32,
    backoff_ms: u64,
) -> Verdict {
    if code.is_want_of_space() {
        return Verdict::WaitForSpace;
    }
    let journal_is_away = code == ErrorCode::JournalUnavailable;
    let again = match copy {
        Copied::Unverified => may_pass_by_itself(code) && attempts < attempts_max,
        Copied::Verified => may_pass_by_itself(code) || journal_is_away,
    };
    if again {
        return Verdict::RetryAfter(pause_ms(attempts, backoff_ms));
    }
    let outlives_its_source = matches!(
        code,
        ErrorCode::SourceDamaged
            | ErrorCode::UnexpectedEntry
            | ErrorCode::RecordDamaged
            | ErrorCode::AlreadyOnDisk
            | ErrorCode::Internal
    );
    Verdict::GiveUp(if copy == Copied::Verified && outlives_its_source {
        Leave::Copy
    } else {
        Leave::Nothing
    })
}

/// The pause before attempt `n + 1`: doubled each time, up to [`PAUSE_MS_MAX`].
pub fn pause_ms(n: u32, backoff_ms: u64) -> u64 {
    backoff_ms.saturating_mul(1 << n.saturating_sub(1).min(16)).min(PAUSE_MS_MAX)
}

/// How long a copy may give no sign of life before it is stopped, as Doris counts it: the key, or one second for each MiB of
/// the tablet, whichever is more.
pub fn patience_ms(timeout_secs: u32, size_bytes: u64) -> i64 {
    let secs = u64::from(timeout_secs).max(size_bytes >> 20);
    i64::try_from(secs.saturating_mul(1000)).unwrap_or(i64::MAX)
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
        | ErrorCode::SourceUnreadable
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
        | ErrorCode::SwapInDoubt
        | ErrorCode::Internal => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(code: ErrorCode, copy: Copied, attempts: u32) -> Verdict {
        after_failure(code, copy, attempts, 3, 1000)
    }

    const GIVE_UP: Verdict = Verdict::GiveUp(Leave::Nothing);

    /// What a first failure of each code comes to: with an unverified copy, and with a verified one.
    #[test]
    fn every_code_has_its_row() {
        use Verdict::{GiveUp, RetryAfter, WaitForSpace};
        let rows: &[(Verdict, Verdict, &[&str])] = &[
            (WaitForSpace, WaitForSpace, &["NO_SPACE", "DISK_FULL"]),
            (
                RetryAfter(1000),
                RetryAfter(1000),
                &[
                    "IO_ERROR",
                    "SOURCE_UNREADABLE",
                    "TIMED_OUT",
                    "DISK_UNAVAILABLE",
                    "TOO_MANY_REQUESTS",
                    "RESOURCE_EXHAUSTED",
                ],
            ),
            // The copy is whole; only that it is to be swapped in could not be written down.
            (GIVE_UP, RetryAfter(1000), &["JOURNAL_UNAVAILABLE"]),
            // The source is no longer what the copy was made of: the copy may be the better one.
            (
                GIVE_UP,
                GiveUp(Leave::Copy),
                &["SOURCE_DAMAGED", "UNEXPECTED_ENTRY", "RECORD_DAMAGED", "ALREADY_ON_DISK", "INTERNAL"],
            ),
            // A second sync says "ok" over lost bytes; bytes that came back different are as little to be believed.
            (GIVE_UP, GIVE_UP, &["SYNC_FAILED", "READ_BACK_MISMATCH", "DISK_CHANGED", "SWAP_IN_DOUBT"]),
            // What a request is refused with is no failure of a copy, and would be refused again.
            (
                GIVE_UP,
                GIVE_UP,
                &[
                    "INVALID_ARGUMENT",
                    "TABLET_NOT_FOUND",
                    "SCHEMA_HASH_MISMATCH",
                    "TABLET_UNAVAILABLE",
                    "DISK_NOT_FOUND",
                    "MIGRATION_EXISTS",
                    "MIGRATION_NOT_FOUND",
                    "QUEUE_FULL",
                    "ILLEGAL_TRANSITION",
                    "STEP_NOT_ALLOWED",
                    "PRECONDITION_FAILED",
                    "IDEMPOTENCY_MISMATCH",
                    "NOT_REVERTIBLE",
                    "ABORTED",
                    "SHUTTING_DOWN",
                    "TASK_NOT_FOUND",
                    "PLAN_REFUSED",
                    "DISK_EXISTS",
                    "DISK_IN_USE",
                    "PLAN_DRIFTED",
                    "TRASH_NOT_FOUND",
                    "QUARANTINE_NOT_FOUND",
                    "OPERATION_NOT_FOUND",
                    "OPERATION_EXISTS",
                    "NOT_DAMAGED",
                    "ONLY_OLDER_COPY",
                ],
            ),
        ];
        for code in ErrorCode::ALL {
            let mut of_it = rows.iter().filter(|(.., codes)| codes.contains(&code.as_str()));
            let Some((unverified, verified, _)) = of_it.next() else { panic!("{code} has no row") };
            assert!(of_it.next().is_none(), "{code} has two rows");
            assert_eq!(verdict(*code, Copied::Unverified, 1), *unverified, "{code}");
            assert_eq!(verdict(*code, Copied::Verified, 1), *verified, "{code}");
        }
        let named: usize = rows.iter().map(|(.., codes)| codes.len()).sum();
        assert_eq!(named, ErrorCode::ALL.len());
    }

    #[test]
    fn pauses_double_and_attempts_end() {
        let verdicts: Vec<_> = (1..=3).map(|n| verdict(ErrorCode::IoError, Copied::Unverified, n)).collect();
        assert_eq!(
            verdicts,
            [Verdict::RetryAfter(1000), Verdict::RetryAfter(2000), Verdict::GiveUp(Leave::Nothing)]
        );
        assert_eq!(pause_ms(60, 1000), PAUSE_MS_MAX);
    }

    #[test]
    fn patience_ends_with_an_unverified_copy_only() {
        let passing = [
            ErrorCode::IoError,
            ErrorCode::SourceUnreadable,
            ErrorCode::TimedOut,
            ErrorCode::DiskUnavailable,
        ];
        for code in passing.into_iter().chain([ErrorCode::JournalUnavailable]) {
            let pause = Verdict::RetryAfter(PAUSE_MS_MAX);
            assert_eq!(verdict(code, Copied::Verified, 1_000), pause, "{code}");
            assert_eq!(verdict(code, Copied::Unverified, 3), Verdict::GiveUp(Leave::Nothing), "{code}");
        }
    }

    #[test]
    fn space_is_waited_for_however_long_that_takes() {
        for code in [ErrorCode::NoSpace, ErrorCode::DiskFull] {
            for copy in [Copied::Unverified, Copied::Verified] {
                assert_eq!(verdict(code, copy, 1_000), Verdict::WaitForSpace, "{code}");
            }
        }
    }

    #[test]
    fn large_tablets_are_given_a_second_for_each_mebibyte() {
        for (mib, secs) in [(0, 300), (300, 300), (301, 301), (2048, 2048)] {
            assert_eq!(patience_ms(300, mib << 20), secs * 1000, "{mib} MiB");
        }
        assert_eq!(patience_ms(300, u64::MAX), (i64::try_from(u64::MAX >> 20).unwrap()) * 1000);
    }
}
