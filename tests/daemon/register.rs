//! Disks that join and leave while the daemon runs: what a start would refuse is refused, and a start knows of it after.

use std::fs;

use nix::mount::{MntFlags, umount2};
use serde_json::{Value, json};

use crate::harness::mounts::Mounted;
use crate::harness::{Daemon, Node, make_root, read_dir_names};

fn register(daemon: &Daemon, path: &str) -> Value {
    daemon.post("/api/v1/disks", &json!({"path": path, "medium": "SSD"}))
}

fn forget_command(daemon: &Daemon, path: &str) -> std::process::Command {
    let mut tabletctl = daemon.tabletctl_command(&["disk", "forget", path, "--yes"]);
    tabletctl.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    tabletctl
}

/// Why it is not forgotten; `None` when it is.
fn forget(daemon: &Daemon, path: &str) -> Option<String> {
    let done = forget_command(daemon, path).output().expect("tabletctl");
    (!done.status.success()).then(|| String::from_utf8_lossy(&done.stderr).into_owned())
}

fn paths(daemon: &Daemon) -> Vec<String> {
    let disks = daemon.get("/api/v1/disks");
    let data = disks["data"].as_array().expect("disks");
    data.iter().map(|disk| disk["path"].as_str().expect("a path").to_owned()).collect()
}

#[test]
fn a_disk_joins_serves_at_once_and_is_there_after_the_next_start() {
    let mut node = Node::new(1);
    let key = node.add_tablet(0, 7, &[5000, 10]);
    // A disk with a tablet of its own, as it comes from another node.
    let joining = node.dir.path().join("joining");
    node.roots.push(joining.clone());
    let brought = node.add_tablet(1, 8, &[300]);
    node.roots.pop();
    let daemon = node.start();
    let path = joining.display().to_string();
    let registered = register(&daemon, &path);
    assert_eq!(
        (&registered["condition"], &registered["tablet_count"]),
        (&json!("online"), &json!(1)),
        "{registered:#}"
    );
    assert_eq!(daemon.get("/api/v1/tablets/8")["disk"], path.as_str());
    daemon.wait_for(daemon.accept(key, &path), &["completed"]);
    daemon.wait_for(daemon.accept(brought, &node.disk(0)), &["completed"]);
    daemon.kill();

    let daemon = node.start();
    assert_eq!(paths(&daemon), [node.disk(0), path.clone()]);
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], path.as_str());
    daemon.stop();
    node.roots.push(joining);
    let whole = node.assert_whole();
    assert_eq!((whole[&key], whole[&brought]), (1, 0));
}

