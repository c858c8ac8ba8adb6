//! One move, read from top to bottom: `doris-roots` 5.3.
//!
//! ```text
//! accept     in `accept`: everything is as it must be, and the journal has the row
//! copy       files into `.tabletd/migrating/<id>/`, durable, read back
//! commit     files to their place, durable; then ONE BATCH at the destination: it owns the tablet from here on
//! retire     ONE BATCH at the source; then its directory into `.tabletd/retired/<id>/`
//! ```
//!
//! Each step takes what only the step before makes. Before the commit nothing is written to the source; after it nothing is
//! removed from the destination. A crash between the two batches leaves two whole copies, of which every backend keeps the
//! destination's.

use super::accept::{Accepted, ids_of};
use super::book::{Book, advance, now_ms};
use super::bytes::{self, Means};
use super::node::Node;
use super::root::Root;
use super::watch::{Hooks, Watch};
use crate::doris::database::Pair;
use crate::doris::files::TabletFiles;
use crate::doris::inventory::Found;
use crate::doris::keys::Key;
use crate::doris::moving::Batches;
use crate::doris::record::{RowsetState, Tablet};
use crate::fault;
use crate::model::{ErrorCode, Failure, FileEntry, Migration, Receipt, ShardId, SourceAfter, Swap};
use crate::rules::transition::Event;
use crate::storage::layout::{FILES, MIGRATING, tablet_dir, tablet_parent};
use crate::storage::{
    CommitError, Dir, DiskError, Owner, Purpose, Staging, StorageError, is_placed, keep_meta, keep_record,
    read_owner, remove_empty_parents, remove_staging, retire_directory,
};
use crate::transfer::Coldness;

/// Its files are whole at the destination, and own nothing.
pub(super) struct Copied {
    accepted: Accepted,
    staging: Staging,
}

/// The destination owns the tablet.
pub(super) struct Committed {
    accepted: Accepted,
}

/// Where a move stopped.
pub(super) enum Stop {
    /// The source owns the tablet as before.
    BeforeCommit(Failure),
    /// A call failed in the middle of the commit.
    InDoubt(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::BeforeCommit(failure)
    }
}

/// Copies the files of a move. Nothing of the backend's is written yet, and the node is only looked at.
///
/// # Errors
/// [`Stop::BeforeCommit`], with the row as it stood.
pub(super) fn copy(
    node: &Node,
    accepted: Accepted,
    means: &Means,
    watch: &dyn Watch,
) -> Result<Copied, (Box<Migration>, Failure)> {
    let row = Box::new(accepted.row.clone());
    copy_into_staging(node, accepted, means, watch).map_err(|failure| (row, failure))
}

/// Puts what was copied in its place, and commits.
///
/// # Errors
/// [`Stop`].
pub(super) fn commit(
    node: &mut Node,
    book: &mut Book,
    copied: Copied,
    watch: &dyn Watch,
) -> Result<Committed, (Box<Migration>, Stop)> {
    let row = Box::new(copied.accepted.row.clone());
    place_and_commit(node, book, copied, watch).map_err(|stop| (row, stop))
}

fn copy_into_staging(
    node: &Node,
    mut accepted: Accepted,
    means: &Means,
    watch: &dyn Watch,
) -> Result<Copied, Failure> {
    let (source, destination) = (&node.roots[accepted.from], &node.roots[accepted.to]);
    let row = &mut accepted.row;
    advance(row, Event::Start, "checked")?;
    advance(row, Event::PreflightPassed, "tablet, disks and space are as they must be")?;
    row.attempts += 1;
    let staging = staging(destination, row)?;
    fault::point("staging_created");
    advance(row, Event::Prepared, "staging stands")?;
    advance(row, Event::CopyStarted, "copying")?;
    watch.stands(row);
    let shard = row.source_shard.unwrap_or(ShardId(0));
    let parent = source.disk.dir().open(tablet_parent(shard, row.key.tablet_id))?;
    let name = row.key.schema_hash.to_string();
    let dir = parent.open(&name)?;
    let from = bytes::From { parent: &parent, name: &name, dir: &dir };
    let copied = bytes::copy(&from, &accepted.files.files, &staging, means, &Hooks(watch))?;
    fault::point("data_copied");
    advance(row, Event::CopyVerified, "a verified, durable copy stands in staging")?;
    let manifest_crc32 = sum_of_sums(&copied.files);
    row.receipt = Some(Receipt {
        generation: 0,
        files: copied.files.len() as u64,
        bytes: row.counters.total_bytes,
        manifest_crc32,
        verified_cold: copied.coldness == Coldness::Cold,
        pause_us: 0,
        duration_ms: 0,
        trash_path: None,
    });
    if let Some(doris) = &mut row.doris {
        doris.files = copied.files;
    }
    Ok(Copied { accepted, staging })
}

