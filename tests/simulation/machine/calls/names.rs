//! Names: what is opened, made, listed, renamed and removed.

use std::ffi::{c_char, c_int, c_void};

use super::super::disk::{Body, Errno, Ino};
use super::super::files::{Files, Handle, Kind, Place};
use super::super::threads::inside;
use super::super::{Machine, disk};
use super::{answer, bind, done, is_ours, is_ours_at, on_disk, text};

/// A file of the kernel's that tells of the machine.
const MOUNT_TABLE: &[u8] = b"/proc/self/mountinfo";
/// A file of the kernel's that the machine has not.
const PRESSURE: &[u8] = b"/proc/pressure/io";

/// The memory behind a `DIR`.
struct Stream {
    descriptor: c_int,
    entry: libc::dirent64,
}

fn disk_of(m: &Machine, at: c_int, path: &[u8]) -> Result<usize, Errno> {
    match path.first() {
        Some(b'/') => m.files.mount_of(path).map(|(disk, _)| disk),
        _ => m.files.handle(at).map(|handle| handle.disk),
    }
}

/// One call on a place by its name.
fn at_place<T>(
    kind: Kind,
    (at, path): (c_int, &[u8]),
    act: impl FnOnce(&mut Machine, Place) -> Result<T, Errno>,
) -> Result<T, Errno> {
    on_disk(
        kind,
        |m| disk_of(m, at, path),
        |m| {
            let place = m.files.place_at(at, path)?;
            act(m, place)
        },
    )
}

fn open(at: c_int, path: &[u8], flags: c_int, mode: u32) -> c_int {
    if path == MOUNT_TABLE {
        return answer(Ok::<_, Errno>(i64::from(inside(open_mount_table)))) as c_int;
    }
    if path == PRESSURE {
        return done(Err(libc::ENOENT));
    }
    let kind = if flags & libc::O_CREAT != 0 { Kind::Names } else { Kind::Look };
    let result = at_place(kind, (at, path), |m, place| {
        let now = m.wall_ns();
        m.files.open(&place, flags, mode, now)
    });
    answer(result.map(i64::from)) as c_int
}

/// As a file without a name.
fn open_mount_table(m: &mut Machine) -> c_int {
    let bytes = m.files.mount_table().into_bytes();
    let system = &mut m.files.disks[0];
    let ino = system.next_ino;
    system.next_ino += 1;
    let body = Body::File { medium: bytes.clone(), bytes, is_dirty: false };
    let inode = disk::Inode { body, mode: libc::S_IFREG | 0o444, owner: (0, 0), modified_ns: 0, links: 0 };
    system.inodes.insert(ino, inode);
    m.files.put(Handle { disk: 0, ino, at: 0, flags: libc::O_RDONLY, entries: None })
}

fn is_ours_to_open(path: &[u8]) -> bool {
    Files::is_ours(path) || path == MOUNT_TABLE || path == PRESSURE
}

pub(super) unsafe fn is_ours_by_number(at: c_int, path: *const c_char) -> bool {
    is_ours_at(at, path)
}

/// `openat2(2)`; there are no symlinks, and mounts are not below one another.
pub(super) unsafe fn openat2(at: c_int, path: *const c_char, how: *const u64) -> i64 {
    i64::from(open(at, text(path), *how as c_int, *how.add(1) as u32))
}

/// `renameat2(2)`, which the program calls by its number too.
pub(super) unsafe fn renameat2(
    from: (c_int, *const c_char),
    to: (c_int, *const c_char),
    flags: u32,
) -> c_int {
    rename((from.0, text(from.1)), (to.0, text(to.1)), flags & libc::RENAME_NOREPLACE == 0)
}

pub(super) unsafe fn getrandom(to: *mut u8, length: usize) -> isize {
    let bytes = inside(|m| m.rng.bytes(length));
    std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, length);
    length as isize
}

fn make_directory(at: c_int, path: &[u8], mode: u32) -> c_int {
    done(at_place(Kind::Names, (at, path), |m, place| {
        let now = m.wall_ns();
        m.files.make_directory(&place, mode, now)
    }))
}

fn unlink(at: c_int, path: &[u8], want_directory: bool) -> c_int {
    done(at_place(Kind::Names, (at, path), |m, place| {
        m.files.disks[place.disk].unlink(place.dir, &place.name, want_directory)
    }))
}

fn rename(from: (c_int, &[u8]), to: (c_int, &[u8]), may_replace: bool) -> c_int {
    done(at_place(Kind::Names, from, |m, place| {
        let to = m.files.place_at(to.0, to.1)?;
        m.files.rename(&place, &to, may_replace)
    }))
}

