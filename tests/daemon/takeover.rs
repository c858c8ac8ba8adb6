//! What version 0.1 left is taken up: roots, staging and journal that its binary made (commit 7e9175e, killed right after it
//! had accepted the fourth migration) are served, and every promise of it is kept.

use std::process::Command;

use serde_json::json;
use tabletd::model::TabletKey;

use crate::harness::{HASH, Node, read_dir_names};

/// How migrations and tablets stood, by tablet: `1` is completed with its old copy in trash, `2` waits for its cutover, `3` is
/// half copied, `4` was accepted and never begun. Tablet 25 is pinned; 25 and 26 never moved.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v0.1/node.tar.gz");

fn node_of_0_1() -> Node {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let unpacked = Command::new("tar").args(["-xzf", FIXTURE, "-C"]).arg(dir.path()).status();
    assert!(unpacked.expect("tar").success());
    let roots = ["disk0", "disk1"].map(|name| dir.path().join(name)).to_vec();
    let mut node = Node::on(dir, roots);
    // The same bytes, made again.
    let mut twin = Node::new(1);
    for id in 21..=26 {
        let size = if id == 22 { 20_000 } else { 6000 };
        twin.add_tablet(0, id, &[size, 300]);
    }
    node.expected = std::mem::take(&mut twin.expected);
    node
}

#[test]
fn moves_staging_trash_and_pins_of_version_0_1_are_taken_up() {
    let node = node_of_0_1();
    let daemon = node.start();
    for id in [3, 4] {
        let done = daemon.wait_for(id, &["completed", "failed"]);
        assert_eq!(done["status"], "completed", "{done:#}\n{}", daemon.said());
    }
    // Nobody has let this one go on.
    assert_eq!(daemon.migration(2)["status"], "ready", "{}", daemon.said());
    assert_eq!(daemon.migration(1)["status"], "completed");
    assert!(daemon.get("/api/v1/tablets/25")["pinned"].is_object(), "{}", daemon.said());
    let trash = daemon.get("/api/v1/trash?tablet_id=24");
    assert_eq!(trash["data"].as_array().map(Vec::len), Some(1), "{trash:#}");
    daemon.act(2, &json!({"cutover": null}));
    let done = daemon.wait_for(2, &["completed", "failed"]);
    assert_eq!(done["status"], "completed", "{done:#}");
    assert_eq!(done["disk_resumed_bytes"], 6300, "what was verified is not copied again: {done:#}");
    daemon.stop();

    // And its successor takes up what this one has written.
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/migrations")["total"], 4);
    assert!(daemon.get("/api/v1/tablets/25")["pinned"].is_object());
    daemon.stop();
    let placement = node.assert_whole();
    let at = |id| placement[&TabletKey::new(id, HASH)];
    assert_eq!([21, 22, 23, 24, 25, 26].map(at), [1, 1, 1, 1, 0, 1]);
    assert_eq!(node.quarantined(), Vec::<String>::new());
}

#[test]
fn without_its_journal_nothing_of_version_0_1_is_lost() {
    let node = node_of_0_1();
    let state = node.dir.path().join("state");
    for name in read_dir_names(&state).iter().filter(|name| name.starts_with("journal.db")) {
        std::fs::remove_file(state.join(name)).expect("a file");
    }
    let daemon = node.start();
    for id in 21..=26 {
        let shown = daemon.get(&format!("/api/v1/tablets/{id}"));
        assert!(shown["disk"].is_string(), "{shown:#}\n{}", daemon.said());
    }
    assert_eq!(daemon.get("/api/v1/tablets/24")["disk"], node.disk(1), "an acknowledged end is not undone");
    daemon.stop();
}
