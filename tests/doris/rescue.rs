//! `tabletctl doris rescue`: what is left on a root whose database does not open goes to another one, by the operator's word
//! for each tablet; and whatever happens, nothing of that root is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tabletd::doris::database::{Database, Strictness};
use tabletd::model::Status;

use crate::afterwards::Before;
use crate::fixtures::{OnDisk, expected};
use crate::one_shot::{Node, assert_any_start_has_it, content, ids_of, said, written};

/// Everything that a write to a root would change, access times aside.
fn traces(root: &Path) -> BTreeMap<PathBuf, (u64, u64, i64, i64)> {
    let entries = walkdir::WalkDir::new(root).into_iter().map(|entry| entry.expect("readable"));
    let one = |entry: walkdir::DirEntry| {
        let metadata = entry.metadata().expect("readable");
        let changed = (metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec());
        (entry.path().to_owned(), changed)
    };
    entries.map(one).collect()
}

fn rescue(node: &Node, accept: &[i64]) -> (Option<i32>, Value, String) {
    let (root, to) = (node.path(0), node.path(1));
    let accept: Vec<String> = accept.iter().map(ToString::to_string).collect();
    let accept = accept.join(",");
    let mut args = vec!["rescue", root.as_str(), "--to", to.as_str(), "--json", "--yes"];
    if !accept.is_empty() {
        args.extend(["--accept-older", &accept]);
    }
    let output = node.run(&args);
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), report, said(&output))
}

