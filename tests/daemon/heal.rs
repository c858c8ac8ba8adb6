//! Damage is known at once, and a damaged or lost tablet is one verb away from its newest good copy.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Value, json};
use tabletd::model::TabletKey;

use crate::harness::{Daemon, Node, read_dir_names};

/// A node whose only tablet has moved from disk 0 to disk 1: its old copy stands in trash.
pub(crate) fn moved(disks: usize) -> (Node, Daemon, TabletKey) {
    let mut node = Node::new(disks);
    let key = node.add_tablet(0, 7, &[50_000, 3000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    (node, daemon, key)
}

pub(crate) fn flip(file: &Path) {
    let open = fs::OpenOptions::new().read(true).write(true).open(file).expect("a file");
    let mut byte = [0];
    open.read_exact_at(&mut byte, 2000).expect("a byte");
    open.write_all_at(&[byte[0] ^ 1], 2000).expect("a byte");
    open.sync_all().expect("synced");
}

pub(crate) fn verified(daemon: &Daemon) -> Value {
    daemon.post("/api/v1/tablets/7/verify", &json!({}));
    let look = || daemon.get("/api/v1/tablets/7/verify");
    assert!(daemon.becomes(|| !["queued", "running"].contains(&look()["state"].as_str().expect("a state"))));
    look()
}

/// What happened to the copy, and how the node finds out.
type Loss = (&'static str, fn(&Node, TabletKey), fn(&Node, &Daemon, TabletKey));

fn losses() -> Vec<Loss> {
    let damage: fn(&Node, TabletKey) = |node, key| flip(&node.tablet_dir(1, key).join("02000000_0.dat"));
    let lose: fn(&Node, TabletKey) =
        |node, key| fs::remove_dir_all(node.tablet_dir(1, key)).expect("a directory");
    let lose_record: fn(&Node, TabletKey) =
        |node, _| fs::remove_file(node.roots[1].join("meta/7_555.json")).expect("a record");
    let spoil_record: fn(&Node, TabletKey) =
        |node, _| fs::write(node.roots[1].join("meta/7_555.json"), "{").expect("a record");
    let verify: fn(&Node, &Daemon, TabletKey) = |_, daemon, _| {
        assert_eq!(verified(daemon)["state"], "damaged");
    };
    let copy: fn(&Node, &Daemon, TabletKey) = |node, daemon, key| {
        daemon.wait_for(daemon.accept(key, &node.disk(0)), &["failed"]);
    };
    let digest: fn(&Node, &Daemon, TabletKey) = |_, daemon, _| {
        let mut answer = ureq::get(daemon.url("/api/calc_crc?tablet_id=7"));
        answer = answer.config().http_status_as_error(false).build();
        answer.call().expect("an answer");
    };
    vec![
        ("a flipped bit, verified", damage, verify),
        ("a flipped bit, copied", damage, copy),
        ("no directory, verified", lose, verify),
        ("no directory, copied", lose, copy),
        ("no directory, summed", lose, digest),
        ("no record, verified", lose_record, verify),
        ("a damaged record, copied", spoil_record, copy),
    ]
}

#[test]
fn whoever_finds_damage_it_is_known_at_once_named_with_its_cure_and_healed() {
    for (case, lose, find) in losses() {
        let (node, daemon, key) = moved(2);
        lose(&node, key);
        find(&node, &daemon, key);
        let shown = daemon.get("/api/v1/tablets/7");
        let said = shown["damaged"].as_str().unwrap_or_default();
        assert!(said.contains("tabletctl tablet heal 7"), "{case}: {shown:#}");
        let status = daemon.get("/api/v1/status");
        assert_eq!(status["damaged_tablets"][0]["tablet_id"], 7, "{case}: {status:#}");
        assert!(daemon.get_text("/metrics").contains("tabletd_tablets_damaged 1"), "{case}");

        let healed = daemon.operate("/api/v1/tablets/7/heal", &json!({}));
        assert_eq!(
            (&healed["state"], &healed["generation"]),
            (&json!("completed"), &json!(3)),
            "{case}: {healed:#}"
        );
        let shown = daemon.get("/api/v1/tablets/7");
        assert_eq!(
            (&shown["damaged"], &shown["generation"], &shown["disk"]),
            (&Value::Null, &json!(3), &json!(node.disk(0))),
            "{case}: {shown:#}"
        );
        assert_eq!(verified(&daemon)["state"], "passed", "{case}");
        let again = daemon.operate("/api/v1/tablets/7/heal", &json!({}));
        assert_eq!(again["error"]["code"], "NOT_DAMAGED", "{case}: {again:#}");
        // Nothing of the lost copy is in the way of a move to where it was.
        daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
        daemon.stop();
        assert_eq!(node.assert_whole()[&key], 1, "{case}");
        let daemon = node.start();
        assert_eq!(daemon.get("/api/v1/tablets/7")["generation"], 5, "{case}: 4 was promised and not used");
        daemon.stop();
    }
}

#[test]
fn a_healed_tablet_lives_where_it_is_wished_and_the_damaged_copy_is_kept() {
    // Where the damaged copy is, and on a third disk.
    for to in [1, 2] {
        let (node, daemon, key) = moved(3);
        flip(&node.tablet_dir(1, key).join("02000000_0.dat"));
        let healed = daemon.operate("/api/v1/tablets/7/heal", &json!({"to": node.disk(to)}));
        assert_eq!(healed["state"], "completed", "to disk {to}: {healed:#}");
        assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(to));
        let aside = read_dir_names(&node.roots[1].join("quarantine"));
        assert_eq!(aside.len(), 1, "the damaged copy is set aside, not removed: {healed:#}");
        let entry = node.roots[1].join("quarantine").join(&aside[0]);
        assert_eq!(read_dir_names(&entry), ["7.hdr.json", "files", "reason.json"], "to disk {to}");
        daemon.kill();
        let daemon = node.start();
        assert_eq!(daemon.get("/api/v1/tablets/7")["generation"], 3);
        daemon.stop();
        assert_eq!(node.assert_whole()[&key], to);
    }
}

#[test]
fn the_newest_good_copy_is_taken_and_a_bad_one_is_never_believed() {
    let (node, daemon, key) = moved(3);
    // In trash: generation 1 on disk 0, generation 2 on disk 1. It lives on disk 2.
    daemon.wait_for(daemon.accept(key, &node.disk(2)), &["completed"]);
    flip(&node.tablet_dir(2, key).join("02000000_0.dat"));
    let trash = node.roots[1].join("trash");
    let entry = trash.join(&read_dir_names(&trash)[0]).join("7/555/02000000_0.dat");
    flip(&entry);
    let healed = daemon.operate("/api/v1/tablets/7/heal", &json!({}));
    assert_eq!(healed["state"], "completed", "{healed:#}");
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0), "the copy of disk 1 was found bad");
    // And when none is good, nothing is served that is not.
    flip(&node.tablet_dir(0, key).join("02000001_0.dat"));
    let healed = daemon.operate("/api/v1/tablets/7/heal", &json!({"accept_older": true}));
    assert_eq!(
        (&healed["state"], &healed["error"]["code"]),
        (&json!("failed"), &json!("SOURCE_DAMAGED")),
        "{healed:#}"
    );
    assert!(daemon.get("/api/v1/tablets/7")["damaged"].is_string());
    daemon.stop();
}

