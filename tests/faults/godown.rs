//! The shutdown ioctl of ext4 and xfs: a power cut without a fault disk, where FUSE is missing.
//!
//! Coarser than a cut from a write log: it happens now, not at a chosen write, and it is the file system that pretends,
//! so nothing is torn and nothing is reordered. btrfs refuses it (ENOTTY). xfstests' `godown` does the same.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::explain::Explain;

/// `EXT4_IOC_SHUTDOWN` and `XFS_IOC_GOINGDOWN` are one number: `_IOR('X', 125, __u32)`.
const SHUTDOWN: libc::c_ulong = 0x8004_587D;

/// What the file system does with its journal before it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JournalTail {
    /// Written first: metadata up to now survives, un-synced data does not.
    Flushed,
    /// Lost, as in a power cut: what was synced survives.
    Lost,
}

/// Shuts down the file system at `at`. Every later call on it fails with EIO until it is unmounted and mounted again.
pub(crate) fn shut_down(at: &Path, tail: JournalTail) -> io::Result<()> {
    let flags: u32 = match tail {
        JournalTail::Flushed => 1,
        JournalTail::Lost => 2,
    };
    let root = File::open(at)?;
    // SAFETY: the argument is a readable u32 that outlives the call; the descriptor is open.
    match unsafe { libc::ioctl(root.as_raw_fd(), SHUTDOWN, &raw const flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()).when(|| format!("shut down {}", at.display())),
    }
}