#[test]
fn what_a_start_would_refuse_or_would_have_to_settle_is_refused_and_left_alone() {
    let mut node = Node::new(1);
    node.add_tablet(0, 7, &[1000]);
    let at = |name: &str| node.dir.path().join(name).display().to_string();
    let (inside, foreign, empty) = (format!("{}/inner", node.disk(0)), at("foreign"), at("empty"));
    for dir in [&inside, &foreign, &empty] {
        fs::create_dir(dir).expect("a directory");
    }
    fs::write(format!("{foreign}/holiday.jpg"), "x").expect("a file");
    let known = node.dir.path().join("known");
    make_root(&known);
    let record = read_dir_names(&node.roots[0].join("meta")).pop().expect("a record");
    fs::copy(node.roots[0].join("meta").join(&record), known.join("meta").join(&record)).expect("a copy");
    fs::create_dir_all(known.join("data/7/7/555")).expect("a directory");
    let staging = node.dir.path().join("staging");
    make_root(&staging);
    fs::create_dir(staging.join("migrating/5")).expect("a directory");

    let daemon = node.start();
    for (path, code, word) in [
        (node.disk(0), "DISK_EXISTS", "already"),
        (format!("{}/", node.disk(0)), "DISK_EXISTS", "already"),
        (format!("{}/../disk0", node.disk(0)), "DISK_EXISTS", "same directory"),
        ("relative".to_owned(), "INVALID_ARGUMENT", "path"),
        (format!("{empty};/other"), "INVALID_ARGUMENT", "path"),
        (at("nowhere"), "DISK_UNAVAILABLE", "nowhere"),
        (inside, "DISK_UNAVAILABLE", "inside"),
        (foreign.clone(), "DISK_UNAVAILABLE", "holiday.jpg"),
        (known.display().to_string(), "DISK_IN_USE", "to storage_root_path in be.conf and restart"),
        (staging.display().to_string(), "DISK_IN_USE", "unfinished copies"),
    ] {
        let refused = register(&daemon, &path);
        assert_eq!(refused["error_code"], code, "{path}: {refused:#}");
        assert!(refused["error_msg"].as_str().is_some_and(|text| text.contains(word)), "{path}: {refused:#}");
    }
    assert_eq!(paths(&daemon), [node.disk(0)]);
    // Nor is it remembered: what is put in its place is a new disk.
    fs::rename(&known, at("kept")).expect("a rename");
    fs::create_dir(&known).expect("a directory");
    let blank = known.display().to_string();
    assert_eq!(register(&daemon, &blank)["condition"], "online");
    assert_eq!(forget(&daemon, &blank), None);
    fs::remove_dir_all(&known).expect("gone");
    fs::rename(at("kept"), &known).expect("a rename");
    assert_eq!(read_dir_names(foreign.as_ref()), ["holiday.jpg"]);
    // What was refused is not held: another daemon may have it.
    let mut other = Node::new(0);
    other.roots.push(known);
    other.start().stop();
    // Not the only one, and not one that holds something.
    let last = daemon.post("/api/v1/disks/forget", &json!({"path": node.disk(0)}));
    assert_eq!(last["error_code"], "DISK_IN_USE", "{last:#}");
    assert!(last["error_msg"].to_string().contains("tabletctl disk register"), "{last:#}");
    assert!(register(&daemon, &empty)["error_code"].is_null());
    let held = daemon.post("/api/v1/disks/forget", &json!({"path": node.disk(0)}));
    assert!(
        held["error_msg"].as_str().is_some_and(|why| why.contains("holds 1 tablet; tabletctl disk drain")),
        "{held:#}"
    );
    // Since something was registered, the list in force is the one that was kept.
    let again = register(&daemon, &staging.display().to_string());
    assert!(again["error_msg"].to_string().contains("be_custom.conf, which wins over be.conf"), "{again:#}");
    assert_eq!(again["hint"], Value::Null, "a drain is no way out of that: {again:#}");
    assert_eq!(daemon.get(&format!("/api/v1/disks/show?path={}", node.disk(0)))["condition"], "online");
    daemon.stop();
}

#[test]
fn a_forgotten_disk_can_be_unmounted_and_is_not_there_after_the_next_start() {
    let mut node = Node::new(1);
    let key = node.add_tablet(0, 7, &[1000]);
    let leaving = node.dir.path().join("leaving");
    fs::create_dir(&leaving).expect("a directory");
    let Some(_mounted) = Mounted::on(std::slice::from_ref(&leaving)) else { return };
    node.settings = "disk_stat_monitor_interval = 1".to_owned();
    let daemon = node.start();
    let path = leaving.display().to_string();
    assert!(register(&daemon, &path)["error_code"].is_null());
    daemon.wait_for(daemon.accept(key, &path), &["completed"]);
    daemon.wait_for(daemon.accept(key, &node.disk(0)), &["completed"]);
    daemon.operate("/api/v1/trash/purge", &json!({"all": true}));
    assert_eq!(forget(&daemon, &path), None);
    assert_eq!(paths(&daemon), [node.disk(0)]);
    assert_eq!(daemon.run(key, &path)["error_code"], "DISK_NOT_FOUND");
    // A probe that was under way ends by itself.
    let unmounted = || umount2(&leaving, MntFlags::empty()).is_ok();
    assert!(daemon.becomes(unmounted), "something of it is still held open");
    // Back again as a new one, on whatever is there now.
    assert!(register(&daemon, &path)["error_code"].is_null());
    assert_eq!(paths(&daemon), [node.disk(0), path.clone()]);
    // And kept over a restart like any other.
    daemon.stop();
    let daemon = node.start();
    assert_eq!(paths(&daemon), [node.disk(0), path]);
    daemon.stop();
    node.assert_whole();
}

