//! Disks that take their place while the daemon serves: mounted late, writable again, and those that contradict it.

use std::fs;

use serde_json::{Value, json};

use super::modes::submit;
use crate::harness::mounts::{Access, Image, remount};
use crate::harness::{Daemon, Node, make_root, read_dir_names, records};

/// A node of two roots, of which the second is a disk of its own.
fn node_with_a_disk() -> Option<(Node, Image)> {
    let mut node = Node::new(2);
    let disk = Image::ext4(node.dir.path(), "disk1", 32 << 20)?;
    node.roots.iter().for_each(|root| make_root(root));
    node.settings = "disk_stat_monitor_interval = 1\nignore_broken_disk = true".to_owned();
    Some((node, disk))
}

fn disk(daemon: &Daemon, n: usize) -> Value {
    daemon.get("/api/v1/disks")["data"][n].clone()
}

fn becomes(daemon: &Daemon, n: usize, condition: &str) {
    assert!(daemon.becomes(|| disk(daemon, n)["condition"] == condition), "{:#}", disk(daemon, n));
}

fn serves(daemon: &Daemon, tablet: i64, from: &str) {
    assert_eq!(daemon.get(&format!("/api/v1/tablets/{tablet}"))["disk"], from, "tablet {tablet}");
}

#[test]
fn a_disk_that_is_mounted_late_joins_by_itself_and_its_tablets_are_known_until_then() {
    let Some((mut node, image)) = node_with_a_disk() else { return };
    let never_moved = node.add_tablet(1, 7, &[50_000]);
    let moved = node.add_tablet(0, 8, &[5000]);
    let other = node.add_tablet(0, 9, &[5000]);
    let (here, late) = (node.disk(0), node.disk(1));
    let daemon = node.start();
    daemon.wait_for(daemon.accept(moved, &late), &["completed"]);
    daemon.stop();
    image.unmount().expect("nobody holds it");

    let daemon = node.start();
    serves(&daemon, 9, &here);
    for key in [never_moved, moved] {
        let refused = daemon.run(key, &here);
        assert_eq!(refused["error_code"], "TABLET_UNAVAILABLE", "{refused}");
        assert!(refused.to_string().contains(&late), "{refused}");
    }
    assert_eq!(daemon.run(other, &late)["error_code"], "DISK_UNAVAILABLE");
    assert!(read_dir_names(&node.roots[1]).is_empty(), "something was written to the bare mount point");

    image.mount().expect("mounted again");
    becomes(&daemon, 1, "online");
    serves(&daemon, 7, &late);
    serves(&daemon, 8, &late);
    assert_eq!(daemon.get("/api/v1/status")["tablets_unavailable"], 0);
    daemon.wait_for(daemon.accept(never_moved, &here), &["completed"]);
    daemon.wait_for(daemon.accept(other, &late), &["completed"]);
    daemon.stop();
    let owners = node.assert_whole();
    assert_eq!((owners[&never_moved], owners[&moved], owners[&other]), (0, 1, 1));
}

