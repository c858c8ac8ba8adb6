//! Whatever waits says why, in one line and without a log: every reason there is to wait for, one after another.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tabletd::model::TabletKey;

use crate::harness::mounts::{Mounted, skip};
use crate::harness::{Daemon, Node};

/// The reason a migration gives at this moment, which is one line.
fn why(daemon: &Daemon, id: u64) -> String {
    let migration = daemon.migration(id);
    let why = migration["status_reason"].as_str().expect("a reason").to_owned();
    assert!(!why.is_empty() && !why.contains('\n'), "{migration:#}");
    let waits = ["queued", "paused"].iter().any(|status| migration["status"] == *status);
    assert!(!waits || migration["blockers"][0]["text"] == why.as_str(), "{migration:#}");
    why
}

/// Waits until the reason has all of these words.
fn says(daemon: &Daemon, id: u64, words: &[&str]) {
    let said = || words.iter().all(|word| why(daemon, id).contains(word));
    assert!(daemon.becomes(said), "{words:?} is not said: {:#}", daemon.migration(id));
}

fn submit(daemon: &Daemon, key: TabletKey, disk: &str, more: &Value) -> u64 {
    let mut body = json!({"tablet_id": key.tablet_id, "dest_disk": disk});
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    let (status, answer) = daemon.send("/api/v1/migrations", &[], &body);
    assert_eq!(status, 201, "{answer:#}");
    answer["id"].as_u64().expect("a number")
}

#[test]
fn a_queue_a_limit_a_pause_a_gate_and_a_disabled_disk_are_named() {
    let mut node = Node::new(2);
    let large = node.add_tablet(0, 1, &[8_000_000]);
    let keys = [2, 3].map(|id| node.add_tablet(0, id, &[1000]));
    node.settings = "small_migration_bytes = 0\nssd_write_slots = 1\nssd_read_slots = 1\n".to_owned();
    let (source, destination) = (node.disk(0), node.disk(1));
    let daemon = node.start();
    let first = submit(&daemon, large, &destination, &json!({"rate_bytes_per_sec": 300_000}));
    daemon.wait_for(first, &["copying"]);
    says(&daemon, first, &["copying, at 300000 bytes per second at most: a limit of its own"]);
    let second = daemon.accept(keys[0], &destination);
    says(&daemon, second, &["no read slot of ", &source, " is free, 1 taken"]);
    daemon.act(second, &json!({"pause": null}));
    says(&daemon, second, &["paused by an operator"]);
    daemon.act(second, &json!({"resume": null}));
    says(&daemon, second, &["no read slot of "]);

    daemon.post("/api/v1/disks/disable", &json!({"path": destination, "reason": "new cable"}));
    says(&daemon, second, &["destination ", &destination, "(disabled: "]);
    let held = daemon.wait_for(first, &["paused"]);
    assert_eq!(held["blockers"][0]["kind"], "disk", "{held:#}");
    says(
        &daemon,
        first,
        &["its destination ", &destination, " is disabled; it goes on once that is enabled"],
    );
    daemon.post("/api/v1/disks/enable", &json!({"path": destination}));
    says(&daemon, first, &["a limit of its own"]);
    // Forced, no limit holds it, and its reason no longer says that one does.
    daemon.act(first, &json!({"force_complete": null}));
    for id in [first, second] {
        daemon.wait_for(id, &["completed"]);
    }
    let third = submit(&daemon, keys[1], &destination, &json!({"mode": "manual_cutover"}));
    daemon.wait_for(third, &["ready"]);
    says(&daemon, third, &["waits for cutover since", "undone at"]);
    daemon.stop();
}

