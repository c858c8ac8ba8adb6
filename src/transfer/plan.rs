//! How the files of a tablet are cut into batches. Pure: sizes in, ranges out.

use super::buffer::{ALIGN_BYTES, align_up};
use crate::model::FileOwner;

/// Batches a tablet is cut into, where the bounds of a window allow it. A read-back is free only while something else is
/// being copied: with as few batches as threads, all copy and then all read back, which on disks of 200 MB/s took twice
/// as long for a tablet of 120 MiB. More batches only mean more flushes.
const BATCHES: u64 = 32;

/// How a copy is made. Sizes are rounded up to 4,096 bytes where they must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOptions {
    /// Threads of one copy, the caller's included. Four keep a solid-state disk busy; on a spinning one fewer seek less.
    pub threads: usize,
    /// Bytes per read and write, and per thread of buffer.
    pub block_bytes: usize,
    /// Bytes that are copied before they are read back: a 32nd of the tablet, but at least this. A tablet of fewer bytes
    /// is copied by the calling thread alone.
    pub window_min_bytes: u64,
    /// The same, at most.
    pub window_max_bytes: u64,
    /// Files in one batch at most: bounds what one sync waits for where files are small.
    pub batch_files: usize,
    /// Files from this size up are written with `O_DIRECT`; smaller ones through the page cache.
    pub direct_io_min_file_bytes: u64,
    /// Batches of this many files or more are made durable by one barrier, smaller ones file by file.
    pub barrier_min_files: usize,
    /// What is done where source and destination are on one file system.
    pub shared_bytes: SharedBytes,
    /// Whose the copied files are.
    pub owner: FileOwner,
    /// What is done about entries of the source that its manifest does not list.
    pub strangers: Strangers,
    /// What the destination may hold already.
    pub found: Found,
}

/// What is known of a destination before a copy looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It may hold files of an earlier attempt.
    Unknown,
    /// It was made for this copy a moment ago, and is empty.
    Nothing,
}

/// Whether a source may hold what its manifest does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strangers {
    /// It is no such source.
    Refused,
    /// It may, and they are not copied: in trash a tablet's header lies among its files.
    LeftOut,
    /// It was compared with its manifest a moment ago, by [`super::check_names`] or more, and is not listed again. The copy itself
    /// opens every file and finds what is missing or has another size.
    NoneSeen,
}

/// Whether a copy may share its blocks with the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedBytes {
    /// Every byte is written anew.
    Never,
    /// Where both are on one device and the file system can (`FICLONE`).
    WhereOneDevice,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            threads: 4,
            block_bytes: 1 << 20,
            window_min_bytes: 4 << 20,
            window_max_bytes: 32 << 20,
            batch_files: 512,
            direct_io_min_file_bytes: 128 << 10,
            barrier_min_files: 16,
            shared_bytes: SharedBytes::Never,
            owner: FileOwner::Keep,
            strangers: Strangers::Refused,
            found: Found::Unknown,
        }
    }
}

impl CopyOptions {
    /// Bytes of a block: no more than the largest file needs, so that a small tablet takes little of the memory budget.
    pub(super) fn block_bytes_for(&self, largest_file_bytes: u64) -> usize {
        let largest = usize::try_from(largest_file_bytes).unwrap_or(usize::MAX);
        align_up(self.block_bytes.min(largest).max(1))
    }

    fn window_bytes_for(&self, total_bytes: u64) -> u64 {
        let wished = (total_bytes / BATCHES).max(self.window_min_bytes).min(self.window_max_bytes);
        wished.max(self.block_bytes as u64).next_multiple_of(ALIGN_BYTES as u64)
    }
}

/// Whether a file may be handled by several threads at once, each in a window of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Both ends are read and written past the page cache, where windows do not meet.
    Windows,
    /// Through the page cache "is nothing of it cached" is only known of a whole file.
    WholeFiles,
}

/// A range of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Index in the manifest.
    pub(super) file: usize,
    /// Where it begins: a multiple of the alignment.
    pub(super) offset_bytes: u64,
    /// How long it is; 0 only for an empty file.
    pub(super) length_bytes: u64,
}

impl Piece {
    /// The whole of a file.
    pub(super) fn whole(file: usize, size_bytes: u64) -> Self {
        Self { file, offset_bytes: 0, length_bytes: size_bytes }
    }

    /// Where it ends.
    pub(super) fn end_bytes(&self) -> u64 {
        self.offset_bytes + self.length_bytes
    }
}

/// Pieces that are written, made durable and read back together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Batch {
    pub(super) pieces: Vec<Piece>,
}

