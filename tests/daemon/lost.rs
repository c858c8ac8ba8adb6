//! A disk that never comes back: what it held is listed and given up by a verb that is said aloud, what is here is served,
//! and a blank disk takes its place.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::mounts::{Access, Image, Mounted, remount};
use crate::harness::{Daemon, Node, read_dir_names};

/// A directory and a mounted disk, and what stands beside a disk that is away.
fn node_on(image: &Image, dir: tempfile::TempDir) -> Node {
    let first = dir.path().join("disk0");
    fs::create_dir(&first).expect("a fresh directory");
    let mut node = Node::on(dir, vec![first, image.path().to_owned()]);
    node.settings = "ignore_broken_disk = true\ndisk_stat_monitor_interval = 1".to_owned();
    node
}

fn disk_and_node() -> Option<(Image, Node)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let image = Image::ext4(dir.path(), "disk1", 64 << 20)?;
    let node = node_on(&image, dir);
    Some((image, node))
}

/// What it prints when it is done.
fn done(daemon: &Daemon, args: &[&str]) -> String {
    let output = daemon.tabletctl(args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}\n{}", daemon.said());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it is refused with.
fn refused(daemon: &Daemon, args: &[&str]) -> String {
    let output = daemon.tabletctl(args);
    assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn show(daemon: &Daemon, path: &str) -> Value {
    daemon.get(&format!("/api/v1/disks/show?path={path}"))
}

/// Gives a disk up by the API, and says what became of each tablet.
fn give_up(daemon: &Daemon, path: &str, accept_older: bool) -> Vec<(i64, String)> {
    let ask = |more: Value| {
        let mut body = json!({"path": path, "lost": true, "accept_older": accept_older});
        let fields = body.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        daemon.post("/api/v1/disks/forget", &body)
    };
    let look = ask(json!({"dry_run": true}));
    assert_eq!(ask(json!({}))["error_code"], "INVALID_ARGUMENT", "it is confirmed by name: {look:#}");
    let loss = ask(json!({"confirm": look["confirm"]}));
    assert_eq!(loss["data"], look["data"], "{loss:#}\n{}", daemon.said());
    let rows = loss["data"].as_array().expect("tablets").iter();
    rows.map(|row| {
        (row["tablet_id"].as_i64().expect("an id"), row["fate"].as_str().expect("a fate").to_owned())
    })
    .collect()
}

#[test]
fn a_blank_disk_takes_the_place_of_a_dead_one_after_what_is_lost_was_said() {
    let Some((image, mut node)) = disk_and_node() else { return };
    let (moved, stays) = (node.add_tablet(0, 7, &[1000]), node.add_tablet(0, 9, &[500]));
    let daemon = node.start();
    let path = node.disk(1);
    let bare = refused(&daemon, &["disk", "replace", &path, "--dry-run"]);
    assert!(bare.contains("only a blank file system"), "{bare}");
    let readable = refused(&daemon, &["disk", "forget", &path, "--lost", "--yes"]);
    assert!(readable.contains("it can be read") && readable.contains("disk drain"), "{readable}");
    daemon.wait_for(daemon.accept(moved, &path), &["completed"]);
    daemon.stop();
    image.unmount().expect("nothing holds it");

    // Without a file system it would be the system disk.
    let daemon = node.start();
    let bare = refused(&daemon, &["disk", "replace", &path, "--yes"]);
    assert!(bare.contains("system disk"), "{bare}");
    daemon.stop();
    assert_eq!(read_dir_names(image.path()), Vec::<String>::new(), "nothing was put into the bare directory");

    let Some(_blank) = Mounted::on(&[image.path().to_owned()]) else { return };
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["error_code"], "TABLET_UNAVAILABLE");
    // Whoever is refused is told what helps.
    for args in [
        &["disk", "register", &path, "--medium", "ssd"][..],
        &["disk", "forget", &path, "--yes"],
        &["disk", "enable", &path],
    ] {
        let why = refused(&daemon, args);
        assert!(why.contains("disk replace") && why.contains("--lost"), "{args:?}: {why}");
    }
    let why = show(&daemon, &path);
    assert!(why["condition_reason"].as_str().is_some_and(|why| why.contains("disk replace")), "{why:#}");

    let listed = done(&daemon, &["disk", "replace", &path, "--dry-run"]);
    assert!(
        listed.contains(" 7 ") && listed.contains("given_up") && listed.contains("trash restore"),
        "{listed}"
    );
    assert_eq!(show(&daemon, &path)["condition"], "broken", "looking changes nothing");
    let nobody = refused(&daemon, &["disk", "replace", &path]);
    assert!(nobody.contains("--yes"), "{nobody}");
    let said = done(&daemon, &["disk", "replace", &path, "--yes"]);
    assert!(said.contains("given_up") && said.contains("is online"), "{said}");

    let uuid = show(&daemon, &path)["uuid"].clone();
    assert_eq!(daemon.get("/api/v1/tablets/7")["error_code"], "TABLET_NOT_FOUND");
    assert_eq!(daemon.get("/api/v1/status")["unavailable_tablets"], json!([]));
    daemon.wait_for(daemon.accept(stays, &path), &["completed"]);
    daemon.stop();
    let daemon = node.start();
    let shown = show(&daemon, &path);
    assert_eq!((&shown["condition"], &shown["uuid"]), (&json!("online"), &uuid));
    assert_eq!(daemon.get("/api/v1/tablets/9")["disk"], path.as_str());
    assert_eq!(daemon.get("/api/v1/tablets/7")["error_code"], "TABLET_NOT_FOUND");
    // What trash has of it comes back above everything the lost disk may have.
    let restored = daemon.post("/api/v1/trash/restore", &json!({"tablet_id": 7, "schema_hash": 555}));
    assert!(restored["generation"].as_u64().is_some_and(|generation| generation > 2), "{restored:#}");
    // The lost disk never joins by itself again.
    let elsewhere = node.dir.path().join("found");
    fs::create_dir(&elsewhere).expect("a directory");
    let file = image.path().with_extension("img").display().to_string();
    let there = elsewhere.display().to_string();
    let mounted = Command::new("mount").args(["-o", "loop", &file, &there]).status().expect("mount");
    assert!(mounted.success());
    let again = refused(&daemon, &["disk", "register", &there, "--medium", "ssd"]);
    nix::mount::umount2(&elsewhere, nix::mount::MntFlags::MNT_DETACH).expect("mounted");
    assert!(again.contains("given up as lost") && again.contains("tablet adopt"), "{again}");
    daemon.stop();
}

#[test]
fn an_older_copy_is_served_only_when_that_is_said_and_then_above_what_is_lost() {
    for accept in [false, true] {
        let Some((image, mut node)) = disk_and_node() else { return };
        let key = node.add_tablet(0, 7, &[1000]);
        let daemon = node.start();
        let path = node.disk(1);
        daemon.wait_for(daemon.accept(key, &path), &["completed"]);
        daemon.stop();
        image.unmount().expect("nothing holds it");
        // As a source whose retirement failed.
        node.add_tablet(0, 7, &[1000]);

        let daemon = node.start();
        assert_eq!(daemon.get("/api/v1/tablets/7")["error_code"], "TABLET_UNAVAILABLE");
        let fate = if accept { "older_served" } else { "older_left" };
        assert_eq!(give_up(&daemon, &path, accept), [(7, fate.to_owned())]);
        daemon.stop();
        let is_served = |daemon: &Daemon, accept: bool| {
            let tablet = daemon.get("/api/v1/tablets/7");
            if accept {
                assert_eq!(tablet["disk"], node.disk(0).as_str(), "{tablet:#}");
                assert!(tablet["generation"].as_u64().is_some_and(|generation| generation > 2), "{tablet:#}");
            } else {
                assert_eq!(tablet["error_code"], "TABLET_UNAVAILABLE", "{tablet:#}");
            }
        };
        let daemon = node.start();
        is_served(&daemon, accept);
        daemon.stop();
        if !accept {
            // Said after all, of a disk that is no longer in the configuration.
            let daemon = node.start();
            let why = daemon.get("/api/v1/tablets/7")["error_msg"].as_str().expect("a reason").to_owned();
            assert!(why.contains("--accept-older"), "{why}");
            assert_eq!(give_up(&daemon, &path, true), [(7, "older_served".to_owned())]);
            assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0).as_str());
            daemon.stop();
        }
        let accept = true;
        // It comes back after all, and changes nothing.
        image.mount().expect("a disk");
        let daemon = node.start();
        is_served(&daemon, accept);
        daemon.stop();
    }
}

