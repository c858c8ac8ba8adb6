//! What a name, a descriptor or a file system is.

use std::ffi::{c_char, c_int};

use super::super::Machine;
use super::super::disk::{Errno, Ino};
use super::super::files::{Files, Kind};
use super::super::threads::inside;
use super::{answer, bind, done, is_ours, is_ours_at, on_disk, real, text};

const HERE: c_int = libc::AT_FDCWD;
const SECOND_NS: i64 = 1_000_000_000;
const BLOCK_BYTES: u64 = 4096;
/// Number of the first disk's device: major 8, as of a SCSI disk.
const FIRST_DEVICE: u64 = 0x800;
const EXT4_MAGIC: i64 = 0xEF53;

/// What `stat` tells.
struct Told {
    device: u64,
    ino: Ino,
    mode: u32,
    links: u32,
    owner: (u32, u32),
    size: i64,
    modified_ns: i64,
}

fn tell(m: &Machine, disk: usize, ino: Ino) -> Result<Told, Errno> {
    let inode = m.files.disks[disk].inode(ino)?;
    Ok(Told {
        device: FIRST_DEVICE + disk as u64,
        ino,
        mode: inode.mode,
        links: inode.links,
        owner: inode.owner,
        size: inode.size_bytes() as i64,
        modified_ns: inode.modified_ns,
    })
}

fn of_place(at: c_int, path: &[u8]) -> Result<Told, Errno> {
    let which = |m: &Machine| match path.first() {
        Some(b'/') => m.files.mount_of(path).map(|(disk, _)| disk),
        _ => m.files.handle(at).map(|handle| handle.disk),
    };
    on_disk(Kind::Look, which, |m| {
        let place = m.files.place_at(at, path)?;
        let ino = m.files.ino(&place)?;
        tell(m, place.disk, ino)
    })
}

fn of_descriptor(fd: c_int) -> Result<Told, Errno> {
    inside(|m| {
        let handle = m.files.handle(fd)?.clone();
        tell(m, handle.disk, handle.ino)
    })
}

unsafe fn put(told: Result<Told, Errno>, to: *mut libc::stat64) -> c_int {
    done(told.map(|told| {
        let mut stat: libc::stat64 = std::mem::zeroed();
        stat.st_dev = told.device;
        stat.st_ino = told.ino;
        stat.st_mode = told.mode;
        stat.st_nlink = u64::from(told.links);
        (stat.st_uid, stat.st_gid) = told.owner;
        stat.st_size = told.size;
        stat.st_blksize = BLOCK_BYTES as i64;
        stat.st_blocks = (told.size + 511) / 512;
        (stat.st_mtime, stat.st_mtime_nsec) = (told.modified_ns / SECOND_NS, told.modified_ns % SECOND_NS);
        (stat.st_ctime, stat.st_ctime_nsec) = (stat.st_mtime, stat.st_mtime_nsec);
        (stat.st_atime, stat.st_atime_nsec) = (stat.st_mtime, stat.st_mtime_nsec);
        to.write(stat);
    }))
}

unsafe fn put_statx(told: Result<Told, Errno>, to: *mut libc::statx) -> c_int {
    done(told.map(|told| {
        let mut stat: libc::statx = std::mem::zeroed();
        stat.stx_mask = libc::STATX_BASIC_STATS;
        (stat.stx_dev_major, stat.stx_dev_minor) = ((told.device >> 8) as u32, told.device as u32 & 0xff);
        stat.stx_ino = told.ino;
        stat.stx_mode = told.mode as u16;
        stat.stx_nlink = told.links;
        (stat.stx_uid, stat.stx_gid) = told.owner;
        stat.stx_size = told.size as u64;
        stat.stx_blksize = BLOCK_BYTES as u32;
        stat.stx_blocks = (told.size as u64).div_ceil(512);
        stat.stx_mtime.tv_sec = told.modified_ns / SECOND_NS;
        stat.stx_mtime.tv_nsec = (told.modified_ns % SECOND_NS) as u32;
        to.write(stat);
    }))
}

/// `AT_EMPTY_PATH`: the descriptor itself.
fn at_or_descriptor(at: c_int, path: &[u8]) -> Result<Told, Errno> {
    if path.is_empty() { of_descriptor(at) } else { of_place(at, path) }
}

struct Space {
    blocks: u64,
    free: u64,
    is_read_only: bool,
    device: u64,
}

fn space(fd: c_int) -> Result<Space, Errno> {
    on_disk(Kind::Look, |m| Ok(m.files.handle(fd)?.disk), |m| space_of(m, m.files.handle(fd)?.disk))
}

fn space_at(path: &[u8]) -> Result<Space, Errno> {
    on_disk(Kind::Look, |m| Ok(m.files.mount_of(path)?.0), |m| space_of(m, m.files.mount_of(path)?.0))
}

