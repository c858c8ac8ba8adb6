//! Tasks: a disk is drained by one of them, through kills; a plan is looked at before anything moves, and refused when
//! the node has changed since.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::mounts::{Mounted, skip};
use crate::harness::tabletctl::status_and_words;
use crate::harness::{Daemon, Node, make_root};

/// A node whose first disk is on a file system of its own: between roots that share one a drain frees nothing, and the
/// planner refuses it. `None` where there is no second file system to be had without being root.
fn two_file_systems(destinations: usize) -> Option<(Node, TempDir)> {
    let memory = PathBuf::from("/dev/shm");
    let source = tempfile::tempdir_in(memory).ok()?;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let device = |path| std::os::unix::fs::MetadataExt::dev(&std::fs::metadata(path).expect("there"));
    if device(source.path()) == device(dir.path()) {
        return None;
    }
    let mut roots = vec![source.path().join("disk")];
    roots.extend((1..=destinations).map(|n| dir.path().join(format!("disk{n}"))));
    roots.iter().for_each(|root| make_root(root));
    Some((Node::on(dir, roots), source))
}

fn drain_of(node: &Node, dry_run: bool) -> Value {
    json!({"name": "empty it", "dry_run": dry_run, "request": {"kind": "drain", "disks": [node.disk(0)]}})
}

fn disk(daemon: &Daemon, path: &str) -> Value {
    let disks = daemon.get("/api/v1/disks");
    let found = disks["data"].as_array().into_iter().flatten().find(|disk| disk["path"] == path);
    found.cloned().unwrap_or_else(|| panic!("{path} is not in {disks}"))
}

fn act(daemon: &Daemon, id: u64, action: &str) -> Value {
    daemon.post(&format!("/api/v1/tasks/{id}/action"), &json!({ action: {} }))
}

