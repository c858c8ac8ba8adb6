//! CRC-32 of a file from the sums of its ranges, in whatever order they come.

use crc32fast::Hasher;

/// Sums of ranges of one file.
#[derive(Debug, Clone, Default)]
pub(super) struct RangeSums {
    ranges: Vec<RangeSum>,
    covered_bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct RangeSum {
    offset_bytes: u64,
    length_bytes: u64,
    crc32: u32,
}

impl RangeSums {
    /// Adds the sum of one range; the answer is the sum of the whole file, once its last range has come.
    pub(super) fn add(
        &mut self,
        offset_bytes: u64,
        length_bytes: u64,
        crc32: u32,
        size_bytes: u64,
    ) -> Option<u32> {
        self.ranges.push(RangeSum { offset_bytes, length_bytes, crc32 });
        self.covered_bytes += length_bytes;
        (self.covered_bytes >= size_bytes).then(|| self.whole(size_bytes)).flatten()
    }

    /// The sum of the whole file; `None` unless the ranges cover each of its bytes exactly once.
    pub(super) fn whole(&mut self, size_bytes: u64) -> Option<u32> {
        if self.ranges.is_empty() {
            return None;
        }
        self.ranges.sort_unstable_by_key(|range| (range.offset_bytes, range.length_bytes));
        let mut sum = Hasher::new();
        let mut at = 0;
        for range in &self.ranges {
            if range.offset_bytes != at {
                return None;
            }
            sum.combine(&Hasher::new_with_initial_len(range.crc32, range.length_bytes));
            at += range.length_bytes;
        }
        (at == size_bytes).then(|| sum.finalize())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_file_needs_its_empty_range() {
        let mut sums = RangeSums::default();
        assert_eq!(sums.whole(0), None);
        assert_eq!(sums.add(0, 0, 0, 0), Some(0));
    }

    proptest! {
        #[test]
        fn any_order_of_ranges_gives_the_sum_of_the_file(
            bytes in prop::collection::vec(any::<u8>(), 1..2000),
            cuts in prop::collection::vec(0_usize..2000, 0..8),
            seed in any::<u64>(),
        ) {
            let mut edges: Vec<usize> = cuts.iter().map(|cut| cut % bytes.len()).chain([0, bytes.len()]).collect();
            edges.sort_unstable();
            edges.dedup();
            let mut ranges: Vec<(usize, usize)> = edges.windows(2).map(|pair| (pair[0], pair[1])).collect();
            let turn = usize::try_from(seed % ranges.len() as u64).expect("small");
            ranges.rotate_left(turn);
            if seed % 2 == 0 { ranges.reverse(); }
            let mut sums = RangeSums::default();
            for (nth, (from, to)) in ranges.iter().enumerate() {
                let crc32 = crc32fast::hash(&bytes[*from..*to]);
                let whole = sums.add(*from as u64, (to - from) as u64, crc32, bytes.len() as u64);
                let expected = (nth + 1 == ranges.len()).then(|| crc32fast::hash(&bytes));
                prop_assert_eq!(whole, expected);
            }
        }

        #[test]
        fn a_gap_or_an_overlap_is_never_a_whole_file(
            offset in 0_u64..100, length in 1_u64..100, size in 1_u64..300, extra in 0_u64..100,
        ) {
            let mut sums = RangeSums::default();
            let first = sums.add(offset, length, 1, size);
            prop_assert_eq!(first.is_some(), offset == 0 && length == size);
            let second = sums.add(extra, 1, 2, size);
            let exact = (offset == 0 && length == extra && length + 1 == size)
                || (extra == 0 && offset == 1 && length + 1 == size);
            prop_assert_eq!(second.is_some(), exact);
        }
    }
}
