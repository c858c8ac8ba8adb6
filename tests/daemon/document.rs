//! Every documented operation is asked of a real daemon, and its answer compared with what the document says of it.
//!
//! A new operation is one more line in [`requests`].

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Daemon, HASH, Node};

/// Operation, status, target, body. In order: later ones build on earlier ones.
fn requests(node: &Node) -> Vec<(&'static str, u16, String, Value)> {
    let (here, there) = (node.disk(0), node.disk(1));
    let none = Value::Null;
    let v1 = |path: &str| format!("/api/v1{path}");
    let drain = |dry_run: bool| {
        json!({"dry_run": dry_run, "completeness": "what_fits",
        "request": {"kind": "move", "select": {"tablets": [12]}, "to": {"disks": [there]}}})
    };
    vec![
        (
            "create_migration",
            201,
            v1("/migrations"),
            json!({"tablet_id": 10, "dest_disk": there, "reason": "try"}),
        ),
        ("create_migration", 207, v1("/migrations"), json!([{"tablet_id": 99, "dest_disk": there}, 7])),
        ("create_migration", 404, v1("/migrations"), json!({"tablet_id": 99, "dest_disk": there})),
        ("create_migration", 400, v1("/migrations"), json!({"tablet_id": "x"})),
        ("show_migration", 200, v1("/migrations/1"), none.clone()),
        ("show_migration", 404, v1("/migrations/77"), none.clone()),
        ("show_migration", 200, v1("/migrations/1?envelope=true&pretty=true"), none.clone()),
        ("list_migrations", 200, v1("/migrations?limit=1"), none.clone()),
        ("list_migrations", 400, v1("/migrations?unknown=1"), none.clone()),
        (
            "create_migration",
            200,
            v1("/migrations"),
            json!({"tablet_id": 10, "dest_medium": "SSD", "dry_run": true}),
        ),
        ("run_step", 409, v1("/migrations/1/run"), json!({"step": "data"})),
        ("events", 200, v1("/events?follow=false"), none.clone()),
        ("events_of_migration", 200, v1("/migrations/1/events"), none.clone()),
        ("list_migrations_of_tablet", 200, v1("/tablets/10/migrations?with_steps=true"), none.clone()),
        (
            "create_migration_of_tablet",
            200,
            v1("/tablets/11/migrations"),
            json!({"dest_disk": there, "dry_run": true}),
        ),
        (
            "create_migration_of_tablet",
            400,
            v1("/tablets/11/migrations"),
            json!({"tablet_id": 12, "dest_disk": there}),
        ),
        ("events_of_migration_of_tablet", 200, v1("/tablets/10/migrations/1/events"), none.clone()),
        ("show_migration_of_tablet", 200, v1("/tablets/10/migrations/1"), none.clone()),
        ("abort_migration_of_tablet", 409, v1("/tablets/10/migrations/1"), none.clone()),
        ("act_on_migration_of_tablet", 409, v1("/tablets/10/migrations/1/action"), json!({"resume": {}})),
        ("run_step_of_tablet", 409, v1("/tablets/10/migrations/1/run"), json!({"step": "abort"})),
        ("act_on_migration", 409, v1("/migrations/1/action"), json!({"retry": {}})),
        ("abort_migration", 409, v1("/migrations/1"), none.clone()),
        ("list_tables", 200, v1("/tables?limit=1"), none.clone()),
        ("list_tables", 400, v1("/tables?marker=x"), none.clone()),
        ("list_tablets", 200, v1("/tablets"), none.clone()),
        ("show_tablet", 200, v1("/tablets/10"), none.clone()),
        ("explain_move", 200, v1(&format!("/tablets/11/explain?disk={there}")), none.clone()),
        ("pin_tablet", 200, v1("/tablets/11/pin"), json!({"reason": "audit"})),
        ("list_tablets", 200, v1("/tablets?pinned=true"), none.clone()),
        ("unpin_tablet", 200, v1("/tablets/11/unpin"), json!({})),
        ("last_verification", 200, v1("/tablets/11/verify"), none.clone()),
        ("verify_tablet", 200, v1("/tablets/11/verify"), json!({})),
        ("verify_tablet", 404, v1("/tablets/99/verify"), json!({})),
        ("verify_tablets", 202, v1("/tablets/verify"), json!({"all": true})),
        ("verify_tablets", 404, v1("/tablets/verify"), json!({"tablet_ids": [99]})),
        ("verify_tablets", 400, v1("/tablets/verify"), json!({})),
        ("create_task", 200, v1("/tasks"), drain(true)),
        ("create_task", 201, v1("/tasks"), drain(false)),
        ("list_tasks", 200, v1("/tasks?envelope=content"), none.clone()),
        ("list_tasks", 400, v1("/tasks?kind=other"), none.clone()),
        ("show_task", 200, v1("/tasks/1"), none.clone()),
        ("update_task", 200, v1("/tasks/1"), json!({"name": "renamed", "rate_bytes_per_sec": 0})),
        ("put_task", 200, v1("/tasks/1"), json!({"priority": "low"})),
        ("list_tasks", 200, v1("/tasks?with_status=true&stage=Stopped"), none.clone()),
        ("list_tasks", 400, v1("/tasks?stage=stopped&status=stopped"), none.clone()),
        ("show_task", 200, v1("/tasks/1?with_status=true"), none.clone()),
        ("show_task_status", 200, v1("/tasks/1/status?stage=stopped"), none.clone()),
        ("list_tables", 200, v1("/tables?task=1"), none.clone()),
        ("list_tables", 404, v1("/tables?task=9"), none.clone()),
        ("migrate_targets", 200, v1("/tasks/1/migrate_targets?limit=1"), none.clone()),
        ("delete_task", 204, v1("/tasks/1"), none.clone()),
        ("create_task", 201, v1("/tasks"), drain(false)),
        ("delete_task", 200, v1("/tasks/2?envelope=true"), none.clone()),
        ("create_task", 201, v1("/tasks"), drain(false)),
        ("act_on_task", 202, v1("/tasks/3/action"), json!({"start": {}})),
        ("disable_disk", 200, v1("/disks/disable"), json!({"path": here})),
        ("enable_disk", 200, v1("/disks/enable"), json!({"path": here})),
        ("limit_disk", 200, v1("/disks/limits"), json!({"path": here, "rate_bytes_per_sec": 0})),
        ("list_disks", 200, v1("/disks?with_status=true"), none.clone()),
        ("show_disk", 200, v1(&format!("/disks/show?path={here}")), none.clone()),
        ("drain_disk", 409, v1("/disks/drain"), json!({"path": here})),
        ("cancel_drain", 404, v1("/disks/cancel_drain"), json!({"path": here})),
        ("register_disk", 409, v1("/disks"), json!({"path": here, "medium": "ssd"})),
        ("register_disk", 400, v1("/disks"), json!({"path": here, "medium": "tape"})),
        ("forget_disk", 409, v1("/disks/forget"), json!({"path": here})),
        ("forget_disk", 409, v1("/disks/forget"), json!({"path": here, "lost": true, "dry_run": true})),
        ("replace_disk", 503, v1("/disks/replace"), json!({"path": here, "dry_run": true})),
        ("list_trash", 200, v1("/trash"), none.clone()),
        ("restore_tablet", 404, v1("/trash/restore"), json!({"tablet_id": 99, "schema_hash": HASH})),
        ("heal_tablet", 202, v1("/tablets/11/heal"), json!({})),
        ("heal_tablet", 404, v1("/tablets/99/heal"), json!({})),
        ("salvage_tablet", 409, v1("/tablets/11/salvage"), json!({"to": here})),
        ("adopt_tablet", 400, v1("/tablets/adopt"), json!({"path": "/nowhere"})),
        ("adopt_tablet", 409, v1("/tablets/adopt"), json!({"path": format!("{there}/data/11/11/555")})),
        ("set_aside_unrecorded", 400, v1("/unrecorded/set_aside"), json!({"path": "/nowhere"})),
        ("list_unrecorded", 200, v1("/unrecorded"), none.clone()),
        ("list_quarantine", 200, v1("/quarantine"), none.clone()),
        (
            "show_quarantined",
            404,
            v1(&format!("/quarantine/show?disk={here}&entry=20200101000000.0")),
            none.clone(),
        ),
        (
            "restore_quarantined",
            404,
            v1("/quarantine/restore"),
            json!({"disk": here, "entry": "20200101000000.0"}),
        ),
        ("purge_quarantine", 202, v1("/quarantine/purge"), json!({"all": true})),
        ("list_operations", 200, v1("/operations"), none.clone()),
        ("show_operation", 200, v1("/operations/1"), none.clone()),
        ("show_operation", 404, v1("/operations/99"), none.clone()),
        ("cancel_operation", 202, v1("/operations/1/cancel"), json!({})),
        ("purge_trash", 202, v1("/trash/purge"), json!({"all": true})),
        ("purge_trash", 200, v1("/trash/purge"), json!({"all": true, "dry_run": true})),
        ("inspect_doris_roots", 404, v1("/doris/inspection"), none.clone()),
        ("reload_config", 200, v1("/config/reload"), none.clone()),
        ("show_status", 200, v1("/status"), none.clone()),
        ("openapi", 200, v1("/openapi.json"), none.clone()),
        ("docs", 303, v1("/docs"), none.clone()),
        (
            "tablet_migration",
            200,
            format!("/api/tablet_migration?goal=status&tablet_id=10&schema_hash={HASH}"),
            none.clone(),
        ),
        ("tablet_migration", 200, "/api/tablet_migration?goal=x".to_owned(), none.clone()),
        ("health", 200, "/api/health".to_owned(), none.clone()),
        ("be_version_info", 200, "/api/be_version_info".to_owned(), none.clone()),
        (
            "tablets_distribution",
            200,
            "/api/tablets_distribution?group_by=partition".to_owned(),
            none.clone(),
        ),
        ("tablets_json", 200, "/tablets_json?limit=all".to_owned(), none.clone()),
        ("tablet_meta", 200, "/api/meta/header/11".to_owned(), none.clone()),
        ("tablet_meta_with_hash", 200, format!("/api/meta/header/11/{HASH}"), none.clone()),
        ("check_tablet_segment_lost", 200, "/api/check_tablet_segment_lost".to_owned(), none.clone()),
        ("calc_crc", 200, "/api/calc_crc?tablet_id=11".to_owned(), none.clone()),
        (
            "doris_restore_tablet",
            500,
            format!("/api/restore_tablet?tablet_id=9&schema_hash={HASH}"),
            none.clone(),
        ),
        ("compaction_run_status", 200, "/api/compaction/run_status".to_owned(), none.clone()),
        ("compaction_run_status", 200, "/api/compaction/run_status?tablet_id=11".to_owned(), none.clone()),
        ("compaction_show", 200, "/api/compaction/show?tablet_id=11".to_owned(), none.clone()),
        ("reload_tablet", 400, "/api/reload_tablet".to_owned(), none.clone()),
        (
            "reload_tablet",
            500,
            format!("/api/reload_tablet?path={here}/data/9&tablet_id=9&schema_hash={HASH}"),
            none.clone(),
        ),
        ("adjust_log", 200, "/api/glog/adjust?module=engine&level=-1".to_owned(), none.clone()),
        ("adjust_log", 500, "/api/glog/adjust".to_owned(), none.clone()),
        ("show_config", 200, "/api/show_config?conf_item=hdd_read_slots".to_owned(), none.clone()),
        ("update_config", 200, "/api/update_config?hdd_read_slots=2".to_owned(), none.clone()),
        ("metrics", 200, "/metrics".to_owned(), none.clone()),
        ("metrics", 200, "/metrics?type=json".to_owned(), none),
    ]
}

