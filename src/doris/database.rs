//! The database below `meta/`: what its backend would read in it after a start. Reads only; the one thing that is ever
//! added to it is a log of its own.
//!
//! The newest sequence number of a key counts, over all tables and logs, whatever the level. Values are not kept: a pass
//! over 200,000 keys holds one block of each table.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;

use super::batch::Batch;
use super::error::{DorisError, Malformed};
use super::history::{History, SEQUENCE_MAX};
use super::log::{LogReader, TornTail};
use super::manifest::{Family, Manifest};
use super::source::{MetaFiles, open_existing, read_whole};
use super::table::{Table, TableEntry};
use crate::model::quoted;

/// The column family that has everything.
const META: &str = "meta";
/// Its number where no MANIFEST can say it: a backend makes its three families in one order.
const META_USUAL_ID: u32 = 2;
const CURRENT: &str = "CURRENT";

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// What becomes of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Any of it refuses the database: its answers are complete, or there are none.
    Refuse,
    /// What can be read is read. Lost blocks may hide a newer value, or a deletion.
    Rescue,
}

/// An open database, as of the moment it was opened.
pub struct Database {
    tables: Vec<Table>,
    /// What the logs say, by key.
    recent: BTreeMap<Vec<u8>, Change>,
    history: History,
    next_file: u64,
    meta_family: u32,
    damage: Vec<DorisError>,
    strictness: Strictness,
}

#[derive(Debug, Clone)]
struct Change {
    sequence: u64,
    value: Option<Vec<u8>>,
}

impl Database {
    /// Opens the database in `files`. Damage that was passed over in a rescue is in [`Database::damage`].
    ///
    /// # Errors
    /// It is damaged and `strictness` refuses that, or it is not what a backend writes, in either.
    pub fn open(files: &dyn MetaFiles, strictness: Strictness) -> Result<Self, DorisError> {
        let names = files.names()?;
        let mut database = Self {
            tables: Vec::new(),
            recent: BTreeMap::new(),
            history: History::after(0),
            next_file: names.iter().filter_map(|name| number_in(name)).max().unwrap_or(0).saturating_add(1),
            meta_family: META_USUAL_ID,
            damage: Vec::new(),
            strictness,
        };
        let live = database.or_lost(Live::read(files), || Live::whatever_is_there(&names))?;
        database.meta_family = live.meta_family;
        database.next_file = database.next_file.max(live.next_file);
        database.history = History::after(live.last_sequence);
        for (name, size_bytes) in &live.tables {
            let table = open_existing(files, name).and_then(|source| Table::open(name, source, *size_bytes));
            if let Some(table) = database.or_lost(table.map(Some), || None)? {
                database.tables.push(table);
            }
        }
        database.replay_all(files, &names, &live)?;
        Ok(database)
    }

    /// Reads every log that RocksDB would read. It reads those too that the tables have overtaken, as far as none has been
    /// told to be gone, and damage in one of them keeps it from reading the next.
    fn replay_all(&mut self, files: &dyn MetaFiles, names: &[String], live: &Live) -> Result<(), DorisError> {
        let mut logs = Vec::new();
        for name in names {
            let number = self.or_lost(log_number(name), || None)?;
            logs.extend(number.filter(|number| *number >= live.min_log).map(|number| (number, name)));
        }
        logs.sort_unstable();
        for (number, name) in logs {
            let bytes = open_existing(files, name).and_then(|file| read_whole(file.as_ref(), name));
            let bytes = self.or_lost(bytes, Vec::new)?;
            self.replay(name, &bytes, number >= live.log_number)?;
        }
        let taken = self.history.takes_another_log();
        self.or_lost(taken.map_err(|why| DorisError::damaged("the last log", 0, why.0)), || ())
    }

    /// What could be read, or what stands for it in a rescue.
    fn or_lost<T>(&mut self, read: Result<T, DorisError>, lost: impl FnOnce() -> T) -> Result<T, DorisError> {
        match read {
            Err(error) if self.strictness == Strictness::Rescue => {
                self.damage.push(error);
                Ok(lost())
            }
            read => read,
        }
    }

