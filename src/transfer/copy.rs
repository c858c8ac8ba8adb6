//! The copy of a tablet's files: check the source, settle what is there already, then batch after batch
//! written -> staged -> verified, several batches at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::attributes::Keeper;
use super::buffer::BufferBudget;
use super::check::{check_copied, check_listed};
use super::clone::clone_files;
use super::crew::{Crew, Load, Watch};
use super::end::{Access, End};
use super::hooks::{CopyHooks, Side};
use super::open_file::sync_failed;
use super::plan::{CopyOptions, Cut, Found, SharedBytes, Strangers, plan};
use super::resume::settle;
use super::stages::Shared;
use super::sums::RangeSums;
use super::verified::{Coverage, VerifiedCopy};
use crate::model::{ErrorCode, Failure, Manifest};
use crate::storage::{Barrier, Dir};

/// One copy.
///
/// The threads of a copy share the caller's descriptor table: a caller with a table of its own keeps it that way.
#[derive(Clone, Copy)]
pub struct CopyRequest<'a> {
    /// The tablet's directory. Only read.
    pub source: &'a Dir,
    /// The staging directory for its files. May hold files from before a restart.
    pub destination: &'a Dir,
    pub manifest: &'a Manifest,
    /// The sync of the destination's file system, opened before the first write.
    pub barrier: &'a (dyn Barrier + Sync),
    pub options: &'a CopyOptions,
    /// The memory all copies share.
    pub budget: &'a BufferBudget,
    pub hooks: &'a dyn CopyHooks,
}

/// Copies the files of a manifest, makes them durable, and reads them back from the medium.
///
/// On an error the staging directory is left as it is: to be removed, or to be resumed from.
///
/// # Errors
/// `SOURCE_DAMAGED`, `UNEXPECTED_ENTRY`: the source is not what the manifest says. `READ_BACK_MISMATCH`, `SYNC_FAILED`:
/// the destination cannot be trusted. `NO_SPACE`, `IO_ERROR` and others: a call's. Whatever a hook said to stop with.
pub fn copy(request: &CopyRequest<'_>) -> Result<VerifiedCopy, Failure> {
    run(request, None)
}

/// As [`copy`], for a tablet that changed since `before` was copied to the same directory: what `before` has is not
/// read again, what the manifest no longer lists is removed.
///
/// # Errors
/// As [`copy`]; `INTERNAL` when `before` is in another directory.
pub fn copy_further(before: VerifiedCopy, request: &CopyRequest<'_>) -> Result<VerifiedCopy, Failure> {
    if request.destination.device_and_inode()? != before.device_and_inode() {
        let path = request.destination.path().display();
        let text = format!("{path}: not the directory of the copy that is to be continued");
        return Err(Failure::new(ErrorCode::Internal, text));
    }
    let after = run(request, Some(&before)).map(|after| after.continuing(&before));
    // Whatever came of it, the directory is no longer what `before` says.
    drop(before);
    after
}

fn run(request: &CopyRequest<'_>, before: Option<&VerifiedCopy>) -> Result<VerifiedCopy, Failure> {
    let CopyRequest { source, destination, manifest, barrier, options, budget, hooks } = *request;
    let watch = Watch::new(hooks);
    watch.checkpoint()?;
    if options.strangers != Strangers::NoneSeen {
        watch.call(Side::Source, "readdir", || check_listed(source, manifest, options.strangers))?;
    }
    let shared = Shared {
        crew: Crew { watch: &watch, options, budget },
        manifest,
        source: End::new(source, Side::Source, hooks),
        destination: End::new(destination, Side::Destination, hooks),
        barrier,
        keeper: Keeper::new(options.owner),
        source_sums: Mutex::new(vec![RangeSums::default(); manifest.files().len()]),
        coverage: Mutex::new(Coverage::new(manifest)),
        names_unsynced: AtomicBool::new(false),
    };
    // What a restart left is read back before anything is written: it may be all that is needed.
    let mut to_copy = match options.found {
        Found::Unknown => settle(&shared, before.map(VerifiedCopy::manifest))?,
        Found::Nothing => vec![true; manifest.files().len()],
    };
    if options.shared_bytes == SharedBytes::WhereOneDevice {
        clone_files(&shared, &mut to_copy)?;
    }

    let cut = match (shared.source.access(), shared.destination.access()) {
        (Access::Direct, Access::Direct) => Cut::Windows,
        _ => Cut::WholeFiles,
    };
    let sizes = manifest.files().iter().map(|file| file.size_bytes).enumerate();
    let sizes = sizes.filter(|(file, _)| to_copy[*file]);
    let load = Load::of(sizes.clone().map(|(_, size_bytes)| size_bytes));
    let batches = plan(sizes, options, cut);
    if batches.is_empty() {
        shared.names_unsynced.store(true, Ordering::Relaxed);
    }
    // Before any thread starts: of several that write windows of one file only one could make it, and a full disk is known
    // before bytes are copied.
    shared.create_windowed_files(&batches)?;
    shared.crew.work_off(batches, load, |buffer, batch| {
        let verified = batch.write(&shared, buffer)?.sync(&shared)?.read_back(&shared, buffer)?;
        shared.accept(&verified);
        Ok(())
    })?;

    watch.call(Side::Destination, "readdir", || check_copied(&shared.destination, manifest))?;
    // After the last name in it, which would change its time again.
    let device_and_inode = shared.keeper.give_directory(&watch, source, destination)?;
    shared.keeper.say_lost(&watch);
    // The sync of a file does not make its name durable; the barrier does, where one followed.
    if shared.names_unsynced.load(Ordering::Relaxed) {
        watch.call(Side::Destination, "fsync", || destination.sync()).map_err(|error| sync_failed(&error))?;
    }
    let coverage = shared.coverage.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    coverage.finish(device_and_inode)
}
