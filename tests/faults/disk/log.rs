//! What a power cut leaves: the log of one disk's writes and flushes, and the image that each cut of it makes.
//!
//! The model of a disk: a write that was answered lies in a volatile cache; a flush that was answered has made durable
//! every write that was answered *before the flush arrived*. At a cut the volatile writes are lost, partly kept in any
//! combination, or kept but for the last, which is torn. A disk that lies about flushes is not modelled here.
//! A cut is computed from the log alone: the workload is not run again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::image::Image;
use crate::rng::Rng;

/// A point in the life of all disks of one server: the number of writes and flushes logged so far on any of them.
/// A cut at position `n` happens after operation `n` and before operation `n + 1`.
pub(crate) type Position = u64;

/// What becomes of the writes no flush has covered when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CutModel {
    /// All of them are lost.
    Lost,
    /// Each is kept or lost by the toss of a coin, as a cache that drains out of order would do.
    Subset,
    /// All are kept, but only some units of `unit_bytes` of the last one reached the medium.
    /// 4096 is what current disks promise to write whole, 512 the harsher world of older ones.
    Torn {
        /// Bytes that the disk writes whole.
        unit_bytes: usize,
    },
}

impl CutModel {
    /// The three models, tearing at 4,096 bytes.
    pub(crate) const ALL: [Self; 3] = [Self::Lost, Self::Subset, Self::Torn { unit_bytes: 4096 }];

    /// A short name for tables and evidence.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Lost => "lost".into(),
            Self::Subset => "subset".into(),
            Self::Torn { unit_bytes } => format!("torn {unit_bytes}"),
        }
    }
}

/// What one operation was, without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A write.
    Write {
        /// Offset on the disk, bytes.
        offset: usize,
        /// Length in bytes.
        len: usize,
    },
    /// A flush that was answered with success.
    Flush,
}

/// One line of the log as a harness sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// When.
    pub(crate) at: Position,
    /// What.
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
enum Entry {
    Write {
        at: Position,
        offset: usize,
        bytes: Arc<[u8]>,
    },
    /// Everything in the log before index `covers` is durable.
    Flush {
        at: Position,
        covers: usize,
    },
}

impl Entry {
    fn at(&self) -> Position {
        match self {
            Self::Write { at, .. } | Self::Flush { at, .. } => *at,
        }
    }
}

/// The writes and flushes of one disk since its base image.
#[derive(Debug)]
pub(crate) struct Log {
    base: Image,
    entries: Vec<Entry>,
    /// `base` with the durable entries before the index applied: makes a sweep over rising positions cheap.
    checkpoint: (usize, Image),
}

impl Log {
    /// An empty log over `base`, all of which is durable.
    pub(crate) fn over(base: Image) -> Self {
        Self { checkpoint: (0, base.clone()), entries: Vec::new(), base }
    }

    /// Entries so far: what a flush that arrives now will cover.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Notes an answered write.
    pub(crate) fn wrote(&mut self, at: Position, offset: usize, bytes: &[u8]) {
        self.entries.push(Entry::Write { at, offset, bytes: bytes.into() });
    }

    /// Notes an answered flush that arrived when the log had `covers` entries.
    pub(crate) fn flushed(&mut self, at: Position, covers: usize) {
        self.entries.push(Entry::Flush { at, covers });
    }

    /// The log without its bytes.
    pub(crate) fn events(&self) -> Vec<Event> {
        let event = |entry: &Entry| match entry {
            Entry::Write { at, offset, bytes } => {
                Event { at: *at, kind: Kind::Write { offset: *offset, len: bytes.len() } }
            }
            Entry::Flush { at, .. } => Event { at: *at, kind: Kind::Flush },
        };
        self.entries.iter().map(event).collect()
    }

    /// The image that a power cut at `position` leaves. The same arguments make the same image.
    pub(crate) fn cut(&mut self, position: Position, model: CutModel, seed: u64) -> Image {
        let end = self.entries.partition_point(|entry| entry.at() <= position);
        let durable = self.durable_before(end);
        let mut image = self.durable_image(durable).clone();
        let volatile: Vec<_> = self.entries[durable..end]
            .iter()
            .filter_map(|entry| match entry {
                Entry::Write { offset, bytes, .. } => Some((*offset, bytes)),
                Entry::Flush { .. } => None,
            })
            .collect();
        let mut rng = Rng::new(seed);
        match model {
            CutModel::Lost => {}
            CutModel::Subset => {
                for (offset, bytes) in volatile {
                    if rng.coin() {
                        image.write(offset, bytes);
                    }
                }
            }
            CutModel::Torn { unit_bytes } => {
                if let Some(((last_offset, last_bytes), kept)) = volatile.split_last() {
                    kept.iter().for_each(|(offset, bytes)| image.write(*offset, bytes));
                    tear(&mut image, *last_offset, last_bytes, unit_bytes, &mut rng);
                }
            }
        }
        image
    }

    /// How many entries from the first are durable, given that the log ends at `end`.
    fn durable_before(&self, end: usize) -> usize {
        self.entries[..end]
            .iter()
            .rev()
            .find_map(|entry| match entry {
                Entry::Flush { covers, .. } => Some(*covers),
                Entry::Write { .. } => None,
            })
            .unwrap_or(0)
    }

    fn durable_image(&mut self, durable: usize) -> &Image {
        if durable < self.checkpoint.0 {
            self.checkpoint = (0, self.base.clone());
        }
        let (from, image) = &mut self.checkpoint;
        for entry in &self.entries[*from..durable] {
            if let Entry::Write { offset, bytes, .. } = entry {
                image.write(*offset, bytes);
            }
        }
        *from = durable;
        image
    }
}

/// Writes some units of `bytes`, in any combination but all of them.
fn tear(image: &mut Image, offset: usize, bytes: &[u8], unit_bytes: usize, rng: &mut Rng) {
    let units = bytes.len().div_ceil(unit_bytes);
    let missing = usize::try_from(rng.below(units as u64)).expect("a unit number fits usize");
    for (number, unit) in bytes.chunks(unit_bytes).enumerate() {
        if number != missing && rng.coin() {
            image.write(offset + number * unit_bytes, unit);
        }
    }
}
