//! What an operator may ask of a migration: submit, resume, retry; how it is stopped is in `stop`. Whether it is granted is decided in
//! [`crate::rules`].

use std::sync::Arc;

use crate::engine::look::facts::Known;
use crate::engine::look::{facts, migrations};
use crate::engine::node::Node;
use crate::engine::parts::counts::Counts;
use crate::engine::parts::entry::Holder;
use crate::engine::parts::job::{Job, new_row};
use crate::engine::parts::keys::KeyClaim;
use crate::engine::schedule;
use crate::engine::view::{Destination, Precondition, RuleAnswer, RuleBinds, Submit, Validation};
use crate::fault;
use crate::model::{ErrorCode, Failure, Idempotency, Migration, Space, TabletKey};
use crate::rules::admission::admit;

/// Accepts a migration. Its row is durable when this returns. A request that was accepted before under the same key is
/// answered with the migration it became.
pub(crate) fn submit(node: &Arc<Node>, submit: &Submit) -> Result<Migration, Failure> {
    let accepted = submit_all(node, std::slice::from_ref(submit)).pop();
    accepted.unwrap_or_else(|| Err(Failure::new(ErrorCode::Internal, "a request without an answer")))
}

/// As [`submit`], of many at once: their rows are one transaction, and each has an answer of its own, in their order.
pub(crate) fn submit_all(node: &Arc<Node>, submits: &[Submit]) -> Vec<Result<Migration, Failure>> {
    let (mut answers, _claims) = answered_before(node, submits);
    let mut granted = Vec::new();
    for (at, submit) in
        submits.iter().enumerate().filter(|(at, _)| answers[*at].is_none()).collect::<Vec<_>>()
    {
        match granted_row(node, submit) {
            Ok((row, grant)) => granted.push((at, row, grant)),
            Err(failure) => {
                node.counts.refuse(failure.code);
                answers[at] = Some(Err(failure));
            }
        }
    }
    let numbers = match granted.as_slice() {
        [] => Ok(Vec::new()),
        granted => node.journal.accept_all(granted.iter().map(|(_, row, _)| row.clone()).collect()),
    };
    let numbers = numbers.inspect(|_| fault::point("accepted"));
    let numbers = numbers.unwrap_or_else(|failure| vec![Err(failure); granted.len()]);
    let mut accepted = Vec::with_capacity(granted.len());
    for ((at, mut row, grant), number) in granted.into_iter().zip(numbers) {
        answers[at] = Some(match number {
            Ok(id) => {
                row.id = id;
                accepted.push((row.clone(), grant));
                Ok(row)
            }
            Err(failure) => {
                give_back(node, row.key, &row, grant.need);
                node.counts.refuse(failure.code);
                Err(failure)
            }
        });
    }
    put_in_line(node, accepted);
    let unanswered = || Err(Failure::new(ErrorCode::JournalUnavailable, "the journal gave no number"));
    answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect()
}

/// The row of a migration to which nothing is opposed, and what was set aside for it.
fn granted_row(node: &Node, submit: &Submit) -> Result<(Migration, Granted), Failure> {
    if node.is_stopping() {
        return Err(Failure::new(ErrorCode::ShuttingDown, "the daemon is stopping; nothing new is accepted"));
    }
    let path = destination(node, submit)?;
    let grant = grant(node, submit.key, &path, &submit.precondition)?;
    let (source, destination) = (grant.source.clone(), grant.destination.clone());
    let mut row = new_row(submit.key, source, destination, grant.size_bytes, grant.file_count);
    row.mode = submit.mode;
    row.priority = submit.priority;
    row.request_reason.clone_from(&submit.reason);
    row.task = submit.task;
    row.steering.rate_bytes_per_sec = submit.rate_bytes_per_sec.filter(|rate| *rate > 0);
    row.steering.requested_by.clone_from(&submit.requested_by);
    row.steering.idempotency.clone_from(&submit.idempotency);
    row.steering.reverts = submit.reverts;
    Ok((row, grant))
}

/// Migrations whose rows are durable become alive, and wait for their turn.
fn put_in_line(node: &Arc<Node>, accepted: Vec<(Migration, Granted)>) {
    if accepted.is_empty() {
        return;
    }
    let jobs: Vec<_> = accepted
        .into_iter()
        .map(|(row, grant)| {
            Counts::add(&node.counts.accepted);
            let (id, key) = (row.id, row.key);
            let job = Arc::new(Job::new(row, grant.size_bytes, &node.events));
            job.claim.set_reserved(grant.need);
            {
                let mut board = node.board();
                board.alive.insert(id, Arc::clone(&job));
                board.latest.insert(key, id);
            }
            node.catalog_mut().give_to(key, id);
            // On the board from here on, and no longer counted as being accepted.
            drop(grant);
            job
        })
        .collect();
    jobs.iter().for_each(|job| schedule::requeue(node, job));
    node.ring_queued();
}

type Answers = Vec<Option<Result<Migration, Failure>>>;

/// The answers of those requests that became a migration before, under their key, and the sole right to the keys of the
/// others.
fn answered_before<'a>(node: &'a Node, submits: &[Submit]) -> (Answers, Vec<KeyClaim<'a>>) {
    let mut answers: Answers = vec![None; submits.len()];
    let (mut claims, mut asked) = (Vec::new(), Vec::new());
    for (at, submit) in submits.iter().enumerate() {
        let Some(request) = &submit.idempotency else { continue };
        match node.keys.claim(&request.key) {
            Ok(claim) => {
                claims.push(claim);
                asked.push((at, request));
            }
            Err(failure) => answers[at] = Some(Err(failure)),
        }
    }
    if asked.is_empty() {
        return (answers, claims);
    }
    let found = node.journal.by_request_keys(asked.iter().map(|(_, request)| request.key.clone()).collect());
    match found {
        Ok(found) => {
            for ((at, request), known) in asked.into_iter().zip(found) {
                answers[at] = known.map(|known| repeated(node, request, known));
            }
        }
        Err(failure) => asked.iter().for_each(|(at, _)| answers[*at] = Some(Err(failure.clone()))),
    }
    (answers, claims)
}

/// The migration that a request under this key became, as it stands now.
fn repeated(node: &Node, request: &Idempotency, known: Migration) -> Result<Migration, Failure> {
    if let Some(before) = &known.steering.idempotency {
        request.check_repeats(before, format_args!("migration {}", known.id))?;
    }
    Ok(migrations::migration(node, known.id)?.unwrap_or(known))
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
