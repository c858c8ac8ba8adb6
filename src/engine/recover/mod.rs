//! Start-up recovery: settles whatever the disks and the journal hold. What to do is decided in
//! [`crate::rules::recovery`]; here it is looked up and done.
//!
//! Order matters. Ownership is settled first, from the disks alone, and the owner is synced before anything else is
//! retired: after a SIGKILL its rename may be in memory only. Then each unfinished migration, then each staging directory.
//! Every action is safe to repeat: a start that is killed is settled by the next one.

mod actions;
mod elsewhere;
mod jobs;
mod look;
pub(crate) mod open;
mod ownership;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::parts::catalog::Catalog;
use super::parts::disk::{Disk, note_storage_error, visit};
use super::parts::undone::{Action, Left, Undone};
use crate::model::{
    DiskIndex, DiskRef, DiskUuid, ErrorCode, Failure, LedgerLine, Migration, MigrationId, TabletKey,
};
use crate::rules::recovery::{Disks, MigrationVerdict, TabletIs};
use crate::storage::{Owner, RootScan, StorageError};
pub(super) use actions::act;
use elsewhere::{Elsewhere, elsewhere};
pub(super) use look::{Look, look, look_at};

/// A disk that does not answer this long during recovery is not waited for.
const ACTION_WAIT: Duration = Duration::from_secs(600);

/// How a migration has ended of which something is left in staging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The tablet was moved there; or only that it ended is still known.
    Completed,
    /// It was not.
    Undone,
}

/// What recovery made of the unfinished migrations.
#[derive(Default)]
pub(super) struct Settled {
    pub(super) catalog: Catalog,
    /// Verdict on each unfinished migration, in order of their numbers.
    pub(super) migrations: Vec<(Migration, MigrationVerdict)>,
    /// Promised, by what a staging directory says, but unknown to the journal: to be accepted again.
    pub(super) accept_again: Vec<Promised>,
    /// Copies set aside.
    pub(super) quarantined: u64,
    /// What could not be done.
    pub(super) undone: Undone,
}

/// A migration that only its staging directory still knows of.
pub(super) struct Promised {
    pub(super) owner: Owner,
    pub(super) disk: DiskIndex,
    /// The name of the directory.
    pub(super) name: String,
    /// What becomes of it, once the migration is in the journal again, where that does not go on with it.
    pub(super) staged: Action,
}

/// Everything recovery looks at.
pub(super) struct Findings<'a> {
    pub(super) disks: &'a [Arc<Disk>],
    pub(super) scans: &'a [Option<RootScan>],
    pub(super) unfinished: Vec<Migration>,
    /// Those that ended, as far as the journal remembers.
    pub(super) finished: &'a [Migration],
    /// What is known for ever of tablets that were moved.
    pub(super) ledger: &'a [LedgerLine],
    /// Those that left something in staging and have ended, and whether the tablet is where that is.
    pub(super) ended: &'a HashMap<MigrationId, Ended>,
    /// Those of which the journal has a row that cannot be read.
    pub(super) unreadable_rows: &'a HashSet<MigrationId>,
    /// Every disk of this node that is not here, configured or not, and what was last seen on it.
    pub(super) last_seen: Vec<(DiskRef, Vec<(TabletKey, u64)>)>,
    pub(super) uptime_sec: u64,
    /// Disks that were given up: what they had is not waited for.
    pub(super) lost: &'a BTreeSet<DiskUuid>,
}

/// Settles everything. What cannot be done on a disk is left undone, and named: it concerns that disk or that tablet.
pub(super) fn settle(findings: Findings<'_>) -> Settled {
    let all_opened = findings.scans.iter().all(Option::is_some);
    let present = |all: bool| if all { Disks::AllPresent } else { Disks::SomeMissing };
    let mut recovery = Recovery {
        configured: present(all_opened),
        present: present(all_opened && findings.last_seen.is_empty()),
        elsewhere: elsewhere(&findings),
        moves: moves(&findings),
        unreadable: HashMap::new(),
        unsynced: HashMap::new(),
        settled: Settled::default(),
        findings,
    };
    recovery.name_unreadable();
    recovery.settle_tablets();
    recovery.settle_migrations();
    recovery.settle_staging();
    recovery.settled
}

fn moves(findings: &Findings<'_>) -> HashMap<TabletKey, Vec<(MigrationId, DiskRef)>> {
    let mut moves: HashMap<_, Vec<_>> = HashMap::new();
    for row in findings.finished.iter().chain(&findings.unfinished) {
        moves.entry(row.key).or_default().push((row.id, row.destination.clone()));
    }
    moves
}

struct Recovery<'a> {
    findings: Findings<'a>,
    /// Whether every configured disk is here.
    configured: Disks,
    /// Whether every disk of this node is, those included that were taken out of the configuration and never forgotten.
    present: Disks,
    elsewhere: Elsewhere,
    /// Where the migrations of each tablet went: asked for each of the tablets of a disk that is not here.
    moves: HashMap<TabletKey, Vec<(MigrationId, DiskRef)>>,
    /// Tablets of which a copy could not be read, and what the disk said.
    unreadable: HashMap<TabletKey, String>,
    /// Disks whose sync failed, and what they said: no other copy of what they own goes.
    unsynced: HashMap<DiskIndex, String>,
    settled: Settled,
}

