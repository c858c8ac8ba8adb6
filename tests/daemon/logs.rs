//! The daemon's log and its audit log: nobody waits for them, nobody dies of them, and nothing forges a line.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use serde_json::json;

use crate::harness::Node;
use crate::harness::daemon::{Daemon, PATIENCE};
use crate::harness::mounts::Image;

fn url_in(line: &str) -> Option<String> {
    let (_, url) = line.split_once("listening on ")?;
    url.split_whitespace().next().map(str::to_owned)
}

/// Starts the daemon with its log in a file, as `start_be.sh --daemon` does.
fn start_with_log_in(node: &Node, log: &Path) -> Daemon {
    let file = File::options().create(true).append(true).open(log).expect("a log");
    let child = node.command().stderr(Stdio::from(file)).spawn().expect("the daemon's binary");
    let url_so_far = || fs::read_to_string(log).expect("a log").lines().find_map(url_in);
    let deadline = Instant::now() + PATIENCE;
    let mut url = None;
    while url.is_none() && Instant::now() < deadline {
        std::thread::yield_now();
        url = url_so_far();
    }
    Daemon::of(child, url.unwrap_or_else(|| "nowhere: it did not start".to_owned()))
}

fn dropped(daemon: &Daemon) -> f64 {
    let metrics = daemon.get_text("/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix("tabletd_log_lines_dropped_total "));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().expect("a number")
}

/// Moves a tablet to and fro, and asks for what cannot be.
fn work(daemon: &Daemon, node: &Node, tablet: i64) {
    for to in [1, 0] {
        let body = json!({"tablet_id": tablet, "dest_disk": node.disk(to)});
        let id = daemon.post("/api/v1/migrations", &body)["id"].as_u64().expect("accepted");
        let path = format!("/api/v1/migrations/{id}");
        assert!(daemon.becomes(|| daemon.get(&path)["status"] == "completed"), "{:#}", daemon.get(&path));
    }
    assert_eq!(daemon.get("/api/health")["status"], "OK");
}

#[test]
fn a_full_disk_behind_both_logs_costs_lines_and_nothing_else() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 10, &[100_000]);
    let Some(disk) = Image::ext4(node.dir.path(), "logs", 8 << 20) else { return };
    let log = disk.path().join("be.out");
    node.settings = format!("audit_log_file = {}\n", disk.path().join("audit.log").display());
    let daemon = start_with_log_in(&node, &log);
    let ballast = disk.path().join("ballast");
    let mut file = File::create(&ballast).expect("an inode");
    for bytes in [1 << 20, 4096, 1] {
        let block = vec![b'x'; bytes];
        while file.write_all(&block).and_then(|()| file.sync_data()).is_ok() {}
    }
    // The last block of each log takes some lines yet.
    let worked = daemon.becomes(|| {
        work(&daemon, &node, key.tablet_id.0);
        dropped(&daemon) > 0.0
    });
    assert!(worked, "no line was dropped on a full disk");
    drop(file);
    fs::remove_file(&ballast).expect("a file");
    let is_told = || {
        work(&daemon, &node, key.tablet_id.0);
        fs::read_to_string(&log).expect("a log").contains("lines of this log were dropped")
    };
    assert!(daemon.becomes(is_told), "the log does not say what it lost");
}

#[test]
fn a_closed_pipe_behind_the_log_costs_lines_and_nothing_else() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 10, &[100_000]);
    let mut child = node.command().stderr(Stdio::piped()).spawn().expect("the daemon's binary");
    let mut pipe = BufReader::new(child.stderr.take().expect("piped")).lines();
    let url = pipe.find_map(|line| url_in(&line.expect("text"))).expect("it starts");
    drop(pipe);
    let daemon = Daemon::of(child, url);
    work(&daemon, &node, key.tablet_id.0);
    assert!(daemon.becomes(|| dropped(&daemon) > 0.0), "no line was dropped on a closed pipe");
}

