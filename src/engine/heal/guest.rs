//! A disk that was given up and can be read again. It never joins by itself: it is in no table, it is opened to be read,
//! and what is on it comes back only when an operator names it.

use std::collections::BTreeSet;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::engine::node::Node;
use crate::engine::parts::disk::Disk;
use crate::engine::parts::limits::disk_rate;
use crate::engine::parts::opened::Opened;
use crate::engine::parts::thread::spawn_isolated;
use crate::engine::tend::register::change_known_disks;
use crate::model::{DiskIndex, DiskUuid, ErrorCode, Failure, Medium};
use crate::storage::{FileSystem, Root, RootIdentity};

/// No disk of the table has this number.
const GUEST: DiskIndex = DiskIndex(u16::MAX);
/// How long it may take to be opened.
const LOOK_WAIT: Duration = Duration::from_secs(20);

/// Whether a disk is only read, and is none of this node's.
pub(crate) fn is_guest(disk: &Disk) -> bool {
    disk.index == GUEST
}

/// Opens what is at a path, to be read, if it is a disk that was given up.
///
/// # Errors
/// `INVALID_ARGUMENT` when nothing of this node was ever there; `DISK_UNAVAILABLE` when it cannot be read.
pub(crate) fn open(node: &Node, path: &str) -> Result<Arc<Disk>, Failure> {
    let lost: BTreeSet<DiskUuid> = change_known_disks(node, |known| Ok(known.lost().collect()))?;
    let (sender, answer) = mpsc::sync_channel(1);
    let at = path.to_owned();
    spawn_isolated("look-at-disk", move || drop(sender.send(identify(&at))))?;
    let looked = answer.recv_timeout(LOOK_WAIT).unwrap_or_else(|_| {
        let why = format!("{path} did not answer within {} s", LOOK_WAIT.as_secs());
        Err(Failure::new(ErrorCode::DiskUnavailable, why))
    })?;
    let refused = |why: String| Failure::new(ErrorCode::InvalidArgument, why);
    let (identity, file_system) =
        looked.ok_or_else(|| refused(format!("{path} is no disk of this node, and has no disk.json")))?;
    if !lost.contains(&identity.uuid) {
        return Err(refused(format!(
            "{path} is disk {}, which this node neither has nor gave up; tabletctl disk register {path} lets it join",
            identity.uuid
        )));
    }
    let rate = disk_rate(&node.config(), path);
    let disk = Disk::new(GUEST, path.to_owned(), Medium::Hdd, rate);
    // Nothing is ever written to it.
    disk.set_disabled(Some(format!("disk {} was given up, and is only read", identity.uuid)));
    // Nobody syncs it: what is sent there is refused.
    let (syncs, _) = mpsc::channel();
    if disk.opened.set(Opened { identity, file_system, syncs }).is_err() {
        return Err(Failure::new(ErrorCode::Internal, format!("{path} was opened twice")));
    }
    Ok(Arc::new(disk))
}

fn identify(path: &str) -> Result<Option<(RootIdentity, FileSystem)>, Failure> {
    let unreadable = |why: String| Failure::new(ErrorCode::DiskUnavailable, format!("{path}: {why}"));
    let Some(root) = Root::look(path).map_err(|error| unreadable(error.to_string()))? else {
        return Ok(None);
    };
    let file_system = FileSystem::of(root.dir()).map_err(|error| unreadable(error.to_string()))?;
    Ok(Some((*root.identity(), file_system)))
}
