//! Which disk owns which tablet, in memory. A node holds a million of these: an entry is 64 bytes.

use std::collections::{BTreeMap, HashMap, btree_map};

use super::entry::{Entry, Holder};
use crate::fault;
use crate::model::{
    DiskIndex, DiskUuid, ErrorCode, Failure, MigrationId, OperationId, SchemaHash, TabletId, TabletKey,
};
use crate::rules::recovery::Unavailable;

/// Who has a tablet beside migrations, served or not: nobody else moves, heals, restores or adopts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claimant {
    Operation(OperationId),
    /// Whoever gives up a disk that may have had it, until it is let go of.
    GivingUp,
}

/// All tablets of the node.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    tablets: BTreeMap<TabletKey, Entry>,
    /// Known, but served by nobody, and why.
    unavailable: BTreeMap<TabletKey, (Unavailable, String)>,
    /// Highest generation ever seen, where it is above the owner's: trash and quarantine included.
    highest_seen: HashMap<TabletKey, u64>,
    /// Generations that disks which are not here have, or may have (`u64::MAX`).
    claims: HashMap<TabletKey, Vec<(DiskUuid, u64)>>,
    /// Highest generation promised to an operation that has not committed it, or never did.
    promised: HashMap<TabletKey, u64>,
    /// Generations that were acknowledged to be on a disk which is here, and does not have them: nothing older is served
    /// unasked.
    outlived: HashMap<TabletKey, (DiskUuid, u64)>,
    /// Tablets that an operation has: nobody else moves, heals, restores or adopts them.
    operations: BTreeMap<TabletKey, Claimant>,
    /// Tablets and bytes per disk, kept up to date with every change.
    usage: HashMap<DiskIndex, (u64, u64)>,
    /// Tablets per table and disk, likewise.
    of_table: BTreeMap<(i64, DiskIndex), u64>,
}

impl Catalog {
    pub(crate) fn len(&self) -> usize {
        self.tablets.len()
    }

    pub(crate) fn insert(&mut self, key: TabletKey, entry: Entry) {
        self.remove(key);
        self.unavailable.remove(&key);
        if self.outlived.get(&key).is_some_and(|(_, generation)| *generation <= entry.generation) {
            self.outlived.remove(&key);
        }
        let usage = self.usage.entry(entry.disk).or_default();
        usage.0 += 1;
        usage.1 += entry.size_bytes;
        *self.of_table.entry((entry.table_id, entry.disk)).or_default() += 1;
        self.tablets.insert(key, entry);
    }

