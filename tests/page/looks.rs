//! How the page is for who cannot see it, has no mouse, has a narrow screen, or ten thousand migrations.

use std::time::Instant;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::harness::Node;
use crate::harness::mounts::Mounted;

/// What is wrong with a view, in words; rules of our own, after WCAG 2.2.
const RULES: &str = r#"
const wrong = [], all = (css) => [...document.querySelectorAll(css)];
const name = (one) => (one.getAttribute('aria-label') || one.labels?.[0]?.textContent || one.textContent || '').trim();
if (!document.documentElement.lang) wrong.push('no language');
for (const css of ['main', 'h1', 'header', 'footer', 'nav[aria-label]']) if (all(css).length !== 1) wrong.push(`${all(css).length} of ${css}`);
for (const one of all('a, button, summary, input:not([type=hidden]), select, progress, [role=img]')) {
  if (!name(one)) wrong.push('no name: ' + one.outerHTML);
}
for (const one of all('svg')) if (one.getAttribute('role') !== 'img' && one.getAttribute('aria-hidden') !== 'true') wrong.push('a picture without a role: ' + one.outerHTML);
for (const one of all('table')) {
  if (!one.caption) wrong.push('a table without a caption');
  for (const th of one.querySelectorAll('th')) if (!th.scope) wrong.push('a heading without a scope: ' + th.outerHTML);
}
const ids = all('[id]').map((one) => one.id);
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push('an id twice: ' + id);
let level = 0;
for (const one of all('h1, h2, h3, h4')) {
  const its = Number(one.tagName[1]);
  if (its > level + 1) wrong.push('a heading left out before ' + one.textContent);
  level = its;
}
if (all('[tabindex]').some((one) => one.tabIndex > 0)) wrong.push('an order of focus of its own');
if (all('[style]').length) wrong.push('style in the HTML');
return wrong;
"#;

fn node() -> Node {
    let mut node = Node::new(2);
    for tablet in 1..=5 {
        node.add_tablet(0, tablet, &[3000]);
    }
    node
}

