//! What was tried, what held, what was lost and what did not run, per kind of fault.
//!
//! A kind that did not run says so and why; nothing here ever says "passed".

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// One violation and everything needed to see it again.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Loss {
    /// What was expected and what was found.
    pub(crate) what: String,
    /// The command that repeats it.
    pub(crate) repeat: String,
    /// Directory with images, log and record, if any were kept.
    pub(crate) kept: Option<PathBuf>,
}

/// Why a kind did not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, Serialize)]
struct Figure {
    name: String,
    value: f64,
}

/// The counts of one kind of fault.
#[derive(Debug, Clone, Default, Serialize)]
struct Line {
    kind: String,
    tried: u64,
    held: u64,
    lost: Vec<Loss>,
    not_run: Option<NotRun>,
    figures: Vec<Figure>,
}

/// The counts of a whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Scoreboard {
    seed: u64,
    scale: String,
    lines: Vec<Line>,
}

/// What a run amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Something was tried, nothing was lost.
    Held,
    /// A violation, a broken harness, or a kind that had to run and did not.
    Failed,
}

impl Scoreboard {
    /// An empty board for a run with this seed and scale.
    pub(crate) fn new(seed: u64, scale: impl Into<String>) -> Self {
        Self { seed, scale: scale.into(), lines: Vec::new() }
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
        let board = serde_json::json!({
            "seed": self.seed,
            "scale": self.scale,
            "tried": tried,
            "held": held,
            "lost": self.violations(),
            "kinds": self.lines,
        });
        serde_json::to_string_pretty(&board).expect("a scoreboard has string keys only")
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
        write!(f, "seed {}, scale {}", self.seed, self.scale)
    }
}
