//! The order of sequence numbers over all logs of a database.
//!
//! Every record of a log has its own checksum, and none says which record came before it: a block that is missing, or stands
//! twice, leaves whole records. The sequence numbers tell. RocksDB 5.14.2 writes them without a gap within a log, and a
//! log that begins where the one before it ended; a power cut may take the end of a log whose successor is there
//! (`db/db_impl_open.cc`, `RecoverLogFiles`).

use super::batch::Batch;
use super::error::Malformed;

/// Sequence numbers have 56 bits.
pub(super) const SEQUENCE_MAX: u64 = (1 << 56) - 1;

/// How the log before the one that is read has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// There was none.
    None,
    /// There was nothing in it: it was new, or a power cut took it all.
    Empty,
    /// With a whole record, or with one that its end cuts off.
    End,
    /// In zeroes behind the beginning of a record: RocksDB goes on only where the next sequence number fits.
    Hole,
}

/// Where the batches read so far have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct History {
    /// The sequence number that comes next, behind tables and logs.
    next: u64,
    /// The one behind the last batch: tables may have more than the logs that have been read so far.
    behind_last: Option<u64>,
    before: Before,
    in_log: bool,
}

impl History {
    /// Behind the tables, whose highest sequence number is known.
    pub(super) const fn after(last_sequence: u64) -> Self {
        Self { next: last_sequence.saturating_add(1), behind_last: None, before: Before::None, in_log: false }
    }

    /// The sequence number that a further batch must begin with.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Takes note of a batch, in the order in which they are read. It is counted even where it is refused: a rescue goes
    /// on.
    ///
    /// # Errors
    /// It does not follow what was read before it.
    pub(super) fn add(&mut self, batch: &Batch<'_>) -> Result<(), Malformed> {
        let first = batch.sequence;
        let end = first.checked_add(batch.operations.len() as u64).filter(|end| *end <= SEQUENCE_MAX);
        let end = end.ok_or(Malformed("a batch has a sequence number of more than 56 bits"))?;
        let follows = self.behind_last == Some(first);
        let goes_back = self.behind_last.is_some_and(|last| first < last);
        let fits = match (self.in_log, self.before) {
            (true, _) if !follows => Err(Malformed(
                "a batch does not follow the one before it: something is missing, or stands twice",
            )),
            (false, Before::None) if first > self.next => {
                Err(Malformed("the log that comes before this one is missing"))
            }
            (false, Before::Hole) if !follows => Err(AFTER_HOLE),
            (false, Before::End) if goes_back => {
                Err(Malformed("a log begins before the one before it has ended"))
            }
            _ => Ok(()),
        };
        self.in_log = true;
        self.behind_last = Some(end);
        self.next = self.next.max(end);
        fits
    }

    /// Ends a log.
    pub(super) const fn end_log(&mut self, in_hole: bool) {
        self.before = match (in_hole, self.in_log, self.before) {
            (true, _, _) => Before::Hole,
            (false, true, _) => Before::End,
            (false, false, Before::None) => Before::Empty,
            // Of an empty log nothing can be said that the one before it did not say.
            (false, false, before) => before,
        };
        self.in_log = false;
    }

    /// Whether RocksDB would read a further log that begins with [`History::next`]. Behind a hole it reads only what goes
    /// on where the logs end, and the tables may have come further: a commit of ours would be lost.
    pub(super) fn takes_another_log(&self) -> Result<(), Malformed> {
        match self.before {
            Before::Hole if self.behind_last != Some(self.next) => Err(AFTER_HOLE),
            _ => Ok(()),
        }
    }
}

const AFTER_HOLE: Malformed = Malformed(
    "a log ends in a hole, and what comes behind it would not be read; let a backend start and stop once",
);

#[cfg(test)]
mod tests {
    use super::super::batch::Operation;
    use super::*;

    /// Batches as (first sequence number, how many), and whether the log ends in a hole.
    type Log<'a> = (&'a [(u64, usize)], bool);

    fn read(logs: &[Log<'_>]) -> Result<u64, Malformed> {
        const OPERATION: Operation<'_> = Operation { family: 2, key: b"k", value: None };
        let mut history = History::after(9);
        for (batches, in_hole) in logs {
            for (sequence, count) in *batches {
                history.add(&Batch { sequence: *sequence, operations: vec![OPERATION; *count] })?;
            }
            history.end_log(*in_hole);
        }
        history.takes_another_log().map(|()| history.next())
    }

    #[test]
    fn what_rocksdb_writes_is_taken() {
        assert_eq!(read(&[]), Ok(10));
        // A log that is in the tables already, whole or in part.
        assert_eq!(read(&[(&[(3, 2), (5, 1)], false), (&[(6, 10)], false)]), Ok(16));
        // A flush has noted how far the log had come by then.
        assert_eq!(read(&[(&[(8, 5), (13, 2)], false)]), Ok(15));
        assert_eq!(read(&[(&[(10, 2), (12, 0), (12, 1)], false), (&[], false), (&[(13, 1)], false)]), Ok(14));
        // The end of a log is lost, and the next one is there.
        assert_eq!(read(&[(&[(10, 2)], false), (&[(20, 1)], false)]), Ok(21));
        assert_eq!(read(&[(&[], false), (&[(20, 1)], false)]), Ok(21));
        // Our own log, behind one that ends in a hole.
        assert_eq!(read(&[(&[(10, 2)], true), (&[(12, 1)], false)]), Ok(13));
    }

    #[test]
    fn what_rocksdb_does_not_write_is_refused() {
        let refused: [&[Log<'_>]; 9] = [
            // Within a log: missing, twice, the other way round.
            &[(&[(10, 2), (13, 1)], false)],
            &[(&[(10, 2), (10, 2)], false)],
            &[(&[(10, 2), (9, 1)], false)],
            // A log is missing behind the tables, or stands twice.
            &[(&[(11, 2)], false)],
            &[(&[(10, 2)], false), (&[(10, 2)], false)],
            // RocksDB would leave the second log out.
            &[(&[(10, 2)], true), (&[(20, 1)], false)],
            &[(&[], true), (&[(10, 1)], false)],
            // And a log of ours.
            &[(&[(4, 2)], true)],
            &[(&[(SEQUENCE_MAX, 1)], false)],
        ];
        for logs in refused {
            assert!(read(logs).is_err(), "{logs:?}");
        }
    }
}