/// CRC-32 over the checksums in name order, as the daemon's receipts have it.
fn sum_of_sums(files: &[FileEntry]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    files.iter().for_each(|file| hasher.update(&file.crc32.unwrap_or(0).to_le_bytes()));
    hasher.finalize()
}

fn staging(destination: &Root, row: &Migration) -> Result<Staging, Failure> {
    let (room, _) = destination.disk.ensure_room()?;
    let name = row.id.to_string();
    take_back(destination, row)?;
    let owner = Owner {
        purpose: Purpose::Migration,
        migration_id: Some(row.id),
        key: row.key,
        shard_id: row.destination_shard.unwrap_or(ShardId(0)),
        source: Some(row.source.clone()),
        source_shard: row.source_shard,
        destination: row.destination.clone(),
        asked: None,
    };
    Ok(Staging::open_or_create(&room, &name, &owner)?)
}

/// Takes files that were placed, and that no record owns, back into the staging directory they came from.
///
/// # Errors
/// As the calls made.
pub(super) fn take_back(destination: &Root, row: &Migration) -> Result<(), Failure> {
    let Some(shard) = row.destination_shard else { return Ok(()) };
    let Some(room) = destination.disk.room()? else { return Ok(()) };
    let Some(staging) = room.open_if_exists(format!("{MIGRATING}/{}", row.id))? else { return Ok(()) };
    let is_ours = read_owner(&staging)?.is_some_and(|owner| owner.key == row.key && owner.shard_id == shard);
    let root = destination.disk.dir();
    let is_owner = |found: &Found| match &found.record {
        Ok(tablet) => found.ids.tablet_id == row.key.tablet_id.0 && tablet.shard == i64::from(shard.0),
        Err(_) => found.ids.tablet_id == row.key.tablet_id.0,
    };
    let unowned = !destination.inventory.tablets.values().any(is_owner);
    if is_ours && unowned && staging.kind(FILES)?.is_none() && is_placed(root, shard, row.key)? {
        let parent = root.open(tablet_parent(shard, row.key.tablet_id))?;
        parent.rename(&row.key.schema_hash.to_string(), &staging, FILES)?;
        remove_empty_parents(root, shard, row.key)?;
        root.sync_file_system()?;
    }
    Ok(())
}

/// Removes what a move made at its destination, and that owns nothing.
///
/// # Errors
/// As the calls made; it can be done again.
pub(super) fn remove_copy(destination: &Root, row: &Migration) -> Result<(), Failure> {
    take_back(destination, row)?;
    if let Some(room) = destination.disk.room()? {
        remove_staging(&room.open(MIGRATING)?, &row.id.to_string())?;
    }
    Ok(())
}

fn place_and_commit(
    node: &mut Node,
    book: &mut Book,
    copied: Copied,
    watch: &dyn Watch,
) -> Result<Committed, Stop> {
    let Copied { mut accepted, staging } = copied;
    // The last moment at which it can be called off.
    watch.go_on()?;
    advance(&mut accepted.row, Event::FinalizeStarted, "swapping")?;
    if let Some(doris) = &mut accepted.row.doris {
        // `meta/` is kept under the name of the run that writes, which need not be the one that accepted.
        doris.run.clone_from(&node.run);
    }
    book.note(&accepted.row)?;
    watch.stands(&accepted.row);
    fault::point("finalizing_journalled");
    let destination = &mut node.roots[accepted.to];
    keep_meta(&destination.disk, &node.run).map_err(Failure::from)?;
    fault::point("meta_kept");
    let record = Key::tablet(accepted.ids).into_bytes();
    if let Some((_, record)) = accepted.replaced.iter().find(|(key, _)| *key == record) {
        keep_record(&destination.disk, accepted.row.id, accepted.row.key, record).map_err(Failure::from)?;
    }
    place(destination, &accepted, &staging).map_err(Failure::from)?;
    fault::point("placed_synced");
    destination.disk.check_identity().map_err(Failure::from)?;
    let replaced: Vec<Vec<u8>> = accepted.replaced.iter().map(|(key, _)| key.clone()).collect();
    match destination.store.commit(&replaced, &accepted.batches.put) {
        Ok(()) => {}
        Err(CommitError::NotCommitted(error)) => return Err(Stop::BeforeCommit(error.into())),
        Err(CommitError::InDoubt(error)) => return Err(Stop::InDoubt(error.into())),
    }
    fault::point("committed");
    if let Some(doris) = &mut accepted.row.doris {
        doris.swap = Swap::Durable;
    }
    // Should it not be written, the next run sees by both databases that the commit has happened.
    if let Err(failure) = book.note(&accepted.row) {
        tracing::error!("{failure}");
    }
    fault::point("commit_journalled");
    note_in_memory(node, &accepted);
    Ok(Committed { accepted })
}

