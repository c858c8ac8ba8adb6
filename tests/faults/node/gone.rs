//! Disks that go away: full, read-only, unmounted under the daemon, hung, missing at a start and back at the next.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tabletd::model::TabletKey;
use tabletd::storage::ReadFrom;

use super::rig::Rig;
use crate::disk::rules::{Action, On, Rule};
use crate::explain::Explain;
use crate::harness::Daemon;
use crate::mounts::{FsKind, LoopMount};
use crate::scenario::{Bench, Need, Scale, Scenario};

const NEEDS: &[Need] = &[Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "a full destination", needs: NEEDS, run: full },
    Scenario { name: "a destination that turns read-only", needs: NEEDS, run: read_only },
    Scenario { name: "a destination that is unmounted under the daemon", needs: NEEDS, run: unmounted },
    Scenario { name: "a hung destination", needs: NEEDS, run: hung },
    Scenario { name: "reading a source leaves its access times", needs: NEEDS, run: access_times },
    Scenario {
        name: "a root that is missing at a start, and back at the next",
        needs: NEEDS,
        run: comes_back,
    },
];

/// Runs one migration to its end.
fn outcome(daemon: &Daemon, key: TabletKey, disk: &str) -> Result<Value, String> {
    let id = daemon.try_accept(key, disk)?;
    daemon.try_wait_until_idle(super::PATIENCE)?;
    daemon.try_get(&format!("/api/v1/migrations/{id}"))
}

fn all_at(rig: &Rig, key: TabletKey, root: usize) -> Result<(), String> {
    match rig.node.examine(ReadFrom::Medium)?.get(&key) {
        Some(at) if *at == root => Ok(()),
        at => Err(format!("tablet {key} is on disk {at:?}, not on disk {root}")),
    }
}

fn started(rig: &Rig) -> io::Result<Daemon> {
    rig.node.try_start().map_err(io::Error::other)
}

fn full(bench: &mut Bench<'_>) -> io::Result<()> {
    let mut rig = Rig::new(bench, FsKind::Ext4)?;
    rig.set("disk_stat_monitor_interval = 1");
    let key = rig.node.add_tablet(0, 1, &[3_000_000, 5000]);
    let daemon = started(&rig)?;
    let filler = rig.mount(1).path().join("filler");
    let stat = nix::sys::statvfs::statvfs(&rig.node.roots[1])?;
    let free = stat.blocks_available() * stat.fragment_size();
    // Enough for the file system's own needs, not for the tablet.
    let file = fs::File::create(&filler)?;
    nix::fcntl::fallocate(
        &file,
        nix::fcntl::FallocateFlags::empty(),
        0,
        i64::try_from(free - 500_000).expect("a size"),
    )?;
    let refused = daemon.try_accept(key, &rig.node.disk(1));
    let ended = daemon.try_wait_until_idle(super::PATIENCE);
    bench.count(ended.and_then(|()| all_at(&rig, key, 0)), |_| Ok(()))?;
    drop(file);
    // An honest refusal, or an accepted one that fails.
    let said_so = refused.as_ref().map_or_else(
        |why| why.contains("DISK_FULL"),
        |id| daemon.get(&format!("/api/v1/migrations/{id}"))["status"] == "failed",
    );
    bench.expect(said_so, &format!("{refused:?} does not say that the disk is full"))?;
    fs::remove_file(&filler)?;
    let mut done = Value::Null;
    let moved = becomes("not moved once there was room", || {
        // How full a disk is, is looked up now and then.
        let outcome = outcome(&daemon, key, &rig.node.disk(1));
        done = outcome.unwrap_or_else(Value::from);
        (done["status"] == "completed", done.to_string())
    });
    bench.count(moved, |_| Ok(()))?;
    daemon.kill();
    bench.count(all_at(&rig, key, 1), |_| Ok(()))
}

