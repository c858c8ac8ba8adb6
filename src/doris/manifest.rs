//! The MANIFEST: which table files are live, and from which log on each column family has to be replayed.
//!
//! Source: RocksDB 5.14.2, `db/version_edit.cc`; the tags are listed in `doris-roots` 6.4. RocksDB 5.14.2 refuses a tag
//! that it does not know, so that a root with one does not open for its backend either: refused here as well.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use super::error::{DorisError, Malformed};
use super::history::SEQUENCE_MAX;
use super::log::{LogReader, TornTail};
use crate::model::quoted;

/// The only order of keys that a backend uses.
const COMPARATOR: &[u8] = b"leveldb.BytewiseComparator";

/// A live table file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFile {
    /// Its number: `000012.sst` is 12.
    pub number: u64,
    /// Its size, in bytes.
    pub size_bytes: u64,
}

/// One column family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Family {
    pub name: String,
    /// Live tables by (level, number).
    pub tables: BTreeMap<(u32, u64), TableFile>,
    /// Logs before this one are in its tables already.
    pub log_number: u64,
}

/// What all edits together say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    pub families: BTreeMap<u32, Family>,
    /// The number that the next new file would get.
    pub next_file: u64,
    /// Highest sequence number in the tables.
    pub last_sequence: u64,
    /// Logs before this one are needed by no family.
    pub min_log: u64,
    /// Whether any edit has said the number of a log, of the next file, of the last sequence: RocksDB opens nothing where
    /// one of them is missing.
    said: [bool; 3],
}

impl Manifest {
    /// Reads the MANIFEST `file`.
    ///
    /// # Errors
    /// It is damaged or torn, or has a tag that RocksDB 5.14.2 does not know.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, DorisError> {
        let mut manifest = Self::default();
        for record in LogReader::new(file, bytes, TornTail::Damage) {
            let record = record?;
            manifest.apply(&record.bytes).map_err(|problem| match problem {
                Problem::Malformed(Malformed(why)) => DorisError::damaged(file, record.offset, why),
                Problem::NotUnderstood(what) => DorisError::not_understood(file, what),
            })?;
        }
        if manifest.families.is_empty() {
            return Err(DorisError::damaged(file, 0, "it has no column family"));
        }
        if manifest.said != [true; 3] || manifest.last_sequence > SEQUENCE_MAX {
            let why = "it does not say the numbers of its log, its next file and its last change";
            return Err(DorisError::damaged(file, 0, why));
        }
        Ok(manifest)
    }

    /// The family of that name.
    pub fn family(&self, name: &str) -> Option<(u32, &Family)> {
        self.families.iter().find(|(_, family)| family.name == name).map(|(id, family)| (*id, family))
    }

    fn apply(&mut self, record: &[u8]) -> Result<(), Problem> {
        let mut edit = Edit::read(record)?;
        match edit.change {
            FamilyChange::Add(name) => {
                let twice = self.families.insert(edit.family, Family { name, ..Family::default() });
                if twice.is_some() {
                    return Err(Malformed("a column family is added that is there").into());
                }
            }
            FamilyChange::Drop if self.families.remove(&edit.family).is_none() => {
                return Err(Malformed("a column family is dropped that is not there").into());
            }
            FamilyChange::Drop => return Ok(()),
            FamilyChange::None => {}
        }
        // The default family is there before anybody has added it.
        if edit.family == 0 {
            self.families
                .entry(0)
                .or_insert_with(|| Family { name: "default".to_owned(), ..Family::default() });
        }
        let Some(family) = self.families.get_mut(&edit.family) else {
            return Err(Malformed("an edit is of a column family that was never added").into());
        };
        for (level, number) in edit.deleted {
            if family.tables.remove(&(level, number)).is_none() {
                return Err(Malformed("a table is dropped that was not there").into());
            }
        }
        family.tables.append(&mut edit.added);
        let numbers = [edit.log_number, edit.next_file, edit.last_sequence];
        self.said.iter_mut().zip(numbers).for_each(|(said, number)| *said |= number.is_some());
        family.log_number = family.log_number.max(edit.log_number.unwrap_or(0));
        self.next_file = self.next_file.max(edit.next_file.unwrap_or(0));
        self.last_sequence = self.last_sequence.max(edit.last_sequence.unwrap_or(0));
        self.min_log = self.min_log.max(edit.min_log);
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Malformed(Malformed),
    NotUnderstood(String),
}

