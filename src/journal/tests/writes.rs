//! What is written is what is read; batches are whole or absent; numbers are never given out twice.

use std::cell::RefCell;
use std::fs;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rusqlite::TransactionBehavior;
use tempfile::tempdir;

use super::samples::{any_migration, sample, sample_in};
use super::{accept, copy_as_killed, ids, open, reopen, update};
use crate::journal::{JournalError, Operation, Origin, PRUNE_CHUNK_ROWS, Pruned, Refused, Rest, write};
use crate::model::{ErrorCode, Migration, MigrationId, Status, TabletKey};

#[test]
fn every_field_survives_accept_update_and_a_restart() {
    let dir = tempdir().unwrap();
    let journal = RefCell::new(open(dir.path()).0);
    let written = RefCell::new(Vec::new());
    TestRunner::new(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })
        .run(&(any_migration(), any_migration()), |(first, second)| {
            let mut journal = journal.borrow_mut();
            let id = accept(&mut journal, &first);
            let first = Migration { id, ..first };
            prop_assert_eq!(journal.get(id).unwrap(), Some(first.clone()));
            prop_assert_eq!(journal.latest_for(first.key).unwrap(), Some(first.clone()));
            let second = Migration { id, key: first.key, ..second };
            reopen(&mut journal, &second);
            prop_assert_eq!(journal.get(id).unwrap(), Some(second.clone()));
            written.borrow_mut().push(second);
            Ok(())
        })
        .unwrap();
    journal.into_inner().close().unwrap();
    let (journal, _) = open(dir.path());
    for migration in written.into_inner() {
        assert_eq!(journal.get(migration.id).unwrap(), Some(migration));
    }
}

#[test]
fn a_batch_dropped_before_its_commit_leaves_nothing() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let kept = accept(&mut journal, &sample(1));
    let mut next_id = 2;
    let tx = journal.conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    for tablet_id in 2..50 {
        write::apply(&tx, Operation::Accept(&sample(tablet_id)), &mut next_id).unwrap().unwrap();
    }
    let changed = Migration { id: kept, ..sample_in(1, Status::Failed) };
    write::apply(&tx, Operation::Update(&changed), &mut next_id).unwrap().unwrap();
    drop(tx);
    drop(journal);
    let (journal, opened) = open(dir.path());
    assert_eq!(ids(&journal.unfinished().unwrap().migrations), [1]);
    assert_eq!(journal.get(kept).unwrap().unwrap().status, Status::Queued);
    assert_eq!(opened.next_id, MigrationId(2));
}

#[test]
fn a_kill_at_any_byte_of_the_log_keeps_whole_batches_and_nothing_acknowledged_is_lost() {
    let live = tempdir().unwrap();
    let (mut journal, _) = open(live.path());
    // The log's length after each batch of three: what was acknowledged by then must be found with so much log.
    let mut acknowledged = Vec::new();
    for batch in 0..6_u64 {
        let migrations: Vec<_> = (0..3).map(sample).collect();
        let operations: Vec<_> = migrations.iter().map(Operation::Accept).collect();
        assert!(journal.commit(&operations).unwrap().iter().all(Result::is_ok));
        let log_bytes = fs::metadata(live.path().join("journal.db-wal")).unwrap().len();
        acknowledged.push((log_bytes, 3 * (batch + 1)));
    }
    let log = fs::read(live.path().join("journal.db-wal")).unwrap();
    let around = acknowledged.iter().flat_map(|(end, _)| [end - 1, *end, end + 1]);
    for cut in (0..log.len() as u64).step_by(1_777).chain(around) {
        let killed = tempdir().unwrap();
        copy_as_killed(live.path(), killed.path());
        let cut_log = &log[..usize::try_from(cut).unwrap().min(log.len())];
        fs::write(killed.path().join("journal.db-wal"), cut_log).unwrap();
        let (mut reopened, opened) = open(killed.path());
        assert_eq!(opened.origin, Origin::Existing);
        let rows = reopened.unfinished().unwrap();
        let expected = acknowledged.iter().filter(|(end, _)| *end <= cut).map(|(_, rows)| *rows).max();
        assert_eq!(ids(&rows.migrations), (1..=expected.unwrap_or(0)).collect::<Vec<_>>(), "cut at {cut}");
        // And it goes on from there.
        assert_eq!(accept(&mut reopened, &sample(9)), opened.next_id);
    }
}

