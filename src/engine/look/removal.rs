//! May this disk go? Answered from memory, and with no whenever it is not known.
//!
//! Two questions: whether the daemon may *forget* a root, and whether the disk below it may be *pulled*. Pulling takes
//! everything along that lives on the same file system, other roots and the daemon's own state included.

use std::sync::atomic::Ordering;

use crate::engine::node::Node;
use crate::engine::parts::disk::Disk;
use crate::engine::parts::known_disks::if_lost;
use crate::engine::parts::opened::Opened;
use crate::model::{counted, counted_as};
use crate::storage::same_file_system;

/// Why `disk` must not be pulled, every reason; `None` when nothing is lost by it. What lies in its trash has a live copy
/// on another disk then, which was read back from the medium before the move ended. `under_way` are the migrations from or
/// to it that have not ended, counted before the catalog is looked at: a tablet that arrives meanwhile is seen in one of
/// the two.
pub(crate) fn not_safe_to_remove(node: &Node, disk: &Disk, under_way: u64) -> Option<String> {
    let Some(opened) = disk.opened.get() else { return Some(never_opened(disk)) };
    let mut reasons = of_its_own(node, disk, &opened, under_way);
    reasons.extend(of_its_neighbours(node, disk, &opened));
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Why the daemon must not forget `disk`, every reason; `None` when nothing of it would be missed.
pub(crate) fn in_use(node: &Node, disk: &Disk, under_way: u64) -> Option<String> {
    let Some(opened) = disk.opened.get() else { return Some(never_opened(disk)) };
    let reasons = of_its_own(node, disk, &opened, under_way);
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn never_opened(disk: &Disk) -> String {
    let way_out = if_lost(&disk.path);
    format!("it was never opened by this run of the daemon: what it holds is not known; {way_out}")
}

fn of_its_own(node: &Node, disk: &Disk, opened: &Opened, under_way: u64) -> Vec<String> {
    let mut reasons = Vec::new();
    let uuid = opened.identity.uuid;
    match under_way {
        0 => {}
        count => reasons.push(format!(
            "{} not ended",
            counted_as(count, "migration from or to it has", "migrations from or to it have")
        )),
    }
    if let Some(id) = node.tasks().sends_to(uuid) {
        reasons.push(format!("task {id} is sending tablets to it"));
    }
    let catalog = node.catalog();
    match catalog.usage(disk.index).0 {
        0 => {}
        count => reasons.push(format!("it holds {}", counted(count, "tablet"))),
    }
    match catalog.unavailable_count() as u64 {
        0 => {}
        count => {
            reasons
                .push(format!("{} of this node may be on it, being unavailable", counted(count, "tablet")));
        }
    }
    reasons.extend(disk.unrecorded.in_the_way(&disk.path));
    if disk.trash_bytes.load(Ordering::Relaxed) > 0 || disk.had_something_aside() {
        match catalog.ownerless() as u64 {
            0 => {}
            count => {
                let what = "only left in trash or quarantine, and that may be its";
                reasons.push(format!("{} of this node: {what}", counted(count, "tablet")));
            }
        }
    }
    reasons
}

/// What else is on its file system.
fn of_its_neighbours(node: &Node, disk: &Disk, opened: &Opened) -> Vec<String> {
    let mut reasons = Vec::new();
    let catalog = node.catalog();
    for other in node.disks.iter().filter(|other| other.index != disk.index) {
        let count = catalog.usage(other.index).0;
        let shared =
            other.opened.get().is_some_and(|o| same_file_system(&o.file_system, &opened.file_system));
        if shared && count > 0 {
            reasons.push(format!(
                "{} is on the same file system and holds {}",
                other.path,
                counted(count, "tablet")
            ));
        }
    }
    if same_file_system(&node.state_file_system, &opened.file_system) {
        reasons.push("the daemon's state_dir is on the same file system".to_owned());
    }
    reasons
}
