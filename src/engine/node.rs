//! Everything the engine's rooms share: the parts, behind locks that are taken in one order.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::parts::board::Board;
use super::parts::catalog::Catalog;
use super::parts::checks::Checks;
use super::parts::counts::Counts;
use super::parts::disk::Disk;
use super::parts::disk_table::{DISKS_MAX, DiskTable};
use super::parts::events::EventRing;
use super::parts::flush::SyncCounts;
use super::parts::held::{Held, Rank};
use super::parts::job::Job;
use super::parts::journal_thread::JournalHandle;
use super::parts::keys::Keys;
use super::parts::limits;
use super::parts::marks::Marks;
use super::parts::operation_book::Operations;
use super::parts::stopping::Stopping;
use super::parts::task_book::TaskBook;
use super::parts::undone::Undone;
use crate::config::Config;
use crate::model::{DiskIndex, DiskUuid, ErrorCode, Failure, MigrationId, quoted};
use crate::rules::schedule::{DiskSlots, Schedule};
use crate::storage::FileSystem;
use crate::transfer::{BufferBudget, CopyOptions, Limiter};

/// The node.
///
/// Its locks are taken in the order of [`Rank`] and held for moments only; none is held over a call on a disk or on the
/// journal but where that says so.
pub(super) struct Node {
    /// The file the configuration came from; held while that is changed.
    be_conf: Mutex<PathBuf>,
    config: RwLock<Config>,
    tasks: Mutex<TaskBook>,
    marks: Mutex<Marks>,
    checks: Mutex<Checks>,
    operations: Mutex<Operations>,
    pub(super) undone: Undone,
    pub(super) disks: DiskTable,
    /// Held while a disk is registered or forgotten: one after the other.
    registering: Mutex<()>,
    catalog: RwLock<Catalog>,
    board: Mutex<Board>,
    schedule: Mutex<Schedule>,
    /// Rung when a migration is queued, has ended, or a limit has changed.
    bell: Condvar,
    /// The same, but for what is queued.
    end_bell: Condvar,
    pub(super) journal: JournalHandle,
    /// What the state directory is on.
    pub(super) state_file_system: FileSystem,
    pub(super) budget: BufferBudget,
    pub(super) limiter: Limiter,
    pub(super) syncs: Arc<SyncCounts>,
    pub(super) counts: Counts,
    pub(super) events: Arc<EventRing>,
    pub(super) started: Instant,
    /// Counted up-time, all runs together, in seconds.
    pub(super) uptime_sec: AtomicU64,
    pub(super) stopping: Stopping,
    /// Keys of requests that are being accepted.
    pub(super) keys: Keys,
}

impl Node {
    pub(super) fn new(
        config: Config,
        disks: Vec<Arc<Disk>>,
        catalog: Catalog,
        journal: JournalHandle,
        state_file_system: FileSystem,
        uptime_sec: u64,
        syncs: Arc<SyncCounts>,
    ) -> Self {
        let budget = BufferBudget::new(usize::try_from(config.copy_memory_limit_bytes).unwrap_or(usize::MAX));
        let limiter = Limiter::new(config.node_rate_limit_bytes_per_sec);
        Self {
            be_conf: Mutex::default(),
            config: RwLock::new(config),
            tasks: Mutex::default(),
            marks: Mutex::default(),
            checks: Mutex::default(),
            operations: Mutex::default(),
            undone: Undone::default(),
            disks: DiskTable::new(disks),
            registering: Mutex::default(),
            catalog: RwLock::new(catalog),
            board: Mutex::default(),
            schedule: Mutex::default(),
            bell: Condvar::new(),
            end_bell: Condvar::new(),
            journal,
            state_file_system,
            budget,
            limiter,
            syncs,
            counts: Counts::default(),
            events: Arc::default(),
            started: Instant::now(),
            uptime_sec: AtomicU64::new(uptime_sec),
            stopping: Stopping::default(),
            keys: Keys::default(),
        }
    }

    // A panic elsewhere fails one migration; what is behind these locks is consistent between statements.

