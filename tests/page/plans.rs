//! Moves that are planned on the page: what each disk holds before and after is seen first, and what was seen is what is
//! done.

use crate::browser::Browser;
use crate::harness::Node;
use crate::harness::mounts::Mounted;

/// Bars of the plan that is shown.
fn bars(browser: &Browser) -> serde_json::Value {
    browser.script("return document.querySelectorAll('.plan svg.bar').length")
}

#[test]
fn a_rebalance_and_selected_tablets_are_planned_looked_at_and_kept() {
    let mut node = Node::new(2);
    let Some(_mounted) = Mounted::on(&node.roots) else { return };
    let Some(browser) = Browser::open(&[]) else { return };
    for tablet in 1..=20 {
        node.add_tablet(0, tablet, &[1_000_000]);
    }
    let daemon = node.start();
    browser.go(&daemon.url("/"));
    browser.click("//a[normalize-space()='Even out the disks']");
    browser.sees("moves,");
    assert_eq!(bars(&browser), 4, "each disk before and after");
    browser.type_in("#start_points", "50");
    browser.press("Plan");
    browser.sees("There is nothing to move.");

    daemon.post("/api/v1/tablets/9/pin", &serde_json::json!({"reason": "it is being copied"}));
    browser
        .go(&daemon.url(&format!("/ui/tasks/plan?kind=drain&disk={}&completeness=what_fits", node.disk(0))));
    browser.sees("19 moves");
    browser.sees("Left out: 1");
    browser.sees("tablet 9: pinned");

    browser.click("//a[normalize-space()='Move selected tablets']");
    browser.type_in("#tablets", "3, 4 x");
    browser.press("Plan");
    browser.sees("\"x\" is no whole number");
    browser.script("document.querySelector('#tablets').value = '3, 4'; return 0");
    browser.choose("#to", &node.disk(1));
    browser.press("Plan");
    browser.sees("2 moves");
    assert_eq!(bars(&browser), 4);
    let line = format!("tabletctl task move --to {} --tablet 3 --tablet 4 --stopped", node.disk(1));
    assert!(
        browser
            .script("return document.querySelector('.lines code').textContent")
            .to_string()
            .contains(&line)
    );
    assert_eq!(daemon.get("/api/v1/tasks")["total"], 0, "a plan is only looked at");
    browser.unfold("Keep as a task");
    browser.type_in("input[name='text:reason']", "two of them");
    browser.press("Keep as a task");
    browser.until("the task's own page", || browser.place() == "/ui/tasks/1");
    browser.press("Start");
    browser.until("its end is seen", || {
        browser.script("return document.querySelector('#task .badge').textContent") == "finished"
    });
    for tablet in [3, 4] {
        assert_eq!(daemon.get(&format!("/api/v1/tablets/{tablet}"))["disk"], node.disk(1));
    }
    assert_eq!(daemon.get("/api/v1/tasks/1")["reason"], "two of them");
    browser.close();
}

#[test]
fn one_migration_is_looked_at_with_every_rule_and_both_disks_and_then_made() {
    let mut node = Node::new(2);
    let Some(_mounted) = Mounted::on(&node.roots) else { return };
    let Some(browser) = Browser::open(&[]) else { return };
    node.add_tablet(0, 7, &[500_000]);
    let daemon = node.start();
    browser.go(&daemon.url("/ui/migrations"));
    browser.click("//a[normalize-space()='Plan a migration']");
    browser.type_in("#tablet_id", "7");
    browser.choose("#to", &node.disk(0));
    browser.press("Look");
    browser.sees("It would be refused");
    browser.choose("#to", &node.disk(1));
    browser.press("Look");
    browser.sees("What each rule says");
    assert_eq!(bars(&browser), 4, "both disks before and after");
    let after = browser.script(
        "return [...document.querySelectorAll('.plan svg.bar')].map((one) => one.getAttribute('aria-label'))",
    );
    assert!(after[1].as_str().is_some_and(|text| text.contains("tablets 0 B, trash 488.3 KiB")), "{after:#}");
    assert!(after[3].as_str().is_some_and(|text| text.contains("tablets 488.3 KiB")), "{after:#}");
    assert_eq!(daemon.get("/api/v1/migrations")["total"], 0);
    browser.unfold("Move it there");
    browser.press("Move it there");
    browser.until("its own page", || browser.place() == "/ui/migrations/1");
    browser.sees("Receipt");
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    browser.close();
}

#[test]
fn a_drain_goes_from_the_plan_to_its_end_with_the_script_off() {
    let mut node = Node::new(2);
    let Some(_mounted) = Mounted::on(&node.roots) else { return };
    let Some(browser) = Browser::open(&[]) else { return };
    for tablet in 1..=3 {
        node.add_tablet(0, tablet, &[20_000]);
    }
    let daemon = node.start();
    browser.without_script();
    browser.go(&daemon.url(&format!("/ui/tasks/plan?kind=drain&disk={}", node.disk(0))));
    browser.sees("3 moves");
    browser.unfold("Keep as a task");
    browser.press("Keep as a task");
    browser.until("the task's own page", || browser.place() == "/ui/tasks/1");
    browser.press("Start");
    let is_over = || daemon.get("/api/v1/tasks/1")["status"] == "finished";
    browser.until("it is over", is_over);
    browser.click("//a[normalize-space()='Look again']");
    browser.sees("3 of 3");
    browser.sees("finished");
    browser.close();
}

#[test]
fn rates_are_a_plot_that_moves_and_outlives_a_change_of_view() {
    let mut node = Node::new(2);
    let Some(_mounted) = Mounted::on(&node.roots) else { return };
    let Some(browser) = Browser::open(&[]) else { return };
    let key = node.add_tablet(0, 7, &[8_000_000]);
    node.settings = "node_rate_limit_bytes_per_sec = 500000".to_owned();
    let daemon = node.start();
    daemon.accept(key, &node.disk(1));
    browser.go(&daemon.url("/"));
    let points =
        "return [...document.querySelectorAll('.plot .in')].map((one) => one.getAttribute('points') || '')";
    // The bottom of the plot is at 23: less is a rate that is not nothing.
    let rises = |points: &serde_json::Value| {
        let of_disk = points[1].as_str().unwrap_or_default();
        of_disk.split(' ').any(|point| point.split(',').nth(1).is_some_and(|y| y != "23"))
    };
    browser.until("what comes to the second disk rises", || rises(&browser.script(points)));
    let first = browser.script(points);
    browser.until("it moves on", || browser.script(points) != first);
    browser.go(&daemon.url("/ui/events"));
    daemon.act(1, &serde_json::json!({"abort": {}}));
    browser.until("nothing is under way", || daemon.get("/api/v1/migrations/1")["status"] == "aborted");
    browser.go(&daemon.url("/"));
    assert!(rises(&browser.script(points)), "what was seen before is still there");
    browser.close();
}
