//! tabletd end to end: the daemon is started, every tablet is submitted over HTTP, and the clock runs until the last
//! migration is `completed`. Afterwards the tablets are put back, by renames, where they were.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::contestant::{Place, Run};
use super::machine;
use super::workload::{SCHEMA_HASH, Workload};

/// Clients that submit at once, as a cluster's masters would.
const CLIENTS: usize = 8;
/// Longer than anything measured here.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Moves every tablet once.
pub(crate) fn run(place: &Place) -> Result<Run, String> {
    run_beside(place, &AtomicBool::new(false))
}

/// The same; `moving` is true from the first submission until the last migration is completed.
pub(crate) fn run_beside(place: &Place, moving: &AtomicBool) -> Result<Run, String> {
    let daemon = Daemon::start(place)?;
    machine::drop_caches();
    let pid = daemon.child.id();
    let (cache, cpu) = (machine::page_cache_bytes(), machine::cpu_seconds_of(pid));
    moving.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    let tablets: Vec<_> = place.workload.tablet_ids().collect();
    let submitted = submit(&daemon, &tablets, &place.dest_root)?;
    let done = daemon.wait_for(place.workload.tablets)?;
    let wall = begun.elapsed();
    moving.store(false, Ordering::SeqCst);
    let mut run = Run {
        wall_s: wall.as_secs_f64(),
        verified_wall_s: Some(wall.as_secs_f64()),
        cpu_s: machine::cpu_seconds_of(pid) - cpu,
        cache_growth_bytes: machine::page_cache_bytes().saturating_sub(cache),
        tablets: place.workload.tablets,
        notes: vec![
            ("submit_s".into(), submitted.as_secs_f64()),
            ("throttled_s".into(), done["totals"]["throttled_ms"].as_f64().unwrap_or(0.0) / 1000.0),
            ("peak_memory_mib".into(), to_mib(machine::peak_memory_bytes(pid))),
        ],
    };
    for name in ["tabletd_barrier_syncs_total", "tabletd_barrier_waits_total"] {
        run.notes.push((name.trim_start_matches("tabletd_").to_owned(), metric(&daemon.metrics()?, name)));
    }
    for step in done["totals"]["steps"].as_array().into_iter().flatten() {
        let name = format!("{}_s", step["step"].as_str().unwrap_or_default());
        run.notes.push((name, step["seconds"].as_f64().unwrap_or(0.0)));
    }
    daemon.stop()?;
    put_back(&place.source_root, &place.workload)?;
    empty(&place.dest_root)?;
    Ok(run)
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn to_mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Submits these, several at once, and says how long that took.
pub(crate) fn submit(daemon: &Daemon, tablets: &[u64], dest: &Path) -> Result<Duration, String> {
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let client = || -> Result<(), String> {
        let agent = agent();
        while let Some(tablet) = tablets.get(next.fetch_add(1, Ordering::Relaxed)) {
            let body = serde_json::json!({ "tablet_id": tablet, "dest_disk": dest });
            let mut answer = agent
                .post(format!("{}/api/v1/migrations", daemon.url))
                .send_json(&body)
                .map_err(|error| error.to_string())?;
            let status = answer.status();
            let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
            if status != 201 {
                return Err(format!("tablet {tablet} was refused with {status}: {text}"));
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let clients = CLIENTS.min(tablets.len());
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        let panicked = |_| Err("a client panicked".to_owned());
        clients.into_iter().try_for_each(|client| client.join().unwrap_or_else(panicked))
    })?;
    Ok(begun.elapsed())
}

/// Submits these in one request, and says how long that took.
pub(crate) fn submit_list(daemon: &Daemon, tablets: &[u64], dest: &Path) -> Result<Duration, String> {
    let items: Vec<_> =
        tablets.iter().map(|tablet| serde_json::json!({ "tablet_id": tablet, "dest_disk": dest })).collect();
    let begun = Instant::now();
    let mut answer = agent()
        .post(format!("{}/api/v1/migrations", daemon.url))
        .send_json(&items)
        .map_err(|error| error.to_string())?;
    let text = answer
        .body_mut()
        .with_config()
        .limit(u64::MAX)
        .read_to_string()
        .map_err(|error| error.to_string())?;
    let said: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    let took = begun.elapsed();
    if said["accepted"].as_u64() == u64::try_from(tablets.len()).ok() { Ok(took) } else { Err(text) }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into()
}

fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
}

/// A running daemon.
pub(crate) struct Daemon {
    child: Child,
    agent: ureq::Agent,
    url: String,
    dir: PathBuf,
}

impl Daemon {
    /// Starts it with a journal of its own, beside the source.
    pub(crate) fn start(place: &Place) -> Result<Self, String> {
        let dir = place.scratch.join("daemon");
        let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(failed)?;
        }
        fs::create_dir_all(&dir).map_err(failed)?;
        empty(&place.dest_root)?;
        let conf = format!(
            "webserver_port = 0\nstorage_root_path = {},medium:ssd;{},medium:ssd\nstate_dir = {}\n\
             storage_flood_stage_usage_percent = 100\nstorage_flood_stage_left_capacity_bytes = 0\n\
             migration_capacity_rule = and\nsys_log_level = INFO\n{}\n",
            place.source_root.display(),
            place.dest_root.display(),
            dir.join("state").display(),
            place.settings.join("\n"),
        );
        fs::write(dir.join("be.conf"), conf).map_err(failed)?;
        let log = fs::File::create(dir.join("daemon.log")).map_err(failed)?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_tabletd"))
            .arg("--conf")
            .arg(dir.join("be.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("tabletd: {error}"))?;
        let begun = Instant::now();
        loop {
            let said = fs::File::open(dir.join("daemon.log")).map_err(failed)?;
            let listening = BufReader::new(said).lines().map_while(Result::ok).find_map(|line| {
                Some(line.split_once("listening on ")?.1.split_whitespace().next()?.to_owned())
            });
            if let Some(url) = listening {
                return Ok(Self { child, agent: agent(), url, dir });
            }
            let ended = child.try_wait().map_err(failed)?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let _ = child.kill();
                return Err(format!("tabletd does not listen; see {}/daemon.log", dir.display()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The body of an answer.
    pub(crate) fn get(&self, path: &str) -> Result<String, String> {
        let mut answer =
            self.agent.get(format!("{}{path}", self.url)).call().map_err(|error| error.to_string())?;
        answer.body_mut().read_to_string().map_err(|error| error.to_string())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn metrics(&self) -> Result<String, String> {
        self.get("/metrics")
    }

    /// Waits until that many migrations are completed; the node's status then.
    fn wait_for(&self, tablets: u64) -> Result<Value, String> {
        let begun = Instant::now();
        loop {
            let status: Value =
                serde_json::from_str(&self.get("/api/v1/status")?).map_err(|error| error.to_string())?;
            let count = |name: &str| status["totals"][name].as_u64().unwrap_or(0);
            if count("completed") >= tablets {
                return Ok(status);
            }
            if count("failed") > 0 || begun.elapsed() > PATIENCE {
                return Err(format!(
                    "migrations failed or hang; see {}/daemon.log: {status}",
                    self.dir.display()
                ));
            }
            // Asking costs the daemon something too: rarely enough not to be seen in the result.
            std::thread::sleep(
                (begun.elapsed() / 100).clamp(Duration::from_millis(10), Duration::from_millis(50)),
            );
        }
    }

    /// Ends it as an operator would.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).map_err(|error| error.to_string())?);
        kill(pid, Signal::SIGTERM).map_err(|errno| errno.to_string())?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        status.success().then_some(()).ok_or_else(|| format!("tabletd ended with {status}"))
    }
}

impl Drop for Daemon {
    /// A run that broke off leaves no daemon behind; after [`Daemon::stop`] there is nothing left to end.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Takes every tablet out of trash again, record included.
fn put_back(root: &Path, workload: &Workload) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", root.display());
    let trash = root.join("trash");
    for entry in fs::read_dir(&trash).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        for tablet in workload_dirs(&entry)? {
            let id = tablet.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let files = tablet.join(SCHEMA_HASH.to_string());
            let number = id.parse().map_err(|_| format!("{}: not a tablet", tablet.display()))?;
            let home = root.join("data").join(Workload::dir_of(number));
            fs::rename(
                files.join(format!("{id}.hdr.json")),
                root.join(format!("meta/{id}_{SCHEMA_HASH}.json")),
            )
            .map_err(failed)?;
            fs::create_dir_all(home.parent().unwrap_or(&home)).map_err(failed)?;
            fs::rename(&files, &home).map_err(failed)?;
        }
        fs::remove_dir_all(&entry).map_err(failed)?;
    }
    let back = fs::read_dir(root.join("meta")).map_err(failed)?.count() as u64;
    (back == workload.tablets)
        .then_some(())
        .ok_or_else(|| format!("{back} of {} tablets are back on {}", workload.tablets, root.display()))
}

fn workload_dirs(entry: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", entry.display());
    let paths = fs::read_dir(entry).map_err(failed)?.map(|found| found.map(|found| found.path()));
    let paths: Vec<_> = paths.collect::<Result<_, _>>().map_err(failed)?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

/// Leaves an empty directory.
pub(crate) fn empty(dir: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(failed)?;
    }
    fs::create_dir_all(dir).map_err(failed)
}
