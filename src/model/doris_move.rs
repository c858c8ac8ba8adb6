//! What a move between roots of a real Doris backend must know again after a kill, and what it moved.

use serde::{Deserialize, Serialize};

use super::{FileEntry, ShardId};

/// The part of a migration that is of Doris roots alone. Chosen once and kept: a second attempt writes the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DorisMove {
    /// The run of the program that began it, which is also the name under which `meta/` was kept.
    pub run: String,
    /// First half of the new `tablet_uid`.
    pub uid_hi: i64,
    /// Second half of it.
    pub uid_lo: i64,
    /// Seconds since 1970: the creation time that its newest rowset gets, unless it has a later one.
    pub now_s: i64,
    /// Rowsets that a compaction has replaced.
    pub stale: StaleRowsets,
    /// SHA-256 over all keys and values of the tablet at the source.
    pub before_sha256: String,
    /// The same over what is put at the destination.
    pub after_sha256: String,
    /// A copy that a backend had retired at the destination, and that goes with the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
    /// How far its swap is.
    pub swap: Swap,
    /// What becomes of its source.
    #[serde(default, skip_serializing_if = "SourceAfter::is_retired")]
    pub source_after: SourceAfter,
    /// The run that retired its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_run: Option<String>,
    /// When it was confirmed by what its backend had of it afterwards, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_ms: Option<i64>,
    /// What was moved, each file with its checksum; empty before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileEntry>,
}

/// What becomes of the source once the destination owns the tablet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceAfter {
    /// Its keys are deleted, its directory is put away.
    #[default]
    Retired,
    /// Nothing: its database is damaged, and nothing is ever written to its root.
    LeftAlone,
}

impl SourceAfter {
    const fn is_retired(&self) -> bool {
        matches!(self, Self::Retired)
    }
}

/// A retired copy of the tablet at the destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Where its directory is.
    pub shard: ShardId,
    /// SHA-256 over its keys and values.
    pub sha256: String,
}

/// What becomes of rowsets that a compaction has replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaleRowsets {
    Keep,
    /// A file of one is missing: all of them go.
    Drop,
}

/// How far the swap of a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Swap {
    /// Nothing is known of it beyond what the destination says.
    Open,
    /// The destination's batch is durable: its sync has returned.
    Durable,
    /// A call failed in the middle of it: nothing the destination says may be built on.
    InDoubt,
    /// The source has a record that outranks whatever the destination may have.
    TakenBack,
    /// The move was undone: everything is as it was before.
    Undone,
}
