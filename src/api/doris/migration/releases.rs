//! The endpoint as the releases 1.1 to 4.0 answer, byte for byte, for scripts written against them.
//!
//! Source: `be/src/http/action/tablet_migration_action.cpp`, `be/src/common/status.cpp`, `be/src/util/json_util.cpp`,
//! `be/src/olap/olap_define.h`. Nothing is added here: what these releases have no word for gets the nearest one they
//! have. One thing is not reproduced: they put `dest_disk` into the answer unescaped.

use super::super::cpp_number::{NotConverted, stoul_to_i32, stoull};
use super::super::rapid_json::{one_line, quoted, status_json};
use super::request::{Goal, Request};
use crate::api::query::Query;
use crate::config::Dialect;
use crate::model::{ErrorCode, Failure, Migration, SchemaHash, Status, TabletId, TabletKey};

/// Whose words; what a release does not change is as in the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Release {
    /// Failures are `Fail`; a tablet is looked up by id and schema hash.
    V1_1,
    /// Failures have names; a tablet is looked up by id alone.
    V1_2,
    /// A number that cannot be read is repeated.
    V2_0,
    /// A disk that is full is named, with the tablet's size.
    V2_1,
    /// No other words.
    V3_0,
    /// No other words.
    V4_0,
}

/// `goal=run`, accepted; the same in all.
pub(super) const ACCEPTED: &str =
    r#"{"status": "Success", "msg": "migration task is successfully submitted."}"#;

/// What the texts of a refusal name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) disk: &'a str,
    /// In bytes.
    pub(super) tablet_size: u64,
    /// Destination of the migration that owns the tablet.
    pub(super) busy_with: &'a str,
}

impl Release {
    /// The release a dialect is of; none is the documentation's.
    pub(super) const fn of(dialect: Dialect) -> Option<Self> {
        match dialect {
            Dialect::Documented => None,
            Dialect::V1_1 => Some(Self::V1_1),
            Dialect::V1_2 => Some(Self::V1_2),
            Dialect::V2_0 => Some(Self::V2_0),
            Dialect::V2_1 => Some(Self::V2_1),
            Dialect::V3_0 => Some(Self::V3_0),
            Dialect::V4_0 => Some(Self::V4_0),
        }
    }

    /// Whether a tablet is looked up by its id, whatever the schema hash.
    pub(super) fn looks_up_by_id(self) -> bool {
        self >= Self::V1_2
    }

    fn fail(self, name: &str, text: &str) -> String {
        let status = if self >= Self::V1_2 { name } else { "Fail" };
        status_json(status, text)
    }
}

/// Reads a request. A bad number is reported before a bad goal; the disk is not looked at.
///
/// # Errors
/// The answer.
pub(super) fn read(query: &Query, release: Release) -> Result<Request, String> {
    let (id, hash) = (query.first("tablet_id"), query.first("schema_hash"));
    let numbers = stoull(id).and_then(|id| Ok((id, stoul_to_i32(hash)?)));
    let (tablet_id, schema_hash) = numbers.map_err(|NotConverted { what }| {
        let text = if release >= Release::V2_0 {
            format!("Convert failed:{what}, invalid argument.tablet_id: {id}, schema_hash: {hash}")
        } else {
            format!("Convert failed, {what}")
        };
        release.fail("INTERNAL_ERROR", &text)
    })?;
    let goal = match query.first("goal") {
        "run" => Goal::Run,
        "status" => Goal::Status,
        _ => return Err(release.fail("INTERNAL_ERROR", "invalid goal argument.")),
    };
    let key = TabletKey { tablet_id: TabletId(tablet_id), schema_hash: SchemaHash(schema_hash) };
    Ok(Request { goal, key, disk: query.first("disk").to_owned() })
}

/// `goal=run`: no such tablet, or not one that is served.
pub(super) fn tablet_not_found(release: Release) -> String {
    release.fail("NOT_FOUND", "Tablet not found")
}

