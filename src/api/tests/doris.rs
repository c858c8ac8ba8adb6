//! The endpoints of Doris over a socket.

use super::http::{Reply, start};
use super::sample;
use crate::config::Dialect;
use crate::model::{ErrorCode, Failure, Status, TabletKey};

const RUN: &str = "/api/tablet_migration?goal=run&tablet_id=1&schema_hash=2&disk=/d2";
const STATUS: &str = "/api/tablet_migration?goal=status&tablet_id=1&schema_hash=2";

fn assert_json_200(reply: &Reply) {
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/json")),
        "{}",
        reply.text()
    );
}

#[test]
fn a_tablet_moves_in_the_words_of_the_documentation() {
    let server = start();
    let reply = server.get(RUN);
    assert_json_200(&reply);
    assert_eq!(
        reply.text(),
        r#"{"status": "Success", "msg": "migration task is successfully submitted.", "dest_disk": "/d2", "migration_id": 7}"#
    );
    assert_eq!(server.node.asked(), ["submit 1_2 /d2 Auto Normal"]);
    assert_eq!(server.get(STATUS).json()["msg"], "migration task is running");
    server.node.answers().migration = Some(sample::migration(Status::Completed));
    assert_eq!(server.get(STATUS).json()["msg"], "migration task has finished successfully");
    server.node.answers().migration = Some(sample::migration(Status::Failed));
    let failed = server.get(STATUS).json();
    assert_eq!(
        (&failed["status"], &failed["msg"], &failed["error_code"]),
        (&"Success".into(), &"migration task failed.".into(), &"IO_ERROR".into())
    );
}

#[test]
fn a_refusal_is_still_http_200_and_json() {
    let server = start();
    server.node.answers().refusal = Some(Failure::new(ErrorCode::DiskFull, "/d2 is full"));
    let reply = server.get(RUN);
    assert_json_200(&reply);
    assert_eq!(reply.json()["reason"], "/d2 is full");
    for target in [
        "/api/tablet_migration",
        "/api/tablet_migration?goal=status&tablet_id=9&schema_hash=9",
        "/api/tablet_migration?goal=run&tablet_id=1&tablet_id=1&schema_hash=2&disk=/d2",
        "/api/tablet_migration?goal=run&tablet_id=1&schema_hash=2&disk=/d2&verbose",
    ] {
        let reply = server.get(target);
        assert_json_200(&reply);
        assert_eq!(reply.json()["status"], "Fail", "{target}");
    }
    assert_eq!(server.node.asked(), ["submit 1_2 /d2 Auto Normal"], "only the first was worth asking for");
}

#[test]
fn nothing_moves_on_other_methods_or_for_pages_of_other_sites() {
    let server = start();
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
        let reply = server.request(method, RUN, "", "");
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")), "{method}");
    }
    for header in ["Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        assert_eq!(server.request("GET", RUN, header, "").status, 403);
        assert_eq!(server.request("POST", "/api/update_config?x=1", header, "").status, 403);
    }
    assert!(server.node.asked().is_empty());
}

#[test]
fn the_releases_know_the_path_for_get_only() {
    let server = start();
    for dialect in [Dialect::V1_1, Dialect::V1_2, Dialect::V2_0, Dialect::V2_1, Dialect::V3_0, Dialect::V4_0]
    {
        server.node.speak(dialect);
        for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
            let reply = server.request(method, RUN, "", "");
            let body = if method == "HEAD" { "" } else { "Not Found" };
            assert_eq!((reply.status, reply.text(), reply.header("allow")), (404, body, None), "{method}");
        }
    }
    assert!(server.node.asked().is_empty());
}

