//! Migrations to write: one plain sample, and any at all.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::model::{
    Counters, DiskRef, DiskUuid, ErrorCode, Failure, LogEntry, Migration, MigrationId, Mode, Priority,
    Receipt, ShardId, Status, Steering, Step, StepRecord, StepStatus, TabletKey,
};

/// The disk `number`: its identity and its path follow from it.
pub(super) fn disk(number: u8) -> DiskRef {
    DiskRef { uuid: DiskUuid(uuid::Uuid::from_u128(u128::from(number))), path: format!("/data/disk{number}") }
}

/// A queued migration of tablet `tablet_id`, from disk 1 to disk 2, with the logs and counters of a usual one.
pub(super) fn sample(tablet_id: i64) -> Migration {
    Migration {
        status_reason: "waiting for a write slot on /data/disk2".to_owned(),
        attempts: 1,
        counters: Counters { total_bytes: 1 << 30, total_files: 12, ..Counters::default() },
        steps: vec![StepRecord {
            step: Step::Preflight,
            status: StepStatus::Done,
            started_ms: 1_700_000_000_000,
            ended_ms: Some(1_700_000_000_020),
            logs: vec![LogEntry { at_ms: 1_700_000_000_010, text: "12 files, 1073741824 bytes".to_owned() }],
            checks: Vec::new(),
        }],
        request_reason: "drain /data/disk1".to_owned(),
        updated_ms: 1_700_000_000_020,
        ..Migration::new(TabletKey::new(tablet_id, 567_997_577), disk(1), disk(2), 1_700_000_000_000)
    }
}

/// The sample in another status.
pub(super) fn sample_in(tablet_id: i64, status: Status) -> Migration {
    Migration { status, ..sample(tablet_id) }
}

fn any_disk() -> impl Strategy<Value = DiskRef> {
    (any::<u128>(), any::<String>())
        .prop_map(|(uuid, path)| DiskRef { uuid: DiskUuid(uuid::Uuid::from_u128(uuid)), path })
}

fn any_step() -> impl Strategy<Value = StepRecord> {
    let log = (any::<i64>(), any::<String>()).prop_map(|(at_ms, text)| LogEntry { at_ms, text });
    (select(Step::ALL), select(StepStatus::ALL), any::<i64>(), any::<Option<i64>>(), vec(log, 0..4)).prop_map(
        |(step, status, started_ms, ended_ms, logs)| StepRecord {
            step,
            status,
            started_ms,
            ended_ms,
            logs,
            checks: Vec::new(),
        },
    )
}

fn any_receipt() -> impl Strategy<Value = Receipt> {
    (any::<[u64; 5]>(), any::<u32>(), any::<bool>(), any::<Option<String>>()).prop_map(
        |([generation, files, bytes, pause_us, duration_ms], manifest_crc32, verified_cold, trash_path)| {
            Receipt {
                generation,
                files,
                bytes,
                manifest_crc32,
                verified_cold,
                pause_us,
                duration_ms,
                trash_path,
            }
        },
    )
}

fn any_counters() -> impl Strategy<Value = Counters> {
    any::<[u64; 8]>().prop_map(
        |[
            total_bytes,
            copied_bytes,
            verified_bytes,
            resumed_bytes,
            cloned_bytes,
            total_files,
            verified_files,
            throttled_ms,
        ]| Counters {
            total_bytes,
            copied_bytes,
            verified_bytes,
            resumed_bytes,
            cloned_bytes,
            total_files,
            verified_files,
            throttled_ms,
            recent_bytes_per_sec: 0,
        },
    )
}

/// Any migration at all: every field takes every value of its type, likely or not.
pub(super) fn any_migration() -> impl Strategy<Value = Migration> {
    let place = (any::<i64>(), any::<i32>(), any_disk(), any_disk(), any::<Option<u16>>());
    let stand = (
        select([Mode::Auto, Mode::ManualCutover, Mode::Stepwise].as_slice()),
        select([Priority::Low, Priority::Normal, Priority::High].as_slice()),
        select(Status::ALL),
        option::of(select(Status::ALL)),
        any::<String>(),
        any::<u32>(),
        any::<String>(),
    );
    let failure =
        (select(ErrorCode::ALL), any::<String>()).prop_map(|(code, message)| Failure { code, message });
    let history = (any_counters(), vec(any_step(), 0..4), option::of(failure), option::of(any_receipt()));
    let times = (any::<[i64; 2]>(), any::<[Option<i64>; 3]>());
    (place, stand, history, times).prop_map(|(place, stand, history, times)| {
        let (tablet_id, schema_hash, source, destination, shard) = place;
        let (mode, priority, status, paused_in, status_reason, attempts, request_reason) = stand;
        let (counters, steps, failure, receipt) = history;
        let ([created_ms, updated_ms], [not_before_ms, last_progress_ms, finished_ms]) = times;
        Migration {
            id: MigrationId(0),
            key: TabletKey::new(tablet_id, schema_hash),
            source,
            destination,
            mode,
            priority,
            status,
            paused_in,
            status_reason,
            attempts,
            not_before_ms,
            source_shard: None,
            destination_shard: shard.map(ShardId),
            hung_disk: None,
            counters,
            steps,
            failure,
            receipt,
            request_reason,
            task: None,
            doris: None,
            steering: Steering::default(),
            created_ms,
            updated_ms,
            last_progress_ms,
            finished_ms,
        }
    })
}
