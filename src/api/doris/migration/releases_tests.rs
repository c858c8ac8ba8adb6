//! The answers of the releases as tables, to the byte.

use super::*;
use crate::api::tests::sample;
use crate::model::ShardId;

const ALL: [Release; 6] =
    [Release::V1_1, Release::V1_2, Release::V2_0, Release::V2_1, Release::V3_0, Release::V4_0];

/// The status of a failure, which 1.1 has no names for.
fn status(release: Release, name: &'static str) -> &'static str {
    if release == Release::V1_1 { "Fail" } else { name }
}

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
        for release in ALL {
            let text = if release < Release::V2_0 { old } else { new };
            let expected = body(status(release, "INTERNAL_ERROR"), text);
            assert_eq!(read_text(raw, release), Err(expected), "{release:?}: {raw}");
        }
    }
}

#[test]
fn requests_are_read_leniently() {
    for release in ALL {
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
        for release in ALL {
            // Only a disk that is full is told otherwise since 2.1.
            let (name, text) = match release {
                Release::V1_1 => ("Fail", old),
                Release::V1_2 | Release::V2_0 if old != new => ("INTERNAL_ERROR", old),
                _ => (name, new),
            };
            assert_eq!(refused(&failure, release, &facts), body(name, text), "{release:?}: {code}");
        }
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
        for release in ALL {
            assert_eq!(
                standing(&sample::migration(status), release),
                format!("{{\"status\": \"Success\", \"msg\": \"{msg}\", \"dest_disk\": \"/d2\"}}"),
                "{status}"
            );
        }
    }
    for release in ALL {
        assert_eq!(unknown(release), body(status(release, "NOT_FOUND"), "Migration task not found"));
    }
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
        for release in &ALL[1..] {
            let (name, text) = match (release, code) {
                (Release::V1_2 | Release::V2_0, ErrorCode::DiskFull) => {
                    ("INTERNAL_ERROR", "Insufficient disk capacity")
                }
                _ => (name, text.as_str()),
            };
            assert_eq!(standing(&migration, *release), body(name, text), "{release:?}: {code}");
        }
    }
}

/// Whatever failed before an operator ended it, or before nobody let it through its gate in time.
#[test]
fn an_abort_reads_as_an_abort_and_an_expiry_as_a_timeout() {
    for failed_before in [true, false] {
        for release in ALL {
            let ended = |status| {
                let mut migration = sample::migration(status);
                migration.failure = migration.failure.filter(|_| failed_before);
                standing(&migration, release)
            };
            let aborted = body(status(release, "ABORTED"), "migration task was aborted");
            assert_eq!(ended(Status::Aborted), aborted, "{release:?}");
            let expired = match release {
                Release::V1_1 => body("Fail", "migration task failed, res: -1"),
                _ => body("TIMEOUT", "failed to migrate due to timeout"),
            };
            assert_eq!(ended(Status::Expired), expired, "{release:?}");
        }
    }
}
