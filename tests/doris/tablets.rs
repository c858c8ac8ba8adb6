//! What each root's tablets are, which files are theirs, and whether they can be moved.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tabletd::doris::database::{Database, Strictness};
use tabletd::doris::files::{BINLOG, Listing, sort_files};
use tabletd::doris::inventory::{Found, Inventory};
use tabletd::doris::judge::{Reason, reasons_in_files};
use tabletd::doris::record::Tablet;
use tabletd::doris::rowsets::Fresh;
use tabletd::doris::segment::damage_of_footer;
use tabletd::doris::source::MetaFiles;

use crate::databases::hex;
use crate::fixtures::{OnDisk, each_root};

fn list(dir: &Path, prefix: &str, into: &mut Listing) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let entry = entry.expect("readable");
        let name = entry.file_name().into_string().expect("text");
        let metadata = entry.metadata().expect("readable");
        if metadata.is_file() {
            into.insert(format!("{prefix}{name}"), metadata.len());
        }
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|text| text.as_str().expect("text").to_owned()).collect()
}

/// What the files add to what the records say, compared with what they must give.
fn check_files(root: &Path, found: &Found, tablet: &Tablet, wanted: &Value) -> Vec<Reason> {
    let ids = found.ids;
    let dir = root.join(format!("data/{}/{}/{}", tablet.shard, ids.tablet_id, ids.schema_hash));
    let mut listing = Listing::new();
    list(&dir, "", &mut listing);
    list(&dir.join(BINLOG), "_binlog/", &mut listing);
    let fresh = Fresh::sort(tablet, &found.fresh);
    let binlog: Vec<String> = found.binlog_rowsets.iter().cloned().collect();
    let mut sorted = sort_files(tablet, &fresh, &binlog, &listing);
    let files = OnDisk(dir.clone());
    let mut damaged = Vec::new();
    for name in sorted.files.keys().filter(|name| name.ends_with(".dat")).cloned().collect::<Vec<_>>() {
        let file = files.open(&name).expect("readable").expect("is there");
        if let Some(what) = damage_of_footer(file.as_ref()).expect("readable") {
            damaged.push(serde_json::json!({"file": name, "what": what}));
            sorted.files.remove(&name);
            sorted.garbage.push(name);
        }
    }
    sorted.garbage.sort_unstable();
    let about = format!("{root:?} {ids} ({})", wanted["made_as"]);
    let moved: BTreeMap<String, u64> = wanted["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|row| (row[0].as_str().expect("a name").to_owned(), row[1].as_u64().expect("a size")))
        .collect();
    assert_eq!(sorted.files, moved, "{about}");
    assert_eq!(sorted.garbage, texts(&wanted["garbage"]), "{about}");
    assert_eq!(sorted.missing, texts(&wanted["missing"]), "{about}");
    let mut notes = Vec::new();
    for (is, note) in [
        (sorted.index_not_built, "index-file-missing-v1"),
        (sorted.index_missing, "index-file-missing-v2"),
        (!fresh.contained.is_empty(), "rst-already-contained"),
        (sorted.stale_missing, "stale-file-missing"),
    ] {
        notes.extend(is.then(|| note.to_owned()));
    }
    assert_eq!(notes, texts(&wanted["notes"]), "{about}");
    let mut reasons = reasons_in_files(&sorted, dir.is_dir());
    reasons.extend((!damaged.is_empty()).then_some(Reason::SegmentDamaged));
    assert_eq!(Value::from(damaged), wanted["damaged"], "{about}");
    reasons
}

#[test]
fn every_tablet_is_judged_as_it_must_be() {
    let mut judged = 0;
    each_root(|node, name, root, expected| {
        let Ok(database) = Database::open(&OnDisk(root.join("meta")), Strictness::Refuse) else { return };
        let Ok(inventory) = Inventory::read(&database) else {
            assert!(!expected["refused_for_writing"].is_null(), "{node}/{name}");
            return;
        };
        let tablets = expected["tablets"].as_array().expect("tablets");
        assert_eq!(inventory.tablets.len(), tablets.len(), "{node}/{name}");
        for wanted in tablets {
            let found = inventory.tablets.values().find(|found| wanted["tablet_id"] == found.ids.tablet_id);
            let found = found.expect("is there");
            let about = format!("{node}/{name} {} ({})", found.ids, wanted["made_as"]);
            let mut reasons = found.reasons();
            if let Ok(tablet) = &found.record {
                assert_eq!(wanted["state"], tablet.state.as_str(), "{about}");
                assert_eq!(wanted["shard"], tablet.shard, "{about}");
                assert_eq!(wanted["tablet_uid"], tablet.uid.to_string(), "{about}");
                assert_eq!(wanted["version"], Value::from(found.version()), "{about}");
                assert_eq!(wanted["generation"], Value::from(found.generation()), "{about}");
                assert_eq!(wanted["keys"].as_array().expect("keys").len() as u64, found.keys, "{about}");
                let fresh = Fresh::sort(tablet, &found.fresh);
                let joining: Vec<_> = fresh.joining.iter().map(|rowset| rowset.id.clone()).collect();
                assert_eq!(joining, texts(&wanted["rst_merged"]), "{about}");
                reasons.extend(check_files(root, found, tablet, wanted));
            }
            reasons.sort_unstable();
            let mut said: Vec<_> = reasons.iter().map(|reason| reason.as_str().to_owned()).collect();
            said.sort_unstable();
            // That a tablet is on two roots is seen by looking at both.
            let of_one_root: Vec<_> =
                texts(&wanted["reasons"]).into_iter().filter(|reason| reason != "duplicate").collect();
            assert_eq!(said, of_one_root, "{about}");
            judged += 1;
        }
        let sorted = |mut keys: Vec<String>| {
            keys.sort_unstable();
            keys
        };
        let hexes = |keys: &[Vec<u8>]| sorted(keys.iter().map(|key| hex(key)).collect());
        assert_eq!(hexes(&inventory.left_over), sorted(texts(&expected["left_over_keys"])), "{node}/{name}");
        assert_eq!(hexes(&inventory.unknown), sorted(texts(&expected["unknown_keys"])), "{node}/{name}");
    });
    assert!(judged > 150, "{judged}");
}
