//! Every database reads as RocksDB 5.14.2 reads it, or is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tabletd::doris::database::{Database, Strictness};
use tabletd::doris::error::DorisError;
use tabletd::doris::log::{LogReader, TornTail};
use tabletd::doris::source::MetaFiles;

use crate::fixtures::{InMemory, OnDisk, each_root, expected, root};

/// Key to (length, SHA-256) of its value.
type Dump = BTreeMap<String, (u64, String)>;

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digits).collect()
}

fn dump(database: &Database) -> Result<Dump, DorisError> {
    let mut dump = Dump::new();
    database.for_each(&mut |_| {}, &mut |key, value| {
        dump.insert(hex(key), (value.len() as u64, hex(&Sha256::digest(value))));
    })?;
    Ok(dump)
}

fn open(files: &dyn MetaFiles, strictness: Strictness) -> Result<(Database, Dump), DorisError> {
    let database = Database::open(files, strictness)?;
    let dump = dump(&database)?;
    Ok((database, dump))
}

fn wanted(root: &Value) -> Dump {
    let rows = root["dump"].as_array().expect("a dump").iter();
    rows.map(|row| {
        let text = |n: usize| row[n].as_str().expect("text").to_owned();
        (text(0), (row[1].as_u64().expect("a number"), text(2)))
    })
    .collect()
}

/// Refused because of something else than the database's files.
const NOT_OF_THE_DATABASE: [(&str, &str); 4] =
    [("refused", "hdr"), ("refused", "cloud"), ("clusters", "d1"), ("clusters", "d2")];

#[test]
fn every_dump_is_that_of_5_14_2() {
    let mut compared = 0;
    each_root(|node, name, path, root| {
        let opened = open(&OnDisk(path.join("meta")), Strictness::Refuse);
        let refused = !root["refused_for_writing"].is_null() && !NOT_OF_THE_DATABASE.contains(&(node, name));
        match opened {
            Ok((database, dump)) => {
                assert!(!refused, "{node}/{name} must be refused: {}", root["refused_for_writing"]);
                assert_eq!(dump, wanted(root), "{node}/{name}");
                for (key, (length, _)) in &dump {
                    let value = database.get(&unhex(key)).expect("readable").expect("is there");
                    assert_eq!(value.len() as u64, *length, "{node}/{name}");
                }
                compared += 1;
            }
            Err(error) => assert!(refused, "{node}/{name}: {error}"),
        }
    });
    assert!(compared >= 16, "{compared}");
}

#[test]
fn a_rescue_reads_what_the_damage_left() {
    for name in ["d1", "d2"] {
        let root_expected = &expected("flipped")["roots"][name];
        let (database, dump) =
            open(&OnDisk(root("flipped", name).join("meta")), Strictness::Rescue).expect("a rescue opens it");
        let lost: BTreeSet<&str> =
            root_expected["lost"].as_array().expect("lost keys").iter().filter_map(Value::as_str).collect();
        assert!(!lost.is_empty());
        for (key, value) in wanted(root_expected) {
            assert!(lost.contains(key.as_str()) || dump.get(&key) == Some(&value), "{name}: {key}");
        }
        let mut damage = database.damage().len();
        database.for_each(&mut |_| damage += 1, &mut |_, _| {}).expect("a rescue goes on");
        assert!(damage > 0, "{name}: the damage is told");
    }
}

/// A flipped bit or a cut is refused or reads as nothing had been changed; of a log that lost its end, nothing but the end
/// is missing. `TABLETD_FUZZ_ITERATIONS` says how many per root.
#[test]
fn mutations_are_refused_or_read_alike() {
    let iterations: u64 =
        std::env::var("TABLETD_FUZZ_ITERATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below.max(1) as u64).expect("below")
    };
    each_root(|node, name, path, _| {
        let whole = InMemory::of(&path.join("meta"));
        let Ok((_, before)) = open(&whole, Strictness::Refuse) else { return };
        for _ in 0..iterations {
            let mut files = InMemory(whole.0.clone());
            let names: Vec<_> =
                files.0.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(name, _)| name.clone()).collect();
            let file = names[next(names.len())].clone();
            let bytes = files.0.get_mut(&file).expect("is there");
            let at = next(bytes.len());
            let cut = next(4) == 0;
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << next(8);
            }
            if let Ok((_, after)) = open(&files, Strictness::Refuse) {
                let like_a_cut = || cut || after == without_last_record(&whole, &file);
                let may_be = after == before || file.ends_with(".log") && like_a_cut();
                assert!(may_be, "{node}/{name} {file} at {at}, cut {cut}");
            }
            let _ = open(&files, Strictness::Rescue);
        }
    });
}

/// What a log gives that was cut before its last record: a flipped bit in that record's length looks the same.
fn without_last_record(files: &InMemory, log: &str) -> Dump {
    let mut files = InMemory(files.0.clone());
    let bytes = files.0.get_mut(log).expect("is there");
    let last = LogReader::new(log, bytes, TornTail::Allowed).last().expect("a record").expect("whole");
    bytes.truncate(usize::try_from(last.offset).expect("fits"));
    open(&files, Strictness::Refuse).expect("opens").1
}
