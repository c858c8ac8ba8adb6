//! An opened storage root: a directory descriptor plus the proof that it is the disk it is taken for.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::statfs::FsType;
use serde::{Deserialize, Serialize};

use super::dir::{Dir, EntryKind};
use super::error::{DiskError, StorageError};
use super::file::{ReadFrom, read_parsed, read_small, replace_durably, write_new};
use super::layout;
use crate::model::{Capacity, DiskUuid, quoted};

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct DiskFile {
    format: u32,
    uuid: DiskUuid,
}

/// What a root is, apart from the path that leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootIdentity {
    /// From its `disk.json`.
    pub uuid: DiskUuid,
    /// Device of the root directory.
    pub device: u64,
    /// Inode of the root directory.
    pub inode: u64,
    /// Kind of the file system it is on.
    pub file_system: FsType,
}

impl RootIdentity {
    /// What the directory of the disk `uuid` is.
    ///
    /// # Errors
    /// As `fstat(2)`, `fstatfs(2)`.
    pub fn of(dir: &Dir, uuid: DiskUuid) -> Result<Self, DiskError> {
        let (device, inode) = dir.device_and_inode()?;
        Ok(Self { uuid, device, inode, file_system: dir.file_system()? })
    }
}

/// What is already known of the disk at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownAs {
    /// Nothing: an empty directory may become a root.
    New,
    /// This disk was here before: an empty directory means that it is not mounted, and is never made a root.
    Disk(DiskUuid),
    /// Something may have been here, and which disk is not known any more: what is here is taken if it is a root, and
    /// an empty directory is never made one.
    Unsure,
}

/// Why a directory cannot serve as a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// A system call failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The directory is not, or not yet, a root of ours.
    #[error("{path}: {why}")]
    Refused {
        /// The path as configured.
        path: String,
        /// What was found and what helps.
        why: String,
    },
}

/// An opened root. Cheap: each thread that works on a disk opens its own, in its own descriptor table.
#[derive(Debug)]
pub struct Root {
    dir: Dir,
    identity: RootIdentity,
}

impl Root {
    /// Opens the root at `path`; a fresh directory is made one when nothing else is known of it.
    ///
    /// # Errors
    /// The path is missing, not a directory or not readable; it holds a Doris RocksDB, an unknown format, foreign files,
    /// or another disk than the known one.
    pub fn open(path: &str, known: KnownAs) -> Result<Self, RootError> {
        let refused = |why: String| RootError::Refused { path: path.to_owned(), why };
        let dir = Dir::open_absolute(Path::new(path)).map_err(|error| match error.errno {
            Errno::ENOENT if known != KnownAs::New => refused(format!(
                "no such directory, and a disk was here before; mount it, or give it up: {}",
                give_up(path)
            )),
            Errno::ENOENT => refused("no such directory; create it, or mount the disk".into()),
            Errno::ENOTDIR => refused("not a directory".into()),
            _ => error.into(),
        })?;
        if dir.stat("meta/CURRENT")?.is_some() {
            return Err(refused(
                "meta/ holds a RocksDB: this is a root of a Doris BE, which this build cannot open; \
                 it was not touched"
                    .into(),
            ));
        }
        let uuid = match (read_uuid(&dir).map_err(refused)?, known) {
            (Some(found), KnownAs::Disk(expected)) if found != expected => {
                return Err(refused(format!(
                    "this is disk {found}; disk {expected} was here before: mount that one, or give it up: {}",
                    give_up(path)
                )));
            }
            (Some(found), _) => found,
            (None, KnownAs::Disk(expected)) => {
                return Err(refused(format!(
                    "disk.json is missing: disk {expected} is not mounted here; mount it, or give it up: {}",
                    give_up(path)
                )));
            }
            (None, KnownAs::Unsure) => {
                return Err(refused(format!(
                    "disk.json is missing, and which disk belongs here is not known any more; mount it, or take what \
                     is here: tabletctl disk replace {path}"
                )));
            }
            (None, KnownAs::New) => format_root(&dir, path)?,
        };
        for part in [layout::DATA, layout::META, layout::MIGRATING, layout::TRASH, layout::QUARANTINE] {
            dir.ensure(part)?;
        }
        Ok(Self::of(dir, uuid)?)
    }