fn space_of(m: &Machine, number: usize) -> Result<Space, Errno> {
    let disk = &m.files.disks[number];
    let blocks = disk.capacity_bytes / BLOCK_BYTES;
    let free = disk.capacity_bytes.saturating_sub(disk.used_bytes()) / BLOCK_BYTES;
    Ok(Space { blocks, free, is_read_only: disk.is_read_only, device: FIRST_DEVICE + number as u64 })
}

unsafe fn put_statvfs(space: Result<Space, Errno>, to: *mut libc::statvfs) -> c_int {
    done(space.map(|space| {
        let mut stat: libc::statvfs = std::mem::zeroed();
        (stat.f_bsize, stat.f_frsize) = (BLOCK_BYTES, BLOCK_BYTES);
        (stat.f_blocks, stat.f_bfree, stat.f_bavail) = (space.blocks, space.free, space.free);
        (stat.f_files, stat.f_ffree, stat.f_favail) = (1 << 20, 1 << 19, 1 << 19);
        stat.f_flag = if space.is_read_only { libc::ST_RDONLY } else { 0 };
        stat.f_fsid = space.device;
        stat.f_namemax = 255;
        to.write(stat);
    }))
}

unsafe fn put_statfs(space: Result<Space, Errno>, to: *mut libc::statfs64) -> c_int {
    done(space.map(|space| {
        let mut stat: libc::statfs64 = std::mem::zeroed();
        stat.f_type = EXT4_MAGIC;
        stat.f_bsize = BLOCK_BYTES as i64;
        (stat.f_blocks, stat.f_bfree, stat.f_bavail) = (space.blocks, space.free, space.free);
        to.write(stat);
    }))
}

/// Without symlinks the real path is the path itself.
unsafe fn real_path(path: *const c_char) -> *mut c_char {
    let path = text(path);
    if let Err(errno) = of_place(HERE, path) {
        done(Err(errno));
        return std::ptr::null_mut();
    }
    let parts: Vec<_> =
        path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    let whole = [b"/", parts.join(&b'/').as_slice(), b"\0"].concat();
    let copy = libc::malloc(whole.len()).cast::<u8>();
    std::ptr::copy_nonoverlapping(whole.as_ptr(), copy, whole.len());
    copy.cast()
}

bind! {
    fn stat(path: *const c_char, to: *mut libc::stat64) -> c_int, when Files::is_ours(text(path)) =>
        put(of_place(HERE, text(path)), to);
    fn stat64(path: *const c_char, to: *mut libc::stat64) -> c_int, when Files::is_ours(text(path)) =>
        put(of_place(HERE, text(path)), to);
    fn lstat(path: *const c_char, to: *mut libc::stat64) -> c_int, when Files::is_ours(text(path)) =>
        put(of_place(HERE, text(path)), to);
    fn lstat64(path: *const c_char, to: *mut libc::stat64) -> c_int, when Files::is_ours(text(path)) =>
        put(of_place(HERE, text(path)), to);
    fn fstat(fd: c_int, to: *mut libc::stat64) -> c_int, when is_ours(fd) => put(of_descriptor(fd), to);
    fn fstat64(fd: c_int, to: *mut libc::stat64) -> c_int, when is_ours(fd) => put(of_descriptor(fd), to);
    fn fstatat(at: c_int, path: *const c_char, to: *mut libc::stat64, flags: c_int) -> c_int, when is_ours_at(at, path) =>
        put(at_or_descriptor(at, text(path)), to);
    fn fstatat64(at: c_int, path: *const c_char, to: *mut libc::stat64, flags: c_int) -> c_int,
        when is_ours_at(at, path) => put(at_or_descriptor(at, text(path)), to);
    fn statx(at: c_int, path: *const c_char, flags: c_int, mask: u32, to: *mut libc::statx) -> c_int,
        when !path.is_null() && is_ours_at(at, path) => put_statx(at_or_descriptor(at, text(path)), to);
    fn fstatvfs(fd: c_int, to: *mut libc::statvfs) -> c_int, when is_ours(fd) => put_statvfs(space(fd), to);
    fn statvfs(path: *const c_char, to: *mut libc::statvfs) -> c_int, when Files::is_ours(text(path)) =>
        put_statvfs(space_at(text(path)), to);
    fn fstatfs(fd: c_int, to: *mut libc::statfs64) -> c_int, when is_ours(fd) => put_statfs(space(fd), to);
    fn fstatfs64(fd: c_int, to: *mut libc::statfs64) -> c_int, when is_ours(fd) => put_statfs(space(fd), to);
    fn access(path: *const c_char, mode: c_int) -> c_int, when Files::is_ours(text(path)) =>
        done(of_place(HERE, text(path)).map(drop));
    fn readlink(path: *const c_char, to: *mut c_char, length: usize) -> isize, when Files::is_ours(text(path)) =>
        answer(of_place(HERE, text(path)).and(Err::<i64, _>(libc::EINVAL))) as isize;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realpath(path: *const c_char, to: *mut c_char) -> *mut c_char {
    if super::super::threads::is_simulated() && Files::is_ours(text(path)) {
        real_path(path)
    } else {
        real!(realpath(path => *const c_char, to => *mut c_char) -> *mut c_char)
    }
}
