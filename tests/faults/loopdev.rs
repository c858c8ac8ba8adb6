//! Loop devices: a file becomes a block device and stops being one when its guard goes.
//!
//! The device is configured with AUTOCLEAR and the guard holds it open, so the kernel detaches it when the process dies
//! in any way, as soon as nothing is mounted from it. Source of numbers and layouts: `linux/loop.h`, `linux/fs.h`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::explain::Explain;

const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const BLKFLSBUF: libc::c_ulong = 0x1261;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// `struct loop_config` with its `struct loop_info64` written out.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    device_numbers_offset_and_limit: [u64; 5],
    number_and_encryption: [u32; 3],
    flags: u32,
    names_and_key: [u8; 64 + 64 + 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

/// A file attached as a block device.
#[derive(Debug)]
pub(crate) struct LoopDevice {
    path: PathBuf,
    device: File,
}

impl LoopDevice {
    /// Attaches `file`, with direct I/O, so that no page cache lies between the device and the file.
    pub(crate) fn attach(file: &Path) -> io::Result<Self> {
        let backing = OpenOptions::new()
            .read(true)
            .write(true)
            .open(file)
            .when(|| format!("open {}", file.display()))?;
        let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
        // Others attach loop devices too: a free one may be taken between the two calls.
        for _ in 0..100 {
            // SAFETY: LOOP_CTL_GET_FREE takes no argument; the descriptor is open.
            let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
            if number < 0 {
                return Err(io::Error::last_os_error()).when(|| "find a free loop device");
            }
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = OpenOptions::new().read(true).write(true).open(&path)?;
            match configure(&device, &backing) {
                Ok(()) => return Ok(Self { path, device }),
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                Err(error) => return Err(error).when(|| format!("attach {}", file.display())),
            }
        }
        Err(io::Error::other("no loop device stayed free long enough to be attached"))
    }

    /// The block device, e.g. `/dev/loop3`.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets what the kernel has cached of the device: needed after its bytes changed underneath.
    /// Nothing may be mounted from it.
    pub(crate) fn forget_cache(&self) -> io::Result<()> {
        // SAFETY: BLKFLSBUF ignores its argument; the descriptor is open.
        match unsafe { libc::ioctl(self.device.as_raw_fd(), BLKFLSBUF, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error())
                .when(|| format!("forget the cache of {}", self.path.display())),
        }
    }
}

fn configure(device: &File, backing: &File) -> io::Result<()> {
    let config = LoopConfig {
        fd: u32::try_from(backing.as_raw_fd()).expect("an open descriptor is not negative"),
        block_size: 0,
        device_numbers_offset_and_limit: [0; 5],
        number_and_encryption: [0; 3],
        flags: LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
        names_and_key: [0; 160],
        init: [0; 2],
        reserved: [0; 8],
    };
    // SAFETY: `config` has the layout of `struct loop_config` and outlives the call; both descriptors are open.
    match unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the device writes its file with direct I/O, as the kernel tells.
pub(crate) fn uses_direct_io(device: &LoopDevice) -> io::Result<bool> {
    let name = device.path.file_name().expect("a device has a name").to_string_lossy();
    Ok(std::fs::read_to_string(format!("/sys/block/{name}/loop/dio"))?.trim() == "1")
}

/// The file behind a loop device, if it is attached, as seen from this mount namespace: a file of another, dead one has
/// only what is left of its path.
pub(crate) fn backing_file(device: &Path) -> Option<PathBuf> {
    let name = device.file_name()?.to_str()?;
    let backing = std::fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).ok()?;
    Some(PathBuf::from(backing.trim_end()))
}