    /// Opens the root at `path` to read it: nothing is made there and nothing written. `None` where there is none.
    ///
    /// # Errors
    /// As `open(2)`; its `disk.json` cannot be read.
    pub fn look(path: &str) -> Result<Option<Self>, RootError> {
        let dir = Dir::open_absolute(Path::new(path))?;
        let refused = |why: String| RootError::Refused { path: path.to_owned(), why };
        let Some(uuid) = read_uuid(&dir).map_err(refused)? else { return Ok(None) };
        Ok(Some(Self::of(dir, uuid)?))
    }

    fn of(mut dir: Dir, uuid: DiskUuid) -> Result<Self, DiskError> {
        let identity = RootIdentity::of(&dir, uuid)?;
        dir.note_file_system(identity.file_system);
        Ok(Self { dir, identity })
    }

    /// Opens a root that was opened before; anything else at the path is refused.
    ///
    /// # Errors
    /// As `open(2)`; [`StorageError::Changed`] when another directory is found there.
    pub fn reopen(path: &str, expected: &RootIdentity) -> Result<Self, StorageError> {
        let mut dir = Dir::open_absolute(Path::new(path))?;
        dir.note_file_system(expected.file_system);
        let root = Self { dir, identity: *expected };
        // Opened by its path a moment ago: that is where the path leads.
        root.check_directory(&root.dir)?;
        Ok(root)
    }

    /// Checks that the root's path still leads to this directory and that it is still the same disk. Called right
    /// before every commit: after a lazy unmount a path leads to the file system below.
    ///
    /// # Errors
    /// [`StorageError::Changed`], or a failed call.
    pub fn check_identity(&self) -> Result<(), StorageError> {
        // What the held descriptor is was found when it was opened, and cannot change.
        let now = Dir::open_absolute(self.dir.path()).map_err(|error| {
            self.changed(format!("the root can no longer be opened: {}", error.errno.desc()))
        })?;
        self.check_directory(&now)
    }

    /// Whether this directory, which its path leads to, is that of the root, and the root the disk that is expected.
    fn check_directory(&self, now: &Dir) -> Result<(), StorageError> {
        if crate::fault::is_left_out("by_path") {
            return Ok(());
        }
        if now.device_and_inode()? != (self.identity.device, self.identity.inode) {
            return Err(self.changed("another directory is there now: was the disk unmounted?".into()));
        }
        match read_uuid(&self.dir).map_err(|why| self.changed(why))? {
            Some(uuid) if uuid == self.identity.uuid => Ok(()),
            Some(uuid) => {
                Err(self.changed(format!("disk.json names disk {uuid}, expected {}", self.identity.uuid)))
            }
            None => Err(self.changed("disk.json is gone".into())),
        }
    }

    fn changed(&self, why: String) -> StorageError {
        StorageError::Changed { path: self.dir.path().to_owned(), why }
    }

    /// The root directory.
    pub const fn dir(&self) -> &Dir {
        &self.dir
    }

    /// What it is.
    pub const fn identity(&self) -> &RootIdentity {
        &self.identity
    }

    /// Space on its file system.
    ///
    /// # Errors
    /// As `fstatvfs(2)`.
    pub fn capacity(&self) -> Result<Capacity, DiskError> {
        self.dir.capacity()
    }

    /// Writes a small file, makes it durable, reads it back past the cache and removes it.
    ///
    /// # Errors
    /// The first call that failed; `EIO` when other bytes came back. A full disk answers `ENOSPC`, which is no fault.
    pub fn probe(&self) -> Result<(), DiskError> {
        let pattern: Vec<u8> = (0..4096_u32).map(|n| (n.wrapping_mul(31) >> 3).to_le_bytes()[0]).collect();
        self.dir.unlink(layout::PROBE_FILE)?;
        let file = write_new(&self.dir, layout::PROBE_FILE, &pattern)?;
        let path = self.dir.path().join(layout::PROBE_FILE);
        file.sync_data().map_err(|error| DiskError::from_io("fdatasync", &path, &error))?;
        let back = read_small(&self.dir, layout::PROBE_FILE, ReadFrom::Medium)?;
        self.dir.unlink(layout::PROBE_FILE)?;
        if back.as_deref() == Some(&pattern[..]) {
            Ok(())
        } else {
            Err(DiskError::new("read", path, Errno::EIO))
        }
    }

    /// Whether the file system is mounted read-only now.
    ///
    /// # Errors
    /// As `fstatvfs(2)`.
    pub fn is_read_only(&self) -> Result<bool, DiskError> {
        self.dir.is_on_read_only()
    }
}

