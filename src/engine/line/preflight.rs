//! Preflight: is everything as it must be before a byte is written? Reads only.

use std::sync::atomic::Ordering;

use super::base::Line;
use crate::engine::damage::note_failed_read;
use crate::engine::parts::job::Job;
use crate::engine::parts::limits;
use crate::engine::tidy;
use crate::model::{ErrorCode, Failure, Manifest, Space, Step, TabletRecord, counted};
use crate::storage::layout::{FILES, MIGRATING, tablet_dir};
use crate::storage::{Dir, DiskError, MetadataStore, NativeStore, Root};
use crate::transfer::{check_names, check_source, staged_bytes};

/// Both roots opened by this thread, and the tablet as its source has it.
pub(super) struct Passed {
    pub(super) source: (Root, NativeStore),
    pub(super) destination: (Root, NativeStore),
    pub(super) record: TabletRecord,
    pub(super) source_dir: Dir,
}

pub(super) fn check(line: &Line<'_>) -> Result<Passed, Failure> {
    let job = line.job;
    let opened = |path: &str| format!("{path} is the disk it was, and answers");
    let source = job.checked("source_disk", line.source.open(), |_| opened(&line.source.path))?;
    let destination =
        job.checked("destination_disk", line.destination.open(), |_| opened(&line.destination.path))?;
    let record = job.checked("record", read_record(line, &source.1), |record| {
        format!("generation {}, {}", record.generation, counted(record.manifest.files().len(), "file"))
    })?;
    let source_dir = job.checked("files", check_files(line, &source.0, &record), |_| {
        let (files, bytes) = (counted(record.manifest.files().len(), "file"), record.manifest.total_bytes());
        format!("{files} of {}, as the record lists them", counted(bytes, "byte"))
    })?;
    let space = job.checked("space", check_space(line, &destination.0, &record.manifest), String::clone)?;
    let clear = make_way(line).and_then(|()| check_nothing_in_the_way(line, &destination.1));
    job.checked("nothing_in_the_way", clear, |()| {
        format!("{} has nothing of the tablet", line.destination.path)
    })?;
    {
        let mut row = line.job.lock();
        row.counters.total_bytes = record.manifest.total_bytes();
        row.counters.total_files = record.manifest.files().len() as u64;
        row.source_shard = Some(record.shard_id);
    }
    line.job.note(format!(
        "{}, {} bytes, generation {}, on {} as the record says; there is room on {}: {space}",
        counted(record.manifest.files().len(), "file"),
        record.manifest.total_bytes(),
        record.generation,
        line.source.path,
        line.destination.path
    ));
    Ok(Passed { source, destination, record, source_dir })
}

/// The files of the tablet, by name and, unless the copy follows at once, by size, in the directory that its record names.
fn check_files(line: &Line<'_>, source: &Root, record: &TabletRecord) -> Result<Dir, Failure> {
    let dir = tablet_dir(record.shard_id, line.key);
    let opened = source.dir().open_if_exists(&dir).map_err(|error| line.on_source(error))?;
    let files = opened.ok_or_else(|| {
        let why = format!("{}/{dir} is missing, and the tablet's record names it", line.source.path);
        Failure::new(ErrorCode::SourceDamaged, why)
    })?;
    // Who goes on to the copy by itself opens every file there, and finds its size: it is not asked for twice.
    let copies_next = Job::may_do(&line.job.lock()) >= Step::Data;
    let check = if copies_next { check_names } else { check_source };
    check(&files, &record.manifest)
        .inspect_err(|failure| note_failed_read(line.node, line.key, &line.source, failure))?;
    Ok(files)
}

