//! Metadata records that are not what was written: a staged one that reads back wrong, a journal row of a swap that cannot
//! be read.

use std::fs;
use std::os::unix::fs::FileExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tabletd::model::TabletKey;

use crate::harness::Node;
use crate::harness::tabletctl::wait_until;

#[test]
fn a_staged_record_that_reads_back_wrong_makes_its_disk_suspect() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[50_000]);
    node.env = vec![("TABLETD_FAIL_POINT", "record_written=stop".to_owned())];
    let daemon = node.start();
    let id = daemon.accept(key, &node.disk(1));
    let stat = format!("/proc/{}/stat", daemon.pid());
    wait_until("it never stops", || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    // A bit of the record flips on the medium, after it was written and before it is read back.
    let record = node.roots[1].join(format!("migrating/{id}/record.json"));
    let file = fs::OpenOptions::new().read(true).write(true).open(record).expect("a staged record");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 40).expect("a byte");
    file.write_all_at(&[byte[0] ^ 1], 40).and_then(|()| file.sync_all()).expect("a byte");
    kill(Pid::from_raw(i32::try_from(daemon.pid()).expect("a pid")), Signal::SIGCONT).expect("a process");

    let disk = || daemon.get(&format!("/api/v1/disks/show?path={}", node.disk(1)));
    assert!(daemon.becomes(|| disk()["condition"] == "suspect"), "{:#}", disk());
    let why = disk()["condition_reason"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("record.json") && why.contains("staged record"), "{why}");
    let row = daemon.wait_for(id, &["failed", "completed"]);
    assert_eq!(row["status"], "failed", "{row:#}");
    assert_eq!(daemon.run(key, &node.disk(1))["error_code"], "DISK_UNAVAILABLE");
    assert_eq!(daemon.get("/api/v1/tablets/7")["generation"], 1);
    daemon.post("/api/v1/disks/enable", &json!({"path": node.disk(1)}));
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

/// Killed in its swap, and then nobody can read the row any more that says so.
fn swap_with_a_damaged_row(point: &str) -> (Node, TabletKey) {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[50_000]);
    node.env = vec![("TABLETD_FAIL_POINT", format!("{point}=kill"))];
    let mut daemon = node.start();
    daemon.accept(key, &node.disk(1));
    wait_until("it is never killed", || !daemon.is_running());
    node.env.clear();
    let journal = rusqlite::Connection::open(node.dir.path().join("state/journal.db")).expect("a database");
    let (doc, status): (String, String) = journal
        .query_row("SELECT doc, json_extract(doc, '$.status') FROM migration", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("a row");
    assert_eq!(status, "finalizing");
    let damaged = journal.execute("UPDATE migration SET doc = ?1", [doc.replace("finalizing", "finalizinG")]);
    assert_eq!(damaged, Ok(1));
    (node, key)
}

#[test]
fn a_damaged_row_of_a_swap_does_not_make_an_old_copy_the_owner() {
    for (point, owner) in [("committed", 1), ("finalizing_journalled", 0)] {
        let (mut node, key) = swap_with_a_damaged_row(point);
        let away = node.dir.path().join("away");
        fs::rename(&node.roots[1], &away).expect("a rename");
        node.settings = "ignore_broken_disk = true".to_owned();
        let daemon = node.start();
        let shown = daemon.get("/api/v1/tablets/7");
        assert_eq!(
            shown["error_code"], "TABLET_UNAVAILABLE",
            "{point}: it may be on the other disk: {shown:#}"
        );
        assert!(shown.to_string().contains(&node.disk(1)), "{point}: {shown:#}");
        daemon.kill();
        fs::rename(&away, &node.roots[1]).expect("a rename");
        let daemon = node.start();
        assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(owner), "{point}");
        daemon.wait_for(daemon.accept(key, &node.disk(1 - owner)), &["completed"]);
        daemon.stop();
        // What it staged is kept with its row, which nobody can read.
        fs::remove_dir_all(node.roots[1].join("migrating/1")).unwrap_or(());
        assert_eq!(node.assert_whole()[&key], 1 - owner, "{point}");
    }
}
