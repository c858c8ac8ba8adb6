//! Verification: a served tablet is read again past the page cache and compared with its manifest, file by file.
//!
//! One tablet of a disk at a time, within the bandwidth limits of its disk and of the node, on a thread of its own that a
//! request does not wait for. Nothing is changed on any disk: what is damaged is told, and left as it is. What was found
//! is in the journal, so that the next run of the daemon knows it too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;

use super::disk::Disk;
use super::gentle::wear_io_class;
use super::node::Node;
use super::query::read_record;
use super::thread::spawn_isolated;
use crate::model::{CheckState, DamagedFile, ErrorCode, Failure, TabletCheck, TabletKey, TabletRecord};
use crate::storage::layout::tablet_dir;
use crate::storage::{Dir, DiskError, Root};
use crate::transfer::{CallToken, Coldness, CopyHooks, Side, Traffic, read_cold_crc};

/// How long a request waits for the end: small tablets are verified by then.
const PATIENCE: Duration = Duration::from_secs(1);
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
    /// What an earlier one found: as long as this one has not come to an end of its own, that stands.
    damage_before: Option<Damage>,
    /// Read of the file that is being read.
    bytes: AtomicU64,
    ended: Condvar,
}

/// What is wrong with a tablet of this generation.
pub(super) type Damage = (u64, String);

impl Check {
    /// As it stands.
    fn of(seen: TabletCheck) -> Self {
        Self { seen: seen.into(), damage_before: None, bytes: AtomicU64::new(0), ended: Condvar::new() }
    }

    /// What is known to be wrong, by this verification or the one before it.
    fn damage(&self) -> Option<Damage> {
        let seen = self.lock();
        match seen.state {
            CheckState::Damaged => Some((seen.generation, in_words(&seen))),
            CheckState::Passed => None,
            CheckState::Never | CheckState::Queued | CheckState::Running | CheckState::Failed => {
                self.damage_before.clone()
            }
        }
    }

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
    forget_oldest(node, &mut checks);
    let damage_before = checks.get(&key).and_then(|check| check.damage());
    let check = begin(node, key, disk, damage_before)?;
    checks.insert(key, Arc::clone(&check));
    Ok(check)
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
    node.checks().extend(found.into_iter().map(|check| (check.key, Arc::new(Check::of(check)))));
}

