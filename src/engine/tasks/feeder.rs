//! The feeder: one thread that submits the moves of running tasks, a few ahead of what can run, and sees them end.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::row::change;
use super::whereabouts::{ToDo, Whereabouts, carry_out, place};
use crate::engine::ask::{admit, stop};
use crate::engine::damage;
use crate::engine::look::migrations;
use crate::engine::node::Node;
use crate::engine::parts::limits;
use crate::engine::parts::task_book::{KeptTask, MoveState, Stock};
use crate::engine::parts::task_moves::Moves;
use crate::engine::parts::thread::spawn_isolated;
use crate::engine::tasks::{replan, report, shortfall};
use crate::engine::view::Submit;
use crate::model::{
    DiskUuid, ErrorCode, Failure, Migration, MigrationId, PlannedMove, Status, TabletKey, Task, TaskId,
    TaskStatus,
};
use crate::rules::hold::Looks;

/// How long the feeder sleeps at most when nothing rings.
const NAP_MAX: Duration = Duration::from_millis(500);
/// A destination that refused a move is not asked again for so long.
const HOLD: Duration = Duration::from_secs(1);

/// Destinations that refused, and until when they are left alone.
type HeldUntil = HashMap<(TaskId, DiskUuid), Instant>;

/// Starts the feeder's thread.
///
/// # Errors
/// No thread can be made.
pub(crate) fn start(node: &Arc<Node>) -> Result<(), Failure> {
    let node = Arc::clone(node);
    spawn_isolated("tasks", move || {
        let mut holds = HeldUntil::new();
        let mut looks = Looks::default();
        while !node.is_stopping() {
            let tasks: Vec<_> = {
                let book = node.tasks();
                let active = book.entries.values().filter(|entry| entry.is_active());
                active.map(|entry| Arc::clone(&entry.task)).collect()
            };
            let now = Instant::now();
            holds.retain(|_, until| *until > now);
            for task in &tasks {
                feed(&node, task, &mut holds);
            }
            super::holds::settle(&node, &mut looks);
            // Rung by every migration that ends; one that ended while we looked is seen after the nap at the latest.
            node.wait_for_an_end(NAP_MAX);
        }
    })
    .map(drop)
}

/// One look at one task.
fn feed(node: &Arc<Node>, task: &Task, holds: &mut HeldUntil) {
    take_stock(node, task);
    see_ends(node, task);
    give_way(node, task);
    replan::look(node, task);
    submit_more(node, task, holds);
    report::sample(node, task.id);
    finish(node, task);
}

/// After a start of the daemon: which moves are done, which are under way, which were given up.
fn take_stock(node: &Node, task: &Task) {
    let to_take = |entry: &KeptTask| entry.stock == Stock::ToTake;
    if !node.tasks().get(task.id).is_ok_and(to_take) {
        return;
    }
    let found: Result<Vec<_>, Failure> = task
        .plan
        .moves
        .iter()
        .map(|planned| {
            Ok(match place(node, task.id, planned) {
                Whereabouts::AtDestination => MoveState::Completed,
                Whereabouts::OnItsWay(id) => MoveState::Running(id),
                Whereabouts::Elsewhere(why) => MoveState::Failed(why),
                Whereabouts::AtSource | Whereabouts::NotNow(_) => {
                    match migrations::latest_migration(node, planned.key)? {
                        Some(last) if last.task == Some(task.id) && last.status.is_final() => {
                            ended(planned, &last)
                        }
                        _ => MoveState::Pending,
                    }
                }
            })
        })
        .collect();
    // Without the journal nothing can be started either; the next round takes stock.
    let Ok(found) = found else { return };
    if let Ok(entry) = node.tasks().get_mut(task.id) {
        let cancelled = entry.task.status == TaskStatus::Cancelled;
        let settle = |state| if cancelled { called_off(state) } else { state };
        entry.moves = Moves::new(found.into_iter().map(settle).collect(), &entry.task.plan.moves);
        entry.stock = Stock::Taken;
    }
}

/// What was not done of a task that was called off was not given up.
fn called_off(state: MoveState) -> MoveState {
    match state {
        MoveState::Pending | MoveState::Failed(_) => MoveState::Cancelled,
        MoveState::Running(_) | MoveState::Completed | MoveState::Cancelled => state,
    }
}

