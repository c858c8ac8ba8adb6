//! A swap in doubt: the destination's record was renamed, but the sync that was to make that durable failed, or the rename
//! itself failed in a way that may have happened all the same. Nobody knows whether the destination owns the tablet.
//!
//! The doubt is ended by a record of a still higher generation on one of the two disks: it outranks whatever the other one
//! may or may not have kept. The source is whole, so it is asked first; where it takes no writes, the destination has the
//! files, durable and read back, and only its record has to be written again. Where neither takes one, the tablet stays
//! as it is until an operator settles it, or a start sees what the disks hold.

use std::sync::{PoisonError, TryLockError};

use super::base::Line;
use super::ending::{Ending, end};
use super::finalize::retired_note;
use crate::engine::ledger::note_owner;
use crate::engine::node::Node;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::disk::Disk;
use crate::engine::parts::entry::{Entry, Holder};
use crate::engine::parts::job::Job;
use crate::engine::parts::rewrite;
use crate::engine::parts::undone::Action;
use crate::engine::parts::unfinished::remove_copy;
use crate::model::{ErrorCode, Failure, Receipt, ShardId, TabletRecord};
use crate::rules::doubt::{End, ends_to_try};
use crate::storage::layout::{MIGRATING, RECORD_FILE, tablet_dir};
use crate::storage::{
    MetadataStore, NativeStore, Quarantined, ReadFrom, Root, decode_record, quarantine, read_small,
    remove_staging,
};
use crate::transfer::check_source;

/// Ends the doubt about a swap that has come to rest, on the first of its disks that takes a record. Runs on a thread
/// that has a descriptor table of its own.
///
/// # Errors
/// `ILLEGAL_TRANSITION` where it is not in doubt; `SWAP_IN_DOUBT` where it stays so, with what both disks said.
pub(crate) fn settle(node: &Node, job: &Job) -> Result<(), Failure> {
    let _one = match job.settling.try_lock() {
        Ok(held) => held,
        Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
        Err(TryLockError::WouldBlock) => {
            let text = format!("migration {} is being settled at this moment", job.lock().id);
            return Err(Failure::new(ErrorCode::IllegalTransition, text));
        }
    };
    if !job.is_in_doubt() {
        let text = format!("migration {}: its swap is not in doubt any more", job.lock().id);
        return Err(Failure::new(ErrorCode::IllegalTransition, text));
    }
    let line = Line::new(node, job)?;
    let conditions = [&line.source, &line.destination].map(|disk| disk.condition(node.hang_after()));
    let mut refused = Vec::new();
    for (end, condition) in [End::Source, End::Destination].into_iter().zip(&conditions) {
        let disk = line.end(end);
        if !ends_to_try(&conditions[0], &conditions[1]).any(|tried| tried == end) {
            refused.push(condition.refusal(&disk.path));
            continue;
        }
        let done = match end {
            End::Source => line.end_on_source(),
            End::Destination => line.end_on_destination(),
        };
        match done {
            Ok(()) => return Ok(()),
            Err(failure) => refused.push(format!("{} takes no record: {failure}", disk.path)),
        }
    }
    let text = format!(
        "migration {0} is in doubt still; {1}; mount one of them read-write again, wait until it is shown as online, and \
         repeat: tabletctl migration settle {0}",
        line.id,
        refused.join("; ")
    );
    Err(Failure::new(ErrorCode::SwapInDoubt, text))
}

