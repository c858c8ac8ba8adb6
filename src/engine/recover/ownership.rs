//! Who owns each tablet, from the disks alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::look::{Look, look};
use super::recovery::Recovery;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::entry::Entry;
use crate::engine::parts::undone::Action;
use crate::model::{DiskIndex, DiskRef, RecordSummary, ShardId, TabletKey};
use crate::rules::recovery::{
    CopyFound, Known, OwnerIs, Ownership, Soundness, TrashVerdict, Unavailable, settle_ownership,
    settle_trash,
};
use crate::storage::{RetiredNote, UnfinishedEntry};

/// A copy of a tablet, as a scan saw it.
struct Copy {
    key: TabletKey,
    disk: DiskIndex,
    record: Option<RecordSummary>,
    damage: Option<String>,
    record_name: Option<String>,
}

impl Recovery<'_> {
    pub(super) fn settle_tablets(&mut self) {
        let mut copies = self.collect();
        let mut syncs: BTreeSet<DiskIndex> = BTreeSet::new();
        let mut actions: BTreeMap<DiskIndex, Vec<Action>> = BTreeMap::new();
        let mut from = 0;
        copies.sort_unstable_by_key(|copy| (copy.key, copy.disk));
        while from < copies.len() {
            let key = copies[from].key;
            let to = from + copies[from..].iter().take_while(|copy| copy.key == key).count();
            self.settle_tablet(key, &mut copies[from..to], &mut syncs, &mut actions);
            from = to;
        }
        for (key, why) in self.unreadable.clone() {
            // What it would say may be newer than all that can be read.
            tracing::error!(tablet = %key, "unavailable: {why}");
            self.settled.catalog.set_unavailable(key, Unavailable::NewerOnMissingDisk, why);
        }
        for (key, claims) in std::mem::take(&mut self.elsewhere.away) {
            let newest = claims.iter().max_by_key(|claim| claim.generation);
            if self.settled.catalog.get(key).is_none() && self.settled.catalog.why_unavailable(key).is_none()
            {
                let why = newest.map_or_else(String::new, |claim| self.on_disk_away(&claim.disk));
                self.settled.catalog.set_unavailable(key, Unavailable::NewerOnMissingDisk, why);
            }
            for claim in &claims {
                self.settled.catalog.claim(key, claim.disk.uuid, claim.generation);
            }
        }
        self.remember_generations();
        self.finish_trash(&mut actions);
        self.sync(syncs);
        self.act(actions);
    }

    /// Every copy with a record, good or not, of every disk. What a scan calls damaged may be a disk that failed once: it
    /// is looked at again.
    fn collect(&mut self) -> Vec<Copy> {
        let mut copies = Vec::new();
        for (index, scan) in self.findings.scans.iter().enumerate() {
            let (Some(scan), Ok(index)) = (scan, u16::try_from(index)) else { continue };
            let disk = DiskIndex(index);
            let missing: HashSet<_> = scan.without_directory.iter().collect();
            let unseen: HashMap<_, _> = scan.unseen_directory.iter().map(|(key, why)| (key, why)).collect();
            for record in &scan.records {
                let mut damage = missing.contains(&record.key).then(|| "its directory is missing".to_owned());
                if let Some(why) = unseen.get(&record.key) {
                    let path = &self.findings.disks[usize::from(index)].path;
                    tracing::error!(disk = path, tablet = %record.key, "its directory was not seen: {why}");
                    match self.look(disk, record.key) {
                        Look::Sound { .. } => {}
                        Look::Damaged(why) => damage = Some(why),
                        Look::Unreadable(why) => {
                            let why = format!("a copy on {path} cannot be read: {why}");
                            self.unreadable.insert(record.key, why);
                            continue;
                        }
                    }
                }
                copies.push(Copy { key: record.key, disk, record: Some(*record), damage, record_name: None });
            }
            for (name, key, why) in &scan.damaged {
                let path = &self.findings.disks[usize::from(index)].path;
                tracing::error!(disk = path, record = name, "damaged metadata record: {why}");
                let Some(key) = *key else { continue };
                let (record, damage) = match self.look(disk, key) {
                    Look::Sound { record, .. } => (Some(record), None),
                    Look::Damaged(_) => (None, Some(format!("its record {why}"))),
                    Look::Unreadable(why) => {
                        self.unreadable.insert(key, format!("a copy on {path} cannot be read: {why}"));
                        continue;
                    }
                };
                let record_name = record.is_none().then(|| name.clone());
                copies.push(Copy { key, disk, record, damage, record_name });
            }
        }
        copies
    }

    /// A disk that does not answer at all has not given the copy.
    fn look(&self, disk: DiskIndex, key: TabletKey) -> Look {
        look(self.disk(disk), key).unwrap_or_else(|failure| Look::Unreadable(failure.message))
    }

    fn settle_tablet(
        &mut self,
        key: TabletKey,
        copies: &mut [Copy],
        syncs: &mut BTreeSet<DiskIndex>,
        actions: &mut BTreeMap<DiskIndex, Vec<Action>>,
    ) {
        // The usual case, a million times: one sound copy and nobody who contradicts it.
        if let [Copy { disk, record: Some(record), damage: None, .. }] = &*copies
            && self.elsewhere.newest(key, Some(record.generation)).is_none()
            && self.elsewhere.outlived(key, Some(record.generation)).is_none()
        {
            self.settled.catalog.insert(key, Entry::new(*disk, record));
            return;
        }
        let found = copies.iter_mut().map(|copy| self.examine(copy)).collect::<Vec<_>>();
        let copies = &*copies;
        if self.unreadable.contains_key(&key) {
            return;
        }
        let good = found.iter().filter(|copy| copy.soundness == Soundness::Good);
        let newest = good.map(|copy| copy.generation).max();
        let elsewhere = self.elsewhere.newest(key, newest);
        let outlived = self.elsewhere.outlived(key, newest).cloned();
        let known = Known { elsewhere, acknowledged: outlived.as_ref().map(|(_, generation)| *generation) };
        match settle_ownership(&found, known, self.configured) {
            Ownership::Unavailable(kind) => {
                let why = self.why_unavailable(key, kind, copies, &found, (elsewhere, outlived.as_ref()));
                tracing::error!(tablet = %key, "unavailable: {why}");
                self.settled.catalog.set_unavailable(key, kind, why);
                if let Some((disk, generation)) = outlived {
                    self.settled.catalog.hold_against(key, disk.uuid, generation);
                }
            }
            Ownership::Owner { disk, retire, quarantine } => {
                let owner = copies.iter().find(|copy| copy.disk == disk).and_then(|copy| copy.record);
                let Some(owner) = owner else { return };
                self.settled.catalog.insert(key, Entry::new(disk, &owner));
                if self.disk(disk).is_read_only() && copies.len() > 1 {
                    // What it shows may be in memory only, and it cannot be synced: the others stay.
                    let path = &self.disk(disk).path;
                    tracing::warn!(tablet = %key, "served from {path}, which is read-only; other copies are left alone");
                    return;
                }
                if !retire.is_empty() || !quarantine.is_empty() {
                    syncs.insert(disk);
                }
                for copy in copies.iter().filter(|copy| retire.contains(&copy.disk)) {
                    let action = self.retire(copy, (disk, owner.generation));
                    actions.entry(copy.disk).or_default().extend(action);
                }
                for copy in copies.iter().filter(|copy| quarantine.contains(&copy.disk)) {
                    let action = self.set_aside(copy);
                    actions.entry(copy.disk).or_default().extend(action);
                }
            }
        }
    }

    /// Why nobody serves a tablet, in words. `newer` is what disks that are away may have, and what one that is here had
    /// acknowledged.
    fn why_unavailable(
        &self,
        key: TabletKey,
        kind: Unavailable,
        copies: &[Copy],
        found: &[CopyFound],
        (elsewhere, outlived): (Option<u64>, Option<&(DiskRef, u64)>),
    ) -> String {
        match kind {
            Unavailable::NewerOnMissingDisk => match self.elsewhere.away_with(key) {
                Some(claim) if Some(claim.generation) == elsewhere => self.on_disk_away(&claim.disk),
                _ => self.on_missing_disk(key, elsewhere.unwrap_or(0)),
            },
            Unavailable::Contradiction => "two good copies of one generation differ".to_owned(),
            Unavailable::NoGoodCopy => {
                let gone = outlived.map(|(disk, generation)| {
                    format!("generation {generation} of it was on {}, and is not there any more", disk.path)
                });
                let bad = copies.iter().zip(found).filter(|(_, found)| found.soundness == Soundness::Bad);
                let damage = bad.map(|(copy, _)| {
                    let what = copy.damage.as_deref().unwrap_or("its files differ from its manifest");
                    format!("on {}: {what}", self.disk(copy.disk).path)
                });
                gone.into_iter().chain(damage).collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// What becomes of a copy that the owner has outlived.
    fn retire(&self, copy: &Copy, (owner, generation): (DiskIndex, u64)) -> Option<Action> {
        let record = copy.record?;
        tracing::warn!(
            tablet = %copy.key,
            "generation {} on {} is retired: {} has generation {generation}",
            record.generation, self.disk(copy.disk).path, self.disk(owner).path
        );
        Some(Action::Retire { note: self.note(copy.key, record.shard_id, owner, generation) })
    }

    /// What becomes of a copy that is bad.
    fn set_aside(&mut self, copy: &Copy) -> Option<Action> {
        let why = copy.damage.clone().unwrap_or_else(|| "its files differ from its manifest".to_owned());
        tracing::error!(tablet = %copy.key, disk = self.disk(copy.disk).path, "set aside: {why}");
        self.settled.quarantined += 1;
        match (&copy.record_name, copy.record) {
            (Some(name), _) => Some(Action::QuarantineRecord { name: name.clone(), why }),
            (None, Some(record)) => Some(Action::Quarantine { key: copy.key, shard: record.shard_id, why }),
            (None, None) => None,
        }
    }

    /// Looks closer at a copy that is not alone: its record in full, and its files by name and size. Notes a tablet of
    /// which a copy cannot be read. What a checkpoint vouched for is good enough for a tablet that nobody contradicts, not
    /// for one of which a copy may be retired: what the record says now is what counts.
    fn examine(&mut self, copy: &mut Copy) -> CopyFound {
        let bad = |generation| CopyFound {
            disk: copy.disk,
            generation,
            soundness: Soundness::Bad,
            content_crc32: 0,
        };
        let Some(summary) = copy.record else { return bad(0) };
        match self.look(copy.disk, copy.key) {
            Look::Sound { record, content_crc32 } => {
                copy.record = Some(record);
                CopyFound { soundness: Soundness::Good, content_crc32, ..bad(record.generation) }
            }
            Look::Damaged(_) => bad(summary.generation),
            Look::Unreadable(why) => {
                let why = format!("a copy on {} cannot be read: {why}", self.disk(copy.disk).path);
                self.unreadable.insert(copy.key, why);
                bad(summary.generation)
            }
        }
    }

    /// Finishes every retirement and every purge that was cut short.
    fn finish_trash(&self, actions: &mut BTreeMap<DiskIndex, Vec<Action>>) {
        for (index, scan) in self.findings.scans.iter().enumerate() {
            let (Some(scan), Ok(index)) = (scan, u16::try_from(index)) else { continue };
            let disk = DiskIndex(index);
            for left in &scan.unfinished_trash {
                actions.entry(disk).or_default().extend(self.finish_entry(disk, left));
            }
        }
    }

    fn finish_entry(&self, disk: DiskIndex, left: &UnfinishedEntry) -> Vec<Action> {
        let entry = || left.entry.clone();
        // A header says the same as a note, but for the owner: it had a higher generation.
        let noted = left.note.as_ref().map(|note| (note.key, note.shard_id, note.generation));
        let of = noted.or(left.header.map(|record| (record.key, record.shard_id, record.generation + 1)));
        let Some((key, shard_id, generation)) = of else {
            return vec![Action::RemoveBareTrash { entry: entry() }];
        };
        let Some(owner) = self.settled.catalog.get(key) else { return vec![] };
        let owner_is = match owner.generation >= generation {
            false => OwnerIs::NotHere,
            true if (owner.disk, owner.shard_id) == (disk, shard_id) => OwnerIs::InItsPlace,
            true => OwnerIs::Newer,
        };
        let new_note = || self.note(key, shard_id, owner.disk, owner.generation);
        let rewrite = |note| Action::RewriteNote { note, entry: entry() };
        let finish = |note| Action::FinishRetiring { note, entry: entry() };
        match (settle_trash(left.reached, owner_is), left.note.clone()) {
            (TrashVerdict::Leave, _) => vec![],
            (TrashVerdict::Remove, _) => vec![Action::RemoveBareTrash { entry: entry() }],
            (TrashVerdict::Note, _) => vec![rewrite(new_note())],
            (TrashVerdict::Finish, Some(note)) => vec![finish(note)],
            (TrashVerdict::Finish, None) => {
                let note = new_note();
                vec![rewrite(note.clone()), finish(note)]
            }
        }
    }

    fn note(&self, key: TabletKey, shard_id: ShardId, owner: DiskIndex, generation: u64) -> RetiredNote {
        let disk = self.disk(owner);
        // The last one to go there: by its number an operator takes the move back.
        let moves = self.moves.get(&key).into_iter().flatten();
        let there = moves.filter(|(_, to)| self.disk_of(to) == Some(owner));
        RetiredNote {
            key,
            shard_id,
            migration_id: there.map(|(id, _)| *id).max(),
            moved_to: disk.reference().unwrap_or_else(|| DiskRef {
                uuid: crate::model::DiskUuid(uuid::Uuid::nil()),
                path: disk.path.clone(),
            }),
            generation,
            retired_ms: now_ms(),
            uptime_sec: self.findings.uptime_sec,
        }
    }

    /// Where a tablet is that is on a disk which may come back.
    fn on_disk_away(&self, disk: &DiskRef) -> String {
        let configured = self.findings.disks.iter().find(|known| known.path == disk.path);
        let why = configured.map_or_else(
            || "is not configured any more".to_owned(),
            |known| format!("is not here now: {}", known.condition(Duration::MAX).reason()),
        );
        format!("on disk {} ({}), which {why}", disk.path, disk.uuid)
    }

    fn on_missing_disk(&self, key: TabletKey, generation: u64) -> String {
        let last_move = || self.moves.get(&key)?.iter().max_by_key(|(id, _)| *id).map(|(_, to)| to);
        let moved_to = self.elsewhere.lost_with(key, generation).or_else(last_move);
        match moved_to {
            None => "on a disk that is not here".to_owned(),
            Some(disk) if self.findings.lost.contains(&disk.uuid) => format!(
                "lost with disk {} ({}), and only an older copy is here: tabletctl tablet heal {} --accept-older serves \
                 it. Should the disk be readable again, tabletctl tablet adopt takes it from there",
                disk.path, disk.uuid, key.tablet_id
            ),
            Some(disk) => format!("on disk {} ({}), which is not here now", disk.path, disk.uuid),
        }
    }

    /// A new generation must be above everything ever seen or given out, trash and quarantine included.
    fn remember_generations(&mut self) {
        for scan in self.findings.scans.iter().flatten() {
            let records = scan.records.iter().map(|record| (record.key, record.generation));
            let losers = records.filter(|(key, generation)| {
                self.settled.catalog.get(*key).is_none_or(|entry| entry.generation < *generation)
            });
            let all: Vec<_> = scan.generations_aside().chain(losers).collect();
            for (key, generation) in all {
                self.settled.catalog.saw_generation(key, generation);
            }
        }
        let catalog = &mut self.settled.catalog;
        for line in self.findings.ledger {
            if catalog.get(line.key).is_none_or(|entry| entry.generation < line.highest) {
                catalog.was_given(line.key, line.highest);
            }
            // What is left of it elsewhere is older, however new it looks.
            let is_gone = catalog.get(line.key).is_none() && catalog.is_known(line.key);
            if let Some(owner) = line.owner.as_ref().filter(|_| is_gone) {
                catalog.saw_generation(line.key, owner.generation);
            }
        }
    }
}
