//! What the rest of the program may ask of the engine, said once. Carried out in `front`.

use std::time::Duration;

use super::lost::{GiveUp, Loss};
use super::parts::events::{EventBatch, EventCursor};
use super::tend::settings::{ConfigChangeError, Persistence};
use super::view::operations::{
    Adopt, Heal, OperationView, PurgeQuarantine, QuarantineFilter, QuarantineView, Restore,
    RestoreQuarantined, SalvageTo, SetAside, VerifyMany,
};
use super::view::trash::{PurgeOutcome, PurgeSelect, TrashFilter, TrashPage};
use super::view::{
    DiskView, MigrationFilter, NewTask, Page, RuleAnswer, Submit, TabletFilter, TabletView, TargetFilter,
    TaskChange, TaskFilter, TaskView, Totals, UnrecordedFilter, UnrecordedView, Validation,
};
use crate::config::{Dialect, Reload, ShownKey};
use crate::model::{
    Failure, Inspection, Medium, MigrateTarget, Migration, MigrationId, OperationId, Priority, SchemaHash,
    Step, TabletCheck, TabletId, TabletKey, TabletRecord, TaskId, TaskPlan,
};

/// The node, to whoever asks. Object-safe, so that handlers can be tried against a made-up one. Methods may block on a
/// disk or on the journal where they do not say that they wait for nothing; none awaits.
pub trait Contract: Send + Sync + 'static {
    /// Accepts a migration; it is journalled when this returns.
    ///
    /// # Errors
    /// The refusal, with its reason.
    fn submit(&self, request: &Submit) -> Result<Migration, Failure>;

    /// As [`Contract::submit`], of many at once; each has an answer of its own, in their order.
    fn submit_all(&self, requests: &[Submit]) -> Vec<Result<Migration, Failure>> {
        requests.iter().map(|request| self.submit(request)).collect()
    }

    /// What would become of a request. Nothing is changed.
    fn validate(&self, request: &Submit) -> Validation;

    /// One migration with the progress of this moment; also after its end.
    ///
    /// # Errors
    /// `JOURNAL_UNAVAILABLE`, for one that only the journal can know.
    fn migration(&self, id: MigrationId) -> Result<Option<Migration>, Failure>;

    /// The newest migration of a tablet. Errors as [`Contract::migration`].
    fn latest_migration(&self, key: TabletKey) -> Result<Option<Migration>, Failure>;

    /// Migrations, ascending by number. Errors: `JOURNAL_UNAVAILABLE`.
    fn migrations(&self, filter: &MigrationFilter) -> Result<Page<Migration>, Failure>;

    /// Where somebody begins who wants to hear what happens from now on. Waits for nothing.
    fn event_cursor(&self) -> EventCursor;

    /// What happened after `cursor` to one migration, or to all. Waits for nothing.
    fn events_after(&self, cursor: EventCursor, of: Option<MigrationId>) -> EventBatch;

    /// Calls a migration off. Asynchronous: one that is running stops at its next block.
    ///
    /// # Errors
    /// `MIGRATION_NOT_FOUND`; `ILLEGAL_TRANSITION` once its swap has begun.
    fn abort(&self, id: MigrationId) -> Result<Migration, Failure>;

    /// Stops a migration for a while; what is verified is kept. Asynchronous, as [`Contract::abort`].
    ///
    /// # Errors
    /// As [`Contract::abort`].
    fn pause(&self, id: MigrationId) -> Result<Migration, Failure>;

    /// Lets a paused migration go on. Errors: `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    fn resume(&self, id: MigrationId) -> Result<Migration, Failure>;

    /// Tries an ended migration again, under its number.
    ///
    /// # Errors
    /// As [`Contract::submit`]; `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    fn retry(&self, id: MigrationId) -> Result<Migration, Failure>;

    /// Does the step behind the gate a migration waits at; [`Step::Abort`] calls it off. Asynchronous.
    ///
    /// # Errors
    /// `MIGRATION_NOT_FOUND`; `STEP_NOT_ALLOWED` with what is.
    fn run_step(&self, id: MigrationId, step: Step) -> Result<Migration, Failure>;

    /// Swaps a migration in that waits in `ready`. Asynchronous. Errors: `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    fn cutover(&self, id: MigrationId) -> Result<Migration, Failure>;

    /// Past every gate, every limit and every other one in line. Asynchronous.
    ///
    /// # Errors
    /// `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    fn force_complete(&self, id: MigrationId) -> Result<Migration, Failure>;

    /// Moves the deadline of a migration at a gate. Errors: `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    fn extend(&self, id: MigrationId, seconds: u64) -> Result<Migration, Failure>;

    /// Gives a migration a bandwidth limit of its own, in bytes copied per second; 0 takes it away. Felt at once.
    ///
    /// # Errors
    /// `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    fn set_rate(&self, id: MigrationId, rate_bytes_per_sec: u64) -> Result<Migration, Failure>;

    /// Gives a migration another place in line. Errors: `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    fn set_priority(&self, id: MigrationId, priority: Priority) -> Result<Migration, Failure>;

    /// Takes a completed move back by a new migration, while the trash holds its source. The new one is returned.
    ///
    /// # Errors
    /// `NOT_REVERTIBLE` with the reason; as [`Contract::submit`].
    fn revert(&self, id: MigrationId, caller: &str) -> Result<Migration, Failure>;

    /// Ends the doubt about a swap: on its source, or else on its destination, whichever takes a record.
    ///
    /// # Errors
    /// `ILLEGAL_TRANSITION` where it is not in doubt; `SWAP_IN_DOUBT` where neither disk takes one, with the way out.
    fn settle(&self, id: MigrationId) -> Result<Migration, Failure>;

    /// Makes a plan and keeps nothing.
    ///
    /// # Errors
    /// `PLAN_REFUSED`; `DISK_NOT_FOUND`, `TABLET_NOT_FOUND` for what the request names; `PLAN_DRIFTED` when its fingerprint
    /// is that of another plan.
    fn plan_task(&self, request: &NewTask) -> Result<TaskPlan, Failure>;

    /// Makes a plan and keeps it as a task that is stopped; it is journalled when this returns.
    ///
    /// # Errors
    /// As [`Contract::plan_task`]; `QUEUE_FULL` when too many are kept already.
    fn create_task(&self, request: &NewTask) -> Result<TaskView, Failure>;

    /// Tasks, ascending by number.
    fn tasks(&self, filter: &TaskFilter) -> Page<TaskView>;

    /// One task. Errors: `TASK_NOT_FOUND`.
    fn task(&self, id: TaskId) -> Result<TaskView, Failure>;

    /// Lets a task submit its moves; a finished one tries those again that it gave up.
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`; before its first move `PLAN_DRIFTED` and `PLAN_REFUSED`.
    fn start_task(&self, id: TaskId) -> Result<TaskView, Failure>;

    /// No further moves are submitted; those under way go on. Errors: `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    fn stop_task(&self, id: TaskId) -> Result<TaskView, Failure>;

    /// No further moves are submitted, and those under way are paused; with `disks`, source disks of the task by path, only
    /// what is from them. Asynchronous: one that copies stops at its next block, one whose swap has begun is finished.
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    fn pause_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure>;

    /// Moves are submitted again, and those that were paused with the task go on; with `disks` only what is from them.
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`; `DISK_NOT_FOUND` for a disk it takes nothing from.
    fn resume_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure>;

    /// Gives moves of a task that cannot go on other destinations: those that are full, disabled or gone, where others have
    /// room today. What has begun goes on as it is.
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`: also when nothing is to be changed, with the reason.
    fn replan_task(&self, id: TaskId, requested_by: &str) -> Result<TaskView, Failure>;

    /// Calls a task off for good: what is under way is undone, what has moved stays. Asynchronous, as
    /// [`Contract::pause_task`]. Errors: `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    fn cancel_task(&self, id: TaskId) -> Result<TaskView, Failure>;

    /// Cancels every drain of a disk that is not over.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; `TASK_NOT_FOUND` when there is none.
    fn cancel_drains(&self, path: &str) -> Result<Vec<TaskView>, Failure>;

    /// Changes a stopped task. Errors: `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    fn update_task(&self, id: TaskId, change: &TaskChange) -> Result<TaskView, Failure>;

    /// The moves of a task as they stand, in the order of its plan. Errors: `TASK_NOT_FOUND`.
    fn migrate_targets(&self, id: TaskId, filter: &TargetFilter) -> Result<Page<MigrateTarget>, Failure>;

    /// Forgets a task that is not under way; its migrations stay. Errors: `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    fn delete_task(&self, id: TaskId) -> Result<(), Failure>;

    /// Every rule's answer to: may this tablet go to that disk?
    fn explain(&self, key: TabletKey, disk: &str) -> Vec<RuleAnswer>;

    /// All tablets of an id on this node (normally one).
    fn tablets_by_id(&self, id: TabletId) -> Vec<TabletView>;

    /// One tablet.
    fn tablet(&self, key: TabletKey) -> Option<TabletView>;

    /// Tablets, ascending by id.
    fn tablets(&self, filter: &TabletFilter) -> Page<TabletView>;

    /// Tablets that are known but not served, and why; at most so many.
    fn unavailable_tablets(&self, most: usize) -> Vec<(TabletKey, String)>;

    /// What to answer for a tablet that [`Contract::tablet`] does not have: `TABLET_UNAVAILABLE` with the reason, or
    /// `TABLET_NOT_FOUND`.
    fn why_not_served(&self, id: TabletId, hash: Option<SchemaHash>) -> Failure;

    /// Calls `visit` for every served tablet, under a read lock: be quick.
    fn for_each_tablet(&self, visit: &mut dyn FnMut(&TabletView));

    /// From now on no plan moves this tablet; durable when this returns. A migration under way goes on, and one that is
    /// asked for by name is accepted. Errors: `TABLET_NOT_FOUND`, `JOURNAL_UNAVAILABLE`.
    fn pin(&self, key: TabletKey, by: String, reason: String) -> Result<TabletView, Failure>;

    /// Plans may move this tablet again. Errors as [`Contract::pin`].
    fn unpin(&self, key: TabletKey) -> Result<TabletView, Failure>;

    /// Reads a tablet again past the page cache and compares it with its manifest. Asynchronous: waits a second for the
    /// end and then answers with how far it has come; asked for again meanwhile, it is the same one.
    ///
    /// # Errors
    /// `TABLET_NOT_FOUND`, `TABLET_UNAVAILABLE`; `QUEUE_FULL` with too many under way.
    fn verify(&self, key: TabletKey) -> Result<TabletCheck, Failure>;

    /// How the last verification of a tablet stands. Errors: `TABLET_NOT_FOUND`, `TABLET_UNAVAILABLE`.
    fn last_verification(&self, key: TabletKey) -> Result<TabletCheck, Failure>;

    /// All configured disks, in order.
    fn disks(&self) -> Vec<DiskView>;

    /// One disk. Errors: `DISK_NOT_FOUND`.
    fn disk(&self, path: &str) -> Result<DiskView, Failure>;

    /// Lets a disk join: opened, probed and scanned as at a start, and written into be_custom.conf, whose
    /// `storage_root_path` is the one in force from then on.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for what `storage_root_path` would not take; `DISK_EXISTS` for a disk that is configured already;
    /// `DISK_UNAVAILABLE` with what a start would refuse it for; `DISK_IN_USE` when it holds something that only a start
    /// can settle.
    fn register_disk(&self, path: &str, medium: Medium) -> Result<DiskView, Failure>;

    /// Lets a disk go that holds nothing: out of the configuration, and nothing of it is held open. Other roots on its file
    /// system stay; whether it may be *pulled* is `not_safe_because` of the view.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; `DISK_IN_USE` with everything that still needs it.
    fn forget_disk(&self, path: &str) -> Result<(), Failure>;

    /// Gives a disk up that never comes back, and takes it out of the configuration; with `dry_run` only says what that
    /// would mean.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; `DISK_IN_USE` when it can be read, is the only one, or a migration is at work on it;
    /// `INVALID_ARGUMENT` when what was confirmed is not this disk; what failed on a disk that is here.
    fn forget_lost_disk(&self, request: &GiveUp) -> Result<Loss, Failure>;

    /// As [`Contract::forget_lost_disk`], and the blank file system that is mounted at its path joins in its place.
    ///
    /// # Errors
    /// As there; `DISK_UNAVAILABLE` when what is mounted is not blank, or nothing is mounted.
    fn replace_disk(&self, request: &GiveUp) -> Result<Loss, Failure>;

    /// Takes a suspect or disabled disk back into service after a successful probe. Migrations that were paused because
    /// it was disabled go on.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; the probe's failure.
    fn enable_disk(&self, path: &str) -> Result<DiskView, Failure>;

    /// Takes a disk out of service for new copies, over restarts too; its tablets are served and can be moved away. What
    /// is being copied to it is paused, what waits for it goes on waiting.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`, `JOURNAL_UNAVAILABLE`.
    fn disable_disk(&self, path: &str, by: String, reason: String) -> Result<DiskView, Failure>;

    /// Limits what is copied from and to one disk, at once and until the daemon stops; 0 is no limit, `None` goes by
    /// `disk_rate_limit_bytes_per_sec` again. The same as a change of `disk_rate_limit_overrides`, which can be kept.
    /// Errors: `DISK_NOT_FOUND`.
    fn set_disk_limits(&self, path: &str, rate_bytes_per_sec: Option<u64>) -> Result<DiskView, Failure>;

    /// Reads the tablet's metadata record from its disk.
    ///
    /// # Errors
    /// `TABLET_NOT_FOUND`, `TABLET_UNAVAILABLE`, or what the disk says.
    fn record(&self, key: TabletKey) -> Result<TabletRecord, Failure>;

    /// MD5 of each file, by name. Errors as [`Contract::record`].
    fn file_digests(&self, key: TabletKey) -> Result<Vec<(String, [u8; 16])>, Failure>;

    /// Tablets of which a file that their records name is not there. Errors as [`Contract::record`].
    fn lost_segments(&self) -> Result<Vec<TabletKey>, Failure>;

    /// What is in trash. Without a tablet's id its total counts entries: one holds one tablet, unless another program put
    /// it there.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; a disk did not answer.
    fn trash(&self, filter: &TrashFilter) -> Result<TrashPage, Failure>;

    /// Brings the newest good copy of a damaged or lost tablet back. An operation.
    ///
    /// # Errors
    /// `TABLET_NOT_FOUND`, `DISK_NOT_FOUND`; `OPERATION_EXISTS`, `MIGRATION_EXISTS` when somebody has the tablet.
    fn heal(&self, request: &Heal) -> Result<OperationView, Failure>;

    /// Copies what can be read of an unreadable or damaged tablet to another disk's quarantine. An operation.
    ///
    /// # Errors
    /// `TABLET_NOT_FOUND`, `DISK_NOT_FOUND`; `NOT_DAMAGED` when nothing is known to be wrong with it; as [`Contract::heal`].
    fn salvage(&self, request: &SalvageTo) -> Result<OperationView, Failure>;

    /// Brings a tablet back that nobody serves: the newest good copy, or that of a trash entry. An operation.
    ///
    /// # Errors
    /// `ALREADY_ON_DISK` while the tablet lives; `TRASH_NOT_FOUND`, `DISK_NOT_FOUND`; as [`Contract::heal`].
    fn restore(&self, request: &Restore) -> Result<OperationView, Failure>;

    /// What [`Contract::purge`] would purge.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; a disk did not answer.
    fn would_purge(&self, select: &PurgeSelect) -> Result<Vec<PurgeOutcome>, Failure>;

    /// Purges from trash what is named, each after a cold check of its live copy. An operation.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; `QUEUE_FULL`.
    fn purge(&self, select: &PurgeSelect, requested_by: &str) -> Result<OperationView, Failure>;

    /// Makes files a tablet that no good record names, or brings a copy back that was set aside. An operation.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, `RECORD_DAMAGED`; as [`Contract::restore`].
    fn adopt(&self, request: &Adopt) -> Result<OperationView, Failure>;

    /// The same with many tablets: of a disk, of a list, of the node. An operation.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`, `TABLET_NOT_FOUND`, `TABLET_UNAVAILABLE` for what it names; `QUEUE_FULL`.
    fn verify_many(&self, request: &VerifyMany) -> Result<OperationView, Failure>;

    /// Sets a directory aside that no record names, in quarantine, while its tablet is served from elsewhere. An operation.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`; `TABLET_UNAVAILABLE` for what may be the last copy; as [`Contract::heal`].
    fn set_aside(&self, request: &SetAside) -> Result<OperationView, Failure>;

    /// Directories below `data/` that no record names, as far as each disk has been looked through.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; the disk that is named did not answer.
    fn unrecorded(&self, filter: &UnrecordedFilter) -> Result<Page<UnrecordedView>, Failure>;

    /// What is in quarantine.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; the disk that is named did not answer.
    fn quarantine(&self, filter: &QuarantineFilter) -> Result<Page<QuarantineView>, Failure>;

    /// One entry of a quarantine.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`, `QUARANTINE_NOT_FOUND`; the disk did not answer.
    fn quarantined(&self, disk: &str, entry: &str) -> Result<QuarantineView, Failure>;

    /// Brings the tablet in an entry of a quarantine back, by the rules of [`Contract::restore`]. An operation.
    ///
    /// # Errors
    /// `QUARANTINE_NOT_FOUND`, `RECORD_DAMAGED`; as [`Contract::restore`].
    fn restore_quarantined(&self, request: &RestoreQuarantined) -> Result<OperationView, Failure>;

    /// Removes entries of quarantines for good; what may be the last copy of a tablet only when that is asked for. An
    /// operation.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; `QUEUE_FULL`.
    fn purge_quarantine(&self, request: &PurgeQuarantine) -> Result<OperationView, Failure>;

    /// One operation. Errors: `OPERATION_NOT_FOUND`.
    fn operation(&self, id: OperationId) -> Result<OperationView, Failure>;

    /// Operations of this run of the daemon, the newest first, at most so many; without what became of single tablets.
    fn operations(&self, limit: usize) -> Page<OperationView>;

    /// Stops an operation at its next step; what is done stays. One that is over is as it was. Errors:
    /// `OPERATION_NOT_FOUND`.
    fn cancel_operation(&self, id: OperationId) -> Result<OperationView, Failure>;

    /// Counters since the start of the process.
    fn totals(&self) -> Totals;

    /// What is wrong with the journal or with the directory it is in, and the way out. Waits for nothing.
    fn journal_trouble(&self) -> Option<String>;

    /// Why no tablet is served by anybody: no disk can be read now. Waits for nothing.
    fn nothing_is_served(&self) -> Option<String>;

    /// Whose answers `/api/tablet_migration` gives; can change at run time. Waits for nothing.
    fn dialect(&self) -> Dialect;

    /// Every key with its present value, sorted by name.
    fn shown_config(&self) -> Vec<ShownKey>;

    /// Changes one key at run time.
    ///
    /// # Errors
    /// The key is unknown, fixed, or does not take the value; or it is changed and could not be kept.
    fn set_config(&self, key: &str, value: &str, persistence: Persistence) -> Result<(), ConfigChangeError>;

    /// Reads the files of the configuration again. Keys that change at run time change, the others are named;
    /// `storage_root_path` is among these.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` with every problem of the files; nothing was changed.
    fn reload_config(&self) -> Result<Reload, Failure>;

    /// Whether its roots are those of a Doris backend. Waits for nothing.
    fn has_doris_roots(&self) -> bool {
        false
    }

    /// What a drain of such roots would move, and what it would leave. Reads every record and lists every directory, unless
    /// that was done within `age_max` and nothing was moved since.
    fn inspect(&self, _age_max: Duration) -> Option<Inspection> {
        None
    }

    /// Stops accepting, brings running migrations to a safe point within `grace`, and closes the journal.
    fn shutdown(&self, grace: Duration);
}
