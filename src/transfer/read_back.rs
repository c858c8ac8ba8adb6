//! Reading files past the page cache and summing them: the half of a copy that makes it believable, and the whole of a
//! check. Compares with nothing by itself and changes nothing.

use std::sync::Mutex;

use crc32fast::Hasher;

use super::buffer::Buffer;
use super::coldness::Coldness;
use super::crew::{Crew, Load, Watch, lock};
use super::end::{Access, End};
use super::hooks::Traffic;
use super::open_file::OpenFile;
use super::plan::{Cut, Piece, plan};
use super::sums::RangeSums;
use crate::model::{Failure, FileEntry};

/// What a range or a file was when read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) crc32: u32,
    pub(super) coldness: Coldness,
}

/// Opens a file anew, by name, and reads one range of it past the page cache. Leaves none of it in the cache.
///
/// # Errors
/// A call's; damage, if the file is not a regular one of the manifest's size.
pub(super) fn read_past_cache(
    watch: &Watch<'_>,
    end: &End<'_>,
    entry: &FileEntry,
    piece: &Piece,
    buffer: &mut Buffer<'_>,
) -> Result<Reading, Failure> {
    loop {
        let mut file = end.open(watch, &entry.name, entry.size_bytes)?;
        if let Some(reading) = read_open(watch, &mut file, piece, buffer)? {
            return Ok(reading);
        }
    }
}

/// As [`read_past_cache`], of a file that was written and made durable and is still open. That its size is right the last
/// read finds out; what its name leads to is looked at once for the whole copy. `None` where it has to be opened anew.
///
/// # Errors
/// As [`read_past_cache`].
pub(super) fn read_back_open(
    watch: &Watch<'_>,
    mut file: OpenFile<'_, '_, '_>,
    piece: &Piece,
    buffer: &mut Buffer<'_>,
) -> Result<Option<Reading>, Failure> {
    file.turn_to_reading()?;
    read_open(watch, &mut file, piece, buffer)
}

/// Reads one range of an open file past the page cache. `None` where it turned out half-way that `O_DIRECT` does not work
/// here: once more, asking first what is cached.
fn read_open(
    watch: &Watch<'_>,
    file: &mut OpenFile<'_, '_, '_>,
    piece: &Piece,
    buffer: &mut Buffer<'_>,
) -> Result<Option<Reading>, Failure> {
    let access_at_first = file.access();
    file.drop_pages(watch, piece.offset_bytes, piece.length_bytes);
    let coldness = file.coldness();
    let mut sum = Hasher::new();
    let block_bytes = buffer.block_bytes();
    for_each_block(
        piece,
        || watch.block_bytes(block_bytes),
        |offset_bytes, length| {
            watch.pace(Traffic::ReadBack, length as u64)?;
            let bytes = buffer.bytes();
            file.read(watch, bytes, offset_bytes, length)?;
            sum.update(&bytes[..length]);
            Ok(())
        },
    )?;
    if file.access() == Access::Buffered {
        file.drop_pages(watch, piece.offset_bytes, piece.length_bytes);
    }
    let is_as_at_first = file.access() == access_at_first;
    Ok(is_as_at_first.then(|| Reading { crc32: sum.finalize(), coldness }))
}

/// Calls `visit` with offset and length of each block of a piece; once, with length 0, for an empty file. How long a block
/// may be is asked before each.
pub(super) fn for_each_block(
    piece: &Piece,
    block_bytes: impl Fn() -> usize,
    mut visit: impl FnMut(u64, usize) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut offset_bytes = piece.offset_bytes;
    loop {
        let left = piece.end_bytes() - offset_bytes;
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(block_bytes());
        visit(offset_bytes, length)?;
        offset_bytes += length as u64;
        if offset_bytes >= piece.end_bytes() {
            return Ok(());
        }
    }
}

/// Reads whole files past the page cache, several at once, and answers in their order.
///
/// # Errors
/// As [`read_past_cache`]. A sum that differs from the recorded one is not an error here.
pub(super) fn read_files(
    crew: Crew<'_>,
    end: &End<'_>,
    files: &[&FileEntry],
) -> Result<Vec<Reading>, Failure> {
    let cut = match end.access() {
        Access::Direct => Cut::Windows,
        Access::Buffered => Cut::WholeFiles,
    };
    let sizes = || files.iter().map(|entry| entry.size_bytes);
    let progress = Mutex::new(vec![(RangeSums::default(), Coldness::Cold); files.len()]);
    let batches = plan(sizes().enumerate(), crew.options, cut);
    crew.work_off(batches, Load::of(sizes()), |buffer, batch| {
        for piece in &batch.pieces {
            let entry = files[piece.file];
            let reading = read_past_cache(crew.watch, end, entry, piece, buffer)?;
            let (sums, coldness) = &mut lock(&progress)[piece.file];
            sums.add(piece.offset_bytes, piece.length_bytes, reading.crc32, entry.size_bytes);
            *coldness = reading.coldness.max(*coldness);
        }
        Ok(())
    })?;
    let mut progress = lock(&progress);
    let read = files.iter().zip(progress.iter_mut()).map(|(entry, (sums, coldness))| {
        let not_all = || end.damaged(&entry.name, "not all of it was read");
        let crc32 = sums.whole(entry.size_bytes).ok_or_else(not_all)?;
        Ok(Reading { crc32, coldness: *coldness })
    });
    read.collect()
}
