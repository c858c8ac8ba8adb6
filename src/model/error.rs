//! Error codes: the flat, stable list that clients, the journal and exit statuses share.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::cut;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What went wrong, by a name that does not change between releases.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

error_codes! {
    /// A parameter is missing, repeated, unknown or not of its form.
    InvalidArgument = "INVALID_ARGUMENT",
    /// No tablet of that id on this node.
    TabletNotFound = "TABLET_NOT_FOUND",
    /// The tablet exists under another schema hash.
    SchemaHashMismatch = "SCHEMA_HASH_MISMATCH",
    /// The tablet's owner is on a disk that is not here now, or its copies contradict each other.
    TabletUnavailable = "TABLET_UNAVAILABLE",
    /// No configured disk is written that way.
    DiskNotFound = "DISK_NOT_FOUND",
    /// The disk is broken, suspect, hung, disabled or read-only.
    DiskUnavailable = "DISK_UNAVAILABLE",
    /// A disk of that path, or with what it holds, is known to this node already.
    DiskExists = "DISK_EXISTS",
    /// The disk holds something, or is to receive something: it cannot go.
    DiskInUse = "DISK_IN_USE",
    /// The tablet is on that disk already.
    AlreadyOnDisk = "ALREADY_ON_DISK",
    /// The move would take the destination past its capacity limit, moves in flight counted.
    DiskFull = "DISK_FULL",
    /// Another migration owns the tablet, or an operation has it.
    MigrationExists = "MIGRATION_EXISTS",
    /// No migration of that number or for that tablet is known.
    MigrationNotFound = "MIGRATION_NOT_FOUND",
    /// No task of that number is known.
    TaskNotFound = "TASK_NOT_FOUND",
    /// There is no plan for what was asked, or it cannot be done in full.
    PlanRefused = "PLAN_REFUSED",
    /// The node is no longer as it was when the plan was made.
    PlanDrifted = "PLAN_DRIFTED",
    /// The queue is at its bound.
    QueueFull = "QUEUE_FULL",
    /// More requests of one kind are under way than the node takes at once; nothing was done.
    TooManyRequests = "TOO_MANY_REQUESTS",
    /// That step or action is not allowed in the present status.
    IllegalTransition = "ILLEGAL_TRANSITION",
    /// That step cannot be run now; the message lists those that can.
    StepNotAllowed = "STEP_NOT_ALLOWED",
    /// What the request takes for granted of the tablet is not so.
    PreconditionFailed = "PRECONDITION_FAILED",
    /// The idempotency key was used for another request, or for one that is still being accepted.
    IdempotencyMismatch = "IDEMPOTENCY_MISMATCH",
    /// The move cannot be taken back; the message says why.
    NotRevertible = "NOT_REVERTIBLE",
    /// Bytes of the source differ from its manifest, or a file is missing: the source is reported and left alone.
    SourceDamaged = "SOURCE_DAMAGED",
    /// A disk did not give bytes of the source: which, the message says. That is no damage: another read may give them.
    SourceUnreadable = "SOURCE_UNREADABLE",
    /// The source directory holds something that is not one of the tablet's files.
    UnexpectedEntry = "UNEXPECTED_ENTRY",
    /// What was read back from the destination differs from what was written.
    ReadBackMismatch = "READ_BACK_MISMATCH",
    /// A sync failed: the copy is dropped and the disk suspect.
    SyncFailed = "SYNC_FAILED",
    /// No space, quota, inodes or file size left on the destination.
    NoSpace = "NO_SPACE",
    /// Any other error of a system call on a disk.
    IoError = "IO_ERROR",
    /// The disk at that path is no longer the one that was opened there.
    DiskChanged = "DISK_CHANGED",
    /// A metadata record does not parse, or its checksum is wrong.
    RecordDamaged = "RECORD_DAMAGED",
    /// An operator stopped it.
    Aborted = "ABORTED",
    TimedOut = "TIMED_OUT",
    /// The journal cannot be written: nothing new is accepted.
    JournalUnavailable = "JOURNAL_UNAVAILABLE",
    /// The daemon is stopping.
    ShuttingDown = "SHUTTING_DOWN",
    /// Nothing in trash to restore or purge under that name.
    TrashNotFound = "TRASH_NOT_FOUND",
    /// Nothing in quarantine under that name.
    QuarantineNotFound = "QUARANTINE_NOT_FOUND",
    /// No operation of that number is remembered.
    OperationNotFound = "OPERATION_NOT_FOUND",
    /// Another operation has the tablet.
    OperationExists = "OPERATION_EXISTS",
    /// The tablet is whole: there is nothing to heal.
    NotDamaged = "NOT_DAMAGED",
    /// Only something older than the tablet was, or may be, can be served; nobody has accepted that.
    OnlyOlderCopy = "ONLY_OLDER_COPY",
    /// Nobody knows which disk owns the tablet of a swap, and neither takes the record that would end the doubt.
    SwapInDoubt = "SWAP_IN_DOUBT",
    /// A limit on threads, descriptors or memory was met.
    ResourceExhausted = "RESOURCE_EXHAUSTED",
    /// A broken invariant of ours.
    Internal = "INTERNAL",
}

impl ErrorCode {
    /// Whether it means that there is no space, which is waited for.
    pub const fn is_want_of_space(self) -> bool {
        matches!(self, Self::NoSpace | Self::DiskFull)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal or a failure, as it is shown and journalled: a code for programs and a sentence for people that names the
/// value and, where there is one, the way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub code: ErrorCode,
    /// What happened, to what, and what helps.
    pub message: String,
}

impl Failure {
    /// A failure of kind `code`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: cut(message.into()) }
    }
}