/// Stops at the gate with a verified copy on the first disk, and loses the second, which has the source.
fn at_the_gate_without_a_source() -> Option<(Image, Node, u64)> {
    let (image, mut node) = disk_and_node()?;
    let key = node.add_tablet(1, 7, &[3000, 10]);
    let daemon = node.start();
    let request =
        json!({"tablet_id": 7, "schema_hash": 555, "dest_disk": node.disk(0), "mode": "manual_cutover"});
    let accepted = daemon.post("/api/v1/migrations", &request);
    let id = accepted["id"].as_u64().unwrap_or_else(|| panic!("{key}: {accepted:#}"));
    daemon.wait_for(id, &["ready"]);
    daemon.stop();
    image.unmount().expect("nothing holds it");
    Some((image, node, id))
}

#[test]
fn a_verified_copy_whose_source_is_lost_becomes_the_tablet() {
    let Some((_image, node, id)) = at_the_gate_without_a_source() else { return };
    let daemon = node.start();
    assert_eq!(give_up(&daemon, &node.disk(1), false), [(7, "adopted".to_owned())]);
    assert_eq!(daemon.migration(id)["status"], "completed");
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0).as_str());
    daemon.stop();
    node.start().stop();
    let whole = node.assert_whole();
    assert_eq!(whole.values().copied().collect::<Vec<_>>(), [0]);
}

