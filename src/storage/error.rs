//! Errors of one disk. Each says what was being done, to which path, and what the system answered.

use std::path::PathBuf;

use nix::errno::Errno;

use crate::model::{ErrorCode, Failure};

/// A system call on a disk failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {}: {}", path.display(), describe(*errno))]
pub struct DiskError {
    /// The call, e.g. `open` or `syncfs`.
    pub operation: &'static str,
    /// What it was made on.
    pub path: PathBuf,
    /// What the system answered.
    pub errno: Errno,
}

fn describe(errno: Errno) -> String {
    format!("{} ({errno:?})", errno.desc())
}

impl DiskError {
    /// An error of `operation` on `path`.
    pub fn new(operation: &'static str, path: impl Into<PathBuf>, errno: Errno) -> Self {
        Self { operation, path: path.into(), errno }
    }

    /// From what `std::io` reports; an error without a number becomes `EIO`.
    pub fn from_io(operation: &'static str, path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        Self::new(operation, path, error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }

    /// Whether the call was one that makes bytes durable. After such a failure nothing written since the last good
    /// sync can be believed (`reference: fsync failures, ATC 2020`).
    pub fn is_sync(&self) -> bool {
        matches!(self.operation, "fsync" | "fdatasync" | "syncfs" | "sync_file_range" | "close")
    }

    /// Whether the disk did not give what it holds. The kernel has a word for each way: `EIO` through the page cache; of a
    /// read past it `ENODATA` (medium), `EREMOTEIO` (target) and `EILSEQ` (protection); `EBADMSG` and `EUCLEAN` of what a
    /// file system finds wrong on the way to a file.
    fn is_unreadable(&self) -> bool {
        let reads = matches!(self.operation, "open" | "read" | "stat" | "readdir");
        let given_nothing = matches!(
            self.errno,
            Errno::EIO | Errno::ENODATA | Errno::EREMOTEIO | Errno::EILSEQ | Errno::EBADMSG | Errno::EUCLEAN
        );
        reads && given_nothing
    }

    /// As the failure of somebody who reads a tablet.
    pub fn on_source(self) -> Failure {
        if self.is_unreadable() {
            return Failure::new(ErrorCode::SourceUnreadable, format!("{self}; it was left as it is"));
        }
        self.into()
    }

    /// The same of a read of a file.
    pub fn on_source_at(self, offset_bytes: u64, length_bytes: u64) -> Failure {
        if self.is_unreadable() {
            let text = format!(
                "{self}, {length_bytes} bytes at offset {offset_bytes} were not given; the file was left as it is"
            );
            return Failure::new(ErrorCode::SourceUnreadable, text);
        }
        self.into()
    }

    /// The code clients see.
    pub fn code(&self) -> ErrorCode {
        match self.errno {
            Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG => ErrorCode::NoSpace,
            // Also of a sync: the disk takes no writes, which is no fault of what was written.
            Errno::EROFS => ErrorCode::DiskUnavailable,
            _ if self.is_sync() => ErrorCode::SyncFailed,
            Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN => ErrorCode::ResourceExhausted,
            Errno::ENODEV | Errno::ENXIO | Errno::ESHUTDOWN | Errno::ENOTCONN => ErrorCode::DiskUnavailable,
            _ => ErrorCode::IoError,
        }
    }
}

/// What can be wrong below one root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// A system call failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A metadata record does not parse or its checksum is wrong.
    #[error("metadata record {}: {why}", path.display())]
    Record {
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What was written a moment ago reads back from the medium as something else: the disk cannot be believed.
    #[error("{}: {why}", path.display())]
    ReadBack { path: PathBuf, why: String },
    /// The directory at the root's path is no longer the one that was opened.
    #[error("{}: {why}; nothing was written", path.display())]
    Changed { path: PathBuf, why: String },
    /// A directory entry that is not what its place demands (a symlink, a device, a stranger).
    #[error("{}: {why}", path.display())]
    Unexpected {
        path: PathBuf,
        /// What it is and what was expected.
        why: String,
    },
    /// A file that should be there is not, or differs from the manifest.
    #[error("{}: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
}

impl StorageError {
    /// As the failure of somebody who reads a tablet.
    pub fn on_source(self) -> Failure {
        match self {
            Self::Disk(error) => error.on_source(),
            error => error.into(),
        }
    }

    /// The code clients see.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Disk(error) => error.code(),
            Self::Record { .. } => ErrorCode::RecordDamaged,
            Self::ReadBack { .. } => ErrorCode::ReadBackMismatch,
            Self::Changed { .. } => ErrorCode::DiskChanged,
            Self::Unexpected { .. } => ErrorCode::UnexpectedEntry,
            Self::Damaged { .. } => ErrorCode::SourceDamaged,
        }
    }
}

/// Why a commit failed, and what that leaves behind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The store is as it was, and the staged record stands where it stood.
    #[error("{0}")]
    NotCommitted(StorageError),
    /// Whether the staged record owns the tablet is unknown until the store is read again from the medium.
    #[error("{0}")]
    InDoubt(StorageError),
}

impl CommitError {
    /// What happened on the disk.
    pub const fn cause(&self) -> &StorageError {
        match self {
            Self::NotCommitted(error) | Self::InDoubt(error) => error,
        }
    }
}

impl From<CommitError> for StorageError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::NotCommitted(error) | CommitError::InDoubt(error) => error,
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        StorageError::from(error).into()
    }
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_disk_did_not_give_is_said_with_its_place_and_is_another_matter_than_a_dead_disk() {
        for errno in [Errno::EIO, Errno::ENODATA, Errno::EREMOTEIO, Errno::EUCLEAN] {
            let failure = DiskError::new("read", "/d/f", errno).on_source_at(8192, 4096);
            assert_eq!(failure.code, ErrorCode::SourceUnreadable, "{failure}");
            assert!(failure.message.contains("4096 bytes at offset 8192"), "{failure}");
        }
        for (operation, errno, code) in [
            ("read", Errno::ENODEV, ErrorCode::DiskUnavailable),
            ("read", Errno::EACCES, ErrorCode::IoError),
            ("write", Errno::EIO, ErrorCode::IoError),
            ("syncfs", Errno::EIO, ErrorCode::SyncFailed),
        ] {
            assert_eq!(DiskError::new(operation, "/d/f", errno).on_source().code, code, "{operation}");
        }
    }
}
