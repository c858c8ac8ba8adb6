//! What survives a lost disk is written durably before the disk is given up: records above every generation it may have,
//! and verified copies that become the tablet.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::held::{Held, Staged, Tablet};
use super::loss::Served;
use crate::engine::look::reading::{Reading, read_record};
use crate::engine::node::Node;
use crate::engine::parts::counts::Counts;
use crate::engine::parts::disk::{Disk, stay, visit};
use crate::engine::parts::flush::SharedBarrier;
use crate::engine::parts::rewrite::outrank;
use crate::engine::parts::unfinished::reclaim_placed;
use crate::model::{DiskCondition, DiskIndex, ErrorCode, Failure, RecordSummary, TabletKey, TabletRecord};
use crate::rules::giving_up::{Older, TabletFate};
use crate::storage::Barrier;
use crate::storage::layout::RECORD_FILE;
use crate::storage::{
    MetadataStore, NativeStore, Quarantined, ReadFrom, Root, StagedRecord, Staging, decode_record,
    quarantine, read_small,
};
use crate::transfer::{CheckRequest, CopyOptions, check_source, verify_files};

/// How long one record may take to be read.
const LOOK_WAIT: Duration = Duration::from_secs(20);
/// How long one tablet may take: a staged copy is read from end to end.
const WRITE_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Carries it out, and writes down what came of it. Repeated after a failure it does the same again, one generation higher.
///
/// # Errors
/// A disk that is here failed. Nothing was given up.
pub(super) fn carry_out(node: &Arc<Node>, held: &mut Held, older: Older) -> Result<Served, Failure> {
    let mut served = Served::new();
    for (key, tablet) in &mut held.tablets {
        let done = carry_out_one(node, *key, tablet, older).map_err(|failure| {
            Failure::new(failure.code, format!("nothing was given up: tablet {key}: {failure}"))
        })?;
        served.extend(done.map(|done| (*key, done)));
    }
    Ok(served)
}

fn carry_out_one(
    node: &Arc<Node>,
    key: TabletKey,
    tablet: &mut Tablet,
    older: Older,
) -> Result<Option<(DiskIndex, RecordSummary)>, Failure> {
    if let Some(staged) = tablet.staged.clone() {
        let why = match tablet.fate {
            TabletFate::Adopted(generation) | TabletFate::OlderAdopted(generation) => {
                match adopt(node, &staged, generation)? {
                    Ok(done) => return Ok(Some(done)),
                    Err(damage) => damage,
                }
            }
            // What is not needed, or may not be used, is kept for whoever wants to look.
            _ => "its source was given up as lost".to_owned(),
        };
        set_aside(node, &staged, &why)?;
        tablet.set_aside(why, older);
    }
    match (tablet.fate, tablet.here) {
        (TabletFate::Kept(generation) | TabletFate::OlderServed(generation), Some(index)) => {
            let disk = Arc::clone(node.disk(index));
            let read_only = matches!(disk.condition(node.hang_after()), DiskCondition::ReadOnly { .. });
            let record = match tablet.fate {
                // As good as what is lost, which never comes back, it is served by a disk that takes no record.
                TabletFate::Kept(_) if read_only => read(&disk, key)?,
                _ => keep(&disk, key, generation)?,
            };
            Ok(Some((index, record)))
        }
        _ => Ok(None),
    }
}

fn read(disk: &Arc<Disk>, key: TabletKey) -> Result<RecordSummary, Failure> {
    visit(disk, LOOK_WAIT, move |_, store| Ok(read_record(store, key)?.summary()))
}

fn keep(disk: &Arc<Disk>, key: TabletKey, generation: u64) -> Result<RecordSummary, Failure> {
    let owned = Arc::clone(disk);
    stay(disk, WRITE_WAIT, move |root, store| {
        let _call = owned.enter("writing a record again");
        Ok(outrank(&owned, (root, store), key, generation, None)?.summary())
    })
}

