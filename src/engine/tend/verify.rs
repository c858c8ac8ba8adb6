//! Verification: a served tablet is read again past the page cache and compared with its manifest, file by file.
//!
//! One tablet of a disk at a time, within the bandwidth limits of its disk and of the node, on a thread of its own that a
//! request does not wait for; not under a read slot, since it may take hours. Nothing is changed on any disk: what is
//! damaged or unreadable is told (`check`), and left as it is. What it found is in the journal (table `tablet_check`, the
//! last one of each of 10,000 tablets), so that a restart forgets no damage.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use crate::engine::look::reading::{Reading, open_tablet, read_record};
use crate::engine::node::Node;
use crate::engine::parts::checks::{Check, Trouble, forget_oldest, in_words, unasked};
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::disk::Disk;
use crate::engine::parts::thread::spawn_isolated;
use crate::model::{CheckState, ErrorCode, Failure, TabletCheck, TabletKey, TabletRecord};
use crate::storage::{Dir, DiskError};
use crate::transfer::{Coldness, read_cold_crc};

/// How long a request waits for the end: small tablets are verified by then.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks whether a disk is read for another verification still.
const NAP: Duration = Duration::from_millis(20);
/// Verifications that may be under way or waiting at once.
const OPEN_MAX: usize = 64;

/// Asks for a verification, or joins the one that is under way, and waits a moment for its end.
///
/// # Errors
/// `TABLET_NOT_FOUND`, `TABLET_UNAVAILABLE`; `QUEUE_FULL` with too many under way.
pub(crate) fn verify(node: &Arc<Node>, key: TabletKey) -> Result<TabletCheck, Failure> {
    let disk = crate::engine::look::reading::owner(node, key)?;
    Ok(ask(node, key, &disk)?.wait(PATIENCE))
}

/// The verification that is under way, or a new one.
fn ask(node: &Arc<Node>, key: TabletKey, disk: &Arc<Disk>) -> Result<Arc<Check>, Failure> {
    let mut checks = node.checks();
    if let Some(running) = checks.get(&key).filter(|check| !check.lock().state.is_settled()) {
        return Ok(Arc::clone(running));
    }
    let open = checks.values().filter(|check| !check.lock().state.is_settled()).count();
    if open >= OPEN_MAX {
        let text = format!("{OPEN_MAX} verifications are under way already; ask again later");
        return Err(Failure::new(ErrorCode::QueueFull, text));
    }
    forget_oldest(&node.journal, &mut checks);
    let trouble_before = checks.get(&key).and_then(|check| check.trouble());
    let check = begin(node, key, disk, trouble_before)?;
    checks.insert(key, Arc::clone(&check));
    Ok(check)
}

/// How the last verification of a tablet stands.
///
/// # Errors
/// As [`verify`], for a tablet that is not known.
pub(crate) fn last(node: &Node, key: TabletKey) -> Result<TabletCheck, Failure> {
    let known = node.checks().get(&key).map(|check| check.view());
    known.map_or_else(|| Ok(unasked(key, crate::engine::look::reading::owner(node, key)?.path.clone())), Ok)
}

/// A verification on a thread of its own.
fn begin(
    node: &Arc<Node>,
    key: TabletKey,
    disk: &Arc<Disk>,
    trouble_before: Option<Trouble>,
) -> Result<Arc<Check>, Failure> {
    let check = queued(node, key, disk, trouble_before);
    let (node, disk, own) = (Arc::clone(node), Arc::clone(disk), Arc::clone(&check));
    spawn_isolated("verify", move || {
        let _turn = disk.verifying.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = read(&node, &disk, key, &own, None);
        settle(&node, &own, outcome);
    })?;
    Ok(check)
}

fn queued(node: &Node, key: TabletKey, disk: &Disk, trouble_before: Option<Trouble>) -> Arc<Check> {
    let seen = TabletCheck {
        generation: node.catalog().get(key).map_or(0, |entry| entry.generation),
        state: CheckState::Queued,
        started_ms: Some(now_ms()),
        ..unasked(key, disk.path.clone())
    };
    Arc::new(Check::of(seen).after(trouble_before))
}

/// Who looks on while a tablet is verified.
pub(crate) struct Watch<'a> {
    /// May end it in the middle.
    pub(crate) stop: &'a (dyn Fn() -> Result<(), Failure> + Sync),
    /// Counts what is read.
    pub(crate) read_bytes: &'a AtomicU64,
}

/// Verifies a tablet on the calling thread, which has a descriptor table of its own; joins a verification that is under
/// way.
///
/// # Errors
/// What `watch` said, while another verification was waited for.
pub(crate) fn verify_here(
    node: &Arc<Node>,
    key: TabletKey,
    disk: &Arc<Disk>,
    watch: &Watch<'_>,
) -> Result<TabletCheck, Failure> {
    let (check, is_ours) = {
        let mut checks = node.checks();
        let running = checks.get(&key).filter(|check| !check.lock().state.is_settled()).cloned();
        let is_ours = running.is_none();
        let check = running.unwrap_or_else(|| {
            forget_oldest(&node.journal, &mut checks);
            let check = queued(node, key, disk, checks.get(&key).and_then(|check| check.trouble()));
            checks.insert(key, Arc::clone(&check));
            check
        });
        (check, is_ours)
    };
    if !is_ours {
        return wait_for(&check, watch.stop);
    }
    let outcome = turn(disk, watch.stop).and_then(|_turn| read(node, disk, key, &check, Some(watch)));
    settle(node, &check, outcome);
    Ok(check.view())
}

