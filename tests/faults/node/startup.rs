//! Every system call that a start makes, on a node that was killed in the middle of migrations, fails once or is the last
//! one of the daemon. Then an undisturbed start, and the oracle.
//!
//! The daemon is held at its first instruction until strace looks at it. Calls of the dynamic linker are among those
//! that fail: a daemon that does not come up has lost nothing.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tabletd::storage::ReadFrom;

use super::promises::{Owed, Promise, empty_quarantine, settle};
use super::rig::Rig;
use super::syscalls::{ANYWHERE, ON_FILES};
use crate::census::Census;
use crate::disk::Cutter;
use crate::disk::log::{CutModel, Position};
use crate::harness::Daemon;
use crate::mounts::FsKind;
use crate::scenario::{Bench, Need, Scale, Scenario};
use crate::scoreboard::NotRun;
use crate::strace::{Cell, Fault, Tracer};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "each system call of a start fails, or is the last",
    needs: &[Need::FaultInjection, Need::Root, Need::Fuse, Need::Strace, Need::Fs(FsKind::Ext4)],
    run: sweep,
}];

/// Where the daemon was killed that left the node as the start finds it.
const KILLED_AT: &[&str] = &["data_copied:2", "committed:2", "source_directory_retired:1"];

/// Cells of the short scale, of each group.
const SLICE: usize = 12;

/// How long a start under a fault may work on what it found before it is killed.
const WORK: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Anywhere,
    OnFiles,
}

impl Group {
    fn faults(self) -> &'static [(&'static str, &'static [Fault])] {
        match self {
            Self::Anywhere => ANYWHERE,
            Self::OnFiles => ON_FILES,
        }
    }
}

/// A node as a killed daemon left it, ready to be put on fresh disks as often as wanted.
struct Interrupted {
    rig: Rig,
    promises: Vec<Promise>,
    end: Position,
}

fn sweep(bench: &mut Bench<'_>) -> io::Result<()> {
    let mut rng = bench.rng();
    let chosen: Vec<&str> = match bench.scale {
        Scale::Short => {
            vec![KILLED_AT[usize::try_from(rng.below(KILLED_AT.len() as u64)).expect("an index")]]
        }
        Scale::Long => KILLED_AT.to_vec(),
    };
    let (mut all, mut tried, mut unreached) = (0, 0, 0);
    let begun = Instant::now();
    for &point in &chosen {
        let node = Interrupted::at(bench, point)?;
        let cutters = node.rig.cutters()?;
        for group in [Group::Anywhere, Group::OnFiles] {
            let (census, _, found) = node.start_hurt(&cutters, group, None)?;
            bench.count(found.map_err(|what| format!("{point}, no fault: {what}")), |_| Ok(()))?;
            let mut cells = Cell::all(&census, group.faults());
            all += cells.len();
            while bench.scale == Scale::Short && cells.len() > SLICE {
                cells.swap_remove(usize::try_from(rng.below(cells.len() as u64)).expect("an index"));
            }
            for cell in &cells {
                let (_, hits, found) = node.start_hurt(&cutters, group, Some(cell))?;
                if hits == 0 && found.is_ok() {
                    unreached += 1;
                    continue;
                }
                tried += 1;
                let found = found.map_err(|what| format!("killed at {point}, then {cell}: {what}"));
                bench.count(found, |dir| cutters.iter().try_for_each(|cutter| cutter.save(dir)))?;
            }
        }
    }
    bench.board.pace(bench.name, "ms per cell", begun.elapsed(), tried);
    bench.board.figure(bench.name, "cells not reached", f64::from(unreached));
    if bench.scale == Scale::Short {
        let left = all - tried - usize::try_from(unreached).expect("a count");
        let states = KILLED_AT.len() - chosen.len();
        let left = format!(
            "{left} of {all} cells and {states} of the states to start from, the long scale has them"
        );
        bench.board.not_run(bench.name, NotRun::LeftOut(left));
    }
    Ok(())
}

