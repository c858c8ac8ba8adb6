//! What was decided about a migration whose disks are here again is done: at a start, and when a disk joins.

use std::sync::Arc;

use crate::engine::line::{Ending, end};
use crate::engine::node::Node;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::job::Job;
use crate::engine::schedule;
use crate::model::{DiskRef, ErrorCode, Failure, Migration, TabletKey, UndoneFor};
use crate::rules::recovery::{MigrationVerdict, TabletIs};
use crate::rules::transition::Event;

/// Does with a migration that is on the board what was decided about it.
pub(crate) fn with_verdict(node: &Arc<Node>, job: &Arc<Job>, verdict: MigrationVerdict, why: &str) {
    let (id, key) = {
        let row = job.lock();
        (row.id, row.key)
    };
    let own = || {
        node.catalog_mut().give_to(key, id);
    };
    match verdict {
        MigrationVerdict::GoOn => {
            own();
            let _ = job.advance(Event::Interrupted, why);
            schedule::requeue(node, job);
        }
        MigrationVerdict::StayPaused | MigrationVerdict::StayAtGate => own(),
        MigrationVerdict::Wait => {
            own();
            let known = node.catalog().why_unavailable(key).map(ToOwned::to_owned);
            let why = known.unwrap_or_else(|| which_disk_is_away(node, &job.snapshot()));
            job.lock().status_reason = format!("waiting for its tablet: {why}");
        }
        MigrationVerdict::Complete => {
            let generation = node.catalog().get(key).map_or(0, |entry| entry.generation);
            complete_from_disk(job, generation);
            end(node, job, Ending::FoundMoved);
        }
        MigrationVerdict::FinishAbort => {
            let why = job.lock().steering.undone_for;
            end(node, job, Ending::Undone(why.unwrap_or(UndoneFor::Abort)));
        }
        MigrationVerdict::Fail => {
            end(node, job, Ending::Failed(moved_away(key)));
        }
    }
}

/// The end of a migration that is not here, in words.
fn which_disk_is_away(node: &Node, row: &Migration) -> String {
    let away =
        [&row.source, &row.destination].into_iter().find(|disk| node.disk_by_uuid(disk.uuid).is_none());
    away.map_or_else(
        || "a disk is not here".to_owned(),
        |disk| format!("disk {} ({}) is not here", disk.path, disk.uuid),
    )
}

/// Where the tablet of a migration is, seen from it, while the node serves.
pub(crate) fn where_tablet_is(node: &Node, row: &Migration) -> TabletIs {
    let index = |disk: &DiskRef| node.disk_by_uuid(disk.uuid).map(|disk| disk.index);
    let some_away = node.shown_disks().any(|disk| disk.opened.get().is_none());
    let (source, destination) = (index(&row.source), index(&row.destination));
    let end_away = source.is_none() || destination.is_none();
    let catalog = node.catalog();
    match catalog.get(row.key) {
        Some(entry) if Some(entry.disk) == destination => TabletIs::OnDestination,
        Some(entry) if Some(entry.disk) == source => TabletIs::OnSource,
        Some(_) => TabletIs::OnOtherDisk,
        None if catalog.why_unavailable(row.key).is_some() || some_away || end_away => TabletIs::Unavailable,
        None => TabletIs::Gone,
    }
}

/// A move whose end nobody was there to write down. Its receipt was journalled before the swap.
fn complete_from_disk(job: &Job, generation: u64) {
    {
        let mut row = job.lock();
        let duration_ms = u64::try_from(now_ms() - row.created_ms).unwrap_or(0);
        if let Some(receipt) = &mut row.receipt {
            receipt.generation = generation;
            receipt.duration_ms = duration_ms;
        }
    }
    job.count_as_copied();
}

/// The failure of a migration whose tablet is no longer where it was.
fn moved_away(key: TabletKey) -> Failure {
    Failure::new(ErrorCode::TabletNotFound, format!("tablet {key} is gone, or was moved elsewhere meanwhile"))
}
