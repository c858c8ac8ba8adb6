//! Finalize: the swap, and then the retirement of the source.
//!
//! The order of durable writes, and why:
//!
//! 1. the journal says `finalizing`: should the destination vanish now, the next start knows that it may own the tablet;
//! 2. what appeared meanwhile is copied and verified;
//! 3. the files are renamed to their place and synced: a record never names files that are not there;
//! 4. the disk is checked to be the disk it was: after a lazy unmount the path leads elsewhere;
//! 5. **commit point**: the staged record, one generation higher, is renamed into the store and synced;
//! 6. the catalog switches;
//! 7. the source's record, then its directory, go to trash, and are synced: only now may anybody say "completed";
//! 8. the empty staging directory is removed.

use std::time::Instant;

use super::base::Line;
use super::data::{Ready, catch_up};
use super::preflight::read_record;
use crate::engine::ledger;
use crate::engine::parts::entry::Entry;
use crate::engine::parts::flush::SharedBarrier;
use crate::engine::parts::job::apply;
use crate::engine::parts::rewrite::content_crc32;
use crate::engine::parts::undone::Action;
use crate::engine::parts::unfinished;
use crate::fault;
use crate::model::{Failure, Receipt, TabletRecord};
use crate::rules::transition::Event;
use crate::storage::MetadataStore;
use crate::storage::layout::tablet_dir;
use crate::storage::{
    Barrier, CommitError, DiskError, NativeStore, RetiredNote, Root, StagedRecord, retire as retire_to_trash,
};
use crate::transfer::Coldness;

/// Rounds of catching up before the swap begins; the last one is within it.
const ROUNDS_BEFORE_SWAP: u32 = 3;

/// Proof that the destination owns the tablet.
pub(super) struct Swapped {
    ready: Ready,
    pause_us: u64,
}

/// Where a swap failed.
pub(super) enum SwapError {
    /// The source owns the tablet as before.
    BeforeCommit(Failure),
    /// The record was renamed, but its sync failed; or the rename failed in a way that may have happened all the same.
    InDoubt(Failure),
}

impl AsRef<Failure> for SwapError {
    fn as_ref(&self) -> &Failure {
        match self {
            Self::BeforeCommit(failure) | Self::InDoubt(failure) => failure,
        }
    }
}

impl From<Failure> for SwapError {
    fn from(failure: Failure) -> Self {
        Self::BeforeCommit(failure)
    }
}

pub(super) fn swap(line: &Line<'_>, ready: Ready) -> Result<Swapped, SwapError> {
    let mut ready = catch_up_first(line, ready)?;
    line.job.enter_commit()?;
    // Journalled with the status: should nobody be here to write down the end, the receipt is there already.
    line.job.lock().receipt = Some(receipt_of(&ready));
    let posted = line
        .job
        .turn()
        .change(&line.node.journal, |row| apply(row, Event::FinalizeStarted, "swapping".to_owned()))?;
    posted.wait()?;
    fault::point("finalizing_journalled");

    let began = Instant::now();
    if let Some((now, source_dir)) = changed_source(line, &ready)? {
        ready = catch_up(line, ready, now, source_dir)?;
    }
    let (root, store) = &ready.prepared.passed.destination;
    let staging = &ready.prepared.staging;
    if fault::is_left_out("commit_before_retire") {
        let _ = retire_source(line, &ready.prepared.passed.source, &ready.record);
    }

    staging.place(root.dir()).map_err(|error| line.on_destination(error))?;
    fault::point("placed");
    let placed = sync_directories(line, &ready.barrier).and_then(|()| {
        fault::point("placed_synced");
        root.check_identity().map_err(|error| line.on_destination(error))
    });
    if let Err(failure) = placed {
        unfinished::take_back_placed(root, staging.dir(), ready.record.shard_id, line.key);
        return Err(SwapError::BeforeCommit(failure));
    }

    let staged = StagedRecord::already(staging.dir(), ready.record.clone());
    if fault::is_left_out("record_sync") {
        let _ = StagedRecord::write(staging.dir(), ready.record.clone());
    }
    let names: &dyn Barrier = if fault::is_left_out("directory_sync") { &NotSynced } else { &ready.barrier };
    match store.commit(&staged, names) {
        Ok(()) => {}
        Err(CommitError::NotCommitted(error)) => {
            let failure = line.on_destination(error);
            unfinished::take_back_placed(root, staging.dir(), ready.record.shard_id, line.key);
            return Err(SwapError::BeforeCommit(failure));
        }
        Err(CommitError::InDoubt(error)) => return Err(SwapError::InDoubt(line.on_destination(error))),
    }
    fault::point("committed");
    switch_owner(line, &ready.record);
    let pause_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    fault::point("catalog_switched");
    Ok(Swapped { ready, pause_us })
}

