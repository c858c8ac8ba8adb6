//! What can be read of a tablet is one verb away, with the list of what cannot; and it is never taken for the tablet.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::harness::tabletctl::status_and_words;
use crate::harness::{Daemon, Node, read_dir_names};
use crate::heal::{flip, verified};
use crate::unreadable::with_a_bad_sector;

const SALVAGE: &str = "/api/v1/tablets/7/salvage";
/// The sector that is lost in [`with_a_bad_sector`].
const LOST: (u64, u64) = (1_200_128, 4096);

fn entries(node: &Node, disk: usize) -> Vec<String> {
    read_dir_names(&node.roots[disk].join("quarantine"))
}

/// Nobody serves what was salvaged, whoever asks and however.
fn assert_never_served(node: &Node, daemon: &Daemon, entry: &str) {
    let disk = node.disk(1);
    let restored = daemon.post("/api/v1/quarantine/restore", &json!({"disk": disk, "entry": entry}));
    let why = restored["error_msg"].as_str().unwrap_or_default();
    assert!(why.contains("never served"), "{restored:#}");
    let path = format!("{disk}/quarantine/{entry}");
    let header = json!({"tablet_id": 7, "schema_hash": 555});
    for request in [json!({"path": path}), json!({"path": path, "header": header})] {
        let adopted = daemon.post("/api/v1/tablets/adopt", &request);
        assert!(adopted["error_msg"].as_str().unwrap_or_default().contains("never served"), "{adopted:#}");
    }
    let shown = daemon.get("/api/v1/tablets/7");
    assert_eq!((&shown["disk"], &shown["generation"]), (&json!(node.disk(0)), &json!(1)), "{shown:#}");
}

#[test]
fn what_can_be_read_is_copied_around_what_cannot_and_never_served() {
    let Some((node, bad, key)) = with_a_bad_sector() else { return };
    let daemon = node.start();
    assert_eq!(verified(&daemon)["state"], "unreadable");
    let why = daemon.get("/api/v1/tablets/7")["unreadable"].to_string();
    assert!(why.contains("tabletctl tablet salvage 7 --to DISK"), "{why}");

    let ended = daemon.operate(SALVAGE, &json!({"to": node.disk(1)}));
    assert_eq!(ended["state"], "completed", "{ended:#}");
    let lost = json!([{"file": "02000001_0.dat", "offset_bytes": LOST.0, "length_bytes": LOST.1}]);
    let receipt = &ended["salvaged"];
    assert_eq!((&receipt["state"], &receipt["lost"]), (&json!("done"), &lost), "{ended:#}");
    assert_eq!(receipt["saved_bytes"], 50_000 + 3_000_000 - LOST.1, "{ended:#}");
    let found = entries(&node, 1);
    let [entry] = found.as_slice() else { panic!("{found:?}") };
    let inside = node.roots[1].join("quarantine").join(entry);
    assert_eq!(read_dir_names(&inside), ["files", "reason.json", "salvaged.json"]);
    let mark: Value =
        serde_json::from_slice(&fs::read(inside.join("salvaged.json")).expect("a mark")).expect("JSON");
    assert_eq!(
        mark["record"]["original"]["record"]["manifest"].as_array().map(Vec::len),
        Some(2),
        "{mark:#}"
    );
    let (code, said) =
        status_and_words(daemon.tabletctl(&["quarantine", "show", entry, "--disk", &node.disk(1)]));
    assert!(code == Some(0) && said.contains("4096 bytes at offset 1200128"), "{said}");
    assert_never_served(&node, &daemon, entry);
    let disk = daemon.get(&format!("/api/v1/disks/show?path={}", node.disk(0)));
    assert_eq!(disk["safe_to_remove"], false, "{disk:#}");
    let healed = daemon.operate("/api/v1/tablets/7/heal", &json!({"accept_older": true}));
    assert_eq!(healed["error"]["code"], "TRASH_NOT_FOUND", "no copy of it is good: {healed:#}");
    daemon.kill();

    let daemon = node.start();
    assert_never_served(&node, &daemon, entry);
    daemon.stop();
    bad.recover();
    bad.forget_cache();
    let (saved, original) = (
        fs::read(inside.join("files/02000001_0.dat")).expect("a file"),
        fs::read(node.tablet_dir(0, key).join("02000001_0.dat")).expect("a file"),
    );
    let (from, to) = (1_200_128, 1_204_224);
    assert!(
        saved[..from] == original[..from] && saved[to..] == original[to..] && saved.len() == original.len()
    );
    assert!(saved[from..to].iter().all(|byte| *byte == 0));
    let stat = fs::metadata(inside.join("files/02000001_0.dat")).expect("a file");
    assert!(stat.blocks() * 512 <= stat.len().next_multiple_of(4096) - LOST.1, "a hole takes no room");
    assert_eq!(node.assert_whole()[&key], 0);
}

