//! The records' part of a scan: in the order of the disk, by several readers, and past what a checkpoint vouches for.
//!
//! A directory gives its names in the order of their hashes; read so, every record is a seek. They are read by inode
//! instead, which is where file systems put what was made together. The readers take short runs in turn, so that together
//! they go over the disk once. First all records, then all directories above tablets: two sweeps instead of a zigzag.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use super::checkpoint::{Checkpoint, Draft, Seen, Stamp};
use super::dir::{Dir, EntryKind};
use super::error::{DiskError, StorageError};
use super::how_to_scan::{HowToScan, LookForDirectories, ScanProgress, WhichRecords};
use super::layout::{tablet_dir, tablet_parent};
use super::root::Root;
use super::store::{ListedRecord, MetadataStore, ScannedRecord};
use crate::model::{RecordSummary, TabletKey, counted};

/// Neighbours on the disk that one reader takes at once.
const RUN: usize = 64;

/// All of it; the fields are those of [`super::RootScan`].
#[derive(Default)]
pub(super) struct Records {
    pub(super) records: Vec<RecordSummary>,
    pub(super) without_directory: Vec<TabletKey>,
    pub(super) unseen_directory: Vec<(TabletKey, String)>,
    pub(super) damaged: Vec<(String, Option<TabletKey>, String)>,
    pub(super) draft: Draft,
}

/// What the readers found, each on its own.
#[derive(Default)]
struct Part {
    seen: Vec<Seen>,
    /// Of these, those that a checkpoint vouched for.
    vouched: usize,
    damaged: Vec<(String, Option<TabletKey>, String)>,
}

