//! `tabletctl tablet check`: every record parses, every file is there and has its bytes, and nothing is there that nobody
//! owns. Roots are read side by side, each by a few threads. Writes nothing.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use nix::errno::Errno;

use super::hooks::{Means, Unwatched};
use super::locked::{LockedRoot, open_to_read};
use super::report::{Finding, Kind, Report, RootReport};
use super::tree::{Owners, find_leftovers, find_unowned};
use crate::cli::args::Output;
use crate::cli::exit::{CliError, Exit, print, print_json};
use crate::model::{ErrorCode, FileEntry, HeaderClaims, RecordSummary, TabletKey, TabletRecord};
use crate::storage::layout::{META, record_name, tablet_dir};
use crate::storage::{
    Dir, EntryKind, MetadataStore, NativeStore, Root, ScannedRecord, StorageError, list_trash,
};
use crate::transfer::{Coldness, read_cold_crc};

/// Threads that read one root: enough to keep a disk busy, few enough not to make a spinning one seek all the time.
const THREADS_PER_ROOT: usize = 4;

/// Where the list of roots comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedRoots {
    /// Paths, as named or configured.
    pub paths: Vec<PathBuf>,
    /// Configured ones that cannot be used, with the reason.
    pub broken: Vec<(String, String)>,
}

/// `tabletctl tablet check`.
///
/// # Errors
/// [`Exit::Failed`] on any damage, or when a root cannot be read; [`Exit::Refused`] when one is held and there is no damage.
pub fn check(roots: &CheckedRoots, output: Output) -> Result<(), CliError> {
    let outcomes: Vec<Checked> = std::thread::scope(|scope| {
        let running: Vec<_> = roots
            .paths
            .iter()
            .map(|path| (path, std::thread::Builder::new().spawn_scoped(scope, move || check_path(path))))
            .collect();
        let end = |(path, thread): (&PathBuf, std::io::Result<ScopedJoinHandle<'_, Checked>>)| match thread {
            Err(_) => check_path(path),
            Ok(thread) => thread.join().unwrap_or_else(|_| {
                let why = "a thread panicked; please report this".to_owned();
                Checked::unreadable(&path.display().to_string(), Exit::Failed, why)
            }),
        };
        running.into_iter().map(end).collect()
    });
    let mut worst = if roots.broken.is_empty() { Exit::Done } else { Exit::Failed };
    let (mut reports, mut owned) = (Vec::new(), Vec::new());
    for Checked { exit, report, records } in outcomes {
        if worst != Exit::Failed && exit != Exit::Done {
            worst = exit;
        }
        owned.push(records);
        reports.push(report);
    }
    compare_roots(&owned, &mut reports);
    for (path, why) in &roots.broken {
        reports.push(Checked::unreadable(path, Exit::Failed, why.clone()).report);
    }
    let report = Report::of(reports);
    match output {
        Output::Json => print_json(&report)?,
        Output::Text => print(&report.to_text())?,
    }
    match (report.damaged, worst) {
        (0, Exit::Done) => Ok(()),
        (0, exit) => Err(CliError { exit, ..CliError::reported() }),
        _ => Err(CliError::reported()),
    }
}

/// One root's outcome.
struct Checked {
    exit: Exit,
    report: RootReport,
    records: Vec<RecordSummary>,
}

impl Checked {
    fn unreadable(path: &str, exit: Exit, why: String) -> Self {
        let report = RootReport { root: path.to_owned(), unchecked: Some(why), ..RootReport::default() };
        Self { exit, report, records: Vec::new() }
    }
}

fn check_path(path: &Path) -> Checked {
    let LockedRoot { root, path: name, .. } = &match open_to_read(path) {
        Ok(locked) => locked,
        Err(error) => return Checked::unreadable(&path.display().to_string(), error.exit, error.message),
    };
    check_root(root, name).unwrap_or_else(|error| Checked::unreadable(name, Exit::Failed, error.to_string()))
}