#[test]
fn outside_the_window_a_forced_migration_goes_and_the_others_say_when() {
    let mut node = Node::new(2);
    let keys = [7, 8].map(|id| node.add_tablet(0, id, &[1000]));
    let hour = |offset| (chrono::Timelike::hour(&chrono::Local::now()) + offset) % 24;
    node.settings = format!("migration_window = {:02}:00-{:02}:00", hour(12), hour(13));
    let daemon = node.start();
    let [first, second] = keys.map(|key| daemon.accept(key, &node.disk(1)));
    for id in [first, second] {
        says(&daemon, id, &["outside the window", "opens in 1"]);
    }
    daemon.act(first, &json!({"force_complete": null}));
    daemon.wait_for(first, &["completed"]);
    says(&daemon, second, &["outside the window"]);
    daemon.stop();
}

#[test]
fn a_paused_task_is_the_reason_of_its_migrations() {
    let memory = PathBuf::from("/dev/shm");
    let Ok(source) = tempfile::tempdir_in(memory) else { return skip("no /dev/shm") };
    let dir = tempfile::tempdir().expect("a directory");
    let device = |path| std::fs::metadata(path).expect("there").dev();
    if device(source.path()) == device(dir.path()) {
        return skip("/dev/shm is no file system of its own");
    }
    let roots = [source.path().join("disk"), dir.path().join("disk")];
    roots.iter().for_each(|root| crate::harness::make_root(root));
    let mut node = Node::on(dir, roots.to_vec());
    for id in 1..=2 {
        node.add_tablet(0, id, &[3_000_000]);
    }
    node.settings =
        "node_rate_limit_bytes_per_sec = 200000\nsmall_migration_bytes = 0\nssd_read_slots = 1\n".to_owned();
    let daemon = node.start();
    let drain = json!({"dry_run": false, "request": {"kind": "drain", "disks": [node.disk(0)]}});
    let task = daemon.post("/api/v1/tasks", &drain)["id"].clone();
    daemon.post(&format!("/api/v1/tasks/{task}/action"), &json!({"start": {}}));
    assert!(daemon.becomes(|| daemon.get("/api/v1/migrations?status=copying")["total"] == 1));
    says(&daemon, 1, &["at 200000 bytes per second at most: the node's limit"]);
    daemon.post(&format!("/api/v1/tasks/{task}/action"), &json!({"pause": {}}));
    assert_eq!(daemon.wait_for(1, &["paused"])["blockers"][0]["kind"], "task");
    says(&daemon, 1, &[&format!("task {task} is paused, here at least; it goes on with it")]);
    daemon.stop();
}

/// Small file systems for the roots of a node; `None`, said aloud, where none can be mounted.
fn small_disks(count: usize) -> Option<(Node, Mounted)> {
    let node = Node::new(count);
    let mounted = Mounted::on(&node.roots)?;
    Some((node, mounted))
}

