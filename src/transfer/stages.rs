//! The stages of a batch: planned, written, staged (durable), verified.
//!
//! Each is made only from the one before it, so a batch that was not synced cannot be read back, and one that was not
//! read back cannot be counted as copied. Never writes to the source, never syncs a file twice.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crc32fast::Hasher;

use super::attributes::{Attributes, Keeper};
use super::buffer::Buffer;
use super::coldness::Coldness;
use super::crew::{Crew, lock};
use super::end::{Access, End};
use super::hooks::{Side, Traffic};
use super::open_file::{OpenFile, sync_failed};
use super::plan::{Batch, Piece};
use super::read_back::{Reading, for_each_block, read_back_open, read_past_cache};
use super::sums::RangeSums;
use super::verified::{Coverage, VerifiedRange};
use crate::fault;
use crate::model::{ErrorCode, Failure, FileEntry, Manifest};
use crate::storage::Barrier;

/// What all batches of one copy share.
pub(super) struct Shared<'a> {
    pub(super) crew: Crew<'a>,
    pub(super) manifest: &'a Manifest,
    pub(super) source: End<'a>,
    pub(super) destination: End<'a>,
    pub(super) barrier: &'a (dyn Barrier + Sync),
    /// What is kept of files beside their bytes.
    pub(super) keeper: Keeper,
    /// Sums of what was read from the source.
    pub(super) source_sums: Mutex<Vec<RangeSums>>,
    /// What was read back and compared.
    pub(super) coverage: Mutex<Coverage<'a>>,
    /// Whether a name was made or removed that no barrier has followed.
    pub(super) names_unsynced: AtomicBool,
}

/// Files of a batch that stay open from their making until they were read back. Those of a larger batch are opened again:
/// descriptors are not without bound.
const OPEN_FILES_MAX: usize = 64;

/// A range as it was read from the source.
struct WrittenRange<'s, 'a> {
    piece: Piece,
    crc32: u32,
    /// What it was written to, where that stays open.
    file: Option<OpenFile<'s, 'a, 's>>,
}

/// A piece that was written, in its file.
struct Copied<'s, 'a> {
    crc32: u32,
    file: OpenFile<'s, 'a, 's>,
    original: Attributes,
}

/// How much of a file was read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Part,
    Whole,
}

/// Written to the destination; lost at a power cut.
pub(super) struct WrittenBatch<'s, 'a> {
    ranges: Vec<WrittenRange<'s, 'a>>,
    durable_by: DurableBy,
    /// Of files for which no space was reserved: it is theirs once they are synced, not before on every file system.
    unreserved_bytes: u64,
}

/// What makes a batch durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DurableBy {
    Barrier,
    EachFile,
}

/// Durable on the destination.
pub(super) struct StagedBatch<'s, 'a> {
    ranges: Vec<WrittenRange<'s, 'a>>,
}

/// Read back and equal.
pub(super) struct VerifiedBatch {
    ranges: Vec<VerifiedRange>,
}

impl Batch {
    /// Reads the batch from the source, sums it and writes it to the destination.
    ///
    /// # Errors
    /// A call's; `SOURCE_DAMAGED` where the source differs from its manifest.
    pub(super) fn write<'s, 'a>(
        self,
        shared: &'s Shared<'a>,
        buffer: &mut Buffer<'_>,
    ) -> Result<WrittenBatch<'s, 'a>, Failure> {
        let is_shared = self.pieces.len() >= shared.crew.options.barrier_min_files;
        let durable_by = if is_shared { DurableBy::Barrier } else { DurableBy::EachFile };
        let stay_open = durable_by == DurableBy::EachFile || self.pieces.len() <= OPEN_FILES_MAX;
        let mut ranges = Vec::with_capacity(self.pieces.len());
        let mut unreserved_bytes = 0;
        for piece in self.pieces {
            let size_bytes = shared.manifest.files()[piece.file].size_bytes;
            let Copied { crc32, file, original } = shared.copy_piece(&piece, buffer)?;
            if fits_a_block(size_bytes, buffer) && !original.is_sparse {
                unreserved_bytes += size_bytes;
            }
            // The one who reads the last range of a file finds every range of it written.
            if shared.compare_with_manifest(&piece, crc32, buffer)? == Extent::Whole {
                file.keep(shared.crew.watch, &shared.keeper, original)?;
            }
            ranges.push(WrittenRange { piece, crc32, file: stay_open.then_some(file) });
        }
        Ok(WrittenBatch { ranges, durable_by, unreserved_bytes })
    }
}

