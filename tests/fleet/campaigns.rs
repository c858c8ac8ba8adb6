//! Campaigns over real nodes: shown before they are made, carried out within their limits, through kills, and stopped by
//! what fails. At the end each tablet is where the plan says, whole.

use serde_json::{Value, json};

use crate::harness::mounts::Image;
use crate::harness::{Daemon, Node};
use crate::process::{Fleet, Process};

/// With two real disks each: a drain to the same file system frees nothing, and is none.
struct Nodes(Vec<(Node, Daemon, Vec<Image>)>);

fn node_on_disks(tablets: &[i64]) -> Option<(Node, Daemon, Vec<Image>)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let images: Option<Vec<_>> =
        (0..2).map(|n| Image::ext4(dir.path(), &format!("disk{n}"), 32 << 20)).collect();
    let images = images?;
    let mut node = Node::on(dir, images.iter().map(|image| image.path().to_owned()).collect());
    for id in tablets {
        node.add_tablet(0, *id, &[50_000, 3000]);
    }
    let daemon = node.start();
    Some((node, daemon, images))
}

impl Nodes {
    /// So many, each with three tablets on its first disk, added as `be-1` and so on.
    fn of(process: &Process, count: i64) -> Option<Self> {
        let nodes = (1..=count).map(|n| node_on_disks(&[n * 10 + 1, n * 10 + 2, n * 10 + 3]));
        let nodes: Vec<_> = nodes.collect::<Option<_>>()?;
        for ((_, daemon, _), number) in nodes.iter().zip(1..) {
            process.add(
                &format!("be-{number}"),
                daemon,
                &json!({ "labels": { "rack": format!("r{}", number % 2) } }),
            );
        }
        Some(Self(nodes))
    }

    /// The first disk of each.
    fn first_disks(&self) -> Vec<String> {
        self.0.iter().map(|(node, ..)| node.disk(0)).collect()
    }

    fn drain(&self, policy: &Value) -> Value {
        json!({ "request": { "kind": "drain", "disks": self.first_disks() }, "policy": policy, "reason": "to be pulled" })
    }

    /// Slow enough to be looked at on the way.
    fn slow_down(&self, bytes_per_sec: u64) {
        for (node, daemon, _) in &self.0 {
            let limit = json!({ "path": node.disk(0), "rate_bytes_per_sec": bytes_per_sec });
            daemon.post("/api/v1/disks/limits", &limit);
        }
    }

    /// Everything is on the second disk of its node, and each node was asked once.
    fn assert_drained(self) {
        for (node, daemon, _images) in self.0 {
            assert_eq!(daemon.get("/api/v1/tasks")["total"], 1, "one task, however often it was asked for");
            daemon.stop();
            assert!(node.assert_whole().values().all(|root| *root == 1));
        }
    }
}

/// Looks, and makes a campaign of what was seen.
pub(crate) fn make(process: &Process, asked: &Value) -> (u64, Value) {
    let shown = process.done("POST", "/api/v1/campaigns", asked);
    let mut asked = asked.clone();
    asked["dry_run"] = json!(false);
    asked["fingerprint"] = shown["fingerprint"].clone();
    let made = process.done("POST", "/api/v1/campaigns", &asked);
    (made["id"].as_u64().expect("a number"), shown)
}

pub(crate) fn act(process: &Process, id: u64, verb: &str) -> Value {
    process.done("POST", &format!("/api/v1/campaigns/{id}/action"), &json!({ verb: {} }))
}

pub(crate) fn status(process: &Process, id: u64) -> String {
    process.get(&format!("/api/v1/campaigns/{id}"))["status"].as_str().expect("a status").to_owned()
}

pub(crate) fn part(process: &Process, id: u64, member: &str) -> Value {
    let parts = process.get(&format!("/api/v1/campaigns/{id}/sources"));
    let all = parts["data"].as_array().expect("parts");
    all.iter().find(|part| part["source_name"] == member).expect("its part").clone()
}

pub(crate) fn finishes(process: &Process, id: u64) -> Value {
    process.becomes("its end", |process| status(process, id) == "finished");
    process.get(&format!("/api/v1/campaigns/{id}"))
}

