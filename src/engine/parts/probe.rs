//! The write probe of a disk. Its health is looked at, it joins and it is enabled by different threads, which share the
//! name of one file: they take turns, so that none of them blames the disk for what another one has done.

use std::sync::PoisonError;

use super::disk::Disk;
use crate::storage::{DiskError, Root};

/// Writes to the disk, and reads back what was written.
///
/// # Errors
/// As [`Root::probe`].
pub(crate) fn probe(disk: &Disk, root: &Root) -> Result<(), DiskError> {
    let _turn = disk.probing.lock().unwrap_or_else(PoisonError::into_inner);
    root.probe()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DiskIndex, Medium};
    use crate::storage::KnownAs;

    #[test]
    fn a_disk_is_not_blamed_for_two_who_probe_it_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().to_str().expect("text");
        let root = Root::open(path, KnownAs::New).expect("a root");
        let disk = Disk::new(DiskIndex(0), path.to_owned(), Medium::Ssd, 0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| probe(&disk, &root).expect("a disk in good health")));
            }
        });
    }
}
