//! The few system calls that no library offers safely. The only room with `unsafe`.

use std::os::fd::{AsFd, AsRawFd};

use nix::NixPath;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

/// Gives the calling thread (and the threads it will spawn) a descriptor table of its own, empty but for 0, 1 and 2.
///
/// A thread that waits for a hung disk keeps its table alive even after SIGKILL. With tables of their own, such a thread
/// keeps only what it opened itself: never the listening port, the journal or another disk's lock.
/// Descriptors opened before the call must not be used, nor dropped, by this thread afterwards.
///
/// Such a thread takes no signals either: the handler of the runtime writes a byte to a descriptor by its number, which in
/// this table is nothing, or a tablet's file.
///
/// # Errors
/// `ENOMEM`, or `ENOSYS`/`EINVAL` before Linux 5.9.
pub fn own_descriptor_table() -> Result<(), Errno> {
    // What the processor raises is not blocked: a stack overflow says what it is.
    let mut blocked = SigSet::all();
    for fault in [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGABRT] {
        blocked.remove(fault);
    }
    blocked.thread_block()?;
    // SAFETY: takes three integers; on success the caller's descriptors from 3 up are closed in its private copy of the
    // table, which the contract above makes the caller's business.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_UNSHARE) };
    Errno::result(answer).map(drop)
}

/// Renames a name below one directory to a name below another, which must not exist: `renameat2(2)` with
/// `RENAME_NOREPLACE`. By number: glibc has a name for it since 2.28 only, and a release runs on older ones.
///
/// # Errors
/// `EEXIST`; `EINVAL` where the file system has no such flag.
pub fn rename_to_new(from: impl AsFd, name: &str, to: impl AsFd, to_name: &str) -> Result<(), Errno> {
    let answer = name.with_nix_path(|name| {
        to_name.with_nix_path(|to_name| {
            // SAFETY: two descriptors that are borrowed and so open, and two names that end in NUL and outlive the call.
            unsafe {
                libc::syscall(
                    libc::SYS_renameat2,
                    from.as_fd().as_raw_fd(),
                    name.as_ptr(),
                    to.as_fd().as_raw_fd(),
                    to_name.as_ptr(),
                    libc::RENAME_NOREPLACE,
                )
            }
        })
    })??;
    Errno::result(answer).map(drop)
}

/// Reads the next entries of an open directory: `getdents64(2)`, for which no library has a name that allocates nothing.
/// Returns the number of bytes filled, 0 at the end.
///
/// # Errors
/// As `getdents64(2)`.
pub fn read_directory(dir: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: writes at most the given number of bytes to memory that is borrowed mutably and outlives the call; the
    // descriptor is borrowed and so open.
    let answer = unsafe {
        libc::syscall(libc::SYS_getdents64, dir.as_fd().as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
    };
    Errno::result(answer).map(|filled| usize::try_from(filled).unwrap_or(0))
}

#[repr(C)]
struct CachestatRange {
    offset: u64,
    length: u64,
}

#[repr(C)]
#[derive(Default)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Number of pages of a file in the page cache: `cachestat(2)`, Linux 6.5, system call 451.
///
/// # Errors
/// `ENOSYS` on older kernels, `EOPNOTSUPP` where the file system keeps no such count.
pub fn cached_pages(file: impl AsFd) -> Result<u64, Errno> {
    const SYS_CACHESTAT: libc::c_long = 451;
    let range = CachestatRange { offset: 0, length: 0 };
    let mut found = Cachestat::default();
    // SAFETY: both structures have the layout of the kernel's (`include/uapi/linux/mman.h`) and outlive the call; the
    // descriptor is borrowed and so open.
    let answer = unsafe {
        libc::syscall(SYS_CACHESTAT, file.as_fd().as_raw_fd(), &raw const range, &raw mut found, 0_u32)
    };
    Errno::result(answer).map(|_| found.cached)
}

/// Starts write-back of a range without waiting for it, so that the sync at the end finds little to do.
///
/// # Errors
/// As `sync_file_range(2)`.
pub fn start_write_back(file: impl AsFd, offset_bytes: u64, length_bytes: u64) -> Result<(), Errno> {
    let signed = |n: u64| i64::try_from(n).map_err(|_| Errno::EINVAL);
    // SAFETY: four integers; the descriptor is borrowed and so open.
    let answer = unsafe {
        libc::sync_file_range(
            file.as_fd().as_raw_fd(),
            signed(offset_bytes)?,
            signed(length_bytes)?,
            libc::SYNC_FILE_RANGE_WRITE,
        )
    };
    Errno::result(answer).map(drop)
}

/// `IOPRIO_WHO_PROCESS`: with 0, the calling thread. Threads it makes inherit what it has (`ioprio_set(2)`).
const IOPRIO_WHO_PROCESS: libc::c_int = 1;

/// `IOPRIO_CLASS_IDLE`, in the upper three bits of sixteen.
pub const IO_PRIORITY_IDLE: libc::c_int = 3 << 13;

/// I/O priority of the calling thread: class and level, as the kernel writes it.
///
/// # Errors
/// As `ioprio_get(2)`.
pub fn io_priority() -> Result<libc::c_int, Errno> {
    // SAFETY: takes two integers.
    let answer = unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) };
    Errno::result(answer).map(|priority| libc::c_int::try_from(priority).unwrap_or(0))
}

/// Sets the I/O priority of the calling thread.
///
/// # Errors
/// As `ioprio_set(2)`.
pub fn set_io_priority(priority: libc::c_int) -> Result<(), Errno> {
    // SAFETY: takes three integers.
    let answer = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority) };
    Errno::result(answer).map(drop)
}

/// Makes `to` share every block of `from`: `ioctl_ficlonerange(2)`.
///
/// # Errors
/// `EXDEV`, `EOPNOTSUPP`, `EINVAL` where the two cannot share.
pub fn clone_file(to: impl AsFd, from: impl AsFd) -> Result<(), Errno> {
    /// `_IOW(0x94, 9, int)`.
    const FICLONE: libc::Ioctl = 0x4004_9409;
    // SAFETY: takes two descriptors, both borrowed and so open, and no memory.
    let answer = unsafe { libc::ioctl(to.as_fd().as_raw_fd(), FICLONE, from.as_fd().as_raw_fd()) };
    Errno::result(answer).map(drop)
}
