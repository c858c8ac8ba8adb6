//! What may be asked for: to heal, to restore, to adopt.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::guest::is_guest;
use super::run::begin;
use super::wish::{LOOK_WAIT, disk_at, invalid, known_key, nothing_of, refuse_served};
use crate::engine::heal::quarantine;
use crate::engine::node::Node;
use crate::engine::parts::disk::{Disk, visit};
use crate::engine::view::operations::{Adopt, CopyNamed, Heal, OperationView, Restore, RestoreQuarantined};
use crate::model::{ErrorCode, Failure, OperationKind, ShardId, TabletKey};
use crate::storage::layout::{DATA, MIGRATING, QUARANTINE, RECORD_FILE};
use crate::storage::{MetadataStore, ReadFrom, decode_record, read_header, read_quarantined, read_small};

/// Heals a tablet.
///
/// # Errors
/// `TABLET_NOT_FOUND`, `DISK_NOT_FOUND`; as [`crate::engine::operations::begin`].
pub(crate) fn heal(node: &Arc<Node>, request: &Heal) -> Result<OperationView, Failure> {
    let key = known_key(node, request)?;
    let restore = Restore {
        key,
        from: None,
        header: None,
        to: request.to.clone(),
        older: request.older,
        requested_by: request.requested_by.clone(),
    };
    begin(node, OperationKind::Heal, restore)
}

/// Brings back what is in an entry of a quarantine.
///
/// # Errors
/// `QUARANTINE_NOT_FOUND`; as [`restore`].
pub(crate) fn restore_from_quarantine(
    node: &Arc<Node>,
    request: &RestoreQuarantined,
) -> Result<OperationView, Failure> {
    let view = quarantine::show(node, &request.disk, &request.entry)?;
    let restored = Restore {
        key: quarantine::restorable(&view)?,
        from: Some(CopyNamed::InQuarantine(view.disk, view.entry)),
        header: None,
        to: request.to.clone(),
        older: request.older,
        requested_by: request.requested_by.clone(),
    };
    restore(node, &restored)
}

/// Restores a tablet that nobody serves, or that is known to be damaged.
///
/// # Errors
/// `ALREADY_ON_DISK` while the tablet lives; `TRASH_NOT_FOUND`, `DISK_NOT_FOUND`; as [`crate::engine::operations::begin`].
pub(crate) fn restore(node: &Arc<Node>, request: &Restore) -> Result<OperationView, Failure> {
    let key = request.key;
    refuse_served(node, key)?;
    let is_known = node.catalog().is_known(key);
    let is_named_aside = matches!(request.from, Some(CopyNamed::InQuarantine(..)));
    if !is_known && !is_named_aside && !crate::engine::look::trash::has(node, key)? {
        return Err(nothing_of(key));
    }
    begin(node, OperationKind::Restore, request.clone())
}

/// Takes files in that no good record names, or a copy that was set aside.
///
/// # Errors
/// `INVALID_ARGUMENT` where the path or the header is none; `ALREADY_ON_DISK` while the tablet is served; as
/// [`restore`].
pub(crate) fn adopt(node: &Arc<Node>, request: &Adopt) -> Result<OperationView, Failure> {
    let (disk, below) = place_of(node, &request.path)?;
    let disk = &disk;
    let parts: Vec<&str> = below.split('/').collect();
    let (key, from) = match (parts.as_slice(), &request.header) {
        ([DATA, shard, tablet_id, schema_hash], _) => {
            let (Ok(_), Ok(tablet_id), Ok(schema_hash)) =
                (shard.parse::<ShardId>(), tablet_id.parse(), schema_hash.parse())
            else {
                return Err(no_place(&request.path));
            };
            (TabletKey { tablet_id, schema_hash }, CopyNamed::Unrecorded(disk.path.clone(), below.clone()))
        }
        ([MIGRATING, name], _) => {
            let key = staged_key(disk, name, &request.path)?;
            (key, CopyNamed::InStaging(disk.path.clone(), (*name).to_owned()))
        }
        ([QUARANTINE, entry, ..], None) => {
            let view = quarantine::show(node, &disk.path, entry)?;
            (quarantine::restorable(&view)?, CopyNamed::InQuarantine(view.disk, view.entry))
        }
        ([QUARANTINE, entry, ..], Some(header)) => {
            quarantine::refuse_salvaged(&quarantine::show(node, &disk.path, entry)?)?;
            let (at, name) = (Arc::clone(disk), (*entry).to_owned());
            let item = visit(&at, LOOK_WAIT, move |root, _| Ok(read_quarantined(root.dir(), &name)?))?;
            let files = item.and_then(|item| item.files).ok_or_else(|| no_place(&request.path))?;
            let at = format!("{QUARANTINE}/{entry}/{files}");
            (key_of(header)?, CopyNamed::Unrecorded(disk.path.clone(), at))
        }
        _ => return Err(no_place(&request.path)),
    };
    if let Some(header) = &request.header
        && key_of(header)? != key
    {
        let text = format!("{} is of tablet {key}, the header of {}", request.path, key_of(header)?);
        return Err(invalid(text));
    }
    refuse_served(node, key)?;
    if is_guest(disk)
        && let Ok(Some(record)) = visit(disk, LOOK_WAIT, move |_, store| Ok(store.get(key)?))
    {
        // The tablet is to stand above what that disk has.
        node.catalog_mut().was_given(key, record.generation);
    }
    let restore = Restore {
        key,
        from: Some(from),
        header: request.header.clone(),
        to: request.to.clone(),
        older: request.older,
        requested_by: request.requested_by.clone(),
    };
    begin(node, OperationKind::Adopt, restore)
}

fn no_place(path: &str) -> Failure {
    invalid(format!(
        "{path}: not a tablet's directory; name <disk>/data/<shard>/<tablet_id>/<schema_hash>, <disk>/quarantine/<entry> \
         or <disk>/migrating/<name>"
    ))
}

fn key_of(header: &RawValue) -> Result<TabletKey, Failure> {
    Ok(read_header(header.get()).map_err(|why| invalid(format!("the header: {why}")))?.key)
}

/// The disk that a path is on, and the rest of the path: one of this node, or one that was given up and can be read again.
fn place_of(node: &Node, path: &str) -> Result<(Arc<Disk>, String), Failure> {
    let below = |disk: &&Arc<Disk>| path.strip_prefix(&disk.path).is_some_and(|rest| rest.starts_with('/'));
    let on = node.shown_disks().filter(below).max_by_key(|disk| disk.path.len());
    let root = match (on, path.rsplit_once("/data/")) {
        (Some(disk), _) => &disk.path,
        (None, Some((root, _))) if root.starts_with('/') => root,
        (None, _) => return Err(invalid(format!("{path} is on no disk of this node"))),
    };
    Ok((disk_at(node, root)?, path[root.len()..].trim_matches('/').to_owned()))
}

/// A disk of this node, or one that was given up, opened to be read.
fn staged_key(disk: &Arc<Disk>, name: &str, path: &str) -> Result<TabletKey, Failure> {
    let at = format!("{MIGRATING}/{name}/{RECORD_FILE}");
    let bytes = visit(disk, LOOK_WAIT, move |root, _| Ok(read_small(root.dir(), &at, ReadFrom::Cache)?))?;
    let record = bytes.and_then(|bytes| decode_record(&bytes).ok());
    record.map(|record| record.key).ok_or_else(|| {
        let text = format!("{path} has no good record: it was never a whole copy");
        Failure::new(ErrorCode::RecordDamaged, text)
    })
}