fn begin(
    node: &Arc<Node>,
    key: TabletKey,
    disk: &Arc<Disk>,
    damage_before: Option<Damage>,
) -> Result<Arc<Check>, Failure> {
    let seen = TabletCheck {
        generation: node.catalog().get(key).map_or(0, |entry| entry.generation),
        state: CheckState::Queued,
        started_ms: Some(node.now_ms()),
        ..unasked(key, disk.path.clone())
    };
    let check = Arc::new(Check { damage_before, ..Check::of(seen) });
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
        // Found without reading a file: its record or its directory is not what it should be.
        Err(failure) if is_damage(failure.code) => {
            let name = seen.key.to_string();
            seen.damaged.push(DamagedFile { name, reason: failure.message });
            CheckState::Damaged
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
    // A verification that came to no end takes nothing back of what one before it found.
    if seen.state != CheckState::Failed || check.damage_before.is_none() {
        node.journal.set_check(seen.clone());
    }
    check.ended.notify_all();
}

fn read(node: &Arc<Node>, disk: &Disk, key: TabletKey, check: &Check) -> Result<Coldness, Failure> {
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
        let hooks = Reading { node, disk, bytes: &check.bytes, stop: None };
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
///
/// # Errors
/// `SOURCE_DAMAGED` when it is missing; as `openat2(2)`.
pub(super) fn open_tablet(root: &Root, record: &TabletRecord) -> Result<Dir, Failure> {
    root.dir().open(tablet_dir(record.shard_id, record.key)).map_err(missing_is_damage)
}

/// A name that a record gives, and that is not there, is damage: the disk has answered.
pub(super) fn missing_is_damage(error: DiskError) -> Failure {
    let is_missing = error.errno == Errno::ENOENT;
    let failure = Failure::from(error);
    if is_missing { Failure { code: ErrorCode::SourceDamaged, ..failure } } else { failure }
}

/// Whether a failure says that a tablet is not what it should be, and not that its disk did not answer.
const fn is_damage(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::RecordDamaged | ErrorCode::SourceDamaged | ErrorCode::UnexpectedEntry)
}

/// Whether a failure says nothing about the file that was being read.
const fn ends_it(code: ErrorCode) -> bool {
    !matches!(code, ErrorCode::SourceDamaged | ErrorCode::IoError | ErrorCode::UnexpectedEntry)
}

/// A read that was not asked for as a verification has failed: damage that it found is known from now on, as if a
/// verification had. What a disk did not give says nothing of the tablet.
pub(super) fn note_failed_read(node: &Node, key: TabletKey, disk: &Disk, failure: &Failure) {
    if !is_damage(failure.code) {
        return;
    }
    let Some(entry) = node.catalog().get(key).copied().filter(|entry| entry.disk == disk.index) else {
        return;
    };
    let mut checks = node.checks();
    if let Some(known) = checks.get(&key) {
        let is_known = known.damage().is_some_and(|(generation, _)| generation == entry.generation);
        if is_known || !known.lock().state.is_settled() {
            return;
        }
    }
    forget_oldest(node, &mut checks);
    let now_ms = node.now_ms();
    let found = TabletCheck {
        generation: entry.generation,
        state: CheckState::Damaged,
        damaged: vec![DamagedFile { name: format!("{key}"), reason: failure.message.clone() }],
        started_ms: Some(now_ms),
        finished_ms: Some(now_ms),
        ..unasked(key, disk.path.clone())
    };
    tracing::error!(tablet = %key, disk = disk.path, "a read failed: {}", in_words(&found));
    node.journal.set_check(found.clone());
    checks.insert(key, Arc::new(Check::of(found)));
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
    let way_out = way_out(check.key);
    format!("damaged: {}{more}; {way_out}", files.join(", "))
}

/// What to type when a tablet is damaged.
pub(super) fn way_out(key: TabletKey) -> String {
    format!("tabletctl tablet heal {} brings its newest good copy back", key.tablet_id)
}

/// Tablets that were found damaged and have not moved since: generation and what is wrong.
pub(super) fn damaged(node: &Node) -> BTreeMap<TabletKey, Damage> {
    let checks = node.checks();
    checks.iter().filter_map(|(key, check)| Some((*key, check.damage()?))).collect()
}

/// What is known to be wrong with a tablet as it is now.
pub(super) fn damage_of(node: &Node, key: TabletKey) -> Option<String> {
    let check = node.checks().get(&key).cloned()?;
    let (generation, why) = check.damage()?;
    node.catalog().get(key).is_some_and(|entry| entry.generation == generation).then_some(why)
}

/// Verifies a tablet anew and waits for the end, asking `go_on` meanwhile.
///
/// # Errors
/// As [`verify`]; what `go_on` said.
pub(super) fn verify_to_the_end(
    node: &Arc<Node>,
    key: TabletKey,
    go_on: impl Fn() -> Result<(), Failure>,
) -> Result<TabletCheck, Failure> {
    let disk = super::query::owner(node, key)?;
    let check = ask(node, key, &disk)?;
    loop {
        let seen = check.wait(PATIENCE);
        if seen.state.is_settled() {
            return Ok(seen);
        }
        go_on()?;
    }
}

/// Reads a tablet at length: stops when the daemon does, keeps to the limits of the disk and of the node, and to the
/// I/O class of migrations.
pub(super) struct Reading<'a> {
    pub(super) node: &'a Node,
    pub(super) disk: &'a Disk,
    /// Counts what is read.
    pub(super) bytes: &'a AtomicU64,
    /// Who else may stop it.
    pub(super) stop: Option<&'a (dyn Fn() -> Result<(), Failure> + Sync)>,
}

impl CopyHooks for Reading<'_> {
    fn checkpoint(&self) -> Result<(), Failure> {
        let stopping = || Failure::new(ErrorCode::ShuttingDown, "the daemon is stopping");
        if self.node.is_stopping() {
            return Err(stopping());
        }
        self.stop.map_or(Ok(()), |stop| stop())
    }

    fn take(
        &self,
        traffic: Traffic,
        bytes: u64,
        go_on: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        wear_io_class(self.node.config().migration_io_class);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.disk.take(traffic, bytes, go_on)?;
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
