//! Opening the disks: each on a thread of its own that keeps the disk's lock and, from then on, syncs its file system.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use crate::config::{BrokenDisks, CatalogCheck, Config};
use crate::engine::parts::disk::{Disk, TURNED_READ_ONLY};
use crate::engine::parts::flush;
use crate::engine::parts::flush::SyncCounts;
use crate::engine::parts::known_disks::{Expected, KnownDisks};
use crate::engine::parts::opened::Opened;
use crate::engine::parts::probe::probe;
use crate::engine::parts::thread::spawn_isolated;
use crate::model::{Capacity, DiskUuid, ErrorCode, Failure, Medium, counted};
use crate::storage::{
    Draft, FileSystem, HowToScan, KnownAs, LookForDirectories, NativeStore, Root, RootIdentity, RootLock,
    RootScan, ScanProgress, WhichRecords, same_file_system, scan_root,
};

/// How long a disk may take to open, and its scan stand still, when the others can serve without it.
const OPEN_WAIT_OTHERS_SERVE: Duration = Duration::from_millis(1500);
/// Readers that share one disk's scan, by its medium. They wait for the disk, not for a processor: what answers many
/// requests at once is asked for many, and a disk that seeks for as many as it can put in order.
const fn readers(medium: Medium) -> u32 {
    match medium {
        Medium::Ssd => 16,
        Medium::Hdd | Medium::RemoteCache => 4,
    }
}

/// How often it is looked whether a scan still moves.
const LOOK_AT_SCAN: Duration = Duration::from_millis(50);

/// What a disk's thread reports when its root is open.
struct Report {
    identity: RootIdentity,
    file_system: FileSystem,
    capacity: Capacity,
    canonical: PathBuf,
    access: Access,
}

/// What may be done with an opened root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    ReadWrite,
    /// Its file system is mounted read-only: scanned and served, and nothing is written to it.
    ReadOnly,
}

type Barriers = Receiver<SyncSender<Result<(), Failure>>>;

/// Opens every disk, all at once, and scans those that opened. A disk that fails is marked broken.
///
/// # Errors
/// The list of known disks cannot be written.
pub(crate) fn open_and_scan(
    disks: &[Arc<Disk>],
    known: &mut KnownDisks,
    config: &Config,
    counts: &Arc<SyncCounts>,
) -> Result<Vec<Option<RootScan>>, String> {
    let wait = match config.ignore_broken_disk {
        BrokenDisks::LeaveOut => OPEN_WAIT_OTHERS_SERVE,
        BrokenDisks::RefuseStart => Duration::from_secs(u64::from(config.disk_hang_timeout_sec)),
    };
    let look = match config.catalog_check_on_start {
        CatalogCheck::StatDirectories => LookForDirectories::Yes,
        CatalogCheck::TrustRecords => LookForDirectories::No,
    };
    let Opening { identified, opened } =
        open_each(disks, Vec::new(), wait, (look, WhichRecords::NotVouchedFor), known, counts);
    for (disk, uuid) in identified {
        known.remember(&disk.path, uuid)?;
    }
    let mut scans: Vec<Option<RootScan>> = disks.iter().map(|_| None).collect();
    for (disk, scan, opened) in opened {
        match disk.opened.set(opened) {
            // Only what was scanned counts as opened: nothing may be moved to a disk that may hold an older copy.
            Ok(()) => scans[usize::from(disk.index.0)] = Some(scan),
            Err(why) => disk.mark_broken(why),
        }
    }
    Ok(scans)
}

/// Opens one more disk beside those that are in use, and scans it. It is not opened for anybody yet, and not remembered:
/// dropped, what this returns lets go of it.
///
/// # Errors
/// Why it cannot serve beside the others, in words.
pub(crate) fn open_beside(
    disk: &Arc<Disk>,
    others: &[Arc<Disk>],
    known: &KnownDisks,
    config: &Config,
    counts: &Arc<SyncCounts>,
) -> Result<(RootScan, Opened), String> {
    let seen = others.iter().filter_map(|other| {
        let opened = other.opened.get()?;
        let report = Report {
            identity: opened.identity,
            file_system: opened.file_system.clone(),
            capacity: other.space.capacity(),
            canonical: std::fs::canonicalize(&other.path).unwrap_or_else(|_| PathBuf::from(&other.path)),
            access: Access::ReadWrite,
        };
        Some((other, report))
    });
    let wait = Duration::from_secs(u64::from(config.disk_hang_timeout_sec));
    let disks = std::slice::from_ref(disk);
    let how = (LookForDirectories::Yes, WhichRecords::All);
    let opening = open_each(disks, seen.collect(), wait, how, known, counts);
    let refused = || disk.condition(Duration::MAX).reason().to_owned();
    opening.opened.into_iter().next().map(|(_, scan, opened)| (scan, opened)).ok_or_else(refused)
}

