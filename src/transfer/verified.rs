//! What a finished copy is, and the only way to one: ranges that were read back.

use super::coldness::Coldness;
use super::plan::Piece;
use super::read_back::Reading;
use super::sums::RangeSums;
use crate::model::{ErrorCode, Failure, FileEntry, Manifest};

/// A copy of which every file is durable, read back, and equal to what was read from the source.
///
/// Made only by [`super::copy`] and [`super::copy_further`]; a swap takes one, so an unverified copy cannot be swapped
/// in.
#[derive(Debug)]
#[must_use]
pub struct VerifiedCopy {
    manifest: Manifest,
    coldness: Coldness,
    resumed_bytes: u64,
    device_and_inode: (u64, u64),
}

impl VerifiedCopy {
    /// The files, each with its checksum.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether all of it is known to have come from the medium.
    pub fn coldness(&self) -> Coldness {
        self.coldness
    }

    /// Bytes that were there already when the copy began.
    pub fn resumed_bytes(&self) -> u64 {
        self.resumed_bytes
    }

    /// Device and inode of the directory that holds the copy, to tell it from any other.
    pub fn device_and_inode(&self) -> (u64, u64) {
        self.device_and_inode
    }

    /// This copy, made in continuation of `before`.
    pub(super) fn continuing(mut self, before: &Self) -> Self {
        self.coldness = self.coldness.max(before.coldness);
        self.resumed_bytes += before.resumed_bytes;
        self
    }
}

/// A range that was durable when it was read back, and was what it should be.
pub(super) struct VerifiedRange {
    piece: Piece,
    crc32: u32,
    coldness: Coldness,
}

impl VerifiedRange {
    /// A range that was written with this checksum, made durable and then read: `None` unless it is what was written.
    pub(super) fn of_written(piece: Piece, crc32: u32, reading: Reading) -> Option<Self> {
        (reading.crc32 == crc32).then_some(Self { piece, crc32, coldness: reading.coldness })
    }

    /// A whole file found on the destination, made durable and then read: `None` unless it is what the manifest records.
    pub(super) fn of_resumed(file: usize, entry: &FileEntry, reading: Reading) -> Option<Self> {
        (entry.crc32 == Some(reading.crc32)).then(|| Self {
            piece: Piece::whole(file, entry.size_bytes),
            crc32: reading.crc32,
            coldness: reading.coldness,
        })
    }

    /// A whole file that shares its bytes with the source, made durable and then read: `None` unless it is what was
    /// expected.
    pub(super) fn of_cloned(file: usize, entry: &FileEntry, reading: Reading, expected: u32) -> Option<Self> {
        (reading.crc32 == expected).then(|| Self {
            piece: Piece::whole(file, entry.size_bytes),
            crc32: expected,
            coldness: reading.coldness,
        })
    }

    /// A file of a copy that was verified before.
    pub(super) fn of_verified_before(file: usize, entry: &FileEntry, crc32: u32) -> Self {
        Self { piece: Piece::whole(file, entry.size_bytes), crc32, coldness: Coldness::Cold }
    }

    pub(super) fn piece(&self) -> &Piece {
        &self.piece
    }

    pub(super) fn crc32(&self) -> u32 {
        self.crc32
    }

    pub(super) fn coldness(&self) -> Coldness {
        self.coldness
    }
}

/// Verified ranges of the files of one manifest.
pub(super) struct Coverage<'a> {
    manifest: &'a Manifest,
    sums: Vec<RangeSums>,
    coldness: Coldness,
    resumed_bytes: u64,
}

impl<'a> Coverage<'a> {
    /// Nothing is verified yet.
    pub(super) fn new(manifest: &'a Manifest) -> Self {
        let sums = vec![RangeSums::default(); manifest.files().len()];
        Self { manifest, sums, coldness: Coldness::Cold, resumed_bytes: 0 }
    }

