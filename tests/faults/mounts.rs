//! Real file systems on block devices, mounted for as long as a guard lives, and the ways a mount can fail a program:
//! read-only remount, lazy unmount, a freeze, a shutdown.
//!
//! Works in the private mount namespace of [`crate::sandbox`]; never touches a mount it did not make.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::explain::{Explain, run};
use crate::loopdev::LoopDevice;

/// The file systems of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FsKind {
    /// ext4, the default of Debian.
    Ext4,
    /// XFS, the default of Red Hat.
    Xfs,
    /// btrfs, with checksums of its own.
    Btrfs,
}

impl FsKind {
    /// The name that mount(2) knows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// The smallest device, in MiB, on which the file system of Debian 12 and later is made without complaint.
    pub(crate) fn smallest_mib(self) -> usize {
        match self {
            Self::Ext4 => 16,
            Self::Xfs => 320,
            Self::Btrfs => 128,
        }
    }

    /// Makes the file system. All of it at once, nothing left to be initialised in the background: the write log
    /// should hold the workload's writes only.
    pub(crate) fn make_on(self, device: &Path) -> io::Result<()> {
        let options: &[&str] = match self {
            Self::Ext4 => &["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"],
            Self::Xfs | Self::Btrfs => &["-q", "-f", "-K"],
        };
        run(Command::new(format!("mkfs.{}", self.name())).args(options).arg(device)).map(drop)
    }

    /// Whether the kernel knows the file system and its mkfs is installed; else what is missing.
    pub(crate) fn missing(self) -> Option<String> {
        let tool = format!("mkfs.{}", self.name());
        let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        if !known.split_whitespace().any(|word| word == self.name()) {
            return Some(format!("needs {} in the kernel", self.name()));
        }
        let installed = Command::new(&tool).arg("-V").output().is_ok();
        (!installed).then(|| format!("needs {tool}"))
    }

    fn mount_options(self) -> Option<&'static str> {
        // A cut image has the uuid of the disk it was cut from, which may still be mounted.
        (self == Self::Xfs).then_some("nouuid")
    }
}

/// A mounted file system. Dropping it unmounts, lazily if it is busy; [`Mounted::unmount`] reports.
#[derive(Debug)]
pub(crate) struct Mounted {
    at: PathBuf,
    attached: bool,
}

impl Mounted {
    /// Mounts `device` at `at`, which is created if missing.
    pub(crate) fn new(kind: FsKind, device: &Path, at: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(at)?;
        if kind == FsKind::Btrfs {
            // btrfs remembers devices by uuid and takes an older generation of a known one for stale.
            forget_btrfs_devices()?;
        }
        mount(Some(device), at, Some(kind.name()), MsFlags::empty(), kind.mount_options())
            .when(|| format!("mount {} ({}) at {}", device.display(), kind.name(), at.display()))?;
        Ok(Self { at: at.to_owned(), attached: true })
    }

    /// The mount point.
    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// Unmounts; an error if the file system is busy.
    pub(crate) fn unmount(mut self) -> io::Result<()> {
        umount2(&self.at, MntFlags::empty()).when(|| format!("unmount {}", self.at.display()))?;
        self.attached = false;
        Ok(())
    }

    /// Takes the name away and lets open files live on, as `umount -l` does. The path then means the disk below.
    pub(crate) fn unmount_lazily(mut self) -> io::Result<()> {
        self.attached = false;
        umount2(&self.at, MntFlags::MNT_DETACH).when(|| format!("unmount {} lazily", self.at.display()))
    }

    /// Makes it read-only. EBUSY while a file is open for writing.
    pub(crate) fn remount_read_only(&self) -> io::Result<()> {
        self.remount(MsFlags::MS_RDONLY)
    }

    /// Makes it writable again.
    pub(crate) fn remount_writable(&self) -> io::Result<()> {
        self.remount(MsFlags::empty())
    }

    fn remount(&self, flags: MsFlags) -> io::Result<()> {
        mount(None::<&str>, &self.at, None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>)
            .when(|| format!("remount {}", self.at.display()))
    }