#[test]
fn a_drain_over_three_members_is_shown_first_and_then_done_one_member_at_a_time() {
    let process = Fleet::new().start();
    let Some(nodes) = Nodes::of(&process, 3) else { return };
    let asked = nodes.drain(&json!({ "canary": 1 }));
    let (id, shown) = make(&process, &asked);
    assert_eq!(
        (&shown["id"], &shown["status"], &shown["moves_total"]),
        (&json!(null), &json!(null), &json!(9))
    );
    assert_eq!(shown["status_list"][0]["approved"]["moves"], 3);
    let made = process.get(&format!("/api/v1/campaigns/{id}"));
    assert_eq!((&made["status"], &made["parts_waiting"]), (&json!("stopped"), &json!(3)));
    assert!(made["status_list"][0]["status_reason"].as_str().is_some_and(|why| why.contains("not started")));
    act(&process, id, "start");
    let done = finishes(&process, id);
    assert_eq!((&done["parts_done"], &done["moves_completed"]), (&json!(3), &json!(9)), "{done:#}");
    assert_eq!(done["approvals"][0]["fingerprint"], shown["fingerprint"]);
    // One after the other: none began before the one before it had ended.
    let parts = done["status_list"].as_array().expect("parts");
    for pair in parts.windows(2) {
        assert!(pair[0]["ended_at"].as_str() <= pair[1]["started_at"].as_str(), "{done:#}");
    }
    let audit = process.get("/api/v1/audit")["data"].to_string();
    assert!(audit.contains("to be pulled") && audit.contains("be-3 done"), "{audit}");
    assert_eq!(process.send("DELETE", &format!("/api/v1/campaigns/{id}"), None).0, 204);
    nodes.assert_drained();
}

#[test]
fn killed_at_any_moment_it_goes_on_where_the_members_are() {
    let fleet = Fleet::new();
    let mut process = fleet.start();
    let Some(nodes) = Nodes::of(&process, 3) else { return };
    nodes.slow_down(60_000);
    let (id, _) = make(&process, &nodes.drain(&json!({ "max_members": 2 })));
    act(&process, id, "start");
    for round in 0..6 {
        let moving =
            |process: &Process| process.get(&format!("/api/v1/campaigns/{id}"))["parts_under_way"] != 0;
        if round > 0 && !moving(&process) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(150 * round));
        process.daemon.kill();
        process = fleet.start();
    }
    nodes.slow_down(0);
    let done = finishes(&process, id);
    assert_eq!((&done["parts_done"], &done["moves_completed"]), (&json!(3), &json!(9)), "{done:#}");
    nodes.assert_drained();
}

#[test]
fn a_pause_is_felt_at_the_members_and_cancelled_is_called_off() {
    let process = Fleet::new().start();
    let Some(nodes) = Nodes::of(&process, 2) else { return };
    nodes.slow_down(10_000);
    let (id, _) = make(&process, &nodes.drain(&json!({})));
    act(&process, id, "start");
    let first = |process: &Process| {
        let parts = process.get(&format!("/api/v1/campaigns/{id}/sources"))["data"].clone();
        let moving =
            parts.as_array()?.iter().find(|part| part["status"] == "moving" && part["task_id"].is_u64())?;
        Some(moving["source_name"].as_str()?.to_owned())
    };
    process.becomes("a member that moves", |process| first(process).is_some());
    let name = first(&process).expect("it moves");
    let number: usize = name[3..].parse().expect("a number");
    let task = || nodes.0[number - 1].1.get("/api/v1/tasks/1")["status"].clone();
    act(&process, id, "pause");
    process.becomes("the pause at the member", |_| task() == "paused");
    let (_, code, _) = process.refused("DELETE", &format!("/api/v1/campaigns/{id}"), None);
    assert_eq!(code, "ILLEGAL_TRANSITION");
    act(&process, id, "resume");
    process.becomes("it goes on", |_| task() == "running");
    act(&process, id, "cancel");
    process.becomes("all of it is called off", |process| {
        process.get(&format!("/api/v1/campaigns/{id}"))["parts_cancelled"] == 2
    });
    assert_eq!(task(), "cancelled");
    for (node, daemon, _images) in nodes.0 {
        daemon.wait_until_idle();
        daemon.stop();
        node.assert_whole();
    }
}

