//! A retirement that was cut short, and then the disk that owned the tablet is gone: the copy that was on its way to trash
//! is found, and brought back by one verb.

use std::fs;

use serde_json::json;
use tabletd::model::TabletKey;

use crate::harness::tabletctl::wait_until;
use crate::harness::{Daemon, Node, read_dir_names};

/// A move from disk 0 to disk 1 that was killed at this point of its retirement; disk 1 is not there any more.
fn cut_short(point: &str) -> (Node, TabletKey) {
    let mut node = Node::new(3);
    let key = node.add_tablet(0, 7, &[50_000, 3000]);
    node.env = vec![("TABLETD_FAIL_POINT", format!("{point}=kill"))];
    let mut daemon = node.start();
    daemon.accept(key, &node.disk(1));
    wait_until(point, || !daemon.is_running());
    node.env.clear();
    fs::rename(&node.roots[1], node.roots[1].with_extension("away")).expect("a rename");
    node.settings = "ignore_broken_disk = true".to_owned();
    (node, key)
}

/// As a power cut may leave it: its name was durable before its bytes.
fn lose_note(node: &Node) {
    let trash = node.roots[0].join("trash");
    let entry = trash.join(&read_dir_names(&trash)[0]);
    fs::write(entry.join("retired.json"), "").expect("a note");
}

fn is_whole_on(node: &Node, daemon: &Daemon, key: TabletKey, disk: usize) {
    let shown = daemon.get("/api/v1/tablets/7");
    assert_eq!(shown["disk"], node.disk(disk), "{shown:#}");
    let dir = node.roots[disk].join(format!("data/{}/7/555", shown["shard_id"]));
    for file in node.expected[&key].files() {
        let bytes = fs::read(dir.join(&file.name)).expect("a tablet file");
        assert_eq!(Some(crc32fast::hash(&bytes)), file.crc32, "{}", file.name);
    }
}

const POINTS: [&str; 2] = ["source_record_retired", "source_directory_retired"];

#[test]
fn a_tablet_on_its_way_to_trash_is_healed_when_its_owner_is_gone() {
    for (point, has_note, to) in [
        (POINTS[0], true, 0),
        (POINTS[0], false, 0),
        (POINTS[0], true, 2),
        (POINTS[1], true, 0),
        (POINTS[1], false, 2),
    ] {
        let (node, key) = cut_short(point);
        if !has_note {
            lose_note(&node);
        }
        let case = format!("{point}, note: {has_note}, to disk {to}");
        let daemon = node.start();
        let refused = daemon.operate("/api/v1/tablets/7/heal", &json!({}));
        assert_eq!(
            refused["error"]["code"], "ONLY_OLDER_COPY",
            "{case}: its owner may come back: {refused:#}"
        );
        let wish = json!({"accept_older": true, "to": node.disk(to)});
        let healed = daemon.operate("/api/v1/tablets/7/heal", &wish);
        assert_eq!(
            (&healed["state"], &healed["generation"]),
            (&json!("completed"), &json!(4)),
            "{case}: {healed:#}"
        );
        is_whole_on(&node, &daemon, key, to);
        let unrecorded = daemon.get("/api/v1/unrecorded");
        assert_eq!(unrecorded["total"], 0, "{case}: {unrecorded:#}");
        daemon.kill();
        // What it healed from is trash like any other, or the tablet itself; the old owner comes back and is outlived.
        fs::rename(node.roots[1].with_extension("away"), &node.roots[1]).expect("a rename");
        let daemon = node.start();
        daemon.wait_until_idle();
        daemon.stop();
        // Healed where it was, it was still to be moved.
        assert_eq!(node.assert_whole()[&key], if to == 0 { 1 } else { to }, "{case}");
        let cut = node.roots.iter().flat_map(|root| headers_beside(&root.join("trash"))).collect::<Vec<_>>();
        assert_eq!(cut, Vec::<String>::new(), "{case}: a retirement is still cut short");
    }
}

/// Entries whose header has not joined its directory.
fn headers_beside(trash: &std::path::Path) -> Vec<String> {
    let is_beside = |name: &String| trash.join(name).join("7/7.hdr.json").exists();
    read_dir_names(trash).into_iter().filter(is_beside).collect()
}

#[test]
fn with_the_journal_lost_and_the_owner_given_up_it_is_still_one_verb_away() {
    for point in POINTS {
        let (node, key) = cut_short(point);
        for name in read_dir_names(&node.dir.path().join("state")) {
            if name.starts_with("journal.db") {
                fs::remove_file(node.dir.path().join("state").join(name)).expect("a file");
            }
        }
        lose_note(&node);
        let daemon = node.start();
        let wish = json!({"path": node.disk(1), "lost": true, "dry_run": true});
        let look = daemon.post("/api/v1/disks/forget", &wish);
        let wish = json!({"path": node.disk(1), "lost": true, "confirm": look["confirm"]});
        let gone = daemon.post("/api/v1/disks/forget", &wish);
        assert!(gone["error_code"].is_null(), "{point}: {gone:#}");
        let wish = json!({"tablet_id": 7, "schema_hash": 555});
        let refused = daemon.operate("/api/v1/trash/restore", &wish);
        assert_eq!(
            refused["error"]["code"], "ONLY_OLDER_COPY",
            "{point}: nobody knows what was lost: {refused:#}"
        );
        let said = refused["error"]["message"].as_str().unwrap_or_default();
        assert!(said.contains("tabletctl tablet heal 7 --accept-older"), "{said}");
        let healed = daemon.operate("/api/v1/tablets/7/heal", &json!({"accept_older": true}));
        assert_eq!(
            (&healed["state"], &healed["generation"]),
            (&json!("completed"), &json!(4)),
            "{point}: above what was lost: {healed:#}"
        );
        is_whole_on(&node, &daemon, key, 0);
        daemon.stop();
    }
}
