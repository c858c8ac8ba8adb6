//! One fault in one system call, for every call of a run: `strace --inject` as a fault tool.
//!
//! First a run without faults is counted ([`Tracer::census`]), then the run is repeated once per *cell*: (call, k-th,
//! fault). Wants no root. Never uses `--seccomp-bpf`: with it, strace 6.1 silently does not deliver injected signals.
//! `when=k` counts per thread: in a program with many threads a cell may hit several, and [`Run::hits`] tells.
//! Blind to io_uring, which makes no system calls.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::census::{self, Census};
use crate::explain::Explain;

/// What happens to the chosen call. See strace(1), section "Tampering".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails with this errno, by name, and is not done.
    Errno(&'static str),
    /// The process gets SIGKILL on entering it.
    Kill,
    /// It is not done and this value is returned. There is no true short read or write: a smaller number than was asked
    /// for claims bytes that never moved.
    Lie(u64),
    /// The buffer at this argument (1 is the first) begins with other bytes when the call is entered: what a program
    /// writes is not what it meant to.
    CorruptBefore {
        /// Number of the argument that points to the buffer.
        argument: u8,
    },
    /// The same when the call returns: what a program reads is not what was stored.
    CorruptAfter {
        /// Number of the argument that points to the buffer.
        argument: u8,
    },
    /// It begins this much later.
    Delay(Duration),
}

/// Four bytes that no test file holds.
const FOREIGN_BYTES: &str = "dbfe01ad";

impl Fault {
    /// Whether the kernel's answer is untrue. What a program does then is its own affair unless it reads back; such
    /// cells are counted apart.
    pub(crate) fn is_lie(self) -> bool {
        matches!(self, Self::Lie(_) | Self::CorruptBefore { .. } | Self::CorruptAfter { .. })
    }

    fn expression(self) -> String {
        match self {
            Self::Errno(name) => format!("error={name}"),
            Self::Kill => "signal=KILL".into(),
            Self::Lie(value) => format!("retval={value}"),
            Self::CorruptBefore { argument } => format!("poke_enter=@arg{argument}={FOREIGN_BYTES}"),
            Self::CorruptAfter { argument } => format!("poke_exit=@arg{argument}={FOREIGN_BYTES}"),
            Self::Delay(delay) => format!("delay_enter={}", delay.as_micros()),
        }
    }
}

/// One place and one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Name of the call.
    pub(crate) call: String,
    /// Which one, from 1, in each thread.
    pub(crate) k: u64,
    /// What happens to it.
    pub(crate) fault: Fault,
}

impl Cell {
    /// Every place of every call in `faults` that the counted run has.
    pub(crate) fn all(census: &Census, faults: &[(&str, &[Fault])]) -> Vec<Self> {
        let places = |call: &str| 1..=census.places(call);
        faults
            .iter()
            .flat_map(|&(call, kinds)| {
                places(call).flat_map(move |k| {
                    kinds.iter().map(move |&fault| Self { call: call.to_owned(), k, fault })
                })
            })
            .collect()
    }
}

impl fmt::Display for Cell {
    /// As strace is told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:when={}", self.call, self.fault.expression(), self.k)
    }
}

/// Runs every cell once. `prepare` sets the stage for a cell and returns the command to run; `verify` looks at what is
/// left. Returns the cells whose place was not reached: nothing was tried there, and `verify` did not see them.
pub(crate) fn sweep(
    tracer: &Tracer,
    cells: &[Cell],
    mut prepare: impl FnMut(&Cell) -> io::Result<Command>,
    mut verify: impl FnMut(&Cell, &Run) -> io::Result<()>,
) -> io::Result<Vec<Cell>> {
    let mut unreached = Vec::new();
    for cell in cells {
        let command = prepare(cell)?;
        let run = tracer.run_cell(&command, cell)?;
        if run.hits == 0 {
            unreached.push(cell.clone());
        } else {
            verify(cell, &run)?;
        }
    }
    Ok(unreached)
}

/// How a run under a fault ended.
#[derive(Debug)]
pub(crate) struct Run {
    /// Of the command; killed by SIGKILL if the fault was that.
    pub(crate) status: ExitStatus,
    /// Faults delivered. 0: the run did not get that far, nothing was tried.
    pub(crate) hits: usize,
}

impl Run {
    /// Whether the command said that it succeeded.
    pub(crate) fn acknowledged(&self) -> bool {
        self.status.success()
    }

