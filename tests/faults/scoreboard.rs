//! What was tried, what held, what was lost and what did not run, per kind of fault.
//!
//! A kind that did not run says so and why; nothing here ever says "passed".

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One violation and everything needed to see it again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Loss {
    /// What was expected and what was found.
    pub(crate) what: String,
    /// The command that repeats it.
    pub(crate) repeat: String,
    /// Directory with images, log and record, if any were kept.
    pub(crate) kept: Option<PathBuf>,
}

/// Why a kind did not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NotRun {
    /// The machine lacks something. Tolerated unless the environment demands otherwise.
    Missing(String),
    /// Left to a larger scale: the rest of a sweep of which this run tried a sample.
    LeftOut(String),
    /// The harness itself failed: always a failure, since it proves nothing either way.
    Broken(String),
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) | Self::LeftOut(what) => f.write_str(what),
            Self::Broken(error) => write!(f, "the harness failed: {error}"),
        }
    }
}

/// A measured figure, for example `ms per power cut`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Figure {
    name: String,
    value: f64,
}

/// The counts of one kind of fault.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Line {
    kind: String,
    tried: u64,
    held: u64,
    lost: Vec<Loss>,
    not_run: Option<NotRun>,
    figures: Vec<Figure>,
}

/// The counts of a whole run, or of several.
#[derive(Debug)]
pub(crate) struct Scoreboard {
    seeds: Vec<u64>,
    scale: String,
    recoveries: u64,
    bytes_verified: u64,
    lines: Vec<Line>,
}

/// A board as it lies in a file.
#[derive(Debug, Serialize, Deserialize)]
struct Filed {
    seeds: Vec<u64>,
    scale: String,
    tried: u64,
    held: u64,
    lost: usize,
    /// Daemons that came up, nearly all of them on what a fault had left.
    recoveries: u64,
    /// Bytes of tablets that the oracle read and found to be what was put in.
    bytes_verified: u64,
    kinds: Vec<Line>,
}

/// What a run amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Something was tried, nothing was lost.
    Held,
    /// A violation, a broken harness, or a kind that had to run and did not.
    Failed,
}

impl Line {
    /// Adds another run of the same kind. What one run left out another may have tried.
    fn add(&mut self, other: Self) {
        let tried_in_full = |line: &Self| line.tried > 0 && line.not_run.is_none();
        let broken = |line: &Self| matches!(line.not_run, Some(NotRun::Broken(_)));
        let first = self.tried == 0 && self.not_run.is_none();
        self.not_run = match (self.not_run.take(), other.not_run.clone()) {
            (mine, _) if mine.as_ref().is_some_and(|why| matches!(why, NotRun::Broken(_))) => mine,
            (_, theirs) if broken(&other) => theirs,
            (None, theirs) if first => theirs,
            (None, _) => None,
            _ if tried_in_full(&other) => None,
            (mine, _) => mine,
        };
        self.tried += other.tried;
        self.held += other.held;
        self.lost.extend(other.lost);
        for figure in other.figures {
            match self.figures.iter_mut().find(|known| known.name == figure.name) {
                Some(known) => known.value += figure.value,
                None => self.figures.push(figure),
            }
        }
    }
}

impl Scoreboard {
    /// An empty board for a run with this seed and scale.
    pub(crate) fn new(seed: u64, scale: impl Into<String>) -> Self {
        Self { seeds: vec![seed], scale: scale.into(), recoveries: 0, bytes_verified: 0, lines: Vec::new() }
    }

    /// The sum of boards that lie in files: counts are added, figures are means over the runs.
    pub(crate) fn sum(files: &[PathBuf]) -> io::Result<Self> {
        let mut sum = Self {
            seeds: Vec::new(),
            scale: String::new(),
            recoveries: 0,
            bytes_verified: 0,
            lines: Vec::new(),
        };
        let mut runs_of: BTreeMap<(String, String), f64> = BTreeMap::new();
        for file in files {
            let filed: Filed = serde_json::from_slice(&std::fs::read(file)?)
                .map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
            sum.seeds.extend(filed.seeds);
            if !sum.scale.contains(&filed.scale) {
                sum.scale.push_str(&filed.scale);
            }
            sum.recoveries += filed.recoveries;
            sum.bytes_verified += filed.bytes_verified;
            for part in filed.kinds {
                for figure in &part.figures {
                    *runs_of.entry((part.kind.clone(), figure.name.clone())).or_default() += 1.0;
                }
                sum.line(&part.kind).add(part);
            }
        }
        for line in &mut sum.lines {
            for figure in &mut line.figures {
                figure.value /= runs_of[&(line.kind.clone(), figure.name.clone())];
            }
        }
        Ok(sum)
    }

    /// Notes how often a daemon came up, and how much of what it kept was read again.
    pub(crate) fn note_work(&mut self, recoveries: u64, bytes_verified: u64) {
        (self.recoveries, self.bytes_verified) = (recoveries, bytes_verified);
    }

