//! Bytes of open files, and their syncs.

use std::ffi::{c_int, c_void};

use super::super::disk::{Body, Errno};
use super::super::files::Kind;
use super::super::threads::inside;
use super::{answer, bind, done, is_ours, on_disk, on_disk_either_way};

/// Where a read or write takes place.
#[derive(Clone, Copy)]
enum At {
    /// Where the last one ended.
    Cursor,
    Offset(i64),
}

unsafe fn read_at(fd: c_int, to: *mut c_void, length: usize, at: At) -> isize {
    let result = on_disk(
        Kind::Read,
        |m| Ok(m.files.handle(fd)?.disk),
        |m| {
            let handle = m.files.handle(fd)?.clone();
            let disk = &mut m.files.disks[handle.disk];
            if handle.flags & libc::O_DIRECT != 0 {
                // What is dirty is written first, without its being durable.
                if let Body::File { is_dirty: false, .. } = disk.inode(handle.ino)?.body {
                    disk.drop_cache(handle.ino);
                }
            }
            let bytes = disk.bytes(handle.ino)?;
            let begin = match at {
                At::Cursor => handle.at,
                At::Offset(at) => usize::try_from(at).map_err(|_| libc::EINVAL)?,
            };
            let found = bytes.get(begin..).unwrap_or(&[]);
            let count = found.len().min(length);
            std::ptr::copy_nonoverlapping(found.as_ptr(), to.cast(), count);
            if matches!(at, At::Cursor) {
                m.files.handle_mut(fd)?.at = begin + count;
            }
            Ok(count as i64)
        },
    );
    answer(result) as isize
}

unsafe fn write_at(fd: c_int, from: *const c_void, length: usize, at: At) -> isize {
    let new = std::slice::from_raw_parts(from.cast::<u8>(), length);
    let result = on_disk(
        Kind::Write,
        |m| Ok(m.files.handle(fd)?.disk),
        |m| {
            let handle = m.files.handle(fd)?.clone();
            if handle.flags & libc::O_ACCMODE == libc::O_RDONLY {
                return Err(libc::EBADF);
            }
            let now = m.wall_ns();
            let disk = &mut m.files.disks[handle.disk];
            let begin = match at {
                _ if handle.flags & libc::O_APPEND != 0 => disk.bytes(handle.ino)?.len(),
                At::Cursor => handle.at,
                At::Offset(at) => usize::try_from(at).map_err(|_| libc::EINVAL)?,
            };
            let count = disk.write(handle.ino, begin, new, now)?;
            if matches!(at, At::Cursor) {
                m.files.handle_mut(fd)?.at = begin + count;
            }
            Ok(count as i64)
        },
    );
    answer(result) as isize
}

fn seek(fd: c_int, offset: i64, whence: c_int) -> i64 {
    let result = inside(|m| -> Result<i64, Errno> {
        let handle = m.files.handle(fd)?;
        let length = m.files.disks[handle.disk].inode(handle.ino)?.size_bytes() as i64;
        let at = match whence {
            libc::SEEK_SET => offset,
            libc::SEEK_CUR => handle.at as i64 + offset,
            libc::SEEK_END => length + offset,
            libc::SEEK_DATA if offset < length => return Ok(offset),
            libc::SEEK_HOLE if offset < length => return Ok(length),
            libc::SEEK_DATA | libc::SEEK_HOLE => return Err(libc::ENXIO),
            _ => return Err(libc::EINVAL),
        };
        m.files.handle_mut(fd)?.at = usize::try_from(at).map_err(|_| libc::EINVAL)?;
        Ok(at)
    });
    answer(result)
}

fn sync(fd: c_int) -> c_int {
    done(on_disk_either_way(
        Kind::Sync,
        |m| Ok(m.files.handle(fd)?.disk),
        |m, trouble| {
            let handle = m.files.handle(fd)?.clone();
            m.files.disks[handle.disk].sync(handle.ino, trouble.is_err());
            trouble
        },
    ))
}

fn sync_all(fd: c_int) -> c_int {
    done(on_disk_either_way(
        Kind::Sync,
        |m| Ok(m.files.handle(fd)?.disk),
        |m, trouble| {
            let disk = m.files.handle(fd)?.disk;
            m.files.disks[disk].sync_all(trouble.is_err());
            trouble
        },
    ))
}

fn truncate(fd: c_int, length: i64) -> c_int {
    done(on_disk(
        Kind::Write,
        |m| Ok(m.files.handle(fd)?.disk),
        |m| {
            let handle = m.files.handle(fd)?.clone();
            let now = m.wall_ns();
            let length = usize::try_from(length).map_err(|_| libc::EINVAL)?;
            m.files.disks[handle.disk].truncate(handle.ino, length, now)
        },
    ))
}

fn advise(fd: c_int, advice: c_int) -> c_int {
    if advice == libc::POSIX_FADV_DONTNEED {
        inside(|m| {
            if let Ok(handle) = m.files.handle(fd).cloned() {
                m.files.disks[handle.disk].drop_cache(handle.ino);
            }
        });
    }
    0
}

