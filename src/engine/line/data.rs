//! Data: every byte copied, durable, read back from the medium and compared; the new metadata record beside it.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::base::Line;
use super::prepare::Prepared;
use crate::engine::parts::flush::SharedBarrier;
use crate::engine::parts::io_class::OwnIoClass;
use crate::fault;
use crate::model::{ErrorCode, Failure, Manifest, TabletRecord, counted};
use crate::storage::{Barrier, Dir, DiskError, StagedRecord};
use crate::transfer::{
    Coldness, CopyOptions, CopyRequest, Found, Strangers, VerifiedCopy, copy as copy_files, copy_further,
};

/// A verified copy with its staged, synced and re-read record: all that a swap needs.
pub(super) struct Ready {
    pub(super) prepared: Prepared,
    pub(super) copy: VerifiedCopy,
    pub(super) record: TabletRecord,
    pub(super) barrier: CountedBarrier,
    epoch: Cell<u64>,
}

/// A barrier that knows how often it was passed: a record written before a pass needs none of its own.
pub(super) struct CountedBarrier {
    inner: SharedBarrier,
    passed: AtomicU64,
}

impl CountedBarrier {
    fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }
}

impl Barrier for CountedBarrier {
    fn sync(&self) -> Result<(), DiskError> {
        if !fault::is_left_out("data_sync") {
            self.inner.sync()?;
        }
        self.passed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

pub(super) fn copy(line: &Line<'_>, prepared: Prepared) -> Result<Ready, Failure> {
    let _busy = (line.source.pace.begin_copy(), line.destination.pace.begin_copy());
    // What comes after the copy holds the tablet's gate: nobody waits for an idle class there.
    let _class = OwnIoClass;
    let barrier = CountedBarrier { inner: SharedBarrier::new(&line.destination), passed: AtomicU64::new(0) };
    let record = prepared.passed.record.clone();
    let generation = line.node.catalog().next_generation(line.key);
    let shard_id = line.job.lock().destination_shard.unwrap_or(record.shard_id);
    let record = TabletRecord { generation, shard_id, ..record };

    // Staged first, so that the barrier that makes small files durable makes the record durable too.
    let before = barrier.passed();
    stage(line, prepared.staging.dir(), record.clone())?;
    // The preflight of this attempt has compared the source's directory with the record.
    let options = CopyOptions { strangers: Strangers::NoneSeen, ..options(line, &record.manifest) };
    let options =
        if prepared.staging.is_new() { CopyOptions { found: Found::Nothing, ..options } } else { options };
    let request = request(line, &prepared, &record.manifest, &barrier, &options);
    let copy = match kept_copy(line, &prepared) {
        // Directory and sizes are looked at again; what is as it was is neither copied nor read.
        Some(before) => copy_further(before, &request).inspect(|_| line.job.count_as_resumed()),
        None => copy_files(&request),
    };
    let copy = copy.map_err(|failure| blame(line, failure))?;
    fault::point("data_copied");
    if copy.resumed_bytes() > 0 {
        let (resumed, all) = (copy.resumed_bytes(), copy.manifest().total_bytes());
        line.job.note(format!("{resumed} of {all} bytes stood in staging already and were not copied again"));
    }
    let mut ready = Ready { prepared, copy, record, barrier, epoch: Cell::new(before) };
    make_record_durable(line, &mut ready)?;
    match ready.copy.coldness() {
        Coldness::Cold => {
            let bytes = ready.copy.manifest().total_bytes();
            line.job.note(format!(
                "{bytes} bytes are durable, and were read back from the medium as they must be"
            ));
        }
        Coldness::NotProven => {
            line.job.log("the copy was compared, but not all of it is known to have come from the medium");
        }
    }
    Ok(ready)
}

/// What is known of the staging since the migration stopped at a gate, if it is still that staging.
fn kept_copy(line: &Line<'_>, prepared: &Prepared) -> Option<VerifiedCopy> {
    let kept = line.job.take_copy()?;
    let here = prepared.staging.files().device_and_inode().ok()?;
    if kept.write_epoch != line.destination.write_epoch() || here != kept.copy.device_and_inode() {
        line.job.log("the staging is not known to be what was verified; it is read back again");
        return None;
    }
    line.job.log("the staging is the one that was verified; it is not read again");
    Some(kept.copy)
}

/// Copies what has appeared since, for a source that changed under the copy.
pub(super) fn catch_up(
    line: &Line<'_>,
    ready: Ready,
    now: TabletRecord,
    source_dir: Dir,
) -> Result<Ready, Failure> {
    let Ready { mut prepared, copy, record, barrier, .. } = ready;
    line.job.log(format!(
        "the tablet changed during the copy: {}, {} bytes now",
        counted(now.manifest.files().len(), "file"),
        now.manifest.total_bytes()
    ));
    prepared.passed.source_dir = source_dir;
    prepared.passed.record = now.clone();
    {
        let mut row = line.job.lock();
        row.counters.total_bytes = now.manifest.total_bytes();
        row.counters.total_files = now.manifest.files().len() as u64;
    }
    let generation = record.generation.max(now.generation + 1);
    let record = TabletRecord { generation, shard_id: record.shard_id, ..now };
    let before = barrier.passed();
    stage(line, prepared.staging.dir(), record.clone())?;
    let options = options(line, &record.manifest);
    let copy = copy_further(copy, &request(line, &prepared, &record.manifest, &barrier, &options))
        .map_err(|failure| blame(line, failure))?;
    let mut ready = Ready { prepared, copy, record, barrier, epoch: Cell::new(before) };
    make_record_durable(line, &mut ready)?;
    Ok(ready)
}

fn request<'r>(
    line: &'r Line<'_>,
    prepared: &'r Prepared,
    manifest: &'r Manifest,
    barrier: &'r CountedBarrier,
    options: &'r CopyOptions,
) -> CopyRequest<'r> {
    CopyRequest {
        source: &prepared.passed.source_dir,
        destination: prepared.staging.files(),
        manifest,
        barrier,
        options,
        budget: &line.node.budget,
        hooks: line,
    }
}

