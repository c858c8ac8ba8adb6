//! What becomes of each unfinished migration, and of each staging directory, once it is known who owns the tablets.

use std::collections::{BTreeMap, HashSet};

use super::Recovery;
use super::actions::Action;
use crate::engine::job::Job;
use crate::model::{DiskIndex, Failure, MigrationId};
use crate::rules::recovery::{
    MigrationVerdict, StagingOwner, StagingVerdict, TabletIs, settle_migration, settle_staging,
};
use crate::storage::{Place, Purpose};

impl Recovery<'_> {
    pub(super) fn settle_migrations(&mut self) -> Result<(), Failure> {
        let mut actions: BTreeMap<DiskIndex, Vec<Action>> = BTreeMap::new();
        let mut unfinished = std::mem::take(&mut self.findings.unfinished);
        // Only the newest migration of a tablet can still be the one that owns it.
        unfinished.sort_unstable_by_key(|migration| migration.id);
        for migration in &unfinished {
            let tablet = self.where_is(migration.key, Some(&migration.source), &migration.destination);
            let verdict = settle_migration(migration.status, Job::gate(migration), tablet);
            tracing::info!(
                migration = %migration.id, tablet = %migration.key, status = %migration.status,
                "found {tablet:?}: {verdict:?}"
            );
            let name = migration.id.to_string();
            match verdict {
                MigrationVerdict::Complete => {
                    if let Some(disk) = self.disk_of(&migration.destination) {
                        actions.entry(disk).or_default().push(Action::RemoveStaging { name });
                    }
                }
                MigrationVerdict::FinishAbort | MigrationVerdict::Fail => {
                    if let Some(disk) = self.disk_of(&migration.destination) {
                        let (key, shard) = (migration.key, migration.destination_shard);
                        actions.entry(disk).or_default().push(Action::RemoveCopy { name, key, shard });
                    }
                }
                MigrationVerdict::GoOn
                | MigrationVerdict::StayPaused
                | MigrationVerdict::StayAtGate
                | MigrationVerdict::Wait => {}
            }
        }
        self.settled.migrations = unfinished
            .iter()
            .map(|migration| {
                let tablet = self.where_is(migration.key, Some(&migration.source), &migration.destination);
                (migration.clone(), settle_migration(migration.status, Job::gate(migration), tablet))
            })
            .collect();
        self.findings.unfinished = unfinished;
        self.act(actions)
    }

    pub(super) fn settle_staging(&mut self) -> Result<(), Failure> {
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
                let of_migration = item
                    .owner
                    .as_ref()
                    .filter(|owner| owner.purpose == Purpose::Migration)
                    .and_then(|o| o.migration_id);
                let owner = match (of_migration, &item.owner) {
                    (Some(id), _) if alive.contains(&id) && item.name == id.to_string() => {
                        StagingOwner::Unfinished
                    }
                    (Some(id), _) if known.contains(&id) || self.findings.ended.contains(&id) => {
                        StagingOwner::Ended
                    }
                    (Some(_), _) => StagingOwner::UnknownMigration,
                    (None, Some(_)) => StagingOwner::CutShort,
                    (None, None) => StagingOwner::Nobody,
                };
                let tablet = item.owner.as_ref().map_or(TabletIs::Gone, |owner| {
                    self.where_is(owner.key, owner.source.as_ref(), &owner.destination)
                });
                let verdict = settle_staging(owner, self.present, tablet);
                tracing::info!(
                    disk = self.disk(DiskIndex(index)).path,
                    staging = item.name,
                    "{owner:?}: {verdict:?}"
                );
                if matches!(verdict, StagingVerdict::Keep | StagingVerdict::Leave) {
                    continue;
                }
                if let (Some(owner), StagingVerdict::AcceptAgain) = (&item.owner, verdict) {
                    self.settled.accept_again.push(owner.clone());
                }
                let name = item.name.clone();
                let remove = match item.place {
                    Some(Place { key, shard_id }) => Action::RemoveCopy { name, key, shard: Some(shard_id) },
                    None => Action::RemoveStaging { name },
                };
                actions.entry(DiskIndex(index)).or_default().push(remove);
            }
        }
        self.act(actions)
    }
}
