//! Space is asked for once: what a migration has in staging lies there already. What does not fit waits, says so, and takes
//! nothing from others meanwhile.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::mounts::Image;
use crate::harness::{Daemon, Node, make_root};
use crate::modes::submit;

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
    let left = disk(&daemon, 1)["avail_bytes"].as_u64().expect("bytes");
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
