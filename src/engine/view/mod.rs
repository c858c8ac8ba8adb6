//! What the engine shows of itself: plain values, copied out under a short lock.

pub(crate) mod measures;
pub(crate) mod operations;
pub(crate) mod tasks;
pub(crate) mod trash;
pub(crate) mod undone;
pub(crate) mod unrecorded;

use crate::journal;
use crate::model::{
    Capacity, DiskCondition, DiskUuid, ErrorCode, Failure, Idempotency, Mark, Medium, MigrationId, Mode,
    Phase, Priority, ShardId, Space, Status, Step, TabletId, TabletKey, TaskId, TimestampMs, quoted,
};

pub use crate::rules::planning::Pin;

pub use measures::HistogramView;
pub use measures::{JournalView, StateSpace};
pub use tasks::{NewTask, TargetFilter, TaskChange, TaskFilter, TaskView};
pub use undone::{UndoneOnDisk, UndoneView};
pub use unrecorded::{UnrecordedFilter, UnrecordedOnDisk, UnrecordedView};

pub use crate::rules::admission::Precondition;

/// How many items a page has: as many as were asked for, and 1000 when no number was named.
pub(crate) const fn page_limit(asked: usize) -> usize {
    if asked == 0 { 1000 } else { asked }
}

/// A request to move one tablet.
#[derive(Debug, Clone)]
pub struct Submit {
    pub key: TabletKey,
    pub destination: Destination,
    /// How far by itself.
    pub mode: Mode,
    pub priority: Priority,
    /// Who asks and why, for the record.
    pub reason: String,
    /// The task it is part of.
    pub task: Option<TaskId>,
    /// Its own bandwidth limit in bytes copied per second; `None` or 0 is none.
    pub rate_bytes_per_sec: Option<u64>,
    /// Who asks: an address, or a name where callers have one.
    pub requested_by: String,
    /// The key of the request.
    pub idempotency: Option<Idempotency>,
    /// The migration whose move this one takes back.
    pub reverts: Option<MigrationId>,
    /// What is taken for granted of the tablet.
    pub precondition: Precondition,
}

/// Where a tablet is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To the disk of this path, as configured.
    Disk(String),
    /// To the best disk of this medium.
    Medium(Medium),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Disk(path) => write!(f, "{}", quoted(path)),
            Self::Medium(medium) => write!(f, "the best {medium} disk"),
        }
    }
}

/// What would become of a request.
#[derive(Debug, Clone)]
pub struct Validation {
    /// The disk it would go to, as far as one is named or could be chosen.
    pub destination: Option<String>,
    pub checks: Vec<RuleAnswer>,
    /// Why it would be refused; `None` when it would be accepted.
    pub refusal: Option<Failure>,
}

impl Submit {
    /// The plainest request: at once, to the end, in its turn.
    pub fn new(key: TabletKey, disk: String) -> Self {
        Self {
            key,
            destination: Destination::Disk(disk),
            mode: Mode::Auto,
            priority: Priority::Normal,
            reason: String::new(),
            task: None,
            rate_bytes_per_sec: None,
            requested_by: String::new(),
            idempotency: None,
            reverts: None,
            precondition: Precondition::default(),
        }
    }
}

/// What one rule says about a move that was only thought of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleAnswer {
    /// Name of the rule.
    pub rule: &'static str,
    /// Whether it lets the tablet go; `None` when it cannot be asked.
    pub allows: Option<bool>,
    /// The numbers it looked at, in words.
    pub detail: String,
    /// Whether it binds every move, or only those of plans.
    pub binds: RuleBinds,
}

/// Whom a rule binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleBinds {
    EveryMove,
    Plans,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// How many match in all.
    pub total: u64,
    /// Those on this page.
    pub items: Vec<T>,
}

