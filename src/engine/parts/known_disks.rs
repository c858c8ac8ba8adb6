//! Which disk was last seen at which path, and which disks were given up: `disks.json` in the state directory.
//!
//! An empty directory where a known disk should be is a disk that is not mounted, never a new one. A disk that was given
//! up never joins by itself again. Each root keeps a copy, for the day on which the state directory is lost.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::thread::spawn_isolated;
use crate::model::{DiskRef, DiskUuid, TimestampMs, counted_as};
use crate::storage::{
    Dir, DiskError, KnownAs, ReadFrom, get_disk_list, read_disk_uuid, read_small, replace_durably,
};

/// Name of the list in the state directory.
const KNOWN_DISKS_FILE: &str = "disks.json";
/// How long the roots together may take to show their copies.
const LOOK_WAIT: Duration = Duration::from_millis(1500);

/// What to type when a disk never comes back: part of every refusal that a lost disk meets.
pub(crate) fn if_lost(path: &str) -> String {
    format!(
        "if it is lost for good, give it up: tabletctl disk replace {path}, or tabletctl disk forget {path} --lost"
    )
}

/// A disk that an operator has given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LostDisk {
    pub(crate) path: String,
    /// When it was given up.
    pub(crate) since_ms: TimestampMs,
    pub(crate) by: String,
}

/// What the file holds.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct List {
    /// Which disk was at a path; `None` where that is not known any more.
    paths: BTreeMap<String, Option<DiskUuid>>,
    #[serde(default)]
    lost: BTreeMap<DiskUuid, LostDisk>,
    /// How often it was written: of two copies the one with the higher number is the newer.
    #[serde(default)]
    written: u64,
}

impl List {
    /// Reads both what this build writes and what version 0.1 wrote, which was the paths alone.
    fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes).or_else(|error| {
            let paths: BTreeMap<String, DiskUuid> = serde_json::from_slice(bytes).map_err(|_| error)?;
            let paths = paths.into_iter().map(|(path, uuid)| (path, Some(uuid))).collect();
            Ok(Self { paths, ..Self::default() })
        })
    }

    fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.lost.is_empty()
    }

    /// What stands in for a list that cannot be read: anything may have been at these paths.
    fn unsure<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        Self { paths: paths.map(|path| (path.to_owned(), None)).collect(), ..Self::default() }
    }
}

/// What is known before the disk at a path is opened.
pub(crate) struct Expected {
    pub(crate) known_as: KnownAs,
    lost: BTreeMap<DiskUuid, LostDisk>,
}

impl Expected {
    /// # Errors
    /// This disk was given up.
    pub(crate) fn check(&self, found: DiskUuid) -> Result<(), String> {
        let Some(lost) = self.lost.get(&found) else { return Ok(()) };
        let when = DateTime::from_timestamp_millis(lost.since_ms).unwrap_or_default();
        Err(format!(
            "this is disk {found}, which was given up as lost on {} by {} (it was {}) and does not join again; with a new \
             file system it is a new disk; while it can be read, single tablets of it come back with tabletctl tablet \
             adopt <its mount point>/data/<shard>/<tablet_id>/<schema_hash>",
            when.format("%Y-%m-%d"),
            lost.by,
            lost.path
        ))
    }
}

/// Configured paths at which another disk is than was last seen there, or none, each with the way out: a start would not
/// take them. Makes nothing and sets nothing aside, so that it can be asked beside a running daemon.
pub fn misplaced_disks(state_dir: &Path, configured: &[&str]) -> Vec<String> {
    let list = peek(state_dir);
    let misplaced = |path: &&str| {
        let known = (*list.paths.get(*path)?)?;
        let what = match read_disk_uuid(path) {
            Ok(Some(found)) if found == known => return None,
            Ok(Some(found)) => format!("disk {found} is there, and disk {known} was; mount that one"),
            Ok(None) => {
                format!("disk {known} was there and is not now: it is not mounted, or is empty; mount it")
            }
            // What cannot be looked at was named already.
            Err(_) => return None,
        };
        Some(format!("storage_root_path {path}: {what}; {}", if_lost(path)))
    };
    configured.iter().filter_map(misplaced).collect()
}

