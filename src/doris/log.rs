//! RocksDB's log format, in which both the write-ahead logs and the MANIFEST are kept: records, cut into fragments that
//! never cross a block of 32 KiB.
//!
//! Source: RocksDB 5.14.2, `db/log_format.h`, `db/log_reader.cc`. A record that the end of the file cuts off was being
//! written when the power went: it ends the log without a word. Any other disorder would make RocksDB stop there in
//! silence; here it is refused.

use super::cursor::{Cursor, masked};
use super::error::{DorisError, Malformed};

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// One record, and where its first fragment begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Its bytes, put together.
    pub bytes: Vec<u8>,
}

/// Whether a log may end in a record that was not written to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TornTail {
    /// A write-ahead log: what was not synced may be lost, and its last record with it.
    Allowed,
    /// A MANIFEST: it was synced before `CURRENT` named it.
    Damage,
}

/// Reads the records of a log, one after the other.
#[derive(Debug)]
pub struct LogReader<'a> {
    file: &'a str,
    bytes: &'a [u8],
    at: usize,
    torn: TornTail,
    ended: bool,
    ended_in_hole: bool,
}

enum Fragment<'a> {
    Whole { kind: u8, data: &'a [u8], next: usize },
    End,
}

impl<'a> LogReader<'a> {
    /// Reads `bytes`, the whole of `file`.
    pub const fn new(file: &'a str, bytes: &'a [u8], torn: TornTail) -> Self {
        Self { file, bytes, at: 0, torn, ended: false, ended_in_hole: false }
    }

    /// Whether it ended in a record of which only the beginning is there, and zeroes behind it. RocksDB takes that for
    /// corruption, other than the same record cut off by the end of the file: it goes on with the next log only where that
    /// one's first sequence number fits.
    pub const fn ended_in_hole(&self) -> bool {
        self.ended_in_hole
    }

    fn damaged(&self, at: usize, why: &str) -> DorisError {
        DorisError::damaged(self.file, at as u64, why)
    }

    /// The next record; `None` at the end.
    fn record(&mut self) -> Result<Option<LogRecord>, DorisError> {
        let mut record: Option<LogRecord> = None;
        loop {
            let at = self.at;
            let (kind, data, next) = match self.fragment(at)? {
                Fragment::Whole { kind, data, next } => (kind, data, next),
                Fragment::End if record.is_none() => return Ok(None),
                // The fragments that would follow never came to the disk.
                Fragment::End => {
                    self.ended_in_hole = self.zeroes_behind(at);
                    return self.cut_off(at).map(|()| None);
                }
            };
            self.at = next;
            match (kind, &mut record) {
                (FULL, None) => return Ok(Some(LogRecord { offset: at as u64, bytes: data.to_vec() })),
                (FIRST, None) => record = Some(LogRecord { offset: at as u64, bytes: data.to_vec() }),
                (MIDDLE, Some(begun)) => begun.bytes.extend_from_slice(data),
                (LAST, Some(begun)) => {
                    begun.bytes.extend_from_slice(data);
                    return Ok(record);
                }
                _ => return Err(self.damaged(at, "a fragment does not follow the one before it")),
            }
        }
    }

    /// Whether there is room for a fragment's header at `at`, or where the next block begins.
    fn zeroes_behind(&self, at: usize) -> bool {
        let left_in_block = BLOCK_BYTES - at % BLOCK_BYTES;
        let skipped = if left_in_block < HEADER_BYTES { left_in_block } else { 0 };
        self.bytes.len().saturating_sub(at + skipped) >= HEADER_BYTES
    }

    fn cut_off(&self, at: usize) -> Result<(), DorisError> {
        match self.torn {
            // A flipped bit in a length looks the same, but for the records behind it.
            TornTail::Allowed if self.whole_fragment_behind(at).is_some() => {
                Err(self
                    .damaged(at, "a fragment reaches beyond the end of the file, and whole ones follow it"))
            }
            TornTail::Allowed => Ok(()),
            TornTail::Damage => Err(self.damaged(at, "its last record is cut off")),
        }
    }

    /// Where the next whole fragment behind `at` begins.
    fn whole_fragment_behind(&self, at: usize) -> Option<usize> {
        (at + 1..self.bytes.len()).find(|at| {
            let rest = &self.bytes[*at..];
            let Ok((sum, length, kind)) = header(rest) else { return false };
            let data = rest.get(HEADER_BYTES..HEADER_BYTES + length);
            (FULL..=LAST).contains(&kind) && data.is_some_and(|data| sum == checksum(kind, data))
        })
    }

    /// After an error, goes on with the next whole record: for a rescue, which takes what is left.
    pub fn skip_damage(&mut self) {
        let mut at = self.at;
        while let Some(next) = self.whole_fragment_behind(at) {
            at = next;
            if matches!(self.bytes.get(at + HEADER_BYTES - 1), Some(&(FULL | FIRST))) {
                (self.at, self.ended) = (at, false);
                return;
            }
        }
    }

