//! A disk with sectors that cannot be read: an ext4 on a loop device over a file that FUSE serves, and that answers EIO where
//! it is told to. What reaches the daemon is what the kernel's block layer makes of it.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use fuser::{BackgroundSession, Errno, ReplyData, ReplyEmpty, ReplyWrite, Session};
use nix::mount::{MntFlags, umount2};

use super::fuse_disks::{Disks, mount};
use super::mounts::{run, skip};

/// What a disk gives or does not give at once.
pub(crate) const SECTOR_BYTES: u64 = 4096;

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
            let session = mount(proxy, "baddisk", &served).and_then(Session::spawn);
            session.map_err(|error| format!("FUSE: {error}"))
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
        self.served.join("disk0")
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

/// Reads and writes go to the file, but for the sectors that are bad.
struct Proxy {
    file: File,
    bytes: u64,
    bad: Ranges,
}

impl Disks for Proxy {
    fn count(&self) -> usize {
        1
    }

    fn size_bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, _: usize, offset: u64, len: usize, reply: ReplyData) {
        let end = offset + len as u64;
        let bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        if bad.iter().any(|range| range.start < end && offset < range.end) {
            return reply.error(Errno::EIO);
        }
        drop(bad);
        let mut bytes = vec![0; len];
        match self.file.read_at(&mut bytes, offset) {
            Ok(n) => reply.data(&bytes[..n]),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn write(&self, _: usize, offset: u64, data: &[u8], reply: ReplyWrite) {
        match self.file.write_all_at(data, offset) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn flush(&self, _: usize, reply: ReplyEmpty) {
        reply.ok();
    }
}
