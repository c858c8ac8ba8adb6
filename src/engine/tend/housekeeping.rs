//! What goes on beside the migrations: the health of each disk, the counted up-time, deadlines, and the trash.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::config;
use crate::engine::ask::stop::expire_overdue;
use crate::engine::look::trash::used_percent;
use crate::engine::node::Node;
use crate::engine::parts::clock::steady_ms;
use crate::engine::parts::disk::{Disk, TURNED_READ_ONLY, note_storage_error};
use crate::engine::parts::job::{Command, Heard};
use crate::engine::parts::probe;
use crate::engine::parts::thread::spawn_isolated;
use crate::engine::tend::{joining, pace, trash, unrecorded};
use crate::engine::tidy;
use crate::model::{DiskCondition, ErrorCode, Failure, Status};
use crate::rules::retry::patience_ms;
use crate::storage::{StorageError, ensure_spares};

/// How often up-time is counted and deadlines are looked at.
const TICK: Duration = Duration::from_secs(5);
/// A disk that was refused is looked through again after 2^this rounds at most.
const ROUNDS_BETWEEN_LOOKS_LOG2_MAX: u32 = 6;
/// How often a stop is noticed.
const NAP: Duration = Duration::from_millis(200);

/// Starts the housekeeping threads: one for the node and one per disk, so that a hung disk holds up only its own.
///
/// # Errors
/// No thread can be made.
pub(crate) fn start(node: &Arc<Node>) -> Result<(), Failure> {
    let owned = Arc::clone(node);
    spawn_isolated("ticker", move || tick(&owned))?;
    for disk in node.disks.iter().filter(|disk| disk.opened.get().is_some()) {
        look_after(node, disk)?;
    }
    for disk in node.disks.iter().filter(|disk| disk.opened.get().is_none()) {
        let (owned, awaited) = (Arc::clone(node), Arc::clone(disk));
        spawn_isolated("disk-await", move || await_disk(&owned, &awaited))?;
    }
    let owned = Arc::clone(node);
    spawn_isolated("trash", move || sweep(&owned))?;
    Ok(())
}

/// Starts the threads of one disk.
///
/// # Errors
/// No thread can be made.
pub(crate) fn look_after(node: &Arc<Node>, disk: &Arc<Disk>) -> Result<(), Failure> {
    unrecorded::start(node, disk);
    let (for_watch, watched) = (Arc::clone(node), Arc::clone(disk));
    spawn_isolated("disk-health", move || watch(&for_watch, &watched))?;
    let (for_pace, paced) = (Arc::clone(node), Arc::clone(disk));
    spawn_isolated("disk-pace", move || pace::serve(&for_pace, &paced)).map(drop)
}

/// Sleeps, but wakes for a stop. False when there is one.
fn nap(node: &Node, duration: Duration) -> bool {
    let until = Instant::now() + duration;
    while !node.is_stopping() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(NAP));
    }
    false
}

fn tick(node: &Arc<Node>) {
    let mut counted = Instant::now();
    while nap(node, TICK) {
        let seconds = counted.elapsed().as_secs();
        counted += Duration::from_secs(seconds);
        match node.journal.add_uptime(seconds) {
            Ok(sum) => node.uptime_sec.store(sum, Ordering::Relaxed),
            Err(failure) => tracing::debug!("{failure}"),
        }
        stop_the_stuck(node);
        expire_overdue(node);
        node.journal.prune(u64::from(node.config().finished_migration_tasks_size).saturating_mul(10));
    }
}

/// A copy that has given no sign of life for too long is stopped, and tried again. Every call to a disk that returns is
/// such a sign, and so is a wait for the bandwidth limit or for memory. A swap that has begun is never stopped.
fn stop_the_stuck(node: &Node) {
    let timeout_secs = node.config().migration_task_timeout_secs;
    // Only what runs can be stuck, and a queue may be long.
    let running = node.schedule().running();
    let jobs: Vec<_> = running.into_iter().filter_map(|id| node.job(id)).collect();
    for job in jobs.iter().filter(|job| job.lock().status == Status::Copying) {
        let since = job.progress.last_progress_ms.load(Ordering::Relaxed);
        let silent_ms = steady_ms() - since;
        if since > 0
            && silent_ms > patience_ms(timeout_secs, job.size_bytes)
            && job.heard() == Heard::Nothing
            && job.ask(Command::TimeOut)
        {
            let id = job.lock().id;
            tracing::warn!(migration = %id, "nothing was heard of it for {silent_ms} ms; it is stopped and tried again");
        }
    }
}

