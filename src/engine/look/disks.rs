//! Disks as they are shown: one look at the migrations that have not ended, and from it the view of every disk, or of one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::removal::not_safe_to_remove;
use crate::engine::node::Node;
use crate::engine::parts::disk::Disk;
use crate::engine::view::DiskView;
use crate::model::{DiskUuid, Failure, Status};
use crate::rules::schedule::DiskSlots;
use crate::storage::same_file_system;

/// All of them, in the order of the configuration.
pub(crate) fn disks(node: &Node) -> Vec<DiskView> {
    let look = DiskLook::take(node);
    node.shown_disks().map(|disk| look.at(node, disk)).collect()
}

/// The one that an operator names.
///
/// # Errors
/// `DISK_NOT_FOUND`.
pub(crate) fn named(node: &Node, path: &str) -> Result<DiskView, Failure> {
    let disk = node.find_disk(path)?;
    Ok(DiskLook::take(node).at(node, disk))
}

/// Migrations from or to a disk that have not ended.
pub(crate) fn under_way(node: &Node, disk: &Disk) -> u64 {
    DiskLook::take(node).ends_at(disk).either
}

/// What the views of all disks have in common.
struct DiskLook {
    hang_after: Duration,
    slots: Vec<DiskSlots>,
    ends: HashMap<DiskUuid, Ends>,
}

/// Migrations with one disk at an end.
#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    from: Standing,
    to: Standing,
    either: u64,
}

/// How they stand.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    queued: u64,
    paused: u64,
    running: u64,
}

impl Standing {
    const fn count(&mut self, status: Status) {
        match status {
            Status::Queued => self.queued += 1,
            Status::Paused => self.paused += 1,
            _ => self.running += 1,
        }
    }
}

impl DiskLook {
    /// Looks at every migration once, however many disks there are.
    fn take(node: &Node) -> Self {
        let jobs: Vec<_> = node.board().alive.values().cloned().collect();
        let mut ends: HashMap<DiskUuid, Ends> = HashMap::new();
        for job in jobs {
            let row = job.lock();
            let (status, source, destination) = (row.status, row.source.uuid, row.destination.uuid);
            drop(row);
            let from = ends.entry(source).or_default();
            from.from.count(status);
            from.either += 1;
            let to = ends.entry(destination).or_default();
            to.to.count(status);
            to.either += u64::from(source != destination);
        }
        Self { hang_after: node.hang_after(), slots: node.slots(), ends }
    }

    fn ends_at(&self, disk: &Disk) -> Ends {
        let uuid = disk.opened.get().map(|opened| opened.identity.uuid);
        uuid.and_then(|uuid| self.ends.get(&uuid)).copied().unwrap_or_default()
    }

    fn at(&self, node: &Node, disk: &Disk) -> DiskView {
        let slot = self.slots[usize::from(disk.index.0)];
        let (reads, writes) =
            node.schedule().slots_in_use(disk.index, &|index| self.slots[usize::from(index.0)]);
        let (tablet_count, tablet_bytes) = node.catalog().usage(disk.index);
        let opened = disk.opened.get();
        let uuid = opened.as_ref().map(|opened| opened.identity.uuid);
        let ends = self.ends_at(disk);
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
            capacity: disk.space.capacity(),
            reserved: disk.space.reserved(),
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
            queued_from: ends.from.queued,
            queued_to: ends.to.queued,
            paused_and_running_from: (ends.from.paused, ends.from.running),
            paused_and_running_to: (ends.to.paused, ends.to.running),
            tasks: uuid.map(|uuid| node.tasks().touching(uuid)).unwrap_or_default(),
            rate_limit_bytes_per_sec: disk.limiter.rate_bytes_per_sec(),
            pace: disk.pace.view(),
            throttled_ms: disk.throttled_ms.load(Ordering::Relaxed),
            not_safe_because: not_safe_to_remove(node, disk, ends.either),
            undone: node.undone.on(disk),
            unrecorded: disk.unrecorded.view(),
        }
    }
}
