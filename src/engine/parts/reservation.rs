//! What a migration holds of its destination's space: the size of its tablet from the moment it is accepted, or begins an
//! attempt, until it ends; and no more than what it keeps in staging while it waits, so that others can use the rest.

use std::sync::atomic::Ordering;

use super::disk::Disk;
use super::entry::Entry;
use super::job::Job;
use crate::model::Space;

/// Reserves what a migration that goes on after a start needs. What waits holds nothing but what it keeps in staging, which
/// is used already.
pub(crate) fn reserve(disk: &Disk, job: &Job, tablet: Option<&Entry>) {
    let need = tablet.map_or(Space::of_bytes(job.size_bytes), Entry::need);
    disk.space.reserve(need);
    job.claim.set_reserved(need);
}

/// Gives back what is reserved. What the migration keeps in staging is what the capacity of the disk shows as used, or will
/// once it is measured.
pub(crate) fn release(disk: &Disk, job: &Job) {
    disk.space.unreserve(std::mem::take(&mut *job.claim.lock()));
    not_allocated(disk, job);
}

/// Counts nothing of what the migration has taken up as its own: what is reserved for it is then too much, never too little.
pub(crate) fn not_allocated(disk: &Disk, job: &Job) {
    let bytes = job.progress.allocated_bytes.swap(0, Ordering::Relaxed);
    let inodes = job.claim.kept_inodes.swap(0, Ordering::Relaxed);
    disk.space.not_allocated(Space { bytes, inodes });
}