/// Scans every record of a root.
///
/// # Errors
/// The store itself cannot be read.
pub(super) fn scan_records(
    root: &Root,
    store: &(dyn MetadataStore + Sync),
    how: HowToScan,
    progress: &ScanProgress,
) -> Result<Records, StorageError> {
    let began_ns = now_ns();
    let mut found = Records::default();
    let mut listed = store.list()?;
    listed.sort_unstable_by_key(ListedRecord::inode);
    progress.expect(listed.len());
    let checkpoint = match how.records {
        WhichRecords::All => Checkpoint::default(),
        WhichRecords::NotVouchedFor => Checkpoint::read(root.dir(), root.identity().uuid),
    };
    let parts = in_turns(&listed, how.readers, |part: &mut Part, listed| {
        read_one(store, &checkpoint, listed, part)?;
        progress.count(root.dir());
        Ok::<_, StorageError>(())
    })?;
    drop((listed, checkpoint));
    let (mut seen, mut vouched) = (Vec::new(), 0);
    for part in parts {
        seen.extend(part.seen);
        vouched += part.vouched;
        found.damaged.extend(part.damaged);
    }
    let (at, count) = (root.dir().path().display(), seen.len() + found.damaged.len());
    tracing::info!("{at}: {}, {vouched} as its checkpoint has it", counted(count, "record"));
    if how.look == LookForDirectories::Yes {
        look_for_directories(root.dir(), &mut seen, how.readers, progress, &mut found)?;
    }
    found.records = seen.iter().map(|seen| seen.summary).collect();
    if how.records == WhichRecords::NotVouchedFor {
        // Where directories are looked for, an entry is worth nothing without what is above its tablet's.
        let looks = how.look == LookForDirectories::Yes;
        seen.retain(|seen| seen.above.is_some() || !looks);
        found.draft = Draft::of(seen, began_ns, vouched);
    }
    Ok(found)
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn read_one(
    store: &(dyn MetadataStore + Sync),
    checkpoint: &Checkpoint,
    listed: &ListedRecord,
    part: &mut Part,
) -> Result<(), StorageError> {
    if let (Some(noted), Some(key)) = (checkpoint.of_inode(listed.inode()), listed.key())
        && noted.summary.key == key
        // What the disk does not say is asked of the record.
        && matches!(store.stamp(key), Ok(Some(stamp)) if stamp == noted.record)
    {
        part.vouched += 1;
        part.seen.push(*noted);
        return Ok(());
    }
    match store.read(listed)? {
        (ScannedRecord::Good(summary), Some(record)) => {
            part.seen.push(Seen { summary, record, above: None });
        }
        (ScannedRecord::Good(summary), None) => {
            let record = Stamp { inode: 0, changed_ns: i64::MAX, bytes: 0 };
            part.seen.push(Seen { summary, record, above: None });
        }
        (ScannedRecord::Damaged { name, key, why }, _) => part.damaged.push((name, key, why)),
    }
    Ok(())
}

/// Finds the tablets whose directory is not there. What is above a directory is looked at first: its stamp stands for
/// what was seen in it, as long as it stays.
fn look_for_directories(
    root: &Dir,
    seen: &mut Vec<Seen>,
    readers: u32,
    progress: &ScanProgress,
    found: &mut Records,
) -> Result<(), StorageError> {
    #[derive(Default)]
    struct Looked {
        seen: Vec<Seen>,
        without: Vec<TabletKey>,
        unseen: Vec<(TabletKey, String)>,
    }
    seen.sort_unstable_by_key(|seen| {
        (seen.above.map(|above| above.inode), seen.summary.shard_id.0, seen.summary.key)
    });
    let parts = in_turns(seen, readers, |part: &mut Looked, seen| {
        let (key, shard) = (seen.summary.key, seen.summary.shard_id);
        let mut seen = *seen;
        let above = stamp_of(root, &tablet_parent(shard, key.tablet_id));
        if !matches!((&above, seen.above), (Ok(Some(now)), Some(noted)) if *now == noted) {
            seen.above = None;
            match root.kind(tablet_dir(shard, key)) {
                Ok(Some(EntryKind::Directory)) => seen.above = above.ok().flatten(),
                Ok(_) => part.without.push(key),
                Err(error) => part.unseen.push((key, error.to_string())),
            }
        }
        part.seen.push(seen);
        progress.tick();
        Ok::<_, StorageError>(())
    })?;
    seen.clear();
    for part in parts {
        seen.extend(part.seen);
        found.without_directory.extend(part.without);
        found.unseen_directory.extend(part.unseen);
    }
    Ok(())
}

fn stamp_of(root: &Dir, path: &str) -> Result<Option<Stamp>, DiskError> {
    Ok(root.stat(path)?.map(|stat| Stamp { bytes: 0, ..Stamp::of(&stat) }))
}

/// Shares `items` among readers, each of which takes the next few in their order until none is left.
fn in_turns<T: Sync, P: Default + Send, E: Send>(
    items: &[T],
    readers: u32,
    work: impl Fn(&mut P, &T) -> Result<(), E> + Sync,
) -> Result<Vec<P>, E> {
    let next = AtomicUsize::new(0);
    let parts = Mutex::new(Vec::new());
    let read = || {
        let mut part = P::default();
        loop {
            let from = next.fetch_add(RUN, Ordering::Relaxed);
            let run = items.get(from..(from + RUN).min(items.len())).unwrap_or_default();
            if run.is_empty() {
                break;
            }
            for item in run {
                if let Err(error) = work(&mut part, item) {
                    // Nobody need go on.
                    next.store(items.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        parts.lock().unwrap_or_else(PoisonError::into_inner).push(part);
        Ok(())
    };
    let most = items.len().div_ceil(RUN).clamp(1, readers.max(1) as usize);
    thread::scope(|scope| {
        // No thread to be had: the others read its share.
        let others: Vec<_> =
            (1..most).filter_map(|_| thread::Builder::new().spawn_scoped(scope, read).ok()).collect();
        let own = read();
        let joined = others.into_iter().map(|other| match other.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        std::iter::once(own).chain(joined.collect::<Vec<_>>()).collect::<Result<(), E>>()
    })?;
    Ok(parts.into_inner().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_read_by_one_reader_whatever_their_number() {
        for (count, readers) in [(0, 4), (1, 4), (1000, 0), (1000, 1), (1000, 7), (RUN * 3, 3)] {
            let items: Vec<_> = (0..count).collect();
            let parts = in_turns(&items, readers, |part: &mut Vec<usize>, item| {
                part.push(*item);
                Ok::<_, ()>(())
            });
            let mut read: Vec<_> = parts.unwrap().into_iter().flatten().collect();
            read.sort_unstable();
            assert_eq!(read, items, "{count} items, {readers} readers");
        }
        let failed = in_turns(&[1, 2, 3], 2, |_: &mut (), item| if *item == 2 { Err("two") } else { Ok(()) });
        assert_eq!(failed, Err("two"));
    }
}
