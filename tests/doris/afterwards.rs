//! `tabletctl doris undo`, `confirm` and `purge`: the way back while no backend has started, and what comes once one has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tabletd::doris::keys::{Key, TabletIds};
use tabletd::doris::proto::{Change, Message, patch};
use tabletd::storage::{AddedLog, Dir};

use crate::one_shot::{Node, assert_any_start_has_it, content, directory, files, ids_of, said};

/// A node, and four tablets of it that have moved.
pub(crate) fn moved() -> (Node, Vec<Value>, Before) {
    let node = Node::new("clean", &["hdd1", "hdd2"]);
    let tablets: Vec<Value> = node.movable(0).into_iter().take(4).collect();
    let before = Before::of(&node);
    let args = node.move_args(&tablets, 1);
    let output = node.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", said(&output));
    (node, tablets, before)
}

/// All that a backend has on its roots: our room aside.
#[derive(PartialEq)]
pub(crate) struct Before(Vec<BTreeMap<String, (String, u32, u32, u32)>>);

impl Before {
    pub(crate) fn of(node: &Node) -> Self {
        let each = node.roots.iter().map(|root| {
            let all = files(root).into_iter();
            all.filter(|(name, _)| !name.starts_with(".tabletd/")).collect()
        });
        Self(each.collect())
    }
}

/// What a backend's start does to the files of a database, as far as it matters here: another MANIFEST, and CURRENT.
pub(crate) fn start_backend(root: &Path) {
    let meta = root.join("meta");
    let current = fs::read_to_string(meta.join("CURRENT")).expect("is there");
    fs::copy(meta.join(current.trim()), meta.join("MANIFEST-000999")).expect("writable");
    fs::write(meta.join("CURRENT"), "MANIFEST-000999\n").expect("writable");
}

