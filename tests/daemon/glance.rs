//! What an operator sees of a drain: at a terminal of 80 columns, in a log, and at its end.

use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin;

use crate::harness::daemon::Daemon;
use crate::harness::mounts::Image;
use crate::harness::{Node, make_root};

/// Eight tablets of a megabyte on a disk called `one`, a disk called `two`, and a megabyte a second between them.
fn slow_node() -> Option<(Node, [Image; 2])> {
    let dir = tempfile::tempdir().expect("a directory");
    let images = [Image::ext4(dir.path(), "one", 64 << 20)?, Image::ext4(dir.path(), "two", 64 << 20)?];
    let roots: Vec<_> = images.iter().map(|image| image.path().to_owned()).collect();
    roots.iter().for_each(|root| make_root(root));
    let mut node = Node::on(dir, roots);
    node.settings = "node_rate_limit_bytes_per_sec = 1000000\nmax_tablet_migration_threads = 1\n".to_owned();
    for id in 1..=8 {
        node.add_tablet(0, id, &[1_000_000]);
    }
    Some((node, images))
}

fn tabletctl(daemon: &Daemon) -> Command {
    let mut command = Command::new(cargo_bin!("tabletctl"));
    command.env("TABLETD_ADDR", daemon.url("")).stdin(Stdio::null());
    command
}

/// What a terminal of 80 columns is sent, for so many seconds at most.
fn at_80_columns(daemon: &Daemon, verb: &str, seconds: u32) -> String {
    let line = format!("stty cols 80; exec timeout {seconds} {} {verb}", cargo_bin!("tabletctl").display());
    let shown = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("TABLETD_ADDR", daemon.url(""))
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .expect("script(1) of bsdutils");
    String::from_utf8_lossy(&shown.stdout).into_owned()
}

/// Without what colours and places it.
fn letters(shown: &str) -> String {
    let mut rest = shown.split('\u{1b}');
    let first = rest.next().unwrap_or_default().to_owned();
    let behind =
        rest.map(|part| part.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, text)| text));
    first + &behind.collect::<String>()
}

#[test]
fn a_drain_is_seen_on_80_columns_told_in_a_log_and_summed_up_at_its_end() {
    let Some((node, _images)) = slow_node() else { return };
    let daemon = node.start();
    let drain = tabletctl(&daemon)
        .args(["disk", "drain", "one", "--yes", "--follow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tabletctl");
    assert!(daemon.becomes(|| daemon.get("/api/v1/migrations?status=copying")["total"] == 1));

    let screen = at_80_columns(&daemon, "status", 30);
    assert!(screen.contains("\u{1b}["), "a terminal is shown colours: {screen:?}");
    let screen = letters(&screen);
    for word in ["nothing is wrong", "DISK", "TASK", "MIGRATION", "two"] {
        assert!(screen.contains(word), "{word} in {screen}");
    }
    let long = screen.lines().find(|line| line.trim_end().chars().count() > 80);
    assert_eq!(long, None);
    let top = at_80_columns(&daemon, "top --interval 1", 4);
    assert!(top.matches("\u{1b}[H").count() >= 2, "it follows: {top:?}");

    let done = drain.wait_with_output().expect("its end");
    let (said, told) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}{told}");
    let of_progress: Vec<_> =
        told.lines().filter(|line| line.contains("running") && line.contains(" %")).collect();
    assert!(of_progress.len() >= 2 && of_progress[0] != of_progress[1], "a line now and then: {told}");
    assert!(!told.contains('\u{1b}') && !told.contains('\r'), "{told:?}");
    let summary = said.lines().last().expect("a summary");
    assert!(summary.contains("/one: safe to remove; 7.6 MiB in trash until 20"), "{said}");
    assert!(summary.contains(" UTC (tabletctl trash purge --disk "), "{said}");
}

#[test]
fn where_no_terminal_is_a_screen_has_no_colours_and_top_says_a_line_at_a_time() {
    let mut node = Node::new(1);
    node.add_tablet(0, 10, &[1000]);
    let daemon = node.start();
    let status = tabletctl(&daemon).arg("status").output().expect("tabletctl");
    let said = String::from_utf8_lossy(&status.stdout);
    assert!(said.contains("1 tablet") && !said.contains("1 tablets") && !said.contains('\u{1b}'), "{said}");
    let top = Command::new("timeout")
        .arg("3")
        .arg(cargo_bin!("tabletctl"))
        .args(["top", "--interval", "1"])
        .env("TABLETD_ADDR", daemon.url(""))
        .output()
        .expect("timeout(1)");
    let said = String::from_utf8_lossy(&top.stdout);
    assert!(said.lines().count() >= 2 && said.lines().all(|line| line.contains("0 running")), "{said}");
}
