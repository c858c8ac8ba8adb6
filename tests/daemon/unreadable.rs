//! What a disk does not give is not damage: it concerns one tablet, by file and offset, and is taken back once it is given.

use serde_json::{Value, json};
use tabletd::model::TabletKey;

use crate::harness::bad_sectors::BadDisk;
use crate::harness::{Daemon, Node};

const MIB: u64 = 1 << 20;

/// A node of a disk with a bad sector in tablet 7 and of a good one, and tablets 9 and 11 beside it.
pub(crate) fn with_a_bad_sector() -> Option<(Node, BadDisk, TabletKey)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let bad = BadDisk::ext4(dir.path(), "disk0", 48 * MIB)?;
    let good = dir.path().join("disk1");
    std::fs::create_dir(&good).expect("a fresh directory");
    let roots = vec![bad.path().to_owned(), good];
    let mut node = Node::on(dir, roots);
    node.settings = "migration_retry_backoff_ms = 10\n".to_owned();
    let key = node.add_tablet(0, 7, &[50_000, 3_000_000]);
    node.add_tablet(0, 9, &[20_000]);
    node.add_tablet(0, 11, &[400_000]);
    bad.spoil(&node.tablet_dir(0, key).join("02000001_0.dat"), 1_200_128..1_200_129);
    Some((node, bad, key))
}

/// Where that is: the sector that holds the byte.
const NAMED: [&str; 2] = ["02000001_0.dat", "4096 bytes at offset 1200128"];

fn names_it(said: &str) -> bool {
    NAMED.iter().all(|name| said.contains(name))
}

fn verified(daemon: &Daemon) -> Value {
    daemon.post("/api/v1/tablets/7/verify", &json!({}));
    let look = || daemon.get("/api/v1/tablets/7/verify");
    assert!(daemon.becomes(|| !["queued", "running"].contains(&look()["state"].as_str().expect("a state"))));
    look()
}

/// How a node finds out.
type Find = (&'static str, fn(&Node, &Daemon, TabletKey));

const FINDERS: &[Find] = &[
    ("verified", |_, daemon, _| {
        let check = verified(daemon);
        assert_eq!((&check["state"], &check["damaged"]), (&json!("unreadable"), &json!([])), "{check:#}");
        assert_eq!(check["unreadable"].as_array().map(Vec::len), Some(1), "{check:#}");
    }),
    ("copied", |node, daemon, key| {
        let row = daemon.wait_for(daemon.accept(key, &node.disk(1)), &["failed"]);
        assert_eq!(row["error"]["code"], "SOURCE_UNREADABLE", "{row:#}");
        assert!(names_it(row["error"]["message"].as_str().expect("a message")), "{row:#}");
        assert!(row["attempts"].as_u64() > Some(1), "another attempt may read it: {row:#}");
    }),
    ("summed", |_, daemon, _| {
        let mut answer = ureq::get(daemon.url("/api/calc_crc?tablet_id=7"));
        answer = answer.config().http_status_as_error(false).build();
        answer.call().expect("an answer");
    }),
];

#[test]
fn whoever_is_not_given_a_byte_says_which_and_takes_it_back_once_it_is_given() {
    for (case, find) in FINDERS {
        let Some((node, bad, key)) = with_a_bad_sector() else { return };
        let daemon = node.start();
        find(&node, &daemon, key);
        let shown = daemon.get("/api/v1/tablets/7");
        assert_eq!(
            (&shown["damaged"], &shown["disk"]),
            (&Value::Null, &json!(node.disk(0))),
            "{case}: {shown:#}"
        );
        let said = shown["unreadable"].as_str().unwrap_or_default();
        assert!(said.contains(NAMED[0]) && said.contains("tabletctl tablet heal 7"), "{case}: {shown:#}");
        let status = daemon.get("/api/v1/status");
        assert_eq!(status["unreadable_tablets"][0]["tablet_id"], 7, "{case}: {status:#}");
        assert_eq!(status["damaged_tablets"], json!([]), "{case}: {status:#}");
        assert!(daemon.get_text("/metrics").contains("tabletd_tablets_unreadable 1"), "{case}");
        let disk = daemon.get(&format!("/api/v1/disks/show?path={}", node.disk(0)));
        assert_eq!(disk["condition"], "online", "{case}: one sector is not the disk: {disk:#}");
        daemon.stop();

        // The next run knows it too.
        let daemon = node.start();
        assert_eq!(daemon.get("/api/v1/tablets/7")["unreadable"], said, "{case}");
        bad.recover();
        assert_eq!(verified(&daemon)["state"], "passed", "{case}");
        assert_eq!(daemon.get("/api/v1/tablets/7")["unreadable"], Value::Null, "{case}");
        daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
        daemon.stop();
        assert_eq!(node.assert_whole()[&key], 1, "{case}");
    }
}

#[test]
fn a_drain_saves_everything_else_first() {
    let Some((mut node, bad, key)) = with_a_bad_sector() else { return };
    node.settings += "ssd_read_slots = 1\nsmall_migration_bytes = 0\n";
    let daemon = node.start();
    assert_eq!(verified(&daemon)["state"], "unreadable");
    let request = json!({"kind": "drain", "disks": [node.disk(0)]});
    let task =
        daemon.post("/api/v1/tasks", &json!({"name": "empty it", "dry_run": false, "request": request}));
    let id = &task["id"];
    daemon.post(&format!("/api/v1/tasks/{id}/action"), &json!({"start": {}}));
    let look = || daemon.get(&format!("/api/v1/tasks/{id}"));
    assert!(daemon.becomes(|| look()["status"] == "finished"), "{task:#} {:#}", look());
    for saved in [9, 11] {
        assert_eq!(daemon.get(&format!("/api/v1/tablets/{saved}"))["disk"], node.disk(1), "{:#}", look());
    }
    let rows = daemon.get("/api/v1/migrations?sort=id");
    let order: Vec<_> = rows["data"].as_array().expect("rows").iter().map(|row| &row["tablet_id"]).collect();
    assert_eq!(order.last(), Some(&&json!(7)), "{rows:#}");
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0));
    let disk = daemon.get(&format!("/api/v1/disks/show?path={}", node.disk(0)));
    assert_eq!(disk["safe_to_remove"], false, "{disk:#}");
    daemon.stop();
    bad.recover();
    assert_eq!(node.assert_whole()[&key], 0);
}
