//! What is asked of single moves: submitted, looked at, called off, tried again.

use std::collections::BTreeMap;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use super::inner::{Inner, lock};
use super::queue::stopping;
use crate::engine::{
    Destination, MigrationFilter, Page, RuleAnswer, RuleBinds, Submit, Validation, page_limit,
};
use crate::maintenance::{Asking, Wishes, advance};
use crate::model::{ErrorCode, Failure, Medium, Migration, MigrationId, Mode, Priority, Status, TabletKey};
use crate::rules::doris_verbs::{DorisVerb, refused_on_doris};
use crate::rules::transition::Event;

impl Inner {
    /// Accepts a move; its row is durable when this returns. A request that was accepted before under the same key is answered
    /// with the move it became.
    pub(super) fn submit(&self, submit: &Submit) -> Result<Migration, Failure> {
        if submit.mode != Mode::Auto || submit.rate_bytes_per_sec.is_some() {
            return Err(refused_on_doris(DorisVerb::Steps));
        }
        // Of two requests under one key at once the second is not told that the tablet has a migration already.
        let _claim = submit.idempotency.as_ref().map(|request| self.keys.claim(&request.key)).transpose()?;
        if let Some(request) = &submit.idempotency
            && let Some(known) = self.session.by_request_key(&request.key)?
        {
            if let Some(before) = &known.steering.idempotency {
                request.check_repeats(before, format_args!("migration {}", known.id))?;
            }
            return Ok(self.queue.get(known.id).unwrap_or(known));
        }
        self.check_precondition(submit)?;
        let to = self.destination(submit)?;
        self.accept(submit.key, &to, Wishes::default(), &|row| {
            row.priority = submit.priority;
            row.request_reason.clone_from(&submit.reason);
            row.steering.requested_by.clone_from(&submit.requested_by);
            row.steering.idempotency.clone_from(&submit.idempotency);
            row.steering.reverts = submit.reverts;
        })
    }

    fn check_precondition(&self, submit: &Submit) -> Result<(), Failure> {
        let known = self.session.node().tablets_of(submit.key.tablet_id.0);
        let Some((root, tablet)) = known.iter().find(|(_, tablet)| tablet.key == submit.key) else {
            let text = match known.first() {
                Some((_, other)) => {
                    let (id, hash) = (submit.key.tablet_id, other.key.schema_hash);
                    let text = format!("tablet {id} has schema hash {hash}, not {}", submit.key.schema_hash);
                    return Err(Failure::new(ErrorCode::SchemaHashMismatch, text));
                }
                None => format!("no tablet {} on this node", submit.key),
            };
            return Err(Failure::new(ErrorCode::TabletNotFound, text));
        };
        let wanted = &submit.precondition;
        let elsewhere = wanted.source_disk.as_ref().is_some_and(|disk| disk != root);
        let other = wanted.generation.is_some_and(|generation| generation != tablet.generation);
        if elsewhere || other {
            let text = format!("tablet {} is on {root} in generation {}", submit.key, tablet.generation);
            return Err(Failure::new(ErrorCode::PreconditionFailed, text));
        }
        Ok(())
    }

    fn destination(&self, submit: &Submit) -> Result<String, Failure> {
        let medium = match &submit.destination {
            Destination::Disk(path) => return Ok(path.clone()),
            Destination::Medium(medium) => *medium,
        };
        self.roomiest(medium, submit.key).ok_or_else(|| {
            Failure::new(ErrorCode::DiskNotFound, format!("no other root of this node is {medium}"))
        })
    }

    fn roomiest(&self, medium: Medium, key: TabletKey) -> Option<String> {
        let node = self.session.node();
        let here = node.tablets_of(key.tablet_id.0);
        let of_medium = node.looks().into_iter().filter(|root| {
            root.medium == medium && !root.read_only && here.iter().all(|(path, _)| *path != root.path)
        });
        let room = |root: &crate::maintenance::RootLook| {
            root.capacity.as_ref().map_or(0, |capacity| capacity.avail_bytes)
        };
        of_medium.max_by_key(room).map(|root| root.path)
    }

    /// Accepts a move for a request.
    fn accept(
        &self,
        key: TabletKey,
        to: &str,
        wishes: Wishes,
        dress: &dyn Fn(&mut Migration),
    ) -> Result<Migration, Failure> {
        self.accept_alone(&lock(&self.accepting), key, to, wishes, dress)
    }

    /// Accepts a move while nothing else is accepted, paused or called off.
    pub(super) fn accept_alone(
        &self,
        _one_at_a_time: &MutexGuard<'_, ()>,
        key: TabletKey,
        to: &str,
        wishes: Wishes,
        dress: &dyn Fn(&mut Migration),
    ) -> Result<Migration, Failure> {
        if self.queue.is_stopping() {
            return Err(stopping());
        }
        if let Some(why) = self.queue.halted() {
            return Err(Failure::new(ErrorCode::DiskUnavailable, why));
        }
        if let Some(row) = self.queue.of_tablet(key) {
            let text = format!(
                "migration {} owns tablet {} already, to {}; abort that one first",
                row.id, row.key, row.destination.path
            );
            return Err(Failure::new(ErrorCode::MigrationExists, text));
        }
        let reserved = self.queue.reserved(to);
        let row = self.session.accept(&Asking { key, to, wishes, reserved, dress })?;
        self.queue.counts.accepted.fetch_add(1, Ordering::Relaxed);
        self.stands(&row);
        self.queue.ring();
        Ok(row)
    }

