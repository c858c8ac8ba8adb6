//! Disks that cannot serve, or not any more: said clearly, without taking anything from the others.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::mounts::{Access, Image, Mounted, remount};
use crate::harness::{Daemon, Node, make_root};

#[test]
fn a_second_daemon_on_a_root_is_refused_and_names_the_holder() {
    let mut node = Node::new(1);
    node.add_tablet(0, 7, &[1000]);
    let first = node.start();
    let second = Node::on(tempfile::tempdir().expect("a directory"), node.roots.clone());
    let said = second.try_start().err().expect("a refusal");
    assert!(said.contains(&first.pid().to_string()) && said.contains("in use"), "{said}");
    first.stop();
    second.start().stop();
}

#[test]
fn a_second_daemon_on_a_state_directory_is_refused() {
    let node = Node::new(1);
    let first = node.start();
    let mut second = Node::new(1);
    second.settings = format!("state_dir = {}", node.dir.path().join("state").display());
    let said = second.try_start().err().expect("a refusal");
    assert!(said.contains("journal"), "{said}");
    first.stop();
}

/// Starts with one good and one bad root: refused without, served with `ignore_broken_disk`.
fn one_bad_root(mut node: Node, why: &str) -> Node {
    let key = node.add_tablet(0, 7, &[1000]);
    let said = node.try_start().err().expect("a refusal");
    assert!(said.contains(why) && said.contains("ignore_broken_disk"), "{said}");
    node.settings = "ignore_broken_disk = true".to_owned();
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0));
    let disks = daemon.get("/api/v1/disks").to_string();
    assert!(disks.contains("broken") && disks.contains(why), "{disks}");
    assert_eq!(daemon.run(key, &node.disk(1))["error_code"], "DISK_UNAVAILABLE");
    daemon.stop();
    node
}

#[test]
fn a_missing_root_does_not_stop_the_others() {
    let mut node = Node::new(1);
    node.roots.push(node.dir.path().join("nowhere"));
    one_bad_root(node, "nowhere");
}

#[test]
fn one_directory_under_two_names_is_refused() {
    let mut node = Node::new(1);
    let link = node.dir.path().join("link");
    symlink(&node.roots[0], &link).expect("a symlink");
    node.roots.push(link);
    one_bad_root(node, "same directory");
}

#[test]
fn a_root_inside_another_is_refused() {
    let mut node = Node::new(1);
    let inner = node.roots[0].join("inner");
    fs::create_dir(&inner).expect("a directory");
    node.roots.push(inner);
    one_bad_root(node, "inside");
}

#[test]
fn beside_a_doris_root_no_native_root_serves_and_both_are_left_alone() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[1000]);
    node.start().stop();
    for made in crate::harness::read_dir_names(&node.roots[1]) {
        let made = node.roots[1].join(made);
        if made.is_dir() { fs::remove_dir_all(made) } else { fs::remove_file(made) }.expect("removed");
    }
    fs::create_dir(node.roots[1].join("meta")).expect("a directory");
    fs::write(node.roots[1].join("meta/CURRENT"), "MANIFEST-000001\n").expect("a file");
    // No broken disk, which could be ignored: what one kind does at a start is wrong for the other.
    for settings in ["", "ignore_broken_disk = true"] {
        node.settings = settings.to_owned();
        let said = node.try_start().err().expect("a refusal");
        assert!(said.contains(&node.disk(0)) && said.contains("out of storage_root_path"), "{said}");
        assert_eq!(crate::harness::read_dir_names(&node.roots[1]), ["meta"]);
        assert!(node.tablet_dir(0, key).join("02000000_0.dat").exists(), "{said}");
    }
}

#[test]
fn a_root_with_foreign_files_is_refused_and_left_alone() {
    let node = Node::new(2);
    fs::write(node.roots[1].join("holiday.jpg"), "x").expect("a file");
    let node = one_bad_root(node, "holiday.jpg");
    assert_eq!(crate::harness::read_dir_names(&node.roots[1]), ["holiday.jpg"]);
}