fn check_root(root: &Root, path: &str) -> Result<Checked, StorageError> {
    let started = Instant::now();
    let store = NativeStore::open(root.dir())?;
    let mut report = RootReport {
        root: path.to_owned(),
        uuid: Some(root.identity().uuid.to_string()),
        ..RootReport::default()
    };
    let mut records = Vec::new();
    let mut bad = HashSet::new();
    store.scan(&mut |scanned| match scanned {
        ScannedRecord::Good(summary) => records.push(summary),
        ScannedRecord::Damaged { name, key, why } => {
            bad.extend(key);
            report.add(Finding::new(Kind::BadRecord, key, root.dir().path().join(META).join(name), why));
        }
    })?;
    let reader = Reader::new(root, &store);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 1..THREADS_PER_ROOT.min(records.len()) {
            if std::thread::Builder::new().spawn_scoped(scope, || reader.work_off(&records, &next)).is_err() {
                break;
            }
        }
        reader.work_off(&records, &next);
    });
    let mut found = reader.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let good = records.iter().map(|record| (record.shard_id, record.key)).collect();
    find_unowned(root.dir(), &Owners { good, bad }, &mut found)?;
    find_leftovers(root.dir(), &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.into_iter().for_each(|finding| report.add(finding));
    report.tablets = records.len() as u64;
    report.files = reader.files.into_inner();
    report.bytes = reader.bytes.into_inner();
    report.verified_cold = reader.all_cold.into_inner();
    report.trashed_tablets = list_trash(root.dir())?.len() as u64;
    report.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Checked { exit: Exit::Done, report, records })
}

/// Reads tablets and keeps what it finds.
struct Reader<'a> {
    root: &'a Root,
    store: &'a NativeStore,
    means: Means,
    found: Mutex<Vec<Finding>>,
    files: AtomicU64,
    bytes: AtomicU64,
    all_cold: AtomicBool,
}

impl<'a> Reader<'a> {
    fn new(root: &'a Root, store: &'a NativeStore) -> Self {
        Self {
            root,
            store,
            means: Means::for_many(),
            found: Mutex::default(),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            all_cold: AtomicBool::new(true),
        }
    }

