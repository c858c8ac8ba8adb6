//! A disk that does not answer: hung below its file system, or frozen above it. Other disks' migrations go on, at their
//! own pace; the disk is named; abort and stop work; the next start serves.

use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use serde_json::json;
use tabletd::model::TabletKey;
use tabletd::storage::ReadFrom;

use super::gone::{becomes, started};
use super::rig::Rig;
use crate::disk::Faulty;
use crate::disk::rules::Rule;
use crate::harness::Daemon;
use crate::mounts::{Frozen, FsKind};
use crate::scenario::{Bench, Need, Scale, Scenario};

const NEEDS: &[Need] = &[Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "a hung destination", needs: NEEDS, run: |bench| held_up(bench, How::Hung) },
    Scenario { name: "a frozen destination", needs: NEEDS, run: |bench| held_up(bench, How::Frozen) },
    Scenario { name: "the pace of other disks beside a hung one", needs: NEEDS, run: pace_beside },
];

/// What makes a disk wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// The block device answers nothing.
    Hung,
    /// FIFREEZE: who writes waits, who reads does not.
    Frozen,
}

/// Ends when dropped.
#[allow(dead_code)] // held for their drops
enum Hold<'rig> {
    Hung(Faulty<'rig>),
    Frozen(Frozen),
}

impl How {
    fn hold(self, rig: &Rig, disk: usize) -> io::Result<Hold<'_>> {
        Ok(match self {
            Self::Hung => Hold::Hung(rig.disks.inject(disk, Rule::hung())?),
            Self::Frozen => Hold::Frozen(rig.mount(disk).mounted().freeze()?),
        })
    }
}

