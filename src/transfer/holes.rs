//! Where the bytes of a sparse file are. What the file system calls a hole is believed only where the bytes that were read
//! are zeros: whatever it says, a copy has all bytes of its original.

use std::fs::File;
use std::ops::Range;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::buffer::ALIGN_BYTES;

/// The parts of the `length` bytes at `offset_bytes` of a file, already read to `bytes`, that are to be written: whole
/// aligned units, as ranges within `bytes`. `offset_bytes` is aligned.
///
/// # Errors
/// As `lseek(2)`, where it is not just that the file system knows no holes.
pub(super) fn data_in(file: &File, bytes: &[u8], offset_bytes: u64) -> Result<Vec<Range<usize>>, Errno> {
    let all = || std::iter::once(0..bytes.len()).collect();
    let ranges = match look(file, bytes.len(), offset_bytes) {
        Ok(ranges) => ranges,
        Err(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOTTY | Errno::ENOSYS) => return Ok(all()),
        Err(errno) => return Err(errno),
    };
    let mut from = 0;
    let mut holes = ranges.iter().map(|data| {
        let hole = from..data.start;
        from = data.end;
        hole
    });
    let is_zero = |hole: Range<usize>| bytes[hole].iter().all(|byte| *byte == 0);
    let inner = holes.by_ref().all(is_zero);
    Ok(if inner && is_zero(from..bytes.len()) { ranges } else { all() })
}

fn look(file: &File, length: usize, offset_bytes: u64) -> Result<Vec<Range<usize>>, Errno> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < length {
        let Some(data) = seek(file, offset_bytes, at, length, Whence::SeekData)? else { break };
        let hole = seek(file, offset_bytes, data, length, Whence::SeekHole)?.unwrap_or(length);
        let range = data / ALIGN_BYTES * ALIGN_BYTES..hole.next_multiple_of(ALIGN_BYTES).min(length);
        // A hole of no length would be no progress.
        at = range.end.max(at + 1);
        match ranges.last_mut() {
            Some(last) if last.end >= range.start => last.end = range.end,
            _ => ranges.push(range),
        }
    }
    Ok(ranges)
}

/// Where the next data, or the next hole, begins, counted from `offset_bytes`; `None` where that is not within `length`.
fn seek(
    file: &File,
    offset_bytes: u64,
    from: usize,
    length: usize,
    whence: Whence,
) -> Result<Option<usize>, Errno> {
    let from = i64::try_from(offset_bytes + from as u64).map_err(|_| Errno::EOVERFLOW)?;
    match lseek(file, from, whence) {
        Ok(found) => {
            let found = u64::try_from(found).unwrap_or(0).saturating_sub(offset_bytes);
            Ok(usize::try_from(found).ok().filter(|found| *found < length))
        }
        // Nothing but a hole up to the end of the file.
        Err(Errno::ENXIO) => Ok(None),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    /// A file of 1 MiB with a page of data at 64 KiB and 100 bytes at 512 KiB.
    fn sparse() -> (File, Vec<u8>) {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(1 << 20).expect("its size");
        let mut bytes = vec![0; 1 << 20];
        for (at, length) in [(64 << 10, 4096), (512 << 10, 100)] {
            bytes[at..at + length].fill(1);
            file.write_all_at(&bytes[at..at + length], at as u64).expect("data");
        }
        (file, bytes)
    }

    #[test]
    fn ranges_are_aligned_and_hold_all_that_is_not_zero() {
        let (file, bytes) = sparse();
        let (half, quarter) = (512 << 10, 256 << 10);
        for (from, length) in [(0, 1 << 20), (half, half), (quarter, quarter), (4096, 65_536), (0, 0)] {
            let part = &bytes[from..from + length];
            let ranges = data_in(&file, part, from as u64).expect("no error");
            let mut rest = part.to_vec();
            for range in &ranges {
                assert!(range.start % ALIGN_BYTES == 0 && range.end <= length, "{range:?}");
                assert!(range.end % ALIGN_BYTES == 0 || range.end == length, "{range:?}");
                rest[range.clone()].fill(0);
            }
            assert!(ranges.is_sorted_by_key(|range| range.start));
            assert!(rest.iter().all(|byte| *byte == 0), "{from} {length}: {ranges:?}");
        }
        // Where the file system tells holes, all that is written is what there is.
        let written: usize = data_in(&file, &bytes, 0).expect("no error").iter().map(Range::len).sum();
        assert!(written == 8192 || written == 1 << 20, "{written}");
    }

    #[test]
    fn a_hole_in_which_something_was_read_is_none() {
        let (file, mut bytes) = sparse();
        bytes[700 << 10] = 1;
        let ranges = data_in(&file, &bytes, 0).expect("no error");
        assert_eq!(ranges, std::iter::once(0..1 << 20).collect::<Vec<_>>());
    }
}
