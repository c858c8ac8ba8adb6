//! Power cuts at every position of a log: what was synced is there, what was not can be lost.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::cold;
use crate::disk::image::PAGE_SIZE;
use crate::disk::log::{CutModel, Position};
use crate::disk::{Cutter, FaultDisks};
use crate::mounts::{FsKind, LoopMount};
use crate::scenario::{Bench, Need, Scale, Scenario};

const WITH_DISKS: Need = Need::Fuse;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "tool: power cuts at every write, ext4",
        needs: &[Need::Root, WITH_DISKS, Need::Fs(FsKind::Ext4)],
        run: |bench| every_cut(bench, FsKind::Ext4),
    },
    Scenario {
        name: "tool: power cuts at every write, xfs",
        needs: &[Need::Root, WITH_DISKS, Need::Fs(FsKind::Xfs)],
        run: |bench| every_cut(bench, FsKind::Xfs),
    },
    Scenario {
        name: "tool: power cuts at every write, btrfs",
        needs: &[Need::Root, WITH_DISKS, Need::Fs(FsKind::Btrfs)],
        run: |bench| every_cut(bench, FsKind::Btrfs),
    },
    Scenario {
        name: "tool: a disk's cache is lost, kept in part or torn, ext4",
        needs: &[Need::Root, WITH_DISKS, Need::Fs(FsKind::Ext4)],
        run: |bench| disk_cache(bench, FsKind::Ext4),
    },
    Scenario {
        name: "tool: a disk's cache is lost, kept in part or torn, xfs",
        needs: &[Need::Root, WITH_DISKS, Need::Fs(FsKind::Xfs)],
        run: |bench| disk_cache(bench, FsKind::Xfs),
    },
    Scenario {
        name: "tool: one power cut takes all disks at once",
        needs: &[Need::Root, WITH_DISKS, Need::Fs(FsKind::Ext4)],
        run: two_disks,
    },
];

const SYNCED: &str = "synced";
const UNSYNCED: &str = "unsynced";

/// A file that was written, and the position at which its writer knew it to be durable.
struct Promise {
    name: String,
    content: Vec<u8>,
    /// `None` for a file that was never synced.
    durable_at: Option<Position>,
}

/// What a cut may do to a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its sync was answered before the cut: it must be whole.
    Due,
    /// Its sync was not answered yet.
    TooEarly,
    /// Nobody ever synced it.
    Open,
}

impl Promise {
    fn fate_at(&self, position: Position) -> Fate {
        match self.durable_at {
            Some(at) if at <= position => Fate::Due,
            Some(_) => Fate::TooEarly,
            None => Fate::Open,
        }
    }

    fn is_kept_in(&self, root: &Path) -> bool {
        std::fs::read(root.join(&self.name)).is_ok_and(|found| found == self.content)
    }
}

fn save_durably(root: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(root.join(name))?;
    file.write_all(content)?;
    file.sync_all()?;
    File::open(root)?.sync_all()
}

/// Writes some files, every other one synced.
fn write_files(bench: &Bench<'_>, disks: &FaultDisks, root: &Path) -> io::Result<Vec<Promise>> {
    let mut rng = bench.rng();
    let rounds = if bench.scale == Scale::Short { 3 } else { 30 };
    let mut promises = Vec::new();
    for round in 0..rounds {
        let content = rng.bytes(10_000);
        let name = format!("{SYNCED}-{round}");
        save_durably(root, &name, &content)?;
        promises.push(Promise { name, content, durable_at: Some(disks.position()?) });

        let (name, content) = (format!("{UNSYNCED}-{round}"), rng.bytes(10_000));
        std::fs::write(root.join(&name), &content)?;
        promises.push(Promise { name, content, durable_at: None });
    }
    Ok(promises)
}

fn every_cut(bench: &mut Bench<'_>, kind: FsKind) -> io::Result<()> {
    let disks = FaultDisks::start(&bench.scratch.subdir("farm")?, 2, kind.smallest_mib())?;
    let (root, cut_root) = (bench.scratch.path().join("disk"), bench.scratch.path().join("cut"));
    let mounted = LoopMount::format(disks.attach(0)?, kind, &root)?;
    nix::unistd::syncfs(&File::open(&root)?)?;
    let base = disks.mark_base()?;
    let promises = write_files(bench, &disks, mounted.path())?;
    let end = disks.position()?;
    let _device = mounted.unmount()?;

    let cutter = Cutter::new(&disks, kind, 0, 1, &cut_root)?;
    let seed = bench.seed;
    let (mut cuts, mut spent) = (0, Duration::ZERO);
    let (mut lost_unsynced, mut lost_too_early) = (0, 0);
    for (position, model) in (base..=end).flat_map(|position| CutModel::ALL.map(|model| (position, model))) {
        let begun = Instant::now();
        let found = match cutter.cut(position, model, seed ^ position) {
            Ok(mounted) => {
                let gone: Vec<_> =
                    promises.iter().filter(|promise| !promise.is_kept_in(mounted.path())).collect();
                let count = |fate| gone.iter().filter(|promise| promise.fate_at(position) == fate).count();
                lost_unsynced += count(Fate::Open);
                lost_too_early += count(Fate::TooEarly);
                let broken = gone.iter().find(|promise| promise.fate_at(position) == Fate::Due);
                broken.map_or(Ok(()), |promise| Err(format!("{} is gone or changed", promise.name)))
            }
            Err(error) => Err(format!("does not mount: {error}")),
        };
        spent += begun.elapsed();
        cuts += 1;
        let found =
            found.map_err(|what| format!("cut at {position} of {base}..={end}, {}: {what}", model.name()));
        bench.count(found, |dir| cutter.save(dir))?;
    }
    // Without these the scenario above could not fail.
    let bites = [(lost_unsynced, "never synced"), (lost_too_early, "synced later than the cut")];
    for (lost, what) in bites {
        let found = if lost > 0 { Ok(()) } else { Err(format!("{cuts} cuts lost no file that was {what}")) };
        bench.count(found, |dir| cutter.save(dir))?;
    }
    bench.board.pace(bench.name, "ms per cut", spent, cuts);
    Ok(())
}

