//! Which generations disks that are not here have, or may have, and what disks that are here had acknowledged: from notes,
//! rows, the ledger and what was last seen.

use std::collections::HashMap;

use super::findings::Findings;
use crate::model::{DiskRef, Status, TabletKey};

/// What a disk that is not here is said to have.
pub(super) struct Claim {
    pub(super) disk: DiskRef,
    /// `u64::MAX` where a swap had begun: it may have any.
    pub(super) generation: u64,
}

/// Generations that disks which are not here have, or may have.
#[derive(Default)]
pub(super) struct Elsewhere {
    /// On disks that may come back.
    pub(super) away: HashMap<TabletKey, Vec<Claim>>,
    /// On disks that were given up: only what is as new is served, and what is gone is not waited for.
    lost: HashMap<TabletKey, Claim>,
    /// On disks that are here, as it was acknowledged: they may have come back older.
    here: HashMap<TabletKey, (DiskRef, u64)>,
}

impl Elsewhere {
    /// The newest one a copy that is here has to be above. A twin of what is lost is as good as that was: it is the
    /// newest there will ever be.
    pub(super) fn newest(&self, key: TabletKey, here: Option<u64>) -> Option<u64> {
        let lost = self.lost.get(&key).map(|claim| claim.generation);
        let lost = lost.filter(|lost| here.is_none_or(|here| *lost > here));
        self.away_with(key).map(|claim| claim.generation).max(lost)
    }

    /// What was acknowledged to be on a disk that is here, where it is newer than the newest copy found.
    pub(super) fn outlived(&self, key: TabletKey, newest: Option<u64>) -> Option<&(DiskRef, u64)> {
        self.here.get(&key).filter(|(_, acknowledged)| newest.is_none_or(|newest| *acknowledged > newest))
    }

    /// The lost disk that had this generation.
    pub(super) fn lost_with(&self, key: TabletKey, generation: u64) -> Option<&DiskRef> {
        self.lost.get(&key).filter(|claim| claim.generation == generation).map(|claim| &claim.disk)
    }

    /// The highest claim of a disk that may come back.
    pub(super) fn away_with(&self, key: TabletKey) -> Option<&Claim> {
        self.away.get(&key)?.iter().max_by_key(|claim| claim.generation)
    }
}

/// Gathers them from the notes in trash, from swaps that had begun, from completed moves (a source that could not be
/// written to could not be retired, and has no note), from the ledger, and from what was last seen on those disks.
pub(super) fn elsewhere(findings: &Findings<'_>) -> Elsewhere {
    let here = |disk: &DiskRef| {
        findings.disks.iter().any(|known| {
            findings.scans[usize::from(known.index.0)].is_some()
                && known.opened.get().is_some_and(|opened| opened.identity.uuid == disk.uuid)
        })
    };
    let mut elsewhere = Elsewhere::default();
    let mut saw = |disk: &DiskRef, key, generation: u64| {
        if here(disk) {
            return;
        }
        if findings.lost.contains(&disk.uuid) {
            let newer = elsewhere.lost.get(&key).is_none_or(|known| known.generation < generation);
            if newer {
                elsewhere.lost.insert(key, Claim { disk: disk.clone(), generation });
            }
        } else {
            elsewhere.away.entry(key).or_default().push(Claim { disk: disk.clone(), generation });
        }
    };
    for scan in findings.scans.iter().flatten() {
        let whole = scan.trash.iter().filter_map(|item| item.note.as_ref());
        let cut_short = scan.unfinished_trash.iter().filter_map(|entry| entry.note.as_ref());
        for note in whole.chain(cut_short) {
            saw(&note.moved_to, note.key, note.generation);
        }
    }
    for migration in findings.unfinished.iter().filter(|migration| migration.status == Status::Finalizing) {
        // What a lost disk may have got by it has the content of the copy it was made from.
        if !findings.lost.contains(&migration.destination.uuid) {
            saw(&migration.destination, migration.key, u64::MAX);
        }
    }
    for migration in findings.finished {
        if let (Status::Completed, Some(receipt)) = (migration.status, &migration.receipt) {
            saw(&migration.destination, migration.key, receipt.generation);
        }
    }
    for line in findings.ledger {
        if let Some(owner) = &line.owner {
            saw(&owner.disk, line.key, owner.generation);
        }
        // Also where the row that says so cannot be read any more.
        for claim in line.may_own.iter().filter(|claim| !findings.lost.contains(&claim.disk.uuid)) {
            saw(&claim.disk, line.key, u64::MAX);
        }
    }
    for (disk, tablets) in &findings.last_seen {
        tablets.iter().for_each(|(key, generation)| saw(disk, *key, *generation));
    }
    let acknowledged = findings.ledger.iter().filter_map(|line| Some((line.key, line.owner.as_ref()?)));
    elsewhere.here = acknowledged
        .filter(|(_, owner)| here(&owner.disk))
        .map(|(key, owner)| (key, (owner.disk.clone(), owner.generation)))
        .collect();
    elsewhere
}
