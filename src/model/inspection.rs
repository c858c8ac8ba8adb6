//! What a look at the roots of a real Doris backend finds: what a drain would move, what it would leave and why.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Everything found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Inspection {
    /// Each root.
    pub roots: Vec<InspectedRoot>,
    /// Tablets with a record on more than one of them.
    pub on_several_roots: Vec<SeveralCopies>,
    /// How long ago the roots were read, in seconds; 0 when they were read for this answer.
    #[serde(default)]
    pub age_seconds: u64,
}

/// A tablet with a record on more than one root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SeveralCopies {
    /// Which.
    pub tablet_id: i64,
    /// Its schema.
    pub schema_hash: i32,
    /// Root, state and generation of each copy.
    pub copies: Vec<InspectedCopy>,
    /// The root whose copy a backend would keep; `null` where it could be either.
    pub owner: Option<String>,
}

/// One copy of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InspectedCopy {
    /// The root it is on.
    pub root: String,
    /// Its state, or `unreadable`.
    pub state: String,
    /// Which copy is newer.
    pub generation: Option<u64>,
}

/// One root.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InspectedRoot {
    /// Its path.
    pub root: String,
    /// The cluster it says it is of.
    pub cluster_id: Option<String>,
    /// `local`, or something that may only be looked at.
    pub deploy_mode: Option<String>,
    /// Why nothing could be read.
    pub unreadable: Option<String>,
    /// Why nothing may be written to it.
    pub refused_for_writing: Option<String>,
    /// What a rescue passed over.
    pub lost: Vec<String>,
    /// What a drain would move.
    pub would_move: InspectedSum,
    /// What it would leave.
    pub would_leave: InspectedSum,
    /// Why, with what helps.
    pub left_for: Vec<LeftFor>,
    /// Tablets of each partition.
    pub partitions: Vec<InspectedPartition>,
    /// Each tablet; the service leaves those out of which there is nothing to say.
    pub tablets: Vec<InspectedTablet>,
    /// Directories below `data/` that no record names.
    pub strays: Vec<Stray>,
    /// Keys of tablets that are gone.
    pub left_over_keys: usize,
    /// Keys that are not understood.
    pub unknown_keys: Vec<String>,
}

/// So many, and so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InspectedSum {
    /// Tablets.
    pub tablets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One reason why tablets stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LeftFor {
    /// A stable name.
    pub reason: String,
    /// Tablets it holds back.
    pub tablets: u64,
    /// What helps.
    pub way_out: String,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InspectedPartition {
    /// Its number; 0 for tablets whose record does not parse.
    pub partition_id: i64,
    /// Its tablets on this root.
    pub tablets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a drain would do with a tablet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It would move it.
    Move,
    /// It would leave it where it is.
    Leave,
}

/// One tablet of one root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InspectedTablet {
    /// Which.
    pub tablet_id: i64,
    /// Its schema.
    pub schema_hash: i32,
    /// Its table.
    pub table_id: Option<i64>,
    /// Its partition.
    pub partition_id: Option<i64>,
    /// Its state; `null` where its record does not parse.
    pub state: Option<String>,
    /// Its directory below `data/`.
    pub shard: Option<i64>,
    /// As the backend drew it.
    pub tablet_uid: Option<String>,
    /// The newest version a query sees.
    pub version: Option<i64>,
    /// Which copy is newer.
    pub generation: Option<u64>,
    /// What a drain would do with it.
    pub verdict: Verdict,
    /// Why it would be left.
    pub reasons: BTreeSet<String>,
    /// Files that its rowsets name.
    pub file_count: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that its rowsets name and its directory has not.
    pub missing: Vec<String>,
    /// Files that are not what they should be.
    pub damaged: Vec<DamagedSegment>,
    /// Files of no rowset; they would not be moved.
    pub garbage: Vec<String>,
    /// Whether a file, the directory or the record is not what it should be.
    pub is_damaged: bool,
}

/// A file that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DamagedSegment {
    /// Its name.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// A directory that no record of its root names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Stray {
    /// Below the root.
    pub path: String,
    /// Of its files, together.
    pub bytes: u64,
}

impl Inspection {
    /// Roots that cannot be read, damaged tablets, and blocks that are lost.
    pub fn damage(&self) -> usize {
        let of_root = |root: &InspectedRoot| {
            let tablets = root.tablets.iter().filter(|tablet| tablet.is_damaged).count();
            usize::from(root.unreadable.is_some()) + root.lost.len() + tablets
        };
        self.roots.iter().map(of_root).sum()
    }
}

impl InspectedTablet {
    /// Whether there is something to say of its files.
    pub const fn has_finding(&self) -> bool {
        !self.missing.is_empty() || !self.damaged.is_empty()
    }
}
