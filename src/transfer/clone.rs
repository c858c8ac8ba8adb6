//! Files whose bytes need not move: on one file system a clone shares the blocks of the source and gets its own names.
//!
//! A clone is made durable and read back past the page cache like any copy; only the writing is left out. Nothing is
//! shared where the owner did not say so, and a file system that cannot share gets ordinary copies. Never writes to the
//! source; a write to either file later would give it blocks of its own.
//!
//! One file system. Where source and destination have one `st_dev` and the file system can, files are cloned
//! (`FICLONE`, `transfer/clone.rs`). Every promise below holds: the clone is made durable and read past the cache
//! against the recorded checksum (against the source's own bytes where none is recorded), the source is intact, the
//! swap is the same. A rename would take the files from the source before the commit point, a hard link would leave
//! trash and live copy one file that a later write reaches from both. What clones cannot give is a second copy of the
//! bytes: a flip hits the live copy and the source in trash alike, which the step log says; `migration_same_file_system
//! = copy` writes every byte anew.

use std::sync::atomic::Ordering;

use super::crew::lock;
use super::end::Access;
use super::open_file::Cloned;
use super::read_back::{Reading, read_files};
use super::stages::Shared;
use super::verified::VerifiedRange;
use crate::model::{Failure, FileEntry, counted};

/// Clones the files that are still to be copied, as far as the file system can, and verifies them. What was cloned is no
/// longer to be copied.
///
/// # Errors
/// A call's; `SYNC_FAILED`; `SOURCE_DAMAGED` where the shared bytes are not what the manifest records.
pub(super) fn clone_files(shared: &Shared<'_>, to_copy: &mut [bool]) -> Result<(), Failure> {
    let wanted: Vec<usize> = (0..to_copy.len()).filter(|file| to_copy[*file]).collect();
    if wanted.is_empty() || !shared.destination.may_share || !on_one_device(shared)? {
        return Ok(());
    }
    let Some(cloned) = clone_and_sync(shared, &wanted)? else { return Ok(()) };
    let hooks = shared.crew.watch.hooks();
    let entries: Vec<&FileEntry> = cloned.iter().map(|file| &shared.manifest.files()[*file]).collect();
    let bytes: u64 = entries.iter().map(|entry| entry.size_bytes).sum();
    hooks.log(format!(
        "cloned: same file system, bytes shared with the source: {}, {bytes} bytes, read back and not written again; a \
         source in trash is no second copy",
        counted(cloned.len(), "file")
    ));
    hooks.cloned(bytes);
    let readings = read_files(shared.crew, &shared.destination, &entries)?;
    let originals = unrecorded(shared, &entries)?;
    for (((file, entry), reading), original) in cloned.into_iter().zip(entries).zip(readings).zip(originals) {
        let expected = entry.crc32.or(original);
        let range = expected.and_then(|crc32| VerifiedRange::of_cloned(file, entry, reading, crc32));
        let range = range.ok_or_else(|| blame(shared, entry, reading))?;
        lock(&shared.coverage).add(&range);
        hooks.verified(entry.size_bytes);
        hooks.file_verified();
        to_copy[file] = false;
    }
    Ok(())
}

fn on_one_device(shared: &Shared<'_>) -> Result<bool, Failure> {
    let (source, _) = shared.source.dir().device_and_inode()?;
    let (destination, _) = shared.destination.dir().device_and_inode()?;
    Ok(source == destination)
}

/// `None` where the file system cannot share; nothing is left behind then.
fn clone_and_sync(shared: &Shared<'_>, wanted: &[usize]) -> Result<Option<Vec<usize>>, Failure> {
    let watch = shared.crew.watch;
    let with_barrier = wanted.len() >= shared.crew.options.barrier_min_files;
    let mut open = Vec::new();
    for &file in wanted {
        let FileEntry { name, size_bytes, .. } = &shared.manifest.files()[file];
        watch.checkpoint()?;
        let from = shared.source.open(watch, name, *size_bytes)?;
        let original = from.attributes()?;
        let to = shared.destination.create(watch, name, *size_bytes, Access::Buffered, original)?;
        if to.clone_from(watch, &from)? == Cloned::NotHere {
            // One file that cannot be shared, and none can: kinds of files do not differ within a tablet.
            drop((to, open));
            for &made in wanted.iter().take_while(|made| **made <= file) {
                shared.destination.dir().unlink(&shared.manifest.files()[made].name)?;
            }
            shared.names_unsynced.store(true, Ordering::Relaxed);
            return Ok(None);
        }
        to.keep(watch, &shared.keeper, original)?;
        if !with_barrier {
            open.push(to);
        }
    }
    if with_barrier {
        shared.pass_barrier()?;
    } else {
        shared.names_unsynced.store(true, Ordering::Relaxed);
        for file in open {
            watch.checkpoint()?;
            file.sync_data(watch)?;
        }
    }
    Ok(Some(wanted.to_vec()))
}

/// Sums of the sources of files of which none is recorded.
fn unrecorded(shared: &Shared<'_>, entries: &[&FileEntry]) -> Result<Vec<Option<u32>>, Failure> {
    let without: Vec<&FileEntry> = entries.iter().copied().filter(|entry| entry.crc32.is_none()).collect();
    let mut sums =
        read_files(shared.crew, &shared.source, &without)?.into_iter().map(|reading| reading.crc32);
    Ok(entries.iter().map(|entry| if entry.crc32.is_none() { sums.next() } else { None }).collect())
}

/// The bytes are shared: they are most likely the source's own damage. It is read to tell.
fn blame(shared: &Shared<'_>, entry: &FileEntry, reading: Reading) -> Failure {
    let source = read_files(shared.crew, &shared.source, &[entry]);
    match (source.as_deref(), entry.crc32) {
        (Err(failure), _) => failure.clone(),
        (Ok([source]), Some(recorded)) if source.crc32 != recorded => {
            let why = format!("its CRC-32 is {:08x}, the manifest records {recorded:08x}", source.crc32);
            shared.source.damaged(&entry.name, &why)
        }
        _ => {
            let why = format!("the clone was read with CRC-32 {:08x}, the source is whole", reading.crc32);
            shared.destination.damaged(&entry.name, &why)
        }
    }
}
