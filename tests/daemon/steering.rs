//! A disk is drained by `tabletctl` alone, through everything an operator does to a drain; and what is pinned, disabled
//! or called off stays so over restarts.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::daemon::PATIENCE;
use crate::harness::mounts::{Mounted, skip};
use crate::harness::{Daemon, Node, make_root};

/// A node with a source and destinations on file systems of their own, and what they stand on; between roots that share
/// one a drain frees nothing.
fn drainable(destinations: usize) -> Option<(Node, (TempDir, Mounted))> {
    let memory = tempfile::tempdir_in(PathBuf::from("/dev/shm")).ok()?;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut roots = vec![memory.path().join("disk")];
    roots.extend((1..=destinations).map(|n| dir.path().join(format!("disk{n}"))));
    roots.iter().for_each(|root| std::fs::create_dir_all(root).expect("a directory"));
    let mounted = Mounted::on(&roots[1..])?;
    roots.iter().for_each(|root| make_root(root));
    Some((Node::on(dir, roots), (memory, mounted)))
}

/// A port that was free a moment ago: who follows a task through a restart must find the daemon again.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    listener.local_addr().expect("bound").port()
}

/// What it printed; it must end well.
fn ctl(daemon: &Daemon, args: &[&str]) -> String {
    let done = daemon.tabletctl(args);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "tabletctl {}: {said}\n{}", args.join(" "), daemon.said());
    String::from_utf8(done.stdout).expect("text")
}

fn ctl_json(daemon: &Daemon, args: &[&str]) -> Value {
    let text = ctl(daemon, &[&["--json"], args].concat());
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("tabletctl {}: {error}: {text}", args.join(" ")))
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("{field} in {value:#}"))
}

