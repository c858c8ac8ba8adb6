//! Every system call that a migration makes on its disks and in the journal fails once, or is the last one of the daemon.
//!
//! strace is attached to the listening daemon, so that the calls of the start do not count. `when=k` counts per thread:
//! each attempt of a migration has a thread of its own, and a cell may hit every one of them.

use std::io;
use std::time::{Duration, Instant};

use tabletd::model::TabletKey;
use tabletd::storage::ReadFrom;

use super::promises::{Owed, Promise, check_nothing_came_back, empty_quarantine, settle};
use super::rig::Rig;
use crate::census::Census;
use crate::mounts::FsKind;
use crate::scenario::{Bench, Need, Scale, Scenario};
use crate::scoreboard::NotRun;
use crate::strace::{Cell, Fault, Tracer};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "each system call of a migration fails, or is the last",
    needs: &[Need::Root, Need::Fuse, Need::Strace, Need::Fs(FsKind::Ext4)],
    run: sweep,
}];

const EIO: Fault = Fault::Errno("EIO");
const ENOSPC: Fault = Fault::Errno("ENOSPC");
const EDQUOT: Fault = Fault::Errno("EDQUOT");
const EROFS: Fault = Fault::Errno("EROFS");
const EMFILE: Fault = Fault::Errno("EMFILE");
const CHANGES: &[Fault] = &[EIO, ENOSPC, EDQUOT, EROFS, Fault::Kill];

/// What may happen to which call. `read` and `write` are also what the runtime wakes its threads with: these are
/// counted on the files of the migration only.
pub(super) const ANYWHERE: &[(&str, &[Fault])] = &[
    ("pread64", &[EIO, Fault::Kill]),
    ("pwrite64", CHANGES),
    ("fsync", &[EIO, ENOSPC, EDQUOT, Fault::Kill]),
    ("fdatasync", &[EIO, ENOSPC, EDQUOT, Fault::Kill]),
    ("syncfs", &[EIO, ENOSPC, EDQUOT, Fault::Kill]),
    ("rename", CHANGES),
    ("renameat", CHANGES),
    ("renameat2", CHANGES),
    ("openat", &[EIO, EMFILE, Fault::Kill]),
    ("openat2", &[EIO, ENOSPC, EROFS, EMFILE, Fault::Kill]),
    ("mkdirat", CHANGES),
    ("unlinkat", CHANGES),
    ("unlink", CHANGES),
    ("fallocate", &[EIO, ENOSPC, EDQUOT, Fault::Kill]),
    ("ftruncate", &[EIO, ENOSPC, Fault::Kill]),
    ("getdents64", &[EIO, Fault::Kill]),
];
pub(super) const ON_FILES: &[(&str, &[Fault])] = &[("read", &[EIO, Fault::Kill]), ("write", CHANGES)];

/// Answers that are not true, on the tablet's files only: what a disk's own journal promises is trusted.
const LIES: &[(&str, &[Fault])] = &[
    // "That was the end of the file", and "that many bytes" over a buffer nobody filled.
    ("pread64", &[Fault::CorruptAfter { argument: 2 }, Fault::Lie(0), Fault::Lie(512), Fault::Lie(4096)]),
    ("pwrite64", &[Fault::CorruptBefore { argument: 2 }, Fault::Lie(0), Fault::Lie(512), Fault::Lie(4096)]),
    ("fdatasync", &[Fault::Lie(0)]),
];

/// Cells of the short scale, of each group.
const SLICE: usize = 18;

/// The one tablet that goes to and fro: a small file, one that is written past the cache, an empty one.
const SIZES: &[usize] = &[5000, 200_000, 0];

/// Which calls are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Anywhere,
    OnFiles,
    Lies,
}

impl Group {
    const ALL: [Self; 3] = [Self::Anywhere, Self::OnFiles, Self::Lies];

    fn faults(self) -> &'static [(&'static str, &'static [Fault])] {
        match self {
            Self::Anywhere => ANYWHERE,
            Self::OnFiles => ON_FILES,
            Self::Lies => LIES,
        }
    }
}

/// The node, its tablet, and where that is.
struct Stage {
    rig: Rig,
    key: TabletKey,
    at: usize,
    /// The highest number of a migration.
    last_id: u64,
}

/// How a move under a fault ended, as a client saw it.
struct Seen {
    promise: Option<Promise>,
    /// It was completed, and the source did not refuse to let go of its copy.
    retired: bool,
    hits: usize,
    census: Census,
}

