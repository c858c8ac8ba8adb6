//! Disks that corrupt, hang and die, and mounts that go away: each tool does what its name says, and lets go again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::cold;
use crate::disk::FaultDisks;
use crate::disk::rules::{Action, On, Rule};
use crate::godown::{self, JournalTail};
use crate::loopdev;
use crate::mounts::{FsKind, LoopMount, Mounted};
use crate::scenario::{Bench, Need, Scenario};

const EXT4: Need = Need::Fs(FsKind::Ext4);
const XFS: Need = Need::Fs(FsKind::Xfs);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "tool: a flipped bit is seen past the page cache only, ext4",
        needs: &[Need::Root, Need::Fuse, EXT4],
        run: |bench| flipped_read(bench, FsKind::Ext4),
    },
    Scenario {
        name: "tool: a flipped bit is seen past the page cache only, xfs",
        needs: &[Need::Root, Need::Fuse, XFS],
        run: |bench| flipped_read(bench, FsKind::Xfs),
    },
    Scenario {
        name: "tool: writes are flipped and dropped on their way",
        needs: &[Need::Root, Need::Fuse, EXT4],
        run: spoiled_write,
    },
    Scenario {
        name: "tool: a hung disk holds its writer and no other, until let go",
        needs: &[Need::Root, Need::Fuse, EXT4],
        run: hung_disk,
    },
    Scenario {
        name: "tool: a dead disk answers with EIO, a slow one late",
        needs: &[Need::Root, Need::Fuse, EXT4],
        run: dead_and_slow_disk,
    },
    Scenario {
        name: "tool: mounts go read-only, freeze and go away",
        needs: &[Need::Root, EXT4],
        run: mounts_that_change,
    },
    Scenario {
        name: "tool: a shutdown loses what was not synced, ext4",
        needs: &[Need::Root, EXT4],
        run: |bench| shutdown(bench, FsKind::Ext4),
    },
    Scenario {
        name: "tool: a shutdown loses what was not synced, xfs",
        needs: &[Need::Root, XFS],
        run: |bench| shutdown(bench, FsKind::Xfs),
    },
];

/// Long enough for any answer of a healthy disk on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to say that somebody waits.
const GLANCE: Duration = Duration::from_millis(300);
const LEN: usize = 65_536;

fn start_disks(bench: &Bench<'_>, kind: FsKind, count: usize) -> io::Result<FaultDisks> {
    FaultDisks::start(&bench.scratch.subdir("farm")?, count, kind.smallest_mib())
}

fn mount_disk(bench: &Bench<'_>, disks: &FaultDisks, kind: FsKind, disk: usize) -> io::Result<LoopMount> {
    LoopMount::format(disks.attach(disk)?, kind, &bench.scratch.path().join(format!("disk{disk}")))
}

fn flipped_read(bench: &mut Bench<'_>, kind: FsKind) -> io::Result<()> {
    let disks = start_disks(bench, kind, 1)?;
    let mounted = mount_disk(bench, &disks, kind, 0)?;
    bench.expect(loopdev::uses_direct_io(mounted.device())?, "the loop device caches its file")?;
    let path = mounted.path().join("file");
    let content = bench.rng().bytes(LEN);
    std::fs::write(&path, &content)?;
    File::open(&path)?.sync_all()?;
    let place = disks.find(0, &content[..64])?[0];

    let faulty =
        disks.inject(0, Rule::every(On::Read, Action::Flip { bit: 77 }).only_within(place, place + 1))?;
    let mut flipped = content.clone();
    flipped[77 / 8] ^= 1 << (77 % 8);
    bench.expect(cold::cached(&path, LEN)? == content, "a cached read saw the flip")?;
    bench.expect(cold::direct(&path, LEN)? == flipped, "a direct read did not see the flip")?;
    bench.expect(cold::forgotten(&path, LEN)? == flipped, "a read after DONTNEED did not see the flip")?;
    drop(faulty);
    bench.expect(cold::forgotten(&path, LEN)? == content, "the flip in transit stayed on the disk")?;

    disks.rot(0, place + 9, 5)?;
    let mut rotten = content.clone();
    rotten[9] ^= 1 << 5;
    bench.expect(cold::cached(&path, LEN)? == content, "a cached read saw the rot")?;
    bench.expect(cold::direct(&path, LEN)? == rotten, "a direct read did not see the rot")
}

