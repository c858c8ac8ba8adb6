//! What was asked of a task and is not so at its end. Looks at where tablets are now, not at what the plan hoped for.

use crate::engine::node::Node;
use crate::engine::parts::task_book::MoveState;
use crate::model::{LeftOut, PlanOutcome, PlannedMove, TabletKey, Task, TaskRequest, counted_as};

/// In words; `None` when all that was asked for is done. `states` are those of the moves of its plan.
pub(super) fn at_end(node: &Node, task: &Task, states: &[MoveState]) -> Option<String> {
    match &task.request {
        TaskRequest::Drain { disks, .. } => still_there(node, task, disks, states),
        TaskRequest::Move { .. } | TaskRequest::Rebalance { .. } => {
            (task.plan.outcome != PlanOutcome::Reaches).then(|| of_plan(task))
        }
    }
}

/// Why the plan itself does not go all the way.
pub(super) fn of_plan(task: &Task) -> String {
    match task.plan.falls_short.as_slice() {
        [] if task.plan.outcome == PlanOutcome::CutShort => {
            "the plan was cut short at its limit of moves; plan again".to_owned()
        }
        [] => "the plan falls short of it".to_owned(),
        why => why.join("; "),
    }
}

/// What a drain leaves on its disks: whatever is there, planned or not.
fn still_there(node: &Node, task: &Task, disks: &[String], states: &[MoveState]) -> Option<String> {
    let drained: Vec<_> = disks.iter().filter_map(|path| node.disk_at(path)).collect();
    let (count, key, path) = {
        let catalog = node.catalog();
        let mut left = catalog.after(None).filter_map(|(key, entry)| {
            let disk = drained.iter().find(|disk| disk.index == entry.disk)?;
            Some((key, disk.path.clone()))
        });
        let (key, path) = left.next()?;
        (1 + left.count(), key, path)
    };
    let are = counted_as(count, "tablet is", "tablets are");
    Some(format!("{are} still on {path}: tablet {}: {}", key.tablet_id, why_there(task, states, key)))
}

fn why_there(task: &Task, states: &[MoveState], key: TabletKey) -> String {
    let plan = &task.plan;
    let kept = plan.left_out.iter().find(|left| left.key == key).map(|LeftOut { reason, .. }| reason.clone());
    let misfit = || {
        let found = plan.fits_nowhere.iter().find(|misfit| misfit.key == key)?;
        Some(format!("it fits nowhere: {}", found.tried.join("; ")))
    };
    let given_up = || {
        let is_its_own = |(planned, _): &(&PlannedMove, &MoveState)| planned.key == key;
        match plan.moves.iter().zip(states).find(is_its_own)? {
            (_, MoveState::Failed(why)) => Some(why.clone()),
            _ => Some("it came back after its move".to_owned()),
        }
    };
    kept.or_else(misfit)
        .or_else(given_up)
        .unwrap_or_else(|| "it came there after the plan was made; drain again".to_owned())
}
