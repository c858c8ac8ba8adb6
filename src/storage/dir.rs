//! A directory descriptor and the verbs below it. The only way this program reaches a file.
//!
//! Paths are relative and resolved by the kernel with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV`: after a
//! lazy unmount or in a hostile tree nothing outside the root can be reached, only refused.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::{FileStat, Mode, SFlag};
use nix::sys::statfs::{FsType, fstatfs};
use nix::unistd::UnlinkatFlags;

use super::error::DiskError;
use super::os;
use crate::model::Capacity;

/// Makes everything this thread has written to one file system durable.
///
/// Behind it stands either a `syncfs` of one's own or a shared one that serves many migrations at once.
pub trait Barrier {
    /// Returns when every write and rename made before the call is durable.
    ///
    /// # Errors
    /// The sync failed, now or for anybody since this barrier's file system was opened: nothing written since the last
    /// good sync can be believed, and syncing again proves nothing.
    fn sync(&self) -> Result<(), DiskError>;
}

/// A [`Barrier`] that calls `syncfs` itself.
pub struct DirectBarrier<'a>(pub &'a Dir);

impl Barrier for DirectBarrier<'_> {
    fn sync(&self) -> Result<(), DiskError> {
        self.0.sync_file_system()
    }
}

/// Kind of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Directory,
    Symlink,
    /// FIFO, socket or device.
    Special,
}

impl EntryKind {
    /// In words, for messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "a regular file",
            Self::Directory => "a directory",
            Self::Symlink => "a symlink",
            Self::Special => "a FIFO, socket or device",
        }
    }

    fn of(stat: &FileStat) -> Self {
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Self::File,
            SFlag::S_IFDIR => Self::Directory,
            SFlag::S_IFLNK => Self::Symlink,
            _ => Self::Special,
        }
    }
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    pub name: OsString,
    pub kind: EntryKind,
}

