//! Completion of `tabletctl` in real shells, from a real daemon: a TAB is pressed, and what the shell makes of it counts.

use std::io::Write as _;
use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin;
use serde_json::json;

use crate::harness::Node;
use crate::harness::daemon::Daemon;

/// A node with a tablet that was moved once, by a task.
fn node() -> (Node, Daemon) {
    let mut node = Node::new(2);
    for id in [15_672, 15_673, 4711] {
        node.add_tablet(0, id, &[1000]);
    }
    let daemon = node.start();
    let request = json!({"kind": "move", "select": {"tablets": [4711]}, "to": {"disks": [node.disk(1)]}});
    let body = json!({"name": "tidy up", "dry_run": false, "request": request});
    let task = daemon.post("/api/v1/tasks", &body);
    let id = task["id"].as_u64().unwrap_or_else(|| panic!("{task:#}"));
    daemon.post(&format!("/api/v1/tasks/{id}/action"), &json!({"start": {}}));
    let path = format!("/api/v1/tasks/{id}");
    assert!(daemon.becomes(|| daemon.get(&path)["status"] == "finished"), "{:#}", daemon.get(&path));
    (node, daemon)
}

/// What is offered for the last of these words, as fish is told it: a value, a tab, and what it is.
fn offered(address: &str, words: &[&str]) -> Vec<String> {
    let out = Command::new(cargo_bin!("tabletctl"))
        .env("COMPLETE", "fish")
        .env("TABLETD_ADDR", address)
        .arg("--")
        .arg("tabletctl")
        .args(words)
        .output()
        .expect("tabletctl");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn disks_tablets_tasks_and_migrations_are_offered_as_the_daemon_has_them() {
    let (node, daemon) = node();
    let address = daemon.url("");
    let values = |words: &[&str]| -> Vec<String> {
        let lines = offered(&address, words).into_iter();
        lines.map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
    };
    let slash = format!("{}/", node.dir.path().display());
    assert_eq!(values(&["disk", "show", &slash]), [node.disk(0), node.disk(1)]);
    assert_eq!(values(&["disk", "show", "di"]), ["disk0", "disk1"]);
    assert_eq!(values(&["migrate", "4711", "--disk", "disk1"]), ["disk1"]);
    assert_eq!(values(&["tablet", "heal", "156"]), ["15672", "15673"]);
    assert_eq!(values(&["tablet", "show", "4"]), ["4711"]);
    let tasks = offered(&address, &["task", "show", "1"]);
    assert!(tasks.len() == 1 && tasks[0].starts_with("1\t(tidy up): finished"), "{tasks:?}");
    let migrations = offered(&address, &["follow", "1"]);
    assert!(migrations.len() == 1 && migrations[0].contains("tablet 4711"), "{migrations:?}");
    assert!(values(&["list", "--status", "com"]).contains(&"completed".to_owned()));
    // Where it is told to ask counts, also when the words are typed.
    assert_eq!(offered("http://127.0.0.1:1", &["tablet", "show", "4"]), [""; 0]);
    let typed = offered("http://127.0.0.1:1", &["--addr", &address, "tablet", "show", "4"]);
    assert!(typed.len() == 1 && typed[0].starts_with("4711"), "{typed:?}");
}

/// A word that is empty, or that many ids begin with, is asked for in pages: none may be left out, and none end it.
#[test]
fn tablets_are_offered_for_a_word_that_says_little() {
    let mut node = Node::new(1);
    for id in [1, 9, 15, 10_001] {
        node.add_tablet(0, id, &[100]);
    }
    let daemon = node.start();
    let address = daemon.url("");
    for (word, wanted) in
        [("", &["1", "10001", "15", "9"][..]), ("1", &["1", "10001", "15"]), ("100", &["10001"]), ("0", &[])]
    {
        let lines = offered(&address, &["tablet", "show", word]);
        let values: Vec<_> = lines.iter().map(|line| line.split('\t').next().unwrap_or_default()).collect();
        // Without a word the options of the command are offered too.
        let ids: Vec<_> =
            values.into_iter().filter(|value| value.starts_with(|c: char| c.is_ascii_digit())).collect();
        assert_eq!(ids, wanted, "{word:?}: {lines:?}");
    }
}

/// Whether a shell is here; a run that must not skip anything fails without it.
fn is_here(shell: &str) -> bool {
    let here = Command::new(shell).arg("-c").arg("true").stdin(Stdio::null()).output().is_ok();
    if !here {
        assert!(std::env::var_os("TABLETD_REQUIRE_ROOT_TESTS").is_none(), "{shell} is not installed");
        eprintln!("skipped: {shell} is not installed");
    }
    here
}

/// The words of the line that a shell with a terminal has after each TAB, by typing it there.
fn typed_into(shell: &str, load: &str, daemon: &Daemon, lines: &[&str]) -> String {
    let bin = cargo_bin!("tabletctl").parent().expect("a directory").display().to_string();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    // script(1) is the terminal.
    let mut terminal = Command::new("script")
        .args(["-qec", shell, "/dev/null"])
        .env("PATH", path)
        .env("TABLETD_ADDR", daemon.url(""))
        .env("TERM", "dumb")
        .env("HOME", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script(1) of bsdutils");
    let mut keys = terminal.stdin.take().expect("piped");
    writeln!(keys, "{load}").expect("a terminal");
    for line in lines {
        // TAB, then to the front of the line, which becomes an argument of echo.
        writeln!(keys, "{line}\t\x01echo TYPED: ").expect("a terminal");
    }
    writeln!(keys, "exit").expect("a terminal");
    let out = terminal.wait_with_output().expect("its end");
    drop(keys);
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn has_completed(said: &str, line: &str) {
    assert!(said.lines().any(|one| one.trim_end() == format!("TYPED: {line}")), "{line:?} in\n{said}");
}

#[test]
fn bash_completes_a_disk_and_a_tablet() {
    if !is_here("bash") {
        return;
    }
    let (_node, daemon) = node();
    let load = "source <(tabletctl completions bash)";
    let lines = ["tabletctl disk show disk1", "tabletctl tablet show 47", "tabletctl config rel"];
    let said = typed_into("bash --norc --noprofile -i", load, &daemon, &lines);
    has_completed(&said, "tabletctl disk show disk1");
    has_completed(&said, "tabletctl tablet show 4711");
    has_completed(&said, "tabletctl config reload");
}

#[test]
fn bash_quotes_a_path_with_a_blank() {
    if !is_here("bash") {
        return;
    }
    let mut node = Node::new(1);
    let blank = node.dir.path().join("my disk");
    std::fs::create_dir(&blank).expect("a directory");
    node.roots.push(blank);
    let daemon = node.start();
    let load = "source <(tabletctl completions bash)";
    let said = typed_into("bash --norc --noprofile -i", load, &daemon, &["tabletctl disk show my"]);
    has_completed(&said, "tabletctl disk show my disk");
}

#[test]
fn zsh_completes_a_disk_and_a_tablet() {
    if !is_here("zsh") {
        return;
    }
    let (_node, daemon) = node();
    let load = "autoload -U compinit && compinit -u -D; source <(tabletctl completions zsh); bindkey -e";
    let lines = ["tabletctl disk show disk1", "tabletctl tablet show 47", "tabletctl config rel"];
    let said = typed_into("zsh -f -i", load, &daemon, &lines);
    has_completed(&said, "tabletctl disk show disk1");
    has_completed(&said, "tabletctl tablet show 4711");
    has_completed(&said, "tabletctl config reload");
}

#[test]
fn fish_offers_disks_and_tablets() {
    if !is_here("fish") {
        return;
    }
    let (_node, daemon) = node();
    let tabletctl = cargo_bin!("tabletctl");
    let path = format!(
        "{}:{}",
        tabletctl.parent().expect("a directory").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    for (line, offer) in [
        ("tabletctl disk show disk1", "disk1"),
        ("tabletctl tablet show 47", "4711"),
        ("tabletctl config rel", "reload"),
    ] {
        let script = format!("tabletctl completions fish | source; complete -C '{line}'");
        let out = Command::new("fish")
            .args(["--no-config", "-c", &script])
            .env("PATH", &path)
            .env("TABLETD_ADDR", daemon.url(""))
            .stdin(Stdio::null())
            .output()
            .expect("fish");
        let said = String::from_utf8_lossy(&out.stdout);
        let values: Vec<_> = said.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(values, [offer], "{line}: {}", String::from_utf8_lossy(&out.stderr));
    }
}