/// `goal=run`: refused by the engine.
pub(super) fn refused(failure: &Failure, release: Release, facts: &Facts<'_>) -> String {
    match failure.code {
        ErrorCode::TabletNotFound | ErrorCode::SchemaHashMismatch | ErrorCode::TabletUnavailable => {
            tablet_not_found(release)
        }
        ErrorCode::DiskNotFound => release.fail("NOT_FOUND", "Disk not found"),
        ErrorCode::AlreadyOnDisk => release.fail("ALREADY_EXIST", "Tablet already exist in destination disk"),
        ErrorCode::DiskFull | ErrorCode::NoSpace if release >= Release::V2_1 => {
            release.fail("E-217", &capacity_text(facts.disk, facts.tablet_size))
        }
        ErrorCode::DiskFull | ErrorCode::NoSpace => {
            release.fail("INTERNAL_ERROR", "Insufficient disk capacity")
        }
        ErrorCode::MigrationExists => {
            let disk = facts.busy_with;
            let text =
                format!("There is a migration task for this tablet already exists. dest_disk is {disk} .");
            release.fail("ALREADY_EXIST", &text)
        }
        ErrorCode::DiskUnavailable
        | ErrorCode::InvalidArgument
        | ErrorCode::MigrationNotFound
        | ErrorCode::QueueFull
        | ErrorCode::IllegalTransition
        | ErrorCode::StepNotAllowed
        | ErrorCode::PreconditionFailed
        | ErrorCode::IdempotencyMismatch
        | ErrorCode::NotRevertible
        | ErrorCode::SourceDamaged
        | ErrorCode::SourceUnreadable
        | ErrorCode::UnexpectedEntry
        | ErrorCode::ReadBackMismatch
        | ErrorCode::SyncFailed
        | ErrorCode::IoError
        | ErrorCode::DiskChanged
        | ErrorCode::RecordDamaged
        | ErrorCode::Aborted
        | ErrorCode::TimedOut
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
        | ErrorCode::TooManyRequests
        | ErrorCode::ResourceExhausted
        | ErrorCode::Internal => release.fail("INTERNAL_ERROR", "Migration task submission failed"),
    }
}

/// The node itself did not answer; no release has a word for that.
pub(super) fn not_answered(failure: &Failure, release: Release) -> String {
    release.fail("INTERNAL_ERROR", &failure.message)
}

/// `goal=status`: never heard of.
pub(super) fn unknown(release: Release) -> String {
    release.fail("NOT_FOUND", "Migration task not found")
}

/// `goal=status`: how the newest migration of the tablet stands.
pub(super) fn standing(migration: &Migration, release: Release) -> String {
    let msg = match migration.status {
        Status::Queued => "migration task is submitted",
        Status::Preflight
        | Status::PreflightPassed
        | Status::Prepared
        | Status::Copying
        | Status::Ready
        | Status::Finalizing
        | Status::Paused
        | Status::Aborting => "migration task is running",
        Status::Completed => "migration task has finished successfully",
        Status::Aborted | Status::Failed | Status::Expired => return ended_badly(migration, release),
    };
    one_line(&[
        ("status", quoted("Success")),
        ("msg", quoted(msg)),
        ("dest_disk", quoted(&migration.destination.path)),
    ])
}

fn ended_badly(migration: &Migration, release: Release) -> String {
    let code = match migration.status {
        // No release can end a task by hand. An earlier attempt may have failed; that is not what ended it.
        Status::Aborted => return release.fail("ABORTED", "migration task was aborted"),
        Status::Expired => ErrorCode::TimedOut,
        _ => migration.failure.as_ref().map_or(ErrorCode::Internal, |failure| failure.code),
    };
    if release >= Release::V1_2 {
        let (name, text) = task_status(migration, code, release);
        return release.fail(name, &text);
    }
    release.fail("INTERNAL_ERROR", &format!("migration task failed, res: {}", olap_status(code)))
}

