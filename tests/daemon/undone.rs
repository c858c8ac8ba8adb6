//! What cannot be done on a disk concerns that disk or that tablet, never the start: it is named, shown until it is done,
//! and tried again while the daemon runs.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::daemon::Daemon;
use crate::harness::mounts::{Image, skip};
use crate::harness::{Node, make_root};

const SWEEPS_OFTEN: &str =
    "min_garbage_sweep_interval = 1\nmax_garbage_sweep_interval = 1\ndisk_stat_monitor_interval = 1\n";

/// A node with its first disk on a small file system of its own; `None`, said aloud, where that cannot be had.
fn with_small_disk() -> Option<(Node, Image)> {
    let dir = tempfile::tempdir().expect("a directory");
    let image = Image::ext4(dir.path(), "small", 24 << 20)?;
    let roots = vec![image.path().to_owned(), dir.path().join("disk1")];
    roots.iter().for_each(|root| make_root(root));
    let mut node = Node::on(dir, roots);
    node.settings = SWEEPS_OFTEN.to_owned();
    Some((node, image))
}

/// Takes every block of a file system.
fn fill(disk: &Path) {
    for (n, bytes) in [1 << 20, 64 << 10, 4 << 10, 1 << 10].into_iter().enumerate() {
        let mut ballast = File::create(disk.join(format!("ballast{n}"))).expect("an inode");
        let block = vec![0x5a; bytes];
        while ballast.write_all(&block).and_then(|()| ballast.sync_data()).is_ok() {}
    }
}

fn make_room(daemon: &Daemon, disk: &Path) {
    for n in 0..4 {
        fs::remove_file(disk.join(format!("ballast{n}"))).expect("a file");
    }
    let path = disk.display().to_string();
    let is_seen = || shown(daemon, &path)["avail_bytes"].as_u64() > Some(1 << 20);
    assert!(daemon.becomes(is_seen), "{:#}", shown(daemon, &path));
}

/// `chattr`; false, said aloud, where the file system has no such flags.
fn chattr(flag: &str, file: &Path) -> bool {
    let done = Command::new("chattr").arg(flag).arg(file).status().is_ok_and(|status| status.success());
    if !done {
        skip("chattr does not work here");
    }
    done
}

fn undone(daemon: &Daemon) -> Vec<Value> {
    let status = daemon.get("/api/v1/status");
    let list = status["undone"].as_array().expect("a list").clone();
    assert_eq!(status["undone_count"], list.len(), "{status:#}");
    list
}

fn shown(daemon: &Daemon, disk: &str) -> Value {
    let disks = daemon.get("/api/v1/disks");
    let found = disks["data"].as_array().expect("a list").iter().find(|found| found["path"] == disk);
    found.expect("the disk").clone()
}

fn condition(daemon: &Daemon, disk: &str) -> Value {
    shown(daemon, disk)["condition"].clone()
}

/// Everything below a directory, by path and size.
fn tree(dir: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.expect("readable");
        let size = entry.metadata().expect("readable").len();
        found.push((entry.path().display().to_string(), size));
    }
    found
}

#[test]
fn an_entry_that_cannot_be_read_is_named_and_left_and_hides_none_of_the_others() {
    let mut node = Node::new(2);
    let (kept, moved) = (node.add_tablet(0, 7, &[5000]), node.add_tablet(0, 8, &[5000]));
    let daemon = node.start();
    daemon.wait_for(daemon.accept(moved, &node.disk(1)), &["completed"]);
    daemon.stop();

    let oversized = |path: &Path| File::create(path).and_then(|file| file.set_len(65 << 20)).expect("a file");
    let at = |path: &str| node.roots[0].join(path);
    for dir in [
        "trash/20200101000000.0/retired.json",
        "trash/20200101000001.0/9/555/9.hdr.json",
        "trash/20200101000002.0",
        "migrating/44/owner.json",
        "migrating/45",
        "quarantine/20200101000004.0",
    ] {
        fs::create_dir_all(at(dir)).expect("a directory");
    }
    oversized(&at("trash/20200101000002.0/retired.json"));
    std::os::unix::fs::symlink("/etc", at("trash/20200101000003.0")).expect("a symlink");
    std::os::unix::fs::symlink("/etc/hostname", at("migrating/45/owner.json")).expect("a symlink");
    oversized(&at("quarantine/20200101000004.0/9.hdr.json"));
    let bad = [
        "migrating/44",
        "migrating/45",
        "quarantine/20200101000004.0",
        "trash/20200101000000.0",
        "trash/20200101000001.0",
        "trash/20200101000002.0",
        "trash/20200101000003.0",
    ];
    let before: Vec<_> = bad.iter().map(|path| tree(&at(path))).collect();

    let daemon = node.start();
    assert_eq!(condition(&daemon, &node.disk(0)), "online");
    let named: Vec<_> = undone(&daemon).into_iter().map(|one| one["path"].clone()).collect();
    assert_eq!(named, bad, "all are named, and nothing else is");
    let said = daemon.said();
    for path in bad {
        assert!(said.lines().any(|line| line.contains("WARN") && line.contains(path)), "{path} in {said}");
    }
    let trash = daemon.get("/api/v1/trash");
    assert_eq!((&trash["total"], &trash["data"][0]["tablet_id"]), (&json!(1), &json!(8)), "{trash:#}");
    assert_eq!(trash["unreadable"].as_array().map(Vec::len), Some(4), "{trash:#}");
    let purged = daemon.operate("/api/v1/trash/purge", &json!({"all": true}));
    assert_eq!(purged["items"][0]["done"], true, "{purged:#}");
    // One that appears while the daemon runs, and one that can be read again.
    fs::create_dir_all(at("trash/20200101000005.0/retired.json")).expect("a directory");
    let trash = daemon.get("/api/v1/trash");
    assert_eq!(trash["unreadable"].as_array().map(Vec::len), Some(5), "{trash:#}");
    daemon.wait_for(daemon.accept(kept, &node.disk(1)), &["completed"]);
    daemon.stop();
    assert_eq!(before, bad.map(|path| tree(&at(path))), "what cannot be read is not touched");
    for path in bad {
        let path = at(path);
        if path.is_symlink() { fs::remove_file(path) } else { fs::remove_dir_all(path) }.expect("removed");
    }
    fs::remove_dir_all(at("trash/20200101000005.0")).expect("removed");
    assert_eq!(node.assert_whole()[&kept], 1);
}