#[test]
fn an_older_copy_is_served_only_when_that_is_accepted_aloud() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[50_000, 3000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.stop();
    // As another program may have left it: a trashed copy that lacks a file which the tablet has.
    let trash = node.roots[0].join("trash");
    let old = trash.join(&read_dir_names(&trash)[0]).join("7/555");
    rewrite_without(&old.join("7.hdr.json"), "02000001_0.dat");
    fs::remove_file(old.join("02000001_0.dat")).expect("a file");
    let daemon = node.start();
    flip(&node.tablet_dir(1, key).join("02000000_0.dat"));
    let refused = daemon.operate("/api/v1/tablets/7/heal", &json!({}));
    assert_eq!(refused["error"]["code"], "ONLY_OLDER_COPY", "{refused:#}");
    let said = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(said.contains("--accept-older") && said.contains("02000001_0.dat"), "{said}");
    assert_eq!(daemon.get("/api/v1/tablets/7")["generation"], 2, "nothing was changed");
    let healed = daemon.operate("/api/v1/tablets/7/heal", &json!({"accept_older": true}));
    assert_eq!(healed["state"], "completed", "{healed:#}");
    assert_eq!(daemon.get("/api/v1/tablets/7")["file_count"], 1);
    daemon.stop();
}

/// Takes a file out of the manifest of a record on disk.
fn rewrite_without(header: &Path, name: &str) {
    let mut record = tabletd::storage::decode_record(&fs::read(header).expect("a header")).expect("a record");
    let files = record.manifest.files().iter().filter(|file| file.name != name).cloned().collect();
    record.manifest = tabletd::model::Manifest::new(files).expect("a manifest");
    fs::write(header, tabletd::storage::encode_record(&record).expect("a record")).expect("a header");
}

