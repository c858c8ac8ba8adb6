//! Files of the daemon's own that are not as it wrote them: the journal, the metadata records, what stands in staging.
//!
//! Whatever they say, no tablet is harmed by it. A damaged record hides its own tablet and no other, is not deleted,
//! and with its bytes put right everything is as it was. Wants no root: the damage is done by the test.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tabletd::model::TabletKey;
use tabletd::storage::ReadFrom;

use crate::harness::{Daemon, Node, read_dir_names};
use crate::rng::Rng;
use crate::scenario::{Bench, Scale, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "a damaged journal", needs: &[], run: journals },
    Scenario { name: "a damaged metadata record", needs: &[], run: records },
    Scenario { name: "damage in staging", needs: &[], run: stagings },
];

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip {
        at: u64,
        bit: u8,
    },
    Truncate {
        to: u64,
    },
    /// A block that was never written.
    Zero {
        at: u64,
    },
    Gone,
}

impl Damage {
    fn some(rng: &mut Rng, len: u64) -> Self {
        let at = rng.below(len.max(1));
        match rng.below(8) {
            0..=3 => Self::Flip { at, bit: u8::try_from(rng.below(8)).expect("below 8") },
            4 | 5 => Self::Truncate { to: at },
            6 => Self::Zero { at: at - at % 512 },
            _ => Self::Gone,
        }
    }

    fn apply(self, path: &Path) -> io::Result<()> {
        if matches!(self, Self::Gone) {
            return fs::remove_file(path);
        }
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let len = file.metadata()?.len();
        match self {
            Self::Truncate { to } => file.set_len(to),
            Self::Zero { at } => {
                file.write_all_at(&vec![0; usize::try_from((len - at).min(512)).expect("a block")], at)
            }
            Self::Flip { at, bit } if at < len => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at)?;
                file.write_all_at(&[byte[0] ^ (1 << bit)], at)
            }
            Self::Flip { .. } | Self::Gone => Ok(()),
        }
    }
}

fn trials(bench: &Bench<'_>) -> u64 {
    if bench.scale == Scale::Short { 24 } else { 700 }
}

/// A node that was killed with migrations waiting, running and done.
fn killed_at_work(rng: &mut Rng) -> Result<(Node, Vec<TabletKey>), String> {
    let mut node = Node::new(2);
    node.settings = "disk_rate_limit_bytes_per_sec = 4000000\nmigration_retry_backoff_ms = 5".to_owned();
    let sizes: &[&[usize]] = &[&[5000], &[300_000, 5000], &[1_000_000], &[12_288, 0], &[400_000]];
    let keys: Vec<_> = sizes.iter().zip(1..).map(|(sizes, id)| node.add_tablet(0, id, sizes)).collect();
    let daemon = node.try_start()?;
    for &key in &keys[..4] {
        daemon.try_accept(key, &node.disk(1))?;
    }
    std::thread::sleep(Duration::from_micros(rng.below(150_000)));
    daemon.kill();
    node.settings.clear();
    Ok((node, keys))
}

fn save(node: &Node, dir: &Path) -> io::Result<()> {
    let from = node.dir.path();
    std::process::Command::new("cp").arg("-a").arg(from).arg(dir).status().map(drop)
}

/// Damages one file of the journal per trial.
fn journals(bench: &mut Bench<'_>) -> io::Result<()> {
    let mut rng = bench.rng();
    let (begun, wanted) = (Instant::now(), trials(bench));
    let (mut remembered, mut promised, mut refused) = (0, 0, 0);
    for _ in 0..wanted {
        let (node, _) = killed_at_work(&mut rng).map_err(io::Error::other)?;
        let state = node.dir.path().join("state");
        let files: Vec<_> =
            read_dir_names(&state).into_iter().filter(|name| name.starts_with("journal.db")).collect();
        let Some(name) = files.get(usize::try_from(rng.below(files.len().max(1) as u64)).expect("an index"))
        else {
            return Err(io::Error::other("there is no journal"));
        };
        let path = state.join(name);
        let damage = Damage::some(&mut rng, fs::metadata(&path)?.len());
        damage.apply(&path)?;
        let found = match after_journal_damage(&node, &state) {
            Ok(After { known, was_refused }) => {
                promised += 4;
                remembered += known;
                refused += u64::from(was_refused);
                Ok(())
            }
            Err(what) => Err(format!("{name}, {damage:?}: {what}")),
        };
        bench.count(found, |dir| save(&node, dir))?;
    }
    bench.board.pace(bench.name, "ms per trial", begun.elapsed(), usize::try_from(wanted).expect("a count"));
    bench.board.figure(bench.name, "migrations promised", f64::from(promised));
    bench.board.figure(bench.name, "of them still known", remembered as f64);
    bench.board.figure(bench.name, "starts refused until the journal was moved away", refused as f64);
    Ok(())
}

