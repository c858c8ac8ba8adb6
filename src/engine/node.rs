//! Everything the engine's rooms share, and the few verbs that keep it consistent.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::operations::Operations;
use super::parts::catalog::Catalog;
use super::parts::checks::Checks;
pub(super) use super::parts::counts::Counts;
use super::parts::disk::Disk;
use super::parts::disk_table::{DISKS_MAX, DiskTable};
use super::parts::events::EventRing;
use super::parts::flush::SyncCounts;
use super::parts::job::{Job, apply, now_ms};
use super::parts::journal_thread::JournalHandle;
use super::parts::marks::Marks;
use super::parts::reservation;
use super::parts::undone::Undone;
use super::tasks::TaskBook;
use crate::config::{self, Config};
use crate::model::{
    DiskIndex, DiskRef, DiskUuid, ErrorCode, Failure, Medium, Migration, MigrationId, ShardId, TabletKey,
    quoted,
};
use crate::rules::capacity::{CapacityLimits, CapacityRule, LeftBytesFrom};
use crate::rules::schedule::{DiskSlots, NodeLimits, Schedule};
use crate::rules::transition::Event;
use crate::storage::{FileSystem, RetiredNote};
use crate::transfer::{BufferBudget, CopyOptions, Limiter, SharedBytes};

/// The node.
///
/// Locks are taken in the order of the fields and held for moments only; no lock is held over a call on a disk or on the
/// journal.
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
    pub(super) registering: Mutex<()>,
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
    stopping: AtomicBool,
    /// Keys of requests that are being accepted.
    keys: Mutex<HashSet<String>>,
}

/// The sole right to accept a request under a key, until dropped.
pub(super) struct KeyClaim<'a> {
    node: &'a Node,
    key: String,
}

impl Drop for KeyClaim<'_> {
    fn drop(&mut self) {
        lock(&self.node.keys).remove(&self.key);
    }
}

/// Migrations, alive and remembered.
#[derive(Default)]
pub(super) struct Board {
    pub(super) alive: BTreeMap<MigrationId, Arc<Job>>,
    pub(super) ended: HashMap<MigrationId, Arc<Migration>>,
    ended_order: VecDeque<MigrationId>,
    pub(super) latest: HashMap<TabletKey, MigrationId>,
}

impl Board {
    /// Remembers an ended migration, and forgets the oldest beyond `keep`.
    pub(super) fn remember(&mut self, migration: Migration, keep: usize) {
        let id = migration.id;
        self.latest.entry(migration.key).and_modify(|known| *known = id.max(*known)).or_insert(id);
        if self.ended.insert(id, Arc::new(migration)).is_none() {
            self.ended_order.push_back(id);
        }
        while self.ended_order.len() > keep {
            if let Some(old) = self.ended_order.pop_front().and_then(|old| self.ended.remove(&old))
                && self.latest.get(&old.key) == Some(&old.id)
            {
                self.latest.remove(&old.key);
            }
        }
    }

