//! Disks that go away: full, read-only, unmounted under the daemon, missing at a start and back at the next.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tabletd::model::TabletKey;
use tabletd::storage::ReadFrom;

use super::rig::Rig;
use crate::disk::rules::{Action, On, Rule};
use crate::explain::Explain;
use crate::harness::Daemon;
use crate::mounts::{FsKind, LoopMount};
use crate::scenario::{Bench, Need, Scenario};

const NEEDS: &[Need] = &[Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "a full destination", needs: NEEDS, run: full },
    Scenario { name: "a destination that turns read-only", needs: NEEDS, run: read_only },
    Scenario { name: "a destination that is unmounted under the daemon", needs: NEEDS, run: unmounted },
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

pub(super) fn started(rig: &Rig) -> io::Result<Daemon> {
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
    let accepted = daemon.try_accept(key, &rig.node.disk(1));
    let row = |id: &u64| daemon.get(&format!("/api/v1/migrations/{id}"));
    // An honest refusal, or one that waits and says for what.
    let is_said = becomes("it does not say that the disk is full", || match &accepted {
        Ok(id) => {
            let row = row(id);
            (row["status"] == "queued" && row["blockers"][0]["kind"] == "space", row.to_string())
        }
        Err(why) => (why.contains("DISK_FULL"), why.clone()),
    });
    bench.count(is_said.and_then(|()| all_at(&rig, key, 0)), |_| Ok(()))?;
    drop(file);
    fs::remove_file(&filler)?;
    // How full a disk is, is looked up now and then.
    let moved = becomes("not moved once there was room", || match &accepted {
        Ok(id) => {
            let row = row(id);
            (row["status"] == "completed", row.to_string())
        }
        Err(_) => {
            let done = outcome(&daemon, key, &rig.node.disk(1)).unwrap_or_else(Value::from);
            (done["status"] == "completed", done.to_string())
        }
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
    let accepted = daemon.try_accept(key, &rig.node.disk(1));
    // It fails, or waits until its disk takes writes again.
    let _ = daemon.try_wait_until_idle(Duration::from_secs(3));
    let row = |daemon: &Daemon| match &accepted {
        Ok(id) => daemon.try_get(&format!("/api/v1/migrations/{id}")).map_err(io::Error::other),
        Err(_) => Ok(Value::Null),
    };
    let done = row(&daemon)?;
    bench.expect(done["status"] != "completed", &format!("moved to a read-only disk: {done}"))?;
    daemon.kill();
    mount_anew(&mut rig, 1)?;
    let daemon = started(&rig)?;
    daemon.try_wait_until_idle(super::PATIENCE).map_err(io::Error::other)?;
    let source = usize::from(row(&daemon)?["status"] == "completed");
    daemon.kill();
    bench.count(all_at(&rig, key, source), |_| Ok(()))?;

    // The source: the move is made, its old copy stays until the disk can be written to.
    let daemon = started(&rig)?;
    turn_read_only(&rig, source)?;
    let destination = 1 - source;
    let done = outcome(&daemon, key, &rig.node.disk(destination)).map_err(io::Error::other)?;
    daemon.kill();
    mount_anew(&mut rig, source)?;
    started(&rig)?.kill();
    let now_at = if done["status"] == "completed" { destination } else { source };
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

/// Waits for something that must become true; says what it saw last if it does not.
pub(super) fn becomes(what: &str, mut look: impl FnMut() -> (bool, String)) -> Result<(), String> {
    let deadline = Instant::now() + super::PATIENCE;
    loop {
        match look() {
            (true, _) => return Ok(()),
            (false, seen) if Instant::now() > deadline => return Err(format!("{what}: {seen}")),
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
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
