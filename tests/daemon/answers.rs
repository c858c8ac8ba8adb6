//! Answers that would mislead: what is looked at before a start, what a start finds, and what is repeated to whom.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::harness::Node;
use crate::harness::tabletctl::tabletctl;

/// Exit status and words of `--check-config`.
fn checked(node: &Node) -> (Option<i32>, String) {
    let done =
        node.command().arg("--check-config").stdout(Stdio::piped()).output().expect("the daemon's binary");
    (done.status.code(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

#[test]
fn a_known_disk_that_is_not_mounted_is_named_before_the_start() {
    let mut node = Node::new(2);
    node.add_tablet(0, 10, &[100]);
    node.add_tablet(1, 11, &[100]);
    assert_eq!(checked(&node).0, Some(0), "nothing is known yet");
    node.start().stop();
    assert_eq!(checked(&node).0, Some(0), "{:?}", checked(&node));
    // What is left at a mount point when the disk is away.
    fs::rename(&node.roots[1], node.dir.path().join("away")).expect("a disk that goes");
    fs::create_dir(&node.roots[1]).expect("a mount point");
    let (status, said) = checked(&node);
    assert_eq!(status, Some(2), "{said}");
    let path = node.disk(1);
    assert!(said.contains(&path) && said.contains("it is not mounted"), "{said}");
    assert!(said.contains("disk forget") && !said.contains("no problem"), "{said}");
    node.settings = "ignore_broken_disk = true".to_owned();
    let (status, said) = checked(&node);
    assert!(status == Some(0) && said.contains("note: ") && said.contains("it is not mounted"), "{said}");
    // Another disk than the one that belongs there.
    fs::remove_dir(&node.roots[1]).expect("an empty directory");
    super::harness::make_root(&node.roots[1]);
    let (_, said) = checked(&node);
    assert!(said.contains("mount that one"), "{said}");
}

#[test]
fn a_file_where_a_folder_is_to_be_is_named_by_the_check_and_by_the_start() {
    for (key, part) in [("audit_log_file", "taken/log/audit.log"), ("state_dir", "taken/state")] {
        let mut node = Node::new(1);
        let taken = node.dir.path().join("taken");
        fs::write(&taken, "a file").expect("a file");
        node.settings = format!("{key} = {}", node.dir.path().join(part).display());
        let start = node.try_start().err().expect("it does not start");
        for said in [checked(&node).1, start] {
            let names_it = said.contains(&format!("{} is not a directory", taken.display()));
            assert!(names_it && !said.contains("os error"), "{key}: {said}");
        }
    }
}

#[test]
fn used_disks_that_meet_a_new_state_dir_are_a_warning_that_nobody_needs_a_token() {
    let mut node = Node::new(1);
    node.add_tablet(0, 10, &[100]);
    let state = node.dir.path().join("state");
    node.start().stop();
    fs::remove_dir_all(&state).expect("a state directory");
    let daemon = node.start();
    assert!(daemon.becomes(|| daemon.said().contains("nobody needs one now")), "{}", daemon.said());
    let said = daemon.said();
    let line = said.lines().find(|line| line.contains("nobody needs one now")).expect("a line");
    assert!(line.contains(" WARN ") && line.contains(&state.display().to_string()), "{line}");
    daemon.stop();
}

#[test]
fn the_first_token_says_who_is_locked_out_and_until_when_it_lives() {
    let node = Node::new(1);
    node.start().stop();
    let conf = node.dir.path().join("be.conf");
    let create = |name: &str, expires: &str| {
        let mut command = tabletctl(&[]);
        command.args(["token", "create", name, "--role", "admin", "--expires", expires, "--conf"]).arg(&conf);
        String::from_utf8(command.output().expect("tabletctl").stderr).expect("text")
    };
    let first = create("ops", "90d");
    assert!(first.contains("locked out") && first.contains("metrics_without_credentials"), "{first}");
    assert!(first.contains("good until 20"), "a date: {first}");
    let second = create("more", "never");
    assert!(!second.contains("locked out") && second.contains("good until it is revoked"), "{second}");
}

#[test]
fn what_is_long_is_cut_in_the_answer_the_log_and_the_audit() {
    let mut node = Node::new(2);
    node.add_tablet(0, 10, &[100]);
    let daemon = node.start();
    let long = format!("/{}", "x".repeat(900_000));
    let (status, answer) = daemon.send(
        "/api/v1/migrations",
        &[("X-Reason", &long[..2_000])],
        &json!({"tablet_id": 10, "dest_disk": long}),
    );
    let text = answer.to_string();
    assert!(
        status == 404 && text.len() < 10_000 && text.contains("cut, 900001 bytes in all"),
        "{status} {text:.300}"
    );
    let (status, accepted) = daemon.send(
        "/api/v1/migrations",
        &[],
        &json!({"tablet_id": 10, "dest_disk": node.disk(1), "reason": long}),
    );
    assert!(status == 201 && accepted.to_string().len() < 20_000, "{status} {accepted:.300}");
    daemon.wait_until_idle();
    let said = daemon.said();
    daemon.stop();
    let audit = fs::read_to_string(node.dir.path().join("log/audit.log")).expect("an audit log");
    for line in said.lines().chain(audit.lines()) {
        assert!(line.len() < 20_000, "{} bytes in a line: {line:.300}", line.len());
    }
    assert_eq!(audit.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 2);
}

/// Ends within seconds, or it is killed and that is a failure.
fn in_time(mut command: Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tabletctl");
    let deadline = Instant::now() + Duration::from_secs(30);
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it waits for a pipe that nobody writes to");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("its output")
}

#[test]
fn a_pipe_that_nobody_writes_to_holds_up_no_command() {
    let mut node = Node::new(1);
    node.add_tablet(0, 10, &[100]);
    let daemon = node.start();
    let at = |name: &str| node.dir.path().join(name);
    let pipe = at("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    fs::create_dir(at("files")).expect("a directory");
    fs::write(at("files/0200_0.dat"), "x").expect("a file");
    let command = |args: &[&str]| {
        let mut command = tabletctl(args);
        command.arg(&pipe);
        command
    };
    let (fresh, files, url) = (at("fresh"), at("files"), daemon.url(""));
    let (fresh, files) = (fresh.display().to_string(), files.display().to_string());
    fs::create_dir(&fresh).expect("a directory");
    let adopt = in_time(command(&["--addr", &url, "tablet", "adopt", &files, "--header"]));
    let import = in_time(command(&["tablet", "import", &files, "--root", &fresh, "--header"]));
    for done in [adopt, import] {
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && said.contains("a pipe that nobody writes to"), "{said}");
    }
    let batch = in_time(command(&["tablet", "import", "--root", &fresh, "--batch"]));
    let report: Value = serde_json::from_slice(&batch.stdout).expect("a report");
    assert_eq!(report["imported"], 0);
    // One that somebody writes to is read.
    let shell = format!(
        "exec {} tablet import --root {fresh} --batch <(echo '{{\"dir\": \"{files}\", \"tablet_id\": 5, \"schema_hash\": 6}}')",
        env!("CARGO_BIN_EXE_tabletctl")
    );
    let mut command = Command::new("/bin/bash");
    command.args(["-c", &shell]);
    let report: Value = serde_json::from_slice(&in_time(command).stdout).expect("a report");
    assert_eq!(report["imported"], 1, "{report}");
    daemon.stop();
}

#[test]
fn what_has_ended_is_remembered_as_long_as_the_configuration_says() {
    let mut node = Node::new(2);
    let keys: Vec<_> = (10..34).map(|id| node.add_tablet(0, id, &[100])).collect();
    node.settings = "finished_migration_tasks_size = 2".to_owned();
    let daemon = node.start();
    for key in &keys {
        daemon.accept(*key, &node.disk(1));
        daemon.wait_until_idle();
    }
    let total = || daemon.get("/api/v1/migrations?limit=1")["total"].as_u64();
    assert!(daemon.becomes(|| total() == Some(20)), "ten times as many in the journal: {:?}", total());
    daemon.stop();
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/migrations?limit=1")["total"], 20);
    daemon.stop();
}

#[test]
fn a_slash_at_the_end_of_a_path_names_the_same_disk_wherever_it_is_asked_of() {
    let mut node = Node::new(2);
    let keys: Vec<_> = (10..13).map(|id| node.add_tablet(0, id, &[100])).collect();
    let daemon = node.start();
    let (source, destination) = (node.disk(0), node.disk(1) + "/");
    assert_eq!(daemon.get(&format!("/api/v1/tablets?disk={source}//"))["total"], 3);
    // In the documented dialect, in one of a release, by the job API and as a task.
    daemon.accept(keys[0], &destination);
    daemon.wait_until_idle();
    daemon.post("/api/update_config?tablet_migration_dialect=3.0", &json!({}));
    let raw = format!("goal=run&tablet_id=11&schema_hash={}&disk={destination}", keys[1].schema_hash);
    let answer = daemon.get(&format!("/api/tablet_migration?{raw}"));
    assert_eq!(answer["status"], "Success", "{answer:#}");
    let limit = json!({"path": destination, "rate_bytes_per_sec": 50_000_000});
    assert_eq!(daemon.send("/api/v1/disks/limits", &[], &limit).0, 200);
    daemon.wait_until_idle();
    let request = json!({
        "name": "slash", "dry_run": true,
        "request": {"kind": "move", "select": {"disks": [source.clone() + "/"]}, "to": {"disks": [destination]}},
    });
    let (status, plan) = daemon.send("/api/v1/tasks", &[], &request);
    assert!(
        status < 300 && plan["plan"]["moves"].as_array().is_some_and(|moves| moves.len() == 1),
        "{plan:#}"
    );
    // What is tried finds what is done.
    for dry_run in [true, false] {
        let purge = json!({"disk": source.clone() + "/", "dry_run": dry_run});
        let (status, purged) = daemon.send("/api/v1/trash/purge", &[], &purge);
        assert!(status < 300, "{purge}: {purged:#}");
    }
    let moved = daemon.get(&format!("/api/v1/migrations?dest_disk={destination}"));
    assert_eq!(moved["total"], 2, "{moved:#}");
    let limited = daemon.get("/api/show_config?conf_item=disk_rate_limit_overrides");
    assert_eq!(limited[0][2], format!("{}:50000000", node.disk(1)), "{limited}");
    daemon.stop();
}

#[test]
fn a_refusal_helps_in_the_words_of_the_tool_that_asked() {
    let mut node = Node::new(2);
    node.add_tablet(0, 10, &[1000]);
    let daemon = node.start();
    for (route, body, args) in [
        ("/api/v1/disks/forget", json!({"path": node.disk(0)}), &["disk", "forget", "disk0", "--yes"][..]),
        (
            "/api/v1/disks/forget",
            json!({"path": node.disk(0), "lost": true, "dry_run": true}),
            &["disk", "forget", "disk0", "--lost", "--dry-run"],
        ),
    ] {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.post(daemon.url(route)).send_json(&body).expect("an answer");
        let refused: Value = answer.body_mut().read_json().expect("JSON");
        assert!(
            refused["hint"].as_str().is_some_and(|hint| hint.contains("POST /api/v1/tasks")),
            "{refused}"
        );
        let done = Command::new(assert_cmd::cargo::cargo_bin!("tabletctl"))
            .args(args)
            .env("TABLETD_ADDR", daemon.url(""))
            .output()
            .expect("tabletctl");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(4), "{said}");
        assert!(said.contains("tabletctl disk drain") && !said.contains("/api/"), "{said}");
    }
}
