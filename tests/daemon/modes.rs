//! Migrations that wait to be asked: at their gates they hold nothing, survive kills, and go on only when they are let.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tabletd::model::{FileEntry, Manifest, TabletKey, TabletRecord};

#[cfg(feature = "fault-injection")]
use crate::harness::tabletctl::wait_until;
use crate::harness::{Daemon, Node, pseudo_random, read_dir_names, records};

pub(super) fn submit(daemon: &Daemon, key: TabletKey, disk: &str, mode: &str) -> u64 {
    let body = json!({"tablet_id": key.tablet_id, "dest_disk": disk, "mode": mode});
    let (status, answer) = daemon.send("/api/v1/migrations", &[], &body);
    assert_eq!(status, 201, "{answer:#}");
    answer["id"].as_u64().expect("a number")
}

fn run(daemon: &Daemon, id: u64, step: &str) -> (u16, Value) {
    daemon.send(&format!("/api/v1/migrations/{id}/run"), &[], &json!({"step": step}))
}

/// Everything the steps of a migration have said.
fn said(migration: &Value) -> String {
    let steps = migration["steps"].as_array().expect("steps");
    steps.iter().map(|step| step["logs"].to_string()).collect()
}

#[test]
fn a_manual_cutover_waits_in_ready_through_a_kill_and_is_not_copied_again() {
    for kill in [false, true] {
        let mut node = Node::new(2);
        let key = node.add_tablet(0, 7, &[2_000_000, 4097, 0]);
        let mut daemon = node.start();
        let id = submit(&daemon, key, &node.disk(1), "manual_cutover");
        let waiting = daemon.wait_for(id, &["ready", "failed", "completed"]);
        assert_eq!(waiting["status"], "ready", "{waiting:#}");
        assert_eq!((&waiting["phase"], &waiting["ready_for_cutover"]), (&json!("WORKING"), &json!(true)));
        assert_eq!(waiting["next_steps"], json!(["finalize", "abort"]));
        assert_eq!(waiting["blockers"][0]["kind"], "operator");
        assert!(waiting["cutover_deadline"].as_str() > waiting["waits_since"].as_str(), "{waiting:#}");
        assert!(waiting["status_reason"].as_str().is_some_and(|why| why.contains("waits for cutover since")));
        if kill {
            daemon.kill();
            daemon = node.start();
            let still = daemon.wait_for(id, &["ready"]);
            assert_eq!(still["ready_for_cutover"], true, "{still:#}");
        }
        assert_eq!(records(&node.roots[0]).expect("records").len(), 1, "nothing moved by itself");
        daemon.act(id, &json!({"cutover": null}));
        let done = daemon.wait_for(id, &["completed", "failed"]);
        assert_eq!(done["status"], "completed", "{done:#}");
        assert_eq!(done["disk_resumed_bytes"], 2_004_097, "copied again: {done:#}");
        assert_eq!(said(&done).contains("is not read again"), !kill, "{done:#}");
        daemon.stop();
        assert_eq!(node.assert_whole()[&key], 1);
    }
}

