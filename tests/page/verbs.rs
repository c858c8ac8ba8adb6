//! Beside every button stand the two lines that do the same; they are tried here as they stand.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::json;

use crate::browser::Browser;
use crate::harness::mounts::Mounted;
use crate::harness::{Daemon, Node};

const LINES: &str = "return [...document.querySelectorAll('.lines code')].map((one) => one.textContent)";

/// Runs a line as a shell would, against a daemon or against nobody.
fn run(line: &str, address: &str) -> (i32, String) {
    let programs = env!("CARGO_BIN_EXE_tabletctl").rsplit_once('/').expect("a path").0;
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", line])
        .envs([("PATH", path.as_str()), ("TABLETD_ADDR", address)])
        .output()
        .expect("a shell");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

/// What stands on these views: pairs of lines.
fn lines(browser: &Browser, daemon: &Daemon, views: &[String]) -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for view in views {
        browser.go(&daemon.url(view));
        for pair in browser.script(LINES).as_array().expect("lines") {
            let pair = pair.as_str().expect("text").split_once("\n\n").expect("two lines");
            all.insert((pair.0.to_owned(), pair.1.to_owned()));
        }
    }
    all
}

#[test]
fn every_button_has_a_line_of_tabletctl_and_one_of_curl_and_both_can_be_typed() {
    let mut node = Node::new(2);
    let Some(_mounted) = Mounted::on(&node.roots) else { return };
    let Some(browser) = Browser::open(&[]) else { return };
    for tablet in 1..=3 {
        node.add_tablet(0, tablet, &[3_000_000]);
    }
    node.settings = "node_rate_limit_bytes_per_sec = 50000\nsmall_migration_bytes = 0".to_owned();
    let daemon = node.start();
    let there = node.disk(1);
    let stepwise = json!({"tablet_id": 1, "dest_disk": there, "mode": "stepwise"});
    daemon.post("/api/v1/migrations", &stepwise);
    daemon.post("/api/v1/migrations", &json!({"tablet_id": 2, "dest_disk": there}));
    let drain = json!({"dry_run": false, "completeness": "what_fits", "request": {"kind": "drain", "disks": [node.disk(0)]}});
    daemon.post("/api/v1/tasks", &drain);
    daemon.post("/api/v1/disks/disable", &json!({"path": there, "reason": "try"}));
    let views = [
        "/",
        "/ui/tasks/1",
        "/ui/migrations/1",
        "/ui/migrations/2",
        "/ui/tablets/3",
        "/ui/trash",
        &format!("/ui/disk?path={there}"),
        &format!("/ui/disk?path={}", node.disk(0)),
        "/ui/tasks/plan?kind=rebalance",
    ];
    let pairs = lines(&browser, &daemon, &views.map(str::to_owned));
    assert!(pairs.len() > 15, "{pairs:#?}");
    for (tabletctl, curl) in &pairs {
        assert!(tabletctl.starts_with("tabletctl ") && curl.starts_with("curl -X "), "{tabletctl}\n{curl}");
        // Nobody listens there: what is read and asked cannot be answered, what is not read is a mistake of ours.
        let (status, said) = run(tabletctl, "http://127.0.0.1:9");
        assert!(status != 0 && !said.contains("Usage:"), "{tabletctl}: {status} {said}");
    }
    let of = |what: &str| pairs.iter().find(|(line, _)| line.contains(what)).expect(what);
    let (enable, _) = of("disk enable");
    assert_eq!(run(enable, &daemon.url("")).0, 0, "{enable}");
    assert_eq!(daemon.get(&format!("/api/v1/disks/show?path={there}"))["condition"], "online");
    let (_, abort) = of("migration abort 2");
    let (status, said) = run(&format!("{abort} -s"), "");
    assert!(status == 0 && said.contains("\"id\""), "{abort}: {said}");
    assert!(daemon.becomes(|| daemon.get("/api/v1/migrations/2")["status"] == "aborted"));
    browser.close();
}
