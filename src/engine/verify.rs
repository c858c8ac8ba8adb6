//! Verification: a served tablet is read again past the page cache and compared with its manifest, file by file.
//!
//! One tablet of a disk at a time, within the bandwidth limits of its disk and of the node, on a thread of its own that a
//! request does not wait for. Nothing is changed on any disk: what is damaged is told, and left as it is. What was found
//! is in the journal, so that the next run of the daemon knows it too.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use md5::{Digest, Md5};

use super::disk::{Disk, stay};
use super::gentle::wear_io_class;
use super::node::Node;
use super::query::read_record;
use super::thread::spawn_isolated;
use crate::model::{
    CheckState, DamagedFile, ErrorCode, Failure, FileEntry, TabletCheck, TabletKey, TabletRecord,
};
use crate::storage::layout::tablet_dir;
use crate::storage::{Dir, DiskError, Root};
use crate::transfer::{CallToken, Coldness, CopyHooks, Side, Traffic, read_cold_crc};

/// How long a request waits for the end: small tablets are verified by then.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the digests of a tablet may take.
const DIGESTS_WAIT: Duration = Duration::from_secs(3600);
const DIGEST_BLOCK_BYTES: usize = 1 << 20;
/// Verifications that may be under way or waiting at once.
const OPEN_MAX: usize = 64;
/// Verifications that are remembered.
const KEPT_MAX: usize = 10_000;
/// Damaged files that are told by name.
const DAMAGED_SHOWN: usize = 1000;

/// The last verification of each tablet.
pub(super) type Checks = BTreeMap<TabletKey, Arc<Check>>;

/// One verification.
pub(super) struct Check {
    seen: Mutex<TabletCheck>,
    /// Read of the file that is being read.
    bytes: AtomicU64,
    ended: Condvar,
}

impl Check {
    fn lock(&self) -> MutexGuard<'_, TabletCheck> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it stands.
    pub(super) fn view(&self) -> TabletCheck {
        let mut view = self.lock().clone();
        let bytes = view.checked_bytes + self.bytes.load(Ordering::Relaxed);
        view.checked_bytes = bytes.min(view.total_bytes);
        view
    }

    fn wait(&self, patience: Duration) -> TabletCheck {
        let open = |check: &mut TabletCheck| !check.state.is_settled();
        drop(self.ended.wait_timeout_while(self.lock(), patience, open));
        self.view()
    }

    fn note(&self, name: &str, reason: String) {
        let mut check = self.lock();
        if check.damaged.len() < DAMAGED_SHOWN {
            check.damaged.push(DamagedFile { name: name.to_owned(), reason });
        }
    }
}

/// Asks for a verification, or joins the one that is under way, and waits a moment for its end.
///
/// # Errors
/// `TABLET_NOT_FOUND`, `TABLET_UNAVAILABLE`; `QUEUE_FULL` with too many under way.
pub(super) fn verify(node: &Arc<Node>, key: TabletKey) -> Result<TabletCheck, Failure> {
    let disk = super::query::owner(node, key)?;
    let check = {
        let mut checks = node.checks();
        let known = checks.get(&key).filter(|check| !check.lock().state.is_settled());
        match known {
            Some(running) => Arc::clone(running),
            None => {
                let open = checks.values().filter(|check| !check.lock().state.is_settled()).count();
                if open >= OPEN_MAX {
                    let text = format!("{OPEN_MAX} verifications are under way already; ask again later");
                    return Err(Failure::new(ErrorCode::QueueFull, text));
                }
                forget_oldest(node, &mut checks);
                let check = begin(node, key, &disk)?;
                checks.insert(key, Arc::clone(&check));
                check
            }
        }
    };
    Ok(check.wait(PATIENCE))
}

/// How the last verification of a tablet stands.
///
/// # Errors
/// As [`verify`], for a tablet that is not known.
pub(super) fn last(node: &Node, key: TabletKey) -> Result<TabletCheck, Failure> {
    let known = node.checks().get(&key).map(|check| check.view());
    known.map_or_else(|| Ok(unasked(key, super::query::owner(node, key)?.path.clone())), Ok)
}

const fn unasked(key: TabletKey, disk: String) -> TabletCheck {
    TabletCheck {
        key,
        disk,
        generation: 0,
        state: CheckState::Never,
        total_files: 0,
        total_bytes: 0,
        checked_files: 0,
        checked_bytes: 0,
        unrecorded_files: 0,
        cold: None,
        damaged: Vec::new(),
        error: None,
        started_ms: None,
        finished_ms: None,
    }
}