fn control(fd: c_int, command: c_int, argument: i64) -> c_int {
    let result = inside(|m| {
        let handle = m.files.handle(fd)?.clone();
        match command {
            libc::F_GETFD => Ok(libc::FD_CLOEXEC),
            libc::F_GETFL => Ok(handle.flags),
            libc::F_SETFL => {
                m.files.handle_mut(fd)?.flags = argument as c_int;
                Ok(0)
            }
            libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => Ok(m.files.put(handle)),
            // Locks of a process, of which there is one.
            libc::F_GETLK => {
                unsafe { (*(argument as *mut libc::flock)).l_type = libc::F_UNLCK as i16 };
                Ok(0)
            }
            _ => Ok(0),
        }
    });
    answer(result.map(i64::from)) as c_int
}

fn lock(fd: c_int, operation: c_int) -> c_int {
    done(inside(|m| {
        let handle = m.files.handle(fd)?;
        let key = (handle.disk, handle.ino);
        match (operation & !libc::LOCK_NB, m.files.locks.get(&key).copied()) {
            (libc::LOCK_UN, held) => {
                if held == Some(fd) {
                    m.files.locks.remove(&key);
                }
                Ok(())
            }
            (_, Some(holder)) if holder != fd => Err(libc::EWOULDBLOCK),
            _ => {
                m.files.locks.insert(key, fd);
                Ok(())
            }
        }
    }))
}

bind! {
    fn read(fd: c_int, to: *mut c_void, length: usize) -> isize, when is_ours(fd) => read_at(fd, to, length, At::Cursor);
    fn pread(fd: c_int, to: *mut c_void, length: usize, at: i64) -> isize, when is_ours(fd) =>
        read_at(fd, to, length, At::Offset(at));
    fn pread64(fd: c_int, to: *mut c_void, length: usize, at: i64) -> isize, when is_ours(fd) =>
        read_at(fd, to, length, At::Offset(at));
    fn write(fd: c_int, from: *const c_void, length: usize) -> isize, when is_ours(fd) =>
        write_at(fd, from, length, At::Cursor);
    fn pwrite(fd: c_int, from: *const c_void, length: usize, at: i64) -> isize, when is_ours(fd) =>
        write_at(fd, from, length, At::Offset(at));
    fn pwrite64(fd: c_int, from: *const c_void, length: usize, at: i64) -> isize, when is_ours(fd) =>
        write_at(fd, from, length, At::Offset(at));
    fn writev(fd: c_int, parts: *const libc::iovec, count: c_int) -> isize, when is_ours(fd) && count > 0 =>
        write_at(fd, (*parts).iov_base, (*parts).iov_len, At::Cursor);
    fn lseek(fd: c_int, offset: i64, whence: c_int) -> i64, when is_ours(fd) => seek(fd, offset, whence);
    fn lseek64(fd: c_int, offset: i64, whence: c_int) -> i64, when is_ours(fd) => seek(fd, offset, whence);
    fn fsync(fd: c_int) -> c_int, when is_ours(fd) => sync(fd);
    fn fdatasync(fd: c_int) -> c_int, when is_ours(fd) => sync(fd);
    fn syncfs(fd: c_int) -> c_int, when is_ours(fd) => sync_all(fd);
    fn sync_file_range(fd: c_int, at: i64, length: i64, flags: u32) -> c_int, when is_ours(fd) => 0;
    fn ftruncate(fd: c_int, length: i64) -> c_int, when is_ours(fd) => truncate(fd, length);
    fn ftruncate64(fd: c_int, length: i64) -> c_int, when is_ours(fd) => truncate(fd, length);
    fn fallocate(fd: c_int, mode: c_int, at: i64, length: i64) -> c_int, when is_ours(fd) => {
        *libc::__errno_location() = libc::EOPNOTSUPP;
        -1
    };
    fn posix_fadvise(fd: c_int, at: i64, length: i64, advice: c_int) -> c_int, when is_ours(fd) => advise(fd, advice);
    fn posix_fadvise64(fd: c_int, at: i64, length: i64, advice: c_int) -> c_int, when is_ours(fd) => advise(fd, advice);
    fn fcntl(fd: c_int, command: c_int, argument: i64) -> c_int, when is_ours(fd) => control(fd, command, argument);
    fn fcntl64(fd: c_int, command: c_int, argument: i64) -> c_int, when is_ours(fd) => control(fd, command, argument);
    fn flock(fd: c_int, operation: c_int) -> c_int, when is_ours(fd) => lock(fd, operation);
    fn ioctl(fd: c_int, request: u64, argument: i64) -> c_int, when is_ours(fd) => {
        *libc::__errno_location() = libc::EOPNOTSUPP;
        -1
    };
    fn close(fd: c_int) -> c_int, when is_ours(fd) => done(inside(|m| m.files.close(fd)));
}