impl Line<'_> {
    fn end(&self, end: End) -> &Disk {
        match end {
            End::Source => &self.source,
            End::Destination => &self.destination,
        }
    }

    /// At the moment of the failure: the source is asked, and nobody else, for the destination has just failed.
    pub(super) fn settle_doubt(&self, failure: &Failure) {
        self.job.lock().failure = Some(failure.clone());
        let Err(second) = self.end_on_source() else { return };
        // Left as it is: nobody else may touch the tablet until it is settled.
        let reason = format!(
            "in doubt: {failure}; and on the source: {second}; once {} or {} can be written to: tabletctl migration \
             settle {}",
            self.source.path, self.destination.path, self.id
        );
        tracing::error!(migration = %self.id, "{reason}");
        let now = now_ms();
        self.job.note_row(&self.node.journal, |row| {
            row.status_reason = reason;
            row.steering.in_doubt_since_ms = Some(now);
        });
    }

    /// Above every generation that either disk may have got by this swap, and never given again.
    fn generation_above_doubt(&self) -> u64 {
        let swap = self.job.lock().receipt.as_ref().map_or(0, |receipt| receipt.generation);
        let mut catalog = self.node.catalog_mut();
        let generation = catalog.next_generation(self.key).max(swap) + 1;
        catalog.was_given(self.key, generation);
        generation
    }

    /// The source owns the tablet, as before the swap, and the migration has failed.
    fn end_on_source(&self) -> Result<(), Failure> {
        let generation = self.generation_above_doubt();
        let (root, store) = self.source.open()?;
        rewrite::outrank(&self.source, (&root, &store), self.key, generation, Some(self.id))
            .map_err(|error| self.on_source(error))?;
        {
            let mut catalog = self.node.catalog_mut();
            if let Some(entry) = catalog.get_mut(self.key) {
                entry.generation = generation;
            }
        }
        note_owner(self.node, self.key, &self.source, generation);
        self.job.log(format!("the source owns the tablet with generation {generation}"));
        self.job.forget();
        let failure = self.job.lock().failure.clone();
        let failure = failure
            .unwrap_or_else(|| Failure::new(ErrorCode::SwapInDoubt, "its swap was in doubt".to_owned()));
        self.set_destination_aside(&failure.message);
        end(self.node, self.job, Ending::Failed(failure));
        Ok(())
    }

    /// The destination owns the tablet, and the migration is complete.
    fn end_on_destination(&self) -> Result<(), Failure> {
        let receipt = self.job.lock().receipt.clone();
        let receipt = receipt.ok_or_else(|| {
            Failure::new(ErrorCode::Internal, format!("migration {} has no receipt of its swap", self.id))
        })?;
        let generation = self.generation_above_doubt();
        let (root, store) = self.destination.open()?;
        let record = self.placed_record(&root, &store)?;
        let record = TabletRecord { generation, ..record };
        let record = rewrite::write_again(&self.destination, (&root, &store), record, Some(self.id))
            .map_err(|error| self.on_destination(error))?;
        let summary = record.summary();
        self.node.catalog_mut().insert(
            self.key,
            Entry {
                holder: Some(Holder::Migration(self.id)),
                ..Entry::new(self.destination.index, &summary)
            },
        );
        note_owner(self.node, self.key, &self.destination, generation);
        self.job.log(format!("the destination owns the tablet with generation {generation}"));
        self.job.forget();
        let why =
            Failure::new(ErrorCode::DiskUnavailable, "the disk took no writes when its swap was settled");
        let note = retired_note(self, &record);
        self.leave(&self.source, Action::Retire { note }, summary.size_bytes, &why);
        let name = self.id.to_string();
        if let Err(error) = root.dir().open(MIGRATING).and_then(|dir| remove_staging(&dir, &name)) {
            self.leave(&self.destination, Action::RemoveStaging { name }, 0, &error.into());
        }
        self.complete(Receipt { generation, ..receipt });
        Ok(())
    }

    /// The record of what the swap has placed: from the store where it has arrived, else from staging.
    fn placed_record(&self, root: &Root, store: &NativeStore) -> Result<TabletRecord, Failure> {
        let damaged =
            |why: String| Failure::new(ErrorCode::RecordDamaged, format!("the staged record {why}"));
        let record = match store.get(self.key).map_err(|error| self.on_destination(error))? {
            Some(record) => record,
            None => {
                let staging = root.dir().open(format!("{MIGRATING}/{}", self.id))?;
                let bytes = read_small(&staging, RECORD_FILE, ReadFrom::Medium)?;
                let bytes = bytes.ok_or_else(|| damaged("is gone".to_owned()))?;
                decode_record(&bytes).map_err(|why| damaged(format!("cannot be read: {why}")))?
            }
        };
        check_source(&root.dir().open(tablet_dir(record.shard_id, self.key))?, &record.manifest)?;
        Ok(record)
    }

    /// The copy that lost is set aside if its disk still lets us; if not, it is tried again.
    fn set_destination_aside(&self, why: &str) {
        let shard: Option<ShardId> = self.job.lock().destination_shard;
        let done = self.destination.open().and_then(|(root, store)| {
            let what = Quarantined::Tablet { shard: shard.unwrap_or(ShardId(0)), key: self.key };
            let path = quarantine(root.dir(), &store, &what, why)?;
            remove_copy(&root, &store, &self.id.to_string(), self.key, None)?;
            Ok::<_, Failure>(path)
        });
        match done {
            Ok(path) => self.job.log(format!("the copy was set aside in {}/{path}", self.destination.path)),
            Err(failure) => {
                self.job.log(format!("the copy could not be set aside: {failure}"));
                let shard = shard.unwrap_or(ShardId(0));
                let action = Action::Quarantine { key: self.key, shard, why: why.to_owned() };
                self.leave(&self.destination, action, self.job.size_bytes, &failure);
            }
        }
    }
}
