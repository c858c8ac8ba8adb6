//! The journal's owner: one thread that gathers what others want written and commits it together.
//!
//! Nobody else touches the journal. A migration that waits for its line to be durable waits for one sync that it shares
//! with everybody who asked meanwhile.

#[cfg(test)]
pub(crate) mod slow;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::Duration;

use super::journal_batch::{Batch, Next};
use super::journal_health::JournalHealth;
use super::journal_request::{Accepted, Reply, Request, answer, unavailable};
use super::thread::spawn_isolated;
use crate::journal::{Filter, Journal, JournalError, Listed, Opened};
use crate::model::{
    DiskUuid, Failure, LedgerLine, LedgerOwner, Mark, Marked, Migration, MigrationId, TabletCheck, TabletKey,
    Task, TaskId, counted_as,
};

/// How long a stop waits for what is still to be written.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// How often somebody who waits looks whether it is for space.
const LOOK_AT_SPACE: Duration = Duration::from_millis(50);

/// What the journal held when it was opened.
pub(crate) struct Loaded {
    pub(crate) opened: Opened,
    pub(crate) unfinished: Vec<Migration>,
    pub(crate) finished: Vec<Migration>,
    pub(crate) damaged_rows: Vec<String>,
    pub(crate) uptime_seconds: u64,
    pub(crate) tasks: Vec<Task>,
    pub(crate) marks: Vec<(Marked, Mark)>,
    pub(crate) checks: Vec<TabletCheck>,
    pub(crate) ledger: Vec<LedgerLine>,
}

/// A write that has its place in the order of writes, and may not be durable yet.
#[must_use = "it may fail"]
pub(crate) struct Posted<T> {
    answer: Receiver<Result<T, Failure>>,
    health: Arc<JournalHealth>,
}

impl<T> Posted<T> {
    /// Waits until it is durable, also until there is space for it.
    ///
    /// # Errors
    /// `JOURNAL_UNAVAILABLE`.
    pub(crate) fn wait(self) -> Result<T, Failure> {
        self.answer.recv().map_err(|_| closed())?
    }