#[test]
fn a_directory_that_the_disk_does_not_show_hides_its_own_tablet_only() {
    let mut node = Node::new(2);
    let (hidden, seen) = (node.add_tablet(0, 7, &[5000]), node.add_tablet(0, 8, &[5000]));
    let parent = node.tablet_dir(0, hidden).parent().expect("a parent").to_owned();
    let aside = node.dir.path().join("aside");
    fs::rename(&parent, &aside).expect("a directory");
    // A loop of links: asking for what is behind it fails, and says nothing of whether it is there.
    std::os::unix::fs::symlink(&parent, &parent).expect("a symlink");
    let daemon = node.start();
    assert_eq!(condition(&daemon, &node.disk(0)), "online");
    assert_eq!(daemon.run(hidden, &node.disk(1))["error_code"], "TABLET_UNAVAILABLE");
    daemon.wait_for(daemon.accept(seen, &node.disk(1)), &["completed"]);
    daemon.stop();
    fs::remove_file(&parent).expect("a symlink");
    fs::rename(&aside, &parent).expect("a directory");
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0));
    daemon.stop();
    let placement = node.assert_whole();
    assert_eq!((placement[&hidden], placement[&seen]), (0, 1));
}

#[test]
fn what_a_full_disk_does_not_let_go_is_shown_survives_a_start_and_is_retired_by_the_sweep() {
    let Some((mut node, image)) = with_small_disk() else { return };
    let keys = [7, 8].map(|id| node.add_tablet(0, id, &[200_000]));
    let daemon = node.start();
    fill(image.path());
    for key in keys {
        daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    }
    let old = |key| node.tablet_dir(0, key).exists();
    let left = undone(&daemon);
    let stands: Vec<_> = keys.into_iter().filter(|key| old(*key)).collect();
    assert_eq!(left.len(), stands.len(), "what still stands is shown: {left:#?}");
    for (key, left) in stands.iter().zip(&left) {
        assert_eq!(left["tablet_id"], json!(key.tablet_id), "{left:#}");
        assert!(left["size_bytes"].as_u64() >= Some(200_000), "{left:#}");
    }
    daemon.stop();

    let daemon = node.start();
    assert_eq!(condition(&daemon, &node.disk(0)), "online");
    assert_eq!(undone(&daemon).len(), stands.len(), "a start does not fail for it, and shows it");
    for key in keys {
        assert_eq!(daemon.get(&format!("/api/v1/tablets/{}", key.tablet_id))["disk"], node.disk(1));
    }
    make_room(&daemon, image.path());
    assert!(daemon.becomes(|| undone(&daemon).is_empty() && !keys.into_iter().any(old)));
    daemon.wait_for(daemon.accept(keys[0], &node.disk(0)), &["completed"]);
    daemon.stop();
    let placement = node.assert_whole();
    assert_eq!(keys.map(|key| placement[&key]), [0, 1]);
}

