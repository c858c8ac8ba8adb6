//! How a root is to be scanned, and how far a scan is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::dir::Dir;

/// Whether a scan looks for each tablet's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookForDirectories {
    /// One `stat` per tablet.
    Yes,
    /// The record alone is believed until the tablet is used.
    No,
}

/// Which records a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichRecords {
    /// Every one.
    All,
    /// Those that the root's checkpoint does not vouch for; see `storage/checkpoint`.
    NotVouchedFor,
}

/// How a root is to be scanned.
#[derive(Debug, Clone, Copy)]
pub struct HowToScan {
    pub look: LookForDirectories,
    pub records: WhichRecords,
    /// Threads that share the records.
    pub readers: u32,
}

impl HowToScan {
    /// By one reader, and every record.
    pub const fn alone(look: LookForDirectories) -> Self {
        Self { look, records: WhichRecords::All, readers: 1 }
    }
}

/// How often a scan says how far it is.
const TELL_EVERY_MS: u64 = 5_000;

/// How far a scan is, for those who wait for it: a large disk takes long, a hung one stands still.
#[derive(Debug)]
pub struct ScanProgress {
    begun: Instant,
    moved_ms: AtomicU64,
    records: AtomicU64,
    expected: AtomicU64,
    told_ms: AtomicU64,
}

impl Default for ScanProgress {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            moved_ms: AtomicU64::new(0),
            records: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            told_ms: AtomicU64::new(0),
        }
    }
}

impl ScanProgress {
    /// Records read so far.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// How long it has stood still.
    pub fn still_for(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.moved_ms.load(Ordering::Relaxed)))
    }

    /// It has moved.
    pub fn tick(&self) {
        self.moved_ms.fetch_max(self.elapsed_ms(), Ordering::Relaxed);
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// There are so many records to look at.
    pub(super) fn expect(&self, records: usize) {
        self.expected.store(records as u64, Ordering::Relaxed);
        self.tick();
    }

    /// One more record of the root `of` was looked at. A scan that takes long says now and then how far it is.
    pub(super) fn count(&self, of: &Dir) {
        let done = self.records.fetch_add(1, Ordering::Relaxed) + 1;
        let (now, told) = (self.elapsed_ms(), self.told_ms.load(Ordering::Relaxed));
        self.moved_ms.fetch_max(now, Ordering::Relaxed);
        let is_due = now.saturating_sub(told) >= TELL_EVERY_MS;
        if is_due && self.told_ms.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let expected = self.expected.load(Ordering::Relaxed);
            tracing::info!("{}: records read: {done} of about {expected}", of.path().display());
        }
    }
}