/// A write to the disk fails for a moment: ext4 gives up its journal and takes no more changes until it is mounted anew.
fn turn_read_only(rig: &Rig, disk: usize) -> io::Result<()> {
    let faulty = rig.disks.inject(disk, Rule::every(On::Write, Action::Eio))?;
    let file = rig.mount(disk).path().join("the last straw");
    let deadline = Instant::now() + super::PATIENCE;
    // Written data may fail without a trace in the journal: names go there.
    while !matches!(fs::write(&file, "x").map_err(|error| error.raw_os_error()), Err(Some(libc::EROFS))) {
        if Instant::now() > deadline {
            return Err(io::Error::other("ext4 does not mind that its disk fails"));
        }
        let _ = fs::File::open(rig.mount(disk).path()).and_then(|dir| dir.sync_all());
        let _ = fs::remove_file(&file);
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(faulty);
    Ok(())
}

fn mount_anew(rig: &mut Rig, disk: usize) -> io::Result<()> {
    let mount = rig.take_mount(disk);
    let at = mount.path().to_owned();
    let device = mount.unmount()?;
    rig.put_mount(disk, LoopMount::mount(device, FsKind::Ext4, &at)?);
    Ok(())
}

fn read_only(bench: &mut Bench<'_>) -> io::Result<()> {
    let mut rig = Rig::new(bench, FsKind::Ext4)?;
    let key = rig.node.add_tablet(0, 1, &[300_000, 5000]);
    rig.mark_base()?;
    let daemon = started(&rig)?;
    turn_read_only(&rig, 1)?;
    let done = outcome(&daemon, key, &rig.node.disk(1));
    let honest = done.as_ref().map_or(true, |done| done["status"] == "failed");
    bench.expect(honest, &format!("moved to a read-only disk: {done:?}"))?;
    daemon.kill();
    mount_anew(&mut rig, 1)?;
    started(&rig)?.kill();
    bench.count(all_at(&rig, key, 0), |_| Ok(()))?;

    // The source: the move is made, its old copy stays until the disk can be written to.
    let daemon = started(&rig)?;
    turn_read_only(&rig, 0)?;
    let done = outcome(&daemon, key, &rig.node.disk(1)).map_err(io::Error::other)?;
    daemon.kill();
    mount_anew(&mut rig, 0)?;
    started(&rig)?.kill();
    let now_at = usize::from(done["status"] == "completed");
    bench.count(all_at(&rig, key, now_at), |_| Ok(()))
}

/// Names and sizes of everything below a directory.
fn listing(dir: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let entry = entry?;
        found.push(format!("{} {}", entry.path().display(), entry.metadata()?.len()));
    }
    Ok(found)
}

fn access_times(bench: &mut Bench<'_>) -> io::Result<()> {
    let found = super::left_out::access_times(bench, None)?;
    bench.count(found, |_| Ok(()))
}

fn unmounted(bench: &mut Bench<'_>) -> io::Result<()> {
    let found = lazily_unmounted(bench, None)?;
    bench.count(found, |_| Ok(()))
}