/// Renames the files to their place, durably. What is made on the way there is the backend's.
fn place(destination: &Root, accepted: &Accepted, staging: &Staging) -> Result<(), StorageError> {
    let root = destination.disk.dir();
    let shard = accepted.row.destination_shard.unwrap_or(ShardId(0));
    for path in [format!("data/{shard}"), tablet_parent(shard, accepted.row.key.tablet_id)] {
        if root.kind(&path)?.is_none() {
            root.ensure(&path)?;
            destination.disk.give_to_backend(root, &path)?;
        }
    }
    staging.place(root)?;
    fault::point("placed");
    Ok(root.sync_file_system()?)
}

/// Which root has the tablet now; for what is moved after it in this run.
fn note_in_memory(node: &mut Node, accepted: &Accepted) {
    let found = node.roots[accepted.from].inventory.tablets.remove(&accepted.ids);
    let key = Key::tablet(accepted.ids).into_bytes();
    let record = accepted.batches.put.iter().find(|(put, _)| *put == key);
    if let (Some(mut found), Some((_, record))) = (found, record) {
        found.record = Tablet::read(record).map_err(|why| why.0);
        // Those that were visible are in the record now.
        found.fresh.retain(|rowset| rowset.state == RowsetState::Committed);
        if let Ok(tablet) = &found.record {
            found.fresh.iter_mut().for_each(|rowset| rowset.uid = tablet.uid);
        }
        node.roots[accepted.to].inventory.tablets.insert(accepted.ids, found);
    }
}

impl Committed {
    /// A commit that an earlier run made: the destination is as it was written, and the source as it was.
    pub(super) fn of_earlier_run(
        row: Migration,
        ends: (usize, usize),
        before: Vec<Pair>,
        batches: Batches,
    ) -> Self {
        let (ids, files) = (ids_of(row.key), TabletFiles::default());
        Self {
            accepted: Accepted {
                row,
                from: ends.0,
                to: ends.1,
                ids,
                files,
                before,
                batches,
                replaced: Vec::new(),
            },
        }
    }
}

/// Takes the source out of use. The move is made, whatever fails here: it is said, and done by the next run.
pub(super) fn retire(node: &mut Node, book: &mut Book, committed: Committed) -> Migration {
    let Accepted { mut row, from, ids, before, batches, to, .. } = committed.accepted;
    let key = Key::tablet(ids).into_bytes();
    let record = before.iter().find(|(own, _)| *own == key).map_or(&[][..], |(_, record)| record);
    if row.doris.as_ref().is_some_and(|doris| doris.source_after == SourceAfter::LeftAlone) {
        end_moved(&node.roots[to], book, &mut row);
        return row;
    }
    match delete_at_source(&mut node.roots[from], &node.run, &row, record, &batches) {
        Ok(()) => {
            if let Some(doris) = &mut row.doris {
                doris.retired_run = Some(node.run.clone());
            }
            put_away(&mut row, &node.roots[from]);
        }
        Err(failure) => {
            let source = &node.roots[from].path;
            row.status_reason = format!(
                "committed, not retired: {failure}; every backend takes the destination's copy, and the next run retires \
                 {source}'s; a root that cannot be written must leave storage_root_path"
            );
            row.failure = Some(failure);
        }
    }
    end_moved(&node.roots[to], book, &mut row);
    row
}

