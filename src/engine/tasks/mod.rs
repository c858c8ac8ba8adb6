//! Tasks: many moves under one name, made by [`crate::rules::planning`] and carried out by ordinary migrations.
//!
//! A task is created stopped, with a plan that does not change any more. Started, its moves are submitted a few at a
//! time (`feeder`) through the same door as everybody's, so that admission, reservation and the journal hold for them. What
//! became of a move is never written into the task: it is seen from where the tablet is, and from its migration.
//!
//! *Stopped*: nothing further is submitted, what is under way goes on. *Paused*: its migrations are paused with it
//! (`holds`), each at its next block, and one whose swap has begun is finished; resumed, they go on; single source disks
//! of it too (`paused_disks`, journalled with it). *Cancelled*: they are aborted, what had moved stays, and the task never
//! starts again.

mod asked;
mod feeder;
mod frozen;
mod holds;
mod picture;
mod replan;
mod report;
mod row;
mod shortfall;
mod whereabouts;

use super::node::Node;
use super::parts::task_book::KeptTask;
use crate::model::Task;

pub(super) use asked::{cancel, cancel_drains, create, delete, pause, plan, resume, start, stop, update};
pub(super) use feeder::start as start_feeding;
pub(super) use replan::replan;
pub(super) use report::{list, show, targets};

/// Puts the tasks of the journal into memory.
pub(super) fn take_up(node: &Node, tasks: Vec<Task>) {
    let mut book = node.tasks();
    book.entries.extend(tasks.into_iter().map(|task| (task.id, KeptTask::new(task))));
}
