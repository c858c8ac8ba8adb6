//! May this disk be pulled now? Answered from memory, and with no whenever it is not known.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::disk::Disk;
use super::job::Job;
use super::node::Node;
use super::tasks;
use crate::storage::same_file_system;

/// Why `disk` must not be pulled, every reason; `None` when nothing is lost by it. What lies in its trash has a live copy
/// on another disk then, which was read back from the medium before the move ended. `alive` are the migrations that have
/// not ended, taken before the catalog is looked at: a tablet that arrives meanwhile is seen in one of the two.
pub(super) fn not_safe_to_remove(node: &Node, disk: &Disk, alive: &[Arc<Job>]) -> Option<String> {
    let Some(opened) = disk.opened.get() else {
        return Some("it was never opened by this run of the daemon: what it holds is not known".to_owned());
    };
    let mut reasons = Vec::new();
    let uuid = opened.identity.uuid;
    let touching = alive.iter().filter(|job| {
        let row = job.lock();
        row.source.uuid == uuid || row.destination.uuid == uuid
    });
    match touching.count() {
        0 => {}
        count => reasons.push(format!("{count} migrations from or to it have not ended")),
    }
    if let Some(id) = tasks::sends_to(node, uuid) {
        reasons.push(format!("task {id} is sending tablets to it"));
    }
    let catalog = node.catalog();
    match catalog.usage(disk.index).0 {
        0 => {}
        count => reasons.push(format!("it holds {count} tablets")),
    }
    match catalog.unavailable().count() {
        0 => {}
        count => reasons.push(format!("{count} tablets of this node are unavailable and may be on it")),
    }
    if disk.trash_bytes.load(Ordering::Relaxed) > 0 {
        match catalog.ownerless() {
            0 => {}
            count => reasons.push(format!("{count} tablets are in trash only, and that may be its trash")),
        }
    }
    for other in node.disks.iter().filter(|other| other.index != disk.index) {
        let count = catalog.usage(other.index).0;
        let shared =
            other.opened.get().is_some_and(|o| same_file_system(&o.file_system, &opened.file_system));
        if shared && count > 0 {
            reasons.push(format!("{} is on the same file system and holds {count} tablets", other.path));
        }
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}
