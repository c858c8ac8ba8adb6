//! Writes of migrations that share one commit of the journal, and what becomes of writes while there is no space for them.
//!
//! Refused for want of space is what asks for something new: nobody has been promised anything yet. What memory has already
//! (where a migration or a task stands, who owns a tablet) is kept, and tried again until it is written, in its order and
//! before anything newer of its kind.
//!
//! The journal writes at once what somebody waits for, with all that has come by then; what nobody waits for lies at
//! most 50 ms. The statuses on the way of a small tablet become one row that way. Nothing is decided by such a line:
//! what must be durable first (`finalizing`, every end, every order of an operator) is waited for.
//!
//! The journal's disk is full. SQLite has written nothing then, so nothing is in doubt: what asks for something new is
//! refused at once, rows of what memory has already are kept in their order and tried every half second
//! (`engine/parts/journal_batch.rs`), and a move waits before its swap until `finalizing` is written. Any other error,
//! a failed sync above all, ends writing until a restart.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::journal_health::JournalHealth;
use super::journal_request::{Accepted, Reply, Request, answer, unavailable};
use super::pressure::OUT;
use crate::fault;
use crate::journal::{Journal, JournalError, Operation, Refused};
use crate::model::{ErrorCode, Failure, Migration, MigrationId, counted_as};

/// Operations committed together at most.
const BATCH_MAX: usize = 4096;

/// How long updates that nobody waits for may lie unwritten, for others to join them: a small tablet is through most of
/// its statuses by then, and costs one row instead of eight.
const UNHURRIED: Duration = Duration::from_millis(50);

/// How soon what a full disk did not take is tried again.
const RETRY: Duration = Duration::from_millis(500);

type Waiting = (Box<Migration>, Reply<MigrationId>);

/// Writes that share one commit. Of several updates of one migration only the last is written.
#[derive(Default)]
pub(crate) struct Batch {
    /// When it is to be written; at once when somebody waits for it.
    due: Option<Instant>,
    /// Set while there is no space: nothing is tried before then.
    retry_at: Option<Instant>,
    accepts: Vec<(Vec<Migration>, Reply<Accepted>)>,
    /// In all of them.
    accepted: usize,
    reopens: Vec<Waiting>,
    updates: Vec<(Box<Migration>, Vec<Reply<MigrationId>>)>,
    update_of: HashMap<MigrationId, usize>,
    /// What is not of a migration and found no space, in its order. Written behind the updates.
    kept: VecDeque<Request>,
}

/// What the journal's thread has to do next.
pub(crate) enum Next {
    Asked(Request),
    /// The batch is to be written.
    Due,
    /// Nobody can ask any more.
    Closed,
}

impl Batch {
    fn len(&self) -> usize {
        self.accepted + self.reopens.len() + self.updates.len()
    }

    /// Whether the last write found no space.
    pub(crate) const fn wants_space(&self) -> bool {
        self.retry_at.is_some()
    }

    /// Waits for what else goes into this batch: what has come already, and what comes before it is due.
    pub(crate) fn next(&self, requests: &Receiver<Request>) -> Next {
        let now = Instant::now();
        let is_full = !self.wants_space() && self.len() >= BATCH_MAX;
        if is_full || self.retry_at.is_some_and(|retry_at| retry_at <= now) {
            return Next::Due;
        }
        let Some(due) = self.retry_at.or(self.due) else {
            return requests.recv().map_or(Next::Closed, Next::Asked);
        };
        match requests.recv_timeout(due.saturating_duration_since(now)) {
            Ok(request) => Next::Asked(request),
            Err(RecvTimeoutError::Timeout) => Next::Due,
            Err(RecvTimeoutError::Disconnected) => Next::Closed,
        }
    }

    /// What is asked for together is written together.
    pub(crate) fn accept(&mut self, migrations: Vec<Migration>, reply: Reply<Accepted>) {
        self.due = Some(Instant::now());
        self.accepted += migrations.len();
        self.accepts.push((migrations, reply));
    }

    /// Before the updates, hence after an end in the same batch would be too early: whoever reopens has seen it durable.
    pub(crate) fn reopen(&mut self, migration: Box<Migration>, reply: Reply<MigrationId>) {
        self.due = Some(Instant::now());
        self.reopens.push((migration, reply));
    }

    pub(crate) fn update(&mut self, migration: Box<Migration>, reply: Option<Reply<MigrationId>>) {
        let now = Instant::now();
        if reply.is_some() {
            self.due = Some(now);
        }
        self.due.get_or_insert(now + UNHURRIED);
        let at = *self.update_of.entry(migration.id).or_insert(self.updates.len());
        match self.updates.get_mut(at) {
            Some((known, replies)) => {
                *known = migration;
                replies.extend(reply);
            }
            None => self.updates.push((migration, reply.into_iter().collect())),
        }
    }

    /// A write, not of a migration, that memory has already and that is to be made once there is space.
    pub(crate) fn keep(&mut self, request: Request) {
        self.kept.push_back(request);
    }

