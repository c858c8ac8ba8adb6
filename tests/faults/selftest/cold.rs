//! Reading a file three ways: from the page cache, past it, and after asking the kernel to forget it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Both the offset and the memory of a direct read must be multiples of the block size; a page is one for all.
const ALIGNMENT: usize = 4096;

/// `len` bytes from the start, from the page cache if it has them.
pub(crate) fn cached(path: &Path, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    File::open(path)?.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// `len` bytes from the start with `O_DIRECT`. `len` is a multiple of 4,096.
pub(crate) fn direct(path: &Path, len: usize) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path)?;
    let mut memory = vec![0; len + ALIGNMENT];
    let start = memory.as_ptr().align_offset(ALIGNMENT);
    file.read_exact_at(&mut memory[start..start + len], 0)?;
    Ok(memory[start..start + len].to_vec())
}

/// `len` bytes from the start after `POSIX_FADV_DONTNEED`. The file must be clean.
pub(crate) fn forgotten(path: &Path, len: usize) -> io::Result<Vec<u8>> {
    forget(&File::open(path)?)?;
    cached(path, len)
}

/// Lets the kernel forget the clean pages of a file.
pub(crate) fn forget(file: &File) -> io::Result<()> {
    // SAFETY: posix_fadvise takes no pointers; the descriptor is open.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}
