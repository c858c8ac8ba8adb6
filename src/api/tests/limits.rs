//! What the service survives: slow clients, large requests, hung disks, too many connections, a stop.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::http::{Reply, limits, start, start_with};
use super::sample;
use crate::api::{Limits, Stopped};
use crate::model::TabletKey;

fn reads_to_the_end(stream: &mut std::net::TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

fn short(header_read_timeout_ms: u64, request_timeout_ms: u64) -> Limits {
    Limits {
        header_read_timeout: Duration::from_millis(header_read_timeout_ms),
        request_timeout: Duration::from_millis(request_timeout_ms),
        ..limits()
    }
}

#[test]
fn a_client_that_never_ends_its_head_is_closed() {
    let server = start_with(short(100, 30_000));
    let mut slow = server.connect();
    slow.write_all(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    let answer = reads_to_the_end(&mut slow);
    assert!(!String::from_utf8_lossy(&answer).contains("To Be Added"));
    let mut idle = server.connect();
    assert_eq!(reads_to_the_end(&mut idle), b"", "nor may one say nothing at all");
}

#[test]
fn a_connection_is_kept_for_the_next_request_and_not_for_long() {
    let server = start_with(short(1_000, 30_000));
    let mut stream = server.connect();
    let request = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut first = [0; 20];
    stream.read_exact(&mut first).unwrap();
    stream.write_all(request).unwrap();
    let rest = String::from_utf8(reads_to_the_end(&mut stream)).unwrap();
    assert_eq!(rest.matches("To Be Added").count(), 2, "{rest}");
}

#[test]
fn a_body_that_does_not_arrive_is_answered_for() {
    let server = start_with(short(5_000, 200));
    let mut stream = server.connect();
    stream
        .write_all(b"POST /api/v1/trash/purge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{")
        .unwrap();
    let reply = Reply::read(&mut stream);
    assert_eq!((reply.status, &reply.json()["error_code"]), (503, &"TIMED_OUT".into()));
}

#[test]
fn a_head_or_a_body_above_its_limit_is_refused() {
    let server = start_with(Limits { header_bytes: 8192, body_bytes: 1024, ..limits() });
    let long = format!("GET /api/health?x={} HTTP/1.1\r\nHost: localhost\r\n\r\n", "y".repeat(20_000));
    assert!(matches!(server.send(&long).status, 414 | 431));
    let large = format!("{{\"path\":\"{}\"}}", "z".repeat(2000));
    let reply = server.post("/api/v1/disks/enable", &large);
    assert_eq!((reply.status, &reply.json()["error_code"]), (413, &"PAYLOAD_TOO_LARGE".into()));
    let chunked = format!(
        "POST /api/v1/disks/enable HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        large.len()
    );
    let reply = server.send(&chunked);
    assert_eq!((reply.status, &reply.json()["error_code"]), (413, &"PAYLOAD_TOO_LARGE".into()));
    assert!(server.node.asked().is_empty());
}

#[test]
fn bytes_that_are_no_http_are_refused() {
    let server = start();
    assert_eq!(server.send("hello\r\n\r\n").status, 400);
    assert_eq!(server.get("/api/health").status, 200);
}

#[test]
fn a_hung_disk_is_answered_for_and_holds_up_nothing_else() {
    let server = start_with(Limits { workers: 4, ..short(5_000, 1_500) });
    let (release, held) = mpsc::channel();
    server.node.answers().hung = Some(held);
    let hung = server.get("/api/v1/trash");
    assert_eq!((hung.status, &hung.json()["error_code"]), (503, &"DISK_UNAVAILABLE".into()));
    for target in ["/api/health", "/metrics", "/api/v1/status", "/api/v1/disks", "/api/v1/migrations"] {
        assert_eq!(server.get(target).status, 200, "{target}");
    }
    drop(release);
}

#[test]
fn connections_above_the_bound_wait_for_a_place() {
    let server = start_with(Limits { connections: 1, ..limits() });
    let mut first = server.connect();
    first.write_all(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut byte = [0];
    first.read_exact(&mut byte).unwrap();
    let mut second = server.connect();
    second.write_all(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    second.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(second.read(&mut byte).is_err(), "the only place is taken");
    drop(first);
    second.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(Reply::read(&mut second).status, 200);
}

#[test]
fn a_client_that_never_reads_its_answer_loses_its_place() {
    let server = start_with(Limits { connections: 1, ..short(5_000, 2_000) });
    let many = (1..400_000).map(|id| sample::tablet(TabletKey::new(id, 2), "/d1")).collect();
    server.node.answers().tablets = many;
    let mut deaf = server.connect();
    deaf.write_all(b"GET /tablets_json?limit=all HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut byte = [0];
    deaf.read_exact(&mut byte).unwrap();
    assert_eq!(server.get("/api/health").status, 200);
}

#[test]
fn a_stop_lets_requests_finish_and_closes_idle_connections() {
    let mut server = start();
    let mut idle = server.connect();
    idle.write_all(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut byte = [0];
    idle.read_exact(&mut byte).unwrap();
    server.ask_to_stop();
    let rest = reads_to_the_end(&mut idle);
    assert!(String::from_utf8_lossy(&rest).ends_with("\"To Be Added\"}"));
    assert_eq!(server.stop(), Stopped::Drained);
}

#[test]
fn a_request_that_never_ends_does_not_hold_up_a_stop() {
    let server = start();
    let (release, held) = mpsc::channel();
    server.node.answers().hung = Some(held);
    let mut stuck = server.connect();
    stuck.write_all(b"GET /api/v1/trash HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // The request is under way once the node has been asked.
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.node.answers().hung.is_some() {
        assert!(Instant::now() < deadline, "the node is never asked");
        std::thread::yield_now();
    }
    assert_eq!(server.stop(), Stopped::CutOff);
    drop(release);
}
