//! **faultdisk**: block devices of our own that log every write and fail on demand.
//!
//! A process serves files from memory through FUSE ([`server`]), each is attached as a loop device, and a real ext4, xfs
//! or btrfs is made on it. The log ([`log`]) can be cut at any write; [`rules`] break single operations. This file is
//! the harness's side: it starts the server, talks to it and takes it down again.

pub(crate) mod image;
pub(crate) mod log;
mod platter;
pub(crate) mod rules;
pub(crate) mod server;
mod wire;

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};

use self::log::{CutModel, Event, Position};
use self::rules::Rule;
pub(crate) use self::wire::Status;
use self::wire::{Answer, Request};
use crate::explain::Explain;
use crate::loopdev::LoopDevice;
use crate::mounts::{FsKind, Mounted};

/// The hidden subcommand by which the test binary becomes the server.
pub(crate) const SUBCOMMAND: &str = "serve-fault-disks";

/// The server's main: `dir disks size_bytes`.
pub(crate) fn serve(arguments: &[OsString]) -> io::Result<()> {
    let number = |text: &OsString| text.to_str()?.parse().ok();
    match arguments {
        [dir, disks, size_bytes] => match (number(disks), number(size_bytes)) {
            (Some(disks), Some(size_bytes)) => server::run(Path::new(dir), disks, size_bytes),
            _ => Err(io::Error::other("the number of disks and their size in bytes are decimals")),
        },
        _ => Err(io::Error::other("wants a directory, the number of disks and their size in bytes")),
    }
}

/// How long the server may take to end when asked.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// A running server and its disks. Dropping it lets go of what hangs, unmounts and ends the server.
#[derive(Debug)]
pub(crate) struct FaultDisks {
    dir: PathBuf,
    server: Child,
    control: Mutex<BufReader<UnixStream>>,
    disks: usize,
}

impl FaultDisks {
    /// Starts a server of `disks` empty disks of `size_mib` MiB each, below the new directory `dir`.
    pub(crate) fn start(dir: &Path, disks: usize, size_mib: usize) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut server = Command::new(std::env::current_exe()?)
            .arg(SUBCOMMAND)
            .arg(dir)
            .args([disks.to_string(), (size_mib << 20).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .when(|| "start the server of the fault disks")?;
        let stdout = server.stdout.take().expect("standard output is piped");
        let mut said = String::new();
        BufReader::new(stdout).read_line(&mut said)?;
        if said.trim() != server::READY {
            let status = server.wait()?;
            return Err(io::Error::other(format!("the server of the fault disks did not start: {status}")));
        }
        let control = UnixStream::connect(dir.join(server::SOCKET))?;
        Ok(Self { dir: dir.to_owned(), server, control: Mutex::new(BufReader::new(control)), disks })
    }

    /// The file of a disk. Everything read and written through it passes the rules and the log.
    pub(crate) fn file(&self, disk: usize) -> PathBuf {
        self.dir.join(server::MOUNT_POINT).join(format!("disk{disk}"))
    }

    /// Attaches a disk as a block device.
    pub(crate) fn attach(&self, disk: usize) -> io::Result<LoopDevice> {
        LoopDevice::attach(&self.file(disk))
    }

    /// Declares what all disks hold now durable and begins their logs anew. Sync first. Returns the position.
    pub(crate) fn mark_base(&self) -> io::Result<Position> {
        self.done(&Request::MarkBase)?;
        self.position()
    }

    /// The position of all disks: what was answered so far.
    pub(crate) fn position(&self) -> io::Result<Position> {
        Ok(self.status(0)?.position)
    }

    /// Puts on disk `into` what a power cut at `position` leaves of disk `from`. Nothing may be mounted from `into`,
    /// and its device must [`LoopDevice::forget_cache`] afterwards; [`Cutter`] does both.
    pub(crate) fn cut(
        &self,
        from: usize,
        into: usize,
        position: Position,
        model: CutModel,
        seed: u64,
    ) -> io::Result<()> {
        self.done(&Request::Cut { from, into, position, model, seed })
    }

    /// Adds a fault to a disk, for as long as the guard lives.
    pub(crate) fn inject(&self, disk: usize, rule: Rule) -> io::Result<Faulty<'_>> {
        self.done(&Request::Fault { disk, rule })?;
        Ok(Faulty { disks: self, disk })
    }

    /// Removes all faults of a disk and lets go of what hangs.
    fn clear(&self, disk: usize) -> io::Result<()> {
        self.done(&Request::Clear { disk })
    }