/// Cuts `files`, given as (index in the manifest, size), into batches that cover each byte once.
///
/// Small files come first: the sync of their batch then overlaps with the copy of the large ones, and the threads do
/// not all copy and then all read back in step.
pub(super) fn plan(
    files: impl IntoIterator<Item = (usize, u64)> + Clone,
    options: &CopyOptions,
    cut: Cut,
) -> Vec<Batch> {
    let total_bytes = files.clone().into_iter().map(|(_, size_bytes)| size_bytes).sum();
    let window_bytes = options.window_bytes_for(total_bytes);
    let (mut small, mut middling, mut windows) = (Group::default(), Group::default(), Vec::new());
    for (file, size_bytes) in files {
        let whole = Piece::whole(file, size_bytes);
        if size_bytes < options.direct_io_min_file_bytes {
            small.push(whole, window_bytes, options.batch_files);
        } else if size_bytes <= window_bytes || cut == Cut::WholeFiles {
            middling.push(whole, window_bytes, options.batch_files);
        } else {
            windows.extend((0..size_bytes).step_by(to_step(window_bytes)).map(|offset_bytes| Batch {
                pieces: vec![Piece {
                    file,
                    offset_bytes,
                    length_bytes: window_bytes.min(size_bytes - offset_bytes),
                }],
            }));
        }
    }
    let mut batches = small.batches;
    batches.append(&mut middling.batches);
    batches.append(&mut windows);
    batches
}

fn to_step(window_bytes: u64) -> usize {
    usize::try_from(window_bytes).unwrap_or(usize::MAX)
}

#[derive(Default)]
struct Group {
    batches: Vec<Batch>,
    last_bytes: u64,
}

impl Group {
    fn push(&mut self, piece: Piece, bytes_max: u64, files_max: usize) {
        let fits = self.batches.last().is_some_and(|last| {
            last.pieces.len() < files_max && self.last_bytes.saturating_add(piece.length_bytes) <= bytes_max
        });
        if !fits {
            self.batches.push(Batch::default());
            self.last_bytes = 0;
        }
        self.last_bytes += piece.length_bytes;
        if let Some(last) = self.batches.last_mut() {
            last.pieces.push(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_files_share_batches_and_large_ones_are_cut() {
        let options = CopyOptions { window_max_bytes: 2 << 20, batch_files: 2, ..CopyOptions::default() };
        let sizes = [10, 0, 5 << 20, 20, 1 << 20];
        let batches = plan(sizes.into_iter().enumerate(), &options, Cut::Windows);
        let shape: Vec<Vec<(usize, u64)>> = batches
            .iter()
            .map(|batch| batch.pieces.iter().map(|piece| (piece.file, piece.offset_bytes)).collect())
            .collect();
        let window = 2 << 20;
        assert_eq!(
            shape,
            [
                vec![(0, 0), (1, 0)],
                vec![(3, 0)],
                vec![(4, 0)],
                vec![(2, 0)],
                vec![(2, window)],
                vec![(2, 2 * window)]
            ]
        );
        let whole = plan([(0, 5 << 20)], &options, Cut::WholeFiles);
        assert_eq!(whole, [Batch { pieces: vec![Piece::whole(0, 5 << 20)] }]);
    }

    #[test]
    fn the_window_grows_with_the_tablet_between_its_bounds() {
        let options = CopyOptions::default();
        for (total_mib, window_mib) in [(0, 4), (1, 4), (128, 4), (256, 8), (1024, 32), (1 << 20, 32)] {
            assert_eq!(options.window_bytes_for(total_mib << 20), window_mib << 20, "{total_mib} MiB");
        }
        let large_blocks = CopyOptions { block_bytes: (64 << 20) + 1, ..options };
        assert_eq!(large_blocks.window_bytes_for(0), (64 << 20) + 4096);
    }

    proptest! {
        #[test]
        fn every_byte_is_in_one_piece_and_every_batch_is_bounded(
            sizes in prop::collection::vec(prop_oneof![0_u64..10, 0_u64..300_000, 0_u64..5_000_000], 0..60),
            window_min_bytes in 0_u64..3_000_000,
            window_max_bytes in 1_u64..3_000_000,
            block_bytes in 1_usize..1_000_000,
            batch_files in 1_usize..20,
            cut in prop_oneof![Just(Cut::Windows), Just(Cut::WholeFiles)],
        ) {
            let options = CopyOptions {
                window_min_bytes, window_max_bytes, block_bytes, batch_files, ..CopyOptions::default()
            };
            let batches = plan(sizes.iter().copied().enumerate(), &options, cut);
            let mut next: Vec<Option<u64>> = vec![None; sizes.len()];
            let window_bytes = options.window_bytes_for(sizes.iter().sum());
            let bound = window_bytes.max(options.direct_io_min_file_bytes);
            for batch in &batches {
                let length_bytes: u64 = batch.pieces.iter().map(|piece| piece.length_bytes).sum();
                prop_assert!(!batch.pieces.is_empty() && batch.pieces.len() <= batch_files);
                prop_assert!(batch.pieces.len() == 1 || length_bytes <= window_bytes);
                prop_assert!(cut == Cut::WholeFiles || length_bytes <= bound);
                for piece in &batch.pieces {
                    prop_assert_eq!(piece.offset_bytes % ALIGN_BYTES as u64, 0);
                    prop_assert_eq!(next[piece.file].unwrap_or(0), piece.offset_bytes);
                    prop_assert!(piece.length_bytes > 0 || sizes[piece.file] == 0);
                    next[piece.file] = Some(piece.end_bytes());
                }
            }
            let covered: Vec<u64> = next.into_iter().map(|end| end.expect("in some batch")).collect();
            prop_assert_eq!(covered, sizes);
        }
    }
}
