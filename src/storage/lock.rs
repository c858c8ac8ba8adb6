//! The lock that makes a root one process's own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use super::dir::Dir;
use super::error::DiskError;
use super::layout::{DISK_FILE, LOCK_FILE};

/// Held while a process owns a root; released by drop or by the end of the process.
///
/// Two files are locked: the lock file, which says who holds it, and the root's identity, which stands where a lock file
/// cannot be made: on a file system that is read-only or full.
#[derive(Debug)]
pub struct RootLock {
    _file: Option<Flock<File>>,
    _identity: Option<Flock<File>>,
}

/// Why a root cannot be locked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("the root is in use by {holder}; stop that process first")]
    Held {
        /// What the lock file says of its holder.
        holder: String,
    },
    /// A system call failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl RootLock {
    /// Takes the lock without waiting and writes who holds it into the file.
    ///
    /// # Errors
    /// Another process holds it; or the file cannot be opened. A file system that takes no writes is no reason.
    pub fn acquire(root: &Dir) -> Result<Self, LockError> {
        let file = lock_file(root)?;
        let identity = lock_named(root, DISK_FILE, OFlag::empty())?;
        Ok(Self { _file: file, _identity: identity })
    }
}

/// The lock file, with our name in it where that can be written; `None` where there is none and none can be made.
fn lock_file(root: &Dir) -> Result<Option<Flock<File>>, LockError> {
    let file = match lock_named(root, LOCK_FILE, OFlag::O_CREAT) {
        Err(LockError::Disk(error)) if takes_no_writes(error.errno) => {
            lock_named(root, LOCK_FILE, OFlag::empty())?
        }
        answer => answer?,
    };
    if file.is_some() {
        // The name is for people: a full disk, or one that takes no writes, is locked all the same.
        let _ = root
            .open_file(LOCK_FILE, OFlag::O_WRONLY | OFlag::O_TRUNC)
            .map(|mut name_tag| write!(name_tag, "{}", std::process::id()));
    }
    Ok(file)
}

const fn takes_no_writes(errno: Errno) -> bool {
    matches!(errno, Errno::EROFS | Errno::ENOSPC | Errno::EDQUOT)
}

/// Locks the file of this name without waiting; `None` where there is none.
fn lock_named(root: &Dir, name: &str, flags: OFlag) -> Result<Option<Flock<File>>, LockError> {
    loop {
        // Held open for reading only: a file open for writing would forbid an operator's `remount,ro`.
        let file = match root.open_file(name, OFlag::O_RDONLY | flags) {
            Err(error) if error.errno == Errno::ENOENT => return Ok(None),
            file => file?,
        };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            // One removed between open and lock would give a second holder: look again by name.
            Ok(file) if !is_still_named(root, name, &file)? => {}
            Ok(file) => return Ok(Some(file)),
            Err((_, Errno::EWOULDBLOCK)) => {
                let mut pid = String::new();
                // Only for the message.
                let _ =
                    root.open_file(LOCK_FILE, OFlag::O_RDONLY).map(|mut file| file.read_to_string(&mut pid));
                return Err(LockError::Held { holder: describe_holder(pid.trim()) });
            }
            Err((_, errno)) => return Err(DiskError::new("flock", root.path().join(name), errno).into()),
        }
    }
}

fn is_still_named(root: &Dir, name: &str, file: &File) -> Result<bool, DiskError> {
    let opened = file.metadata().map_err(|e| DiskError::from_io("stat", root.path().join(name), &e))?;
    Ok(root.stat(name)?.is_some_and(|named| named.st_ino == opened.ino() && named.st_dev == opened.dev()))
}

pub(super) fn describe_holder(pid: &str) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    match (pid, name.trim()) {
        ("", _) => "another process".to_owned(),
        (pid, "") => format!("process {pid} (no longer visible; it may be waiting for a hung disk)"),
        (pid, name) => format!("process {pid} ({name})"),
    }
}
