//! A disk that costs nothing: a file system in memory on a shelf, bound to where the node expects it. It can be pulled
//! under a running daemon and comes back with what it had; it can turn read-only, be full, or be another one.

use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::statvfs;

use crate::explain::Explain;

/// Room for a round's tablets many times over.
const ROOMY: &str = "size=64m,nr_inodes=10000";

/// One of them. Taken apart when dropped.
#[derive(Debug)]
pub(super) struct MemoryDisk {
    shelf: PathBuf,
    at: PathBuf,
    plugged: bool,
}

impl MemoryDisk {
    /// An empty one, mounted at `at`.
    pub(super) fn new(shelf: PathBuf, at: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&shelf)?;
        std::fs::create_dir_all(&at)?;
        let mut disk = Self { shelf, at, plugged: false };
        disk.make()?;
        disk.plug()?;
        Ok(disk)
    }

    fn make(&self) -> io::Result<()> {
        mount(Some("tmpfs"), &self.shelf, Some("tmpfs"), MsFlags::empty(), Some(ROOMY))
            .when(|| format!("mount a file system in memory at {}", self.shelf.display()))
    }

    /// Where the node expects it.
    pub(super) fn path(&self) -> &Path {
        &self.at
    }

    /// Whether it is there.
    pub(super) fn is_plugged(&self) -> bool {
        self.plugged
    }

    /// Puts it where the node expects it.
    pub(super) fn plug(&mut self) -> io::Result<()> {
        if !self.plugged {
            mount(Some(&self.shelf), &self.at, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .when(|| format!("mount {}", self.at.display()))?;
            self.plugged = true;
        }
        Ok(())
    }

    /// Takes it away; the bare directory below the mount stays. What it holds is kept.
    pub(super) fn pull(&mut self) -> io::Result<()> {
        if self.plugged {
            umount2(&self.at, MntFlags::MNT_DETACH).when(|| format!("unmount {}", self.at.display()))?;
            self.plugged = false;
        }
        Ok(())
    }

    /// Throws it away and puts an empty one in its place.
    pub(super) fn replace(&mut self) -> io::Result<()> {
        self.pull()?;
        umount2(&self.shelf, MntFlags::MNT_DETACH).when(|| format!("unmount {}", self.shelf.display()))?;
        self.make()?;
        self.plug()
    }

    /// As ext4 does on errors. EBUSY while a file is open for writing.
    pub(super) fn turn_read_only(&self) -> io::Result<()> {
        self.remount(MsFlags::MS_RDONLY, "")
    }

    /// Takes writes again, and has room.
    pub(super) fn recover(&self) -> io::Result<()> {
        self.remount(MsFlags::empty(), ROOMY)
    }

    /// Takes the last free block away, and the last free inode too when told so.
    pub(super) fn fill(&self, inodes_too: bool) -> io::Result<()> {
        let used = statvfs(&self.shelf)?;
        let bytes = (used.blocks() - used.blocks_free()) * used.fragment_size();
        let inodes = used.files() - used.files_free();
        let inodes = if inodes_too { format!(",nr_inodes={inodes}") } else { String::new() };
        self.remount(MsFlags::empty(), &format!("size={}{inodes}", bytes.max(4096)))
    }

    fn remount(&self, flags: MsFlags, data: &str) -> io::Result<()> {
        mount(None::<&str>, &self.shelf, None::<&str>, MsFlags::MS_REMOUNT | flags, Some(data))
            .when(|| format!("remount {} with {data:?}", self.shelf.display()))
    }
}

impl Drop for MemoryDisk {
    fn drop(&mut self) {
        let _ = self.pull();
        let _ = umount2(&self.shelf, MntFlags::MNT_DETACH);
    }
}
