//! A destination that fills, is disabled or goes: what is left of a drain goes elsewhere by a new plan, where that was
//! allowed; else the task says what would help, and waits.

use std::fs;

use serde_json::{Value, json};

use crate::harness::mounts::Image;
use crate::harness::{Daemon, Node, make_root};

const MIB: usize = 1 << 20;

/// A node whose disks 1 and 2 are file systems of 64 MiB of their own; `None`, said aloud, where they cannot be had.
fn node_with_small_disks() -> Option<(Node, [Image; 2])> {
    let dir = tempfile::tempdir().expect("a directory");
    let images = [Image::ext4(dir.path(), "one", 64 << 20)?, Image::ext4(dir.path(), "two", 64 << 20)?];
    let mut roots = vec![dir.path().join("disk0")];
    roots.extend(images.iter().map(|image| image.path().to_owned()));
    roots.iter().for_each(|root| make_root(root));
    let mut node = Node::on(dir, roots);
    // Slow enough to be met half way; what happens to a disk's space is soon seen.
    node.settings = "node_rate_limit_bytes_per_sec = 8000000\nsmall_migration_bytes = 0\n\
                     max_tablet_migration_threads = 1\ndisk_stat_monitor_interval = 1\n\
                     migration_retry_backoff_ms = 100\n"
        .to_owned();
    Some((node, images))
}

/// Takes all that is left of a disk but so much.
fn fill(image: &Image, but: usize) {
    let stat = nix::sys::statvfs::statvfs(image.path()).expect("mounted");
    let left = usize::try_from(stat.blocks_available() * stat.fragment_size()).expect("small");
    fs::write(image.path().join("ballast"), vec![0x5a; left - but]).expect("it fits");
}

fn make_room(image: &Image) {
    fs::remove_file(image.path().join("ballast")).expect("it was filled");
}

fn drain(daemon: &Daemon, node: &Node, replan: &str) -> u64 {
    let asked = json!({
        "dry_run": false, "replan": replan, "request": {"kind": "drain", "disks": [node.disk(0)], "media": "any"},
    });
    let task = daemon.post("/api/v1/tasks", &asked);
    task["id"].as_u64().unwrap_or_else(|| panic!("{task:#}"))
}

fn act(daemon: &Daemon, id: u64, action: &str) -> (u16, Value) {
    daemon.send(&format!("/api/v1/tasks/{id}/action"), &[], &json!({ action: {} }))
}

fn task(daemon: &Daemon, id: u64) -> Value {
    daemon.get(&format!("/api/v1/tasks/{id}"))
}

fn comes_to(daemon: &Daemon, id: u64, what: &str, so: impl Fn(&Value) -> bool) -> Value {
    assert!(daemon.becomes(|| so(&task(daemon, id))), "{what}: {:#}\n{}", task(daemon, id), daemon.said());
    task(daemon, id)
}

fn says(task: &Value, what: &str) -> bool {
    task["status_reason"].as_str().is_some_and(|reason| reason.contains(what))
}

/// Tablets that each disk owns now.
fn tablets_on(daemon: &Daemon, node: &Node, n: usize) -> u64 {
    daemon.get(&format!("/api/v1/tablets?disk={}&limit=1", node.disk(n)))["total"].as_u64().expect("a number")
}

#[test]
fn what_a_full_disk_does_not_take_waits_says_the_way_out_and_goes_elsewhere_once_that_is_allowed() {
    let Some((mut node, [one, two])) = node_with_small_disks() else { return };
    for id in 1..=8 {
        node.add_tablet(0, id, &[4 * MIB]);
    }
    fill(&two, MIB);
    let daemon = node.start();
    let id = drain(&daemon, &node, "when_asked");
    assert_eq!(act(&daemon, id, "replan").0, 409, "it has not been started");
    assert_eq!(act(&daemon, id, "start").0, 202);
    comes_to(&daemon, id, "a move is done", |task| task["moves_completed"] != 0);
    fill(&one, MIB);
    // No disk takes what is left: it waits, and nothing is given up.
    let waits = comes_to(&daemon, id, "no way out", |task| says(task, "nowhere now"));
    assert_eq!((&waits["status"], &waits["moves_failed"]), (&json!("running"), &json!(0)), "{waits:#}");
    let (status, refused) = act(&daemon, id, "replan");
    assert_eq!((status, &refused["error_code"]), (409, &json!("ILLEGAL_TRANSITION")), "{refused:#}");
    assert!(refused["error_msg"].to_string().contains("nowhere now"), "{refused:#}");

    make_room(&two);
    let way = format!("`tabletctl task replan {id}`");
    let waits = comes_to(&daemon, id, "the way out", |task| says(task, &way));
    let left = 8 - waits["moves_completed"].as_u64().expect("a number");
    let (status, planned) = act(&daemon, id, "replan");
    assert_eq!(status, 202, "{planned:#}");
    // The new plan is durable before it is answered.
    daemon.kill();
    node.settings.clear();
    let daemon = node.start();
    let now = task(&daemon, id);
    let (replan, moves) = (&now["replans"][0], now["plan"]["moves"].as_array().expect("moves"));
    assert!(replan["requested_by"].as_str().is_some_and(|by| by.starts_with("127.0.0.1")), "{replan}");
    assert!(replan["reason"].to_string().contains(&node.disk(1)), "{replan}");
    let redirected = moves.iter().filter(|planned| planned["formerly"][0]["path"] == node.disk(1)).count();
    assert_eq!((replan["moves"].as_u64(), redirected as u64 <= left), (Some(redirected as u64), true));
    assert!(redirected > 0, "{now:#}");
    let done = comes_to(&daemon, id, "its end", |task| task["status"] == "finished");
    assert_eq!((&done["moves_completed"], &done["moves_failed"]), (&json!(8), &json!(0)), "{done:#}");
    assert_eq!(tablets_on(&daemon, &node, 0), 0);
    assert!(tablets_on(&daemon, &node, 2) >= redirected as u64);
    daemon.stop();
    node.assert_whole();
}

