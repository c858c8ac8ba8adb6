//! The documented trap: after a failed write-back or flush, an fsync that is repeated says "ok" and the disk has the old
//! data.
//!
//! "Can Applications Recover from fsync Failures?" (Rebello et al., USENIX ATC 2020). What is shown here is why a failed
//! sync is never repeated. A kernel that mends it makes these scenarios fail, and then the rule may be looked at again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::cold;
use crate::disk::log::CutModel;
use crate::disk::rules::{Action, On, Rule};
use crate::disk::{Cutter, FaultDisks};
use crate::mounts::{FsKind, LoopMount};
use crate::scenario::{Bench, Need, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "tool: a repeated fsync after a failed write-back lies, ext4",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)],
        run: |bench| failed_write_back(bench, FsKind::Ext4),
    },
    Scenario {
        name: "tool: a repeated fsync after a failed write-back lies, xfs",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Xfs)],
        run: |bench| failed_write_back(bench, FsKind::Xfs),
    },
    Scenario {
        name: "tool: a repeated fsync after a failed write-back lies, btrfs",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Btrfs)],
        run: |bench| failed_write_back(bench, FsKind::Btrfs),
    },
    Scenario {
        name: "tool: a repeated fsync after a flush that lost the cache lies, ext4",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)],
        run: failed_flush,
    },
];

const LEN: usize = 65_536;

/// One disk with one file of known, durable content.
struct Stage {
    // Dropped in this order.
    file: File,
    mounted: LoopMount,
    disks: FaultDisks,
    old: Vec<u8>,
    new: Vec<u8>,
    /// Where the old bytes begin on the disk.
    place: usize,
}

impl Stage {
    fn set(bench: &Bench<'_>, kind: FsKind) -> io::Result<Self> {
        let disks = FaultDisks::start(&bench.scratch.subdir("farm")?, 2, kind.smallest_mib())?;
        let mounted = LoopMount::format(disks.attach(0)?, kind, &bench.scratch.path().join("disk"))?;
        let mut rng = bench.rng();
        let (old, new) = (rng.bytes(LEN), rng.bytes(LEN));
        let path = mounted.path().join("file");
        std::fs::write(&path, &old)?;
        let file = OpenOptions::new().write(true).open(&path)?;
        file.sync_all()?;
        nix::unistd::syncfs(&file)?;
        let place = disks.find(0, &old[..64])?;
        let [place] = place[..] else {
            return Err(io::Error::other(format!(
                "the file's first bytes lie at {place:?}, not at one place"
            )));
        };
        disks.mark_base()?;
        Ok(Self { file, mounted, disks, old, new, place })
    }

    fn path(&self) -> std::path::PathBuf {
        self.mounted.path().join("file")
    }
}

fn errno(result: &io::Result<()>) -> Option<i32> {
    result.as_ref().err().and_then(io::Error::raw_os_error)
}

/// Syncs again, and again. The second call says "ok" on ext4 and xfs; btrfs at times notes one failure twice, and then it
/// is the third.
fn sync_until_ok(file: &File) -> io::Result<()> {
    file.sync_data().or_else(|_| file.sync_data())
}

fn failed_write_back(bench: &mut Bench<'_>, kind: FsKind) -> io::Result<()> {
    let stage = Stage::set(bench, kind)?;
    // btrfs never writes in place: there the next write of all is the one of the new data.
    let eio = Rule::next(On::Write, Action::Eio);
    let rule = if kind == FsKind::Btrfs { eio } else { eio.only_within(stage.place, stage.place + LEN) };
    stage.file.write_all_at(&stage.new, 0)?;
    let _faulty = stage.disks.inject(0, rule)?;
    let (first, repeated) = (stage.file.sync_data(), sync_until_ok(&stage.file));
    let cache_has_new = cold::cached(&stage.path(), LEN)? == stage.new;
    let disk_has_old = stage.disks.peek(0, stage.place, LEN)? == stage.old;
    let direct_sees_old = kind == FsKind::Btrfs || cold::direct(&stage.path(), LEN)? == stage.old;

    let facts = [
        (errno(&first) == Some(libc::EIO), format!("the first fsync answered {first:?}, not EIO")),
        (repeated.is_ok(), format!("the repeated fsync answered {repeated:?}, not ok")),
        (cache_has_new, "the page cache does not have the new bytes".into()),
        (disk_has_old, "the disk does not have the old bytes".into()),
        (direct_sees_old, "a direct read does not see the old bytes".into()),
    ];
    judge(bench, &stage, facts)
}

fn failed_flush(bench: &mut Bench<'_>) -> io::Result<()> {
    let stage = Stage::set(bench, FsKind::Ext4)?;
    stage.file.write_all_at(&stage.new, 0)?;
    let faulty = stage.disks.inject(0, Rule::next(On::Flush, Action::LoseCache))?;
    let (first, repeated) = (stage.file.sync_data(), sync_until_ok(&stage.file));
    drop(faulty);
    let cutter = Cutter::new(&stage.disks, FsKind::Ext4, 0, 1, &bench.scratch.path().join("cut"))?;
    let position = stage.disks.position()?;
    let after = cutter.cut(position, CutModel::Lost, bench.seed)?;
    let found = std::fs::read(after.path().join("file"))?;
    let facts = [
        (errno(&first) == Some(libc::EIO), format!("the first fdatasync answered {first:?}, not EIO")),
        (repeated.is_ok(), format!("the repeated fdatasync answered {repeated:?}, not ok")),
        (found == stage.old, "after a power cut the file is not the old one".into()),
    ];
    judge(bench, &stage, facts)
}

fn judge<const N: usize>(bench: &mut Bench<'_>, stage: &Stage, facts: [(bool, String); N]) -> io::Result<()> {
    let wrong: Vec<_> = facts.into_iter().filter_map(|(holds, what)| (!holds).then_some(what)).collect();
    let found = if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) };
    bench.count(found, |dir: &Path| stage.disks.save(0, &dir.join("disk0.img")))
}
