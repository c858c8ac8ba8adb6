//! What goes on beside the migrations: the health of each disk, the counted up-time, deadlines, and the trash.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::clock::steady_ms;
use super::disk::{Disk, TURNED_READ_ONLY, note_storage_error};
use super::job::Order;
use super::node::Node;
use super::pace;
use super::steer::expire_overdue;
use super::thread::spawn_isolated;
use super::trash;
use crate::model::{ErrorCode, Failure, Status};
use crate::storage::StorageError;

/// How often up-time is counted and deadlines are looked at.
const TICK: Duration = Duration::from_secs(5);
/// How often a stop is noticed.
const NAP: Duration = Duration::from_millis(200);

/// Starts the housekeeping threads: one for the node and one per disk, so that a hung disk holds up only its own.
///
/// # Errors
/// No thread can be made.
pub(super) fn start(node: &Arc<Node>) -> Result<(), Failure> {
    let owned = Arc::clone(node);
    spawn_isolated("ticker", move || tick(&owned))?;
    for disk in node.disks.iter().filter(|disk| disk.opened.get().is_some()) {
        look_after(node, disk)?;
    }
    let owned = Arc::clone(node);
    spawn_isolated("trash", move || sweep(&owned))?;
    Ok(())
}

/// Starts the threads of one disk.
///
/// # Errors
/// No thread can be made.
pub(super) fn look_after(node: &Arc<Node>, disk: &Arc<Disk>) -> Result<(), Failure> {
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

/// A copy of which no byte has moved for `migration_task_timeout_secs` is stopped, and tried again. A wait for the
/// bandwidth limit counts as movement, and a swap that has begun is never stopped.
fn stop_the_stuck(node: &Node) {
    let limit_ms = i64::from(node.config().migration_task_timeout_secs).saturating_mul(1000);
    let jobs: Vec<_> = node.board().alive.values().cloned().collect();
    for job in jobs.iter().filter(|job| job.lock().status == Status::Copying) {
        let since = job.progress.last_progress_ms.load(Ordering::Relaxed);
        if since > 0 && steady_ms() - since > limit_ms {
            job.ask(Order::TimeOut);
        }
    }
}

/// Measures a disk's space and probes it, until the daemon stops.
fn watch(node: &Node, disk: &Disk) {
    let interval = || Duration::from_secs(u64::from(node.config().disk_stat_monitor_interval));
    let mut broken_by_probe = false;
    while nap(node, interval()) && !disk.is_forgotten() {
        match probe(disk) {
            // Taken back only by a start so far, which looks through it.
            Ok(()) if disk.is_read_only() => {}
            Ok(()) if broken_by_probe => {
                tracing::warn!(disk = disk.path, "the disk is back");
                disk.clear_broken();
                broken_by_probe = false;
                node.ring();
            }
            Ok(()) => {}
            Err(failure) if failure.code == ErrorCode::NoSpace || disk.is_read_only() => {}
            Err(failure) if !broken_by_probe => {
                disk.mark_broken(failure.message);
                broken_by_probe = true;
            }
            Err(_) => {}
        }
    }
}

fn probe(disk: &Disk) -> Result<(), Failure> {
    let (root, _) = disk.open()?;
    let _call = disk.enter("the write probe");
    disk.measure(&root)?;
    if root.is_read_only()? {
        disk.turned_read_only();
        return Err(Failure::new(ErrorCode::DiskUnavailable, TURNED_READ_ONLY));
    }
    root.probe().map_err(|error| {
        let error = StorageError::from(error);
        note_storage_error(disk, &error);
        Failure::from(error)
    })
}

/// Sweeps the trash. The fuller the fullest disk, the more often, between Doris's two intervals.
fn sweep(node: &Arc<Node>) {
    loop {
        let (shortest, longest) = {
            let config = node.config();
            (u64::from(config.min_garbage_sweep_interval), u64::from(config.max_garbage_sweep_interval))
        };
        let fullest = node.disks.iter().map(|disk| trash::used_percent(disk)).max().unwrap_or(0).min(100);
        let interval = longest.saturating_sub(longest.saturating_sub(shortest) * fullest / 100).max(shortest);
        if !nap(node, Duration::from_secs(interval)) {
            return;
        }
        trash::sweep(node);
    }
}
