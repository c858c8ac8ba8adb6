//! What a request may say beyond a tablet and a disk, and how migrations are found again.

use serde_json::{Value, json};

use crate::harness::mounts::Mounted;
use crate::harness::{Daemon, Node, make_root};

const MIGRATIONS: &str = "/api/v1/migrations";
const TASKS: &str = "/api/v1/tasks";

fn ids(list: &Value) -> Vec<u64> {
    list["data"].as_array().expect("a list").iter().map(|one| one["id"].as_u64().expect("a number")).collect()
}

fn refused(daemon: &Daemon, body: &Value, status: u16, code: &str, says: &[&str]) {
    let (got, answer) = daemon.send(MIGRATIONS, &[], body);
    assert_eq!((got, answer["error_code"].as_str()), (status, Some(code)), "{body}: {answer}");
    let text = answer["error_msg"].as_str().expect("a text");
    assert!(says.iter().all(|part| text.contains(part)), "{body}: {text}");
}

#[test]
fn a_medium_a_precondition_or_a_dry_run_is_enough_to_ask_with() {
    let mut node = Node::new(3);
    let key = node.add_tablet(0, 7, &[10_000]);
    let daemon = node.start();
    let (there, here) = (node.disk(1), node.disk(0));
    refused(&daemon, &json!({"tablet_id": 7}), 400, "INVALID_ARGUMENT", &["dest_disk", "dest_medium"]);
    let both = json!({"tablet_id": 7, "dest_disk": there, "dest_medium": "SSD"});
    refused(&daemon, &both, 400, "INVALID_ARGUMENT", &["either"]);
    let none = json!({"tablet_id": 7, "dest_medium": "HDD"});
    refused(&daemon, &none, 409, "PLAN_REFUSED", &["no configured disk is HDD"]);
    // All roots of this node are directories of one file system: nothing would be gained, and each disk says so.
    let shared = json!({"tablet_id": 7, "dest_medium": "SSD"});
    refused(&daemon, &shared, 409, "PLAN_REFUSED", &[&there, "same file system"]);
    let stale =
        json!({"tablet_id": 7, "dest_disk": there, "precondition": {"source_disk": there, "generation": 4}});
    refused(&daemon, &stale, 412, "PRECONDITION_FAILED", &[&there, &here, "expected 4, it is 1"]);

    let holds = json!({"source_disk": here, "generation": 1});
    let dry = json!({"tablet_id": 7, "dest_disk": there, "precondition": holds, "dry_run": true});
    let (status, answer) = daemon.send(MIGRATIONS, &[], &dry);
    assert_eq!((status, &answer["would_be_accepted"]), (200, &json!(true)), "{answer:#}");
    assert!(answer["checks"].as_array().is_some_and(|checks| checks.len() > 4), "{answer:#}");
    let dry = json!({"tablet_id": 7, "dest_disk": here, "dry_run": true});
    let (status, answer) = daemon.send(MIGRATIONS, &[], &dry);
    assert_eq!((status, &answer["error"]["code"]), (200, &json!("ALREADY_ON_DISK")), "{answer:#}");
    assert_eq!(daemon.get(MIGRATIONS)["total"], 0, "a dry run accepts nothing");

    let real = json!({"tablet_id": 7, "dest_disk": there, "precondition": holds});
    let (status, answer) = daemon.send(MIGRATIONS, &[], &real);
    assert_eq!(status, 201, "{answer:#}");
    daemon.wait_for(1, &["completed"]);
    refused(
        &daemon,
        &json!({"tablet_id": 7, "dest_disk": node.disk(2), "precondition": holds}),
        412,
        "PRECONDITION_FAILED",
        &["it is 2"],
    );
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_request_repeated_under_its_key_is_one_migration_also_after_a_kill() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[10_000]);
    node.add_tablet(0, 8, &[10_000]);
    let daemon = node.start();
    let header = [("Idempotency-Key", "drain-7")];
    let body = json!({"tablet_id": 7, "dest_disk": node.disk(1), "mode": "manual_cutover"});
    let url = daemon.url(MIGRATIONS);
    // Many at once: one is accepted, the others hear of it or are asked to repeat.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let one = || daemon_send(&url, &body);
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    for (status, answer) in &answers {
        match status {
            201 => assert_eq!(answer["id"], 1),
            409 => assert_eq!(answer["error_code"], "IDEMPOTENCY_MISMATCH"),
            other => panic!("{other}: {answer}"),
        }
    }
    assert!(answers.iter().any(|(status, _)| *status == 201));
    assert_eq!(daemon.get(MIGRATIONS)["total"], 1);
    daemon.wait_for(1, &["ready"]);
    daemon.kill();
    let daemon = node.start();
    let (status, again) = daemon.send(MIGRATIONS, &header, &body);
    assert_eq!((status, &again["id"]), (201, &json!(1)), "{again:#}");
    let other = json!({"tablet_id": 8, "dest_disk": node.disk(1)});
    let (status, answer) = daemon.send(MIGRATIONS, &header, &other);
    assert_eq!((status, &answer["error_code"]), (409, &json!("IDEMPOTENCY_MISMATCH")), "{answer}");
    // Killed between the copy and the gate, it comes to the gate once more.
    daemon.wait_for(1, &["ready"]);
    assert!(daemon.becomes(|| daemon.migration(1)["ready_for_cutover"] == true), "{}", daemon.migration(1));
    daemon.act(1, &json!({"cutover": {}}));
    daemon.wait_for(1, &["completed"]);
    let (status, again) = daemon.send(MIGRATIONS, &header, &body);
    assert_eq!((status, &again["status"]), (201, &json!("completed")), "also when it has long ended");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_task_asked_for_again_under_its_key_is_one_task_also_after_a_kill() {
    let mut node = Node::new(2);
    // A drain within one file system would not empty anything.
    let Some(_mounted) = Mounted::on(&node.roots[1..]) else { return };
    make_root(&node.roots[1]);
    node.add_tablet(0, 7, &[10_000]);
    let daemon = node.start();
    let header = [("Idempotency-Key", "drain-7")];
    let drain = json!({"dry_run": false, "request": {"kind": "drain", "disks": [node.disk(0)]}});
    let (status, made) = daemon.send(TASKS, &header, &drain);
    assert_eq!((status, &made["id"]), (201, &json!(1)), "{made:#}");
    daemon.kill();
    let daemon = node.start();
    let (status, again) = daemon.send(TASKS, &header, &drain);
    assert_eq!(
        (status, &again["id"], &again["created_at"]),
        (201, &json!(1), &made["created_at"]),
        "{again:#}"
    );
    assert_eq!(daemon.get(TASKS)["total"], 1);
    let other = json!({"dry_run": false, "request": {"kind": "rebalance"}});
    let (status, answer) = daemon.send(TASKS, &header, &other);
    assert_eq!((status, &answer["error_code"]), (409, &json!("IDEMPOTENCY_MISMATCH")), "{answer}");
    daemon.stop();
}