    pub(crate) fn remove(&mut self, key: TabletKey) -> Option<Entry> {
        let entry = self.tablets.remove(&key)?;
        if let Some(usage) = self.usage.get_mut(&entry.disk) {
            usage.0 -= 1;
            usage.1 -= entry.size_bytes;
        }
        if let btree_map::Entry::Occupied(mut count) = self.of_table.entry((entry.table_id, entry.disk)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(entry)
    }

    pub(crate) fn get(&self, key: TabletKey) -> Option<&Entry> {
        self.tablets.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: TabletKey) -> Option<&mut Entry> {
        self.tablets.get_mut(&key)
    }

    /// This migration has the tablet from now on, if it is served.
    pub(crate) fn give_to(&mut self, key: TabletKey, id: MigrationId) {
        if let Some(entry) = self.tablets.get_mut(&key) {
            entry.holder = Some(Holder::Migration(id));
        }
    }

    /// Whoever had the tablet has it no more.
    pub(crate) fn give_back(&mut self, key: TabletKey, from: Holder) {
        if let Some(entry) = self.tablets.get_mut(&key).filter(|entry| entry.holder == Some(from)) {
            entry.holder = None;
        }
    }

    /// A migration that has ended owns its tablet no more.
    pub(crate) fn let_go(&mut self, key: TabletKey, id: MigrationId) {
        self.give_back(key, Holder::Migration(id));
    }

    pub(crate) fn set_unavailable(&mut self, key: TabletKey, kind: Unavailable, why: String) {
        self.remove(key);
        self.unavailable.insert(key, (kind, why));
    }

    /// Nothing of it is here: it is neither served nor missed any more. A copy that comes back from trash stands above
    /// the generation that was lost.
    pub(crate) fn release(&mut self, key: TabletKey, lost_generation: Option<u64>) {
        self.remove(key);
        self.unavailable.remove(&key);
        if let (Some(generation), Some(seen)) = (lost_generation, self.highest_seen.get_mut(&key)) {
            *seen = generation.max(*seen);
        }
    }

    pub(crate) fn unavailability(&self, key: TabletKey) -> Option<(Unavailable, &str)> {
        self.unavailable.get(&key).map(|(kind, why)| (*kind, why.as_str()))
    }

    pub(crate) fn why_unavailable(&self, key: TabletKey) -> Option<&str> {
        self.unavailability(key).map(|(_, why)| why)
    }

    pub(crate) fn unavailable(&self) -> impl Iterator<Item = (TabletKey, &str)> {
        self.unavailable.iter().map(|(key, (_, why))| (*key, why.as_str()))
    }

    /// Tablets of one id that nobody serves, and why.
    pub(crate) fn unavailable_with_id(&self, id: TabletId) -> impl Iterator<Item = (TabletKey, &str)> {
        self.unavailable.range(keys_of(id)).map(|(key, (_, why))| (*key, why.as_str()))
    }

    /// Tablets of one id, normally one.
    pub(crate) fn with_id(&self, id: TabletId) -> impl Iterator<Item = (TabletKey, &Entry)> {
        self.tablets.range(keys_of(id)).map(|(key, entry)| (*key, entry))
    }

    /// All tablets above a key, ascending.
    pub(crate) fn after(&self, key: Option<TabletKey>) -> impl Iterator<Item = (TabletKey, &Entry)> {
        let from = key.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.tablets.range((from, std::ops::Bound::Unbounded)).map(|(key, entry)| (*key, entry))
    }

    /// How many there are on a disk and of a table; on all disks, of all tables where none is named. Looks at no tablet.
    pub(crate) fn count(&self, disk: Option<DiskIndex>, table_id: Option<i64>) -> u64 {
        let Some(table_id) = table_id else {
            return disk.map_or(self.tablets.len() as u64, |disk| self.usage(disk).0);
        };
        let on = |disk| (table_id, DiskIndex(disk));
        let of_it = self.of_table.range(on(0)..=on(u16::MAX));
        of_it.filter(|((_, on), _)| disk.is_none_or(|disk| disk == *on)).map(|(_, count)| count).sum()
    }

    /// How many are known and not served.
    pub(crate) fn unavailable_count(&self) -> usize {
        self.unavailable.len()
    }

    /// Number of tablets and of bytes on a disk.
    pub(crate) fn usage(&self, disk: DiskIndex) -> (u64, u64) {
        self.usage.get(&disk).copied().unwrap_or_default()
    }

    /// Tablets that were seen in trash or quarantine and that nobody owns.
    pub(crate) fn ownerless(&self) -> usize {
        self.highest_seen.keys().filter(|key| !self.tablets.contains_key(key)).count()
    }

    /// Tablets of one id of which a copy was seen in trash or quarantine.
    pub(crate) fn seen_with_id(&self, id: TabletId) -> impl Iterator<Item = TabletKey> {
        self.highest_seen.keys().filter(move |key| key.tablet_id == id).copied()
    }

    /// Whether a copy of it was seen anywhere on this node.
    pub(crate) fn is_known(&self, key: TabletKey) -> bool {
        self.tablets.contains_key(&key)
            || self.unavailable.contains_key(&key)
            || self.highest_seen.contains_key(&key)
            || self.operations.contains_key(&key)
    }

    /// Gives a tablet to an operation, with a generation that nobody else ever gets.
    ///
    /// # Errors
    /// `OPERATION_EXISTS`, `MIGRATION_EXISTS`: somebody has it.
    pub(crate) fn claim_for(&mut self, key: TabletKey, operation: OperationId) -> Result<u64, Failure> {
        if fault::is_left_out("claim") {
            return Ok(self.next_generation(key));
        }
        if let Some(other) = self.operations.get(&key) {
            return Err(taken(key, *other));
        }
        if let Some(holder) = self.tablets.get(&key).and_then(|entry| entry.holder) {
            let text = match holder {
                Holder::Migration(id) => {
                    format!("migration {id} has tablet {key}; wait for it, or tabletctl abort {id}")
                }
                Holder::BeingAccepted => {
                    format!("a migration of tablet {key} is being accepted at this moment")
                }
                Holder::BeingTidied => {
                    format!("what was left undone of tablet {key} is being done at this moment; ask again")
                }
            };
            return Err(Failure::new(ErrorCode::MigrationExists, text));
        }
        let generation = self.next_generation(key);
        self.promised.insert(key, generation);
        self.operations.insert(key, Claimant::Operation(operation));
        Ok(generation)
    }

    /// Gives the tablets of a disk that is given up to nobody, until they are let go of: no operation begins on one.
    ///
    /// # Errors
    /// `OPERATION_EXISTS`: an operation has one of them. Nothing was claimed.
    pub(crate) fn claim_given_up(&mut self, keys: &[TabletKey]) -> Result<(), Failure> {
        if let Some((key, other)) = keys.iter().find_map(|key| Some((*key, *self.operations.get(key)?))) {
            return Err(taken(key, other));
        }
        self.operations.extend(keys.iter().map(|key| (*key, Claimant::GivingUp)));
        Ok(())
    }

    /// Lets go of what [`Self::claim_given_up`] has taken.
    pub(crate) fn unclaim_given_up(&mut self, keys: &[TabletKey]) {
        keys.iter().for_each(|key| self.drop_claim(*key, Claimant::GivingUp));
    }

    /// Lets go of a tablet that this operation has.
    pub(crate) fn unclaim(&mut self, key: TabletKey, operation: OperationId) {
        self.drop_claim(key, Claimant::Operation(operation));
    }

    fn drop_claim(&mut self, key: TabletKey, of: Claimant) {
        if self.operations.get(&key) == Some(&of) {
            self.operations.remove(&key);
        }
    }

    /// Who has a tablet beside migrations.
    pub(crate) fn claimant(&self, key: TabletKey) -> Option<Claimant> {
        self.operations.get(&key).copied()
    }

    /// Remembers a generation seen anywhere.
    pub(crate) fn saw_generation(&mut self, key: TabletKey, generation: u64) {
        let highest = self.highest_seen.entry(key).or_default();
        *highest = generation.max(*highest);
    }

    /// A generation was given out once, and may be nowhere: nobody else gets it.
    pub(crate) fn was_given(&mut self, key: TabletKey, generation: u64) {
        let highest = self.promised.entry(key).or_default();
        *highest = generation.max(*highest);
    }

    /// This disk, which is here, had acknowledged a generation that it does not have.
    pub(crate) fn hold_against(&mut self, key: TabletKey, disk: DiskUuid, generation: u64) {
        self.outlived.insert(key, (disk, generation));
    }

    /// What a copy has to reach to be served unasked, as disks other than this one had acknowledged it.
    pub(crate) fn held_against(&self, key: TabletKey, than: Option<DiskUuid>) -> Option<u64> {
        self.outlived.get(&key).filter(|(by, _)| Some(*by) != than).map(|(_, generation)| *generation)
    }

    /// A disk that is not here has this generation of a tablet, or may have one (`u64::MAX`).
    pub(crate) fn claim(&mut self, key: TabletKey, disk: DiskUuid, generation: u64) {
        self.claims.entry(key).or_default().push((disk, generation));
    }

    /// Tablets that a disk was said to hold.
    pub(crate) fn claimed_by(&self, disk: DiskUuid) -> impl Iterator<Item = TabletKey> {
        self.claims
            .iter()
            .filter(move |(_, claims)| claims.iter().any(|(by, _)| *by == disk))
            .map(|(key, _)| *key)
    }

    /// Tablets that a disk is known to have had, and their generations.
    pub(crate) fn claims_of(&self, disk: DiskUuid) -> impl Iterator<Item = (TabletKey, u64)> {
        let known = move |key: TabletKey| Some((key, self.acknowledged(key, Some(disk))?));
        self.claimed_by(disk).filter_map(known)
    }

    /// A disk was given up: nothing is waited for that it was said to hold.
    pub(crate) fn is_lost(&mut self, disk: DiskUuid) {
        self.outlived.retain(|_, (by, _)| *by != disk);
        self.claims.retain(|_, claims| {
            claims.retain(|(by, _)| *by != disk);
            !claims.is_empty()
        });
    }

    /// The highest generation that disks other than this one are said to have.
    pub(crate) fn claimed_elsewhere(&self, key: TabletKey, than: Option<DiskUuid>) -> Option<u64> {
        let claims = self.claims.get(&key)?;
        claims.iter().filter(|(by, _)| Some(*by) != than).map(|(_, generation)| *generation).max()
    }

    /// The generation that this disk is known to have had.
    pub(crate) fn acknowledged(&self, key: TabletKey, disk: Option<DiskUuid>) -> Option<u64> {
        let claims = self.claims.get(&key)?.iter();
        let own = claims.filter(|(by, generation)| Some(*by) == disk && *generation != u64::MAX);
        own.map(|(_, generation)| *generation).max()
    }

    /// A disk is here: what it was said to hold, and holds, is no longer a claim.
    pub(crate) fn is_here(&mut self, disk: DiskUuid) {
        let tablets = &self.tablets;
        self.claims.retain(|key, claims| {
            claims.retain(|(by, _)| *by != disk || !tablets.contains_key(key));
            !claims.is_empty()
        });
    }

    /// The highest generation ever seen of a tablet.
    pub(crate) fn highest_generation(&self, key: TabletKey) -> u64 {
        let owned = self.tablets.get(&key).map_or(0, |entry| entry.generation);
        owned.max(self.highest_seen.get(&key).copied().unwrap_or(0))
    }

    /// One more than the highest generation ever seen of a tablet, or promised to somebody.
    pub(crate) fn next_generation(&self, key: TabletKey) -> u64 {
        self.highest_generation(key).max(self.promised.get(&key).copied().unwrap_or(0)) + 1
    }
}

fn taken(key: TabletKey, by: Claimant) -> Failure {
    let text = match by {
        Claimant::GivingUp => {
            format!("a disk that may have had tablet {key} is being given up at this moment; ask again")
        }
        Claimant::Operation(by) => {
            format!("operation {by} has tablet {key} already; tabletctl operation show {by}")
        }
    };
    Failure::new(ErrorCode::OperationExists, text)
}

/// Every key that a tablet of this id may have.
fn keys_of(id: TabletId) -> std::ops::RangeInclusive<TabletKey> {
    let of = |hash| TabletKey { tablet_id: id, schema_hash: SchemaHash(hash) };
    of(i32::MIN)..=of(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RecordSummary, ShardId};

    fn record(key: TabletKey, size_bytes: u64) -> RecordSummary {
        RecordSummary {
            key,
            generation: 3,
            table_id: 5,
            partition_id: 1,
            size_bytes,
            file_count: 1,
            shard_id: ShardId(0),
        }
    }

    #[test]
    fn usage_follows_every_change() {
        let mut catalog = Catalog::default();
        let key = TabletKey::new(1, 2);
        catalog.insert(key, Entry::new(DiskIndex(0), &record(key, 10)));
        catalog.insert(key, Entry::new(DiskIndex(1), &record(key, 30)));
        assert_eq!(catalog.usage(DiskIndex(0)), (0, 0));
        assert_eq!(catalog.usage(DiskIndex(1)), (1, 30));
        let counts = |table| [None, Some(0), Some(1)].map(|disk| catalog.count(disk.map(DiskIndex), table));
        assert_eq!([counts(None), counts(Some(5)), counts(Some(6))], [[1, 0, 1], [1, 0, 1], [0, 0, 0]]);
        catalog.set_unavailable(key, Unavailable::NoGoodCopy, "gone".into());
        assert_eq!(catalog.usage(DiskIndex(1)), (0, 0));
        assert_eq!(catalog.why_unavailable(key), Some("gone"));
    }

    #[test]
    fn only_who_has_a_tablet_gives_it_back() {
        let mut catalog = Catalog::default();
        let key = TabletKey::new(1, 2);
        catalog.insert(key, Entry::new(DiskIndex(0), &record(key, 10)));
        catalog.give_to(key, MigrationId(7));
        catalog.give_back(key, Holder::BeingAccepted);
        catalog.let_go(key, MigrationId(6));
        assert_eq!(catalog.get(key).and_then(Entry::migration), Some(MigrationId(7)));
        catalog.let_go(key, MigrationId(7));
        assert_eq!(catalog.get(key).map(|entry| entry.holder), Some(None));
    }

    #[test]
    fn a_claimed_tablet_is_nobody_elses_and_its_generation_is_given_once() {
        let mut catalog = Catalog::default();
        let key = TabletKey::new(1, 2);
        catalog.insert(key, Entry::new(DiskIndex(0), &record(key, 10)));
        let (first, second) = (OperationId(1), OperationId(2));
        assert_eq!(catalog.claim_for(key, first), Ok(4));
        let refused = catalog.claim_for(key, second).expect_err("claimed");
        assert!(refused.message.contains("operation 1"), "{refused}");
        catalog.unclaim(key, second);
        assert_eq!(catalog.claimant(key), Some(Claimant::Operation(first)), "only its owner lets go of it");
        catalog.unclaim(key, first);
        assert_eq!(catalog.claim_for(key, second), Ok(5), "the first may be on a disk");
        assert_eq!(catalog.highest_generation(key), 3, "nobody has seen it there");
        assert_eq!(
            catalog.claim_given_up(&[TabletKey::new(9, 9), key]).map_err(|failure| failure.code),
            Err(ErrorCode::OperationExists)
        );
        assert_eq!(catalog.claimant(TabletKey::new(9, 9)), None, "all or nothing");
        catalog.unclaim(key, second);
        assert_eq!(catalog.claim_given_up(&[key]), Ok(()));
        let refused = catalog.claim_for(key, first).expect_err("given up");
        assert!(refused.message.contains("given up"), "{refused}");
        catalog.unclaim_given_up(&[key]);
        catalog.give_to(key, MigrationId(7));
        let refused = catalog.claim_for(key, first).expect_err("moving");
        assert!(refused.message.contains("tabletctl abort 7"), "{refused}");
    }

    #[test]
    fn a_new_generation_is_above_trash_and_quarantine() {
        let mut catalog = Catalog::default();
        let key = TabletKey::new(1, 2);
        assert_eq!(catalog.next_generation(key), 1);
        catalog.insert(key, Entry::new(DiskIndex(0), &record(key, 10)));
        assert_eq!(catalog.next_generation(key), 4);
        catalog.saw_generation(key, 9);
        assert_eq!(catalog.next_generation(key), 10);
    }
}
