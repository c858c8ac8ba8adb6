//! Migrations, tablets, trash and events as somebody works with them.

use serde_json::json;

use crate::browser::Browser;
use crate::harness::Node;
use crate::harness::mounts::Mounted;

fn two_disks() -> Option<(Node, Mounted, Browser)> {
    let node = Node::new(2);
    let mounted = Mounted::on(&node.roots)?;
    Some((node, mounted, Browser::open(&[])?))
}

#[test]
fn a_migration_is_driven_step_by_step_and_its_steps_tell_what_they_did() {
    let Some((mut node, _mounted, browser)) = two_disks() else { return };
    node.add_tablet(0, 7, &[40_000]);
    let daemon = node.start();
    browser.go(&daemon.url("/ui/migrations/plan"));
    browser.type_in("#tablet_id", "7");
    browser.choose("#to", &node.disk(1));
    browser.choose("#mode", "stepwise");
    browser.press("Look");
    browser.unfold("Move it there");
    browser.type_in("input[name='text:reason']", "by hand");
    browser.press("Move it there");
    browser.until("its own page", || browser.place() == "/ui/migrations/1");
    browser.sees("by hand");
    for step in ["prepare", "data", "finalize"] {
        browser.press(&format!("Run {step}"));
    }
    browser.sees("Receipt");
    let logs = browser.script("return document.querySelectorAll('#steps .log time').length");
    assert!(logs.as_u64() > Some(3), "{logs}");
    browser.sees("Asked by");
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    browser.close();
}

#[test]
fn migrations_are_narrowed_and_events_come_by_themselves() {
    let Some((mut node, _mounted, browser)) = two_disks() else { return };
    let key = node.add_tablet(0, 7, &[40_000]);
    let other = node.add_tablet(0, 8, &[40_000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    let rows = "return document.querySelectorAll('#migrations tbody tr').length";
    browser.go(&daemon.url("/ui/migrations"));
    browser.choose("#status", "failed");
    browser.press("Show");
    browser.sees("0 shown of 0");
    browser.choose("#status", "completed");
    browser.choose("#disk", &node.disk(1));
    browser.type_in("#tablet_id", "7");
    browser.press("Show");
    browser.sees("1 shown of 1");
    assert_eq!(browser.script(rows), 1);

    // A list that nobody loads again has the new one too.
    browser.go(&daemon.url("/ui/migrations"));
    assert_eq!(browser.script(rows), 1);
    daemon.accept(other, &node.disk(1));
    browser.until("the list has it", || browser.script(rows) == 2);
    browser.go(&daemon.url("/ui/events"));
    let third = daemon.post("/api/v1/migrations", &json!({"tablet_id": 8, "dest_disk": node.disk(0)}));
    let id = third["id"].as_u64().map_or_else(|| "2".to_owned(), |id| id.to_string());
    browser.until("its end is told", || {
        let told = format!(
            "return [...document.querySelectorAll('#event-rows tr')].some((row) => row.cells[1].textContent === '{id}' && row.cells[3].textContent.includes('completed'))"
        );
        browser.script(&told) == true
    });
    browser.close();
}

#[test]
fn a_tablet_is_searched_explained_pinned_and_unpinned() {
    let Some((mut node, _mounted, browser)) = two_disks() else { return };
    for tablet in [7, 8] {
        node.add_tablet(0, tablet, &[40_000]);
    }
    let daemon = node.start();
    browser.go(&daemon.url("/ui/tablets"));
    browser.type_in("#tablet_id", "7");
    browser.press("Show");
    browser.until("its own page", || browser.place() == "/ui/tablets/7");
    browser.press("Explain");
    browser.sees("What each rule says");
    browser.sees("destination_writable");
    browser.unfold("Pin");
    browser.type_in("input[name='text:reason']", "a copy is being made");
    browser.press("Pin");
    browser.sees("a copy is being made");
    browser.go(&daemon.url("/ui/tablets"));
    browser.click("//input[@name='pinned']");
    browser.press("Show");
    browser.sees("1 shown of 1");
    browser.go(&daemon.url("/ui/tablets/7"));
    browser.press("Unpin");
    browser.until("it is free", || daemon.get("/api/v1/tablets/7")["pinned"].is_null());
    browser.go(&daemon.url("/ui/tablets/99"));
    browser.sees("TABLET_NOT_FOUND");
    // A browser says of every 404 that it is one.
    assert_eq!(browser.complaints().len(), 1);
    browser.close();
}

#[test]
fn what_is_stuck_is_said_with_its_reason_and_planned_anew() {
    let mut node = Node::new(3);
    let Some(_mounted) = Mounted::on(&node.roots) else { return };
    let Some(browser) = Browser::open(&[]) else { return };
    // More than are handed to the disks at once.
    for tablet in 1..=60 {
        node.add_tablet(0, tablet, &[200_000]);
    }
    node.settings = "node_rate_limit_bytes_per_sec = 100000\nsmall_migration_bytes = 0".to_owned();
    let daemon = node.start();
    let drain = json!({"dry_run": false, "request": {"kind": "drain", "disks": [node.disk(0)]}});
    daemon.post("/api/v1/tasks", &drain);
    daemon.post("/api/v1/tasks/1/action", &json!({"start": {}}));
    daemon.post("/api/v1/disks/disable", &json!({"path": node.disk(1), "reason": "its cable"}));
    browser.go(&daemon.url("/ui/tasks/1"));
    browser.sees("Stuck on");
    browser.press("Plan what is left anew");
    browser.sees("were planned anew");
    daemon.post("/api/v1/disks/enable", &json!({"path": node.disk(1)}));
    daemon.post("/api/update_config?node_rate_limit_bytes_per_sec=0", &json!(null));
    browser.until("its end is seen", || {
        browser.script("return document.querySelector('#task .badge').textContent") == "finished"
    });
    browser.sees("60 of 60");

    // One that is not wanted after all: called off for good, and then forgotten.
    let other = json!({"dry_run": false, "request": {"kind": "drain", "disks": [node.disk(1)]}});
    daemon.post("/api/v1/tasks", &other);
    browser.go(&daemon.url("/ui/tasks/2"));
    browser.unfold("Cancel");
    browser.press("Yes: cancel");
    browser.until("it is called off", || daemon.get("/api/v1/tasks/2")["status"] == "cancelled");
    browser.unfold("Delete");
    browser.press("Yes: delete");
    browser.until("the list", || browser.place() == "/ui/tasks");
    assert_eq!(daemon.get("/api/v1/tasks")["total"], 1);
    browser.close();
}

#[test]
fn what_lies_in_trash_is_restored() {
    let Some((mut node, _mounted, browser)) = two_disks() else { return };
    let key = node.add_tablet(0, 7, &[40_000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    browser.go(&daemon.url("/ui/trash"));
    browser.sees("7");
    // It is served and well, so that the trash is not needed: the refusal says so, and nothing is changed.
    browser.unfold("Restore");
    browser.press("Yes: restore");
    browser.until("there is an answer", || {
        browser.place().starts_with("/ui/operations/") || browser.text().contains("Refused")
    });
    browser.until("it is over", || {
        let text = browser.text();
        text.contains("failed") || text.contains("Refused")
    });
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    browser.complaints();
    browser.close();
}
