//! Power cuts without fault disks, for machines without FUSE: the daemon is killed, and every file system under it is
//! shut down with its journal's tail lost, before anything of what it had not synced can be written.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tabletd::model::TabletKey;
use tabletd::storage::ReadFrom;

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
];

const TABLETS: i64 = 12;
const SIZE_MIB: usize = 128;
/// A cut comes within this time of the requests.
const WITHIN_US: u64 = 60_000;

fn cuts(bench: &mut Bench<'_>, kind: FsKind) -> io::Result<()> {
    let wanted = if bench.scale == Scale::Short { 8 } else { 300 };
    let mut rng = bench.rng();
    let base = bench.scratch.subdir("shutdown")?;
    let places: Vec<_> = ["disk0", "disk1", "state"].iter().map(|name| base.join(name)).collect();
    let size_mib = kind.smallest_mib().max(SIZE_MIB);
    let mut mounts = places
        .iter()
        .map(|at| LoopMount::in_file(&at.with_extension("img"), size_mib, kind, at))
        .collect::<io::Result<Vec<_>>>()?;
    let mut node = node_on(&places)?;
    let keys: Vec<_> = (1..=TABLETS)
        .map(|id| match id % 4 {
            0 => node.add_tablet(0, id, &[600_000, 4097, 0]),
            _ => node.add_tablet(0, id, &[5000, 12_288]),
        })
        .collect();
    for mount in &mounts {
        nix::unistd::syncfs(&File::open(mount.path())?)?;
    }
    for _ in 0..wanted {
        let promises = run_and_cut(&mut rng, &node, &keys, &mounts)?;
        mounts = mounts.into_iter().map(|mount| mount_again(mount, kind)).collect::<io::Result<_>>()?;
        let found = settled(&node, &promises);
        let broken = found.is_err();
        bench.count(found, |dir| {
            places.iter().try_for_each(|at| {
                let image = at.with_extension("img");
                std::fs::copy(&image, dir.join(image.file_name().expect("a name"))).map(drop)
            })
        })?;
        if broken {
            // What is broken once stays broken.
            break;
        }
    }
    mounts.into_iter().try_for_each(|mount| mount.unmount().map(drop))
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
fn run_and_cut(
    rng: &mut Rng,
    node: &Node,
    keys: &[TabletKey],
    mounts: &[LoopMount],
) -> io::Result<Vec<Promise>> {
    let daemon = node.try_start().map_err(io::Error::other)?;
    let mut promises = Vec::new();
    for &key in keys {
        let to = usize::from(place_of(&daemon, key)? == node.disk(0));
        if let Ok(id) = daemon.try_accept(key, &node.disk(to)) {
            promises.push(Promise { id, key, to, accepted_at: 0, completed_at: None });
        }
    }
    std::thread::sleep(Duration::from_micros(rng.below(WITHIN_US)));
    let seen = daemon.try_migrations().map_err(io::Error::other)?;
    for promise in &mut promises {
        let done = |row: &&serde_json::Value| row["id"] == promise.id && row["status"] == "completed";
        promise.completed_at = seen.iter().find(done).map(|_| 0);
    }
    daemon.kill();
    mounts.iter().try_for_each(|mount| godown::shut_down(mount.path(), JournalTail::Lost))?;
    Ok(promises)
}

fn place_of(daemon: &Daemon, key: TabletKey) -> io::Result<String> {
    let tablet = daemon.try_get(&format!("/api/v1/tablets/{}", key.tablet_id)).map_err(io::Error::other)?;
    Ok(tablet["disk"].as_str().unwrap_or_default().to_owned())
}

fn mount_again(mount: LoopMount, kind: FsKind) -> io::Result<LoopMount> {
    let at: PathBuf = Path::new(mount.path()).to_owned();
    LoopMount::mount(mount.unmount()?, kind, &at)
}

/// What was seen completed is not undone, and one undisturbed start makes good the rest.
fn settled(node: &Node, promises: &[Promise]) -> Result<(), String> {
    check_nothing_came_back(node, promises.iter().filter(|promise| promise.completed_at.is_some()))?;
    let daemon = node.try_start().map_err(|said| format!("the daemon did not start: {said}"))?;
    daemon.try_wait_until_idle(super::PATIENCE)?;
    daemon.post("/api/v1/trash/purge", &json!({"all": true}));
    settle(node, daemon, &promises.iter().collect::<Vec<_>>(), Owed::Completed, ReadFrom::Cache)
}