/// Waits until the task is as wanted; checks at every look that the source is not called safe too early.
fn wait_for(daemon: &Daemon, id: u64, source: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + crate::harness::daemon::PATIENCE;
    loop {
        let source = disk(daemon, source);
        assert!(source["safe_to_remove"] == false || source["tablet_count"] == 0, "{source:#}");
        let task = daemon.get(&format!("/api/v1/tasks/{id}"));
        if wanted(&task) {
            return task;
        }
        assert!(Instant::now() < deadline, "the task does not get there: {task:#}\n{}", daemon.said());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_drain_goes_on_through_a_kill_and_only_then_is_the_disk_safe_to_remove() {
    let Some((mut node, _memory)) = two_file_systems(2) else {
        return skip("/dev/shm is no file system of its own");
    };
    // Two destinations that share a file system are one place to the planner.
    let Some(_mounted) = Mounted::on(&node.roots[1..]) else { return };
    node.roots[1..].iter().for_each(|root| make_root(root));
    for id in 1..=60 {
        node.add_tablet(0, id, &[100_000, 5000]);
    }
    // Slow enough to be killed in the middle.
    node.settings = "node_rate_limit_bytes_per_sec = 4000000\nsmall_migration_batch = 2\n\
                     max_tablet_migration_threads = 4"
        .to_owned();
    let daemon = node.start();
    let task = daemon.post("/api/v1/tasks", &drain_of(&node, false));
    let id = task["id"].as_u64().unwrap_or_else(|| panic!("{task:#}"));
    assert_eq!((&task["status"], &task["moves_total"]), (&json!("stopped"), &json!(60)), "{task:#}");
    let moves = task["plan"]["moves"].as_array().expect("moves");
    for n in 1..=2 {
        assert!(moves.iter().any(|planned| planned["destination"]["path"] == node.disk(n)), "disk {n}");
    }
    let source = disk(&daemon, &node.disk(0));
    assert_eq!(source["safe_to_remove"], false);
    let why = source["not_safe_because"].as_str().expect("a reason");
    assert!(why.contains("60 tablets"), "{why}");

    assert_eq!(act(&daemon, id, "start")["status"], "running");
    let completed = |task: &Value| task["moves_completed"].as_u64().expect("a number");
    wait_for(&daemon, id, &node.disk(0), |task| completed(task) >= 5);
    let stopped = act(&daemon, id, "stop");
    assert_eq!(stopped["status"], "stopped", "{stopped:#}");
    assert!(completed(&stopped) < 60, "{stopped:#}");
    wait_for(&daemon, id, &node.disk(0), |task| task["moves_running"] == 0);
    let at_rest = completed(&daemon.get(&format!("/api/v1/tasks/{id}")));
    assert_eq!(disk(&daemon, &node.disk(0))["tablet_count"], 60 - at_rest);

    // Its own moves are no drift.
    assert_eq!(act(&daemon, id, "start")["status"], "running");
    wait_for(&daemon, id, &node.disk(0), |task| completed(task) >= at_rest + 5);
    daemon.kill();
    node.settings.clear();
    let daemon = node.start();
    let task = wait_for(&daemon, id, &node.disk(0), |task| task["status"] == "finished");
    assert_eq!((completed(&task), &task["moves_failed"]), (60, &json!(0)), "{task:#}");
    assert_eq!(task["bytes_completed"], task["bytes_total"]);
    let source = disk(&daemon, &node.disk(0));
    assert_eq!((&source["safe_to_remove"], &source["not_safe_because"]), (&json!(true), &Value::Null));
    assert_eq!(disk(&daemon, &node.disk(1))["safe_to_remove"], false);
    // Each tablet was moved by one migration of the task, not by one for every start.
    assert_eq!(daemon.get("/api/v1/migrations")["total"], 60);
    assert_eq!(act(&daemon, id, "start")["error_code"], "ILLEGAL_TRANSITION");
    daemon.delete(&format!("/api/v1/tasks/{id}"));
    assert_eq!(daemon.get("/api/v1/tasks")["total"], 0);
    daemon.stop();
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tasks")["total"], 0, "a deleted task came back");
    daemon.stop();
    assert!(node.assert_whole().values().all(|root| *root > 0));
}

#[test]
fn a_dry_run_changes_nothing_and_a_plan_is_refused_after_drift() {
    let Some((mut node, _memory)) = two_file_systems(1) else {
        return skip("/dev/shm is no file system of its own");
    };
    let keys: Vec<_> = (1..=4).map(|id| node.add_tablet(0, id, &[5000])).collect();
    let daemon = node.start();
    let plan = daemon.post("/api/v1/tasks", &drain_of(&node, true));
    assert_eq!((&plan["id"], &plan["moves_total"]), (&Value::Null, &json!(4)), "{plan:#}");
    let only_named =
        daemon.post("/api/v1/tasks", &json!({"request": {"kind": "drain", "disks": [node.disk(0)]}}));
    assert_eq!(only_named["id"], Value::Null, "a dry run is the default: {only_named:#}");
    assert_eq!(daemon.get("/api/v1/tasks")["total"], 0);
    assert_eq!(daemon.get("/api/v1/migrations")["total"], 0);

    // What was looked at, or nothing.
    let mut agreed = drain_of(&node, false);
    agreed["fingerprint"] = json!(plan["plan"]["fingerprint"].as_u64().expect("a number") ^ 1);
    let refused = daemon.send("/api/v1/tasks", &[], &agreed);
    assert_eq!((refused.0, &refused.1["error_code"]), (412, &json!("PLAN_DRIFTED")), "{refused:?}");
    agreed["fingerprint"] = plan["plan"]["fingerprint"].clone();
    let id = daemon.post("/api/v1/tasks", &agreed)["id"].as_u64().expect("a task");
    // A plan is kept over a restart, and is still good: nothing has changed.
    daemon.stop();
    let daemon = node.start();
    let kept = daemon.get(&format!("/api/v1/tasks/{id}"));
    assert_eq!(kept["plan"]["moves"], plan["plan"]["moves"]);
    // Somebody else moves a tablet of the plan.
    let migration = daemon.accept(keys[0], &node.disk(1));
    daemon.wait_for(migration, &["completed"]);
    let refused = act(&daemon, id, "start");
    assert_eq!(refused["error_code"], "PLAN_DRIFTED", "{refused:#}");
    assert_eq!(daemon.get(&format!("/api/v1/tasks/{id}"))["status"], "stopped");
    assert_eq!(daemon.get("/api/v1/migrations")["total"], 1);

    let unknown = json!({"request": {"kind": "drain", "disks": ["/nowhere"]}});
    assert_eq!(daemon.post("/api/v1/tasks", &unknown)["error_code"], "DISK_NOT_FOUND");
    assert_eq!(act(&daemon, 99, "start")["error_code"], "TASK_NOT_FOUND");
    daemon.stop();
}

#[test]
fn a_drain_that_fits_nowhere_is_refused_before_anything_moves() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[5000]);
    let daemon = node.start();
    let task = daemon.post("/api/v1/tasks", &drain_of(&node, false));
    // Both roots are on one file system: the drain would free nothing.
    let answer = match task["id"].as_u64() {
        Some(id) => act(&daemon, id, "start"),
        None => task,
    };
    assert_eq!(answer["error_code"], "PLAN_REFUSED", "{answer:#}");
    assert_eq!(daemon.get("/api/v1/migrations")["total"], 0);

    let answers = daemon.get(&format!("/api/v1/tablets/{}/explain?disk={}", key.tablet_id, node.disk(1)));
    let rules = answers["data"].as_array().expect("rules");
    let answer =
        |name: &str| rules.iter().find(|rule| rule["rule"] == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(answer("space")["allows"], true, "{answers:#}");
    assert_eq!(answer("other_file_system")["allows"], false, "{answers:#}");
    daemon.stop();
}

#[test]
fn a_table_is_moved_by_its_number_and_nothing_else_with_it() {
    let mut node = Node::new(2);
    for id in 1..=9 {
        node.add_tablet(0, id, &[5000]);
    }
    let daemon = node.start();
    let ids = |daemon: &Daemon, query: &str| -> Vec<i64> {
        let list = daemon.get(&format!("/api/v1/tablets?{query}"));
        let tablets = list["data"].as_array().unwrap_or_else(|| panic!("{list:#}"));
        tablets.iter().filter_map(|tablet| tablet["tablet_id"].as_i64()).collect()
    };
    assert_eq!(ids(&daemon, "table_id=1"), [1, 4, 7]);
    assert_eq!(ids(&daemon, "table_id=0"), [3, 6, 9], "those of which no table is known");
    assert_eq!(daemon.get("/api/v1/tablets/4")["table_id"], 1);

    let of_tables = |tables: &[i64]| json!({"dry_run": false, "request": {"kind": "move", "select": {"tables": tables}, "to": {"disks": [node.disk(1)]}}});
    let nothing = daemon.post("/api/v1/tasks", &of_tables(&[77]));
    assert_eq!(nothing["error_code"], "PLAN_REFUSED", "{nothing:#}");
    let id = daemon.post("/api/v1/tasks", &of_tables(&[1]))["id"].as_u64().expect("a task");
    act(&daemon, id, "start");
    wait_for(&daemon, id, &node.disk(0), |task| task["status"] == "finished");
    let on = |daemon: &Daemon, n: usize| ids(daemon, &format!("disk={}", node.disk(n)));
    assert_eq!(on(&daemon, 1), [1, 4, 7]);
    let tables = |query: &str| daemon.get(&format!("/api/v1/tables{query}"));
    let of_first = tables(&format!("?disk={}", node.disk(0)));
    assert_eq!(
        of_first["data"],
        json!([
            {"table_id": 0, "tablet_count": 3, "tablet_bytes": 15_000},
            {"table_id": 2, "tablet_count": 3, "tablet_bytes": 15_000},
        ])
    );
    let last = tables("?marker=1&limit=5");
    assert_eq!((&last["total"], &last["data"][0]["table_id"]), (&json!(3), &json!(2)), "{last:#}");
    // A tablet keeps its table over a move and over a start.
    daemon.stop();
    let daemon = node.start();
    assert_eq!(ids(&daemon, "table_id=1"), [1, 4, 7]);
    let id = daemon.post("/api/v1/tasks", &of_tables(&[0]))["id"].as_u64().expect("a task");
    act(&daemon, id, "start");
    wait_for(&daemon, id, &node.disk(0), |task| task["status"] == "finished");
    assert_eq!(on(&daemon, 0), [2, 5, 8]);
    daemon.stop();
    node.assert_whole();
}

#[test]
fn one_source_disk_of_a_task_is_paused_through_a_kill_while_the_other_goes_on() {
    let mut node = Node::new(3);
    for id in 1..=4 {
        node.add_tablet(0, id, &[400_000]);
        node.add_tablet(1, id + 10, &[1000]);
    }
    node.settings = "small_migration_bytes = 0\ndisk_rate_limit_bytes_per_sec = 200000\n".to_owned();
    let (slow, quick, to) = (node.disk(0), node.disk(1), node.disk(2));
    let daemon = node.start();
    let request = json!({"dry_run": false, "request": {"kind": "move", "select": {"disks": [slow, quick]}, "to": {"disks": [to]}}});
    let id = daemon.post("/api/v1/tasks", &request)["id"].as_u64().expect("a task");
    let on_disks = |daemon: &Daemon, action: &str, disks: &[&String]| {
        daemon.send(&format!("/api/v1/tasks/{id}/action"), &[], &json!({ action: {"disks": disks} }))
    };
    let (status, refused) = on_disks(&daemon, "pause", &[&to]);
    assert_eq!((status, &refused["error_code"]), (404, &json!("DISK_NOT_FOUND")), "{refused:#}");
    // Before its start too: DM starts a task on some of its sources.
    assert_eq!(on_disks(&daemon, "pause", &[&slow]).0, 202);
    act(&daemon, id, "start");
    let of = |task: &Value, disk: &String, field: &str| {
        let list = task["status_list"].as_array().unwrap_or_else(|| panic!("{task:#}"));
        list.iter().find(|row| row["disk"] == disk.as_str()).expect("the disk")[field].clone()
    };
    let task = wait_for(&daemon, id, &slow, |task| of(task, &quick, "status") == "finished");
    assert_eq!(
        (&task["status"], of(&task, &slow, "status")),
        (&json!("running"), json!("paused")),
        "{task:#}"
    );
    assert_eq!(of(&task, &slow, "moves_pending"), 4);
    assert!(task["status_reason"].as_str().is_some_and(|why| why.contains(&slow)), "{task:#}");

    // Under way, it comes to rest; a kill changes nothing of it.
    assert_eq!(on_disks(&daemon, "resume", &[&slow]).0, 202);
    wait_for(&daemon, id, &slow, |task| of(task, &slow, "moves_running") != 0);
    assert_eq!(on_disks(&daemon, "pause", &[&slow]).0, 202);
    let paused = "/api/v1/migrations?status=paused";
    assert!(daemon.becomes(|| daemon.get(paused)["total"] != 0));
    daemon.kill();
    node.settings.clear();
    let daemon = node.start();
    let reason = daemon.get(paused)["data"][0]["status_reason"].clone();
    assert_eq!(reason, format!("task {id} is paused, here at least; it goes on with it"));
    let task = daemon.get(&format!("/api/v1/tasks/{id}"));
    assert_eq!(
        (&task["status"], of(&task, &slow, "status")),
        (&json!("running"), json!("paused")),
        "{task:#}"
    );
    act(&daemon, id, "resume");
    let done = wait_for(&daemon, id, &slow, |task| task["status"] == "finished");
    assert_eq!((&done["moves_completed"], &done["moves_failed"]), (&json!(8), &json!(0)), "{done:#}");
    daemon.stop();
    node.assert_whole();
}

#[test]
fn what_a_purge_frees_is_there_for_the_next_plan() {
    let mut node = Node::new(2);
    let Some(_mounted) = Mounted::on(&node.roots[..1]) else { return };
    let key = node.add_tablet(0, 7, &[8_000_000]);
    // Nothing else looks at the space in this test's time.
    node.settings = "disk_stat_monitor_interval = 3600".to_owned();
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    let free = |daemon: &Daemon| disk(daemon, &node.disk(0))["avail_bytes"].as_u64().expect("a number");
    let before = free(&daemon);
    let looked = daemon.post("/api/v1/trash/purge", &json!({"all": true, "dry_run": true}));
    assert_eq!((&looked["total"], free(&daemon)), (&json!(1), before), "{looked:#}");
    daemon.operate("/api/v1/trash/purge", &json!({"all": true}));
    assert!(free(&daemon) >= before + 7_000_000, "{before} then {}", free(&daemon));
    assert_eq!(disk(&daemon, &node.disk(0))["trash_bytes"], 0);
    daemon.stop();
}

#[test]
fn a_rebalance_that_moves_nothing_says_which_key_keeps_it_and_does_not_exit_with_0() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let roots: Vec<_> = (0..2).map(|n| dir.path().join(format!("disk{n}"))).collect();
    roots.iter().for_each(|root| std::fs::create_dir_all(root).expect("a directory"));
    let Some(_mounted) = Mounted::on(&roots) else { return };
    roots.iter().for_each(|root| make_root(root));
    let mut node = Node::on(dir, roots);
    // 8 of 64 MiB: more than a point above the mean, and below the floor of 20 %.
    for id in 1..=4 {
        node.add_tablet(0, id, &[2 << 20]);
    }
    let daemon = node.start();
    let asked = ["task", "rebalance", "--start-points", "2", "--stop-points", "1"];
    let (status, plan) = status_and_words(daemon.tabletctl(&[&asked[..], &["--dry-run"]].concat()));
    assert!(status == Some(0) && plan.contains("below the floor of 20 %"), "{plan}");
    let (status, said) = status_and_words(daemon.tabletctl(&[&asked[..], &["--yes", "--follow"]].concat()));
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("rebalance_source_floor_percent") && !said.contains("every move is done"),
        "{said}"
    );
    // The key that is named is the one that helps.
    daemon.post("/api/update_config?rebalance_source_floor_percent=0", &Value::Null);
    let (status, said) = status_and_words(daemon.tabletctl(&[&asked[..], &["--yes", "--follow"]].concat()));
    assert!(status == Some(0) && said.contains("every move is done"), "{said}");
    daemon.stop();
}

