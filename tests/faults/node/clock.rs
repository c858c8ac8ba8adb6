//! The wall clock jumps by ten years, either way: during a copy, between two attempts, between two starts, and over what
//! lies in trash.
//!
//! The jump is made in the daemon's one reading of the wall clock: nothing else of the machine notices.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tabletd::model::TabletKey;
use tabletd::storage::ReadFrom;

use super::promises::{Owed, Promise, settle};
use super::rig::Rig;
use crate::disk::rules::{Action, On, Rule};
use crate::harness::Daemon;
use crate::mounts::FsKind;
use crate::scenario::{Bench, Need, Scale, Scenario};

const NEEDS: &[Need] = &[Need::FaultInjection, Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)];

pub(super) const SCENARIOS: &[Scenario] =
    &[Scenario { name: "the wall clock jumps by ten years", needs: NEEDS, run: jumps }];

const TEN_YEARS_MS: i64 = 10 * 365 * 86_400_000;

/// When the clock jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    DuringCopy,
    BetweenAttempts,
    BetweenStarts,
    OverTrash,
}

impl When {
    const ALL: [Self; 4] = [Self::DuringCopy, Self::BetweenAttempts, Self::BetweenStarts, Self::OverTrash];
}

fn jumps(bench: &mut Bench<'_>) -> io::Result<()> {
    let rounds = if bench.scale == Scale::Short { 1 } else { 25 };
    for _ in 0..rounds {
        for by_ms in [TEN_YEARS_MS, -TEN_YEARS_MS] {
            let mut stage = Stage::new(bench)?;
            for when in When::ALL {
                let found = stage.jump(when, by_ms)?;
                let found = found.map_err(|what| format!("{when:?}, by {by_ms} ms: {what}"));
                let broken = found.is_err();
                bench.count(found, |dir| stage.rig.save(dir))?;
                if broken {
                    break;
                }
            }
        }
    }
    Ok(())
}

struct Stage {
    rig: Rig,
    key: TabletKey,
    at: usize,
    clock: PathBuf,
}

impl Stage {
    fn new(bench: &Bench<'_>) -> io::Result<Self> {
        let mut rig = Rig::new(bench, FsKind::Ext4)?;
        rig.set("disk_rate_limit_bytes_per_sec = 3000000\nmigration_retry_backoff_ms = 500");
        rig.set("min_garbage_sweep_interval = 1\nmax_garbage_sweep_interval = 1");
        let key = rig.node.add_tablet(0, 1, &[1_500_000, 5000]);
        crate::harness::make_root(&rig.node.roots[1]);
        let clock = rig.node.dir.path().join("clock");
        rig.node.env.push(("TABLETD_CLOCK_FILE", clock.display().to_string()));
        rig.mark_base()?;
        Ok(Self { rig, key, at: 0, clock })
    }

    fn set_clock(&self, offset_ms: i64) -> io::Result<()> {
        std::fs::write(&self.clock, offset_ms.to_string())
    }

    /// One migration over one jump, and back. The outer error is the harness's.
    fn jump(&mut self, when: When, by_ms: i64) -> io::Result<Result<(), String>> {
        let to = 1 - self.at;
        self.set_clock(0)?;
        let mut daemon = self.start()?;
        let attempts_due = match when {
            When::BetweenAttempts => 2,
            _ => 1,
        };
        let faulty = (when == When::BetweenAttempts)
            .then(|| {
                let file = self.rig.node.tablet_dir(self.at, self.key).join("02000000_0.dat");
                let marker = &std::fs::read(file)?[..64];
                self.rig.disks.inject(self.at, Rule::next(On::Read, Action::Eio).only_holding(marker))
            })
            .transpose()?;
        let id = daemon.try_accept(self.key, &self.rig.node.disk(to)).map_err(io::Error::other)?;
        let reached = |migration: &Value| match when {
            When::DuringCopy | When::BetweenStarts => {
                migration["disk_verified_bytes"].as_u64() > Some(0)
                    || migration["disk_processed_bytes"].as_u64() > Some(200_000)
            }
            When::BetweenAttempts => migration["not_before"].is_string(),
            When::OverTrash => migration["status"] == "completed",
        };
        let seen = watch(&daemon, id, reached)?;
        if when == When::BetweenAttempts && seen["not_before"].is_null() {
            return Err(io::Error::other(format!("no second attempt: {seen:#}")));
        }
        drop(faulty);
        if when == When::BetweenStarts {
            daemon.kill();
            self.set_clock(by_ms)?;
            daemon = self.start()?;
        }
        self.set_clock(by_ms)?;
        let begun = Instant::now();
        let done = watch(&daemon, id, |migration| migration["status"] == "completed")?;
        if when == When::DuringCopy {
            self.set_clock(0)?;
        }
        if let Err(what) = judge(&done, begun.elapsed(), attempts_due, when) {
            return Ok(Err(format!("{what}: {done:#}")));
        }
        if let Err(what) = keeps_its_trash(&daemon) {
            return Ok(Err(what));
        }
        // Sweeps of the trash, by the jumped clock.
        std::thread::sleep(Duration::from_millis(2500));
        if let Err(what) = keeps_its_trash(&daemon) {
            return Ok(Err(what));
        }
        daemon.operate("/api/v1/trash/purge", &serde_json::json!({"all": true}));
        daemon.kill();
        // And back, while it was down.
        self.set_clock(0)?;
        self.at = to;
        let promise = Promise { id, key: self.key, to, accepted_at: 0, completed_at: Some(0) };
        let daemon = self.start()?;
        Ok(settle(&self.rig.node, daemon, &[&promise], Owed::Completed, ReadFrom::Cache))
    }

    fn start(&self) -> io::Result<Daemon> {
        self.rig.node.try_start().map_err(io::Error::other)
    }
}

/// Looks at a migration until it is as wanted, or has ended, or patience has.
fn watch(daemon: &Daemon, id: u64, wanted: impl Fn(&Value) -> bool) -> io::Result<Value> {
    let deadline = Instant::now() + super::PATIENCE;
    loop {
        let migration = daemon.try_get(&format!("/api/v1/migrations/{id}")).map_err(io::Error::other)?;
        let ended = matches!(migration["status"].as_str(), Some("completed" | "failed"));
        if wanted(&migration) || ended || Instant::now() > deadline {
            return Ok(migration);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// It completed as if nothing had been, and nothing it says about itself is impossible.
fn judge(done: &Value, waited: Duration, attempts: u64, when: When) -> Result<(), String> {
    crate::harness::check_counters(done)?;
    if done["status"] != "completed" {
        return Err(format!("not completed after {waited:?}"));
    }
    if done["attempts"].as_u64() > Some(attempts) && when != When::BetweenStarts {
        return Err(format!("more than {attempts} attempts"));
    }
    // A duration is measured by the clock that does not jump.
    let duration_ms = done["receipt"]["duration_ms"].as_u64();
    if duration_ms.is_none_or(|ms| ms > 60_000) {
        return Err(format!("a duration of {duration_ms:?} ms"));
    }
    Ok(())
}

/// Nothing was up for long enough for anything to be purged.
fn keeps_its_trash(daemon: &Daemon) -> Result<(), String> {
    let trash = daemon.try_get("/api/v1/trash")?;
    let items = trash["data"].as_array().map_or(&[][..], Vec::as_slice);
    match items.iter().find(|item| item["kept_because"] == "due") {
        _ if items.is_empty() => Err(format!("the retired source was purged: {trash}")),
        Some(item) => Err(format!("the retired source is due to be purged: {item}")),
        None => Ok(()),
    }
}
