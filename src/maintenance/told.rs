//! How moves stand, as a run tells it.

use super::plan::Planned;
use crate::model::{Migration, Status, Swap};

/// What came of one move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its number; 0 where it was not accepted.
    pub id: u64,
    pub tablet_id: i64,
    /// Hash of its schema.
    pub schema_hash: i32,
    /// The root it was on.
    pub from: String,
    /// The root it was to go to.
    pub to: String,
    pub bytes: u64,
    pub outcome: Outcome,
    pub reason: String,
}

/// How a move stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Moved,
    /// The destination owns the tablet, and the source is not retired yet.
    NotRetired,
    /// The source owns the tablet as before.
    Failed,
    /// Which copy a backend keeps is not known; both are whole.
    InDoubt,
    /// A root of it is not here, or it was stopped before its commit and goes on later.
    Waits,
}

impl Outcome {
    /// Its name, in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::NotRetired => "moved, source not retired",
            Self::Failed => "failed",
            Self::InDoubt => "in doubt",
            Self::Waits => "waits",
        }
    }
}

/// What a run tells while it works.
pub enum Told<'a> {
    /// The next of so many begins.
    Begins(&'a Planned, usize, usize),
    /// One has come to its end.
    Ended(&'a Moved),
}

/// A row as a run tells it.
pub(super) fn told(row: Migration) -> Moved {
    let swap = row.doris.as_ref().map_or(Swap::Open, |doris| doris.swap);
    let outcome = match (row.status, swap) {
        (Status::Completed, _) => Outcome::Moved,
        (Status::Failed | Status::Aborted, _) => Outcome::Failed,
        (_, Swap::InDoubt) => Outcome::InDoubt,
        (Status::Finalizing, _) => Outcome::NotRetired,
        // Not committed: put back for the next run or start.
        _ => Outcome::Waits,
    };
    Moved {
        id: row.id.0,
        tablet_id: row.key.tablet_id.0,
        schema_hash: row.key.schema_hash.0,
        from: row.source.path,
        to: row.destination.path,
        bytes: row.counters.total_bytes,
        outcome,
        reason: row.status_reason,
    }
}
