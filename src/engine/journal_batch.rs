//! Writes of migrations that share one commit of the journal.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::journal_health::JournalHealth;
use super::journal_thread::{Reply, Request, unavailable};
use super::pressure::OUT;
use crate::journal::{Journal, Operation};
use crate::model::{ErrorCode, Failure, Migration, MigrationId};

/// Operations committed together at most.
const BATCH_MAX: usize = 4096;

/// How long updates that nobody waits for may lie unwritten, for others to join them: a small tablet is through most of
/// its statuses by then, and costs one row instead of eight.
const UNHURRIED: Duration = Duration::from_millis(50);

/// Writes that share one commit. Of several updates of one migration only the last is written.
#[derive(Default)]
pub(super) struct Batch {
    /// When it is to be written; at once when somebody waits for it.
    due: Option<Instant>,
    accepts: Vec<(Box<Migration>, Reply<MigrationId>)>,
    reopens: Vec<(Box<Migration>, Reply<MigrationId>)>,
    updates: Vec<(Box<Migration>, Vec<Reply<MigrationId>>)>,
    update_of: HashMap<MigrationId, usize>,
}

impl Batch {
    fn len(&self) -> usize {
        self.accepts.len() + self.reopens.len() + self.updates.len()
    }

    /// What else goes into this batch: what has come already, and what comes before it is due.
    pub(super) fn next(&self, requests: &Receiver<Request>) -> Option<Request> {
        if self.len() >= BATCH_MAX {
            return None;
        }
        let left = self.due.map(|due| due.saturating_duration_since(Instant::now()));
        requests.recv_timeout(left.unwrap_or_default()).ok()
    }

    pub(super) fn accept(&mut self, migration: Box<Migration>, reply: Reply<MigrationId>) {
        self.due = Some(Instant::now());
        self.accepts.push((migration, reply));
    }

    /// Before the updates, hence after an end in the same batch would be too early: whoever reopens has seen it durable.
    pub(super) fn reopen(&mut self, migration: Box<Migration>, reply: Reply<MigrationId>) {
        self.due = Some(Instant::now());
        self.reopens.push((migration, reply));
    }

    pub(super) fn update(&mut self, migration: Box<Migration>, reply: Option<Reply<MigrationId>>) {
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

    pub(super) fn commit(self, journal: &mut Journal, health: &JournalHealth) {
        let operations: Vec<_> = self
            .accepts
            .iter()
            .map(|(migration, _)| Operation::Accept(migration))
            .chain(self.reopens.iter().map(|(migration, _)| Operation::Reopen(migration)))
            .chain(self.updates.iter().map(|(migration, _)| Operation::Update(migration)))
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
        let replies = self
            .accepts
            .into_iter()
            .chain(self.reopens)
            .map(|(_, reply)| vec![reply])
            .chain(self.updates.into_iter().map(|(_, r)| r));
        match answers {
            Ok(answers) => {
                for (answer, replies) in answers.into_iter().zip(replies) {
                    let answer =
                        answer.map_err(|refused| Failure::new(ErrorCode::Internal, refused.to_string()));
                    if let Err(failure) = &answer {
                        tracing::error!("journal: {failure}");
                    }
                    replies.iter().for_each(|reply| drop(reply.send(answer.clone())));
                }
            }
            Err(error) => {
                tracing::error!("journal: {error}; nothing new is accepted from now on");
                replies.flatten().for_each(|reply| drop(reply.send(Err(unavailable(&error)))));
            }
        }
    }
}
