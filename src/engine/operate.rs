//! The engine's front door for what operators do to many tablets at once: tasks, pins, and disks in and out of service.

use std::sync::Arc;
use std::time::Duration;

use super::heal::{quarantine, set_aside};
use super::look::disks;
use super::lost::{GiveUp, Loss};
use super::parts::disk::{Disk, TURNED_READ_ONLY, visit};
use super::parts::marks;
use super::parts::probe::probe;
use super::tend::{gentle, register, unrecorded, verify, verify_many};
use super::view::operations::{
    Adopt, Heal, OperationView, PurgeQuarantine, QuarantineFilter, QuarantineView, Restore,
    RestoreQuarantined, SalvageTo, SetAside, VerifyMany,
};
use super::view::{
    DiskView, NewTask, Page, TabletView, TargetFilter, TaskChange, TaskFilter, TaskView, UnrecordedFilter,
    UnrecordedView,
};
use crate::engine::lost;
use crate::engine::{Engine, heal, operations, tasks};
use crate::model::{
    ErrorCode, Failure, Mark, Marked, Medium, MigrateTarget, OperationId, TabletCheck, TabletKey, TaskId,
    TaskPlan,
};

/// How long a probe asked for by an operator may take.
const PROBE_WAIT: Duration = Duration::from_secs(20);

impl Engine {
    /// Makes a plan and keeps nothing.
    ///
    /// # Errors
    /// `PLAN_REFUSED`; `DISK_NOT_FOUND`, `TABLET_NOT_FOUND` for what the request names; `PLAN_DRIFTED` when its fingerprint
    /// is that of another plan.
    pub fn plan_task(&self, request: &NewTask) -> Result<TaskPlan, Failure> {
        tasks::plan(&self.0, request)
    }

    /// Makes a plan and keeps it as a task that is stopped; it is journalled when this returns.
    ///
    /// # Errors
    /// As [`Engine::plan_task`]; `QUEUE_FULL` when too many are kept already.
    pub fn create_task(&self, request: &NewTask) -> Result<TaskView, Failure> {
        tasks::create(&self.0, request)
    }

    /// Tasks, ascending by number.
    pub fn tasks(&self, filter: &TaskFilter) -> Page<TaskView> {
        tasks::list(&self.0, filter)
    }

    /// One task.
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`.
    pub fn task(&self, id: TaskId) -> Result<TaskView, Failure> {
        tasks::show(&self.0, id)
    }

    /// The moves of a task as they stand, in the order of its plan.
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`.
    pub fn migrate_targets(&self, id: TaskId, filter: &TargetFilter) -> Result<Page<MigrateTarget>, Failure> {
        tasks::targets(&self.0, id, filter)
    }

