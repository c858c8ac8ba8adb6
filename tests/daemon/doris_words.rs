//! The endpoint of Doris in the words of its documentation and of its releases, and the smaller endpoints beside it.

use std::fs;

use serde_json::json;
use tabletd::model::TabletKey;
use tabletd::storage::decode_record;

use crate::harness::{Daemon, HASH, Node, read_dir_names};
use crate::heal::verified;
use crate::modes::submit;

fn set(daemon: &Daemon, pair: &str) {
    let answer = daemon.post(&format!("/api/update_config?{pair}&persist=false"), &json!({}));
    assert_eq!(answer[0]["status"], "OK", "{pair}: {answer}");
}

#[test]
fn a_disk_is_found_with_a_slash_at_its_end() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 10, &[1000]);
    let daemon = node.start();
    let answer = daemon.run(key, &format!("{}/", node.disk(1)));
    assert_eq!(
        (&answer["status"], &answer["dest_disk"]),
        (&json!("Success"), &json!(node.disk(1))),
        "{answer}"
    );
    daemon.wait_until_idle();
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

/// An earlier failure would be what an operator reads, were it not for how the migration ended.
#[test]
fn an_abort_reads_as_an_abort_in_every_dialect() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 10, &[1000]);
    let daemon = node.start();
    let id = submit(&daemon, key, &node.disk(1), "manual_cutover");
    daemon.wait_for(id, &["ready"]);
    daemon.act(id, &json!({"abort": null}));
    daemon.wait_for(id, &["aborted"]);
    let answer = daemon.status(key);
    assert_eq!(
        (&answer["msg"], &answer["migration_status"]),
        (&json!("migration task failed."), &json!("aborted"))
    );
    assert_eq!(answer["error_code"], "ABORTED", "{answer}");
    assert!(answer["reason"].as_str().is_some_and(|why| why.contains("operator")), "{answer}");
    for dialect in ["1.1", "1.2", "2.0", "2.1", "3.0", "4.0"] {
        set(&daemon, &format!("tablet_migration_dialect={dialect}"));
        let status = if dialect == "1.1" { "Fail" } else { "ABORTED" };
        let told = json!({"status": status, "msg": "migration task was aborted"});
        assert_eq!(daemon.status(key), told, "{dialect}");
    }
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

/// A limit of free space that no disk has, and a limit of use that none has passed.
#[test]
fn with_the_rule_and_a_disk_is_full_only_past_both_limits() {
    let mut node = Node::new(2);
    let keys = [node.add_tablet(0, 10, &[1000]), node.add_tablet(0, 11, &[1000])];
    let daemon = node.start();
    let all = i64::MAX;
    set(&daemon, &format!("storage_flood_stage_left_capacity_bytes={all}"));
    set(&daemon, "migration_capacity_rule=or");
    let refused = daemon.run(keys[0], &node.disk(1));
    assert_eq!(refused["error_code"], "DISK_FULL", "{refused}");
    set(&daemon, "tablet_migration_dialect=2.1");
    assert_eq!(daemon.run(keys[0], &node.disk(1))["status"], "E-217");
    set(&daemon, "tablet_migration_dialect=2.0");
    assert_eq!(daemon.run(keys[0], &node.disk(1))["msg"], "Insufficient disk capacity");
    set(&daemon, "tablet_migration_dialect=documented");
    set(&daemon, "migration_capacity_rule=and");
    daemon.wait_for(daemon.accept(keys[0], &node.disk(1)), &["completed"]);
    daemon.stop();
    let placed = node.assert_whole();
    assert_eq!([placed[&keys[0]], placed[&keys[1]]], [1, 0]);
}

/// A directory with its record comes in beside a running daemon, as a restart would take it in.
#[test]
fn a_directory_that_is_put_below_a_shard_is_reloaded_without_a_restart() {
    let mut other = Node::new(1);
    let key = other.add_tablet(0, 7, &[50_000, 3000]);
    let mut node = Node::new(2);
    node.add_tablet(0, 8, &[1000]);
    let daemon = node.start();
    let shard = node.roots[0].join("data/7");
    let reload = |tablet_id: i64| {
        let path = shard.display();
        daemon.get_text(&format!("/api/reload_tablet?path={path}&tablet_id={tablet_id}&schema_hash={HASH}"))
    };
    let dir = node.tablet_dir(0, key);
    fs::create_dir_all(&dir).expect("a directory");
    for name in read_dir_names(&other.tablet_dir(0, key)) {
        fs::copy(other.tablet_dir(0, key).join(&name), dir.join(&name)).expect("a file");
    }
    let nothing_said = reload(7);
    assert!(nothing_said.starts_with("load header failed: "), "{nothing_said}");
    let record = other.roots[0].join("meta/7_555.json");
    fs::copy(record, node.roots[0].join("meta/7_555.json")).expect("a record");
    assert_eq!(reload(7), "load header succeed");
    assert_eq!(verified(&daemon)["state"], "passed");
    assert!(reload(7).starts_with("load header failed: "), "it is served already");
    assert!(reload(99).starts_with("load header failed: "));
    let audit = || fs::read_to_string(node.dir.path().join("log/audit.log")).expect("an audit log");
    let all_are_there = || audit().lines().filter(|line| line.contains("/api/reload_tablet")).count() == 4;
    assert!(daemon.becomes(all_are_there), "{}", audit());
    assert_eq!(audit().matches("\"outcome\":\"accepted\"").count(), 2, "with the verification: {}", audit());
    daemon.wait_for(daemon.accept(TabletKey::new(7, HASH), &node.disk(1)), &["completed"]);
    daemon.stop();
    let moved = decode_record(&fs::read(node.roots[1].join("meta/7_555.json")).expect("a record"));
    assert!(moved.is_ok());
}

#[test]
fn a_module_says_more_when_it_is_asked_to() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[1000]);
    let daemon = node.start();
    let adjust = |level: &str| {
        let target = format!("/api/glog/adjust?module=engine::line&level={level}");
        ureq::post(daemon.url(&target))
            .send_empty()
            .expect("an answer")
            .body_mut()
            .read_to_string()
            .expect("text")
    };
    let debug = || daemon.said().matches("DEBUG").count();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    assert_eq!((debug(), adjust("1").as_str()), (0, "adjust vlog of engine::line from -1 to 1 succeed"));
    daemon.wait_for(daemon.accept(key, &node.disk(0)), &["completed"]);
    assert!(daemon.becomes(|| debug() > 0), "{}", daemon.said());
    assert_eq!(adjust("-1"), "adjust vlog of engine::line from 1 to -1 succeed");
    daemon.stop();
}
