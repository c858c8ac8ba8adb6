//! Medians, ratios, and where they are written: a table, JSON and a plot.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::contestant::Run;
use super::workload::Workload;
use super::{machine, plot};

/// All runs of one contestant on one workload.
pub(crate) struct Runs {
    pub(crate) runs: Vec<Run>,
    bytes_per_tablet: f64,
    all_tablets: f64,
}

/// All runs.
pub(crate) struct Report {
    disks: String,
    runs: BTreeMap<(String, &'static str), Runs>,
    missing: BTreeMap<String, Vec<&'static str>>,
}

/// Median, least and greatest.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Some(Self { median, least, greatest })
    }
}

impl Runs {
    /// Seconds for the whole workload: samples are scaled up.
    fn scaled(&self, seconds: impl Fn(&Run) -> Option<f64>) -> Option<Spread> {
        let whole = |run: &Run| Some(seconds(run)? * self.all_tablets / to_f64(run.tablets));
        Spread::of(self.runs.iter().filter_map(whole))
    }

    pub(crate) fn wall(&self) -> Option<Spread> {
        self.scaled(|run| Some(run.wall_s))
    }

    pub(crate) fn verified(&self) -> Option<Spread> {
        self.scaled(|run| run.verified_wall_s)
    }

    fn cpu_s_per_gib(&self) -> f64 {
        let gib = |run: &Run| to_f64(run.tablets) * self.bytes_per_tablet / f64::from(1 << 30);
        Spread::of(self.runs.iter().map(|run| run.cpu_s / gib(run))).map_or(0.0, |spread| spread.median)
    }

    fn cache_percent(&self) -> f64 {
        let share = |run: &Run| {
            100.0 * to_f64(run.cache_growth_bytes) / (to_f64(run.tablets) * self.bytes_per_tablet)
        };
        Spread::of(self.runs.iter().map(share)).map_or(0.0, |spread| spread.median)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes, shown with a few digits")]
fn to_f64(n: u64) -> f64 {
    n as f64
}

impl Report {
    pub(crate) fn new(disks: &str) -> Self {
        Self { disks: disks.to_owned(), runs: BTreeMap::new(), missing: BTreeMap::new() }
    }

    pub(crate) fn missing(&mut self, letter: &str, name: &'static str) {
        self.missing.entry(letter.to_owned()).or_default().push(name);
    }

    pub(crate) fn add(&mut self, letter: &str, workload: &Workload, name: &'static str, run: Run) {
        let all_tablets = to_f64(workload.tablets);
        let bytes_per_tablet = to_f64(workload.bytes()) / all_tablets;
        let empty = || Runs { runs: Vec::new(), bytes_per_tablet, all_tablets };
        self.runs.entry((letter.to_owned(), name)).or_insert_with(empty).runs.push(run);
    }

    fn of(&self, letter: &str, name: &'static str) -> Option<&Runs> {
        self.runs.get(&(letter.to_owned(), name))
    }

    /// One workload as text: seconds, and how many times as long as tabletd each takes.
    pub(crate) fn table(&self, letter: &str, names: &[&'static str]) -> String {
        let ours = self.of(letter, "tabletd").and_then(Runs::wall).map(|spread| spread.median);
        let times = |seconds: f64| ours.map_or("-".to_owned(), |ours| format!("{:.2}x", seconds / ours));
        let mut text = format!(
            "\n{letter} on {}\n{:<29} {:>8} {:>17} {:>7}  {:>9} {:>7}  {:>9} {:>7}\n",
            self.disks, "", "flushed s", "(spread)", "ratio", "verified s", "ratio", "cpu s/GiB", "cache %"
        );
        for name in names {
            let Some(runs) = self.of(letter, name) else { continue };
            let Some(wall) = runs.wall() else { continue };
            let verified = runs.verified().map(|spread| spread.median);
            let _ = writeln!(
                text,
                "{name:<29} {:>9.3} {:>8.3}-{:<8.3} {:>7}  {:>9} {:>7}  {:>9.2} {:>7.1}",
                wall.median,
                wall.least,
                wall.greatest,
                times(wall.median),
                verified.map_or("-".to_owned(), |seconds| format!("{seconds:.3}")),
                verified.map_or("-".to_owned(), times),
                runs.cpu_s_per_gib(),
                runs.cache_percent(),
            );
        }
        for name in self.missing.get(letter).into_iter().flatten() {
            let _ = writeln!(text, "{name:<29} not installed");
        }
        text
    }

    fn json(&self) -> Value {
        let spread = |spread: Option<Spread>| {
            spread.map(|s| json!({ "median": s.median, "least": s.least, "greatest": s.greatest }))
        };
        let rows: Vec<_> = self
            .runs
            .iter()
            .map(|((letter, name), runs)| {
                let notes: Vec<_> = runs.runs.iter().map(|run| run.notes.iter().cloned().collect()).collect();
                let notes: Vec<BTreeMap<String, f64>> = notes;
                json!({
                    "workload": letter,
                    "name": name,
                    "runs": runs.runs.len(),
                    "flushed_seconds": spread(runs.wall()),
                    "verified_seconds": spread(runs.verified()),
                    "cpu_seconds_per_gib": runs.cpu_s_per_gib(),
                    "page_cache_growth_percent": runs.cache_percent(),
                    "notes": notes,
                })
            })
            .collect();
        json!({ "disks": self.disks, "machine": machine::describe(), "missing": self.missing, "rows": rows })
    }

    /// Writes `<disks>.json` and `<disks>.svg`.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
        fs::create_dir_all(dir).map_err(failed)?;
        let text = serde_json::to_string_pretty(&self.json()).map_err(|error| error.to_string())?;
        fs::write(dir.join(format!("{}.json", self.disks)), text + "\n").map_err(failed)?;
        let rows = self.runs.iter().map(|((letter, name), runs)| (letter.as_str(), *name, runs));
        fs::write(dir.join(format!("{}.svg", self.disks)), plot::draw(&self.disks, rows)).map_err(failed)?;
        eprintln!("written: {}/{}.{{json,svg}}", dir.display(), self.disks);
        Ok(())
    }
}

/// Prints and writes what nodes of several sizes cost.
pub(crate) fn write_scale(dir: &Path, disks: &str, found: &[Value]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
    fs::create_dir_all(dir).map_err(failed)?;
    let all = json!({ "disks": disks, "machine": machine::describe(), "sizes": found });
    let text = serde_json::to_string_pretty(&all).map_err(|error| error.to_string())?;
    println!("{text}");
    fs::write(dir.join(format!("scale-{disks}.json")), text + "\n").map_err(failed)
}
