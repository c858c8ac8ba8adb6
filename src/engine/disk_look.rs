//! Disks as they are shown: one look at the migrations that have not ended, and from it the view of every disk, or of one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::disk::Disk;
use super::job::Job;
use super::node::Node;
use super::removal::not_safe_to_remove;
use super::tasks;
use super::view::DiskView;
use crate::model::{DiskUuid, Status};
use crate::rules::schedule::DiskSlots;
use crate::storage::same_file_system;

/// All of them, in the order of the configuration.
pub(super) fn disks(node: &Node) -> Vec<DiskView> {
    let look = DiskLook::take(node);
    node.shown_disks().map(|disk| look.at(node, disk)).collect()
}

/// One of them.
pub(super) fn disk(node: &Node, disk: &Disk) -> DiskView {
    DiskLook::take(node).at(node, disk)
}

/// What the views of all disks have in common.
struct DiskLook {
    hang_after: Duration,
    slots: Vec<DiskSlots>,
    jobs: Vec<Arc<Job>>,
    ends: Vec<(Status, DiskUuid, DiskUuid)>,
}

impl DiskLook {
    fn take(node: &Node) -> Self {
        let jobs: Vec<_> = node.board().alive.values().cloned().collect();
        let end = |job: &Arc<Job>| {
            let row = job.lock();
            (row.status, row.source.uuid, row.destination.uuid)
        };
        let ends = jobs.iter().map(end).collect();
        Self { hang_after: node.hang_after(), slots: node.slots(), jobs, ends }
    }

    /// Migrations with this disk at one end: queued, paused, and all others.
    fn count(
        &self,
        uuid: Option<DiskUuid>,
        end: fn(&(Status, DiskUuid, DiskUuid)) -> DiskUuid,
    ) -> (u64, u64, u64) {
        let at = self.ends.iter().filter(|row| Some(end(row)) == uuid);
        at.fold((0, 0, 0), |(queued, paused, running), (status, ..)| match status {
            Status::Queued => (queued + 1, paused, running),
            Status::Paused => (queued, paused + 1, running),
            _ => (queued, paused, running + 1),
        })
    }

    fn at(&self, node: &Node, disk: &Disk) -> DiskView {
        let slot = self.slots[usize::from(disk.index.0)];
        let (reads, writes) =
            node.schedule().slots_in_use(disk.index, &|index| self.slots[usize::from(index.0)]);
        let (tablet_count, tablet_bytes) = node.catalog().usage(disk.index);
        let opened = disk.opened.get();
        let uuid = opened.as_ref().map(|opened| opened.identity.uuid);
        let (from, to) = (self.count(uuid, |row| row.1), self.count(uuid, |row| row.2));
        let shares = |other: &Arc<Disk>| match (&opened, &other.opened.get()) {
            (Some(a), Some(b)) => same_file_system(&a.file_system, &b.file_system),
            _ => false,
        };
        let others = node.shown_disks().filter(|other| other.index != disk.index);
        DiskView {
            path: disk.path.clone(),
            uuid,
            medium: disk.medium,
            condition: disk.condition(self.hang_after),
            capacity: disk.capacity(),
            reserved: disk.reserved(),
            tablet_count,
            tablet_bytes,
            trash_bytes: disk.trash_bytes.load(Ordering::Relaxed),
            file_system: opened.as_ref().map_or_else(String::new, |opened| opened.file_system.kind.clone()),
            shares_file_system_with: others
                .filter(|other| shares(other))
                .map(|other| other.path.clone())
                .collect(),
            read_slots: (reads, slot.read_limit),
            write_slots: (writes, slot.write_limit),
            queued_from: from.0,
            queued_to: to.0,
            paused_and_running_from: (from.1, from.2),
            paused_and_running_to: (to.1, to.2),
            tasks: uuid.map(|uuid| tasks::touching(node, uuid)).unwrap_or_default(),
            rate_limit_bytes_per_sec: disk.limiter.rate_bytes_per_sec(),
            pace: disk.pace.view(),
            throttled_ms: disk.throttled_ms.load(Ordering::Relaxed),
            not_safe_because: not_safe_to_remove(node, disk, &self.jobs),
            undone: node.undone.on(disk),
            unrecorded: disk.unrecorded.view(),
        }
    }
}
