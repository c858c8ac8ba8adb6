//! Members: added, seen, taken out of service, removed, and not mixed up.

use serde_json::json;

use crate::process::{Fleet, node_with};

#[test]
fn a_member_is_added_seen_disabled_enabled_and_removed_and_the_store_remembers() {
    let (fleet, (_node, daemon)) = (Fleet::new(), node_with(&[11, 12]));
    let process = fleet.start();
    process.add("be-1", &daemon, &json!({ "labels": { "rack": "r7" }, "reason": "new" }));
    let source = process.get("/api/v1/sources/be-1?with_status=true");
    assert_eq!(source["labels"]["rack"], "r7");
    assert_eq!(source["password"], json!(null));
    let disks = &source["status_list"][0]["disks"];
    assert_eq!(disks[0]["tablet_count"], 2, "{source:#}");
    assert_eq!(process.get("/api/v1/disks")["total"], 2);
    assert_eq!(process.get("/api/v1/sources?label=rack=r7")["total"], 1);
    assert_eq!(process.get("/api/v1/sources?label=rack=r8")["total"], 0);

    let workers = process.get("/api/v1/cluster/workers");
    assert_eq!(workers["data"][0]["bound_source_name"], "be-1");
    assert_eq!(process.done("POST", "/api/v1/sources/be-1/disable", &json!(null))["enable"], false);
    let epoch = process.get("/api/v1/cluster/info")["epoch"].as_u64();
    process.daemon.kill();

    let process = fleet.start();
    assert!(
        process.get("/api/v1/cluster/info")["epoch"].as_u64() > epoch,
        "a new leadership has a new number"
    );
    assert_eq!(process.get("/api/v1/sources/be-1")["enable"], false);
    assert_eq!(process.done("POST", "/api/v1/sources/be-1/enable", &json!(null))["enable"], true);
    let audit = process.get("/api/v1/audit")["data"].as_array().expect("lines").clone();
    assert!(
        audit.iter().any(|line| line["reason"] == "new" && line["epoch"].as_u64() == epoch),
        "{audit:#?}"
    );
    assert_eq!(process.send("DELETE", "/api/v1/sources/be-1", None).0, 204);
    assert_eq!(process.get("/api/v1/sources")["total"], 0);
    process.daemon.stop();
}

#[test]
fn what_cannot_be_a_member_is_refused_by_the_name_of_the_field() {
    let process = Fleet::new().start();
    let member = |name: &str, more: serde_json::Value| {
        let mut asked = json!({ "source_name": name, "host": "127.0.0.1", "port": 9 });
        more.as_object().expect("an object").iter().for_each(|(key, value)| asked[key] = value.clone());
        asked
    };
    for (asked, word) in [
        (member("a/b", json!({})), "source_name"),
        (member("", json!({})), "source_name"),
        (member("a", json!({ "host": "" })), "host"),
        (member("a", json!({ "port": 0 })), "port"),
        (member("a", json!({ "credential": "../etc/passwd" })), "credential"),
        (member("a", json!({ "password": "123456" })), "password"),
        (member("a", json!({ "labels": { "a b": "c" } })), "label"),
        (member("a", json!({ "enable_gtid": false })), "enable_gtid"),
    ] {
        let (status, code, text) = process.refused("POST", "/api/v1/sources", Some(&asked));
        assert_eq!((status, code.as_str()), (400, "INVALID_ARGUMENT"), "{asked}");
        assert!(text.contains(word), "{text}");
        assert!(!text.contains("123456"), "a secret is repeated: {text}");
    }
    process.done("POST", "/api/v1/sources", &member("a", json!({})));
    for again in ["a", "b"] {
        let (status, code, _) = process.refused("POST", "/api/v1/sources", Some(&member(again, json!({}))));
        assert_eq!((status, code.as_str()), (409, "SOURCE_EXISTS"), "{again}");
    }
    let (status, code, _) = process.refused("GET", "/api/v1/sources/nobody", None);
    assert_eq!((status, code.as_str()), (404, "SOURCE_NOT_FOUND"));
}

#[test]
fn a_member_that_is_away_and_one_that_is_another_node_now_are_said_to_be() {
    let (fleet, (node, daemon)) = (Fleet::new(), node_with(&[1]));
    let process = fleet.start();
    process.add("be-1", &daemon, &json!({}));
    let port: u16 = daemon.url("").rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    daemon.stop();
    process.becomes("be-1 is away", |process| process.stage("be-1") == "offline");

    // Another node, with other disks, at the same address.
    let (mut other, daemon) = node_with(&[1]);
    daemon.stop();
    drop(node);
    other.settings = format!("webserver_port = {port}");
    let _daemon = other.start();
    process.becomes("another node is said to be there", |process| {
        let source = process.get("/api/v1/sources/be-1");
        let error = source["status_list"][0]["error_msg"].as_str().unwrap_or_default().to_owned();
        error.contains("another node answers")
    });
    assert_eq!(process.stage("be-1"), "offline");
}

#[test]
fn a_credential_is_a_file_that_is_read_at_each_call() {
    let fleet = Fleet::new();
    let (mut node, daemon) = node_with(&[1]);
    daemon.stop();
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_tabletctl"))
        .args(["token", "create", "fleet", "--role", "operator", "--conf"])
        .arg(node.dir.path().join("be.conf"))
        .output()
        .expect("tabletctl");
    let token = String::from_utf8(made.stdout).expect("text");
    node.settings = "enable_all_http_auth = true".to_owned();
    let daemon = node.start();
    let process = fleet.start();
    std::fs::write(fleet.dir.path().join("tabletd"), "wrong\n").expect("a file");
    let port: u16 = daemon.url("").rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    let asked = json!({ "source_name": "be-1", "host": "127.0.0.1", "port": port, "credential": "tabletd" });
    let source = process.done("POST", "/api/v1/sources", &asked);
    assert_eq!(source["password"], "******");
    process.becomes("it is refused", |process| {
        let source = process.get("/api/v1/sources/be-1");
        source["status_list"][0]["error_msg"]
            .as_str()
            .is_some_and(|text| text.contains("no credential that it takes"))
    });
    std::fs::write(fleet.dir.path().join("tabletd"), &token).expect("a file");
    process.becomes("it is let in", |process| process.stage("be-1") == "online");
    let everything = process.get("/api/v1/sources").to_string() + &process.get("/api/v1/audit").to_string();
    assert!(!everything.contains(token.trim()), "the secret is shown");
}

#[test]
fn one_node_under_two_addresses_is_one_member() {
    let process = Fleet::new().start();
    let (_node, daemon) = node_with(&[1]);
    process.add("be-1", &daemon, &json!({}));
    let url = daemon.url("");
    let port: u16 = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    let asked = json!({ "source_name": "be-2", "host": "localhost", "port": port });
    process.done("POST", "/api/v1/sources", &asked);
    process.becomes("it is seen to be the first", |process| {
        let twin = process.get("/api/v1/sources/be-2");
        twin["status_list"][0]["error_msg"].as_str().is_some_and(|text| text.contains("is the member be-1"))
    });
    assert_eq!(process.stage("be-1"), "online");
    let report = process.get("/api/v1/report");
    assert_eq!((&report["leader"], &report["not_reached"]), (&json!("fleet-1"), &json!(["be-2"])));
    assert_eq!(report["members"].as_array().map(Vec::len), Some(2));
    let metrics = process.text("/metrics");
    for line in [
        "tabletfleet_leader 1",
        "tabletfleet_members{stage=\"online\"} 1",
        "tabletfleet_members{stage=\"offline\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
}
