//! kill -9: at random moments under load and at each named point, with the recovery killed too.

use std::io;
use std::time::{Duration, Instant};

use serde_json::json;
use tabletd::model::TabletKey;
use tabletd::storage::ReadFrom;

use super::promises::{Owed, Promise, settle};
use super::rig::Rig;
use crate::mounts::FsKind;
use crate::rng::Rng;
use crate::scenario::{Bench, Need, Scale, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "kill -9 at random moments, recovery killed too",
        needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)],
        run: random_kills,
    },
    Scenario {
        name: "kill -9 at each named point, and again in recovery",
        needs: &[Need::FaultInjection, Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)],
        run: named_points,
    },
];

const TABLETS: i64 = 24;
/// Kills between two looks at the whole node.
const KILLS_PER_ROUND: u64 = 25;
/// Migrations asked for between two kills.
const REQUESTS: u64 = 6;

fn random_kills(bench: &mut Bench<'_>) -> io::Result<()> {
    let rounds = if bench.scale == Scale::Short { 8 } else { 400 };
    let mut rng = bench.rng();
    let mut rig = Rig::new(bench, FsKind::Ext4)?;
    rig.set("small_migration_bytes = 500000");
    rig.set("finished_migration_tasks_size = 500");
    let keys: Vec<_> = (1..=TABLETS)
        .map(|id| match id % 8 {
            0 => rig.node.add_tablet(0, id, &[600_000, 4097, 0]),
            4 => rig.node.add_tablet(0, id, &[1000; 12]),
            _ => rig.node.add_tablet(0, id, &[5000, 12_288]),
        })
        .collect();
    let begun = Instant::now();
    let (mut in_recovery, mut promised) = (0_u64, 0);
    for _ in 0..rounds {
        let mut owed = Vec::new();
        let mut found = Ok(());
        for _ in 0..KILLS_PER_ROUND {
            if rng.below(3) == 0 {
                in_recovery += 1;
                let mut starting = rig.node.spawn();
                std::thread::sleep(Duration::from_micros(rng.below(40_000)));
                starting.child.kill()?;
                starting.child.wait()?;
                continue;
            }
            match rig.node.try_start() {
                Ok(daemon) => {
                    owed.extend(ask(&mut rng, &rig, &keys, &daemon));
                    std::thread::sleep(Duration::from_micros(rng.below(40_000)));
                    daemon.kill();
                }
                Err(said) => {
                    found = Err(format!("the daemon did not start: {said}"));
                    break;
                }
            }
        }
        let found = found.and_then(|()| round_ends(&rig, &owed));
        promised += owed.len();
        let broken = found.is_err();
        for _ in 1..KILLS_PER_ROUND {
            bench.board.held(bench.name);
        }
        bench.count(found, |dir| rig.save(dir))?;
        if broken {
            // What is broken once stays broken.
            break;
        }
        rig.mark_base()?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    bench.board.figure(bench.name, "kills per second", (rounds * KILLS_PER_ROUND) as f64 / seconds);
    bench.board.figure(bench.name, "of them in recovery", in_recovery as f64);
    bench.board.figure(bench.name, "migrations promised", promised as f64);
    Ok(())
}

/// Asks for some moves; the acknowledged ones.
fn ask(rng: &mut Rng, rig: &Rig, keys: &[TabletKey], daemon: &crate::harness::Daemon) -> Vec<Promise> {
    let mut accepted = Vec::new();
    for _ in 0..rng.below(REQUESTS + 1) {
        let key = keys[usize::try_from(rng.below(keys.len() as u64)).expect("an index")];
        let to = usize::from(rng.coin());
        // A refusal is an answer: the tablet is there already, or under way.
        if let Ok(id) = daemon.try_accept(key, &rig.node.disk(to)) {
            accepted.push(Promise { id, key, to, accepted_at: 0, completed_at: None });
        }
    }
    accepted
}

/// One undisturbed start: everything promised is done, the oracle is content, and trash is emptied.
fn round_ends(rig: &Rig, owed: &[Promise]) -> Result<(), String> {
    let daemon = rig.node.try_start().map_err(|said| format!("the daemon did not start: {said}"))?;
    round_ends_with(rig, daemon, owed)
}

fn round_ends_with(rig: &Rig, daemon: crate::harness::Daemon, owed: &[Promise]) -> Result<(), String> {
    daemon.try_wait_until_idle(super::PATIENCE)?;
    daemon.operate("/api/v1/trash/purge", &json!({"all": true}));
    settle(&rig.node, daemon, &owed.iter().collect::<Vec<_>>(), Owed::Completed, ReadFrom::Cache)
}

/// Points that a start passes too, when it finishes what it found.
pub(super) const POINTS_OF_RECOVERY: &[&str] = &["source_record_retired", "source_directory_retired"];

/// Each named point, when it is reached for the first time; then each for the second, and so on.
pub(super) fn every_point(turns: u64) -> impl Iterator<Item = (&'static str, u64)> {
    (1..=turns).flat_map(|nth| crate::harness::POINTS.iter().map(move |point| (*point, nth)))
}

fn named_points(bench: &mut Bench<'_>) -> io::Result<()> {
    let turns = if bench.scale == Scale::Short { 1 } else { 4 };
    let mut rig = Rig::new(bench, FsKind::Ext4)?;
    let keys: Vec<_> = (1..=4).map(|id| rig.node.add_tablet(0, id, &[5000, 200_000])).collect();
    rig.mark_base()?;
    let mut to = 1;
    for (point, nth) in every_point(turns) {
        let armed = format!("{point}:{nth}=kill");
        let found = killed_at(&mut rig, &keys, &armed, to).map_err(|what| format!("{armed}: {what}"));
        let broken = found.is_err();
        bench.count(found, |dir| rig.save(dir))?;
        if broken {
            break;
        }
        rig.mark_base()?;
        to = 1 - to;
    }
    Ok(())
}

/// Sends all tablets to one disk with a daemon that dies at a point, then starts one that may die while it recovers,
/// then one that lives.
fn killed_at(rig: &mut Rig, keys: &[TabletKey], armed: &str, to: usize) -> Result<(), String> {
    rig.node.env = vec![("TABLETD_FAIL_POINT", armed.to_owned())];
    let daemon = rig.node.try_start().map_err(|said| format!("the daemon did not start: {said}"))?;
    let mut owed = Vec::new();
    for &key in keys {
        // It dies under one of these.
        match daemon.try_accept(key, &rig.node.disk(to)) {
            Ok(id) => owed.push(Promise { id, key, to, accepted_at: 0, completed_at: None }),
            Err(_) => break,
        }
    }
    if daemon.wait().success() {
        return Err("the point was never reached".to_owned());
    }
    for point in POINTS_OF_RECOVERY {
        rig.node.env = vec![("TABLETD_FAIL_POINT", format!("{point}=kill"))];
        // Whether it dies depends on what it finds.
        if let Ok(daemon) = rig.node.try_start() {
            std::thread::sleep(Duration::from_millis(20));
            daemon.kill();
        }
    }
    rig.node.env.clear();
    round_ends(rig, &owed)?;
    // Those that were not accepted follow, for the next point.
    let daemon = rig.node.try_start().map_err(|said| format!("the daemon did not start: {said}"))?;
    for &key in keys {
        // Refused where it is already.
        let _ = daemon.try_accept(key, &rig.node.disk(to));
    }
    round_ends_with(rig, daemon, &owed)
}
