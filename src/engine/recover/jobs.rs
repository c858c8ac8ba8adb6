//! What becomes of each unfinished migration, and of each staging directory, once it is known who owns the tablets.

use std::collections::{BTreeMap, HashSet};

use super::findings::{Ended, Promised};
use super::recovery::Recovery;
use crate::engine::parts::job::Job;
use crate::engine::parts::undone::Action;
use crate::fault;
use crate::model::{DiskIndex, Migration, MigrationId};
use crate::rules::recovery::{
    CopyVerdict, MigrationVerdict, Staged, StagingOwner, StagingVerdict, TabletIs, settle_copy,
    settle_migration, settle_staging,
};
use crate::storage::{Home, Purpose, StagedContent, StagingItem};

impl Recovery<'_> {
    pub(super) fn settle_migrations(&mut self) {
        let mut actions: BTreeMap<DiskIndex, Vec<Action>> = BTreeMap::new();
        let mut unfinished = std::mem::take(&mut self.findings.unfinished);
        // Only the newest migration of a tablet can still be the one that owns it.
        unfinished.sort_unstable_by_key(|migration| migration.id);
        let mut decided = Vec::with_capacity(unfinished.len());
        for migration in &unfinished {
            let tablet = self.where_is(migration.key, Some(&migration.source), &migration.destination);
            let verdict = settle_migration(migration.status, Job::gate(migration), tablet);
            tracing::info!(
                migration = %migration.id, tablet = %migration.key, status = %migration.status,
                "{}: {}", tablet.in_words(), verdict.in_words()
            );
            let action = self.action_on_copy(migration, settle_copy(verdict, tablet));
            if let (Some(action), Some(disk)) = (action, self.disk_of(&migration.destination)) {
                actions.entry(disk).or_default().push(action);
            }
            decided.push((migration.clone(), verdict));
        }
        self.settled.migrations = decided;
        self.findings.unfinished = unfinished;
        self.act(actions);
    }

    pub(super) fn settle_staging(&mut self) {
        let mut actions: BTreeMap<DiskIndex, Vec<Action>> = BTreeMap::new();
        let alive: HashSet<MigrationId> = self
            .settled
            .migrations
            .iter()
            .filter(|(_, verdict)| {
                matches!(
                    verdict,
                    MigrationVerdict::GoOn
                        | MigrationVerdict::StayPaused
                        | MigrationVerdict::StayAtGate
                        | MigrationVerdict::Wait
                )
            })
            .map(|(migration, _)| migration.id)
            .collect();
        let known: HashSet<MigrationId> =
            self.settled.migrations.iter().map(|(migration, _)| migration.id).collect();
        for (index, scan) in self.findings.scans.iter().enumerate() {
            let (Some(scan), Ok(index)) = (scan, u16::try_from(index)) else { continue };
            for item in &scan.staging {
                if self.is_of_unreadable_row(item) {
                    // Whether anybody wants it swapped in, or gone, is not known.
                    continue;
                }
                let owner = self.owner_of(item, &alive, &known);
                let tablet = self.where_is_staged(item, DiskIndex(index));
                let verdict = settle_staging(owner, staged(item.content), self.present, tablet);
                tracing::info!(
                    disk = self.disk(DiskIndex(index)).path,
                    staging = item.name,
                    "staging of {}: {}; {}: {}",
                    owner.in_words(),
                    staged(item.content).in_words(),
                    tablet.in_words(),
                    verdict.in_words()
                );
                let action = action_on_staging(item, verdict);
                match (&item.owner, verdict, action) {
                    (Some(owner), StagingVerdict::AcceptAgain, Some(staged)) => {
                        let (owner, disk) = (owner.clone(), DiskIndex(index));
                        let name = item.name.clone();
                        self.settled.accept_again.push(Promised { owner, disk, name, staged });
                    }
                    (_, _, action) => actions.entry(DiskIndex(index)).or_default().extend(action),
                }
            }
        }
        self.act(actions);
    }

    /// Where the tablet of a staging directory is.
    fn where_is_staged(&self, item: &StagingItem, disk: DiskIndex) -> TabletIs {
        if let Some(migration) = self.named_after(item) {
            return self.where_is(migration.key, Some(&migration.source), &migration.destination);
        }
        match (&item.owner, item.place, self.disk(disk).reference()) {
            (Some(owner), ..) => self.where_is(owner.key, owner.source.as_ref(), &owner.destination),
            (None, Some(place), Some(here)) => self.where_is(place.key, None, &here),
            _ => TabletIs::Gone,
        }
    }

    fn is_of_unreadable_row(&self, item: &StagingItem) -> bool {
        migration_of(item).is_some_and(|id| self.findings.unreadable_rows.contains(&id))
    }

    /// The migration that a directory without an owner is named after: a power cut may have come between the name of its
    /// owner's record and the bytes of it. The journal's row was durable before the directory was made.
    fn named_after(&self, item: &StagingItem) -> Option<&Migration> {
        let id = item.owner.is_none().then(|| item.name.parse::<MigrationId>().ok())??;
        let known = self.findings.unfinished.iter().chain(self.findings.finished);
        known.into_iter().find(|migration| migration.id == id)
    }

    /// Whose a staging directory is.
    fn owner_of(
        &self,
        item: &StagingItem,
        alive: &HashSet<MigrationId>,
        known: &HashSet<MigrationId>,
    ) -> StagingOwner {
        let by_name = || self.named_after(item).map(|migration| migration.id);
        let Some(id) = migration_of(item).or_else(by_name) else {
            // A record says as much as an owner would, but for the migration.
            let says_whose = item.owner.is_some() || item.place.is_some();
            return if says_whose { StagingOwner::CutShort } else { StagingOwner::Nobody };
        };
        match self.findings.ended.get(&id) {
            _ if alive.contains(&id) && item.name == id.to_string() => StagingOwner::Unfinished,
            // Settled by this start, and its copy with it.
            _ if known.contains(&id) => StagingOwner::Completed,
            Some(Ended::Completed) => StagingOwner::Completed,
            Some(Ended::Undone) => StagingOwner::Undone,
            None => StagingOwner::UnknownMigration,
        }
    }

    fn action_on_copy(&self, migration: &Migration, verdict: CopyVerdict) -> Option<Action> {
        let name = migration.id.to_string();
        let (key, shard) = (migration.key, migration.destination_shard);
        match verdict {
            CopyVerdict::Keep => None,
            CopyVerdict::RemoveStaging => Some(Action::RemoveStaging { name }),
            CopyVerdict::Remove => Some(Action::RemoveCopy { name, key, shard }),
            CopyVerdict::SetAside => {
                let why = format!("the copy of migration {name}; its tablet is on no disk of this node");
                Some(Action::SetCopyAside { name, key, shard, why })
            }
        }
    }
}