#[test]
fn a_migration_waits_for_its_disk_and_goes_on_when_that_joins() {
    let Some((mut node, image)) = node_with_a_disk() else { return };
    let key = node.add_tablet(1, 7, &[2_000_000]);
    let (here, late) = (node.disk(0), node.disk(1));
    let daemon = node.start();
    let id = submit(&daemon, key, &here, "manual_cutover");
    daemon.wait_for(id, &["ready"]);
    daemon.kill();
    image.unmount().expect("nobody holds it");

    let daemon = node.start();
    let waits = daemon.migration(id);
    assert!(waits["status_reason"].as_str().is_some_and(|why| why.contains(&late)), "{waits:#}");
    image.mount().expect("mounted again");
    becomes(&daemon, 1, "online");
    daemon.act(id, &json!({"cutover": null}));
    daemon.wait_for(id, &["completed"]);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

#[test]
fn a_disk_that_takes_writes_again_is_looked_through_and_old_copies_are_retired() {
    let Some((mut node, image)) = node_with_a_disk() else { return };
    let (moved, stays) = (node.add_tablet(1, 7, &[50_000]), node.add_tablet(1, 8, &[5000]));
    let daemon = node.start();
    remount(image.path(), Access::ReadOnly).expect("nothing on an idle disk is open for writing");
    becomes(&daemon, 1, "read-only");
    daemon.wait_for(daemon.accept(moved, &node.disk(0)), &["completed"]);
    assert_eq!(records(image.path()).expect("records").len(), 2, "nothing was written to it");

    remount(image.path(), Access::ReadWrite).expect("remounted");
    becomes(&daemon, 1, "online");
    assert_eq!(records(image.path()).expect("records").len(), 1, "the old copy is in trash");
    serves(&daemon, 7, &node.disk(0));
    serves(&daemon, 8, &node.disk(1));
    // There and back again, without a restart.
    daemon.wait_for(daemon.accept(moved, &node.disk(1)), &["completed"]);
    daemon.stop();
    let owners = node.assert_whole();
    assert_eq!((owners[&moved], owners[&stays]), (1, 1));
}

#[test]
fn a_disk_that_contradicts_what_is_served_is_refused_by_name() {
    let Some((mut node, image)) = node_with_a_disk() else { return };
    let key = node.add_tablet(0, 7, &[5000]);
    // From here on the disk is known.
    node.start().stop();
    // What a daemon of another time made of the same tablet, with a generation above the one that is served.
    let twin = node.tablet_dir(1, key);
    fs::create_dir_all(&twin).expect("a directory");
    for file in fs::read_dir(node.tablet_dir(0, key)).expect("files") {
        let file = file.expect("a file");
        fs::copy(file.path(), twin.join(file.file_name())).expect("copied");
    }
    let mut record = records(&node.roots[0]).expect("records").remove(0);
    record.generation = 5;
    node.write_record(&node.roots[1], &record);
    image.unmount().expect("nobody holds it");
    let daemon = node.start();
    serves(&daemon, 7, &node.disk(0));
    image.mount().expect("mounted again");
    let why = || disk(&daemon, 1)["condition_reason"].as_str().unwrap_or_default().to_owned();
    assert!(
        daemon.becomes(|| why().contains(&key.to_string()) && why().contains("newer generation")),
        "{}",
        why()
    );
    assert_eq!(disk(&daemon, 1)["condition"], "broken");
    serves(&daemon, 7, &node.disk(0));
    daemon.stop();

    // And a restart settles it: the newest good copy owns.
    let daemon = node.start();
    serves(&daemon, 7, &node.disk(1));
    daemon.stop();
}

fn device(dir: &std::path::Path) -> u64 {
    std::os::unix::fs::MetadataExt::dev(&fs::metadata(dir).expect("a directory"))
}

#[test]
fn a_disk_that_is_mounted_again_by_another_device_is_used_again_without_a_restart() {
    let Some((mut node, image)) = node_with_a_disk() else { return };
    let stranger = Image::ext4(node.dir.path(), "stranger", 32 << 20).expect("one more");
    let (on_it, to_it) = (node.add_tablet(1, 7, &[50_000]), node.add_tablet(0, 9, &[300_000]));
    let (here, path) = (node.disk(0), node.disk(1));
    let daemon = node.start();
    let waits = submit(&daemon, to_it, &path, "manual_cutover");
    daemon.wait_for(waits, &["ready"]);
    let (before, again) = (device(image.path()), image.attach().expect("one more device"));

    // Pulled: nothing of it is held, so that its file system ends, and nothing is written to the bare directory.
    image.pull();
    becomes(&daemon, 1, "broken");
    assert!(daemon.becomes(|| image.devices() == [again.as_str()]), "its file system is still held");
    assert_eq!(daemon.run(on_it, &here)["error_code"], "DISK_UNAVAILABLE");
    assert!(read_dir_names(&node.roots[1]).is_empty(), "something was written to the bare mount point");

    // Another disk at its path is refused by name, and not touched.
    make_root(stranger.path());
    stranger.unmount().expect("nobody holds it");
    stranger.mount_at(&node.roots[1]).expect("mounted");
    let why = || disk(&daemon, 1)["condition_reason"].as_str().unwrap_or_default().to_owned();
    let is_refused = || why().contains("was here before") && why().contains("tabletctl disk replace");
    assert!(daemon.becomes(is_refused), "{}", why());
    image.pull();

    image.mount_by(&again).expect("mounted again");
    assert_ne!(device(image.path()), before);
    becomes(&daemon, 1, "online");
    serves(&daemon, 7, &path);
    daemon.act(waits, &json!({"cutover": null}));
    daemon.wait_for(waits, &["completed"]);
    daemon.wait_for(daemon.accept(on_it, &here), &["completed"]);
    // It is its lock's owner again.
    let root = tabletd::storage::Dir::open_absolute(&node.roots[1]).expect("a root");
    let other = tabletd::storage::RootLock::acquire(&root).expect_err("the root is in use");
    assert!(other.to_string().contains("in use by process"), "{other}");
    daemon.stop();
    let owners = node.assert_whole();
    assert_eq!((owners[&on_it], owners[&to_it]), (0, 1));
}
