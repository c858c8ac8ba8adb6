//! Adoption: files that no good record names become a tablet. What they are is read from the medium; what they are *of* is
//! said by a header that an operator gives, or by a record of the same files that is found anywhere on this node.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::find::{Found, Search};
use super::guest::is_guest;
use super::wish::{LOOK_WAIT, Wish, disk_at, invalid};
use crate::engine::look::reading::Reading;
use crate::engine::node::Node;
use crate::engine::parts::disk::{Disk, visit};
use crate::engine::parts::operation_book::Operation;
use crate::engine::view::operations::CopyNamed;
use crate::model::{
    ErrorCode, Failure, FileEntry, HeaderClaims, Manifest, SHARD_COUNT, ShardId, TabletKey, TabletRecord,
    TabletState,
};
use crate::rules::healing::{FoundIn, missing_files, same_files};
use crate::storage::layout::{META, MIGRATING, QUARANTINE, RECORD_FILE, record_name};
use crate::storage::{
    Dir, EntryKind, MetadataStore, ReadFrom, decode_record, quarantine_entries, read_header,
    read_quarantined, read_quarantined_record, read_small, read_unsealed_record,
};
use crate::transfer::{CheckRequest, CopyOptions, check_source, sum_files};

/// The copy that the named directory is, with a record for it; its files have been read.
///
/// # Errors
/// Nothing says what they are of, or what does says otherwise.
pub(super) fn make(
    node: &Arc<Node>,
    operation: &Operation,
    wish: &Wish,
    search: &Search,
) -> Result<Option<Found>, Failure> {
    let Some(CopyNamed::Unrecorded(path, below)) = &wish.from else { return Ok(None) };
    let disk = &disk_at(node, path)?;
    operation.note(format!("reading the files in {path}/{below}"));
    let (root, _) = disk.open()?;
    let files = root.dir().open(below)?;
    let manifest = sum(node, operation, disk, &files)?;
    let shard_id = below.split('/').nth(1).and_then(|shard| shard.parse().ok());
    let record = match &wish.header {
        Some(header) => said_by(wish.key, shard_id, header, manifest)?,
        None => {
            let (record, where_from) = known_record(node, disk, wish.key, search, &manifest)?;
            operation.note(format!("what they are of is said by {where_from}"));
            TabletRecord { shard_id: shard_id.unwrap_or(record.shard_id), manifest, ..record }
        }
    };
    Ok(Some(Found {
        disk: Arc::clone(disk),
        record,
        found_in: FoundIn::Unrecorded,
        files: below.clone(),
        entry: None,
    }))
}

/// What the directory holds, read past the page cache.
fn sum(node: &Node, operation: &Operation, disk: &Disk, files: &Dir) -> Result<Manifest, Failure> {
    let mut listed = Vec::new();
    files.for_each(|name, kind| {
        let name = name.to_string_lossy().into_owned();
        if kind != EntryKind::File {
            let text =
                format!("{}: {} in it is no tablet file", files.path().join(&name).display(), kind.as_str());
            return Err(Failure::new(ErrorCode::UnexpectedEntry, text));
        }
        let size = files.stat(&name)?.map_or(0, |stat| stat.st_size);
        listed.push(FileEntry { name, size_bytes: u64::try_from(size).unwrap_or(0), crc32: None });
        Ok(())
    })?;
    let listed = Manifest::new(listed).map_err(|error| invalid(error.to_string()))?;
    let stop = || operation.checkpoint();
    let (manifest, _) = sum_files(&CheckRequest {
        dir: files,
        manifest: &listed,
        options: &CopyOptions { threads: 1, ..node.copy_options() },
        budget: &node.budget,
        hooks: &Reading { node, disk, bytes: &operation.read_bytes, stop: Some(&stop), count: None },
    })?;
    check_source(files, &manifest)?;
    Ok(manifest)
}

/// The record that a header makes of these files. Its generation is given at the end; none is known.
fn said_by(
    key: TabletKey,
    shard: Option<ShardId>,
    header: &RawValue,
    manifest: Manifest,
) -> Result<TabletRecord, Failure> {
    let fields = read_header(header.get()).map_err(|why| invalid(format!("the header: {why}")))?;
    let absent = HeaderClaims::of(header).not_held(|name| manifest.get(name).is_some());
    if !absent.is_empty() {
        let text = format!("the header says that tablet {key} has more than is there: {}", absent.join("; "));
        return Err(invalid(text));
    }
    let usual = u16::try_from(key.tablet_id.0.rem_euclid(i64::from(SHARD_COUNT))).unwrap_or_default();
    Ok(TabletRecord {
        generation: 0,
        key,
        partition_id: fields.partition_id,
        shard_id: shard.or(fields.shard_id).unwrap_or(ShardId(usual)),
        state: TabletState::Running,
        manifest,
        tablet_meta: header.to_owned(),
    })
}

