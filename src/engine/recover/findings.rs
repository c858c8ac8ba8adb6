//! What recovery looks at, and what it comes to.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::engine::parts::catalog::Catalog;
use crate::engine::parts::disk::Disk;
use crate::engine::parts::undone::{Action, Undone};
use crate::model::{DiskIndex, DiskRef, DiskUuid, LedgerLine, Migration, MigrationId, TabletKey};
use crate::rules::recovery::MigrationVerdict;
use crate::storage::{Owner, RootScan};

/// How a migration has ended of which something is left in staging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The tablet was moved there; or only that it ended is still known.
    Completed,
    /// It was not.
    Undone,
}

/// What recovery made of the unfinished migrations.
#[derive(Default)]
pub(crate) struct Settled {
    pub(crate) catalog: Catalog,
    /// Verdict on each unfinished migration, in order of their numbers.
    pub(crate) migrations: Vec<(Migration, MigrationVerdict)>,
    /// Promised, by what a staging directory says, but unknown to the journal: to be accepted again.
    pub(crate) accept_again: Vec<Promised>,
    pub(crate) quarantined: u64,
    /// What could not be done.
    pub(crate) undone: Undone,
}

/// A migration that only its staging directory still knows of.
pub(crate) struct Promised {
    pub(crate) owner: Owner,
    pub(crate) disk: DiskIndex,
    /// The name of the directory.
    pub(crate) name: String,
    /// What becomes of it, once the migration is in the journal again, where that does not go on with it.
    pub(crate) staged: Action,
}

/// Everything recovery looks at.
pub(crate) struct Findings<'a> {
    pub(crate) disks: &'a [Arc<Disk>],
    pub(crate) scans: &'a [Option<RootScan>],
    pub(crate) unfinished: Vec<Migration>,
    /// Those that ended, as far as the journal remembers.
    pub(crate) finished: &'a [Migration],
    /// What is known for ever of tablets that were moved.
    pub(crate) ledger: &'a [LedgerLine],
    /// Those that left something in staging and have ended, and whether the tablet is where that is.
    pub(crate) ended: &'a HashMap<MigrationId, Ended>,
    /// Those of which the journal has a row that cannot be read.
    pub(crate) unreadable_rows: &'a HashSet<MigrationId>,
    /// Every disk of this node that is not here, configured or not, and what was last seen on it.
    pub(crate) last_seen: Vec<(DiskRef, Vec<(TabletKey, u64)>)>,
    pub(crate) uptime_sec: u64,
    /// Disks that were given up: what they had is not waited for.
    pub(crate) lost: &'a BTreeSet<DiskUuid>,
}