    /// Lets a task submit its moves; a finished one tries those again that it gave up.
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`; before its first move `PLAN_DRIFTED` and `PLAN_REFUSED`.
    pub fn start_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        tasks::start(&self.0, id)
    }

    /// No further moves are submitted; those under way go on.
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    pub fn stop_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        tasks::stop(&self.0, id)
    }

    /// No further moves are submitted, and those under way are paused; with `disks`, source disks of the task by path, only
    /// what is from them. Asynchronous: one that is copying stops at its
    /// next block, and one whose swap has begun is finished.
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    pub fn pause_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
        tasks::pause(&self.0, id, disks)
    }

    /// Moves are submitted again, and those that were paused with the task go on; with `disks` only what is from them.
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`; `DISK_NOT_FOUND` for a disk it takes nothing from.
    pub fn resume_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
        tasks::resume(&self.0, id, disks)
    }

    /// Gives moves of a task that cannot go on other destinations: those that are full, disabled or gone, where others have
    /// room today. What has begun goes on as it is.
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`: also when nothing is to be changed, with the reason.
    pub fn replan_task(&self, id: TaskId, requested_by: &str) -> Result<TaskView, Failure> {
        tasks::replan(&self.0, id, requested_by)
    }

    /// Calls a task off for good: what is under way is undone, what has moved stays. Asynchronous, as
    /// [`Engine::pause_task`].
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    pub fn cancel_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        tasks::cancel(&self.0, id)
    }

    /// Cancels every drain of a disk that is not over.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; `TASK_NOT_FOUND` when there is none.
    pub fn cancel_drains(&self, path: &str) -> Result<Vec<TaskView>, Failure> {
        self.find_disk(path)?;
        tasks::cancel_drains(&self.0, path)
    }

    /// Changes a stopped task.
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    pub fn update_task(&self, id: TaskId, change: &TaskChange) -> Result<TaskView, Failure> {
        tasks::update(&self.0, id, change)
    }

    /// Forgets a task that is not under way; its migrations stay.
    ///
    /// # Errors
    /// `TASK_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    pub fn delete_task(&self, id: TaskId) -> Result<(), Failure> {
        tasks::delete(&self.0, id)
    }

    /// From now on no plan moves this tablet; durable when this returns. A migration under way goes on, and one that is
    /// asked for by name is accepted.
    ///
    /// # Errors
    /// `TABLET_NOT_FOUND`, `JOURNAL_UNAVAILABLE`.
    pub fn pin(&self, key: TabletKey, by: String, reason: String) -> Result<TabletView, Failure> {
        marks::pin(&self.0, key, by, reason)
    }

    /// Plans may move this tablet again.
    ///
    /// # Errors
    /// As [`Engine::pin`].
    pub fn unpin(&self, key: TabletKey) -> Result<TabletView, Failure> {
        marks::unpin(&self.0, key)
    }

    /// Reads a tablet again past the page cache and compares it with its manifest. Asynchronous: waits a second for the
    /// end and then answers with how far it has come; asked for again meanwhile, it is the same one.
    ///
    /// # Errors
    /// `TABLET_NOT_FOUND`, `TABLET_UNAVAILABLE`; `QUEUE_FULL` with too many under way.
    pub fn verify(&self, key: TabletKey) -> Result<TabletCheck, Failure> {
        verify::verify(&self.0, key)
    }

    /// The same with many tablets: of a disk, of a list, of the node. An operation.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`, `TABLET_NOT_FOUND`, `TABLET_UNAVAILABLE` for what it names; `QUEUE_FULL`.
    pub fn verify_many(&self, request: &VerifyMany) -> Result<OperationView, Failure> {
        verify_many::begin(&self.0, request)
    }

    /// How the last verification of a tablet stands.
    ///
    /// # Errors
    /// `TABLET_NOT_FOUND`, `TABLET_UNAVAILABLE`.
    pub fn last_verification(&self, key: TabletKey) -> Result<TabletCheck, Failure> {
        verify::last(&self.0, key)
    }

    /// Brings the newest good copy of a damaged or lost tablet back. An operation.
    ///
    /// # Errors
    /// `TABLET_NOT_FOUND`, `DISK_NOT_FOUND`; `OPERATION_EXISTS`, `MIGRATION_EXISTS` when somebody has the tablet.
    pub fn heal(&self, request: &Heal) -> Result<OperationView, Failure> {
        heal::heal(&self.0, request)
    }

    /// Copies what can be read of an unreadable or damaged tablet to another disk's quarantine. An operation.
    ///
    /// # Errors
    /// `TABLET_NOT_FOUND`, `DISK_NOT_FOUND`; `NOT_DAMAGED` when nothing is known to be wrong with it; as [`Engine::heal`].
    pub fn salvage(&self, request: &SalvageTo) -> Result<OperationView, Failure> {
        heal::salvage(&self.0, request)
    }

    /// Brings a tablet back that nobody serves: the newest good copy, or that of a trash entry. An operation.
    ///
    /// # Errors
    /// `ALREADY_ON_DISK` while the tablet lives; `TRASH_NOT_FOUND`, `DISK_NOT_FOUND`; as [`Engine::heal`].
    pub fn restore(&self, request: &Restore) -> Result<OperationView, Failure> {
        heal::restore(&self.0, request)
    }

    /// What is in quarantine.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; the disk that is named did not answer.
    pub fn quarantine(&self, filter: &QuarantineFilter) -> Result<Page<QuarantineView>, Failure> {
        quarantine::list(&self.0, filter)
    }

    /// One entry of a quarantine.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`, `QUARANTINE_NOT_FOUND`; the disk did not answer.
    pub fn quarantined(&self, disk: &str, entry: &str) -> Result<QuarantineView, Failure> {
        quarantine::show(&self.0, disk, entry)
    }

    /// Brings the tablet in an entry of a quarantine back, by the rules of [`Engine::restore`]. An operation.
    ///
    /// # Errors
    /// `QUARANTINE_NOT_FOUND`, `RECORD_DAMAGED`; as [`Engine::restore`].
    pub fn restore_quarantined(&self, request: &RestoreQuarantined) -> Result<OperationView, Failure> {
        heal::restore_from_quarantine(&self.0, request)
    }

    /// Removes entries of quarantines for good; what may be the last copy of a tablet only when that is asked for. An
    /// operation.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; `QUEUE_FULL`.
    pub fn purge_quarantine(&self, request: &PurgeQuarantine) -> Result<OperationView, Failure> {
        quarantine::purge(&self.0, request)
    }

    /// Makes files a tablet that no good record names, or brings a copy back that was set aside. An operation.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, `RECORD_DAMAGED`; as [`Engine::restore`].
    pub fn adopt(&self, request: &Adopt) -> Result<OperationView, Failure> {
        heal::adopt(&self.0, request)
    }

    /// Sets a directory aside that no record names, in quarantine, while its tablet is served from elsewhere. An operation.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`; `TABLET_UNAVAILABLE` for what may be the last copy; as [`Engine::heal`].
    pub fn set_aside(&self, request: &SetAside) -> Result<OperationView, Failure> {
        set_aside::begin(&self.0, request)
    }

    /// Directories below `data/` that no record names, as far as each disk has been looked through.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; the disk that is named did not answer.
    pub fn unrecorded(&self, filter: &UnrecordedFilter) -> Result<Page<UnrecordedView>, Failure> {
        unrecorded::list(&self.0, filter)
    }

    /// One operation.
    ///
    /// # Errors
    /// `OPERATION_NOT_FOUND`.
    pub fn operation(&self, id: OperationId) -> Result<OperationView, Failure> {
        operations::show(&self.0, id)
    }

    /// Operations of this run of the daemon, the newest first, at most so many; without what became of single tablets.
    pub fn operations(&self, limit: usize) -> Page<OperationView> {
        operations::list(&self.0, limit)
    }

    /// Stops an operation at its next step; what is done stays. One that is over is as it was.
    ///
    /// # Errors
    /// `OPERATION_NOT_FOUND`.
    pub fn cancel_operation(&self, id: OperationId) -> Result<OperationView, Failure> {
        operations::cancel(&self.0, id)
    }

    /// One disk.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`.
    pub fn disk(&self, path: &str) -> Result<DiskView, Failure> {
        let disk = self.find_disk(path)?;
        Ok(disks::disk(&self.0, &disk))
    }

    /// Lets a disk join: opened, probed and scanned as at a start, and written into be_custom.conf, whose
    /// `storage_root_path` is the one in force from then on.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for what `storage_root_path` would not take; `DISK_EXISTS` for a disk that is configured already;
    /// `DISK_UNAVAILABLE` with what a start would refuse it for; `DISK_IN_USE` when it holds something that only a start
    /// can settle.
    pub fn register_disk(&self, path: &str, medium: Medium) -> Result<DiskView, Failure> {
        register::register(&self.0, path, medium)?;
        self.disk(path)
    }

    /// Lets a disk go that holds nothing: out of the configuration, and nothing of it is held open. Other roots on its file
    /// system stay; whether it may be *pulled* is `not_safe_because` of the view.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; `DISK_IN_USE` with everything that still needs it.
    pub fn forget_disk(&self, path: &str) -> Result<(), Failure> {
        register::forget(&self.0, path)
    }

    /// Gives a disk up that never comes back, and takes it out of the configuration; with `dry_run` only says what that
    /// would mean.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; `DISK_IN_USE` when it can be read, is the only one, or a migration is at work on it;
    /// `INVALID_ARGUMENT` when what was confirmed is not this disk; what failed on a disk that is here.
    pub fn forget_lost_disk(&self, request: &GiveUp) -> Result<Loss, Failure> {
        lost::forget(&self.0, request)
    }

    /// As [`Engine::forget_lost_disk`], and the blank file system that is mounted at its path joins in its place.
    ///
    /// # Errors
    /// As there; `DISK_UNAVAILABLE` when what is mounted is not blank, or nothing is mounted.
    pub fn replace_disk(&self, request: &GiveUp) -> Result<Loss, Failure> {
        lost::replace(&self.0, request)
    }

    /// Takes a suspect or disabled disk back into service after a successful probe. Migrations that were paused because
    /// it was disabled go on.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; the probe's failure.
    pub fn enable_disk(&self, path: &str) -> Result<DiskView, Failure> {
        let disk = self.find_disk(path)?;
        let own = Arc::clone(&disk);
        visit(&disk, PROBE_WAIT, move |root, _| {
            root.check_identity()?;
            if root.is_read_only()? {
                let why = format!("disk {} is not enabled: {TURNED_READ_ONLY}", root.dir().path().display());
                return Err(Failure::new(ErrorCode::DiskUnavailable, why));
            }
            Ok(probe(&own, root)?)
        })?;
        if let Some(reference) = disk.reference() {
            marks::set(&self.0, Marked::Disabled(reference.uuid), None)?;
        }
        disk.clear_suspicion();
        tracing::warn!(disk = disk.path, "enabled by an operator");
        self.0.ring();
        self.disk(path)
    }

    /// Takes a disk out of service for new copies, over restarts too; its tablets are served and can be moved away. What
    /// is being copied to it is paused, what waits for it goes on waiting.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`, `JOURNAL_UNAVAILABLE`.
    pub fn disable_disk(&self, path: &str, by: String, reason: String) -> Result<DiskView, Failure> {
        let disk = self.find_disk(path)?;
        // A disk that was never opened takes nothing anyway, and has no name to be remembered by.
        let mark = Mark { by, reason, since_ms: self.0.now_ms() };
        if let Some(reference) = disk.reference() {
            marks::set(&self.0, Marked::Disabled(reference.uuid), Some(mark.clone()))?;
        }
        tracing::warn!(disk = disk.path, "disabled {mark}");
        disk.set_disabled(Some(mark.to_string()));
        self.0.ring();
        self.disk(path)
    }

    /// Limits what is copied from and to one disk, at once and until the daemon stops; 0 is no limit, `None` goes by
    /// `disk_rate_limit_bytes_per_sec` again. The same as a change of `disk_rate_limit_overrides`, which can be kept.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`.
    pub fn set_disk_limits(&self, path: &str, rate_bytes_per_sec: Option<u64>) -> Result<DiskView, Failure> {
        self.find_disk(path)?;
        gentle::set_disk_rate(&self.0, path, rate_bytes_per_sec);
        self.disk(path)
    }

    fn find_disk(&self, path: &str) -> Result<Arc<Disk>, Failure> {
        self.0.find_disk(path).cloned()
    }
}