#[test]
fn a_stepwise_migration_takes_only_its_next_step_and_survives_a_kill_at_each_gate() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[300_000, 5000]);
    let mut daemon = node.start();
    let id = submit(&daemon, key, &node.disk(1), "stepwise");
    let gates = [
        ("preflight_passed", "prepare", ["data", "finalize"]),
        ("prepared", "data", ["prepare", "finalize"]),
        ("ready", "finalize", ["prepare", "data"]),
    ];
    for (gate, step, wrong) in gates {
        let waiting = daemon.wait_for(id, &[gate, "failed", "completed"]);
        assert_eq!(waiting["status"], gate, "{waiting:#}");
        daemon.kill();
        daemon = node.start();
        let waiting = daemon.wait_for(id, &[gate]);
        assert_eq!(waiting["next_steps"], json!([step, "abort"]), "{waiting:#}");
        for wrong in wrong {
            let (status, refusal) = run(&daemon, id, wrong);
            assert_eq!((status, &refusal["error_code"]), (409, &json!("STEP_NOT_ALLOWED")), "{refusal}");
            let text = refusal["error_msg"].as_str().expect("a text");
            assert!(text.contains(&format!("it takes: run {step}")), "{text}");
        }
        assert_eq!(run(&daemon, id, step).0, 202);
    }
    let done = daemon.wait_for(id, &["completed", "failed"]);
    assert_eq!(done["status"], "completed", "{done:#}");
    assert_eq!(run(&daemon, id, "finalize").0, 409);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn what_waits_at_a_gate_holds_no_slot_and_keeps_its_space() {
    let mut node = Node::new(2);
    node.settings = "ssd_read_slots = 1\nssd_write_slots = 1\nmax_tablet_migration_threads = 1\n".to_owned();
    let keys: Vec<_> = (1..=5).map(|id| node.add_tablet(0, id, &[20_000])).collect();
    let daemon = node.start();
    for key in &keys[..4] {
        let id = submit(&daemon, *key, &node.disk(1), "manual_cutover");
        daemon.wait_for(id, &["ready"]);
    }
    let last = daemon.accept(keys[4], &node.disk(1));
    daemon.wait_for(last, &["completed"]);
    let disks = daemon.get("/api/v1/disks");
    // Their copies are on the disk, and measured there by the one that came after them: nothing is reserved on top.
    assert_eq!(disks["data"][1]["reserved_bytes"], 0, "{disks:#}");
    assert_eq!(read_dir_names(&node.roots[1].join("migrating")).len(), 4);
    assert_eq!(disks["data"][1]["write_slots"]["in_use"], 0);
    for id in 1..=4 {
        daemon.delete(&format!("/api/v1/migrations/{id}"));
        daemon.wait_for(id, &["aborted"]);
    }
    assert_eq!(daemon.get("/api/v1/disks")["data"][1]["reserved_bytes"], 0);
    daemon.stop();
    assert_eq!(read_dir_names(&node.roots[1].join("migrating")), Vec::<String>::new());
    assert!(node.assert_whole().iter().all(|(key, root)| (*root == 1) == (*key == keys[4])));
}