    /// Reads one log; `counts` says whether its changes are not in the tables yet.
    fn replay(&mut self, name: &str, bytes: &[u8], counts: bool) -> Result<(), DorisError> {
        let mut reader = LogReader::new(name, bytes, TornTail::Allowed);
        while let Some(record) = reader.next() {
            let (at, batch) = match &record {
                Ok(record) => (record.offset, Batch::decode(&record.bytes)),
                Err(error) if self.strictness == Strictness::Rescue => {
                    self.damage.push(error.clone());
                    reader.skip_damage();
                    continue;
                }
                Err(error) => return Err(error.clone()),
            };
            let damaged = |why: Malformed| DorisError::damaged(name, at, why.0);
            let batch =
                self.or_lost(batch.map_err(damaged), || Batch { sequence: 0, operations: Vec::new() })?;
            let follows = self.history.add(&batch);
            self.or_lost(follows.map_err(damaged), || ())?;
            for (operation, sequence) in batch.operations.iter().zip(batch.sequence..SEQUENCE_MAX) {
                if counts && operation.family == self.meta_family {
                    let value = operation.value.map(<[u8]>::to_vec);
                    self.change(operation.key, Change { sequence, value });
                }
            }
        }
        self.history.end_log(reader.ended_in_hole());
        Ok(())
    }

    fn change(&mut self, key: &[u8], change: Change) {
        match self.recent.get_mut(key) {
            Some(known) if known.sequence > change.sequence => {}
            Some(known) => *known = change,
            None => drop(self.recent.insert(key.to_vec(), change)),
        }
    }

    /// What a rescue passed over when the database was opened.
    pub fn damage(&self) -> &[DorisError] {
        &self.damage
    }

    /// The sequence number that a further batch must begin with.
    pub const fn next_sequence(&self) -> u64 {
        self.history.next()
    }

    /// The number of a log that is added: above that of any file there, and of any that RocksDB would make.
    pub const fn next_file(&self) -> u64 {
        self.next_file
    }

    /// Number of the column family that has everything.
    pub const fn meta_family(&self) -> u32 {
        self.meta_family
    }

    /// Calls `visit` for every key and its newest value, in order of the keys. In a rescue `lost` is told of each block
    /// that could not be read.
    ///
    /// # Errors
    /// A block is damaged and nothing may be lost.
    pub fn for_each(
        &self,
        lost: &mut dyn FnMut(DorisError),
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), DorisError> {
        let mut last: Option<Vec<u8>> = None;
        for entry in Merge::new(self) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if self.strictness == Strictness::Rescue => {
                    lost(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            // Older changes of a key come right behind its newest.
            if last.as_ref() == Some(&entry.key) {
                continue;
            }
            if let Some(value) = &entry.value {
                visit(&entry.key, value);
            }
            last = Some(entry.key);
        }
        Ok(())
    }

    /// Every key that begins with `prefix`, with its newest value, in order.
    ///
    /// # Errors
    /// A block that might have one is damaged, in a rescue too.
    pub fn with_prefix(&self, prefix: &[u8]) -> Result<Vec<Pair>, DorisError> {
        let mut newest: BTreeMap<Vec<u8>, Change> = BTreeMap::new();
        let mut saw = |key: &[u8], change: Change| match newest.get_mut(key) {
            Some(known) if known.sequence > change.sequence => {}
            Some(known) => *known = change,
            None => drop(newest.insert(key.to_vec(), change)),
        };
        let recent = self.recent.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        for (key, change) in recent.take_while(|(key, _)| key.starts_with(prefix)) {
            saw(key, change.clone());
        }
        for table in &self.tables {
            for entry in table.with_prefix(prefix)? {
                saw(&entry.key, Change { sequence: entry.sequence, value: entry.value });
            }
        }
        Ok(newest.into_iter().filter_map(|(key, change)| Some((key, change.value?))).collect())
    }

    /// The newest value of a key.
    ///
    /// # Errors
    /// A block that might have it is damaged, in a rescue too.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DorisError> {
        let mut newest = self.recent.get(key).cloned();
        for table in &self.tables {
            if let Some(TableEntry { sequence, value, .. }) = table.get(key)?
                && newest.as_ref().is_none_or(|known| known.sequence < sequence)
            {
                newest = Some(Change { sequence, value });
            }
        }
        Ok(newest.and_then(|change| change.value))
    }
}

/// The files that count.
struct Live {
    tables: Vec<(String, Option<u64>)>,
    /// Logs before this one are not read.
    min_log: u64,
    /// The changes in logs before this one are in the tables.
    log_number: u64,
    meta_family: u32,
    next_file: u64,
    last_sequence: u64,
}

