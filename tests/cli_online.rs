//! `tabletctl` against a daemon that is made up: what it sends, prints, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// What the made-up daemon does with the next request.
enum Turn {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Hangs up, as a daemon that is killed does.
    HangUp,
}

/// Takes requests in turn, then listens no more. Keeps the request lines and bodies; no body is `null`.
struct Daemon {
    address: String,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
    thread: std::thread::JoinHandle<()>,
}

impl Daemon {
    fn new(turns: Vec<Turn>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        let thread = std::thread::spawn(move || {
            for turn in turns {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut request = String::new();
                reader.read_line(&mut request).unwrap();
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let line = request.trim().trim_end_matches(" HTTP/1.1").to_owned();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                notes.lock().unwrap().push((line, body));
                if let Turn::Answer(status, text) = turn {
                    let head = format!(
                        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        text.len()
                    );
                    stream.write_all((head + &text).as_bytes()).unwrap();
                }
            }
        });
        Self { address, heard, thread }
    }

    /// Runs the command, checks that it asked exactly as often as there were turns, and returns what was heard.
    fn run(self, args: &[&str]) -> (Output, Vec<(String, Value)>) {
        let done = tabletctl(&self.address, args);
        self.thread.join().unwrap();
        let heard = self.heard.lock().unwrap().clone();
        (done, heard)
    }
}

fn tabletctl(address: &str, args: &[&str]) -> Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tabletctl"));
    // A proxy in the environment must not come between a node and its own daemon.
    command.env("http_proxy", "http://127.0.0.1:9").env("TABLETD_ADDR", address).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ok(value: &Value) -> Turn {
    Turn::Answer(200, value.to_string())
}

fn migration(status: &str, phase: &str, verified: u64) -> Value {
    json!({
        "id": 5, "tablet_id": 15672, "schema_hash": 7, "source_disk": "/d1", "dest_disk": "/d2", "status": status,
        "phase": phase, "status_reason": "", "mode": "auto", "priority": "normal", "reason": "", "attempts": 1,
        "steps": [{"step": "data", "status": "running", "started_at": "2024-05-01T12:00:00.000Z", "ended_at": null,
            "logs": [{"at": "2024-05-01T12:00:01.000Z", "text": "no O_DIRECT"}]}],
        "disk_total_bytes": 1000, "disk_processed_bytes": verified, "disk_remaining_bytes": 1000 - verified,
        "disk_verified_bytes": verified, "disk_resumed_bytes": 0, "disk_total_files": 2, "disk_verified_files": 1,
        "throttled_ms": 0, "speed_bytes_per_sec": null, "eta_seconds": null, "error": null, "receipt": null,
        "created_at": "2024-05-01T12:00:00.000Z", "updated_at": "2024-05-01T12:00:00.000Z", "finished_at": null,
        "last_progress_at": null, "not_before": null
    })
}

#[test]
fn where_nobody_listens_it_says_so_and_ends_with_three() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let done = tabletctl(&address, &["disks"]);
    assert_eq!(done.status.code(), Some(3));
    let said = text(&done.stderr);
    assert!(
        said.contains(&format!("no daemon answers at {address}")) && said.contains("is it running?"),
        "{said}"
    );
}

#[test]
fn json_is_printed_as_it_came() {
    let body = "{ \"total\" : 0,\"data\":[ ], \"future\": 1.50 }";
    let (done, heard) = Daemon::new(vec![Turn::Answer(200, body.to_owned())]).run(&["--json", "disks"]);
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(0), format!("{body}\n")));
    assert_eq!(heard[0].0, "GET /api/v1/disks");
}

