//! Files without a record are seen, counted, and keep their disk from being let go.

use std::fs;

use serde_json::{Value, json};

use crate::adopt::copy_dir;
use crate::harness::tabletctl::{status_and_words, tabletctl};
use crate::harness::{Daemon, Node, read_dir_names};
use crate::heal::moved;

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
    // Who looks from outside knows all that the daemon leaves in a root.
    let mut check = tabletctl(&["tablet", "check", "--root", &node.disk(0), "--root", &node.disk(1)]);
    let (status, said) = status_and_words(check.output().expect("tabletctl"));
    assert!(status == Some(0) && !said.contains("stranger"), "{said}");
}

#[test]
fn what_is_left_over_beside_an_owner_is_set_aside_and_its_disk_may_go() {
    let (mut node, daemon, key) = moved(2);
    daemon.stop();
    let left = node.tablet_dir(0, key);
    copy_dir(&node.tablet_dir(1, key), &left);
    let nobodys = node.add_tablet(0, 8, &[700]);
    fs::remove_file(node.roots[0].join("meta/8_555.json")).expect("a record");
    let foreign = node.roots[0].join("data/lost");
    fs::create_dir_all(foreign.join("deep")).expect("a name that is not ours");
    let daemon = node.start();
    assert_eq!(looked_through(&daemon, &node.disk(0))["unrecorded_count"], 3);
    let set_aside =
        |path: &std::path::Path| daemon.operate("/api/v1/unrecorded/set_aside", &json!({ "path": path }));

    // What may be the last copy stays, and so does what has a record.
    let refused = set_aside(&node.tablet_dir(0, nobodys));
    assert_eq!(refused["error_code"], "TABLET_UNAVAILABLE", "{refused:#}");
    assert!(refused["error_msg"].as_str().is_some_and(|why| why.contains("tabletctl tablet adopt")));
    assert_eq!(set_aside(&node.tablet_dir(1, key))["error_code"], "INVALID_ARGUMENT");
    assert!(node.tablet_dir(0, nobodys).exists());

    let done = set_aside(&left);
    assert_eq!((&done["state"], &done["kind"]), (&json!("completed"), &json!("set_aside")), "{done:#}");
    let entry = done["items"][0]["entry"].as_str().expect("an entry").to_owned();
    let kept = node.roots[0].join("quarantine").join(entry).join("files");
    assert_eq!(read_dir_names(&kept).len(), 2, "its files are in {}", kept.display());
    assert_eq!(set_aside(&foreign)["state"], "completed");
    assert!(!left.exists() && !foreign.exists());
    assert_eq!(looked_through(&daemon, &node.disk(0))["unrecorded_count"], 1);
    let forget = || ureq::post(daemon.url("/api/v1/disks/forget")).send_json(json!({"path": node.disk(0)}));
    assert!(forget().is_err(), "what nobody serves keeps it");
    fs::remove_dir_all(node.tablet_dir(0, nobodys)).expect("a directory");
    assert_eq!(daemon.get("/api/v1/unrecorded")["total"], 0);
    assert_eq!(forget().expect("it may go").status(), 204);
    daemon.stop();
}

#[test]
fn before_a_disk_was_looked_through_it_is_not_let_go_and_the_walk_keeps_to_its_rate() {
    let mut node = Node::new(2);
    for id in 1..40 {
        node.add_tablet(0, id, &[10]);
    }
    node.settings = "unrecorded_walk_dirs_per_sec = 1\n".to_owned();
    let daemon = node.start();
    let show = || daemon.get(&format!("/api/v1/disks/show?path={}", node.disk(0)));
    assert!(daemon.becomes(|| {
        let how_far = show()["unrecorded_not_looked_at"].as_str().unwrap_or_default().to_owned();
        how_far.starts_with("not yet looked at") && how_far.contains("of 39 shards")
    }));
    let why = show()["not_safe_because"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("not yet looked at"), "{why}");
    let refused = daemon.post("/api/v1/disks/forget", &json!({"path": node.disk(0)}));
    assert!(
        refused["error_msg"].as_str().is_some_and(|why| why.contains("not yet looked at")),
        "{refused:#}"
    );
    let list = daemon.get("/api/v1/unrecorded");
    assert_eq!(list["total"], 0, "{list:#}");
    // An operator who cannot wait.
    let answer = ureq::post(daemon.url("/api/update_config?unrecorded_walk_dirs_per_sec=0")).send_empty();
    assert_eq!(answer.expect("changed").status(), 200);
    looked_through(&daemon, &node.disk(0));
    daemon.stop();
}