    fn fragment(&self, mut at: usize) -> Result<Fragment<'a>, DorisError> {
        let left_in_block = BLOCK_BYTES - at % BLOCK_BYTES;
        if left_in_block < HEADER_BYTES {
            let filling = self.bytes.get(at..).unwrap_or_default();
            if filling.iter().take(left_in_block).any(|byte| *byte != 0) {
                return Err(self.damaged(at, "the end of a block is not empty"));
            }
            at += left_in_block;
        }
        let rest = self.bytes.get(at..).unwrap_or_default();
        // Space that was given to the file, and never written.
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(Fragment::End);
        }
        let Ok((sum, length, kind)) = header(rest) else {
            return self.cut_off(at).map(|()| Fragment::End);
        };
        let end = HEADER_BYTES + length;
        if at % BLOCK_BYTES + end > BLOCK_BYTES {
            return Err(self.damaged(at, "a fragment crosses its block"));
        }
        let Some(data) = rest.get(HEADER_BYTES..end) else {
            return self.cut_off(at).map(|()| Fragment::End);
        };
        if !(FULL..=LAST).contains(&kind) {
            return Err(self.damaged(at, "a fragment is of a kind that a backend does not write"));
        }
        if checksum(kind, data) != sum {
            return Err(self.damaged(at, "the checksum of a fragment is wrong"));
        }
        Ok(Fragment::Whole { kind, data, next: at + end })
    }
}

fn header(bytes: &[u8]) -> Result<(u32, usize, u8), Malformed> {
    let mut cursor = Cursor::new(bytes);
    let sum = cursor.u32_le()?;
    let length = usize::from(cursor.u8()?) | usize::from(cursor.u8()?) << 8;
    Ok((sum, length, cursor.u8()?))
}

fn checksum(kind: u8, data: &[u8]) -> u32 {
    masked(crc32c::crc32c_append(crc32c::crc32c(&[kind]), data))
}

impl Iterator for LogReader<'_> {
    type Item = Result<LogRecord, DorisError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = self.record().transpose();
        self.ended = !matches!(record, Some(Ok(_)));
        record
    }
}

/// Cuts records into fragments for a log that is written from its beginning on.
#[derive(Debug, Default)]
pub struct LogWriter {
    /// Bytes in the file so far.
    written_bytes: u64,
}

impl LogWriter {
    /// Bytes that the file has after everything returned so far.
    pub const fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// What to append to the file for `record`.
    pub fn append(&mut self, record: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(record.len() + HEADER_BYTES * (2 + record.len() / BLOCK_BYTES));
        let mut left = record;
        let mut begun = false;
        loop {
            let in_block = usize::try_from(self.written_bytes % BLOCK_BYTES as u64).unwrap_or(0);
            let mut room = BLOCK_BYTES - in_block;
            if room < HEADER_BYTES {
                out.resize(out.len() + room, 0);
                self.written_bytes += room as u64;
                room = BLOCK_BYTES;
            }
            let (data, rest) = left.split_at(left.len().min(room - HEADER_BYTES));
            let kind = match (begun, rest.is_empty()) {
                (false, true) => FULL,
                (false, false) => FIRST,
                (true, false) => MIDDLE,
                (true, true) => LAST,
            };
            let sum = checksum(kind, data);
            out.extend_from_slice(&sum.to_le_bytes());
            out.extend_from_slice(&u16::try_from(data.len()).unwrap_or(u16::MAX).to_le_bytes());
            out.push(kind);
            out.extend_from_slice(data);
            self.written_bytes += (HEADER_BYTES + data.len()) as u64;
            (left, begun) = (rest, true);
            if left.is_empty() {
                return out;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(records: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = LogWriter::default();
        records.iter().flat_map(|record| writer.append(record)).collect()
    }

    fn read(bytes: &[u8], torn: TornTail) -> Result<Vec<Vec<u8>>, DorisError> {
        LogReader::new("7.log", bytes, torn).map(|record| record.map(|record| record.bytes)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn records_come_back_and_a_cut_loses_the_last_only(
            sizes in proptest::collection::vec(0..70_000_usize, 1..6),
            cut: prop::sample::Index,
        ) {
            let records: Vec<Vec<u8>> =
                sizes.iter().enumerate().map(|(n, size)| vec![u8::try_from(n + 1).unwrap(); *size]).collect();
            let bytes = written(&records);
            prop_assert_eq!(read(&bytes, TornTail::Damage).unwrap(), records.clone());
            let cut = cut.index(bytes.len());
            let kept = read(&bytes[..cut], TornTail::Allowed).unwrap();
            prop_assert!(kept.len() < records.len());
            prop_assert_eq!(&records[..kept.len()], &kept[..]);
        }

        #[test]
        fn a_flipped_bit_is_refused_or_ends_the_log(
            sizes in proptest::collection::vec(1..40_000_usize, 2..5),
            byte: prop::sample::Index,
            bit in 0..8_u8,
        ) {
            let records: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0xa5; *size]).collect();
            let mut bytes = written(&records);
            bytes[byte.index(records[0].len())] ^= 1 << bit;
            // Behind the flip stand whole records: this is no torn tail.
            prop_assert!(read(&bytes, TornTail::Allowed).is_err());
        }
    }

    #[test]
    fn zeroes_end_a_log() {
        let mut bytes = written(&[vec![1; 10]]);
        bytes.resize(100_000, 0);
        assert_eq!(read(&bytes, TornTail::Damage), Ok(vec![vec![1; 10]]));
    }
}
