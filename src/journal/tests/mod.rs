//! Tests of the journal, through its public face and on real files.

mod checks;
mod damage;
mod exclusion;
mod ledger;
mod lists;
mod log;
mod marks;
mod measure;
mod samples;
mod tasks;
mod writes;

use std::fs;
use std::path::Path;

use super::{Journal, Opened, Operation, Origin};
use crate::model::{Migration, MigrationId};

/// Opens a journal that must be there and whole, or be made.
fn open(dir: &Path) -> (Journal, Opened) {
    let (journal, opened) = Journal::open(dir).unwrap();
    assert!(matches!(opened.origin, Origin::Existing | Origin::Created), "{opened:?}");
    (journal, opened)
}

/// Accepts one migration, alone in its batch.
fn accept(journal: &mut Journal, migration: &Migration) -> MigrationId {
    let answers = journal.commit(&[Operation::Accept(migration)]).unwrap();
    answers.into_iter().next().unwrap().unwrap()
}

/// Writes one update, alone in its batch.
fn update(journal: &mut Journal, migration: &Migration) {
    journal.commit(&[Operation::Update(migration)]).unwrap().remove(0).unwrap();
}

/// Writes one update, alone in its batch, whatever stands there.
fn reopen(journal: &mut Journal, migration: &Migration) {
    journal.commit(&[Operation::Reopen(migration)]).unwrap().remove(0).unwrap();
}

/// The numbers of migrations.
fn ids(migrations: &[Migration]) -> Vec<u64> {
    migrations.iter().map(|migration| migration.id.0).collect()
}

/// Names and bytes of all files in a directory, in the order of their names, without the lock.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name != "journal.lock")
        .collect();
    files.sort();
    files
}

/// Copies the journal as a kill or a power cut would leave it: the files of an open journal, nothing folded in.
fn copy_as_killed(from: &Path, to: &Path) {
    for name in ["journal.db", "journal.db-wal"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}
