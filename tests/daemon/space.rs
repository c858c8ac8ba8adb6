//! Space is asked for once: what a migration has in staging lies there already. What does not fit waits, says so, and takes
//! nothing from others meanwhile.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::mounts::Image;
use crate::harness::{Daemon, Node, make_root};
use crate::modes::submit;
use crate::waiting::Ext4;

const MIB: usize = 1 << 20;

/// A node whose second disk is a small file system of its own; `None`, said aloud, where that cannot be had.
fn onto_small_disk(mib: u64) -> Option<(Node, Image)> {
    let dir = tempfile::tempdir().expect("a directory");
    let image = Image::ext4(dir.path(), "small", mib << 20)?;
    let roots = vec![dir.path().join("disk0"), image.path().to_owned()];
    roots.iter().for_each(|root| make_root(root));
    let mut node = Node::on(dir, roots);
    node.settings = "migration_retry_backoff_ms = 100\nmigration_max_attempts = 1\n".to_owned();
    Some((node, image))
}

fn disk(daemon: &Daemon, n: usize) -> Value {
    daemon.get("/api/v1/disks")["data"][n].clone()
}

/// The largest file in a migration's staging.
fn flip_a_staged_byte(root: &Path, id: u64) {
    let files = root.join(format!("migrating/{id}/files"));
    let staged = fs::read_dir(&files).expect("staging").map(|entry| entry.expect("a file").path());
    let file = staged.max_by_key(|path| fs::metadata(path).expect("a file").len()).expect("a file");
    let mut bytes = fs::read(&file).expect("bytes");
    bytes[1000] ^= 1;
    fs::write(&file, bytes).expect("the same length");
}

#[test]
fn a_tablet_of_more_than_half_the_disk_is_cut_over_paused_and_found_again() {
    let Some((mut node, _image)) = onto_small_disk(256) else { return };
    let key = node.add_tablet(0, 1, &[64 * MIB, 80 * MIB]);
    let other = node.add_tablet(0, 2, &[120 * MIB]);
    let small = node.add_tablet(0, 3, &[8 * MIB]);
    let mut daemon = node.start();
    let id = submit(&daemon, key, &node.disk(1), "manual_cutover");
    daemon.wait_for(id, &["ready", "failed"]);
    // What waits holds what it keeps, and nothing else of the disk.
    assert!(daemon.becomes(|| disk(&daemon, 1)["reserved_bytes"] == 0), "{:#}", disk(&daemon, 1));
    assert_eq!(daemon.run(other, &node.disk(1))["error_code"], "DISK_FULL");
    let beside = daemon.accept(small, &node.disk(1));
    daemon.wait_for(beside, &["completed"]);

    daemon.act(id, &json!({"pause": null}));
    daemon.wait_for(id, &["paused"]);
    assert_eq!(disk(&daemon, 1)["reserved_bytes"], 0);
    daemon.act(id, &json!({"resume": null}));
    daemon.wait_for(id, &["ready", "failed"]);
    daemon.stop();
    daemon = node.start();
    daemon.wait_for(id, &["ready"]);
    daemon.stop();
    // The largest file is copied once more, in the place of the one that turned out wrong.
    flip_a_staged_byte(&node.roots[1], id);
    daemon = node.start();
    assert_eq!(daemon.run(other, &node.disk(1))["error_code"], "DISK_FULL");
    daemon.act(id, &json!({"cutover": null}));
    let done = daemon.wait_for(id, &["completed", "failed"]);
    assert_eq!(done["status"], "completed", "{done:#}");
    assert_eq!(done["disk_resumed_bytes"], 64 * MIB, "{done:#}");
    assert_eq!(disk(&daemon, 1)["reserved_bytes"], 0);
    daemon.stop();
    let placed = node.assert_whole();
    assert_eq!([placed[&key], placed[&other], placed[&small]], [1, 0, 1]);
}

