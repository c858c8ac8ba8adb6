//! One end of a copy: a directory, and how its files are opened and made there.
//!
//! `O_DIRECT` where the file system honours it, the page cache where it does not. Knows no checksums.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, FsType, TMPFS_MAGIC};

use super::attributes::Attributes;
use super::crew::Watch;
use super::hooks::{CopyHooks, Side};
use crate::model::{ErrorCode, Failure};
use crate::storage::{Dir, DiskError};

/// `ZFS_SUPER_MAGIC`: opens with `O_DIRECT`, but reads may be answered from its own cache.
const ZFS_SUPER_MAGIC: FsType = FsType(0x2fc1_2fc1);

/// How a file is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Past the page cache.
    Direct,
    Buffered,
}

/// A directory of which files are read or written.
pub(super) struct End<'a> {
    dir: &'a Dir,
    pub(super) side: Side,
    pub(super) hooks: &'a dyn CopyHooks,
    /// Whether files of its file system may be able to share blocks; only a try tells.
    pub(super) may_share: bool,
    buffered: AtomicBool,
    pub(super) warm_noted: AtomicBool,
}

impl<'a> End<'a> {
    /// Looks at the file system and notes in the log when `O_DIRECT` is not used on it.
    pub(super) fn new(dir: &'a Dir, side: Side, hooks: &'a dyn CopyHooks) -> Self {
        let file_system = dir.file_system();
        let end = Self {
            dir,
            side,
            hooks,
            // ext2, ext3 and ext4 have one number, and none of them can.
            may_share: !matches!(file_system, Ok(EXT4_SUPER_MAGIC | TMPFS_MAGIC)),
            buffered: AtomicBool::new(false),
            warm_noted: AtomicBool::new(false),
        };
        // btrfs falls back to buffered reads for checksummed files (measured, 6.18); tmpfs and ZFS accept the flag and
        // do as they like. There the cache is used openly and asked afterwards what it holds.
        match file_system {
            Ok(BTRFS_SUPER_MAGIC) => end.use_cache("btrfs may answer it from the cache"),
            Ok(TMPFS_MAGIC) => end.use_cache("tmpfs is memory"),
            Ok(ZFS_SUPER_MAGIC) => end.use_cache("ZFS may answer it from its cache"),
            _ => {}
        }
        end
    }

    pub(super) fn dir(&self) -> &'a Dir {
        self.dir
    }

    pub(super) fn access(&self) -> Access {
        if self.buffered.load(Ordering::Relaxed) { Access::Buffered } else { Access::Direct }
    }

    pub(super) fn use_cache(&self, why: &str) {
        if !self.buffered.swap(true, Ordering::Relaxed) {
            let path = self.dir.path().display();
            self.hooks.log(format!("no O_DIRECT on the {} {path} ({why}): buffered", self.side.as_str()));
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Bytes that are not what they should be: whose fault that is depends on the end.
    pub(super) fn damaged(&self, name: &str, why: &str) -> Failure {
        let code = match self.side {
            Side::Source => ErrorCode::SourceDamaged,
            Side::Destination => ErrorCode::ReadBackMismatch,
        };
        let consequence = match self.side {
            Side::Source => "the source was left as it is",
            Side::Destination => "the copy is not used",
        };
        Failure::new(code, format!("{}: {why}; {consequence}", self.path(name).display()))
    }

    /// An error of a call on this end. What a source does not give is another matter than any other failure.
    pub(super) fn failed(&self, error: DiskError) -> Failure {
        match self.side {
            Side::Source => error.on_source(),
            Side::Destination => error.into(),
        }
    }

    /// What is kept of a file, by name; the open of it says whether it is a regular one.
    pub(super) fn attributes(&self, watch: &Watch<'_>, name: &str) -> Result<Option<Attributes>, Failure> {
        let stat = watch.call(self.side, "stat", || self.dir.stat(name))?;
        Ok(stat.as_ref().map(Attributes::of_stat))
    }
}
