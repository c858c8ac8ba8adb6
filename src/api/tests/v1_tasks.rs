//! Tasks, pins, verifications and single disks of the job API over a socket.

use super::http::start;
use crate::api::error::http_status;
use crate::api::wire::{Disk, List, Tablet, TabletCheck};
use crate::model::{CheckState, ErrorCode, MigrateTarget};

#[test]
fn a_plan_is_looked_at_by_default_and_becomes_a_task_when_asked() {
    let server = start();
    let asked = r#"{"request":{"kind":"drain","disks":["/d1"]}}"#;
    let looked = server.post("/api/v1/tasks", asked);
    assert_eq!((looked.status, &looked.json()["id"]), (200, &serde_json::Value::Null));
    assert!(server.node.asked()[0].starts_with("plan Drain"));
    let kept = r#"{"name":"x","dry_run":false,"request":{"kind":"drain","disks":["/d1"]}}"#;
    let created = server.post("/api/v1/tasks", kept);
    assert_eq!((created.status, created.header("location")), (201, Some("/api/v1/tasks/3")));
    assert!(server.node.asked()[0].starts_with("create x Drain"));
    assert_eq!(server.get("/api/v1/tasks/3").json()["plan"]["moves"][0]["tablet_id"], 1);
    assert_eq!(server.get("/api/v1/tasks").json()["data"][0].get("plan"), None);
    assert_eq!(server.node.asked().len(), 1);
    for verb in ["start", "stop", "pause", "resume", "cancel"] {
        let reply = server.post("/api/v1/tasks/3/action", &format!("{{\"{verb}\":{{}}}}"));
        assert_eq!((reply.status, server.node.asked()), (202, vec![format!("{verb} task 3")]));
    }
    assert_eq!(server.post("/api/v1/tasks/3/action", r#"{"replan":{}}"#).status, 202);
    assert!(server.node.asked()[0].starts_with("replan task 3 for 127.0.0.1"));
    for verb in ["pause", "resume"] {
        let body = format!("{{\"{verb}\":{{\"disks\":[\"/d1\"]}}}}");
        assert_eq!(server.post("/api/v1/tasks/3/action", &body).status, 202);
        assert_eq!(server.node.asked(), vec![format!("{verb} task 3 /d1")]);
    }
    for body in [r#"{"stop":{"disks":["/d1"]}}"#, r#"{"pause":{"disk":"/d1"}}"#, r#"{"pause":{},"stop":{}}"#]
    {
        assert_eq!(server.post("/api/v1/tasks/3/action", body).status, 400, "{body}");
    }
    assert_eq!(server.request("DELETE", "/api/v1/tasks/3", "", "").status, 204);
    assert_eq!(server.get("/api/v1/tasks/4").status, 404);
    let misspelt = r#"{"request":{"kind":"drain","disk":["/d1"]}}"#;
    assert_eq!(server.post("/api/v1/tasks", misspelt).status, 400);
    let codes = [(ErrorCode::PlanDrifted, 412), (ErrorCode::PlanRefused, 409)];
    for (code, status) in codes {
        assert_eq!(http_status(code).as_u16(), status);
    }
    let rules = server.get("/api/v1/tablets/1/explain?disk=/d2").json();
    assert_eq!(rules["data"][0]["detail"], "1_2 to /d2");
    assert_eq!(server.get("/api/v1/tablets/1/explain").status, 400);
}

#[test]
fn tasks_and_their_moves_are_listed_by_filters_and_pages() {
    let server = start();
    server.get("/api/v1/tasks?status=running,paused&kind=drain&disk=/d1&marker=2&limit=7");
    let asked = server.node.asked().join("");
    let parts = ["[Running, Paused]", "Some(\"drain\")", "Some(\"/d1\")", "Some(TaskId(2))", "limit: 7"];
    for part in parts {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    let reply = server.get("/api/v1/tasks/3/migrate_targets?status=pending,failed&disk=/d2&marker=9&limit=1");
    let list: List<MigrateTarget> = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((list.total, list.data[0].planned.destination.path.as_str()), (1, "/d2"));
    let asked = server.node.asked().join("");
    for part in ["[Pending, Failed]", "Some(\"/d2\")", "after: Some(9)", "limit: 1"] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    for target in [
        "/api/v1/tasks?status=going",
        "/api/v1/tasks?kind=evacuate",
        "/api/v1/tasks?limit=0",
        "/api/v1/tasks/3/migrate_targets?status=gone",
        "/api/v1/tasks/3/migrate_targets?stage=x",
    ] {
        assert_eq!(server.get(target).status, 400, "{target}");
    }
    assert_eq!(server.get("/api/v1/tasks/4/migrate_targets").status, 404);
}

#[test]
fn tables_select_in_lists_and_in_moves() {
    let server = start();
    server.get("/api/v1/tablets?table_id=12&limit=5");
    let asked = server.node.asked().join("");
    assert!(asked.contains("table_id: Some(12), partition_id: None"), "{asked}");
    assert_eq!(server.get("/api/v1/tablets/1").json()["table_id"], 12);
    assert_eq!(server.get("/api/v1/tablets?table_id=-1").status, 400);
    let moved = r#"{"request":{"kind":"move","select":{"tables":[12,13]},"to":{"medium":"SSD"}}}"#;
    assert_eq!(server.post("/api/v1/tasks", moved).status, 200);
    let asked = server.node.asked().join("");
    assert!(asked.contains("tables: [12, 13], partitions: []"), "{asked}");
    let misspelt = moved.replace("tables", "table");
    assert_eq!(server.post("/api/v1/tasks", &misspelt).status, 400);
}

#[test]
fn a_stopped_task_is_changed_field_by_field() {
    let server = start();
    let patch = |body: &str| {
        server.request("PATCH", "/api/v1/tasks/3", "Content-Type: application/json\r\n", body).status
    };
    assert_eq!(patch(r#"{"priority":"high","rate_bytes_per_sec":5}"#), 200);
    let asked = server.node.asked().join("");
    assert!(
        asked.contains("name: None") && asked.contains("Some(High)") && asked.contains("Some(5)"),
        "{asked}"
    );
    for body in [r#"{"name":""}"#, r#"{"status":"running"}"#, r#"{"priority":"top"}"#] {
        assert_eq!(patch(body), 400, "{body}");
    }
    assert!(server.node.asked().is_empty());
}

#[test]
fn a_tablet_is_pinned_by_somebody_for_a_reason() {
    let server = start();
    let reply = server.post("/api/v1/tablets/1/pin", r#"{"reason":"audit"}"#);
    let tablet: Tablet = serde_json::from_slice(&reply.body).unwrap();
    let pinned = tablet.pinned.expect("a pin");
    assert_eq!((pinned.reason.as_str(), pinned.by.starts_with("127.0.0.1")), ("audit", true));
    assert_eq!(server.post("/api/v1/tablets/1/unpin", "{}").json()["pinned"], serde_json::Value::Null);
    assert_eq!(server.node.asked(), ["pin 1_2 audit", "unpin 1_2"]);
    assert_eq!(server.post("/api/v1/tablets/77/pin", "{}").status, 404);
    server.get("/api/v1/tablets?pinned=true");
    assert!(server.node.asked().join("").contains("pin: Some(Pinned)"));
    assert_eq!(server.get("/api/v1/tablets?pinned=yes").status, 400);
}

#[test]
fn a_verification_that_takes_long_is_polled() {
    let server = start();
    let asked = server.post("/api/v1/tablets/1/verify", "{}");
    let check: TabletCheck = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!((asked.status, check.state, check.cold), (202, CheckState::Running, None));
    let found: TabletCheck = serde_json::from_slice(&server.get("/api/v1/tablets/1/verify").body).unwrap();
    assert_eq!((found.state, found.damaged[0].name.as_str()), (CheckState::Damaged, "5_0.dat"));
}

#[test]
fn one_disk_and_the_end_of_its_drains() {
    let server = start();
    assert_eq!(server.post("/api/v1/disks/drain", r#"{"path":"/d1","media":"any"}"#).status, 200);
    let asked = server.node.asked().join("");
    assert!(asked.starts_with("plan Drain") && asked.contains("/d1") && asked.contains("Any"), "{asked}");
    let made = server.post("/api/v1/disks/drain", r#"{"path":"/d1","dry_run":false}"#);
    assert_eq!((made.status, made.header("location")), (201, Some("/api/v1/tasks/3")));
    assert!(server.node.asked().join("").starts_with("create drain /d1 Drain"));
    assert_eq!(server.post("/api/v1/disks/drain", r#"{"disks":["/d1"]}"#).status, 400);
    let disk: Disk = serde_json::from_slice(&server.get("/api/v1/disks/show?path=/d1").body).unwrap();
    assert_eq!((disk.path.as_str(), disk.migrations_from.running, disk.migrations_to.queued), ("/d1", 1, 2));
    assert_eq!(server.get("/api/v1/disks/show?path=/d9").status, 404);
    assert_eq!(server.get("/api/v1/disks/show").status, 400);
    let reply = server.post("/api/v1/disks/cancel_drain", r#"{"path":"/d1"}"#);
    assert_eq!((reply.status, &reply.json()["total"]), (202, &1.into()));
    assert_eq!(server.node.asked(), ["cancel drains of /d1"]);
}
