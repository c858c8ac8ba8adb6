//! Whether what was read can have come from the page cache, which would prove nothing about the medium.

use nix::errno::Errno;

/// Whether what was read back is known to have come from the medium.
///
/// Below the page cache only: no system call reaches behind a drive's own cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coldness {
    /// It came from the medium.
    Cold,
    /// It was compared, but it may have come from the page cache.
    NotProven,
}

/// What pages left in the cache, or a kernel that cannot tell, mean for a read that follows.
pub(super) fn coldness_of(cached_pages: Result<u64, Errno>) -> Result<(), String> {
    match cached_pages {
        Ok(0) => Ok(()),
        Ok(pages) => Err(format!("{pages} of its pages stayed in the cache")),
        Err(errno) => Err(format!("this system cannot tell what is cached ({})", errno.desc())),
    }
}
