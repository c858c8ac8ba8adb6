//! Brings one copy of a tablet back: beside whatever stands there, read past the page cache, committed by its record.
//!
//! On the disk that has the copy its files get second names, so that even a full disk can be healed; on another disk they
//! are copied and read back. A copy that stands in its place already only gets a record of a higher generation.

use std::sync::Arc;

use super::copying::Copying;
use super::find::Found;
use super::wish::Wish;
use crate::engine::look::reading::Reading;
use crate::engine::node::Node;
use crate::engine::parts::disk::{Disk, note_storage_error};
use crate::engine::parts::flush::SharedBarrier;
use crate::engine::parts::limits;
use crate::engine::parts::operation_book::Operation;
use crate::engine::parts::unfinished::take_back_placed;
use crate::model::{
    ErrorCode, Failure, Manifest, RecordSummary, SHARD_COUNT, ShardId, Space, TabletKey, TabletRecord,
};
use crate::rules::capacity::fits;
use crate::storage::Barrier;
use crate::storage::layout::{MIGRATING, record_name, tablet_dir};
use crate::storage::{
    Dir, MetadataStore, NativeStore, Owner, Purpose, Quarantined, Root, StagedRecord, Staging, StorageError,
    is_placed, quarantine,
};
use crate::transfer::{CheckRequest, CopyOptions, CopyRequest, Strangers, copy, verify_files};

/// What owns the tablet now.
pub(super) struct Brought {
    pub(super) disk: Arc<Disk>,
    pub(super) record: RecordSummary,
}

/// Brings a copy back to the disk it is wished on.
///
/// # Errors
/// What is wrong with the copy (see [`is_about_the_copy`]); what the destination said.
pub(super) fn back(
    node: &Node,
    operation: &Operation,
    wish: &Wish,
    found: &Found,
) -> Result<Brought, Failure> {
    let disk = destination(node, wish, found)?;
    let (root, store) = disk.open()?;
    let work = Work { node, operation, wish, found, disk: &disk, root: &root, store: &store };
    let is_in_place = found.files == tablet_dir(found.record.shard_id, wish.key);
    let record = if is_in_place && found.disk.index == disk.index {
        work.raise_in_place()?
    } else {
        work.place_beside()?
    };
    // What cannot be measured now is measured by the next probe.
    let _ = disk.space.measure(&root);
    Ok(Brought { disk, record })
}

/// Whether a failure says that this copy is no good, so that the next one is tried.
pub(super) const fn is_about_the_copy(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::SourceDamaged
            | ErrorCode::SourceUnreadable
            | ErrorCode::UnexpectedEntry
            | ErrorCode::RecordDamaged
            | ErrorCode::IoError
            | ErrorCode::TrashNotFound
    )
}

/// Where it goes: where the operator says; else where the copy is, if that disk takes anything; else the disk with most
/// room.
fn destination(node: &Node, wish: &Wish, found: &Found) -> Result<Arc<Disk>, Failure> {
    let hang_after = node.hang_after();
    let manifest = &found.record.manifest;
    let need = Space::of_tablet(manifest.total_bytes(), manifest.files().len() as u64);
    let unfit = |disk: &Disk| {
        let condition = disk.condition(hang_after);
        if !condition.is_writable() {
            return Some(format!("disk {}", condition.refusal(&disk.path)));
        }
        if disk.index == found.disk.index {
            return None;
        }
        let full =
            fits(disk.space.capacity(), disk.space.reserved(), need, limits::capacity(&node.config())).err();
        full.map(|full| format!("disk {}: {full}", disk.path))
    };
    if let Some(disk) = &wish.to {
        return match unfit(disk) {
            Some(why) => Err(Failure::new(ErrorCode::DiskUnavailable, why)),
            None => Ok(Arc::clone(disk)),
        };
    }
    if unfit(&found.disk).is_none() {
        return Ok(Arc::clone(&found.disk));
    }
    let others = node.shown_disks().filter(|disk| unfit(disk).is_none());
    others.max_by_key(|disk| disk.space.capacity().avail_bytes).cloned().ok_or_else(|| {
        // Each may have a way out of its own.
        let why: Vec<_> = node.shown_disks().filter_map(|disk| unfit(disk)).collect();
        let text = format!("no disk takes tablet {}: {}", wish.key, why.join("; "));
        Failure::new(ErrorCode::DiskUnavailable, text)
    })
}