#[test]
fn the_drain_of_a_disk_that_is_gone_is_refused_and_over_the_medium_names_its_option() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let roots: Vec<_> = (0..3).map(|n| dir.path().join(format!("disk{n}"))).collect();
    roots.iter().for_each(|root| std::fs::create_dir_all(root).expect("a directory"));
    let Some(_mounted) = Mounted::on(&roots) else { return };
    roots.iter().for_each(|root| make_root(root));
    let mut node = Node::on(dir, roots);
    node.media = vec!["hdd", "hdd", "ssd"];
    node.settings = "disk_stat_monitor_interval = 1\n".to_owned();
    node.add_tablet(1, 1, &[5000]);
    node.add_tablet(2, 2, &[5000]);
    let (gone, ssd) = (node.disk(1), node.disk(2));
    let daemon = node.start();
    let (status, said) = status_and_words(daemon.tabletctl(&["disk", "drain", &ssd, "--dry-run"]));
    assert!(status == Some(4) && said.contains("--any-medium"), "{said}");
    let (status, said) =
        status_and_words(daemon.tabletctl(&["disk", "drain", &ssd, "--any-medium", "--yes", "--follow"]));
    assert!(status == Some(0) && said.contains("every move is done"), "{said}");

    nix::mount::umount2(gone.as_str(), nix::mount::MntFlags::MNT_DETACH).expect("unmounted");
    let deadline = Instant::now() + crate::harness::daemon::PATIENCE;
    while disk(&daemon, &gone)["condition"] == "online" {
        assert!(Instant::now() < deadline, "the daemon does not see that {gone} is gone\n{}", daemon.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    let (status, said) = status_and_words(daemon.tabletctl(&["disk", "drain", &gone, "--yes", "--follow"]));
    assert!(
        status == Some(4) && said.contains("nothing can be moved off") && said.contains("--lost"),
        "{said}"
    );
    daemon.stop();
}