/// Direct writes reach the disk at once and stay in its cache until a flush: each model does to them what it says.
fn disk_cache(bench: &mut Bench<'_>, kind: FsKind) -> io::Result<()> {
    const PAGES: usize = 4;
    let disks = FaultDisks::start(&bench.scratch.subdir("farm")?, 2, kind.smallest_mib())?;
    let mounted = LoopMount::format(disks.attach(0)?, kind, &bench.scratch.path().join("disk"))?;
    let (old, new) = (cold::Page::filled(b'o'), cold::Page::filled(b'n'));
    save_durably(mounted.path(), "file", &[old.bytes(); PAGES].concat())?;
    let file = cold::open_direct(&mounted.path().join("file"))?;
    nix::unistd::syncfs(&file)?;
    disks.mark_base()?;
    for page in 0..PAGES {
        file.write_all_at(new.bytes(), (page * PAGE_SIZE) as u64)?;
    }
    let written = disks.position()?;
    file.sync_data()?;
    let flushed = disks.position()?;
    drop(file);
    let _device = mounted.unmount()?;

    let cutter = Cutter::new(&disks, kind, 0, 1, &bench.scratch.path().join("cut"))?;
    let show = |position, model, seed| -> io::Result<String> {
        let after = cutter.cut(position, model, seed)?;
        let bytes = std::fs::read(after.path().join("file"))?;
        // One letter for each 512 bytes: o is old, n is new.
        Ok(bytes.chunks(512).map(|unit| char::from(unit[0])).collect())
    };
    let units = PAGES * PAGE_SIZE / 512;
    let (all_old, all_new) = ("o".repeat(units), "n".repeat(units));
    bench.expect(show(written, CutModel::Lost, 0)? == all_old, "an un-flushed write was not lost")?;
    let seeds = 0..16;
    let subsets =
        seeds.clone().map(|seed| show(written, CutModel::Subset, seed)).collect::<io::Result<Vec<_>>>()?;
    bench.expect(
        subsets.iter().any(|seen| seen.contains('n') && seen.contains('o')),
        "no subset kept a part",
    )?;
    let torn = CutModel::Torn { unit_bytes: 512 };
    let tears = seeds.map(|seed| show(written, torn, seed)).collect::<io::Result<Vec<_>>>()?;
    bench.expect(tears.iter().all(|seen| *seen != all_new), "the last write was not torn")?;
    bench.expect(tears.iter().any(|seen| seen.contains("no")), "no tear lies within a write")?;
    let before_last = units - PAGE_SIZE / 512;
    let others_whole = tears.iter().all(|seen| seen[..before_last] == all_new[..before_last]);
    bench.expect(others_whole, "a tear took more than the last write")?;
    for model in CutModel::ALL {
        let kept = show(flushed, model, 1)? == all_new;
        bench.expect(kept, &format!("{}: a flushed write was lost", model.name()))?;
    }
    Ok(())
}

/// A file on the first disk is durable before one on the second is begun: no cut may show the second without the first.
fn two_disks(bench: &mut Bench<'_>) -> io::Result<()> {
    let kind = FsKind::Ext4;
    let disks = FaultDisks::start(&bench.scratch.subdir("farm")?, 4, kind.smallest_mib())?;
    let roots = [0, 1].map(|number| bench.scratch.path().join(format!("disk{number}")));
    let mut mounts = Vec::new();
    for (disk, root) in roots.iter().enumerate() {
        mounts.push(LoopMount::format(disks.attach(disk)?, kind, root)?);
        nix::unistd::syncfs(&File::open(root)?)?;
    }
    let base = disks.mark_base()?;
    for root in &roots {
        save_durably(root, SYNCED, b"first one, then the other")?;
    }
    let end = disks.position()?;
    mounts.into_iter().try_for_each(|mounted| mounted.unmount().map(drop))?;

    let cutters = [Cutter::new(&disks, kind, 0, 2, &roots[0])?, Cutter::new(&disks, kind, 1, 3, &roots[1])?];
    let mut seen = std::collections::BTreeSet::new();
    for position in base..=end {
        let _mounts = [
            cutters[0].cut(position, CutModel::Lost, bench.seed)?,
            cutters[1].cut(position, CutModel::Lost, bench.seed)?,
        ];
        let here = [0, 1]
            .map(|number| std::fs::read(roots[number].join(SYNCED)).is_ok_and(|bytes| !bytes.is_empty()));
        seen.insert(here);
        let found = match here {
            [false, true] => Err(format!("cut at {position}: the second file is there, the first is not")),
            _ => Ok(()),
        };
        bench.count(found, |dir| cutters.iter().try_for_each(|cutter| cutter.save(dir)))?;
    }
    let all_steps = [[false, false], [true, false], [true, true]];
    let found =
        if seen.iter().eq(&all_steps) { Ok(()) } else { Err(format!("the cuts showed {seen:?} only")) };
    bench.count(found, |dir| cutters.iter().try_for_each(|cutter| cutter.save(dir)))
}
