//! Start-up recovery: settles whatever the disks and the journal hold. What to do is decided in
//! [`crate::rules::recovery`]; here it is looked up and done.
//!
//! Order matters. Ownership is settled first, from the disks alone, and the owner is synced before anything else is
//! retired: after a SIGKILL its rename may be in memory only. Then each unfinished migration, then each staging directory.
//! Every action is safe to repeat: a start that is killed is settled by the next one.

mod actions;
mod jobs;
mod look;
mod ownership;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::catalog::Catalog;
use super::disk::{Disk, visit};
use crate::model::{DiskIndex, DiskRef, DiskUuid, ErrorCode, Failure, Migration, MigrationId, TabletKey};
use crate::rules::recovery::{Disks, MigrationVerdict, TabletIs};
use crate::storage::{Owner, RootScan};
use actions::{Action, act};
pub(super) use look::{Look, look, look_at};
use ownership::{Elsewhere, elsewhere};

/// A disk that does not answer this long during recovery is not waited for.
const ACTION_WAIT: Duration = Duration::from_secs(600);

/// What recovery made of the unfinished migrations.
#[derive(Default)]
pub(super) struct Settled {
    pub(super) catalog: Catalog,
    /// Verdict on each unfinished migration, in order of their numbers.
    pub(super) migrations: Vec<(Migration, MigrationVerdict)>,
    /// Promised, by what a staging directory says, but unknown to the journal: to be accepted again.
    pub(super) accept_again: Vec<Owner>,
    /// Copies set aside.
    pub(super) quarantined: u64,
}

/// Everything recovery looks at.
pub(super) struct Findings<'a> {
    pub(super) disks: &'a [Arc<Disk>],
    pub(super) scans: &'a [Option<RootScan>],
    pub(super) unfinished: Vec<Migration>,
    /// Those that ended, as far as the journal remembers.
    pub(super) finished: &'a [Migration],
    pub(super) ended: &'a HashSet<MigrationId>,
    /// What was last seen on disks that could not be opened.
    pub(super) last_seen: Vec<(DiskRef, Vec<(TabletKey, u64)>)>,
    pub(super) uptime_sec: u64,
    /// Disks that were given up: what they had is not waited for.
    pub(super) lost: &'a BTreeSet<DiskUuid>,
}

/// Settles everything.
///
/// # Errors
/// A disk failed while something on it was settled. Nothing was lost; the next start goes on.
pub(super) fn settle(findings: Findings<'_>) -> Result<Settled, Failure> {
    let mut recovery = Recovery {
        present: if findings.scans.iter().all(Option::is_some) {
            Disks::AllPresent
        } else {
            Disks::SomeMissing
        },
        elsewhere: elsewhere(&findings),
        unreadable: HashMap::new(),
        settled: Settled::default(),
        findings,
    };
    recovery.settle_tablets()?;
    recovery.settle_migrations()?;
    recovery.settle_staging()?;
    Ok(recovery.settled)
}

struct Recovery<'a> {
    findings: Findings<'a>,
    present: Disks,
    elsewhere: Elsewhere,
    /// Tablets of which a copy could not be read, and what the disk said.
    unreadable: HashMap<TabletKey, String>,
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

    /// Does a list of things on each disk: all disks of one list are done before the next list begins.
    fn act(&self, actions: BTreeMap<DiskIndex, Vec<Action>>) -> Result<(), Failure> {
        for (index, actions) in actions.into_iter().filter(|(_, actions)| !actions.is_empty()) {
            if self.disk(index).is_read_only() {
                tracing::warn!(
                    disk = self.disk(index).path,
                    "{} things are left to do on it, being read-only; they are done once it takes writes again",
                    actions.len()
                );
                continue;
            }
            visit(self.disk(index), ACTION_WAIT, move |root, store| {
                root.check_identity()?;
                actions.into_iter().try_for_each(|action| act(root, store, action))?;
                // What was settled stays settled, whatever happens next.
                Ok(root.dir().sync_file_system()?)
            })?;
        }
        Ok(())
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
            None => TabletIs::Gone,
        }
    }
}

/// The failure of a migration whose tablet is no longer where it was.
pub(super) fn moved_away(key: TabletKey) -> Failure {
    Failure::new(ErrorCode::TabletNotFound, format!("tablet {key} is gone, or was moved elsewhere meanwhile"))
}