fn forget_oldest(node: &Node, checks: &mut Checks) {
    if checks.len() < KEPT_MAX {
        return;
    }
    let ended = checks.iter().filter_map(|(key, check)| {
        let check = check.lock();
        // What was found damaged is remembered longest.
        Some((check.state == CheckState::Damaged, check.finished_ms?, *key))
    });
    if let Some((.., oldest)) = ended.min() {
        checks.remove(&oldest);
        node.journal.clear_check(oldest);
    }
}

/// What was found before this run of the daemon.
pub(super) fn take_up(node: &Node, found: Vec<TabletCheck>) {
    let ended =
        |seen: TabletCheck| Check { seen: seen.into(), bytes: AtomicU64::new(0), ended: Condvar::new() };
    node.checks().extend(found.into_iter().map(|check| (check.key, Arc::new(ended(check)))));
}

fn begin(node: &Arc<Node>, key: TabletKey, disk: &Arc<Disk>) -> Result<Arc<Check>, Failure> {
    let seen = TabletCheck {
        state: CheckState::Queued,
        started_ms: Some(node.now_ms()),
        ..unasked(key, disk.path.clone())
    };
    let check = Arc::new(Check { seen: seen.into(), bytes: AtomicU64::new(0), ended: Condvar::new() });
    let (node, disk, own) = (Arc::clone(node), Arc::clone(disk), Arc::clone(&check));
    spawn_isolated("verify", move || {
        // One at a time: two readers of one disk only disturb each other.
        let _turn = disk.verifying.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = read(&node, &disk, key, &own);
        settle(&node, &own, outcome);
    })?;
    Ok(check)
}

fn settle(node: &Node, check: &Check, outcome: Result<Coldness, Failure>) {
    let (key, generation) = {
        let seen = check.lock();
        (seen.key, seen.generation)
    };
    // A generation of 0 says that its record could not even be read.
    let moved = generation > 0 && node.catalog().get(key).is_none_or(|entry| entry.generation != generation);
    let mut seen = check.lock();
    seen.state = match outcome {
        // What was read is no longer the tablet.
        _ if moved => {
            let text = format!("tablet {} was moved while it was read; verify it again", seen.key);
            seen.error = Some(Failure::new(ErrorCode::TabletUnavailable, text));
            seen.damaged.clear();
            CheckState::Failed
        }
        Err(failure) => {
            seen.error = Some(failure);
            CheckState::Failed
        }
        Ok(coldness) => {
            seen.cold = Some(coldness == Coldness::Cold);
            if seen.damaged.is_empty() { CheckState::Passed } else { CheckState::Damaged }
        }
    };
    seen.finished_ms = Some(node.now_ms());
    let state = seen.state.as_str();
    match seen.state {
        CheckState::Damaged => {
            tracing::error!(tablet = %seen.key, disk = seen.disk, "verified: {}", in_words(&seen));
        }
        _ => tracing::info!(tablet = %seen.key, disk = seen.disk, "verified: {state}"),
    }
    node.journal.set_check(seen.clone());
    check.ended.notify_all();
}

fn read(node: &Arc<Node>, disk: &Disk, key: TabletKey, check: &Check) -> Result<Coldness, Failure> {
    let (root, store) = disk.open()?;
    let record = read_record(&store, key)?;
    {
        let mut seen = check.lock();
        (seen.state, seen.generation) = (CheckState::Running, record.generation);
        seen.total_files = record.manifest.files().len() as u64;
        seen.total_bytes = record.manifest.total_bytes();
    }
    let dir = open_tablet(&root, &record)?;
    find_unlisted(&dir, &record, check)?;
    let mut coldness = Coldness::Cold;
    for file in record.manifest.files() {
        let hooks = Reading { node, disk, bytes: &check.bytes };
        let summed =
            read_cold_crc(&dir, &file.name, file.size_bytes, &node.copy_options(), &node.budget, &hooks);
        check.bytes.store(0, Ordering::Relaxed);
        match summed {
            Ok((crc32, how)) => {
                coldness = coldness.max(how);
                match file.crc32 {
                    Some(recorded) if recorded != crc32 => {
                        check.note(&file.name, format!("CRC-32 {crc32:08x}, recorded {recorded:08x}"));
                    }
                    Some(_) => {}
                    None => check.lock().unrecorded_files += 1,
                }
            }
            Err(failure) if ends_it(failure.code) => return Err(failure),
            Err(failure) => check.note(&file.name, failure.message),
        }
        let mut seen = check.lock();
        seen.checked_files += 1;
        seen.checked_bytes += file.size_bytes;
    }
    Ok(coldness)
}