impl Recovery<'_> {
    fn disk(&self, index: DiskIndex) -> &Arc<Disk> {
        &self.findings.disks[usize::from(index.0)]
    }

    fn scan(&self, index: DiskIndex) -> Option<&RootScan> {
        self.findings.scans[usize::from(index.0)].as_ref()
    }

    fn disk_of(&self, reference: &DiskRef) -> Option<DiskIndex> {
        self.findings
            .disks
            .iter()
            .find(|disk| disk.opened.get().is_some_and(|opened| opened.identity.uuid == reference.uuid))
            .filter(|disk| self.scan(disk.index).is_some())
            .map(|disk| disk.index)
    }

    /// Syncs owners. One that cannot be synced owns all the same, but may have its copy in memory only: what others
    /// have of its tablets stays where it is.
    fn sync(&mut self, owners: BTreeSet<DiskIndex>) {
        for index in owners {
            let disk = Arc::clone(self.disk(index));
            let own = Arc::clone(&disk);
            let synced = visit(&disk, ACTION_WAIT, move |root, _| {
                root.check_identity()?;
                let synced = root.dir().sync_file_system().map_err(StorageError::from);
                Ok(synced.inspect_err(|error| note_storage_error(&own, error))?)
            });
            if let Err(failure) = synced {
                tracing::error!(disk = disk.path, "no other copy of what it owns goes: {failure}");
                self.unsynced
                    .insert(index, format!("{}, which owns it, could not be synced: {failure}", disk.path));
            }
        }
    }

    /// Does a list of things on each disk: all disks of one list are done before the next list begins. What cannot be
    /// done is left undone.
    fn act(&mut self, actions: BTreeMap<DiskIndex, Vec<Action>>) {
        for (index, actions) in actions {
            let disk = Arc::clone(self.disk(index));
            let mut may_go = Vec::new();
            for action in actions {
                match self.why_not(&disk, &action) {
                    Some(why) => self.leave(&disk, action, why),
                    None => may_go.push(action),
                }
            }
            if may_go.is_empty() {
                continue;
            }
            let own = (Arc::clone(&disk), may_go.clone());
            let done = visit(&disk, ACTION_WAIT, move |root, store| {
                let (disk, actions) = own;
                root.check_identity()?;
                let outcomes: Vec<_> = actions
                    .into_iter()
                    .map(|action| act(root, store, action).map_err(|f| f.message))
                    .collect();
                // What was settled stays settled, whatever happens next.
                let synced = root.dir().sync_file_system().map_err(StorageError::from);
                synced.inspect_err(|error| note_storage_error(&disk, error))?;
                Ok(outcomes)
            });
            let outcomes = done.unwrap_or_else(|failure| vec![Err(failure.message); may_go.len()]);
            for (action, outcome) in may_go.into_iter().zip(outcomes) {
                if let Err(why) = outcome {
                    self.leave(&disk, action, why);
                }
            }
        }
    }

    /// Why nothing of the kind may be tried now.
    fn why_not(&self, disk: &Disk, action: &Action) -> Option<String> {
        if disk.is_read_only() {
            return Some(format!("{} is read-only", disk.path));
        }
        let owner = self.settled.catalog.get(action.key()?)?.disk;
        self.unsynced.get(&owner).cloned()
    }

    fn leave(&mut self, disk: &Disk, action: Action, why: String) {
        let owner = action.key().and_then(|key| self.settled.catalog.get(key));
        let size_bytes = owner.map_or(0, |owner| owner.size_bytes);
        self.settled.undone.leave(disk, Left::new(action, size_bytes, why));
    }

    /// Entries that a scan could not read are left as they are.
    fn name_unreadable(&mut self) {
        for (disk, scan) in self.findings.disks.iter().zip(self.findings.scans) {
            for entry in scan.iter().flat_map(|scan| &scan.unreadable) {
                self.settled.undone.cannot_read(disk, entry.clone());
            }
        }
    }

    /// Whether a disk is away that nobody has given up, by whatever still names it.
    fn may_come_back(&self, reference: &DiskRef) -> bool {
        self.disk_of(reference).is_none() && !self.findings.lost.contains(&reference.uuid)
    }

    fn where_is(&self, key: TabletKey, source: Option<&DiskRef>, destination: &DiskRef) -> TabletIs {
        let catalog = &self.settled.catalog;
        match catalog.get(key) {
            Some(entry) if Some(entry.disk) == self.disk_of(destination) => TabletIs::OnDestination,
            Some(entry) if source.and_then(|disk| self.disk_of(disk)) == Some(entry.disk) => {
                TabletIs::OnSource
            }
            Some(_) => TabletIs::OnOtherDisk,
            None if catalog.why_unavailable(key).is_some() => TabletIs::Unavailable,
            // A tablet that was on a disk which is not here is not gone.
            None if self.present == Disks::SomeMissing => TabletIs::Unavailable,
            None if source.into_iter().chain([destination]).any(|disk| self.may_come_back(disk)) => {
                TabletIs::Unavailable
            }
            None => TabletIs::Gone,
        }
    }
}

/// The failure of a migration whose tablet is no longer where it was.
pub(super) fn moved_away(key: TabletKey) -> Failure {
    Failure::new(ErrorCode::TabletNotFound, format!("tablet {key} is gone, or was moved elsewhere meanwhile"))
}
