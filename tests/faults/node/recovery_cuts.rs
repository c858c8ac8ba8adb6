//! The power goes, and goes again while the daemon settles what the first cut left.
//!
//! Three sets of disks: those of the batch, what the first cut leaves of them, on which a daemon recovers and writes,
//! and what the second cut leaves of these.

use std::io;
use std::time::Instant;

use tabletd::storage::ReadFrom;

use super::powercut::{Recording, note_completions, some_of};
use super::promises::{Owed, Promise, check_nothing_came_back, settle};
use super::rig::Rig;
use crate::disk::Cutter;
use crate::disk::log::{CutModel, Position};
use crate::mounts::FsKind;
use crate::rng::Rng;
use crate::scenario::{Bench, Need, Scale, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "power cuts in the recovery from a power cut, ext4",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)],
        run: |bench| twice(bench, FsKind::Ext4),
    },
    Scenario {
        name: "power cuts in the recovery from a power cut, xfs",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Xfs)],
        run: |bench| twice(bench, FsKind::Xfs),
    },
];

fn twice(bench: &mut Bench<'_>, kind: FsKind) -> io::Result<()> {
    let (firsts, seconds) = if bench.scale == Scale::Short { (3, 5) } else { (40, 13) };
    let recording = Recording::make_on(Rig::with_spares(bench, kind, 2, 2)?, None)?;
    let mut rng = bench.rng();
    let begun = Instant::now();
    let (mut tried, mut operations) = (0, 0);
    let positions = recording.some_positions(&mut rng, firsts);
    let models = CutModel::ALL.iter().cycle();
    let first_cutters = recording.rig.cutters_of(0)?;
    let second_cutters = recording.rig.cutters_of(1)?;
    for (first, &model) in positions.into_iter().zip(models) {
        let Recovery { base, end, promises } = recover(&recording, &first_cutters, first, model, bench.seed)?;
        operations += end - base;
        for second in some_of(base..=end, &mut rng, seconds) {
            let model_of_second = some_model(&mut rng);
            let found =
                cut_again(&recording, &second_cutters, &promises, second, model_of_second, bench.seed);
            let found = found.map_err(|what| {
                format!(
                    "cut at {first}, {}, and again at {second} of {base}..={end}, {}: {what}",
                    model.name(),
                    model_of_second.name()
                )
            });
            tried += 1;
            bench.count(found, |dir| second_cutters.iter().try_for_each(|cutter| cutter.save(dir)))?;
        }
    }
    bench.board.pace(bench.name, "ms per cut", begun.elapsed(), tried);
    bench.board.figure(bench.name, "of writes and flushes", operations as f64);
    Ok(())
}

fn some_model(rng: &mut Rng) -> CutModel {
    CutModel::ALL[usize::try_from(rng.below(CutModel::ALL.len() as u64)).expect("an index")]
}

/// What a daemon wrote while it settled a cut, and what it and the one before it have acknowledged.
struct Recovery {
    base: Position,
    end: Position,
    promises: Vec<Promise>,
}

/// Cuts, and lets a daemon finish everything that was promised. That it does so is tried by other scenarios: here it is
/// the stage.
fn recover(
    recording: &Recording,
    cutters: &[Cutter<'_>],
    first: Position,
    model: CutModel,
    seed: u64,
) -> io::Result<Recovery> {
    // Mounting writes already: a journal is replayed. That may be cut, too.
    let base = recording.rig.disks.position()?;
    let mounted =
        cutters.iter().map(|cutter| cutter.cut(first, model, seed)).collect::<io::Result<Vec<_>>>()?;
    let accepted = recording.promises.iter().filter(|promise| promise.accepted_at <= first);
    let mut promises: Vec<_> = accepted
        .map(|promise| Promise {
            accepted_at: 0,
            completed_at: promise.completed_at.filter(|&at| at <= first),
            ..promise.clone()
        })
        .collect();
    let daemon = recording.rig.node.try_start().map_err(io::Error::other)?;
    note_completions(&recording.rig, &daemon, &mut promises)?;
    daemon.kill();
    let end = recording.rig.disks.position()?;
    mounted.into_iter().try_for_each(crate::mounts::Mounted::unmount)?;
    Ok(Recovery { base, end, promises })
}

fn cut_again(
    recording: &Recording,
    cutters: &[Cutter<'_>],
    promises: &[Promise],
    second: Position,
    model: CutModel,
    seed: u64,
) -> Result<(), String> {
    let mounted: io::Result<Vec<_>> =
        cutters.iter().map(|cutter| cutter.cut(second, model, seed ^ second)).collect();
    let _mounted = mounted.map_err(|error| format!("does not mount: {error}"))?;
    let node = &recording.rig.node;
    let seen = |promise: &&Promise| promise.completed_at.is_some_and(|at| at <= second);
    check_nothing_came_back(node, promises.iter().filter(seen))?;
    let daemon = node.try_start().map_err(|said| format!("the daemon did not start: {said}"))?;
    let owed: Vec<_> = promises.iter().collect();
    settle(node, daemon, &owed, Owed::Completed, ReadFrom::Cache)
}