#[test]
fn a_gate_that_nobody_opens_in_time_is_undone_and_expires_also_after_a_kill() {
    let mut node = Node::new(2);
    node.settings = "cutover_deadline_sec = 3".to_owned();
    let key = node.add_tablet(0, 7, &[300_000]);
    let daemon = node.start();
    let id = submit(&daemon, key, &node.disk(1), "manual_cutover");
    daemon.wait_for(id, &["ready"]);
    daemon.kill();
    let daemon = node.start();
    let over = daemon.wait_for(id, &["expired", "completed", "failed", "aborted"]);
    assert_eq!((&over["status"], &over["phase"]), (&json!("expired"), &json!("EXPIRED")), "{over:#}");
    assert_eq!(over["error"]["code"], "TIMED_OUT");
    assert_eq!(daemon.get("/api/v1/disks")["data"][1]["reserved_bytes"], 0);
    assert_eq!(read_dir_names(&node.roots[1].join("migrating")), Vec::<String>::new());
    assert_eq!(node.assert_whole()[&key], 0);
    // Tried again it waits again, and more time can be given.
    daemon.act(id, &json!({"retry": {}}));
    let waiting = daemon.wait_for(id, &["ready"]);
    let longer = daemon.act(id, &json!({"extend": {"seconds": 3600}}));
    assert!(longer["cutover_deadline"].as_str() > waiting["cutover_deadline"].as_str(), "{longer:#}");
    daemon.act(id, &json!({"cutover": {}}));
    daemon.wait_for(id, &["completed"]);
    let (status, refusal) =
        daemon.send(&format!("/api/v1/migrations/{id}/action"), &[], &json!({"extend": {"seconds": 1}}));
    assert_eq!((status, &refusal["error_code"]), (409, &json!("ILLEGAL_TRANSITION")), "{refusal}");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn force_complete_passes_every_gate_and_every_limit() {
    let mut node = Node::new(2);
    // At this rate the larger tablet takes minutes.
    node.settings = "node_rate_limit_bytes_per_sec = 100000".to_owned();
    let large = node.add_tablet(0, 1, &[30_000_000]);
    let small = node.add_tablet(0, 2, &[3000]);
    let daemon = node.start();
    let id = daemon.accept(large, &node.disk(1));
    daemon.wait_for(id, &["copying"]);
    let began = Instant::now();
    daemon.act(id, &json!({"force_complete": null}));
    let done = daemon.wait_for(id, &["completed", "failed"]);
    assert_eq!((&done["status"], &done["forced"]), (&json!("completed"), &json!(true)), "{done:#}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let id = submit(&daemon, small, &node.disk(1), "stepwise");
    daemon.wait_for(id, &["preflight_passed"]);
    daemon.act(id, &json!({"force_complete": null}));
    let done = daemon.wait_for(id, &["completed", "failed", "prepared", "ready"]);
    // Statuses on the way may be caught; it stays in none of them.
    let done = if done["phase"] == "WORKING" { daemon.wait_for(id, &["completed"]) } else { done };
    assert_eq!(done["status"], "completed", "{done:#}");
    daemon.stop();
    assert!(node.assert_whole().values().all(|root| *root == 1));
}

#[test]
fn a_limit_of_its_own_holds_and_can_be_lifted_while_it_copies() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 1, &[20_000_000]);
    let daemon = node.start();
    let body =
        json!({"tablet_id": 1, "dest_disk": node.disk(1), "rate_bytes_per_sec": 100_000, "priority": "low"});
    let (status, answer) = daemon.send("/api/v1/migrations", &[], &body);
    assert_eq!((status, &answer["rate_bytes_per_sec"]), (201, &json!(100_000)), "{answer:#}");
    let id = answer["id"].as_u64().expect("a number");
    daemon.wait_for(id, &["copying"]);
    assert_eq!(daemon.act(id, &json!({"priority": "high"}))["priority"], "high");
    let lifted = daemon.act(id, &json!({"limits": {"rate_bytes_per_sec": 0}}));
    assert_eq!(
        (&lifted["status"], &lifted["rate_bytes_per_sec"]),
        (&json!("copying"), &json!(0)),
        "{lifted:#}"
    );
    let done = daemon.wait_for(id, &["completed", "failed"]);
    assert_eq!(done["status"], "completed", "{done:#}");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn what_changed_at_either_end_during_the_wait_is_found_at_the_cutover() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[300_000, 40_000]);
    let daemon = node.start();
    let id = submit(&daemon, key, &node.disk(1), "manual_cutover");
    daemon.wait_for(id, &["ready"]);
    // A new rowset on the source, and a staged file that is cut short.
    let bytes = pseudo_random(99, 50_000);
    std::fs::write(node.tablet_dir(0, key).join("0200ffff_0.dat"), &bytes).expect("a file");
    let mut record: TabletRecord = records(&node.roots[0]).expect("records").pop().expect("one record");
    let mut files = record.manifest.files().to_vec();
    let crc32 = Some(crc32fast::hash(&bytes));
    files.push(FileEntry { name: "0200ffff_0.dat".into(), size_bytes: 50_000, crc32 });
    record.manifest = Manifest::new(files).expect("plain names");
    node.write_record(&node.roots[0], &record);
    node.expected.insert(key, record.manifest);
    let staged = node.roots[1].join(format!("migrating/{id}/files/02000001_0.dat"));
    std::fs::OpenOptions::new().write(true).open(&staged).expect("staged").set_len(39_999).expect("cut");
    daemon.act(id, &json!({"cutover": null}));
    let done = daemon.wait_for(id, &["completed", "failed"]);
    assert_eq!(done["status"], "completed", "{done:#}");
    assert_eq!(done["disk_total_bytes"], 390_000);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_copy_that_rots_while_the_daemon_is_away_is_not_swapped_in() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[300_000, 40_000]);
    let daemon = node.start();
    let id = submit(&daemon, key, &node.disk(1), "manual_cutover");
    daemon.wait_for(id, &["ready"]);
    daemon.stop();
    let staged = node.roots[1].join(format!("migrating/{id}/files/02000000_0.dat"));
    let mut bytes = std::fs::read(&staged).expect("a staged file");
    bytes[123_456] ^= 1;
    std::fs::write(&staged, bytes).expect("a staged file");
    let daemon = node.start();
    assert_eq!(daemon.migration(id)["status"], "ready");
    daemon.act(id, &json!({"cutover": null}));
    let done = daemon.wait_for(id, &["completed", "failed"]);
    assert_eq!(done["status"], "completed", "{done:#}");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1, "the flipped bit was copied anew from the source");
}