/// The source's record, which must be the one the catalog goes by.
pub(super) fn read_record(line: &Line<'_>, store: &NativeStore) -> Result<TabletRecord, Failure> {
    let owner = line.node.catalog().get(line.key).copied();
    let moved = |why: String| Failure::new(ErrorCode::TabletNotFound, why);
    let owner = owner.ok_or_else(|| moved(format!("tablet {} is no longer on this node", line.key)))?;
    if owner.disk != line.source.index {
        let now = &line.node.disk(owner.disk).path;
        return Err(moved(format!("tablet {} is on {now} now, no longer on {}", line.key, line.source.path)));
    }
    let record = store.get(line.key).map_err(|error| line.on_source(error)).and_then(|record| {
        record.ok_or_else(|| {
            let why = format!("the metadata record of {} is gone from {}", line.key, line.source.path);
            Failure::new(ErrorCode::RecordDamaged, why)
        })
    });
    record.inspect_err(|failure| note_failed_read(line.node, line.key, &line.source, failure))
}

/// Measured now, with every other move in flight counted, and reserved. What an earlier attempt has left in staging lies
/// there already and is not asked for again. The numbers in words.
fn check_space(line: &Line<'_>, destination: &Root, manifest: &Manifest) -> Result<String, Failure> {
    let kept = kept(line, destination, manifest)?;
    let capacity = line.destination.space.measure(destination).map_err(|error| line.on_destination(error))?;
    let claim = &line.job.claim;
    let files = manifest.files().len() as u64;
    let need = Space::of_tablet(line.job.size_bytes.max(manifest.total_bytes()), files);
    let limits = limits::capacity(&line.node.config());
    let others =
        line.destination.space.reserve_attempt(capacity, (need, kept), claim.reserved(), limits).map_err(
            |full| Failure::new(ErrorCode::DiskFull, format!("disk {}: {full}", line.destination.path)),
        )?;
    claim.set_reserved(need);
    claim.set_kept_inodes(kept.inodes);
    claim.found_space();
    line.job.progress.allocated_bytes.store(kept.bytes, Ordering::Relaxed);
    let here = match kept.bytes {
        0 => String::new(),
        bytes => format!(", {bytes} are in staging already"),
    };
    let inodes = capacity.inodes_left().map(|left| format!(", {}", counted(left, "inode")));
    Ok(format!(
        "{} bytes are free{}, {} bytes of them meant for other moves{here}",
        capacity.avail_bytes,
        inodes.unwrap_or_default(),
        others.bytes
    ))
}

/// What an earlier attempt has left of the tablet's files, in staging or, where it ended between the two, in their place.
fn kept(line: &Line<'_>, destination: &Root, manifest: &Manifest) -> Result<Space, Failure> {
    let Some(shard) = line.job.lock().destination_shard else { return Ok(Space::default()) };
    let kept = || -> Result<Space, DiskError> {
        let staging = destination.dir().open_if_exists(format!("{MIGRATING}/{}/{FILES}", line.id))?;
        let found = match staging {
            Some(files) => Some(files),
            None => destination.dir().open_if_exists(tablet_dir(shard, line.key))?,
        };
        let Some(dir) = found else { return Ok(Space::default()) };
        manifest.files().iter().try_fold(Space::default(), |sum, file| {
            let bytes = staged_bytes(&dir, file)?;
            Ok(sum.plus(Space { bytes, inodes: u64::from(bytes > 0) }))
        })
    };
    kept().map_err(|error| line.on_destination(error))
}

/// What an earlier stay or an earlier attempt has left on the destination goes first.
fn make_way(line: &Line<'_>) -> Result<(), Failure> {
    tidy::make_way(line.node, &line.destination, line.key).map_err(|why| {
        let path = &line.destination.path;
        Failure::new(
            ErrorCode::AlreadyOnDisk,
            format!(
                "something of tablet {} is still left on {path}: {why}; it is tried again until that is mended, see \
                 tabletctl disk show {path}",
                line.key
            ),
        )
    })
}

/// A record of the tablet on the destination would be a second owner.
fn check_nothing_in_the_way(line: &Line<'_>, store: &NativeStore) -> Result<(), Failure> {
    let found = store.get(line.key).map_err(|error| line.on_destination(error))?;
    found.map_or(Ok(()), |record| {
        let why = format!(
            "{} has a record of tablet {} already (generation {}); restart the daemon to settle it",
            line.destination.path, line.key, record.generation
        );
        Err(Failure::new(ErrorCode::AlreadyOnDisk, why))
    })
}
