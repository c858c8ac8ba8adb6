//! Every database reads as RocksDB 5.14.2 reads it, or is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tabletd::doris::database::{Database, Strictness};
use tabletd::doris::error::DorisError;
use tabletd::doris::source::MetaFiles;

use crate::fixtures::{OnDisk, each_root, expected, root};

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