#[test]
fn a_refusal_is_told_in_the_daemons_words_and_ends_with_four() {
    let body = json!({"error_msg": "tablet 9 is not on this node", "error_code": "TABLET_NOT_FOUND"});
    let turns = vec![Turn::Answer(404, body.to_string())];
    let (done, heard) = Daemon::new(turns).run(&["migrate", "9", "--disk", "/d2", "--reason", "drain"]);
    assert_eq!(done.status.code(), Some(4));
    let said = "tabletctl: tablet 9 is not on this node (TABLET_NOT_FOUND); tabletctl tablet list shows the tablets of this node\n";
    assert_eq!(text(&done.stderr), said);
    assert_eq!(heard[0].0, "POST /api/v1/migrations");
    let expected =
        json!({"tablet_id": 9, "dest_disk": "/d2", "mode": "auto", "priority": "normal", "reason": "drain"});
    assert_eq!(heard[0].1, expected);
}

#[test]
fn a_refusal_as_json_keeps_code_and_details_and_names_the_verb() {
    let body = json!({
        "error_msg": "no disk /dx", "error_code": "DISK_NOT_FOUND", "hint": "GET /api/v1/disks lists the disks",
        "details": {"path": "/dx"}
    });
    let turns = vec![Turn::Answer(404, body.to_string())];
    let (done, _) = Daemon::new(turns).run(&["--json", "disk", "show", "/dx"]);
    let said: Value = serde_json::from_slice(&done.stderr).unwrap();
    let expected = json!({
        "error_msg": "no disk /dx", "error_code": "DISK_NOT_FOUND", "hint": "tabletctl disk list shows the disks",
        "details": {"path": "/dx"}, "exit_status": 4
    });
    assert_eq!((done.status.code(), said), (Some(4), expected));
}

#[test]
fn whatever_goes_wrong_is_json_where_json_was_asked_for() {
    for args in [&["--json", "migrate", "x"][..], &["migrate", "9", "--json"], &["--json", "no-such-verb"]] {
        let done = tabletctl("http://127.0.0.1:1", args);
        assert_eq!(done.status.code(), Some(2), "{args:?}");
        let said: Value =
            serde_json::from_slice(&done.stderr).unwrap_or_else(|_| panic!("{}", text(&done.stderr)));
        assert_eq!(said["exit_status"], 2, "{said}");
        assert!(said["error_msg"].as_str().is_some_and(|text| !text.starts_with("error")), "{said}");
    }
    let done = tabletctl("http://127.0.0.1:1", &["--json", "--help"]);
    assert!(done.status.success() && text(&done.stdout).contains("Usage:"));
}

#[test]
fn disks_go_by_short_names_wherever_one_is_asked_for() {
    let list = |paths: &[&str]| {
        let disk = |path: &&str| {
            json!({
                "path": path, "uuid": null, "medium": "HDD", "condition": "online", "condition_reason": "",
                "total_bytes": 10, "avail_bytes": 5, "reserved_bytes": 0, "tablet_count": 0, "tablet_bytes": 0,
                "trash_bytes": 0, "file_system": "ext4", "shares_file_system_with": [], "queued_from": 0,
                "queued_to": 0, "rate_limit_bytes_per_sec": 0, "read_slots": {"in_use": 0, "limit": 1},
                "write_slots": {"in_use": 0, "limit": 1}
            })
        };
        ok(&json!({"total": paths.len(), "data": paths.iter().map(disk).collect::<Vec<_>>()}))
    };
    let disks = || list(&["/mnt/disk1", "/mnt/disk2", "/a/twin", "/b/twin"]);
    let refused =
        || Turn::Answer(404, json!({"error_msg": "no", "error_code": "DISK_NOT_FOUND"}).to_string());
    // Each of these has its disk in another place of the request.
    for (args, asked) in [
        (&["disk", "show", "disk1"][..], "GET /api/v1/disks/show?path=%2Fmnt%2Fdisk1"),
        (&["list", "--from", "disk2"], "GET /api/v1/migrations?limit=1000&source_disk=%2Fmnt%2Fdisk2"),
        (&["trash", "list", "--disk", "disk1"], "GET /api/v1/trash?limit=1000&disk=%2Fmnt%2Fdisk1"),
        (&["tablet", "explain", "7", "--disk", "b/twin"], "GET /api/v1/tablets/7/explain?disk=%2Fb%2Ftwin"),
        (
            &["task", "tables", "3", "--disk", "disk2"],
            "GET /api/v1/tables?limit=100000&disk=%2Fmnt%2Fdisk2&task=3",
        ),
    ] {
        let (_, heard) = Daemon::new(vec![disks(), refused()]).run(args);
        assert_eq!((heard[0].0.as_str(), heard[1].0.as_str()), ("GET /api/v1/disks", asked), "{args:?}");
    }
    for (args, body) in [
        (&["disk", "enable", "disk1"][..], json!({"path": "/mnt/disk1"})),
        (&["task", "pause", "3", "--disk", "disk2"], json!({"pause": {"disks": ["/mnt/disk2"]}})),
        (&["tablet", "heal", "7", "--to", "disk1"], json!({"to": "/mnt/disk1"})),
    ] {
        let (_, heard) = Daemon::new(vec![disks(), refused()]).run(args);
        let has_it = body.as_object().unwrap().iter().all(|(name, value)| heard[1].1[name] == *value);
        assert!(has_it, "{args:?}: {}", heard[1].1);
    }
    for (name, said) in [
        ("twin", "may be /a/twin, /b/twin: write more of its path"),
        ("disk9", "the disks of this node: /mnt/disk1, /mnt/disk2, /a/twin, /b/twin"),
    ] {
        let (done, _) = Daemon::new(vec![disks()]).run(&["disk", "drain", name, "--yes"]);
        assert_eq!(done.status.code(), Some(4));
        assert!(text(&done.stderr).contains(said), "{}", text(&done.stderr));
    }
}