    /// Freezes it: writers wait, readers go on, until the guard is dropped.
    pub(crate) fn freeze(&self) -> io::Result<Frozen> {
        Frozen::new(&self.at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.attached && umount2(&self.at, MntFlags::empty()).is_err() {
            let _ = umount2(&self.at, MntFlags::MNT_DETACH);
        }
    }
}

/// A file system whose writers wait. Dropping it thaws.
#[derive(Debug)]
pub(crate) struct Frozen(File);

impl Frozen {
    const FIFREEZE: libc::c_ulong = 0xC004_5877;
    const FITHAW: libc::c_ulong = 0xC004_5878;

    fn new(at: &Path) -> io::Result<Self> {
        let root = File::open(at)?;
        // SAFETY: FIFREEZE ignores its argument; the descriptor is open.
        match unsafe { libc::ioctl(root.as_raw_fd(), Self::FIFREEZE, 0) } {
            0 => Ok(Self(root)),
            _ => Err(io::Error::last_os_error()).when(|| format!("freeze {}", at.display())),
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // SAFETY: FITHAW ignores its argument; the descriptor is open. It fails only if somebody thawed before.
        unsafe { libc::ioctl(self.0.as_raw_fd(), Self::FITHAW, 0) };
    }
}

/// A loop device with a file system of its own, mounted.
#[derive(Debug)]
pub(crate) struct LoopMount {
    // Dropped in this order: first the mount, then the device.
    mounted: Mounted,
    device: LoopDevice,
}

impl LoopMount {
    /// Formats the device and mounts it at `at`.
    pub(crate) fn format(device: LoopDevice, kind: FsKind, at: &Path) -> io::Result<Self> {
        kind.make_on(device.path())?;
        let mounted = Mounted::new(kind, device.path(), at)?;
        Ok(Self { mounted, device })
    }

    /// The same on a new sparse file: a disk of its own for tests that need no faults below the file system.
    pub(crate) fn in_file(file: &Path, size_mib: usize, kind: FsKind, at: &Path) -> io::Result<Self> {
        File::create(file)?.set_len((size_mib as u64) << 20)?;
        Self::format(LoopDevice::attach(file)?, kind, at)
    }

    /// Mounts the file system that is on the device.
    pub(crate) fn mount(device: LoopDevice, kind: FsKind, at: &Path) -> io::Result<Self> {
        let mounted = Mounted::new(kind, device.path(), at)?;
        Ok(Self { mounted, device })
    }

    /// Unmounts lazily and gives the device back.
    pub(crate) fn unmount_lazily(self) -> io::Result<LoopDevice> {
        self.mounted.unmount_lazily()?;
        Ok(self.device)
    }

    /// The mount.
    pub(crate) fn mounted(&self) -> &Mounted {
        &self.mounted
    }

    /// The device below it.
    pub(crate) fn device(&self) -> &LoopDevice {
        &self.device
    }

    /// The mount point.
    pub(crate) fn path(&self) -> &Path {
        self.mounted.path()
    }

    /// The device alone, with the file system unmounted: for mounting it again, elsewhere or after a shutdown.
    pub(crate) fn unmount(self) -> io::Result<LoopDevice> {
        self.mounted.unmount()?;
        Ok(self.device)
    }
}

/// Lets btrfs forget every device that is not mounted (`BTRFS_IOC_FORGET_DEV` with an empty name, `linux/btrfs.h`).
fn forget_btrfs_devices() -> io::Result<()> {
    const BTRFS_IOC_FORGET_DEV: libc::c_ulong = 0x5000_9405;
    let control = File::options().read(true).write(true).open("/dev/btrfs-control")?;
    // `struct btrfs_ioctl_vol_args`: a descriptor and a name, 4,096 bytes.
    let all = [0_u64; 512];
    // SAFETY: the argument is 4,096 readable bytes that outlive the call; the descriptor is open.
    match unsafe { libc::ioctl(control.as_raw_fd(), BTRFS_IOC_FORGET_DEV, all.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()).when(|| "let btrfs forget its unmounted devices"),
    }
}
