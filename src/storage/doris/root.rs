//! The root of a real Doris backend, opened: what it says of itself, and the one room in it that is ours.
//!
//! Everything we make stands below `.tabletd/`, which no backend looks at; it is made at the first accepted move, never by
//! a look. Whatever a backend will find belongs to whom its own `CURRENT` belongs: it may not run as we do.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{FchmodatFlags, Mode};
use nix::unistd::{Gid, Uid};

use super::{DorisLock, DorisLockError};
use crate::model::{Capacity, DiskUuid};
use crate::storage::layout::{DISK_FILE, MIGRATING};
use crate::storage::root::{draw_uuid, read_uuid};
use crate::storage::{Dir, DiskError, ReadFrom, RootError, StorageError, read_small};

/// The room in a Doris root that is ours.
pub const DORIS_ROOM: &str = ".tabletd";
/// In it: directories of tablets that have moved away.
pub(super) const RETIRED: &str = "retired";
/// In it: what `meta/` was before each run that wrote to it.
pub(super) const KEPT: &str = "kept";
const META: &str = "meta";
const CURRENT: &str = "meta/CURRENT";

/// An opened root of a real Doris backend.
#[derive(Debug)]
pub struct DorisRoot {
    dir: Dir,
    device_and_inode: (u64, u64),
    belongs_to: (Uid, Gid),
}

impl DorisRoot {
    /// Opens the root at `path`. Makes nothing.
    ///
    /// # Errors
    /// It is missing; it is a root of tabletd's own; no backend has ever started with it.
    pub fn open(path: &str) -> Result<Self, RootError> {
        Self::open_by(path, CURRENT)
    }

    /// Opens a root whose database may have lost any of its files. Makes nothing, and is for reading only.
    ///
    /// # Errors
    /// As [`DorisRoot::open`].
    pub fn open_damaged(path: &str) -> Result<Self, RootError> {
        Self::open_by(path, META)
    }

    /// `evidence` is what says that a backend has been here.
    fn open_by(path: &str, evidence: &str) -> Result<Self, RootError> {
        let refused = |why: &str| RootError::Refused { path: path.to_owned(), why: why.to_owned() };
        let dir = Dir::open_absolute(Path::new(path)).map_err(|error| match error.errno {
            Errno::ENOENT | Errno::ENOTDIR => refused("no such directory; is the disk mounted?"),
            _ => error.into(),
        })?;
        if dir.kind(DISK_FILE)?.is_some() {
            return Err(refused(
                "it is a root of tabletd's own, and a node never mixes the two kinds: take the roots of one kind out of \
                 storage_root_path",
            ));
        }
        let Some(current) = dir.stat(evidence)? else {
            return Err(refused(&format!(
                "there is no {evidence}: no backend has started with it yet, or the disk is not mounted; nothing is \
                 made here"
            )));
        };
        let device_and_inode = dir.device_and_inode()?;
        let belongs_to = (Uid::from_raw(current.st_uid), Gid::from_raw(current.st_gid));
        Ok(Self { dir, device_and_inode, belongs_to })
    }

    /// The root's directory.
    pub const fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Takes the lock that its backend holds while it runs.
    ///
    /// # Errors
    /// A backend runs; or the lock cannot be taken.
    pub fn lock(&self) -> Result<DorisLock, DorisLockError> {
        DorisLock::acquire(&self.dir)
    }

    /// The cluster its backend belongs to; `None` where it does not say.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn cluster_id(&self) -> Result<Option<String>, DiskError> {
        self.small_text("cluster_id")
    }

    /// How its backend is deployed; `None` where it does not say, which is `local`.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn deploy_mode(&self) -> Result<Option<String>, DiskError> {
        self.small_text("deploy_mode")
    }

    fn small_text(&self, name: &str) -> Result<Option<String>, DiskError> {
        let bytes = read_small(&self.dir, name, ReadFrom::Cache)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
    }

    /// Checks that its path still leads to this very directory.
    ///
    /// # Errors
    /// [`StorageError::Changed`], or a failed call.
    pub fn check_identity(&self) -> Result<(), StorageError> {
        let changed =
            |why: &str| StorageError::Changed { path: self.dir.path().to_owned(), why: why.to_owned() };
        let now = Dir::open_absolute(self.dir.path())
            .map_err(|error| changed(&format!("the root can no longer be opened: {}", error.errno.desc())))?;
        match now.device_and_inode()? == self.device_and_inode && now.stat(CURRENT)?.is_some() {
            true => Ok(()),
            false => Err(changed("another directory is there now: was the disk unmounted?")),
        }
    }

    /// Space on its file system.
    ///
    /// # Errors
    /// As `fstatvfs(2)`.
    pub fn capacity(&self) -> Result<Capacity, DiskError> {
        self.dir.capacity()
    }

    /// Its identity, drawn when something was first moved from or to it.
    ///
    /// # Errors
    /// In words: `.tabletd/disk.json` cannot be read.
    pub fn uuid(&self) -> Result<Option<DiskUuid>, String> {
        match self.room().map_err(|error| error.to_string())? {
            Some(room) => read_uuid(&room),
            None => Ok(None),
        }
    }

    /// Our room; `None` where nothing was ever moved from or to this root.
    ///
    /// # Errors
    /// As `openat2(2)`.
    pub fn room(&self) -> Result<Option<Dir>, DiskError> {
        self.dir.open_if_exists(DORIS_ROOM)
    }

    /// Makes our room, durably, and says which disk this is.
    ///
    /// # Errors
    /// As the calls made.
    pub fn ensure_room(&self) -> Result<(Dir, DiskUuid), StorageError> {
        let room = self.dir.ensure(DORIS_ROOM)?;
        for part in [MIGRATING, RETIRED, KEPT] {
            room.ensure(part)?;
        }
        let known = read_uuid(&room)
            .map_err(|why| StorageError::Damaged { path: room.path().join(DISK_FILE), why })?;
        let uuid = match known {
            Some(uuid) => uuid,
            None => {
                let uuid = draw_uuid(&room)?;
                self.dir.sync()?;
                uuid
            }
        };
        Ok((room, uuid))
    }

    /// Gives what stands at `name` below `dir` to whom the backend's files belong.
    ///
    /// # Errors
    /// As `fchownat(2)`.
    pub fn give_to_backend(&self, dir: &Dir, name: &str) -> Result<(), DiskError> {
        let (uid, gid) = self.belongs_to;
        give(dir, name, uid, gid)
    }
}

/// Gives a name the owner, group and mode that another one has.
///
/// # Errors
/// As `fstatat(2)`, `fchownat(2)`, `fchmodat(2)`.
pub fn give_as(like: (&Dir, &str), to: (&Dir, &str)) -> Result<(), DiskError> {
    let Some(stat) = like.0.stat(like.1)? else {
        return Err(DiskError::new("stat", like.0.path().join(like.1), Errno::ENOENT));
    };
    let (dir, name) = to;
    give(dir, name, Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))?;
    let mode = Mode::from_bits_truncate(stat.st_mode & 0o7777);
    nix::sys::stat::fchmodat(dir, name, mode, FchmodatFlags::FollowSymlink)
        .map_err(|errno| DiskError::new("chmod", dir.path().join(name), errno))
}

fn give(dir: &Dir, name: &str, uid: Uid, gid: Gid) -> Result<(), DiskError> {
    nix::unistd::fchownat(dir, name, Some(uid), Some(gid), nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)
        .map_err(|errno| DiskError::new("chown", dir.path().join(name), errno))
}