/// Whether a node has run over this state directory: then it starts even where no disk can serve.
pub fn has_run(state_dir: &Path) -> bool {
    !peek(state_dir).is_empty()
}

fn peek(state_dir: &Path) -> List {
    let bytes = Dir::open_absolute(state_dir)
        .and_then(|dir| read_small(&dir, KNOWN_DISKS_FILE, ReadFrom::Cache))
        .unwrap_or_default();
    bytes.and_then(|bytes| List::parse(&bytes).ok()).unwrap_or_default()
}

/// The list, opened.
pub(crate) struct KnownDisks {
    dir: Dir,
    pub(crate) list: List,
}

impl KnownDisks {
    /// Reads the list. A damaged one stops nobody: it is kept aside, and of the `configured` paths it is then not known
    /// what belongs there, so that nothing blank is taken there unasked.
    ///
    /// # Errors
    /// In words: the file cannot be read, or not be replaced.
    pub(crate) fn load<'a>(
        state_dir: &Path,
        configured: impl Iterator<Item = &'a str>,
    ) -> Result<Self, String> {
        let dir = Dir::open_absolute(state_dir).map_err(|error| error.to_string())?;
        let why = match read_small(&dir, KNOWN_DISKS_FILE, ReadFrom::Cache) {
            Ok(None) => return Ok(Self { dir, list: List::default() }),
            Ok(Some(bytes)) => match List::parse(&bytes) {
                Ok(list) => return Ok(Self { dir, list }),
                Err(error) => error.to_string(),
            },
            // Something else stands under its name.
            Err(error)
                if matches!(error.errno, Errno::EISDIR | Errno::ELOOP | Errno::ENXIO | Errno::EFBIG) =>
            {
                error.errno.desc().to_owned()
            }
            Err(error) => return Err(error.to_string()),
        };
        let aside = set_aside(&dir).map_err(|error| error.to_string())?;
        tracing::warn!(
            "{}/{KNOWN_DISKS_FILE} is damaged ({why}) and kept as {aside}; it is written again from the disks that are \
             here, and nothing blank is taken at a configured path unasked",
            state_dir.display()
        );
        let mut known = Self { dir, list: List::unsure(configured) };
        known.write()?;
        Ok(known)
    }

    /// As [`Self::load`], for a start: where there is no list, the newest of the copies that the roots keep takes its place.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn load_or_find(state_dir: &Path, configured: &[&str]) -> Result<Self, String> {
        let mut known = Self::load(state_dir, configured.iter().copied())?;
        if known.list.written > 0 || !known.list.paths.is_empty() {
            return Ok(known);
        }
        if let Some((path, list)) = newest_copy(configured) {
            tracing::warn!(
                "{}/{KNOWN_DISKS_FILE} is missing; the copy on {path} is taken in its place: {} known, and nothing \
                 blank is taken where a known disk was",
                state_dir.display(),
                counted_as(list.paths.len(), "disk is", "disks are")
            );
            known.list = list;
            known.write()?;
        }
        Ok(known)
    }

    /// Whether no disk was ever seen or given up.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn known_as(&self, path: &str) -> KnownAs {
        match self.list.paths.get(path) {
            None => KnownAs::New,
            Some(None) => KnownAs::Unsure,
            Some(Some(uuid)) => KnownAs::Disk(*uuid),
        }
    }

    /// What a disk thread is told before it opens what is at a path.
    pub(crate) fn expect(&self, path: &str) -> Expected {
        Expected { known_as: self.known_as(path), lost: self.list.lost.clone() }
    }

    /// The disk that was last seen at a path.
    pub(crate) fn at(&self, path: &str) -> Option<DiskUuid> {
        self.list.paths.get(path).copied().flatten()
    }

    /// Every disk that was seen at a path and never given up or forgotten, configured or not.
    pub(crate) fn seen(&self) -> impl Iterator<Item = DiskRef> {
        let seen = self
            .list
            .paths
            .iter()
            .filter_map(|(path, uuid)| Some(DiskRef { uuid: (*uuid)?, path: path.clone() }));
        seen.filter(|disk| !self.list.lost.contains_key(&disk.uuid))
    }

    /// The disk that was given up last of those that were at a path.
    pub(crate) fn lost_at(&self, path: &str) -> Option<DiskUuid> {
        let there = self.list.lost.iter().filter(|(_, lost)| lost.path == path);
        there.max_by_key(|(_, lost)| lost.since_ms).map(|(uuid, _)| *uuid)
    }

    /// Every disk that was given up.
    pub(crate) fn lost(&self) -> impl Iterator<Item = DiskUuid> {
        self.list.lost.keys().copied()
    }

    /// What is at a path was looked at, and is to become a disk: nothing is written by this.
    pub(crate) fn expect_new(&mut self, path: &str) {
        self.list.paths.remove(path);
    }

    /// A disk never comes back. `stays` when another one takes its path: until it has, nothing blank is taken there.
    ///
    /// # Errors
    /// The list cannot be written.
    pub(crate) fn give_up(
        &mut self,
        path: &str,
        disk: Option<(DiskUuid, LostDisk)>,
        stays: bool,
    ) -> Result<(), String> {
        match stays {
            true => self.list.paths.insert(path.to_owned(), None),
            false => self.list.paths.remove(path),
        };
        self.list.lost.extend(disk);
        self.write()
    }

    /// From now on an empty directory at this path is not made a root, whatever is known of it.
    pub(crate) fn take_nothing_blank(&mut self, path: &str) {
        self.list.paths.entry(path.to_owned()).or_insert(None);
    }

    /// A disk was seen at a path.
    ///
    /// # Errors
    /// The list cannot be written.
    pub(crate) fn remember(&mut self, path: &str, uuid: DiskUuid) -> Result<(), String> {
        if self.list.paths.insert(path.to_owned(), Some(uuid)) == Some(Some(uuid)) {
            return Ok(());
        }
        self.write()
    }

    /// Whatever is at this path next is new there.
    ///
    /// # Errors
    /// The list cannot be written.
    pub(crate) fn forget(&mut self, path: &str) -> Result<(), String> {
        if self.list.paths.remove(path).is_none() {
            return Ok(());
        }
        self.write()
    }

    /// How often the list was written.
    pub(crate) const fn times_written(&self) -> u64 {
        self.list.written
    }

    fn write(&mut self) -> Result<(), String> {
        self.list.written += 1;
        let text = serde_json::to_vec_pretty(&self.list).map_err(|error| error.to_string())?;
        replace_durably(&self.dir, KNOWN_DISKS_FILE, &text).map_err(|error| error.to_string())
    }
}