/// A record of the very same files: of another copy, in quarantine, or the damaged one under the tablet's name.
fn known_record(
    node: &Node,
    disk: &Arc<Disk>,
    key: TabletKey,
    search: &Search,
    manifest: &Manifest,
) -> Result<(TabletRecord, String), Failure> {
    let mut known: Vec<(TabletRecord, String)> = search
        .found
        .iter()
        .map(|copy| (copy.record.clone(), format!("the record of {}", copy.place())))
        .collect();
    let hang_after = node.hang_after();
    if is_guest(disk)
        && let Ok(Some(record)) = visit(disk, LOOK_WAIT, move |_, store| Ok(store.get(key)?))
    {
        known.insert(0, (record, format!("its record on {}", disk.path)));
    }
    let staged = visit(disk, LOOK_WAIT, move |root, _| staged_records(root.dir(), key));
    known.extend(staged.unwrap_or_default());
    for on in node.shown_disks().filter(|on| on.condition(hang_after).is_readable()) {
        let records = visit(on, LOOK_WAIT, move |root, _| quarantined_records(root.dir(), key));
        let named =
            |(record, entry): (TabletRecord, String)| (record, format!("{}/{QUARANTINE}/{entry}", on.path));
        known.extend(records.unwrap_or_default().into_iter().map(named));
    }
    let name = format!("{META}/{}", record_name(key));
    let bytes = visit(disk, LOOK_WAIT, move |root, _| Ok(read_small(root.dir(), &name, ReadFrom::Medium)?));
    if let Some(record) = bytes.ok().flatten().and_then(|bytes| read_unsealed_record(&bytes)) {
        // Its checksum does not vouch for its number.
        let record = TabletRecord { generation: 0, ..record };
        known.push((record, "the damaged record under its name, which has these very files".to_owned()));
    }
    known.retain(|(record, _)| record.key == key);
    let other = known.iter().max_by_key(|(record, _)| record.generation).map(|(record, place)| {
        let missing: Vec<_> = missing_files(&record.manifest, manifest).take(5).collect();
        format!("; {place} has other files, such as {}", missing.join(", "))
    });
    let same = known.into_iter().find(|(record, _)| same_files(&record.manifest, manifest));
    same.ok_or_else(|| {
        invalid(format!(
            "no record on this node says that these files are tablet {key}{}; give its header with --header FILE: its \
             TabletMetaPB as JSON",
            other.unwrap_or_default()
        ))
    })
}

/// Records that are staged for a tablet on a disk, whose files may have gone to their place already. A staged record has
/// the number it would have got, which says nothing of what it holds.
fn staged_records(root: &Dir, key: TabletKey) -> Result<Vec<(TabletRecord, String)>, Failure> {
    let migrating = root.open(MIGRATING)?;
    let mut found = Vec::new();
    for entry in migrating.entries()?.into_iter().filter(|entry| entry.kind == EntryKind::Directory) {
        let Ok(Some(dir)) = migrating.open_if_exists(&entry.name) else { continue };
        let bytes = read_small(&dir, RECORD_FILE, ReadFrom::Cache).ok().flatten();
        if let Some(record) = bytes.and_then(|bytes| decode_record(&bytes).ok())
            && record.key == key
        {
            let place = format!("the record in {}", dir.path().display());
            found.push((TabletRecord { generation: 0, ..record }, place));
        }
    }
    Ok(found)
}

fn quarantined_records(root: &Dir, key: TabletKey) -> Result<Vec<(TabletRecord, String)>, Failure> {
    let mut found = Vec::new();
    for entry in quarantine_entries(root)? {
        let Ok(Some(item)) = read_quarantined(root, &entry) else { continue };
        if item.key == Some(key)
            && let Ok(Some(record)) = read_quarantined_record(root, &item)
        {
            found.push((record, entry));
        }
    }
    Ok(found)
}
