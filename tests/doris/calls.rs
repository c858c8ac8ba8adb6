//! A call that fails, for every call of a move that changes a disk: `strace --inject`. Afterwards a backend that is started
//! has the tablet once and whole, whatever failed; and so it is after the next run.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::one_shot::{Node, assert_any_start_has_it, said};

/// Calls that change a disk, and how they fail.
const FAULTS: [(&str, &str); 14] = [
    ("fdatasync", "EIO"),
    ("fsync", "EIO"),
    ("syncfs", "EIO"),
    ("write", "ENOSPC"),
    ("write", "EIO"),
    ("pwrite64", "EIO"),
    ("renameat2", "EIO"),
    ("renameat", "EIO"),
    ("mkdirat", "ENOSPC"),
    ("linkat", "EMLINK"),
    ("unlinkat", "EIO"),
    ("fchownat", "EPERM"),
    ("fchmodat", "EROFS"),
    ("fchown", "EPERM"),
];

/// Of one call; the journal alone makes many of some.
const CELLS_MAX: usize = 24;

fn has_strace() -> bool {
    let there = Command::new("strace").arg("--version").output().is_ok();
    if !there {
        let required = std::env::var("TABLETD_REQUIRE_ROOT_TESTS").is_ok_and(|value| value == "1");
        assert!(!required, "there is no strace, and nothing may be skipped");
        eprintln!("skipped: there is no strace");
    }
    there
}

/// Runs a move with the `nth` of these calls failing. Says whether there was one.
fn fails_at(node: &Node, tablet: &Value, call: &str, errno: &str, nth: usize) -> (bool, String) {
    let log = node.dir.path().join("strace");
    let args = node.move_args(std::slice::from_ref(tablet), 1);
    let inner = node.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let output = Command::new("strace")
        .args(["-f", "-qq", "-e", &format!("trace={call}"), "-e"])
        .arg(format!("inject={call}:error={errno}:when={nth}"))
        .arg("-o")
        .arg(&log)
        .arg(inner.get_program())
        .args(inner.get_args())
        .output()
        .expect("strace runs");
    let traced = fs::read_to_string(&log).expect("strace writes");
    (traced.contains("(INJECTED)"), said(&output))
}

#[test]
fn whatever_call_fails_the_tablet_is_there_once_and_whole() {
    if !has_strace() {
        return;
    }
    let mut cells = 0;
    for (call, errno) in FAULTS {
        for nth in 1..=CELLS_MAX {
            let node = Node::new("clean", &["hdd1", "hdd2"]);
            let tablets = node.movable(0);
            let kind = ["fresh", "binlog", "mow", "v1", "ppi"][nth % 5];
            let tablet = tablets.iter().find(|tablet| tablet["made_as"] == kind).expect("is there");
            let about = format!("{call}:{nth}={errno}");
            let (hit, told) = fails_at(&node, tablet, call, errno, nth);
            if !hit {
                assert!(nth > 1, "{about}: there is no such call: {told}");
                break;
            }
            cells += 1;
            assert_any_start_has_it(&node, tablet, None, &about);
            let output = node.run(&["resume"]);
            assert!(output.status.code().is_some(), "{about}: {}", said(&output));
            assert_any_start_has_it(
                &node,
                tablet,
                None,
                &format!("{about}, resumed: {told}{}", said(&output)),
            );
        }
    }
    assert!(cells > 60, "{cells}");
}