fn spoiled_write(bench: &mut Bench<'_>) -> io::Result<()> {
    let disks = start_disks(bench, FsKind::Ext4, 1)?;
    let mounted = mount_disk(bench, &disks, FsKind::Ext4, 0)?;
    let path = mounted.path().join("file");
    let mut rng = bench.rng();
    let mut stored = rng.bytes(LEN);
    std::fs::write(&path, &stored)?;
    let file = OpenOptions::new().write(true).open(&path)?;
    file.sync_all()?;
    let place = disks.find(0, &stored[..64])?[0];
    for (action, what) in [(Action::Flip { bit: 3 }, "flipped"), (Action::Drop, "dropped")] {
        let new = rng.bytes(LEN);
        let faulty = disks.inject(0, Rule::every(On::Write, action).only_within(place, place + LEN))?;
        file.write_all_at(&new, 0)?;
        file.sync_data()?;
        drop(faulty);
        if action != Action::Drop {
            stored = new.clone();
            stored[0] ^= 1 << 3;
        }
        let cached = cold::cached(&path, LEN)? == new;
        bench.expect(cached, &format!("the cache knows of a {what} write"))?;
        let direct = cold::direct(&path, LEN)? == stored;
        bench.expect(direct, &format!("the disk does not have a {what} write's bytes"))?;
    }
    let faults = disks.status(0)?.faults;
    bench.expect(faults >= 2, &format!("the disk counted {faults} faults"))
}

/// Writes and syncs a file in a thread of its own and tells when it is done.
fn write_in_background(root: &Mounted) -> Receiver<io::Result<()>> {
    let path = root.path().join("background");
    let (done, outcome) = mpsc::channel();
    std::thread::spawn(move || {
        let write = || {
            std::fs::write(&path, vec![1; LEN])?;
            File::open(&path)?.sync_all()
        };
        // Nobody listens any more if the scenario has ended.
        let _ = done.send(write());
    });
    outcome
}

fn hung_disk(bench: &mut Bench<'_>) -> io::Result<()> {
    let disks = start_disks(bench, FsKind::Ext4, 2)?;
    let [first, second] = [0, 1].map(|disk| mount_disk(bench, &disks, FsKind::Ext4, disk));
    let (first, second) = (first?, second?);
    let hung = disks.inject(0, Rule::hung())?;
    let stuck = write_in_background(first.mounted());
    let waits = matches!(stuck.recv_timeout(GLANCE), Err(RecvTimeoutError::Timeout));
    bench.expect(waits, "a writer on a hung disk did not wait")?;
    bench.expect(disks.status(0)?.hanging == 1, "the disk does not say that it hangs")?;
    let begun = Instant::now();
    let other = write_in_background(second.mounted()).recv_timeout(PATIENCE);
    bench.board.figure(bench.name, "ms for the other disk's sync", begun.elapsed().as_secs_f64() * 1000.0);
    bench.expect(matches!(other, Ok(Ok(()))), "the other disk's writer waited too")?;
    drop(hung);
    let freed = stuck.recv_timeout(PATIENCE);
    bench.expect(matches!(freed, Ok(Ok(()))), "the writer was not let go, or failed")
}