/// A disk that opened, what is on it, and what it turned out to be.
type OpenedDisk<'a> = (&'a Arc<Disk>, RootScan, Opened);

/// What became of disks that were to be opened.
struct Opening<'a> {
    /// Those that said who they are, and took their lock.
    identified: Vec<(&'a Arc<Disk>, DiskUuid)>,
    /// Of these, those that could be scanned as well.
    opened: Vec<OpenedDisk<'a>>,
}

/// A disk whose thread has begun, and the ways to it.
struct Begun<'a> {
    disk: &'a Arc<Disk>,
    report: Receiver<Result<Report, String>>,
    accepted: SyncSender<HowToScan>,
    ready: Receiver<Result<(), String>>,
    scan: Scanning,
    syncs: mpsc::Sender<SyncSender<Result<(), Failure>>>,
}

/// Gives each disk its thread, which says who the disk is and then waits. Of a disk and its copy the one serves that was
/// there before, wherever the other stands in the configuration.
fn begin_opening<'a>(disks: &'a [Arc<Disk>], known: &KnownDisks, counts: &Arc<SyncCounts>) -> Vec<Begun<'a>> {
    let mut opening = Vec::new();
    let mut in_turn: Vec<_> =
        disks.iter().filter(|disk| disk.condition(Duration::MAX).is_readable()).collect();
    in_turn.sort_by_key(|disk| known.at(&disk.path).is_none());
    for disk in in_turn {
        let (report_sender, report) = mpsc::sync_channel(1);
        let (accepted, go_on) = mpsc::sync_channel::<HowToScan>(1);
        let (ready_sender, ready) = mpsc::sync_channel(1);
        let (scan_sender, scan) = mpsc::sync_channel(1);
        let (syncs, barriers) = mpsc::channel();
        let (owned, expected, counts) = (Arc::clone(disk), known.expect(&disk.path), Arc::clone(counts));
        let progress = Arc::new(ScanProgress::default());
        let scan = Scanning { progress: Arc::clone(&progress), answer: scan };
        let spawned = spawn_isolated("disk", move || {
            let answers = Answers { report: report_sender, ready: ready_sender, progress, scan: scan_sender };
            keep(&owned, &expected, &answers, &go_on, &barriers, &counts);
        });
        match spawned {
            Ok(_) => opening.push(Begun { disk, report, accepted, ready, scan, syncs }),
            Err(failure) => disk.mark_broken(failure.message),
        }
    }
    opening
}

/// Opens, probes and scans disks, all at once, beside those `seen` already. One that fails is marked broken and left out.
fn open_each<'a>(
    disks: &'a [Arc<Disk>],
    mut seen: Vec<(&'a Arc<Disk>, Report)>,
    wait: Duration,
    (look, records): (LookForDirectories, WhichRecords),
    known: &KnownDisks,
    counts: &Arc<SyncCounts>,
) -> Opening<'a> {
    let opening = begin_opening(disks, known, counts);
    let deadline = Instant::now() + wait;
    let mut probing = Vec::new();
    for Begun { disk, report, accepted, ready, scan, syncs } in opening {
        let report = match heard(deadline, wait, &report) {
            Ok(report) => report,
            Err(why) => {
                disk.mark_broken(why);
                continue;
            }
        };
        if let Some(why) = copy_of(&report, &seen) {
            disk.leave_out_as_copy(why);
            continue;
        }
        if let Some(why) = conflict(&report, disk, &seen) {
            disk.mark_broken(why);
            continue;
        }
        // The thread locks, probes and scans now, beside the others'.
        if accepted.send(HowToScan { look, records, readers: readers(disk.medium) }).is_ok() {
            probing.push((disk, ready, scan, syncs));
        }
        seen.push((disk, report));
    }
    let (mut scanning, mut identified) = (Vec::new(), Vec::new());
    for (disk, ready, scan, syncs) in probing {
        // What was asked up to here, a hung disk may have answered from the cache; the probe it cannot.
        if let Err(why) = heard(deadline, wait, &ready) {
            disk.mark_broken(why);
            continue;
        }
        let Some((_, report)) = seen.iter().find(|(seen, _)| Arc::ptr_eq(seen, disk)) else { continue };
        identified.push((disk, report.identity.uuid));
        disk.space.set_capacity(report.capacity);
        if report.access == Access::ReadOnly {
            disk.mark_read_only(TURNED_READ_ONLY);
        }
        scanning.push((
            disk,
            scan,
            Opened { identity: report.identity, file_system: report.file_system.clone(), syncs },
        ));
    }
    let mut opened = Vec::new();
    for (disk, scan, how) in scanning {
        match scan.wait(wait) {
            Ok(found) => opened.push((disk, found, how)),
            Err(why) => disk.mark_broken(why),
        }
    }
    Opening { identified, opened }
}

