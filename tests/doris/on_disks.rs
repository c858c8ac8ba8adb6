//! A drain between file systems of their own, and a source that takes no writes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use tabletd::doris::database::{Database, Strictness};
use tabletd::storage::{AddedLog, CommitError, Dir};

use crate::fixtures::{OnDisk, root};
use crate::mounts::{Access, Image, remount};
use crate::one_shot::{Node, assert_any_start_has_it, content, said};

/// Makes a file system in a file, and mounts it.
type Make = fn(&Path, &str, u64) -> Option<Image>;

/// A node whose roots are file systems of their own; `None` where they are not to be had.
fn node(make: Make, bytes: u64) -> Option<(Node, Vec<Image>)> {
    let mut node = Node::new("clean", &["hdd1", "hdd2"]);
    let mut images = Vec::new();
    for root in &mut node.roots {
        let name = format!("disk{}", images.len());
        let image = make(node.dir.path(), &name, bytes)?;
        let inside: Vec<PathBuf> =
            fs::read_dir(&*root).expect("readable").map(|entry| entry.expect("readable").path()).collect();
        let status = Command::new("cp").arg("-a").args(inside).arg(image.path()).status();
        assert!(status.expect("cp runs").success());
        *root = image.path().to_owned();
        images.push(image);
    }
    let roots: Vec<_> =
        node.roots.iter().map(|root| format!("{},medium:hdd", root.display()).into()).collect();
    node.configure(&roots);
    Some((node, images))
}

#[test]
fn a_drain_empties_a_disk_and_a_rebalance_fills_it_again() {
    let kinds: [(Make, u64, usize); 2] =
        [(Image::ext4, 96 << 20, 40 << 20), (Image::xfs, 320 << 20, 140 << 20)];
    for (make, bytes, filling) in kinds {
        if let Some((node, _images)) = node(make, bytes) {
            drain_and_fill(&node, filling);
        }
    }
}

fn drain_and_fill(node: &Node, filling_bytes: usize) {
    let tablets = node.movable(0);
    let output = node.run(&["drain", &node.path(0), "--dry-run", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("json");
    assert_eq!(report["plan"]["moves"].as_array().expect("a list").len(), tablets.len());
    let output = node.run(&["drain", &node.path(0), "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    tablets.iter().for_each(|tablet| assert_any_start_has_it(node, tablet, Some(1), "drained"));
    let output = node.run(&["drain", &node.path(0), "--yes"]);
    assert!(output.status.success() && said(&output).contains("0 of 0"), "{}", said(&output));

    let conf = fs::read_to_string(node.conf()).expect("is there");
    fs::write(node.conf(), conf + "rebalance_min_move_bytes = 0\nrebalance_source_floor_percent = 0\n")
        .expect("writable");
    fs::write(node.roots[1].join("filling"), vec![1; filling_bytes]).expect("there is room");
    let output = node.run(&["rebalance", "--yes", "--json"]);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    let moves = report["moves"].as_array().expect("a list");
    assert!(!moves.is_empty() && moves.iter().all(|moved| moved["outcome"] == "moved"), "{}", said(&output));
    tablets.iter().for_each(|tablet| assert_any_start_has_it(node, tablet, None, "evened out"));
}

#[test]
fn tablets_leave_a_disk_that_takes_no_writes_and_it_is_retired_once_it_does() {
    let Some((node, _images)) = node(Image::ext4, 96 << 20) else { return };
    let tablets = node.movable(0);
    let before = content(&node.database(0));
    remount(&node.roots[0], Access::ReadOnly).expect("nobody writes to it");
    let output = node.run(&["drain", &node.path(0), "--yes"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("must leave storage_root_path"), "{}", said(&output));
    tablets.iter().for_each(|tablet| assert_any_start_has_it(&node, tablet, Some(1), "read-only source"));
    assert!(before == content(&node.database(0)));
    let output = node.run(&["resume"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    remount(&node.roots[0], Access::ReadWrite).expect("may be written again");
    let output = node.run(&["resume"]);
    assert!(output.status.success(), "{}", said(&output));
    tablets.iter().for_each(|tablet| assert_any_start_has_it(&node, tablet, Some(1), "retired"));
    assert!(!node.database(0).get(b"tabletmeta_29223_1").is_ok_and(|found| found.is_some()));
    assert_eq!(content(&node.database(0)).keys().filter(|key| key.starts_with(b"tabletmeta_")).count(), 0);
}

/// There is no room for a batch: it certainly is not there, which is no doubt, and the next one that has room is.
#[test]
fn a_batch_without_room_is_not_made_and_leaves_no_doubt() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(image) = Image::ext4(dir.path(), "small", 24 << 20) else { return };
    let status =
        Command::new("cp").arg("-a").arg(root("clean", "hdd1").join("meta")).arg(image.path()).status();
    assert!(status.expect("cp runs").success());
    let meta = image.path().join("meta");
    let open = || Database::open(&OnDisk(meta.clone()), Strictness::Refuse).expect("opens");
    let before = content(&open());
    let mut log = AddedLog::after(Dir::open_absolute(&meta).expect("opens"), &open());
    let filler = image.path().join("filler");
    fill(&filler);
    // The batch begins, and does not end.
    let mut batch = log.batch();
    batch.put(b"tabletmeta_1_1", &vec![7; 1 << 20]);
    let refused = log.append(batch).expect_err("there is no room");
    assert!(matches!(refused, CommitError::NotCommitted(_)), "{refused}");
    assert!(content(&open()) == before, "nothing of it is read");
    let logs = || {
        fs::read_dir(&meta).expect("readable").filter(|entry| {
            entry
                .as_ref()
                .is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "log"))
        })
    };
    assert_eq!(logs().count(), 1, "a log with nothing in it is litter");
    fs::remove_file(&filler).expect("is there");
    let mut batch = log.batch();
    batch.put(b"tabletmeta_2_2", b"later");
    log.append(batch).expect("there is room");
    let mut wanted = before;
    wanted.insert(b"tabletmeta_2_2".to_vec(), b"later".to_vec());
    assert!(content(&open()) == wanted, "the later one, and nothing else");
}

/// Takes all but a little of what a file system has.
fn fill(filler: &Path) {
    let mut file = fs::File::create(filler).expect("writable");
    while file.write_all(&[1; 64 << 10]).is_ok() {}
    file.sync_all().expect("what was written is");
    let length = file.metadata().expect("is there").len();
    file.set_len(length.saturating_sub(128 << 10)).expect("shorter");
    file.sync_all().expect("durable");
}