/// Waits for a disk that could not be opened at the start, and looks after it once it has joined.
fn await_disk(node: &Arc<Node>, disk: &Arc<Disk>) {
    let interval = || Duration::from_secs(u64::from(node.config().disk_stat_monitor_interval));
    while nap(node, interval()) && !disk.is_forgotten() {
        let listed = config::parse_broken_storage_path(&node.config().broken_storage_path);
        if listed.contains(&disk.path) {
            continue;
        }
        let joined = joining::join_late(node, disk);
        if disk.opened.get().is_some() {
            if let Err(why) = joined {
                tracing::error!(disk = disk.path, "{why}");
            }
            if let Err(failure) = look_after(node, disk) {
                tracing::error!(disk = disk.path, "it is not watched before the next start: {failure}");
            }
            return;
        }
    }
}

/// Measures a disk's space and probes it, until the daemon stops. One that was read-only, or away, is looked through
/// before anything is written to it again.
fn watch(node: &Arc<Node>, disk: &Arc<Disk>) {
    let interval = || Duration::from_secs(u64::from(node.config().disk_stat_monitor_interval));
    let mut retry = Backoff::default();
    while nap(node, interval()) && !disk.is_forgotten() {
        let condition = disk.condition(Duration::MAX);
        if matches!(condition, DiskCondition::ReadOnly { .. } | DiskCondition::Broken { .. }) {
            if let Some(Err(why)) = take_back(node, disk, &mut retry) {
                tracing::error!(disk = disk.path, "it is not taken back: {why}");
                if disk.is_read_only() {
                    disk.mark_read_only(why);
                } else {
                    disk.mark_broken(why);
                }
            }
            continue;
        }
        match probe(disk) {
            Err(failure) if failure.code != ErrorCode::NoSpace && !disk.is_read_only() => {
                disk.mark_broken(failure.message);
            }
            _ => {}
        }
    }
}

/// Takes a disk back if it is there again, whole and writable; one that was mounted anew is opened anew. `None` where it
/// is not, or is not to be looked through again yet.
fn take_back(node: &Arc<Node>, disk: &Arc<Disk>, retry: &mut Backoff) -> Option<Result<(), String>> {
    let is_elsewhere = disk.let_go_if_elsewhere();
    let is_back = if is_elsewhere { joining::is_there(disk) } else { takes_writes(disk) };
    if is_elsewhere && !is_back {
        disk.mark_broken(format!("no disk is at {} any more: was it unmounted?", disk.path));
    }
    if !is_back || !retry.is_due() {
        return None;
    }
    let taken = match is_elsewhere {
        true => joining::join_late(node, disk),
        false => joining::take_back(node, disk),
    };
    match taken {
        Ok(()) => *retry = Backoff::default(),
        Err(_) => retry.failed(),
    }
    Some(taken)
}

/// Looking through a disk takes its time: one that was refused is looked at less and less often.
#[derive(Default)]
struct Backoff {
    skipped: u32,
    failures: u32,
}

impl Backoff {
    fn is_due(&mut self) -> bool {
        self.skipped += 1;
        self.skipped >= 1 << self.failures.min(ROUNDS_BETWEEN_LOOKS_LOG2_MAX)
    }

    fn failed(&mut self) {
        self.failures += 1;
        self.skipped = 0;
    }
}

/// Whether the disk that was opened is there and its file system can be written to. Writes nothing.
fn takes_writes(disk: &Disk) -> bool {
    let looked = disk.open().and_then(|(root, _)| {
        let _call = disk.enter("a look at the root");
        disk.space.measure(&root)?;
        Ok(!root.is_read_only()?)
    });
    looked.unwrap_or(false)
}

fn probe(disk: &Disk) -> Result<(), Failure> {
    let (root, _) = disk.open()?;
    let _call = disk.enter("the write probe");
    disk.space.measure(&root)?;
    if root.is_read_only()? {
        disk.turned_read_only();
        return Err(Failure::new(ErrorCode::DiskUnavailable, TURNED_READ_ONLY));
    }
    probe::probe(disk, &root).map_err(|error| {
        let error = StorageError::from(error);
        note_storage_error(disk, &error);
        Failure::from(error)
    })?;
    if let Err(error) = ensure_spares(root.dir()) {
        tracing::debug!(disk = disk.path, "no entry of trash could be made in advance: {error}");
    }
    Ok(())
}

/// Sweeps the trash. The fuller the fullest disk, the more often, between Doris's two intervals.
fn sweep(node: &Arc<Node>) {
    loop {
        let (shortest, longest) = {
            let config = node.config();
            (u64::from(config.min_garbage_sweep_interval), u64::from(config.max_garbage_sweep_interval))
        };
        let fullest = node.disks.iter().map(|disk| used_percent(disk)).max().unwrap_or(0).min(100);
        let interval = longest.saturating_sub(longest.saturating_sub(shortest) * fullest / 100).max(shortest);
        if !nap(node, Duration::from_secs(interval)) {
            return;
        }
        tidy::sweep(node);
        unrecorded::sweep(node);
        trash::sweep(node);
    }
}
