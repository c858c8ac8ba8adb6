//! What a copy keeps of its original beside the bytes: owner, mode and time of change of files, owner and mode of their
//! directory.
//!
//! All of it is set on an open descriptor, after the last byte was written and before the file is synced, so that it is as
//! durable as the bytes are. What this process may not keep, or the file system has no place for, is counted and said in
//! the step log: it fails no copy.
//!
//! Holes are looked for only in files that take up less than their size, and believed only where what was read is zero
//! (`transfer/holes.rs`); the read-back compares all bytes, holes too.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown};

use super::crew::{Watch, lock};
use super::hooks::Side;
use crate::model::{Failure, FileOwner};
use crate::storage::{Dir, DiskError};

/// The bits of a mode that are kept.
const MODE_BITS: u32 = 0o7777;
/// Those that a change of owner takes away.
const SET_ID_BITS: u32 = 0o6000;

/// The unit of `st_blocks`, whatever the file system uses.
pub(super) const BLOCK_BYTES: u64 = 512;

/// What is kept of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    uid: u32,
    gid: u32,
    mode: u32,
    modified: (i64, i64),
    /// Whether it takes up less than its size: there may be holes in it.
    pub(super) is_sparse: bool,
}

impl Attributes {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode() & MODE_BITS,
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            is_sparse: metadata.blocks().saturating_mul(BLOCK_BYTES) < metadata.len(),
        }
    }

    pub(super) fn of_stat(stat: &FileStat) -> Self {
        let unsigned = |n: i64| u64::try_from(n).unwrap_or(0);
        Self {
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & MODE_BITS,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            is_sparse: unsigned(stat.st_blocks).saturating_mul(BLOCK_BYTES) < unsigned(stat.st_size),
        }
    }

    /// The mode a copy of it is made with: its own, so that nobody sees more of it in between, but the owner writes it.
    pub(super) fn mode_to_create(self) -> Mode {
        Mode::from_bits_truncate(self.mode & 0o777 | 0o600)
    }
}

/// One copy's keeping of attributes.
pub(super) struct Keeper {
    owner: FileOwner,
    /// What a file comes out as that was made with a mode: whose it is, and what the umask left. Looked at once per mode.
    made: Mutex<BTreeMap<u32, Attributes>>,
    /// What was not kept: of how many files, the first of them, and why.
    lost: Mutex<BTreeMap<&'static str, (u64, String, Errno)>>,
}

impl Keeper {
    pub(super) fn new(owner: FileOwner) -> Self {
        Self { owner, made: Mutex::default(), lost: Mutex::default() }
    }

    /// Gives a file that was made with [`Attributes::mode_to_create`] what its original has. Nothing may be written to it
    /// afterwards.
    ///
    /// # Errors
    /// A call's, where it says more than that this process may not.
    pub(super) fn give(
        &self,
        watch: &Watch<'_>,
        file: &impl AsFd,
        path: &Path,
        original: Attributes,
    ) -> Result<(), Failure> {
        let mode = original.mode_to_create().bits();
        let known = lock(&self.made).get(&mode).copied();
        let is = match known {
            Some(is) => is,
            None => {
                let stat = watch
                    .call(Side::Destination, "fstat", || fstat(file))
                    .map_err(|errno| DiskError::new("fstat", path, errno))?;
                let is = Attributes::of_stat(&stat);
                lock(&self.made).insert(mode, is);
                is
            }
        };
        self.own(watch, file, path, original, is)?;
        self.touch(watch, file, path, original)
    }

    /// Gives a file that was found, whole, what its original has.
    ///
    /// # Errors
    /// As [`Keeper::give`].
    pub(super) fn give_found(
        &self,
        watch: &Watch<'_>,
        dir: &Dir,
        name: &str,
        (original, is): (Attributes, Attributes),
    ) -> Result<(), Failure> {
        let wanted = Attributes { is_sparse: is.is_sparse, ..self.wanted(original) };
        if wanted == is {
            return Ok(());
        }
        let path = dir.path().join(name);
        let file = watch
            .call(Side::Destination, "open", || dir.open_for_reading(name, nix::fcntl::OFlag::empty()))?;
        self.own(watch, &file, &path, original, is)?;
        self.touch(watch, &file, &path, original)
    }