/// The newest of the copies on the roots at these paths. One that does not name the root it lies on at its path is of
/// another node, or of another time. A disk that does not answer is not waited for.
fn newest_copy(configured: &[&str]) -> Option<(String, List)> {
    let (sender, copies) = mpsc::channel();
    for path in configured {
        let (own, sender) = (String::from(*path), sender.clone());
        let asked = spawn_isolated("look-at-disk", move || {
            let copy = get_disk_list::<List>(&own);
            let uuid = read_disk_uuid(&own).ok().flatten();
            drop(sender.send((own, uuid, copy)));
        });
        if let Err(failure) = asked {
            tracing::warn!("the list of disks on {path} is not looked at: {failure}");
        }
    }
    drop(sender);
    let until = Instant::now() + LOOK_WAIT;
    let mut newest: Option<(String, List)> = None;
    while let Ok((path, uuid, copy)) = copies.recv_timeout(until.saturating_duration_since(Instant::now())) {
        let list = match copy {
            Ok(Some(list)) => list,
            Ok(None) => continue,
            Err(why) => {
                tracing::warn!("the list of disks on {path} is of no use: {why}");
                continue;
            }
        };
        let is_of_this_root = uuid.is_some() && list.paths.get(&path) == Some(&uuid);
        if is_of_this_root && newest.as_ref().is_none_or(|(_, known)| known.written < list.written) {
            newest = Some((path, list));
        }
    }
    newest
}

