//! A suite that is killed at the worst moment leaves nothing running: not its server, not its loop devices.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::disk::FaultDisks;
use crate::disk::rules::Rule;
use crate::explain::Explain;
use crate::loopdev;
use crate::mounts::{FsKind, LoopMount};
use crate::sandbox::{self, Scratch};
use crate::scenario::{Bench, Need, Scenario};

/// The hidden subcommand: hang a disk under a writer and wait to be killed.
pub(crate) const SUBCOMMAND: &str = "hang-and-wait-for-death";

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "tool: a suite killed over a hung disk leaves nothing running",
    needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)],
    run: killed_while_hung,
}];

const PATIENCE: Duration = Duration::from_secs(20);

/// The victim's main: a suite of its own, in a namespace of its own.
pub(crate) fn play() -> io::Result<()> {
    sandbox::enter_private_namespace()?;
    let scratch = Scratch::new()?;
    let disks = FaultDisks::start(&scratch.subdir("farm")?, 1, 16)?;
    let mounted = LoopMount::format(disks.attach(0)?, FsKind::Ext4, &scratch.path().join("disk"))?;
    let file = File::create(mounted.path().join("file"))?;
    io::Write::write_all(&mut &file, b"never to be synced")?;
    let _hung = disks.inject(0, Rule::hung())?;
    let stuck = std::thread::spawn(move || file.sync_all());
    let deadline = Instant::now() + PATIENCE;
    while disks.status(0)?.hanging == 0 && !stuck.is_finished() {
        if Instant::now() > deadline {
            return Err(io::Error::other("the disk does not hang"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    if stuck.is_finished() {
        return Err(io::Error::other("the writer did not hang"));
    }
    println!("{}\n{}", scratch.path().display(), mounted.device().path().display());
    stuck.join().map_err(|_| io::Error::other("the writer panicked"))?.when(|| "sync on a hung disk")
}

fn killed_while_hung(bench: &mut Bench<'_>) -> io::Result<()> {
    let mut victim = Command::new(std::env::current_exe()?)
        .arg(SUBCOMMAND)
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let stdout = victim.stdout.take().expect("standard output is piped");
    let mut said = BufReader::new(stdout).lines();
    let mut line =
        || said.next().unwrap_or_else(|| Err(io::Error::other("the victim did not get as far as to hang")));
    let (scratch, device) = (PathBuf::from(line()?), PathBuf::from(line()?));
    bench.expect(loopdev::backing_file(&device).is_some(), "the victim's loop device is not attached")?;
    victim.kill()?;
    // A thread that waits for a hung disk outlives SIGKILL, and `wait` with it, until somebody answers.
    let deadline = Instant::now() + PATIENCE;
    let mut ended = victim.try_wait()?.is_some();
    while !ended && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
        ended = victim.try_wait()?.is_some();
    }
    bench.expect(ended, "the victim hangs on after it was killed")?;
    // By the name of the file alone: the rest of its path went with the namespace.
    let is_attached = || loopdev::backing_file(&device).is_some_and(|file| file.ends_with("disk0"));
    while is_attached() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    bench.expect(!is_attached(), &format!("{} is still attached", device.display()))?;
    sandbox::sweep_leftovers();
    bench.expect(!scratch.exists(), "the scratch directory was not swept")
}
