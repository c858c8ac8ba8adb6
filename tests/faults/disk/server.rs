//! The process that serves the fault disks: a FUSE mount of files `disk0`, `disk1`, ... and a control socket.
//!
//! It runs as a process of its own, because a program must not wait for itself when it syncs a file system that lies on
//! its own FUSE mount. It cannot outlive its harness: it ends when its standard input closes, and dies when the thread
//! that started it does. Both are needed, for a harness that is killed while one of its threads waits for a hung disk
//! keeps its descriptors open, and only the death of the server lets that thread go.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, KernelConfig,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite,
    Request as FuseRequest, Session, WriteFlags,
};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use super::platter::{Job, Platter};
use super::wire::{Answer, Request, Status};

/// Where the server mounts, below its directory.
pub(crate) const MOUNT_POINT: &str = "disks";
/// Its control socket, below its directory.
pub(crate) const SOCKET: &str = "control";
/// The line it prints when both are there.
pub(crate) const READY: &str = "ready";

/// The kernel lets this many asynchronous requests wait per mount. More than the loop driver's queue of every disk
/// together, so that a hung disk leaves room for the others.
const MAX_BACKGROUND_REQUESTS: u16 = 16_384;
const ATTRIBUTE_TTL: Duration = Duration::from_secs(3600);
/// Inode 1 is the root directory, inode 2 is `disk0`.
const FIRST_DISK_INODE: u64 = 2;

/// Serves `disks` disks of `size_bytes` below `dir` until standard input closes. Does not return before.
pub(crate) fn run(dir: &Path, disks: usize, size_bytes: usize) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    let listener = UnixListener::bind(dir.join(SOCKET))?;
    let mount_point = dir.join(MOUNT_POINT);
    std::fs::create_dir_all(&mount_point)?;

    let clock = Arc::new(AtomicU64::new(0));
    let platters: Arc<[_]> = (0..disks).map(|_| Platter::new(size_bytes, clock.clone())).collect();
    let (queues, jobs): (Vec<_>, Vec<_>) = (0..disks).map(|_| mpsc::channel()).unzip();
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("faultdisk".into()), MountOption::NoAtime];
    let farm = Farm { platters: platters.clone(), queues, size_bytes };
    let session = Session::new(farm, &mount_point, &config)?;
    // The mount is the harness's now. The server leaves its namespace before it has threads: the last process in it
    // unmounts the file systems on our disks while it exits, and must not be the one that serves them.
    crate::sandbox::leave_namespace()?;

    let _serving = session.spawn()?;
    for (number, jobs) in jobs.into_iter().enumerate() {
        let platters = platters.clone();
        std::thread::Builder::new()
            .name(format!("disk{number}"))
            .spawn(move || platters[number].serve(&jobs))?;
    }
    std::thread::Builder::new().name("control".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let (platters, clock) = (platters.clone(), clock.clone());
            std::thread::spawn(move || converse(&stream, &platters, &clock));
        }
    })?;
    println!("{READY}");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Answers one harness until it hangs up.
fn converse(stream: &UnixStream, platters: &[Platter], clock: &AtomicU64) {
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let answer = match serde_json::from_str(&line) {
            Ok(request) => answer(request, platters, clock).unwrap_or_else(Answer::Refused),
            Err(error) => Answer::Refused(format!("not a request: {error}")),
        };
        let mut text = serde_json::to_vec(&answer).expect("an answer has string keys only");
        text.push(b'\n');
        let mut out = stream;
        if out.write_all(&text).is_err() {
            return;
        }
    }
}

fn answer(request: Request, platters: &[Platter], clock: &AtomicU64) -> Result<Answer, String> {
    let disk = |number: usize| {
        platters.get(number).ok_or_else(|| format!("no disk{number}: there are {} disks", platters.len()))
    };
    Ok(match request {
        Request::MarkBase => {
            for platter in platters {
                let image = platter.lock().image.clone();
                platter.load(image);
            }
            Answer::Done
        }
        Request::Cut { from, into, position, model, seed } => {
            let image = disk(from)?.lock().log.cut(position, model, seed);
            disk(into)?.load(image);
            Answer::Done
        }
        Request::Fault { disk: number, rule } => {
            disk(number)?.lock().rules.push(rule);
            Answer::Done
        }
        Request::Clear { disk: number } => {
            disk(number)?.clear();
            Answer::Done
        }
        Request::Status { disk: number } => {
            let counters = disk(number)?.lock().counters.clone();
            Answer::Status(Status { position: clock.load(Ordering::SeqCst), ..counters })
        }
        Request::Events { disk: number } => Answer::Events(disk(number)?.lock().log.events()),
        Request::Find { disk: number, needle } => {
            let image = disk(number)?.lock().image.clone();
            Answer::Found(image.find(&needle))
        }
        Request::Peek { disk: number, offset, len } => {
            Answer::Bytes(disk(number)?.lock().image.read(offset, len))
        }
        Request::Rot { disk: number, offset, bit } => {
            let mut state = disk(number)?.lock();
            let mut byte = state.image.read(offset, 1);
            super::rules::flip(&mut byte, bit.into());
            state.image.write(offset, &byte);
            Answer::Done
        }
        Request::Save { disk: number, path } => {
            let image = disk(number)?.lock().image.clone();
            save(&image, &path).map_err(|error| format!("cannot save to {}: {error}", path.display()))?;
            Answer::Done
        }
    })
}

