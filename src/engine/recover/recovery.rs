//! What a recovery has settled so far, and how it acts on disks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::elsewhere::Elsewhere;
use super::findings::{Findings, Settled};
use crate::engine::parts::actions::act;
use crate::engine::parts::disk::{Disk, note_storage_error, visit};
use crate::engine::parts::undone::{Action, Left};
use crate::fault;
use crate::model::{DiskIndex, DiskRef, MigrationId, TabletKey};
use crate::rules::recovery::{Disks, TabletIs};
use crate::storage::{RootScan, StorageError};

/// A disk that does not answer this long during recovery is not waited for.
pub(crate) const ACTION_WAIT: Duration = Duration::from_secs(600);

pub(super) fn moves(findings: &Findings<'_>) -> HashMap<TabletKey, Vec<(MigrationId, DiskRef)>> {
    let mut moves: HashMap<_, Vec<_>> = HashMap::new();
    for row in findings.finished.iter().chain(&findings.unfinished) {
        moves.entry(row.key).or_default().push((row.id, row.destination.clone()));
    }
    moves
}

pub(super) struct Recovery<'a> {
    pub(super) findings: Findings<'a>,
    /// Whether every configured disk is here.
    pub(super) configured: Disks,
    /// Whether every disk of this node is, those included that were taken out of the configuration and never forgotten.
    pub(super) present: Disks,
    pub(super) elsewhere: Elsewhere,
    /// Where the migrations of each tablet went: asked for each of the tablets of a disk that is not here.
    pub(super) moves: HashMap<TabletKey, Vec<(MigrationId, DiskRef)>>,
    /// Tablets of which a copy could not be read, and what the disk said.
    pub(super) unreadable: HashMap<TabletKey, String>,
    /// Disks whose sync failed, and what they said: no other copy of what they own goes.
    pub(super) unsynced: HashMap<DiskIndex, String>,
    pub(super) settled: Settled,
}

impl Recovery<'_> {
    pub(super) fn disk(&self, index: DiskIndex) -> &Arc<Disk> {
        &self.findings.disks[usize::from(index.0)]
    }

    pub(super) fn scan(&self, index: DiskIndex) -> Option<&RootScan> {
        self.findings.scans[usize::from(index.0)].as_ref()
    }

    pub(super) fn disk_of(&self, reference: &DiskRef) -> Option<DiskIndex> {
        self.findings
            .disks
            .iter()
            .find(|disk| disk.opened.get().is_some_and(|opened| opened.identity.uuid == reference.uuid))
            .filter(|disk| self.scan(disk.index).is_some())
            .map(|disk| disk.index)
    }

    /// Syncs owners. One that cannot be synced owns all the same, but may have its copy in memory only: what others
    /// have of its tablets stays where it is.
    pub(super) fn sync(&mut self, owners: BTreeSet<DiskIndex>) {
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
    pub(super) fn act(&mut self, actions: BTreeMap<DiskIndex, Vec<Action>>) {
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
    pub(super) fn why_not(&self, disk: &Disk, action: &Action) -> Option<String> {
        if disk.is_read_only() {
            return Some(format!("{} is read-only", disk.path));
        }
        let owner = self.settled.catalog.get(action.key()?)?.disk;
        self.unsynced.get(&owner).cloned()
    }

    pub(super) fn leave(&mut self, disk: &Disk, action: Action, why: String) {
        assert!(!fault::is_left_out("undone"), "{}: {why}", disk.path);
        let owner = action.key().and_then(|key| self.settled.catalog.get(key));
        let size_bytes = owner.map_or(0, |owner| owner.size_bytes);
        self.settled.undone.leave(disk, Left::new(action, size_bytes, why));
    }

    /// Entries that a scan could not read are left as they are.
    pub(super) fn name_unreadable(&mut self) {
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

    pub(super) fn where_is(
        &self,
        key: TabletKey,
        source: Option<&DiskRef>,
        destination: &DiskRef,
    ) -> TabletIs {
        let catalog = &self.settled.catalog;
        match catalog.get(key) {
            None if fault::is_left_out("owner_seen") => TabletIs::OnSource,
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
