//! The lock that makes a root one process's own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use super::dir::Dir;
use super::error::DiskError;
use super::layout::LOCK_FILE;

/// Held while a process owns a root; released by drop or by the end of the process.
#[derive(Debug)]
pub struct RootLock {
    _file: Flock<File>,
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
    /// Another process holds it; or the file cannot be opened (a read-only file system answers `EROFS`).
    pub fn acquire(root: &Dir) -> Result<Self, LockError> {
        loop {
            // Held open for reading only: a file open for writing would forbid an operator's `remount,ro`.
            let file = root.open_file(LOCK_FILE, OFlag::O_RDONLY | OFlag::O_CREAT)?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // A lock file removed between open and lock would give a second holder: look again by name.
                Ok(file) if !is_still_named(root, &file)? => {}
                Ok(file) => {
                    let failed =
                        |e: std::io::Error| DiskError::from_io("write", root.path().join(LOCK_FILE), &e);
                    let mut name_tag = root.open_file(LOCK_FILE, OFlag::O_WRONLY | OFlag::O_TRUNC)?;
                    write!(name_tag, "{}", std::process::id()).map_err(failed)?;
                    return Ok(Self { _file: file });
                }
                Err((mut file, Errno::EWOULDBLOCK)) => {
                    let mut pid = String::new();
                    // Only for the message.
                    let _ = file.read_to_string(&mut pid);
                    return Err(LockError::Held { holder: describe_holder(pid.trim()) });
                }
                Err((_, errno)) => {
                    return Err(DiskError::new("flock", root.path().join(LOCK_FILE), errno).into());
                }
            }
        }
    }
}

fn is_still_named(root: &Dir, file: &File) -> Result<bool, DiskError> {
    let opened = file.metadata().map_err(|e| DiskError::from_io("stat", root.path().join(LOCK_FILE), &e))?;
    Ok(root
        .stat(LOCK_FILE)?
        .is_some_and(|named| named.st_ino == opened.ino() && named.st_dev == opened.dev()))
}

fn describe_holder(pid: &str) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    match (pid, name.trim()) {
        ("", _) => "another process".to_owned(),
        (pid, "") => format!("process {pid} (no longer visible; it may be waiting for a hung disk)"),
        (pid, name) => format!("process {pid} ({name})"),
    }
}
