//! Verifications in the journal.

use rusqlite::Connection;
use tempfile::tempdir;

use super::open;
use crate::model::{CheckState, DamagedFile, ErrorCode, Failure, TabletCheck, TabletKey, UnreadableFile};

fn check(tablet_id: i64, state: CheckState) -> TabletCheck {
    TabletCheck {
        key: TabletKey::new(tablet_id, -2),
        disk: "/d1".to_owned(),
        generation: 3,
        state,
        total_files: 2,
        total_bytes: 10,
        checked_files: 2,
        checked_bytes: 10,
        unrecorded_files: 1,
        cold: Some(true),
        damaged: vec![DamagedFile { name: "a".to_owned(), reason: "CRC-32".to_owned() }],
        unreadable: vec![UnreadableFile { name: "6_0.dat".into(), reason: "EIO".into() }],
        error: Some(Failure::new(ErrorCode::IoError, "the medium")),
        started_ms: Some(5),
        finished_ms: Some(6),
    }
}

#[test]
fn the_last_verification_of_each_tablet_is_kept_until_it_is_forgotten() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    for (tablet, state) in
        [(2, CheckState::Passed), (1, CheckState::Passed), (3, CheckState::Failed), (1, CheckState::Damaged)]
    {
        journal.set_check(&check(tablet, state)).unwrap();
    }
    journal.clear_check(TabletKey::new(3, -2)).unwrap();
    journal.clear_check(TabletKey::new(3, -2)).unwrap();
    journal.close().unwrap();
    let expected = vec![check(1, CheckState::Damaged), check(2, CheckState::Passed)];
    assert_eq!(open(dir.path()).0.checks().unwrap(), (expected, Vec::new()));
}

#[test]
fn a_damaged_row_is_told() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.set_check(&check(1, CheckState::Passed)).unwrap();
    journal.close().unwrap();
    let raw = Connection::open(dir.path().join("journal.db")).unwrap();
    raw.execute_batch("UPDATE tablet_check SET doc = replace(doc, 'passed', 'failed')").unwrap();
    drop(raw);
    let (journal, _) = open(dir.path());
    let (checks, damaged) = journal.checks().unwrap();
    assert!(checks.is_empty() && damaged[0].contains("1_-2"), "{damaged:?}");
}