fn sweep(bench: &mut Bench<'_>) -> io::Result<()> {
    let mut stage = Stage::new(bench)?;
    let mut rng = bench.rng();
    let (mut all, mut tried, mut unreached) = (0, 0, 0);
    let begun = Instant::now();
    for group in Group::ALL {
        let census = stage.hurt(group, None)?.census;
        let found = stage.settle(&Seen { promise: None, retired: false, hits: 0, census: census.clone() });
        bench.count(found, |_| Ok(()))?;
        let mut cells = Cell::all(&census, group.faults());
        all += cells.len();
        while bench.scale == Scale::Short && cells.len() > SLICE {
            cells.swap_remove(usize::try_from(rng.below(cells.len() as u64)).expect("an index"));
        }
        for cell in &cells {
            let seen = stage.hurt(group, Some(cell))?;
            let found = stage.settle(&seen).map_err(|what| format!("{cell}: {what}"));
            if seen.hits == 0 && found.is_ok() {
                // Another way through the program than the counted one: nothing was tried.
                unreached += 1;
                continue;
            }
            tried += 1;
            let broken = found.is_err();
            bench.count(found, |dir| stage.rig.save(dir))?;
            if broken {
                stage = Stage::new(bench)?;
            }
            stage.rig.mark_base()?;
        }
    }
    bench.board.pace(bench.name, "ms per cell", begun.elapsed(), tried);
    bench.board.figure(bench.name, "cells not reached", unreached as f64);
    if tried + unreached < all {
        let left = all - tried - unreached;
        bench
            .board
            .not_run(bench.name, NotRun::LeftOut(format!("{left} of {all} cells, the long scale has them")));
    }
    Ok(())
}

impl Stage {
    fn new(bench: &Bench<'_>) -> io::Result<Self> {
        let mut rig = Rig::new(bench, FsKind::Ext4)?;
        let key = rig.node.add_tablet(0, 1, SIZES);
        rig.mark_base()?;
        Ok(Self { rig, key, at: 0, last_id: 0 })
    }

    /// Moves the tablet to the other disk with this fault, or without any.
    fn hurt(&self, group: Group, cell: Option<&Cell>) -> io::Result<Seen> {
        let to = 1 - self.at;
        let mut daemon = self.rig.node.try_start().map_err(io::Error::other)?;
        let log = self.rig.node.dir.path().join("strace.log");
        let calls: Vec<_> = group.faults().iter().map(|&(call, _)| call).collect();
        let tracer = Tracer::new(&calls, &log);
        let tracer = if group == Group::Anywhere { tracer } else { tracer.only_on(self.paths(group)) };
        let attached = tracer.attach(daemon.pid(), cell)?;
        let accepted = daemon.try_accept(self.key, &self.rig.node.disk(to)).ok();
        let promise =
            accepted.map(|id| Promise { id, key: self.key, to, accepted_at: 0, completed_at: None });
        let deadline = Instant::now() + super::PATIENCE;
        let (mut completed, mut retired) = (false, false);
        while let Some(promise) = &promise
            && daemon.is_running()
            && Instant::now() < deadline
        {
            let Ok(migration) = daemon.try_get(&format!("/api/v1/migrations/{}", promise.id)) else {
                continue;
            };
            completed = migration["status"] == "completed";
            retired = migration["receipt"]["trash_path"].is_string();
            let in_doubt = migration["status_reason"].as_str().is_some_and(|why| why.contains("in doubt"));
            if completed || migration["status"] == "failed" || in_doubt {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let promise = promise.map(|promise| Promise { completed_at: completed.then_some(0), ..promise });
        let hits = attached.hits()?;
        // First the daemon, then strace: it ends with what it traces.
        daemon.kill();
        let census = attached.detach()?;
        Ok(Seen { promise, retired, hits, census })
    }

    /// An undisturbed start, the oracle, and where the tablet is now.
    fn settle(&mut self, seen: &Seen) -> Result<(), String> {
        let node = &self.rig.node;
        if seen.retired {
            check_nothing_came_back(node, seen.promise.iter())?;
        }
        let daemon = node.try_start().map_err(|said| format!("the daemon did not start: {said}"))?;
        daemon.try_wait_until_idle(super::PATIENCE)?;
        daemon.operate("/api/v1/trash/purge", &serde_json::json!({"all": true}));
        self.last_id =
            daemon.try_migrations()?.iter().filter_map(|known| known["id"].as_u64()).max().unwrap_or(0);
        // A copy whose commit was in doubt may be set aside: nothing was lost with it.
        empty_quarantine(node)?;
        settle(node, daemon, &seen.promise.iter().collect::<Vec<_>>(), Owed::Ended, ReadFrom::Medium)?;
        self.at = node.examine(ReadFrom::Cache)?[&self.key];
        Ok(())
    }

    /// The files that a move touches; strace compares whole paths.
    fn paths(&self, group: Group) -> Vec<std::path::PathBuf> {
        let node = &self.rig.node;
        let mut paths = Vec::new();
        let manifest = &node.expected[&self.key];
        // The staging directory is named after the migration.
        let next_id = self.last_id + 1;
        for (number, root) in node.roots.iter().enumerate() {
            let staging = root.join(format!("migrating/{next_id}"));
            for dir in [node.tablet_dir(number, self.key), staging.join("files")] {
                paths.extend(manifest.files().iter().map(|file| dir.join(&file.name)));
            }
            if group == Group::OnFiles {
                paths.push(root.join(format!("meta/{}.json", self.key)));
                paths.push(root.join("disk.json"));
                paths.extend(["owner.json", "record.json"].map(|name| staging.join(name)));
            }
        }
        paths
    }
}