#[test]
fn one_unknown_number_in_a_batch_loses_none_of_the_others() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let known = Migration { id: accept(&mut journal, &sample(1)), ..sample_in(1, Status::Copying) };
    let unknown = [
        Migration { id: MigrationId(77), ..sample(1) },
        Migration { id: MigrationId(u64::MAX), ..sample(1) },
        Migration { id: known.id, ..sample(2) },
    ];
    let answers = journal
        .commit(&[
            Operation::Update(&unknown[0]),
            Operation::Accept(&sample(5)),
            Operation::Update(&unknown[1]),
            Operation::Update(&known),
            Operation::Update(&unknown[2]),
        ])
        .unwrap();
    let refused =
        |migration: &Migration| Err(Refused::UnknownMigration { id: migration.id, key: migration.key });
    assert_eq!(
        answers,
        [refused(&unknown[0]), Ok(MigrationId(2)), refused(&unknown[1]), Ok(known.id), refused(&unknown[2])]
    );
    assert_eq!(answers[0].as_ref().unwrap_err().code(), ErrorCode::MigrationNotFound);
    drop(journal);
    let (journal, _) = open(dir.path());
    let rows = journal.unfinished().unwrap().migrations;
    assert_eq!(rows, [known, Migration { id: MigrationId(2), ..sample(5) }]);
}

#[test]
fn after_a_failed_commit_nothing_more_is_written_and_reading_goes_on() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let before = accept(&mut journal, &sample(1));
    journal.conn.pragma_update(None, "query_only", true).unwrap();
    let many: Vec<_> = (2..200).map(sample).collect();
    let operations: Vec<_> = many.iter().map(Operation::Accept).collect();
    let error = journal.commit(&operations).unwrap_err();
    assert!(matches!(error, JournalError::Sqlite { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::JournalUnavailable);

    // The cause is gone, the latch stays.
    journal.conn.pragma_update(None, "query_only", false).unwrap();
    let refusals = [
        journal.commit(&operations).unwrap_err(),
        journal.commit(&[]).unwrap_err(),
        journal.add_uptime(1).unwrap_err(),
        journal.prune_finished(0).unwrap_err(),
        journal.ensure_next_id_above(MigrationId(9)).unwrap_err(),
        journal.check_available().unwrap_err(),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, JournalError::Unavailable { .. }), "{refusal}");
        assert!(refusal.to_string().contains("journal.db"), "{refusal}");
        assert!(refusal.to_string().contains("readonly"), "{refusal}");
    }
    assert_eq!(ids(&journal.unfinished().unwrap().migrations), [before.0]);

    // Closing leaves file and log as they are, for the next start to judge.
    let files = super::contents(dir.path());
    assert!(files.iter().any(|(name, bytes)| name == "journal.db-wal" && !bytes.is_empty()));
    drop(journal);
    assert!(super::contents(dir.path()) == files, "closing changed the files");
    assert_eq!(ids(&open(dir.path()).0.unfinished().unwrap().migrations), [before.0]);
}

#[test]
fn numbers_are_not_given_out_again_after_their_rows_are_gone() {
    let dir = tempdir().unwrap();
    let (mut journal, opened) = open(dir.path());
    assert_eq!((opened.origin, opened.next_id), (Origin::Created, MigrationId(1)));
    for tablet_id in 1..=3 {
        accept(&mut journal, &sample_in(tablet_id, Status::Completed));
    }
    assert_eq!(journal.prune_finished(0).unwrap(), Pruned { deleted: 3, rest: Rest::Nothing });
    drop(journal);
    let (mut journal, opened) = open(dir.path());
    assert_eq!(opened.next_id, MigrationId(4));
    assert_eq!(accept(&mut journal, &sample(1)), MigrationId(4));
}