    /// Writes what has been gathered. What finds no space stays gathered; what would be new is refused then.
    pub(crate) fn commit(&mut self, journal: &mut Journal, health: &JournalHealth) {
        if self.wants_space() && self.len() == 0 && self.kept.is_empty() {
            // Nothing waits to be written: only a write tells whether there is space. This one adds nothing.
            let _ = journal.add_uptime(0);
        }
        (self.due, self.retry_at) = (None, None);
        self.commit_migrations(journal, health);
        while self.len() == 0
            && let Some(request) = self.kept.pop_front()
        {
            if let Err(request) = answer(journal, request) {
                self.kept.push_front(request);
                break;
            }
        }
        self.look(journal, health);
    }

    /// Notes whether the last write found space.
    pub(crate) fn look(&mut self, journal: &Journal, health: &JournalHealth) {
        let now = Instant::now();
        self.retry_at = match (journal.wants_space(), self.retry_at) {
            (true, known) => Some(known.unwrap_or(now + RETRY)),
            (false, Some(_)) => {
                // It does again: what waited goes first.
                self.due = Some(now);
                None
            }
            (false, None) => None,
        };
        health.look(journal, self.updates.len() + self.kept.len());
        if self.wants_space() && health.is_stopping() {
            // The threads that wait end too; the rows are tried until the journal is closed.
            let failure = unavailable("there is no space to write it down, and the daemon stops");
            for reply in self.updates.iter_mut().flat_map(|(_, replies)| replies.drain(..)) {
                let _ = reply.send(Err(failure.clone()));
            }
        }
    }

    fn commit_migrations(&mut self, journal: &mut Journal, health: &JournalHealth) {
        let operations: Vec<_> = self
            .accepts
            .iter()
            .flat_map(|(migrations, _)| migrations.iter().map(Operation::Accept))
            .chain(self.reopens.iter().map(|(migration, _)| Operation::Reopen(migration)))
            .chain(self.updates.iter().map(|(migration, _)| match fault::is_left_out("last_word") {
                true => Operation::Reopen(migration),
                false => Operation::Update(migration),
            }))
            .collect();
        if operations.is_empty() {
            return;
        }
        let answers = {
            let _out = OUT.guard();
            let began = Instant::now();
            let answers = journal.commit(&operations);
            health.commits.took(began.elapsed());
            answers
        };
        match answers {
            Ok(answers) => self.tell(answers),
            Err(error) if error.is_want_of_space() => {
                // What memory has already stays; what would be new is refused.
                self.refuse_new(&unavailable(&error));
                self.reopens.drain(..).for_each(|(_, reply)| drop(reply.send(Err(unavailable(&error)))));
            }
            Err(error) => self.give_up(&error),
        }
    }

    /// Everybody hears what became of his own write.
    fn tell(&mut self, answers: Vec<Result<MigrationId, Refused>>) {
        let mut answers = answers.into_iter().map(|answer| {
            let failure = |refused: Refused| Failure::new(ErrorCode::Internal, refused.to_string());
            answer.map_err(failure).inspect_err(|failure| tracing::error!("journal: {failure}"))
        });
        for (migrations, reply) in self.take_new() {
            let _ = reply.send(Ok(answers.by_ref().take(migrations.len()).collect()));
        }
        for (answer, replies) in answers.zip(self.take_replies()) {
            replies.iter().for_each(|reply| drop(reply.send(answer.clone())));
        }
    }

    fn refuse_new(&mut self, failure: &Failure) {
        self.take_new().into_iter().for_each(|(_, reply)| drop(reply.send(Err(failure.clone()))));
    }

    fn take_new(&mut self) -> Vec<(Vec<Migration>, Reply<Accepted>)> {
        self.accepted = 0;
        std::mem::take(&mut self.accepts)
    }

    fn give_up(&mut self, error: &JournalError) {
        tracing::error!("journal: {error}; nothing new is accepted from now on");
        self.refuse_new(&unavailable(error));
        self.take_replies().flatten().for_each(|reply| drop(reply.send(Err(unavailable(error)))));
    }

    /// Who waits for which change of what was there already, in their order. None is gathered afterwards.
    fn take_replies(&mut self) -> impl Iterator<Item = Vec<Reply<MigrationId>>> + use<> {
        self.update_of.clear();
        let reopens = std::mem::take(&mut self.reopens).into_iter();
        let updates = std::mem::take(&mut self.updates).into_iter();
        reopens.map(|(_, reply)| vec![reply]).chain(updates.map(|(_, replies)| replies))
    }
}

impl Drop for Batch {
    /// The journal is closed: whoever waits hears it, and the log says what was not written.
    fn drop(&mut self) {
        let unwritten = self.updates.len() + self.kept.len();
        if unwritten > 0 {
            tracing::error!(
                "no space in the journal: {} not written; the next start settles what is missing as after a kill",
                counted_as(unwritten, "row was", "rows were")
            );
        }
    }
}
