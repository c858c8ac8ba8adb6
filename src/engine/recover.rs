//! Start-up recovery: settles whatever the disks and the journal hold. What to do is decided in
//! [`crate::rules::recovery`]; here it is looked up and done.
//!
//! Order matters. Ownership is settled first, from the disks alone, and the owner is synced before anything else is
//! retired: after a SIGKILL its rename may be in memory only. Then each unfinished migration, then each staging directory.
//! Every action is safe to repeat: a start that is killed is settled by the next one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::catalog::{Catalog, Entry};
use super::disk::{Disk, visit};
use super::job::now_ms;
use super::line::{content_crc32, remove_copy};
use crate::model::{
    DiskIndex, DiskRef, ErrorCode, Failure, Migration, MigrationId, RecordSummary, ShardId, Status, TabletKey,
};
use crate::rules::recovery::{
    CopyFound, Disks, MigrationVerdict, Ownership, Soundness, StagingOwner, StagingVerdict, TabletIs,
    Unavailable, settle_migration, settle_ownership, settle_staging,
};
use crate::storage::layout::tablet_dir;
use crate::storage::{
    MetadataStore, NativeStore, Owner, Purpose, Quarantined, RetiredNote, Root, RootScan, finish_retiring,
    quarantine, retire,
};
use crate::transfer::check_source;

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
    pub(super) ended: &'a HashSet<MigrationId>,
    pub(super) uptime_sec: u64,
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
        newest_elsewhere: newest_elsewhere(&findings),
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
    newest_elsewhere: HashMap<TabletKey, u64>,
    settled: Settled,
}

/// Generations that disks which are not here have, or may have: from the notes in trash, and from swaps that had begun.
fn newest_elsewhere(findings: &Findings<'_>) -> HashMap<TabletKey, u64> {
    let here = |disk: &DiskRef| {
        findings.disks.iter().any(|known| {
            findings.scans[usize::from(known.index.0)].is_some()
                && known.opened.get().is_some_and(|opened| opened.identity.uuid == disk.uuid)
        })
    };
    let mut newest: HashMap<TabletKey, u64> = HashMap::new();
    let mut saw = |key, generation: u64| {
        let known = newest.entry(key).or_default();
        *known = generation.max(*known);
    };
    for scan in findings.scans.iter().flatten() {
        let whole = scan.trash.iter().filter_map(|item| item.note.as_ref());
        for note in
            whole.chain(scan.half_retired.iter().map(|(_, note)| note)).filter(|note| !here(&note.moved_to))
        {
            saw(note.key, note.generation);
        }
    }
    for migration in findings.unfinished.iter().filter(|migration| migration.status == Status::Finalizing) {
        if !here(&migration.destination) {
            saw(migration.key, u64::MAX);
        }
    }
    newest
}