/// Of the two at once, one is refused: never is a move accepted to a disk that has been let go.
#[test]
fn a_move_that_is_accepted_while_its_disk_is_being_forgotten_is_seen() {
    let mut node = Node::new(1);
    let key = node.add_tablet(0, 7, &[1000]);
    let daemon = node.start();
    for round in 0..12 {
        let joining = node.dir.path().join(format!("joining{round}"));
        fs::create_dir(&joining).expect("a directory");
        let path = joining.display().to_string();
        assert_eq!(register(&daemon, &path)["condition"], "online");
        let forgetting = forget_command(&daemon, &path).spawn().expect("tabletctl");
        let asked = daemon.run(key, &path);
        let forgotten = forgetting.wait_with_output().expect("an answer").status.success();
        let accepted = asked["status"] == "Success";
        assert!(!(accepted && forgotten), "round {round}: {asked:#}");
        assert_ne!(paths(&daemon).contains(&path), forgotten);
        if accepted {
            let id = asked["migration_id"].as_u64().expect("a number");
            daemon.wait_for(id, &["completed"]);
            daemon.wait_for(daemon.accept(key, &node.disk(0)), &["completed"]);
        }
    }
    daemon.stop();
}

#[test]
fn a_damaged_list_of_disks_stops_no_start_and_lets_nothing_blank_in() {
    let mut node = Node::new(2);
    node.add_tablet(0, 7, &[1000]);
    make_root(&node.roots[1]);
    node.settings = "ignore_broken_disk = true".to_owned();
    node.start().stop();
    let list = node.dir.path().join("state/disks.json");
    fs::write(&list, "{\"").expect("damage");
    // The second disk is not mounted at the first start after it, nor at the second.
    let away = node.dir.path().join("away");
    fs::rename(&node.roots[1], &away).expect("a rename");
    fs::create_dir(&node.roots[1]).expect("a directory");
    for _ in 0..2 {
        let daemon = node.start();
        let shown = daemon.get(&format!("/api/v1/disks/show?path={}", node.disk(1)));
        let why = shown["condition_reason"].as_str().expect("a reason");
        assert!(why.contains("not known any more") && why.contains("disk replace"), "{why}");
        daemon.stop();
    }
    assert!(list.with_extension("json.damaged.0").exists());
    fs::remove_dir(&node.roots[1]).expect("nothing was put there");
    fs::rename(&away, &node.roots[1]).expect("a rename");
    let daemon = node.start();
    let shown = daemon.get(&format!("/api/v1/disks/show?path={}", node.disk(1)));
    assert_eq!(shown["condition"], "online", "{shown:#}");
    daemon.stop();
}

#[test]
fn a_root_is_forgotten_beside_others_of_its_file_system_though_none_of_them_may_be_pulled() {
    let mut node = Node::new(2);
    node.add_tablet(0, 7, &[1000]);
    make_root(&node.roots[1]);
    let daemon = node.start();
    let path = node.disk(1);
    let shown = daemon.get(&format!("/api/v1/disks/show?path={path}"));
    let why = shown["not_safe_because"].as_str().expect("a reason");
    assert!(why.contains("holds 1 tablet") && why.contains("state_dir"), "{why}");
    // Forgotten while it was disabled, it comes back as a new disk, also over a restart.
    let disabled = daemon.post("/api/v1/disks/disable", &json!({"path": path, "reason": "new cable"}));
    let reason = disabled["condition_reason"].as_str().expect("a reason");
    assert!(reason.starts_with("by 127.0.0.1:") && reason.ends_with(": new cable"), "{reason}");
    assert_eq!(forget(&daemon, &path), None);
    assert_eq!(paths(&daemon), [node.disk(0)]);
    assert_eq!(register(&daemon, &path)["condition"], "online");
    daemon.stop();
    let daemon = node.start();
    assert_eq!(daemon.get(&format!("/api/v1/disks/show?path={path}"))["condition"], "online");
    daemon.stop();
}

#[test]
fn a_disk_with_the_last_trace_of_a_tablet_in_quarantine_is_not_let_go() {
    let mut node = Node::new(2);
    let key = node.add_tablet(1, 7, &[1000]);
    let root = &node.roots[1];
    let set_aside = root.join("quarantine/20260101000000.0");
    fs::create_dir_all(&set_aside).expect("a directory");
    let record = format!("{key}.json");
    fs::rename(root.join("meta").join(&record), set_aside.join(&record)).expect("a record");
    fs::rename(node.tablet_dir(1, key), set_aside.join("files")).expect("a tablet");
    make_root(&node.roots[0]);
    let daemon = node.start();
    let why = forget(&daemon, &node.disk(1)).expect("a refusal");
    assert!(
        why.contains("DISK_IN_USE") && why.contains("1 tablet of this node: only left in trash"),
        "{why}"
    );
    // The other one has nothing to do with it.
    assert_eq!(forget(&daemon, &node.disk(0)), None);
    daemon.stop();
}
