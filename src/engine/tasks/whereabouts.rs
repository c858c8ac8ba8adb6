//! Where the tablet of a planned move is now, and what the move needs therefore.

use crate::engine::node::Node;
use crate::engine::parts::entry::Holder;
use crate::engine::parts::task_book::MoveState;
use crate::engine::view::Submit;
use crate::model::{ErrorCode, Failure, Marked, MigrationId, PlannedMove, Task, TaskId};

/// Where the tablet of a move is.
pub(super) enum Whereabouts {
    AtSource,
    AtDestination,
    /// This task's migration is moving it.
    OnItsWay(MigrationId),
    /// It cannot be moved now, and why.
    NotNow(String),
    /// It will not be moved by this plan, and why.
    Elsewhere(String),
}

pub(super) fn place(node: &Node, task: TaskId, planned: &PlannedMove) -> Whereabouts {
    let key = planned.key;
    let (entry, unavailable) = {
        let catalog = node.catalog();
        (catalog.get(key).copied(), catalog.why_unavailable(key).map(str::to_owned))
    };
    let Some(entry) = entry else {
        return match unavailable {
            Some(why) => Whereabouts::NotNow(format!("tablet {key} is unavailable: {why}")),
            None => Whereabouts::Elsewhere("the tablet is not on this node any more".to_owned()),
        };
    };
    match entry.holder {
        None => {}
        Some(Holder::Migration(id)) if node.job(id).is_some_and(|job| job.lock().task == Some(task)) => {
            return Whereabouts::OnItsWay(id);
        }
        Some(Holder::Migration(id)) => {
            return Whereabouts::NotNow(format!("another migration ({id}) is moving tablet {key}"));
        }
        Some(Holder::BeingAccepted | Holder::BeingTidied) => {
            return Whereabouts::NotNow(format!("somebody has tablet {key} at this moment"));
        }
    }
    let disk = node.disk(entry.disk);
    match disk.opened.get().map(|opened| opened.identity.uuid) {
        Some(uuid) if uuid == planned.destination.uuid => Whereabouts::AtDestination,
        // A migration that had begun when the plan changed brought it there.
        Some(uuid) if planned.formerly.iter().any(|disk| disk.uuid == uuid) => Whereabouts::AtDestination,
        Some(uuid) if uuid == planned.source.uuid => Whereabouts::AtSource,
        _ => Whereabouts::Elsewhere(format!(
            "the tablet is on {} now, where the plan does not expect it",
            disk.path
        )),
    }
}

/// What a move that is pending needs.
pub(super) enum ToDo {
    Submit(Box<Submit>),
    /// It stands like this already.
    Nothing(MoveState),
}

/// What one move needs: to be submitted, or nothing, or nothing ever.
///
/// # Errors
/// Not now, and why.
pub(super) fn carry_out(node: &Node, task: &Task, planned: &PlannedMove) -> Result<ToDo, Failure> {
    match place(node, task.id, planned) {
        Whereabouts::AtSource => {}
        Whereabouts::AtDestination => return Ok(ToDo::Nothing(MoveState::Completed)),
        Whereabouts::OnItsWay(id) => return Ok(ToDo::Nothing(MoveState::Running(id))),
        Whereabouts::NotNow(why) => return Err(Failure::new(ErrorCode::TabletUnavailable, why)),
        Whereabouts::Elsewhere(why) => return Ok(ToDo::Nothing(MoveState::Failed(why))),
    }
    let pin = node.marks().get(&Marked::Pinned(planned.key)).cloned();
    if let Some(pin) = pin {
        let why = format!("pinned by {}: no plan moves it; unpin it first", pin.by);
        return Ok(ToDo::Nothing(MoveState::Failed(why)));
    }
    let Some(destination) = node.disk_by_uuid(planned.destination.uuid) else {
        let text = format!("disk {} is not here", planned.destination.path);
        return Err(Failure::new(ErrorCode::DiskUnavailable, text));
    };
    Ok(ToDo::Submit(Box::new(Submit {
        reason: format!("task {}: {}", task.id, planned.why),
        task: Some(task.id),
        requested_by: format!("task {}", task.id),
        priority: task.options.priority,
        rate_bytes_per_sec: task.options.rate_bytes_per_sec,
        ..Submit::new(planned.key, destination.path.clone())
    })))
}
