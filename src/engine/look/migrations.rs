//! What the engine tells: copies made under short locks.
//!
//! Whatever waits says why in `status_reason`, one line made at the moment of the question
//! (`engine/look/migrations.rs`): the slots that are taken, the disk that is disabled, hung, or could not be opened at
//! the start (and who holds its lock), the window of hours, the next attempt with the last failure and its numbers, the
//! lowest limit of a copy, the task or operator that paused it, the gate and its deadline. `tests/daemon/waiting.rs`
//! has one of each.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::node::Node;
use crate::engine::parts::catalog::Catalog;
use crate::engine::parts::clock::steady_ms;
use crate::engine::parts::job::Job;
use crate::engine::parts::limits::outside_window;
use crate::engine::parts::{checks, limits, verbs};
use crate::engine::view::{ListOrder, MigrationFilter, Page, page_limit};
use crate::journal;
use crate::model::{
    DiskCondition, DiskIndex, DiskRef, ErrorCode, Failure, Haste, Migration, MigrationId, SchemaHash, Status,
    TabletId, TabletKey,
};
use crate::rules::gate::Verb;
use crate::rules::recovery::Unavailable;
use crate::rules::schedule::DiskSlots;
use crate::rules::trash::purge_offer;

/// # Errors
/// `JOURNAL_UNAVAILABLE`, for one that only the journal can know.
pub(crate) fn migration(node: &Node, id: MigrationId) -> Result<Option<Migration>, Failure> {
    if let Some(job) = node.job(id) {
        let mut row = job.snapshot();
        explain(node, &mut row);
        return Ok(Some(row));
    }
    if let Some(ended) = node.board().ended.get(&id) {
        return Ok(Some(Migration::clone(ended)));
    }
    node.journal.get(id)
}

/// What helps a migration for which there is no space.
fn way_to_space(node: &Node, row: &Migration) -> String {
    let path = &row.destination.path;
    let trash =
        node.disk_by_uuid(row.destination.uuid).map_or(0, |disk| disk.trash_bytes.load(Ordering::Relaxed));
    let elsewhere =
        row.task.map(|task| format!("`tabletctl task show {task}` says whether another disk takes it"));
    let ways = purge_offer(path, trash).into_iter().chain(elsewhere);
    ways.map(|way| format!("; {way}")).collect()
}

/// While something waits, its reason is the one of this moment.
fn explain(node: &Node, row: &mut Migration) {
    let hang_after = node.hang_after();
    match row.status {
        Status::Queued => {
            let why = disk_away(node, row).or_else(|| outside_window(&node.config(), row));
            if let Some(why) = why.or_else(|| why_waiting(node, row.id)) {
                row.status_reason = match &row.failure {
                    Some(full) if full.code.is_want_of_space() => {
                        format!("waiting for space: {full}; {why}{}", way_to_space(node, row))
                    }
                    Some(failure) => format!("{why}; attempt {} failed: {failure}", row.attempts),
                    None => why,
                };
            }
        }
        status if !status.is_final() => {
            if let (Status::Copying, Some(limit)) = (status, lowest_limit(node, row)) {
                row.status_reason = format!("{}, {limit}", row.status_reason);
            }
            for (side, reference) in [("source", &row.source), ("destination", &row.destination)] {
                let condition = node.disk_by_uuid(reference.uuid).map(|disk| disk.condition(hang_after));
                if let Some(condition @ DiskCondition::Hung { .. }) = condition {
                    row.status_reason = format!("{side} {} is hung: {}", reference.path, condition.reason());
                    row.hung_disk = Some(reference.path.clone());
                }
            }
        }
        _ => {}
    }
}

/// Which disk of a migration could not be opened at the start, and why; `None` when both are here.
fn disk_away(node: &Node, row: &Migration) -> Option<String> {
    let ends = [("source", &row.source), ("destination", &row.destination)];
    let (side, reference) = ends.into_iter().find(|(_, disk)| node.disk_by_uuid(disk.uuid).is_none())?;
    let path = &reference.path;
    let Some(disk) = node.disk_at(path).filter(|disk| disk.opened.get().is_none()) else {
        return Some(format!("{side} {path} ({}) is no configured disk any more", reference.uuid));
    };
    let condition = disk.condition(node.hang_after());
    let (is, reason) = (condition.as_str(), condition.reason());
    Some(format!(
        "{side} {path} is {is} since the start of the daemon: {reason}; goes on after a start with it"
    ))
}

