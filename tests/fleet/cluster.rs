//! Processes, who leads, and one process for one state directory.

use std::process::Stdio;

use serde_json::json;

use crate::process::Fleet;

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