    /// What would become of a request; nothing is written.
    pub(super) fn validate(&self, submit: &Submit) -> Validation {
        let to = self.destination(submit);
        let checked = self.check_precondition(submit).and_then(|()| to.clone()).and_then(|to| {
            let wishes = Wishes::default();
            let reserved = self.queue.reserved(&to);
            let asking =
                Asking { key: submit.key, to: &to, wishes, reserved, dress: &|_: &mut Migration| {} };
            self.session.check(&asking)
        });
        let answer = RuleAnswer {
            rule: "doris",
            allows: Some(checked.is_ok()),
            detail: checked.as_ref().map_or_else(
                |failure| failure.message.clone(),
                |()| "record, files, place and space are as they must be".to_owned(),
            ),
            binds: RuleBinds::EveryMove,
        };
        Validation { destination: to.ok(), checks: vec![answer], refusal: checked.err() }
    }

    pub(super) fn migration(&self, id: MigrationId) -> Result<Option<Migration>, Failure> {
        match self.queue.get(id) {
            Some(row) => Ok(Some(row)),
            None => self.session.row(id),
        }
    }

    pub(super) fn known(&self, id: MigrationId) -> Result<Migration, Failure> {
        self.migration(id)?.ok_or_else(|| {
            Failure::new(ErrorCode::MigrationNotFound, format!("no migration {id} is known on this node"))
        })
    }

    pub(super) fn latest(&self, key: TabletKey) -> Result<Option<Migration>, Failure> {
        let row = self.session.latest(key)?;
        Ok(row.map(|row| self.queue.get(row.id).unwrap_or(row)))
    }

    pub(super) fn list(&self, filter: &MigrationFilter) -> Result<Page<Migration>, Failure> {
        let Some(asked) = filter.of_rows(|_| true, page_limit(filter.limit)) else {
            return Ok(Page { total: 0, items: Vec::new() });
        };
        let page = self.session.rows(&asked)?;
        // Those that have not ended, as they are at this moment.
        let living: BTreeMap<_, _> = self.queue.all().into_iter().map(|row| (row.id, row)).collect();
        let now = |row: Migration| living.get(&row.id).cloned().unwrap_or(row);
        Ok(Page { total: page.total, items: page.rows.migrations.into_iter().map(now).collect() })
    }

    /// Calls a move off. One that runs goes back at its next block; one that waits has ended when this returns, unless it
    /// left something at its destination.
    pub(super) fn abort(&self, id: MigrationId, why: &str) -> Result<Migration, Failure> {
        let _one_at_a_time = lock(&self.accepting);
        let row = self.known(id)?;
        if row.status == Status::Finalizing || row.status.is_final() {
            let text = format!("migration {id} is {}: it cannot be aborted", row.status);
            return Err(Failure::new(ErrorCode::IllegalTransition, text));
        }
        if self.queue.is_running(id) {
            // In the journal first: a kill does not make the move come back. One that commits meanwhile says so over it.
            self.session.change(id, &|row| advance(row, Event::Abort, why))?;
            self.queue.abort_running(id, why);
            return self.known(id);
        }
        let row = self.session.change(id, &|row| {
            advance(row, Event::Abort, why)?;
            // Nothing was made for one that never began.
            if row.attempts == 0 && !self.queue.has_begun(id) {
                advance(row, Event::Undone, why)
            } else {
                Ok(())
            }
        })?;
        self.stands(&row);
        self.queue.ring();
        Ok(row)
    }

    /// Pauses or resumes a move that waits.
    pub(super) fn pause(&self, id: MigrationId, event: Event, why: &str) -> Result<Migration, Failure> {
        let _one_at_a_time = lock(&self.accepting);
        if self.queue.is_running(id) {
            let text =
                format!("migration {id} is under way: on Doris roots it goes to its end, or is aborted");
            return Err(Failure::new(ErrorCode::IllegalTransition, text));
        }
        let row = self.session.change(id, &|row| {
            if event == Event::Pause {
                row.paused_in = Some(row.status);
            }
            advance(row, event, why)
        })?;
        self.stands(&row);
        self.queue.ring();
        Ok(row)
    }

    /// Tries once more what could not be ended, or asks again for what has failed.
    pub(super) fn retry(&self, id: MigrationId, caller: &str) -> Result<Migration, Failure> {
        let row = self.known(id)?;
        match row.status {
            Status::Failed | Status::Aborted => {
                self.accept(row.key, &row.destination.path, Wishes::default(), &|new| {
                    new.request_reason = format!("migration {id} once more");
                    caller.clone_into(&mut new.steering.requested_by);
                })
            }
            _ if self.queue.release(id) => {
                self.queue.ring();
                self.known(id)
            }
            status => {
                let text = format!("migration {id} is {status}: there is nothing to try again");
                Err(Failure::new(ErrorCode::IllegalTransition, text))
            }
        }
    }

    pub(super) fn prioritize(&self, id: MigrationId, priority: Priority) -> Result<Migration, Failure> {
        let _one_at_a_time = lock(&self.accepting);
        if self.queue.is_running(id) {
            return self.known(id);
        }
        let row = self.session.change(id, &|row| {
            if row.status.is_final() {
                let text = format!("migration {id} is {}", row.status);
                return Err(Failure::new(ErrorCode::IllegalTransition, text));
            }
            row.priority = priority;
            Ok(())
        })?;
        self.queue.stands(&row);
        Ok(row)
    }

    /// Moves a tablet back to where a move took it from.
    pub(super) fn revert(&self, id: MigrationId, caller: &str) -> Result<Migration, Failure> {
        let row = self.known(id)?;
        if row.status != Status::Completed {
            let text = format!("migration {id} is {}: only a completed one can be taken back", row.status);
            return Err(Failure::new(ErrorCode::NotRevertible, text));
        }
        self.accept(row.key, &row.source.path, Wishes::default(), &|new| {
            new.steering.reverts = Some(id);
            new.request_reason = format!("takes migration {id} back");
            caller.clone_into(&mut new.steering.requested_by);
        })
    }
}