    /// Adds a range. Says whether it completed its file.
    pub(super) fn add(&mut self, range: &VerifiedRange) -> bool {
        self.coldness = self.coldness.max(range.coldness());
        let piece = range.piece();
        let size_bytes = self.manifest.files()[piece.file].size_bytes;
        self.sums[piece.file].add(piece.offset_bytes, piece.length_bytes, range.crc32(), size_bytes).is_some()
    }

    /// Adds a file that was on the destination before.
    pub(super) fn add_resumed(&mut self, range: &VerifiedRange) {
        self.resumed_bytes += range.piece().length_bytes;
        self.add(range);
    }

    /// The verified copy in the directory of that device and inode.
    ///
    /// # Errors
    /// `INTERNAL` when some byte of some file is not covered exactly once, or a sum is not the recorded one.
    pub(super) fn finish(mut self, device_and_inode: (u64, u64)) -> Result<VerifiedCopy, Failure> {
        let mut files = Vec::with_capacity(self.sums.len());
        for (file, sums) in self.manifest.files().iter().zip(&mut self.sums) {
            let crc32 = sums.whole(file.size_bytes).filter(|sum| file.crc32.is_none_or(|crc| crc == *sum));
            if crc32.is_none() {
                let why = format!("{}: not every byte was verified; the copy is not used", file.name);
                return Err(Failure::new(ErrorCode::Internal, why));
            }
            files.push(FileEntry { crc32, ..file.clone() });
        }
        let manifest = Manifest::new(files).map_err(|error| {
            Failure::new(ErrorCode::Internal, format!("the manifest of a copy is not one: {error}"))
        })?;
        Ok(VerifiedCopy {
            manifest,
            coldness: self.coldness,
            resumed_bytes: self.resumed_bytes,
            device_and_inode,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(crc32: Option<u32>) -> Manifest {
        let file = |name: &str| FileEntry { name: name.to_owned(), size_bytes: 10, crc32 };
        Manifest::new(vec![file("a"), file("b")]).expect("valid names")
    }

    fn range(manifest: &Manifest, file: usize, crc32: u32, coldness: Coldness) -> VerifiedRange {
        let entry = FileEntry { crc32: Some(crc32), ..manifest.files()[file].clone() };
        VerifiedRange::of_resumed(file, &entry, Reading { crc32, coldness }).expect("equal")
    }

    #[test]
    fn a_file_that_was_not_read_back_makes_no_verified_copy() {
        let manifest = manifest(None);
        let mut coverage = Coverage::new(&manifest);
        assert!(coverage.add(&range(&manifest, 0, 7, Coldness::Cold)));
        assert_eq!(coverage.finish((1, 2)).map(drop).expect_err("b is missing").code, ErrorCode::Internal);
    }

    #[test]
    fn a_sum_other_than_the_recorded_one_makes_no_verified_copy() {
        let manifest = manifest(Some(7));
        let mut coverage = Coverage::new(&manifest);
        coverage.add(&range(&manifest, 0, 7, Coldness::Cold));
        coverage.add(&range(&manifest, 1, 8, Coldness::Cold));
        assert_eq!(coverage.finish((1, 2)).map(drop).expect_err("b differs").code, ErrorCode::Internal);
    }

    #[test]
    fn sums_are_filled_in_and_one_warm_file_makes_a_warm_copy() {
        let manifest = manifest(None);
        let mut coverage = Coverage::new(&manifest);
        coverage.add_resumed(&range(&manifest, 0, 7, Coldness::NotProven));
        coverage.add(&range(&manifest, 1, 8, Coldness::Cold));
        let copy = coverage.finish((1, 2)).expect("all is covered");
        let sums: Vec<_> = copy.manifest().files().iter().map(|file| file.crc32).collect();
        assert_eq!(sums, [Some(7), Some(8)]);
        assert_eq!((copy.coldness(), copy.resumed_bytes()), (Coldness::NotProven, 10));
        assert_eq!(copy.device_and_inode(), (1, 2));
    }
}