/// What each tablet is left for, in a look that moves nothing.
fn left_for(node: &Node) -> BTreeMap<i64, BTreeSet<String>> {
    let (code, report, told) = rescue(node, &[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(report["lost"].as_array().is_some_and(|lost| !lost.is_empty()), "{told}");
    assert_eq!(report["plan"]["moves"].as_array().map(Vec::len), Some(0), "{told}");
    let left = report["plan"]["left"].as_array().expect("a list").iter();
    let words = |left: &Value| -> BTreeSet<String> {
        left["reasons"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|r| r.as_str().expect("a word").to_owned())
            .collect()
    };
    left.map(|left| (left["tablet_id"].as_i64().expect("a number"), words(left))).collect()
}

fn is_whole(reasons: &BTreeSet<String>) -> bool {
    reasons.len() == 1 && reasons.contains("may-be-older")
}

/// Rescues all that is whole, and holds the result against what the damaged database gives and the fixture's files.
fn rescue_all_that_is_whole(node: &Node, about: &str) -> Vec<i64> {
    let before = traces(&node.roots[0]);
    let untouched = Before::of(node);
    let left = left_for(node);
    assert!(Before::of(node) == untouched && !node.state_dir().exists(), "{about}: a look writes nothing");
    let whole: Vec<i64> = left.iter().filter(|(_, why)| is_whole(why)).map(|(id, _)| *id).collect();
    if whole.is_empty() {
        return whole;
    }
    let damaged =
        Database::open(&OnDisk(node.roots[0].join("meta")), Strictness::Rescue).expect("something is left");
    let mut wanted = content(&node.database(1));
    let (code, _, told) = rescue(node, &whole);
    assert_eq!(code, Some(0), "{about}: {told}");
    assert!(traces(&node.roots[0]) == before, "{about}: the damaged root was touched");
    let rows = node.rows();
    for id in &whole {
        let row = &rows[id];
        assert_eq!(row.status, Status::Completed, "{about}: {}", row.status_reason);
        let ids = serde_json::json!({"tablet_id": id, "schema_hash": row.key.schema_hash.0});
        wanted.extend(written(row, &damaged, &ids).put);
    }
    assert!(content(&node.database(1)) == wanted, "{about}: what the destination has");
    whole
}

fn tablets_of(node: &str, root: &str) -> Vec<Value> {
    expected(node)["roots"][root]["tablets"].as_array().expect("a list").clone()
}

#[test]
fn of_a_damaged_root_what_is_whole_moves_and_the_rest_is_named() {
    for root in ["d1", "d2"] {
        let node = Node::with_another("flipped", root, ("empty", "d2"));
        // Without the word for it nothing of such a root is worked on.
        let output = node.run(&["drain", &node.path(0), "--yes"]);
        assert!(
            said(&output).contains("doris rescue") && output.status.code() == Some(4),
            "{}",
            said(&output)
        );
        let left = left_for(&node);
        let tablets = tablets_of("flipped", root);
        let mut judged = 0;
        for tablet in tablets.iter().filter(|tablet| tablet["verdict"] != "open") {
            let id = ids_of(tablet).tablet_id;
            let why = left.get(&id).unwrap_or_else(|| panic!("{root}: {id} is not listed"));
            match tablet["verdict"].as_str() {
                // A block that may have had keys of it is enough to leave it.
                Some("move") => assert!(is_whole(why) || why.contains("keys-lost"), "{root}: {id}: {why:?}"),
                _ => assert!(!is_whole(why), "{root}: {id}: {why:?}"),
            }
            judged += usize::from(is_whole(why));
        }
        assert!(judged > 0, "{root}: {left:?}");
        let moved = rescue_all_that_is_whole(&node, root);
        for tablet in &tablets {
            let id = ids_of(tablet).tablet_id;
            if moved.contains(&id) && tablet["verdict"] == "move" {
                only_at_destination(&node, tablet, root);
            }
        }
    }
}

/// As a backend has it that starts without the damaged root, which it would not start with.
fn only_at_destination(node: &Node, tablet: &Value, about: &str) {
    let meta = node.roots[0].join("meta");
    let aside = node.dir.path().join("aside");
    fs::rename(&meta, &aside).expect("moves");
    fs::create_dir_all(&meta).expect("writable");
    let empty = crate::fixtures::root("empty", "d2").join("meta");
    for entry in fs::read_dir(empty).expect("readable") {
        let entry = entry.expect("readable");
        fs::copy(entry.path(), meta.join(entry.file_name())).expect("copies");
    }
    assert_any_start_has_it(node, tablet, Some(1), about);
    fs::remove_dir_all(&meta).expect("is there");
    fs::rename(&aside, &meta).expect("moves");
}

/// What a disk does to a database: a block turned over, a file cut short or gone.
#[test]
fn whatever_is_lost_nothing_is_guessed_and_the_root_is_never_touched() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 7] = [
        ("no CURRENT", |meta| fs::remove_file(meta.join("CURRENT")).expect("is there")),
        ("no MANIFEST", |meta| fs::remove_file(meta.join("MANIFEST-000033")).expect("is there")),
        ("a table is gone", |meta| fs::remove_file(meta.join("000034.sst")).expect("is there")),
        ("a table is cut short", |meta| cut(&meta.join("000034.sst"), 100_000)),
        ("a small table is cut short", |meta| cut(&meta.join("000030.sst"), 1000)),
        ("a block is turned over", |meta| turn_over(&meta.join("000034.sst"), 3000)),
        ("no LOCK and no CURRENT", |meta| {
            fs::remove_file(meta.join("CURRENT")).expect("is there");
            fs::remove_file(meta.join("LOCK")).expect("is there");
        }),
    ];
    let mut moved = BTreeMap::new();
    for (about, damage) in damages {
        let node = Node::with_another("compacted", "d1", ("empty", "d2"));
        damage(&node.roots[0].join("meta"));
        moved.insert(about, rescue_all_that_is_whole(&node, about).len());
    }
    assert!(moved.values().filter(|count| **count > 0).count() >= 5, "{moved:?}");
}

fn cut(path: &Path, bytes: u64) {
    fs::OpenOptions::new().write(true).open(path).expect("is there").set_len(bytes).expect("shorter");
}

fn turn_over(path: &Path, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("readable");
    file.write_all_at(&[byte[0] ^ 4], at).expect("writable");
}

