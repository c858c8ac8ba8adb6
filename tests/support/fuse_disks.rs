//! Files `disk0`, `disk1`, ... of a FUSE mount, to put loop devices on: what such a disk does with a read, a write or a flush
//! is said by who serves it.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, KernelConfig,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite,
    Request, Session, WriteFlags,
};

/// The kernel lets this many asynchronous requests wait per mount. More than the loop driver's queue of every disk
/// together, so that a hung disk leaves room for the others.
const MAX_BACKGROUND_REQUESTS: u16 = 16_384;
const TTL: Duration = Duration::from_secs(3600);
/// Inode 1 is the root directory, inode 2 is `disk0`.
const FIRST_DISK_INODE: u64 = 2;

/// Disks of one size, by number. None of these may wait: the kernel asks on one thread for all.
pub(crate) trait Disks: Send + Sync + 'static {
    fn count(&self) -> usize;
    fn size_bytes(&self) -> u64;
    fn read(&self, number: usize, offset: u64, len: usize, reply: ReplyData);
    fn write(&self, number: usize, offset: u64, data: &[u8], reply: ReplyWrite);
    /// A cache flush of the disk.
    fn flush(&self, number: usize, reply: ReplyEmpty);
}

/// Mounts the disks; they are served once the session is spawned.
pub(crate) fn mount<D: Disks>(disks: D, name: &str, at: &Path) -> io::Result<Session<Served<D>>> {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName(name.into()), MountOption::NoAtime];
    Session::new(Served(disks), at, &config)
}

pub(crate) struct Served<D>(D);

impl<D: Disks> Served<D> {
    fn number_of(&self, ino: INodeNo) -> Option<usize> {
        let number = usize::try_from(ino.0.checked_sub(FIRST_DISK_INODE)?).ok()?;
        (number < self.0.count()).then_some(number)
    }

    fn asked_for(&self, ino: INodeNo) -> usize {
        self.number_of(ino).expect("the kernel reads and writes only what lookup returned")
    }

    fn attributes(&self, ino: INodeNo) -> FileAttr {
        let is_disk = self.number_of(ino).is_some();
        let size = if is_disk { self.0.size_bytes() } else { 0 };
        FileAttr {
            ino,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_disk { FileType::RegularFile } else { FileType::Directory },
            perm: 0o700,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl<D: Disks> Filesystem for Served<D> {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let most = config.set_max_background(MAX_BACKGROUND_REQUESTS);
        let refused = |most| io::Error::other(format!("the kernel allows {most} background requests only"));
        most.map(drop).map_err(refused)
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let number = name.to_str().and_then(|name| name.strip_prefix("disk")?.parse::<u64>().ok());
        match number.map(|number| INodeNo(number + FIRST_DISK_INODE)) {
            Some(ino) if self.number_of(ino).is_some() => {
                reply.entry(&TTL, &self.attributes(ino), Generation(0));
            }
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.attributes(ino));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Nothing may lie in a page cache between the loop device and the disk.
        let flags = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES;
        reply.opened(FileHandle(0), flags);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.0.read(self.asked_for(ino), offset, size as usize, reply);
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.0.write(self.asked_for(ino), offset, data, reply);
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.0.flush(self.asked_for(ino), reply);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // FUSE_FLUSH is close(2) of a descriptor; a cache flush of the disk arrives as FUSE_FSYNC.
        reply.ok();
    }

    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        // No discards: a disk without TRIM. The block layer then writes zeros where it must.
        reply.error(Errno::EOPNOTSUPP);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: fuser::ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, 4096, 255, 4096);
    }
}
