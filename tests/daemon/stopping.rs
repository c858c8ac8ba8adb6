//! SIGTERM ends the daemon, whatever hangs below it.

use std::fs;
use std::time::Instant;

use serde_json::json;

use crate::harness::Node;
use crate::harness::daemon::{Daemon, PATIENCE};
use crate::waiting::Ext4;

/// Whether its main thread has ended. A thread that waits for a frozen file system cannot, and keeps the process listed.
fn has_ended(daemon: &Daemon) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("not reaped").contains(") Z ")
}

#[test]
fn the_daemon_ends_while_the_disk_of_its_journal_hangs() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 10, &[1000]);
    let state_dir = node.dir.path().join("state");
    fs::create_dir(&state_dir).expect("a directory");
    let Some(disk) = Ext4::on(&state_dir, &node.dir.path().join("image")) else { return };
    node.settings = "shutdown_grace_sec = 1\n".to_owned();
    let daemon = node.start();
    disk.freeze("--freeze");
    let asked = std::thread::scope(|scope| {
        let url = daemon.url("/api/v1/migrations");
        let body = json!({"tablet_id": key.tablet_id.0, "dest_disk": node.disk(1)});
        let asking = scope.spawn(move || ureq::post(&url).send_json(&body).map(drop));
        daemon.terminate();
        let deadline = Instant::now() + PATIENCE;
        while !has_ended(&daemon) && Instant::now() < deadline {
            std::thread::yield_now();
        }
        asking.join().expect("no panic")
    });
    assert!(has_ended(&daemon), "SIGTERM does not end it");
    assert!(asked.is_err(), "accepted without a journal");
    disk.freeze("--unfreeze");
    daemon.stop();
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/migrations")["total"].as_u64().map(|total| total < 2), Some(true));
}
