//! Trash: starts after a crash in the middle of a retirement or of a purge, and purges and lists of any size.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tabletd::model::TabletKey;

use crate::harness::{Daemon, Node, read_dir_names};

/// A node whose only tablet has moved from disk 0 to disk 1, at rest, and its trash entry.
fn moved() -> (Node, TabletKey, PathBuf) {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[5000, 300]);
    move_to(&node, key, 1);
    let entry = entry_of(&node);
    (node, key, entry)
}

fn move_to(node: &Node, key: TabletKey, disk: usize) {
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(disk)), &["completed"]);
    daemon.stop();
}

/// The one trash entry of disk 0.
fn entry_of(node: &Node) -> PathBuf {
    let trash = node.roots[0].join("trash");
    let [entry] = read_dir_names(&trash).try_into().expect("one entry");
    trash.join(entry)
}

/// As it was when only the record had been renamed: the header lies beside its place, the directory where it lived.
fn take_back_directory(node: &Node, key: TabletKey, entry: &Path) {
    let tablet = entry.join("7");
    fs::rename(tablet.join("555/7.hdr.json"), tablet.join("7.hdr.json")).expect("a header");
    let place = node.tablet_dir(0, key);
    fs::create_dir_all(place.parent().expect("a parent")).expect("a directory");
    fs::rename(tablet.join("555"), place).expect("a directory");
}

/// A note whose bytes were not on the disk yet when the power went, although its name was.
fn lose_note(entry: &Path) {
    fs::write(entry.join("retired.json"), b"").expect("a note");
}

/// Starts once, and the node is whole with its tablet there; what the trash says then.
fn trash_after_a_start(node: &Node, key: TabletKey, owner: usize, case: &str) -> Value {
    let daemon = node.start();
    let trash = daemon.get("/api/v1/trash");
    daemon.stop();
    assert_eq!(node.examine(tabletd::storage::ReadFrom::Cache).map(|at| at[&key]), Ok(owner), "{case}");
    trash
}

#[test]
fn a_retirement_that_was_cut_short_is_finished_with_or_without_its_note() {
    for (case, renamed, noted) in [
        ("the note is there, the directory was not renamed", false, true),
        ("the note is lost, the directory was not renamed", false, false),
        ("the note is lost, everything was renamed", true, false),
    ] {
        let (node, key, entry) = moved();
        if !renamed {
            take_back_directory(&node, key, &entry);
        }
        if !noted {
            lose_note(&entry);
        }
        let trash = trash_after_a_start(&node, key, 1, case);
        assert_eq!(trash["total"], 1, "{case}: {trash:#}");
        let item = &trash["data"][0];
        assert_eq!((&item["moved_to"], &item["generation"]), (&json!(node.disk(1)), &json!(1)), "{case}");
        assert_eq!(item["migration_id"], 1, "{case}: it can be reverted");
        assert_eq!(read_dir_names(&entry.join("7/555")).len(), 3, "{case}: two files and a header");
        let daemon = node.start();
        let back = daemon.act(1, &json!({"revert": null}))["id"].as_u64();
        daemon.wait_for(back.unwrap_or_else(|| panic!("{case}: not reverted")), &["completed"]);
        daemon.stop();
    }
}

#[test]
fn an_entry_that_nothing_reached_goes_away() {
    for noted in [true, false] {
        let (node, key, entry) = moved();
        // As a power cut leaves it that came in a purge, or right after the entry was made.
        fs::remove_dir_all(entry.join("7/555")).expect("a directory");
        if !noted {
            lose_note(&entry);
        }
        trash_after_a_start(&node, key, 1, "bare");
        assert!(!entry.exists(), "noted: {noted}");
    }
}

#[test]
fn an_entry_of_an_earlier_stay_takes_nothing_of_a_later_one() {
    let (node, key, entry) = moved();
    // Half purged: its files are there, its header is gone.
    fs::remove_file(entry.join("7/555/7.hdr.json")).expect("a header");
    move_to(&node, key, 0);
    move_to(&node, key, 1);
    let newer = read_dir_names(&node.roots[0].join("trash"))
        .into_iter()
        .map(|name| node.roots[0].join("trash").join(name))
        .find(|path| *path != entry)
        .expect("a second entry");
    // The second stay is not retired yet: only its entry was made.
    let tablet = newer.join("7/555");
    let header = fs::read(tablet.join("7.hdr.json")).expect("a header");
    fs::remove_file(tablet.join("7.hdr.json")).expect("a header");
    fs::create_dir_all(node.tablet_dir(0, key).parent().expect("a parent")).expect("a directory");
    fs::rename(&tablet, node.tablet_dir(0, key)).expect("a directory");
    fs::write(node.roots[0].join("meta/7_555.json"), header).expect("a record");
    let trash = trash_after_a_start(&node, key, 1, "two entries");
    assert_eq!(trash["total"], 3, "one of them on disk 1: {trash:#}");
    assert_eq!(read_dir_names(&entry.join("7/555")).len(), 2, "only what it had");
}