/// Whether the path of a root leads to another directory than the one that was opened there, or to none.
pub fn leads_elsewhere(path: &str, opened: &RootIdentity) -> bool {
    match Dir::open_absolute(Path::new(path)) {
        Ok(dir) => dir.device_and_inode().is_ok_and(|found| found != (opened.device, opened.inode)),
        Err(error) => error.errno == Errno::ENOENT,
    }
}

/// What to type when the disk of a path never comes back.
fn give_up(path: &str) -> String {
    format!(
        "tabletctl disk replace {path} takes an empty file system in its place, tabletctl disk forget {path} --lost \
         none"
    )
}

/// The disk whose root is at `path`; `None` when there is none.
///
/// # Errors
/// In words: it cannot be read.
pub fn read_disk_uuid(path: &str) -> Result<Option<DiskUuid>, String> {
    let dir = Dir::open_absolute(Path::new(path)).map_err(|error| error.to_string())?;
    read_uuid(&dir)
}

/// Whether a blank file system is mounted at `path`, which may become a disk in the place of a lost one.
///
/// # Errors
/// Something is in it; or it is the bare directory, on the file system of its parent.
pub fn check_blank(path: &str) -> Result<(), RootError> {
    let refused = |why: String| RootError::Refused { path: path.to_owned(), why };
    let dir = Dir::open_absolute(Path::new(path))?;
    if let Some(entry) = dir.entries()?.iter().find(|entry| entry.name != "lost+found") {
        return Err(refused(format!(
            "{} is there: only a blank file system is taken in the place of a lost disk",
            entry.name.to_string_lossy()
        )));
    }
    // By the real path: the configured one may be a symlink to the mount.
    let real = std::fs::canonicalize(path).map_err(|error| DiskError::from_io("realpath", path, &error))?;
    let parent = real.parent().ok_or_else(|| refused("it is the root of the system".into()))?;
    if Dir::open_absolute(parent)?.device_and_inode()?.0 == dir.device_and_inode()?.0 {
        return Err(refused(
            "no file system is mounted here, it would be the system disk; mount the new one first".into(),
        ));
    }
    Ok(())
}

pub(super) fn read_uuid(dir: &Dir) -> Result<Option<DiskUuid>, String> {
    let parse = |bytes: &[u8]| serde_json::from_slice::<DiskFile>(bytes);
    let read =
        read_parsed(dir, layout::DISK_FILE, ReadFrom::Cache, parse).map_err(|error| error.to_string())?;
    let Some(read) = read else { return Ok(None) };
    let file = read
        .map_err(|error| format!("disk.json does not parse ({error}); restore it before using this disk"))?;
    if file.format > FORMAT {
        return Err(format!("disk.json has format {}; this build reads up to {FORMAT}", file.format));
    }
    Ok(Some(file.uuid))
}

/// Makes a directory a root if nothing in it speaks against it. `disk.json` is written last and durably: a root is one
/// from that moment.
fn format_root(dir: &Dir, path: &str) -> Result<DiskUuid, RootError> {
    for entry in dir.entries()? {
        let known = ["lost+found", layout::LOCK_FILE, "disk.json.tmp"];
        let empty_part = entry.kind == EntryKind::Directory
            && entry.name.to_str().is_some_and(is_part)
            && dir.open(&entry.name)?.entries()?.is_empty();
        if !empty_part && !known.iter().any(|name| entry.name == *name) {
            return Err(RootError::Refused {
                path: path.to_owned(),
                why: format!(
                    "no disk.json, but {} is there: a new root must be an empty directory, and an old one needs its \
                     disk.json back",
                    quoted(&entry.name)
                ),
            });
        }
    }
    for part in [layout::DATA, layout::META, layout::MIGRATING, layout::TRASH, layout::QUARANTINE] {
        dir.ensure(part)?;
    }
    Ok(draw_uuid(dir)?)
}

/// Gives a directory an identity, durably.
pub(super) fn draw_uuid(dir: &Dir) -> Result<DiskUuid, DiskError> {
    let uuid = DiskUuid(uuid::Uuid::new_v4());
    let text = serde_json::to_vec_pretty(&DiskFile { format: FORMAT, uuid })
        .map_err(|_| DiskError::new("write", dir.path().join(layout::DISK_FILE), Errno::EINVAL))?;
    replace_durably(dir, layout::DISK_FILE, &text)?;
    Ok(uuid)
}

fn is_part(name: &str) -> bool {
    [layout::DATA, layout::META, layout::MIGRATING, layout::TRASH, layout::QUARANTINE].contains(&name)
}