#[test]
fn the_next_number_can_be_raised_and_never_lowered() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.ensure_next_id_above(MigrationId(41)).unwrap();
    journal.ensure_next_id_above(MigrationId(7)).unwrap();
    drop(journal);
    let (mut journal, opened) = open(dir.path());
    assert_eq!(opened.next_id, MigrationId(42));
    assert_eq!(accept(&mut journal, &sample(1)), MigrationId(42));
    journal.ensure_next_id_above(MigrationId(42)).unwrap();
    assert_eq!(accept(&mut journal, &sample(1)), MigrationId(43));
}

#[test]
fn when_the_numbers_are_used_up_an_accept_is_refused_and_an_update_is_not() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.ensure_next_id_above(MigrationId(i64::MAX.unsigned_abs() - 1)).unwrap();
    let last = Migration { id: accept(&mut journal, &sample(1)), ..sample(1) };
    assert_eq!(last.id, MigrationId(i64::MAX.unsigned_abs()));
    for _ in 0..2 {
        let answers = journal.commit(&[Operation::Accept(&sample(2)), Operation::Update(&last)]).unwrap();
        assert_eq!(answers, [Err(Refused::NumbersExhausted), Ok(last.id)]);
        drop(journal);
        (journal, _) = open(dir.path());
    }
}

#[test]
fn retention_takes_what_finished_first_in_chunks_and_never_the_unfinished() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let chunk = u64::from(PRUNE_CHUNK_ROWS);
    let slow = accept(&mut journal, &sample(1));
    let open_ended = accept(&mut journal, &sample(2));
    let done = sample_in(3, Status::Completed);
    let batch = vec![Operation::Accept(&done); usize::try_from(chunk + 10).unwrap()];
    journal.commit(&batch).unwrap();
    // Accepted first, finished last, and by a clock that was set back to 1970.
    update(&mut journal, &Migration { id: slow, finished_ms: Some(1), ..sample_in(1, Status::Failed) });

    assert_eq!(journal.prune_finished(5).unwrap(), Pruned { deleted: chunk, rest: Rest::More });
    assert_eq!(journal.prune_finished(5).unwrap(), Pruned { deleted: 6, rest: Rest::Nothing });
    assert_eq!(journal.prune_finished(5).unwrap(), Pruned { deleted: 0, rest: Rest::Nothing });
    let last = open_ended.0 + chunk + 10;
    let left = journal.recent_finished(100).unwrap().migrations;
    assert_eq!(ids(&left), [slow.0, last, last - 1, last - 2, last - 3]);
    assert_eq!(ids(&journal.unfinished().unwrap().migrations), [open_ended.0]);
    assert_eq!(journal.prune_finished(u64::MAX).unwrap().deleted, 0);
}

#[test]
fn a_failed_migration_that_is_retried_is_unfinished_again() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let id = accept(&mut journal, &sample_in(1, Status::Failed));
    assert_eq!(journal.unfinished().unwrap().migrations, []);
    reopen(&mut journal, &Migration { id, ..sample(1) });
    assert_eq!(ids(&journal.unfinished().unwrap().migrations), [id.0]);
    assert_eq!(journal.recent_finished(9).unwrap().migrations, []);
    assert_eq!(journal.prune_finished(0).unwrap().deleted, 0);
}

#[test]
fn the_latest_of_a_tablet_is_told_per_schema() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let first = accept(&mut journal, &sample_in(1, Status::Failed));
    let second = accept(&mut journal, &sample(1));
    let other = Migration { key: TabletKey::new(1, 5), ..sample(1) };
    let third = accept(&mut journal, &other);
    assert!(first < second);
    assert_eq!(journal.latest_for(sample(1).key).unwrap().unwrap().id, second);
    assert_eq!(journal.latest_for(other.key).unwrap().unwrap().id, third);
    assert_eq!(journal.latest_for(TabletKey::new(2, 5)).unwrap(), None);
    assert_eq!(journal.get(MigrationId(u64::MAX)).unwrap(), None);
}

