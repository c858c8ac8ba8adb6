//! A swap of which nobody knows whether it happened is ended by a verb, on whichever of its disks takes a record.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tabletd::model::TabletKey;

use super::modes::submit;
use crate::harness::mounts::{Access, Image, leave_no_room_for_a_name, remount};
use crate::harness::{Daemon, Node, read_dir_names};

/// A node of two ext4 disks, a migration from the first to the second, and its swap in doubt: the store of the second
/// refused the record in a way that is not known to be clean, and the first takes no writes.
pub(super) fn in_doubt(node: &Node, daemon: &Daemon, key: TabletKey) -> u64 {
    let id = submit(daemon, key, &node.disk(1), "manual_cutover");
    daemon.wait_for(id, &["ready"]);
    immutable(&node.roots[1].join("meta"), true);
    remount(&node.roots[0], Access::ReadOnly).expect("nothing on it is open for writing");
    becomes(daemon, &node.disk(0), "read-only");
    daemon.act(id, &json!({"cutover": null}));
    let doubt = || daemon.migration(id)["in_doubt_since"].is_string();
    assert!(daemon.becomes(doubt), "{:#}\n{}", daemon.migration(id), daemon.said());
    id
}

/// Nothing can be renamed into an immutable directory.
pub(super) fn immutable(dir: &Path, is: bool) {
    let flag = if is { "+i" } else { "-i" };
    let done = Command::new("chattr").arg(flag).arg(dir).status().expect("chattr");
    assert!(done.success(), "chattr {flag} {}", dir.display());
}

pub(super) fn becomes(daemon: &Daemon, disk: &str, condition: &str) {
    let look = || daemon.get(&format!("/api/v1/disks/show?path={disk}"));
    assert!(daemon.becomes(|| look()["condition"] == condition), "{:#}", look());
}

fn two_disks() -> Option<(Node, Vec<Image>, TabletKey)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let image = |name| Image::ext4(dir.path(), name, 32 << 20);
    let images = vec![image("disk0")?, image("disk1")?];
    let roots = images.iter().map(|image| image.path().to_owned()).collect();
    let mut node = Node::on(dir, roots);
    node.settings = "disk_stat_monitor_interval = 1".to_owned();
    let key = node.add_tablet(0, 7, &[50_000, 3000]);
    Some((node, images, key))
}

fn settle(daemon: &Daemon, id: u64) -> (u16, Value) {
    daemon.send(&format!("/api/v1/migrations/{id}/action"), &[], &json!({"settle": {}}))
}

#[test]
fn a_swap_in_doubt_says_so_and_stays_until_one_of_its_disks_takes_a_record() {
    let Some((node, _images, key)) = two_disks() else { return };
    let daemon = node.start();
    let id = in_doubt(&node, &daemon, key);
    let row = daemon.migration(id);
    assert_eq!(
        (&row["status"], &row["actions"]),
        (&json!("finalizing"), &json!(["limits", "settle"])),
        "{row:#}"
    );
    assert_eq!(row["blockers"][0]["kind"], "operator", "{row:#}");
    let why = row["status_reason"].as_str().unwrap_or_default();
    assert!(why.contains(&format!("tabletctl migration settle {id}")), "{why}");
    // Nobody else gets the tablet meanwhile; it is served from where it was.
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0));
    assert_eq!(daemon.run(key, &node.disk(1))["error_code"], "MIGRATION_EXISTS");
    let (status, refused) = settle(&daemon, id);
    assert_eq!((status, &refused["error_code"]), (409, &json!("SWAP_IN_DOUBT")), "{refused:#}");
    let said = refused["error_msg"].as_str().unwrap_or_default();
    for word in [&node.disk(0), &node.disk(1), "read-only", "read-write", "tabletctl migration settle"] {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    assert!(daemon.migration(id)["in_doubt_since"].is_string());
    immutable(&node.roots[1].join("meta"), false);
    daemon.stop();
}

