//! A new plan for what is left of a task: it keeps every move whose destination still takes it, and changes only what has
//! not begun. Decided in [`crate::rules::planning::replan`]; here it is looked up, made durable in one row of the journal,
//! and said.
//!
//! The plan is changed first; migrations that wait for a destination it has left give way afterwards, by the feeder, from
//! how things stand: a daemon killed in between has the old plan or the new one, and does the rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::row::{change, illegal};
use crate::engine::node::Node;
use crate::engine::parts::disk::visit;
use crate::engine::parts::task_book::{KeptTask, MoveState};
use crate::engine::tasks::{frozen, picture, report};
use crate::engine::view::TaskView;
use crate::model::{
    DiskRef, DiskUuid, Failure, PlannedMove, ReplanPolicy, Replanned, Task, TaskId, TaskStatus, counted,
    counted_as,
};
use crate::rules::planning::{self, Inventory, Remaining, Replan, Standing};
use crate::rules::trash::purge_offer;

/// Between two looks for a way out of one task.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long one disk is asked for its space.
const MEASURE_WAIT: Duration = Duration::from_secs(2);
/// New plans of which a task keeps the note.
const NOTES_MAX: usize = 32;

/// What is to be changed, and the picture it was decided from.
struct Found {
    inventory: Inventory,
    replan: Replan,
    /// Places in the plan of the moves that go elsewhere, with the state each had.
    at: BTreeMap<usize, MoveState>,
}

/// Gives moves that cannot go on other destinations, because an operator says so.
pub(crate) fn replan(node: &Node, id: TaskId, requested_by: &str) -> Result<TaskView, Failure> {
    node.journal.check_space()?;
    {
        let book = node.tasks();
        let task = &book.get(id)?.task;
        if task.status.is_over() {
            return Err(illegal(id, &format!("it is {}; plan anew", task.status.as_str())));
        }
        if task.started_ms.is_none() {
            return Err(illegal(id, "it has not been started; delete it and plan anew"));
        }
    }
    measure(node);
    let found = find(node, id)?;
    if found.at.is_empty() {
        let why = say_misfits(&found)
            .unwrap_or_else(|| "every move that is left can go where it is planned".to_owned());
        return Err(illegal(id, &format!("there is nothing to plan anew: {why}")));
    }
    apply(node, id, &found, requested_by)?;
    report::show(node, id)
}

/// Asks the disks what is left: whoever asks for a new plan may have made room a moment ago. What a disk does not say in time
/// is taken as it was.
fn measure(node: &Node) {
    let hang_after = node.hang_after();
    for disk in node.shown_disks().filter(|disk| disk.condition(hang_after).is_writable()) {
        let own = Arc::clone(disk);
        if let Err(failure) =
            visit(disk, MEASURE_WAIT, move |root, _| Ok(own.space.measure(root).map(drop)?))
        {
            tracing::debug!("{failure}");
        }
    }
}

/// One look of the feeder at a task of which something waits: a new plan where it is allowed, else what would help.
pub(super) fn look(node: &Node, task: &Task) {
    {
        let mut book = node.tasks();
        let Ok(entry) = book.get_mut(task.id) else { return };
        if entry.looked_for_way.is_some_and(|last| last.elapsed() < LOOK_EVERY) {
            return;
        }
        entry.looked_for_way = Some(Instant::now());
    }
    // Most tasks wait for nothing: no picture is taken for them.
    let found = if waits(node, task) { find(node, task.id).ok() } else { None };
    let way_out = match found {
        None => None,
        Some(found) if !found.at.is_empty() && task.options.replan == ReplanPolicy::Automatic => {
            match apply(node, task.id, &found, &format!("task {}, by --replan", task.id)) {
                Ok(()) => say_misfits(&found),
                Err(failure) => Some(format!("a new plan could not be kept: {failure}")),
            }
        }
        Some(found) => say_way_out(task, &found),
    };
    if let Ok(entry) = node.tasks().get_mut(task.id) {
        entry.way_out = way_out;
    }
}