impl From<Malformed> for Problem {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

#[derive(Default)]
enum FamilyChange {
    #[default]
    None,
    Add(String),
    Drop,
}

/// One edit of one family.
#[derive(Default)]
struct Edit {
    family: u32,
    change: FamilyChange,
    deleted: Vec<(u32, u64)>,
    added: BTreeMap<(u32, u64), TableFile>,
    log_number: Option<u64>,
    next_file: Option<u64>,
    last_sequence: Option<u64>,
    min_log: u64,
}

impl Edit {
    fn read(record: &[u8]) -> Result<Self, Problem> {
        let mut edit = Self::default();
        let mut cursor = Cursor::new(record);
        while !cursor.is_empty() {
            match cursor.varint_u32()? {
                1 => match cursor.length_prefixed()? {
                    COMPARATOR => {}
                    other => {
                        let name = String::from_utf8_lossy(other);
                        return Err(Problem::NotUnderstood(format!("the comparator {}", quoted(&*name))));
                    }
                },
                2 => edit.log_number = Some(cursor.varint()?),
                3 => edit.next_file = Some(cursor.varint()?),
                4 => edit.last_sequence = Some(cursor.varint()?),
                // Where a compaction goes on.
                5 => {
                    cursor.varint_u32()?;
                    cursor.length_prefixed()?;
                }
                6 => edit.deleted.push((cursor.varint_u32()?, cursor.varint()?)),
                7 => edit.new_file(&mut cursor, Sequences::No)?,
                // Number of the log before, of a time with one family.
                9 => drop(cursor.varint()?),
                10 => edit.min_log = cursor.varint()?,
                100 => edit.new_file(&mut cursor, Sequences::Yes)?,
                102 => edit.new_file_on_path(&mut cursor)?,
                103 => edit.new_file_with_fields(&mut cursor)?,
                200 => edit.family = cursor.varint_u32()?,
                201 => {
                    let name = String::from_utf8_lossy(cursor.length_prefixed()?).into_owned();
                    edit.change = FamilyChange::Add(name);
                }
                202 => edit.change = FamilyChange::Drop,
                // Highest number that a family ever had.
                203 => drop(cursor.varint_u32()?),
                tag => return Err(Problem::NotUnderstood(format!("the tag {tag}, of a newer RocksDB,"))),
            }
        }
        Ok(edit)
    }

    fn add(&mut self, level: u32, number: u64, size_bytes: u64) {
        self.added.insert((level, number), TableFile { number, size_bytes });
    }

    fn new_file(&mut self, cursor: &mut Cursor<'_>, sequences: Sequences) -> Result<(), Problem> {
        let (level, number, size_bytes) = (cursor.varint_u32()?, cursor.varint()?, cursor.varint()?);
        bounds(cursor, sequences)?;
        self.add(level, number, size_bytes);
        Ok(())
    }

