//! How hard the daemon pushes: seen, and changed while it runs.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::Node;
use crate::harness::tabletctl::wait_until;

fn disk<'a>(disks: &'a Value, path: &str) -> &'a Value {
    let found = disks["data"].as_array().expect("a list").iter().find(|disk| disk["path"] == path);
    found.unwrap_or_else(|| panic!("no {path} in {disks}"))
}

#[test]
fn one_disk_is_limited_by_its_path_while_others_go_by_the_common_limit() {
    let mut node = Node::new(3);
    let tablets: Vec<_> = (0..2).map(|n| node.add_tablet(0, 7 + n, &[3_000_000])).collect();
    let slow = node.disk(1);
    node.settings =
        format!("disk_rate_limit_bytes_per_sec = 500000000\ndisk_rate_limit_overrides = {slow}:100000");
    let daemon = node.start();
    let rates = |daemon: &crate::harness::Daemon| -> Vec<u64> {
        let disks = daemon.get("/api/v1/disks");
        let rate = |n| disk(&disks, &node.disk(n))["rate_limit_bytes_per_sec"].as_u64().expect("a rate");
        (0..3).map(rate).collect()
    };
    assert_eq!(rates(&daemon), [500_000_000, 100_000, 500_000_000]);

    let waits = daemon.accept(tablets[0], &slow);
    let passes = daemon.accept(tablets[1], &node.disk(2));
    daemon.wait_for(passes, &["completed"]);
    assert_eq!(daemon.migration(waits)["status"], "copying", "30 s at its rate");

    // Freed by name: the waiting one feels it at once.
    daemon.post("/api/v1/disks/limits", &json!({ "path": slow, "rate_bytes_per_sec": 0 }));
    let done = daemon.wait_for(waits, &["completed"]);
    assert!(done["throttled_ms"].as_u64() > Some(0), "{done:#}");
    assert_eq!(rates(&daemon), [500_000_000, 0, 500_000_000]);
    let shown = daemon.get("/api/show_config?conf_item=disk_rate_limit_overrides");
    assert_eq!(shown[0][2], format!("{slow}:0"));

    daemon.post("/api/v1/disks/limits", &json!({ "path": slow, "rate_bytes_per_sec": null }));
    daemon.post("/api/update_config?disk_rate_limit_bytes_per_sec=77", &Value::Null);
    assert_eq!(rates(&daemon), [77, 77, 77]);
    daemon.stop();
}

#[test]
fn outside_its_window_a_migration_waits_and_says_until_when_and_high_priority_goes() {
    let mut node = Node::new(2);
    let (first, second) = (node.add_tablet(0, 7, &[1000]), node.add_tablet(0, 8, &[1000]));
    // Twelve hours away, so that no midnight, leap or slow machine opens it during the test.
    let hour = |offset| (chrono::Timelike::hour(&chrono::Local::now()) + offset) % 24;
    node.settings = format!("migration_window = {:02}:00-{:02}:00", hour(12), hour(13));
    let daemon = node.start();
    let waits = daemon.accept(first, &node.disk(1));
    let urgent = daemon.post(
        "/api/v1/migrations",
        &json!({ "tablet_id": second.tablet_id, "dest_disk": node.disk(1), "priority": "high" }),
    );
    daemon.wait_for(urgent["id"].as_u64().expect("a number"), &["completed"]);
    let queued = daemon.migration(waits);
    let reason = queued["status_reason"].as_str().expect("a reason");
    assert_eq!(queued["status"], "queued", "{queued:#}");
    assert!(reason.starts_with("outside the window ") && reason.contains("; opens in 1"), "{reason}");

    daemon.post("/api/update_config?migration_window=", &Value::Null);
    daemon.wait_for(waits, &["completed"]);
    daemon.stop();
}

/// Names of the daemon's threads that have the idle I/O class now.
fn idle_threads(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a running daemon").flatten();
    let is_idle = |tid: &str| {
        let tid: libc::c_int = tid.parse().expect("a number");
        // SAFETY: takes two integers.
        let priority = unsafe { libc::syscall(libc::SYS_ioprio_get, 1, tid) };
        priority >> 13 == 3
    };
    let name =
        |tid: &str| std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
    tasks
        .map(|task| task.file_name().to_string_lossy().into_owned())
        .filter(|tid| is_idle(tid))
        .map(|tid| name(&tid).trim().to_owned())
        .collect()
}

