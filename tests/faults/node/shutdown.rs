//! Power cuts without fault disks, for machines without FUSE: the daemon is killed, and every file system under it is
//! shut down before anything of what it had not synced can be written. The tail of a journal is lost, or it is written
//! first: then every name is there, and no bytes that were not synced.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tabletd::model::TabletKey;
use tabletd::storage::ReadFrom;

use super::kills::{POINTS_OF_RECOVERY, every_point};
use super::promises::{Owed, Promise, check_nothing_came_back, settle};
use crate::godown::{self, JournalTail};
use crate::harness::{Daemon, Node};
use crate::mounts::{FsKind, LoopMount};
use crate::rng::Rng;
use crate::scenario::{Bench, Need, Scale, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "power cuts by a shutdown, ext4",
        needs: &[Need::Root, Need::Fs(FsKind::Ext4)],
        run: |bench| cuts(bench, FsKind::Ext4),
    },
    Scenario {
        name: "power cuts by a shutdown, xfs",
        needs: &[Need::Root, Need::Fs(FsKind::Xfs)],
        run: |bench| cuts(bench, FsKind::Xfs),
    },
    Scenario {
        name: "power cuts at each named point, bytes lost, ext4",
        needs: &[Need::FaultInjection, Need::Root, Need::Fs(FsKind::Ext4)],
        run: |bench| cuts_at_points(bench, FsKind::Ext4),
    },
    Scenario {
        name: "power cuts at each named point, bytes lost, xfs",
        needs: &[Need::FaultInjection, Need::Root, Need::Fs(FsKind::Xfs)],
        run: |bench| cuts_at_points(bench, FsKind::Xfs),
    },
];

const TABLETS: i64 = 12;
const SIZE_MIB: usize = 128;
/// A cut comes within this time of the requests.
const WITHIN_US: u64 = 60_000;

fn cuts(bench: &mut Bench<'_>, kind: FsKind) -> io::Result<()> {
    let wanted = if bench.scale == Scale::Short { 8 } else { 300 };
    let mut rng = bench.rng();
    let mut rig = Rig::new(bench, kind)?;
    for _ in 0..wanted {
        let promises = run_and_cut(&mut rng, &mut rig)?;
        if !rig.settles(bench, &promises)? {
            break;
        }
    }
    rig.unmount()
}

/// At each point a daemon stops: what it had done has names on the disk, what it had not synced has no bytes. Then the
/// start that finishes it stops the same way. After the first turn some disks lose the names too.
fn cuts_at_points(bench: &mut Bench<'_>, kind: FsKind) -> io::Result<()> {
    let turns = if bench.scale == Scale::Short { 1 } else { 8 };
    let mut rng = bench.rng();
    let mut rig = Rig::new(bench, kind)?;
    for (point, nth) in every_point(turns) {
        let daemon = rig.start_armed(format!("{point}:{nth}=kill")).map_err(io::Error::other)?;
        // It dies under one of these, or later.
        let promises = ask_all(&rig, &daemon)?;
        if daemon.wait().success() {
            return Err(io::Error::other(format!("{point}:{nth} was never reached")));
        }
        rig.cut(|| if nth == 1 || rng.coin() { JournalTail::Flushed } else { JournalTail::Lost })?;
        let point = POINTS_OF_RECOVERY[usize::from(rng.coin())];
        // Whether it dies depends on what it finds.
        if let Ok(daemon) = rig.start_armed(format!("{point}=kill")) {
            std::thread::sleep(Duration::from_millis(20));
            daemon.kill();
        }
        rig.cut(|| JournalTail::Flushed)?;
        rig.node.env.clear();
        if !rig.settles(bench, &promises)? {
            break;
        }
    }
    rig.unmount()
}

/// A node whose roots and state directory each are a file system that can be shut down.
struct Rig {
    node: Node,
    keys: Vec<TabletKey>,
    mounts: Vec<LoopMount>,
    places: Vec<PathBuf>,
    kind: FsKind,
}

impl Rig {
    fn new(bench: &Bench<'_>, kind: FsKind) -> io::Result<Self> {
        let base = bench.scratch.subdir("shutdown")?;
        let places: Vec<_> = ["disk0", "disk1", "state"].iter().map(|name| base.join(name)).collect();
        let size_mib = kind.smallest_mib().max(SIZE_MIB);
        let mounts = places
            .iter()
            .map(|at| LoopMount::in_file(&at.with_extension("img"), size_mib, kind, at))
            .collect::<io::Result<Vec<_>>>()?;
        let mut node = node_on(&places)?;
        let keys = (1..=TABLETS)
            .map(|id| match id % 4 {
                0 => node.add_tablet(0, id, &[600_000, 4097, 0]),
                _ => node.add_tablet(0, id, &[5000, 12_288]),
            })
            .collect();
        for mount in &mounts {
            nix::unistd::syncfs(&File::open(mount.path())?)?;
        }
        Ok(Self { node, keys, mounts, places, kind })
    }