#[test]
fn a_finished_move_is_taken_back_once_while_the_trash_holds_its_source() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[30_000]);
    let daemon = node.start();
    let id = daemon.accept(key, &node.disk(1));
    daemon.wait_for(id, &["completed"]);
    let back = daemon.act(id, &json!({"revert": null}));
    assert_eq!((&back["reverts"], &back["dest_disk"]), (&json!(id), &json!(node.disk(0))), "{back:#}");
    let done = daemon.wait_for(back["id"].as_u64().expect("a number"), &["completed", "failed"]);
    assert_eq!(
        (&done["status"], &done["receipt"]["generation"]),
        (&json!("completed"), &json!(3)),
        "{done:#}"
    );
    assert_eq!(daemon.migration(id)["reverted_by"], back["id"]);
    let (status, refusal) =
        daemon.send(&format!("/api/v1/migrations/{id}/action"), &[], &json!({"revert": {}}));
    assert_eq!((status, &refusal["error_code"]), (409, &json!("NOT_REVERTIBLE")), "{refusal}");
    daemon.kill();
    let daemon = node.start();
    assert_eq!(daemon.migration(id)["reverted_by"], back["id"], "kept");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

#[test]
fn a_cutover_that_was_granted_is_carried_out_also_when_the_daemon_dies_at_once() {
    let mut node = Node::new(2);
    let keys: Vec<_> = (1..=6).map(|id| node.add_tablet(0, id, &[200_000])).collect();
    let mut daemon = node.start();
    for key in &keys {
        let id = submit(&daemon, *key, &node.disk(1), "manual_cutover");
        daemon.wait_for(id, &["ready"]);
        daemon.act(id, &json!({"cutover": null}));
        daemon.kill();
        daemon = node.start();
        let done = daemon.wait_for(id, &["completed", "failed"]);
        assert_eq!(done["status"], "completed", "{done:#}");
    }
    daemon.stop();
    assert!(node.assert_whole().values().all(|root| *root == 1));
}

#[cfg(feature = "fault-injection")]
#[test]
fn a_kill_in_the_moment_of_reaching_a_gate_leaves_it_waiting_there() {
    for (nth, gate) in [(1, "preflight_passed"), (2, "prepared"), (3, "ready")] {
        let mut node = Node::new(2);
        let key = node.add_tablet(0, 7, &[100_000]);
        node.env = vec![("TABLETD_FAIL_POINT", format!("waits_at_gate:{nth}=kill"))];
        let daemon = node.start();
        let body = json!({"tablet_id": 7, "dest_disk": node.disk(1), "mode": "stepwise"});
        assert_eq!(daemon.send("/api/v1/migrations", &[], &body).0, 201);
        for step in ["prepare", "data"].iter().take(nth - 1) {
            // Or it has died.
            let asks =
                || daemon.try_get("/api/v1/migrations/1").map_or(true, |one| one["next_steps"][0] == *step);
            wait_until("it asks for its next step", asks);
            // The daemon may die before it has answered.
            let _ = ureq::post(daemon.url("/api/v1/migrations/1/run")).send_json(json!({"step": step}));
        }
        assert!(!daemon.wait().success(), "{gate} was never reached");
        node.env.clear();
        let daemon = node.start();
        let waiting = daemon.migration(1);
        assert_eq!(waiting["status"], gate, "{waiting:#}");
        daemon.act(1, &json!({"force_complete": null}));
        let done = daemon.wait_for(1, &["completed", "failed"]);
        assert_eq!(done["status"], "completed", "{done:#}");
        daemon.stop();
        assert_eq!(node.assert_whole()[&key], 1);
    }
}
