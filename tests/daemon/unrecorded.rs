//! Files without a record are seen, counted, and keep their disk from being let go.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Daemon, Node};

/// The disk as it is shown once it was looked through.
pub(crate) fn looked_through(daemon: &Daemon, disk: &str) -> Value {
    let show = || daemon.get(&format!("/api/v1/disks/show?path={disk}"));
    assert!(daemon.becomes(|| show()["unrecorded_not_looked_at"].is_null()), "{:#}", show());
    show()
}

#[test]
fn a_directory_that_no_record_names_is_listed_and_keeps_its_disk() {
    let mut node = Node::new(3);
    let key = node.add_tablet(0, 7, &[5000, 300]);
    node.add_tablet(1, 8, &[100]);
    let (shard_dir, tablet_dir) = (node.roots[0].join("data/7"), node.tablet_dir(0, key));
    fs::remove_file(node.roots[0].join("meta/7_555.json")).expect("a record");
    fs::create_dir_all(shard_dir.join("9/555")).expect("an empty place");
    fs::create_dir_all(node.roots[0].join("data/lost")).expect("a name that is not ours");
    fs::write(node.roots[0].join("data/lost/x"), "x").expect("a file");
    let daemon = node.start();
    let shown = looked_through(&daemon, &node.disk(0));
    assert_eq!(
        (&shown["unrecorded_count"], &shown["unrecorded_bytes"], &shown["safe_to_remove"]),
        (&json!(2), &json!(5301), &json!(false)),
        "{shown:#}"
    );
    let why = shown["not_safe_because"].as_str().unwrap_or_default();
    assert!(why.contains("tabletctl tablet unrecorded"), "{why}");
    let refused = daemon.post("/api/v1/disks/forget", &json!({"path": node.disk(0)}));
    assert!(refused["error_msg"].as_str().is_some_and(|why| why.contains("no record names")), "{refused:#}");
    let list = daemon.get("/api/v1/unrecorded?limit=1");
    assert_eq!((&list["total"], &list["data"][0]["tablet_id"]), (&json!(2), &json!(7)), "{list:#}");
    assert_eq!(list["data"][0]["path"], tablet_dir.display().to_string());
    let rest = daemon.get(&format!("/api/v1/unrecorded?marker={}", tablet_dir.display()));
    assert_eq!(rest["data"][0]["path"], format!("{}/data/lost", node.disk(0)), "{rest:#}");
    assert!(daemon.get_text("/metrics").contains("tabletd_disk_unrecorded{path="));
    let other = looked_through(&daemon, &node.disk(1));
    assert_eq!(other["unrecorded_count"], 0, "a tablet with its record is none: {other:#}");

    // What is taken away by hand is not there any more.
    fs::remove_dir_all(&shard_dir).expect("a directory");
    fs::remove_dir_all(node.roots[0].join("data/lost")).expect("a directory");
    assert_eq!(daemon.get("/api/v1/unrecorded")["total"], 0);
    let answer = ureq::post(daemon.url("/api/v1/disks/forget")).send_json(json!({"path": node.disk(0)}));
    assert_eq!(answer.expect("it may go").status(), 204);
    daemon.stop();
}

#[test]
fn a_move_leaves_nothing_that_no_record_names() {
    let mut node = Node::new(2);
    let keys: Vec<_> = (1..30).map(|id| node.add_tablet(0, id, &[2000, 10])).collect();
    let daemon = node.start();
    let moves: Vec<_> = keys.iter().map(|key| daemon.accept(*key, &node.disk(1))).collect();
    moves.into_iter().for_each(|id| drop(daemon.wait_for(id, &["completed"])));
    for disk in [0, 1] {
        looked_through(&daemon, &node.disk(disk));
    }
    assert_eq!(daemon.get("/api/v1/unrecorded")["total"], 0);
    daemon.stop();
}