#[test]
fn nothing_is_served_while_a_newer_generation_may_be_on_a_disk_that_is_away() {
    let (mut node, daemon, _) = moved(2);
    daemon.stop();
    let away = node.roots[1].with_extension("away");
    fs::rename(&node.roots[1], &away).expect("a rename");
    node.settings = "ignore_broken_disk = true".to_owned();
    let daemon = node.start();
    let refused = daemon.operate("/api/v1/tablets/7/heal", &json!({}));
    assert_eq!(refused["error"]["code"], "ONLY_OLDER_COPY", "{refused:#}");
    let said = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(said.contains(&node.disk(1)) && said.contains("--accept-older"), "{said}");
    let restored = daemon.operate("/api/v1/trash/restore", &json!({"tablet_id": 7, "schema_hash": 555}));
    assert_eq!(restored["error"]["code"], "ONLY_OLDER_COPY", "{restored:#}");
    let healed = daemon.operate("/api/v1/tablets/7/heal", &json!({"accept_older": true}));
    assert_eq!(healed["state"], "completed", "{healed:#}");
    assert_eq!(daemon.get("/api/v1/tablets/7")["generation"], 5);
    daemon.stop();
    // The disk comes back with what it had: outranked, and retired.
    fs::rename(&away, &node.roots[1]).expect("a rename");
    let daemon = node.start();
    let shown = daemon.get("/api/v1/tablets/7");
    assert_eq!((&shown["disk"], &shown["generation"]), (&json!(node.disk(0)), &json!(5)), "{shown:#}");
    daemon.stop();
}

#[test]
fn a_tablet_is_restored_from_the_disk_that_has_it_while_another_is_broken() {
    let (mut node, daemon, key) = moved(3);
    daemon.stop();
    let away = node.roots[2].with_extension("away");
    fs::rename(&node.roots[2], &away).expect("a rename");
    node.settings = "ignore_broken_disk = true".to_owned();
    let daemon = node.start();
    fs::remove_dir_all(node.tablet_dir(1, key)).expect("a directory");
    assert_eq!(verified(&daemon)["state"], "damaged");
    let restored = daemon.operate("/api/v1/trash/restore", &json!({"tablet_id": 7, "schema_hash": 555}));
    assert_eq!(
        restored["state"], "completed",
        "its newest record is here, so nothing is newer: {restored:#}"
    );
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0));
    assert!(!node.roots[1].join("meta/7_555.json").exists(), "the dead record is settled on the way");
    daemon.stop();
}

#[test]
fn of_two_that_want_a_tablet_one_gets_it_and_the_other_is_told_who() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[3_000_000, 3_000_000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    fs::remove_dir_all(node.tablet_dir(1, key)).expect("a directory");
    assert_eq!(verified(&daemon)["state"], "damaged");
    // It takes seconds now.
    daemon.post("/api/update_config?node_rate_limit_bytes_per_sec=1000000", &json!({}));
    let restore = json!({"tablet_id": 7, "schema_hash": 555});
    let first = daemon.post("/api/v1/trash/restore", &restore);
    assert_eq!((&first["state"], &first["generation"]), (&json!("running"), &json!(3)), "{first:#}");
    let id = first["id"].as_u64().expect("a number");
    let second = daemon.post("/api/v1/trash/restore", &restore);
    assert_eq!(second["error_code"], "OPERATION_EXISTS", "{second:#}");
    assert!(
        second["error_msg"].as_str().is_some_and(|said| said.contains(&format!("operation {id}"))),
        "{second:#}"
    );
    let moved = daemon.run(key, &node.disk(0));
    assert_ne!(moved["status"], "OK", "no move of a tablet that is being brought back: {moved:#}");
    let doris = daemon.post("/api/restore_tablet?tablet_id=7&schema_hash=555", &json!({}));
    assert_eq!(doris["msg"], "tablet is already restoring", "{doris:#}");
    // Stopped, it leaves everything as it was, and the generation it had is not given again.
    daemon.post(&format!("/api/v1/operations/{id}/cancel"), &json!({}));
    let look = |id: u64| daemon.get(&format!("/api/v1/operations/{id}"));
    assert!(daemon.becomes(|| look(id)["state"] != "running"), "{}", daemon.said());
    assert_eq!(look(id)["state"], "cancelled", "{:#}", look(id));
    daemon.post("/api/update_config?node_rate_limit_bytes_per_sec=0", &json!({}));
    let doris = daemon.post("/api/restore_tablet?tablet_id=7&schema_hash=555", &json!({}));
    assert_eq!(doris["status"], "OK", "{doris:#}");
    assert_eq!(daemon.get("/api/v1/tablets/7")["generation"], 4);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
}
