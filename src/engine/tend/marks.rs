//! Marks are put on and taken off: pins of tablets, disks out of service. Durable before it is answered.

use crate::engine::node::Node;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::disk::Disk;
use crate::engine::view::TabletView;
use crate::model::{ErrorCode, Failure, Mark, Marked, TabletKey};

/// Puts a mark on, or takes it off; durable when this returns.
pub(crate) fn set(node: &Node, marked: Marked, mark: Option<Mark>) -> Result<(), Failure> {
    let (posted, before) = {
        // Posted under the lock: the journal hears of changes in their order.
        let mut marks = node.marks();
        let before = match mark.clone() {
            Some(mark) => marks.insert(marked, mark),
            None => marks.remove(&marked),
        };
        (node.journal.set_mark(marked, mark), before)
    };
    posted.wait().inspect_err(|_| {
        let mut marks = node.marks();
        match before {
            Some(before) => marks.insert(marked, before),
            None => marks.remove(&marked),
        };
    })
}

/// Pins a tablet: no plan moves it from now on. A migration under way goes on.
pub(crate) fn pin(node: &Node, key: TabletKey, by: String, reason: String) -> Result<TabletView, Failure> {
    known(node, key)?;
    tracing::info!(tablet = %key, by, "pinned: {reason}");
    set(node, Marked::Pinned(key), Some(Mark { by, reason, since_ms: now_ms() }))?;
    known(node, key)
}

/// Lets plans move a tablet again. One that is not pinned is left as it is.
pub(crate) fn unpin(node: &Node, key: TabletKey) -> Result<TabletView, Failure> {
    known(node, key)?;
    tracing::info!(tablet = %key, "unpinned");
    set(node, Marked::Pinned(key), None)?;
    known(node, key)
}

pub(crate) fn known(node: &Node, key: TabletKey) -> Result<TabletView, Failure> {
    crate::engine::look::tablets::tablet(node, key).ok_or_else(|| {
        Failure::new(ErrorCode::TabletNotFound, format!("tablet {key} is not on this node, or not served"))
    })
}

/// Takes the marks of the journal over, before anything is scheduled.
pub(crate) fn take_up(node: &Node, marks: Vec<(Marked, Mark)>) {
    node.marks().extend(marks);
    node.disks.iter().for_each(|disk| restore_service(node, disk));
}

/// Puts a disk that has just been opened out of service if it was before.
pub(crate) fn restore_service(node: &Node, disk: &Disk) {
    let Some(opened) = disk.opened.get() else { return };
    let Some(mark) = node.marks().get(&Marked::Disabled(opened.identity.uuid)).cloned() else { return };
    tracing::warn!(disk = disk.path, "is disabled, before this start, {mark}");
    disk.set_disabled(Some(mark.to_string()));
}