/// A scan under way.
struct Scanning {
    progress: Arc<ScanProgress>,
    answer: Receiver<Result<RootScan, String>>,
}

impl Scanning {
    /// Waits for it as long as it moves.
    ///
    /// # Errors
    /// It failed, or has stood still for `still`.
    fn wait(&self, still: Duration) -> Result<RootScan, String> {
        loop {
            match self.answer.recv_timeout(LOOK_AT_SCAN) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => return Err("its thread ended".to_owned()),
                Err(RecvTimeoutError::Timeout) if self.progress.still_for() < still => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!(
                        "it did not answer for {} ms in the middle of its scan, after {}",
                        still.as_millis(),
                        counted(self.progress.records(), "record")
                    ));
                }
            }
        }
    }
}

/// What a disk's thread says until the deadline, which is `wait` after the beginning; what is there already counts after
/// it too.
///
/// # Errors
/// What the thread says, or that it says nothing.
fn heard<T>(deadline: Instant, wait: Duration, said: &Receiver<Result<T, String>>) -> Result<T, String> {
    let late = |_| format!("it did not answer within {} ms when it was opened", wait.as_millis());
    said.recv_timeout(deadline.saturating_duration_since(Instant::now())).map_err(late)?
}

/// What a disk's thread tells, one after the other, while the disk is opened.
struct Answers {
    report: SyncSender<Result<Report, String>>,
    /// It is locked and was written to.
    ready: SyncSender<Result<(), String>>,
    progress: Arc<ScanProgress>,
    scan: SyncSender<Result<RootScan, String>>,
}

/// The life of a disk's thread.
fn keep(
    disk: &Disk,
    expected: &Expected,
    answers: &Answers,
    go_on: &Receiver<HowToScan>,
    barriers: &Barriers,
    counts: &SyncCounts,
) {
    let (root, access) = match open(&disk.path, expected) {
        Ok((root, found)) => {
            let access = found.access;
            if answers.report.send(Ok(found)).is_err() {
                return;
            }
            (root, access)
        }
        Err(why) => return drop(answers.report.send(Err(why))),
    };
    let Ok(how) = go_on.recv() else { return };
    let _lock = match lock_and_probe(disk, &root, access) {
        Ok(lock) => lock,
        Err(why) => return drop(answers.ready.send(Err(why))),
    };
    // Nobody waits any more for a disk that took too long: its lock goes free again.
    if answers.ready.send(Ok(())).is_err() {
        return;
    }
    match scan(&root, how, &answers.progress) {
        Ok(mut found) => {
            let draft = std::mem::take(&mut found.draft);
            if answers.scan.send(Ok(found)).is_ok() {
                if access == Access::ReadWrite {
                    keep_checkpoint(&disk.path, root.identity().uuid, draft);
                }
                flush::serve(disk, &root, barriers, counts);
            }
        }
        Err(why) => drop(answers.scan.send(Err(why))),
    }
}

/// Takes the lock only now: of two paths to one directory the second is told so, not that it is in use by ourselves.
fn lock_and_probe(disk: &Disk, root: &Root, access: Access) -> Result<RootLock, String> {
    let lock = RootLock::acquire(root.dir()).map_err(|error| error.to_string())?;
    if access == Access::ReadOnly {
        return Ok(lock);
    }
    match probe(disk, root) {
        // A full disk is no fault: its tablets are served, and it is the one that needs draining.
        Ok(()) => Ok(lock),
        Err(error) if error.code() == ErrorCode::NoSpace => Ok(lock),
        Err(error) => Err(format!("the write probe failed: {error}")),
    }
}

