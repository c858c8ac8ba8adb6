//! What is in the staging directory already: kept where it is proved to be right, removed where it is not.

use std::ffi::OsString;
use std::sync::atomic::Ordering;

use super::attributes::{Attributes, BLOCK_BYTES};
use super::crew::lock;
use super::hooks::Side;
use super::read_back::read_files;
use super::stages::Shared;
use super::verified::VerifiedRange;
use crate::model::{Failure, FileEntry, Manifest};
use crate::storage::{Dir, DiskError, EntryKind};

/// Looks at every name on the destination. Says for each file of the manifest whether it is still to be copied.
///
/// A file is kept when `before`, a verified copy in the same directory, has it; or when it has the manifest's size and,
/// synced and then read past the page cache, the recorded checksum.
///
/// # Errors
/// A call's; `SYNC_FAILED`.
pub(super) fn settle(shared: &Shared<'_>, before: Option<&Manifest>) -> Result<Vec<bool>, Failure> {
    let (manifest, dir) = (shared.manifest, shared.destination.dir());
    let mut to_copy = vec![true; manifest.files().len()];
    let mut candidates: Vec<usize> = Vec::new();
    let mut strangers: Vec<(OsString, EntryKind)> = Vec::new();
    for found in shared.crew.watch.call(Side::Destination, "readdir", || dir.entries())? {
        let index = found.name.to_str().and_then(|name| index_of(manifest, name));
        let Some(file) = index.filter(|_| found.kind == EntryKind::File) else {
            strangers.push((found.name, found.kind));
            continue;
        };
        let entry = &manifest.files()[file];
        let stat = dir.stat(&found.name)?.filter(|stat| u64::try_from(stat.st_size) == Ok(entry.size_bytes));
        if stat.is_none() {
            strangers.push((found.name, found.kind));
        } else if let Some(crc32) = verified_before(before, entry) {
            lock(&shared.coverage).add(&VerifiedRange::of_verified_before(file, entry, crc32));
            to_copy[file] = false;
        } else if let (Some(stat), Some(_)) = (stat, entry.crc32) {
            keep_attributes(shared, &entry.name, Attributes::of_stat(&stat))?;
            candidates.push(file);
        } else {
            strangers.push((found.name, found.kind));
        }
    }
    if !candidates.is_empty() {
        // After a kill they may be in the cache alone, where a sync is still to come: then only the medium counts.
        shared.pass_barrier()?;
        let entries: Vec<&FileEntry> = candidates.iter().map(|file| &manifest.files()[*file]).collect();
        let readings = read_files(shared.crew, &shared.destination, &entries)?;
        for ((file, entry), reading) in candidates.into_iter().zip(entries).zip(readings) {
            match VerifiedRange::of_resumed(file, entry, reading) {
                Some(range) => {
                    keep(shared, entry, &range);
                    to_copy[file] = false;
                }
                None => strangers.push((entry.name.clone().into(), EntryKind::File)),
            }
        }
    }
    remove(shared, strangers)?;
    Ok(to_copy)
}

fn index_of(manifest: &Manifest, name: &str) -> Option<usize> {
    manifest.files().binary_search_by(|file| file.name.as_str().cmp(name)).ok()
}

/// What was cut short after its last byte may lack what is set then.
fn keep_attributes(shared: &Shared<'_>, name: &str, is: Attributes) -> Result<(), Failure> {
    let watch = shared.crew.watch;
    let Some(original) = shared.source.attributes(watch, name)? else { return Ok(()) };
    shared.keeper.give_found(watch, shared.destination.dir(), name, (original, is))
}

/// The checksum under which the very same file was verified before.
fn verified_before(before: Option<&Manifest>, entry: &FileEntry) -> Option<u32> {
    let was = before?.get(&entry.name)?;
    let same = was.size_bytes == entry.size_bytes && entry.crc32.is_none_or(|crc32| was.crc32 == Some(crc32));
    was.crc32.filter(|_| same)
}

fn keep(shared: &Shared<'_>, entry: &FileEntry, range: &VerifiedRange) {
    let hooks = shared.crew.watch.hooks();
    lock(&shared.coverage).add_resumed(range);
    hooks.copied(entry.size_bytes);
    hooks.verified(entry.size_bytes);
    hooks.resumed(entry.size_bytes);
    hooks.file_verified();
}

fn remove(shared: &Shared<'_>, strangers: Vec<(OsString, EntryKind)>) -> Result<(), Failure> {
    let dir = shared.destination.dir();
    for (name, kind) in strangers {
        shared.crew.watch.checkpoint()?;
        let taken_bytes = match name.to_str().and_then(|name| index_of(shared.manifest, name)) {
            Some(file) => staged_bytes(dir, &shared.manifest.files()[file])?,
            None => 0,
        };
        // A removal that comes back after a power cut would be an entry the manifest does not list.
        shared.names_unsynced.store(true, Ordering::Relaxed);
        shared.crew.watch.call(Side::Destination, "unlink", || match name.to_str() {
            Some(directory) if kind == EntryKind::Directory => dir.remove_tree(directory),
            _ => dir.unlink(&name),
        })?;
        if taken_bytes > 0 {
            shared.crew.watch.hooks().freed(taken_bytes);
        }
    }
    Ok(())
}

/// What a file of a tablet takes up in a staging directory already, of what the tablet needs there: no more than its size.
///
/// # Errors
/// As `fstatat(2)`.
pub fn staged_bytes(dir: &Dir, entry: &FileEntry) -> Result<u64, DiskError> {
    let stat = dir.stat(&entry.name)?.filter(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG);
    let blocks = stat.map_or(0, |stat| u64::try_from(stat.st_blocks).unwrap_or(0));
    Ok(blocks.saturating_mul(BLOCK_BYTES).min(entry.size_bytes))
}
