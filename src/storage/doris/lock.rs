//! The lock of a Doris root: the one that a backend, or its `meta_tool`, holds on `meta/LOCK` as long as it runs.

use std::fs::File;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::storage::lock::describe_holder;
use crate::storage::{Dir, DiskError};

const LOCK: &str = "meta/LOCK";

/// Held while we work on a Doris root; released by drop or by the end of the process.
///
/// A lock of an open file description (`F_OFD_SETLK`): it conflicts with RocksDB's own `F_SETLK`, and it survives the
/// closing of other descriptors of the file, which would end a POSIX lock (`doris-roots` 5.1).
#[derive(Debug)]
pub struct DorisLock {
    _file: File,
}

/// Why a Doris root cannot be locked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DorisLockError {
    /// A backend, or another program that works on its database, runs.
    #[error("the root is in use by {holder}; stop it first")]
    Held {
        /// What the kernel says of its holder.
        holder: String,
    },
    /// A system call failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl DorisLock {
    /// Takes the lock without waiting. On a file system that takes no writes it is a shared one, which a backend's
    /// conflicts with as well.
    ///
    /// # Errors
    /// Somebody holds it; or the file cannot be opened, since no backend has started with the root yet.
    pub fn acquire(root: &Dir) -> Result<Self, DorisLockError> {
        match root.open_file(LOCK, OFlag::O_RDWR) {
            Err(error) if error.errno == Errno::EROFS => Self::acquire_shared(root),
            file => Self::take(file?, root, libc::F_WRLCK),
        }
    }

    /// Takes a lock that keeps a backend out and needs no right to write: of a root that is only read.
    ///
    /// # Errors
    /// As [`DorisLock::acquire`].
    pub fn acquire_shared(root: &Dir) -> Result<Self, DorisLockError> {
        Self::take(root.open_file(LOCK, OFlag::O_RDONLY)?, root, libc::F_RDLCK)
    }

    fn take(file: File, root: &Dir, kind: libc::c_int) -> Result<Self, DorisLockError> {
        let mut whole = whole_file(kind);
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)) {
            Ok(_) => Ok(Self { _file: file }),
            Err(Errno::EAGAIN | Errno::EACCES) => {
                // Only for the message.
                let _ = fcntl(&file, FcntlArg::F_OFD_GETLK(&mut whole));
                Err(DorisLockError::Held { holder: holder(&whole) })
            }
            Err(errno) => Err(DiskError::new("fcntl(F_OFD_SETLK)", root.path().join(LOCK), errno).into()),
        }
    }
}

#[allow(clippy::cast_possible_truncation)] // Constants of `fcntl.h`, which the kernel keeps in 16 bits.
const fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 }
}

/// A lock of an open file description has no process to name.
fn holder(found: &libc::flock) -> String {
    match found.l_pid {
        // RocksDB takes one with a process: this is one of ours.
        ..=0 => "a tabletd or a run of tabletctl doris".to_owned(),
        pid => describe_holder(&pid.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, Dir) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("meta")).unwrap();
        std::fs::write(dir.path().join(LOCK), "").unwrap();
        let root = Dir::open_absolute(dir.path()).unwrap();
        (dir, root)
    }

    #[test]
    fn one_holds_it_and_closing_another_descriptor_does_not_let_go() {
        let (dir, root) = root();
        let held = DorisLock::acquire(&root).unwrap();
        drop(File::open(dir.path().join(LOCK)).unwrap());
        let refused = DorisLock::acquire(&root).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the root is in use by a tabletd or a run of tabletctl doris; stop it first"
        );
        drop(held);
        DorisLock::acquire(&root).unwrap();
    }

    #[test]
    fn the_lock_that_rocksdb_takes_is_seen_and_its_holder_named() {
        let (dir, root) = root();
        let file = std::fs::OpenOptions::new().write(true).open(dir.path().join(LOCK)).unwrap();
        fcntl(&file, FcntlArg::F_SETLK(&whole_file(libc::F_WRLCK))).unwrap();
        let refused = DorisLock::acquire(&root).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {} (", std::process::id())), "{refused}");
        drop(file);
        DorisLock::acquire(&root).unwrap();
    }

    #[test]
    fn a_root_that_no_backend_has_started_with_is_not_given_a_lock_file() {
        let dir = tempfile::tempdir().unwrap();
        let root = Dir::open_absolute(dir.path()).unwrap();
        assert!(matches!(DorisLock::acquire(&root), Err(DorisLockError::Disk(_))));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
