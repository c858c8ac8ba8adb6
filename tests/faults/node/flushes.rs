//! A flush fails, what the disk held in its cache is gone, and then the power goes.
//!
//! The one fault after which a second sync says "ok" over nothing.

use std::io;
use std::time::{Duration, Instant};

use tabletd::storage::ReadFrom;

use super::promises::{Owed, Promise, check_nothing_came_back, settle};
use super::rig::Rig;
use crate::disk::log::CutModel;
use crate::disk::rules::{Action, On, Rule};
use crate::mounts::FsKind;
use crate::scenario::{Bench, Need, Scale, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a flush of the destination fails and loses its cache, ext4",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)],
        run: |bench| each_flush(bench, FsKind::Ext4),
    },
    Scenario {
        name: "a flush of the destination fails and loses its cache, xfs",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Xfs)],
        run: |bench| each_flush(bench, FsKind::Xfs),
    },
];

/// Flushes of the destination that one migration waits for, and some.
const FLUSHES: u64 = 12;

fn each_flush(bench: &mut Bench<'_>, kind: FsKind) -> io::Result<()> {
    let step = if bench.scale == Scale::Short { 3 } else { 1 };
    let mut reached = 0;
    for k in (1..=FLUSHES).step_by(step) {
        match lose_cache(bench, kind, k)? {
            None => break,
            Some(found) => {
                reached = k;
                bench.count(found.map_err(|what| format!("flush {k}: {what}")), |_| Ok(()))?;
            }
        }
    }
    bench.board.figure(bench.name, "the last of them number", reached as f64);
    Ok(())
}

/// One migration whose `k`-th flush of the destination fails; `None` when it makes fewer. The outer error is the
/// harness's.
fn lose_cache(bench: &Bench<'_>, kind: FsKind, k: u64) -> io::Result<Option<Result<(), String>>> {
    let mut rig = Rig::new(bench, kind)?;
    let key = rig.node.add_tablet(0, 1, &[200_000, 5000]);
    crate::harness::make_root(&rig.node.roots[1]);
    let daemon = rig.node.try_start().map_err(io::Error::other)?;
    rig.mark_base()?;
    let faulty = rig.disks.inject(1, Rule::nth(On::Flush, k, Action::LoseCache))?;
    let id = daemon.try_accept(key, &rig.node.disk(1)).map_err(io::Error::other)?;
    let deadline = Instant::now() + super::PATIENCE;
    let completed = loop {
        let migration = daemon.try_get(&format!("/api/v1/migrations/{id}")).map_err(io::Error::other)?;
        let why = migration["status_reason"].as_str().unwrap_or_default();
        match migration["status"].as_str() {
            Some("completed") => break true,
            Some("failed") => break false,
            _ if why.contains("in doubt") || Instant::now() > deadline => break false,
            _ => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let position = rig.disks.position()?;
    let hit = rig.disks.status(1)?.faults > 0;
    daemon.kill();
    drop(faulty);
    rig.unmount()?;
    if !hit {
        return Ok(None);
    }
    let cutters = rig.cutters()?;
    let mounted: io::Result<Vec<_>> =
        cutters.iter().map(|cutter| cutter.cut(position, CutModel::Lost, bench.seed)).collect();
    let _mounted = mounted?;
    let promise = Promise { id, key, to: 1, accepted_at: 0, completed_at: completed.then_some(0) };
    let judged = check_nothing_came_back(&rig.node, [&promise].into_iter().filter(|_| completed))
        .and_then(|()| rig.node.try_start().map_err(|said| format!("the daemon did not start: {said}")))
        .and_then(|daemon| settle(&rig.node, daemon, &[&promise], Owed::Ended, ReadFrom::Medium));
    Ok(Some(judged))
}