struct Work<'a> {
    node: &'a Node,
    operation: &'a Operation,
    wish: &'a Wish,
    found: &'a Found,
    disk: &'a Arc<Disk>,
    root: &'a Root,
    store: &'a NativeStore,
}

impl Work<'_> {
    fn key(&self) -> TabletKey {
        self.wish.key
    }

    /// The copy stands where a tablet stands: read whole, it is given the generation above all others.
    fn raise_in_place(&self) -> Result<RecordSummary, Failure> {
        let files = self.root.dir().open(&self.found.files)?;
        self.verify(&files, &self.found.record.manifest)?;
        let record = TabletRecord { generation: self.wish.generation, ..self.found.record.clone() };
        let staging = self.stage(record.shard_id)?;
        let barrier = SharedBarrier::new(self.disk);
        let committed = self.commit(&staging, record, &barrier);
        self.remove(staging);
        committed
    }

    fn place_beside(&self) -> Result<RecordSummary, Failure> {
        let shard_id = self.free_shard()?;
        let staging = self.stage(shard_id)?;
        let barrier = SharedBarrier::new(self.disk);
        let committed = self.fill(&staging, &barrier).and_then(|manifest| {
            let generation = self.wish.generation;
            let record = TabletRecord { generation, shard_id, manifest, ..self.found.record.clone() };
            self.check(staging.place(self.root.dir()))?;
            let committed = self.check(barrier.sync()).and_then(|()| self.commit(&staging, record, &barrier));
            // After a commit that failed it is not known who owns the tablet: the next start sees it.
            if committed.is_err() && !self.may_be_committed() {
                take_back_placed(self.root, staging.dir(), shard_id, self.key());
            }
            committed
        });
        self.remove(staging);
        committed
    }

    /// Whether a record of the claimed generation stands on the disk.
    fn may_be_committed(&self) -> bool {
        let found = self.store.get(self.key());
        !matches!(found, Ok(found) if found.as_ref().is_none_or(|record| record.generation != self.wish.generation))
    }

    fn stage(&self, shard_id: ShardId) -> Result<Staging, Failure> {
        let destination = self.disk.reference().ok_or_else(|| {
            Failure::new(ErrorCode::DiskUnavailable, format!("disk {} was never opened", self.disk.path))
        })?;
        let owner = Owner {
            purpose: Purpose::Restore,
            migration_id: None,
            key: self.key(),
            shard_id,
            source: None,
            source_shard: None,
            destination,
            asked: None,
        };
        let name = self.free_name()?;
        self.check(Staging::open_or_create(self.root.dir(), &name, &owner))
    }

    /// What an earlier healing left when it was cut short says where its files are, and may be the very copy that is
    /// brought back: it is never gone on with, and stays for a start to settle.
    fn free_name(&self) -> Result<String, Failure> {
        let migrating = self.check(self.root.dir().open(MIGRATING))?;
        let mut name = format!("restore-{}-{}", self.key(), self.wish.generation);
        let mut attempt = 1;
        while self.check(migrating.kind(&name))?.is_some() {
            attempt += 1;
            name = format!("restore-{}-{}.{attempt}", self.key(), self.wish.generation);
        }
        Ok(name)
    }

    /// A directory of the tablet that stands anywhere is not touched, nor the place of a record that is to be replaced.
    fn free_shard(&self) -> Result<ShardId, Failure> {
        let named = match self.store.get(self.key()) {
            Ok(record) => record.map(|record| record.shard_id),
            Err(StorageError::Record { .. }) => None,
            Err(error) => return self.check(Err(error)),
        };
        let wanted = self.found.record.shard_id.0;
        for offset in 0..SHARD_COUNT {
            let shard = ShardId((wanted + offset) % SHARD_COUNT);
            if named != Some(shard) && !self.check(is_placed(self.root.dir(), shard, self.key()))? {
                return Ok(shard);
            }
        }
        let why = format!("every shard of {} has a directory of tablet {}", self.disk.path, self.key());
        Err(Failure::new(ErrorCode::AlreadyOnDisk, why))
    }

    /// The files in staging, durable and read past the page cache; the manifest with what the reading learned.
    fn fill(&self, staging: &Staging, barrier: &SharedBarrier) -> Result<Manifest, Failure> {
        let manifest = &self.found.record.manifest;
        if self.found.disk.index != self.disk.index {
            let (source, _) = self.found.disk.open()?;
            return self.copy(&source.dir().open(&self.found.files)?, staging, barrier);
        }
        let files = self.root.dir().open(&self.found.files)?;
        for file in manifest.files() {
            self.operation.checkpoint()?;
            let _call = self.disk.enter("link");
            files.link(&file.name, staging.files(), &file.name).map_err(|error| match error.errno {
                nix::errno::Errno::ENOENT => {
                    Failure::new(ErrorCode::SourceDamaged, format!("{} is missing", error.path.display()))
                }
                _ => error.into(),
            })?;
        }
        self.check(barrier.sync())?;
        self.verify(staging.files(), manifest)?;
        Ok(manifest.clone())
    }

    fn copy(&self, source: &Dir, staging: &Staging, barrier: &SharedBarrier) -> Result<Manifest, Failure> {
        let manifest = &self.found.record.manifest;
        let need = Space::of_tablet(manifest.total_bytes(), manifest.files().len() as u64);
        self.disk.space.reserve(need);
        let copied = copy(&CopyRequest {
            source,
            destination: staging.files(),
            manifest: &self.found.record.manifest,
            barrier,
            options: &CopyOptions { strangers: Strangers::LeftOut, ..self.node.copy_options() },
            budget: &self.node.budget,
            hooks: &Copying {
                node: self.node,
                operation: self.operation,
                source: &self.found.disk,
                destination: self.disk,
            },
        });
        // What was copied shows as used before others may count on what was meant for it.
        let _ = self.disk.space.measure(self.root);
        self.disk.space.unreserve(need);
        let copied = copied.inspect_err(|failure| match failure.code {
            ErrorCode::SyncFailed => self.disk.sync_failed(&failure.message),
            ErrorCode::ReadBackMismatch => self.disk.mark_suspect(failure.message.clone()),
            _ => {}
        })?;
        Ok(copied.manifest().clone())
    }

    fn verify(&self, files: &Dir, manifest: &Manifest) -> Result<(), Failure> {
        let stop = || self.operation.checkpoint();
        verify_files(&CheckRequest {
            dir: files,
            manifest,
            options: &CopyOptions { threads: 1, ..self.node.copy_options() },
            budget: &self.node.budget,
            hooks: &Reading {
                node: self.node,
                disk: self.disk,
                bytes: &self.operation.read_bytes,
                stop: Some(&stop),
                count: None,
            },
        })
        .map(drop)
    }

    /// The commit point: from here on the tablet is what was brought back.
    fn commit(
        &self,
        staging: &Staging,
        record: TabletRecord,
        barrier: &SharedBarrier,
    ) -> Result<RecordSummary, Failure> {
        let _call = self.disk.enter("a commit");
        let staged = self.check(StagedRecord::write(staging.dir(), record))?;
        self.check(barrier.sync())?;
        self.check(staged.check())?;
        self.check(self.root.check_identity())?;
        self.keep_replaced_record()?;
        let committed = self.store.commit(&staged, barrier);
        if committed.is_err() {
            self.node.catalog_mut().saw_generation(self.key(), self.wish.generation);
        }
        self.check(committed)?;
        Ok(staged.record().summary())
    }

    /// A record that cannot be read is about to be replaced: quarantine keeps it.
    fn keep_replaced_record(&self) -> Result<(), Failure> {
        if let Err(StorageError::Record { why, .. }) = self.store.get(self.key()) {
            let name = record_name(self.key());
            let what = Quarantined::ReplacedRecord { name: &name };
            self.check(quarantine(self.root.dir(), self.store, &what, &format!("the record {why}")))?;
        }
        Ok(())
    }

    fn remove(&self, staging: Staging) {
        if let Err(error) = staging.remove() {
            tracing::warn!(tablet = %self.key(), "staging could not be removed, the next start does it: {error}");
        }
    }

    /// An error on the destination means what it means for every copy to it.
    fn check<T, E: Into<StorageError>>(&self, answer: Result<T, E>) -> Result<T, Failure> {
        answer.map_err(|error| {
            let error = error.into();
            note_storage_error(self.disk, &error);
            error.into()
        })
    }
}