impl<'s, 'a> WrittenBatch<'s, 'a> {
    /// Makes the batch durable: one barrier for many files, else each file by itself.
    ///
    /// # Errors
    /// `SYNC_FAILED`: final.
    pub(super) fn sync(self, shared: &Shared<'_>) -> Result<StagedBatch<'s, 'a>, Failure> {
        match self.durable_by {
            DurableBy::Barrier => shared.pass_barrier()?,
            DurableBy::EachFile => {
                shared.names_unsynced.store(true, Ordering::Relaxed);
                for file in self.ranges.iter().filter_map(|range| range.file.as_ref()) {
                    shared.crew.watch.checkpoint()?;
                    file.sync_data(shared.crew.watch)?;
                }
            }
        }
        shared.crew.watch.hooks().allocated(self.unreserved_bytes);
        Ok(StagedBatch { ranges: self.ranges })
    }
}

impl StagedBatch<'_, '_> {
    /// Reads the batch back from the medium and compares it with what was read from the source.
    ///
    /// # Errors
    /// `READ_BACK_MISMATCH`; a call's.
    pub(super) fn read_back(
        self,
        shared: &Shared<'_>,
        buffer: &mut Buffer<'_>,
    ) -> Result<VerifiedBatch, Failure> {
        let watch = shared.crew.watch;
        let mut ranges = Vec::with_capacity(self.ranges.len());
        for WrittenRange { piece, crc32, file } in self.ranges {
            let entry = &shared.manifest.files()[piece.file];
            let reading = if fault::is_left_out("read_back") {
                Reading { crc32, coldness: Coldness::NotProven }
            } else {
                let by_descriptor = match file {
                    Some(file) => read_back_open(watch, file, &piece, buffer)?,
                    None => None,
                };
                match by_descriptor {
                    Some(reading) => reading,
                    None => read_past_cache(watch, &shared.destination, entry, &piece, buffer)?,
                }
            };
            let (from, to, length_bytes) = (piece.offset_bytes, piece.end_bytes(), piece.length_bytes);
            let read = reading.crc32;
            let Some(range) = VerifiedRange::of_written(piece, crc32, reading) else {
                let why = format!(
                    "bytes {from} to {to} were written with CRC-32 {crc32:08x} and read back with {read:08x}"
                );
                return Err(shared.destination.damaged(&entry.name, &why));
            };
            watch.hooks().verified(length_bytes);
            ranges.push(range);
        }
        Ok(VerifiedBatch { ranges })
    }
}

/// Whether a file is written at once: nothing is reserved for it.
fn fits_a_block(size_bytes: u64, buffer: &Buffer<'_>) -> bool {
    size_bytes <= buffer.block_bytes() as u64
}

impl<'a> Shared<'a> {
    /// Counts a batch as copied.
    pub(super) fn accept(&self, batch: &VerifiedBatch) {
        let mut coverage = lock(&self.coverage);
        for range in &batch.ranges {
            if coverage.add(range) {
                self.crew.watch.hooks().file_verified();
            }
        }
    }

    /// Makes everything written to the destination's file system durable.
    ///
    /// # Errors
    /// `SYNC_FAILED`.
    pub(super) fn pass_barrier(&self) -> Result<(), Failure> {
        let sync = || self.barrier.sync();
        self.crew.watch.call(Side::Destination, "syncfs", sync).map_err(|error| sync_failed(&error))
    }

    /// Makes the files of which several threads will write windows.
    ///
    /// # Errors
    /// A call's; `NO_SPACE` before anything is copied.
    pub(super) fn create_windowed_files(&self, batches: &[Batch]) -> Result<(), Failure> {
        let pieces = batches.iter().flat_map(|batch| &batch.pieces);
        for piece in pieces.filter(|piece| piece.offset_bytes == 0) {
            let entry = &self.manifest.files()[piece.file];
            if piece.length_bytes < entry.size_bytes {
                let watch = self.crew.watch;
                watch.checkpoint()?;
                let Some(original) = self.source.attributes(watch, &entry.name)? else {
                    return Err(self.source.damaged(&entry.name, "it is missing, and the manifest lists it"));
                };
                let (name, size_bytes) = (&entry.name, entry.size_bytes);
                let file = self.destination.create(watch, name, size_bytes, Access::Buffered, original)?;
                file.reserve(watch, original)?;
            }
        }
        Ok(())
    }