fn scan(root: &Root, how: HowToScan, progress: &ScanProgress) -> Result<RootScan, String> {
    let store = NativeStore::open(root.dir()).map_err(|error| error.to_string())?;
    scan_root(root, &store, how, progress).map_err(|error| error.to_string())
}

/// Writes down what was found, for the next start, beside whatever else goes on. Nobody waits for it and nothing depends
/// on it: where it cannot be written, the next start reads the records.
fn keep_checkpoint(path: &str, uuid: DiskUuid, draft: Draft) {
    if draft.is_empty() {
        return;
    }
    let at = path.to_owned();
    let spawned = spawn_isolated("checkpoint", move || {
        let root = match Root::open(&at, KnownAs::Disk(uuid)) {
            Ok(root) if root.identity().uuid == uuid => root,
            Ok(_) => return,
            Err(error) => return tracing::warn!("{at}: no checkpoint of its records: {error}"),
        };
        if let Err(error) = draft.write(root.dir(), uuid) {
            tracing::warn!("{at}: no checkpoint of its records, the next start reads them: {error}");
        }
    });
    if let Err(failure) = spawned {
        tracing::warn!("{path}: no checkpoint of its records: {failure}");
    }
}

fn open(path: &str, expected: &Expected) -> Result<(Root, Report), String> {
    let root = Root::open(path, expected.known_as).map_err(|error| error.to_string())?;
    expected.check(root.identity().uuid)?;
    let read_only = root.is_read_only().map_err(|error| error.to_string())?;
    let report = Report {
        access: if read_only { Access::ReadOnly } else { Access::ReadWrite },
        identity: *root.identity(),
        file_system: FileSystem::of(root.dir()).map_err(|error| error.to_string())?,
        capacity: root.capacity().map_err(|error| error.to_string())?,
        canonical: std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path)),
    };
    Ok((root, report))
}

/// Why a root is left out that has the identity of one opened before it, in another place.
fn copy_of(found: &Report, seen: &[(&Arc<Disk>, Report)]) -> Option<String> {
    let place = |report: &Report| (report.identity.device, report.identity.inode);
    let is_twin =
        |report: &Report| report.identity.uuid == found.identity.uuid && place(report) != place(found);
    let (original, _) = seen.iter().find(|(_, report)| is_twin(report))?;
    Some(format!(
        "it has the uuid of {0} ({1}): one disk mounted twice, or a copy of it, as ddrescue makes one; {0} serves, and \
         nothing is done with this. Take one of the two out of storage_root_path and restart: a copy that is alone is the \
         disk",
        original.path, found.identity.uuid
    ))
}

/// Why a root cannot serve beside those opened before it.
fn conflict(found: &Report, disk: &Disk, seen: &[(&Arc<Disk>, Report)]) -> Option<String> {
    for (other, report) in seen {
        let same_place =
            (report.identity.device, report.identity.inode) == (found.identity.device, found.identity.inode);
        if same_place {
            return Some(format!("it is the same directory as {}; configure it once", other.path));
        }
        let inside =
            found.canonical.starts_with(&report.canonical) || report.canonical.starts_with(&found.canonical);
        let one_file_system = same_file_system(&found.file_system, &report.file_system);
        if inside && one_file_system {
            return Some(format!(
                "one of it and {} is inside the other; give each its own directory",
                other.path
            ));
        }
        if one_file_system {
            tracing::warn!(
                "{} and {} are on one file system ({}): a move between them frees no space",
                disk.path,
                other.path,
                found.file_system.mount_point
            );
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_that_stands_still_is_not_waited_for_and_one_that_moves_is() {
        let progress = Arc::new(ScanProgress::default());
        let (sender, answer) = mpsc::sync_channel(1);
        let scanning = Scanning { progress: Arc::clone(&progress), answer };
        let why = scanning.wait(Duration::ZERO).unwrap_err();
        assert!(why.contains("in the middle of its scan, after 0 records"), "{why}");

        // Three times as long as it may stand still, but never standing still.
        let still = LOOK_AT_SCAN * 4;
        let reader = std::thread::spawn(move || {
            let begun = Instant::now();
            while begun.elapsed() < still * 3 {
                progress.tick();
                std::thread::yield_now();
            }
            sender.send(Ok(RootScan::default())).expect("somebody waits");
        });
        assert!(scanning.wait(still).is_ok());
        reader.join().expect("no panic");
    }
}
