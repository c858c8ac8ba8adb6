//! Tablets of which a file is not there, found by listing their directories: nothing of the files is read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::reading::{open_tablet, owner, read_record};
use crate::engine::node::Node;
use crate::engine::parts::disk::{Disk, visit};
use crate::model::{ErrorCode, Failure, TabletKey};

/// How long one tablet may take.
const LIST_WAIT: Duration = Duration::from_secs(60);

/// # Errors
/// A disk cannot be asked, or does not answer in time.
pub(crate) fn lost(node: &Arc<Node>) -> Result<Vec<TabletKey>, Failure> {
    let keys: Vec<TabletKey> = node.catalog().after(None).map(|(key, _)| key).collect();
    let mut lost = Vec::new();
    for key in keys {
        node.stopping.check()?;
        match is_whole(node, key) {
            Ok(true) => {}
            Ok(false) => lost.push(key),
            // It has moved or gone since the list was made, or is not served: then that is told elsewhere.
            Err(failure)
                if matches!(failure.code, ErrorCode::TabletNotFound | ErrorCode::TabletUnavailable) => {}
            Err(failure) if matches!(failure.code, ErrorCode::SourceDamaged | ErrorCode::RecordDamaged) => {
                lost.push(key);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(lost)
}

/// Where it is now: one that moves while it is listed has lost nothing, though its record leaves the disk it was on.
fn is_whole(node: &Node, key: TabletKey) -> Result<bool, Failure> {
    let place = || node.catalog().get(key).map(|entry| (entry.disk, entry.generation));
    loop {
        let before = place();
        let whole = is_whole_on(&owner(node, key)?, key);
        if place() == before {
            return whole;
        }
    }
}

fn is_whole_on(disk: &Arc<Disk>, key: TabletKey) -> Result<bool, Failure> {
    visit(disk, LIST_WAIT, move |root, store| {
        let record = read_record(store, key)?;
        let entries = open_tablet(root, &record)?.entries()?;
        let names: BTreeSet<_> = entries.iter().filter_map(|entry| entry.name.to_str()).collect();
        Ok(record.manifest.files().iter().all(|file| names.contains(file.name.as_str())))
    })
}