/// One at a time: two readers of one disk only disturb each other.
fn turn<'d>(
    disk: &'d Disk,
    stop: &(dyn Fn() -> Result<(), Failure> + Sync),
) -> Result<MutexGuard<'d, ()>, Failure> {
    loop {
        stop()?;
        match disk.verifying.try_lock() {
            Ok(turn) => return Ok(turn),
            Err(TryLockError::Poisoned(turn)) => return Ok(turn.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(NAP),
        }
    }
}

fn wait_for(check: &Check, go_on: impl Fn() -> Result<(), Failure>) -> Result<TabletCheck, Failure> {
    loop {
        let seen = check.wait(PATIENCE);
        if seen.state.is_settled() {
            return Ok(seen);
        }
        go_on()?;
    }
}

fn settle(node: &Node, check: &Check, outcome: Result<Coldness, Failure>) {
    let (key, generation) = {
        let seen = check.lock();
        (seen.key, seen.generation)
    };
    let moved = generation > 0 && node.catalog().get(key).is_none_or(|entry| entry.generation != generation);
    let mut seen = check.lock();
    let state = match outcome {
        // What was read is no longer the tablet.
        _ if moved => {
            let text = format!("tablet {} was moved while it was read; verify it again", seen.key);
            seen.error = Some(Failure::new(ErrorCode::TabletUnavailable, text));
            seen.damaged.clear();
            seen.unreadable.clear();
            CheckState::Failed
        }
        Err(failure) => {
            drop(seen);
            // Found without reading a file: its record or its directory is not what it should be, or was not given.
            let is_of_the_tablet = check.note_failure(&key.to_string(), &failure);
            seen = check.lock();
            if is_of_the_tablet {
                found(&seen)
            } else {
                seen.error = Some(failure);
                CheckState::Failed
            }
        }
        Ok(coldness) => {
            seen.cold = Some(coldness == Coldness::Cold);
            found(&seen)
        }
    };
    (seen.state, seen.finished_ms) = (state, Some(now_ms()));
    match state {
        CheckState::Damaged | CheckState::Unreadable => {
            tracing::error!(tablet = %key, disk = seen.disk, "verified: {}", in_words(&seen));
        }
        _ => tracing::info!(tablet = %key, disk = seen.disk, "verified: {}", state.as_str()),
    }
    // A verification that came to no end takes nothing back of what one before it found.
    if state != CheckState::Failed || check.trouble_before.is_none() {
        node.journal.set_check(seen.clone());
    }
    check.ended.notify_all();
}

/// What a verification that came to its end has found.
const fn found(seen: &TabletCheck) -> CheckState {
    match (seen.damaged.is_empty(), seen.unreadable.is_empty()) {
        (true, true) => CheckState::Passed,
        (true, false) => CheckState::Unreadable,
        (false, _) => CheckState::Damaged,
    }
}

fn read(
    node: &Arc<Node>,
    disk: &Disk,
    key: TabletKey,
    check: &Check,
    watch: Option<&Watch<'_>>,
) -> Result<Coldness, Failure> {
    let (root, store) = disk.open()?;
    let record = read_record(&store, key)?;
    let dir = open_tablet(&root, &record);
    {
        let mut seen = check.lock();
        (seen.state, seen.generation) = (CheckState::Running, record.generation);
        seen.total_files = record.manifest.files().len() as u64;
        seen.total_bytes = record.manifest.total_bytes();
    }
    let dir = dir?;
    find_unlisted(&dir, &record, check)?;
    let mut coldness = Coldness::Cold;
    for file in record.manifest.files() {
        let stop = watch.map(|watch| watch.stop);
        let count = watch.map(|watch| watch.read_bytes);
        let hooks = Reading { node, disk, bytes: &check.bytes, stop, count };
        let summed =
            read_cold_crc(&dir, &file.name, file.size_bytes, &node.copy_options(), &node.budget, &hooks);
        check.bytes.store(0, Ordering::Relaxed);
        match summed {
            Ok((crc32, how)) => {
                coldness = coldness.max(how);
                match file.crc32 {
                    Some(recorded) if recorded != crc32 => {
                        check.note_damage(&file.name, format!("CRC-32 {crc32:08x}, recorded {recorded:08x}"));
                    }
                    Some(_) => {}
                    None => check.lock().unrecorded_files += 1,
                }
            }
            // No file stands under its name, or none that may be opened.
            Err(failure) if failure.code == ErrorCode::IoError => {
                check.note_damage(&file.name, failure.message);
            }
            // What says nothing of the file ends it.
            Err(failure) if !check.note_failure(&file.name, &failure) => return Err(failure),
            Err(_) => {}
        }
        let mut seen = check.lock();
        seen.checked_files += 1;
        seen.checked_bytes += file.size_bytes;
    }
    Ok(coldness)
}

fn find_unlisted(dir: &Dir, record: &TabletRecord, check: &Check) -> Result<(), Failure> {
    let listed: BTreeSet<&str> = record.manifest.files().iter().map(|file| file.name.as_str()).collect();
    let listing = dir.for_each(|name, kind| {
        let known = name.to_str().is_some_and(|name| listed.contains(name));
        if !known {
            let reason = format!("{} that the manifest does not list", kind.as_str());
            check.note_damage(&name.to_string_lossy(), reason);
        }
        Ok::<(), DiskError>(())
    });
    listing.map_err(DiskError::on_source)
}

/// Verifies a tablet anew and waits for the end, asking `go_on` meanwhile.
///
/// # Errors
/// As [`verify`]; what `go_on` said.
pub(crate) fn verify_to_the_end(
    node: &Arc<Node>,
    key: TabletKey,
    go_on: impl Fn() -> Result<(), Failure>,
) -> Result<TabletCheck, Failure> {
    let disk = crate::engine::look::reading::owner(node, key)?;
    wait_for(&*ask(node, key, &disk)?, go_on)
}