    fn new_file_on_path(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Problem> {
        let (level, number, path) = (cursor.varint_u32()?, cursor.varint()?, cursor.varint_u32()?);
        let size_bytes = cursor.varint()?;
        bounds(cursor, Sequences::Yes)?;
        if path != 0 {
            return Err(on_another_path());
        }
        self.add(level, number, size_bytes);
        Ok(())
    }

    fn new_file_with_fields(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Problem> {
        /// Fields with this bit must not be skipped by who does not know them (`db/version_edit.cc`).
        const MUST_BE_KNOWN: u32 = 1 << 6;
        self.new_file(cursor, Sequences::Yes)?;
        loop {
            match cursor.varint_u32()? {
                1 => return Ok(()),
                3 => {
                    let mut field = Cursor::new(cursor.length_prefixed()?);
                    self.min_log = self.min_log.max(field.u64_le()?);
                }
                65 if cursor.length_prefixed()? == [0] => {}
                65 => return Err(on_another_path()),
                field if field & MUST_BE_KNOWN != 0 => {
                    return Err(Problem::NotUnderstood(format!("the field {field} of a table file")));
                }
                _ => drop(cursor.length_prefixed()?),
            }
        }
    }
}

/// Whether sequence numbers follow the keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sequences {
    Yes,
    No,
}

/// Smallest and largest key of a table; its blocks say the same.
fn bounds(cursor: &mut Cursor<'_>, sequences: Sequences) -> Result<(), Malformed> {
    cursor.length_prefixed()?;
    cursor.length_prefixed()?;
    if sequences == Sequences::Yes {
        cursor.varint()?;
        cursor.varint()?;
    }
    Ok(())
}

fn on_another_path() -> Problem {
    Problem::NotUnderstood("a table file on another path".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::cursor::{put_length_prefixed, put_varint};
    use super::super::log::LogWriter;
    use super::*;
    use proptest::prelude::*;

    fn file(edits: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = LogWriter::default();
        edits.iter().flat_map(|edit| writer.append(edit)).collect()
    }

    fn numbers(values: &[u64]) -> Vec<u8> {
        let mut out = Vec::new();
        values.iter().for_each(|value| put_varint(&mut out, *value));
        out
    }

    fn add_meta() -> Vec<u8> {
        let mut edit = numbers(&[200, 2, 201]);
        put_length_prefixed(&mut edit, b"meta");
        edit
    }

    fn table(level: u64, number: u64) -> Vec<u8> {
        let mut edit = numbers(&[200, 2, 100, level, number, 1000]);
        put_length_prefixed(&mut edit, b"a");
        put_length_prefixed(&mut edit, b"b");
        edit.extend(numbers(&[1, 9]));
        edit
    }

    #[test]
    fn edits_add_up() {
        let bytes = file(&[
            numbers(&[2, 1, 3, 12, 4, 77]),
            add_meta(),
            table(0, 5),
            table(0, 6),
            numbers(&[200, 2, 6, 0, 5, 2, 9, 10, 8]),
        ]);
        let manifest = Manifest::read("MANIFEST-000004", &bytes).unwrap();
        let (id, meta) = manifest.family("meta").unwrap();
        assert_eq!(id, 2);
        assert_eq!(meta.tables.keys().copied().collect::<Vec<_>>(), [(0, 6)]);
        assert_eq!((meta.log_number, manifest.min_log), (9, 8));
        assert_eq!((manifest.next_file, manifest.last_sequence), (12, 77));
    }

    #[test]
    fn what_5_14_2_does_not_know_is_refused() {
        for (edit, word) in [
            (numbers(&[8193, 0]), "8193"),
            (numbers(&[8200, 0]), "8200"),
            (numbers(&[300, 0]), "300"),
            ([vec![1], vec![5], b"other".to_vec()].concat(), "comparator"),
        ] {
            let error = Manifest::read("MANIFEST-000004", &file(&[edit])).unwrap_err();
            assert!(
                matches!(&error, DorisError::NotUnderstood { what, .. } if what.contains(word)),
                "{error}"
            );
        }
        let whole = numbers(&[2, 1, 3, 12, 4, 77]);
        assert!(Manifest::read("m", &file(&[whole.clone(), add_meta()])).is_ok());
        for damaged in [
            vec![whole.clone(), add_meta(), numbers(&[200, 2, 6, 0, 5])],
            vec![whole.clone(), add_meta(), add_meta()],
            vec![whole, numbers(&[200, 2, 202])],
            // No sequence number.
            vec![numbers(&[2, 1, 3, 12]), add_meta()],
            vec![numbers(&[2, 1, 3, 12, 4, 1 << 56]), add_meta()],
        ] {
            assert!(
                matches!(Manifest::read("m", &file(&damaged)), Err(DorisError::Damaged { .. })),
                "{damaged:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn hostile_edits_are_refused_or_read(edits in proptest::collection::vec(any::<Vec<u8>>(), 0..4)) {
            let _ = Manifest::read("m", &file(&edits));
        }
    }
}
