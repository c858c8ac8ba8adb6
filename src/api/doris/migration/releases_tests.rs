//! The answers of 1.1 and 3.0 as tables, to the byte.

use super::*;
use crate::api::tests::sample;
use crate::model::ShardId;

fn body(status: &str, msg: &str) -> String {
    format!("{{\n    \"status\": \"{status}\",\n    \"msg\": \"{msg}\"\n}}")
}

fn read_text(raw: &str, release: Release) -> Result<Request, String> {
    read(&Query::parse(Some(raw)), release)
}

#[test]
fn requests_that_cannot_be_read() {
    for (raw, old, new) in [
        ("", "Convert failed, stoull", "Convert failed:stoull, invalid argument.tablet_id: , schema_hash: "),
        (
            "goal=run&tablet_id=x&schema_hash=y",
            "Convert failed, stoull",
            "Convert failed:stoull, invalid argument.tablet_id: x, schema_hash: y",
        ),
        (
            "goal=nonsense&tablet_id=1&schema_hash=",
            "Convert failed, stoul",
            "Convert failed:stoul, invalid argument.tablet_id: 1, schema_hash: ",
        ),
        ("goal=Run&tablet_id=1&schema_hash=2", "invalid goal argument.", "invalid goal argument."),
        ("tablet_id=1&schema_hash=2", "invalid goal argument.", "invalid goal argument."),
    ] {
        assert_eq!(read_text(raw, Release::V1_1), Err(body("Fail", old)), "{raw}");
        assert_eq!(read_text(raw, Release::V3_0), Err(body("INTERNAL_ERROR", new)), "{raw}");
    }
}

#[test]
fn requests_are_read_leniently() {
    for release in [Release::V1_1, Release::V3_0] {
        for (raw, key, disk) in [
            ("goal=run&tablet_id=12abc&schema_hash=+3&disk=/d", TabletKey::new(12, 3), "/d"),
            ("goal=run&tablet_id=1&tablet_id=2&schema_hash=3&unknown=4", TabletKey::new(1, 3), ""),
            ("goal=run&tablet_id=-1&schema_hash=-1", TabletKey::new(-1, -1), ""),
        ] {
            assert_eq!(
                read_text(raw, release),
                Ok(Request { goal: Goal::Run, key, disk: disk.to_owned() }),
                "{raw}"
            );
        }
    }
}

#[test]
fn refusals_of_a_submission() {
    let facts = Facts { disk: "/d2", tablet_size: 123, busy_with: "/d3" };
    let submission = "Migration task submission failed";
    for &code in ErrorCode::ALL {
        let (old, name, new) = match code {
            ErrorCode::TabletNotFound | ErrorCode::SchemaHashMismatch | ErrorCode::TabletUnavailable => {
                ("Tablet not found", "NOT_FOUND", "Tablet not found")
            }
            ErrorCode::DiskNotFound => ("Disk not found", "NOT_FOUND", "Disk not found"),
            ErrorCode::AlreadyOnDisk => (
                "Tablet already exist in destination disk",
                "ALREADY_EXIST",
                "Tablet already exist in destination disk",
            ),
            ErrorCode::DiskFull | ErrorCode::NoSpace => (
                "Insufficient disk capacity",
                "E-217",
                "reach the capacity limit of path /d2, tablet_size=123",
            ),
            ErrorCode::MigrationExists => (
                "There is a migration task for this tablet already exists. dest_disk is /d3 .",
                "ALREADY_EXIST",
                "There is a migration task for this tablet already exists. dest_disk is /d3 .",
            ),
            _ => (submission, "INTERNAL_ERROR", submission),
        };
        let failure = Failure::new(code, "our words, which are not shown");
        assert_eq!(refused(&failure, Release::V1_1, &facts), body("Fail", old), "{code}");
        assert_eq!(refused(&failure, Release::V3_0, &facts), body(name, new), "{code}");
    }
    assert_eq!(ACCEPTED, "{\"status\": \"Success\", \"msg\": \"migration task is successfully submitted.\"}");
}

#[test]
fn standings() {
    for &status in Status::ALL {
        let msg = match status {
            Status::Queued => "migration task is submitted",
            Status::Completed => "migration task has finished successfully",
            Status::Failed | Status::Aborted | Status::Expired => continue,
            _ => "migration task is running",
        };
        for release in [Release::V1_1, Release::V3_0] {
            assert_eq!(
                standing(&sample::migration(status), release),
                format!("{{\"status\": \"Success\", \"msg\": \"{msg}\", \"dest_disk\": \"/d2\"}}"),
                "{status}"
            );
        }
    }
    assert_eq!(unknown(Release::V1_1), body("Fail", "Migration task not found"));
    assert_eq!(unknown(Release::V3_0), body("NOT_FOUND", "Migration task not found"));
}

#[test]
fn failed_tasks() {
    let copy = "failed to copy from /d1/data/3/1/2 to /d2/data/4/1/2: ";
    for (code, number, name, text) in [
        (ErrorCode::TimedOut, -1, "TIMEOUT", "failed to migrate due to timeout".to_owned()),
        (ErrorCode::TabletNotFound, -215, "NOT_FOUND", "could not find tablet 1".to_owned()),
        (
            ErrorCode::DiskFull,
            -232,
            "E-217",
            "reach the capacity limit of path /d2, tablet_size=1000".to_owned(),
        ),
        (ErrorCode::NoSpace, -232, "E-232", format!("{copy}No space left on device")),
        (ErrorCode::IoError, -106, "IO_ERROR", format!("{copy}Input/output error")),
        (ErrorCode::SyncFailed, -106, "IO_ERROR", format!("{copy}Input/output error")),
        (ErrorCode::SourceDamaged, -208, "IO_ERROR", format!("{copy}Input/output error")),
        (
            ErrorCode::AlreadyOnDisk,
            -122,
            "ALREADY_EXIST",
            "schema hash path /d2/data/4/1/2 already exist, skip this path".to_owned(),
        ),
        (ErrorCode::Internal, -1, "INTERNAL_ERROR", "disk migrate failed try later, tablet_id=1".to_owned()),
    ] {
        let mut migration = sample::migration(Status::Failed);
        migration.failure = Some(Failure::new(code, "our words, which are not shown"));
        migration.source_shard = Some(ShardId(3));
        migration.destination_shard = Some(ShardId(4));
        migration.counters.total_bytes = 1000;
        let old = format!("migration task failed, res: {number}");
        assert_eq!(standing(&migration, Release::V1_1), body("Fail", &old), "{code}");
        assert_eq!(standing(&migration, Release::V3_0), body(name, &text), "{code}");
    }
}

#[test]
fn a_migration_ended_by_hand_is_a_failed_task() {
    for status in [Status::Aborted, Status::Expired] {
        let mut migration = sample::migration(status);
        migration.failure = None;
        let answer = standing(&migration, Release::V3_0);
        assert_eq!(answer, body("INTERNAL_ERROR", "disk migrate failed try later, tablet_id=1"));
    }
}
