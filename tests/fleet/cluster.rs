//! Processes, who leads, and one process for one state directory.

use std::process::Stdio;

use serde_json::json;

use crate::process::{Fleet, Process, node_with};
use crate::store::Server;

#[test]
fn the_only_process_leads_and_neither_leaves_nor_hands_over() {
    let fleet = Fleet::new();
    let process = fleet.start();
    let masters = process.get("/api/v1/cluster/masters");
    assert_eq!((&masters["total"], &masters["data"][0]["name"]), (&json!(1), &json!("fleet-1")));
    assert_eq!(masters["data"][0]["leader"], true);
    assert_eq!(process.get("/api/health")["leader"], "fleet-1");
    for (method, path, body) in [
        ("DELETE", "/api/v1/cluster/masters/fleet-1", None),
        ("DELETE", "/api/v1/cluster/workers/fleet-1", None),
        ("POST", "/api/v1/cluster/transfer", Some(json!({ "to": "fleet-1" }))),
    ] {
        let (status, code, _) = process.refused(method, path, body.as_ref());
        assert_eq!((status, code.as_str()), (409, "LAST_MASTER"), "{method} {path}");
    }
    let (status, code, _) = process.refused("DELETE", "/api/v1/cluster/masters/nobody", None);
    assert_eq!((status, code.as_str()), (404, "MASTER_NOT_FOUND"));
    let info = process.done("PUT", "/api/v1/cluster/info", &json!({ "prometheus": "http://127.0.0.1:9090" }));
    assert_eq!(info["topology"]["prometheus"], "http://127.0.0.1:9090");
    let (status, ..) =
        process.refused("PUT", "/api/v1/cluster/info", Some(&json!({ "prometheus": "ftp://x" })));
    assert_eq!(status, 400);
    process.daemon.stop();
}

#[test]
fn a_second_process_with_the_same_state_directory_does_not_start() {
    let fleet = Fleet::new();
    let process = fleet.start();
    let second = fleet.command().stderr(Stdio::piped()).output().expect("tabletfleet");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("is used by another tabletfleet"), "{said}");
    process.daemon.stop();
    fleet.start().daemon.stop();
}

#[test]
fn the_document_is_served() {
    let process = Fleet::new().start();
    let document = process.get("/api/v1/openapi.json");
    assert_eq!(document["info"]["title"], "tabletfleet");
    assert_eq!(document["paths"]["/api/v1/sources"]["post"]["x-role"], "admin");
    assert_eq!(process.refused("GET", "/api/v1/nothing", None).0, 404);
    assert_eq!(process.refused("PATCH", "/api/v1/sources", None).0, 405);
}

fn leader(process: &Process) -> String {
    process.get("/api/health")["leader"].as_str().unwrap_or("nobody").to_owned()
}

#[test]
fn of_two_processes_one_leads_the_other_passes_on_and_takes_over() {
    let Some(server) = Server::start() else { return };
    let (first, second) = (Fleet::on_etcd(&server.url, "fleet-1"), Fleet::on_etcd(&server.url, "fleet-2"));
    let (one, two) = (first.start(), second.start());
    assert_eq!((leader(&one), leader(&two)), ("fleet-1".to_owned(), "fleet-1".to_owned()));
    two.becomes("both are registered", |two| two.get("/api/v1/cluster/masters")["total"] == 2);

    // What is asked of the one that does not lead is done by the one that does, and known to both.
    let (_node, daemon) = node_with(&[1]);
    let port: u16 = daemon.url("").rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    two.done("POST", "/api/v1/sources", &json!({ "source_name": "be-1", "host": "127.0.0.1", "port": port }));
    assert_eq!(one.get("/api/v1/sources")["total"], 1);
    two.becomes("it is known here too", |two| two.get("/api/v1/sources")["total"] == 1);
    let (status, code, _) = two.refused("DELETE", "/api/v1/sources/nobody", None);
    assert_eq!((status, code.as_str()), (404, "SOURCE_NOT_FOUND"), "refusals come back as they are");

    // Handed over by command, taken over after a kill; each leadership has a higher number.
    let epoch = |process: &Process| process.get("/api/v1/cluster/info")["epoch"].as_u64();
    let begun = epoch(&one);
    one.done("POST", "/api/v1/cluster/transfer", &json!({ "to": "fleet-2" }));
    two.becomes("the other leads", |two| leader(two) == "fleet-2");
    let handed_over = epoch(&two);
    assert!(handed_over > begun);
    two.becomes("the member is seen from here", |two| two.stage("be-1") == "online");
    two.daemon.kill();
    let asked = std::time::Instant::now();
    one.becomes("it is taken over", |one| leader(one) == "fleet-1" && epoch(one) > handed_over);
    assert!(asked.elapsed() < std::time::Duration::from_secs(25), "a takeover took {:?}", asked.elapsed());
    assert_eq!(one.get("/api/v1/sources")["total"], 1);
    let audit = one.get("/api/v1/audit")["data"].to_string();
    assert!(audit.contains("handed over from fleet-1 to fleet-2") && audit.contains("fleet-2 at"), "{audit}");
    one.daemon.stop();
}

#[test]
fn without_etcd_nothing_is_acknowledged_and_reads_are_answered() {
    let Some(server) = Server::start() else { return };
    let fleet = Fleet::on_etcd(&server.url, "fleet-1");
    let process = fleet.start();
    process.done(
        "POST",
        "/api/v1/sources",
        &json!({ "source_name": "be-1", "host": "127.0.0.1", "port": 9 }),
    );
    drop(server);
    let asked = json!({ "source_name": "be-2", "host": "127.0.0.1", "port": 10 });
    let (status, ..) = process.refused("POST", "/api/v1/sources", Some(&asked));
    assert_eq!(status, 503);
    process.becomes("it does not believe in itself any more", |process| leader(process) == "nobody");
    assert_eq!(process.refused("POST", "/api/v1/sources", Some(&asked)).1, "NO_LEADER");
    assert_eq!(process.get("/api/v1/sources")["total"], 1);
    assert!(
        process.get("/api/v1/cluster/info")["trouble"].as_str().is_some_and(|text| text.contains("etcd"))
    );
}
