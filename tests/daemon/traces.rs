//! Traces by OTLP: a collector in the test hears one trace of each migration, through restarts, and nobody waits for it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;

use crate::harness::Node;
use crate::harness::daemon::{Daemon, PATIENCE};

/// What one request had: its head, and what it carried.
type Heard = (String, ExportTraceServiceRequest);

/// Takes traces on a port of its own, until the test ends.
fn collector() -> (String, Receiver<Heard>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    (address, listen(listener))
}

fn listen(listener: TcpListener) -> Receiver<Heard> {
    let (tell, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            while let Some(request) = read_request(&mut reader) {
                let answer =
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
                if tell.send(request).is_err() || reader.get_mut().write_all(answer).is_err() {
                    break;
                }
            }
        }
    });
    heard
}

fn read_request(reader: &mut impl BufRead) -> Option<Heard> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.to_ascii_lowercase().lines().find_map(|line| {
        line.strip_prefix("content-length:").and_then(|value| value.trim().parse::<usize>().ok())
    });
    let mut body = vec![0; length.expect("a length")];
    reader.read_exact(&mut body).ok()?;
    Some((head, ExportTraceServiceRequest::decode(body.as_slice()).expect("OTLP in protobuf")))
}

/// All spans of the next request, and what it says of their origin.
fn next(heard: &Receiver<Heard>) -> (Vec<Span>, String) {
    let (head, request) = heard.recv_timeout(PATIENCE).expect("traces within a minute");
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    assert!(head.to_ascii_lowercase().contains("content-type: application/x-protobuf"), "{head}");
    let [from] = request.resource_spans.try_into().expect("of one origin");
    let resource = format!("{:?}", from.resource);
    (from.scope_spans.into_iter().flat_map(|scope| scope.spans).collect(), resource)
}

fn move_to(daemon: &Daemon, tablet: i64, disk: &str, mode: &str) -> u64 {
    let body = json!({"tablet_id": tablet, "dest_disk": disk, "mode": mode, "reason": "traced"});
    daemon.post("/api/v1/migrations", &body)["id"].as_u64().expect("accepted")
}

fn becomes(daemon: &Daemon, id: u64, status: &str) {
    let path = format!("/api/v1/migrations/{id}");
    assert!(daemon.becomes(|| daemon.get(&path)["status"] == status), "{:#}", daemon.get(&path));
}

#[test]
fn a_migration_is_one_trace_with_its_steps_through_a_restart() {
    let mut node = Node::new(2);
    node.add_tablet(0, 10, &[100_000, 1]);
    let (address, heard) = collector();
    node.settings = format!("otlp_endpoint = {address}\n");
    let daemon = node.start();
    let id = move_to(&daemon, 10, &node.disk(1), "manual_cutover");
    becomes(&daemon, id, "ready");
    daemon.stop();
    let daemon = node.start();
    becomes(&daemon, id, "ready");
    daemon.post(&format!("/api/v1/migrations/{id}/action"), &json!({"cutover": {}}));
    becomes(&daemon, id, "completed");

    let (spans, resource) = next(&heard);
    assert!(resource.contains("tabletd") && resource.contains(env!("CARGO_PKG_VERSION")), "{resource}");
    let (migrations, steps): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.parent_span_id.is_empty());
    let [migration] = migrations.as_slice() else { panic!("{} roots", migrations.len()) };
    assert_eq!(migration.name, "migration");
    for (key, value) in [("tabletd.migration.id", id.to_string()), ("tabletd.tablet.id", "10".to_owned())] {
        let has_it = |one: &&opentelemetry_proto::tonic::common::v1::KeyValue| one.key == key;
        let found = format!("{:?}", migration.attributes.iter().find(has_it));
        assert!(found.contains(&format!("IntValue({value})")), "{key}: {found}");
    }
    let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
    for name in ["preflight", "prepare", "data", "finalize"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    for step in &steps {
        assert_eq!((&step.trace_id, &step.parent_span_id), (&migration.trace_id, &migration.span_id));
        assert!(step.start_time_unix_nano >= migration.start_time_unix_nano);
        assert!(step.end_time_unix_nano <= migration.end_time_unix_nano, "{step:?} in {migration:?}");
    }
}

#[test]
fn an_abort_is_a_trace_that_says_why_and_a_stop_waits_for_no_collector() {
    let mut node = Node::new(2);
    node.add_tablet(0, 10, &[1000]);
    let (address, heard) = collector();
    node.settings = format!("otlp_endpoint = {address}\n");
    let daemon = node.start();
    let id = move_to(&daemon, 10, &node.disk(1), "manual_cutover");
    becomes(&daemon, id, "ready");
    daemon.post(&format!("/api/v1/migrations/{id}/action"), &json!({"abort": {}}));
    becomes(&daemon, id, "aborted");
    let (spans, _) = next(&heard);
    let status = spans[0].status.as_ref().expect("a status");
    assert_eq!(status.code, 2, "an error: {status:?}");
    assert!(spans.iter().any(|span| span.name == "abort"), "{spans:?}");
    daemon.stop();

    // A collector that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    node.settings = format!("otlp_endpoint = http://{}\n", silent.local_addr().expect("bound"));
    let daemon = node.start();
    for to in [1, 0, 1] {
        let id = move_to(&daemon, 10, &node.disk(to), "auto");
        becomes(&daemon, id, "completed");
    }
    assert!(daemon.becomes(|| daemon.said().contains("traces cannot be sent, and are kept for a while")));
    daemon.stop();
}

#[test]
fn a_collector_that_comes_late_hears_what_was_kept() {
    let mut node = Node::new(2);
    node.add_tablet(0, 10, &[1000]);
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    node.settings = format!("otlp_endpoint = http://127.0.0.1:{port}/\n");
    let daemon = node.start();
    let id = move_to(&daemon, 10, &node.disk(1), "auto");
    becomes(&daemon, id, "completed");
    assert!(daemon.becomes(|| daemon.said().contains("traces cannot be sent")), "{}", daemon.said());
    let heard = listen(TcpListener::bind(("127.0.0.1", port)).expect("the port is still free"));
    let (spans, _) = next(&heard);
    assert_eq!(spans[0].name, "migration");
    assert!(
        daemon.becomes(|| daemon.said().contains("traces are sent again; 0 were lost")),
        "{}",
        daemon.said()
    );
}