fn views(node: &Node) -> Vec<String> {
    let disk = node.disk(0);
    let there = node.disk(1);
    [
        "/",
        &format!("/ui/disk?path={disk}"),
        "/ui/tasks",
        "/ui/tasks/1",
        "/ui/tasks/plan?kind=drain",
        &format!("/ui/tasks/plan?kind=drain&disk={disk}&completeness=what_fits"),
        "/ui/migrations",
        "/ui/migrations/1",
        "/ui/tablets",
        &format!("/ui/tablets/2?to={there}"),
        "/ui/trash",
        "/ui/operations",
        "/ui/events",
        "/ui/tasks/plan?kind=rebalance",
        "/ui/tasks/plan?kind=move",
        "/ui/migrations/plan",
        &format!("/ui/migrations/plan?tablet_id=2&to={there}"),
        &format!("/ui/disk/lost?path={there}"),
        "/ui/operations/1",
        "/ui/sign-in",
        "/ui/api",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[test]
fn every_view_has_names_for_all_it_shows_fits_a_narrow_screen_and_gives_the_browser_no_reason_to_complain() {
    let mut node = Node::new(2);
    let Some(_mounted) = Mounted::on(&node.roots[..1]) else { return };
    for tablet in 1..=5 {
        node.add_tablet(0, tablet, &[3000]);
    }
    let Some(browser) = Browser::open(&[]) else { return };
    node.settings = "node_rate_limit_bytes_per_sec = 1000000".to_owned();
    let daemon = node.start();
    let key = tabletd::model::TabletKey::new(1, crate::harness::HASH);
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    let drain = json!({"dry_run": false, "completeness": "what_fits", "request": {"kind": "drain", "disks": [node.disk(0)]}});
    daemon.post("/api/v1/tasks", &drain);
    daemon.post("/api/v1/tablets/verify", &json!({"disk": node.disk(0)}));
    for view in views(&node) {
        browser.go(&daemon.url(&view));
        if view.starts_with("/ui") || view == "/" {
            let wrong = browser.script(RULES);
            assert_eq!(wrong, json!([]), "{view}: {wrong:#}");
        }
        browser.resize(340, 700);
        let wide = browser.script("return [document.documentElement.scrollWidth, window.innerWidth]");
        assert!(wide[0].as_u64() <= wide[1].as_u64(), "{view} is wider than the screen: {wide}");
        browser.resize(1200, 900);
        let complaints = browser.complaints();
        assert!(complaints.is_empty(), "{view}: {complaints:?}");
    }
    browser.close();
}

#[test]
fn the_keyboard_alone_goes_everywhere_and_the_first_stop_is_the_way_past_the_head() {
    let node = node();
    let Some(browser) = Browser::open(&[]) else { return };
    let daemon = node.start();
    browser.go(&daemon.url("/ui/tablets/2"));
    let order = "return [...document.querySelectorAll('a[href], button:not([disabled]), summary, input:not([type=hidden]), select')]
        .filter((one) => one.checkVisibility()).map((one) => one.className || one.textContent.trim() || one.name)";
    let order = browser.script(order);
    assert_eq!(order[0], "skip");
    let mut seen = Vec::new();
    for _ in 0..order.as_array().map_or(0, Vec::len) {
        browser.type_keys("\u{e004}");
        seen.push(browser.script(
            "const at = document.activeElement; return at.className || at.textContent.trim() || at.name",
        ));
    }
    assert_eq!(Value::Array(seen), order, "the order of focus is that of the page");
    browser.script("document.querySelector('.skip').focus(); return 0");
    browser.type_keys("\u{e007}");
    assert_eq!(browser.script("return document.activeElement.id"), "main");
    browser.close();
}

#[test]
fn ten_thousand_migrations_stay_quick() {
    let mut node = node();
    let Some(browser) = Browser::open(&[]) else { return };
    node.settings = "finished_migration_tasks_size = 20000".to_owned();
    let daemon = node.start();
    let key = tabletd::model::TabletKey::new(1, crate::harness::HASH);
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.stop();
    ten_thousand_like_the_first(&node);
    let daemon = node.start();
    browser.go(&daemon.url("/ui/migrations"));
    browser.sees("50 shown of 100");
    for view in [
        "/",
        "/ui/migrations",
        "/ui/migrations?status=completed&disk=x",
        "/ui/migrations?marker=5000",
        "/ui/events",
    ] {
        let started = Instant::now();
        browser.go(&daemon.url(view));
        let rows = browser.script("return document.querySelectorAll('tbody tr').length");
        assert!(rows.as_u64() <= Some(500), "{view}: {rows} rows");
        assert!(started.elapsed().as_millis() < 3000, "{view} takes {} ms", started.elapsed().as_millis());
    }
    browser.go(&daemon.url("/ui/migrations"));
    browser.click("//a[@rel='next']");
    browser.until("the next page", || {
        browser.script("return location.search").as_str().unwrap_or_default().contains("marker=")
    });
    browser.close();
}

/// Copies of the one row there is, in the journal of a daemon that does not run.
fn ten_thousand_like_the_first(node: &Node) {
    let journal = rusqlite::Connection::open(node.dir.path().join("state/journal.db")).expect("a journal");
    let doc: String =
        journal.query_row("SELECT doc FROM migration WHERE id = 1", [], |row| row.get(0)).expect("a row");
    let columns: Vec<String> = journal
        .prepare("SELECT name FROM pragma_table_info('migration')")
        .and_then(|mut names| names.query_map([], |row| row.get(0))?.collect())
        .expect("columns");
    let others: Vec<_> =
        columns.iter().filter(|name| !["id", "doc", "doc_crc32"].contains(&name.as_str())).collect();
    let others = others.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    journal.execute_batch("BEGIN").expect("begun");
    let mut row: Value = serde_json::from_str(&doc).expect("JSON");
    for id in 2..=10_001_i64 {
        row["id"] = json!(id);
        let text = row.to_string();
        let put = format!(
            "INSERT INTO migration (id, doc, doc_crc32, {others}) SELECT ?1, ?2, ?3, {others} FROM migration WHERE id = 1"
        );
        journal.execute(&put, (id, &text, i64::from(crc32fast::hash(text.as_bytes())))).expect("a copy");
    }
    journal.execute_batch("COMMIT").expect("kept");
}
