//! What is to come back, of which tablet, and who may not have it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::engine::damage;
use crate::engine::heal::guest;
use crate::engine::node::Node;
use crate::engine::parts::disk::Disk;
use crate::engine::view::operations::{CopyNamed, Heal};
use crate::model::{ErrorCode, Failure, TabletKey};
use crate::rules::giving_up::Older;

/// How long a look at one thing that was named may take.
pub(super) const LOOK_WAIT: Duration = Duration::from_secs(20);

/// What is to come back, and how.
pub(crate) struct Wish {
    pub(super) key: TabletKey,
    pub(super) generation: u64,
    pub(super) from: Option<CopyNamed>,
    pub(super) header: Option<Box<RawValue>>,
    pub(super) to: Option<Arc<Disk>>,
    pub(super) older: Older,
}

/// # Errors
/// `ALREADY_ON_DISK` while somebody serves the tablet who is not known to be damaged.
pub(crate) fn refuse_served(node: &Node, key: TabletKey) -> Result<(), Failure> {
    let served = node.catalog().get(key).map(|entry| (entry.disk, entry.generation));
    let Some((disk, generation)) = served.filter(|_| damage::trouble_of(node, key).is_none()) else {
        return Ok(());
    };
    let (id, path) = (key.tablet_id, &node.disk(disk).path);
    let text = format!(
        "tablet {key} exists on {path} with generation {generation}: there is nothing to bring back. Should it be \
         damaged: tabletctl tablet heal {id}"
    );
    Err(Failure::new(ErrorCode::AlreadyOnDisk, text))
}

pub(crate) fn nothing_of(key: TabletKey) -> Failure {
    let text = format!("no trash, quarantine or staging of this node has tablet {key} with a good header");
    Failure::new(ErrorCode::TrashNotFound, text)
}

pub(crate) fn known_key(node: &Node, request: &Heal) -> Result<TabletKey, Failure> {
    let id = request.tablet_id;
    if let Some(schema_hash) = request.schema_hash {
        return Ok(TabletKey { tablet_id: id, schema_hash });
    }
    let keys: Vec<_> = {
        let catalog = node.catalog();
        let served = catalog.with_id(id).map(|(key, _)| key);
        let known: Vec<_> = served.chain(catalog.unavailable_with_id(id).map(|(key, _)| key)).collect();
        // One whose owner was given up may be in trash still.
        if known.is_empty() { catalog.seen_with_id(id).collect() } else { known }
    };
    match keys.as_slice() {
        [one] => Ok(*one),
        [] => Err(crate::engine::look::migrations::why_not_served(node, id, None)),
        several => {
            let hashes: Vec<_> = several.iter().map(|key| key.schema_hash.to_string()).collect();
            let text = format!("tablet {id} has several schema hashes, say which: {}", hashes.join(", "));
            Err(Failure::new(ErrorCode::InvalidArgument, text))
        }
    }
}

/// What was asked for cannot be meant.
pub(super) fn invalid(text: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidArgument, text)
}

/// The disk at this path; a guest where a disk that was given up is mounted there.
pub(super) fn disk_at(node: &Node, path: &str) -> Result<Arc<Disk>, Failure> {
    match node.disk_at(path) {
        Some(disk) if disk.opened.get().is_some() => Ok(Arc::clone(disk)),
        _ => guest::open(node, path),
    }
}