#[test]
fn up_time_only_grows_and_survives_restarts() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    assert_eq!(journal.uptime_seconds().unwrap(), 0);
    assert_eq!(journal.add_uptime(60).unwrap(), 60);
    assert_eq!(journal.add_uptime(0).unwrap(), 60);
    drop(journal);
    let (mut journal, _) = open(dir.path());
    assert_eq!(journal.add_uptime(5).unwrap(), 65);
    assert_eq!(journal.uptime_seconds().unwrap(), 65);
    // At its end it stays there, instead of starting over.
    let end = i64::MAX.unsigned_abs();
    assert_eq!(journal.add_uptime(u64::MAX).unwrap(), end);
    assert_eq!(journal.add_uptime(u64::MAX).unwrap(), end);
    assert_eq!(journal.uptime_seconds().unwrap(), end);
}

#[test]
fn an_end_is_the_last_word_but_for_a_new_beginning() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    for end in Status::ALL.iter().copied().filter(|status| status.is_final()) {
        let id = accept(&mut journal, &sample(1));
        let ended = Migration { id, ..sample_in(1, end) };
        update(&mut journal, &ended);
        for late in Status::ALL.iter().copied().filter(|late| *late != end) {
            let row = Migration { id, ..sample_in(1, late) };
            let answers = journal.commit(&[Operation::Update(&row)]).unwrap();
            assert_eq!(answers, [Err(Refused::Ended { id, status: end.as_str().to_owned(), late })]);
            assert_eq!(journal.get(id).unwrap(), Some(ended.clone()), "{end}, then {late}");
        }
        // What is said of the end later, and what an operator begins again.
        let noted = Migration { request_reason: "reverted by 9".to_owned(), ..ended };
        update(&mut journal, &noted);
        assert_eq!(journal.get(id).unwrap(), Some(noted.clone()));
        let again = Migration { status: Status::Queued, ..noted };
        reopen(&mut journal, &again);
        assert_eq!(journal.get(id).unwrap(), Some(again.clone()));
        update(&mut journal, &Migration { status: Status::Copying, ..again });
    }
    let stranger = Migration { id: MigrationId(99), ..sample(5) };
    let answers = journal.commit(&[Operation::Reopen(&stranger)]).unwrap();
    assert_eq!(answers, [Err(Refused::UnknownMigration { id: stranger.id, key: stranger.key })]);
}

#[test]
fn what_finds_no_space_is_not_written_and_can_be_written_later() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let first = accept(&mut journal, &sample(1));
    let pages: i64 = journal.conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    journal.conn.pragma_update(None, "max_page_count", pages).unwrap();
    let many: Vec<_> = (2..200).map(sample).collect();
    let accepts: Vec<_> = many.iter().map(Operation::Accept).collect();
    for _ in 0..3 {
        let error = journal.commit(&accepts).unwrap_err();
        assert!(error.is_want_of_space() && error.code() == ErrorCode::JournalUnavailable, "{error}");
        assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
        assert!(journal.wants_space());
        journal.check_available().unwrap();
        assert_eq!(ids(&journal.unfinished().unwrap().migrations), [first.0]);
    }
    // What needs no more space is written meanwhile, and says that there is some.
    update(&mut journal, &Migration { id: first, ..sample_in(1, Status::Copying) });
    assert!(!journal.wants_space());
    journal.conn.pragma_update(None, "max_page_count", 1 << 20).unwrap();
    assert_eq!(journal.commit(&accepts).unwrap()[0], Ok(MigrationId(2)));
    let killed = tempdir().unwrap();
    copy_as_killed(dir.path(), killed.path());
    let (journal, _) = open(killed.path());
    assert_eq!(journal.unfinished().unwrap().migrations.len(), 199);
    assert_eq!(journal.get(first).unwrap().unwrap().status, Status::Copying);
}
