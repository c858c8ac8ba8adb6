//! Damage of the write-ahead log is told from a torn write, bit by bit and byte by byte.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::tempdir;

use super::samples::sample;
use super::{accept, copy_as_killed, open};
use crate::journal::schema::PAGE_BYTES;
use crate::journal::{Journal, Operation, Origin, wal};
use crate::model::{KnownBy, MigrationId};

const FRAME: usize = 24 + PAGE_BYTES;

/// A journal as a kill leaves it, its log with a few transactions of one and of several frames; and the highest number.
fn killed_journal(dir: &Path) -> MigrationId {
    let live = tempdir().unwrap();
    let (mut journal, _) = open(live.path());
    // Folded in once, so that the log has been begun anew over an older, longer one.
    for tablet_id in 1..14 {
        accept(&mut journal, &sample(tablet_id));
    }
    journal.conn.execute_batch("PRAGMA wal_checkpoint(RESTART)").unwrap();
    let mut last = MigrationId(0);
    for batch in [1_i64, 8, 1, 3, 1] {
        let migrations: Vec<_> = (0..batch).map(sample).collect();
        let operations: Vec<_> = migrations.iter().map(Operation::Accept).collect();
        last = *journal.commit(&operations).unwrap().last().unwrap().as_ref().unwrap();
    }
    copy_as_killed(live.path(), dir);
    last
}

fn log_of(dir: &Path) -> Vec<u8> {
    fs::read(dir.join("journal.db-wal")).unwrap()
}

/// The frames of a whole log that are of its last turn, by where they begin, and the first one of the last transaction.
fn frames(log: &[u8]) -> (Vec<usize>, usize) {
    let salts = &log[16..24];
    let ours = (32..log.len()).step_by(FRAME).take_while(|at| log[at + 8..at + 16] == *salts);
    let ours: Vec<_> = ours.collect();
    let commits: Vec<_> = ours.iter().filter(|at| log[*at + 4..*at + 8] != [0; 4]).copied().collect();
    let [.., before_last, last] = commits[..] else { panic!("two transactions") };
    assert_eq!(last, ours[ours.len() - 1]);
    (ours, before_last + FRAME)
}

fn flip(log: &[u8], byte: usize, bit: u8) -> Vec<u8> {
    let mut flipped = log.to_vec();
    flipped[byte] ^= 1 << bit;
    flipped
}

