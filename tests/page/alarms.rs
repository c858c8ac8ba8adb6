//! Each thing that is wrong stands on top with the button, or the command, that helps.

use std::fs;

use serde_json::json;

use crate::browser::Browser;
use crate::harness::Node;
use crate::harness::bad_sectors::BadDisk;
use crate::harness::mounts::Mounted;

/// What the alarms say, with what could be clicked in them.
fn alarms(browser: &Browser) -> String {
    let text = browser.script("return document.querySelector('#alarms').textContent");
    text.as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_disabled_a_full_and_a_lost_disk_each_have_their_button() {
    let mut node = Node::new(2);
    let Some(_mounted) = Mounted::on(&node.roots) else { return };
    let Some(browser) = Browser::open(&[]) else { return };
    node.roots.push(node.dir.path().join("lost"));
    node.settings =
        "ignore_broken_disk = true\nstorage_flood_stage_usage_percent = 3\ndisk_stat_monitor_interval = 1"
            .to_owned();
    let key = node.add_tablet(0, 7, &[3_000_000]);
    node.add_tablet(0, 8, &[1000]);
    node.add_tablet(2, 9, &[1000]);
    // It was here once, so that the node knows of its tablet.
    node.start().stop();
    fs::rename(&node.roots[2], node.dir.path().join("away")).expect("renamed");
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.post("/api/v1/disks/disable", &json!({"path": node.disk(1), "reason": "the cable"}));
    browser.go(&daemon.url("/"));
    browser.until("all are seen", || {
        let alarms = alarms(&browser);
        ["the cable", "is full", "When it does not come back", "unavailable tablet 9"]
            .iter()
            .all(|text| alarms.contains(text))
    });
    browser.press("Enable");
    browser.until("it is enabled", || {
        daemon.get(&format!("/api/v1/disks/show?path={}", node.disk(1)))["condition"] == "online"
    });
    browser.unfold("Purge trash");
    browser.press("Yes: purge trash");
    browser.until("the purge's own page", || browser.place().starts_with("/ui/operations/"));
    browser.go(&daemon.url("/"));
    browser.click("//a[normalize-space()='See what would be lost']");
    browser.sees("Do without it");
    browser.sees("1 tablets, 0 migrations wait for it");
    browser.unfold("Do without it");
    browser.press("Yes: do without it");
    browser.until("the disk is gone", || daemon.get("/api/v1/disks")["total"] == 2);
    browser.until("and nothing is missed", || daemon.get("/api/v1/status")["tablets_unavailable"] == 0);
    browser.close();
}

#[test]
fn a_journal_that_is_gone_is_said_on_top() {
    let mut node = Node::new(2);
    let Some(browser) = Browser::open(&[]) else { return };
    let key = node.add_tablet(0, 7, &[3000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.stop();
    fs::remove_dir_all(node.dir.path().join("state")).expect("the state directory");
    fs::create_dir(node.dir.path().join("state")).expect("an empty one");
    let daemon = node.start();
    let trouble = daemon.get("/api/v1/status")["state_dir"]["trouble"].clone();
    let trouble = trouble.as_str().expect("it is said");
    browser.go(&daemon.url("/"));
    assert!(alarms(&browser).contains(trouble), "{trouble}: {}", alarms(&browser));
    browser.close();
}

#[test]
fn an_unreadable_tablet_is_salvaged() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(bad) = BadDisk::ext4(dir.path(), "disk0", 32 << 20) else { return };
    let Some(browser) = Browser::open(&[]) else { return };
    let there = dir.path().join("disk1");
    fs::create_dir(&there).expect("a directory");
    let mut node = Node::on(dir, vec![bad.path().to_owned(), there]);
    let key = node.add_tablet(0, 7, &[50_000, 3_000_000]);
    bad.spoil(&node.tablet_dir(0, key).join("02000001_0.dat"), 1_200_128..1_204_224);
    bad.forget_cache();
    let daemon = node.start();
    browser.go(&daemon.url("/ui/tablets/7"));
    browser.press("Verify");
    browser.until("it is known", || !daemon.get("/api/v1/tablets/7")["unreadable"].is_null());
    browser.go(&daemon.url("/"));
    browser.sees("tablet 7");
    browser.unfold("Salvage");
    browser.press("Salvage");
    browser.until("the operation's own page", || browser.place() == "/ui/operations/1");
    browser.sees("02000001_0.dat");
    browser.sees("4096 bytes at offset 1200128");
    assert_eq!(daemon.get("/api/v1/operations/1")["salvaged"]["state"], "done");
    browser.close();
    daemon.stop();
}
