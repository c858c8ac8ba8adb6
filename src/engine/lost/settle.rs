//! What is in memory and in the journal follows, once a disk is remembered as lost: tablets are released, migrations end
//! or go on, and nothing of the disk is held open.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::loss::{Gone, Loss, LostTablet, Served};
use crate::engine::line::{Ending, end};
use crate::engine::node::Node;
use crate::engine::parts::entry::Entry;
use crate::engine::parts::job::Job;
use crate::engine::schedule;
use crate::engine::tend::marks;
use crate::model::{DiskUuid, ErrorCode, Failure, Marked, Migration, Status, TabletKey};
use crate::rules::gate::Gate;
use crate::rules::giving_up::{Ends, MigrationFate, TabletFate, TabletNow, settle_migration};
use crate::rules::recovery::Unavailable;
use crate::rules::transition::Event;

/// Migrations that have not ended.
pub(super) fn waiting(node: &Node) -> Vec<Arc<Job>> {
    node.board().alive.values().cloned().collect()
}

/// What becomes of a migration; `None` when it has nothing to do with the lost disk.
pub(super) fn fate_of(
    node: &Node,
    row: &Migration,
    gone: &Gone,
    tablets: &[LostTablet],
) -> Option<MigrationFate> {
    let ends = ends_of(row, |end| Some(end) == gone.uuid);
    let tablet = tablets.binary_search_by_key(&row.key, |tablet| tablet.key).ok().map(|at| &tablets[at]);
    let served_on = match tablet {
        Some(LostTablet { fate: TabletFate::Untouched, .. }) | None => {
            let catalog = node.catalog();
            catalog.get(row.key).filter(|entry| Some(entry.disk) != gone.index).map(|entry| entry.disk)
        }
        Some(LostTablet { fate, left_on, .. }) if fate.generation().is_some() => {
            left_on.as_ref().and_then(|path| node.disk_at(path)).map(|disk| disk.index)
        }
        Some(_) => None,
    };
    let changes =
        tablet.is_some_and(|tablet| !matches!(tablet.fate, TabletFate::Untouched | TabletFate::Elsewhere));
    if ends == Ends::Both && !changes {
        return None;
    }
    let is = |uuid| served_on.is_some() && node.disk_by_uuid(uuid).map(|disk| disk.index) == served_on;
    Some(settle_migration(
        row.status,
        ends,
        now(served_on.is_some(), is(row.source.uuid), is(row.destination.uuid)),
    ))
}

fn ends_of(row: &Migration, is_lost: impl Fn(DiskUuid) -> bool) -> Ends {
    if is_lost(row.source.uuid) || is_lost(row.destination.uuid) { Ends::OneIsLost } else { Ends::Both }
}

const fn now(is_served: bool, on_source: bool, on_destination: bool) -> TabletNow {
    match (is_served, on_source, on_destination) {
        (false, _, _) => TabletNow::NotServed,
        (true, true, _) => TabletNow::OnSource,
        (true, false, true) => TabletNow::OnDestination,
        (true, false, false) => TabletNow::OnOtherDisk,
    }
}

/// # Errors
/// `DISK_IN_USE` while a thread is at work for one of these migrations: it may be stuck in the very disk.
pub(super) fn refuse_while_running(node: &Node, loss: &Loss) -> Result<(), Failure> {
    let schedule = node.schedule();
    let Some(running) = loss.migrations.iter().find(|migration| schedule.is_running(migration.id)) else {
        return Ok(());
    };
    let text = format!(
        "disk {} is not given up: migration {} is at work on it; abort it, or restart the daemon if it hangs with the disk",
        loss.path, running.id
    );
    Err(Failure::new(ErrorCode::DiskInUse, text))
}

/// The tablets of a disk that is given up, which no operation gets before this is dropped.
pub(super) struct Claimed<'a> {
    node: &'a Node,
    keys: Vec<TabletKey>,
}