#[test]
fn a_root_through_a_symlink_serves_under_the_name_it_was_configured_by() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[1000]);
    let link = node.dir.path().join("link");
    symlink(&node.roots[1], &link).expect("a symlink");
    let real = std::mem::replace(&mut node.roots[1], link);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.stop();
    node.roots[1] = real;
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn an_operator_can_remount_a_disk_read_only_under_the_daemon() {
    let mut node = Node::new(2);
    let Some(_mounted) = Mounted::on(&node.roots[1..]) else { return };
    make_root(&node.roots[1]);
    node.settings = "disk_stat_monitor_interval = 1".to_owned();
    let key = node.add_tablet(0, 7, &[1000]);
    let daemon = node.start();
    remount(&node.roots[1], Access::ReadOnly).expect("nothing on an idle disk is open for writing");
    let read_only = || daemon.get("/api/v1/disks")["data"][1]["condition"] == "read-only";
    assert!(daemon.becomes(read_only), "{}", daemon.get("/api/v1/disks"));
    assert_eq!(daemon.run(key, &node.disk(1))["error_code"], "DISK_UNAVAILABLE");
    daemon.stop();
    assert_eq!(crate::harness::records(&node.roots[0]).expect("records").len(), 1);
}

/// Of a disk that went read-only: served, moved from, started with, never written to; and what it still has of what was
/// moved away does not come back when it takes writes again.
#[test]
fn a_read_only_disk_is_a_source_and_its_old_copies_do_not_come_back() {
    let mut node = Node::new(2);
    let Some(disk) = Image::ext4(node.dir.path(), "disk0", 32 << 20) else { return };
    make_root(disk.path());
    make_root(&node.roots[1]);
    node.settings = "disk_stat_monitor_interval = 1".to_owned();
    let (first, second) = (node.add_tablet(0, 7, &[100_000]), node.add_tablet(0, 8, &[5000]));
    let daemon = node.start();
    remount(disk.path(), Access::ReadOnly).expect("nothing on an idle disk is open for writing");
    let is_read_only = |daemon: &Daemon| daemon.get("/api/v1/disks")["data"][0]["condition"] == "read-only";
    assert!(daemon.becomes(|| is_read_only(&daemon)), "{}", daemon.get("/api/v1/disks"));
    daemon.wait_for(daemon.accept(first, &node.disk(1)), &["completed"]);
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    assert_eq!(daemon.get("/api/v1/tablets/8")["disk"], node.disk(0));
    assert_eq!(daemon.run(first, &node.disk(0))["error_code"], "DISK_UNAVAILABLE");
    let enable = serde_json::json!({"path": node.disk(0)});
    let refused = daemon.send("/api/v1/disks/enable", &[], &enable);
    assert_eq!(refused.0, 503, "{}", refused.1);
    daemon.stop();

    // Not refused, although ignore_broken_disk is off: a read-only disk is not a broken one.
    let daemon = node.start();
    assert!(is_read_only(&daemon), "{}", daemon.get("/api/v1/disks"));
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    daemon.wait_for(daemon.accept(second, &node.disk(1)), &["completed"]);
    daemon.kill();

    remount(disk.path(), Access::ReadWrite).expect("remounted");
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    assert_eq!(daemon.get("/api/v1/tablets/8")["disk"], node.disk(1));
    daemon.stop();
    let owners = node.assert_whole();
    assert_eq!((owners[&first], owners[&second]), (1, 1));
    assert!(crate::harness::records(disk.path()).expect("records").is_empty(), "the old copies are in trash");
}

#[test]
fn what_a_copy_has_taken_up_is_not_reserved_once_more() {
    let mut node = Node::new(2);
    // 64 MiB: room for all three, but not for two that count twice.
    let Some(_mounted) = Mounted::on(&node.roots[1..]) else { return };
    make_root(&node.roots[1]);
    let tablets: Vec<_> = (0..3).map(|n| node.add_tablet(0, 7 + n, &[17 << 20])).collect();
    node.settings = "disk_rate_limit_bytes_per_sec = 2000000".to_owned();
    let daemon = node.start();
    let reserved = || {
        let disks = daemon.get("/api/v1/disks");
        let disks = disks["data"].as_array().expect("a list").clone();
        let disk = disks.into_iter().find(|disk| disk["path"] == node.disk(1)).expect("the disk");
        disk["reserved_bytes"].as_u64().expect("bytes")
    };
    let mut ids = Vec::new();
    for key in tablets {
        let id = daemon.accept(key, &node.disk(1));
        ids.push(id);
        // Each is measured with the whole of those before it on the disk already.
        let copies = || daemon.migration(id)["disk_processed_bytes"].as_u64() > Some(0);
        assert!(daemon.becomes(copies), "{:#}", daemon.migration(id));
    }
    assert!(reserved() <= 17 << 20, "at most the last one was not there yet when the disk was measured");
    daemon.post("/api/update_config?disk_rate_limit_bytes_per_sec=0", &serde_json::Value::Null);
    for id in ids {
        daemon.wait_for(id, &["completed"]);
    }
    assert_eq!(reserved(), 0);
    daemon.stop();
    assert_eq!(node.assert_whole().len(), 3);
}