    /// Counters of a disk.
    pub(crate) fn status(&self, disk: usize) -> io::Result<Status> {
        match self.ask(&Request::Status { disk })? {
            Answer::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// The writes and flushes of a disk since its base, oldest first.
    pub(crate) fn events(&self, disk: usize) -> io::Result<Vec<Event>> {
        match self.ask(&Request::Events { disk })? {
            Answer::Events(events) => Ok(events),
            other => Err(unexpected(&other)),
        }
    }

    /// Where on a disk these bytes lie: finds a file's data on any file system by a marker in it.
    pub(crate) fn find(&self, disk: usize, needle: &[u8]) -> io::Result<Vec<usize>> {
        match self.ask(&Request::Find { disk, needle: needle.to_vec() })? {
            Answer::Found(offsets) => Ok(offsets),
            other => Err(unexpected(&other)),
        }
    }

    /// Bytes of a disk, past the file system, every page cache and every rule.
    pub(crate) fn peek(&self, disk: usize, offset: usize, len: usize) -> io::Result<Vec<u8>> {
        match self.ask(&Request::Peek { disk, offset, len })? {
            Answer::Bytes(bytes) => Ok(bytes),
            other => Err(unexpected(&other)),
        }
    }

    /// Flips one bit at rest.
    pub(crate) fn rot(&self, disk: usize, offset: usize, bit: u8) -> io::Result<()> {
        self.done(&Request::Rot { disk, offset, bit })
    }

    /// Writes a disk's image to a sparse file, which can be mounted with `mount -o loop`.
    pub(crate) fn save(&self, disk: usize, path: &Path) -> io::Result<()> {
        self.done(&Request::Save { disk, path: path.to_owned() })
    }

    fn done(&self, request: &Request) -> io::Result<()> {
        match self.ask(request)? {
            Answer::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn ask(&self, request: &Request) -> io::Result<Answer> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        control.get_mut().write_all(line.as_bytes())?;
        line.clear();
        control.read_line(&mut line)?;
        match serde_json::from_str(&line)? {
            Answer::Refused(reason) => Err(io::Error::other(reason)),
            answer => Ok(answer),
        }
    }
}

fn unexpected(answer: &Answer) -> io::Error {
    io::Error::other(format!("the server of the fault disks gave another answer than asked for: {answer:?}"))
}

impl Drop for FaultDisks {
    fn drop(&mut self) {
        for disk in 0..self.disks {
            let _ = self.clear(disk);
        }
        let _ = umount2(&self.dir.join(server::MOUNT_POINT), MntFlags::MNT_DETACH);
        drop(self.server.stdin.take());
        let deadline = Instant::now() + END_TIMEOUT;
        while matches!(self.server.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                // The kernel then answers what is left with an error: nothing waits for ever.
                let _ = self.server.kill();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A disk with a fault. Dropping it removes all faults of that disk and lets go of what hangs.
///
/// To be declared after the mounts of that disk, so that it goes before them: unmounting a hung disk waits.
#[derive(Debug)]
#[must_use = "the fault ends when its guard is dropped"]
pub(crate) struct Faulty<'disks> {
    disks: &'disks FaultDisks,
    disk: usize,
}

impl Drop for Faulty<'_> {
    fn drop(&mut self) {
        // Fails only if the server is gone, and then nothing hangs.
        let _ = self.disks.clear(self.disk);
    }
}

/// Mounts what power cuts leave of one disk, cut after cut, on a second disk of the same server.
#[derive(Debug)]
pub(crate) struct Cutter<'disks> {
    disks: &'disks FaultDisks,
    from: usize,
    into: usize,
    device: LoopDevice,
    kind: FsKind,
    at: PathBuf,
}

impl<'disks> Cutter<'disks> {
    /// Cuts disk `from`, which holds a file system of this kind, into disk `into`, mounted at `at`.
    pub(crate) fn new(
        disks: &'disks FaultDisks,
        kind: FsKind,
        from: usize,
        into: usize,
        at: &Path,
    ) -> io::Result<Self> {
        Ok(Self { disks, from, into, device: disks.attach(into)?, kind, at: at.to_owned() })
    }

    /// The file system after a power cut at `position`. Drop or unmount it before the next cut.
    /// An error means that the file system did not mount.
    pub(crate) fn cut(&self, position: Position, model: CutModel, seed: u64) -> io::Result<Mounted> {
        self.disks.cut(self.from, self.into, position, model, seed)?;
        self.device.forget_cache()?;
        Mounted::new(self.kind, self.device.path(), &self.at)
            .when(|| format!("power cut at {position}, {}, seed {seed}", model.name()))
    }

    /// Saves the disk before the cut and after it (as it is now) below `dir`.
    pub(crate) fn save(&self, dir: &Path) -> io::Result<()> {
        self.disks.save(self.from, &dir.join(format!("disk{}-at-the-end.img", self.from)))?;
        self.disks.save(self.into, &dir.join(format!("disk{}-after-the-cut.img", self.from)))?;
        let events: Vec<String> =
            self.disks.events(self.from)?.iter().map(|event| format!("{event:?}")).collect();
        std::fs::write(dir.join(format!("disk{}-log.txt", self.from)), events.join("\n"))
    }
}