#[test]
fn a_failure_pauses_the_campaign_and_whoever_resumes_it_has_seen_it() {
    let process = Fleet::new().start();
    let Some(nodes) = Nodes::of(&process, 3) else { return };
    nodes.slow_down(30_000);
    let (id, _) = make(&process, &nodes.drain(&json!({ "order": "as_listed" })));
    act(&process, id, "start");
    process.becomes("be-1 moves", |process| part(process, id, "be-1")["task_id"].is_u64());
    process.becomes("its task runs", |_| nodes.0[0].1.get("/api/v1/tasks/1")["status"] == "running");
    // Somebody calls the task off at the node itself.
    nodes.0[0].1.post("/api/v1/tasks/1/action", &json!({ "cancel": {} }));
    process.becomes("the pause", |process| status(process, id) == "paused");
    let campaign = process.get(&format!("/api/v1/campaigns/{id}"));
    assert!(
        campaign["status_reason"].as_str().is_some_and(|why| why.contains("be-1: the task was called off")),
        "{campaign:#}"
    );
    assert_eq!((&campaign["parts_failed"], &campaign["parts_waiting"]), (&json!(1), &json!(2)));
    nodes.slow_down(0);
    act(&process, id, "resume");
    let done = finishes(&process, id);
    assert_eq!((&done["parts_failed"], &done["parts_done"]), (&json!(1), &json!(2)));
}

#[test]
fn what_was_not_looked_at_is_not_made_and_what_cannot_be_is_refused() {
    let process = Fleet::new().start();
    let Some(nodes) = Nodes::of(&process, 1) else { return };
    let mut asked = nodes.drain(&json!({}));
    asked["dry_run"] = json!(false);
    let refused = |asked: &Value| process.refused("POST", "/api/v1/campaigns", Some(asked));
    assert_eq!(refused(&asked).0, 400, "a fingerprint is wanted");
    asked["fingerprint"] = json!(1);
    assert_eq!(refused(&asked).1, "PLAN_DRIFTED");
    for (path, value, word) in [
        ("/request", json!({ "kind": "move", "to": { "disks": ["/a"] } }), "drains or rebalances"),
        ("/request", json!({ "kind": "drain", "disks": [] }), "name the disks"),
        ("/policy", json!({ "windows": "25:00-26:00" }), "windows"),
        ("/policy", json!({ "max_members": 0 }), "limit of members"),
        ("/policy", json!({ "max_members": "200%" }), "limit of members"),
        ("/select", json!({ "sources": ["nobody"] }), "nobody"),
        ("/select", json!({ "labels": { "rack": "r9" } }), "no member is selected"),
    ] {
        let mut asked = nodes.drain(&json!({}));
        match asked.pointer_mut(path) {
            Some(place) => *place = value,
            None => asked[&path[1..]] = value,
        }
        let (_, _, text) = refused(&asked);
        assert!(text.contains(word), "{path}: {text}");
    }
    // The same key and request again is the same campaign, another request under it is refused.
    let mut keyed = nodes.drain(&json!({}));
    let shown = process.done("POST", "/api/v1/campaigns", &keyed);
    keyed["dry_run"] = json!(false);
    keyed["fingerprint"] = shown["fingerprint"].clone();
    let made = process.keyed("POST", "/api/v1/campaigns", "k1", &keyed);
    assert_eq!(
        (made.0, &process.keyed("POST", "/api/v1/campaigns", "k1", &keyed).1["id"]),
        (201, &made.1["id"])
    );
    keyed["name"] = json!("other");
    let other = process.keyed("POST", "/api/v1/campaigns", "k1", &keyed);
    assert_eq!((other.0, &other.1["error_code"]), (409, &json!("IDEMPOTENCY_MISMATCH")));
    assert_eq!(process.get("/api/v1/campaigns")["total"], 1);
    // A member without the disk, and one that is away, are left out and say why.
    let mut elsewhere = nodes.drain(&json!({}));
    elsewhere["request"]["disks"] = json!(["/nowhere"]);
    let shown = process.done("POST", "/api/v1/campaigns", &elsewhere);
    assert_eq!(shown["status_list"][0]["status"], "skipped");
    assert!(
        shown["status_list"][0]["status_reason"]
            .as_str()
            .is_some_and(|why| why.contains("none of the disks"))
    );
    elsewhere["dry_run"] = json!(false);
    elsewhere["fingerprint"] = shown["fingerprint"].clone();
    assert_eq!(refused(&elsewhere).1, "PLAN_REFUSED");
}
