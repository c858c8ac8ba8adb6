//! The ledger outlives the rows it was written from.

use rusqlite::Connection;
use tempfile::tempdir;

use super::samples::{disk, sample_in};
use super::{accept, open, update};
use crate::journal::Journal;
use crate::model::{
    LedgerContent, LedgerLine, LedgerOwner, MayOwn, Migration, MigrationId, Receipt, Status, TabletKey,
};

/// Of the receipts below.
const CONTENT: LedgerContent = LedgerContent { files: 1, bytes: 1, manifest_crc32: 0 };

fn moved(tablet_id: i64, generation: u64, status: Status) -> Migration {
    let receipt = Receipt {
        generation,
        files: 1,
        bytes: 1,
        manifest_crc32: 0,
        verified_cold: true,
        pause_us: 0,
        duration_ms: 0,
        trash_path: None,
    };
    let receipt = matches!(status, Status::Finalizing | Status::Completed).then_some(receipt);
    Migration { receipt, ..sample_in(tablet_id, status) }
}

/// Accepts a migration and writes it in each of these statuses.
fn run(journal: &mut Journal, tablet_id: i64, generation: u64, statuses: &[Status]) -> MigrationId {
    let id = accept(journal, &sample_in(tablet_id, Status::Queued));
    for status in statuses {
        update(journal, &Migration { id, ..moved(tablet_id, generation, *status) });
    }
    id
}

fn line(tablet_id: i64, highest: u64, owned: Option<u64>, may_own: &[(MigrationId, u64)]) -> LedgerLine {
    let owner = owned.map(|generation| LedgerOwner { disk: disk(2), generation, content: Some(CONTENT) });
    let may_own = may_own.iter();
    let may_own =
        may_own.map(|(id, generation)| MayOwn { migration: *id, disk: disk(2), generation: *generation });
    LedgerLine { key: TabletKey::new(tablet_id, 567_997_577), highest, owner, may_own: may_own.collect() }
}

#[test]
fn a_line_is_written_with_its_row_and_stays_when_the_row_is_pruned() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    run(&mut journal, 1, 2, &[Status::Copying]);
    let in_doubt = run(&mut journal, 2, 2, &[Status::Finalizing]);
    run(&mut journal, 3, 2, &[Status::Finalizing, Status::Completed]);
    run(&mut journal, 3, 3, &[Status::Finalizing, Status::Failed]);
    run(&mut journal, 4, 9, &[Status::Finalizing, Status::Completed]);
    run(&mut journal, 5, 4, &[Status::Finalizing, Status::Queued, Status::Copying]);
    journal.prune_finished(0).unwrap();
    journal.close().unwrap();
    let expected = vec![
        line(2, 2, None, &[(in_doubt, 2)]),
        line(3, 3, Some(2), &[]),
        line(4, 9, Some(9), &[]),
        line(5, 4, None, &[]),
    ];
    let (journal, _) = open(dir.path());
    assert_eq!(journal.ledger().unwrap(), (expected.clone(), Vec::new()));
    assert_eq!(journal.ledger_of(disk(2).uuid).unwrap(), expected[..3]);
    assert_eq!(journal.ledger_of(disk(9).uuid).unwrap(), []);
}

#[test]
fn who_owns_a_tablet_is_written_where_no_migration_says_so_and_never_goes_back() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    run(&mut journal, 3, 2, &[Status::Finalizing]);
    let note = |number, generation| {
        (TabletKey::new(3, 567_997_577), LedgerOwner { disk: disk(number), generation, content: None })
    };
    journal.note_owners(&[note(1, 4)]).unwrap();
    journal.note_owners(&[note(2, 3)]).unwrap();
    let (lines, _) = journal.ledger().unwrap();
    let expected = LedgerLine { owner: Some(note(1, 4).1), ..line(3, 4, None, &[]) };
    assert_eq!(lines, [expected]);
}

#[test]
fn a_file_of_version_5_is_upgraded_and_filled_from_its_rows_and_a_damaged_line_is_told() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let in_doubt = run(&mut journal, 2, 2, &[Status::Finalizing]);
    run(&mut journal, 3, 2, &[Status::Finalizing, Status::Completed]);
    run(&mut journal, 3, 4, &[Status::Completed]);
    journal.close().unwrap();
    let raw = || Connection::open(dir.path().join("journal.db")).unwrap();
    raw().execute_batch("DROP TABLE ledger; PRAGMA user_version = 5").unwrap();
    let (journal, _) = open(dir.path());
    assert_eq!(
        journal.ledger().unwrap(),
        (vec![line(2, 2, None, &[(in_doubt, 2)]), line(3, 4, Some(4), &[])], Vec::new())
    );
    journal.close().unwrap();
    raw().execute_batch("UPDATE ledger SET doc = replace(doc, '4', '5') WHERE tablet_id = 3").unwrap();
    let (lines, damaged) = open(dir.path()).0.ledger().unwrap();
    assert_eq!(lines, [line(2, 2, None, &[(in_doubt, 2)])]);
    assert!(damaged[0].contains("3_567997577"), "{damaged:?}");
}
