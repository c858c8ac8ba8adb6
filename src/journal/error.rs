//! What can go wrong with the journal. Each error names the file, what was being done, and the way out.

use std::io;
use std::path::PathBuf;

use crate::model::{ErrorCode, MigrationId, Status, TabletKey, quoted};

use super::DamagedRow;

/// The journal cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A system call on the state directory or on a file in it failed.
    #[error("{doing} {}: {source}; check the disk and the permissions of the state directory", quoted(path))]
    Io {
        /// What was being done.
        doing: &'static str,
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else stands where the state directory, or a directory above it, is to be.
    #[error("state_dir {}: {} is not a directory; move it away, or name another state_dir", dir.display(), part.display())]
    NoDirectory {
        dir: PathBuf,
        /// What is in the way.
        part: PathBuf,
    },
    /// Another program has the journal open.
    #[error(
        "journal {} is in use by {holder}; stop it, or give this daemon a state directory of its own",
        quoted(file)
    )]
    InUse {
        file: PathBuf,
        /// Who holds it, as far as known.
        holder: String,
    },
    /// There is something at the journal's path that is not a regular file.
    #[error(
        "{} is not a regular file; move it away, the journal is never followed through a link",
        quoted(file)
    )]
    NotRegular { file: PathBuf },
    /// The file was written by a newer release. It was not touched.
    #[error(
        "journal {} has format version {found}, this release knows versions up to {known}; start the newer \
         release, or move the file away to begin without the history",
        quoted(file)
    )]
    Newer {
        file: PathBuf,
        found: i32,
        /// The highest version known here.
        known: i32,
    },
    /// The file was written before the first release. It was not touched.
    #[error(
        "journal {} has format version {found}, this release knows versions from {oldest}; start release 0.1.0 once, \
         which upgrades it, or move the file away to begin without the history",
        quoted(file)
    )]
    TooOld {
        file: PathBuf,
        found: i32,
        /// The lowest version known here.
        oldest: i32,
    },
    /// The file is an SQLite database of another program. It was not touched.
    #[error(
        "{} is an SQLite database, but no journal of tabletd (application id {found:#010x}); move it away or \
         choose another state directory",
        quoted(file)
    )]
    Foreign {
        file: PathBuf,
        /// The application id in its header.
        found: u32,
    },
    /// A file made a moment ago cannot be read back as a journal.
    #[error(
        "journal {} was just made and is already unreadable ({reason}); replace the disk below it",
        quoted(file)
    )]
    FreshUnreadable { file: PathBuf, reason: String },
    /// SQLite reported an error. From the first one on the journal takes no more writes.
    #[error("{doing} in {}: {source}; check the disk below it, then restart the daemon", quoted(file))]
    Sqlite {
        file: PathBuf,
        /// What was being done.
        doing: &'static str,
        source: rusqlite::Error,
    },
    /// There is no space below the journal. Nothing was written, and nothing but space is missing.
    #[error(
        "state_dir {} is full ({doing}): nothing is accepted or changed until there is space; free some on its file \
         system, and the journal goes on by itself",
        dir.display()
    )]
    Full {
        /// The directory it is in.
        dir: PathBuf,
        /// What was being done.
        doing: &'static str,
    },
    /// An earlier error stopped all writing.
    #[error(
        "journal {} takes no more writes since an earlier error ({first_error}); check the disk below it, then \
         restart the daemon",
        quoted(file)
    )]
    Unavailable {
        file: PathBuf,
        /// The first error, in words.
        first_error: String,
    },
    /// The row asked for does not parse or contradicts itself. It is kept as it is.
    #[error(
        "{row} in {}; the row is kept as it is, what the disks hold decides about the tablet",
        quoted(file)
    )]
    Damaged { file: PathBuf, row: DamagedRow },
}

impl JournalError {
    /// Whether nothing but space was missing.
    pub const fn is_want_of_space(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// The code clients see.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Damaged { .. } => ErrorCode::RecordDamaged,
            Self::Io { .. }
            | Self::NoDirectory { .. }
            | Self::InUse { .. }
            | Self::NotRegular { .. }
            | Self::Newer { .. }
            | Self::TooOld { .. }
            | Self::Foreign { .. }
            | Self::FreshUnreadable { .. }
            | Self::Sqlite { .. }
            | Self::Full { .. }
            | Self::Unavailable { .. } => ErrorCode::JournalUnavailable,
        }
    }
}

/// One operation of a batch was not applied, for a reason of its own; the others of the batch were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// An update of a migration that is not in the journal under that tablet.
    #[error(
        "no migration {id} of tablet {key} in the journal; it was never accepted, or it is finished and pruned"
    )]
    UnknownMigration { id: MigrationId, key: TabletKey },
    /// An update of a migration whose end is in the journal already.
    #[error("migration {id} is {status} in the journal; that it is {late} came too late and is not written")]
    Ended {
        id: MigrationId,
        status: String,
        /// What would have been written over it.
        late: Status,
    },
    /// Every migration number is used up.
    #[error(
        "all 9223372036854775807 migration numbers are used up; move the journal away to begin a new one"
    )]
    NumbersExhausted,
}

impl Refused {
    /// The code clients see.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownMigration { .. } => ErrorCode::MigrationNotFound,
            Self::Ended { .. } => ErrorCode::IllegalTransition,
            Self::NumbersExhausted => ErrorCode::ResourceExhausted,
        }
    }
}