fn daemon_send(url: &str, body: &Value) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.post(url).header("Idempotency-Key", "drain-7").send_json(body).expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_json().expect("JSON"))
}

#[test]
fn migrations_are_found_by_order_time_and_tablet_and_lists_are_small() {
    let mut node = Node::new(2);
    let keys: Vec<_> = (1..=4).map(|id| node.add_tablet(0, id, &[2000])).collect();
    let daemon = node.start();
    for key in &keys[..3] {
        daemon.wait_for(daemon.accept(*key, &node.disk(1)), &["completed"]);
    }
    // One that waits is in memory, the others are in the journal: they are one list.
    let body = json!({"tablet_id": 4, "dest_disk": node.disk(1), "mode": "stepwise"});
    assert_eq!(daemon.send(MIGRATIONS, &[], &body).0, 201);
    daemon.wait_for(4, &["preflight_passed"]);
    for (query, expected) in [
        ("", &[1, 2, 3, 4][..]),
        ("?sort=-id", &[4, 3, 2, 1]),
        ("?sort=-id&limit=2", &[4, 3]),
        ("?sort=-id&limit=2&marker=3", &[2, 1]),
        ("?sort=id&limit=2&marker=2", &[3, 4]),
        ("?phase=WORKING", &[4]),
        ("?tablet_id=2", &[2]),
        ("?since=2020-01-01T00:00:00Z&before=2100-01-01T00:00:00%2B01:00", &[1, 2, 3, 4]),
        ("?since=2100-01-01T00:00:00Z", &[]),
        ("?before=86400000", &[]),
        ("?task=9", &[]),
    ] {
        assert_eq!(ids(&daemon.get(&format!("{MIGRATIONS}{query}"))), expected, "{query}");
    }
    let since = daemon.migration(3)["created_at"].as_str().expect("a time").to_owned();
    assert!(!ids(&daemon.get(&format!("{MIGRATIONS}?since={since}"))).contains(&1));
    assert!(ids(&daemon.get(&format!("{MIGRATIONS}?since={since}"))).contains(&3));
    assert!(daemon.get(MIGRATIONS)["data"][0].get("steps").is_none(), "lists leave out what steps said");
    assert!(daemon.get(&format!("{MIGRATIONS}?with_steps=true"))["data"][0]["steps"][0]["logs"].is_array());
    for bad in ["?sort=size", "?since=yesterday", "?since=2&before=1", "?with_steps=yes", "?task=x"] {
        let answer = daemon.get(&format!("{MIGRATIONS}{bad}"));
        assert_eq!(answer["error_code"], "INVALID_ARGUMENT", "{bad}: {answer}");
    }

    let of = "/api/v1/tablets/4/migrations";
    assert_eq!(ids(&daemon.get(of)), [4]);
    assert_eq!(daemon.get(&format!("{of}/4"))["next_steps"], json!(["prepare", "abort"]));
    assert_eq!(daemon.get(&format!("{of}/3"))["error_code"], "MIGRATION_NOT_FOUND");
    assert_eq!(daemon.send(&format!("{of}/3/action"), &[], &json!({"revert": {}})).0, 404);
    assert_eq!(daemon.send(&format!("{of}/4/run"), &[], &json!({"step": "prepare"})).0, 202);
    daemon.wait_for(4, &["prepared"]);
    assert_eq!(daemon.send(&format!("{of}/4/action"), &[], &json!({"force_complete": null})).0, 202);
    daemon.wait_for(4, &["completed"]);
    daemon.stop();
    assert!(node.assert_whole().values().all(|root| *root == 1));
}