    pub(super) fn registering(&self) -> Held<MutexGuard<'_, ()>> {
        Held::take(Rank::Registering, || self.registering.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn be_conf(&self) -> Held<MutexGuard<'_, PathBuf>> {
        Held::take(Rank::BeConf, || self.be_conf.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn config(&self) -> Held<RwLockReadGuard<'_, Config>> {
        Held::take(Rank::Config, || self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn config_mut(&self) -> Held<RwLockWriteGuard<'_, Config>> {
        Held::take(Rank::Config, || self.config.write().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn tasks(&self) -> Held<MutexGuard<'_, TaskBook>> {
        Held::take(Rank::Tasks, || self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn marks(&self) -> Held<MutexGuard<'_, Marks>> {
        Held::take(Rank::Marks, || self.marks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn checks(&self) -> Held<MutexGuard<'_, Checks>> {
        Held::take(Rank::Checks, || self.checks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn operations(&self) -> Held<MutexGuard<'_, Operations>> {
        Held::take(Rank::Operations, || self.operations.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn catalog(&self) -> Held<RwLockReadGuard<'_, Catalog>> {
        Held::take(Rank::Catalog, || self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn catalog_mut(&self) -> Held<RwLockWriteGuard<'_, Catalog>> {
        Held::take(Rank::Catalog, || self.catalog.write().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn board(&self) -> Held<MutexGuard<'_, Board>> {
        Held::take(Rank::Board, || self.board.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn schedule(&self) -> Held<MutexGuard<'_, Schedule>> {
        Held::take(Rank::Schedule, || self.schedule.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Wakes the scheduler, and who looks after tasks.
    pub(super) fn ring(&self) {
        self.ring_queued();
        self.end_bell.notify_all();
    }

    /// Wakes the scheduler: a migration is queued. What tasks have under way is as it was.
    pub(super) fn ring_queued(&self) {
        // Under the lock: a ring between the scheduler's look and its wait would be missed.
        drop(self.schedule());
        self.bell.notify_all();
    }

    /// Waits for a ring that is not for something queued, at most `wait`.
    pub(super) fn wait_for_an_end(&self, wait: Duration) {
        drop(self.schedule().through(|schedule| {
            self.end_bell.wait_timeout(schedule, wait).unwrap_or_else(PoisonError::into_inner).0
        }));
    }

    /// Waits for the bell, at most `wait`.
    pub(super) fn wait_for_bell<'a>(
        &self,
        schedule: Held<MutexGuard<'a, Schedule>>,
        wait: Duration,
    ) -> Held<MutexGuard<'a, Schedule>> {
        schedule.through(|schedule| {
            self.bell.wait_timeout(schedule, wait).unwrap_or_else(PoisonError::into_inner).0
        })
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.has_begun()
    }

    pub(super) fn stop(&self) {
        self.stopping.begin();
        self.ring();
    }

    pub(super) fn disk(&self, index: DiskIndex) -> &Arc<Disk> {
        &self.disks[usize::from(index.0)]
    }

    /// Not those that were forgotten.
    pub(super) fn shown_disks(&self) -> impl Iterator<Item = &Arc<Disk>> {
        self.disks.iter().filter(|disk| !disk.is_forgotten())
    }

    pub(super) fn disk_at(&self, path: &str) -> Option<&Arc<Disk>> {
        self.shown_disks().find(|disk| disk.path == path)
    }

    /// The disk an operator names.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`.
    pub(super) fn find_disk(&self, path: &str) -> Result<&Arc<Disk>, Failure> {
        self.disk_at(path).ok_or_else(|| {
            Failure::new(ErrorCode::DiskNotFound, format!("no configured disk is written {}", quoted(path)))
        })
    }

    pub(super) fn disk_by_uuid(&self, uuid: DiskUuid) -> Option<&Arc<Disk>> {
        self.shown_disks().find(|disk| disk.opened.get().is_some_and(|opened| opened.identity.uuid == uuid))
    }

    pub(super) fn hang_after(&self) -> Duration {
        limits::hang_after(&self.config())
    }

    pub(super) fn copy_options(&self) -> CopyOptions {
        limits::copy_options(&self.config())
    }

    /// Slots of every disk now, by index.
    pub(super) fn slots(&self) -> Vec<DiskSlots> {
        let hang_after = self.hang_after();
        let config = self.config();
        let of = |disk: &Arc<Disk>| limits::slots(&config, disk.medium, &disk.condition(hang_after));
        let closed = DiskSlots { read_limit: 0, write_limit: 0, readable: false, writable: false };
        self.disks.iter().map(of).chain(std::iter::repeat(closed)).take(DISKS_MAX).collect()
    }

    /// The migration of that number while it is alive.
    pub(super) fn job(&self, id: MigrationId) -> Option<Arc<Job>> {
        self.board().alive.get(&id).cloned()
    }
}
