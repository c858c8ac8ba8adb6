//! Bits that flip without a word: at rest on the source, on the way from it, on the way to the destination, and on the
//! way back when the copy is compared.
//!
//! Every page of the tablet begins with a marker, by which the fault disk finds its data wherever the file system puts
//! it. Not tried, because no mover can see it: a flip on the way from a source whose manifest records no checksum.

use std::fs::File;
use std::io;
use std::time::Instant;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use tabletd::model::TabletKey;
use tabletd::storage::ReadFrom;

use super::promises::{Owed, Promise, check_nothing_came_back, settle};
use super::rig::Rig;
use crate::disk::image::PAGE_SIZE;
use crate::disk::log::CutModel;
use crate::disk::rules::{Action, On, Rule};
use crate::explain::Explain;
use crate::mounts::FsKind;
use crate::rng::Rng;
use crate::scenario::{Bench, Need, Scale, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "flipped bits, ext4",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)],
        run: |bench| flips(bench, FsKind::Ext4),
    },
    Scenario {
        name: "flipped bits, xfs",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Xfs)],
        run: |bench| flips(bench, FsKind::Xfs),
    },
];

const MARKER: &[u8] = b"a page of a tablet";
/// One file that is read and written past the page cache, some that are not, one with a short last page.
const SIZES: &[usize] = &[200_000, 5000, 12_288, 4097];

/// Where the bit flips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    SourceAtRest,
    FromSource,
    ToDestination,
    ReadBack,
}

impl Where {
    const ALL: [Self; 4] = [Self::SourceAtRest, Self::FromSource, Self::ToDestination, Self::ReadBack];

    fn kind(self, name: &str) -> String {
        let place = match self {
            Self::SourceAtRest => "at rest on the source",
            Self::FromSource => "on the way from the source",
            Self::ToDestination => "on the way to the destination",
            Self::ReadBack => "on the way back from the destination",
        };
        format!("{name}: {place}")
    }
}

fn flips(bench: &mut Bench<'_>, kind: FsKind) -> io::Result<()> {
    let trials = if bench.scale == Scale::Short { 24 } else { 1000 };
    let mut rng = bench.rng();
    let mut rig = Rig::new(bench, kind)?;
    let contents: Vec<_> = SIZES.iter().map(|&size| marked(&mut rng, size)).collect();
    let key = rig.node.add_tablet_of(0, 1, &contents);
    rig.mark_base()?;
    let mut at = 0;
    let (begun, mut tried) = (Instant::now(), 0);
    while tried < trials {
        let place = Where::ALL[tried % Where::ALL.len()];
        tried += 1;
        let outcome = one_flip(&rig, &mut rng, key, at, place)?;
        let kind = place.kind(bench.name);
        let broken = outcome.is_err();
        bench.count_as(&kind, outcome.map(drop), |dir| rig.save(dir))?;
        if broken {
            break;
        }
        at = rig.node.examine(ReadFrom::Cache).map_err(io::Error::other)?[&key];
        rig.mark_base()?;
    }
    bench.board.pace(bench.name, "ms per flip", begun.elapsed(), tried);
    Ok(())
}

/// A node with one tablet of marked pages, and with these rules of the protocol left out.
fn marked_node(
    bench: &Bench<'_>,
    kind: FsKind,
    sizes: &[usize],
    left_out: &str,
) -> io::Result<(Rig, TabletKey, Rng)> {
    let mut rng = bench.rng();
    let mut rig = Rig::new(bench, kind)?;
    let contents: Vec<_> = sizes.iter().map(|&size| marked(&mut rng, size)).collect();
    let key = rig.node.add_tablet_of(0, 1, &contents);
    crate::harness::make_root(&rig.node.roots[1]);
    rig.mark_base()?;
    rig.node.env.push(("TABLETD_MUTANT", left_out.to_owned()));
    Ok((rig, key, rng))
}

/// One flip on the way to the destination with these rules left out.
pub(super) fn flip_on_the_way_without(bench: &Bench<'_>, left_out: &str) -> io::Result<Result<(), String>> {
    let (rig, key, mut rng) = marked_node(bench, FsKind::Ext4, SIZES, left_out)?;
    one_flip(&rig, &mut rng, key, 0, Where::ToDestination)
}

/// The `k`-th write of the tablet's data fails with EIO, with these rules left out, and then the power goes; `None` when
/// there are fewer. Also says how the migration ended and what stood on the disk while its cache was still there.
pub(super) fn fail_a_write_without(
    bench: &Bench<'_>,
    kind: FsKind,
    left_out: &str,
    k: u64,
) -> io::Result<Option<Result<(), String>>> {
    // None that is written directly: such a write tells its writer.
    let (mut rig, key, _) = marked_node(bench, kind, &SIZES[1..], left_out)?;
    let daemon = rig.node.try_start().map_err(io::Error::other)?;
    let faulty = rig.disks.inject(1, Rule::nth(On::Write, k, Action::Eio).only_holding(MARKER))?;
    let id = daemon.try_accept(key, &rig.node.disk(1)).map_err(io::Error::other)?;
    daemon.try_wait_until_idle(super::PATIENCE).map_err(io::Error::other)?;
    let migration = daemon.get(&format!("/api/v1/migrations/{id}"));
    let hit = rig.disks.status(1)?.faults > 0;
    daemon.kill();
    drop(faulty);
    rig.node.env.clear();
    if !hit {
        return Ok(None);
    }
    let live = rig.node.examine(ReadFrom::Medium).map(drop);
    let position = rig.disks.position()?;
    rig.unmount()?;
    let cutters = rig.cutters()?;
    let mounted: io::Result<Vec<_>> =
        cutters.iter().map(|cutter| cutter.cut(position, CutModel::Lost, bench.seed)).collect();
    let _mounted = mounted?;
    let completed = migration["status"] == "completed";
    let promise = Promise { id, key, to: 1, accepted_at: 0, completed_at: completed.then_some(0) };
    let after = check_nothing_came_back(&rig.node, [&promise].into_iter().filter(|_| completed))
        .and_then(|()| rig.node.try_start().map_err(|said| format!("the daemon did not start: {said}")))
        .and_then(|daemon| settle(&rig.node, daemon, &[&promise], Owed::Ended, ReadFrom::Medium));
    let found = live.and_then(|()| after.map_err(|what| format!("after a power cut: {what}")));
    let ended = format!(
        "the migration is {} after {} attempts, {}",
        migration["status"], migration["attempts"], migration["status_reason"]
    );
    Ok(Some(found.map_err(|what| format!("{what}; {ended}"))))
}