#[test]
fn ranges_are_found_to_the_sector_at_both_ends_of_a_file_and_side_by_side() {
    let Some((node, bad, _)) = with_a_bad_sector() else { return };
    let key = tabletd::model::TabletKey::new(11, crate::harness::HASH);
    let file = node.tablet_dir(0, key).join("02000000_0.dat");
    // Before any of it is bad: a file that is bad in part cannot be looked up whole.
    bad.spoil_all(&file, &[0..1, 8192..16_384, 399_999..400_000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["failed"]);
    let ended = daemon.operate("/api/v1/tablets/11/salvage", &json!({"to": node.disk(1)}));
    let lost = ended["salvaged"]["lost"].as_array().expect("ranges");
    let of = |range: &Value| (range["offset_bytes"].as_u64(), range["length_bytes"].as_u64());
    let expected = [(0, 4096), (8192, 8192), (397_312, 2688)].map(|(at, length)| (Some(at), Some(length)));
    assert_eq!(lost.iter().map(of).collect::<Vec<_>>(), expected, "{ended:#}");
    assert_eq!(ended["salvaged"]["saved_bytes"], 400_000 - 4096 - 8192 - 2688);
    daemon.stop();
}

#[test]
fn neither_trash_nor_the_salvage_goes_before_the_tablet_is_good_again() {
    let Some((mut node, bad, _)) = with_a_bad_sector() else { return };
    bad.recover();
    let key = node.add_tablet(1, 13, &[600_000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(0)), &["completed"]);
    daemon.stop();
    bad.spoil(&node.tablet_dir(0, key).join("02000000_0.dat"), 0..1);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["failed"]);
    let ended = daemon.operate("/api/v1/tablets/13/salvage", &json!({"to": node.disk(1)}));
    assert_eq!(ended["salvaged"]["lost_bytes"], 4096, "{ended:#}");
    let purge = || {
        for room in ["trash", "quarantine"] {
            daemon.operate(&format!("/api/v1/{room}/purge"), &json!({"tablet_id": 13}));
        }
        (read_dir_names(&node.roots[1].join("trash")).len(), entries(&node, 1).len())
    };
    assert_eq!(purge(), (1, 1), "its live copy cannot be read");
    let healed = daemon.operate("/api/v1/tablets/13/heal", &json!({}));
    assert_eq!(
        (&healed["state"], healed["generation"].as_u64() > Some(2)),
        (&json!("completed"), true),
        "{healed:#}"
    );
    assert_eq!(daemon.get("/api/v1/tablets/13")["disk"], node.disk(1));
    assert_eq!(purge(), (0, 0), "another copy is good");
    daemon.stop();
}