    /// Gives the directory of the copy the owner and the mode of the original's. Its owner is never locked out. Returns the
    /// copy's device and inode.
    ///
    /// # Errors
    /// As [`Keeper::give`].
    pub(super) fn give_directory(
        &self,
        watch: &Watch<'_>,
        from: &Dir,
        to: &Dir,
    ) -> Result<(u64, u64), Failure> {
        let look = |side, dir: &Dir| {
            let stat = watch.call(side, "fstat", || fstat(dir));
            stat.map_err(|errno| DiskError::new("fstat", dir.path(), errno))
        };
        let (original, is) = (look(Side::Source, from)?, look(Side::Destination, to)?);
        let mut wanted = Attributes::of_stat(&original);
        wanted.mode |= 0o700;
        self.own(watch, to, to.path(), wanted, Attributes::of_stat(&is))?;
        Ok((is.st_dev, is.st_ino))
    }

    /// What was not kept, a line each.
    pub(super) fn say_lost(&self, watch: &Watch<'_>) {
        for (what, (count, first, errno)) in std::mem::take(&mut *lock(&self.lost)) {
            let others = match count {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            watch.hooks().log(format!("the {what} is not kept: {first}{others}: {}", errno.desc()));
        }
    }

    /// The original's, but for a configured owner.
    const fn wanted(&self, original: Attributes) -> Attributes {
        match self.owner {
            FileOwner::Keep => original,
            FileOwner::Set { uid, gid } => Attributes { uid, gid, ..original },
        }
    }

    fn own(
        &self,
        watch: &Watch<'_>,
        file: &impl AsFd,
        path: &Path,
        original: Attributes,
        is: Attributes,
    ) -> Result<(), Failure> {
        let wanted = self.wanted(original);
        let mut is_mode = is.mode;
        if (wanted.uid, wanted.gid) != (is.uid, is.gid) {
            let (uid, gid) = (Uid::from_raw(wanted.uid), Gid::from_raw(wanted.gid));
            let given = watch.call(Side::Destination, "fchown", || fchown(file, Some(uid), Some(gid)));
            if self.note("owner", "fchown", path, given)? {
                is_mode &= !SET_ID_BITS;
            }
        }
        if wanted.mode != is_mode {
            let mode = Mode::from_bits_truncate(wanted.mode);
            let given = watch.call(Side::Destination, "fchmod", || fchmod(file, mode));
            self.note("mode", "fchmod", path, given)?;
        }
        Ok(())
    }

    fn touch(
        &self,
        watch: &Watch<'_>,
        file: &impl AsFd,
        path: &Path,
        Attributes { modified: (seconds, nanoseconds), .. }: Attributes,
    ) -> Result<(), Failure> {
        let modified = TimeSpec::new(seconds, nanoseconds);
        let given =
            watch.call(Side::Destination, "futimens", || futimens(file, &TimeSpec::UTIME_OMIT, &modified));
        self.note("time of change", "futimens", path, given).map(drop)
    }

    /// Whether it was done. That this process may not, or the file system cannot, is noted.
    fn note(
        &self,
        what: &'static str,
        operation: &'static str,
        path: &Path,
        answer: Result<(), Errno>,
    ) -> Result<bool, Failure> {
        match answer {
            Ok(()) => Ok(true),
            Err(
                errno @ (Errno::EPERM
                | Errno::EACCES
                | Errno::EINVAL
                | Errno::EOVERFLOW
                | Errno::EOPNOTSUPP
                | Errno::ENOSYS),
            ) => {
                let mut lost = lock(&self.lost);
                let (count, _, _) =
                    lost.entry(what).or_insert_with(|| (0, path.display().to_string(), errno));
                *count += 1;
                Ok(false)
            }
            Err(errno) => Err(DiskError::new(operation, path, errno).into()),
        }
    }
}