/// Which migrations to list. Empty fields match everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MigrationFilter {
    /// Any of these statuses.
    pub statuses: Vec<Status>,
    /// Any of these phases.
    pub phases: Vec<Phase>,
    pub tablet_id: Option<TabletId>,
    /// With this disk at either end, by path.
    pub disk: Option<String>,
    /// With this source, by path.
    pub source: Option<String>,
    /// With this destination, by path.
    pub destination: Option<String>,
    /// Part of this task.
    pub task: Option<TaskId>,
    /// Accepted at this time or later.
    pub since_ms: Option<TimestampMs>,
    /// Accepted before this time.
    pub before_ms: Option<TimestampMs>,
    pub order: ListOrder,
    /// Numbers behind this one in that order (the marker of the page before).
    pub after: Option<MigrationId>,
    /// At most this many; 0 means 1000.
    pub limit: usize,
}

impl MigrationFilter {
    /// Whether migrations of this status are asked for.
    pub(crate) fn wants(&self, status: Status) -> bool {
        self.wants_in(status, status.phase())
    }

    /// The same of one whose phase is told by more than its status.
    pub(crate) fn wants_in(&self, status: Status, phase: Phase) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&status))
            && (self.phases.is_empty() || self.phases.contains(&phase))
    }

    /// Whether every migration is asked for, page by page.
    pub(crate) fn wants_all(&self) -> bool {
        let all = Self { order: self.order, after: self.after, limit: self.limit, ..Self::default() };
        *self == all
    }

    /// The same question of the journal, about rows of those of `statuses` that are asked for; `None` when it is none.
    pub(crate) fn of_rows(&self, statuses: impl Fn(Status) -> bool, limit: usize) -> Option<journal::Filter> {
        let path = |path: &Option<String>| path.clone().map(journal::DiskMatch::Path);
        let wanted = |status: &Status| statuses(*status) && self.wants(*status);
        let statuses: Vec<_> = Status::ALL.iter().copied().filter(wanted).collect();
        (!statuses.is_empty()).then(|| journal::Filter {
            statuses,
            tablet_id: self.tablet_id,
            source: path(&self.source),
            destination: path(&self.destination),
            either_end: path(&self.disk),
            task: self.task,
            created_since_ms: self.since_ms,
            created_until_ms: self.before_ms,
            order: match self.order {
                ListOrder::OldestFirst => journal::RowOrder::OldestFirst,
                ListOrder::NewestFirst => journal::RowOrder::NewestFirst,
            },
            after: self.after,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            ..journal::Filter::default()
        })
    }
}

/// Order of a list of migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListOrder {
    /// The lowest number first.
    #[default]
    OldestFirst,
    /// The highest number first.
    NewestFirst,
}

/// Which tablets to list.
#[derive(Debug, Clone, Default)]
pub struct TabletFilter {
    /// On the disk at this path.
    pub disk: Option<String>,
    /// Of this table; 0 for those of which it is not known.
    pub table_id: Option<i64>,
    pub partition_id: Option<i64>,
    /// Only those that are pinned, or only those that are not.
    pub pin: Option<Pin>,
    /// Tablet ids above this one.
    pub after: Option<TabletId>,
    /// At most this many; 0 means 1000.
    pub limit: usize,
}

/// One tablet.
#[derive(Debug, Clone)]
pub struct TabletView {
    pub key: TabletKey,
    /// Table, as its header says; 0 where unknown.
    pub table_id: i64,
    /// Partition; 0 where unknown.
    pub partition_id: i64,
    /// Path of the disk that owns it.
    pub disk: String,
    /// Directory below `data/`.
    pub shard_id: ShardId,
    pub generation: u64,
    /// Sum of its files.
    pub size_bytes: u64,
    pub file_count: u32,
    /// The migration that owns it now.
    pub migration: Option<MigrationId>,
    /// Why it is not served; `None` when it is.
    pub unavailable: Option<String>,
    /// Who says that no plan moves it; `None` when plans may.
    pub pinned: Option<Mark>,
    /// What a verification found wrong with it; `None` when none did.
    pub damaged: Option<String>,
    /// What of it its disk did not give; `None` when nothing is known of that.
    pub unreadable: Option<String>,
}