/// Gives the damaged list a name of its own.
fn set_aside(dir: &Dir) -> Result<String, DiskError> {
    let mut number = 0;
    loop {
        let name = format!("{KNOWN_DISKS_FILE}.damaged.{number}");
        if dir.stat(&name)?.is_none() {
            return dir.rename(KNOWN_DISKS_FILE, dir, &name).map(|()| name);
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::put_disk_list;

    fn uuid(n: u128) -> DiskUuid {
        DiskUuid(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn what_was_written_is_read_again_and_so_is_the_list_of_the_version_before() {
        let dir = tempfile::tempdir().unwrap();
        let load = || KnownDisks::load(dir.path(), ["/d1"].into_iter()).unwrap();
        assert_eq!(load().known_as("/d1"), KnownAs::New);
        std::fs::write(dir.path().join("disks.json"), format!("{{\"/d1\": \"{}\"}}", uuid(1))).unwrap();
        let mut known = load();
        assert_eq!(known.known_as("/d1"), KnownAs::Disk(uuid(1)));
        known.remember("/d2", uuid(2)).unwrap();
        known.forget("/d1").unwrap();
        let known = load();
        assert_eq!((known.known_as("/d1"), known.known_as("/d2")), (KnownAs::New, KnownAs::Disk(uuid(2))));
    }

    #[test]
    fn without_a_list_the_newest_copy_of_this_node_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let root = |name: &str, uuid: DiskUuid| {
            let at = dir.path().join(name);
            std::fs::create_dir(&at).unwrap();
            std::fs::write(at.join("disk.json"), format!("{{\"format\":1,\"uuid\":\"{uuid}\"}}")).unwrap();
            at.to_str().unwrap().to_owned()
        };
        let state = |name: &str| {
            let at = dir.path().join(name);
            std::fs::create_dir(&at).unwrap();
            at
        };
        let (one, two, foreign) = (root("1", uuid(1)), root("2", uuid(2)), root("3", uuid(3)));
        let copy_to = |path: &str, known: &KnownDisks| {
            put_disk_list(&Dir::open_absolute(Path::new(path)).unwrap(), &known.list).unwrap();
        };
        let mut known = KnownDisks::load(&state("state"), std::iter::empty()).unwrap();
        known.remember(&one, uuid(1)).unwrap();
        copy_to(&one, &known);
        known.remember("/away", uuid(9)).unwrap();
        known.remember(&two, uuid(2)).unwrap();
        copy_to(&two, &known);
        let mut other_node = KnownDisks::load(&state("other"), std::iter::empty()).unwrap();
        (0..9).for_each(|n| other_node.remember("/elsewhere", uuid(n)).unwrap());
        copy_to(&foreign, &other_node);
        let configured = [one.as_str(), two.as_str(), foreign.as_str(), "/away"];
        let found = KnownDisks::load_or_find(&state("new"), &configured).unwrap();
        assert_eq!(found.known_as("/away"), KnownAs::Disk(uuid(9)));
        assert_eq!(found.known_as("/elsewhere"), KnownAs::New, "the list of another node was taken");
        // The next start has a list of its own again.
        std::fs::remove_file(Path::new(&two).join("node_disks.json")).unwrap();
        let again = KnownDisks::load_or_find(&dir.path().join("new"), &configured).unwrap();
        assert_eq!(again.known_as("/away"), KnownAs::Disk(uuid(9)));
    }

    #[test]
    fn a_damaged_list_is_kept_and_nothing_blank_is_taken_after_it_ever() {
        let dir = tempfile::tempdir().unwrap();
        for damaged in ["", "{", "[1]", "{\"/d1\": \"x\"}", "\0\0"] {
            std::fs::write(dir.path().join("disks.json"), damaged).unwrap();
            let mut known = KnownDisks::load(dir.path(), ["/d1", "/d2"].into_iter()).unwrap();
            known.remember("/d1", uuid(1)).unwrap();
            // The next start reads a good list, and is as careful.
            let known = KnownDisks::load(dir.path(), std::iter::empty()).unwrap();
            assert_eq!(known.known_as("/d1"), KnownAs::Disk(uuid(1)));
            assert_eq!(known.known_as("/d2"), KnownAs::Unsure, "{damaged:?}");
        }
        assert!((0..5).all(|n| dir.path().join(format!("disks.json.damaged.{n}")).exists()));
    }
}
