//! Where a migration stands is changed in turns: the order in which the journal hears of changes is the order in which they
//! are made, and nothing is written after the last of them.
//!
//! The journal's last word is the last. Whoever changes where a migration stands takes its turn
//! (`engine/parts/turn.rs`): rows are posted in the order in which they are made, and an end or a pause keeps its turn
//! until it is durable and shown. What was asked meanwhile sees the end and is refused. The journal itself writes
//! nothing over an end but what `retry` begins again (`Operation::Reopen`). An abort that was answered stands in every
//! row that is written until it is obeyed.

use std::sync::{MutexGuard, PoisonError};

use super::held::{Held, Rank};
use super::job::{Command, Heard, Job, apply};
use super::journal_thread::{JournalHandle, Posted};
use crate::fault;
use crate::model::{ErrorCode, Failure, Migration, MigrationId, Status};
use crate::rules::transition::Event;

/// The sole right to say where a migration stands.
///
/// Every row that the journal is given is made here, and posted while the row is locked: the journal hears of changes in
/// the order in which they are made. An end, and a pause, are shown only once they are durable. Whoever wants to change the
/// row meanwhile waits for his turn, sees the row as it is then, and is refused if it has ended. So no row is ever written
/// after the last one.
///
/// Taken before the locks of the node, never while one of them is held: it may be held as long as the journal takes.
pub(crate) struct Turn<'a> {
    job: &'a Job,
    _held: Held<MutexGuard<'a, ()>>,
}

impl Turn<'_> {
    /// Changes the row and posts it, unless `how` finds that there is nothing to write (`None`).
    ///
    /// # Errors
    /// What `how` said; nothing is changed then.
    pub(crate) fn change_if<T>(
        &self,
        journal: &JournalHandle,
        how: impl FnOnce(&mut Migration) -> Result<Option<T>, Failure>,
    ) -> Result<Option<(T, Posted<MigrationId>)>, Failure> {
        let mut migration = self.job.lock();
        let mut changed = migration.clone();
        let Some(done) = how(&mut changed)? else { return Ok(None) };
        self.job.progress.merge_into(&mut changed);
        self.job.replace(&mut migration, changed.clone());
        Ok(Some((done, journal.post_update(self.job.as_found_by_a_start(changed)))))
    }

    /// Changes the row and posts it.
    ///
    /// # Errors
    /// What `how` said; nothing is changed then.
    pub(crate) fn change(
        &self,
        journal: &JournalHandle,
        how: impl FnOnce(&mut Migration) -> Result<(), Failure>,
    ) -> Result<Posted<MigrationId>, Failure> {
        let posted = self.change_if(journal, |row| how(row).map(Some))?;
        posted
            .map(|(_, posted)| posted)
            .ok_or_else(|| Failure::new(ErrorCode::Internal, "nothing was posted"))
    }

    /// Changes the row; it goes to the journal with the next batch.
    ///
    /// # Errors
    /// What `how` said; nothing is changed then.
    pub(crate) fn note(
        &self,
        journal: &JournalHandle,
        how: impl FnOnce(&mut Migration) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut migration = self.job.lock();
        let mut changed = migration.clone();
        how(&mut changed)?;
        self.job.progress.merge_into(&mut changed);
        self.job.replace(&mut migration, changed.clone());
        journal.update(self.job.as_found_by_a_start(changed));
        Ok(())
    }

    /// Makes a change of status durable, and only then lets everybody see it.
    ///
    /// # Errors
    /// `ILLEGAL_TRANSITION`; `JOURNAL_UNAVAILABLE`, and nothing is changed then.
    pub(crate) fn commit(
        &self,
        journal: &JournalHandle,
        event: Event,
        reason: impl Into<String>,
    ) -> Result<(), Failure> {
        let row = self.foresee(event, reason)?;
        journal.post_update(row.clone()).wait()?;
        self.show(row);
        Ok(())
    }

    /// The row after `event`. Nobody sees it before it is shown.
    ///
    /// # Errors
    /// `ILLEGAL_TRANSITION`.
    pub(crate) fn foresee(&self, event: Event, reason: impl Into<String>) -> Result<Migration, Failure> {
        let mut migration = self.job.lock().clone();
        apply(&mut migration, event, reason.into())?;
        self.job.progress.merge_into(&mut migration);
        Ok(migration)
    }

    /// Lets everybody see a row that was foreseen.
    pub(crate) fn show(&self, row: Migration) {
        let mut migration = self.job.lock();
        self.job.replace(&mut migration, row);
    }
}