/// One disk.
#[derive(Debug, Clone)]
pub struct DiskView {
    pub path: String,
    /// Identity; `None` while it has never been opened.
    pub uuid: Option<DiskUuid>,
    pub medium: Medium,
    /// Condition, with its reason.
    pub condition: DiskCondition,
    /// Space, as last measured.
    pub capacity: Capacity,
    /// Promised to migrations in flight and queued.
    pub reserved: Space,
    pub tablet_count: u64,
    /// Their bytes.
    pub tablet_bytes: u64,
    /// Bytes in its trash.
    pub trash_bytes: u64,
    /// Kind of file system, e.g. `ext4`.
    pub file_system: String,
    /// Paths of other roots on the same file system: moves between them free nothing.
    pub shares_file_system_with: Vec<String>,
    /// Read slots in use and their limit.
    pub read_slots: (u32, u32),
    /// Write slots in use and their limit.
    pub write_slots: (u32, u32),
    /// Migrations waiting to read from it.
    pub queued_from: u64,
    /// Migrations waiting to write to it.
    pub queued_to: u64,
    /// Migrations away from it that are paused, and those that are neither queued nor paused nor ended.
    pub paused_and_running_from: (u64, u64),
    /// The same towards it.
    pub paused_and_running_to: (u64, u64),
    /// Tasks under way with moves from or to it.
    pub tasks: Vec<TaskId>,
    /// Current bandwidth limit in bytes per second; 0 means none.
    pub rate_limit_bytes_per_sec: u64,
    /// How adaptive throttling paces it; `None` while it does not.
    pub pace: Option<PaceView>,
    /// Milliseconds copies have waited for the limits of this disk, since the start of the process.
    pub throttled_ms: u64,
    /// Why the disk must not be pulled now; `None` when it may be.
    pub not_safe_because: Option<String>,
    /// What could not be done on it, and is tried again.
    pub undone: UndoneOnDisk,
    /// Directories on it that no record names.
    pub unrecorded: UnrecordedOnDisk,
}

/// How one disk is paced beside others' work, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PaceView {
    /// The rate now, in bytes per second; 0 is none.
    pub rate_bytes_per_sec: u64,
    pub reason: String,
    /// What nine of ten small reads took at most, in microseconds; `None` where that says nothing.
    pub latency_us: Option<u64>,
    /// The same on the calm disk.
    pub calm_latency_us: Option<u64>,
    /// Share of time in which others stalled on I/O, on the whole machine, in thousandths.
    pub stall_permille: u32,
}

/// What one step took, all migrations together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepTotals {
    pub step: Step,
    /// Seconds spent in it.
    pub seconds: f64,
    /// Runs that ended well.
    pub done: u64,
    /// Runs that did not.
    pub failed: u64,
}

/// Counters since the start of the process. Bytes and seconds only grow.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    pub accepted: u64,
    pub started: u64,
    pub completed: u64,
    pub failed: u64,
    pub aborted: u64,
    /// Undone because nobody let them through their gate in time.
    pub expired: u64,
    /// Attempts that will be repeated.
    pub retried: u64,
    /// Requests refused, by code.
    pub refused: Vec<(ErrorCode, u64)>,
    /// Bytes written to staging.
    pub copied_bytes: u64,
    /// Bytes shared with the source instead.
    pub cloned_bytes: u64,
    /// Bytes read back and found right.
    pub verified_bytes: u64,
    /// Time and outcome of each step that was run.
    pub steps: Vec<StepTotals>,
    /// How long the runs of each step took.
    pub step_seconds: Vec<(Step, HistogramView)>,
    /// Sizes of the tablets of completed migrations.
    pub moved_bytes: HistogramView,
    pub journal: JournalView,
    /// Milliseconds waited for bandwidth limits.
    pub throttled_ms: u64,
    /// `syncfs` calls made by the shared barriers, all disks.
    pub barrier_syncs: u64,
    /// Barriers passed by migrations; divided by `barrier_syncs` it says how well syncs are shared.
    pub barrier_waits: u64,
    /// Tablets put into quarantine.
    pub quarantined: u64,
    /// Tablets purged from trash.
    pub purged: u64,
    pub queued: u64,
    pub running: u64,
    pub tablets: u64,
    /// Tablets known but not served.
    pub unavailable: u64,
    /// Tablets that a verification found damaged.
    pub damaged: Vec<TabletView>,
    /// Tablets of which a disk did not give all bytes.
    pub unreadable: Vec<TabletView>,
    /// Seconds since the start of the process.
    pub uptime_seconds: u64,
}