/// What recovery does on one disk.
enum Action {
    Sync,
    Retire { note: RetiredNote },
    FinishRetiring { note: RetiredNote, entry: String },
    Quarantine { key: TabletKey, shard: ShardId, why: String },
    QuarantineRecord { name: String, why: String },
    RemoveCopy { name: String, key: TabletKey, shard: Option<ShardId> },
    RemoveStaging { name: String },
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
            visit(self.disk(index), ACTION_WAIT, move |root, store| {
                root.check_identity()?;
                actions.into_iter().try_for_each(|action| act(root, store, action))?;
                // What was settled stays settled, whatever happens next.
                Ok(root.dir().sync_file_system()?)
            })?;
        }
        Ok(())
    }

    fn settle_tablets(&mut self) -> Result<(), Failure> {
        let mut copies = self.collect();
        let mut syncs: BTreeMap<DiskIndex, Vec<Action>> = BTreeMap::new();
        let mut actions: BTreeMap<DiskIndex, Vec<Action>> = BTreeMap::new();
        let mut from = 0;
        copies.sort_unstable_by_key(|copy| (copy.key, copy.disk));
        while from < copies.len() {
            let key = copies[from].key;
            let to = from + copies[from..].iter().take_while(|copy| copy.key == key).count();
            self.settle_tablet(key, &copies[from..to], &mut syncs, &mut actions)?;
            from = to;
        }
        for (key, generation) in self.newest_elsewhere.clone() {
            if self.settled.catalog.get(key).is_none() && self.settled.catalog.why_unavailable(key).is_none()
            {
                let why = self.on_missing_disk(key, generation);
                self.settled.catalog.set_unavailable(key, Unavailable::NewerOnMissingDisk, why);
            }
        }
        self.remember_generations();
        self.finish_retirements(&mut actions);
        self.act(syncs)?;
        self.act(actions)
    }

    /// Every copy with a record, good or not, of every disk.
    fn collect(&self) -> Vec<Copy> {
        let mut copies = Vec::new();
        for (index, scan) in self.findings.scans.iter().enumerate() {
            let (Some(scan), Ok(index)) = (scan, u16::try_from(index)) else { continue };
            let disk = DiskIndex(index);
            let missing: HashSet<_> = scan.without_directory.iter().collect();
            copies.extend(scan.records.iter().map(|record| Copy {
                key: record.key,
                disk,
                record: Some(*record),
                damage: missing.contains(&record.key).then(|| "its directory is missing".to_owned()),
                record_name: None,
            }));
            copies.extend(scan.damaged.iter().filter_map(|(name, key, why)| {
                tracing::error!(disk = self.disk(disk).path, record = name, "damaged metadata record: {why}");
                Some(Copy {
                    key: (*key)?,
                    disk,
                    record: None,
                    damage: Some(format!("its record {why}")),
                    record_name: Some(name.clone()),
                })
            }));
        }
        copies
    }

    fn settle_tablet(
        &mut self,
        key: TabletKey,
        copies: &[Copy],
        syncs: &mut BTreeMap<DiskIndex, Vec<Action>>,
        actions: &mut BTreeMap<DiskIndex, Vec<Action>>,
    ) -> Result<(), Failure> {
        let elsewhere = self.newest_elsewhere.get(&key).copied();
        // The usual case, a million times: one sound copy and nobody who contradicts it.
        if let ([Copy { disk, record: Some(record), damage: None, .. }], None) = (copies, elsewhere) {
            self.settled.catalog.insert(key, Entry::new(*disk, record));
            return Ok(());
        }
        let found = copies.iter().map(|copy| self.examine(copy)).collect::<Result<Vec<_>, _>>()?;
        match settle_ownership(&found, elsewhere, self.present) {
            Ownership::Unavailable(kind) => {
                let why = match kind {
                    Unavailable::NewerOnMissingDisk => self.on_missing_disk(key, elsewhere.unwrap_or(0)),
                    Unavailable::Contradiction => "two good copies of one generation differ".to_owned(),
                    Unavailable::NoGoodCopy => {
                        let damage: Vec<_> = copies
                            .iter()
                            .map(|copy| {
                                let what =
                                    copy.damage.as_deref().unwrap_or("its files differ from its manifest");
                                format!("on {}: {what}", self.disk(copy.disk).path)
                            })
                            .collect();
                        damage.join("; ")
                    }
                };
                tracing::error!(tablet = %key, "unavailable: {why}");
                self.settled.catalog.set_unavailable(key, kind, why);
            }
            Ownership::Owner { disk, retire, quarantine } => {
                let Some(owner) = copies.iter().find(|copy| copy.disk == disk).and_then(|copy| copy.record)
                else {
                    return Ok(());
                };
                self.settled.catalog.insert(key, Entry::new(disk, &owner));
                if !retire.is_empty() || !quarantine.is_empty() {
                    syncs.entry(disk).or_insert_with(|| vec![Action::Sync]);
                }
                for copy in copies.iter().filter(|copy| retire.contains(&copy.disk)) {
                    let Some(record) = copy.record else { continue };
                    tracing::warn!(
                        tablet = %key,
                        "generation {} on {} is retired: {} has generation {}",
                        record.generation, self.disk(copy.disk).path, self.disk(disk).path, owner.generation
                    );
                    let note = self.note(key, record.shard_id, disk, owner.generation);
                    let half =
                        self.half_retired(copy.disk, key).map(|(entry, note)| (entry.clone(), note.clone()));
                    let action = match half {
                        Some((entry, note)) => Action::FinishRetiring { note, entry },
                        None => Action::Retire { note },
                    };
                    actions.entry(copy.disk).or_default().push(action);
                }
                for copy in copies.iter().filter(|copy| quarantine.contains(&copy.disk)) {
                    let why = copy
                        .damage
                        .clone()
                        .unwrap_or_else(|| "its files differ from its manifest".to_owned());
                    tracing::error!(tablet = %key, disk = self.disk(copy.disk).path, "set aside: {why}");
                    self.settled.quarantined += 1;
                    let action = match (&copy.record_name, copy.record) {
                        (Some(name), _) => Action::QuarantineRecord { name: name.clone(), why },
                        (None, Some(record)) => Action::Quarantine { key, shard: record.shard_id, why },
                        (None, None) => continue,
                    };
                    actions.entry(copy.disk).or_default().push(action);
                }
            }
        }
        Ok(())
    }

    /// Looks closer at a copy that is not alone: its record in full, and its files by name and size.
    fn examine(&self, copy: &Copy) -> Result<CopyFound, Failure> {
        let Some(summary) = copy.record else {
            return Ok(CopyFound {
                disk: copy.disk,
                generation: 0,
                soundness: Soundness::Bad,
                content_crc32: 0,
            });
        };
        let key = copy.key;
        let content = visit(self.disk(copy.disk), ACTION_WAIT, move |root, store| {
            let Some(record) = store.get(key)? else { return Ok(None) };
            let Some(dir) = root.dir().open_if_exists(tablet_dir(record.shard_id, key))? else {
                return Ok(None);
            };
            Ok(check_source(&dir, &record.manifest).ok().map(|()| content_crc32(&record.manifest)))
        })?;
        Ok(CopyFound {
            disk: copy.disk,
            generation: summary.generation,
            soundness: if content.is_some() { Soundness::Good } else { Soundness::Bad },
            content_crc32: content.unwrap_or(0),
        })
    }

    /// The trash entry that was made for a copy of this tablet on this disk, but that it has not reached whole.
    fn half_retired(&self, disk: DiskIndex, key: TabletKey) -> Option<&(String, RetiredNote)> {
        self.scan(disk)?.half_retired.iter().find(|(_, note)| note.key == key)
    }

    /// Finishes every retirement that was cut short, where the owner it was made way for is here.
    fn finish_retirements(&self, actions: &mut BTreeMap<DiskIndex, Vec<Action>>) {
        for (index, scan) in self.findings.scans.iter().enumerate() {
            let (Some(scan), Ok(index)) = (scan, u16::try_from(index)) else { continue };
            for (entry, note) in &scan.half_retired {
                let owner = self.settled.catalog.get(note.key);
                if owner.is_some_and(|owner| owner.disk.0 != index && owner.generation >= note.generation) {
                    let action = Action::FinishRetiring { note: note.clone(), entry: entry.clone() };
                    actions.entry(DiskIndex(index)).or_default().push(action);
                }
            }
        }
    }

    fn note(&self, key: TabletKey, shard_id: ShardId, owner: DiskIndex, generation: u64) -> RetiredNote {
        let disk = self.disk(owner);
        RetiredNote {
            key,
            shard_id,
            migration_id: None,
            moved_to: disk.reference().unwrap_or_else(|| DiskRef {
                uuid: crate::model::DiskUuid(uuid::Uuid::nil()),
                path: disk.path.clone(),
            }),
            generation,
            retired_ms: now_ms(),
            uptime_sec: self.findings.uptime_sec,
        }
    }

    fn on_missing_disk(&self, key: TabletKey, generation: u64) -> String {
        let moved_to = self
            .findings
            .scans
            .iter()
            .flatten()
            .flat_map(|scan| scan.trash.iter().filter_map(|item| item.note.as_ref()))
            .find(|note| note.key == key && note.generation == generation)
            .map(|note| &note.moved_to)
            .or_else(|| {
                let unfinished = self.findings.unfinished.iter();
                unfinished
                    .rev()
                    .find(|migration| migration.key == key)
                    .map(|migration| &migration.destination)
            });
        moved_to.map_or_else(
            || "on a disk that is not here".to_owned(),
            |disk| format!("on disk {} ({}), which is not here now", disk.path, disk.uuid),
        )
    }

    /// A new generation must be above everything ever seen, trash and quarantine included.
    fn remember_generations(&mut self) {
        for scan in self.findings.scans.iter().flatten() {
            let trashed = scan.trash.iter().flat_map(|item| {
                let own = item.record.as_ref().map(|record| record.generation);
                let later = item.note.as_ref().map(|note| note.generation);
                own.into_iter().chain(later).map(|generation| (item.key, generation))
            });
            let records = scan.records.iter().map(|record| (record.key, record.generation));
            let losers = records.filter(|(key, generation)| {
                self.settled.catalog.get(*key).is_none_or(|entry| entry.generation < *generation)
            });
            let all: Vec<_> = trashed.chain(scan.quarantined.iter().copied()).chain(losers).collect();
            for (key, generation) in all {
                self.settled.catalog.saw_generation(key, generation);
            }
        }
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

    fn settle_migrations(&mut self) -> Result<(), Failure> {
        let mut actions: BTreeMap<DiskIndex, Vec<Action>> = BTreeMap::new();
        let mut unfinished = std::mem::take(&mut self.findings.unfinished);
        // Only the newest migration of a tablet can still be the one that owns it.
        unfinished.sort_unstable_by_key(|migration| migration.id);
        for migration in &unfinished {
            let tablet = self.where_is(migration.key, Some(&migration.source), &migration.destination);
            let verdict = settle_migration(migration.status, tablet);
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
                MigrationVerdict::GoOn | MigrationVerdict::StayPaused | MigrationVerdict::Wait => {}
            }
        }
        self.settled.migrations = unfinished
            .iter()
            .map(|migration| {
                let tablet = self.where_is(migration.key, Some(&migration.source), &migration.destination);
                (migration.clone(), settle_migration(migration.status, tablet))
            })
            .collect();
        self.findings.unfinished = unfinished;
        self.act(actions)
    }

    fn settle_staging(&mut self) -> Result<(), Failure> {
        let mut actions: BTreeMap<DiskIndex, Vec<Action>> = BTreeMap::new();
        let alive: HashSet<MigrationId> = self
            .settled
            .migrations
            .iter()
            .filter(|(_, verdict)| {
                matches!(
                    verdict,
                    MigrationVerdict::GoOn | MigrationVerdict::StayPaused | MigrationVerdict::Wait
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
                let remove = match (&item.owner, verdict) {
                    (_, StagingVerdict::Keep | StagingVerdict::Leave) => continue,
                    (None, _) => Action::RemoveStaging { name: item.name.clone() },
                    (Some(owner), verdict) => {
                        if verdict == StagingVerdict::AcceptAgain {
                            self.settled.accept_again.push(owner.clone());
                        }
                        let (key, shard) = (owner.key, Some(owner.shard_id));
                        Action::RemoveCopy { name: item.name.clone(), key, shard }
                    }
                };
                actions.entry(DiskIndex(index)).or_default().push(remove);
            }
        }
        self.act(actions)
    }
}

