//! Marks in the journal.

use rusqlite::Connection;
use tempfile::tempdir;

use super::open;
use crate::model::{DiskUuid, Mark, Marked, TabletKey};

fn mark(reason: &str) -> Mark {
    Mark { by: "127.0.0.1:5".to_owned(), reason: reason.to_owned(), since_ms: 5 }
}

#[test]
fn marks_are_kept_replaced_and_taken_back() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let (tablet, other) = (Marked::Pinned(TabletKey::new(1, 2)), Marked::Pinned(TabletKey::new(1, -2)));
    let disk = Marked::Disabled(DiskUuid(uuid::Uuid::nil()));
    for marked in [tablet, other, disk] {
        journal.set_mark(marked, &mark("first")).unwrap();
    }
    journal.set_mark(tablet, &mark("second")).unwrap();
    journal.clear_mark(other).unwrap();
    journal.clear_mark(other).unwrap();
    journal.close().unwrap();
    let (journal, _) = open(dir.path());
    let expected = vec![(disk, mark("first")), (tablet, mark("second"))];
    assert_eq!(journal.marks().unwrap(), (expected, Vec::new()));
}

#[test]
fn a_damaged_mark_is_told_and_stops_nobody() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.set_mark(Marked::Pinned(TabletKey::new(1, 2)), &mark("mine")).unwrap();
    journal.close().unwrap();
    let raw = Connection::open(dir.path().join("journal.db")).unwrap();
    raw.execute_batch("UPDATE mark SET doc = replace(doc, 'mine', 'ours')").unwrap();
    drop(raw);
    let (marks, damaged) = open(dir.path()).0.marks().unwrap();
    assert!(marks.is_empty() && damaged[0].contains("1_2"), "{damaged:?}");
}
