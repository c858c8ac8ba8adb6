//! The pictures of README: made anew by `scripts/screenshots.sh`, which sets `TABLETD_PICTURES` to where they go.

use std::path::PathBuf;

use serde_json::json;

use crate::browser::Browser;
use crate::harness::Node;
use crate::harness::mounts::Mounted;

#[test]
fn pictures_are_made_where_they_are_asked_for() {
    let Some(folder) = std::env::var_os("TABLETD_PICTURES").map(PathBuf::from) else { return };
    let mut node = Node::new(3);
    let Some(_mounted) = Mounted::on(&node.roots) else { return };
    let Some(browser) = Browser::open(&["--force-device-scale-factor=1"]) else { return };
    for tablet in 1..=24 {
        node.add_tablet(0, tablet, &[900_000, 50_000]);
    }
    for tablet in 25..=30 {
        node.add_tablet(1, tablet, &[1_500_000]);
    }
    node.settings = "node_rate_limit_bytes_per_sec = 3000000".to_owned();
    let daemon = node.start();
    let drain = json!({"name": "drain the old disk", "dry_run": false, "reason": "SMART: 12 reallocated sectors",
        "request": {"kind": "drain", "disks": [node.disk(0)]}});
    let task = daemon.post("/api/v1/tasks", &drain);
    daemon.post("/api/v1/tasks/1/action", &json!({"start": {}}));
    browser.until("a third is done", || daemon.get("/api/v1/tasks/1")["moves_completed"].as_u64() >= Some(8));
    assert_eq!(task["id"], 1);
    browser.resize(1000, 760);
    for (view, name) in [("/", "node.png"), ("/ui/tasks/1", "task.png")] {
        browser.go(&daemon.url(view));
        browser.sees("Live");
        std::fs::write(folder.join(name), browser.picture()).expect("a picture");
    }
    browser.close();
}