#[test]
fn the_newest_run_is_taken_back_and_not_a_byte_of_it_is_left() {
    let (node, tablets, before) = moved();
    assert!(Before::of(&node) != before);
    let output = node.run(&["undo", "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("4 tablets are where they were"), "{}", said(&output));
    assert!(Before::of(&node) == before);
    assert_eq!(fs::read_dir(node.roots[0].join(".tabletd/retired")).expect("is there").count(), 0, "litter");
    for tablet in &tablets {
        assert_any_start_has_it(&node, tablet, Some(0), "undone");
    }
    let output = node.run(&["undo", "--yes"]);
    assert!(said(&output).contains("no run to take back"), "{}", said(&output));
    // And they may move again.
    let args = node.move_args(&tablets, 1);
    let output = node.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", said(&output));
    tablets.iter().for_each(|tablet| assert_any_start_has_it(&node, tablet, Some(1), "moved again"));
}

#[test]
fn runs_are_taken_back_from_the_newest_on() {
    let (node, tablets, before) = moved();
    let between = Before::of(&node);
    let more: Vec<Value> = node.movable(0).into_iter().skip(4).take(2).collect();
    let args = node.move_args(&more, 1);
    let output = node.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", said(&output));
    for then in [between, before] {
        let output = node.run(&["undo", "--yes"]);
        assert!(output.status.success(), "{}", said(&output));
        assert!(Before::of(&node) == then);
    }
    tablets.iter().for_each(|tablet| assert_any_start_has_it(&node, tablet, Some(0), "undone"));
}

#[test]
fn nothing_is_taken_back_once_a_backend_has_started() {
    for root in [0, 1] {
        let (node, _, _) = moved();
        start_backend(&node.roots[root]);
        let now = Before::of(&node);
        let output = node.run(&["undo", "--yes"]);
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        assert!(said(&output).contains("a backend has started since"), "{}", said(&output));
        assert!(Before::of(&node) == now);
    }
}

fn confirmed(node: &Node) -> (bool, BTreeMap<i64, String>) {
    let output = node.run(&["confirm", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    let each = told.as_array().expect("a list").iter();
    let pair = |one: &Value| {
        (one["tablet_id"].as_i64().expect("a number"), one["now"].as_str().expect("a word").to_owned())
    };
    (output.status.success(), each.map(pair).collect())
}

fn retired(node: &Node) -> Vec<PathBuf> {
    let entries = fs::read_dir(node.roots[0].join(".tabletd/retired")).expect("is there");
    entries.map(|entry| entry.expect("readable").path()).collect()
}

#[test]
fn what_is_confirmed_is_purged_and_nothing_else() {
    let (node, tablets, _) = moved();
    let (ok, told) = confirmed(&node);
    assert!(!ok && told.values().all(|now| now == "no backend has started since"), "{told:?}");
    let output = node.run(&["purge", "--yes"]);
    assert!(said(&output).contains("4 are not confirmed and stay"), "{}", said(&output));
    assert_eq!(retired(&node).len(), 4);

    node.roots.iter().for_each(|root| start_backend(root));
    let ids = ids_of(&tablets[0]);
    let found = node.found(1, ids).expect("is there").record.expect("parses");
    let at = directory(&node.roots[1], found.shard, ids);
    let segment = at
        .join(format!("{}_0.dat", found.rowsets.iter().find(|rowset| rowset.segments > 0).expect("one").id));
    let bytes = fs::read(&segment).expect("is there");
    for damage in [&bytes[..bytes.len() - 1], &[&bytes[..5], &[bytes[5] ^ 1], &bytes[6..]].concat()] {
        fs::write(&segment, damage).expect("writable");
        let (ok, told) = confirmed(&node);
        assert!(!ok && told[&ids.tablet_id] == "damaged", "{told:?}");
        assert_eq!(told.values().filter(|now| *now == "as moved").count(), 3, "{told:?}");
    }
    let before = [content(&node.database(0)), content(&node.database(1))];
    let output = node.run(&["purge", "--yes"]);
    assert!(output.status.success() && said(&output).contains("1 is not confirmed"), "{}", said(&output));
    assert_eq!(retired(&node).len(), 1, "the damaged one's source stays");
    assert_eq!(fs::read_dir(node.roots[0].join(".tabletd/kept")).expect("is there").count(), 1);
    fs::write(&segment, &bytes).expect("writable");
    let (ok, told) = confirmed(&node);
    assert!(ok && told[&ids.tablet_id] == "as moved", "{told:?}");
    let output = node.run(&["purge", "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(retired(&node).len(), 0);
    for root in &node.roots {
        assert_eq!(fs::read_dir(root.join(".tabletd/kept")).expect("is there").count(), 0);
    }
    assert!(before == [content(&node.database(0)), content(&node.database(1))]);
}

/// A log that nobody's move explains is not removed, whatever CURRENT says.
#[test]
fn a_log_with_something_else_in_it_is_not_taken_for_ours() {
    let (node, tablets, _) = moved();
    let meta = node.roots[1].join("meta");
    let mut log = AddedLog::after(Dir::open_absolute(&meta).expect("opens"), &node.database(1));
    let mut batch = log.batch();
    batch.put(b"tabletmeta_1_1", b"somebody's");
    log.append(batch).expect("there is room");
    let after = Before::of(&node);
    let output = node.run(&["undo", "--yes"]);
    assert!(!output.status.success() && said(&output).contains("(1.1)"), "{}", said(&output));
    assert!(said(&output).contains("nothing was touched") && Before::of(&node) == after, "{}", said(&output));
    tablets.iter().for_each(|tablet| assert_any_start_has_it(&node, tablet, Some(1), "not undone"));
}

/// What a compaction leaves of a record, as far as it matters here: none of the rowsets that were moved.
fn forget_rowsets(node: &Node, ids: TabletIds) {
    const RS_METAS: u32 = 10;
    let (meta, database, key) = (node.roots[1].join("meta"), node.database(1), Key::tablet(ids).into_bytes());
    let record = database.get(&key).expect("readable").expect("is there");
    let record =
        patch(&Message::parse(&record).expect("walks"), &[(RS_METAS, Change::Drop)], &[]).expect("walks");
    let mut log = AddedLog::after(Dir::open_absolute(&meta).expect("opens"), &database);
    let mut batch = log.batch();
    batch.put(&key, &record);
    log.append(batch).expect("is appended");
}

#[test]
fn what_a_compaction_has_replaced_is_told_and_confirmed() {
    let (node, tablets, _) = moved();
    let ids = ids_of(&tablets[0]);
    let tablet = node.found(1, ids).expect("is there").record.expect("parses");
    forget_rowsets(&node, ids);
    let at = directory(&node.roots[1], tablet.shard, ids);
    let is_segment = |name: &String| name.ends_with(".dat") && !name.contains('/');
    let segment = files(&at).into_keys().find(is_segment).expect("it has a segment");
    fs::remove_file(at.join(segment)).expect("is there");
    node.roots.iter().for_each(|root| start_backend(root));
    let (success, told) = confirmed(&node);
    assert!(success && told[&ids.tablet_id] == "changed since", "{told:?}");
    assert_eq!(told.values().filter(|now| *now == "as moved").count(), tablets.len() - 1, "{told:?}");
}
