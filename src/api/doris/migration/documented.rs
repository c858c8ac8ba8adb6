//! The endpoint as its documentation has it: its texts in `msg`, and behind them what a person needs to know.
//!
//! Parameters are read strictly: a migration that was not meant is worse than one more error.

use super::super::rapid_json::{one_line, quoted};
use super::request::{Goal, Request};
use crate::api::query::{Query, invalid};
use crate::model::{ErrorCode, Failure, Migration, Phase, Status, TabletKey};

const PARAMETERS: &[&str] = &["goal", "tablet_id", "schema_hash", "disk"];

/// Reads a request.
///
/// # Errors
/// The first thing wrong, naming parameter, value and what is accepted; and the goal, where that could be read.
pub(super) fn read(query: Query) -> Result<Request, (Option<Goal>, Failure)> {
    let goal = match query.first("goal") {
        "run" => Ok(Goal::Run),
        "status" => Ok(Goal::Status),
        "" => Err("parameter goal is missing; accepted: run, status".to_owned()),
        other => Err(format!("parameter goal must be run or status, got {}", quoted(other))),
    };
    let known_goal = goal.as_ref().ok().copied();
    let read = || {
        let query = query.strict(PARAMETERS)?;
        let goal = goal.map_err(invalid)?;
        let key = TabletKey {
            tablet_id: query.require("tablet_id", "a whole number from 1 to 9223372036854775807")?,
            schema_hash: query.require("schema_hash", "a whole number from 0 to 2147483647")?,
        };
        let disk = query.text("disk").unwrap_or("").to_owned();
        if goal == Goal::Run && disk.is_empty() {
            return Err(invalid(
                "parameter disk is missing; accepted: a path of storage_root_path, as written there",
            ));
        }
        Ok(Request { goal, key, disk })
    };
    read().map_err(|failure| (known_goal, failure))
}

/// `goal=run`: the migration is in the journal.
pub(super) fn accepted(migration: &Migration) -> String {
    one_line(&[
        ("status", quoted("Success")),
        ("msg", quoted("migration task is successfully submitted.")),
        ("dest_disk", quoted(&migration.destination.path)),
        ("migration_id", migration.id.to_string()),
    ])
}

/// `goal=run`, or a request whose goal cannot be told: nothing was submitted.
pub(super) fn refused(failure: &Failure) -> String {
    fail("Migration task submission failed", failure)
}

/// `goal=status`: there is nothing to tell.
pub(super) fn not_told(failure: &Failure) -> String {
    fail("Migration task not found", failure)
}

/// No migration of that tablet is known.
pub(super) fn unknown(key: TabletKey) -> Failure {
    let TabletKey { tablet_id, schema_hash } = key;
    let text =
        format!("no migration of tablet {tablet_id} with schema hash {schema_hash} is known on this node");
    Failure::new(ErrorCode::MigrationNotFound, text)
}

fn fail(msg: &str, failure: &Failure) -> String {
    one_line(&[
        ("status", quoted("Fail")),
        ("msg", quoted(msg)),
        ("reason", quoted(&failure.message)),
        ("error_code", quoted(failure.code.as_str())),
    ])
}

