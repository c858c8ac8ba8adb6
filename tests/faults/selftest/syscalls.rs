//! The system-call sweep: a careful program survives every cell, a careless one is caught.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::player;
use crate::scenario::{Bench, Need, Scenario};
use crate::strace::{self, Cell, Fault, Run, Tracer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "tool: a careful writer survives every system-call fault",
        needs: &[Need::Strace],
        run: careful,
    },
    Scenario {
        name: "tool: a careless writer is caught by the sweep",
        needs: &[Need::Strace],
        run: careless,
    },
    Scenario { name: "tool: strace attaches to a running process", needs: &[Need::Strace], run: attach },
];

const EIO: Fault = Fault::Errno("EIO");
const ENOSPC: Fault = Fault::Errno("ENOSPC");
const EDQUOT: Fault = Fault::Errno("EDQUOT");
const EROFS: Fault = Fault::Errno("EROFS");
const LATE: Fault = Fault::Delay(Duration::from_millis(2));

/// Call by call, what may happen to it.
const FAULTS: &[(&str, &[Fault])] = &[
    ("openat", &[EIO, ENOSPC, EDQUOT, EROFS, Fault::Kill]),
    ("read", &[EIO, Fault::Kill, Fault::Lie(0), Fault::Lie(1), Fault::CorruptAfter { argument: 2 }]),
    (
        "write",
        &[
            EIO,
            ENOSPC,
            EDQUOT,
            Fault::Kill,
            Fault::Lie(1),
            Fault::Lie(3000),
            Fault::CorruptBefore { argument: 2 },
        ],
    ),
    ("fsync", &[EIO, ENOSPC, EDQUOT, EROFS, Fault::Kill, Fault::Lie(0), LATE]),
    ("rename", &[EIO, ENOSPC, EDQUOT, EROFS, Fault::Kill, Fault::Lie(0)]),
];

/// The law: what was acknowledged is there, byte for byte; what is there under its name is whole.
fn judge(dir: &Path, run: &Run, cell: &Cell) -> Result<(), String> {
    let stored = std::fs::read(dir.join(player::NAME)).ok();
    match stored {
        Some(bytes) if bytes == player::content() => Ok(()),
        Some(bytes) => Err(format!("{cell}: the file has {} bytes that are not the ones saved", bytes.len())),
        None if run.acknowledged() => Err(format!("{cell}: acknowledged, but there is no file")),
        None => Ok(()),
    }
}

/// Runs the player under every cell of its own census.
fn hurt_player(
    bench: &Bench<'_>,
    how: &str,
    mut verify: impl FnMut(&Cell, &Run, Result<(), String>) -> io::Result<()>,
) -> io::Result<()> {
    let dir = bench.scratch.subdir("work")?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(player::SUBCOMMAND).arg(how).arg(&dir);
    let calls: Vec<_> = FAULTS.iter().map(|&(call, _)| call).collect();
    let paths = [dir.clone(), player::staged(&dir), dir.join(player::NAME)];
    let tracer = Tracer::new(&calls, &log_of(bench)).only_on(paths);
    let cells = Cell::all(&tracer.census(&command)?, FAULTS);
    let prepare = |_: &Cell| {
        std::fs::remove_dir_all(&dir)?;
        std::fs::create_dir_all(&dir)?;
        let mut again = Command::new(command.get_program());
        again.args(command.get_args());
        Ok(again)
    };
    let unreached =
        strace::sweep(&tracer, &cells, prepare, |cell, run| verify(cell, run, judge(&dir, run, cell)))?;
    match unreached.first() {
        // The player has one thread and does the same each time.
        Some(cell) => Err(io::Error::other(format!("{cell} was counted without faults, but never reached"))),
        None => Ok(()),
    }
}

fn log_of(bench: &Bench<'_>) -> PathBuf {
    bench.scratch.path().join("strace.log")
}

fn careful(bench: &mut Bench<'_>) -> io::Result<()> {
    let (begun, log) = (Instant::now(), log_of(bench));
    let mut outcomes = Vec::new();
    hurt_player(bench, "careful", |cell, run, found| {
        let killed_as_told = run.was_killed() == (cell.fault == Fault::Kill);
        let found = match found {
            Ok(()) if !killed_as_told => Err(format!("{cell}: ended with {}", run.status)),
            found => found,
        };
        let log = if found.is_err() { std::fs::read(&log)? } else { Vec::new() };
        outcomes.push((cell.fault.is_lie(), found, log));
        Ok(())
    })?;
    bench.board.pace(bench.name, "ms per cell", begun.elapsed(), outcomes.len());
    for (is_lie, found, log) in outcomes {
        let kind = if is_lie { "tool: a careful writer survives being lied to" } else { bench.name };
        bench.count_as(kind, found, |dir| std::fs::write(dir.join("strace.log"), log))?;
    }
    Ok(())
}

fn careless(bench: &mut Bench<'_>) -> io::Result<()> {
    let mut caught_by = Vec::new();
    hurt_player(bench, "careless", |cell, _, found| {
        caught_by.extend(found.is_err().then(|| cell.to_string()));
        Ok(())
    })?;
    let found = match caught_by.as_slice() {
        [] => Err("no cell of the sweep saw a writer that ignores what write and fsync answer".to_owned()),
        _ => Ok(()),
    };
    bench.board.figure(bench.name, "cells that caught it", caught_by.len() as f64);
    bench.count(found, |_| Ok(()))
}

fn attach(bench: &mut Bench<'_>) -> io::Result<()> {
    let mut shell = Command::new("sh")
        .args(["-c", "echo ready; while read line; do echo \"$line\" > \"$0\" || echo refused; done"])
        .arg(bench.scratch.path().join("out"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // What it opens while it starts is not to be counted.
    io::Read::read_exact(
        shell.stdout.as_mut().expect("standard output is piped"),
        &mut [0; "ready\n".len()],
    )?;
    let cell = Cell { call: "openat".into(), k: 2, fault: ENOSPC };
    let attached = Tracer::new(&["openat"], &log_of(bench)).attach(shell.id(), Some(&cell))?;
    let mut lines = shell.stdin.take().expect("standard input is piped");
    io::Write::write_all(&mut lines, b"one\ntwo\nthree\n")?;
    drop(lines);
    let output = shell.wait_with_output()?;
    let (hits, census) = (attached.hits()?, attached.detach()?);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (opened, last) = (census.total("openat"), std::fs::read_to_string(bench.scratch.path().join("out"))?);
    let as_told = hits == 1 && opened == 3 && said == "refused\n" && last == "three\n";
    let found = as_told
        .then_some(())
        .ok_or_else(|| format!("{hits} hits, {opened} opened, said {said:?}, last {last:?}"));
    bench.count(found, |_| Ok(()))
}