    /// Starts a daemon that stops at a point.
    fn start_armed(&mut self, point: String) -> Result<Daemon, String> {
        self.node.env = vec![("TABLETD_FAIL_POINT", point)];
        self.node.try_start()
    }

    /// Cuts the power under every disk, and mounts what that left.
    fn cut(&mut self, mut tail: impl FnMut() -> JournalTail) -> io::Result<()> {
        let again = |mount: LoopMount| {
            let at = mount.path().to_owned();
            LoopMount::mount(mount.unmount()?, self.kind, &at)
        };
        self.mounts.iter().try_for_each(|mount| godown::shut_down(mount.path(), tail()))?;
        self.mounts = self.mounts.drain(..).map(again).collect::<io::Result<_>>()?;
        Ok(())
    }

    /// Counts whether the node keeps what it promised. What is broken once stays broken: then there is no going on.
    fn settles(&self, bench: &mut Bench<'_>, promises: &[Promise]) -> io::Result<bool> {
        let found = settled(&self.node, promises);
        let held = found.is_ok();
        bench.count(found, |dir| {
            self.places.iter().try_for_each(|at| {
                let image = at.with_extension("img");
                std::fs::copy(&image, dir.join(image.file_name().expect("a name"))).map(drop)
            })
        })?;
        Ok(held)
    }

    fn unmount(self) -> io::Result<()> {
        self.mounts.into_iter().try_for_each(|mount| mount.unmount().map(drop))
    }
}

fn node_on(places: &[PathBuf]) -> io::Result<Node> {
    // Not the mount point itself: ext4 has a lost+found there.
    let roots: Vec<_> = places[..2].iter().map(|at| at.join("root")).collect();
    roots.iter().try_for_each(std::fs::create_dir)?;
    let mut node = Node::on(tempfile::tempdir()?, roots);
    node.settings = format!(
        "state_dir = {}\nsmall_migration_bytes = 500000\nmigration_retry_backoff_ms = 5\n",
        places[2].join("state").display()
    );
    Ok(node)
}

/// Asks for moves of every tablet to the other disk, and cuts the power while they run; what was acknowledged.
fn run_and_cut(rng: &mut Rng, rig: &mut Rig) -> io::Result<Vec<Promise>> {
    let daemon = rig.node.try_start().map_err(io::Error::other)?;
    let mut promises = ask_all(rig, &daemon)?;
    std::thread::sleep(Duration::from_micros(rng.below(WITHIN_US)));
    let seen = daemon.try_migrations().map_err(io::Error::other)?;
    for promise in &mut promises {
        let done = |row: &&serde_json::Value| row["id"] == promise.id && row["status"] == "completed";
        promise.completed_at = seen.iter().find(done).map(|_| 0);
    }
    daemon.kill();
    // A commit that another writer asked for may come first: it takes names along, and not their bytes.
    rig.cut(|| if rng.coin() { JournalTail::Flushed } else { JournalTail::Lost })?;
    Ok(promises)
}

/// Asks for a move of every tablet to the other disk, as far as the daemon lives; the acknowledged ones.
fn ask_all(rig: &Rig, daemon: &Daemon) -> io::Result<Vec<Promise>> {
    let places: io::Result<Vec<_>> = rig.keys.iter().map(|&key| place_of(daemon, key)).collect();
    let mut promises = Vec::new();
    for (&key, place) in rig.keys.iter().zip(places?) {
        let to = usize::from(place == rig.node.disk(0));
        if let Ok(id) = daemon.try_accept(key, &rig.node.disk(to)) {
            promises.push(Promise { id, key, to, accepted_at: 0, completed_at: None });
        }
    }
    Ok(promises)
}

fn place_of(daemon: &Daemon, key: TabletKey) -> io::Result<String> {
    let tablet = daemon.try_get(&format!("/api/v1/tablets/{}", key.tablet_id)).map_err(io::Error::other)?;
    Ok(tablet["disk"].as_str().unwrap_or_default().to_owned())
}

/// What was seen completed is not undone, and one undisturbed start makes good the rest.
fn settled(node: &Node, promises: &[Promise]) -> Result<(), String> {
    check_nothing_came_back(node, promises.iter().filter(|promise| promise.completed_at.is_some()))?;
    let daemon = node.try_start().map_err(|said| format!("the daemon did not start: {said}"))?;
    daemon.try_wait_until_idle(super::PATIENCE)?;
    daemon.operate("/api/v1/trash/purge", &json!({"all": true}));
    settle(node, daemon, &promises.iter().collect::<Vec<_>>(), Owed::Completed, ReadFrom::Cache)
}
