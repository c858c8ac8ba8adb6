//! All that a database says of its tablets: one pass over its keys, then answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::database::Database;
use super::error::DorisError;
use super::judge::{Reason, reasons_in_records};
use super::keys::{Key, TabletIds, mentions};
use super::record::{Rowset, Tablet};
use super::rowsets::{Fresh, generation, version};
use super::uid::Uid;

/// A tablet's record, and what lies beside it in the database.
#[derive(Debug, Clone)]
pub struct Found {
    pub ids: TabletIds,
    /// Its record; what is wrong with it where it does not parse.
    pub record: Result<Tablet, &'static str>,
    /// `rst_` records of its uid, of any state.
    pub fresh: Vec<Rowset>,
    /// Rowsets that its binlog's keys name.
    pub binlog_rowsets: BTreeSet<String>,
    /// How many keys are its own.
    pub keys: u64,
    /// What speaks against a move, beyond what its record says itself.
    beyond_record: BTreeSet<Reason>,
}

impl Found {
    /// What speaks against moving it, as far as the database knows: sorted.
    pub fn reasons(&self) -> Vec<Reason> {
        let mut reasons = self.beyond_record.clone();
        match &self.record {
            Ok(tablet) => reasons.extend(reasons_in_records(tablet, &Fresh::sort(tablet, &self.fresh))),
            Err(_) => drop(reasons.insert(Reason::RecordDamaged)),
        }
        reasons.into_iter().collect()
    }

    /// Which copy of it is newer: see [`generation`].
    pub fn generation(&self) -> Option<u64> {
        let tablet = self.record.as_ref().ok()?;
        generation(tablet, &Fresh::sort(tablet, &self.fresh))
    }

    /// Its last visible version.
    pub fn version(&self) -> Option<i64> {
        let tablet = self.record.as_ref().ok()?;
        version(tablet, &Fresh::sort(tablet, &self.fresh))
    }

    /// Notes another reason.
    pub fn add_reason(&mut self, reason: Reason) {
        self.beyond_record.insert(reason);
    }
}

/// Everything in one root's database.
#[derive(Debug, Default)]
pub struct Inventory {
    /// By number and hash.
    pub tablets: BTreeMap<TabletIds, Found>,
    /// Keys of tablets or uids that are not there.
    pub left_over: Vec<Vec<u8>>,
    /// Keys that are not understood.
    pub unknown: Vec<Vec<u8>>,
    /// Keys of before 0.11: a backend does not start with one.
    pub retired_headers: u64,
    /// Blocks that a rescue could not read.
    pub lost_blocks: Vec<DorisError>,
}

/// A key that is found by uid, or by a tablet's number.
enum Beside {
    Rowset(Result<Rowset, &'static str>),
    Binlog(String),
    Other,
}

impl Inventory {
    /// Reads all keys.
    ///
    /// # Errors
    /// A block is damaged, and the database was opened to refuse that.
    pub fn read(database: &Database) -> Result<Self, DorisError> {
        let mut inventory = Self::default();
        let mut by_uid: Vec<(Uid, Vec<u8>, Beside)> = Vec::new();
        let mut by_number: Vec<(i64, Vec<u8>)> = Vec::new();
        let mut lost = Vec::new();
        database.for_each(&mut |error| lost.push(error), &mut |key, value| match Key::parse(key) {
            Key::Tablet(ids) => drop(inventory.tablets.insert(ids, found(ids, value))),
            Key::Rowset(uid, _) => {
                let rowset = Rowset::read(value).map_err(|why| why.0);
                by_uid.push((uid, key.to_vec(), Beside::Rowset(rowset)));
            }
            Key::BinlogMeta(uid) => by_uid.push((uid, key.to_vec(), Beside::Other)),
            Key::BinlogData(uid) => {
                let rowset = Rowset::read(value).map_or_else(|_| String::new(), |rowset| rowset.id);
                by_uid.push((uid, key.to_vec(), Beside::Binlog(rowset)));
            }
            Key::DeleteBitmap(id) | Key::PendingPublish(id) | Key::PartialUpdate(id) => {
                by_number.push((id, key.to_vec()));
            }
            Key::RemoteGarbage => {}
            Key::RetiredHeader => {
                inventory.retired_headers += 1;
                inventory.unknown.push(key.to_vec());
            }
            Key::BinlogRow | Key::Unknown => inventory.unknown.push(key.to_vec()),
        })?;
        inventory.lost_blocks = lost;
        inventory.attach(by_uid, by_number);
        inventory.blame_unknown_keys();
        Ok(inventory)
    }

    fn attach(&mut self, by_uid: Vec<(Uid, Vec<u8>, Beside)>, by_number: Vec<(i64, Vec<u8>)>) {
        let uids =
            self.tablets.values().filter_map(|found| Some((found.record.as_ref().ok()?.uid, found.ids)));
        let (mut of_uid, mut shared): (HashMap<Uid, TabletIds>, Vec<TabletIds>) = Default::default();
        for (uid, ids) in uids.filter(|(uid, _)| !uid.is_zero()) {
            shared.extend(of_uid.insert(uid, ids).map(|other| [other, ids]).into_iter().flatten());
        }
        let of_number: HashMap<i64, TabletIds> =
            self.tablets.keys().map(|ids| (ids.tablet_id, *ids)).collect();
        for (uid, key, beside) in by_uid {
            let Some(found) = of_uid.get(&uid).and_then(|ids| self.tablets.get_mut(ids)) else {
                self.left_over.push(key);
                continue;
            };
            found.keys += 1;
            match beside {
                // No backend takes it for one of the tablet.
                Beside::Rowset(Ok(rowset)) if rowset.uid != uid => found.add_reason(Reason::RowsetDamaged),
                Beside::Rowset(Ok(rowset)) => found.fresh.push(rowset),
                Beside::Rowset(Err(_)) => found.add_reason(Reason::RowsetDamaged),
                Beside::Binlog(rowset) => drop(found.binlog_rowsets.insert(rowset)),
                Beside::Other => {}
            }
        }
        // What is found by their uid may be of the other.
        for ids in shared {
            if let Some(found) = self.tablets.get_mut(&ids) {
                found.add_reason(Reason::UnknownKey);
            }
        }
        for (number, key) in by_number {
            match of_number.get(&number).and_then(|ids| self.tablets.get_mut(ids)) {
                Some(found) => found.keys += 1,
                None => self.left_over.push(key),
            }
        }
    }

    fn blame_unknown_keys(&mut self) {
        for key in &self.unknown {
            let reason = match Key::parse(key) {
                Key::BinlogRow => Reason::BinlogRow,
                _ => Reason::UnknownKey,
            };
            for found in self.tablets.values_mut() {
                let uid = found.record.as_ref().map_or_else(|_| Uid::default(), |tablet| tablet.uid);
                if mentions(key, found.ids, uid) {
                    found.add_reason(reason);
                }
            }
        }
    }
}

fn found(ids: TabletIds, value: &[u8]) -> Found {
    let record = Tablet::read(value).map_err(|why| why.0);
    let differs = record.as_ref().is_ok_and(|tablet| tablet.ids != ids);
    let beyond_record = differs.then_some(Reason::KeyAndRecordDiffer).into_iter().collect();
    Found { ids, record, fresh: Vec::new(), binlog_rowsets: BTreeSet::new(), keys: 1, beyond_record }
}