impl Interrupted {
    fn at(bench: &Bench<'_>, point: &str) -> io::Result<Self> {
        let mut rig = Rig::new(bench, FsKind::Ext4)?;
        let keys: Vec<_> = (1..=4).map(|id| rig.node.add_tablet(0, id, &[5000, 200_000])).collect();
        rig.node.env = vec![("TABLETD_FAIL_POINT", format!("{point}=kill"))];
        let daemon = rig.node.try_start().map_err(io::Error::other)?;
        let mut promises = Vec::new();
        for key in keys {
            match daemon.try_accept(key, &rig.node.disk(1)) {
                Ok(id) => promises.push(Promise { id, key, to: 1, accepted_at: 0, completed_at: None }),
                Err(_) => break,
            }
        }
        daemon.wait();
        rig.node.env.clear();
        rig.unmount()?;
        let end = rig.disks.mark_base()?;
        Ok(Self { rig, promises, end })
    }

    /// Puts the node on fresh disks, starts it with this fault, or without any, and then starts it undisturbed. Says what
    /// the oracle says; the outer error is the harness's.
    fn start_hurt(
        &self,
        cutters: &[Cutter<'_>],
        group: Group,
        cell: Option<&Cell>,
    ) -> io::Result<(Census, usize, Result<(), String>)> {
        let _mounted = cutters
            .iter()
            .map(|cutter| cutter.cut(self.end, CutModel::Lost, 0))
            .collect::<io::Result<Vec<_>>>()?;
        let node = &self.rig.node;
        let calls: Vec<_> = group.faults().iter().map(|&(call, _)| call).collect();
        let tracer = Tracer::new(&calls, &node.dir.path().join("strace.log"));
        let tracer = if group == Group::Anywhere { tracer } else { tracer.only_on(self.files()) };
        let starting = node.spawn_stopped();
        let attached = tracer.attach(starting.child.id(), cell)?;
        starting.go_on();
        let said = match starting.wait_until_listening(super::PATIENCE) {
            Ok(mut daemon) => {
                self.wait_for_its_work(&mut daemon);
                let said = daemon.said();
                // First the daemon, then strace: it ends with what it traces.
                daemon.kill();
                said
            }
            Err(said) => said,
        };
        let hits = attached.hits()?;
        let census = attached.detach()?;
        let daemon = match node.try_start() {
            Ok(daemon) => daemon,
            Err(said) => return Ok((census, hits, Err(format!("the daemon did not start: {said}")))),
        };
        let owed = match cell {
            Some(Cell { fault: Fault::Errno(_), .. }) => Owed::Ended,
            _ => Owed::Completed,
        };
        let promises: Vec<_> = self.promises.iter().collect();
        if owed == Owed::Ended
            && let Err(what) =
                daemon.try_wait_until_idle(super::PATIENCE).and_then(|()| empty_quarantine(node))
        {
            // A copy whose commit was in doubt may be set aside: nothing was lost with it.
            return Ok((census, hits, Err(what)));
        }
        let found = settle(node, daemon, &promises, owed, ReadFrom::Medium);
        Ok((census, hits, found.map_err(|what| format!("{what}\nthe hurt daemon said:\n{said}"))))
    }

    /// Until every promised migration has ended or is in doubt, the daemon is gone, or it has had its time.
    fn wait_for_its_work(&self, daemon: &mut Daemon) {
        let deadline = Instant::now() + WORK;
        let at_rest = |daemon: &Daemon| {
            daemon.try_migrations().is_ok_and(|migrations| {
                migrations.iter().all(|migration| {
                    let doubt =
                        migration["status_reason"].as_str().is_some_and(|why| why.contains("in doubt"));
                    doubt || matches!(migration["status"].as_str(), Some("completed" | "failed"))
                })
            })
        };
        while daemon.is_running() && !at_rest(daemon) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything that stands on the roots now: strace compares whole paths.
    fn files(&self) -> Vec<PathBuf> {
        let below = |root: &PathBuf| walkdir::WalkDir::new(root).into_iter().flatten();
        let files = self.rig.node.roots.iter().flat_map(below).filter(|entry| entry.file_type().is_file());
        files.map(walkdir::DirEntry::into_path).collect()
    }
}