    /// As [`Self::wait`], but not for space: for whoever answers somebody. What is so already is written later all the same.
    ///
    /// # Errors
    /// `JOURNAL_UNAVAILABLE`.
    pub(crate) fn wait_unless_full(self) -> Result<T, Failure> {
        loop {
            match self.answer.recv_timeout(LOOK_AT_SPACE) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => return Err(closed()),
                Err(RecvTimeoutError::Timeout) if self.health.wants_space() => {
                    return Err(unavailable(
                        "it is so, but not written down yet: there is no space in state_dir",
                    ));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

fn closed() -> Failure {
    unavailable("the journal is closed")
}

/// The way to the journal thread.
pub(crate) struct JournalHandle {
    sender: Sender<Request>,
    pub(crate) health: Arc<JournalHealth>,
    /// Nothing ever comes; its other end is gone once the thread has closed the journal.
    ended: std::sync::Mutex<Receiver<()>>,
}

impl JournalHandle {
    /// Opens the journal on its own thread and loads what had not ended, and the last `finished` that had.
    ///
    /// # Errors
    /// The journal cannot be opened; the message names the file and the way out.
    pub(crate) fn start(state_dir: &Path, finished: u32) -> Result<(Self, Loaded), Failure> {
        let (sender, receiver) = mpsc::channel();
        let (loaded_sender, loaded) = mpsc::sync_channel(1);
        let state_dir = state_dir.to_owned();
        let health = Arc::new(JournalHealth::of(state_dir.clone()));
        let told = Arc::clone(&health);
        let (running, ended) = mpsc::sync_channel(0);
        spawn_isolated("journal", move || match load(&state_dir, finished) {
            Ok((journal, loaded)) => {
                if loaded_sender.send(Ok(loaded)).is_ok() {
                    told.measure();
                    serve(journal, &receiver, &told);
                }
                drop::<SyncSender<()>>(running);
            }
            Err(error) => drop(loaded_sender.send(Err(unavailable(error)))),
        })?;
        let loaded = loaded.recv().map_err(|_| unavailable("the journal thread ended"))??;
        Ok((Self { sender, health, ended: ended.into() }, loaded))
    }

    fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Failure> {
        self.post(request).wait()
    }

    fn post<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Posted<T> {
        let (reply, answer) = mpsc::sync_channel(1);
        // A closed journal drops the request and with it the way back: whoever waits is told.
        let _ = self.sender.send(request(reply));
        Posted { answer, health: Arc::clone(&self.health) }
    }

    /// Refuses what asks for a change while nothing can be written for want of space.
    ///
    /// # Errors
    /// `JOURNAL_UNAVAILABLE`.
    pub(crate) fn check_space(&self) -> Result<(), Failure> {
        if self.health.wants_space() { Err(self.health.refusal()) } else { Ok(()) }
    }

    /// The daemon stops: whoever waits for space is told that there is none. Called once everybody knows that it stops.
    pub(crate) fn expect_stop(&self) {
        self.health.expect_stop();
    }

    /// Records a new task, durably, and returns its number.
    pub(crate) fn add_task(&self, task: Task) -> Result<TaskId, Failure> {
        self.ask(|reply| Request::AddTask(Box::new(task), reply))
    }

    /// Records how a task stands. Does not wait, so that it can be called where the order of changes is decided.
    pub(crate) fn update_task(&self, task: Task) -> Posted<()> {
        self.post(|reply| Request::UpdateTask(Box::new(task), reply))
    }

    /// Forgets a task. Does not wait, as [`Self::update_task`].
    pub(crate) fn delete_task(&self, id: TaskId) -> Posted<()> {
        self.post(|reply| Request::DeleteTask(id, reply))
    }

    /// Records or takes back what an operator has said. Does not wait, as [`Self::update_task`].
    pub(crate) fn set_mark(&self, marked: Marked, mark: Option<Mark>) -> Posted<()> {
        self.post(|reply| Request::SetMark(marked, mark, reply))
    }

    /// Records what a verification found. Nobody waits: lost with the process, it was never asked for.
    pub(crate) fn set_check(&self, check: TabletCheck) {
        let _ = self.sender.send(Request::SetCheck(Box::new(check)));
    }

    /// Forgets it.
    pub(crate) fn clear_check(&self, key: TabletKey) {
        let _ = self.sender.send(Request::ClearCheck(key));
    }

    /// Records a new migration, durably, and returns its number.
    pub(crate) fn accept(&self, migration: Migration) -> Result<MigrationId, Failure> {
        let accepted = self.accept_all(vec![migration])?;
        accepted.into_iter().next().unwrap_or_else(|| Err(closed()))
    }

    /// Records new migrations in one transaction, durably: the number of each, or why it alone was not taken.
    ///
    /// # Errors
    /// `JOURNAL_UNAVAILABLE`; none of them is taken then.
    pub(crate) fn accept_all(&self, migrations: Vec<Migration>) -> Result<Accepted, Failure> {
        self.ask(|reply| Request::Accept(migrations, reply))
    }

    /// Records how a migration stands, with the next batch. For [`super::turn::Turn`], which keeps the order.
    pub(crate) fn update(&self, migration: Migration) {
        // A closed journal is noticed by whoever needs an answer.
        let _ = self.sender.send(Request::Update(Box::new(migration), None));
    }

    /// As [`Self::update`]; who wants to know waits for the answer.
    pub(crate) fn post_update(&self, migration: Migration) -> Posted<MigrationId> {
        self.post(|reply| Request::Update(Box::new(migration), Some(reply)))
    }

    /// Records that an ended migration is queued again. Nothing else makes an end undone.
    pub(crate) fn post_reopen(&self, migration: Migration) -> Posted<MigrationId> {
        self.post(|reply| Request::Reopen(Box::new(migration), reply))
    }

    pub(crate) fn get(&self, id: MigrationId) -> Result<Option<Migration>, Failure> {
        self.ask(|reply| Request::Get(id, reply))
    }

    pub(crate) fn latest_for(&self, key: TabletKey) -> Result<Option<Migration>, Failure> {
        self.ask(|reply| Request::LatestFor(key, reply))
    }

    /// The migration that was asked for with each of these keys.
    pub(crate) fn by_request_keys(&self, keys: Vec<String>) -> Result<Vec<Option<Migration>>, Failure> {
        self.ask(|reply| Request::ByRequestKeys(keys, reply))
    }

    pub(crate) fn list(&self, filter: Filter) -> Result<Listed, Failure> {
        self.ask(|reply| Request::List(Box::new(filter), reply))
    }

    /// Writes who owns these tablets, durably, where no migration's row says so. Without space it is written later.
    pub(crate) fn note_owners(&self, owners: Vec<(TabletKey, LedgerOwner)>) -> Result<(), Failure> {
        self.post(|reply| Request::NoteOwners(owners, reply)).wait_unless_full()
    }

    /// What the ledger knows of a tablet.
    pub(crate) fn ledger_line(&self, key: TabletKey) -> Result<Option<LedgerLine>, Failure> {
        self.ask(|reply| Request::LedgerLine(key, reply))
    }

    /// What the ledger knows of the tablets that this disk owns, or may own.
    pub(crate) fn ledger_of(&self, disk: DiskUuid) -> Result<Vec<LedgerLine>, Failure> {
        self.ask(|reply| Request::LedgerOf(disk, reply))
    }

    /// Makes sure that numbers up to `id` are not given out again.
    pub(crate) fn raise_next_id(&self, id: MigrationId) -> Result<(), Failure> {
        self.ask(|reply| Request::RaiseNextId(id, reply))
    }

    /// Nothing of this journal goes on unasked, and numbers up to `id` are not given out again.
    pub(crate) fn distrust(&self, id: MigrationId) -> Result<(), Failure> {
        self.ask(|reply| Request::Distrust(id, reply))
    }

    /// Adds to the counted up-time and returns the sum.
    pub(crate) fn add_uptime(&self, seconds: u64) -> Result<u64, Failure> {
        self.ask(|reply| Request::AddUptime(seconds, reply))
    }

    /// Forgets the oldest ended migrations beyond `keep`, a few at a time.
    pub(crate) fn prune(&self, keep: u64) {
        let _ = self.sender.send(Request::Prune(keep));
    }

    /// Commits what is waiting and closes the file. A disk that hangs below it is not waited for: what is durable is so
    /// already, and the next start takes the rest for a kill.
    pub(crate) fn stop(&self) {
        let _ = self.sender.send(Request::Stop);
        let ended = self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if ended.recv_timeout(STOP_WAIT) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the journal is not closed: a call to the disk of state_dir does not return");
        }
    }
}

fn load(state_dir: &Path, finished: u32) -> Result<(Journal, Loaded), JournalError> {
    let (journal, opened) = Journal::open(state_dir)?;
    let mut unfinished = journal.unfinished()?;
    // Of roots that this daemon does not open: neither settled nor ended here.
    let before = unfinished.migrations.len();
    unfinished.migrations.retain(|migration| migration.doris.is_none());
    let left = before - unfinished.migrations.len();
    if left > 0 {
        tracing::warn!(
            "{} unfinished: tabletctl doris resume --conf be.conf goes on",
            counted_as(left, "move of Doris roots is", "moves of Doris roots are")
        );
    }
    let finished = journal.recent_finished(finished)?;
    let uptime_seconds = journal.uptime_seconds()?;
    let (tasks, damaged_tasks) = journal.tasks()?;
    let damaged_rows = unfinished.damaged.iter().chain(&finished.damaged).map(ToString::to_string);
    let (marks, damaged_marks) = journal.marks()?;
    let (checks, damaged_checks) = journal.checks()?;
    let (ledger, damaged_lines) = journal.ledger()?;
    let damaged_rows = damaged_rows.chain(damaged_tasks).chain(damaged_marks).chain(damaged_checks);
    let damaged_rows = damaged_rows.chain(damaged_lines).collect();
    let loaded = Loaded {
        opened,
        unfinished: unfinished.migrations,
        finished: finished.migrations,
        damaged_rows,
        uptime_seconds,
        tasks,
        marks,
        checks,
        ledger,
    };
    Ok((journal, loaded))
}

fn serve(mut journal: Journal, requests: &Receiver<Request>, health: &JournalHealth) {
    let mut batch = Batch::default();
    loop {
        match batch.next(requests) {
            Next::Asked(Request::Accept(_, reply)) if batch.wants_space() => {
                let _ = reply.send(Err(health.refusal()));
            }
            Next::Asked(Request::Reopen(_, reply)) if batch.wants_space() => {
                let _ = reply.send(Err(health.refusal()));
            }
            Next::Asked(Request::Accept(migrations, reply)) => batch.accept(migrations, reply),
            Next::Asked(Request::Update(migration, reply)) => batch.update(migration, reply),
            Next::Asked(Request::Reopen(migration, reply)) => batch.reopen(migration, reply),
            Next::Asked(Request::Stop) | Next::Closed => break,
            // Behind what waits for space already.
            Next::Asked(request) if batch.wants_space() && request.is_kept() => batch.keep(request),
            Next::Asked(request) => {
                let measures = matches!(request, Request::AddUptime(..));
                // What is asked sees what was written before it.
                if !batch.wants_space() {
                    batch.commit(&mut journal, health);
                }
                if let Err(request) = answer(&mut journal, request) {
                    batch.keep(request);
                }
                batch.look(&journal, health);
                if measures {
                    health.measure();
                }
            }
            Next::Due => batch.commit(&mut journal, health),
        }
    }
    batch.commit(&mut journal, health);
    drop(batch);
    if let Err(error) = journal.close() {
        tracing::error!("closing the journal: {error}");
    }
}
