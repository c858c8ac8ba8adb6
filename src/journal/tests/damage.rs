//! Damaged files are kept under another name, damaged rows in their place; neither stops the start.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::tempdir;

use super::samples::{sample, sample_in};
use super::{accept, contents, copy_as_killed, ids, open, update};
use crate::journal::schema::PAGE_BYTES;
use crate::journal::{Filter, Journal, JournalError, Origin, SetAside};
use crate::model::{ErrorCode, Migration, MigrationId, Status};

/// The bytes of a closed journal with some rows.
fn whole_journal() -> Vec<u8> {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    for tablet_id in 1..40 {
        accept(&mut journal, &sample(tablet_id));
    }
    journal.close().unwrap();
    fs::read(dir.path().join("journal.db")).unwrap()
}

/// Opens what must be set aside; the fresh journal takes writes and stays.
fn replaced(dir: &Path) -> (SetAside, MigrationId) {
    let (mut journal, opened) = Journal::open(dir).unwrap();
    let Origin::Replaced(aside) = opened.origin else { panic!("{:?} was not noticed", opened.origin) };
    assert_eq!(journal.unfinished().unwrap().migrations, []);
    assert_eq!(accept(&mut journal, &sample(1)), opened.next_id);
    drop(journal);
    assert_eq!(ids(&open(dir).0.unfinished().unwrap().migrations), [opened.next_id.0]);
    (aside, opened.next_id)
}

#[test]
fn what_is_no_database_is_set_aside_as_it_was() {
    for garbage in [&b""[..], b"x", b"SQLite format 3\0 and then nothing", &[0; 8192], &[0xFF; 5000]] {
        let dir = tempdir().unwrap();
        fs::write(dir.path().join("journal.db"), garbage).unwrap();
        fs::write(dir.path().join("journal.db-wal"), "its log").unwrap();
        let (aside, _) = replaced(dir.path());
        assert_eq!(aside.file, dir.path().join("journal.db.damaged-1"));
        assert!(!aside.reason.is_empty());
        assert_eq!(fs::read(&aside.file).unwrap(), garbage);
        assert_eq!(fs::read(dir.path().join("journal.db.damaged-1-wal")).unwrap(), b"its log");
    }
}

#[test]
fn every_damaged_file_is_kept_under_a_name_of_its_own() {
    let dir = tempdir().unwrap();
    for n in 1..=3 {
        let garbage = format!("garbage {n}");
        fs::write(dir.path().join("journal.db"), &garbage).unwrap();
        let (aside, _) = replaced(dir.path());
        assert_eq!(aside.file, dir.path().join(format!("journal.db.damaged-{n}")));
        assert_eq!(fs::read_to_string(&aside.file).unwrap(), garbage);
    }
    assert_eq!(fs::read_to_string(dir.path().join("journal.db.damaged-1")).unwrap(), "garbage 1");
}

#[test]
fn a_log_without_its_database_is_not_replayed_into_a_fresh_one() {
    let (live, dir) = (tempdir().unwrap(), tempdir().unwrap());
    let (mut journal, _) = open(live.path());
    accept(&mut journal, &sample(1));
    copy_as_killed(live.path(), dir.path());
    fs::remove_file(dir.path().join("journal.db")).unwrap();
    let log = fs::read(dir.path().join("journal.db-wal")).unwrap();
    replaced(dir.path());
    assert_eq!(fs::read(dir.path().join("journal.db.damaged-1-wal")).unwrap(), log);
}

#[test]
fn missing_tables_are_damage() {
    for drop in ["DROP TABLE migration", "DROP TABLE state", "ALTER TABLE migration RENAME doc TO dog"] {
        let dir = tempdir().unwrap();
        open(dir.path());
        Connection::open(dir.path().join("journal.db")).unwrap().execute_batch(drop).unwrap();
        let (aside, _) = replaced(dir.path());
        assert!(aside.reason.contains("no such"), "{}", aside.reason);
    }
}

#[test]
fn a_fresh_journal_goes_on_with_the_numbers_of_a_damaged_one_that_still_tells_them() {
    let mut bytes = whole_journal();
    // The last page is overwritten; the first, with the table of numbers near it, is not.
    let torn = bytes.len() - PAGE_BYTES;
    bytes[torn..].fill(0xA5);
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("journal.db"), &bytes).unwrap();
    let (aside, next_id) = replaced(dir.path());
    assert_eq!(fs::read(aside.file).unwrap(), bytes);
    assert_eq!(next_id, MigrationId(40));
}