/// The file system below the mount point holds a root that looks the same, uuid and all, as a backup of it would.
pub(super) fn lazily_unmounted(bench: &Bench<'_>, left_out: Option<&str>) -> io::Result<Result<(), String>> {
    let mut rig = Rig::new(bench, FsKind::Ext4)?;
    let key = rig.node.add_tablet(0, 1, &[300_000, 5000]);
    crate::harness::make_root(&rig.node.roots[1]);
    let root = rig.node.roots[1].clone();
    let identity = fs::read(root.join("disk.json"))?;
    let mount = rig.take_mount(1);
    let at = mount.path().to_owned();
    let device = mount.unmount()?;
    fs::create_dir(&root)?;
    crate::harness::make_root(&root);
    fs::write(root.join("disk.json"), identity)?;
    let below = listing(&at)?;
    rig.put_mount(1, LoopMount::mount(device, FsKind::Ext4, &at)?);

    rig.node.env.extend(left_out.map(|rule| ("TABLETD_MUTANT", rule.to_owned())));
    let daemon = started(&rig)?;
    let device = rig.take_mount(1).unmount_lazily()?;
    let done = outcome(&daemon, key, &rig.node.disk(1));
    let health = daemon.try_get("/api/health");
    daemon.kill();
    rig.node.env.clear();
    let written = listing(&at)? != below;
    rig.put_mount(1, LoopMount::mount(device, FsKind::Ext4, &at)?);
    if done.as_ref().is_ok_and(|done| done["status"] == "completed") {
        return Ok(Err(format!("moved to a disk that was not there: {done:?}")));
    }
    if written {
        return Ok(Err("something was written to the file system below the mount point".to_owned()));
    }
    if let Err(why) = health {
        return Ok(Err(format!("the daemon did not answer any more: {why}")));
    }
    started(&rig)?.kill();
    Ok(all_at(&rig, key, 0))
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

fn p99(taken: &[f64]) -> f64 {
    taken.get((taken.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

/// Waits for something that must become true; says what it saw last if it does not.
fn becomes(what: &str, mut look: impl FnMut() -> (bool, String)) -> Result<(), String> {
    let deadline = Instant::now() + super::PATIENCE;
    loop {
        match look() {
            (true, _) => return Ok(()),
            (false, seen) if Instant::now() > deadline => return Err(format!("{what}: {seen}")),
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn hung(bench: &mut Bench<'_>) -> io::Result<()> {
    // An even number: the tablet ends where it began.
    let moves = if bench.scale == Scale::Short { 40 } else { 400 };
    let mut rig = Rig::with_roots(bench, FsKind::Ext4, 3)?;
    rig.set("disk_hang_timeout_sec = 1\nshutdown_grace_sec = 2\nignore_broken_disk = true");
    let key = rig.node.add_tablet(0, 1, &[60_000, 5000]);
    let victim = rig.node.add_tablet(0, 2, &[2_000_000]);
    crate::harness::make_root(&rig.node.roots[2]);
    rig.mark_base()?;
    let hung_disk = rig.node.disk(2);
    let mut daemon = started(&rig)?;
    let before = latencies(&daemon, &rig, key, moves).map_err(io::Error::other)?;

    let hang = rig.disks.inject(2, Rule::hung())?;
    let id = daemon.try_accept(victim, &hung_disk).map_err(io::Error::other)?;
    let path = format!("/api/v1/migrations/{id}");
    bench.count(
        becomes("the disks do not name the hung one", || {
            let disks = daemon.get("/api/v1/disks");
            let named = disks["data"].as_array().is_some_and(|disks| {
                disks.iter().any(|disk| disk["path"] == hung_disk && disk.to_string().contains("hung"))
            });
            (named, disks.to_string())
        }),
        |_| Ok(()),
    )?;
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
    let ratio = beside.as_ref().map_or(0.0, |beside| p99(beside) / p99(&before));
    bench.board.figure(bench.name, "ms p99 before", p99(&before));
    bench.board.figure(bench.name, "times that beside the hung disk", ratio);
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
    std::mem::forget(daemon);

    // Again, and this time nobody asks politely.
    let mut second = started(&rig)?;
    second.kill_without_waiting();
    std::mem::forget(second);
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
    let last = started(&rig)?;
    let idle = last.try_wait_until_idle(super::PATIENCE);
    let status = last.get(&path)["status"].clone();
    last.kill();
    bench.count(idle.and_then(|()| rig.node.examine(ReadFrom::Cache).map(drop)), |_| Ok(()))?;
    bench.expect(status == "aborted", &format!("an abort that was answered was forgotten: {status}"))
}

fn comes_back(bench: &mut Bench<'_>) -> io::Result<()> {
    let mut rig = Rig::new(bench, FsKind::Ext4)?;
    rig.set("ignore_broken_disk = true");
    let moved = rig.node.add_tablet(0, 1, &[300_000, 5000]);
    let stays = rig.node.add_tablet(0, 2, &[5000]);
    let daemon = started(&rig)?;
    outcome(&daemon, moved, &rig.node.disk(1)).map_err(io::Error::other)?;
    daemon.kill();
    let mount = rig.take_mount(1);
    let at = mount.path().to_owned();
    let device = mount.unmount()?;
    let daemon = started(&rig)?;
    let answer = daemon.run(moved, &rig.node.disk(0));
    bench.expect(
        answer["error_code"] == "TABLET_UNAVAILABLE",
        &format!("served from an old copy: {answer}"),
    )?;
    let here = daemon.get("/api/v1/tablets/2")["disk"] == rig.node.disk(0);
    bench.expect(here, "a tablet of another disk is not served")?;
    daemon.kill();
    rig.put_mount(1, LoopMount::mount(device, FsKind::Ext4, &at).when(|| "mount the disk again")?);
    let daemon = started(&rig)?;
    let back = daemon.get("/api/v1/tablets/1")["disk"] == rig.node.disk(1);
    bench.expect(back, "the tablet did not come back with its disk")?;
    daemon.kill();
    bench.count(all_at(&rig, moved, 1).and_then(|()| all_at(&rig, stays, 0)), |_| Ok(()))
}