/// What was promised and is accepted again waits for an operator: waits until it does, and is one.
fn let_through(daemon: &Daemon) -> Result<(), String> {
    let deadline = Instant::now() + super::PATIENCE;
    loop {
        let open = daemon.try_get("/api/v1/migrations?phase=NEW,WORKING&limit=500")?;
        let open = open["data"].as_array().cloned().unwrap_or_default();
        let waits = |row: &&Value| {
            row["status"] == "ready" && row["status_reason"].to_string().contains("the journal was lost")
        };
        for row in open.iter().filter(waits) {
            let path = format!("/api/v1/migrations/{}/action", row["id"]);
            let (status, answer) = daemon.send(&path, &[], &json!({"cutover": null}));
            if status >= 300 {
                return Err(format!("not let through: {answer}"));
            }
        }
        match open.is_empty() {
            true => return Ok(()),
            false if Instant::now() > deadline => return Err(format!("{} never end", open.len())),
            false => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// What a start on a damaged journal came to.
struct After {
    /// Migrations it knows.
    known: usize,
    /// It did not start before the journal was moved away, and said why.
    was_refused: bool,
}

fn after_journal_damage(node: &Node, state: &Path) -> Result<After, String> {
    let (daemon, was_refused) = match node.try_start() {
        Ok(daemon) => (daemon, false),
        Err(said) if said.contains("journal") => {
            // A flipped bit in its version: the file of a newer release is not touched. What an operator then does:
            fs::rename(state, state.with_extension("aside")).map_err(|error| error.to_string())?;
            (node.try_start().map_err(|said| format!("nor without the journal: {said}"))?, true)
        }
        Err(said) => return Err(format!("did not start, and not for its journal: {said}")),
    };
    let_through(&daemon)?;
    let known = daemon.try_migrations()?.len();
    if daemon.said().contains("panicked") {
        return Err(format!("a thread panicked: {}", daemon.said()));
    }
    // Work goes on: every tablet can be moved, wherever it is.
    for key in node.expected.keys() {
        let moved = (0..2).find_map(|root| daemon.try_accept(*key, &node.disk(root)).ok());
        let id = moved.ok_or_else(|| format!("tablet {key} cannot be moved any more"))?;
        daemon.try_wait_until_idle(super::PATIENCE)?;
        let migration = daemon.try_get(&format!("/api/v1/migrations/{id}"))?;
        if migration["status"] != "completed" {
            return Err(format!("a later move of {key} did not complete: {migration:#}"));
        }
    }
    daemon.kill();
    node.examine(ReadFrom::Cache)?;
    match node.quarantined() {
        none if none.is_empty() => Ok(After { known, was_refused }),
        some => Err(format!("set aside, although no tablet was damaged: {some:?}")),
    }
}

/// Damages one metadata record per trial, looks at the node, and puts the bytes right.
fn records(bench: &mut Bench<'_>) -> io::Result<()> {
    let mut rng = bench.rng();
    let (begun, wanted) = (Instant::now(), trials(bench));
    let mut node = Node::new(2);
    let keys: Vec<_> =
        (1..=4).map(|id| node.add_tablet(usize::from(id % 2 == 0), id, &[5000, 12_288])).collect();
    node.try_start().map_err(io::Error::other)?.stop();
    for _ in 0..wanted {
        let victim = keys[usize::try_from(rng.below(4)).expect("an index")];
        let path = record_of(&node, victim)?;
        let before = fs::read(&path)?;
        let damage = Damage::some(&mut rng, before.len() as u64);
        damage.apply(&path)?;
        let after = fs::read(&path).ok();
        if after.as_deref() == Some(&before[..]) {
            continue;
        }
        let looked = hides_its_own_only(&node, victim, &keys, &path, after.as_deref());
        fs::write(&path, &before)?;
        let found = looked.and_then(|()| {
            node.try_start()?.stop();
            node.examine(ReadFrom::Cache).map(drop)
        });
        bench.count(found.map_err(|what| format!("{}, {damage:?}: {what}", path.display())), |dir| {
            save(&node, dir)
        })?;
    }
    bench.board.pace(bench.name, "ms per trial", begun.elapsed(), usize::try_from(wanted).expect("a count"));
    Ok(())
}

fn record_of(node: &Node, key: TabletKey) -> io::Result<PathBuf> {
    let paths = node.roots.iter().map(|root| root.join(format!("meta/{key}.json")));
    paths
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| io::Error::other(format!("no record of {key}")))
}

fn hides_its_own_only(
    node: &Node,
    victim: TabletKey,
    keys: &[TabletKey],
    path: &Path,
    damaged: Option<&[u8]>,
) -> Result<(), String> {
    let daemon = node.try_start().map_err(|said| format!("the daemon did not start: {said}"))?;
    let moved = (0..2).find_map(|root| daemon.try_accept(victim, &node.disk(root)).ok());
    if let Some(id) = moved {
        return Err(format!("a tablet with a damaged record was accepted as migration {id}"));
    }
    for key in keys.iter().filter(|key| **key != victim) {
        let view = daemon.try_get(&format!("/api/v1/tablets/{}", key.tablet_id))?;
        if !view["disk"].is_string() {
            return Err(format!("tablet {key} is hidden by the record of {victim}: {view}"));
        }
    }
    daemon.kill();
    if fs::read(path).ok().as_deref() != damaged {
        return Err("the damaged record was changed".to_owned());
    }
    Ok(())
}

/// Damages one file in staging per trial.
fn stagings(bench: &mut Bench<'_>) -> io::Result<()> {
    let mut rng = bench.rng();
    let (begun, wanted) = (Instant::now(), trials(bench));
    let mut tried = 0;
    for _ in 0..wanted {
        let (node, _) = killed_at_work(&mut rng).map_err(io::Error::other)?;
        let files: Vec<_> = walkdir::WalkDir::new(node.roots[1].join("migrating"))
            .into_iter()
            .flatten()
            .filter(|entry| entry.file_type().is_file())
            .map(walkdir::DirEntry::into_path)
            .collect();
        if files.is_empty() {
            continue;
        }
        let path = &files[usize::try_from(rng.below(files.len() as u64)).expect("an index")];
        let damage = Damage::some(&mut rng, fs::metadata(path)?.len());
        damage.apply(path)?;
        tried += 1;
        let found =
            after_staging_damage(&node).map_err(|what| format!("{}, {damage:?}: {what}", path.display()));
        bench.count(found, |dir| save(&node, dir))?;
    }
    bench.board.pace(bench.name, "ms per trial", begun.elapsed(), tried);
    Ok(())
}

fn after_staging_damage(node: &Node) -> Result<(), String> {
    let daemon = node.try_start().map_err(|said| format!("the daemon did not start: {said}"))?;
    daemon.try_wait_until_idle(super::PATIENCE)?;
    let migrations = daemon.try_migrations()?;
    let said = daemon.said();
    daemon.kill();
    let placement = node.examine(ReadFrom::Cache).map_err(|what| format!("{what}\n{said}"))?;
    for migration in &migrations {
        crate::harness::check_counters(migration)?;
        if migration["status"] != "completed" {
            return Err(format!("did not complete: {migration:#}"));
        }
    }
    let at_destination = placement.values().filter(|root| **root == 1).count();
    if at_destination == migrations.len() {
        Ok(())
    } else {
        Err(format!("{at_destination} tablets arrived, {} migrations completed", migrations.len()))
    }
}
