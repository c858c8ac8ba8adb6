//! One daemon per journal; files of newer releases and of other programs are refused and not touched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tempfile::tempdir;

use super::super::schema::VERSION;
use super::samples::sample;
use super::{accept, contents, copy_as_killed, open};
use crate::journal::{Journal, JournalError, Origin};

fn send<T: Send>(_: &T) {}

/// Opening must fail, and leave every file as it was.
fn refused_untouched(dir: &Path) -> JournalError {
    let before = contents(dir);
    let error = Journal::open(dir).unwrap_err();
    assert!(contents(dir) == before, "refused ({error}), but the files changed");
    assert!(error.to_string().contains("journal.db"), "{error}");
    error
}

#[test]
fn a_second_daemon_is_refused_until_the_first_is_gone() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    send(&journal);
    accept(&mut journal, &sample(1));
    let error = refused_untouched(dir.path());
    assert!(matches!(error, JournalError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    // The refused one has not loosened the first one's hold.
    assert!(matches!(refused_untouched(dir.path()), JournalError::InUse { .. }));
    accept(&mut journal, &sample(2));
    drop(journal);
    assert_eq!(open(dir.path()).0.unfinished().unwrap().migrations.len(), 2);
}

#[test]
fn other_programs_are_kept_out_while_it_is_open_and_keep_the_daemon_out_while_they_write() {
    let dir = tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let shell = Connection::open(dir.path().join("journal.db")).unwrap();
    shell.busy_timeout(Duration::ZERO).unwrap();
    assert!(shell.query_row("SELECT count(*) FROM migration", [], |row| row.get::<_, i64>(0)).is_err());
    assert!(!dir.path().join("journal.db-shm").exists());
    drop(journal);
    shell.execute_batch("BEGIN IMMEDIATE; INSERT INTO state VALUES ('x', 1)").unwrap();
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::InUse { .. }), "{error}");
    drop(shell);
    open(dir.path());
}

#[test]
fn a_file_from_before_the_first_release_is_refused_and_says_what_upgrades_it() {
    let dir = tempdir().unwrap();
    open(dir.path()).0.close().unwrap();
    let older = Connection::open(dir.path().join("journal.db")).unwrap();
    older.execute_batch("PRAGMA user_version = 4").unwrap();
    drop(older);
    let error = refused_untouched(dir.path());
    assert!(matches!(error, JournalError::TooOld { found: 4, oldest: 5, .. }), "{error}");
    assert!(error.to_string().contains("start release 0.1.0 once"), "{error}");
}

#[test]
fn a_file_of_a_newer_release_is_refused_byte_for_byte_untouched() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    accept(&mut journal, &sample(1));
    drop(journal);
    let newer = Connection::open(dir.path().join("journal.db")).unwrap();
    newer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    let (known, later) = (VERSION, VERSION + 1);
    newer.execute_batch(&format!("PRAGMA user_version = {later}; CREATE TABLE later (x)")).unwrap();

    // The new version stands in the write-ahead log alone...
    let logged = tempdir().unwrap();
    copy_as_killed(dir.path(), logged.path());
    assert_eq!(fs::read(logged.path().join("journal.db")).unwrap()[60..64], known.to_be_bytes());
    let told = |error: &JournalError| match error {
        JournalError::Newer { found, known: ours, .. } => (*found, *ours) == (later, known),
        _ => false,
    };
    let error = refused_untouched(logged.path());
    assert!(told(&error), "{error}");

    // ... and in the file itself.
    newer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(newer);
    assert_eq!(fs::read(dir.path().join("journal.db")).unwrap()[60..64], later.to_be_bytes());
    let error = refused_untouched(dir.path());
    assert!(told(&error), "{error}");
}

#[test]
fn a_database_of_another_program_is_refused_untouched() {
    let dir = tempdir().unwrap();
    Connection::open(dir.path().join("journal.db"))
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x)")
        .unwrap();
    let error = refused_untouched(dir.path());
    assert!(matches!(error, JournalError::Foreign { found: 0, .. }), "{error}");
}

#[test]
fn a_link_or_a_directory_in_the_journals_place_is_refused() {
    let (elsewhere, dir) = (tempdir().unwrap(), tempdir().unwrap());
    open(elsewhere.path());
    symlink(elsewhere.path().join("journal.db"), dir.path().join("journal.db")).unwrap();
    let error = refused_untouched(dir.path());
    assert!(matches!(error, JournalError::NotRegular { .. }), "{error}");
    fs::remove_file(dir.path().join("journal.db")).unwrap();
    fs::create_dir(dir.path().join("journal.db")).unwrap();
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::NotRegular { .. }), "{error}");
}

#[test]
fn a_state_directory_is_made_with_its_parents_and_a_file_in_its_place_is_named() {
    let dir = tempdir().unwrap();
    let deep = dir.path().join("a/b/c");
    assert_eq!(open(&deep).1.origin, Origin::Created);
    assert_eq!(open(&deep).1.origin, Origin::Existing);
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = Journal::open(&file).unwrap_err();
    assert!(matches!(error, JournalError::NoDirectory { .. }), "{error}");
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn a_creation_that_was_interrupted_is_begun_again() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("journal.db.new"), "half of it").unwrap();
    fs::write(dir.path().join("journal.db.new-journal"), "and its log").unwrap();
    assert_eq!(open(dir.path()).1.origin, Origin::Created);
    let names: Vec<_> = contents(dir.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["journal.db"]);
}
