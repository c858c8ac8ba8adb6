//! What an operator may ask of a migration: submit, resume, retry; how it is stopped is in `stop`. Whether it is granted is decided in
//! [`crate::rules`].

use std::sync::Arc;

use crate::engine::ask::go_on;
use crate::engine::look::facts;
use crate::engine::look::facts::Known;
use crate::engine::look::migrations;
use crate::engine::node::{Counts, Node};
use crate::engine::parts::job::{Job, apply, new_row};
use crate::engine::schedule;
use crate::engine::view::{Destination, Precondition, RuleAnswer, RuleBinds, Submit, Validation};
use crate::fault;
use crate::model::{ErrorCode, Failure, Hold, Idempotency, Migration, MigrationId, Space, Status, TabletKey};
use crate::rules::admission::admit;
use crate::rules::gate::Verb;
use crate::rules::transition::{Event, transition};

/// Accepts a migration. Its row is durable when this returns. A request that was accepted before under the same key is
/// answered with the migration it became.
pub(crate) fn submit(node: &Arc<Node>, submit: &Submit) -> Result<Migration, Failure> {
    let _claim = match &submit.idempotency {
        None => None,
        Some(request) => {
            let claim = node.claim_key(&request.key)?;
            if let Some(known) = repeated(node, request)? {
                return Ok(known);
            }
            Some(claim)
        }
    };
    if node.is_stopping() {
        return Err(Failure::new(ErrorCode::ShuttingDown, "the daemon is stopping; nothing new is accepted"));
    }
    let granted = destination(node, submit)
        .and_then(|path| grant(node, submit.key, &path, &submit.precondition))
        .inspect_err(|failure| node.counts.refuse(failure.code))?;
    let mut row =
        new_row(submit.key, granted.source, granted.destination, granted.size_bytes, granted.file_count);
    row.mode = submit.mode;
    row.priority = submit.priority;
    row.request_reason.clone_from(&submit.reason);
    row.task = submit.task;
    row.steering.rate_bytes_per_sec = submit.rate_bytes_per_sec.filter(|rate| *rate > 0);
    row.steering.requested_by.clone_from(&submit.requested_by);
    row.steering.idempotency.clone_from(&submit.idempotency);
    row.steering.reverts = submit.reverts;
    match node.journal.accept(row.clone()) {
        Ok(id) => row.id = id,
        Err(failure) => {
            give_back(node, submit.key, &row, granted.need);
            node.counts.refuse(failure.code);
            return Err(failure);
        }
    }
    fault::point("accepted");
    Counts::add(&node.counts.accepted);
    let job = Arc::new(Job::new(row.clone(), granted.size_bytes, &node.events));
    job.claim.set_reserved(granted.need);
    {
        let mut board = node.board();
        board.alive.insert(row.id, Arc::clone(&job));
        board.latest.insert(row.key, row.id);
    }
    if let Some(entry) = node.catalog_mut().get_mut(row.key) {
        entry.migration = Some(row.id);
    }
    schedule::requeue(node, &job);
    node.ring_queued();
    Ok(row)
}

/// The migration that a request under this key became.
fn repeated(node: &Node, request: &Idempotency) -> Result<Option<Migration>, Failure> {
    let Some(known) = node.journal.by_request_key(request.key.clone())? else { return Ok(None) };
    if let Some(before) = &known.steering.idempotency {
        request.check_repeats(before, format_args!("migration {}", known.id))?;
    }
    Ok(migrations::migration(node, known.id)?.or(Some(known)))
}

/// The path of the disk a request means.
fn destination(node: &Node, submit: &Submit) -> Result<String, Failure> {
    match &submit.destination {
        Destination::Disk(path) => Ok(path.clone()),
        Destination::Medium(medium) => facts::best_of_medium(node, submit.key, *medium),
    }
}

/// What would become of a request.
pub(crate) fn validate(node: &Node, submit: &Submit) -> Validation {
    let chosen = destination(node, submit);
    let path = chosen.as_ref().ok().cloned();
    let mut checks = path.as_ref().map_or_else(Vec::new, |path| facts::explain_move(node, submit.key, path));
    checks.retain(|check| check.binds == RuleBinds::EveryMove);
    let precondition = precondition_holds(node, submit.key, &submit.precondition);
    if submit.precondition != Precondition::default() {
        checks.push(RuleAnswer {
            rule: "precondition",
            allows: Some(precondition.is_ok()),
            detail: precondition.as_ref().err().map_or_else(|| "as expected".to_owned(), ToString::to_string),
            binds: RuleBinds::EveryMove,
        });
    }
    let admitted = |path: &String| {
        let known = Known::look(node, submit.key);
        let catalog = node.catalog();
        admit(submit.key, path, &known.facts(&catalog, path))
    };
    let refusal = precondition.and_then(|()| admitted(&chosen?)).err();
    Validation { destination: path, checks, refusal }
}

/// A tablet that is not here fails no precondition: admission says what is wrong with it.
fn precondition_holds(node: &Node, key: TabletKey, precondition: &Precondition) -> Result<(), Failure> {
    let catalog = node.catalog();
    catalog
        .get(key)
        .map_or(Ok(()), |entry| precondition.check(key, &node.disk(entry.disk).path, entry.generation))
}

/// Holds the tablet and the space from the moment admission looked: two requests never get both.
pub(crate) const NOT_YET_NUMBERED: MigrationId = MigrationId(0);