#[test]
fn a_flipped_bit_in_any_frame_but_those_of_the_last_transaction_is_damage() {
    let dir = tempdir().unwrap();
    killed_journal(dir.path());
    let log = log_of(dir.path());
    let (frames, last_transaction) = frames(&log);
    assert!(log.len() > 32 + frames.len() * FRAME, "frames of an earlier turn are behind");
    assert_eq!(wal::damage(&log), None);
    for at in frames {
        // A bit of each byte of the header, and of some of the page.
        let bytes = (0..24).map(|n| at + n).chain([24, 1000, FRAME - 1].map(|n| at + n));
        for (byte, bit) in bytes.map(|byte| (byte, u8::try_from(byte % 8).unwrap())) {
            let found = wal::damage(&flip(&log, byte, bit));
            if at < last_transaction {
                let found = found.unwrap_or_else(|| panic!("bit {bit} of byte {} of frame {at}", byte - at));
                assert!(found.at_byte == at as u64 && found.frames_lost > 0, "{found:?} for {at}");
            } else if !(4..8).contains(&(byte - at)) {
                // A number of pages that is none of a commit's makes a transaction of its own of what is before it.
                assert_eq!(found, None, "it may be a torn write: byte {} of {at}", byte - at);
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_the_header_of_the_log_is_damage() {
    let dir = tempdir().unwrap();
    killed_journal(dir.path());
    let log = log_of(dir.path());
    // The number of the turn and the version are summed up as well; nothing else reads them.
    for (byte, bit) in (0..wal::HEADER_BYTES).map(|byte| (byte, u8::try_from(byte % 8).unwrap())) {
        let found = wal::damage(&flip(&log, byte, bit));
        assert_eq!(found.map(|found| found.at_byte), Some(0), "bit {bit} of byte {byte}");
    }
}

#[test]
fn a_torn_write_is_no_damage() {
    let dir = tempdir().unwrap();
    killed_journal(dir.path());
    let log = log_of(dir.path());
    for cut in (0..=log.len()).step_by(1333).chain((32..log.len()).step_by(FRAME)) {
        assert_eq!(wal::damage(&log[..cut]), None, "cut at {cut}");
    }
    // Sectors of the last transaction that never reached the disk, in any combination of three.
    let (frames, last_transaction) = frames(&log);
    let end = frames[frames.len() - 1] + FRAME;
    let sectors: Vec<_> = (last_transaction.next_multiple_of(512)..end).step_by(512).collect();
    for (n, first) in sectors.iter().enumerate() {
        for second in sectors[n..].iter().step_by(7) {
            let mut torn = log.clone();
            for sector in [*first, *second] {
                let upto = (sector + 512).min(end);
                torn[sector..upto].fill(0);
            }
            assert_eq!(wal::damage(&torn), None, "without {first} and {second}");
        }
    }
    for nothing in [&[][..], &[0; 31], &[0; 32], &[0; 32 + 3 * FRAME]] {
        assert_eq!(wal::damage(nothing), None);
    }
}

#[test]
fn of_many_transactions_every_flip_but_in_the_last_is_seen_and_no_whole_or_torn_log_is_blamed() {
    let config = ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() };
    let batches = proptest::collection::vec(1..12_i64, 3..10);
    let flips = proptest::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 50);
    proptest!(config, |(batches in batches, again in 0..12_i64, flips in flips, cut in any::<prop::sample::Index>())| {
        let (live, dir) = (tempdir().unwrap(), tempdir().unwrap());
        let (mut journal, _) = open(live.path());
        // A turn of the log before, of another length.
        for tablet_id in 0..again {
            accept(&mut journal, &sample(tablet_id));
        }
        journal.conn.execute_batch("PRAGMA wal_checkpoint(RESTART)").unwrap();
        for batch in batches {
            let migrations: Vec<_> = (0..batch).map(sample).collect();
            let operations: Vec<_> = migrations.iter().map(Operation::Accept).collect();
            journal.commit(&operations).unwrap();
        }
        copy_as_killed(live.path(), dir.path());
        let log = log_of(dir.path());
        prop_assert_eq!(wal::damage(&log), None);
        prop_assert_eq!(wal::damage(&log[..cut.index(log.len())]), None);
        let (_, last_transaction) = frames(&log);
        for (byte, bit) in flips {
            let byte = byte.index(last_transaction);
            prop_assert!(wal::damage(&flip(&log, byte, bit)).is_some(), "bit {} of byte {}", bit, byte);
        }
    });
}

#[test]
fn what_was_given_up_for_want_of_space_is_no_damage() {
    let (live, dir) = (tempdir().unwrap(), tempdir().unwrap());
    let (mut journal, _) = open(live.path());
    accept(&mut journal, &sample(1));
    let page_count = |journal: &Journal| -> i64 {
        journal.conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap()
    };
    journal.conn.pragma_update(None, "cache_size", 5).unwrap();
    for round in 0..6 {
        // A cache of few pages writes frames before the transaction finds out that it has no space.
        let pages = page_count(&journal) + 30;
        journal.conn.pragma_update(None, "max_page_count", pages).unwrap();
        let many: Vec<_> = (2..900).map(sample).collect();
        let accepts: Vec<_> = many.iter().map(Operation::Accept).collect();
        assert!(journal.commit(&accepts).unwrap_err().is_want_of_space());
        journal.conn.pragma_update(None, "max_page_count", 1 << 20).unwrap();
        journal.commit(&accepts[..1 + 3 * round]).unwrap();
        copy_as_killed(live.path(), dir.path());
        let log = log_of(dir.path());
        let (frames, _) = frames(&log);
        assert!(round > 2 || log.len() > frames.len() * FRAME + 32 + FRAME, "nothing was given up");
        assert_eq!(wal::damage(&log), None, "round {round}");
        // Torn on top of it: the last transaction is over what was given up.
        for at in frames.iter().rev().take(3) {
            for sector in (at.next_multiple_of(512)..at + FRAME).step_by(512) {
                let mut torn = log.clone();
                torn[sector..sector + 512].fill(0);
                let _ = wal::damage(&torn);
            }
        }
    }
}

#[test]
fn a_start_on_a_damaged_log_says_so_keeps_the_files_and_lets_nothing_go_on_unasked() {
    let dir = tempdir().unwrap();
    let last = killed_journal(dir.path());
    let log = log_of(dir.path());
    let (frames, last_transaction) = frames(&log);
    let header = [0];
    for at in header.into_iter().chain(frames.into_iter().take_while(|at| *at < last_transaction)) {
        let damaged = tempdir().unwrap();
        copy_as_killed(dir.path(), damaged.path());
        let flipped = flip(&log, if at == 0 { 17 } else { at + 2000 }, 3);
        fs::write(damaged.path().join("journal.db-wal"), &flipped).unwrap();
        let (mut journal, opened) = Journal::open(damaged.path()).unwrap();
        let Origin::CutShort { kept, damage } = &opened.origin else { panic!("{opened:?}") };
        assert_eq!(damage.at_byte, at as u64);
        assert_eq!(fs::read(&kept.file).unwrap(), fs::read(dir.path().join("journal.db")).unwrap());
        assert_eq!(fs::read(damaged.path().join("journal.db.damaged-1-wal")).unwrap(), flipped);
        assert!(opened.origin.loss().unwrap().contains("journal.db.damaged-1"));
        assert_eq!(
            opened.history_from, opened.next_id,
            "what has no row was pruned, as far as anybody knows"
        );
        for migration in journal.unfinished().unwrap().migrations {
            assert_eq!(migration.steering.known_by, KnownBy::Staging);
        }
        assert!(accept(&mut journal, &sample(1)) > last, "given out twice");
        // Told once: also a kill leaves nothing of it behind the end of the log.
        let killed = tempdir().unwrap();
        copy_as_killed(damaged.path(), killed.path());
        assert_eq!(open(killed.path()).1.origin, Origin::Existing);
    }
}
