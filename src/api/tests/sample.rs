//! One of each, for tests.

use crate::engine::{
    DiskView, OperationView, PaceView, QuarantineView, TabletView, TaskView, TrashView, UndoneOnDisk,
    UndoneView, UnrecordedOnDisk, UnrecordedView,
};
use crate::model::{
    Capacity, CheckState, Counters, DamagedFile, DiskCondition, DiskRef, DiskUuid, ErrorCode, Failure,
    LogEntry, Medium, MigrateTarget, Migration, MigrationId, MoveStatus, OperationId, OperationKind,
    OperationState, Phase, PlanCompleteness, PlanOutcome, PlannedMove, Receipt, ShardId, Space, Status, Step,
    StepRecord, StepStatus, TabletCheck, TabletKey, Task, TaskId, TaskPlan, TaskProgress, TaskRequest,
    TaskStatus,
};

/// When the data step of [`migration`] began.
pub(crate) const DATA_STARTED_MS: i64 = 1_700_000_000_000;

pub(crate) const KEY: TabletKey = TabletKey::new(1, 2);

/// Migration 7 of tablet 1_2 from `/d1` to `/d2`.
pub(crate) fn migration(status: Status) -> Migration {
    let disk = |path: &str| DiskRef { uuid: DiskUuid(uuid::Uuid::nil()), path: path.to_owned() };
    let ended_badly = matches!(status.phase(), Phase::Failed | Phase::Aborted | Phase::Expired);
    Migration {
        id: MigrationId(7),
        status,
        status_reason: "because".into(),
        attempts: 1,
        counters: Counters { total_bytes: 1000, ..Counters::default() },
        steps: vec![StepRecord {
            step: Step::Data,
            status: StepStatus::Running,
            started_ms: DATA_STARTED_MS,
            ended_ms: None,
            logs: vec![LogEntry { at_ms: DATA_STARTED_MS, text: "copying".into() }],
            checks: Vec::new(),
        }],
        failure: ended_badly.then(|| Failure::new(ErrorCode::IoError, "the medium failed")),
        receipt: (status == Status::Completed).then(|| Receipt {
            generation: 2,
            files: 3,
            bytes: 1000,
            manifest_crc32: 0xabc,
            verified_cold: true,
            pause_us: 150,
            duration_ms: 500,
            trash_path: Some("trash/20240101000000.0/1/2".into()),
        }),
        finished_ms: status.is_final().then_some(DATA_STARTED_MS),
        ..Migration::new(KEY, disk("/d1"), disk("/d2"), DATA_STARTED_MS)
    }
}

/// An online disk with four slots each way.
pub(crate) fn disk(path: &str) -> DiskView {
    DiskView {
        path: path.to_owned(),
        uuid: Some(DiskUuid(uuid::Uuid::nil())),
        medium: Medium::Ssd,
        condition: DiskCondition::Online,
        capacity: Capacity { total_bytes: 1000, avail_bytes: 400, ..Capacity::default() },
        reserved: Space { bytes: 5, inodes: 2 },
        tablet_count: 1,
        tablet_bytes: 100,
        trash_bytes: 7,
        file_system: "ext4".into(),
        shares_file_system_with: Vec::new(),
        read_slots: (1, 4),
        write_slots: (0, 4),
        queued_from: 0,
        queued_to: 2,
        paused_and_running_from: (0, 1),
        paused_and_running_to: (0, 0),
        tasks: Vec::new(),
        rate_limit_bytes_per_sec: 0,
        pace: Some(PaceView {
            rate_bytes_per_sec: 6_000_000,
            reason: "nobody waits".into(),
            latency_us: Some(90),
            calm_latency_us: Some(80),
            stall_permille: 12,
        }),
        throttled_ms: 2_500,
        not_safe_because: Some("it holds 1 tablet".into()),
        undone: UndoneOnDisk { count: 1, bytes: 9, items: vec![undone()] },
        unrecorded: UnrecordedOnDisk { count: 2, bytes: 7, not_looked_at: None },
    }
}

/// A copy that could not be retired.
pub(crate) fn undone() -> UndoneView {
    UndoneView {
        disk: "/d1".into(),
        path: "data/3/7/555".into(),
        key: Some(TabletKey::new(7, 555)),
        size_bytes: 9,
        why: "an outlived copy, to be retired to trash: no space".into(),
        since_ms: 1_700_000_000_000,
    }
}

/// A tablet of partition 9 in shard 3.
pub(crate) fn tablet(key: TabletKey, disk: &str) -> TabletView {
    TabletView {
        key,
        table_id: 12,
        partition_id: 9,
        disk: disk.to_owned(),
        shard_id: ShardId(3),
        generation: 1,
        size_bytes: 100,
        file_count: 2,
        migration: None,
        unavailable: None,
        pinned: None,
        damaged: None,
        unreadable: None,
    }
}

