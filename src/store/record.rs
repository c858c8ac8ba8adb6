//! Records, changes, leaderships, and the trait that every store has.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Moment;
use crate::model::counted;

/// How long a leadership lasts without a word of its leader.
pub const LEASE: Duration = Duration::from_secs(10);
/// Longest value of one record. etcd takes 1.5 MiB in one request; a change has several records.
pub const VALUE_BYTES_MAX: usize = 256 << 10;
/// Changes in one transaction. etcd takes 128 operations.
pub const CHANGES_MAX: usize = 100;

/// A record as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub value: String,
    /// When it last changed.
    pub revision: u64,
}

/// Everything at one revision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    pub records: BTreeMap<String, Record>,
    pub revision: u64,
}

/// What a change takes for granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Any,
    /// There is no such record.
    Absent,
    /// It is as it was at this revision.
    Revision(u64),
}

/// One record written, or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    /// Its text; `None` removes it.
    pub value: Option<String>,
    /// What must be so.
    pub expect: Expect,
}

/// What has happened since a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// These records, each with its revision, and the revision of the store.
    Some(Vec<(String, Option<Record>)>, u64),
    /// History does not go back so far: take a snapshot.
    Compacted,
}

/// One `tabletfleet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub name: String,
    /// Where its API is.
    pub addr: String,
    pub version: String,
}

/// The right to write, while it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    /// Number of the leadership; the next one's is higher.
    pub epoch: u64,
    /// What the store holds every write against.
    pub fence: u64,
    /// Until when it may be believed without another word of the store.
    pub believed_until: Moment,
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    pub process: Process,
    /// Number of its leadership.
    pub epoch: u64,
}

/// What standing for leadership came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Leads(Leadership),
    /// Another does; none while nobody does.
    Follows(Option<Leader>),
}

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// What a change took for granted is not so.
    #[error("{0} was changed by somebody else meanwhile")]
    Conflict(String),
    /// The leadership that makes it is over.
    #[error("this process does not lead any more")]
    NotLeading,
    /// A record, or all of them together, are too large.
    #[error("too large for the store: {0}")]
    TooLarge(String),
    /// Another process has it.
    #[error("{0}")]
    InUse(String),
    /// There is no answer, and what was asked was not done.
    #[error("the store cannot be used: {0}")]
    Unavailable(String),
    /// There is no answer, and what was asked may have been done.
    #[error("the store did not answer, and may have written it: {0}")]
    Unknown(String),
}

/// What a fleet remembers.
pub trait Store: Send + Sync {
    /// `sqlite` or `etcd`.
    fn kind(&self) -> &'static str;

    /// Stands for leadership, or renews it. Asked every few seconds; what was not renewed within [`LEASE`] is over.
    ///
    /// # Errors
    /// [`StoreError`]; the belief of before lasts until its own end.
    fn lead(&self, who: &Process) -> Result<Standing, StoreError>;

    /// Gives leadership up, at once.
    ///
    /// # Errors
    /// [`StoreError`]; it then ends by itself.
    fn resign(&self) -> Result<(), StoreError>;

    /// Every process that is alive.
    ///
    /// # Errors
    /// [`StoreError`].
    fn processes(&self) -> Result<Vec<Process>, StoreError>;

    /// Everything.
    ///
    /// # Errors
    /// [`StoreError`].
    fn snapshot(&self) -> Result<Snapshot, StoreError>;

    /// What has happened since `revision`; waits a little where nothing has.
    ///
    /// # Errors
    /// [`StoreError`].
    fn changes_after(&self, revision: u64, wait: Duration) -> Result<Changes, StoreError>;

    /// All of `changes` or none of them, and only while `leadership` exists. The revision they have now.
    ///
    /// # Errors
    /// [`StoreError`].
    fn commit(&self, leadership: &Leadership, changes: &[Change]) -> Result<u64, StoreError>;
}

/// Whether every store takes these changes.
pub(super) fn check_sizes(changes: &[Change]) -> Result<(), StoreError> {
    if changes.len() > CHANGES_MAX {
        let text = format!("{} at once, at most {CHANGES_MAX}", counted(changes.len(), "record"));
        return Err(StoreError::TooLarge(text));
    }
    let size = |change: &Change| change.value.as_ref().map_or(0, String::len);
    match changes.iter().find(|change| size(change) > VALUE_BYTES_MAX) {
        Some(change) => {
            let text = format!("{} has {} bytes, at most {VALUE_BYTES_MAX}", change.key, size(change));
            Err(StoreError::TooLarge(text))
        }
        None => Ok(()),
    }
}

impl Leadership {
    /// Who leads, as others are told.
    pub fn of(&self, process: &Process) -> Leader {
        Leader { process: process.clone(), epoch: self.epoch }
    }
}
