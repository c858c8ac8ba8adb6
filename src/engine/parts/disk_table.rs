//! The disks of the node, by the number each keeps for as long as the process runs. One can be added while others are read;
//! none is ever taken out, a forgotten one is only no longer shown.

use std::ops::Index;
use std::sync::{Arc, OnceLock};

use super::disk::Disk;
use crate::model::DiskIndex;

/// Disks there can be, those that were forgotten since the start included.
pub(crate) const DISKS_MAX: usize = 256;

/// The table. Its places are filled from the front and read without a lock.
pub(crate) struct DiskTable(Box<[OnceLock<Arc<Disk>>]>);

impl DiskTable {
    /// Those of the configuration, in its order; what is beyond [`DISKS_MAX`] is refused by the start.
    pub(crate) fn new(disks: Vec<Arc<Disk>>) -> Self {
        let places = DISKS_MAX.max(disks.len());
        let mut table: Vec<_> = disks.into_iter().map(OnceLock::from).collect();
        table.resize_with(places, OnceLock::new);
        Self(table.into_boxed_slice())
    }

    /// Every one, in the order of their numbers, forgotten ones included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Disk>> {
        self.0.iter().map_while(OnceLock::get)
    }

    /// The number the next one gets; `None` when all are given out.
    pub(crate) fn next(&self) -> Option<DiskIndex> {
        let taken = self.iter().count();
        (taken < self.0.len()).then(|| u16::try_from(taken).ok().map(DiskIndex)).flatten()
    }

    /// Adds a disk that was given the number [`Self::next`] said. False when another came first.
    pub(crate) fn add(&self, disk: Arc<Disk>) -> bool {
        self.next() == Some(disk.index) && self.0[usize::from(disk.index.0)].set(disk).is_ok()
    }
}

impl Index<usize> for DiskTable {
    type Output = Arc<Disk>;

    fn index(&self, number: usize) -> &Arc<Disk> {
        self.0[number].get().expect("a number is given out with its disk and never taken back")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Medium;

    fn disk(number: u16) -> Arc<Disk> {
        Arc::new(Disk::new(DiskIndex(number), format!("/d{number}"), Medium::Ssd, 0))
    }

    #[test]
    fn disks_keep_their_numbers_and_come_after_those_that_are_there() {
        let table = DiskTable::new(vec![disk(0), disk(1)]);
        assert_eq!(table.next(), Some(DiskIndex(2)));
        assert!(!table.add(disk(3)), "a gap");
        assert!(!table.add(disk(1)), "a number twice");
        assert!(table.add(disk(2)));
        assert_eq!(table.iter().map(|disk| disk.index.0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(table[2].path, "/d2");
    }

    #[test]
    fn a_full_table_takes_no_more() {
        let table = DiskTable::new((0..256).map(disk).collect());
        assert_eq!(table.next(), None);
        assert!(!table.add(disk(256)));
    }
}
