//! What an operator may ask of a migration: submit, resume, retry; how it is stopped is in `stop`. Whether it is granted is decided in
//! [`crate::rules`].

use std::sync::Arc;

use crate::engine::look::facts::Known;
use crate::engine::look::{facts, migrations};
use crate::engine::node::Node;
use crate::engine::parts::counts::Counts;
use crate::engine::parts::entry::Holder;
use crate::engine::parts::job::{Job, new_row};
use crate::engine::schedule;
use crate::engine::view::{Destination, Precondition, RuleAnswer, RuleBinds, Submit, Validation};
use crate::fault;
use crate::model::{ErrorCode, Failure, Idempotency, Migration, Space, TabletKey};
use crate::rules::admission::admit;

/// Accepts a migration. Its row is durable when this returns. A request that was accepted before under the same key is
/// answered with the migration it became.
pub(crate) fn submit(node: &Arc<Node>, submit: &Submit) -> Result<Migration, Failure> {
    let _claim = match &submit.idempotency {
        None => None,
        Some(request) => {
            let claim = node.keys.claim(&request.key)?;
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
    node.catalog_mut().give_to(row.key, row.id);
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
pub(crate) fn destination(node: &Node, submit: &Submit) -> Result<String, Failure> {
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

pub(super) struct Granted {
    pub(super) need: Space,
    pub(super) source: crate::model::DiskRef,
    pub(super) destination: crate::model::DiskRef,
    pub(super) size_bytes: u64,
    pub(super) file_count: u32,
    /// Until the migration is on the board neither disk is forgotten.
    pub(super) _counted: [crate::engine::parts::grants::Granted; 2],
}

pub(super) fn grant(
    node: &Node,
    key: TabletKey,
    path: &str,
    precondition: &Precondition,
) -> Result<Granted, Failure> {
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
        entry.holder = Some(Holder::BeingAccepted);
    }
    let need = entry.need();
    destination.space.reserve(need);
    let (size_bytes, file_count) = (entry.size_bytes, entry.file_count);
    Ok(Granted { source, destination: reference, need, size_bytes, file_count, _counted: counted })
}

pub(super) fn give_back(node: &Node, key: TabletKey, row: &Migration, need: Space) {
    node.catalog_mut().give_back(key, Holder::BeingAccepted);
    if let Some(disk) = node.disk_by_uuid(row.destination.uuid) {
        disk.space.unreserve(need);
    }
}