    /// Whether it died of SIGKILL.
    pub(crate) fn was_killed(&self) -> bool {
        self.status.signal() == Some(libc::SIGKILL)
    }
}

/// strace with a log file and a choice of calls.
#[derive(Debug)]
pub(crate) struct Tracer {
    calls: Vec<String>,
    paths: Vec<PathBuf>,
    log: PathBuf,
}

impl Tracer {
    /// Looks at these calls and logs to `log`.
    pub(crate) fn new(calls: &[&str], log: &Path) -> Self {
        Self {
            calls: calls.iter().map(|&call| call.to_owned()).collect(),
            paths: Vec::new(),
            log: log.to_owned(),
        }
    }

    /// Looks only at calls on exactly these paths, or on descriptors opened from them. Others are not counted, nor hit.
    pub(crate) fn only_on(self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { paths: paths.into_iter().collect(), ..self }
    }

    /// Runs the command without faults and counts its calls. An error if it does not succeed.
    pub(crate) fn census(&self, command: &Command) -> io::Result<Census> {
        let run = self.run(command, None)?;
        if !run.acknowledged() {
            return Err(io::Error::other(format!("{command:?} without any fault ended with {}", run.status)));
        }
        Ok(Census::of_log(&std::fs::read_to_string(&self.log)?))
    }

    /// Runs the command with one fault.
    pub(crate) fn run_cell(&self, command: &Command, cell: &Cell) -> io::Result<Run> {
        self.run(command, Some(cell))
    }

    fn run(&self, command: &Command, cell: Option<&Cell>) -> io::Result<Run> {
        let mut traced = Command::new("strace");
        traced.args(self.options(cell)).arg("--").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => traced.env(name, value),
                None => traced.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            traced.current_dir(dir);
        }
        let output = traced.output().when(|| format!("start {traced:?}"))?;
        let log = std::fs::read_to_string(&self.log).when(|| format!("read the log of {traced:?}"))?;
        // An exit, be it by signal, is the command's own: strace ends as its command did.
        Ok(Run { status: output.status, hits: census::hits(&log) })
    }

    /// Traces a running process, all its threads and those to come, until the guard is dropped.
    /// `when=` counts from this moment.
    pub(crate) fn attach(&self, pid: u32, cell: Option<&Cell>) -> io::Result<Attached> {
        let mut strace = Command::new("strace")
            .args(self.options(cell))
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .when(|| "start strace")?;
        let mut said = String::new();
        let stderr = strace.stderr.take().expect("standard error is piped");
        let mut stderr = BufReader::new(stderr);
        while !said.contains("attached") {
            if stderr.read_line(&mut said)? == 0 {
                strace.wait()?;
                return Err(io::Error::other(format!("strace did not attach to {pid}: {}", said.trim())));
            }
        }
        // strace tells of every new thread: somebody must listen.
        std::thread::spawn(move || stderr.lines().for_each(drop));
        Ok(Attached { strace, log: self.log.clone() })
    }

    fn options(&self, cell: Option<&Cell>) -> Vec<OsString> {
        let mut options: Vec<OsString> = vec!["-f".into(), "-o".into(), self.log.clone().into()];
        for path in &self.paths {
            options.extend(["-P".into(), path.into()]);
        }
        options.extend(["-e".into(), format!("trace={}", self.calls.join(",")).into()]);
        if let Some(cell) = cell {
            options.extend(["-e".into(), format!("inject={cell}").into()]);
        }
        options
    }
}

/// strace on a running process. Dropping it lets the process go on untraced.
#[derive(Debug)]
pub(crate) struct Attached {
    strace: Child,
    log: PathBuf,
}

impl Attached {
    /// Faults delivered so far. strace writes its log as it goes.
    pub(crate) fn hits(&self) -> io::Result<usize> {
        Ok(census::hits(&std::fs::read_to_string(&self.log)?))
    }

    /// Detaches and counts the calls since it attached.
    pub(crate) fn detach(self) -> io::Result<Census> {
        let log = self.log.clone();
        drop(self);
        Ok(Census::of_log(&std::fs::read_to_string(log)?))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.strace.id()).expect("a pid fits i32"));
        // SIGTERM makes strace detach; it is killed only if it does not answer, for the traced would die with it.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.strace.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.strace.kill();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