#[test]
fn a_copy_that_was_cut_short_goes_on_in_the_space_it_has() {
    let Some((mut node, _image)) = onto_small_disk(160) else { return };
    let key = node.add_tablet(0, 1, &[12 * MIB; 8]);
    node.settings += "disk_rate_limit_bytes_per_sec = 40000000\n";
    let mut daemon = node.start();
    let id = daemon.accept(key, &node.disk(1));
    let copied = |daemon: &Daemon| daemon.migration(id)["disk_processed_bytes"].as_u64().unwrap_or(0);
    assert!(daemon.becomes(|| copied(&daemon) > 60 * MIB as u64), "{:#}", daemon.migration(id));
    daemon.kill();
    daemon = node.start();
    let done = daemon.wait_for(id, &["completed", "failed"]);
    assert_eq!(done["status"], "completed", "{done:#}");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_verified_copy_is_kept_and_cut_over_on_a_disk_that_has_filled_up_since() {
    let Some((mut node, image)) = onto_small_disk(64) else { return };
    let key = node.add_tablet(0, 1, &[16 * MIB]);
    let daemon = node.start();
    let id = submit(&daemon, key, &node.disk(1), "manual_cutover");
    daemon.wait_for(id, &["ready"]);
    // As it is now: what the daemon shows is of the last look.
    let stat = nix::sys::statvfs::statvfs(image.path()).expect("mounted");
    let left = stat.blocks_available() * stat.fragment_size();
    // All but what a record and a directory need.
    fs::write(image.path().join("ballast"), vec![0x5a; usize::try_from(left).unwrap() - MIB])
        .expect("it fits");
    daemon.act(id, &json!({"cutover": null}));
    let done = daemon.wait_for(id, &["completed", "failed"]);
    assert_eq!(done["status"], "completed", "{done:#}");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_completed_move_shows_as_used_before_what_was_reserved_for_it_is_given_back() {
    let Some((mut node, _image)) = onto_small_disk(64) else { return };
    let keys = [1, 2].map(|id| node.add_tablet(0, id, &[32 * MIB]));
    // Nothing else looks at the disk in this test's time.
    node.settings += "disk_stat_monitor_interval = 3600\n";
    let daemon = node.start();
    daemon.wait_for(daemon.accept(keys[0], &node.disk(1)), &["completed"]);
    let refused = daemon.run(keys[1], &node.disk(1));
    assert_eq!(refused["error_code"], "DISK_FULL", "{refused:#}");
    daemon.stop();
}

#[test]
fn a_copy_that_waits_for_memory_is_not_taken_for_stuck() {
    let mut node = Node::new(2);
    let keys = [1, 2].map(|id| node.add_tablet(0, id, &[1_300_000]));
    // Room for one buffer; the first copy has it for longer than the detector is patient.
    node.settings =
        "copy_memory_limit_bytes = 1048576\ncopy_block_bytes = 1048576\nmigration_task_timeout_secs = 1\n\
         small_migration_bytes = 0\nmigration_max_attempts = 1"
            .to_owned();
    let daemon = node.start();
    let body =
        json!({"tablet_id": keys[0].tablet_id, "dest_disk": node.disk(1), "rate_bytes_per_sec": 100_000});
    let (status, slow) = daemon.send("/api/v1/migrations", &[], &body);
    assert_eq!(status, 201, "{slow:#}");
    let slow = slow["id"].as_u64().expect("a number");
    daemon.wait_for(slow, &["copying"]);
    let waits = daemon.accept(keys[1], &node.disk(1));
    for id in [slow, waits] {
        let done = daemon.wait_for(id, &["completed", "failed"]);
        assert_eq!(done["status"], "completed", "{done:#}");
    }
    daemon.stop();
    assert!(node.assert_whole().values().all(|root| *root == 1));
}

#[test]
fn a_copy_that_gives_no_sign_of_life_is_stopped_and_tried_again() {
    let mut node = Node::new(2);
    let Some(disk) = Ext4::on(&node.roots[1], &node.dir.path().join("image")) else { return };
    let key = node.add_tablet(0, 1, &[8_000_000]);
    node.settings = "migration_task_timeout_secs = 1\nsmall_migration_bytes = 0\n\
                     disk_rate_limit_bytes_per_sec = 2000000\nmigration_retry_backoff_ms = 100\n"
        .to_owned();
    let daemon = node.start();
    let id = daemon.accept(key, &node.disk(1));
    let copied = || daemon.migration(id)["disk_processed_bytes"].as_u64().unwrap_or(0);
    assert!(daemon.becomes(|| copied() > 0), "{:#}", daemon.migration(id));
    disk.freeze("--freeze");
    assert!(daemon.becomes(|| daemon.said().contains("nothing was heard of it")), "{}", daemon.said());
    disk.freeze("--unfreeze");
    let done = daemon.wait_for(id, &["completed", "failed"]);
    assert_eq!(done["status"], "completed", "{done:#}");
    assert!(done.to_string().contains("migration_task_timeout_secs"), "its log says why: {done:#}");
    daemon.stop();
    drop(disk);
}

/// A destination with few inodes and plenty of bytes.
fn few_inodes() -> Option<(Node, Image)> {
    let dir = tempfile::tempdir().expect("a directory");
    let image = Image::ext4_with(dir.path(), "few", 64 << 20, &["-N", "64"])?;
    let roots = vec![dir.path().join("disk0"), image.path().to_owned()];
    roots.iter().for_each(|root| make_root(root));
    let node = Node::on(dir, roots);
    Some((node, image))
}

#[test]
fn files_are_counted_against_the_inodes_of_a_disk_by_admission_plans_and_whoever_looks() {
    let Some((mut node, _image)) = few_inodes() else { return };
    let keys: Vec<_> = (1..=8).map(|id| node.add_tablet(0, id, &[1000; 12])).collect();
    let daemon = node.start();
    let seen = disk(&daemon, 1);
    let left = seen["avail_inodes"].as_u64().expect("inodes are counted");
    assert!((20..96).contains(&left), "{seen:#}");
    assert!(daemon.get_text("/metrics").contains("tabletd_disk_inodes_available{"));

    let drain = json!({"kind": "drain", "disks": [node.disk(0)]});
    let (status, refused) = daemon.send("/api/v1/tasks", &[], &json!({"dry_run": false, "request": drain}));
    assert!(refused.to_string().contains("inodes are left"), "{status}: {refused:#}");
    let what_fits = json!({"dry_run": false, "request": drain, "completeness": "what_fits"});
    let task = daemon.post("/api/v1/tasks", &what_fits)["id"].clone();
    daemon.post(&format!("/api/v1/tasks/{task}/action"), &json!({"start": {}}));
    let status = || daemon.get(&format!("/api/v1/tasks/{task}"));
    assert!(daemon.becomes(|| status()["status"] == "finished"), "{:#}", status());
    assert_eq!(status()["moves_failed"], 0, "{:#}", status());
    let moved = count_on(&daemon, &keys, &node.disk(1));
    assert!((1..8).contains(&moved), "{moved} of 8 tablets for {left} inodes");

    let stays = keys.iter().find(|key| !is_on(&daemon, key.tablet_id.0, &node.disk(1))).expect("one stays");
    let path = format!("/api/v1/tablets/{}/explain?disk={}", stays.tablet_id, node.disk(1));
    assert!(daemon.get(&path).to_string().contains("inodes are left"), "{:#}", daemon.get(&path));
    assert!(daemon.run(*stays, &node.disk(1))["reason"].to_string().contains("inodes are left"));
    daemon.stop();
    node.assert_whole();
}

fn is_on(daemon: &Daemon, tablet: i64, disk: &str) -> bool {
    daemon.get(&format!("/api/v1/tablets/{tablet}"))["disk"] == disk
}

fn count_on(daemon: &Daemon, keys: &[tabletd::model::TabletKey], disk: &str) -> usize {
    keys.iter().filter(|key| is_on(daemon, key.tablet_id.0, disk)).count()
}

#[test]
fn a_limit_of_n_copies_n_bytes_of_tablets_per_second() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 1, &[64_000_000]);
    node.settings = "disk_rate_limit_bytes_per_sec = 16000000\n".to_owned();
    let daemon = node.start();
    let began = std::time::Instant::now();
    let id = daemon.accept(key, &node.disk(1));
    daemon.wait_for(id, &["completed"]);
    // Four seconds at the limit, and the read-back of what was copied last; in one bucket it took eight.
    let took = began.elapsed().as_secs_f64();
    assert!((3.4..6.8).contains(&took), "{took} s for 64 MB at 16 MB/s");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}