/// Method and description of an operation.
fn operation<'a>(document: &'a Value, name: &str) -> (String, &'a Value) {
    let items = document["paths"].as_object().expect("paths").values().filter_map(Value::as_object);
    let found = items.flatten().find(|(_, operation)| operation["operationId"] == name);
    let (method, operation) = found.unwrap_or_else(|| panic!("{name} is not in the document"));
    (method.to_uppercase(), operation)
}

/// Holds an answer to the schema its operation has for its status.
fn compare(document: &Value, operation: &Value, status: u16, kind: &str, text: &str) -> Result<(), String> {
    let responses = &operation["responses"];
    let exact = responses.get(status.to_string());
    let described = exact
        .or_else(|| responses.get(format!("{}XX", status / 100)))
        .ok_or_else(|| format!("status {status} is not documented"))?;
    let Some(content) = described["content"].as_object() else { return Ok(()) };
    let kind = kind.split(';').next().unwrap_or_default();
    let Some(content) = content.get(kind) else {
        return Err(format!("content type {kind:?} is not documented"));
    };
    if kind != "application/json" {
        return Ok(());
    }
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let schema = json!({ "components": document["components"], "allOf": [content["schema"]] });
    let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string())?;
    let wrong: Vec<_> =
        validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn ask(daemon: &Daemon, method: &str, target: &str, body: &Value) -> (u16, String, String) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
    let url = daemon.url(target);
    let answer = match (method, body) {
        ("GET", _) => agent.get(url).call(),
        ("DELETE", _) => agent.delete(url).call(),
        ("PATCH", body) => agent.patch(url).send_json(body),
        ("PUT", body) => agent.put(url).send_json(body),
        ("POST", Value::Null) => agent.post(url).send_empty(),
        ("POST", body) => agent.post(url).send_json(body),
        (other, _) => panic!("{other} is not spoken here yet"),
    };
    let mut answer = answer.unwrap_or_else(|error| panic!("{method} {target}: {error}"));
    let kind = answer
        .headers()
        .get("content-type")
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let text = answer.body_mut().read_to_string().expect("text");
    (answer.status().as_u16(), kind, text)
}

#[test]
fn every_documented_operation_answers_as_it_is_documented() {
    let mut node = Node::new(2);
    for tablet_id in [10, 11, 12] {
        node.add_tablet(0, tablet_id, &[1000]);
    }
    let daemon = node.start();
    let document = daemon.get("/api/v1/openapi.json");
    let mut wrong = Vec::new();
    let mut asked = BTreeSet::new();
    for (name, expected, target, body) in requests(&node) {
        let (method, operation) = operation(&document, name);
        let (status, kind, text) = ask(&daemon, &method, &target, &body);
        if status != expected {
            wrong.push(format!("{method} {target}: {status} instead of {expected}: {text}"));
        } else if let Err(why) = compare(&document, operation, status, &kind, &text) {
            wrong.push(format!("{method} {target}: {why}\n{text}"));
        }
        asked.insert(name.to_owned());
        if name == "create_migration" && status == 201 {
            daemon.wait_until_idle();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let items = document["paths"].as_object().expect("paths").values().filter_map(Value::as_object);
    let documented: BTreeSet<String> = items
        .flatten()
        .filter_map(|(_, operation)| operation["operationId"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(asked, documented, "an operation is not asked for here");
}