impl<'a> Claimed<'a> {
    /// # Errors
    /// `DISK_IN_USE` while an operation has one of them.
    pub(super) fn take(node: &'a Node, loss: &Loss) -> Result<Self, Failure> {
        let keys: Vec<_> = loss.tablets.iter().map(|tablet| tablet.key).collect();
        node.catalog_mut().claim_given_up(&keys).map_err(|failure| {
            let text = format!("disk {} is not given up: {failure}", loss.path);
            Failure::new(ErrorCode::DiskInUse, text)
        })?;
        Ok(Self { node, keys })
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.node.catalog_mut().unclaim_given_up(&self.keys);
    }
}

/// Lets everything of the disk go.
pub(super) fn let_go(node: &Arc<Node>, gone: &Gone, loss: &Loss, served: &Served) {
    {
        let mut catalog = node.catalog_mut();
        if let Some(uuid) = gone.uuid {
            catalog.is_lost(uuid);
        }
        for tablet in &loss.tablets {
            let key = tablet.key;
            if let Some((index, record)) = served.get(&key) {
                catalog.insert(key, Entry::new(*index, record));
                continue;
            }
            match tablet.fate {
                TabletFate::Untouched => {}
                TabletFate::Elsewhere | TabletFate::OlderLeft => {
                    catalog.set_unavailable(key, Unavailable::NewerOnMissingDisk, tablet.detail.clone());
                }
                _ => catalog.release(key, tablet.lost_generation),
            }
        }
    }
    for tablet in loss.tablets.iter().filter(|tablet| tablet.fate != TabletFate::Untouched) {
        tracing::warn!(tablet = %tablet.key, disk = gone.path, "{}", tablet.detail);
    }
    for migration in &loss.migrations {
        if let Some(job) = node.job(migration.id) {
            node.schedule().remove(migration.id);
            meet(node, &job, migration.fate, &gone.path);
        }
    }
    // What was said of the disk goes with it.
    if let Some(uuid) = gone.uuid
        && let Err(failure) = marks::set(node, Marked::Disabled(uuid), None)
    {
        tracing::warn!(disk = gone.path, "{failure}");
    }
}

fn meet(node: &Arc<Node>, job: &Arc<Job>, fate: MigrationFate, path: &str) {
    match fate {
        MigrationFate::Completed => {
            end(node, job, Ending::SourceGivenUp(path.to_owned()));
        }
        MigrationFate::Aborted => {
            end(node, job, Ending::UndoneWithDisk(path.to_owned()));
        }
        MigrationFate::Failed => {
            let why = format!("disk {path} was given up as lost by an operator");
            end(node, job, Ending::Failed(Failure::new(ErrorCode::DiskUnavailable, why)));
        }
        MigrationFate::GoesOn => {
            let (id, key, rests) = {
                let row = job.lock();
                (row.id, row.key, row.status == Status::Paused || Job::gate(&row) == Gate::Waits)
            };
            node.catalog_mut().give_to(key, id);
            if !rests {
                let _ = job.advance(Event::Interrupted, format!("disk {path} was given up; goes on"));
                schedule::requeue(node, job);
            }
        }
    }
}

/// At a start: ends what a daemon that was killed while it gave a disk up did not live to end.
pub(crate) fn end_those_of_lost_disks(node: &Arc<Node>, lost: &BTreeSet<DiskUuid>) {
    for job in waiting(node) {
        let fate = {
            let row = job.lock();
            if ends_of(&row, |end| lost.contains(&end)) == Ends::Both {
                continue;
            }
            let served_on = node.catalog().get(row.key).map(|entry| entry.disk);
            let is =
                |uuid| served_on.is_some() && node.disk_by_uuid(uuid).map(|disk| disk.index) == served_on;
            let tablet = now(served_on.is_some(), is(row.source.uuid), is(row.destination.uuid));
            let path = if lost.contains(&row.source.uuid) { &row.source.path } else { &row.destination.path };
            (settle_migration(row.status, Ends::OneIsLost, tablet), path.clone())
        };
        let id = job.lock().id;
        node.schedule().remove(id);
        meet(node, &job, fate.0, &fate.1);
    }
}