impl Live {
    fn read(files: &dyn MetaFiles) -> Result<Self, DorisError> {
        let current = open_existing(files, CURRENT).and_then(|file| read_whole(file.as_ref(), CURRENT))?;
        let manifest = std::str::from_utf8(&current).ok().and_then(|name| name.strip_suffix('\n'));
        let Some(name) = manifest.filter(|name| manifest_number(name).is_some()) else {
            return Err(DorisError::damaged(CURRENT, 0, "it does not name a MANIFEST"));
        };
        let bytes = open_existing(files, name).and_then(|file| read_whole(file.as_ref(), name))?;
        let manifest = Manifest::read(name, &bytes)?;
        for family in manifest.families.values() {
            if !["default", "doris", META].contains(&family.name.as_str()) {
                let what = format!("the column family {}, which no backend has,", quoted(&family.name));
                return Err(DorisError::not_understood(name, what));
            }
        }
        let Some((meta_family, Family { tables, log_number, .. })) = manifest.family(META) else {
            return Err(DorisError::not_understood(name, "a database without the column family \"meta\""));
        };
        Ok(Self {
            tables: tables
                .values()
                .map(|table| (format!("{:06}.sst", table.number), Some(table.size_bytes)))
                .collect(),
            min_log: manifest.min_log,
            log_number: *log_number,
            meta_family,
            next_file: manifest.next_file,
            last_sequence: manifest.last_sequence,
        })
    }

    /// Without a MANIFEST: all tables, those too that a compaction has replaced.
    fn whatever_is_there(names: &[String]) -> Self {
        let tables = names.iter().filter(|name| name.ends_with(".sst") && number_in(name).is_some());
        Self {
            tables: tables.map(|name| (name.clone(), None)).collect(),
            min_log: 0,
            log_number: 0,
            meta_family: META_USUAL_ID,
            next_file: 0,
            last_sequence: 0,
        }
    }
}

/// The number of a log. RocksDB reads the number in the name, and then opens the file that it would have called so.
fn log_number(name: &str) -> Result<Option<u64>, DorisError> {
    let Some(number) = name.strip_suffix(".log").and_then(decimal) else { return Ok(None) };
    if name == format!("{number:06}.log") {
        return Ok(Some(number));
    }
    Err(DorisError::not_understood(name, "a log whose name is not written as RocksDB writes it"))
}

fn manifest_number(name: &str) -> Option<u64> {
    name.strip_prefix("MANIFEST-").and_then(decimal)
}

fn decimal(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The number in the name of any file that RocksDB makes.
fn number_in(name: &str) -> Option<u64> {
    let stem = name.strip_prefix("MANIFEST-").or_else(|| name.strip_prefix("OPTIONS-")).unwrap_or(name);
    stem.split('.').next().and_then(decimal)
}

type Source<'a> = Box<dyn Iterator<Item = Result<TableEntry, DorisError>> + 'a>;

/// All tables and the logs as one sequence, by key and then newest first.
struct Merge<'a> {
    sources: Vec<Source<'a>>,
    heads: BinaryHeap<Reverse<Head>>,
    errors: Vec<DorisError>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    key: Vec<u8>,
    newest_first: Reverse<u64>,
    source: usize,
    value: Option<Vec<u8>>,
}

impl<'a> Merge<'a> {
    fn new(database: &'a Database) -> Self {
        let recent = database.recent.iter().map(|(key, change)| {
            Ok(TableEntry { key: key.clone(), sequence: change.sequence, value: change.value.clone() })
        });
        let mut sources: Vec<Source<'a>> = vec![Box::new(recent)];
        sources.extend(database.tables.iter().map(|table| Box::new(table.iter()) as Source<'a>));
        let mut merge = Self { heads: BinaryHeap::new(), errors: Vec::new(), sources };
        (0..merge.sources.len()).for_each(|source| merge.advance(source));
        merge
    }

    fn advance(&mut self, source: usize) {
        for entry in self.sources[source].by_ref() {
            match entry {
                Ok(TableEntry { key, sequence, value }) => {
                    self.heads.push(Reverse(Head { key, newest_first: Reverse(sequence), source, value }));
                    return;
                }
                Err(error) => self.errors.push(error),
            }
        }
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<TableEntry, DorisError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.errors.pop() {
            return Some(Err(error));
        }
        let Reverse(Head { key, newest_first: Reverse(sequence), source, value }) = self.heads.pop()?;
        self.advance(source);
        Some(Ok(TableEntry { key, sequence, value }))
    }
}
