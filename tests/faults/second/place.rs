//! A node of three memory disks, and what can be asked of it from outside: which good copies are on disks that are here.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use serde_json::Value;
use tabletd::model::{Manifest, TabletKey};
use tabletd::storage::{ReadFrom, decode_record};

use super::memory::MemoryDisk;
use crate::harness::{Daemon, Node};

/// The disk that the tablet is moved off.
pub(super) const SOURCE: usize = 0;
/// The disk it is moved to.
pub(super) const DESTINATION: usize = 1;
/// A disk that has nothing to do with it.
pub(super) const THIRD: usize = 2;

/// The tablet that is moved.
pub(super) const MOVED: TabletKey = TabletKey::new(7, crate::harness::HASH);

/// A node, its disks, and which of them its configuration names.
pub(super) struct Place {
    /// Before the node, so that they are taken apart before its directory goes.
    pub(super) disks: Vec<MemoryDisk>,
    pub(super) node: Node,
    /// Configured, by disk.
    configured: [bool; 3],
    /// Given up by an operator: it never joins by itself again.
    pub(super) given_up: BTreeSet<usize>,
}

impl Place {
    /// Three empty disks with a tablet each, and the one that is moved.
    pub(super) fn new(scratch: &Path, sizes: &[usize]) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("round").tempdir_in(scratch)?;
        let disks = (0..3)
            .map(|n| {
                MemoryDisk::new(dir.path().join(format!("shelf{n}")), dir.path().join(format!("disk{n}")))
            })
            .collect::<io::Result<Vec<_>>>()?;
        let paths = disks.iter().map(|disk| disk.path().to_owned()).collect();
        let mut node = Node::on(dir, paths);
        node.settings = "ignore_broken_disk = true\ndisk_stat_monitor_interval = 1\n\
                         min_garbage_sweep_interval = 1\nmax_garbage_sweep_interval = 1\n\
                         migration_retry_backoff_ms = 5\nmigration_max_attempts = 5\n"
            .to_owned();
        for (disk, id) in [(SOURCE, 11), (DESTINATION, 12), (THIRD, 13)] {
            node.add_tablet(disk, id, &[700, 0]);
        }
        node.add_tablet(SOURCE, MOVED.tablet_id.0, sizes);
        Ok(Self { node, disks, configured: [true; 3], given_up: BTreeSet::new() })
    }

    /// Path of a disk, as the daemon knows it.
    pub(super) fn path(&self, disk: usize) -> String {
        self.disks[disk].path().display().to_string()
    }

    /// Takes a disk out of the configuration, or puts it back.
    pub(super) fn configure(&mut self, disk: usize, is_configured: bool) {
        self.configured[disk] = is_configured;
        let all = self.disks.iter().zip(self.configured);
        self.node.roots =
            all.filter(|(_, configured)| *configured).map(|(disk, _)| disk.path().to_owned()).collect();
    }

    /// Adds a line to be.conf.
    pub(super) fn set(&mut self, line: &str) {
        self.node.settings.push_str(line);
        self.node.settings.push('\n');
    }

    /// Starts the daemon; a refusal is a broken promise.
    pub(super) fn start(&self) -> Result<Daemon, String> {
        self.node.try_start().map_err(|said| format!("the daemon did not start: {said}"))
    }

    /// Whether the daemon can see it.
    pub(super) fn is_here(&self, disk: usize) -> bool {
        self.configured[disk] && self.disks[disk].is_plugged() && !self.given_up.contains(&disk)
    }

    /// The disks that are here.
    pub(super) fn here(&self) -> impl Iterator<Item = usize> {
        (0..self.disks.len()).filter(|disk| self.is_here(*disk))
    }

    /// Tablets of which a good copy is on a disk that is here, and on which: every byte that was put in, in one
    /// directory, and a record of it on the same disk. Found by looking, whatever the daemon thinks.
    pub(super) fn good_copies(&self) -> BTreeMap<TabletKey, BTreeSet<usize>> {
        let mut found: BTreeMap<TabletKey, BTreeSet<usize>> = BTreeMap::new();
        for disk in self.here() {
            let (directories, recorded) = look_through(self.disks[disk].path());
            for (key, manifest) in &self.node.expected {
                let whole = |dir: &&BTreeMap<String, u32>| is_whole(dir, manifest);
                if recorded.contains(key) && directories.iter().any(|dir| whole(&dir)) {
                    found.entry(*key).or_default().insert(disk);
                }
            }
        }
        found
    }

    /// Whether a tablet is served with the bytes that were put in; if not, why not.
    pub(super) fn is_served(&self, daemon: &Daemon, key: TabletKey) -> Result<(), String> {
        let ask = || daemon.try_get(&format!("/api/v1/tablets/{}", key.tablet_id));
        let mut tablet = ask()?;
        loop {
            let Some(disk) = tablet["disk"].as_str() else { return Err(format!("{}", tablet["error_msg"])) };
            if let Some(damage) = tablet["damaged"].as_str() {
                return Err(format!("damaged: {damage}"));
            }
            let dir = format!("{disk}/data/{}/{}/{}", tablet["shard_id"], key.tablet_id, key.schema_hash);
            let files = checksums(Path::new(&dir));
            if is_whole(&files, &self.node.expected[&key]) {
                return Ok(());
            }
            // It may have moved between the two looks.
            let again = ask()?;
            let place = |tablet: &Value| (tablet["disk"].clone(), tablet["generation"].clone());
            if place(&again) == place(&tablet) {
                return Err(format!("served from {dir} with other bytes than were put in"));
            }
            tablet = again;
        }
    }

    /// At rest: each of these tablets exactly once, whole, and nothing in staging or unowned on the disks that are here.
    pub(super) fn examine(
        &mut self,
        owed: &BTreeSet<TabletKey>,
    ) -> Result<BTreeMap<TabletKey, usize>, String> {
        let here: Vec<_> = self.here().collect();
        let roots = here.iter().map(|disk| self.disks[*disk].path().to_owned()).collect();
        let roots = std::mem::replace(&mut self.node.roots, roots);
        let found = self.node.examine_for(owed, ReadFrom::Cache);
        self.node.roots = roots;
        Ok(found?.into_iter().map(|(key, at)| (key, here[at])).collect())
    }
}

fn is_whole(files: &BTreeMap<String, u32>, manifest: &Manifest) -> bool {
    manifest.files().iter().all(|file| files.get(&file.name).copied() == file.crc32)
}

/// Checksums of the files in a directory.
fn checksums(dir: &Path) -> BTreeMap<String, u32> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files
        .filter_map(|entry| {
            let bytes = std::fs::read(entry.path()).ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), crc32fast::hash(&bytes)))
        })
        .collect()
}

/// Every directory with files on a disk, and the tablets of which it has a record anywhere.
fn look_through(root: &Path) -> (Vec<BTreeMap<String, u32>>, BTreeSet<TabletKey>) {
    let (mut directories, mut recorded) = (Vec::new(), BTreeSet::new());
    for entry in walkdir::WalkDir::new(root).into_iter().flatten() {
        if entry.file_type().is_dir() {
            let files = checksums(entry.path());
            if !files.is_empty() {
                directories.push(files);
            }
        } else if entry.path().extension().is_some_and(|extension| extension == "json") {
            let record = std::fs::read(entry.path()).ok().and_then(|bytes| decode_record(&bytes).ok());
            recorded.extend(record.map(|record| record.key));
        }
    }
    (directories, recorded)
}