#[test]
fn following_goes_on_after_the_daemon_has_hung_up() {
    let turns = vec![
        ok(&migration("queued", "NEW", 0)),
        ok(&migration("copying", "WORKING", 300)),
        Turn::HangUp,
        ok(&migration("copying", "WORKING", 600)),
        ok(&migration("completed", "COMPLETE", 1000)),
    ];
    let (done, heard) = Daemon::new(turns).run(&["migrate", "15672", "--disk", "/d2", "--follow"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stdout).ends_with("migration 5, tablet 15672, /d1 -> /d2: completed\n"));
    assert!(text(&done.stderr).contains("waiting for it to come back"), "{}", text(&done.stderr));
    assert!(heard[1..].iter().all(|(line, _)| line == "GET /api/v1/migrations/5"), "{heard:?}");
}

#[test]
fn following_a_migration_that_fails_ends_with_one_and_its_reason() {
    let mut failed = migration("failed", "FAILED", 300);
    failed["error"] = json!({"code": "SOURCE_DAMAGED", "message": "a.dat: CRC-32 differs"});
    let (done, _) = Daemon::new(vec![ok(&failed)]).run(&["follow", "5"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("a.dat: CRC-32 differs (SOURCE_DAMAGED)"), "{}", text(&done.stderr));
}

#[test]
fn a_list_asks_for_what_was_said_and_tells_what_a_limit_left_out() {
    let list = json!({"total": 7, "data": [migration("copying", "WORKING", 300)]});
    let args = [
        "list", "--status", "copying", "--status", "queued", "--phase", "new", "--disk", "/d 1", "--limit",
        "1",
    ];
    let (done, heard) = Daemon::new(vec![ok(&list)]).run(&args);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert_eq!(heard[0].0, "GET /api/v1/migrations?limit=1&status=copying%2Cqueued&phase=NEW&disk=%2Fd%201");
    let shown = text(&done.stdout);
    assert!(shown.contains("15672") && shown.contains("300 B") && shown.contains("(1 of 7"), "{shown}");
}

#[test]
fn the_newest_migration_of_a_tablet_is_found_behind_full_pages() {
    let (mut first, mut second) = (migration("failed", "FAILED", 0), migration("copying", "WORKING", 1));
    first["id"] = 3.into();
    second["id"] = 8.into();
    let turns = vec![
        ok(&json!({"total": 2, "data": [first]})),
        ok(&json!({"total": 1, "data": [second.clone()]})),
        ok(&json!({"total": 0, "data": []})),
        ok(&second),
    ];
    let (done, heard) = Daemon::new(turns).run(&["status", "--tablet", "15672"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let asked: Vec<_> = heard.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(
        asked,
        [
            "GET /api/v1/migrations?tablet_id=15672",
            "GET /api/v1/migrations?tablet_id=15672&marker=3",
            "GET /api/v1/migrations?tablet_id=15672&marker=8",
            "GET /api/v1/migrations/8",
        ]
    );
    assert!(text(&done.stdout).contains("no O_DIRECT"), "{}", text(&done.stdout));
}

#[test]
fn a_purge_that_nobody_confirms_only_looks() {
    let item = json!({
        "disk": "/d1", "entry": "20240501120000.0", "tablet_id": 15672, "schema_hash": 7, "size_bytes": 10,
        "generation": 1, "moved_to": "/d2", "migration_id": 5, "retired_at": null, "kept_because": "due",
        "purged": true, "not_purged_because": null
    });
    let list = json!({"total": 1, "data": [item]});
    let (done, heard) = Daemon::new(vec![ok(&list)]).run(&["trash", "purge"]);
    assert_eq!(done.status.code(), Some(2));
    assert_eq!(heard[0].1, json!({"dry_run": true, "all": true}));

    let operation = |state: &str, done: bool| {
        json!({
            "id": 4, "kind": "purge_trash", "state": state, "subject": "trash", "tablet_id": null,
            "schema_hash": null, "generation": null, "requested_by": "ops", "note": "0 purged, 1 kept",
            "done_tablets": 1, "total_tablets": 1, "read_bytes": 0, "error": null,
            "items": [{
                "tablet_id": 15672, "schema_hash": 7, "disk": "/d1", "entry": "20240501120000.0", "size_bytes": 10,
                "done": done, "not_done_because": (!done).then_some("the live copy did not pass")
            }],
            "started_at": "2024-05-01T12:00:00Z", "finished_at": null
        })
    };
    for (done, exit) in [(false, 1), (true, 0)] {
        let turns = vec![ok(&list), ok(&operation("running", done)), ok(&operation("completed", done))];
        let (ended, heard) = Daemon::new(turns).run(&["trash", "purge", "--tablet", "15672", "--yes"]);
        assert_eq!(ended.status.code(), Some(exit), "{}", text(&ended.stderr));
        assert_eq!(text(&ended.stdout).contains("kept: the live copy did not pass"), !done);
        assert_eq!(heard[1].1, json!({"dry_run": false, "all": false, "tablet_id": 15672}));
        assert_eq!(heard[2].0, "GET /api/v1/operations/4", "it is followed to its end");
    }
}

#[test]
fn steering_sends_one_action_and_disks_are_named_in_the_body() {
    let (done, heard) = Daemon::new(vec![ok(&migration("paused", "WORKING", 300))]).run(&["pause", "5"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert_eq!(heard[0], ("POST /api/v1/migrations/5/action".to_owned(), json!({"pause": {}})));
    let refused = json!({"error_msg": "no disk /dx", "error_code": "DISK_NOT_FOUND"});
    let turns = vec![Turn::Answer(404, refused.to_string())];
    let (done, heard) = Daemon::new(turns).run(&["disk", "enable", "/dx"]);
    assert_eq!(done.status.code(), Some(4));
    assert_eq!(heard[0], ("POST /api/v1/disks/enable".to_owned(), json!({"path": "/dx"})));
}

#[test]
fn every_verb_of_migration_asks_for_what_its_name_says() {
    for (args, path, body) in [
        (&["run", "5", "data"][..], "run", json!({"step": "data"})),
        (&["cutover", "5"], "action", json!({"cutover": {}})),
        (&["force-complete", "5"], "action", json!({"force_complete": {}})),
        (&["extend", "5", "60"], "action", json!({"extend": {"seconds": 60}})),
        (&["revert", "5"], "action", json!({"revert": {}})),
        (&["settle", "5"], "action", json!({"settle": {}})),
        (&["limits", "5", "--rate", "2k"], "action", json!({"limits": {"rate_bytes_per_sec": 2048}})),
        (&["priority", "5", "high"], "action", json!({"priority": "high"})),
        (&["pause", "5"], "action", json!({"pause": {}})),
        (&["resume", "5"], "action", json!({"resume": {}})),
        (&["abort", "5"], "action", json!({"abort": {}})),
        (&["retry", "5"], "action", json!({"retry": {}})),
    ] {
        let args: Vec<_> = ["migration"].iter().chain(args).copied().collect();
        let (done, heard) = Daemon::new(vec![ok(&migration("queued", "NEW", 0))]).run(&args);
        assert_eq!(done.status.code(), Some(0), "{args:?}: {}", text(&done.stderr));
        assert_eq!(heard[0], (format!("POST /api/v1/migrations/5/{path}"), body), "{args:?}");
    }
}

#[test]
fn a_dry_run_shows_every_rule_and_ends_with_four_when_it_would_be_refused() {
    let answer = json!({
        "dry_run": true, "would_be_accepted": false, "dest_disk": "/d2",
        "error": {"code": "DISK_FULL", "message": "disk /d2: full"},
        "checks": [{"rule": "space", "allows": false, "detail": "95 % used", "plans_only": false}]
    });
    let args =
        ["migrate", "9", "--to-medium", "ssd", "--mode", "manual-cutover", "--rate", "1M", "--dry-run"];
    let (done, heard) = Daemon::new(vec![ok(&answer)]).run(&args);
    assert_eq!(done.status.code(), Some(4));
    let expected = json!({"tablet_id": 9, "dest_medium": "SSD", "mode": "manual_cutover", "priority": "normal",
        "rate_bytes_per_sec": 1_048_576, "dry_run": true});
    assert_eq!(heard[0].1, expected);
    assert!(text(&done.stdout).contains("95 % used"), "{}", text(&done.stdout));
    let done = tabletctl("", &["migrate", "9"]);
    assert_eq!(done.status.code(), Some(2), "neither a disk nor a medium");
}

#[test]
fn following_ends_at_a_gate_with_the_command_that_opens_it() {
    let mut waiting = migration("ready", "WORKING", 1000);
    waiting["next_steps"] = json!(["finalize", "abort"]);
    let (done, _) = Daemon::new(vec![ok(&waiting)]).run(&["migration", "follow", "5"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("tabletctl migration run 5 finalize"), "{}", text(&done.stdout));
    waiting["mode"] = json!("manual_cutover");
    let (done, _) = Daemon::new(vec![ok(&waiting)]).run(&["migration", "follow", "5"]);
    assert!(text(&done.stdout).contains("tabletctl migration cutover 5"), "{}", text(&done.stdout));
}

#[test]
fn a_tablet_is_asked_of_the_daemon_unless_a_root_is_named() {
    let tablet = json!({
        "tablet_id": 7, "schema_hash": 9, "partition_id": 3, "disk": "/d1", "shard_id": 7, "generation": 2,
        "size_bytes": 10, "file_count": 1, "migration_id": 5, "unavailable": null, "pinned": null, "damaged": null
    });
    let args = ["tablet", "show", "7", "--schema-hash", "9"];
    let (done, heard) = Daemon::new(vec![ok(&tablet)]).run(&args);
    assert_eq!(heard[0].0, "GET /api/v1/tablets/7?schema_hash=9");
    assert!(text(&done.stdout).contains("migration    5\n"), "{}", text(&done.stdout));
    let list = ok(&json!({"total": 1, "data": [tablet]}));
    let (done, heard) = Daemon::new(vec![list]).run(&["tablet", "list", "--marker", "6", "--limit", "1"]);
    assert_eq!(heard[0].0, "GET /api/v1/tablets?limit=1&marker=6");
    assert!(text(&done.stdout).contains("moved by migration 5"), "{}", text(&done.stdout));
    let rules = ok(&json!({"total": 0, "data": []}));
    let args = ["tablet", "explain", "7", "--disk", "/d2", "--schema-hash", "9"];
    let (_, heard) = Daemon::new(vec![rules]).run(&args);
    assert_eq!(heard[0].0, "GET /api/v1/tablets/7/explain?schema_hash=9&disk=%2Fd2");
}

#[test]
fn a_migration_is_asked_for_with_what_is_taken_for_granted() {
    let args =
        ["migration", "create", "9", "--disk", "/d2", "--expect-disk", "/d1", "--expect-generation", "4"];
    let (done, heard) = Daemon::new(vec![ok(&migration("queued", "NEW", 0))]).run(&args);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert_eq!(heard[0].1["precondition"], json!({"source_disk": "/d1", "generation": 4}));
}

#[test]
fn events_that_are_remembered_are_told_line_by_line() {
    let stream = "event: reset\ndata: {\"kind\":\"reset\",\"at\":\"2024-05-01T12:00:00.000Z\"}\n\n\
        id: 1-1\nevent: status\ndata: {\"kind\":\"status\",\"at\":\"2024-05-01T12:00:00.000Z\",\"migration_id\":5,\
        \"tablet_id\":7,\"status\":\"ready\",\"phase\":\"WORKING\",\"status_reason\":\"waits\"}\n\n\
        id: 1-2\nevent: step\ndata: {\"kind\":\"step\",\"at\":\"2024-05-01T12:00:01.000Z\",\"migration_id\":5,\
        \"tablet_id\":7,\"step\":\"data\",\"step_status\":\"done\"}\n\n";
    let (done, heard) = Daemon::new(vec![Turn::Answer(200, stream.to_owned())]).run(&["events"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert_eq!(heard[0].0, "GET /api/v1/events?follow=false");
    assert_eq!(
        text(&done.stdout),
        "2024-05-01T12:00:00.000Z migration 5 ready (waits)\n2024-05-01T12:00:01.000Z migration 5 step data done\n"
    );
}

#[test]
fn completions_are_scripts_that_ask_tabletctl_at_every_tab() {
    for shell in ["bash", "zsh", "fish"] {
        let done = tabletctl("", &["completions", shell]);
        assert_eq!(done.status.code(), Some(0), "{shell}");
        assert!(text(&done.stdout).contains("COMPLETE"), "{shell}");
    }
}

#[test]
fn man_pages_are_written_one_for_each_command() {
    let dir = tempfile::tempdir().unwrap();
    let done = tabletctl("", &["man", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    for page in
        ["tabletctl.8", "tabletctl-disk-drain.8", "tabletctl-task-follow.8", "tabletctl-tablet-verify.8"]
    {
        let written = std::fs::read_to_string(dir.path().join(page)).unwrap();
        for said in [".TH", r"\-\-token\-file", r"\-\-ca", r"\-\-json"] {
            assert!(written.contains(said), "{said} in {page}");
        }
    }
    let first = std::fs::read_to_string(dir.path().join("tabletctl.8")).unwrap();
    assert!(first.contains(".SH \"EXIT STATUS\"") && first.contains("TABLETD_TOKEN_FILE"), "{first}");
    let daemon = std::fs::read_to_string(dir.path().join("tabletd.8")).unwrap();
    assert!(daemon.contains(r"\-\-check\-config") && daemon.contains("NOTIFY_SOCKET"), "{daemon}");
    let configuration = std::fs::read_to_string(dir.path().join("be.conf.5")).unwrap();
    assert!(configuration.contains(r"\fBstorage_root_path") && configuration.contains(r"\fBhdd_write_slots"));
    let nowhere = dir.path().join("nowhere");
    let done = tabletctl("", &["man", "--dir", nowhere.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(1));
}

#[test]
fn deleting_a_task_is_asked_about_and_cancelling_a_drain_names_the_disk() {
    let task = json!({
        "id": 3, "name": "drain /d1", "kind": "drain", "request": {"kind": "drain", "disks": ["/d1"]},
        "status": "cancelled", "status_reason": "cancelled by an operator", "reason": "", "moves_total": 2,
        "moves_pending": 0, "moves_running": 0, "moves_completed": 1, "moves_failed": 0, "bytes_total": 10,
        "bytes_completed": 5, "failed": [], "created_at": "2024-05-01T12:00:00.000Z",
        "updated_at": "2024-05-01T12:00:00.000Z", "started_at": null, "finished_at": null
    });
    let (done, heard) = Daemon::new(vec![ok(&task)]).run(&["task", "delete", "3"]);
    assert_eq!(done.status.code(), Some(2), "nobody is there to be asked");
    assert_eq!(heard[0].0, "GET /api/v1/tasks/3");

    let (_, heard) = Daemon::new(vec![ok(&task)]).run(&["task", "pause", "3", "--disk", "/d1"]);
    assert_eq!(heard[0], ("POST /api/v1/tasks/3/action".to_owned(), json!({"pause": {"disks": ["/d1"]}})));
    let (_, heard) = Daemon::new(vec![ok(&task)]).run(&["task", "resume", "3"]);
    assert_eq!(heard[0].1, json!({"resume": {}}));

    let list = json!({"total": 1, "data": [task]});
    let (done, heard) = Daemon::new(vec![ok(&list)]).run(&["disk", "cancel-drain", "/d1"]);
    assert_eq!(heard[0], ("POST /api/v1/disks/cancel_drain".to_owned(), json!({"path": "/d1"})));
    assert!(text(&done.stdout).contains("cancelled, 1 of 2 moves done"), "{}", text(&done.stdout));
}

#[test]
fn disks_are_listed_by_their_noun_and_a_table_is_named_in_lists_and_plans() {
    let (_, heard) = Daemon::new(vec![ok(&json!({"total": 0, "data": []}))]).run(&["disk", "list"]);
    assert_eq!(heard[0].0, "GET /api/v1/disks");
    let tables = json!({"total": 1, "data": [{"table_id": 12, "tablet_count": 3, "tablet_bytes": 1024}]});
    let (done, heard) = Daemon::new(vec![ok(&tables)]).run(&["disk", "tables", "/d1"]);
    assert_eq!(heard[0].0, "GET /api/v1/tables?limit=100000&disk=%2Fd1");
    assert!(text(&done.stdout).contains("12        3  1.0 KiB"), "{}", text(&done.stdout));
    let (_, heard) =
        Daemon::new(vec![ok(&json!({"total": 0, "data": []}))]).run(&["tablets", "--table", "12"]);
    assert_eq!(heard[0].0, "GET /api/v1/tablets?limit=1000&table_id=12");
    let refused =
        Turn::Answer(409, json!({"error_msg": "no tablet", "error_code": "PLAN_REFUSED"}).to_string());
    let (done, heard) =
        Daemon::new(vec![refused]).run(&["task", "move", "--table", "12", "--table", "0", "--to", "/d2"]);
    assert_eq!(done.status.code(), Some(4));
    assert_eq!(heard[0].1["request"]["select"], json!({"tables": [12, 0]}));
}

#[test]
fn without_a_migration_status_shows_the_node_and_with_json_its_answer() {
    let totals = json!({"accepted": 0, "started": 0, "completed": 0, "failed": 0, "aborted": 0, "retried": 0,
        "refused": {}, "copied_bytes": 0, "verified_bytes": 0, "throttled_ms": 0, "steps": [], "quarantined": 0, "purged": 0});
    let status = json!({"version": "1.2.3", "uptime_seconds": 7, "disks": {}, "tablets": 5, "tablets_unavailable": 0,
        "queued": 1, "running": 2, "totals": totals});
    let none = json!({"total": 0, "data": []});
    let (done, heard) =
        Daemon::new(vec![ok(&status), ok(&none), ok(&none), ok(&none), ok(&none)]).run(&["status"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let said = text(&done.stdout);
    assert!(said.starts_with("tabletd 1.2.3, up 7 seconds: nothing is wrong\n"), "{said}");
    assert!(!said.contains('\x1b'), "colours are for terminals: {said}");
    assert_eq!(heard[0].0, "GET /api/v1/status");
    let (done, _) = Daemon::new(vec![ok(&status)]).run(&["--json", "status"]);
    assert_eq!(text(&done.stdout), format!("{status}\n"));
}