#[test]
fn empty_parts_of_the_path_do_not_count() {
    let server = start();
    assert_eq!(
        server.get("//api///tablet_migration/?goal=x").json()["msg"],
        "Migration task submission failed"
    );
    assert_eq!(server.get("//api//health").text(), r#"{"status": "OK","msg": "To Be Added"}"#);
}

#[test]
fn release_1_1_looks_tablets_up_by_both_and_says_fail() {
    let server = start();
    server.node.speak(Dialect::V1_1);
    let not_found = "{\n    \"status\": \"Fail\",\n    \"msg\": \"Tablet not found\"\n}";
    assert_eq!(server.get(&RUN.replace("schema_hash=2", "schema_hash=3")).text(), not_found);
    let accepted = r#"{"status": "Success", "msg": "migration task is successfully submitted."}"#;
    assert_eq!(server.get(RUN).text(), accepted);
    let status = server.get(&STATUS.replace("schema_hash=2", "schema_hash=3"));
    assert_eq!(status.text(), not_found.replace("Tablet not", "Migration task not"));
}

#[test]
fn release_3_0_looks_tablets_up_by_id_alone() {
    let server = start();
    server.node.speak(Dialect::V3_0);
    assert_eq!(
        server.get("/api/tablet_migration?goal=run&tablet_id=1x&schema_hash=77&disk=/d2&more=1").text(),
        r#"{"status": "Success", "msg": "migration task is successfully submitted."}"#
    );
    assert_eq!(server.node.asked(), ["submit 1_2 /d2 Auto Normal"]);
    assert_eq!(
        server.get("/api/tablet_migration?goal=status&tablet_id=1&schema_hash=77").text(),
        r#"{"status": "Success", "msg": "migration task is submitted", "dest_disk": "/d2"}"#
    );
    server.node.answers().refusal = Some(Failure::new(ErrorCode::MigrationExists, "ours"));
    assert_eq!(
        server.get(RUN).text(),
        "{\n    \"status\": \"ALREADY_EXIST\",\n    \"msg\": \"There is a migration task for this tablet already \
         exists. dest_disk is /d2 .\"\n}"
    );
    assert_eq!(
        server.get("/api/tablet_migration?goal=run&tablet_id=5&schema_hash=2&disk=/d2").text(),
        "{\n    \"status\": \"NOT_FOUND\",\n    \"msg\": \"Tablet not found\"\n}"
    );
}

#[test]
fn the_distribution_is_what_scripts_expect() {
    let server = start();
    server.node.answers().tablets.push(sample::tablet(TabletKey::new(2, 2), "/d1"));
    let mut hidden = sample::tablet(TabletKey::new(8, 8), "/d1");
    hidden.unavailable = Some("its disk is missing".into());
    server.node.answers().tablets.push(hidden);
    assert_eq!(
        server.get("/api/tablets_distribution?group_by=partition").text(),
        r#"{"msg":"OK","code":0,"data":{"host":"127.0.0.1","tablets_distribution":[{"partition_id":9,"disks":[{"disk_path":"/d1","tablets_num":2},{"disk_path":"/d2","tablets_num":1}]}]},"count":3}"#
    );
    assert_eq!(
        server.get("/api/tablets_distribution?group_by=partition&partition_id=9").text(),
        r#"{"msg":"OK","code":0,"data":{"host":"127.0.0.1","tablets_distribution":[{"partition_id":9,"disks":[{"disk_path":"/d1","tablets_num":2,"tablets":[{"tablet_id":1,"schema_hash":2,"tablet_size":100},{"tablet_id":2,"schema_hash":2,"tablet_size":100}]},{"disk_path":"/d2","tablets_num":1,"tablets":[{"tablet_id":3,"schema_hash":4,"tablet_size":100}]}]}]},"count":3}"#
    );
    for (target, msg) in [
        ("/api/tablets_distribution", "invalid argument: group_by"),
        ("/api/tablets_distribution?group_by=partition&partition_id=x", "invalid argument: x, reason:stoull"),
    ] {
        let reply = server.get(target);
        assert_eq!((reply.status, &reply.json()["msg"]), (500, &msg.into()));
    }
}

#[test]
fn the_list_of_tablets_has_its_limit() {
    let server = start();
    let one = r#"{"msg":"OK","code":0,"data":{"host":"127.0.0.1","tablets":[{"tablet_id":1,"schema_hash":2}]},"count":1}"#;
    assert_eq!(server.get("/tablets_json?limit=1").text(), one);
    assert_eq!(server.get("/tablets_json").json()["count"], 2);
    assert_eq!(server.get("/tablets_json?limit=all").json()["count"], 2);
    assert_eq!(server.get("/tablets_json?limit=0").json()["count"], 0);
    assert_eq!(
        server.get("/tablets_json?limit=-1").text(),
        r#"{"msg":"Parameter Error","code":0,"data":{"host":"127.0.0.1","tablets":[]},"count":0}"#
    );
}

#[test]
fn headers_sizes_and_sums_of_a_tablet() {
    let server = start();
    let header = server.get("/api/meta/header/1?byte_to_base64=true");
    assert_json_200(&header);
    assert_eq!((&header.json()["shard_id"], &header.json()["tablet_id"]), (&3.into(), &1.into()));
    assert_eq!(server.get("/api/meta/data_size/1").text(), r#"{"local_data_size":100,"remote_data_size":0}"#);
    for (target, msg) in [
        ("/api/meta/header/x", "convert failed, stoull"),
        ("/api/meta/header/77", "no tablet exist"),
        ("/api/meta/footer/1", "invalid operation"),
    ] {
        let reply = server.get(target);
        assert_eq!((reply.status, &reply.json()["msg"]), (500, &msg.into()), "{target}");
    }
    let crc = server.get("/api/calc_crc?tablet_id=1");
    assert_json_200(&crc);
    let expected = crc32c::crc32c(&crc32c::crc32c("ab".repeat(16).as_bytes()).to_le_bytes()).to_string();
    assert_eq!(crc.json()["crc_value"], expected);
    assert_eq!((&crc.json()["end_version"], &crc.json()["file_count"]), (&"3".into(), &"1".into()));
    assert!(crc.text().starts_with("{\n    \"crc_value\": \""));
    for (target, status, msg) in [
        ("/api/calc_crc", "INTERNAL_ERROR", "tablet id can not be empty!"),
        ("/api/calc_crc?tablet_id=x", "INTERNAL_ERROR", "convert tablet id or failed, stoull"),
        ("/api/calc_crc?tablet_id=77", "NOT_FOUND", "failed to get tablet 77"),
    ] {
        let reply = server.get(target);
        assert_json_200(&reply);
        assert_eq!((&reply.json()["status"], &reply.json()["msg"]), (&status.into(), &msg.into()));
    }
}

#[test]
fn a_tablet_comes_back_from_trash() {
    let server = start();
    let reply = server.request("POST", "/api/restore_tablet?tablet_id=5&schema_hash=6", "", "");
    assert_json_200(&reply);
    assert_eq!(reply.text(), "{\n    \"status\": \"OK\",\n    \"msg\": \"OK\"\n}");
    assert_eq!(server.node.asked(), ["restore 5_6 None"]);
    for (query, msg) in [
        ("", "parameter tablet_id not specified in url."),
        ("tablet_id=1", "parameter schema_hash not specified in url."),
        ("tablet_id=1&schema_hash=2", "tablet already exists, can not restore."),
        ("tablet_id=404&schema_hash=2", "can find tablet path in trash"),
    ] {
        let reply = server.request("POST", &format!("/api/restore_tablet?{query}"), "", "");
        assert_eq!((reply.status, &reply.json()["msg"]), (500, &msg.into()), "{query}");
    }
    assert_eq!(server.get("/api/restore_tablet?tablet_id=5&schema_hash=6").status, 405);
}

#[test]
fn configuration_is_shown_and_changed() {
    let server = start();
    assert_eq!(
        server.get("/api/show_config?conf_item=hdd_read_slots").text(),
        r#"[["hdd_read_slots","int32_t","1","true"]]"#
    );
    assert_eq!(server.get("/api/show_config?conf_item=nothing").text(), "[]");
    assert!(server.get("/api/show_config").json().as_array().unwrap().len() > 30);
    let update = |query: &str| server.request("POST", &format!("/api/update_config?{query}"), "", "");
    assert_eq!(
        update("hdd_read_slots=3&persist=true").text(),
        "[\n    {\n        \"config_name\": \"hdd_read_slots\",\n        \"status\": \"OK\",\n        \"msg\": \"\"\n    }\n]"
    );
    assert_eq!(server.node.asked(), ["set hdd_read_slots=3 Kept"]);
    for (query, msg) in [
        ("nothing=1", "set nothing=1 failed, reason: 'nothing' is not found"),
        ("state_dir=/x", "set state_dir=/x failed, reason: 'state_dir' is not support to modify"),
    ] {
        let reply = update(query);
        assert_json_200(&reply);
        assert_eq!((&reply.json()[0]["status"], &reply.json()[0]["msg"]), (&"BAD".into(), &msg.into()));
    }
    assert_eq!(update("").text(), "[]");
}

#[test]
fn the_rest_of_the_surface() {
    let server = start();
    let health = server.get("/api/health");
    assert_json_200(&health);
    assert_eq!(health.text(), r#"{"status": "OK","msg": "To Be Added"}"#);
    server.node.answers().journal_trouble = Some("state_dir \"/s\" is full".into());
    let health = server.get("/api/health");
    assert_json_200(&health);
    assert_eq!(health.text(), r#"{"status": "OK","msg": "state_dir \"/s\" is full"}"#);
    server.node.answers().nothing_is_served = Some("no disk can serve: /d1 is broken: gone".into());
    let health = server.get("/api/health");
    assert_eq!((health.status, &health.json()["status"]), (503, &"no_disk".into()));
    assert_eq!(health.json()["msg"], "no disk can serve: /d1 is broken: gone");
    server.node.answers().nothing_is_served = None;
    server.node.answers().journal_trouble = None;
    assert_eq!(
        server.get("/api/be_version_info").json()["data"]["beVersionInfo"]["dorisBuildVersionPrefix"],
        "tabletd"
    );
    let metrics = server.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4"));
    assert!(metrics.text().contains("doris_be_disks_state{path=\"/d1\"} 1\n"));
    let unknown = server.get("/api/nothing");
    assert_eq!((unknown.status, unknown.text()), (404, "Not Found"));
    let zipped = server.request("GET", "/metrics", "Accept-Encoding: gzip\r\n", "");
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert!(zipped.body.windows(3).any(|bytes| bytes == [0x1f, 0x8b, 8]));
}

#[test]
fn nothing_is_ever_compacted() {
    let server = start();
    let node = server.get("/api/compaction/run_status");
    assert_json_200(&node);
    assert_eq!(node.json(), serde_json::json!({"CumulativeCompaction": {}, "BaseCompaction": {}}));
    let one = server.get("/api/compaction/run_status?tablet_id=1").json();
    assert_eq!(
        (&one["status"], &one["msg"]),
        (&"Success".into(), &"compaction task for this tablet is not running".into())
    );
    assert_eq!(server.get("/api/compaction/run_status?tablet_id=5").json()["msg"], "fail to get 5");
    assert_eq!(
        server.get("/api/compaction/show?tablet_id=1").json()["rowsets"],
        serde_json::json!(["[0-3] 0 DATA OVERLAP_UNKNOWN 5 0.00 B"])
    );
    for none in ["", "?tablet_id=5"] {
        let reply = server.get(&format!("/api/compaction/show{none}"));
        assert_json_200(&reply);
        assert_eq!(reply.json()["msg"], "Tablet not found", "{none}");
    }
}

#[test]
fn a_directory_is_taken_in_on_a_get_that_counts_as_a_change() {
    let server = start();
    let target = "/api/reload_tablet?path=/d1/data/3/&tablet_id=9&schema_hash=8";
    let reply = server.get(target);
    assert_eq!((reply.status, reply.text()), (200, "load header succeed"));
    assert_eq!(server.node.asked()[0], "adopt /d1/data/3/9/8 to None, Leave");
    for method in ["HEAD", "POST", "PUT"] {
        assert_eq!(server.request(method, target, "", "").status, 405, "{method}");
    }
    assert_eq!(server.request("GET", target, "Sec-Fetch-Site: cross-site\r\n", "").status, 403);
    for (query, status, text) in [
        ("tablet_id=9&schema_hash=8", 400, "parameter path not specified in url."),
        ("path=/d&schema_hash=8", 400, "parameter tablet_id not specified in url."),
        ("path=/d&tablet_id=9x&schema_hash=8", 400, "param format is invalid: tablet_id \"9x\""),
    ] {
        let reply = server.get(&format!("/api/reload_tablet?{query}"));
        assert_eq!((reply.status, reply.text()), (status, text), "{query}");
    }
    assert!(server.node.asked().is_empty());
    server.node.answers().refusal = Some(Failure::new(ErrorCode::InvalidArgument, "on no disk"));
    let reply = server.get(target);
    assert_eq!((reply.status, reply.text()), (500, "load header failed: on no disk"));
}

#[test]
fn a_module_of_the_log_is_adjusted_as_in_doris() {
    let server = start();
    let adjust = |query: &str| server.request("POST", &format!("/api/glog/adjust?{query}"), "", "");
    let reply = adjust("module=of_a_test&level=3");
    assert_eq!((reply.status, reply.text()), (200, "adjust vlog of of_a_test from -1 to 3 succeed"));
    assert_eq!(adjust("module=of_a_test&level=-1").text(), "adjust vlog of of_a_test from 3 to -1 succeed");
    let reply = adjust("level=3");
    assert_eq!((reply.status, reply.text()), (500, "parameter module not specified in url."));
    assert_eq!(server.get("/api/glog/adjust?module=x&level=1").status, 405);
}