/// Tablet 1_2 in the trash of `/d1`.
pub(crate) fn trash() -> TrashView {
    TrashView {
        disk: "/d1".into(),
        entry: "20240101000000.0".into(),
        key: KEY,
        size_bytes: 100,
        generation: Some(1),
        moved_to: Some("/d2".into()),
        migration_id: Some(MigrationId(7)),
        retired_ms: Some(DATA_STARTED_MS),
        kept_because: "due".into(),
        kept_until_ms: Some(DATA_STARTED_MS),
    }
}

/// Tablet 1_2 in the quarantine of `/d1`.
pub(crate) fn quarantined() -> QuarantineView {
    QuarantineView {
        disk: "/d1".into(),
        entry: "20240101000000.0".into(),
        path: "/d1/quarantine/20240101000000.0".into(),
        reason: "it is damaged".into(),
        key: Some(KEY),
        generation: Some(1),
        has_files: true,
        file_count: 3,
        size_bytes: 100,
        is_salvaged: false,
        salvaged: None,
    }
}

/// Where tablet 1_2 would stand, on `/d1`.
pub(crate) fn unrecorded() -> UnrecordedView {
    UnrecordedView {
        disk: "/d1".into(),
        path: "/d1/data/1/1/2".into(),
        key: Some(KEY),
        entries: 3,
        size_bytes: 100,
        remark: None,
    }
}

/// Operation 3 about tablet 1_2, under way.
pub(crate) fn operation(kind: OperationKind) -> OperationView {
    OperationView {
        id: OperationId(3),
        kind,
        state: OperationState::Running,
        subject: format!("tablet {KEY}"),
        key: Some(KEY),
        requested_by: "ops".into(),
        generation: Some(4),
        note: "reading".into(),
        done_tablets: 0,
        total_tablets: 1,
        read_bytes: 0,
        total_bytes: None,
        items: Vec::new(),
        salvaged: None,
        failure: None,
        started_ms: DATA_STARTED_MS,
        finished_ms: None,
    }
}

/// Task 3, a drain of `/d1` with one move, not started yet.
pub(crate) fn task() -> TaskView {
    let disk = |path: &str| DiskRef { uuid: DiskUuid(uuid::Uuid::nil()), path: path.to_owned() };
    let planned = PlannedMove {
        key: KEY,
        source: disk("/d1"),
        destination: disk("/d2"),
        size_bytes: 100,
        why: "its disk is being drained".into(),
        formerly: Vec::new(),
    };
    let task = Task {
        id: TaskId(3),
        name: "empty d1".into(),
        request: TaskRequest::Drain { disks: vec!["/d1".into()], media: Default::default() },
        plan: TaskPlan {
            moves: vec![planned],
            total_bytes: 100,
            disks: Vec::new(),
            left_out: Vec::new(),
            fits_nowhere: Vec::new(),
            score_before: 1.5,
            score_after: 0.5,
            falls_short: Vec::new(),
            outcome: PlanOutcome::Reaches,
            completeness: PlanCompleteness::AllOrNothing,
            fingerprint: 7,
        },
        options: Default::default(),
        status: TaskStatus::Stopped,
        replans: Vec::new(),
        paused_disks: Vec::new(),
        reason: String::new(),
        idempotency: None,
        created_ms: DATA_STARTED_MS,
        updated_ms: DATA_STARTED_MS,
        started_ms: None,
        finished_ms: None,
        result: None,
    };
    TaskView {
        task: std::sync::Arc::new(task),
        progress: TaskProgress { moves_total: 1, moves_pending: 1, bytes_total: 100, ..Default::default() },
        failed: Vec::new(),
        status_reason: "planned; start it to move".into(),
        disks: Vec::new(),
    }
}

/// The move of [`task`], not submitted yet.
pub(crate) fn target() -> MigrateTarget {
    MigrateTarget {
        position: 0,
        planned: task().task.plan.moves[0].clone(),
        status: MoveStatus::Pending,
        migration_id: None,
        migration_status: None,
        reason: String::new(),
    }
}

/// A verification of a tablet on `/d1`.
pub(crate) fn check(key: TabletKey, state: CheckState) -> TabletCheck {
    let damaged = DamagedFile { name: "5_0.dat".into(), reason: "CRC-32 00000001, recorded 00000002".into() };
    TabletCheck {
        key,
        disk: "/d1".into(),
        generation: 1,
        state,
        total_files: 2,
        total_bytes: 100,
        checked_files: 2,
        checked_bytes: 100,
        unrecorded_files: 0,
        cold: state.is_settled().then_some(true),
        damaged: Vec::from_iter((state == CheckState::Damaged).then_some(damaged)),
        unreadable: Vec::new(),
        error: None,
        started_ms: Some(DATA_STARTED_MS),
        finished_ms: state.is_settled().then_some(DATA_STARTED_MS),
    }
}