/// A copy of a tablet, as a scan saw it.
struct Copy {
    key: TabletKey,
    disk: DiskIndex,
    record: Option<RecordSummary>,
    damage: Option<String>,
    record_name: Option<String>,
}

fn act(root: &Root, store: &NativeStore, action: Action) -> Result<(), Failure> {
    match action {
        Action::Sync => root.dir().sync_file_system()?,
        Action::Retire { note } => {
            let path = retire(root.dir(), store, &note)?;
            tracing::warn!(tablet = %note.key, "retired to {path}");
        }
        Action::FinishRetiring { note, entry } => {
            let path = finish_retiring(root.dir(), store, &note, &entry)?;
            tracing::info!(tablet = %note.key, "retirement finished in {path}");
        }
        Action::Quarantine { key, shard, why } => {
            quarantine(root.dir(), store, &Quarantined::Tablet { shard, key }, &why)?;
        }
        Action::QuarantineRecord { name, why } => {
            quarantine(root.dir(), store, &Quarantined::Record { name: &name }, &why)?;
        }
        Action::RemoveCopy { name, key, shard } => remove_copy(root, store, &name, key, shard)?,
        Action::RemoveStaging { name } => {
            let migrating = root.dir().open(crate::storage::layout::MIGRATING)?;
            if migrating.kind(&name)? == Some(crate::storage::EntryKind::Directory) {
                crate::storage::remove_staging(&migrating, &name)?;
            } else {
                migrating.unlink(&name)?;
            }
        }
    }
    Ok(())
}

/// The failure of a migration whose tablet is no longer where it was.
pub(super) fn moved_away(key: TabletKey) -> Failure {
    Failure::new(ErrorCode::TabletNotFound, format!("tablet {key} is gone, or was moved elsewhere meanwhile"))
}
