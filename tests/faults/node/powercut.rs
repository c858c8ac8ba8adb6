//! The power goes for all disks at once, at any write, while a batch of migrations runs.
//!
//! The workload runs once; each cut is computed from the log of the disks, mounted, and settled by a fresh daemon.

use std::io;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use tabletd::storage::ReadFrom;

use super::promises::{Owed, Promise, check_nothing_came_back, settle};
use super::rig::Rig;
use crate::disk::Cutter;
use crate::disk::log::{CutModel, Position};
use crate::harness::Daemon;
use crate::mounts::FsKind;
use crate::rng::Rng;
use crate::scenario::{Bench, Need, Scale, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "power cuts, ext4",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)],
        run: |bench| cuts(bench, FsKind::Ext4),
    },
    Scenario {
        name: "power cuts, xfs",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Xfs)],
        run: |bench| cuts(bench, FsKind::Xfs),
    },
    Scenario {
        name: "power cuts, btrfs",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Btrfs)],
        run: |bench| cuts(bench, FsKind::Btrfs),
    },
];

/// Positions at which the power goes, three models each.
fn positions_wanted(scale: Scale, kind: FsKind) -> u64 {
    match (scale, kind) {
        (Scale::Short, FsKind::Btrfs) => 4,
        (Scale::Short, _) => 14,
        (Scale::Long, FsKind::Btrfs) => 67,
        (Scale::Long, _) => 334,
    }
}

fn cuts(bench: &mut Bench<'_>, kind: FsKind) -> io::Result<()> {
    let recording = Recording::make(bench, kind, None)?;
    let mut rng = bench.rng();
    let positions = recording.some_positions(&mut rng, positions_wanted(bench.scale, kind));
    let cutters = recording.rig.cutters()?;
    let (mut spent, mut tried) = (Duration::ZERO, 0);
    for (position, model) in
        positions.iter().flat_map(|&position| CutModel::ALL.map(|model| (position, model)))
    {
        let begun = Instant::now();
        let seed = bench.seed ^ position;
        let found = recording.cut_and_settle(&cutters, position, model, seed);
        spent += begun.elapsed();
        tried += 1;
        let found = found.map_err(|what| {
            let (base, end) = (recording.base, recording.end);
            format!("cut at {position} of {base}..={end}, {}: {what}", model.name())
        });
        bench.count(found, |dir| cutters.iter().try_for_each(|cutter| cutter.save(dir)))?;
    }
    bench.board.pace(bench.name, "ms per cut", spent, tried);
    let operations = recording.end - recording.base;
    bench.board.figure(bench.name, "of writes and flushes", operations as f64);
    Ok(())
}

/// A batch of migrations that has run on disks whose writes were logged.
pub(super) struct Recording {
    pub(super) rig: Rig,
    pub(super) promises: Vec<Promise>,
    pub(super) base: Position,
    pub(super) end: Position,
}

impl Recording {
    /// Runs the batch with this rule of the protocol left out, if any, and takes the disks offline.
    pub(super) fn make(bench: &Bench<'_>, kind: FsKind, left_out: Option<&str>) -> io::Result<Self> {
        Self::make_on(Rig::new(bench, kind)?, left_out)
    }

    /// The same on this node.
    pub(super) fn make_on(mut rig: Rig, left_out: Option<&str>) -> io::Result<Self> {
        // Both ways of making a copy durable: with others by one barrier, and window by window.
        rig.set("small_migration_bytes = 500000");
        let moves = fill(&mut rig);
        let base = rig.mark_base()?;
        rig.node.env.extend(left_out.map(|rule| ("TABLETD_MUTANT", rule.to_owned())));
        let promises = run_batch(&rig, &moves)?;
        rig.node.env.clear();
        let end = rig.disks.position()?;
        rig.unmount()?;
        Ok(Self { rig, promises, base, end })
    }

    /// This many different positions, in rising order: that is the cheap order.
    pub(super) fn some_positions(&self, rng: &mut Rng, count: u64) -> Vec<Position> {
        some_of(self.base..=self.end, rng, count)
    }

    /// Mounts what the cut leaves, lets a daemon settle it, and asks the oracle.
    pub(super) fn cut_and_settle(
        &self,
        cutters: &[Cutter<'_>],
        position: Position,
        model: CutModel,
        seed: u64,
    ) -> Result<(), String> {
        let mounted: io::Result<Vec<_>> =
            cutters.iter().map(|cutter| cutter.cut(position, model, seed)).collect();
        let _mounted = mounted.map_err(|error| format!("does not mount: {error}"))?;
        let node = &self.rig.node;
        let seen = |at: Option<Position>| at.is_some_and(|at| at <= position);
        check_nothing_came_back(node, self.promises.iter().filter(|promise| seen(promise.completed_at)))?;
        let owed: Vec<_> = self.promises.iter().filter(|promise| promise.accepted_at <= position).collect();
        let daemon = node.try_start().map_err(|said| format!("the daemon did not start: {said}"))?;
        settle(node, daemon, &owed, Owed::Completed, ReadFrom::Cache)
    }
}

/// This many different ones of a range, in rising order.
pub(super) fn some_of(all: RangeInclusive<Position>, rng: &mut Rng, count: u64) -> Vec<Position> {
    let mut chosen: Vec<_> = all.collect();
    while chosen.len() as u64 > count {
        let victim = rng.below(chosen.len() as u64);
        chosen.remove(usize::try_from(victim).expect("an index"));
    }
    chosen
}

/// Tablets of many kinds on both disks; returns which goes where.
fn fill(rig: &mut Rig) -> Vec<(tabletd::model::TabletKey, usize)> {
    let mut moves = Vec::new();
    for id in 1..=12 {
        let from = usize::from(id % 4 == 0);
        let sizes: &[usize] = match id {
            3 => &[1_500_000, 300_000, 4097],
            5 | 8 => &[1000; 20],
            7 => &[600_000, 4097, 0],
            _ => &[5000, 12_288],
        };
        moves.push((rig.node.add_tablet(from, id, sizes), 1 - from));
    }
    moves
}

/// Asks for every move at once and notes when the answers came.
fn run_batch(rig: &Rig, moves: &[(tabletd::model::TabletKey, usize)]) -> io::Result<Vec<Promise>> {
    let daemon = rig.node.try_start().map_err(io::Error::other)?;
    let mut promises = Vec::new();
    for &(key, to) in moves {
        let id = daemon.try_accept(key, &rig.node.disk(to)).map_err(io::Error::other)?;
        promises.push(Promise { id, key, to, accepted_at: rig.disks.position()?, completed_at: None });
    }
    note_completions(rig, &daemon, &mut promises)?;
    daemon.kill();
    Ok(promises)
}

/// Waits until a client has seen each of them completed, and notes when that was.
pub(super) fn note_completions(rig: &Rig, daemon: &Daemon, promises: &mut [Promise]) -> io::Result<()> {
    let deadline = Instant::now() + super::PATIENCE;
    while promises.iter().any(|promise| promise.completed_at.is_none()) {
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("the batch does not end: {}", daemon.said())));
        }
        let migrations = daemon.try_migrations().map_err(io::Error::other)?;
        let now = rig.disks.position()?;
        for promise in promises.iter_mut().filter(|promise| promise.completed_at.is_none()) {
            let done = |migration: &&serde_json::Value| {
                migration["id"] == promise.id && migration["status"] == "completed"
            };
            promise.completed_at = migrations.iter().find(done).map(|_| now);
        }
    }
    Ok(())
}
