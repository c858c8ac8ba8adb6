//! The journal on bad days of its disk: full, and damaged.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::mounts::Image;
use crate::harness::{Daemon, Node};
use crate::modes::submit;

/// Takes all space of a file system, until it is removed.
struct Ballast(PathBuf);

impl Ballast {
    fn on(disk: &Image) -> Self {
        let path = disk.path().join("ballast");
        let mut file = File::create(&path).expect("an inode");
        for bytes in [1 << 20, 4096, 1] {
            let block = vec![b'x'; bytes];
            while file.write_all(&block).and_then(|()| file.sync_data()).is_ok() {}
        }
        Self(path)
    }

    fn remove(self) {
        fs::remove_file(self.0).expect("a file");
    }
}

/// A node whose state directory is a small file system of its own.
fn on_small_state_dir() -> Option<(Node, Image)> {
    let node = Node::new(2);
    let disk = Image::ext4_with(node.dir.path(), "state", 16 << 20, &["-b", "4096"])?;
    Some((node, disk))
}

fn state_dir(daemon: &Daemon) -> Value {
    daemon.get("/api/v1/status")["state_dir"].clone()
}

/// Pins until the journal has had no space for a while: what one write leaves of the last block, the next may use. The
/// last refusal.
fn use_up(daemon: &Daemon, tablet: i64) -> (u16, Value) {
    let path = format!("/api/v1/tablets/{tablet}/pin");
    let last = std::cell::RefCell::new((0, Value::Null));
    let full_since = std::cell::Cell::new(None);
    let stays_full = daemon.becomes(|| {
        last.replace(daemon.send(&path, &[], &json!({"reason": "as written"})));
        if last.borrow().0 < 500 {
            full_since.set(None);
            return false;
        }
        let since = full_since.get().unwrap_or_else(Instant::now);
        full_since.set(Some(since));
        since.elapsed() > Duration::from_secs(2)
    });
    assert!(stays_full, "the journal writes on a full disk: {:#}", state_dir(daemon));
    last.into_inner()
}

/// Lets copies run as fast as they can.
fn hurry(daemon: &Daemon) {
    let said = daemon.post("/api/update_config?disk_rate_limit_bytes_per_sec=0", &json!(null));
    assert_eq!(said[0]["status"], "OK", "{said:#}");
}

/// Slow enough for anything to happen meanwhile.
const SLOW: &str = "disk_rate_limit_bytes_per_sec = 50000\nsmall_migration_bytes = 0\n";