fn save(image: &super::image::Image, path: &Path) -> io::Result<()> {
    let file = std::fs::File::create(path)?;
    file.set_len(image.size_bytes() as u64)?;
    image.held_pages().try_for_each(|(offset, page)| file.write_all_at(page, offset as u64))
}

/// The FUSE side: hands each operation to the queue of its disk and never waits.
struct Farm {
    platters: Arc<[Platter]>,
    queues: Vec<mpsc::Sender<Job>>,
    size_bytes: usize,
}

impl Farm {
    fn number_of(&self, ino: INodeNo) -> Option<usize> {
        let number = usize::try_from(ino.0.checked_sub(FIRST_DISK_INODE)?).ok()?;
        (number < self.queues.len()).then_some(number)
    }

    fn send(&self, ino: INodeNo, job: Job) {
        let number = self.number_of(ino).expect("the kernel reads and writes only what lookup returned");
        // A send fails only if the disk's thread has panicked; the dropped reply then answers EIO.
        let _ = self.queues[number].send(job);
    }

    fn attributes(&self, ino: INodeNo) -> FileAttr {
        let is_disk = self.number_of(ino).is_some();
        let size = if is_disk { self.size_bytes as u64 } else { 0 };
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

fn offset_of(offset: u64) -> usize {
    usize::try_from(offset).expect("disks are smaller than the address space")
}

impl Filesystem for Farm {
    fn init(&mut self, _request: &FuseRequest, config: &mut KernelConfig) -> io::Result<()> {
        config
            .set_max_background(MAX_BACKGROUND_REQUESTS)
            .map(|_| ())
            .map_err(|most| io::Error::other(format!("the kernel allows {most} background requests only")))
    }

    fn lookup(&self, _request: &FuseRequest, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let number = name.to_str().and_then(|name| name.strip_prefix("disk")?.parse::<u64>().ok());
        match number.map(|number| INodeNo(number + FIRST_DISK_INODE)) {
            Some(ino) if self.number_of(ino).is_some() => {
                reply.entry(&ATTRIBUTE_TTL, &self.attributes(ino), Generation(0));
            }
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _request: &FuseRequest, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&ATTRIBUTE_TTL, &self.attributes(ino));
    }

    fn open(&self, _request: &FuseRequest, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        // Nothing may lie in a page cache between the loop device and the log.
        let flags = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES;
        reply.opened(FileHandle(0), flags);
    }

    fn read(
        &self,
        _request: &FuseRequest,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.send(ino, Job::Read { offset: offset_of(offset), len: size as usize, reply });
    }

    fn write(
        &self,
        _request: &FuseRequest,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.send(ino, Job::Write { offset: offset_of(offset), bytes: data.to_vec(), reply });
    }

    fn fsync(
        &self,
        _request: &FuseRequest,
        ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let covers = self.number_of(ino).map_or(0, |number| self.platters[number].lock().log.len());
        self.send(ino, Job::Flush { covers, reply });
    }

    fn flush(
        &self,
        _request: &FuseRequest,
        _ino: INodeNo,
        _fh: FileHandle,
        _owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        // FUSE_FLUSH is close(2) of a descriptor; a cache flush of the disk arrives as FUSE_FSYNC.
        reply.ok();
    }

    fn fallocate(
        &self,
        _request: &FuseRequest,
        _ino: INodeNo,
        _fh: FileHandle,
        _offset: u64,
        _length: u64,
        _mode: i32,
        reply: ReplyEmpty,
    ) {
        // No discards: a disk without TRIM. The block layer then writes zeros where it must.
        reply.error(Errno::EOPNOTSUPP);
    }

    fn statfs(&self, _request: &FuseRequest, _ino: INodeNo, reply: fuser::ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, 4096, 255, 4096);
    }
}
