//! The pictures of README: made anew by `scripts/screenshots.sh`, which sets `TABLETD_PICTURES` to where they go.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::browser::Browser;
use crate::harness::mounts::Mounted;
use crate::harness::{Daemon, Node};

/// Disks of the node in the pictures; their names are seen.
const FOLDER: &str = "/tmp/tabletd";

fn node() -> Node {
    let roots: Vec<_> = (1..=4).map(|n| Path::new(FOLDER).join(format!("disk{n}"))).collect();
    roots.iter().for_each(|root| fs::create_dir_all(root).expect("a directory"));
    let mut node = Node::on(tempfile::tempdir().expect("a directory"), roots);
    node.media = vec!["hdd", "hdd", "hdd", "ssd"];
    node.settings = "node_rate_limit_bytes_per_sec = 1000000\nsmall_migration_bytes = 0\n\
                     storage_flood_stage_usage_percent = 90"
        .to_owned();
    node
}

fn fill(node: &mut Node) {
    for tablet in 15_001..=15_012 {
        node.add_tablet(0, tablet, &[2_700_000, 50_000]);
    }
    for tablet in 15_025..=15_030 {
        node.add_tablet(1, tablet, &[1_500_000]);
    }
    for tablet in 15_031..=15_036 {
        node.add_tablet(3, tablet, &[2_500_000]);
    }
}

/// A day on which a disk is emptied, another is out of service, and a tablet is not what it was.
fn a_day(node: &Node, daemon: &Daemon, browser: &Browser) {
    let damaged =
        node.roots[3].join("data").join((15_033 % 1024).to_string()).join("15033/555/02000000_0.dat");
    let mut bytes = fs::read(&damaged).expect("a file");
    bytes[77] ^= 1;
    fs::write(&damaged, bytes).expect("a file");
    daemon.post("/api/v1/tablets/15033/verify", &json!({}));
    browser.until("it is known", || !daemon.get("/api/v1/tablets/15033")["damaged"].is_null());
    let drain = json!({"name": "empty disk1", "dry_run": false, "reason": "SMART: 12 reallocated sectors",
        "request": {"kind": "drain", "disks": [node.disk(0)]}});
    daemon.post("/api/v1/tasks", &drain);
    daemon.post("/api/v1/tasks/1/action", &json!({"start": {}}));
    browser.until("a third is done", || daemon.get("/api/v1/tasks/1")["moves_completed"].as_u64() >= Some(4));
}

#[test]
fn pictures_are_made_where_they_are_asked_for() {
    let Some(folder) = std::env::var_os("TABLETD_PICTURES").map(PathBuf::from) else { return };
    let mut node = node();
    let Some(mounted) = Mounted::on(&node.roots) else { return };
    let Some(browser) = Browser::open(&["--force-device-scale-factor=1"]) else { return };
    fill(&mut node);
    let daemon = node.start();
    let take = |view: &str, name: &str, (width, height): (u32, u32), colours: &str| {
        browser.resize(width, height);
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": colours }] });
        browser.tell("Emulation.setEmulatedMedia", &features);
        browser.go(&daemon.url(view));
        fs::write(folder.join(name), browser.picture()).expect("a picture");
    };
    let plan = format!("/ui/tasks/plan?kind=drain&disk={}", node.disk(0));
    take(&plan, "plan.png", (1000, 720), "light");
    a_day(&node, &daemon, &browser);
    // The plot has a few points by then.
    browser.go(&daemon.url("/"));
    browser.until("the plot has come along", || {
        let points = "return document.querySelector('.plot .out').getAttribute('points').split(' ').length";
        browser.script(points).as_u64() > Some(6)
    });
    take("/", "node.png", (1000, 860), "light");
    take("/ui/tasks/1", "task.png", (1000, 860), "dark");
    take("/", "narrow.png", (500, 900), "dark");
    browser.close();
    daemon.stop();
    drop(mounted);
    fs::remove_dir_all(FOLDER).expect("nothing is left of it");
}