/// The limit that holds a copy back most, in words; `None` where none is set.
fn lowest_limit(node: &Node, row: &Migration) -> Option<String> {
    if row.steering.haste == Haste::Forced {
        return None;
    }
    let of =
        |disk: &DiskRef| node.disk_by_uuid(disk.uuid).map_or(0, |disk| disk.limiter.rate_bytes_per_sec());
    let limits = [
        (row.steering.rate_bytes_per_sec.unwrap_or(0), "a limit of its own".to_owned()),
        (of(&row.source), format!("the limit of {}", row.source.path)),
        (of(&row.destination), format!("the limit of {}", row.destination.path)),
        (node.limiter.rate_bytes_per_sec(), "the node's limit".to_owned()),
    ];
    let lowest = limits.into_iter().filter(|(rate, _)| *rate > 0).min()?;
    Some(format!("at {} bytes per second at most: {}", lowest.0, lowest.1))
}

/// # Errors
/// As [`migration`].
pub(crate) fn latest_migration(node: &Node, key: TabletKey) -> Result<Option<Migration>, Failure> {
    let latest = node.board().latest.get(&key).copied();
    match latest {
        Some(id) => migration(node, id),
        None => node.journal.latest_for(key),
    }
}

/// The living are in memory, and only there as they are now; the ended are in the journal, and their rows are final.
/// So the journal is never asked for more than a page.
///
/// # Errors
/// `JOURNAL_UNAVAILABLE`: a list without the ended ones would pass for the whole of it.
pub(crate) fn migrations(node: &Node, filter: &MigrationFilter) -> Result<Page<Migration>, Failure> {
    let limit = page_limit(filter.limit);
    let (count, living) = living(node, filter, limit);
    let ended = ended(node, filter, limit)?;
    let total = count as u64 + ended.total;

    // One that ended between the two looks is in both, never in neither; the later look is the one to show.
    let mut items: BTreeMap<_, _> = ended.rows.migrations.into_iter().map(|row| (row.id, row)).collect();
    for (id, job) in living {
        items.entry(id).or_insert_with(|| job.snapshot());
    }
    let mut items: Vec<_> = match filter.order {
        ListOrder::OldestFirst => items.into_values().take(limit).collect(),
        ListOrder::NewestFirst => items.into_values().rev().take(limit).collect(),
    };
    items.iter_mut().for_each(|row| explain(node, row));
    Ok(Page { total, items })
}

/// How many of the living match, and those on this page. Whoever asks for all of them asks for a page of the board, however
/// many wait.
fn living(node: &Node, filter: &MigrationFilter, limit: usize) -> (usize, Vec<(MigrationId, Arc<Job>)>) {
    let range = match (filter.after, filter.order) {
        (None, _) => (Bound::Unbounded, Bound::Unbounded),
        (Some(after), ListOrder::OldestFirst) => (Bound::Excluded(after), Bound::Unbounded),
        (Some(after), ListOrder::NewestFirst) => (Bound::Unbounded, Bound::Excluded(after)),
    };
    let cut = |page: &mut dyn DoubleEndedIterator<Item = (MigrationId, Arc<Job>)>| match filter.order {
        ListOrder::OldestFirst => page.take(limit).collect(),
        ListOrder::NewestFirst => page.rev().take(limit).collect::<Vec<_>>(),
    };
    let board = node.board();
    let copied = |(id, job): (&MigrationId, &Arc<Job>)| (*id, Arc::clone(job));
    if filter.wants_all() {
        return (board.alive.len(), cut(&mut board.alive.range(range).map(copied)));
    }
    let alive: Vec<_> = board.alive.iter().map(copied).collect();
    drop(board);
    let matching: Vec<_> = alive.into_iter().filter(|(_, job)| matches(filter, &job.lock())).collect();
    let count = matching.len();
    (count, cut(&mut matching.into_iter().filter(|(id, _)| range.contains(id))))
}

