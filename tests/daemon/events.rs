//! The streams of events: in order, resumable, ended by a final status; and nobody waits for whoever listens.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Daemon, Node};

struct Stream(BufReader<Box<dyn Read + Send>>);

impl Stream {
    fn open(daemon: &Daemon, path: &str, last_id: Option<&str>) -> Self {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60))).build().into();
        let mut get = agent.get(daemon.url(path));
        if let Some(id) = last_id {
            get = get.header("Last-Event-ID", id);
        }
        let answer = get.call().expect("a stream");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self(BufReader::new(Box::new(answer.into_body().into_reader())))
    }

    /// The next event with its id; `None` when the stream has ended.
    fn next(&mut self) -> Option<(String, Value)> {
        let (mut id, mut data) = (String::new(), Value::Null);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).expect("a stream that is open or ended") == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", text)) => id = text.to_owned(),
                Some(("data", text)) => data = serde_json::from_str(text).expect("JSON"),
                None if data != Value::Null => return Some((id, data)),
                _ => {}
            }
        }
    }

    fn rest(mut self) -> Vec<(String, Value)> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

#[test]
fn a_migrations_events_tell_its_way_in_order_end_with_it_and_can_be_resumed() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[100_000]);
    let daemon = node.start();
    let body = json!({"tablet_id": 7, "dest_disk": node.disk(1), "mode": "stepwise"});
    assert_eq!(daemon.send("/api/v1/migrations", &[], &body).0, 201);
    daemon.wait_for(1, &["preflight_passed"]);
    let mut stream = Stream::open(&daemon, "/api/v1/migrations/1/events?pretty=true", None);
    assert_eq!(stream.next().expect("how it stands").1["status"], "preflight_passed");
    daemon.act(1, &json!({"force_complete": null}));
    let told = stream.rest();
    let statuses: Vec<_> = told.iter().filter_map(|(_, event)| event["status"].as_str()).collect();
    let way = [
        "queued",
        "preflight",
        "preflight_passed",
        "prepared",
        "copying",
        "ready",
        "finalizing",
        "completed",
    ];
    assert_eq!(statuses, way, "{told:#?}");
    let steps: Vec<_> = told
        .iter()
        .filter(|(_, event)| event["kind"] == "step" && event["step_status"] == "done")
        .map(|(_, event)| event["step"].as_str().expect("a step"))
        .collect();
    assert_eq!(steps, ["preflight", "prepare", "data", "finalize"]);
    assert_eq!(told.last().expect("an end").1["phase"], "COMPLETE");
    // All of it again from the middle, by way of everybody's stream.
    let middle = told.len() / 2;
    let mut again = Stream::open(&daemon, "/api/v1/events?follow=false", Some(&told[middle].0));
    for expected in &told[middle + 1..] {
        assert_eq!(again.next().as_ref(), Some(expected));
    }
    assert_eq!(again.next(), None);
    // An ended one says so and ends.
    let over = Stream::open(&daemon, "/api/v1/migrations/1/events", None).rest();
    assert_eq!((over.len(), &over[0].1["status"]), (1, &json!("completed")));
    daemon.kill();
    let daemon = node.start();
    // What another run of the daemon said is not known any more: the reader is told, and how it stands.
    let mut broken = Stream::open(&daemon, "/api/v1/events", Some(&told[middle].0));
    assert_eq!(broken.next().expect("a word").1["kind"], "reset");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_client_that_reads_nothing_holds_up_no_migration_and_no_stop() {
    let mut node = Node::new(2);
    let keys: Vec<_> = (1..=40).map(|id| node.add_tablet(0, id, &[2000, 3000])).collect();
    let daemon = node.start();
    let _idle: Vec<_> = (0..5).map(|_| Stream::open(&daemon, "/api/v1/events", None)).collect();
    for key in keys {
        daemon.accept(key, &node.disk(1));
    }
    daemon.wait_until_idle();
    let began = Instant::now();
    daemon.stop();
    assert!(began.elapsed() < Duration::from_secs(10), "the streams held up the stop: {:?}", began.elapsed());
    assert!(node.assert_whole().values().all(|root| *root == 1));
}

#[test]
fn progress_is_told_at_most_once_per_second() {
    let mut node = Node::new(2);
    node.settings = "disk_rate_limit_bytes_per_sec = 2000000".to_owned();
    let key = node.add_tablet(0, 7, &[1_000_000; 8]);
    let daemon = node.start();
    let began = Instant::now();
    let id = daemon.accept(key, &node.disk(1));
    let told = Stream::open(&daemon, &format!("/api/v1/migrations/{id}/events"), None).rest();
    let seconds = began.elapsed().as_secs();
    let progress: Vec<_> = told
        .iter()
        .filter(|(_, event)| event["kind"] == "progress")
        .map(|(_, event)| event["disk_processed_bytes"].as_u64().expect("bytes"))
        .collect();
    assert!((1..=seconds + 1).contains(&(progress.len() as u64)), "{progress:?} in {seconds} s");
    assert!(progress.is_sorted(), "{progress:?}");
    assert_eq!(told.last().expect("an end").1["status"], "completed");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}
