//! A tablet read again and compared with its manifest: what is damaged is told by name and left as it is.

use std::fs;
use std::os::unix::fs::FileExt;

use serde_json::{Value, json};

use crate::harness::{Daemon, Node};
use crate::heal::flip;

fn verify(daemon: &Daemon, tablet: i64) -> Value {
    daemon.post(&format!("/api/v1/tablets/{tablet}/verify"), &json!({}));
    let look = || daemon.get(&format!("/api/v1/tablets/{tablet}/verify"));
    let settled = || !["queued", "running"].contains(&look()["state"].as_str().expect("a state"));
    assert!(daemon.becomes(settled), "no end: {}", daemon.said());
    look()
}

#[test]
fn damage_is_named_file_by_file_and_the_node_says_which_tablets_have_it() {
    let mut node = Node::new(2);
    let whole = node.add_tablet(0, 1, &[300_000, 10, 0]);
    let damaged = node.add_tablet(0, 2, &[70_000, 2000, 3000, 4000]);
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/1/verify")["state"], "never");
    let passed = verify(&daemon, 1);
    assert_eq!((&passed["state"], &passed["checked_files"]), (&json!("passed"), &json!(3)), "{passed:#}");
    assert_eq!((&passed["checked_bytes"], &passed["damaged"]), (&json!(300_010), &json!([])), "{passed:#}");

    let dir = node.tablet_dir(0, damaged);
    let flipped =
        fs::OpenOptions::new().read(true).write(true).open(dir.join("02000000_0.dat")).expect("a file");
    let mut byte = [0];
    flipped.read_exact_at(&mut byte, 65_000).expect("a byte");
    flipped.write_all_at(&[byte[0] ^ 1], 65_000).expect("a byte");
    fs::remove_file(dir.join("02000001_0.dat")).expect("a file");
    fs::write(dir.join("02000002_0.dat"), [0; 17]).expect("a file");
    fs::write(dir.join("stray"), "x").expect("a file");
    let found = verify(&daemon, 2);
    assert_eq!(found["state"], "damaged", "{found:#}");
    let names: Vec<_> =
        found["damaged"].as_array().expect("a list").iter().map(|file| file["name"].clone()).collect();
    assert_eq!(names, ["stray", "02000000_0.dat", "02000001_0.dat", "02000002_0.dat"], "{found:#}");
    assert!(found["damaged"][1]["reason"].as_str().is_some_and(|why| why.contains("CRC-32")), "{found:#}");

    let status = daemon.get("/api/v1/status");
    assert_eq!(status["damaged_tablets"].as_array().map(Vec::len), Some(1), "{status:#}");
    assert_eq!(status["damaged_tablets"][0]["tablet_id"], 2);
    let shown = daemon.get("/api/v1/tablets/2");
    assert!(shown["damaged"].as_str().is_some_and(|why| why.contains("02000000_0.dat")), "{shown:#}");
    // Nothing of it was touched.
    assert!(dir.join("stray").exists() && !dir.join("02000001_0.dat").exists());
    assert_eq!(daemon.get("/api/v1/tablets/9/verify")["error_code"], "TABLET_NOT_FOUND");
    // What was found is known to the next run, a killed one's as well.
    daemon.kill();
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/2/verify"), found);
    assert_eq!(daemon.get("/api/v1/tablets/1/verify"), passed);
    assert_eq!(daemon.get("/api/v1/status")["damaged_tablets"], status["damaged_tablets"]);

    // A tablet that has moved is another copy, and is verified there.
    daemon.wait_for(daemon.accept(whole, &node.disk(1)), &["completed"]);
    let moved = verify(&daemon, 1);
    assert_eq!((&moved["state"], &moved["disk"]), (&json!("passed"), &json!(node.disk(1))), "{moved:#}");
    daemon.stop();
}

#[test]
fn a_verification_keeps_to_the_limit_and_can_be_polled() {
    let mut node = Node::new(1);
    node.add_tablet(0, 1, &[1_500_000, 1_500_000]);
    node.settings = "node_rate_limit_bytes_per_sec = 1000000\n".to_owned();
    let daemon = node.start();
    let first = daemon.post("/api/v1/tablets/1/verify", &json!({}));
    assert_eq!(first["state"], "running", "{first:#}");
    let again = daemon.post("/api/v1/tablets/1/verify", &json!({}));
    assert_eq!(again["started_at"], first["started_at"], "the same one is joined: {again:#}");
    let ended = verify(&daemon, 1);
    assert_eq!(
        (&ended["state"], &ended["started_at"]),
        (&json!("passed"), &first["started_at"]),
        "{ended:#}"
    );
    daemon.stop();
}