fn matches(filter: &MigrationFilter, row: &Migration) -> bool {
    let at = |wanted: &Option<String>, disks: &[&DiskRef]| {
        wanted.as_ref().is_none_or(|path| disks.iter().any(|disk| disk.path == *path))
    };
    filter.wants_in(row.status, row.phase())
        && filter.tablet_id.is_none_or(|tablet| tablet == row.key.tablet_id)
        && at(&filter.source, &[&row.source])
        && at(&filter.destination, &[&row.destination])
        && at(&filter.disk, &[&row.source, &row.destination])
        && filter.task.is_none_or(|task| row.task == Some(task))
        && filter.since_ms.is_none_or(|since| row.created_ms >= since)
        && filter.before_ms.is_none_or(|before| row.created_ms < before)
}

fn ended(node: &Node, filter: &MigrationFilter, limit: usize) -> Result<journal::Listed, Failure> {
    match filter.of_rows(Status::is_final, limit) {
        Some(asked) => node.journal.list(asked),
        None => Ok(journal::Listed { total: 0, rows: journal::Rows::default(), next_after: None }),
    }
}

/// Tablets that are known but not served.
pub(crate) fn unavailable_tablets(node: &Node, most: usize) -> Vec<(TabletKey, String)> {
    let catalog = node.catalog();
    let shown = catalog.unavailable().take(most);
    shown.map(|(key, why)| (key, format!("{why}{}", way_out(&catalog, key)))).collect()
}

/// What to type for a tablet that is not served because its copies are bad; nothing where another disk has to come back.
fn way_out(catalog: &Catalog, key: TabletKey) -> String {
    match catalog.unavailability(key) {
        Some((Unavailable::NoGoodCopy, _)) => format!("; {}", checks::way_out(key)),
        _ => String::new(),
    }
}

/// What to answer for a tablet that is not served.
pub(crate) fn why_not_served(node: &Node, id: TabletId, hash: Option<SchemaHash>) -> Failure {
    let catalog = node.catalog();
    let mut found = catalog.unavailable_with_id(id);
    let Some((key, why)) = found.find(|(key, _)| hash.is_none_or(|hash| key.schema_hash == hash)) else {
        let name = hash.map_or(id.to_string(), |hash| format!("{id}_{hash}"));
        return Failure::new(ErrorCode::TabletNotFound, format!("no tablet {name} on this node"));
    };
    let way_out = way_out(&catalog, key);
    Failure::new(ErrorCode::TabletUnavailable, format!("tablet {key} is unavailable: {why}{way_out}"))
}

/// The migration of that number while it has not ended, for a verb that nothing ended takes.
///
/// # Errors
/// What the verb is refused with when it has ended; `MIGRATION_NOT_FOUND`; `JOURNAL_UNAVAILABLE` while there is no space to
/// write down what would be changed.
pub(crate) fn alive(node: &Node, id: MigrationId, verb: Verb) -> Result<Arc<Job>, Failure> {
    // Before its turn is waited for: whoever has it may wait for that space.
    node.journal.check_space()?;
    node.job(id).ok_or_else(|| match migration(node, id) {
        Ok(Some(ended)) => verbs::refusal(&ended, verb),
        Ok(None) => Failure::new(ErrorCode::MigrationNotFound, format!("there is no migration {id}")),
        Err(failure) => failure,
    })
}

/// Why a queued migration is not running, in words.
pub(crate) fn why_waiting(node: &Node, id: MigrationId) -> Option<String> {
    let slots = node.slots();
    let limits = limits::of_node(&node.config());
    let hang_after = node.hang_after();
    let slots_of = |disk: DiskIndex| -> DiskSlots { slots[usize::from(disk.0)] };
    let name = |disk: DiskIndex| {
        let disk = node.disk(disk);
        let condition = disk.condition(hang_after);
        match condition.reason() {
            "" => disk.path.clone(),
            reason => format!("{} ({}: {reason})", disk.path, condition.as_str()),
        }
    };
    node.schedule().why_waiting(id, steady_ms(), limits, &slots_of, &name)
}