/// Whether a move of the task waits for its destination.
fn waits(node: &Node, task: &Task) -> bool {
    let (is_running, refused, under_way) = match node.tasks().get(task.id) {
        Ok(entry) => {
            let under_way: Vec<_> = entry.moves.running().map(|(_, id)| id).collect();
            (entry.task.status == TaskStatus::Running, entry.waits.is_some(), under_way)
        }
        Err(_) => return false,
    };
    let hang_after = node.hang_after();
    let is_closed =
        |disk: DiskUuid| node.disk_by_uuid(disk).is_none_or(|disk| !disk.condition(hang_after).is_writable());
    is_running
        && (refused
            || under_way.into_iter().filter_map(|id| node.job(id)).any(|job| {
                job.waits_for_space() || (job.may_give_way() && is_closed(job.lock().destination.uuid))
            }))
}

/// What is left of a task, and where it would go today.
fn find(node: &Node, id: TaskId) -> Result<Found, Failure> {
    let (task, states) = {
        let book = node.tasks();
        let entry = book.get(id)?;
        (Arc::clone(&entry.task), entry.moves.to_vec())
    };
    let request = picture::request(node, &task.request)?;
    let settings = picture::settings(node, &task.request, task.plan.completeness);
    let index = |disk: &DiskRef| node.disk_by_uuid(disk.uuid).map(|disk| disk.index);
    let (mut remaining, mut places) = (Vec::new(), BTreeMap::new());
    for (at, (planned, state)) in task.plan.moves.iter().zip(states).enumerate() {
        let (Some(standing), Some(source)) = (standing(node, planned, &state), index(&planned.source)) else {
            continue;
        };
        let destination = index(&planned.destination);
        remaining.push(Remaining { key: planned.key, source, destination, standing });
        places.insert(planned.key, (at, state));
    }
    let inventory = picture::inventory(node);
    let replan = planning::replan(&request, &remaining, &inventory, &settings);
    let at = replan.moves.iter().filter_map(|planned| places.remove(&planned.key)).collect();
    Ok(Found { inventory, replan, at })
}

/// How far a move has come; `None` when it has begun, or is over.
fn standing(node: &Node, planned: &PlannedMove, state: &MoveState) -> Option<Standing> {
    match state {
        MoveState::Completed | MoveState::Cancelled => None,
        MoveState::Pending | MoveState::Failed(_) => Some(Standing::NotSubmitted),
        MoveState::Running(id) => {
            let job = node.job(*id)?;
            // On its way to where an earlier plan wanted it: it is being called off.
            let is_current = job.lock().destination.uuid == planned.destination.uuid;
            let has_room = job.claim.reserved().bytes > 0;
            (job.may_give_way() && is_current).then_some(if has_room {
                Standing::HasRoom
            } else {
                Standing::Waits
            })
        }
    }
}

/// Changes the plan, durably. A move that has changed its state since it was looked at keeps its destination.
fn apply(node: &Node, id: TaskId, found: &Found, requested_by: &str) -> Result<(), Failure> {
    let posted = {
        let mut book = node.tasks();
        let entry = book.get_mut(id)?;
        if entry.task.status.is_over() {
            return Err(illegal(id, &format!("it is {}", entry.task.status.as_str())));
        }
        let Some((moves, reason)) = redirected(node, entry, found) else {
            return Err(illegal(id, "its moves went on meanwhile; ask again"));
        };
        for at in moves.keys() {
            if let Some(MoveState::Failed(_)) = entry.moves.get(*at) {
                entry.set_move(*at, MoveState::Pending);
            }
        }
        (entry.waits, entry.way_out) = (None, None);
        tracing::info!(task = %id, requested_by, "a new plan for {} of its own: {reason}", counted(moves.len(), "move"));
        let posted = change(node, entry, |task, now| {
            let note = Replanned {
                at_ms: now,
                requested_by: requested_by.to_owned(),
                moves: moves.len() as u64,
                reason,
            };
            task.replans.push(note);
            let surplus = task.replans.len().saturating_sub(NOTES_MAX);
            task.replans.drain(..surplus);
            for (at, to) in moves {
                if let Some(planned) = task.plan.moves.get_mut(at) {
                    planned.redirect(to);
                }
            }
            for disk in &mut task.plan.disks {
                let then =
                    found.replan.disks.iter().find(|then| found.inventory.path(then.disk) == disk.path);
                disk.after = then.map_or(disk.after, |then| frozen::level(then.after));
            }
        });
        // They wait for other disks now.
        entry.restate(|state| state);
        posted
    };
    posted.wait_unless_full()?;
    node.ring();
    Ok(())
}