/// Does something that reads 6 MB of disk 1 at 2 MB/s, and looks at the disks meanwhile: none may look hung.
fn reads_at_length(node: &Node, what: impl FnOnce() -> Value + Send, daemon: &Daemon) -> Value {
    let begun = std::time::Instant::now();
    let (answer, looks) = std::thread::scope(|scope| {
        let under_way = scope.spawn(what);
        let mut looks = Vec::new();
        while !under_way.is_finished() {
            looks.push(daemon.get("/api/v1/disks"));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        (under_way.join().expect("an answer"), looks)
    });
    assert!(begun.elapsed().as_secs_f64() > 2.0, "6 MB at 2 MB/s: {:?}", begun.elapsed());
    let hung = looks.iter().find(|look| look.to_string().contains("hung"));
    assert_eq!(hung, None, "of {} looks at {:?}", looks.len(), node.roots);
    answer
}

#[test]
fn what_reads_a_large_tablet_keeps_to_limits_and_makes_no_disk_look_hung() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[1_000_000; 6]);
    move_to(&node, key, 1);
    node.settings = "disk_hang_timeout_sec = 1\ndisk_rate_limit_bytes_per_sec = 2000000".to_owned();
    let daemon = node.start();
    let url = daemon.url("/api/calc_crc?tablet_id=7");
    let get = move || ureq::get(&url).call().expect("an answer").body_mut().read_json().expect("JSON");
    let digests = reads_at_length(&node, get, &daemon);
    assert_eq!(digests["file_count"], "6", "{digests:#}");
    let (url, all) = (daemon.url("/api/v1/trash/purge"), json!({"all": true}));
    let operations = daemon.url("/api/v1/operations");
    let purge = move || {
        let mut answer = ureq::post(&url).send_json(all).expect("an answer");
        let mut purge: Value = answer.body_mut().read_json().expect("JSON");
        while purge["state"] == "running" {
            let look = ureq::get(format!("{operations}/{}", purge["id"])).call();
            purge = look.expect("an answer").body_mut().read_json().expect("JSON");
        }
        purge
    };
    let purged = reads_at_length(&node, purge, &daemon);
    assert_eq!(purged["items"][0]["done"], true, "{purged:#}");
    assert_eq!(daemon.get("/api/v1/trash")["total"], 0);
    daemon.stop();
}

#[test]
fn of_two_purges_at_once_one_removes_a_tablet_and_it_is_counted_once() {
    let mut node = Node::new(2);
    let keys = [7, 8].map(|id| node.add_tablet(0, id, &[1_000_000; 3]));
    let mut daemon = node.start();
    for key in keys {
        daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    }
    daemon.stop();
    // The live copy is read first: both have begun before the first has removed anything.
    node.settings = "disk_rate_limit_bytes_per_sec = 2000000".to_owned();
    daemon = node.start();
    let purge =
        || daemon.post("/api/v1/trash/purge", &json!({"tablet_id": 7}))["id"].as_u64().expect("begun");
    let purges = [purge(), purge()].map(|id| {
        let look = || daemon.get(&format!("/api/v1/operations/{id}"));
        assert!(daemon.becomes(|| look()["state"] != "running"), "{:#}", look());
        look()
    });
    let items: Vec<_> =
        purges.iter().flat_map(|one| one["items"].as_array().expect("items").clone()).collect();
    let done = items.iter().filter(|item| item["done"] == true).count();
    assert_eq!(done, 1, "{items:#?}");
    for item in items.iter().filter(|item| item["done"] == false) {
        assert!(item["not_done_because"].to_string().contains("another purge"), "{item:#}");
    }
    let metrics = daemon.get_text("/metrics");
    let counted = metrics.lines().find(|line| line.starts_with("tabletd_trash_purged_total "));
    assert!(counted.is_some_and(|line| line.ends_with(" 1")), "{counted:?}");
    assert_eq!(daemon.get("/api/v1/disks")["data"][0]["trash_bytes"], 3_000_000);
    daemon.stop();
}

#[test]
fn trash_is_listed_in_pages_by_disk_and_by_tablet() {
    let mut node = Node::new(3);
    let keys: Vec<_> = (1..=70).map(|id| node.add_tablet(usize::from(id % 7 == 0), id, &[100])).collect();
    let daemon = node.start();
    for key in &keys {
        daemon.accept(*key, &node.disk(2));
    }
    daemon.wait_until_idle();
    let whole = daemon.get("/api/v1/trash");
    assert_eq!((&whole["total"], whole["data"].as_array().map(Vec::len)), (&json!(70), Some(70)));
    let mut seen = Vec::new();
    let mut next = "/api/v1/trash?limit=9".to_owned();
    loop {
        let page = daemon.get(&next);
        assert_eq!(page["total"], 70);
        let rows = page["data"].as_array().expect("rows").clone();
        let Some(last) = rows.last() else { break };
        let text = |name: &str| last[name].as_str().expect("text").to_owned();
        next = format!("/api/v1/trash?limit=9&marker={}:{}", text("disk"), text("entry"));
        seen.extend(rows);
        assert!(seen.len() <= 70, "a page that does not end: {next}");
    }
    // Not the whole rows: how old each is goes on.
    let names = |rows: &[Value]| -> Vec<_> {
        rows.iter().map(|row| (row["disk"].clone(), row["entry"].clone(), row["tablet_id"].clone())).collect()
    };
    assert_eq!(names(&seen), names(whole["data"].as_array().expect("rows")));
    let of_disk = daemon.get(&format!("/api/v1/trash?limit=3&disk={}", node.disk(1)));
    assert_eq!((&of_disk["total"], of_disk["data"].as_array().map(Vec::len)), (&json!(10), Some(3)));
    let of_tablet = daemon.get("/api/v1/trash?tablet_id=14");
    assert_eq!((&of_tablet["total"], &of_tablet["data"][0]["disk"]), (&json!(1), &json!(node.disk(1))));
    for (wrong, named) in
        [("marker=x", "x"), ("marker=/nowhere:20260101000000.0", "/nowhere"), ("disk=/no", "/no")]
    {
        let refused = daemon.get(&format!("/api/v1/trash?{wrong}"));
        let said = refused["error_msg"].as_str().unwrap_or_default();
        assert!(said.contains(named), "{wrong}: {refused}");
    }
    daemon.stop();
}