/// `goal=status`: how the newest migration of the tablet stands.
pub(super) fn standing(migration: &Migration) -> String {
    let (msg, over_badly) = match migration.status.phase() {
        Phase::New | Phase::Working => ("migration task is running", false),
        Phase::Complete => ("migration task has finished successfully", false),
        Phase::Failed | Phase::Aborted | Phase::Expired => ("migration task failed.", true),
    };
    let mut fields = vec![
        ("status", quoted("Success")),
        ("msg", quoted(msg)),
        ("dest_disk", quoted(&migration.destination.path)),
        ("migration_id", migration.id.to_string()),
        ("migration_status", quoted(migration.status.as_str())),
    ];
    // Whoever was aborted or has expired may have failed before; that is not what ended it.
    let ended_by = match (migration.status, &migration.failure) {
        (Status::Aborted, _) => Some((ErrorCode::Aborted, &migration.status_reason)),
        (Status::Expired, _) => Some((ErrorCode::TimedOut, &migration.status_reason)),
        (_, Some(failure)) if over_badly => Some((failure.code, &failure.message)),
        _ => None,
    };
    let reason = ended_by.map_or(&migration.status_reason, |(_, reason)| reason);
    fields.push(("reason", quoted(reason)));
    if let Some((code, _)) = ended_by {
        fields.push(("error_code", quoted(code.as_str())));
    }
    one_line(&fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::sample;

    fn read_text(raw: &str) -> Result<Request, (Option<Goal>, Failure)> {
        read(Query::parse(Some(raw)))
    }

    #[test]
    fn good_requests_are_read() {
        let request = read_text("goal=run&tablet_id=123&schema_hash=333&disk=/disk1").unwrap();
        assert_eq!(
            request,
            Request { goal: Goal::Run, key: TabletKey::new(123, 333), disk: "/disk1".into() }
        );
        let request = read_text("disk=%2Fa+b&schema_hash=0&tablet_id=9223372036854775807&goal=run").unwrap();
        assert_eq!((request.key, request.disk.as_str()), (TabletKey::new(i64::MAX, 0), "/a b"));
        assert_eq!(read_text("goal=status&tablet_id=1&schema_hash=2").unwrap().goal, Goal::Status);
    }

    #[test]
    fn bad_requests_are_refused_naming_parameter_and_value() {
        const ID: &str = "a whole number from 1 to 9223372036854775807";
        const HASH: &str = "a whole number from 0 to 2147483647";
        for (raw, expected) in [
            ("", "parameter goal is missing; accepted: run, status".to_owned()),
            (
                "goal=Run&tablet_id=1&schema_hash=2&disk=/d",
                "parameter goal must be run or status, got \"Run\"".into(),
            ),
            ("goal=run&schema_hash=2&disk=/d", format!("parameter tablet_id is missing; accepted: {ID}")),
            ("goal=run&tablet_id=1&disk=/d", format!("parameter schema_hash is missing; accepted: {HASH}")),
            (
                "goal=run&tablet_id=1&schema_hash=2",
                "parameter disk is missing; accepted: a path of storage_root_path, as written there".into(),
            ),
            (
                "goal=run&tablet_id=-1&schema_hash=2&disk=/d",
                format!("parameter tablet_id: tablet_id must be {ID}, got \"-1\""),
            ),
            (
                "goal=run&tablet_id=&schema_hash=2&disk=/d",
                format!("parameter tablet_id: tablet_id must be {ID}, got \"\""),
            ),
            (
                "goal=run&tablet_id=9223372036854775808&schema_hash=2&disk=/d",
                format!("parameter tablet_id: tablet_id must be {ID}, got \"9223372036854775808\""),
            ),
            (
                "goal=run&tablet_id=12abc&schema_hash=2&disk=/d",
                format!("parameter tablet_id: tablet_id must be {ID}, got \"12abc\""),
            ),
            (
                "goal=run&tablet_id=1&schema_hash=2147483648&disk=/d",
                format!("parameter schema_hash: schema_hash must be {HASH}, got \"2147483648\""),
            ),
            (
                "goal=run&tablet_id=1&tablet_id=2&schema_hash=2&disk=/d",
                "parameter tablet_id is given more than once, as \"1\" and \"2\"; give it once".into(),
            ),
            (
                "goal=status&goal=run&tablet_id=1&schema_hash=2&disk=/d",
                "parameter goal is given more than once, as \"status\" and \"run\"; give it once".into(),
            ),
            (
                "goal=run&tablet_id=1&schema_hash=2&disk=/d&force=1",
                "unknown parameter \"force\"; accepted: goal, tablet_id, schema_hash, disk".into(),
            ),
        ] {
            let (_, failure) = read_text(raw).unwrap_err();
            assert_eq!(failure, Failure::new(ErrorCode::InvalidArgument, expected), "{raw}");
        }
    }

    #[test]
    fn a_submission_is_answered_in_the_words_of_the_documentation() {
        assert_eq!(
            accepted(&sample::migration(Status::Queued)),
            r#"{"status": "Success", "msg": "migration task is successfully submitted.", "dest_disk": "/d2", "migration_id": 7}"#
        );
        assert_eq!(
            refused(&Failure::new(ErrorCode::DiskFull, "/d2 is \"full\"")),
            r#"{"status": "Fail", "msg": "Migration task submission failed", "reason": "/d2 is \"full\"", "error_code": "DISK_FULL"}"#
        );
    }

    #[test]
    fn every_status_has_one_of_the_three_documented_texts() {
        for &status in Status::ALL {
            let (msg, tail) = match status {
                Status::Completed => ("migration task has finished successfully", r#""reason": "because""#),
                Status::Failed => {
                    ("migration task failed.", r#""reason": "the medium failed", "error_code": "IO_ERROR""#)
                }
                Status::Aborted => {
                    ("migration task failed.", r#""reason": "because", "error_code": "ABORTED""#)
                }
                Status::Expired => {
                    ("migration task failed.", r#""reason": "because", "error_code": "TIMED_OUT""#)
                }
                _ => ("migration task is running", r#""reason": "because""#),
            };
            assert_eq!(
                standing(&sample::migration(status)),
                format!(
                    r#"{{"status": "Success", "msg": "{msg}", "dest_disk": "/d2", "migration_id": 7, "migration_status": "{status}", {tail}}}"#
                ),
            );
        }
    }

    #[test]
    fn an_ended_migration_without_a_failure_still_says_why() {
        let mut migration = sample::migration(Status::Failed);
        migration.failure = None;
        assert!(standing(&migration).ends_with(r#""migration_status": "failed", "reason": "because"}"#));
    }

    #[test]
    fn what_is_not_known_is_a_failure_that_says_so() {
        assert_eq!(
            not_told(&unknown(TabletKey::new(1, 2))),
            "{\"status\": \"Fail\", \"msg\": \"Migration task not found\", \"reason\": \"no migration of tablet 1 with \
             schema hash 2 is known on this node\", \"error_code\": \"MIGRATION_NOT_FOUND\"}"
        );
    }
}
