//! The process that serves the fault disks: a FUSE mount of files `disk0`, `disk1`, ... and a control socket.
//!
//! It runs as a process of its own, because a program must not wait for itself when it syncs a file system that lies on
//! its own FUSE mount. It cannot outlive its harness: it ends when its standard input closes, and dies when the thread
//! that started it does. Both are needed, for a harness that is killed while one of its threads waits for a hung disk
//! keeps its descriptors open, and only the death of the server lets that thread go.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use fuser::{ReplyData, ReplyEmpty, ReplyWrite};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use super::platter::{Job, Platter};
use super::wire::{Answer, Request, Status};
use crate::harness::fuse_disks::{Disks, mount};

/// Where the server mounts, below its directory.
pub(crate) const MOUNT_POINT: &str = "disks";
/// Its control socket, below its directory.
pub(crate) const SOCKET: &str = "control";
/// The line it prints when both are there.
pub(crate) const READY: &str = "ready";

/// Serves `disks` disks of `size_bytes` below `dir` until standard input closes. Does not return before.
pub(crate) fn run(dir: &Path, disks: usize, size_bytes: usize) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    let listener = UnixListener::bind(dir.join(SOCKET))?;
    let mount_point = dir.join(MOUNT_POINT);
    std::fs::create_dir_all(&mount_point)?;

    let clock = Arc::new(AtomicU64::new(0));
    let platters: Arc<[_]> = (0..disks).map(|_| Platter::new(size_bytes, clock.clone())).collect();
    let (queues, jobs): (Vec<_>, Vec<_>) = (0..disks).map(|_| mpsc::channel()).unzip();
    let farm = Farm { platters: platters.clone(), queues, size_bytes };
    let session = mount(farm, "faultdisk", &mount_point)?;
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

/// Hands each operation to the queue of its disk and never waits.
struct Farm {
    platters: Arc<[Platter]>,
    queues: Vec<mpsc::Sender<Job>>,
    size_bytes: usize,
}

impl Farm {
    fn send(&self, number: usize, job: Job) {
        // A send fails only if the disk's thread has panicked; the dropped reply then answers EIO.
        let _ = self.queues[number].send(job);
    }
}

fn offset_of(offset: u64) -> usize {
    usize::try_from(offset).expect("disks are smaller than the address space")
}

impl Disks for Farm {
    fn count(&self) -> usize {
        self.queues.len()
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes as u64
    }

    fn read(&self, number: usize, offset: u64, len: usize, reply: ReplyData) {
        self.send(number, Job::Read { offset: offset_of(offset), len, reply });
    }

    fn write(&self, number: usize, offset: u64, data: &[u8], reply: ReplyWrite) {
        self.send(number, Job::Write { offset: offset_of(offset), bytes: data.to_vec(), reply });
    }

    fn flush(&self, number: usize, reply: ReplyEmpty) {
        let covers = self.platters[number].lock().log.len();
        self.send(number, Job::Flush { covers, reply });
    }
}
