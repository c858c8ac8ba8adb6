//! One sync for many: the thread that syncs a disk's file system on behalf of every migration that writes to it.
//!
//! Whoever needs a barrier asks; the thread takes all who have asked by then, calls `syncfs` once, and answers them all.
//! A thousand small tablets cost a few hundred cache flushes instead of thousands: while others have barriers to pass on
//! the disk, a sync waits a moment for them. Who is alone on the disk never waits.
//!
//! The thread opened the root before anybody wrote to it, so that `syncfs` reports every write-back error since
//! (Linux 5.8), also one that came between two syncs.
//!
//! Failed syncs. A failed `fsync`, `fdatasync` or `syncfs` is never repeated and believed. The copy is dropped, the
//! disk is *suspect* and takes no new copies, and every copy in flight on it since its last good sync fails
//! (`Disk::write_epoch`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use nix::errno::Errno;

use super::disk::Disk;
use crate::fault;
use crate::model::{ErrorCode, Failure};
use crate::storage::{Barrier, DiskError, Root};

/// How long a sync waits for the next of those who will need one as well. Well below what a flush of a disk takes; on
/// the fastest of them it saves the processor the flushes.
const GATHER: Duration = Duration::from_micros(500);

/// Counts, for the metrics.
#[derive(Default)]
pub(crate) struct SyncCounts {
    /// `syncfs` calls made.
    pub(crate) syncs: AtomicU64,
    /// Barriers passed by them.
    pub(crate) waits: AtomicU64,
}

/// Serves barriers of one disk until every asker is gone. Runs on a thread with its own descriptor table.
pub(crate) fn serve(
    disk: &Disk,
    root: &Root,
    asked: &Receiver<SyncSender<Result<(), Failure>>>,
    counts: &SyncCounts,
) {
    while let Ok(first) = asked.recv() {
        if disk.is_forgotten() {
            // Whoever asked is told by the end of the channel.
            return;
        }
        let mut waiting = vec![first];
        while waiting.len() < disk.barriers.load(Ordering::Relaxed) {
            match asked.recv_timeout(GATHER) {
                Ok(next) => waiting.push(next),
                Err(_) => break,
            }
        }
        waiting.extend(asked.try_iter());
        let answer = {
            let _call = disk.enter("syncfs");
            let synced = root.dir().sync_file_system();
            if synced.is_err() && fault::is_left_out("sync_again") {
                root.dir().sync_file_system()
            } else {
                synced
            }
        };
        counts.syncs.fetch_add(1, Ordering::Relaxed);
        counts.waits.fetch_add(waiting.len() as u64, Ordering::Relaxed);
        let answer = answer.map_err(|error| {
            if error.errno == Errno::EROFS {
                disk.turned_read_only();
            } else {
                disk.sync_failed(&error.to_string());
            }
            Failure::from(error)
        });
        for reply in waiting {
            // Who asked may have been stopped.
            let _ = reply.send(answer.clone());
        }
    }
}

/// The barrier of one migration on one disk. Fails for good once any sync of the disk has failed since it was made.
pub(crate) struct SharedBarrier {
    disk: Arc<Disk>,
    epoch: u64,
}

impl SharedBarrier {
    /// Made before the first byte is written.
    pub(crate) fn new(disk: &Arc<Disk>) -> Self {
        disk.barriers.fetch_add(1, Ordering::Relaxed);
        Self { disk: Arc::clone(disk), epoch: disk.write_epoch() }
    }

    fn error(&self, errno: Errno) -> DiskError {
        DiskError::new("syncfs", &self.disk.path, errno)
    }
}

impl Drop for SharedBarrier {
    fn drop(&mut self) {
        self.disk.barriers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Barrier for SharedBarrier {
    fn sync(&self) -> Result<(), DiskError> {
        let opened = self.disk.opened.get().ok_or_else(|| self.error(Errno::ENODEV))?;
        let (reply, answer) = mpsc::sync_channel(1);
        opened.syncs.send(reply).map_err(|_| self.error(Errno::ESHUTDOWN))?;
        let answered = answer.recv().map_err(|_| self.error(Errno::ESHUTDOWN))?;
        // A sync that went well after one that failed proves nothing for what was written before.
        if answered.as_ref().is_err_and(|failure| failure.code == ErrorCode::DiskUnavailable) {
            return Err(self.error(Errno::EROFS));
        }
        if answered.is_err() || self.disk.write_epoch() != self.epoch {
            return Err(self.error(Errno::EIO));
        }
        Ok(())
    }
}
