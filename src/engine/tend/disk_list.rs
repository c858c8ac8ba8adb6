//! The list of the node's disks is put on each of its roots, for the day on which the state directory is lost.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::node::Node;
use crate::engine::parts::disk::{Disk, visit};
use crate::engine::parts::known_disks::KnownDisks;
use crate::engine::parts::thread::run_isolated;
use crate::storage::put_disk_list;

/// How long a disk may take to be given its copy.
const COPY_WAIT: Duration = Duration::from_secs(5);

/// Puts a copy of the list on every disk that takes it. One that does not is left to the next start.
pub(crate) fn spread(node: &Node) {
    let state_dir = PathBuf::from(&node.config().state_dir);
    // Only the list leaves the thread: the directory is a descriptor of its own.
    let load = move || KnownDisks::load(&state_dir, std::iter::empty()).map(|known| known.list);
    let loaded = run_isolated("known-disks", load);
    let list = match loaded.map_err(|failure| failure.message).and_then(|loaded| loaded) {
        Ok(list) => Arc::new(list),
        Err(why) => return tracing::warn!("the disks have no copy of the list of disks: {why}"),
    };
    let hang_after = node.hang_after();
    let takes = |disk: &&Arc<Disk>| disk.opened.get().is_some() && disk.condition(hang_after).is_writable();
    for disk in node.shown_disks().filter(takes) {
        let list = Arc::clone(&list);
        let put = visit(disk, COPY_WAIT, move |root, _| {
            root.check_identity()?;
            Ok(put_disk_list(root.dir(), &*list)?)
        });
        if let Err(failure) = put {
            tracing::info!(disk = disk.path, "it has no new copy of the list of disks: {failure}");
        }
    }
}