    fn copy_piece<'s>(&'s self, piece: &Piece, buffer: &mut Buffer<'_>) -> Result<Copied<'s, 'a>, Failure> {
        let Crew { watch, options, .. } = self.crew;
        let FileEntry { name, size_bytes, .. } = &self.manifest.files()[piece.file];
        let size_bytes = *size_bytes;
        watch.checkpoint()?;
        let mut from = self.source.open(watch, name, size_bytes)?;
        let original = from.attributes()?;
        // Pages that somebody else reads the tablet from are not ours to drop.
        let cached_by_others = from.access() == Access::Buffered && from.cached_pages() > 0;

        let is_large = size_bytes >= options.direct_io_min_file_bytes;
        let access = if is_large { Access::Direct } else { Access::Buffered };
        let is_whole = piece.length_bytes == size_bytes;
        let mut to = if is_whole {
            self.destination.create(watch, name, size_bytes, access, original)?
        } else {
            self.destination.reopen_to_write(watch, name, size_bytes, access)?
        };
        let block_bytes = buffer.block_bytes();
        if is_whole && (original.is_sparse || !fits_a_block(size_bytes, buffer)) {
            to.reserve(watch, original)?;
        }

        let mut sum = Hasher::new();
        for_each_block(
            piece,
            || watch.block_bytes(block_bytes),
            |offset_bytes, length| {
                watch.pace(Traffic::Copy, length as u64)?;
                let bytes = buffer.bytes();
                from.read(watch, bytes, offset_bytes, length)?;
                sum.update(&bytes[..length]);
                if original.is_sparse {
                    to.write_around_holes(watch, &from, bytes, offset_bytes, length)?;
                } else {
                    to.write(watch, bytes, offset_bytes, length)?;
                }
                watch.hooks().copied(length as u64);
                Ok(())
            },
        )?;
        if from.access() == Access::Buffered && !cached_by_others {
            from.drop_pages(watch, piece.offset_bytes, piece.length_bytes);
        }
        Ok(Copied { crc32: sum.finalize(), file: to, original })
    }

    /// Once the last range of a file was read: is it what the manifest records? Says whether this was the last.
    fn compare_with_manifest(
        &self,
        piece: &Piece,
        crc32: u32,
        buffer: &mut Buffer<'_>,
    ) -> Result<Extent, Failure> {
        let entry = &self.manifest.files()[piece.file];
        let whole = lock(&self.source_sums)[piece.file].add(
            piece.offset_bytes,
            piece.length_bytes,
            crc32,
            entry.size_bytes,
        );
        match (whole, entry.crc32) {
            (Some(read), Some(recorded)) if read != recorded => {
                Err(self.second_opinion(entry, piece.file, read, recorded, buffer)?)
            }
            (Some(_), _) => Ok(Extent::Whole),
            (None, _) => Ok(Extent::Part),
        }
    }

    /// Reads a file that seems damaged once more, from the medium: rot stays, a flip on the way does not. Either way the
    /// copy has failed.
    fn second_opinion(
        &self,
        entry: &FileEntry,
        file: usize,
        read: u32,
        recorded: u32,
        buffer: &mut Buffer<'_>,
    ) -> Result<Failure, Failure> {
        let whole = Piece::whole(file, entry.size_bytes);
        let again = read_past_cache(self.crew.watch, &self.source, entry, &whole, buffer)?.crc32;
        if again != recorded {
            let why = format!("its CRC-32 is {again:08x}, the manifest records {recorded:08x} (read twice)");
            return Ok(self.source.damaged(&entry.name, &why));
        }
        let path = self.source.path(&entry.name);
        let why = format!(
            "{}: the first reading had CRC-32 {read:08x}, a second one {recorded:08x} as recorded; the file is whole, \
             but the disk, its cable or the memory flips bits; check the hardware, then retry",
            path.display()
        );
        Ok(Failure::new(ErrorCode::IoError, why))
    }
}