/// A small tablet is made durable by the barrier that it shares with others rather than file by file.
fn options(line: &Line<'_>, manifest: &Manifest) -> CopyOptions {
    let mut options = line.node.copy_options();
    if manifest.total_bytes() <= line.node.config().small_migration_bytes {
        options.barrier_min_files = 1;
    }
    options
}

fn stage(line: &Line<'_>, staging: &Dir, record: TabletRecord) -> Result<(), Failure> {
    StagedRecord::write(staging, record).map(drop).map_err(|error| line.on_destination(error))
}

/// Fills in what the copy learned (checksums, where the store had none), makes the record durable unless the copy's own
/// barrier did, and reads it back.
fn make_record_durable(line: &Line<'_>, ready: &mut Ready) -> Result<(), Failure> {
    let staging = ready.prepared.staging.dir();
    let restage = ready.record.manifest != *ready.copy.manifest();
    if restage {
        ready.record.manifest = ready.copy.manifest().clone();
        stage(line, staging, ready.record.clone())?;
    }
    if (restage || ready.barrier.passed() == ready.epoch.get()) && !fault::is_left_out("record_sync") {
        ready.barrier.sync().map_err(|error| line.on_destination(error))?;
    }
    fault::point("record_written");
    StagedRecord::already(staging, ready.record.clone())
        .check()
        .map_err(|error| line.on_destination(error))?;
    fault::point("record_staged");
    Ok(())
}

/// A failed sync or read-back is the destination's doing: nothing more is sent there until somebody has looked.
fn blame(line: &Line<'_>, failure: Failure) -> Failure {
    match failure.code {
        ErrorCode::SyncFailed => line.destination.sync_failed(&failure.message),
        ErrorCode::ReadBackMismatch => line.destination.mark_suspect(failure.message.clone()),
        _ => {}
    }
    failure
}