/// Latencies of moves to and fro between disks 0 and 1, in milliseconds, in rising order.
fn latencies(daemon: &Daemon, rig: &Rig, key: TabletKey, moves: usize) -> Result<Vec<f64>, String> {
    let mut taken = Vec::new();
    for number in 0..moves {
        let begun = Instant::now();
        let id = daemon.try_accept(key, &rig.node.disk(1 - number % 2))?;
        loop {
            let migration = daemon.try_get(&format!("/api/v1/migrations/{id}"))?;
            match migration["status"].as_str() {
                Some("completed") => break,
                Some("failed") => return Err(format!("failed beside a hung disk: {migration:#}")),
                _ if begun.elapsed() > super::PATIENCE => return Err(format!("held up: {migration:#}")),
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        taken.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    taken.sort_by(f64::total_cmp);
    Ok(taken)
}

/// Of a list in rising order.
fn quantile(taken: &[f64], percent: usize) -> f64 {
    taken.get((taken.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

/// Three disks: a tablet that goes to and fro between two of them, one that is to go to the third.
fn three_disks(bench: &Bench<'_>) -> io::Result<(Rig, TabletKey, TabletKey)> {
    let mut rig = Rig::with_roots(bench, FsKind::Ext4, 3)?;
    rig.set("disk_hang_timeout_sec = 1\nshutdown_grace_sec = 2\nignore_broken_disk = true");
    let key = rig.node.add_tablet(0, 1, &[60_000, 5000]);
    let victim = rig.node.add_tablet(0, 2, &[2_000_000]);
    crate::harness::make_root(&rig.node.roots[2]);
    rig.mark_base()?;
    Ok((rig, key, victim))
}

/// The disks' list says that this one is hung.
fn is_named(daemon: &Daemon, hung_disk: &str) -> (bool, String) {
    let disks = daemon.get("/api/v1/disks");
    let named = disks["data"].as_array().is_some_and(|disks| {
        disks.iter().any(|disk| disk["path"] == hung_disk && disk.to_string().contains("hung"))
    });
    (named, disks.to_string())
}

fn held_up(bench: &mut Bench<'_>, how: How) -> io::Result<()> {
    // An even number: the tablet ends where it began.
    let moves = if bench.scale == Scale::Short { 10 } else { 100 };
    let (rig, key, victim) = three_disks(bench)?;
    let hung_disk = rig.node.disk(2);
    let mut daemon = started(&rig)?;
    let hang = how.hold(&rig, 2)?;
    let id = daemon.try_accept(victim, &hung_disk).map_err(io::Error::other)?;
    let path = format!("/api/v1/migrations/{id}");
    bench
        .count(becomes("the disks do not name the hung one", || is_named(&daemon, &hung_disk)), |_| Ok(()))?;
    bench.count(
        becomes("the migration does not name the hung disk", || {
            let migration = daemon.get(&path);
            let why = migration["status_reason"].as_str().unwrap_or_default().to_owned();
            (why.contains(&hung_disk), why)
        }),
        |_| Ok(()),
    )?;
    let metrics = ureq::get(daemon.url("/metrics"))
        .call()
        .and_then(|mut answer| answer.body_mut().read_to_string())
        .map_err(io::Error::other)?;
    let named = metrics
        .lines()
        .any(|line| line.contains(&hung_disk) && line.contains("hung") && line.ends_with(" 1"));
    bench.expect(named, "the metrics do not name the hung disk")?;

    let beside = latencies(&daemon, &rig, key, moves);
    bench.count(beside.map(drop), |_| Ok(()))?;

    let begun = Instant::now();
    let answer = daemon.post(&format!("{path}/action"), &json!({"abort": {}}));
    let prompt = begun.elapsed() < Duration::from_secs(2);
    bench.expect(prompt, &format!("abort took {:?}: {answer}", begun.elapsed()))?;

    daemon.terminate();
    let pid = daemon.pid();
    // Threads stuck in the kernel keep the process a zombie; everything it held is free.
    let ended = becomes("it did not end after SIGTERM", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").map_or("gone", |(_, rest)| &rest[..1]).to_owned();
        (!daemon.is_running() || state == "Z", state)
    });
    bench.count(ended, |_| Ok(()))?;
    // Not to be waited for while the disk hangs, also when this ends early.
    let mut stuck = vec![ManuallyDrop::new(daemon)];

    // Again, and this time nobody asks politely.
    let mut second = started(&rig)?;
    second.kill_without_waiting();
    stuck.push(ManuallyDrop::new(second));
    let begun = Instant::now();
    let third = started(&rig)?;
    let serves = third.try_get("/api/v1/tablets/1");
    let took = begun.elapsed();
    bench.board.figure(bench.name, "ms from start to serving after SIGKILL", took.as_secs_f64() * 1000.0);
    bench.expect(
        serves.is_ok() && took < Duration::from_secs(2),
        &format!("served after {took:?}: {serves:?}"),
    )?;
    let moved = latencies(&third, &rig, key, 2);
    bench.count(moved.map(drop), |_| Ok(()))?;
    drop(hang);
    third.kill();
    // Now their threads return, and with the last of them goes the lock of the disk.
    stuck.into_iter().map(ManuallyDrop::into_inner).for_each(drop);
    let last = started(&rig)?;
    let idle = last.try_wait_until_idle(super::PATIENCE);
    let status = last.get(&path)["status"].clone();
    last.kill();
    bench.count(idle.and_then(|()| rig.node.examine(ReadFrom::Cache).map(drop)), |_| Ok(()))?;
    bench.expect(status == "aborted", &format!("an abort that was answered was forgotten: {status}"))
}

/// The same moves with a hang and without, round by round, so that both see the same machine. A figure, not a bound: on a
/// machine that does other things too, a p99 of some hundred moves is other people's work.
fn pace_beside(bench: &mut Bench<'_>) -> io::Result<()> {
    let (rounds, moves) = if bench.scale == Scale::Short { (3, 40) } else { (10, 200) };
    let (rig, key, victim) = three_disks(bench)?;
    let hung_disk = rig.node.disk(2);
    let daemon = started(&rig)?;
    latencies(&daemon, &rig, key, 10).map_err(io::Error::other)?;
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let before = latencies(&daemon, &rig, key, moves).map_err(io::Error::other)?;
        let hang = rig.disks.inject(2, Rule::hung())?;
        let id = daemon.try_accept(victim, &hung_disk).map_err(io::Error::other)?;
        becomes("the disks do not name the hung one", || is_named(&daemon, &hung_disk))
            .map_err(io::Error::other)?;
        let during = latencies(&daemon, &rig, key, moves);
        daemon.post(&format!("/api/v1/migrations/{id}/action"), &json!({"abort": {}}));
        drop(hang);
        bench.count(during.as_ref().map(drop).map_err(Clone::clone), |_| Ok(()))?;
        let idle = daemon.try_wait_until_idle(super::PATIENCE);
        bench.count(idle, |_| Ok(()))?;
        if let Ok(during) = during {
            ratios.push(quantile(&during, 50) / quantile(&before, 50));
            alone.extend(before);
            beside.extend(during);
        }
    }
    [&mut alone, &mut beside, &mut ratios].into_iter().for_each(|list| list.sort_by(f64::total_cmp));
    let times = |percent| quantile(&beside, percent) / quantile(&alone, percent);
    let figures = [
        ("moves each", alone.len() as f64),
        ("ms p50 alone", quantile(&alone, 50)),
        ("times that beside", times(50)),
        ("median of rounds, times", quantile(&ratios, 50)),
        ("ms p99 alone", quantile(&alone, 99)),
        ("times that beside the hung disk", times(99)),
    ];
    figures.into_iter().for_each(|(name, value)| bench.board.figure(bench.name, name, value));
    daemon.kill();
    bench.count(rig.node.examine(ReadFrom::Cache).map(drop), |_| Ok(()))
}
