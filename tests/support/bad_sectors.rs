//! A disk with sectors that cannot be read: an ext4 on a loop device over a file that FUSE serves, and that answers EIO where
//! it is told to. What reaches the daemon is what the kernel's block layer makes of it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyWrite, Request, Session, WriteFlags,
};
use nix::mount::{MntFlags, umount2};

use super::mounts::{run, skip};

/// What a disk gives or does not give at once.
pub(crate) const SECTOR_BYTES: u64 = 4096;
const IMAGE: INodeNo = INodeNo(2);
const TTL: Duration = Duration::from_secs(3600);

type Ranges = Arc<Mutex<Vec<Range<u64>>>>;

/// The disk; unmounted when dropped.
pub(crate) struct BadDisk {
    image: PathBuf,
    served: PathBuf,
    at: PathBuf,
    bad: Ranges,
    _session: BackgroundSession,
}

impl BadDisk {
    /// A new one below `dir`, with nothing wrong yet; `None`, with a word, where that is not to be had.
    ///
    /// # Panics
    /// As [`super::mounts::Mounted::on`].
    pub(crate) fn ext4(dir: &Path, name: &str, bytes: u64) -> Option<Self> {
        let (image, served, at) =
            (dir.join(format!("{name}.img")), dir.join(format!("{name}.served")), dir.join(name));
        let made = File::create(&image).and_then(|file| file.set_len(bytes));
        made.and_then(|()| fs::create_dir_all(&served)).and_then(|()| fs::create_dir_all(&at)).expect("room");
        let made = run("mkfs.ext4", &["-q", "-F", "-m", "0", "-b", "4096", &image.display().to_string()]);
        let bad = Ranges::default();
        let open = || File::options().read(true).write(true).open(&image);
        let session = made.and_then(|()| {
            let proxy = Proxy { file: open().expect("it was just made"), bytes, bad: Arc::clone(&bad) };
            serve(proxy, &served).map_err(|error| format!("FUSE: {error}"))
        });
        let disk = match session {
            Ok(session) => Self { image, served, at, bad, _session: session },
            Err(why) => {
                skip(&why);
                return None;
            }
        };
        match disk.mount() {
            Ok(()) => Some(disk),
            Err(why) => {
                skip(&why);
                None
            }
        }
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// The file that stands for its device: what a program that copies the disk reads.
    pub(crate) fn device(&self) -> PathBuf {
        self.served.join("image")
    }

    /// Copies the disk as `ddrescue` does, to `<name>.img` in `dir`; `None`, with a word, where that is not installed.
    ///
    /// # Panics
    /// It does not copy.
    pub(crate) fn rescue(&self, dir: &Path, name: &str) -> Option<()> {
        if Command::new("ddrescue").arg("--version").output().is_err() {
            skip("ddrescue is not installed");
            return None;
        }
        let to = dir.join(format!("{name}.img"));
        let map = dir.join(format!("{name}.map"));
        let [from, to, map] = [self.device(), to, map].map(|path| path.display().to_string());
        run("ddrescue", &["-q", "-f", "-r1", &from, &to, &map]).expect("ddrescue");
        let map = fs::read_to_string(map).expect("a map");
        let bad = map.lines().filter(|line| line.trim_end().ends_with('-')).count();
        assert_eq!(bad > 0, !self.bad.lock().unwrap_or_else(PoisonError::into_inner).is_empty(), "{map}");
        Some(())
    }

    /// # Errors
    /// What `mount` says.
    pub(crate) fn mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", &self.device().display().to_string(), &self.at.display().to_string()])
    }

    /// # Errors
    /// What `umount` says.
    pub(crate) fn unmount(&self) -> Result<(), String> {
        run("umount", &[&self.at.display().to_string()])
    }

    /// Nothing of it is in the page cache any more.
    pub(crate) fn forget_cache(&self) {
        self.unmount().and_then(|()| self.mount()).expect("nothing holds it");
    }

    /// From now on the sectors that hold these bytes of one of its files are not given.
    pub(crate) fn spoil(&self, file: &Path, bytes: Range<u64>) {
        self.spoil_all(file, &[bytes]);
    }

    /// The same of several ranges.
    pub(crate) fn spoil_all(&self, file: &Path, ranges: &[Range<u64>]) {
        let content = fs::read(file).expect("a file that can still be read");
        File::open(file).and_then(|file| file.sync_all()).expect("synced");
        let image = fs::read(&self.image).expect("the image");
        let sector = usize::try_from(SECTOR_BYTES).expect("small");
        let sectors = |bytes: &Range<u64>| bytes.start / SECTOR_BYTES..bytes.end.div_ceil(SECTOR_BYTES);
        for number in ranges.iter().flat_map(sectors) {
            let from = usize::try_from(number * SECTOR_BYTES).expect("small");
            let wanted = &content[from..content.len().min(from + sector)];
            let place = image.chunks(sector).position(|chunk| chunk.starts_with(wanted));
            let place = place.expect("the bytes are on the medium") as u64 * SECTOR_BYTES;
            self.bad.lock().unwrap_or_else(PoisonError::into_inner).push(place..place + SECTOR_BYTES);
        }
        self.forget_cache();
    }

    /// Everything is given again.
    pub(crate) fn recover(&self) {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for BadDisk {
    fn drop(&mut self) {
        // The file system goes before who serves its device; what still holds it finds a dead disk.
        let _ = self.unmount();
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
        let _ = umount2(&self.served, MntFlags::MNT_DETACH);
    }
}

fn serve(proxy: Proxy, at: &Path) -> io::Result<BackgroundSession> {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("baddisk".into()), MountOption::NoAtime];
    Session::new(proxy, at, &config)?.spawn()
}

/// One file, `image`: reads and writes go to the real one, but for the sectors that are bad.
struct Proxy {
    file: File,
    bytes: u64,
    bad: Ranges,
}

impl Proxy {
    fn attributes(&self, ino: INodeNo) -> FileAttr {
        let size = if ino == IMAGE { self.bytes } else { 0 };
        FileAttr {
            ino,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if ino == IMAGE { FileType::RegularFile } else { FileType::Directory },
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

impl Filesystem for Proxy {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match name.to_str() {
            Some("image") => reply.entry(&TTL, &self.attributes(IMAGE), Generation(0)),
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.attributes(ino));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // No page cache between the device and the bad sectors.
        let flags = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES;
        reply.opened(FileHandle(0), flags);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let end = offset + u64::from(size);
        let bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        if bad.iter().any(|range| range.start < end && offset < range.end) {
            return reply.error(Errno::EIO);
        }
        drop(bad);
        let mut bytes = vec![0; size as usize];
        match self.file.read_at(&mut bytes, offset) {
            Ok(n) => reply.data(&bytes[..n]),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.file.write_all_at(data, offset) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        reply.error(Errno::EOPNOTSUPP);
    }
}
