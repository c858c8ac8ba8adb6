//! Who runs, and how: a shell command with a flush and a verification pass of its own, or one of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::resource::UsageWho;

use super::machine::{cpu_seconds, drop_caches, is_installed, page_cache_bytes, shell};
use super::workload::Workload;
use super::{daemon, limit};

/// Tablets of T that a command per tablet is tried on: the time of each is what is wanted.
const SAMPLE_TABLETS: usize = 500;

/// What one run took.
#[derive(Clone)]
pub(crate) struct Run {
    /// Until everything is copied and flushed.
    pub(crate) wall_s: f64,
    /// The same and a cold comparison of everything; `None` when that was left out.
    pub(crate) verified_wall_s: Option<f64>,
    /// Processor time of the processes, the comparison not counted.
    pub(crate) cpu_s: f64,
    pub(crate) cache_growth_bytes: u64,
    /// Tablets moved; fewer than there are, where a sample is enough.
    pub(crate) tablets: u64,
    pub(crate) notes: Vec<(String, f64)>,
}

impl Run {
    pub(crate) fn line(&self, name: &str) -> String {
        let verified = self.verified_wall_s.map_or("-".to_owned(), |seconds| format!("{seconds:.3}"));
        let notes: Vec<_> = self.notes.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
        let (wall, cpu) = (self.wall_s, self.cpu_s);
        format!("{name}: {wall:.3} s, verified {verified} s, cpu {cpu:.2} s {}", notes.join(", "))
    }
}

/// Where a workload is and goes.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) workload: Workload,
    pub(crate) source_root: PathBuf,
    pub(crate) dest_root: PathBuf,
    /// The daemon's journal and log.
    pub(crate) scratch: PathBuf,
    pub(crate) settings: Vec<String>,
}

impl Place {
    /// Below these directories; nothing is made yet.
    pub(crate) fn new(
        workload: Workload,
        source: &Path,
        dest: &Path,
        settings: &[String],
    ) -> Result<Self, String> {
        let absolute =
            |path: &Path| fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()));
        let (source, dest) = (absolute(source)?, absolute(dest)?);
        Ok(Self {
            workload,
            source_root: source.join("tabletd-bench"),
            dest_root: dest.join("tabletd-bench"),
            scratch: source.join("tabletd-bench.daemon"),
            settings: settings.to_vec(),
        })
    }

    /// Makes the source root, with the workload's tablets in it.
    pub(crate) fn lay_out(&self) -> Result<(), String> {
        self.remove()?;
        self.workload.make_root(&self.source_root)
    }

    /// Where the copies of the others go.
    pub(crate) fn copy(&self) -> PathBuf {
        self.dest_root.with_extension("copy")
    }

    /// Removes all of it.
    pub(crate) fn remove(&self) -> Result<(), String> {
        for dir in [&self.source_root, &self.dest_root, &self.copy(), &self.scratch] {
            if dir.exists() {
                fs::remove_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
            }
        }
        Ok(())
    }
}

/// One of those that are compared.
pub(crate) struct Contestant {
    name: &'static str,
    how: How,
}

enum How {
    Tabletd,
    Limit,
    /// From `$FROM` to `$TO`, which does not exist; then the comparison.
    Shell {
        copy: &'static str,
        compare: &'static str,
    },
    /// The same, tablet by tablet, on a sample.
    PerTablet {
        each: &'static str,
    },
    /// One process, no fork: copy, one `syncfs` per tablet. What a careful mover without shared syncs does.
    SyncEach,
}

const DIFF: &str = r#"diff -r "$FROM" "$TO""#;
const RSYNC_COMPARE: &str = r#"test -z "$(rsync -a --checksum --dry-run --itemize-changes "$FROM/" "$TO")""#;