/// What a migration that has ended makes of its move.
fn ended(planned: &PlannedMove, migration: &Migration) -> MoveState {
    if migration.status == Status::Completed {
        return MoveState::Completed;
    }
    // It was on the way to where an earlier plan wanted it.
    if migration.destination.uuid != planned.destination.uuid {
        return MoveState::Pending;
    }
    let why = migration.failure.as_ref().map_or(migration.status_reason.as_str(), |f| f.message.as_str());
    MoveState::Failed(format!("migration {} is {}: {why}", migration.id, migration.status))
}

/// Looks after the moves under way.
fn see_ends(node: &Node, task: &Task) {
    let running: Vec<_> = match node.tasks().get(task.id) {
        Ok(entry) => entry.moves.running().collect(),
        Err(_) => return,
    };
    for (at, id) in running.into_iter().filter(|(_, id)| node.job(*id).is_none()) {
        let state = match migrations::migration(node, id) {
            Ok(Some(migration)) if migration.status.is_final() => match current(node, task.id, at) {
                Some(planned) => ended(&planned, &migration),
                None => continue,
            },
            // Not to be known now: looked at again in the next round.
            Ok(Some(_)) | Err(_) => continue,
            // Forgotten by the journal: where the tablet is says how it ended.
            Ok(None) => MoveState::Pending,
        };
        set(node, task.id, at, state);
    }
}

/// A move as it is planned at this moment.
fn current(node: &Node, task: TaskId, at: usize) -> Option<PlannedMove> {
    node.tasks().get(task).ok()?.task.plan.moves.get(at).cloned()
}

/// Calls off what waits for a destination that the plan has left. What has begun goes on, and its tablet is then where an
/// earlier plan wanted it.
fn give_way(node: &Arc<Node>, task: &Task) {
    let running: Vec<_> = match node.tasks().get(task.id) {
        Ok(entry) if entry.task.status != TaskStatus::Cancelled => {
            let planned = entry.moves.running();
            let planned = planned.filter_map(|(at, id)| Some((entry.task.plan.moves.get(at)?, id)));
            let redirected = planned.filter(|(planned, _)| !planned.formerly.is_empty());
            redirected.map(|(planned, id)| (planned.destination.uuid, id)).collect()
        }
        _ => return,
    };
    for (destination, id) in running {
        let Some(job) = node.job(id) else { continue };
        let has_left = job.lock().destination.uuid != destination;
        if has_left
            && job.may_give_way()
            && let Err(failure) = stop::give_way(node, id)
        {
            // It has begun meanwhile.
            tracing::debug!(migration = %id, "{failure}");
        }
    }
}

fn set(node: &Node, task: TaskId, at: usize, state: MoveState) {
    if let Ok(entry) = node.tasks().get_mut(task) {
        let cancelled = entry.task.status == TaskStatus::Cancelled;
        entry.set_move(at, if cancelled { called_off(state) } else { state });
    }
}

/// Moves of one task that may be under way at once: enough that no slot waits for the feeder, few enough that a stop is
/// soon felt and others find room in the queue.
fn ahead(node: &Node) -> usize {
    let limits = limits::of_node(&node.config());
    let queue = node.config().migration_queue_size as usize;
    (2 * limits.running.max(limits.small_batch)).min(queue / 2).max(1)
}

/// Submits what may be submitted now.
fn submit_more(node: &Arc<Node>, task: &Task, holds: &mut HeldUntil) {
    let ahead = ahead(node);
    let running: Vec<_> = match node.tasks().get(task.id) {
        Ok(entry) if entry.task.status == TaskStatus::Running => {
            entry.moves.running().map(|(_, id)| id).collect()
        }
        _ => return,
    };
    // What waits for space on one disk, or for bytes of one tablet, holds up nothing else.
    let stands_aside = |id: &MigrationId| node.job(*id).is_some_and(|job| job.stands_aside());
    let waiting = running.iter().filter(|id| stands_aside(id)).count();
    let places = (node.config().migration_queue_size as usize / 2).saturating_sub(waiting);
    let room = ahead.saturating_sub(running.len() - waiting).min(places);
    let unreadable = damage::unreadable(node);
    let mut round = Round {
        node,
        task,
        holds,
        unreadable,
        pass: Pass::Given,
        after: None,
        waits: None,
        room,
        goes_on: true,
    };
    while round.room > 0 && round.goes_on {
        let (places, submits) = round.gather();
        if submits.is_empty() {
            break;
        }
        for (at, outcome) in places.into_iter().zip(admit::submit_all(node, &submits)) {
            match outcome {
                Ok(migration) => {
                    round.room -= 1;
                    set(node, task.id, at, MoveState::Running(migration.id));
                }
                Err(failure) => round.refused(at, &failure),
            }
        }
    }
    let waits = round.waits;
    let nothing_held = !holds.keys().any(|(id, _)| *id == task.id);
    if let Ok(entry) = node.tasks().get_mut(task.id) {
        match waits {
            Some(why) => entry.waits = Some(why),
            None if nothing_held => entry.waits = None,
            None => {}
        }
    }
}

