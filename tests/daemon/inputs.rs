//! Bad input: refused with a reason that names the value, and the source stays as it was.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::{Node, read_dir_names};

#[test]
fn bad_requests_are_answered_with_a_reason() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 10, &[1000]);
    let (here, there) = (node.disk(0), node.disk(1));
    let daemon = node.start();
    let ok = format!("tablet_id=10&schema_hash=555&disk={there}");
    for (query, code, names) in [
        (String::new(), "INVALID_ARGUMENT", "goal"),
        (ok.clone(), "INVALID_ARGUMENT", "goal"),
        (format!("goal=RUN&{ok}"), "INVALID_ARGUMENT", "RUN"),
        (format!("goal=run&schema_hash=555&disk={there}"), "INVALID_ARGUMENT", "tablet_id"),
        (format!("goal=run&tablet_id=-10&schema_hash=555&disk={there}"), "INVALID_ARGUMENT", "-10"),
        (
            format!("goal=run&tablet_id=99999999999999999999&schema_hash=555&disk={there}"),
            "INVALID_ARGUMENT",
            "9999",
        ),
        (format!("goal=run&tablet_id=10x&schema_hash=555&disk={there}"), "INVALID_ARGUMENT", "10x"),
        (
            format!("goal=run&tablet_id=10&tablet_id=11&schema_hash=555&disk={there}"),
            "INVALID_ARGUMENT",
            "tablet_id",
        ),
        (
            format!("goal=run&tablet_id=10&schema_hash=2147483648&disk={there}"),
            "INVALID_ARGUMENT",
            "2147483648",
        ),
        ("goal=run&tablet_id=10&schema_hash=555".to_owned(), "INVALID_ARGUMENT", "disk"),
        (format!("goal=run&tablet_id=11&schema_hash=555&disk={there}"), "TABLET_NOT_FOUND", "11"),
        (format!("goal=run&tablet_id=10&schema_hash=556&disk={there}"), "SCHEMA_HASH_MISMATCH", "555"),
        ("goal=run&tablet_id=10&schema_hash=555&disk=/nowhere".to_owned(), "DISK_NOT_FOUND", "/nowhere"),
        (format!("goal=run&tablet_id=10&schema_hash=555&disk={there}x/"), "DISK_NOT_FOUND", "x"),
        (format!("goal=run&tablet_id=10&schema_hash=555&disk={here}"), "ALREADY_ON_DISK", "10"),
    ] {
        let answer = daemon.get(&format!("/api/tablet_migration?{query}"));
        assert_eq!(answer["status"], "Fail", "{query}: {answer}");
        assert_eq!(answer["error_code"], code, "{query}: {answer}");
        assert!(answer["reason"].as_str().is_some_and(|reason| reason.contains(names)), "{query}: {answer}");
    }
    assert_eq!(daemon.status(key)["msg"], "Migration task not found");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

/// Breaks a tablet's directory in one way, moves the tablet, and expects a failure that names the file, with the source
/// left exactly as it was.
fn damaged(what: impl FnOnce(&std::path::Path), code: &str, name: &str) {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 10, &[300_000, 5000]);
    let dir = node.tablet_dir(0, key);
    what(&dir);
    let before = read_dir_names(&dir);
    let daemon = node.start();
    let migration = daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed", "failed"]);
    assert_eq!(migration["status"], "failed", "{migration:#}");
    assert_eq!(migration["error"]["code"], code, "{migration:#}");
    let reason = migration["status_reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains(name), "{reason}");
    assert_eq!(daemon.status(key)["msg"], "migration task failed.");
    assert_eq!(daemon.get("/api/v1/tablets/10")["disk"], node.disk(0));
    daemon.stop();
    assert_eq!(read_dir_names(&dir), before);
    assert_eq!(read_dir_names(&node.roots[1].join("migrating")), Vec::<String>::new());
    assert_eq!(read_dir_names(&node.roots[1].join("data")), Vec::<String>::new());
}

#[test]
fn a_symlink_in_the_tablet_is_refused() {
    damaged(
        |dir| symlink("/etc/passwd", dir.join("extra.dat")).expect("a symlink"),
        "UNEXPECTED_ENTRY",
        "extra.dat",
    );
}

#[test]
fn a_file_replaced_by_a_symlink_is_refused() {
    let replace = |dir: &std::path::Path| {
        let file = dir.join("02000001_0.dat");
        fs::rename(&file, dir.parent().expect("a parent").join("moved")).expect("a rename");
        symlink("../moved", file).expect("a symlink");
    };
    damaged(replace, "UNEXPECTED_ENTRY", "02000001_0.dat");
}

#[test]
fn a_fifo_in_the_tablet_is_refused_and_blocks_nobody() {
    let fifo = |dir: &std::path::Path| {
        nix::unistd::mkfifo(&dir.join("pipe"), nix::sys::stat::Mode::S_IRUSR).expect("a FIFO");
    };
    damaged(fifo, "UNEXPECTED_ENTRY", "pipe");
}

#[test]
fn a_missing_file_is_damage() {
    damaged(
        |dir| fs::remove_file(dir.join("02000001_0.dat")).expect("a file"),
        "SOURCE_DAMAGED",
        "02000001_0.dat",
    );
}

#[test]
fn an_extra_file_is_reported_and_not_dropped() {
    damaged(
        |dir| fs::write(dir.join("stranger.dat"), b"?").expect("a file"),
        "UNEXPECTED_ENTRY",
        "stranger.dat",
    );
}

#[test]
fn a_flipped_bit_is_found_in_a_small_file_and_in_a_large_one() {
    for (name, at) in [("02000001_0.dat", 4999), ("02000000_0.dat", 299_999), ("02000000_0.dat", 131_072)] {
        let flip = |dir: &std::path::Path| {
            let mut bytes = fs::read(dir.join(name)).expect("a file");
            bytes[at] ^= 0x10;
            fs::write(dir.join(name), bytes).expect("a file");
        };
        damaged(flip, "SOURCE_DAMAGED", name);
    }
}

#[test]
fn a_truncated_file_is_damage() {
    damaged(
        |dir| {
            let file = fs::OpenOptions::new().write(true).open(dir.join("02000000_0.dat")).expect("a file");
            file.set_len(299_999).expect("a shorter file");
        },
        "SOURCE_DAMAGED",
        "02000000_0.dat",
    );
}