#[test]
fn threads_that_copy_take_the_io_class_that_is_set_and_no_other_thread_does() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[10_000; 400]);
    node.settings = "disk_rate_limit_bytes_per_sec = 500000\nmigration_io_class = idle".to_owned();
    let daemon = node.start();
    let id = daemon.accept(key, &node.disk(1));
    wait_until("a thread is idle", || !idle_threads(daemon.pid()).is_empty());
    let names = idle_threads(daemon.pid());
    assert!(names.iter().all(|name| name.starts_with("move-") || name == "copy"), "{names:?}");
    daemon.post("/api/update_config?migration_io_class=best_effort", &Value::Null);
    wait_until("no thread is idle", || idle_threads(daemon.pid()).is_empty());
    assert_eq!(daemon.migration(id)["status"], "copying", "it was changed while the copy ran");
    daemon.post("/api/update_config?disk_rate_limit_bytes_per_sec=0", &Value::Null);
    daemon.wait_for(id, &["completed"]);
    daemon.stop();
}

#[test]
fn adaptive_throttling_begins_and_ends_while_a_copy_runs_and_says_what_it_does() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[6_000_000]);
    node.settings = "migration_throttle = adaptive\nmigration_throttle_floor_bytes_per_sec = 65536\n\
                     disk_rate_limit_bytes_per_sec = 1000000"
        .to_owned();
    let daemon = node.start();
    let paces = || -> Vec<Value> {
        let disks = daemon.get("/api/v1/disks");
        (0..2).map(|n| disk(&disks, &node.disk(n))["pace"].clone()).collect()
    };
    assert_eq!(paces(), [Value::Null, Value::Null], "nothing is copied");
    let id = daemon.accept(key, &node.disk(1));
    wait_until("both disks are paced", || {
        paces().iter().all(|pace| pace["reason"].as_str().is_some_and(|why| !why.is_empty()))
    });
    for pace in paces() {
        let rate = pace["rate_bytes_per_sec"].as_u64().expect("a rate");
        assert!((65_536..=1_000_000).contains(&rate), "between floor and limit: {pace}");
    }
    let metrics = daemon.get_text("/metrics");
    assert!(metrics.contains("tabletd_disk_pace_bytes_per_second{path="), "{metrics}");
    daemon.post("/api/update_config?migration_throttle=none", &Value::Null);
    wait_until("no disk is paced", || paces().iter().all(Value::is_null));
    assert_eq!(daemon.migration(id)["status"], "copying", "it was changed while the copy ran");
    daemon.post("/api/update_config?disk_rate_limit_bytes_per_sec=0", &Value::Null);
    daemon.wait_for(id, &["completed"]);
    daemon.stop();
}

/// An xfs in a file, mounted until dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("mount")
    }

    /// `None`, said aloud, where this machine cannot mount.
    fn xfs() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("mount")).expect("a directory");
        let script = "truncate -s 400M image && mkfs.xfs -qf image && mount -o loop image mount";
        let made =
            Command::new("sh").args(["-c", script]).current_dir(directory.path()).output().expect("a shell");
        if made.status.success() {
            return Some(Self(directory));
        }
        crate::harness::mounts::skip(&format!("no xfs: {}", String::from_utf8_lossy(&made.stderr).trim()));
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking(), "cannot unmount");
    }
}

#[test]
fn within_one_xfs_a_tablet_moves_by_sharing_its_bytes_and_says_so_unless_told_to_copy() {
    let Some(mounted) = Mounted::xfs() else { return };
    let roots: Vec<_> = (0..2).map(|n| mounted.path().join(format!("root{n}"))).collect();
    for root in &roots {
        std::fs::create_dir(root).expect("a directory");
        crate::harness::make_root(root);
    }
    let mut node = Node::on(tempfile::tempdir().expect("a directory"), roots);
    let (first, second) = (node.add_tablet(0, 7, &[300_000, 5]), node.add_tablet(0, 8, &[300_000, 5]));
    let daemon = node.start();
    let moved = |key| daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    for (key, cloned_bytes) in [(first, 300_005), (second, 0)] {
        let done = moved(key);
        let counters = &done;
        assert_eq!(counters["disk_cloned_bytes"], cloned_bytes, "{done:#}");
        assert_eq!(counters["disk_processed_bytes"], 300_005, "{done:#}");
        assert_eq!(counters["disk_verified_bytes"], 300_005, "{done:#}");
        let said =
            done["steps"].to_string().contains("cloned: same file system, bytes shared with the source");
        assert_eq!(said, cloned_bytes > 0, "{done:#}");
        daemon.post("/api/update_config?migration_same_file_system=copy", &Value::Null);
    }
    assert!(daemon.get_text("/metrics").contains("tabletd_cloned_bytes_total 300005\n"));
    daemon.stop();
    assert_eq!(node.assert_whole()[&first], 1);
}