/// Looks at a task until it is as wanted.
fn until(daemon: &Daemon, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let task = ctl_json(daemon, &["task", "show", id]);
        if wanted(&task) {
            return task;
        }
        assert!(Instant::now() < deadline, "the task does not get there: {task:#}\n{}", daemon.said());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn is_safe(daemon: &Daemon, disk: &str) -> bool {
    ctl_json(daemon, &["disk", "show", disk])["safe_to_remove"] == true
}

fn follow(daemon: &Daemon, id: &str) -> Child {
    let mut command = daemon.tabletctl_command(&["task", "follow", id]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tabletctl")
}

/// Reads what a watcher tells until it has told this.
fn hear(said: &mut impl BufRead, told: &mut String, awaited: &str) {
    while !told.contains(awaited) {
        let read = said.read_line(told).expect("text");
        assert!(read > 0, "the watcher ended without {awaited:?}: {told}");
    }
}

#[test]
fn a_disk_with_500_tablets_is_drained_by_tabletctl_alone() {
    const TABLETS: u64 = 500;
    let Some((mut node, _stands_on)) = drainable(2) else {
        return skip("no file systems of its own to drain to");
    };
    for id in 1..=i64::try_from(TABLETS).expect("small") {
        node.add_tablet(0, id, &[3000, 500]);
    }
    let port = format!("webserver_port = {}\n", free_port());
    // Slow enough to be interrupted again and again.
    node.settings = format!("{port}node_rate_limit_bytes_per_sec = 150000\nsmall_migration_batch = 4\n");
    let source = node.disk(0);
    let daemon = node.start();

    // The plan is read before anything moves, and the disk is not safe to remove.
    let looked = ctl(&daemon, &["disk", "drain", &source, "--dry-run"]);
    assert!(looked.contains("... and 480 more to move"), "{looked}");
    assert!(looked.contains("unevenness") && looked.contains("fingerprint"), "{looked}");
    assert_eq!(ctl_json(&daemon, &["task", "list"])["total"], 0);
    let task = ctl_json(&daemon, &["disk", "drain", &source, "--stopped", "--reason", "it clicks"]);
    let id = number(&task, "id").to_string();
    assert_eq!((&task["status"], number(&task, "moves_total")), (&json!("stopped"), TABLETS));
    assert!(ctl(&daemon, &["task", "show", &id]).contains("planned; start it to move"));
    assert!(!is_safe(&daemon, &source));

    // Started, and watched by somebody who stays to the end.
    ctl(&daemon, &["task", "start", &id]);
    let mut watcher = follow(&daemon, &id);
    let mut said = BufReader::new(watcher.stderr.take().expect("piped"));
    let completed = |task: &Value| number(task, "moves_completed");
    until(&daemon, &id, |task| completed(task) >= 20);
    let disk = ctl_json(&daemon, &["disk", "show", &source]);
    assert_eq!(disk["task_ids"], json!([task["id"]]), "{disk:#}");
    let shown = ctl(&daemon, &["disk", "show", &source]);
    assert!(shown.contains(&format!("task {id} (drain {source}): running")), "{shown}");

    // Paused, everything of it comes to rest.
    ctl(&daemon, &["task", "pause", &id]);
    let at_rest = |task: &Value| {
        let running = ctl_json(&daemon, &["task", "targets", &id, "--status", "running"]);
        let rows = running["data"].as_array().expect("targets").clone();
        task["status"] == "paused" && rows.iter().all(|row| row["migration_status"] == "paused")
    };
    until(&daemon, &id, at_rest);
    let paused = ctl_json(&daemon, &["task", "show", &id]);
    assert!(completed(&paused) < TABLETS && !is_safe(&daemon, &source), "{paused:#}");
    let refused = daemon.tabletctl(&["task", "start", &id]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("resume it"), "{refused:?}");

    // Killed while it is paused, once the watcher has told so, it is still paused, with what it holds.
    let mut told = String::new();
    hear(&mut said, &mut told, ": paused, ");
    daemon.kill();
    let daemon = node.start();
    let still = until(&daemon, &id, |task| number(task, "moves_completed") == completed(&paused));
    assert_eq!(still["status"], "paused", "{still:#}");
    assert_eq!(number(&still, "moves_running"), number(&paused, "moves_running"), "{still:#}");

    // Resumed, and killed in the middle.
    ctl(&daemon, &["task", "resume", &id]);
    let going = until(&daemon, &id, |task| completed(task) >= completed(&paused) + 20);
    assert!(completed(&going) < TABLETS && !is_safe(&daemon, &source), "{going:#}");
    let per_disk = &going["status_list"][0];
    assert_eq!((&per_disk["disk"], number(per_disk, "moves_total")), (&json!(source), TABLETS));
    daemon.kill();
    node.settings = port;
    // It stays away until the watcher has noticed.
    told.clear();
    hear(&mut said, &mut told, "waiting for it to come back");
    let daemon = node.start();

    let watched = watcher.wait_with_output().expect("a watcher");
    said.read_to_string(&mut told).expect("text");
    assert!(watched.status.success(), "{told}{}", String::from_utf8_lossy(&watched.stdout));
    assert!(String::from_utf8_lossy(&watched.stdout).contains("500 of 500 moves done"), "{watched:?}");

    let done = ctl_json(&daemon, &["task", "show", &id]);
    assert_eq!((&done["status"], number(&done, "moves_failed")), (&json!("finished"), 0), "{done:#}");
    assert!(is_safe(&daemon, &source), "{:#}", ctl_json(&daemon, &["disk", "show", &source]));
    let targets = ctl_json(&daemon, &["task", "targets", &id, "--status", "completed", "--limit", "7"]);
    assert_eq!((number(&targets, "total"), targets["data"].as_array().expect("a page").len()), (TABLETS, 7));
    // Each tablet was moved by one migration, not by one for every pause and start.
    assert_eq!(daemon.get("/api/v1/migrations?limit=1")["total"], TABLETS);
    daemon.stop();
    node.assert_whole();
}

#[test]
fn a_cancelled_drain_keeps_what_has_moved_and_the_disk_can_be_drained_again() {
    let Some((mut node, _stands_on)) = drainable(1) else {
        return skip("no file systems of its own to drain to");
    };
    for id in 1..=40 {
        node.add_tablet(0, id, &[50_000]);
    }
    node.settings = "node_rate_limit_bytes_per_sec = 300000\nsmall_migration_batch = 2\n".to_owned();
    let source = node.disk(0);
    let daemon = node.start();
    let id = number(&ctl_json(&daemon, &["disk", "drain", &source, "--yes"]), "id").to_string();
    until(&daemon, &id, |task| number(task, "moves_completed") >= 3);
    assert!(ctl(&daemon, &["disk", "cancel-drain", &source]).contains("cancelled"));
    // Killed before everything is undone, the rest is undone by the next start.
    daemon.kill();
    node.settings.clear();
    let daemon = node.start();
    let over = until(&daemon, &id, |task| !task["finished_at"].is_null());
    let (moved, cancelled) = (number(&over, "moves_completed"), number(&over, "moves_cancelled"));
    assert_eq!((&over["status"], moved + cancelled), (&json!("cancelled"), 40), "{over:#}");
    assert!((3..40).contains(&moved), "{over:#}");
    assert_eq!(number(&ctl_json(&daemon, &["disk", "show", &source]), "tablet_count"), 40 - moved);
    let refused = daemon.tabletctl(&["disk", "cancel-drain", &source]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("TASK_NOT_FOUND"), "{refused:?}");

    ctl(&daemon, &["disk", "drain", &source, "--yes", "--follow"]);
    assert!(is_safe(&daemon, &source));
    daemon.stop();
    node.assert_whole();
}

#[test]
fn a_pin_outlives_the_daemon_and_is_heeded_by_plans_and_not_by_people() {
    let Some((mut node, _stands_on)) = drainable(1) else {
        return skip("no file systems of its own to drain to");
    };
    let keys: Vec<_> = (1..=3).map(|id| node.add_tablet(0, id, &[5000])).collect();
    let (source, destination) = (node.disk(0), node.disk(1));
    let daemon = node.start();
    let planned = ctl_json(&daemon, &["disk", "drain", &source, "--stopped"]);
    let early = number(&planned, "id").to_string();
    ctl(&daemon, &["tablet", "pin", "2", "--reason", "audit until Friday"]);
    // A plan that was made before is refused: it would move what must not be moved.
    let refused = daemon.tabletctl(&["task", "start", &early]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("PLAN_DRIFTED"), "{refused:?}");
    daemon.kill();
    let daemon = node.start();
    let pinned = ctl_json(&daemon, &["tablets", "--pinned"]);
    assert_eq!((number(&pinned, "total"), &pinned["data"][0]["tablet_id"]), (1, &json!(2)), "{pinned:#}");
    assert_eq!(pinned["data"][0]["pinned"]["reason"], "audit until Friday");
    assert!(pinned["data"][0]["pinned"]["by"].as_str().is_some_and(|by| by.starts_with("127.0.0.1")));
    let explained = ctl(&daemon, &["tablet", "explain", "2", "--disk", &destination]);
    assert!(explained.contains("pin"), "{explained}");

    let drained = daemon.tabletctl(&["disk", "drain", &source, "--yes", "--follow"]);
    let said = String::from_utf8_lossy(&drained.stdout);
    assert_eq!(drained.status.code(), Some(1), "a tablet is still there: {said}");
    let why = format!("1 tablet is still on {source}: tablet 2: pinned: no plan moves it");
    assert!(said.contains(&why) && !said.contains("every move is done"), "{said}");
    assert_eq!(daemon.get("/api/v1/tablets/2")["disk"], source.as_str());
    assert!(!is_safe(&daemon, &source));
    // Asked for by name it moves.
    daemon.wait_for(daemon.accept(keys[1], &destination), &["completed"]);
    ctl(&daemon, &["tablet", "unpin", "2"]);
    assert_eq!(number(&ctl_json(&daemon, &["tablets", "--pinned"]), "total"), 0);
    assert!(is_safe(&daemon, &source));
    daemon.stop();
    node.assert_whole();
}

#[test]
fn a_disabled_disk_stays_disabled_and_what_was_being_copied_to_it_goes_on_once_it_is_enabled() {
    let mut node = Node::new(2);
    let copying = node.add_tablet(0, 1, &[8_000_000]);
    let waiting = node.add_tablet(0, 2, &[1000]);
    node.settings = "node_rate_limit_bytes_per_sec = 1000000\nsmall_migration_bytes = 0\n\
                     ssd_write_slots = 1\nssd_read_slots = 1\n"
        .to_owned();
    let destination = node.disk(1);
    let daemon = node.start();
    let first = daemon.accept(copying, &destination);
    daemon.wait_for(first, &["copying"]);
    let second = daemon.accept(waiting, &destination);
    ctl(&daemon, &["disk", "disable", &destination, "--reason", "new cable"]);
    let held = daemon.wait_for(first, &["paused"]);
    let why = held["status_reason"].as_str().expect("a reason");
    assert!(why.contains(&destination) && why.contains("disabled"), "{why}");
    daemon.kill();

    node.settings.clear();
    let daemon = node.start();
    let disk = ctl_json(&daemon, &["disk", "show", &destination]);
    assert_eq!(
        (&disk["condition"], &disk["migrations_to"]["paused"]),
        (&json!("disabled"), &json!(1)),
        "{disk:#}"
    );
    let queued = daemon.get(&format!("/api/v1/migrations/{second}"));
    assert_eq!(queued["status"], "queued");
    let why = queued["status_reason"].as_str().expect("a reason");
    assert!(why.contains(&destination) && why.contains("disabled: by 127.0.0.1"), "{why}");
    assert!(why.contains(": new cable"), "{why}");
    ctl(&daemon, &["disk", "enable", &destination]);
    for id in [first, second] {
        daemon.wait_for(id, &["completed"]);
    }
    daemon.stop();
    node.assert_whole();
}