#[test]
fn a_full_source_is_retired_by_what_was_made_in_advance() {
    let Some((mut node, image)) = with_small_disk() else { return };
    node.settings = "disk_stat_monitor_interval = 1\n".to_owned();
    let key = node.add_tablet(0, 7, &[200_000]);
    let daemon = node.start();
    let made = || fs::read_dir(image.path().join(".spare")).map_or(0, Iterator::count) == 4;
    assert!(daemon.becomes(made), "nothing is made in advance");
    fill(image.path());
    let row = daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    assert!(row["receipt"]["trash_path"].is_string(), "{row:#}");
    assert_eq!(undone(&daemon), Vec::<Value>::new());
    assert_eq!(daemon.get("/api/v1/trash")["data"][0]["moved_to"], node.disk(1));
    assert!(!node.tablet_dir(0, key).exists());
    daemon.kill();
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    make_room(&daemon, image.path());
    daemon.act(1, &json!({"revert": {}}));
    daemon.wait_until_idle();
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

#[test]
fn a_move_back_retires_what_is_left_of_the_old_copy_itself() {
    let Some((mut node, image)) = with_small_disk() else { return };
    node.settings = "min_garbage_sweep_interval = 3600\nmax_garbage_sweep_interval = 3600\n\
         disk_stat_monitor_interval = 1\n"
        .to_owned();
    let keys: Vec<_> = (10..30).map(|id| node.add_tablet(0, id, &[1000])).collect();
    let daemon = node.start();
    fill(image.path());
    for key in &keys {
        daemon.wait_for(daemon.accept(*key, &node.disk(1)), &["completed"]);
    }
    let standing = undone(&daemon);
    assert!(!standing.is_empty(), "twenty retirements do not fit on a full disk");
    let key = *keys.iter().find(|key| standing[0]["tablet_id"] == key.tablet_id.0).expect("one of them");
    make_room(&daemon, image.path());
    daemon.wait_for(daemon.accept(key, &node.disk(0)), &["completed"]);
    daemon.stop();
    // The others go with the next start.
    node.start().stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

#[test]
fn staging_that_cannot_go_stops_no_start_and_goes_once_it_can() {
    let Some((mut node, image)) = with_small_disk() else { return };
    let key = node.add_tablet(1, 7, &[200_000]);
    let daemon = node.start();
    let id = daemon.post(
        "/api/v1/migrations",
        &json!({"tablet_id": 7, "schema_hash": 555, "dest_disk": node.disk(0), "mode": "manual_cutover"}),
    )["id"]
        .as_u64()
        .expect("a number");
    daemon.wait_for(id, &["ready"]);
    let files = image.path().join(format!("migrating/{id}/files"));
    let staged = fs::read_dir(&files).expect("staged").next().expect("a file").expect("a file").path();
    if !chattr("+i", &staged) {
        return;
    }
    daemon.act(id, &json!({"abort": null}));
    daemon.wait_for(id, &["aborted"]);
    let path = format!("migrating/{id}");
    let names = |daemon: &Daemon| undone(daemon).iter().any(|one| one["path"] == path.as_str());
    assert!(names(&daemon), "{:#?}", undone(&daemon));
    daemon.stop();
    let daemon = node.start();
    assert!(names(&daemon), "{:#?} in {}", undone(&daemon), daemon.said());
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    assert!(chattr("-i", &staged));
    assert!(daemon.becomes(|| undone(&daemon).is_empty() && !staged.exists()));
    daemon.wait_for(daemon.accept(key, &node.disk(0)), &["completed"]);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

#[test]
fn a_damaged_row_of_the_journal_is_named_and_its_tablet_is_served_from_its_owner() {
    let mut node = Node::new(2);
    let keys = [7, 8].map(|id| node.add_tablet(0, id, &[5000]));
    let daemon = node.start();
    let request =
        json!({"tablet_id": 7, "schema_hash": 555, "dest_disk": node.disk(1), "mode": "manual_cutover"});
    let id = daemon.post("/api/v1/migrations", &request)["id"].as_u64().expect("a number");
    daemon.wait_for(id, &["ready"]);
    daemon.stop();
    let db = rusqlite::Connection::open(node.dir.path().join("state/journal.db")).expect("a database");
    let changed =
        db.execute("UPDATE migration SET doc = replace(doc, '\"tablet_id\":7', '\"tablet_id\":9')", []);
    assert_eq!(changed, Ok(1));
    drop(db);

    for _ in 0..2 {
        let daemon = node.start();
        let said = daemon.said();
        let named = format!("the row of migration {id} (tablet 7_555, ready) is damaged");
        assert!(said.lines().any(|line| line.contains("ERROR") && line.contains(&named)), "{said}");
        assert!(!said.contains("DamagedRow"), "no debug text: {said}");
        assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0));
        assert!(
            node.roots[1].join(format!("migrating/{id}/owner.json")).exists(),
            "neither swapped in nor removed"
        );
        daemon.stop();
    }
    let daemon = node.start();
    daemon.wait_for(daemon.accept(keys[1], &node.disk(1)), &["completed"]);
    daemon.stop();
    fs::remove_dir_all(node.roots[1].join(format!("migrating/{id}"))).expect("a directory");
    let placement = node.assert_whole();
    assert_eq!(keys.map(|key| placement[&key]), [0, 1]);
}