/// Moves the tablet while a bit flips. The outer error is the harness's.
fn one_flip(
    rig: &Rig,
    rng: &mut Rng,
    key: TabletKey,
    at: usize,
    place: Where,
) -> io::Result<Result<(), String>> {
    let (node, to) = (&rig.node, 1 - at);
    let bit = usize::try_from(rng.next() >> 8).expect("56 bits fit");
    let flip = Action::Flip { bit };
    let spots = rotten_spots(rig, rng, key, at)?;
    forget_pages(rig, key, at)?;
    let (disk, rule) = match place {
        Where::SourceAtRest => (at, None),
        Where::FromSource => (at, Some(Rule::nth(On::Read, 1 + rng.below(3), flip))),
        Where::ToDestination => (to, Some(Rule::nth(On::Write, 1 + rng.below(3), flip))),
        Where::ReadBack => (to, Some(Rule::nth(On::Read, 1 + rng.below(3), flip))),
    };
    let before = rig.disks.status(disk)?.faults;
    let daemon = node.try_start().map_err(io::Error::other)?;
    if place == Where::SourceAtRest {
        rot(rig, at, &spots)?;
    }
    let faulty = rule.map(|rule| rig.disks.inject(disk, rule.only_holding(MARKER))).transpose()?;
    let id = daemon.try_accept(key, &node.disk(to)).map_err(io::Error::other)?;
    if let Err(why) = daemon.try_wait_until_idle(super::PATIENCE) {
        return Ok(Err(why));
    }
    let migration = daemon.try_get(&format!("/api/v1/migrations/{id}")).map_err(io::Error::other)?;
    drop(faulty);
    daemon.kill();

    let completed = migration["status"] == "completed";
    let code = migration["error"]["code"].as_str().unwrap_or_default();
    let hit = place == Where::SourceAtRest || rig.disks.status(disk)?.faults > before;
    if !hit {
        return Err(io::Error::other(format!(
            "{place:?}: the fault met no page of the tablet: {migration:#}"
        )));
    }
    let caught = match place {
        Where::SourceAtRest => !completed && code == "SOURCE_DAMAGED",
        // The second reading was good, and so was the next attempt.
        Where::FromSource => completed || code == "IO_ERROR",
        Where::ToDestination | Where::ReadBack => !completed && code == "READ_BACK_MISMATCH",
    };
    if place == Where::SourceAtRest {
        // Left as it was found, and mended by the test.
        rot(rig, at, &spots)?;
    }
    if !caught {
        return Ok(Err(format!("{place:?}, bit {bit}: not caught: {migration:#}")));
    }
    if !completed {
        forget_pages(rig, key, at)?;
    }
    let promise = Promise { id, key, to, accepted_at: 0, completed_at: completed.then_some(0) };
    let daemon = match node.try_start() {
        Ok(daemon) => daemon,
        Err(said) => return Ok(Err(format!("the daemon did not start: {said}"))),
    };
    daemon.operate("/api/v1/trash/purge", &serde_json::json!({"all": true}));
    Ok(settle(node, daemon, &[&promise], Owed::Ended, ReadFrom::Medium))
}

/// Bytes of which every page begins with the marker.
fn marked(rng: &mut Rng, size: usize) -> Vec<u8> {
    let mut bytes = rng.bytes(size);
    for page in bytes.chunks_mut(PAGE_SIZE) {
        let len = page.len().min(MARKER.len());
        page[..len].copy_from_slice(&MARKER[..len]);
    }
    bytes
}

/// Where a byte of the live tablet lies on a disk, and one of its bits. What was purged from trash had the same bytes and
/// may still be there: all of them rot.
fn rotten_spots(rig: &Rig, rng: &mut Rng, key: TabletKey, disk: usize) -> io::Result<(Vec<usize>, u8)> {
    let file = rig.node.tablet_dir(disk, key).join(&rig.node.expected[&key].files()[0].name);
    let bytes = std::fs::read(&file).when(|| format!("read {}", file.display()))?;
    let places = rig.disks.find(disk, &bytes[MARKER.len()..MARKER.len() + 64])?;
    let within = usize::try_from(rng.below(64)).expect("below 64");
    let bit = u8::try_from(rng.below(8)).expect("below 8");
    Ok((places.into_iter().map(|place| place + within).collect(), bit))
}

fn rot(rig: &Rig, disk: usize, (places, bit): &(Vec<usize>, u8)) -> io::Result<()> {
    places.iter().try_for_each(|&place| rig.disks.rot(disk, place, *bit))
}

/// Makes the next read of the tablet come from the disk.
fn forget_pages(rig: &Rig, key: TabletKey, disk: usize) -> io::Result<()> {
    let dir = rig.node.tablet_dir(disk, key);
    for file in std::fs::read_dir(&dir).when(|| format!("list {}", dir.display()))? {
        posix_fadvise(File::open(file?.path())?, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    Ok(())
}
