//! What a person does, by clicks alone.

use std::fs;
use std::os::unix::fs::FileExt as _;

use serde_json::json;

use crate::browser::Browser;
use crate::door::token;
use crate::harness::Node;
use crate::harness::mounts::Mounted;

/// Text that would do harm where it is taken for HTML.
const HOSTILE: &str =
    "<img src=x onerror=\"document.title='harm'\"></textarea><script>document.title='harm'</script>'&\"";

#[test]
fn a_drain_is_planned_started_paused_resumed_and_watched_to_its_end() {
    let mut node = Node::new(2);
    let Some(_mounted) = Mounted::on(&node.roots[..1]) else { return };
    let Some(browser) = Browser::open(&[]) else { return };
    for tablet in 1..=8 {
        node.add_tablet(0, tablet, &[150_000, 50_000]);
    }
    node.settings = "node_rate_limit_bytes_per_sec = 100000".to_owned();
    let daemon = node.start();
    browser.go(&daemon.url("/"));
    browser.sees("Nothing is wrong.");
    browser.click(&format!("//a[normalize-space()='{}']", node.disk(0)));
    browser.click("//a[normalize-space()='Plan a drain']");
    browser.sees("8 moves");
    assert_eq!(
        browser.script("return document.querySelectorAll('.plan svg.bar').length"),
        4,
        "before and after"
    );
    assert!(daemon.get("/api/v1/tasks")["total"] == 0, "a plan is only looked at");
    browser.unfold("Keep as a task");
    browser.type_in("input[name='text:reason']", "the disk is old");
    browser.press("Keep as a task");
    browser.until("the task's own page", || browser.place() == "/ui/tasks/1");
    browser.sees("the disk is old");
    // From here on the page is never loaded by hand: it follows.
    browser.press("Start");
    browser.sees("Moves under way");
    browser.until("a move is seen under way", || {
        browser.script("return document.querySelectorAll('#moves-under-way tbody tr').length").as_u64()
            > Some(0)
    });
    browser.press("Pause");
    browser.until("it is paused", || daemon.get("/api/v1/tasks/1")["status"] == "paused");
    browser.press("Resume");
    browser.until("it runs", || daemon.get("/api/v1/tasks/1")["status"] == "running");
    daemon.post("/api/update_config?node_rate_limit_bytes_per_sec=0", &json!(null));
    browser.until("its end is seen", || {
        browser.script("return document.querySelector('#task .badge').textContent") == "finished"
    });
    browser.sees("8 of 8");
    browser.go(&daemon.url("/"));
    browser.sees("Safe to remove.");
    browser.go(&daemon.url("/ui/migrations"));
    browser.click("//tbody//th/a");
    browser.sees("Receipt");
    browser.close();
}