    fn line(&mut self, kind: &str) -> &mut Line {
        let at = self.lines.iter().position(|line| line.kind == kind).unwrap_or_else(|| {
            self.lines.push(Line { kind: kind.to_owned(), ..Line::default() });
            self.lines.len() - 1
        });
        &mut self.lines[at]
    }

    /// One fault of this kind was tried and the promise held.
    pub(crate) fn held(&mut self, kind: &str) {
        let line = self.line(kind);
        line.tried += 1;
        line.held += 1;
    }

    /// One fault of this kind was tried and the promise was broken. Also said at once on standard error.
    pub(crate) fn lost(&mut self, kind: &str, loss: Loss) {
        eprintln!("LOST  {kind}: {}\n      repeat: {}", loss.what, loss.repeat);
        if let Some(kept) = &loss.kept {
            eprintln!("      kept:   {}", kept.display());
        }
        let line = self.line(kind);
        line.tried += 1;
        line.lost.push(loss);
    }

    /// This kind, or the rest of it, did not run.
    pub(crate) fn not_run(&mut self, kind: &str, reason: NotRun) {
        self.line(kind).not_run = Some(reason);
    }

    /// A figure measured on the way.
    pub(crate) fn figure(&mut self, kind: &str, name: &str, value: f64) {
        self.line(kind).figures.push(Figure { name: name.to_owned(), value });
    }

    /// Mean milliseconds per trial of this kind.
    pub(crate) fn pace(&mut self, kind: &str, name: &str, taken: Duration, trials: usize) {
        if trials > 0 {
            self.figure(kind, name, taken.as_secs_f64() * 1000.0 / trials as f64);
        }
    }

    /// Violations of one kind so far.
    pub(crate) fn losses(&self, kind: &str) -> usize {
        self.lines.iter().find(|line| line.kind == kind).map_or(0, |line| line.lost.len())
    }

    /// Violations so far.
    pub(crate) fn violations(&self) -> usize {
        self.lines.iter().map(|line| line.lost.len()).sum()
    }

    /// What the run amounts to. `all_must_run` makes a missing prerequisite a failure.
    pub(crate) fn verdict(&self, all_must_run: bool) -> Verdict {
        let fails = |reason: &NotRun| match reason {
            NotRun::Missing(_) => all_must_run,
            NotRun::LeftOut(_) => false,
            NotRun::Broken(_) => true,
        };
        let not_run_fails = self.lines.iter().filter_map(|line| line.not_run.as_ref()).any(fails);
        if self.violations() > 0 || not_run_fails { Verdict::Failed } else { Verdict::Held }
    }

    /// The board as JSON, with totals.
    pub(crate) fn to_json(&self) -> String {
        let tried: u64 = self.lines.iter().map(|line| line.tried).sum();
        let held: u64 = self.lines.iter().map(|line| line.held).sum();
        let filed = Filed {
            seeds: self.seeds.clone(),
            scale: self.scale.clone(),
            tried,
            held,
            lost: self.violations(),
            recoveries: self.recoveries,
            bytes_verified: self.bytes_verified,
            kinds: self.lines.clone(),
        };
        serde_json::to_string_pretty(&filed).expect("a scoreboard has string keys only")
    }
}

impl fmt::Display for Scoreboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.lines.iter().map(|line| line.kind.len()).max().unwrap_or(0).max(4);
        writeln!(f, "{:width$}  {:>8} {:>8} {:>6}", "kind", "tried", "held", "lost")?;
        for line in &self.lines {
            write!(f, "{:width$}  ", line.kind)?;
            if line.tried > 0 || line.not_run.is_none() {
                write!(f, "{:>8} {:>8} {:>6}", line.tried, line.held, line.lost.len())?;
            }
            if let Some(reason) = &line.not_run {
                write!(f, "{}not run: {reason}", if line.tried > 0 { "  rest " } else { "" })?;
            }
            for figure in &line.figures {
                write!(f, "  {} {:.1}", figure.name, figure.value)?;
            }
            writeln!(f)?;
        }
        let (tried, held) =
            self.lines.iter().fold((0, 0), |(tried, held), line| (tried + line.tried, held + line.held));
        let not_run = self.lines.iter().filter(|line| line.not_run.is_some()).count();
        writeln!(f, "{:width$}  {tried:>8} {held:>8} {:>6}", "all", self.violations())?;
        if not_run > 0 {
            writeln!(f, "not run, wholly or in part: {not_run} of {} kinds", self.lines.len())?;
        }
        let gib = self.bytes_verified as f64 / f64::from(1 << 30);
        writeln!(
            f,
            "recoveries {}, GiB verified {gib:.2}, violations {}",
            self.recoveries,
            self.violations()
        )?;
        let seeds: Vec<_> = self.seeds.iter().map(u64::to_string).collect();
        write!(f, "seed {}, scale {}", seeds.join(" "), self.scale)
    }
}