#[test]
fn a_staged_copy_that_is_not_whole_goes_to_quarantine_and_not_away() {
    let Some((_image, node, id)) = at_the_gate_without_a_source() else { return };
    let files = node.roots[0].join(format!("migrating/{id}/files"));
    let name = read_dir_names(&files).pop().expect("a file");
    let mut bytes = fs::read(files.join(&name)).expect("a staged file");
    bytes[0] ^= 1;
    fs::write(files.join(&name), bytes).expect("damage");

    let daemon = node.start();
    let path = node.disk(1);
    let look = daemon.post("/api/v1/disks/forget", &json!({"path": path, "lost": true, "dry_run": true}));
    let request = json!({"path": path, "lost": true, "confirm": look["confirm"]});
    let loss = daemon.post("/api/v1/disks/forget", &request);
    assert_eq!(loss["data"][0]["fate"], "given_up", "{loss:#}");
    assert!(loss["data"][0]["detail"].as_str().is_some_and(|why| why.contains("quarantine")), "{loss:#}");
    assert_eq!(daemon.migration(id)["status"], "failed");
    daemon.stop();
    node.start().stop();
    let aside = read_dir_names(&node.roots[0].join("quarantine"));
    let kept = node.roots[0].join(format!("quarantine/{}/{id}/files/{name}", aside[0]));
    assert!(kept.exists(), "{}", kept.display());
}

#[test]
fn what_a_disk_that_dies_under_the_daemon_had_is_given_up_with_what_was_on_the_way_to_it() {
    let Some((image, mut node)) = disk_and_node() else { return };
    let (lost, here) = (node.add_tablet(1, 7, &[1000]), node.add_tablet(0, 9, &[1000]));
    let daemon = node.start();
    let path = node.disk(1);
    let request = json!({"tablet_id": 9, "schema_hash": 555, "dest_disk": path, "mode": "manual_cutover"});
    let id = daemon.post("/api/v1/migrations", &request)["id"].as_u64().expect("accepted");
    daemon.wait_for(id, &["ready"]);
    nix::mount::umount2(image.path(), nix::mount::MntFlags::MNT_DETACH).expect("mounted");
    assert!(daemon.becomes(|| show(&daemon, &path)["condition"] == "broken"), "{}", daemon.said());
    assert_eq!(give_up(&daemon, &path, false), [(7, "given_up".to_owned())]);
    let ended = daemon.migration(id);
    assert_eq!(ended["status"], "failed", "{ended:#}");
    assert_eq!(daemon.get("/api/v1/tablets/7")["error_code"], "TABLET_NOT_FOUND", "{lost}");
    assert_eq!(daemon.get("/api/v1/tablets/9")["disk"], node.disk(0).as_str(), "{here}");
    let why = show(&daemon, &node.disk(0))["not_safe_because"].as_str().unwrap_or_default().to_owned();
    assert!(!why.contains("unavailable") && !why.contains("migration"), "{why}");
    daemon.stop();
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/disks")["total"], 1, "it is out of the configuration");
    daemon.stop();
}

#[test]
fn a_twin_of_what_is_lost_is_served_also_from_a_disk_that_takes_no_record() {
    let Some((image, mut node)) = disk_and_node() else { return };
    let Some(twin) = Image::ext4(node.dir.path(), "disk2", 64 << 20) else { return };
    node.roots.push(twin.path().to_owned());
    let key = node.add_tablet(0, 7, &[1000]);
    let daemon = node.start();
    let path = node.disk(1);
    daemon.wait_for(daemon.accept(key, &path), &["completed"]);
    daemon.stop();
    // The same tablet in the same generation on a disk that then turned read-only.
    node.add_tablet(2, 7, &[1000]);
    let record = node.roots[2].join(format!("meta/{key}.json"));
    let mut newer = tabletd::storage::decode_record(&fs::read(&record).expect("a record")).expect("a record");
    newer.generation = 2;
    node.write_record(&node.roots[2], &newer);
    image.unmount().expect("nothing holds it");
    remount(twin.path(), Access::ReadOnly).expect("a disk");

    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["error_code"], "TABLET_UNAVAILABLE");
    assert_eq!(give_up(&daemon, &path, false), [(7, "kept".to_owned())]);
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(2).as_str());
    daemon.stop();
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(2).as_str());
    daemon.stop();
}

#[test]
fn a_disk_that_was_taken_out_of_the_configuration_by_hand_is_given_up_as_well() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[1000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.stop();
    let gone = node.roots.pop().expect("two");
    let path = gone.display().to_string();
    let daemon = node.start();
    let refused = daemon.post("/api/v1/disks/forget", &json!({"path": path, "lost": true, "dry_run": true}));
    assert_eq!(refused["error_code"], "DISK_IN_USE", "it is there and can be read: {refused:#}");
    fs::rename(&gone, gone.with_extension("away")).expect("a rename");
    let fates = give_up(&daemon, &path, true);
    assert_eq!(fates.len(), 1, "{fates:?}");
    assert_eq!(fates[0].0, 7);
    assert!(daemon.get("/api/v1/status")["unavailable_tablets"].as_array().is_none_or(Vec::is_empty));
    daemon.stop();
}
