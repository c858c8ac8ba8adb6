//! Reading a file three ways: from the page cache, past it, and after asking the kernel to forget it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::disk::image::PAGE_SIZE;

/// Memory for direct I/O. Offset, length and memory must be multiples of the block size; a page is one for all disks.
#[repr(align(4096))]
pub(crate) struct Page([u8; PAGE_SIZE]);

impl Page {
    /// A page of this byte.
    pub(crate) fn filled(byte: u8) -> Self {
        Self([byte; PAGE_SIZE])
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Opens an existing file to be read and written past the page cache.
pub(crate) fn open_direct(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(path)
}

/// `len` bytes from the start, from the page cache if it has them.
pub(crate) fn cached(path: &Path, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    File::open(path)?.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// `len` bytes from the start with `O_DIRECT`. `len` is a multiple of a page.
pub(crate) fn direct(path: &Path, len: usize) -> io::Result<Vec<u8>> {
    let file = open_direct(path)?;
    let mut page = Page::filled(0);
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        file.read_exact_at(&mut page.0, bytes.len() as u64)?;
        bytes.extend_from_slice(page.bytes());
    }
    Ok(bytes)
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