/// `OLAPStatus` of 1.1.
const fn olap_status(code: ErrorCode) -> i32 {
    match code {
        ErrorCode::TabletNotFound | ErrorCode::SchemaHashMismatch => -215, // OLAP_ERR_TABLE_NOT_FOUND
        ErrorCode::TabletUnavailable | ErrorCode::MigrationExists => -216, // OLAP_ERR_TRY_LOCK_FAILED
        ErrorCode::DiskFull | ErrorCode::NoSpace => -232, // OLAP_ERR_DISK_REACH_CAPACITY_LIMIT
        ErrorCode::DiskNotFound | ErrorCode::DiskChanged => -222, // OLAP_ERR_INVALID_ROOT_PATH
        ErrorCode::DiskUnavailable => -227,               // OLAP_ERR_DISK_FAILURE
        ErrorCode::AlreadyOnDisk => -122,                 // OLAP_ERR_FILE_ALREADY_EXIST
        ErrorCode::SourceDamaged | ErrorCode::ReadBackMismatch => -208, // OLAP_ERR_CHECKSUM_ERROR
        ErrorCode::UnexpectedEntry => -121,               // OLAP_ERR_COPY_FILE_ERROR
        ErrorCode::SyncFailed | ErrorCode::IoError | ErrorCode::SourceUnreadable => -106, // OLAP_ERR_IO_ERROR
        ErrorCode::RecordDamaged => -211,                 // OLAP_ERR_PARSE_PROTOBUF_ERROR
        ErrorCode::ResourceExhausted | ErrorCode::TooManyRequests => -100, // OLAP_ERR_OS_ERROR
        ErrorCode::InvalidArgument => -203,               // OLAP_ERR_INPUT_PARAMETER_ERROR
        ErrorCode::MigrationNotFound
        | ErrorCode::QueueFull
        | ErrorCode::IllegalTransition
        | ErrorCode::StepNotAllowed
        | ErrorCode::PreconditionFailed
        | ErrorCode::IdempotencyMismatch
        | ErrorCode::NotRevertible
        | ErrorCode::Aborted
        | ErrorCode::TimedOut
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
        | ErrorCode::Internal => -1, // OLAP_ERR_OTHER_ERROR
    }
}

/// Error name and text of a failed task, from 1.2 on.
fn task_status(migration: &Migration, code: ErrorCode, release: Release) -> (&'static str, String) {
    let id = migration.key.tablet_id;
    match code {
        ErrorCode::TabletNotFound | ErrorCode::SchemaHashMismatch => {
            ("NOT_FOUND", format!("could not find tablet {id}"))
        }
        ErrorCode::TimedOut => ("TIMEOUT", "failed to migrate due to timeout".to_owned()),
        ErrorCode::DiskFull if release < Release::V2_1 => {
            ("INTERNAL_ERROR", "Insufficient disk capacity".to_owned())
        }
        ErrorCode::DiskFull => {
            ("E-217", capacity_text(&migration.destination.path, migration.counters.total_bytes))
        }
        ErrorCode::NoSpace => ("E-232", copy_text(migration, "No space left on device")),
        ErrorCode::IoError
        | ErrorCode::SyncFailed
        | ErrorCode::SourceDamaged
        | ErrorCode::SourceUnreadable
        | ErrorCode::ReadBackMismatch
        | ErrorCode::DiskUnavailable
        | ErrorCode::DiskChanged => ("IO_ERROR", copy_text(migration, "Input/output error")),
        ErrorCode::AlreadyOnDisk => {
            let path = tablet_path(migration, End::Destination);
            ("ALREADY_EXIST", format!("schema hash path {path} already exist, skip this path"))
        }
        ErrorCode::TabletUnavailable
        | ErrorCode::DiskNotFound
        | ErrorCode::MigrationExists
        | ErrorCode::MigrationNotFound
        | ErrorCode::QueueFull
        | ErrorCode::IllegalTransition
        | ErrorCode::StepNotAllowed
        | ErrorCode::PreconditionFailed
        | ErrorCode::IdempotencyMismatch
        | ErrorCode::NotRevertible
        | ErrorCode::UnexpectedEntry
        | ErrorCode::RecordDamaged
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
        | ErrorCode::TooManyRequests
        | ErrorCode::ResourceExhausted
        | ErrorCode::InvalidArgument
        | ErrorCode::Internal => ("INTERNAL_ERROR", format!("disk migrate failed try later, tablet_id={id}")),
    }
}

fn capacity_text(disk: &str, tablet_size: u64) -> String {
    format!("reach the capacity limit of path {disk}, tablet_size={tablet_size}")
}

fn copy_text(migration: &Migration, error: &str) -> String {
    let (from, to) = (tablet_path(migration, End::Source), tablet_path(migration, End::Destination));
    format!("failed to copy from {from} to {to}: {error}")
}

#[derive(Clone, Copy)]
enum End {
    Source,
    Destination,
}

/// The tablet's directory at one end; only the disk where the shard was not chosen yet.
fn tablet_path(migration: &Migration, end: End) -> String {
    let (disk, shard) = match end {
        End::Source => (&migration.source, migration.source_shard),
        End::Destination => (&migration.destination, migration.destination_shard),
    };
    match shard {
        Some(shard) => format!("{}/{}", disk.path, crate::storage::layout::tablet_dir(shard, migration.key)),
        None => disk.path.clone(),
    }
}

#[cfg(test)]
#[path = "releases_tests.rs"]
mod tests;