/// Program that must be there, and the contestant.
const PEERS: &[(&str, Contestant)] = &[
    ("cp", peer("cp -a", r#"cp -a "$FROM" "$TO""#, DIFF)),
    ("rsync", peer("rsync -a", r#"rsync -a "$FROM/" "$TO""#, RSYNC_COMPARE)),
    ("rsync", peer("rsync -a --fsync", r#"rsync -a --fsync "$FROM/" "$TO""#, RSYNC_COMPARE)),
    (
        "rclone",
        peer("rclone --checksum", r#"rclone copy --checksum "$FROM" "$TO""#, r#"rclone check "$FROM" "$TO""#),
    ),
    ("tar", peer("tar | tar", r#"mkdir "$TO"; tar -C "$FROM" -cf - . | tar -C "$TO" -xf -"#, DIFF)),
    ("xcp", peer("xcp", r#"xcp -r --no-progress "$FROM" "$TO""#, DIFF)),
    ("fcp", peer("fcp", r#"fcp "$FROM" "$TO""#, DIFF)),
    ("cpz", peer("cpz", r#"cpz "$FROM" "$TO""#, DIFF)),
];

const fn peer(name: &'static str, copy: &'static str, compare: &'static str) -> Contestant {
    Contestant { name, how: How::Shell { copy, compare } }
}

const fn ours(name: &'static str, how: How) -> Contestant {
    Contestant { name, how }
}

/// Those that are installed, and the names of those that are not.
pub(crate) fn for_workload(
    workload: &Workload,
    only: &[String],
) -> (Vec<&'static Contestant>, Vec<&'static str>) {
    const TABLETD: Contestant = ours("tabletd", How::Tabletd);
    const LIMIT: Contestant = ours("limit", How::Limit);
    const CP_EACH: Contestant = ours(
        "cp -a, sync per tablet",
        How::PerTablet {
            each: r#"mkdir -p "$TO/${tablet%/*}"; cp -a "$FROM/$tablet" "$TO/$tablet"; sync -f "$TO/$tablet""#,
        },
    );
    const SYNC_EACH: Contestant = ours("one process, sync per tablet", How::SyncEach);
    let wanted = |name: &str| only.is_empty() || only.iter().any(|part| name.contains(part.as_str()));
    let (mut present, mut missing) = (Vec::new(), Vec::new());
    let all: Vec<(&str, &Contestant)> = match workload.letter {
        "T" => vec![("tabletd", &TABLETD), ("cp", &CP_EACH), ("tabletd", &SYNC_EACH)],
        _ => [("tabletd", &TABLETD), ("tabletd", &LIMIT)]
            .into_iter()
            .chain(PEERS.iter().map(|(program, peer)| (*program, peer)))
            .collect(),
    };
    for (program, contestant) in all.into_iter().filter(|(_, contestant)| wanted(contestant.name)) {
        if program == "tabletd" || is_installed(program) {
            present.push(contestant);
        } else {
            missing.push(contestant.name);
        }
    }
    (present, missing)
}

impl Contestant {
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs once, from cold caches, and leaves the disks as they were.
    pub(crate) fn run(&self, place: &Place, compare_too: bool) -> Result<Run, String> {
        match &self.how {
            How::Tabletd => daemon::run(place),
            How::Limit => limit::run(place),
            How::Shell { copy, compare } => {
                let all = place.workload.tablets;
                let copy = format!("{copy}; sync -f \"$TO\"");
                measure(place, all, compare_too.then_some(*compare), |variables| shell(&copy, variables))
            }
            How::PerTablet { each } => {
                let tablets: Vec<_> = sample(place);
                let loop_over = format!("for tablet in {}; do {each}; done", tablets.join(" "));
                measure(place, tablets.len() as u64, None, |variables| shell(&loop_over, variables))
            }
            How::SyncEach => {
                let (from, to) = (place.source_root.join("data"), place.copy());
                let tablets = sample(place);
                measure(place, tablets.len() as u64, None, |_| {
                    tablets.iter().try_for_each(|tablet| copy_synced(&from.join(tablet), &to.join(tablet)))
                })
            }
        }
    }
}

fn sample(place: &Place) -> Vec<String> {
    place.workload.tablet_ids().take(SAMPLE_TABLETS).map(Workload::dir_of).collect()
}

fn copy_synced(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", from.display());
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        fs::copy(entry.path(), to.join(entry.file_name())).map_err(failed)?;
    }
    let dir = fs::File::open(to).map_err(failed)?;
    nix::unistd::syncfs(&dir).map_err(|errno| format!("{}: {errno}", to.display()))
}

fn measure(
    place: &Place,
    tablets: u64,
    compare: Option<&str>,
    copy: impl FnOnce(&[(&str, &str)]) -> Result<(), String>,
) -> Result<Run, String> {
    let (from, to) = (place.source_root.join("data").display().to_string(), place.copy());
    if to.exists() {
        fs::remove_dir_all(&to).map_err(|error| format!("{}: {error}", to.display()))?;
    }
    let to_text = to.display().to_string();
    let variables = [("FROM", from.as_str()), ("TO", to_text.as_str())];
    drop_caches();
    let cpu_now = || cpu_seconds(UsageWho::RUSAGE_CHILDREN) + cpu_seconds(UsageWho::RUSAGE_SELF);
    let (cache, cpu) = (page_cache_bytes(), cpu_now());
    let begun = Instant::now();
    copy(&variables)?;
    let wall_s = begun.elapsed().as_secs_f64();
    let cpu_s = cpu_now() - cpu;
    let cache_growth_bytes = page_cache_bytes().saturating_sub(cache);
    let verified_wall_s = match compare {
        Some(compare) => {
            drop_caches();
            let begun = Instant::now();
            shell(compare, &variables)?;
            Some(wall_s + begun.elapsed().as_secs_f64())
        }
        None => None,
    };
    fs::remove_dir_all(&to).map_err(|error| format!("{}: {error}", to.display()))?;
    Ok(Run { wall_s, verified_wall_s, cpu_s, cache_growth_bytes, tablets, notes: Vec::new() })
}
