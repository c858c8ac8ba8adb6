//! The job API over a socket.

use std::io::{Read, Write};

use super::http::{limits, start, start_with};
use super::sample;
use crate::api::error::http_status;
use crate::api::wire::{Disk, ErrorBody, List, Migration, NodeStatus, PurgedItem, Tablet, TrashItem};
use crate::api::{Limits, Stopped};
use crate::model::{ErrorCode, Failure, Status, TabletKey};

#[test]
fn a_migration_is_created_shown_and_steered() {
    let server = start();
    let created = server.post(
        "/api/v1/migrations",
        r#"{"tablet_id":1,"dest_disk":"/d2","mode":"manual_cutover","priority":"high","reason":"tidy"}"#,
    );
    assert_eq!((created.status, created.header("location")), (201, Some("/api/v1/migrations/7")));
    assert_eq!(server.node.asked(), ["submit 1_2 /d2 ManualCutover High"]);
    let migration: Migration = serde_json::from_slice(&created.body).unwrap();
    assert_eq!((migration.source_disk.as_str(), migration.status), ("/d1", Status::Queued));

    let shown = server.get("/api/v1/migrations/7");
    assert_eq!((shown.status, &shown.json()["disk_total_bytes"]), (200, &1000.into()));
    for (action, verb) in [("pause", "pause"), ("resume", "resume"), ("abort", "abort"), ("retry", "retry")] {
        let reply = server.post("/api/v1/migrations/7/action", &format!("{{\"{action}\":{{}}}}"));
        assert_eq!((reply.status, &reply.json()["id"]), (202, &7.into()), "{action}");
        assert_eq!(server.node.asked(), [format!("{verb} 7")]);
    }
    assert_eq!(server.request("DELETE", "/api/v1/migrations/7", "", "").status, 202);
    assert_eq!(server.node.asked(), ["abort 7"]);
    assert_eq!(server.get("/api/v1/migrations/8").status, 404);
    assert_eq!(server.get("/api/v1/migrations/x").status, 400);
}