#[test]
fn a_journal_cut_anywhere_is_set_aside_as_it_was() {
    let whole = whole_journal();
    let pages = (0..whole.len()).step_by(PAGE_BYTES);
    let lengths: Vec<_> =
        pages.flat_map(|page| [page, page + 1, page + 99, page + 100, page + PAGE_BYTES - 1]).collect();
    for length in lengths.into_iter().filter(|length| *length < whole.len()) {
        let dir = tempdir().unwrap();
        fs::write(dir.path().join("journal.db"), &whole[..length]).unwrap();
        let (aside, _) = replaced(dir.path());
        assert_eq!(fs::read(aside.file).unwrap(), whole[..length], "cut to {length}");
    }
}

#[test]
fn flipped_bytes_never_stop_the_start_with_a_panic_and_no_byte_is_lost() {
    let whole = whole_journal();
    let flips = proptest::collection::vec((0..whole.len(), 1..=u8::MAX), 1..8);
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(flips in flips)| {
        let mut bytes = whole.clone();
        flips.iter().for_each(|(at, mask)| bytes[*at] ^= mask);
        let dir = tempdir().unwrap();
        fs::write(dir.path().join("journal.db"), &bytes).unwrap();
        match Journal::open(dir.path()) {
            Ok((journal, opened)) => match opened.origin {
                Origin::Replaced(aside) => prop_assert_eq!(fs::read(aside.file).unwrap(), bytes),
                Origin::Existing => {
                    // What is told as whole is what was written.
                    let rows = journal.unfinished();
                    for migration in rows.iter().flat_map(|rows| &rows.migrations) {
                        let id = migration.id;
                        let written = Migration { id, ..sample(id.0.cast_signed()) };
                        prop_assert_eq!(migration, &written);
                    }
                }
                other => prop_assert!(false, "the file was there, and no log: {:?}", other),
            },
            Err(error) => {
                prop_assert!(
                    matches!(error, JournalError::Foreign { .. } | JournalError::Newer { .. }),
                    "{}", error
                );
                prop_assert_eq!(&contents(dir.path())[0].1, &bytes);
            }
        }
    });
}

#[test]
fn damaged_rows_are_told_kept_and_healed_by_the_next_update() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    for tablet_id in 1..=6 {
        accept(&mut journal, &sample(tablet_id));
    }
    accept(&mut journal, &sample_in(7, Status::Completed));
    journal.close().unwrap();
    let shell = Connection::open(dir.path().join("journal.db")).unwrap();
    let valid_but_older = r#"{"id":3,"key":{"tablet_id":3}}"#;
    shell
        .execute_batch(&format!(
            "UPDATE migration SET doc = replace(doc, '12 files', '13 files') WHERE id = 2;
             UPDATE migration SET doc = '{valid_but_older}', doc_crc32 = {} WHERE id = 3;
             UPDATE migration SET doc = CAST(x'7bff7d' AS TEXT) WHERE id = 4;
             UPDATE migration SET status = 'ready' WHERE id = 5;
             UPDATE migration SET doc = (SELECT doc FROM migration WHERE id = 1),
                                  doc_crc32 = (SELECT doc_crc32 FROM migration WHERE id = 1) WHERE id = 6;
             UPDATE migration SET doc = 'x' WHERE id = 7;",
            crc32fast::hash(valid_but_older.as_bytes())
        ))
        .unwrap();
    drop(shell);

    let (mut journal, _) = open(dir.path());
    for rows in [journal.unfinished().unwrap(), journal.list(&Filter::default()).unwrap().rows] {
        let mut found: Vec<_> = rows
            .damaged
            .iter()
            .filter(|row| row.id.0 < 7)
            .map(|row| (row.id.0, row.tablet.as_str()))
            .collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                (2, "2_567997577"),
                (3, "3_567997577"),
                (4, "4_567997577"),
                (5, "5_567997577"),
                (6, "6_567997577")
            ]
        );
        assert_eq!(ids(&rows.migrations), [1]);
    }
    assert_eq!(journal.recent_finished(5).unwrap().damaged[0].id, MigrationId(7));
    assert_eq!(journal.list(&Filter::default()).unwrap().total, 7);
    for (id, reason) in [(2, "CRC-32"), (3, "missing field"), (4, "CRC-32"), (5, "disagree"), (6, "disagree")]
    {
        let error = journal.get(MigrationId(id)).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(error.code(), ErrorCode::RecordDamaged);
    }
    // A damaged row is no reason to stop writing, and a new row in its place is whole.
    let healed = Migration { id: MigrationId(4), ..sample_in(4, Status::Failed) };
    update(&mut journal, &healed);
    assert_eq!(journal.get(healed.id).unwrap(), Some(healed));
}