/// The migration that a staging directory says it is of.
fn migration_of(item: &StagingItem) -> Option<MigrationId> {
    item.owner.as_ref().filter(|owner| owner.purpose == Purpose::Migration)?.migration_id
}

const fn staged(content: StagedContent) -> Staged {
    match content {
        StagedContent::Nothing => Staged::Nothing,
        StagedContent::Files => Staged::Partial,
        StagedContent::Record | StagedContent::Foreign => Staged::Verified,
    }
}

fn action_on_staging(item: &StagingItem, verdict: StagingVerdict) -> Option<Action> {
    let name = item.name.clone();
    match (verdict, item.place) {
        (StagingVerdict::Keep | StagingVerdict::Leave, _) => None,
        (StagingVerdict::AcceptAgain | StagingVerdict::Sweep, Some(Home { key, shard_id })) => {
            Some(Action::RemoveCopy { name, key, shard: Some(shard_id) })
        }
        (StagingVerdict::SweepItself, Some(Home { key, shard_id })) if fault::is_left_out("only_itself") => {
            Some(Action::RemoveCopy { name, key, shard: Some(shard_id) })
        }
        (StagingVerdict::AcceptAgain | StagingVerdict::Sweep | StagingVerdict::SweepItself, _) => {
            Some(Action::RemoveStaging { name })
        }
        (StagingVerdict::SetAside, Some(Home { key, shard_id })) => {
            let why = format!("an unfinished copy of tablet {key}, which is on no disk of this node");
            Some(Action::SetCopyAside { name, key, shard: Some(shard_id), why })
        }
        (StagingVerdict::SetAside, _) => {
            let why = "it does not say which migration made it, if any".to_owned();
            Some(Action::SetStagingAside { name, why })
        }
    }
}