#[test]
fn a_journal_behind_the_log_is_given_priorities_and_no_second_time() {
    use std::os::unix::fs::MetadataExt as _;
    let mut node = Node::new(1);
    node.add_tablet(0, 10, &[1000]);
    let (read, write) = std::io::pipe().expect("a pipe");
    let stream = File::from(std::os::fd::OwnedFd::from(write));
    let at = stream.metadata().expect("a pipe");
    let mut command = node.command();
    command.env("JOURNAL_STREAM", format!("{}:{}", at.dev(), at.ino())).stderr(Stdio::from(stream));
    let child = command.spawn().expect("the daemon's binary");
    drop(command);
    let mut lines = BufReader::new(read).lines().map(|line| line.expect("text"));
    let mut said = Vec::new();
    let url = loop {
        said.push(lines.next().expect("it starts"));
        if let Some(url) = said.last().and_then(|line| url_in(line)) {
            break url;
        }
    };
    assert!(
        said.iter().all(|line| ["<3>", "<4>", "<6>"].iter().any(|mark| line.starts_with(mark))),
        "{said:?}"
    );
    let listening = said.last().expect("a line");
    assert!(listening.starts_with("<6>tabletd") && !listening.contains("INFO"), "{listening}");
    Daemon::of(child, url).stop();
}

#[test]
fn the_level_changes_at_run_time_and_nothing_forges_a_line() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 10, &[1000]);
    let daemon = node.start();
    let set = |level: &str| daemon.post(&format!("/api/update_config?sys_log_level={level}"), &json!(null));
    assert_eq!(set("ERROR")[0]["status"], "OK");
    assert!(daemon.becomes(|| daemon.said().contains("sys_log_level = ERROR from now on")));
    let before = daemon.said().lines().count();
    work(&daemon, &node, key.tablet_id.0);
    assert_eq!(daemon.said().lines().count(), before, "{}", daemon.said());
    assert_eq!(set("LOUD")[0]["status"], "BAD");
    assert_eq!(set("DEBUG")[0]["status"], "OK");
    let reason = "tidy\n2026-01-01T00:00:00.000000Z ERROR tabletd: forged";
    let body = json!({"tablet_id": 10, "dest_disk": node.disk(1), "reason": reason});
    daemon.post("/api/v1/migrations", &body);
    assert!(daemon.becomes(|| daemon.said().lines().count() > before));
    let said = daemon.said();
    assert!(!said.lines().any(|line| line.starts_with("2026-01-01T00:00:00")), "{said}");
}

#[test]
fn a_log_of_json_goes_to_a_file_that_rolls_and_a_request_is_found_in_all_three() {
    let mut node = Node::new(1);
    node.add_tablet(0, 10, &[1000]);
    let log = node.dir.path().join("log/tabletd.log");
    node.settings = format!(
        "log_format = json\nlog_file = {}\nlog_max_bytes = 4096\nlog_keep_files = 2\n",
        log.display()
    );
    // Its first lines are the only ones on standard error: where it listens is in the file.
    let child = node.command().spawn().expect("the daemon's binary");
    let objects = || -> Vec<serde_json::Value> {
        let text = ["log/tabletd.log.1", "log/tabletd.log"]
            .map(|name| fs::read_to_string(node.dir.path().join(name)).unwrap_or_default());
        text.concat().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    };
    let deadline = Instant::now() + PATIENCE;
    let url = loop {
        let listening = objects().iter().find_map(|line| url_in(line["message"].as_str()?));
        match listening {
            Some(url) => break url,
            None => assert!(Instant::now() < deadline, "{:?}", objects()),
        }
        std::thread::yield_now();
    };
    let daemon = Daemon::of(child, url);
    let path = "/api/v1/tablets/10/pin";
    let answer = ureq::post(daemon.url(path)).header("X-Request-Id", "night-shift-7").send_json(json!({}));
    let answer = answer.expect("an answer");
    assert_eq!(answer.headers().get("x-request-id").and_then(|id| id.to_str().ok()), Some("night-shift-7"));
    let forged =
        ureq::post(daemon.url(path)).header("X-Request-Id", "a b").send_json(json!({})).expect("an answer");
    let id = forged.headers().get("x-request-id").and_then(|id| id.to_str().ok()).expect("an id").to_owned();
    assert!(!id.contains(' ') && id.len() > 20, "{id}");
    for id in ["night-shift-7", &id] {
        assert!(daemon.becomes(|| objects().iter().any(|line| line["request_id"] == id)), "{:?}", objects());
        let audit = || fs::read_to_string(node.dir.path().join("log/audit.log")).unwrap_or_default();
        assert!(daemon.becomes(|| audit().contains(&format!("\"request_id\":\"{id}\""))), "{}", audit());
    }
    for _ in 0..60 {
        daemon.post(path, &json!({}));
    }
    let aside = log.with_extension("log.2");
    assert!(daemon.becomes(|| aside.exists()), "nothing was put aside twice");
    daemon.stop();
}