/// Exit status and what was printed.
fn verify_by_hand(daemon: &Daemon, args: &[&str]) -> (Option<i32>, String) {
    let output = daemon.tabletctl(&[&["tablet", "verify"][..], args].concat());
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn many_are_verified_as_one_operation_that_names_what_is_not_good() {
    let mut node = Node::new(2);
    let damaged = node.add_tablet(0, 2, &[70_000, 300]);
    for (root, id) in [(0, 1), (0, 3), (1, 4), (1, 5)] {
        node.add_tablet(root, id, &[50_000, 10]);
    }
    let daemon = node.start();
    flip(&node.tablet_dir(0, damaged).join("02000000_0.dat"));
    let all = daemon.operate("/api/v1/tablets/verify", &json!({"all": true}));
    assert_eq!((&all["state"], &all["kind"]), (&json!("completed"), &json!("verify")), "{all:#}");
    let (bytes, tablets) = (json!(270_340), json!(5));
    assert_eq!((&all["total_bytes"], &all["read_bytes"]), (&bytes, &bytes), "{all:#}");
    assert_eq!((&all["total_tablets"], &all["done_tablets"]), (&tablets, &tablets), "{all:#}");
    let note = all["note"].as_str().unwrap_or_default();
    assert!(note.starts_with("4 good, 1 damaged (2)") && note.contains("tabletctl tablet heal"), "{note}");
    let items = all["items"].as_array().expect("a list");
    assert_eq!((items.len(), &items[0]["tablet_id"]), (1, &json!(2)), "what is good needs no name: {all:#}");
    assert!(
        items[0]["not_done_because"].as_str().is_some_and(|why| why.contains("02000000_0.dat")),
        "{all:#}"
    );
    // What it has found is known like the end of any verification.
    assert_eq!(daemon.get("/api/v1/status")["damaged_tablets"][0]["tablet_id"], 2);
    assert_eq!(daemon.get("/api/v1/tablets/4/verify")["state"], "passed");

    let (code, said) = verify_by_hand(&daemon, &["--disk", &node.disk(1)]);
    assert_eq!((code, said.trim()), (Some(0), "2 good"));
    assert_eq!(verify_by_hand(&daemon, &["1", "5"]), (Some(0), "2 good\n".to_owned()));
    let (code, said) = verify_by_hand(&daemon, &["--all"]);
    assert!(said.contains(&format!("tablet 2 on {}: damaged", node.disk(0))), "{said}");
    assert_eq!(code, Some(1), "{said}");
    let none = daemon.post("/api/v1/tablets/verify", &json!({}));
    assert_eq!(none["error_code"], "INVALID_ARGUMENT", "{none:#}");
    let unknown = daemon.post("/api/v1/tablets/verify", &json!({"tablet_ids": [1, 9]}));
    assert_eq!(unknown["error_code"], "TABLET_NOT_FOUND", "{unknown:#}");
    daemon.stop();
}

#[test]
fn a_long_verification_is_followed_by_its_bytes_stopped_in_the_middle_and_begun_again_after_a_kill() {
    let mut node = Node::new(2);
    for (root, id) in [(0, 1), (0, 2), (1, 3)] {
        node.add_tablet(root, id, &[4_000_000]);
    }
    node.settings = "node_rate_limit_bytes_per_sec = 1000000\ndisk_hang_timeout_sec = 1\n".to_owned();
    let daemon = node.start();
    let begin = || daemon.post("/api/v1/tablets/verify", &json!({"all": true}));
    let show = |id: &Value| daemon.get(&format!("/api/v1/operations/{id}"));
    let first = begin();
    assert_eq!(first["state"], "running", "{first:#}");
    // It is inside its first tablets for longer than a call may take, and no disk is blamed.
    assert!(daemon.becomes(|| show(&first["id"])["read_bytes"].as_u64() > Some(2_000_000)));
    let now = show(&first["id"]);
    assert_eq!((&now["done_tablets"], &now["total_bytes"]), (&json!(0), &json!(12_000_000)), "{now:#}");
    for disk in daemon.get("/api/v1/disks")["data"].as_array().expect("disks") {
        assert_eq!(disk["condition"], "online", "{disk:#}");
    }
    daemon.post(&format!("/api/v1/operations/{}/cancel", first["id"]), &json!({}));
    assert!(daemon.becomes(|| show(&first["id"])["state"] == "cancelled"), "{:#}", show(&first["id"]));
    let note = show(&first["id"])["note"].as_str().unwrap_or_default().to_owned();
    assert!(note.contains("stopped by an operator; by then 0 good"), "{note}");
    let settled = || {
        let check = daemon.get("/api/v1/tablets/1/verify");
        check["state"] != "running" && check["state"] != "queued"
    };
    assert!(daemon.becomes(settled), "nobody reads on: {:#}", daemon.get("/api/v1/tablets/1/verify"));

    let second = begin();
    assert!(daemon.becomes(|| show(&second["id"])["read_bytes"].as_u64() > Some(0)));
    daemon.kill();
    node.settings = String::new();
    let daemon = node.start();
    let gone = daemon.get(&format!("/api/v1/operations/{}", second["id"]));
    assert_eq!(gone["error_code"], "OPERATION_NOT_FOUND", "{gone:#}");
    assert!(gone["error_msg"].as_str().is_some_and(|why| why.contains("ask for the rest again")), "{gone:#}");
    assert_eq!(daemon.get("/api/v1/status")["damaged_tablets"], json!([]), "no end is no damage");
    let again = daemon.operate("/api/v1/tablets/verify", &json!({"all": true}));
    assert_eq!((&again["state"], &again["note"]), (&json!("completed"), &json!("3 good")), "{again:#}");
    daemon.stop();
}