#[test]
fn a_full_state_dir_is_said_everywhere_and_what_is_new_is_refused_until_it_has_space() {
    let Some((mut node, disk)) = on_small_state_dir() else { return };
    let moving = node.add_tablet(0, 1, &[2_000_000]);
    let [waiting, other] = [2, 3].map(|id| node.add_tablet(0, id, &[1000]));
    node.settings = SLOW.to_owned();
    let daemon = node.start();
    let gated = submit(&daemon, waiting, &node.disk(1), "manual_cutover");
    daemon.wait_for(gated, &["ready"]);
    let runs = daemon.accept(moving, &node.disk(1));
    daemon.wait_for(runs, &["copying"]);
    assert_eq!(state_dir(&daemon)["is_full"], false);
    assert_eq!(daemon.get_text("/api/health"), r#"{"status": "OK","msg": "To Be Added"}"#);

    let ballast = Ballast::on(&disk);
    let (status, refusal) = use_up(&daemon, 3);
    assert_eq!((status, &refusal["error_code"]), (503, &json!("JOURNAL_UNAVAILABLE")), "{refusal:#}");
    let path = disk.path().display().to_string();
    for part in [path.as_str(), "is full", "free some", "goes on by itself"] {
        assert!(refusal["error_msg"].to_string().contains(part), "{part}: {refusal:#}");
    }
    let seen = state_dir(&daemon);
    assert_eq!(
        (&seen["is_full"], &seen["journal_failed"], &seen["path"]),
        (&json!(true), &json!(false), &json!(path))
    );
    assert!(daemon.get_text("/api/health").contains(&format!("state_dir {path} is full")));
    let metrics = daemon.get_text("/metrics");
    for line in ["tabletd_state_dir_full 1", "tabletd_journal_failed 0", "tabletd_state_dir_available_bytes "]
    {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert_eq!(daemon.run(other, &node.disk(1))["error_code"], "JOURNAL_UNAVAILABLE");
    let (status, refused) =
        daemon.send(&format!("/api/v1/migrations/{gated}/action"), &[], &json!({"pause": null}));
    assert_eq!((status, &refused["error_code"]), (503, &json!("JOURNAL_UNAVAILABLE")), "{refused:#}");
    hurry(&daemon);
    // What runs goes on to its swap, and no further: nothing that would have to be durable first is done. What is only
    // asked is answered.
    assert!(
        daemon.becomes(|| state_dir(&daemon)["waiting_rows"].as_u64() > Some(0)),
        "{:#}",
        state_dir(&daemon)
    );
    let list = daemon.get("/api/v1/migrations");
    assert_eq!(list["total"], 2, "{list:#}");
    assert!(
        list["data"].as_array().expect("a list").iter().all(|row| row["status"] != "completed"),
        "{list:#}"
    );
    assert_eq!(daemon.get("/api/v1/tablets/1")["disk"], node.disk(0));

    ballast.remove();
    let done = daemon.wait_for(runs, &["completed", "failed"]);
    assert_eq!(done["status"], "completed", "{done:#}");
    assert!(daemon.becomes(|| state_dir(&daemon)["is_full"] == false), "{:#}", state_dir(&daemon));
    assert_eq!(state_dir(&daemon)["waiting_rows"], 0);
    assert!(daemon.said().contains("has space again, and the journal goes on"), "{}", daemon.said());
    daemon.wait_for(gated, &["ready"]);
    let later = daemon.accept(other, &node.disk(1));
    daemon.wait_for(later, &["completed"]);
    // What was written is what a kill leaves.
    daemon.kill();
    let daemon = node.start();
    for (id, status) in [(runs, "completed"), (gated, "ready"), (later, "completed")] {
        daemon.wait_for(id, &[status]);
    }
    daemon.act(gated, &json!({"cutover": null}));
    daemon.wait_for(gated, &["completed"]);
    daemon.stop();
    assert_eq!(node.assert_whole().into_values().collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn a_daemon_whose_state_dir_is_full_can_be_stopped_killed_and_started() {
    let Some((mut node, disk)) = on_small_state_dir() else { return };
    let moving = node.add_tablet(0, 1, &[2_000_000]);
    node.add_tablet(0, 2, &[1000]);
    node.settings = SLOW.to_owned();
    let mut daemon = node.start();
    let runs = daemon.accept(moving, &node.disk(1));
    daemon.wait_for(runs, &["copying"]);
    let ballast = Ballast::on(&disk);
    use_up(&daemon, 2);
    assert!(
        daemon.becomes(|| state_dir(&daemon)["waiting_rows"].as_u64() > Some(0)),
        "{:#}",
        state_dir(&daemon)
    );
    let asked = Instant::now();
    daemon.stop();
    assert!(asked.elapsed() < Duration::from_secs(20), "it waited for space: {:?}", asked.elapsed());
    for _ in 0..2 {
        daemon = node.start();
        assert_eq!(daemon.get("/api/v1/tablets/1")["disk"], node.disk(0));
        use_up(&daemon, 2);
        let row = daemon.migration(runs);
        assert!(row["status"] != "completed" && row["status"] != "failed", "{row:#}");
        daemon.kill();
    }
    daemon = node.start();
    hurry(&daemon);
    ballast.remove();
    let done = daemon.wait_for(runs, &["completed", "failed"]);
    assert_eq!(done["status"], "completed", "{done:#}");
    daemon.stop();
    assert_eq!(node.assert_whole()[&moving], 1);
}

/// Flips one bit of a file.
fn flip_bit(file: &Path, byte: usize) {
    let mut bytes = fs::read(file).expect("a file");
    bytes[byte] ^= 4;
    fs::write(file, bytes).expect("the same length");
}

/// Bytes of the log's header, and of the header of a frame.
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

#[test]
fn a_flipped_bit_in_the_journals_log_is_said_and_nothing_of_before_goes_on_unasked() {
    for (place, byte) in [("the header", 9), ("the first frame", LOG_HEADER + FRAME_HEADER + 100)] {
        let mut node = Node::new(2);
        let before = node.add_tablet(0, 1, &[1000]);
        let [known, lost] = [2, 3].map(|id| node.add_tablet(0, id, &[2_000_000]));
        node.settings = SLOW.to_owned();
        let mut daemon = node.start();
        let done = daemon.accept(before, &node.disk(1));
        daemon.wait_for(done, &["completed"]);
        let unfinished = daemon.accept(known, &node.disk(1));
        daemon.wait_for(unfinished, &["copying"]);
        daemon.stop();
        // From here on everything is in the log alone.
        daemon = node.start();
        let accepted = daemon.accept(lost, &node.disk(1));
        daemon.wait_for(accepted, &["copying"]);
        daemon.post("/api/v1/tablets/1/pin", &json!({"reason": "stays"}));
        daemon.kill();
        let state = node.dir.path().join("state");
        flip_bit(&state.join("journal.db-wal"), byte);
        let damaged = fs::read(state.join("journal.db-wal")).expect("a log");

        daemon = node.start();
        let copy = state.join("journal.db.damaged-1");
        assert!(copy.exists(), "{place}");
        assert_eq!(fs::read(state.join("journal.db.damaged-1-wal")).expect("kept"), damaged, "{place}");
        let seen = state_dir(&daemon);
        assert_eq!(seen["journal_lost"], true, "{place}: {seen:#}");
        let copy = copy.display().to_string();
        for said in [seen["trouble"].to_string(), daemon.get_text("/api/health"), daemon.said()] {
            for part in ["journal's log was damaged", "pinned or disabled last", copy.as_str()] {
                assert!(said.contains(part), "{place}: {part}: {said}");
            }
        }
        assert!(daemon.get_text("/metrics").contains("tabletd_journal_lost 1"), "{place}");
        assert_eq!(daemon.migration(done)["status"], "completed", "{place}");
        hurry(&daemon);
        // Both are there, neither under a number that was given out before, and wait for an operator.
        let list = daemon.get("/api/v1/migrations?phase=NEW,WORKING");
        assert_eq!(list["total"], 2, "{place}: {list:#}");
        for row in list["data"].as_array().expect("a list") {
            let id = row["id"].as_u64().expect("a number");
            assert!(id == unfinished || id > accepted, "{place}: {row:#}");
            let ready = daemon.wait_for(id, &["ready", "completed", "failed"]);
            assert_eq!(ready["status"], "ready", "{place}: {ready:#}");
        }
        // So it is after a further kill, when nothing is damaged any more.
        daemon.kill();
        daemon = node.start();
        assert_eq!(state_dir(&daemon)["journal_lost"], false, "{place}");
        for row in list["data"].as_array().expect("a list") {
            let id = row["id"].as_u64().expect("a number");
            let ready = daemon.wait_for(id, &["ready", "completed", "failed"]);
            assert_eq!(ready["status"], "ready", "{place}: {ready:#}");
            daemon.act(id, &json!({"cutover": null}));
            assert_eq!(daemon.wait_for(id, &["completed", "failed"])["status"], "completed", "{place}");
        }
        daemon.stop();
        assert!(node.assert_whole().values().all(|root| *root == 1), "{place}");
    }
}

#[test]
fn a_journal_restored_from_an_older_copy_is_said_and_nothing_of_it_goes_on_unasked() {
    let mut node = Node::new(2);
    let [known, later] = [1, 2].map(|id| node.add_tablet(0, id, &[2_000_000]));
    node.settings = SLOW.to_owned();
    let mut daemon = node.start();
    let unfinished = daemon.accept(known, &node.disk(1));
    daemon.wait_for(unfinished, &["copying"]);
    daemon.stop();
    let journal = node.dir.path().join("state/journal.db");
    let backup = fs::read(&journal).expect("closed, and whole");
    daemon = node.start();
    let forgotten = daemon.accept(later, &node.disk(1));
    daemon.wait_for(forgotten, &["copying"]);
    daemon.stop();
    fs::write(&journal, backup).expect("the copy");

    daemon = node.start();
    let seen = state_dir(&daemon);
    assert_eq!(seen["journal_lost"], true, "{seen:#}");
    for said in [seen["trouble"].to_string(), daemon.get_text("/api/health"), daemon.said()] {
        assert!(said.contains("the journal is older than the disks"), "{said}");
    }
    hurry(&daemon);
    let list = daemon.get("/api/v1/migrations?phase=NEW,WORKING");
    assert_eq!(list["total"], 2, "{list:#}");
    for row in list["data"].as_array().expect("a list") {
        let id = row["id"].as_u64().expect("a number");
        assert!(id == unfinished || id > forgotten, "{row:#}");
        let ready = daemon.wait_for(id, &["ready", "completed", "failed"]);
        assert_eq!(ready["status"], "ready", "{ready:#}");
        daemon.act(id, &json!({"cutover": null}));
        assert_eq!(daemon.wait_for(id, &["completed", "failed"])["status"], "completed");
    }
    daemon.stop();
    assert!(node.assert_whole().values().all(|root| *root == 1));
}

/// What a roll-back takes along: the newer journal stays behind, and what was not done is planned anew from the export.
#[test]
fn an_export_tells_history_tasks_pins_and_names_of_tokens_and_what_was_not_done_is_planned_from_it() {
    let mut node = Node::new(2);
    let [moved, ..] = [10, 11, 12].map(|id| node.add_tablet(0, id, &[1000]));
    let daemon = node.start();
    let there = node.disk(1);
    daemon.run(moved, &there);
    assert!(daemon.becomes(|| daemon.get("/api/v1/migrations")["data"][0]["status"] == "completed"));
    let request = json!({"kind": "move", "select": {"disks": [node.disk(0)]}, "to": {"disks": [&there]}});
    let task =
        daemon.post("/api/v1/tasks", &json!({"name": "empty it", "dry_run": false, "request": request}));
    assert_eq!(task["status"], "stopped", "{task:#}");
    daemon.post("/api/v1/tablets/12/pin", &json!({"reason": "hot"}));
    let conf = node.dir.path().join("be.conf").display().to_string();
    let made =
        daemon.tabletctl_command(&["token", "create", "ci", "--role", "viewer", "--conf", &conf]).output();
    let secret = String::from_utf8(made.expect("tabletctl").stdout).expect("text").trim().to_owned();

    let mut export = daemon.tabletctl_command(&["journal", "export", "--conf", &conf]);
    let export = export.env("TABLETD_TOKEN", &secret).output().expect("tabletctl");
    let text = String::from_utf8(export.stdout).expect("text");
    assert!(export.status.success() && !text.contains(&secret), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |kind: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["kind"] == kind).map(|line| &line[kind]).collect()
    };
    assert_eq!((of("node").len(), of("disk").len()), (1, 2), "{text}");
    assert_eq!(of("migration")[0]["tablet_id"], 10, "{text}");
    assert!(of("migration")[0]["steps"].as_array().is_some_and(|steps| !steps.is_empty()), "{text}");
    assert_eq!(of("pin")[0]["tablet_id"], 12, "{text}");
    assert_eq!(
        (&of("token")[0]["name"], &of("token")[0]["role"]),
        (&"ci".into(), &"viewer".into()),
        "{text}"
    );

    daemon.stop();
    fs::rename(node.dir.path().join("state"), node.dir.path().join("state.new")).expect("a rename");
    let older = node.start();
    assert_eq!(older.get("/api/v1/tasks")["total"], 0);
    let left = of("task")[0];
    let again = json!({
        "name": left["name"], "request": left["request"], "dry_run": false, "completeness": "what_fits",
    });
    let again = older.post("/api/v1/tasks", &again);
    assert_eq!((&again["name"], &again["status"]), (&"empty it".into(), &"stopped".into()), "{again:#}");
    assert_eq!(again["moves_total"], 2, "what has moved is moved, and nothing is pinned: {again:#}");
    older.stop();
}
