//! What tasks and disks do to migrations that are under way. What is to be done is decided in [`crate::rules::hold`];
//! here it is looked up and carried out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::ask::{go_on, stop};
use crate::engine::node::Node;
use crate::engine::parts::clock::steady_ms;
use crate::engine::parts::job::Heard;
use crate::model::{DiskIndex, DiskUuid, MigrationId, Status, Task, TaskId, TaskStatus};
use crate::rules::hold::{DestinationService, Found, HoldFacts, HoldVerdict, Looks, TaskWish, hold};

/// What is wished of migrations: by the tasks under way, and by disks that were taken out of service.
pub(super) type Wished = (BTreeMap<TaskId, Wish>, Vec<DiskIndex>);

/// Looks at every migration that has not ended, when it is time to.
pub(super) fn settle(node: &Arc<Node>, looks: &mut Looks<Wished>) {
    let wishes = wishes(node);
    let disabled = node.shown_disks().filter(|disk| disk.is_disabled()).map(|disk| disk.index).collect();
    if looks.is_due(steady_ms(), (wishes.clone(), disabled)) {
        looks.found(look(node, &wishes));
    }
}

fn look(node: &Arc<Node>, wishes: &BTreeMap<TaskId, Wish>) -> Found {
    let jobs: Vec<_> = node.board().alive.values().cloned().collect();
    let mut due: Vec<(MigrationId, HoldVerdict)> = Vec::new();
    let mut found = Found::NothingHeld;
    for job in jobs {
        // What was asked of it already is under way.
        if !matches!(job.heard(), Heard::Nothing) && job.lock().status != Status::Paused {
            found = Found::SomethingHeld;
            continue;
        }
        let row = job.lock();
        if row.steering.held_by.is_some() {
            found = Found::SomethingHeld;
        }
        let disabled = node.disk_by_uuid(row.destination.uuid).is_some_and(|disk| disk.is_disabled());
        let verdict = hold(HoldFacts {
            status: row.status,
            held_by: row.steering.held_by,
            task: row
                .task
                .and_then(|task| wishes.get(&task))
                .map_or(TaskWish::None, |wish| wish.of_source(row.source.uuid)),
            destination: if disabled { DestinationService::Disabled } else { DestinationService::Enabled },
        });
        if verdict != HoldVerdict::Leave {
            found = Found::SomethingHeld;
            due.push((row.id, verdict));
        }
    }
    for (id, verdict) in due {
        let done = match verdict {
            HoldVerdict::Leave => Ok(()),
            HoldVerdict::Hold(by) => stop::hold(node, id, by),
            HoldVerdict::LetGo => go_on::resume(node, id).map(drop),
            HoldVerdict::CallOff => stop::abort(node, id).map(drop),
        };
        if let Err(failure) = done {
            // It ended or began its swap meanwhile; the next look sees what it is then.
            tracing::debug!(migration = %id, "{failure}");
        }
    }
    found
}

/// What each task under way wants of its migrations, with the source disks from which it wants nothing for now. Tasks that
/// want nothing are left out.
fn wishes(node: &Node) -> BTreeMap<TaskId, Wish> {
    let book = node.tasks();
    let open = book.entries.values().filter(|entry| entry.is_active());
    let wish = |task: &Task| Wish {
        of_all: match task.status {
            TaskStatus::Paused => TaskWish::Pause,
            TaskStatus::Cancelled => TaskWish::Cancel,
            TaskStatus::Stopped | TaskStatus::Running | TaskStatus::Finished => TaskWish::None,
        },
        paused_disks: task.paused_disks.clone(),
    };
    let wishes = open.map(|entry| (entry.task.id, wish(&entry.task)));
    wishes.filter(|(_, wish)| wish.of_all != TaskWish::None || !wish.paused_disks.is_empty()).collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    of_all: TaskWish,
    paused_disks: Vec<DiskUuid>,
}

impl Wish {
    fn of_source(&self, disk: DiskUuid) -> TaskWish {
        match self.of_all {
            TaskWish::None if self.paused_disks.contains(&disk) => TaskWish::Pause,
            wish => wish,
        }
    }
}
