//! The journal's last word is the last: what is asked of a migration at the moment of its end, or of its pause, is never
//! written after it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::harness::{Daemon, Node};

/// What changes a row and not its status.
fn verbs() -> [Value; 5] {
    [
        json!({"limits": {"rate_bytes_per_sec": 1_000_000_000_u64}}),
        json!({"priority": "high"}),
        json!({"priority": "normal"}),
        json!({"force_complete": {}}),
        json!({"extend": {"seconds": 1}}),
    ]
}

/// Asks again and again, until it is enough. How often it was granted.
fn pester(url: &str, ids: &[u64], verbs: &[Value], enough: &AtomicBool, granted: &AtomicU64) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut verbs = verbs.iter().cycle();
    while !enough.load(Ordering::Relaxed) {
        for (id, verb) in ids.iter().zip(&mut verbs) {
            let answer = agent.post(format!("{url}/api/v1/migrations/{id}/action")).send_json(verb);
            if answer.is_ok_and(|answer| answer.status() == 202) {
                granted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn rows(daemon: &Daemon) -> Vec<Value> {
    daemon.try_migrations().expect("a list")
}

#[test]
fn every_end_is_found_again_by_the_next_start_whatever_was_asked_at_that_moment() {
    let mut node = Node::new(2);
    // Until everybody is asking.
    node.settings = "disk_rate_limit_bytes_per_sec = 1".to_owned();
    for id in 1..=150 {
        node.add_tablet(0, id, &[5000, 12_288]);
    }
    let daemon = node.start();
    let keys: Vec<_> = node.expected.keys().copied().collect();
    let ids: Vec<u64> = keys.iter().map(|key| daemon.accept(*key, &node.disk(1))).collect();
    let (enough, granted, url) = (AtomicBool::new(false), AtomicU64::new(0), daemon.url(""));
    std::thread::scope(|scope| {
        // The last to end are pestered most.
        for part in ids[ids.len() / 2..].chunks(20) {
            let (url, enough, granted) = (&url, &enough, &granted);
            scope.spawn(move || pester(url, part, &verbs(), enough, granted));
        }
        assert!(daemon.becomes(|| granted.load(Ordering::Relaxed) > 20), "nothing is granted");
        daemon.post("/api/update_config?disk_rate_limit_bytes_per_sec=0", &Value::Null);
        daemon.wait_until_idle();
        enough.store(true, Ordering::Relaxed);
    });
    let before = rows(&daemon);
    assert!(before.iter().all(|row| row["status"] == "completed"), "{before:#?}");
    daemon.kill();

    let daemon = node.start();
    let after = rows(&daemon);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before["status"], after["status"], "{after:#}");
        assert_eq!(before["receipt"], after["receipt"], "{after:#}");
    }
    assert_eq!(before.len(), after.len());
    let status = daemon.get("/api/v1/status");
    assert_eq!(status["totals"]["started"], 0, "nothing runs a second time: {status:#}");
    daemon.stop();
    assert!(node.assert_whole().values().all(|root| *root == 1));
}

#[test]
fn a_pause_is_found_again_by_the_next_start_whatever_was_asked_at_that_moment() {
    let mut node = Node::new(2);
    node.settings = "disk_rate_limit_bytes_per_sec = 2000000".to_owned();
    let key = node.add_tablet(0, 1, &[1_000_000; 8]);
    let daemon = node.start();
    let id = daemon.accept(key, &node.disk(1));
    let (granted, url) = (AtomicU64::new(0), daemon.url(""));
    for round in 0..10 {
        daemon.wait_for(id, &["copying"]);
        let enough = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| pester(&url, &[id], &verbs()[1..3], &enough, &granted));
            }
            daemon.act(id, &json!({"pause": {}}));
            daemon.wait_for(id, &["paused"]);
            enough.store(true, Ordering::Relaxed);
        });
        if round < 9 {
            daemon.act(id, &json!({"resume": {}}));
        }
    }
    assert!(granted.into_inner() > 0, "nothing was asked in time");
    daemon.kill();
    let daemon = node.start();
    assert_eq!(daemon.migration(id)["status"], "paused");
    assert_eq!(daemon.get("/api/v1/status")["totals"]["started"], 0);
    daemon.stop();
}