/// One round of submitting for one task.
struct Round<'a> {
    node: &'a Arc<Node>,
    task: &'a Task,
    holds: &'a mut HeldUntil,
    unreadable: BTreeSet<TabletKey>,
    pass: Pass,
    /// The last place that was looked at in this pass.
    after: Option<usize>,
    /// The last move that could not be submitted, and why.
    waits: Option<(usize, String)>,
    /// Moves that may still come under way.
    room: usize,
    goes_on: bool,
}

/// What a disk did not give comes after everything that it gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Given,
    NotGiven,
}

impl Round<'_> {
    /// The place of the next move that may be submitted now. What waits for a disk is not looked through.
    fn next(&mut self) -> Option<usize> {
        loop {
            let next = {
                let book = self.node.tasks();
                let entry = book.get(self.task.id).ok()?;
                if entry.task.status != TaskStatus::Running {
                    return None;
                }
                let is_wanted = |source, destination| {
                    !entry.task.paused_disks.contains(&source)
                        && !self.holds.contains_key(&(self.task.id, destination))
                };
                entry.moves.next_pending(self.after, is_wanted)
            };
            match (next, self.pass) {
                (Some(at), pass) => {
                    self.after = Some(at);
                    let is_given = !self.unreadable.contains(&self.task.plan.moves[at].key);
                    if is_given == (pass == Pass::Given) {
                        return Some(at);
                    }
                }
                (None, Pass::Given) if !self.unreadable.is_empty() => {
                    (self.pass, self.after) = (Pass::NotGiven, None);
                }
                (None, _) => return None,
            }
        }
    }

    /// The next moves to submit, which go through one door together; what need not be submitted is settled.
    fn gather(&mut self) -> (Vec<usize>, Vec<Submit>) {
        let (mut places, mut submits) = (Vec::new(), Vec::new());
        while submits.len() < self.room && self.goes_on {
            if self.node.is_stopping() {
                self.goes_on = false;
                break;
            }
            let Some(at) = self.next() else { break };
            match carry_out(self.node, self.task, &self.task.plan.moves[at]) {
                Ok(ToDo::Submit(submit)) => {
                    places.push(at);
                    submits.push(*submit);
                }
                Ok(ToDo::Nothing(state)) => {
                    self.room -= usize::from(matches!(state, MoveState::Running(_)));
                    set(self.node, self.task.id, at, state);
                }
                Err(failure) => self.refused(at, &failure),
            }
        }
        (places, submits)
    }

    fn refused(&mut self, at: usize, failure: &Failure) {
        if failure.code == ErrorCode::ShuttingDown {
            self.goes_on = false;
            return;
        }
        self.waits = Some((at, failure.message.clone()));
        match failure.code {
            ErrorCode::QueueFull => self.goes_on = false,
            // What concerns one tablet holds up nobody else.
            ErrorCode::TabletUnavailable | ErrorCode::MigrationExists => {}
            _ => {
                let destination = self.task.plan.moves[at].destination.uuid;
                self.holds.insert((self.task.id, destination), Instant::now() + HOLD);
            }
        }
    }
}

/// Ends a task of which nothing is left to be done.
fn finish(node: &Node, task: &Task) {
    let posted = {
        let mut book = node.tasks();
        let Ok(entry) = book.get_mut(task.id) else { return };
        if entry.task.result.is_some() || entry.moves.are_open() {
            return;
        }
        let mut result = entry.result();
        if entry.task.status != TaskStatus::Cancelled {
            result.shortfall = shortfall::at_end(node, &entry.task, &entry.moves);
        }
        (entry.moves, entry.waits, entry.way_out) = (Moves::default(), None, None);
        entry.samples.clear();
        change(node, entry, |task, now| {
            if task.status != TaskStatus::Cancelled {
                task.status = TaskStatus::Finished;
            }
            task.finished_ms = Some(now);
            task.result = Some(result);
        })
    };
    if let Err(failure) = posted.wait_unless_full() {
        tracing::error!(task = %task.id, "its end could not be journalled: {failure}; the next start sees it again");
    }
}