#[test]
fn a_damaged_tablet_is_found_and_healed() {
    let mut node = Node::new(2);
    let Some(browser) = Browser::open(&[]) else { return };
    let key = node.add_tablet(0, 7, &[50_000, 3000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    let file = node.tablet_dir(1, key).join("02000000_0.dat");
    let open = fs::OpenOptions::new().read(true).write(true).open(file).expect("a file");
    let mut byte = [0];
    open.read_exact_at(&mut byte, 2000).expect("a byte");
    open.write_all_at(&[byte[0] ^ 1], 2000).expect("a byte");
    open.sync_all().expect("synced");

    browser.go(&daemon.url("/ui/tablets"));
    browser.click("//a[normalize-space()='7']");
    browser.press("Verify");
    browser.sees("Accepted: verify");
    browser.go(&daemon.url("/"));
    browser.sees("tablet 7 on");
    let lines = "return document.querySelector('#alarms .lines code').textContent";
    let line = browser.script(lines);
    assert!(line.as_str().is_some_and(|line| line.starts_with("tabletctl tablet heal 7")), "{line}");
    browser.unfold("Heal");
    browser.press("Heal");
    browser.until("the tablet's own page", || browser.place() == "/ui/tablets/7");
    browser.until("it is well", || daemon.get("/api/v1/tablets/7")["damaged"].is_null());
    browser.until("the page says so", || {
        browser.script("return document.querySelector('#tablet .bad, #tablet .trouble') === null") == true
    });
    browser.go(&daemon.url("/"));
    browser.sees("Nothing is wrong.");
    browser.close();
}

#[test]
fn a_viewer_sees_no_button_that_works() {
    let mut node = Node::new(2);
    let Some(_mounted) = Mounted::on(&node.roots[..1]) else { return };
    let Some(browser) = Browser::open(&[]) else { return };
    let key = node.add_tablet(0, 10, &[1000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    let drain = json!({"dry_run": false, "completeness": "what_fits", "request": {"kind": "drain", "disks": [node.disk(1)]}});
    daemon.post("/api/v1/tasks", &drain);
    let viewer = token(&node, &daemon, "look", "viewer");
    browser.go(&daemon.url("/"));
    browser.until("it is asked who comes", || browser.place() == "/ui/sign-in");
    browser.type_in("#token", &viewer);
    browser.press("Sign in");
    browser.sees("look (viewer)");
    let disk = format!("/ui/disk?path={}", node.disk(1));
    for view in [
        "/ui/tasks/plan?kind=rebalance",
        &format!("/ui/tasks/plan?kind=drain&disk={}", node.disk(1)),
        &format!("/ui/migrations/plan?tablet_id=10&to={}", node.disk(1)),
    ] {
        browser.go(&daemon.url(view));
        browser.until("planning is not for a viewer", || {
            browser.script("return document.querySelector('.filters button').disabled") == true
        });
    }
    for view in [
        "/",
        &disk,
        &format!("/ui/disk/lost?path={}", node.disk(1)),
        "/ui/tasks/1",
        "/ui/migrations/1",
        "/ui/tablets/10",
        "/ui/trash",
        "/ui/operations",
        "/ui/events",
    ] {
        browser.go(&daemon.url(view));
        let working =
            "return [...document.querySelectorAll('form[method=post] button, button:not(form button)')]
            .filter((one) => !one.disabled).map((one) => one.textContent)";
        assert_eq!(browser.script(working), json!(["Sign out"]), "{view}");
        if view != "/" && !view.ends_with("operations") && !view.ends_with("events") {
            let lines = browser.script(
                "return [...document.querySelectorAll('.lines code')].map((one) => one.textContent).join()",
            );
            let lines = lines.as_str().unwrap_or_default().to_owned();
            assert!(
                lines.contains("tabletctl ") && lines.contains("Bearer $TABLETD_TOKEN"),
                "{view}: {lines}"
            );
        }
    }
    browser.press("Sign out");
    browser.until("the way in", || browser.place() == "/ui/sign-in");
    browser.close();
}

#[test]
fn names_and_reasons_that_are_hostile_do_no_harm() {
    let mut node = Node::new(1);
    let root = node.dir.path().join("disk<i>'&\"<script>1");
    fs::create_dir(&root).expect("a directory");
    node.roots.push(root);
    let Some(browser) = Browser::open(&[]) else { return };
    let key = node.add_tablet(0, 10, &[1000]);
    let daemon = node.start();
    let there = node.disk(1);
    let move_it = json!({"tablet_id": 10, "dest_disk": there, "reason": HOSTILE, "mode": "stepwise"});
    daemon.post("/api/v1/migrations", &move_it);
    daemon.post("/api/v1/tablets/10/pin", &json!({ "reason": HOSTILE }));
    let drain = json!({"name": HOSTILE, "reason": HOSTILE, "dry_run": false, "completeness": "what_fits",
        "request": {"kind": "move", "to": {"disks": [there]}}});
    daemon.send("/api/v1/tasks", &[], &drain);
    daemon.send("/api/v1/disks/disable", &[], &json!({"path": there, "reason": HOSTILE}));
    let disk =
        "/ui/disk?path=".to_owned() + &there.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let known = format!("/ui/tablets/{}?schema_hash=%3Cscript%3E", key.tablet_id);
    for view in [
        "/",
        &disk,
        "/ui/tasks",
        "/ui/tasks/1",
        "/ui/migrations",
        "/ui/migrations/1",
        "/ui/tablets/10",
        "/ui/events",
    ] {
        browser.go(&daemon.url(view));
        let made = browser
            .script("return [document.title, document.querySelectorAll('img, main script, main i').length]");
        assert!(made[1] == 0 && made[0] != "harm", "{view}: {made}");
        let complaints = browser.complaints();
        assert!(complaints.is_empty() || view == "/ui/tasks/1", "{view}: {complaints:?}");
    }
    browser.go(&daemon.url(&known));
    browser.go(&daemon.url("/ui/migrations?status=%3Cscript%3Ealert(1)%3C/script%3E&done=%3Cb%3E"));
    assert_eq!(browser.script("return document.querySelectorAll('main script, main b').length"), 0);
    browser.sees("INVALID_ARGUMENT");
}