#[test]
fn a_drain_that_may_plan_anew_goes_on_with_another_disk_by_itself() {
    let Some((mut node, _images)) = node_with_small_disks() else { return };
    for id in 1..=8 {
        node.add_tablet(0, id, &[3 * MIB]);
    }
    let daemon = node.start();
    let disable = |n: usize| {
        let body = json!({"path": node.disk(n), "reason": "it squeaks"});
        assert_eq!(daemon.send("/api/v1/disks/disable", &[], &body).0, 200);
    };
    let enable = |n: usize| {
        assert_eq!(daemon.send("/api/v1/disks/enable", &[], &json!({"path": node.disk(n)})).0, 200);
    };
    // One destination when it was planned; another when it is out of service.
    disable(2);
    let id = drain(&daemon, &node, "automatic");
    enable(2);
    // A plan looks at which disks are in service when it starts: as they were.
    disable(2);
    assert_eq!(act(&daemon, id, "start").0, 202);
    comes_to(&daemon, id, "a move is done", |task| task["moves_completed"] != 0);
    enable(2);
    disable(1);
    let done =
        comes_to(&daemon, id, "a new plan", |task| !task["replans"].as_array().expect("a list").is_empty());
    assert!(done["replans"][0]["reason"].to_string().contains("is disabled"), "{done:#}");
    assert!(done["replans"][0]["requested_by"].to_string().contains("--replan"), "{done:#}");
    // A copy that had begun stays where it is and goes on once its disk is back.
    enable(1);
    let done = comes_to(&daemon, id, "its end", |task| task["status"] == "finished");
    assert_eq!((&done["moves_completed"], &done["moves_failed"]), (&json!(8), &json!(0)), "{done:#}");
    assert!(tablets_on(&daemon, &node, 2) > 0);
    let (status, over) = act(&daemon, id, "replan");
    assert_eq!((status, &over["error_code"]), (409, &json!("ILLEGAL_TRANSITION")), "{over:#}");
    daemon.stop();
    node.assert_whole();
}

#[test]
fn where_trash_fills_the_destination_its_purge_is_offered_and_is_enough() {
    let Some((mut node, [one, two])) = node_with_small_disks() else { return };
    fill(&two, MIB);
    let trashed: Vec<_> = (1..=3).map(|id| node.add_tablet(1, id, &[8 * MIB])).collect();
    for id in 4..=6 {
        node.add_tablet(0, id, &[8 * MIB]);
    }
    let daemon = node.start();
    for key in trashed {
        daemon.wait_for(daemon.accept(key, &node.disk(0)), &["completed"]);
    }
    let offer = format!("`tabletctl trash purge --disk {}` frees them", node.disk(1));
    // A plan says so before anything moves.
    let asked = json!({"request": {"kind": "drain", "disks": [node.disk(0)]}, "completeness": "what_fits"});
    let seen = daemon.becomes(|| {
        let plan = daemon.post("/api/v1/tasks", &asked);
        plan["plan"]["fits_nowhere"][0]["tried"].to_string().contains(&offer)
    });
    assert!(seen, "{:#}", daemon.post("/api/v1/tasks", &asked));
    // And so does a task that meets a disk which has filled up since.
    make_room(&two);
    let planned = daemon.becomes(|| daemon.post("/api/v1/tasks", &asked)["moves_total"] == 6);
    assert!(planned, "{:#}", daemon.post("/api/v1/tasks", &asked));
    let id = drain(&daemon, &node, "when_asked");
    assert_eq!(act(&daemon, id, "start").0, 202);
    comes_to(&daemon, id, "a move is done", |task| task["moves_completed"] != 0);
    fill(&one, MIB);
    fill(&two, MIB);
    let waits = comes_to(&daemon, id, "the offer", |task| says(task, &offer));
    assert_eq!(waits["moves_failed"], 0, "{waits:#}");
    let purged = daemon.operate("/api/v1/trash/purge", &json!({"disk": node.disk(1)}));
    assert_eq!(purged["state"], "completed", "{purged:#}");
    make_room(&two);
    let done = comes_to(&daemon, id, "its end", |task| task["status"] == "finished");
    assert_eq!((&done["moves_completed"], &done["moves_failed"]), (&json!(6), &json!(0)), "{done:#}");
    daemon.stop();
    node.assert_whole();
}