fn dead_and_slow_disk(bench: &mut Bench<'_>) -> io::Result<()> {
    let disks = start_disks(bench, FsKind::Ext4, 2)?;
    let [first, second] = [0, 1].map(|disk| mount_disk(bench, &disks, FsKind::Ext4, disk));
    let (first, second) = (first?, second?);
    let _dead = disks.inject(0, Rule::dead())?;
    let outcome = write_in_background(first.mounted()).recv_timeout(PATIENCE);
    let failed = matches!(&outcome, Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO));
    bench.expect(failed, &format!("a write on a dead disk ended with {outcome:?}"))?;

    let delay = Duration::from_millis(200);
    let _slow = disks.inject(1, Rule::slow(On::Flush, delay))?;
    let begun = Instant::now();
    let outcome = write_in_background(second.mounted()).recv_timeout(PATIENCE);
    bench.expect(matches!(outcome, Ok(Ok(()))), "a write on a slow disk failed")?;
    bench.expect(begun.elapsed() >= delay, "a slow flush was not slow")
}

fn mounts_that_change(bench: &mut Bench<'_>) -> io::Result<()> {
    let at = bench.scratch.path().join("disk");
    let disk = LoopMount::in_file(&bench.scratch.path().join("image"), 16, FsKind::Ext4, &at)?;
    let mounted = disk.mounted();
    mounted.remount_read_only()?;
    let refused = std::fs::write(at.join("file"), b"x").map_err(|error| error.raw_os_error());
    bench.expect(refused == Err(Some(libc::EROFS)), "a read-only mount took a write")?;
    mounted.remount_writable()?;

    let frozen = mounted.freeze()?;
    let stuck = write_in_background(mounted);
    let waits = matches!(stuck.recv_timeout(GLANCE), Err(RecvTimeoutError::Timeout));
    bench.expect(waits, "a writer on a frozen file system did not wait")?;
    drop(frozen);
    let freed = stuck.recv_timeout(PATIENCE);
    bench.expect(matches!(freed, Ok(Ok(()))), "the writer was not let go by the thaw")?;

    let full = std::fs::write(at.join("large"), vec![1; 32 << 20]).map_err(|error| error.raw_os_error());
    bench.expect(full == Err(Some(libc::ENOSPC)), "16 MiB took a file of 32 MiB")?;

    let device = disk.unmount()?;
    let mounted = Mounted::new(FsKind::Ext4, device.path(), &at)?;
    let open = File::open(at.join("background"))?;
    mounted.unmount_lazily()?;
    bench.expect(!at.join("background").exists(), "the path still leads to the disk")?;
    let mut byte = [0];
    bench.expect(open.read_at(&mut byte, 0)? == 1, "an open file did not outlive the name")
}

fn shutdown(bench: &mut Bench<'_>, kind: FsKind) -> io::Result<()> {
    let at = bench.scratch.path().join("disk");
    let disk = LoopMount::in_file(&bench.scratch.path().join("image"), kind.smallest_mib(), kind, &at)?;
    std::fs::write(at.join("synced"), vec![1; LEN])?;
    File::open(at.join("synced"))?.sync_all()?;
    File::open(&at)?.sync_all()?;
    std::fs::write(at.join("unsynced"), vec![1; LEN])?;
    godown::shut_down(&at, JournalTail::Lost)?;
    let refused = std::fs::write(at.join("late"), b"x").map_err(|error| error.raw_os_error());
    bench.expect(refused == Err(Some(libc::EIO)), "a file system that is down took a write")?;

    let device = disk.unmount()?;
    let mounted = Mounted::new(kind, device.path(), &at)?;
    let whole = |name: &str| std::fs::read(at.join(name)).is_ok_and(|bytes| bytes == vec![1; LEN]);
    bench.expect(whole("synced"), "the synced file is gone")?;
    bench.expect(!whole("unsynced"), "the un-synced file survived: nothing was cut off")?;

    std::fs::create_dir(at.join("name-only"))?;
    godown::shut_down(&at, JournalTail::Flushed)?;
    mounted.unmount()?;
    let _mounted = Mounted::new(kind, device.path(), &at)?;
    bench.expect(at.join("name-only").is_dir(), "a flushed journal lost a name")
}