/// Makes a staged copy the tablet, if every byte of it is what its record says; else what is wrong with it.
fn adopt(
    node: &Arc<Node>,
    staged: &Staged,
    generation: u64,
) -> Result<Result<(DiskIndex, RecordSummary), String>, Failure> {
    let disk = Arc::clone(node.disk(staged.disk));
    let (at, owned, own) = (Arc::clone(node), Arc::clone(&disk), staged.clone());
    let adopted = stay(&disk, WRITE_WAIT, move |root, store| {
        let (key, shard) = (own.owner.key, own.owner.shard_id);
        // A swap that was cut short has put the files in their place already.
        reclaim_placed(root, store, &own.name, key, Some(shard))?;
        let staging = Staging::open_or_create(root.dir(), &own.name, &own.owner)?;
        match look_whole(&at, &owned, &staging, key) {
            Ok(record) => {
                let record = TabletRecord { generation, ..record };
                commit(&owned, root, store, staging, record).map(Ok)
            }
            Err(failure) if is_damage(failure.code) => Ok(Err(failure)),
            Err(failure) => Err(failure),
        }
    })?;
    Ok(adopted.map(|record| (disk.index, record)).map_err(|failure| failure.message))
}

const fn is_damage(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::SourceDamaged | ErrorCode::UnexpectedEntry | ErrorCode::RecordDamaged)
}

/// Reads a staged copy from the medium and compares it with its record.
fn look_whole(node: &Node, disk: &Disk, staging: &Staging, key: TabletKey) -> Result<TabletRecord, Failure> {
    let damaged = |why: &str| Failure::new(ErrorCode::RecordDamaged, format!("its staged record {why}"));
    let bytes =
        read_small(staging.dir(), RECORD_FILE, ReadFrom::Medium)?.ok_or_else(|| damaged("is gone"))?;
    let record = decode_record(&bytes).map_err(|why| damaged(&why))?;
    if record.key != key {
        return Err(damaged("is another tablet's"));
    }
    check_source(staging.files(), &record.manifest)?;
    verify_files(&CheckRequest {
        dir: staging.files(),
        manifest: &record.manifest,
        options: &CopyOptions { threads: 1, ..node.copy_options() },
        budget: &node.budget,
        hooks: &Reading { node, disk, bytes: &AtomicU64::new(0), stop: None, count: None },
    })?;
    Ok(record)
}

fn commit(
    disk: &Arc<Disk>,
    root: &Root,
    store: &NativeStore,
    staging: Staging,
    record: TabletRecord,
) -> Result<RecordSummary, Failure> {
    let barrier = SharedBarrier::new(disk);
    let staged = StagedRecord::write(staging.dir(), record)?;
    barrier.sync()?;
    staged.check()?;
    staging.place(root.dir())?;
    barrier.sync()?;
    root.check_identity()?;
    store.commit(&staged, &barrier)?;
    let summary = staged.record().summary();
    if let Err(error) = staging.remove() {
        tracing::warn!(disk = disk.path, "{error}; the next start removes what is left");
    }
    Ok(summary)
}

fn set_aside(node: &Arc<Node>, staged: &Staged, why: &str) -> Result<(), Failure> {
    let disk = Arc::clone(node.disk(staged.disk));
    let (owned, own, why) = (Arc::clone(&disk), staged.clone(), why.to_owned());
    stay(&disk, WRITE_WAIT, move |root, store| {
        let _call = owned.enter("setting aside");
        let barrier = SharedBarrier::new(&owned);
        let (key, shard) = (own.owner.key, own.owner.shard_id);
        reclaim_placed(root, store, &own.name, key, Some(shard))?;
        let path = quarantine(root.dir(), store, &Quarantined::Staging { name: &own.name }, &why)?;
        barrier.sync()?;
        tracing::warn!(tablet = %key, disk = owned.path, "its copy is set aside in {path}: {why}");
        Ok(())
    })?;
    Counts::add(&node.counts.quarantined);
    Ok(())
}