struct Granted {
    need: Space,
    source: crate::model::DiskRef,
    destination: crate::model::DiskRef,
    size_bytes: u64,
    file_count: u32,
    /// Until the migration is on the board neither disk is forgotten.
    _counted: [crate::engine::parts::grants::Granted; 2],
}

fn grant(node: &Node, key: TabletKey, path: &str, precondition: &Precondition) -> Result<Granted, Failure> {
    let known = Known::look(node, key);
    let destination = node.disk_at(path);
    let mut catalog = node.catalog_mut();
    let entry = catalog.get(key).copied();
    if let Some(entry) = &entry {
        precondition.check(key, &node.disk(entry.disk).path, entry.generation)?;
    }
    admit(key, path, &known.facts(&catalog, path))?;

    let (Some(entry), Some(destination)) = (entry, destination) else {
        return Err(Failure::new(ErrorCode::Internal, "admitted without a tablet or a disk"));
    };
    let source_disk = node.disk(entry.disk);
    // Looked at again under the catalog's lock: who forgets a disk says so first, and then counts what was granted.
    if let Some(leaving) = [source_disk, destination].into_iter().find(|disk| disk.is_leaving()) {
        let why = format!("disk {} is being forgotten", leaving.path);
        return Err(Failure::new(ErrorCode::DiskUnavailable, why));
    }
    let counted = [source_disk, destination].map(|disk| disk.grants.count_in());
    let (Some(source), Some(reference)) = (source_disk.reference(), destination.reference()) else {
        return Err(Failure::new(ErrorCode::DiskUnavailable, "a disk was never opened"));
    };
    if let Some(entry) = catalog.get_mut(key) {
        entry.migration = Some(NOT_YET_NUMBERED);
    }
    let need = entry.need();
    destination.reserve(need);
    let (size_bytes, file_count) = (entry.size_bytes, entry.file_count);
    Ok(Granted { source, destination: reference, need, size_bytes, file_count, _counted: counted })
}

fn give_back(node: &Node, key: TabletKey, row: &Migration, need: Space) {
    if let Some(entry) = node.catalog_mut().get_mut(key) {
        entry.migration = None;
    }
    if let Some(disk) = node.disk_by_uuid(row.destination.uuid) {
        disk.unreserve(need);
    }
}

/// The migration of that number while it has not ended, for a verb that nothing ended takes.
///
/// # Errors
/// What the verb is refused with when it has ended; `MIGRATION_NOT_FOUND`; `JOURNAL_UNAVAILABLE` while there is no space to
/// write down what would be changed.
pub(crate) fn alive(node: &Node, id: MigrationId, verb: Verb) -> Result<Arc<Job>, Failure> {
    // Before its turn is waited for: whoever has it may wait for that space.
    node.journal.check_space()?;
    node.job(id).ok_or_else(|| match migrations::migration(node, id) {
        Ok(Some(ended)) => go_on::refusal(&ended, verb),
        Ok(None) => Failure::new(ErrorCode::MigrationNotFound, format!("there is no migration {id}")),
        Err(failure) => failure,
    })
}

/// Lets a paused migration go on.
pub(crate) fn resume(node: &Arc<Node>, id: MigrationId) -> Result<Migration, Failure> {
    let job = alive(node, id, Verb::Resume)?;
    let posted = job.turn().change(&node.journal, |row| {
        go_on::check(row, Verb::Resume)?;
        row.paused_in = None;
        let how = match row.steering.held_by.take() {
            None => "resumed by an operator",
            Some(Hold::Task) => "resumed with its task",
            Some(Hold::Disk) => "its destination is in service again",
        };
        apply(row, Event::Resume, how.to_owned())?;
        job.reset_order();
        Ok(())
    })?;
    let posted = posted.wait_unless_full();
    // Also when the journal did not take it: queued is what it is now.
    schedule::requeue(node, &job);
    node.ring();
    posted.map(|_| job.snapshot())
}

/// Tries again what had given up or was aborted. Admission is asked again: the world has moved on.
pub(crate) fn retry(node: &Arc<Node>, id: MigrationId) -> Result<Migration, Failure> {
    let ended = migrations::migration(node, id)?
        .ok_or_else(|| Failure::new(ErrorCode::MigrationNotFound, format!("there is no migration {id}")))?;
    go_on::check(&ended, Verb::Retry)?;
    let granted = grant(node, ended.key, &ended.destination.path, &Precondition::default())?;
    let mut row = ended;
    (row.source, row.destination, row.attempts) = (granted.source, granted.destination, 0);
    (row.finished_ms, row.not_before_ms) = (None, None);
    row.steering.start_over();
    row.status = transition(row.status, Event::Retry).unwrap_or(Status::Queued);
    row.status_reason = "tried again by an operator".to_owned();
    if let Err(failure) = node.journal.post_reopen(row.clone()).wait() {
        give_back(node, row.key, &row, granted.need);
        return Err(failure);
    }
    let job = Arc::new(Job::new(row.clone(), granted.size_bytes, &node.events));
    job.claim.set_reserved(granted.need);
    job.claim.set_verified_copy(false);
    {
        let mut board = node.board();
        board.revive(id);
        board.alive.insert(id, Arc::clone(&job));
        board.latest.insert(row.key, id);
    }
    if let Some(entry) = node.catalog_mut().get_mut(row.key) {
        entry.migration = Some(id);
    }
    schedule::requeue(node, &job);
    node.ring();
    Ok(row)
}
