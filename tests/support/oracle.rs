//! The oracle: looks at a node from outside, at rest, and says the first thing that is not as it must be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde_json::Value;
use tabletd::model::{Manifest, TabletKey, TabletRecord};
use tabletd::storage::{ReadFrom, decode_record};

use super::{Node, read_dir_names};

/// Bytes of tablets that were read and found to be what was put in.
pub(crate) static BYTES_VERIFIED: AtomicU64 = AtomicU64::new(0);

/// Where each tablet is: the number of its root.
pub(crate) type Placement = BTreeMap<TabletKey, usize>;

impl Node {
    /// [`Node::examine`], as an assertion.
    pub(crate) fn assert_whole(&self) -> Placement {
        self.examine(ReadFrom::Cache).unwrap_or_else(|what| panic!("{what}"))
    }

    /// Every tablet exists exactly once, byte for byte as it was put in; nothing is in staging, and below `data/` stands
    /// nothing that is not a live tablet's.
    pub(crate) fn examine(&self, from: ReadFrom) -> Result<Placement, String> {
        self.examine_for(&self.expected.keys().copied().collect(), from)
    }

    /// The same where only these tablets are owed: of the others every good copy may have been lost with a disk.
    pub(crate) fn examine_for(
        &self,
        owed: &BTreeSet<TabletKey>,
        from: ReadFrom,
    ) -> Result<Placement, String> {
        let mut found = BTreeMap::new();
        for (n, root) in self.roots.iter().enumerate() {
            let mut owned = BTreeSet::new();
            for record in records(root)? {
                let key = record.key;
                let dir =
                    root.join(format!("data/{}/{}/{}", record.shard_id, key.tablet_id, key.schema_hash));
                if owed.contains(&key) {
                    check_files(&dir, &record.manifest, from)
                        .map_err(|what| format!("tablet {key}: {what}"))?;
                }
                if Some(&record.manifest) != self.expected.get(&key) {
                    return Err(format!("tablet {key}: the record on {} lists other files", root.display()));
                }
                if let Some(other) = found.insert(key, n) {
                    return Err(format!("tablet {key} has two owners: disk {other} and disk {n}"));
                }
                owned.insert(dir);
            }
            for dir in schema_directories(root)? {
                if !owned.contains(&dir) {
                    return Err(format!("{} belongs to nobody", dir.display()));
                }
            }
            let staging = read_dir_names(&root.join("migrating"));
            if !staging.is_empty() {
                return Err(format!("staging on {}: {staging:?}", root.display()));
            }
        }
        match owed.iter().find(|key| !found.contains_key(key)) {
            Some(key) => Err(format!("tablet {key} is gone")),
            None => Ok(found),
        }
    }

    /// What was set aside; after a crash alone nothing may be.
    pub(crate) fn quarantined(&self) -> Vec<String> {
        let below = |root: &PathBuf| {
            let dir = root.join("quarantine");
            read_dir_names(&dir).into_iter().map(move |name| dir.join(name).display().to_string())
        };
        self.roots.iter().flat_map(below).collect()
    }
}

fn check_files(dir: &Path, manifest: &Manifest, from: ReadFrom) -> Result<(), String> {
    let names: Vec<_> = manifest.files().iter().map(|file| file.name.clone()).collect();
    let found = read_dir_names(dir);
    if found != names {
        return Err(format!("{} holds {found:?}, its record lists {names:?}", dir.display()));
    }
    for file in manifest.files() {
        let path = dir.join(&file.name);
        let bytes = read(&path, from).map_err(|error| format!("{}: {error}", path.display()))?;
        if Some(crc32fast::hash(&bytes)) != file.crc32 {
            return Err(format!("{} has other bytes than were put in", path.display()));
        }
        BYTES_VERIFIED.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}

fn read(path: &Path, from: ReadFrom) -> std::io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    if from == ReadFrom::Medium {
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map(|_| bytes)
}

/// Every `data/<shard>/<tablet_id>/<schema_hash>`; a tablet directory without one is an error. An empty shard is none.
fn schema_directories(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for tablet in subdirectories(&root.join("data")).iter().flat_map(|shard| subdirectories(shard)) {
        let schemas = subdirectories(&tablet);
        if schemas.is_empty() {
            return Err(format!("{} is empty", tablet.display()));
        }
        found.extend(schemas);
    }
    Ok(found)
}

fn subdirectories(dir: &Path) -> Vec<PathBuf> {
    read_dir_names(dir).into_iter().map(|name| dir.join(name)).collect()
}

/// All metadata records of a root.
pub(crate) fn records(root: &Path) -> Result<Vec<TabletRecord>, String> {
    let meta = root.join("meta");
    let record = |name: String| {
        let bytes = fs::read(meta.join(&name)).map_err(|error| format!("{name}: {error}"))?;
        decode_record(&bytes).map_err(|why| format!("{}/{name}: {why}", meta.display()))
    };
    read_dir_names(&meta).into_iter().map(record).collect()
}

/// The counters of one migration, as the API shows it, are possible.
pub(crate) fn check_counters(migration: &Value) -> Result<(), String> {
    let n = |name: &str| {
        migration[name].as_u64().ok_or_else(|| format!("migration {} has no {name}", migration["id"]))
    };
    let total = n("disk_total_bytes")?;
    let possible = n("disk_processed_bytes")? + n("disk_remaining_bytes")? == total
        && n("disk_verified_bytes")? <= total
        && n("disk_resumed_bytes")? <= total
        && n("disk_verified_files")? <= n("disk_total_files")?
        && (migration["status"] != "completed" || n("disk_verified_bytes")? == total);
    if possible { Ok(()) } else { Err(format!("impossible counters: {migration:#}")) }
}