fn link(from: (c_int, &[u8]), to: (c_int, &[u8])) -> c_int {
    done(at_place(Kind::Names, from, |m, place| {
        let to = m.files.place_at(to.0, to.1)?;
        let ino = m.files.ino(&place)?;
        if place.disk == to.disk {
            m.files.disks[to.disk].link(ino, to.dir, &to.name)
        } else {
            Err(libc::EXDEV)
        }
    }))
}

fn change_inode(fd: c_int, change: impl FnOnce(&mut disk::Inode, i64)) -> c_int {
    done(on_disk(
        Kind::Names,
        |m| Ok(m.files.handle(fd)?.disk),
        |m| {
            let handle = m.files.handle(fd)?.clone();
            let now = m.wall_ns();
            let disk = &mut m.files.disks[handle.disk];
            if disk.is_read_only {
                return Err(libc::EROFS);
            }
            change(disk.inode_mut(handle.ino)?, now);
            Ok(())
        },
    ))
}

unsafe fn set_times(fd: c_int, times: *const libc::timespec) -> c_int {
    let modified = (!times.is_null()).then(|| *times.add(1));
    change_inode(fd, |inode, now| match modified {
        Some(time) if time.tv_nsec == libc::UTIME_OMIT => {}
        Some(time) if time.tv_nsec != libc::UTIME_NOW => {
            inode.modified_ns = time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec);
        }
        _ => inode.modified_ns = now,
    })
}

/// All entries of a directory, the first one last.
fn listed(disk: &disk::Disk, ino: Ino) -> Result<Vec<(Vec<u8>, Ino)>, Errno> {
    Ok(disk.names(ino)?.iter().map(|(name, ino)| (name.clone(), *ino)).rev().collect())
}

fn open_stream(fd: c_int) -> *mut c_void {
    let opened = on_disk(
        Kind::Look,
        |m| Ok(m.files.handle(fd)?.disk),
        |m| {
            let handle = m.files.handle(fd)?.clone();
            m.files.handle_mut(fd)?.entries = Some(listed(&m.files.disks[handle.disk], handle.ino)?);
            let stream = Box::new(Stream { descriptor: fd, entry: unsafe { std::mem::zeroed() } });
            let address = Box::into_raw(stream).cast::<c_void>();
            m.files.streams.insert(address as usize, fd);
            Ok(address)
        },
    );
    match opened {
        Ok(address) => address,
        Err(errno) => {
            done(Err(errno));
            std::ptr::null_mut()
        }
    }
}

fn open_directory(path: &[u8]) -> *mut c_void {
    let fd = open(libc::AT_FDCWD, path, libc::O_RDONLY | libc::O_DIRECTORY, 0);
    if fd < 0 { std::ptr::null_mut() } else { open_stream(fd) }
}

fn is_stream(stream: *mut c_void) -> bool {
    inside(|m| m.files.streams.contains_key(&(stream as usize)))
}

unsafe fn next_entry(stream: *mut c_void) -> *mut c_void {
    let stream = &mut *stream.cast::<Stream>();
    let next = inside(|m| {
        let handle = m.files.handle_mut(stream.descriptor).ok()?;
        let (name, ino) = handle.entries.as_mut()?.pop()?;
        let disk = handle.disk;
        let is_directory = m.files.disks[disk].inode(ino).is_ok_and(disk::Inode::is_directory);
        Some((name, ino, is_directory))
    });
    let Some((name, ino, is_directory)) = next else { return std::ptr::null_mut() };
    stream.entry.d_ino = ino;
    stream.entry.d_type = if is_directory { libc::DT_DIR } else { libc::DT_REG };
    stream.entry.d_reclen = size_of::<libc::dirent64>() as u16;
    for (to, from) in stream.entry.d_name.iter_mut().zip(name.iter().chain(&[0])) {
        *to = from.cast_signed();
    }
    (&raw mut stream.entry).cast()
}

unsafe fn close_stream(stream: *mut c_void) -> c_int {
    inside(|m| m.files.streams.remove(&(stream as usize)));
    let stream = Box::from_raw(stream.cast::<Stream>());
    done(inside(|m| m.files.close(stream.descriptor)))
}

