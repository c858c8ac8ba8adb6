//! The roots of a real Doris backend on the page: the same look as that of `tabletctl doris inspect`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::browser::Browser;
use crate::harness::Node;

/// Two roots as a backend left them.
fn roots(below: &Path) -> Vec<PathBuf> {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/doris/clean.tar.gz");
    let status = Command::new("tar").arg("xzf").arg(packed).arg("-C").arg(below).status();
    assert!(status.expect("tar runs").success());
    let entries = std::fs::read_dir(below.join("clean")).expect("unpacked");
    let mut roots: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    roots.retain(|root| root.join("meta").is_dir());
    roots.sort();
    roots
}

#[test]
fn doris_roots_are_shown_as_tabletctl_tells_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let roots = roots(dir.path());
    let Some(browser) = Browser::open(&[]) else { return };
    let node = Node::on(dir, roots.clone());
    let daemon = node.start();
    let output = Command::new(env!("CARGO_BIN_EXE_tabletctl"))
        .args(["doris", "inspect", "--json"])
        .args(&roots)
        .output()
        .expect("tabletctl");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    browser.go(&daemon.url("/"));
    browser.click("//nav//a[normalize-space()='Doris roots']");
    browser.sees("Nothing is written by looking.");
    let page = browser.text();
    for root in told["roots"].as_array().expect("roots") {
        let (path, moving) = (root["root"].as_str().expect("a path"), &root["would_move"]["tablets"]);
        assert!(page.contains(path), "{path}: {page}");
        assert!(page.contains(&format!("A drain would move {moving} tablets")), "{moving}: {page}");
        for reason in root["left_for"].as_array().expect("reasons") {
            assert!(page.contains(reason["way_out"].as_str().expect("words")), "{reason}: {page}");
        }
    }
    let bars = browser.script("return document.querySelectorAll('main svg.bar').length");
    assert_eq!(bars, roots.len());
    // Read once for many loads, as long as nothing is moved; and anew when somebody wants it.
    let age = |target: &str| daemon.get(target)["age_seconds"].as_u64().expect("an age");
    assert!(daemon.becomes(|| age("/api/v1/doris/inspection?age_max_sec=300") > 0));
    browser.go(&daemon.url("/ui/doris"));
    browser.sees("since when nothing was moved");
    browser.click("//a[normalize-space()='look again']");
    browser.sees("as they were read just now");
    assert_eq!(age("/api/v1/doris/inspection"), 0);
    let line = browser.script("return document.querySelector('main pre').textContent");
    assert!(line.as_str().is_some_and(|line| line.starts_with("tabletctl doris inspect /")), "{line}");
    for view in ["/", "/ui/tasks", "/ui/migrations", "/ui/tablets", "/ui/events", "/ui/tasks/plan?kind=drain"]
    {
        browser.go(&daemon.url(view));
        let title = browser.script("return document.querySelector('h1').textContent");
        assert!(
            !title.as_str().is_some_and(|title| title == "Failed" || title.starts_with("Refused")),
            "{view}"
        );
    }
    browser.close();
}
