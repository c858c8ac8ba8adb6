//! What every step of one attempt has at hand: the migration, its two disks, and whom a failure is blamed on.

use std::sync::Arc;
use std::time::Instant;

use crate::engine::node::Node;
use crate::engine::parts::disk::{Disk, note_storage_error};
use crate::engine::parts::job::Job;
use crate::engine::parts::reservation;
use crate::engine::parts::undone::{Action, Left};
use crate::model::{DiskRef, ErrorCode, Failure, MigrationId, TabletKey};
use crate::rules::transition::Event;
use crate::storage::StorageError;

/// What every step of one attempt needs.
pub(super) struct Line<'a> {
    pub(super) node: &'a Node,
    pub(super) job: &'a Job,
    pub(super) id: MigrationId,
    pub(super) key: TabletKey,
    pub(super) source: Arc<Disk>,
    pub(super) destination: Arc<Disk>,
    pub(super) source_ref: DiskRef,
    pub(super) destination_ref: DiskRef,
    pub(super) began: Instant,
}

impl<'a> Line<'a> {
    /// # Errors
    /// One of the disks is not here.
    pub(super) fn new(node: &'a Node, job: &'a Job) -> Result<Self, Failure> {
        let (id, key, source_ref, destination_ref) = {
            let row = job.lock();
            (row.id, row.key, row.source.clone(), row.destination.clone())
        };
        let here = |disk: &DiskRef| {
            node.disk_by_uuid(disk.uuid).cloned().ok_or_else(|| {
                Failure::new(
                    ErrorCode::DiskUnavailable,
                    format!("disk {} ({}) is not here", disk.path, disk.uuid),
                )
            })
        };
        let (source, destination) = (here(&source_ref)?, here(&destination_ref)?);
        Ok(Self {
            node,
            job,
            id,
            key,
            source,
            destination,
            source_ref,
            destination_ref,
            began: Instant::now(),
        })
    }

    /// Another status, in memory and, with the next batch, in the journal.
    ///
    /// # Errors
    /// `ILLEGAL_TRANSITION`.
    pub(super) fn advance(&self, event: Event, reason: &str) -> Result<(), Failure> {
        let row = self.job.advance(event, reason)?;
        tracing::debug!(migration = %row.id, status = %row.status, "{}", row.status_reason);
        Ok(())
    }

    /// Others may use what is free while this migration waits.
    pub(super) fn release_space(&self) {
        // Measured first: what is kept in staging shows as used from here on. If it cannot be, the next probe measures.
        let _ = self.destination.open().map(|(root, _)| self.destination.space.measure(&root).map(drop));
        reservation::release(&self.destination, self.job);
    }

    /// Notes what could not be done on a disk. Nothing stops for it.
    pub(super) fn leave(&self, disk: &Disk, action: Action, size_bytes: u64, why: &Failure) {
        self.node.undone.leave(disk, Left::new(action, size_bytes, why.message.clone()));
    }

    /// A storage error on the source, as this migration's failure.
    pub(super) fn on_source(&self, error: impl Into<StorageError>) -> Failure {
        let error = error.into();
        note_storage_error(&self.source, &error);
        error.on_source()
    }

    /// A storage error on the destination, as this migration's failure.
    pub(super) fn on_destination(&self, error: impl Into<StorageError>) -> Failure {
        let error = error.into();
        note_storage_error(&self.destination, &error);
        error.into()
    }
}