#[test]
fn steps_and_actions_reach_the_node_with_what_they_carry() {
    let server = start();
    server.node.answers().migration = Some(sample::migration(Status::Ready));
    for (path, body, asked) in [
        ("run", r#"{"step":"data"}"#, "run data 7"),
        ("run", r#"{"step":"abort"}"#, "run abort 7"),
        ("action", r#"{"cutover":null}"#, "cutover 7"),
        ("action", r#"{"force_complete":null}"#, "force_complete 7"),
        ("action", r#"{"extend":{"seconds":60}}"#, "extend 60 7"),
        ("action", r#"{"limits":{"rate_bytes_per_sec":5}}"#, "limits 5 7"),
        ("action", r#"{"priority":"low"}"#, "priority Low 7"),
        ("action", r#"{"revert":{}}"#, "revert 7"),
        ("action", r#"{"settle":null}"#, "settle 7"),
    ] {
        for parent in ["/api/v1/migrations/7", "/api/v1/tablets/1/migrations/7"] {
            let reply = server.post(&format!("{parent}/{path}"), body);
            assert_eq!(reply.status, 202, "{parent} {body}: {}", reply.text());
            assert_eq!(server.node.asked(), [asked], "{parent} {body}");
        }
        assert_eq!(server.post(&format!("/api/v1/tablets/3/migrations/7/{path}"), body).status, 404);
        assert!(server.node.asked().is_empty(), "asked of another tablet's migration: {body}");
    }
    for (path, body) in [
        ("run", r#"{"step":"sideways"}"#),
        ("run", "{}"),
        ("action", r#"{"extend":{"seconds":0}}"#),
        ("action", r#"{"extend":{"seconds":31536001}}"#),
    ] {
        assert_eq!(server.post(&format!("/api/v1/migrations/7/{path}"), body).status, 400, "{body}");
    }
    assert!(server.node.asked().is_empty());
}

#[test]
fn a_refused_verb_says_for_programs_what_is_taken() {
    let server = start();
    {
        let mut answers = server.node.answers();
        answers.migration = Some(sample::migration(Status::Completed));
        answers.refusal = Some(Failure::new(ErrorCode::StepNotAllowed, "our words"));
    }
    for at in ["/api/v1/migrations/7", "/api/v1/tablets/1/migrations/7"] {
        for (path, body) in [("run", r#"{"step":"data"}"#), ("action", r#"{"pause":null}"#)] {
            let reply = server.post(&format!("{at}/{path}"), body);
            let details = serde_json::json!({"status": "completed", "next_steps": [], "actions": ["revert"]});
            assert_eq!((reply.status, &reply.json()["details"]), (409, &details), "{at}/{path}");
        }
    }
}

#[test]
fn a_tablet_is_moved_by_its_own_path_too() {
    let server = start();
    let at = "/api/v1/tablets/1/migrations";
    for body in [r#"{"dest_disk":"/d2"}"#, r#"{"tablet_id":1,"dest_disk":"/d2"}"#] {
        assert_eq!(server.post(at, body).status, 201, "{body}");
        assert_eq!(server.node.asked(), ["submit 1_2 /d2 Auto Normal"], "{body}");
    }
    for body in [r#"{"tablet_id":3,"dest_disk":"/d2"}"#, r#"{"dest_disk":"/d2","force":1}"#, "[]"] {
        assert_eq!(server.post(at, body).status, 400, "{body}");
    }
    server.node.answers().migration = Some(sample::migration(Status::Completed));
    let events = server.get("/api/v1/tablets/1/migrations/7/events");
    assert!(events.status == 200 && events.text().contains("event: status"), "{}", events.text());
    assert_eq!(server.get("/api/v1/tablets/3/migrations/7/events").status, 404);
}

#[test]
fn a_journal_that_cannot_be_read_is_said_and_makes_nothing_look_absent() {
    let server = start();
    let failure = Failure::new(ErrorCode::JournalUnavailable, "disk I/O error");
    server.node.answers().unreadable = Some(failure);
    for path in [
        "migrations",
        "migrations/7",
        "migrations/7/events",
        "tablets/1/migrations",
        "tablets/1/migrations/7",
    ] {
        let reply = server.get(&format!("/api/v1/{path}"));
        assert_eq!(
            (reply.status, &reply.json()["error_code"]),
            (503, &"JOURNAL_UNAVAILABLE".into()),
            "{path}"
        );
    }
    let told = server.get("/api/tablet_migration?goal=status&tablet_id=1&schema_hash=2").json();
    assert!(told.to_string().contains("disk I/O error"), "{told}");
}

#[test]
fn an_idempotency_key_has_bounds() {
    let server = start();
    let send = |key: &str| {
        let headers = format!("Content-Type: application/json\r\nIdempotency-Key: {key}\r\n");
        server.request("POST", "/api/v1/migrations", &headers, r#"{"tablet_id":1,"dest_disk":"/d2"}"#).status
    };
    assert_eq!(send("k"), 201);
    assert_eq!(send(""), 400);
    assert_eq!(send(&"k".repeat(255)), 201);
    assert_eq!(send(&"k".repeat(256)), 400);
}

#[test]
fn streams_are_bounded_and_end_with_the_server() {
    let mut server = start_with(Limits { connections: 8, ..limits() });
    let reply = server.get("/api/v1/events?follow=false&envelope=true");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")));
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect();
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        open.push(stream);
    }
    let refused = server.get("/api/v1/events");
    assert_eq!((refused.status, &refused.json()["error_code"]), (429, &"TOO_MANY_STREAMS".into()));
    assert_eq!(server.get("/api/v1/migrations/8/events").status, 404);
    assert_eq!(server.get("/api/v1/events?after=1").status, 400);
    server.ask_to_stop();
    for mut stream in open {
        stream.read_to_end(&mut Vec::new()).expect("the server ends its streams");
    }
    assert_eq!(server.stop(), Stopped::Drained);
}

#[test]
fn lists_are_total_and_data_and_filters_reach_the_node() {
    let server = start();
    server.node.answers().migration = Some(sample::migration(Status::Completed));
    let reply = server.get(
        "/api/v1/migrations?status=queued,copying&phase=WORKING&tablet_id=1&disk=/a&source_disk=/b&dest_disk=/c&task=3&since=1970-01-01T00:00:01Z&before=5000&sort=-id&marker=5&limit=9",
    );
    let list: List<Migration> = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((list.total, list.data.len()), (40, 1));
    let asked = server.node.asked().join("");
    for part in [
        "statuses: [Queued, Copying]",
        "phases: [Working]",
        "tablet_id: Some(TabletId(1))",
        "disk: Some(\"/a\")",
        "source: Some(\"/b\")",
        "destination: Some(\"/c\")",
        "task: Some(TaskId(3))",
        "since_ms: Some(1000)",
        "before_ms: Some(5000)",
        "order: NewestFirst",
        "after: Some(MigrationId(5))",
        "limit: 9",
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    let tablets: List<Tablet> = serde_json::from_slice(&server.get("/api/v1/tablets?limit=1").body).unwrap();
    assert_eq!((tablets.total, tablets.data.len()), (2, 1));
    let disks: List<Disk> = serde_json::from_slice(&server.get("/api/v1/disks").body).unwrap();
    assert_eq!((disks.total, disks.data[0].write_slots.limit), (2, 4));
    let trash: List<TrashItem> = serde_json::from_slice(&server.get("/api/v1/trash").body).unwrap();
    assert_eq!(trash.data[0].kept_because, "due");
}

#[test]
fn one_tablet_by_id() {
    let server = start();
    assert_eq!(server.get("/api/v1/tablets/1").json()["disk"], "/d1");
    assert_eq!(server.get("/api/v1/tablets/77").status, 404);
    assert_eq!(server.get("/api/v1/tablets/-1").status, 400);
    for target in ["/api/v1/tablets/5", "/api/v1/tablets/5?schema_hash=6", "/api/v1/tablets/5/verify"] {
        let away = server.get(target);
        assert_eq!(
            (away.status, &away.json()["error_code"]),
            (503, &"TABLET_UNAVAILABLE".into()),
            "{target}"
        );
    }
    assert_eq!(server.get("/api/v1/status").json()["unavailable_tablets"][0]["tablet_id"], 5);
    server.node.answers().tablets.push(sample::tablet(TabletKey::new(1, 5), "/d2"));
    let several = server.get("/api/v1/tablets/1");
    assert_eq!(several.status, 400);
    assert!(several.json()["error_msg"].as_str().unwrap().ends_with("say which: 2, 5"));
    assert_eq!(server.get("/api/v1/tablets/1?schema_hash=5").json()["disk"], "/d2");
}

#[test]
fn disks_trash_and_status() {
    let server = start();
    assert_eq!(server.post("/api/v1/disks/disable", r#"{"path":"/d1"}"#).json()["path"], "/d1");
    assert_eq!(server.post("/api/v1/disks/enable", r#"{"path":"/d1"}"#).status, 200);
    for body in [r#"{"path":"/d1","rate_bytes_per_sec":5}"#, r#"{"path":"/d1","rate_bytes_per_sec":null}"#] {
        assert_eq!(server.post("/api/v1/disks/limits", body).json()["path"], "/d1", "{body}");
    }
    let unsaid = server.post("/api/v1/disks/limits", r#"{"path":"/d1"}"#);
    assert_eq!(unsaid.status, 400, "{}", unsaid.text());
    assert!(unsaid.text().contains("rate_bytes_per_sec"), "{}", unsaid.text());
    let restored = server.post("/api/v1/trash/restore", r#"{"tablet_id":1,"schema_hash":2,"entry":"x.0"}"#);
    assert_eq!((restored.status, &restored.json()["id"]), (202, &3.into()));
    assert_eq!(server.get("/api/v1/operations/3").json()["state"], "completed");
    let healed = server.post("/api/v1/tablets/1/heal", r#"{"to":"/d2","accept_older":true}"#);
    assert_eq!((healed.status, &healed.json()["kind"]), (202, &"heal".into()));
    assert_eq!(server.post("/api/v1/operations/4/cancel", "{}").status, 404);
    let purged = server.post("/api/v1/trash/purge", r#"{"disk":"/d1","dry_run":true}"#);
    let list: List<PurgedItem> = serde_json::from_slice(&purged.body).unwrap();
    let told: Vec<_> = list.data.iter().map(|item| (item.purged, item.would_be_purged)).collect();
    assert_eq!(told, [(false, true), (false, false)], "a dry run purges nothing");
    assert_eq!(
        server.node.asked(),
        [
            "disable /d1",
            "enable /d1",
            "limit /d1 Some(5)",
            "limit /d1 None",
            "restore 1_2 Some(InTrash(\"x.0\"))",
            "heal 1 to Some(\"/d2\"), Serve",
            "cancel operation 4",
            "look at trash, on /d1",
        ]
    );
    for body in ["{}", r#"{"all":true,"disk":"/d1"}"#] {
        assert_eq!(server.post("/api/v1/trash/purge", body).status, 400, "{body}");
    }
    assert_eq!(server.post("/api/v1/trash/purge", r#"{"all":true}"#).status, 202);
    let status: NodeStatus = serde_json::from_slice(&server.get("/api/v1/status").body).unwrap();
    assert_eq!((status.queued, status.disks["online"], status.disks["hung"]), (3, 2, 0));
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let server = start();
    for (target, body, word) in [
        ("/api/v1/migrations", r#"{"tablet_id":1,"dest_disk":"/d2","speed":1}"#, "speed"),
        ("/api/v1/migrations", r#"{"tablet_id":-1,"dest_disk":"/d2"}"#, "tablet_id"),
        ("/api/v1/migrations", r#"{"tablet_id":1,"schema_hash":-2,"dest_disk":"/d2"}"#, "schema_hash"),
        ("/api/v1/migrations", r#"{"tablet_id":1e3,"dest_disk":"/d2"}"#, "body"),
        ("/api/v1/migrations", "", "body"),
        ("/api/v1/migrations?force=1", r#"{"tablet_id":1,"dest_disk":"/d2"}"#, "force"),
        ("/api/v1/migrations/7/action", r#"{"explode":{}}"#, "explode"),
        ("/api/v1/migrations/7/action", r#"{"pause":{},"abort":{}}"#, "exactly one key"),
        ("/api/v1/migrations/7/action", "{}", "exactly one key"),
        ("/api/v1/tasks/7/action", r#"{"start":{},"stop":{}}"#, "exactly one key"),
        ("/api/v1/migrations/7/action", r#"{"pause":{}"#, "EOF"),
        ("/api/v1/disks/enable", r#"{"path":"/d1","path":"/d2"}"#, "path"),
    ] {
        let reply = server.post(target, body);
        let error: ErrorBody = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, error.error_code.as_str()), (400, "INVALID_ARGUMENT"), "{body}");
        assert!(error.error_msg.contains(word), "{word} in {}", error.error_msg);
    }
    for target in [
        "/api/v1/migrations?limit=0",
        "/api/v1/migrations?limit=1&limit=2",
        "/api/v1/migrations?status=done",
        "/api/v1/status?verbose=1",
        "/api/v1/tablets?partition_id=x",
        "/api/v1/tablets?table_id=x",
    ] {
        assert_eq!(server.get(target).status, 400, "{target}");
    }
    let plain = server.request("POST", "/api/v1/migrations", "Content-Type: text/plain\r\n", "{}");
    assert_eq!((plain.status, &plain.json()["error_code"]), (415, &"UNSUPPORTED_MEDIA_TYPE".into()));
    assert!(server.node.asked().is_empty());
}

#[test]
fn errors_have_the_status_that_fits_and_a_body_always() {
    let server = start();
    let submit = || server.post("/api/v1/migrations", r#"{"tablet_id":1,"dest_disk":"/d2"}"#);
    for (code, status) in [
        (ErrorCode::DiskNotFound, 404),
        (ErrorCode::MigrationExists, 409),
        (ErrorCode::SchemaHashMismatch, 412),
        (ErrorCode::QueueFull, 429),
        (ErrorCode::ShuttingDown, 503),
        (ErrorCode::Internal, 500),
    ] {
        server.node.answers().refusal = Some(Failure::new(code, "our words"));
        let reply = submit();
        assert_eq!((reply.status, &reply.json()["error_code"]), (status, &code.as_str().into()));
        assert_eq!(reply.json()["error_msg"], "our words");
        assert_eq!(reply.header("retry-after").is_some(), matches!(status, 429 | 503));
    }
    let unknown = server.get("/api/v1/nothing");
    assert_eq!((unknown.status, &unknown.json()["error_code"]), (404, &"NOT_FOUND".into()));
    let method = server.request("PUT", "/api/v1/migrations", "", "");
    assert_eq!((method.status, &method.json()["error_code"]), (405, &"METHOD_NOT_ALLOWED".into()));
    assert!(method.header("allow").is_some());
}

#[test]
fn no_error_code_is_a_success() {
    for &code in ErrorCode::ALL {
        assert!(http_status(code).as_u16() >= 400, "{code}");
    }
}

#[test]
fn pretty_and_envelope_work_everywhere() {
    let server = start();
    let single = server.get("/api/v1/tablets/1?envelope=true").json();
    assert_eq!((&single["status"], &single["envelope"]["tablet_id"]), (&200.into(), &1.into()));
    let list = server.get("/api/v1/disks?envelope=true").json();
    assert_eq!((&list["status"], &list["total"]), (&200.into(), &2.into()));
    let error = server.get("/api/v1/migrations/9?envelope=true&pretty=true");
    assert_eq!(error.status, 404);
    assert!(
        error.text().starts_with("{\n  \"status\": 404,\n  \"envelope\": {\n    \"error_msg\": "),
        "{}",
        error.text()
    );
    let bad = server.get("/api/v1/disks?pretty=yes");
    assert_eq!((bad.status, &bad.json()["error_code"]), (400, &"INVALID_ARGUMENT".into()));
}

#[test]
fn a_body_that_nothing_is_needed_of_may_be_left_out() {
    let server = start();
    for path in ["pin", "unpin", "verify", "heal"] {
        let target = format!("/api/v1/tablets/1/{path}");
        let bare = server.request("POST", &target, "", "");
        assert!((200..300).contains(&bare.status), "{path}: {}", bare.text());
        assert!((200..300).contains(&server.post(&target, "{}").status), "{path}");
        assert_eq!(server.request("POST", &target, "", "{}").status, 415, "{path}: a body says what it is");
    }
    assert_eq!(server.request("POST", "/api/v1/trash/purge", "", "").status, 415, "there it is needed");
}

#[test]
fn the_reason_in_the_head_is_that_of_the_migration_unless_the_body_has_one() {
    let server = start();
    let submit = |body: &str| {
        let headers = "Content-Type: application/json\r\nX-Reason: tidy up\r\n";
        server.request("POST", "/api/v1/migrations", headers, body).status
    };
    assert_eq!(submit(r#"{"tablet_id":1,"dest_disk":"/d2"}"#), 201);
    assert_eq!(submit(r#"{"tablet_id":1,"dest_disk":"/d2","reason":"of the body"}"#), 201);
    let target = "/api/tablet_migration?goal=run&tablet_id=1&schema_hash=2&disk=/d2";
    assert_eq!(server.request("GET", target, "X-Reason: by hand\r\n", "").status, 200);
    assert_eq!(server.node.answers().reasons, ["tidy up", "of the body", "by hand"]);
}

#[test]
fn a_migration_has_an_id_of_24_digits_that_is_taken_wherever_its_number_is() {
    let server = start();
    server.node.answers().migration = Some(sample::migration(Status::Completed));
    let shown = server.get("/api/v1/migrations/000000000000000000000007").json();
    assert_eq!((&shown["_id"], &shown["id"]), (&"000000000000000000000007".into(), &7.into()));
    assert_eq!(shown["migrationHosts"].as_array().map(Vec::len), Some(1), "{shown}");
    assert!(shown["migrationHosts"][0].as_str().is_some_and(|host| !host.is_empty()), "{shown}");
    assert_eq!(server.get("/api/v1/migrations?marker=000000000000000000000003").status, 200);
    for bad in ["00000000000000000000007", "00000000000000000000000f", "007", "000000000000000000000000"] {
        assert_eq!(server.get(&format!("/api/v1/migrations/{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn the_list_of_a_tablet_that_nobody_knows_is_not_found() {
    let server = start();
    assert_eq!(server.get("/api/v1/tablets/1/migrations").json()["total"], 40);
    server.node.answers().migrations_total = 0;
    assert_eq!(server.get("/api/v1/tablets/1/migrations").json()["total"], 0, "it is on the node");
    let unknown = server.get("/api/v1/tablets/77/migrations");
    assert_eq!((unknown.status, &unknown.json()["error_code"]), (404, &"TABLET_NOT_FOUND".into()));
    server.node.answers().migrations_total = 1;
    assert_eq!(server.get("/api/v1/tablets/77/migrations").status, 200, "it was moved when it was here");
}