#[test]
fn a_salvage_that_is_killed_or_stopped_leaves_nothing_that_is_taken_for_one() {
    let Some((mut node, bad, key)) = with_a_bad_sector() else { return };
    let fast = node.settings.clone();
    node.settings += "node_rate_limit_bytes_per_sec = 1000000\n";
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["failed"]);
    let begin = |daemon: &Daemon| {
        let begun = daemon.post(SALVAGE, &json!({"to": node.disk(1)}));
        let is_there = || {
            entries(&node, 1).first().is_some_and(|entry| {
                node.roots[1].join("quarantine").join(entry).join("salvaged.json").exists()
            })
        };
        assert!(daemon.becomes(is_there), "{begun:#}");
        begun["id"].as_u64().expect("a number")
    };
    let id = begin(&daemon);
    daemon.post(&format!("/api/v1/operations/{id}/cancel"), &json!({}));
    assert!(daemon.becomes(|| daemon.get(&format!("/api/v1/operations/{id}"))["state"] == "cancelled"));
    assert_eq!(entries(&node, 1), Vec::<String>::new());
    begin(&daemon);
    daemon.kill();

    node.settings = fast;
    let daemon = node.start();
    let left = entries(&node, 1);
    let shown = daemon.get(&format!("/api/v1/quarantine/show?disk={}&entry={}", node.disk(1), left[0]));
    assert_eq!(shown["salvaged"]["state"], "begun", "{shown:#}");
    assert_never_served(&node, &daemon, &left[0]);
    let ended = daemon.operate(SALVAGE, &json!({"to": node.disk(1)}));
    assert_eq!(ended["salvaged"]["lost_bytes"], LOST.1, "{ended:#}");
    // A name is free again once its entry is gone, and may be given a second time within a second.
    let now = entries(&node, 1);
    let [entry] = now.as_slice() else { panic!("what was cut short is gone: {now:?}") };
    let shown = daemon.get(&format!("/api/v1/quarantine/show?disk={}&entry={entry}", node.disk(1)));
    assert_eq!(shown["salvaged"]["state"], "done", "{shown:#}");

    // Once every byte is given there is nothing to salvage, and nothing wrong any more.
    bad.recover();
    let ended = daemon.operate(SALVAGE, &json!({"to": node.disk(1)}));
    assert_eq!(ended["error"]["code"], "NOT_DAMAGED", "{ended:#}");
    assert_eq!(entries(&node, 1), now);
    assert_eq!(daemon.get("/api/v1/tablets/7")["unreadable"], Value::Null);
    let refused = daemon.post(SALVAGE, &json!({"to": node.disk(1)}));
    assert_eq!(refused["error_code"], "NOT_DAMAGED", "{refused:#}");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

#[test]
fn a_damaged_tablet_is_salvaged_with_what_is_wrong_and_what_is_not_there() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[50_000, 3000, 9000]);
    let of = |n: usize| node.tablet_dir(0, key).join(format!("0200000{n}_0.dat"));
    flip(&of(0));
    fs::remove_file(of(1)).expect("a file");
    fs::OpenOptions::new().write(true).open(of(2)).and_then(|file| file.set_len(5000)).expect("a file");
    let daemon = node.start();
    assert_eq!(verified(&daemon)["state"], "damaged");
    let ended = daemon.operate(SALVAGE, &json!({"to": node.disk(1)}));
    let receipt = &ended["salvaged"];
    let damaged: Vec<_> =
        receipt["damaged"].as_array().expect("files").iter().map(|file| &file["name"]).collect();
    assert_eq!(damaged, ["02000000_0.dat", "02000001_0.dat", "02000002_0.dat"], "{ended:#}");
    assert_eq!(
        (&receipt["saved_bytes"], &receipt["lost_bytes"]),
        (&json!(55_000), &json!(7000)),
        "{ended:#}"
    );
    let (code, said) =
        status_and_words(daemon.tabletctl(&["migrate", "7", "--disk", &node.disk(1), "--salvage"]));
    assert!(code == Some(0) && said.contains("never served"), "{said}");
    daemon.stop();
}