#[test]
fn what_another_root_has_stays_and_what_is_no_damage_is_no_rescue() {
    let node = Node::new("clean", &["hdd1", "hdd2"]);
    // The database opens.
    let (code, _, told) = rescue(&node, &[]);
    assert!(code == Some(4) && told.contains("doris drain"), "{told}");
    // Two tablets are at the other root by now; then the log that deleted them here is lost.
    let tablets: Vec<Value> = node.movable(0).into_iter().take(2).collect();
    let old_log = fs::read(node.roots[0].join("meta/000003.log")).expect("is there");
    let output = node.run(&node.move_args(&tablets, 1).iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", said(&output));
    for entry in fs::read_dir(node.roots[0].join("meta")).expect("readable") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "log") {
            fs::remove_file(path).expect("is there");
        }
    }
    fs::write(node.roots[0].join("meta/000003.log"), old_log).expect("writable");
    turn_over(&node.roots[0].join("meta/000003.log"), 140_000);
    let left = left_for(&node);
    let ids: Vec<i64> = tablets.iter().map(|tablet| ids_of(tablet).tablet_id).collect();
    for id in &ids {
        assert!(left[id].contains("present-elsewhere"), "{:?}", left[id]);
    }
    let at_destination = content(&node.database(1));
    let (code, report, told) = rescue(&node, &ids);
    assert_eq!(code, Some(4), "{told}");
    assert_eq!(report["moves"].as_array().map(Vec::len), Some(0), "{told}");
    assert!(content(&node.database(1)) == at_destination);
    let (code, _, told) = rescue(&node, &[1]);
    assert!(code == Some(4) && told.contains("no record of tablet 1 is left"), "{told}");
    // One that no other root has goes, and comes off again by an undo, which leaves the damaged root alone as well.
    let other = left.iter().find(|(_, why)| is_whole(why)).map(|(id, _)| *id).expect("one is whole");
    let (before, at_source) = (content(&node.database(1)), traces(&node.roots[0]));
    let (code, _, told) = rescue(&node, &[other]);
    assert_eq!(code, Some(0), "{told}");
    let path = node.path(0);
    let output = node.run(&["undo", "--yes", "--without", &path]);
    assert!(output.status.success() && said(&output).contains("1 tablet"), "{}", said(&output));
    assert!(content(&node.database(1)) == before && traces(&node.roots[0]) == at_source);
}

#[test]
fn what_is_not_understood_is_for_looking_only() {
    for root in ["format5", "dbid", "waldel", "cloud", "hdr"] {
        let node = Node::with_another("refused", root, ("refused", "good"));
        let before = traces(node.dir.path());
        let (code, _, told) = rescue(&node, &[]);
        assert!(code == Some(4) && told.contains("for looking only"), "{root}: {told}");
        assert!(traces(node.dir.path()) == before, "{root}");
    }
}

/// Killed at any point, the rescue goes on; without the damaged root the move ends as the destination says.
#[cfg(feature = "fault-injection")]
#[test]
fn a_killed_rescue_goes_on_or_ends_without_the_damaged_root() {
    for point in ["accepted", "data_copied", "placed_synced", "committed", "commit_journalled", "completed"] {
        for again in ["rescue", "resume"] {
            let about = format!("{point}, {again}");
            let node = Node::with_another("flipped", "d1", ("empty", "d2"));
            let left = left_for(&node);
            let id = left.iter().find(|(_, why)| is_whole(why)).map(|(id, _)| *id).expect("one is whole");
            let tablet =
                tablets_of("flipped", "d1").into_iter().find(|one| one["tablet_id"] == id).expect("is there");
            let (path, to, word) = (node.path(0), node.path(1), id.to_string());
            let before = traces(&node.roots[0]);
            let mut command = node.command(&["rescue", &path, "--to", &to, "--accept-older", &word, "--yes"]);
            command.env("TABLETD_FAIL_POINT", format!("{point}=kill"));
            assert!(command.output().expect("runs").status.code().is_none(), "{about}: was never reached");
            let committed = ["committed", "commit_journalled", "completed"].contains(&point);
            let moves = committed || again == "rescue";
            if again == "rescue" {
                let (_, _, told) = rescue(&node, &[id]);
                assert_eq!(node.rows()[&id].status, Status::Completed, "{about}: {told}");
            } else {
                let output = node.run(&["resume", "--without", &path]);
                let wanted = if moves { Status::Completed } else { Status::Failed };
                assert_eq!(node.rows()[&id].status, wanted, "{about}: {}", said(&output));
            }
            assert!(traces(&node.roots[0]) == before, "{about}");
            if moves && tablet["verdict"] == "move" {
                only_at_destination(&node, &tablet, &about);
            } else if !moves {
                assert!(node.found(1, ids_of(&tablet)).is_none(), "{about}");
                let staging = node.roots[1].join(".tabletd/migrating");
                assert_eq!(fs::read_dir(staging).expect("is there").count(), 0, "{about}");
            }
        }
    }
}