    fn work_off(&self, records: &[RecordSummary], next: &AtomicUsize) {
        while let Some(summary) = records.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = self.check_tablet(summary);
            if !found.is_empty() {
                self.found.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
            }
        }
    }

    fn check_tablet(&self, summary: &RecordSummary) -> Vec<Finding> {
        let key = summary.key;
        let finding = |kind, path: &Path, why: String| vec![Finding::new(kind, Some(key), path, why)];
        let root = self.root.dir();
        let record_path = root.path().join(META).join(record_name(key));
        let record = match self.store.get(key) {
            Ok(Some(record)) => record,
            Ok(None) => return finding(Kind::BadRecord, &record_path, "vanished during the check".into()),
            Err(error) => return finding(Kind::BadRecord, &record_path, error.to_string()),
        };
        let place = tablet_dir(record.shard_id, key);
        let path = root.path().join(&place);
        match root.open(&place) {
            Ok(dir) => {
                let mut found = self.check_files(&record, &dir);
                found.extend(check_header(&record, &path));
                found
            }
            Err(error) if error.errno == Errno::ENOENT => {
                finding(Kind::MissingDirectory, &path, "the record says that the tablet is here".into())
            }
            Err(error) if matches!(error.errno, Errno::ENOTDIR | Errno::ELOOP | Errno::EXDEV) => {
                let why = "not a directory of this disk, or reached through a symlink".into();
                finding(Kind::MissingDirectory, &path, why)
            }
            Err(error) => finding(Kind::Unreadable, &path, error.to_string()),
        }
    }

    fn check_files(&self, record: &TabletRecord, dir: &Dir) -> Vec<Finding> {
        let key = record.key;
        let mut found = Vec::new();
        let entries = match dir.entries() {
            Ok(entries) => entries,
            Err(error) => {
                return vec![Finding::new(Kind::Unreadable, Some(key), dir.path(), error.to_string())];
            }
        };
        let mut present = HashSet::new();
        for entry in &entries {
            let listed = entry.name.to_str().and_then(|name| record.manifest.get(name));
            let why = match (listed, entry.kind) {
                (Some(file), EntryKind::File) => {
                    present.insert(file.name.as_str());
                    continue;
                }
                (Some(_), kind) => format!("{}, where the record lists a regular file", kind.as_str()),
                (None, kind) => format!("{} that the record does not list", kind.as_str()),
            };
            found.push(Finding::new(Kind::UnlistedEntry, Some(key), dir.path().join(&entry.name), why));
        }
        for file in record.manifest.files() {
            let wrong = if present.contains(file.name.as_str()) {
                self.check_file(dir, file)
            } else {
                Some((Kind::MissingFile, "the record lists it".to_owned()))
            };
            found.extend(
                wrong.map(|(kind, why)| Finding::new(kind, Some(key), dir.path().join(&file.name), why)),
            );
        }
        found
    }

    fn check_file(&self, dir: &Dir, file: &FileEntry) -> Option<(Kind, String)> {
        let Means { options, budget } = &self.means;
        match read_cold_crc(dir, &file.name, file.size_bytes, options, budget, &Unwatched) {
            Ok((crc32, coldness)) => {
                self.files.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(file.size_bytes, Ordering::Relaxed);
                if coldness != Coldness::Cold {
                    self.all_cold.store(false, Ordering::Relaxed);
                }
                let recorded = file.crc32.filter(|recorded| *recorded != crc32)?;
                let why = format!("its CRC-32 is {crc32:08x}, the record says {recorded:08x}");
                Some((Kind::DamagedFile, why))
            }
            Err(failure) if failure.code == ErrorCode::SourceDamaged => {
                Some((Kind::DamagedFile, failure.message))
            }
            Err(failure) => Some((Kind::Unreadable, failure.message)),
        }
    }
}

/// What the header says against what the record lists.
fn check_header(record: &TabletRecord, path: &Path) -> Vec<Finding> {
    let claims = HeaderClaims::of(&record.tablet_meta);
    let absent = claims.not_held(|name| record.manifest.get(name).is_some());
    let finding = |kind, why| Finding::new(kind, Some(record.key), path, why);
    let mut found: Vec<_> = absent.into_iter().map(|why| finding(Kind::MissingRowset, why)).collect();
    if claims.is_shut_down {
        found.push(finding(
            Kind::ShutDown,
            "its header says PB_SHUTDOWN: Doris has dropped this tablet".to_owned(),
        ));
    }
    found
}

/// A tablet has one owner on the node: two records of it on two roots are a swap that a start has not settled yet, or a
/// contradiction.
fn compare_roots(owned: &[Vec<RecordSummary>], reports: &mut [RootReport]) {
    let mut first: HashMap<TabletKey, (usize, u64)> = HashMap::new();
    for (at, records) in owned.iter().enumerate() {
        for record in records {
            let Some((other, generation)) = first.insert(record.key, (at, record.generation)) else {
                continue;
            };
            let place = |root: &str| format!("{root}/{}", tablet_dir(record.shard_id, record.key));
            let (kind, report_at, why) = if generation == record.generation {
                let why = format!("{} has it too, in the same generation {generation}", reports[other].root);
                (Kind::TwoOwners, at, why)
            } else {
                let (older, newer) = if generation < record.generation { (other, at) } else { (at, other) };
                first.insert(record.key, (newer, generation.max(record.generation)));
                let why = format!("{} has a newer generation", reports[newer].root);
                (Kind::OlderCopy, older, why)
            };
            let path = place(&reports[report_at].root);
            reports[report_at].add(Finding::new(kind, Some(record.key), path, why));
        }
    }
}