/// The directory of a tablet.
pub(super) fn open_tablet(root: &Root, record: &TabletRecord) -> Result<Dir, DiskError> {
    root.dir().open(tablet_dir(record.shard_id, record.key))
}

/// Whether a failure says nothing about the file that was being read.
const fn ends_it(code: ErrorCode) -> bool {
    !matches!(code, ErrorCode::SourceDamaged | ErrorCode::IoError | ErrorCode::UnexpectedEntry)
}

/// The MD5 of each file of a tablet, in the manifest's order.
///
/// # Errors
/// As [`verify`], for a tablet that is not known; a call's.
pub(super) fn file_digests(node: &Arc<Node>, key: TabletKey) -> Result<Vec<(String, [u8; 16])>, Failure> {
    let disk = super::query::owner(node, key)?;
    let (node, on) = (Arc::clone(node), Arc::clone(&disk));
    stay(&disk, DIGESTS_WAIT, move |root, store| {
        let record = read_record(store, key)?;
        let dir = open_tablet(root, &record)?;
        let reading = Reading { node: &node, disk: &on, bytes: &AtomicU64::new(0) };
        let digest = |file: &FileEntry| Ok((file.name.clone(), md5_of(&dir, &file.name, &reading)?));
        record.manifest.files().iter().map(digest).collect()
    })
}

fn md5_of(dir: &Dir, name: &str, reading: &Reading<'_>) -> Result<[u8; 16], Failure> {
    let mut file = dir.open_for_reading(name, nix::fcntl::OFlag::empty())?;
    let mut hasher = Md5::new();
    let mut block = vec![0; DIGEST_BLOCK_BYTES];
    loop {
        reading.checkpoint()?;
        let read = {
            let _call = reading.disk.enter("read");
            file.read(&mut block)
        };
        let n = read.map_err(|error| DiskError::from_io("read", dir.path().join(name), &error))?;
        if n == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(&block[..n]);
        reading.take(Traffic::ReadBack, n as u64, &|| reading.checkpoint())?;
    }
}

fn find_unlisted(dir: &Dir, record: &TabletRecord, check: &Check) -> Result<(), Failure> {
    let listed: BTreeSet<&str> = record.manifest.files().iter().map(|file| file.name.as_str()).collect();
    dir.for_each(|name, kind| {
        let known = name.to_str().is_some_and(|name| listed.contains(name));
        if !known {
            let reason = format!("{} that the manifest does not list", kind.as_str());
            check.note(&name.to_string_lossy(), reason);
        }
        Ok::<(), Failure>(())
    })
}

/// What a verification found, in a line.
fn in_words(check: &TabletCheck) -> String {
    let files: Vec<_> =
        check.damaged.iter().take(3).map(|file| format!("{} ({})", file.name, file.reason)).collect();
    let more = check.damaged.len().saturating_sub(files.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("damaged: {}{more}", files.join(", "))
}

/// Tablets that were found damaged and have not moved since: generation and what is wrong.
pub(super) fn damaged(node: &Node) -> BTreeMap<TabletKey, (u64, String)> {
    let checks = node.checks();
    let damaged = checks.iter().filter_map(|(key, check)| {
        let check = check.lock();
        (check.state == CheckState::Damaged).then(|| (*key, (check.generation, in_words(&check))))
    });
    damaged.collect()
}

/// Reads a tablet at length: stops when the daemon does, keeps to the limits of the disk and of the node, and to the
/// I/O class of migrations.
pub(super) struct Reading<'a> {
    pub(super) node: &'a Node,
    pub(super) disk: &'a Disk,
    /// Counts what is read.
    pub(super) bytes: &'a AtomicU64,
}

impl CopyHooks for Reading<'_> {
    fn checkpoint(&self) -> Result<(), Failure> {
        let stopping = || Failure::new(ErrorCode::ShuttingDown, "the daemon is stopping");
        if self.node.is_stopping() { Err(stopping()) } else { Ok(()) }
    }

    fn take(&self, _: Traffic, bytes: u64, go_on: &dyn Fn() -> Result<(), Failure>) -> Result<(), Failure> {
        wear_io_class(self.node.config().migration_io_class);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.disk.take(bytes, go_on)?;
        self.node.limiter.take(bytes, go_on).map(drop)
    }

    fn log(&self, text: String) {
        tracing::debug!("{text}");
    }

    fn enter_call(&self, _: Side, operation: &'static str) -> CallToken {
        CallToken(self.disk.begin_call(operation))
    }

    fn leave_call(&self, token: CallToken) {
        self.disk.end_call(token.0);
    }
}
