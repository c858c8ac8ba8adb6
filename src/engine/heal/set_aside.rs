//! A directory below `data/` that no record names goes to quarantine, beside an owner that lives: its disk can be let go
//! then. What may be the last copy of its tablet stays, and is adopted.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::node::Node;
use crate::engine::parts::counts::Counts;
use crate::engine::parts::disk::{Disk, note_storage_error, stay};
use crate::engine::parts::flush::SharedBarrier;
use crate::engine::parts::operation_book::NewOperation;
use crate::engine::parts::operation_book::Operation;
use crate::engine::view::operations::{OperationView, SetAside};
use crate::engine::{damage, operations};
use crate::model::{ErrorCode, Failure, OperationItem, OperationKind, ShardId, TabletKey};
use crate::storage::Barrier;
use crate::storage::layout::TRASH;
use crate::storage::{
    DataDir, MetadataStore, Quarantined, Unnamed, look_unnamed, quarantine, retirements_cut_short,
};

/// How long it may take: renames, and a sync.
const WAIT: Duration = Duration::from_secs(600);

/// Begins it. An operation, so that nothing else has the tablet meanwhile.
///
/// # Errors
/// `INVALID_ARGUMENT` for what is no such directory; `TABLET_UNAVAILABLE` while nobody serves its tablet; as
/// [`operations::begin`].
pub(crate) fn begin(node: &Arc<Node>, request: &SetAside) -> Result<OperationView, Failure> {
    let found = node.shown_disks().find_map(|disk| {
        let below = request.path.strip_prefix(&disk.path)?.trim_matches('/');
        Some((Arc::clone(disk), disk.unrecorded.find(below)?))
    });
    let Some((disk, dir)) = found else {
        let text = format!(
            "{} is not known as a directory without a record; tabletctl tablet unrecorded lists them",
            request.path
        );
        return Err(Failure::new(ErrorCode::InvalidArgument, text));
    };
    if let Some((shard, key)) = dir.place {
        refuse_last_copy(node, &disk, shard, key, &request.path)?;
    }
    let new = NewOperation {
        kind: OperationKind::SetAside,
        subject: request.path.clone(),
        requested_by: request.requested_by.clone(),
        claims: dir.place.map(|(_, key)| key),
    };
    operations::begin(node, &new, move |node, operation| run(node, operation, &disk, &dir))
}

/// # Errors
/// Nobody serves the tablet, or not well: this may be what is left of it.
fn refuse_last_copy(
    node: &Node,
    disk: &Disk,
    shard: ShardId,
    key: TabletKey,
    path: &str,
) -> Result<(), Failure> {
    let owner = node.catalog().get(key).map(|entry| (entry.disk, entry.shard_id));
    let why = match owner {
        None => "nobody serves it".to_owned(),
        Some(place) if place == (disk.index, shard) => "it is served from this very place".to_owned(),
        Some((owner, _)) if !node.disk(owner).condition(node.hang_after()).is_readable() => {
            format!("its owner is on {}, which cannot be read now", node.disk(owner).path)
        }
        Some(_) => match damage::trouble_of(node, key) {
            Some(trouble) => trouble.why,
            None => return Ok(()),
        },
    };
    let text = format!(
        "{path} stays: it may be the last good copy of tablet {key}: {why}; tabletctl tablet adopt {path} takes it in"
    );
    Err(Failure::new(ErrorCode::TabletUnavailable, text))
}

fn run(node: &Arc<Node>, operation: &Operation, disk: &Arc<Disk>, dir: &DataDir) -> Result<String, Failure> {
    // Asked again now that nobody else has the tablet.
    if let Some((shard, key)) = dir.place {
        refuse_last_copy(node, disk, shard, key, &format!("{}/{}", disk.path, dir.path))?;
    }
    operation.expect(1);
    let (own, at) = (Arc::clone(disk), dir.clone());
    let (to, unnamed) = stay(disk, WAIT, move |root, store| {
        let _call = own.enter("setting a directory aside");
        root.check_identity()?;
        let unnamed = look_unnamed(root.dir(), store, &at).ok_or_else(|| {
            let why = format!("{}/{} has a record by now, or is gone", own.path, at.path);
            Failure::new(ErrorCode::InvalidArgument, why)
        })?;
        if let Some((_, key)) = at.place
            && retirements_cut_short(&root.dir().open(TRASH)?)?.contains(&key)
        {
            let why = format!(
                "{}/{} is a source whose way to trash was cut short: that is ended by itself",
                own.path, at.path
            );
            return Err(Failure::new(ErrorCode::DiskInUse, why));
        }
        let path = move_away(&own, root.dir(), store, &at)?;
        Ok((path, unnamed))
    })?;
    disk.unrecorded.note(dir.clone(), None);
    disk.note_something_aside();
    Counts::add(&node.counts.quarantined);
    tracing::warn!(disk = disk.path, "{} was set aside in {to}", dir.path);
    Ok(ended(operation, disk, dir, &unnamed, &to))
}

fn move_away(
    disk: &Arc<Disk>,
    root: &crate::storage::Dir,
    store: &dyn MetadataStore,
    dir: &DataDir,
) -> Result<String, Failure> {
    let why = format!("{}: no record named it; set aside by an operator", dir.path);
    let what = match dir.place {
        Some((shard, key)) => Quarantined::Files { shard, key, record: None },
        None => Quarantined::Foreign { path: &dir.path },
    };
    let barrier = SharedBarrier::new(disk);
    let path = quarantine(root, store, &what, &why).and_then(|path| Ok(barrier.sync().map(|()| path)?));
    path.map_err(|error| {
        note_storage_error(disk, &error);
        error.into()
    })
}

fn ended(operation: &Operation, disk: &Disk, dir: &DataDir, unnamed: &Unnamed, to: &str) -> String {
    operation.done_with(OperationItem {
        key: dir.place.map(|(_, key)| key),
        disk: disk.path.clone(),
        entry: to.rsplit('/').next().map(str::to_owned),
        size_bytes: unnamed.size_bytes,
        outcome: Ok(()),
    });
    format!("{0}/{1} is in {0}/{to}", disk.path, dir.path)
}