/// What stands in for a barrier where the fault suite leaves a rule out.
struct NotSynced;

impl Barrier for NotSynced {
    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

fn sync_directories(line: &Line<'_>, barrier: &dyn Barrier) -> Result<(), Failure> {
    if fault::is_left_out("directory_sync") {
        return Ok(());
    }
    barrier.sync().map_err(|error| line.on_destination(error))
}

/// A tablet that keeps changing is followed before the swap begins, so that the last round is short.
fn catch_up_first(line: &Line<'_>, mut ready: Ready) -> Result<Ready, Failure> {
    for _ in 0..ROUNDS_BEFORE_SWAP {
        let Some((now, source_dir)) = changed_source(line, &ready)? else { break };
        ready = catch_up(line, ready, now, source_dir)?;
    }
    Ok(ready)
}

/// The source's record, if it is no longer the one that was copied, and its directory.
fn changed_source(
    line: &Line<'_>,
    ready: &Ready,
) -> Result<Option<(TabletRecord, crate::storage::Dir)>, Failure> {
    let passed = &ready.prepared.passed;
    let now = read_record(line, &passed.source.1)?;
    let same = now.generation == passed.record.generation
        && now.manifest == passed.record.manifest
        && now.tablet_meta.get() == passed.record.tablet_meta.get();
    if same {
        return Ok(None);
    }
    let dir = passed.source.0.dir().open(tablet_dir(now.shard_id, line.key));
    Ok(Some((now, dir.map_err(|error| line.on_source(error))?)))
}

/// The destination owns the tablet from here on.
fn switch_owner(line: &Line<'_>, record: &TabletRecord) {
    let mut catalog = line.node.catalog_mut();
    let holder = catalog.get(line.key).and_then(|entry| entry.holder);
    catalog.insert(line.key, Entry { holder, ..Entry::new(line.destination.index, &record.summary()) });
}

/// Takes the source out of use. The move is made: what fails here is said, and tried again.
pub(super) fn retire(line: &Line<'_>, swapped: Swapped) -> Receipt {
    let Swapped { ready, pause_us } = swapped;
    let receipt = receipt_of(&ready);
    let Ready { prepared, record, .. } = ready;
    let trash_path = match retire_source(line, &prepared.passed.source, &record) {
        Ok(path) => {
            line.source
                .trash_bytes
                .fetch_add(record.manifest.total_bytes(), std::sync::atomic::Ordering::Relaxed);
            line.job.log(format!("the source is in {path}"));
            Some(path)
        }
        Err(failure) => {
            let source = &line.source.path;
            line.job.log(format!(
                "the source on {source} could not be retired: {failure}; it owns nothing any more, and is retired once \
                 the disk lets it be"
            ));
            let note = retired_note(line, &record);
            let bytes = record.manifest.total_bytes();
            line.leave(&line.source, Action::Retire { note }, bytes, &failure);
            None
        }
    };
    if let Err(error) = prepared.staging.remove_committed() {
        line.job.log(format!("staging could not be removed, which is tried again: {error}"));
        let name = line.id.to_string();
        line.leave(&line.destination, Action::RemoveStaging { name }, 0, &error.into());
    }
    fault::point("staging_removed");
    // What cannot be measured now is measured by the next probe.
    let _ = line.destination.space.measure(&prepared.passed.destination.0);
    Receipt { pause_us, trash_path, ..receipt }
}

/// What is known before the swap; pause, trash and duration follow.
fn receipt_of(ready: &Ready) -> Receipt {
    Receipt {
        generation: ready.record.generation,
        files: ready.record.manifest.files().len() as u64,
        bytes: ready.record.manifest.total_bytes(),
        manifest_crc32: content_crc32(&ready.record.manifest),
        verified_cold: ready.copy.coldness() == Coldness::Cold,
        pause_us: 0,
        duration_ms: 0,
        trash_path: None,
    }
}

/// What is said of the source, now that the destination has `record`.
pub(super) fn retired_note(line: &Line<'_>, record: &TabletRecord) -> RetiredNote {
    let shard_id = line.job.lock().source_shard.unwrap_or(record.shard_id);
    let moved_to = line.destination_ref.clone();
    RetiredNote {
        migration_id: Some(line.id),
        ..ledger::retired_note(line.node, line.key, shard_id, moved_to, record.generation)
    }
}

fn retire_source(
    line: &Line<'_>,
    source: &(Root, NativeStore),
    record: &TabletRecord,
) -> Result<String, Failure> {
    let note = retired_note(line, record);
    let barrier = SharedBarrier::new(&line.source);
    let path = retire_to_trash(source.0.dir(), &source.1, &note).map_err(|error| line.on_source(error))?;
    fault::point("source_in_trash");
    barrier.sync().map_err(|error| line.on_source(error))?;
    fault::point("source_synced");
    Ok(path)
}