#[test]
fn a_destination_that_has_filled_up_is_named_with_its_numbers_and_the_migration_goes_on_when_there_is_room() {
    let Some((mut node, _mounted)) = small_disks(2) else { return };
    let key = node.add_tablet(0, 7, &[12_000_000, 8_000_000]);
    node.settings = "migration_retry_backoff_ms = 500\nmigration_max_attempts = 1\n".to_owned();
    let daemon = node.start();
    let id = submit(&daemon, key, &node.disk(1), &json!({"mode": "stepwise"}));
    daemon.wait_for(id, &["preflight_passed"]);
    // Somebody else takes all that is left.
    let ballast = node.roots[1].join("trash/ballast");
    let filled = Command::new("dd")
        .args(["if=/dev/zero", "bs=1M", &format!("of={}", ballast.display())])
        .output()
        .expect("dd");
    assert!(!filled.status.success(), "it is not full: {filled:?}");
    daemon.act(id, &json!({"force_complete": null}));
    says(
        &daemon,
        id,
        &["waiting for space: disk ", &node.disk(1), "; waiting ", " ms before the next attempt"],
    );
    says(
        &daemon,
        id,
        &["20000000 bytes do not fit: with 0 bytes of other moves in flight", " with 0 bytes left"],
    );
    let stuck = daemon.migration(id);
    assert_eq!(
        (&stuck["error"]["code"], &stuck["status"]),
        (&json!("DISK_FULL"), &json!("queued")),
        "{stuck:#}"
    );
    // It waits again, and is being worked on all the same: its preflight has begun.
    assert_eq!(stuck["phase"], "WORKING", "{stuck:#}");
    for (phase, count) in [("NEW", 0), ("WORKING", 1)] {
        assert_eq!(daemon.get(&format!("/api/v1/migrations?phase={phase}"))["total"], count, "{phase}");
    }
    std::fs::remove_file(ballast).expect("a file");
    daemon.wait_for(id, &["completed"]);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_destination_whose_lock_another_process_holds_is_named_with_that_process() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[3_000_000]);
    node.settings = "ignore_broken_disk = true".to_owned();
    let daemon = node.start();
    let id = submit(&daemon, key, &node.disk(1), &json!({"rate_bytes_per_sec": 100_000}));
    daemon.wait_for(id, &["copying"]);
    daemon.stop();

    let other = Node::on(tempfile::tempdir().expect("a directory"), vec![node.roots[1].clone()]);
    let other = other.start();
    let daemon = node.start();
    let holder = format!("process {}", other.pid());
    says(&daemon, id, &["destination ", &node.disk(1), "in use", &holder]);
    assert_eq!(daemon.migration(id)["status"], "queued");
    other.stop();
    daemon.stop();
    let daemon = node.start();
    daemon.act(id, &json!({"force_complete": null}));
    daemon.wait_for(id, &["completed"]);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

/// An ext4 in a file, mounted at the root of a node's disk until dropped.
pub(crate) struct Ext4(PathBuf);

impl Ext4 {
    pub(crate) fn on(root: &std::path::Path, image: &std::path::Path) -> Option<Self> {
        let script = "truncate -s 64M \"$0\" && mkfs.ext4 -qF \"$0\" && mount -o loop \"$0\" \"$1\" && rmdir \"$1/lost+found\"";
        let made = Command::new("sh").args(["-c", script]).args([image, root]).output().expect("a shell");
        if made.status.success() {
            return Some(Self(root.to_owned()));
        }
        skip(&format!("no ext4: {}", String::from_utf8_lossy(&made.stderr).trim()));
        None
    }

    /// Writers wait, as on a disk that does not answer, until it is thawed.
    pub(crate) fn freeze(&self, how: &str) {
        let done = Command::new("fsfreeze").arg(how).arg(&self.0).status().expect("fsfreeze");
        assert!(done.success(), "fsfreeze {how}");
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze")
            .arg("--unfreeze")
            .arg(&self.0)
            .stderr(std::process::Stdio::null())
            .status();
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_hangs_is_named_by_what_runs_and_by_what_waits_for_it() {
    let mut node = Node::new(2);
    let Some(disk) = Ext4::on(&node.roots[1], &node.dir.path().join("image")) else { return };
    let keys = [7, 8].map(|id| node.add_tablet(0, id, &[1_000_000]));
    node.settings = "disk_hang_timeout_sec = 1\nsmall_migration_bytes = 0\nssd_write_slots = 1".to_owned();
    let daemon = node.start();
    disk.freeze("--freeze");
    let [stuck, queued] = keys.map(|key| daemon.accept(key, &node.disk(1)));
    says(&daemon, stuck, &["destination ", &node.disk(1), " is hung: ", " has not returned for "]);
    assert_eq!(daemon.migration(stuck)["blockers"][0]["kind"], "disk");
    says(&daemon, queued, &["destination ", &node.disk(1), "hung: ", " has not returned for "]);
    // Both stand in the list with the same words.
    let list = daemon.get("/api/v1/migrations");
    let all = list["data"].as_array().expect("a list");
    assert!(all.iter().all(|migration| migration["status_reason"].to_string().contains("hung")), "{list:#}");
    disk.freeze("--unfreeze");
    for id in [stuck, queued] {
        daemon.wait_for(id, &["completed"]);
    }
    daemon.stop();
    drop(disk);
}