/// An open directory.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
    /// What is known of its file system, and so of every directory below it: none is opened across a mount.
    file_system: Option<FsType>,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dir {
    /// Opens the directory at an absolute path, which alone may be or contain a symlink: it is the operator's word.
    ///
    /// # Errors
    /// As `open(2)`.
    pub fn open_absolute(path: &Path) -> Result<Self, DiskError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = nix::fcntl::open(path, flags, Mode::empty())
            .map_err(|errno| DiskError::new("open", path, errno))?;
        Ok(Self { fd, path: path.to_owned(), file_system: None })
    }

    /// Where it was when opened; for messages only.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn error(
        &self,
        operation: &'static str,
        name: impl AsRef<Path>,
    ) -> impl FnOnce(Errno) -> DiskError {
        let path = self.path.join(name);
        move |errno| DiskError { operation, path, errno }
    }

    pub(super) fn resolve(&self, name: &Path, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(mode).resolve(
            ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV,
        );
        loop {
            match nix::fcntl::openat2(&self.fd, name, how) {
                // EAGAIN: the kernel could not rule out a racing rename with RESOLVE_BENEATH and asks for another turn.
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                answer => return answer,
            }
        }
    }

    /// Opens a directory below this one.
    ///
    /// # Errors
    /// As `openat2(2)`: `ELOOP` for a symlink, `EXDEV` for a mount point, `ENOENT`, ...
    pub fn open(&self, name: impl AsRef<Path>) -> Result<Self, DiskError> {
        let name = name.as_ref();
        let fd = self
            .resolve(name, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())
            .map_err(self.error("open", name))?;
        Ok(Self { fd, path: self.path.join(name), file_system: self.file_system })
    }

    /// As [`Dir::open`], with `None` where nothing of that name exists.
    ///
    /// # Errors
    /// As [`Dir::open`].
    pub fn open_if_exists(&self, name: impl AsRef<Path>) -> Result<Option<Self>, DiskError> {
        match self.open(name) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.errno == Errno::ENOENT => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes one directory; it must not exist.
    ///
    /// # Errors
    /// As `mkdirat(2)`; `EEXIST` when it does exist.
    pub fn create(&self, name: &str) -> Result<Self, DiskError> {
        nix::sys::stat::mkdirat(&self.fd, name, Mode::from_bits_truncate(0o755))
            .map_err(self.error("mkdir", name))?;
        self.open(name)
    }

    /// Opens a path below, making each missing directory on the way.
    ///
    /// # Errors
    /// As [`Dir::open`] and [`Dir::create`].
    pub fn ensure(&self, path: &str) -> Result<Self, DiskError> {
        if let Some(dir) = self.open_if_exists(path)? {
            return Ok(dir);
        }
        match path.rsplit_once('/') {
            Some((parent, name)) => self.ensure(parent)?.open_or_create(name),
            None => self.open_or_create(path),
        }
    }

    /// Makes one directory, or opens the one of that name; for one that is most likely not there.
    ///
    /// # Errors
    /// As [`Dir::open`] and [`Dir::create`].
    pub fn open_or_create(&self, name: &str) -> Result<Self, DiskError> {
        match self.create(name) {
            Err(error) if error.errno == Errno::EEXIST => self.open(name),
            made => made,
        }
    }

    /// Opens a file below. `O_NOFOLLOW` and `O_NONBLOCK` are always set: a symlink is refused and a FIFO does not block.
    ///
    /// # Errors
    /// As `openat2(2)`.
    pub fn open_file(&self, name: impl AsRef<Path>, flags: OFlag) -> Result<File, DiskError> {
        let mode =
            if flags.contains(OFlag::O_CREAT) { Mode::from_bits_truncate(0o644) } else { Mode::empty() };
        self.open_with_mode(name.as_ref(), flags, mode)
    }

    /// Makes a file that must not exist, with this mode, for writing and reading back.
    ///
    /// # Errors
    /// As `openat2(2)`.
    pub fn create_file(&self, name: impl AsRef<Path>, mode: Mode) -> Result<File, DiskError> {
        self.open_with_mode(name.as_ref(), OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL, mode)
    }

    fn open_with_mode(&self, name: &Path, flags: OFlag, mode: Mode) -> Result<File, DiskError> {
        self.resolve(name, flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK, mode)
            .map(File::from)
            .map_err(self.error("open", name))
    }

    /// Opens a file for reading without touching its atime. Falls back on `EPERM` (another user's file).
    ///
    /// On a disk that flips bits, an atime update writes a whole block of inodes back: reading destroyed tablets.
    ///
    /// # Errors
    /// As [`Dir::open_file`].
    pub fn open_for_reading(&self, name: impl AsRef<Path>, extra: OFlag) -> Result<File, DiskError> {
        let name = name.as_ref();
        let no_atime = if crate::fault::is_left_out("atime") { OFlag::empty() } else { OFlag::O_NOATIME };
        match self.open_file(name, OFlag::O_RDONLY | no_atime | extra) {
            Err(error) if error.errno == Errno::EPERM => self.open_file(name, OFlag::O_RDONLY | extra),
            answer => answer,
        }
    }

    /// What a name is; `None` where there is nothing. A symlink is itself, not its target.
    ///
    /// # Errors
    /// As `fstatat(2)`.
    pub fn stat(&self, name: impl AsRef<Path>) -> Result<Option<FileStat>, DiskError> {
        let name = name.as_ref();
        match nix::sys::stat::fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(errno) => Err(self.error("stat", name)(errno)),
        }
    }

    /// Kind of a name; `None` where there is nothing.
    ///
    /// # Errors
    /// As [`Dir::stat`].
    pub fn kind(&self, name: impl AsRef<Path>) -> Result<Option<EntryKind>, DiskError> {
        Ok(self.stat(name)?.as_ref().map(EntryKind::of))
    }

    /// Renames a name to a name below `to`, which must not exist.
    ///
    /// # Errors
    /// As `renameat2(2)` with `RENAME_NOREPLACE`.
    pub fn rename(&self, name: &str, to: &Self, to_name: &str) -> Result<(), DiskError> {
        match os::rename_to_new(&self.fd, name, &to.fd, to_name) {
            // Some file systems (FUSE among them) have no such flag: look, then rename; each root has one owner.
            Err(Errno::EINVAL) if to.kind(to_name)?.is_some() => Err(Errno::EEXIST),
            Err(Errno::EINVAL) => nix::fcntl::renameat(&self.fd, name, &to.fd, to_name),
            answer => answer,
        }
        .map_err(to.error("rename", to_name))
    }

    /// Renames a file to a name below `to`, replacing a file of that name in one step.
    ///
    /// # Errors
    /// As `renameat(2)`.
    pub fn replace(&self, name: &str, to: &Self, to_name: &str) -> Result<(), DiskError> {
        nix::fcntl::renameat(&self.fd, name, &to.fd, to_name).map_err(to.error("rename", to_name))
    }

    /// Gives a file a second name below `to`.
    ///
    /// # Errors
    /// As `linkat(2)`.
    pub fn link(&self, name: &str, to: &Self, to_name: &str) -> Result<(), DiskError> {
        nix::unistd::linkat(&self.fd, name, &to.fd, to_name, AtFlags::empty())
            .map_err(to.error("link", to_name))
    }

    /// Removes a file; nothing there is fine.
    ///
    /// # Errors
    /// As `unlinkat(2)`.
    pub fn unlink(&self, name: impl AsRef<Path>) -> Result<(), DiskError> {
        let name = name.as_ref();
        ignore_missing(nix::unistd::unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir))
            .map_err(self.error("unlink", name))
    }

    /// Removes an empty directory; nothing there is fine, and so is one that is not empty.
    ///
    /// # Errors
    /// As `unlinkat(2)`.
    pub fn remove_if_empty(&self, name: &str) -> Result<(), DiskError> {
        match self.remove_empty(name) {
            Err(error) if matches!(error.errno, Errno::ENOTEMPTY | Errno::EEXIST) => Ok(()),
            answer => answer,
        }
    }

    /// Removes an empty directory; nothing there is fine.
    ///
    /// # Errors
    /// As `unlinkat(2)`; `ENOTEMPTY`, or `EEXIST` on some file systems, for one that is not empty.
    pub fn remove_empty(&self, name: &str) -> Result<(), DiskError> {
        ignore_missing(nix::unistd::unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir))
            .map_err(self.error("rmdir", name))
    }

    /// Removes a directory and all below it; nothing there is fine.
    ///
    /// # Errors
    /// As `unlinkat(2)`, `openat2(2)`; stops at the first.
    pub fn remove_tree(&self, name: &str) -> Result<(), DiskError> {
        self.remove_tree_in_steps(name, &|| ())
    }

    /// As [`Dir::remove_tree`], and holds what `entering` gives during each removal: a tree of many files takes long on a
    /// disk in good health.
    ///
    /// # Errors
    /// As [`Dir::remove_tree`].
    pub fn remove_tree_in_steps<G>(&self, name: &str, entering: &dyn Fn() -> G) -> Result<(), DiskError> {
        let Some(dir) = self.open_if_exists(name)? else { return Ok(()) };
        for entry in dir.entries()? {
            match (entry.kind, entry.name.to_str()) {
                (EntryKind::Directory, Some(child)) => dir.remove_tree_in_steps(child, entering)?,
                _ => {
                    let _entered = entering();
                    dir.unlink(&entry.name)?;
                }
            }
        }
        self.remove_empty(name)
    }

    /// Makes the directory's names durable.
    ///
    /// # Errors
    /// As `fsync(2)`.
    pub fn sync(&self) -> Result<(), DiskError> {
        nix::unistd::fsync(&self.fd).map_err(self.error("fsync", ""))
    }

    /// Makes everything on the file system durable, other writers' data included.
    ///
    /// # Errors
    /// As `syncfs(2)`: also a write-back error since this descriptor was opened (Linux 5.8). `EROFS` on a file system that
    /// is read-only, for which the kernel answers "done" without doing anything: one that became so by itself, after an
    /// error, has not written what was asked for.
    pub fn sync_file_system(&self) -> Result<(), DiskError> {
        nix::unistd::syncfs(&self.fd).map_err(self.error("syncfs", ""))?;
        match self.is_on_read_only() {
            Ok(false) => Ok(()),
            Ok(true) => Err(self.error("syncfs", "")(Errno::EROFS)),
            Err(error) => Err(error),
        }
    }

    /// Whether its file system is mounted read-only, or has become read-only, now.
    ///
    /// # Errors
    /// As `fstatvfs(2)`.
    pub fn is_on_read_only(&self) -> Result<bool, DiskError> {
        nix::sys::statvfs::fstatvfs(&self.fd)
            .map(|stat| stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY))
            .map_err(self.error("statvfs", ""))
    }

    /// Space on its file system.
    ///
    /// # Errors
    /// As `fstatvfs(2)`.
    pub fn capacity(&self) -> Result<Capacity, DiskError> {
        let stat = nix::sys::statvfs::fstatvfs(&self.fd).map_err(self.error("statvfs", ""))?;
        let unit = stat.fragment_size();
        Ok(Capacity {
            total_bytes: stat.blocks() * unit,
            avail_bytes: stat.blocks_available() * unit,
            total_inodes: stat.files(),
            avail_inodes: stat.files_available(),
        })
    }

    /// Kind of its file system.
    ///
    /// # Errors
    /// As `fstatfs(2)`.
    pub fn file_system(&self) -> Result<FsType, DiskError> {
        match self.file_system {
            Some(known) => Ok(known),
            None => fstatfs(&self.fd).map(|stat| stat.filesystem_type()).map_err(self.error("statfs", "")),
        }
    }

    /// Its file system is of this kind, and nobody has to ask again.
    pub(super) fn note_file_system(&mut self, file_system: FsType) {
        self.file_system = Some(file_system);
    }

    /// Device and inode: what this directory *is*, whatever path leads to it.
    ///
    /// # Errors
    /// As `fstat(2)`.
    pub fn device_and_inode(&self) -> Result<(u64, u64), DiskError> {
        let stat = nix::sys::stat::fstat(&self.fd).map_err(self.error("stat", ""))?;
        Ok((stat.st_dev, stat.st_ino))
    }
}

fn ignore_missing(answer: Result<(), Errno>) -> Result<(), Errno> {
    match answer {
        Err(Errno::ENOENT) => Ok(()),
        answer => answer,
    }
}
