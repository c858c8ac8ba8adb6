//! A tablet read again and compared with its manifest: what is damaged is told by name and left as it is.

use std::fs;
use std::os::unix::fs::FileExt;

use serde_json::{Value, json};

use crate::harness::{Daemon, Node};

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
