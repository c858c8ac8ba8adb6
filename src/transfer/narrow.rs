//! Where exactly a block that was not given cannot be read.

use super::buffer::{ALIGN_BYTES, align_up};
use super::crew::Watch;
use super::open_file::OpenFile;
use crate::model::{ErrorCode, Failure};

impl OpenFile<'_, '_, '_> {
    /// A block was not given: the first unit of it that is not, in a few more reads, each a call of its own since a failing
    /// one may take a disk half a minute.
    pub(super) fn narrow_down(
        &mut self,
        watch: &Watch<'_>,
        buffer: &mut [u8],
        offset_bytes: u64,
        length: usize,
        mut failure: Failure,
    ) -> Failure {
        let (mut at_bytes, mut left) = (offset_bytes, align_up(length));
        while left > ALIGN_BYTES {
            let half = align_up(left / 2);
            let read =
                watch.call(self.end.side, "read", || self.read_up_to(&mut buffer[..half], at_bytes, half));
            match read {
                Ok(_) => (at_bytes, left) = (at_bytes + half as u64, left - half),
                Err(narrower) if narrower.code == ErrorCode::SourceUnreadable => {
                    (left, failure) = (half, narrower);
                }
                Err(_) => return failure,
            }
        }
        let unit = watch.call(self.end.side, "read", || self.read_up_to(&mut buffer[..left], at_bytes, left));
        match unit {
            Err(unit) if unit.code == ErrorCode::SourceUnreadable => unit,
            _ => failure,
        }
    }
}