/// `getdents64(2)`: as many entries as fit, in the kernel's form: inode, offset, length, kind, name and NUL.
pub(super) fn read_directory(fd: c_int, buffer: &mut [u8]) -> i64 {
    const NAME_AT: usize = 19;
    answer(on_disk(
        Kind::Look,
        |m| Ok(m.files.handle(fd)?.disk),
        |m| {
            let handle = m.files.handle(fd)?.clone();
            let disk = &m.files.disks[handle.disk];
            let mut entries = match handle.entries {
                Some(left) => left,
                None => listed(disk, handle.ino)?,
            };
            let mut filled = 0;
            while let Some((name, ino)) = entries.last() {
                let length = (NAME_AT + name.len() + 1).next_multiple_of(8);
                let Some(entry) = buffer.get_mut(filled..filled + length) else { break };
                let is_directory = disk.inode(*ino).is_ok_and(disk::Inode::is_directory);
                entry.fill(0);
                entry[..8].copy_from_slice(&ino.to_ne_bytes());
                entry[16..18].copy_from_slice(&(length as u16).to_ne_bytes());
                entry[18] = if is_directory { libc::DT_DIR } else { libc::DT_REG };
                entry[NAME_AT..NAME_AT + name.len()].copy_from_slice(name);
                filled += length;
                entries.pop();
            }
            m.files.handle_mut(fd)?.entries = Some(entries);
            Ok(filled as i64)
        },
    ))
}

const HERE: c_int = libc::AT_FDCWD;

bind! {
    fn open(path: *const c_char, flags: c_int, mode: u32) -> c_int, when is_ours_to_open(text(path)) =>
        open(HERE, text(path), flags, mode);
    fn open64(path: *const c_char, flags: c_int, mode: u32) -> c_int, when is_ours_to_open(text(path)) =>
        open(HERE, text(path), flags, mode);
    fn openat(at: c_int, path: *const c_char, flags: c_int, mode: u32) -> c_int, when is_ours_at(at, path) =>
        open(at, text(path), flags, mode);
    fn openat64(at: c_int, path: *const c_char, flags: c_int, mode: u32) -> c_int, when is_ours_at(at, path) =>
        open(at, text(path), flags, mode);
    fn mkdir(path: *const c_char, mode: u32) -> c_int, when Files::is_ours(text(path)) =>
        make_directory(HERE, text(path), mode);
    fn mkdirat(at: c_int, path: *const c_char, mode: u32) -> c_int, when is_ours_at(at, path) =>
        make_directory(at, text(path), mode);
    fn unlink(path: *const c_char) -> c_int, when Files::is_ours(text(path)) => unlink(HERE, text(path), false);
    fn rmdir(path: *const c_char) -> c_int, when Files::is_ours(text(path)) => unlink(HERE, text(path), true);
    fn unlinkat(at: c_int, path: *const c_char, flags: c_int) -> c_int, when is_ours_at(at, path) =>
        unlink(at, text(path), flags & libc::AT_REMOVEDIR != 0);
    fn rename(from: *const c_char, to: *const c_char) -> c_int, when Files::is_ours(text(from)) =>
        rename((HERE, text(from)), (HERE, text(to)), true);
    fn renameat(at: c_int, from: *const c_char, to_at: c_int, to: *const c_char) -> c_int, when is_ours_at(at, from) =>
        rename((at, text(from)), (to_at, text(to)), true);
    fn renameat2(at: c_int, from: *const c_char, to_at: c_int, to: *const c_char, flags: u32) -> c_int,
        when is_ours_at(at, from) =>
        renameat2((at, from), (to_at, to), flags);
    fn linkat(at: c_int, from: *const c_char, to_at: c_int, to: *const c_char, flags: c_int) -> c_int,
        when is_ours_at(at, from) => link((at, text(from)), (to_at, text(to)));
    fn fchmod(fd: c_int, mode: u32) -> c_int, when is_ours(fd) =>
        change_inode(fd, |inode, _| inode.mode = inode.mode & libc::S_IFMT | mode & 0o7777);
    fn fchown(fd: c_int, user: u32, group: u32) -> c_int, when is_ours(fd) => change_inode(fd, |inode, _| {
        inode.owner = (
            if user == u32::MAX { inode.owner.0 } else { user },
            if group == u32::MAX { inode.owner.1 } else { group },
        );
    });
    fn futimens(fd: c_int, times: *const libc::timespec) -> c_int, when is_ours(fd) => set_times(fd, times);
    fn fdopendir(fd: c_int) -> *mut c_void, when is_ours(fd) => open_stream(fd);
    fn opendir(path: *const c_char) -> *mut c_void, when Files::is_ours(text(path)) => open_directory(text(path));
    fn readdir(stream: *mut c_void) -> *mut c_void, when is_stream(stream) => next_entry(stream);
    fn readdir64(stream: *mut c_void) -> *mut c_void, when is_stream(stream) => next_entry(stream);
    fn rewinddir(stream: *mut c_void) -> (), when is_stream(stream) => {};
    fn dirfd(stream: *mut c_void) -> c_int, when is_stream(stream) => (*stream.cast::<Stream>()).descriptor;
    fn closedir(stream: *mut c_void) -> c_int, when is_stream(stream) => close_stream(stream);
    fn getrandom(to: *mut u8, length: usize, flags: u32) -> isize, when true => getrandom(to, length);
}
