//! What giving a disk up means: the tablets, the migrations, and what becomes of each.

use std::collections::BTreeMap;

use crate::model::{DiskIndex, DiskUuid, MigrationId, RecordSummary, TabletKey};
use crate::rules::giving_up::{MigrationFate, Older, TabletFate};

/// What an operator asks of a disk that never comes back.
#[derive(Debug, Clone)]
pub struct GiveUp {
    /// The path, written as in `storage_root_path`.
    pub path: String,
    /// Whether copies older than what is lost are served.
    pub older: Older,
    /// Only look; nothing is changed.
    pub dry_run: bool,
    /// What the dry run named: the disk's uuid, or its path where none is known.
    pub confirm: Option<String>,
    pub by: String,
}

/// What is given up with a disk, or would be.
#[derive(Debug, Clone)]
pub struct Loss {
    pub path: String,
    /// The disk, where it was ever seen.
    pub uuid: Option<DiskUuid>,
    /// What this node knows of its tablets.
    pub tablets: Vec<LostTablet>,
    /// Migrations that wait for it.
    pub migrations: Vec<LostMigration>,
}

impl Loss {
    /// What has to be repeated to carry it out.
    pub fn confirmation(&self) -> String {
        self.uuid.map_or_else(|| self.path.clone(), |uuid| uuid.to_string())
    }
}

/// One tablet that the disk had, or may have had.
#[derive(Debug, Clone)]
pub struct LostTablet {
    pub key: TabletKey,
    /// The highest generation the disk had, where that is known.
    pub lost_generation: Option<u64>,
    /// What becomes of it.
    pub fate: TabletFate,
    /// The disk that serves it afterwards, or has what is left of it.
    pub left_on: Option<String>,
    /// The same in words, with what helps.
    pub detail: String,
}

/// One migration that waits for the disk.
#[derive(Debug, Clone)]
pub struct LostMigration {
    pub id: MigrationId,
    pub key: TabletKey,
    /// What becomes of it.
    pub fate: MigrationFate,
}

/// Tablets that are served from now on: by which disk, as what.
pub(super) type Served = BTreeMap<TabletKey, (DiskIndex, RecordSummary)>;

/// The disk that is given up.
pub(super) struct Gone {
    pub(super) path: String,
    /// While it is in the table of disks.
    pub(super) index: Option<DiskIndex>,
    pub(super) uuid: Option<DiskUuid>,
}

/// What becomes of the path of a disk that is given up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// It is not this node's any more.
    Leaves,
    /// Another disk takes its place.
    Stays,
}