fn delete_at_source(
    source: &mut Root,
    run: &str,
    row: &Migration,
    record: &[u8],
    batches: &Batches,
) -> Result<(), Failure> {
    if source.disk.dir().is_on_read_only()? {
        let text = format!("{} takes no writes", source.path);
        return Err(Failure::new(ErrorCode::DiskUnavailable, text));
    }
    keep_meta(&source.disk, run)?;
    keep_record(&source.disk, row.id, row.key, record)?;
    source.disk.dir().sync_file_system()?;
    fault::point("record_kept");
    source.disk.check_identity()?;
    source.store.commit(&batches.delete, &[]).map_err(StorageError::from)?;
    fault::point("source_record_retired");
    Ok(())
}

/// The directory of a tablet whose keys are gone from the source.
pub(super) fn put_away(row: &mut Migration, source: &Root) {
    let shard = row.source_shard.unwrap_or(ShardId(0));
    let away = || -> Result<String, DiskError> {
        let path = retire_directory(&source.disk, row.id, shard, row.key)?;
        fault::point("source_directory_retired");
        source.disk.dir().sync_file_system()?;
        fault::point("source_synced");
        Ok(path)
    };
    match away() {
        Ok(path) => {
            row.failure = None;
            if let Some(receipt) = &mut row.receipt {
                receipt.trash_path = Some(path);
            }
        }
        Err(error) => {
            let directory = tablet_dir(shard, row.key);
            row.status_reason = format!(
                "committed; {directory} of {} could not be put away: {error}; no record names it any more, and the next \
                 run puts it away",
                source.path
            );
            row.failure = Some(error.into());
        }
    }
}

/// Ends a move whose source is retired. One whose source is not stays as it is: the next run takes it up.
pub(super) fn end_moved(destination: &Root, book: &mut Book, row: &mut Migration) {
    if row.failure.is_none()
        && let Err(error) = put_replaced_away(destination, row)
    {
        row.status_reason = format!("committed; the copy that was replaced could not be put away: {error}");
        row.failure = Some(error.into());
    }
    if row.failure.is_none() {
        remove_empty_staging(destination, row);
        let now = now_ms();
        if let Some(receipt) = &mut row.receipt {
            receipt.duration_ms = u64::try_from(now - row.created_ms).unwrap_or(0);
        }
        let reason = format!("on {}", destination.path);
        if let Err(failure) = advance(row, Event::Completed, reason) {
            tracing::error!("{failure}");
        }
    }
    if let Err(failure) = book.note(row) {
        // The disks know: the next run settles it the same way.
        tracing::error!("{failure}");
    }
    fault::point("completed");
}

/// The directory of a retired copy, whose record went with the commit.
fn put_replaced_away(destination: &Root, row: &Migration) -> Result<(), DiskError> {
    let Some(replaced) = row.doris.as_ref().and_then(|doris| doris.replaces.as_ref()) else { return Ok(()) };
    let root = destination.disk.dir();
    if row.destination_shard == Some(replaced.shard) || !is_placed(root, replaced.shard, row.key)? {
        return Ok(());
    }
    // A backend that has run meanwhile may have the tablet there.
    let may_name = |found: &Found| {
        let shard = i64::from(replaced.shard.0);
        found.ids == ids_of(row.key) && found.record.as_ref().map_or(true, |tablet| tablet.shard == shard)
    };
    if destination.inventory.tablets.values().any(may_name) {
        return Ok(());
    }
    retire_directory(&destination.disk, row.id, replaced.shard, row.key)?;
    fault::point("replaced_put_away");
    root.sync_file_system()
}

/// What is left of a staging directory whose files are in their place.
pub(super) fn remove_empty_staging(destination: &Root, row: &Migration) {
    let remove = || -> Result<(), DiskError> {
        let Some(room) = destination.disk.room()? else { return Ok(()) };
        let migrating: Dir = room.open(MIGRATING)?;
        match migrating.open_if_exists(row.id.to_string())? {
            Some(staging) if staging.kind(FILES)?.is_none() => {
                remove_staging(&migrating, &row.id.to_string())
            }
            _ => Ok(()),
        }
    };
    if let Err(error) = remove() {
        tracing::warn!("staging of move {} stays: {error}", row.id);
    }
}