impl Job {
    /// The sole right to say where this migration stands, once nobody else has it.
    pub(crate) fn turn(&self) -> Turn<'_> {
        let own = &self.turn;
        let turn = if fault::is_left_out("last_word") { &*Box::leak(Box::default()) } else { own };
        let held = Held::take(Rank::Turn, || turn.lock().unwrap_or_else(PoisonError::into_inner));
        Turn { job: self, _held: held }
    }

    /// Changes the status in memory, if the table allows it. The journal hears of it with the next row it is given.
    ///
    /// # Errors
    /// `ILLEGAL_TRANSITION`.
    pub(crate) fn advance(&self, event: Event, reason: impl Into<String>) -> Result<Migration, Failure> {
        let _turn = self.turn();
        let mut migration = self.lock();
        let mut changed = migration.clone();
        apply(&mut changed, event, reason.into())?;
        self.replace(&mut migration, changed);
        Ok(migration.clone())
    }

    /// Notes something in the row that cannot be refused; it goes to the journal with the next batch.
    pub(crate) fn note_row(&self, journal: &JournalHandle, how: impl FnOnce(&mut Migration)) {
        let noted = self.turn().note(journal, |row| {
            how(row);
            Ok(())
        });
        noted.expect("a note refuses nothing");
    }

    /// A row for the journal. An abort that was answered is not forgotten by what the migration writes until it obeys.
    fn as_found_by_a_start(&self, mut row: Migration) -> Migration {
        if self.heard() == Heard::Command(Command::Abort) && row.status != Status::Aborting {
            // Where the table does not allow it, the row has ended or its swap has begun.
            let _ = apply(&mut row, Event::Abort, "aborted by an operator".to_owned());
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use super::super::journal_thread::slow::SlowJournal;
    use super::*;
    use crate::model::{DiskRef, DiskUuid, TabletKey};

    fn job_in(status: Status) -> Job {
        let disk =
            |number| DiskRef { uuid: DiskUuid(uuid::Uuid::from_u128(number)), path: format!("/d{number}") };
        let mut row = Migration::new(TabletKey::new(1, 2), disk(1), disk(2), 0);
        (row.id, row.status) = (MigrationId(7), status);
        Job::new(row, 100, &Arc::default())
    }

    /// What a verb that changes a row without changing its status does.
    fn verb(row: &mut Migration) -> Result<(), Failure> {
        if row.status.is_final() || row.status == Status::Paused {
            return Err(Failure::new(ErrorCode::IllegalTransition, "too late"));
        }
        row.steering.rate_bytes_per_sec = Some(1);
        Ok(())
    }

    /// While a row is on its way to a slow journal, somebody else changes what is shown. The journal's last row must be
    /// the one that was committed, and what came late must be refused.
    fn races(from: Status, event: Event, last: Status) {
        let (job, (journal, slow)) = (job_in(from), SlowJournal::new());
        std::thread::scope(|scope| {
            let committing = scope.spawn(|| job.turn().commit(&journal, event, "the end"));
            let first = slow.next(Duration::from_secs(10)).expect("the end is posted");
            assert_eq!(first.row().status, last, "{from}");
            assert_eq!(job.snapshot().status, from, "nobody sees it before it is durable");
            let (begun, has_begun) = mpsc::channel();
            let (late, journal) = (&job, &journal);
            let changing = scope.spawn(move || {
                begun.send(()).expect("somebody waits");
                late.turn().change(journal, verb).map(drop)
            });
            has_begun.recv().expect("it begins");
            // Time enough for a change that does not wait for its turn.
            assert!(slow.next(Duration::from_millis(100)).is_none(), "{from}: written after the last row");
            first.make_durable();
            committing.join().expect("no panic").expect("it is durable");
            let refused = changing.join().expect("no panic").expect_err("the row had its last word");
            assert_eq!(refused.message, "too late");
        });
        assert!(slow.next(Duration::ZERO).is_none(), "{from}: written after the last row");
        assert_eq!(job.snapshot().status, last);
    }

    #[test]
    fn nothing_is_written_after_the_last_row_however_slow_the_journal_is() {
        races(Status::Finalizing, Event::Completed, Status::Completed);
        races(Status::Copying, Event::Fail, Status::Failed);
        races(Status::Aborting, Event::Undone, Status::Aborted);
        races(Status::Aborting, Event::Expired, Status::Expired);
        races(Status::Copying, Event::Pause, Status::Paused);
    }

    #[test]
    fn a_row_that_the_journal_does_not_take_is_not_shown() {
        let (job, (journal, slow)) = (job_in(Status::Copying), SlowJournal::new());
        drop(slow);
        let refused = job.turn().commit(&journal, Event::Pause, "paused").expect_err("nobody serves");
        assert_eq!(refused.code, ErrorCode::JournalUnavailable);
        assert_eq!(job.snapshot().status, Status::Copying);
    }

    #[test]
    fn an_abort_that_was_answered_is_in_every_row_until_it_is_obeyed() {
        let (job, (journal, slow)) = (job_in(Status::Prepared), SlowJournal::new());
        assert!(job.ask(Command::Abort));
        job.note_row(&journal, |row| row.destination_shard = None);
        let written = slow.next(Duration::from_secs(10)).expect("it is posted");
        assert_eq!(written.row().status, Status::Aborting);
        assert_eq!(job.snapshot().status, Status::Prepared);
    }

    #[test]
    fn what_the_daemon_wants_takes_back_nothing_that_an_operator_asked_for() {
        use Command::{Abort, Pause, Stop, TimeOut};
        for (first, second, stands) in [
            (Pause, Stop, Pause),
            (Pause, TimeOut, Pause),
            (Abort, Stop, Abort),
            (Abort, Pause, Abort),
            (TimeOut, Pause, Pause),
            (Stop, Pause, Pause),
            (Stop, Abort, Abort),
            (Pause, Abort, Abort),
        ] {
            let job = job_in(Status::Copying);
            assert!(job.ask(first));
            job.ask(second);
            assert_eq!(job.heard(), Heard::Command(stands), "{first:?}, then {second:?}");
        }
    }
}