    /// No longer ended: an operator lets it try again.
    pub(super) fn revive(&mut self, id: MigrationId) -> Option<Arc<Migration>> {
        self.ended_order.retain(|known| *known != id);
        self.ended.remove(&id)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere fails one migration; the maps behind these locks are consistent between statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
            stopping: AtomicBool::new(false),
            keys: Mutex::default(),
        }
    }

    pub(super) fn be_conf(&self) -> MutexGuard<'_, PathBuf> {
        lock(&self.be_conf)
    }

    pub(super) fn config(&self) -> RwLockReadGuard<'_, Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn config_mut(&self) -> RwLockWriteGuard<'_, Config> {
        self.config.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn catalog_mut(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tasks(&self) -> MutexGuard<'_, TaskBook> {
        lock(&self.tasks)
    }

    pub(super) fn marks(&self) -> MutexGuard<'_, Marks> {
        lock(&self.marks)
    }

    pub(super) fn checks(&self) -> MutexGuard<'_, Checks> {
        lock(&self.checks)
    }

    pub(super) fn operations(&self) -> MutexGuard<'_, Operations> {
        lock(&self.operations)
    }

    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }

    pub(super) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        lock(&self.schedule)
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
        drop(self.end_bell.wait_timeout(self.schedule(), wait).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for the bell, at most `wait`.
    pub(super) fn wait_for_bell<'a>(
        &self,
        schedule: MutexGuard<'a, Schedule>,
        wait: Duration,
    ) -> MutexGuard<'a, Schedule> {
        self.bell.wait_timeout(schedule, wait).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.ring();
    }

    pub(super) fn disk(&self, index: DiskIndex) -> &Arc<Disk> {
        &self.disks[usize::from(index.0)]
    }

    /// All but those that were forgotten.
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

    /// What is said now of a copy that this generation on the disk `moved_to` has outlived, where no migration says more.
    pub(super) fn retired_note(
        &self,
        key: TabletKey,
        shard_id: ShardId,
        moved_to: DiskRef,
        generation: u64,
    ) -> RetiredNote {
        RetiredNote {
            key,
            shard_id,
            migration_id: None,
            moved_to,
            generation,
            retired_ms: now_ms(),
            uptime_sec: self.uptime_sec.load(Ordering::Relaxed),
        }
    }

    pub(super) fn hang_after(&self) -> Duration {
        Duration::from_secs(u64::from(self.config().disk_hang_timeout_sec))
    }

    pub(super) fn capacity_limits(&self) -> CapacityLimits {
        let config = self.config();
        let default = Config::default().storage_flood_stage_left_capacity_bytes;
        CapacityLimits {
            usage_percent: u64::from(config.storage_flood_stage_usage_percent),
            left_bytes: config.storage_flood_stage_left_capacity_bytes,
            left_bytes_from: if config.storage_flood_stage_left_capacity_bytes == default {
                LeftBytesFrom::Default
            } else {
                LeftBytesFrom::Setting
            },
            rule: match config.migration_capacity_rule {
                config::CapacityRule::Or => CapacityRule::Or,
                config::CapacityRule::And => CapacityRule::And,
            },
        }
    }

    pub(super) fn node_limits(&self) -> NodeLimits {
        let priority_min = super::tend::gentle::priority_min(self);
        let config = self.config();
        NodeLimits {
            priority_min,
            running: config.max_tablet_migration_threads as usize,
            small_bytes: config.small_migration_bytes,
            small_batch: config.small_migration_batch as usize,
        }
    }

    /// Slots of every disk now, by index.
    pub(super) fn slots(&self) -> Vec<DiskSlots> {
        let hang_after = self.hang_after();
        let config = self.config();
        let of_medium = |medium| match medium {
            Medium::Hdd => (config.hdd_read_slots, config.hdd_write_slots),
            Medium::Ssd | Medium::RemoteCache => (config.ssd_read_slots, config.ssd_write_slots),
        };
        let closed = DiskSlots { read_limit: 0, write_limit: 0, readable: false, writable: false };
        let present = self.disks.iter().map(|disk| {
            let condition = disk.condition(hang_after);
            let (read_limit, write_limit) = of_medium(disk.medium);
            DiskSlots {
                read_limit,
                write_limit,
                readable: condition.is_readable(),
                writable: condition.is_writable(),
            }
        });
        // A disk that is registered after this look has no slots yet.
        present.chain(std::iter::repeat(closed)).take(DISKS_MAX).collect()
    }

    pub(super) fn copy_options(&self) -> CopyOptions {
        let config = self.config();
        CopyOptions {
            threads: config.copy_threads_per_migration as usize,
            block_bytes: usize::try_from(config.copy_block_bytes).unwrap_or(1 << 20),
            direct_io_min_file_bytes: config.direct_io_min_file_bytes,
            owner: config.tablet_file_owner,
            shared_bytes: match config.migration_same_file_system {
                config::SameFileSystem::Clone => SharedBytes::WhereOneDevice,
                config::SameFileSystem::Copy => SharedBytes::Never,
            },
            ..CopyOptions::default()
        }
    }

    /// Changes a migration's status, in memory and, with the next batch, in the journal.
    ///
    /// # Errors
    /// `ILLEGAL_TRANSITION`.
    pub(super) fn advance(&self, job: &Job, event: Event, reason: impl Into<String>) -> Result<(), Failure> {
        let row = job.advance(event, reason)?;
        tracing::debug!(migration = %row.id, status = %row.status, "{}", row.status_reason);
        Ok(())
    }

    /// As [`Node::advance`]; durable when this returns.
    ///
    /// # Errors
    /// `ILLEGAL_TRANSITION`, `JOURNAL_UNAVAILABLE`.
    pub(super) fn advance_durably(
        &self,
        job: &Job,
        event: Event,
        reason: impl Into<String>,
    ) -> Result<(), Failure> {
        let reason = reason.into();
        let posted = job.turn().change(&self.journal, |row| apply(row, event, reason))?;
        posted.wait().map(drop)
    }

    /// Ends a migration: takes it off the board of the living and gives back what it held. Its last row is durable
    /// before anybody can see it ended.
    pub(super) fn end(&self, job: &Job, event: Event, reason: impl Into<String>) {
        // Held until everybody sees it ended: what would be written after the last row is refused.
        let turn = job.turn();
        let row = match turn.foresee(event, reason) {
            Ok(row) => row,
            Err(failure) => {
                tracing::error!("{failure}");
                return;
            }
        };
        if let Err(failure) = self.journal.post_update(row.clone()).wait() {
            // The disks know: the next start settles it the same way.
            tracing::error!(migration = %row.id, "its end could not be journalled: {failure}");
        }
        match event {
            Event::Completed => Counts::add(&self.counts.completed),
            Event::Undone => Counts::add(&self.counts.aborted),
            Event::Expired => Counts::add(&self.counts.expired),
            _ => Counts::add(&self.counts.failed),
        }
        tracing::info!(migration = %row.id, tablet = %row.key, status = %row.status, "{}", row.status_reason);
        if let Some(entry) = self.catalog_mut().get_mut(row.key)
            && entry.migration == Some(row.id)
        {
            entry.migration = None;
        }
        if let Some(disk) = self.disk_by_uuid(row.destination.uuid) {
            reservation::release(disk, job);
        }
        let keep = self.config().finished_migration_tasks_size as usize;
        let mut board = self.board();
        turn.show(row.clone());
        board.alive.remove(&row.id);
        board.remember(row, keep);
    }

    /// Claims a key, so that of two requests under it at once only one is accepted.
    ///
    /// # Errors
    /// `IDEMPOTENCY_MISMATCH` while another one is being accepted.
    pub(super) fn claim_key(&self, key: &str) -> Result<KeyClaim<'_>, Failure> {
        if lock(&self.keys).insert(key.to_owned()) {
            return Ok(KeyClaim { node: self, key: key.to_owned() });
        }
        let text = format!(
            "a request under the idempotency key {} is being accepted at this moment; repeat it",
            quoted(key)
        );
        Err(Failure::new(ErrorCode::IdempotencyMismatch, text))
    }

    /// The migration of that number while it is alive.
    pub(super) fn job(&self, id: MigrationId) -> Option<Arc<Job>> {
        self.board().alive.get(&id).cloned()
    }

    /// Milliseconds since the Unix epoch.
    pub(super) fn now_ms(&self) -> i64 {
        now_ms()
    }
}