/// The new destination of each move that still is as it was looked at, and why; `None` when there is none.
fn redirected(node: &Node, entry: &KeptTask, found: &Found) -> Option<(BTreeMap<usize, DiskRef>, String)> {
    let new: BTreeMap<_, _> =
        found.replan.moves.iter().map(|planned| (planned.key, planned.destination)).collect();
    let mut moves = BTreeMap::new();
    let mut reasons: BTreeMap<String, String> = BTreeMap::new();
    for (at, state) in &found.at {
        let Some(planned) = entry.task.plan.moves.get(*at).filter(|_| entry.moves.get(*at) == Some(state))
        else {
            continue;
        };
        let Some(to) = new.get(&planned.key).and_then(|disk| node.disk(*disk).reference()) else { continue };
        let old = &planned.destination;
        reasons.entry(old.path.clone()).or_insert_with(|| what_stopped(node, found, old));
        moves.insert(*at, to);
    }
    let reason = reasons.into_values().collect::<Vec<_>>().join("; ");
    (!moves.is_empty()).then_some((moves, reason))
}

/// What is wrong with a destination, in words.
fn what_stopped(node: &Node, found: &Found, destination: &DiskRef) -> String {
    let disk = node.disk_by_uuid(destination.uuid).map(|disk| disk.index);
    match disk.and_then(|disk| Some((disk, found.replan.because.get(&disk)?))) {
        Some((disk, why)) => format!("{} {why}", found.inventory.path(disk)),
        None => format!("{} is not here", destination.path),
    }
}

/// What would help moves that wait, where no new plan was allowed; `None` when nothing waits for its destination.
fn say_way_out(task: &Task, found: &Found) -> Option<String> {
    let elsewhere = (!found.at.is_empty()).then(|| {
        let moves = counted(found.at.len(), "move");
        format!(
            "{moves} can go to other disks: `tabletctl task replan {}` (--replan allows it from the start)",
            task.id
        )
    });
    let parts: Vec<_> = elsewhere.into_iter().chain(say_purges(found)).chain(say_misfits(found)).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The purges that free space on destinations that take nothing more.
fn say_purges(found: &Found) -> Option<String> {
    let offers = found.replan.because.iter().filter_map(|(disk, why)| match why {
        planning::Obstacle::DoesNotFit(_) => {
            let disk = found.inventory.disk(*disk)?;
            Some(format!("{} is full and {}", disk.path, purge_offer(&disk.path, disk.trash_bytes)?))
        }
        _ => None,
    });
    let offers: Vec<_> = offers.collect();
    (!offers.is_empty()).then(|| offers.join("; "))
}

/// The moves that no disk takes; `None` when there is none.
fn say_misfits(found: &Found) -> Option<String> {
    let first = found.replan.misfits.first()?;
    let count = found.replan.misfits.len();
    let fit = counted_as(count, "move fits", "moves fit");
    let tried = first.tried.iter().map(|(disk, why)| planning::in_words(&found.inventory, *disk, *why));
    let tried: Vec<_> = tried.collect();
    Some(format!("{fit} nowhere now, the largest is tablet {}: {}", first.key.tablet_id, tried.join("; ")))
}