#[test]
fn the_source_ends_the_doubt_where_it_can_be_written_to() {
    let Some((node, _images, key)) = two_disks() else { return };
    let daemon = node.start();
    let id = in_doubt(&node, &daemon, key);
    immutable(&node.roots[1].join("meta"), false);
    remount(&node.roots[0], Access::ReadWrite).expect("remounted");
    becomes(&daemon, &node.disk(0), "online");
    assert!(daemon.migration(id)["in_doubt_since"].is_string(), "nobody has settled it");
    let (status, settled) = settle(&daemon, id);
    assert_eq!((status, &settled["status"]), (202, &json!("failed")), "{settled:#}");
    let shown = daemon.get("/api/v1/tablets/7");
    assert_eq!(shown["disk"], node.disk(0), "{shown:#}");
    assert!(shown["generation"].as_u64() > Some(2), "above what the destination may have: {shown:#}");
    assert_eq!(read_dir_names(&node.roots[1].join("quarantine")).len(), 1, "the copy that lost is kept");
    let (status, again) = settle(&daemon, id);
    assert_eq!((status, &again["error_code"]), (409, &json!("ILLEGAL_TRANSITION")), "{again:#}");
    // The tablet is free again, and moves without a restart.
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn the_destination_ends_it_while_the_source_takes_no_writes() {
    let Some((node, _images, key)) = two_disks() else { return };
    let daemon = node.start();
    let id = in_doubt(&node, &daemon, key);
    immutable(&node.roots[1].join("meta"), false);
    let (status, settled) = settle(&daemon, id);
    assert_eq!((status, &settled["status"]), (202, &json!("completed")), "{settled:#}");
    let generation = settled["receipt"]["generation"].as_u64();
    assert!(generation > Some(2), "{settled:#}");
    let shown = daemon.get("/api/v1/tablets/7");
    assert_eq!(
        (&shown["disk"], shown["generation"].as_u64()),
        (&json!(node.disk(1)), generation),
        "{shown:#}"
    );
    let source = daemon.get(&format!("/api/v1/disks/show?path={}", node.disk(0)));
    assert_eq!(source["undone_count"], 1, "the old copy is named until it is retired: {source:#}");
    assert_eq!(read_dir_names(&node.roots[1].join("migrating")), Vec::<String>::new());
    daemon.kill();
    // A start on what is there decides the same, and retires the old copy once its disk takes writes.
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    remount(&node.roots[0], Access::ReadWrite).expect("remounted");
    becomes(&daemon, &node.disk(0), "online");
    daemon.wait_for(daemon.accept(key, &node.disk(0)), &["completed"]);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

#[test]
fn a_record_that_finds_no_room_for_its_name_leaves_no_doubt_and_nothing_in_quarantine() {
    let Some((node, images, key)) = two_disks() else { return };
    let daemon = node.start();
    let id = submit(&daemon, key, &node.disk(1), "manual_cutover");
    daemon.wait_for(id, &["ready"]);
    // Its files find their place; the store has no room for one more name.
    std::fs::create_dir_all(node.tablet_dir(1, key).parent().expect("a shard")).expect("a directory");
    let meta = node.roots[1].join("meta");
    leave_no_room_for_a_name(images[1].path(), &meta);
    daemon.act(id, &json!({"cutover": null}));
    let waits = || daemon.migration(id)["blockers"][0]["kind"] == "space";
    assert!(daemon.becomes(waits), "{:#}\n{}", daemon.migration(id), daemon.said());
    let row = daemon.migration(id);
    assert_eq!(row["in_doubt_since"], Value::Null, "{row:#}");
    assert_eq!(daemon.get("/api/v1/tablets/7")["generation"], 1);
    assert_eq!(read_dir_names(&node.roots[1].join("quarantine")), Vec::<String>::new());
    assert!(node.roots[1].join(format!("migrating/{id}/files")).exists(), "its files are in staging again");
    for name in read_dir_names(&meta) {
        std::fs::remove_file(meta.join(name)).expect("a name");
    }
    ["ballast", "crumbs"].iter().for_each(|name| {
        std::fs::remove_file(node.roots[1].join(name)).expect("removed");
    });
    daemon.wait_for(id, &["completed"]);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_swap_that_is_not_in_doubt_is_not_settled() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[1000]);
    let daemon = node.start();
    let id = submit(&daemon, key, &node.disk(1), "manual_cutover");
    daemon.wait_for(id, &["ready"]);
    let (status, refused) = settle(&daemon, id);
    assert_eq!((status, &refused["error_code"]), (409, &json!("ILLEGAL_TRANSITION")), "{refused:#}");
    assert_eq!(settle(&daemon, 99).0, 404);
    daemon.stop();
}
