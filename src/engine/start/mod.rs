//! The start: disks are opened, the journal is read, what was unfinished is settled, and the node goes to work.

mod handover;
mod outdated;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use handover::hands_over;
use outdated::distrust_if_outdated;

use super::ask::stop::settle_late_command;
use super::node::Node;
use super::parts::clock::now_ms;
use super::parts::counts::Counts;
use super::parts::disk::Disk;
use super::parts::flush::SyncCounts;
use super::parts::job::{Job, new_row};
use super::parts::journal_health::{report_journal, some_were_moved, warn_of_new_state_dir};
use super::parts::journal_thread::{JournalHandle, Loaded};
use super::parts::known_disks::KnownDisks;
use super::parts::reservation;
use super::parts::thread::{descriptor_limit, run_isolated};
use super::parts::undone::Left;
use super::recover::findings::{Ended, Findings, Promised, Settled};
use super::recover::open::open_and_scan;
use super::recover::verdicts::with_verdict;
use super::tend::{disk_list, gentle, housekeeping, last_seen, marks, speeds};
use crate::config::{self, BrokenDisks, Config};
use crate::engine::{damage, ledger, lost, recover, schedule, tasks, tidy};
use crate::fault;
use crate::journal::Origin;
use crate::model::{
    DiskIndex, DiskRef, DiskUuid, Failure, KnownBy, LedgerLine, Migration, MigrationId, Mode, Status,
    StepStatus, TabletKey, counted, counted_as,
};
use crate::rules::recovery::MigrationVerdict;
use crate::storage::{Dir, FileSystem, Owner, RootScan};

/// Why the daemon cannot start, one reason per line.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct StartError(Vec<String>);

impl From<String> for StartError {
    fn from(reason: String) -> Self {
        Self(vec![reason])
    }
}

impl From<Failure> for StartError {
    fn from(failure: Failure) -> Self {
        Self(vec![failure.message])
    }
}

/// Starts the engine.
///
/// # Errors
/// Every reason at once: broken disks (unless `ignore_broken_disk`), the journal, the state directory.
pub(crate) fn start(loaded: config::Loaded) -> Result<Arc<Node>, StartError> {
    let config = loaded.config;
    warn_of_few_descriptors(&config);
    let disks = configured_disks(&loaded.roots, &config);
    // The state directory is touched on a thread of its own: should its disk hang, the port goes free with us.
    let state_dir = PathBuf::from(&config.state_dir);
    let (journal, mut remembered) = JournalHandle::start(&state_dir, config.finished_migration_tasks_size)?;
    report_journal(&remembered.opened.origin, &remembered.damaged_rows);
    let is_new = remembered.opened.origin == Origin::Created;
    let state_file_system = {
        let at = state_dir.clone();
        run_isolated("state-dir", move || Ok::<_, Failure>(FileSystem::of(&Dir::open_absolute(&at)?)?))??
    };
    let counts = Arc::new(SyncCounts::default());
    let found = {
        let (disks, config, counts) = (disks.clone(), config.clone(), Arc::clone(&counts));
        run_isolated("open-disks", move || open_disks(&state_dir, &disks, &config, &counts))??
    };
    refuse_broken(&disks, config.ignore_broken_disk, found.standing)?;
    if is_new && found.scans.iter().flatten().any(|scan| !scan.records.is_empty()) {
        warn_of_new_state_dir(&config);
    }
    let next_free = highest_staged(&found.scans);
    distrust_if_outdated(&journal, &mut remembered, next_free)?;
    journal.health.found(&remembered.opened.origin, next_free.is_some() || some_were_moved(&found.scans));
    if let Some(id) = next_free {
        journal.raise_next_id(id)?;
        fault::point("next_id_raised");
    }
    let (lost, uptime_sec) = (found.lost.clone(), remembered.uptime_seconds);
    let known = known_of_staged(&journal, &remembered, &found.scans);
    let ledger = std::mem::take(&mut remembered.ledger);
    let known_for_ever = Arc::new(if fault::is_left_out("ledger") { Vec::new() } else { ledger });
    let settled = settle(&disks, found, &mut remembered, known, &known_for_ever)?;
    let Settled { catalog, migrations, accept_again, quarantined, undone } = settled;
    let node = Arc::new(Node::new(config, disks, catalog, journal, state_file_system, uptime_sec, counts));
    *node.be_conf() = loaded.be_conf.into();
    node.undone.take_over(undone);
    ledger::catch_up(&node, &known_for_ever);
    drop(known_for_ever);
    node.counts.quarantined.store(quarantined, Ordering::Relaxed);
    {
        let keep = node.config().finished_migration_tasks_size as usize;
        let mut board = node.board();
        remembered.finished.into_iter().rev().for_each(|migration| board.remember(migration, keep));
    }
    for (migration, verdict) in migrations {
        take_up(&node, migration, verdict);
    }
    accept_promised(&node, accept_again)?;
    say_what_there_is(&node);
    marks::take_up(&node, remembered.marks);
    damage::take_up(&node, remembered.checks);
    tasks::take_up(&node, remembered.tasks);
    lost::end_those_of_lost_disks(&node, &lost);
    go_to_work(&node)?;
    Ok(node)
}

/// Sets everybody to work, once all is in its place.
fn go_to_work(node: &Arc<Node>) -> Result<(), Failure> {
    gentle::name_strangers(node);
    schedule::start(node, settle_late_command)?;
    tasks::start_feeding(node)?;
    housekeeping::start(node)?;
    last_seen::write(node);
    disk_list::spread(node);
    speeds::start(node)
}

fn warn_of_few_descriptors(config: &Config) {
    let descriptors = descriptor_limit();
    if descriptors < config.min_file_descriptor_number {
        tracing::warn!(
            "open files: {descriptors} allowed, min_file_descriptor_number is {}",
            config.min_file_descriptor_number
        );
    }
}

/// What the disks hold.
struct Found {
    /// Of each disk; `None` where it could not be opened.
    scans: Vec<Option<RootScan>>,
    /// Disks that are not here, and what was last seen on each.
    last_seen: Vec<(DiskRef, Vec<(TabletKey, u64)>)>,
    /// Disks that were given up.
    lost: BTreeSet<DiskUuid>,
    standing: Standing,
}

/// Whether disks are known from a run before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    New,
    HasRun,
}

fn open_disks(
    state_dir: &Path,
    disks: &[Arc<Disk>],
    config: &Config,
    counts: &Arc<SyncCounts>,
) -> Result<Found, String> {
    let paths: Vec<_> = disks.iter().map(|disk| disk.path.as_str()).collect();
    let mut known = KnownDisks::load_or_find(state_dir, &paths)?;
    let standing = if known.is_empty() { Standing::New } else { Standing::HasRun };
    let scans = open_and_scan(disks, &mut known, config, counts)?;
    let scanned = disks.iter().zip(&scans).filter(|(_, scan)| scan.is_some());
    let here: HashSet<_> = scanned.filter_map(|(disk, _)| Some(disk.opened.get()?.identity.uuid)).collect();
    let away = known.seen().filter(|disk| !here.contains(&disk.uuid));
    let last_seen = away.map(|disk| {
        let tablets = last_seen::read(state_dir, disk.uuid);
        (disk, tablets)
    });
    Ok(Found { scans, last_seen: last_seen.collect(), lost: known.lost().collect(), standing })
}

/// Settles what the disks hold, on a thread that has a descriptor table of its own.
fn settle(
    disks: &[Arc<Disk>],
    found: Found,
    remembered: &mut Loaded,
    known: Known,
    ledger: &Arc<Vec<LedgerLine>>,
) -> Result<Settled, Failure> {
    let (disks, ledger, uptime_sec) = (disks.to_vec(), Arc::clone(ledger), remembered.uptime_seconds);
    let (unfinished, finished) = (std::mem::take(&mut remembered.unfinished), remembered.finished.clone());
    run_isolated("recovery", move || {
        for (disk, scan) in disks.iter().zip(&found.scans) {
            scan.iter().for_each(|scan| disk.note_scan(scan));
        }
        recover::settle(Findings {
            disks: &disks,
            scans: &found.scans,
            unfinished,
            finished: &finished,
            ledger: &ledger,
            ended: &known.ended,
            unreadable_rows: &known.unreadable_rows,
            last_seen: found.last_seen,
            uptime_sec,
            lost: &found.lost,
        })
    })
}

fn say_what_there_is(node: &Node) {
    let disks = node.disks.iter().filter(|disk| disk.opened.get().is_some()).count();
    let (tablets, unavailable) = {
        let catalog = node.catalog();
        (catalog.len(), catalog.unavailable_count())
    };
    let going_on = node.board().alive.len();
    tracing::info!(
        "{} on {}, {unavailable} unavailable, {}",
        counted(tablets, "tablet"),
        counted(disks, "disk"),
        counted_as(going_on, "migration goes on", "migrations go on")
    );
}

fn configured_disks(roots: &config::StorageRoots, config: &Config) -> Vec<Arc<Disk>> {
    let mut disks: Vec<Arc<Disk>> = Vec::new();
    let mut add = |path: &str, medium, broken: Option<&str>| {
        let Ok(index) = u16::try_from(disks.len()) else { return };
        let rate = super::parts::limits::disk_rate(config, path);
        let disk = Disk::new(DiskIndex(index), path.to_owned(), medium, rate);
        if let Some(why) = broken {
            disk.mark_broken(why);
        }
        disks.push(Arc::new(disk));
    };
    for root in &roots.roots {
        let listed = config::parse_broken_storage_path(&config.broken_storage_path).contains(&root.path);
        let broken =
            listed.then_some("it is listed in broken_storage_path; remove it there once it is mended");
        add(&root.path, root.medium, broken);
    }
    for entry in &roots.broken {
        let (path, medium) =
            entry.spec.as_ref().map_or((entry.entry.as_str(), crate::model::Medium::Hdd), |spec| {
                (spec.path.as_str(), spec.medium)
            });
        add(path, medium, Some(&entry.reason));
    }
    disks
}

/// A node that has run here starts even with no disk at all: what its disks are refused for names verbs, and a verb wants a
/// daemon that runs. At a first start it would hide a slip in the configuration.
fn refuse_broken(disks: &[Arc<Disk>], broken: BrokenDisks, standing: Standing) -> Result<(), StartError> {
    let conditions: Vec<_> = disks.iter().map(|disk| (disk, disk.condition(Duration::MAX))).collect();
    let reasons: Vec<_> = conditions
        .iter()
        .filter(|(_, condition)| !condition.is_readable())
        .map(|(disk, condition)| format!("{}: {}", disk.path, condition.reason()))
        .collect();
    if reasons.len() == disks.len() {
        let why = match (broken, standing) {
            (_, Standing::New) => "no disk can serve; mend one of them",
            (BrokenDisks::RefuseStart, Standing::HasRun) => {
                "no disk can serve; mend them, or set ignore_broken_disk = true: the daemon then starts without them, \
                 serves nothing, and takes the verbs named above"
            }
            (BrokenDisks::LeaveOut, Standing::HasRun) => {
                tracing::error!(
                    "no disk can serve: nothing is served until one is mounted again, replaced or registered; tabletctl \
                     disks says what each one waits for"
                );
                return Ok(());
            }
        };
        return Err(StartError([reasons, vec![why.to_owned()]].concat()));
    }
    // Nothing is missing where the disk that it is a copy of serves.
    let is_missing = conditions.iter().any(|(disk, condition)| !condition.is_readable() && !disk.is_copy());
    if broken == BrokenDisks::RefuseStart && is_missing {
        let way_out = "mend them, or set ignore_broken_disk = true to start with the others".to_owned();
        return Err(StartError([reasons, vec![way_out]].concat()));
    }
    Ok(())
}

fn highest_staged(scans: &[Option<RootScan>]) -> Option<MigrationId> {
    let staged = scans.iter().flatten().flat_map(|scan| &scan.staging);
    let owners = staged.filter_map(|item| item.owner.as_ref()?.migration_id);
    let notes = scans
        .iter()
        .flatten()
        .flat_map(|scan| &scan.trash)
        .filter_map(|item| item.note.as_ref()?.migration_id);
    owners.chain(notes).max()
}

/// What the journal knows of the migrations that left something in staging.
struct Known {
    ended: HashMap<MigrationId, Ended>,
    /// Their rows are there and cannot be read: whether they have ended, and what they waited for, is not known.
    unreadable_rows: HashSet<MigrationId>,
}

fn known_of_staged(journal: &JournalHandle, remembered: &Loaded, scans: &[Option<RootScan>]) -> Known {
    let how = |migration: &Migration| match migration.status {
        Status::Completed => Ended::Completed,
        _ => Ended::Undone,
    };
    let lost_its_end = remembered.opened.origin.lost_its_end();
    let ended = remembered.finished.iter().map(|migration| (migration.id, how(migration)));
    let ended = ended.filter(|(_, how)| !lost_its_end || *how == Ended::Completed).collect();
    let mut known = Known { ended, unreadable_rows: HashSet::new() };
    let staged = scans.iter().flatten().flat_map(|scan| &scan.staging);
    for id in staged.filter_map(|item| item.owner.as_ref()?.migration_id) {
        if known.ended.contains_key(&id) {
            continue;
        }
        match journal.get(id) {
            // A journal that lost its end may have forgotten that this one was to be tried again.
            Ok(Some(migration)) if lost_its_end && migration.status != Status::Completed => {}
            Ok(Some(migration)) if migration.status.is_final() => {
                known.ended.insert(id, how(&migration));
            }
            Ok(Some(_)) => {}
            // Given out by this very journal, and forgotten since: only what has ended is.
            Ok(None) if (remembered.opened.history_from..remembered.opened.next_id).contains(&id) => {
                known.ended.insert(id, Ended::Completed);
            }
            Ok(None) => {}
            Err(failure) => {
                tracing::error!(migration = %id, "what it staged is kept, and it does not go on: {failure}");
                known.unreadable_rows.insert(id);
            }
        }
    }
    known
}

/// Puts an unfinished migration back on the board, or ends it.
fn take_up(node: &Arc<Node>, mut migration: Migration, verdict: MigrationVerdict) {
    end_open_step(&mut migration, verdict);
    // A start has seen what the disks hold, or waits for one that can tell.
    migration.steering.in_doubt_since_ms = None;
    let key = migration.key;
    let entry = node.catalog().get(key).copied();
    let size_bytes = entry.map_or(migration.counters.total_bytes, |entry| entry.size_bytes);
    let id = migration.id;
    let destination = migration.destination.uuid;
    let job = Arc::new(Job::new(migration, size_bytes, &node.events));
    if let (MigrationVerdict::GoOn, Some(disk)) = (verdict, node.disk_by_uuid(destination)) {
        reservation::reserve(disk, &job, entry.as_ref());
    }
    {
        let mut board = node.board();
        board.latest.insert(key, id);
        board.alive.insert(id, Arc::clone(&job));
    }
    with_verdict(node, &job, verdict, "found unfinished at the start; goes on");
}

/// A step that the daemon did not live to end has ended all the same.
fn end_open_step(migration: &mut Migration, verdict: MigrationVerdict) {
    let Some(step) = migration.steps.last_mut().filter(|step| step.status == StepStatus::Running) else {
        return;
    };
    let (status, text) = match verdict {
        MigrationVerdict::Complete => (StepStatus::Done, "found done at a start of the daemon"),
        _ => (StepStatus::Error, "the daemon ended in the middle of it"),
    };
    (step.status, step.ended_ms) = (status, Some(now_ms()));
    migration.log(now_ms(), text);
}

/// Accepts again what was promised, each before its staging goes: that alone still says so. A kill in between leaves it
/// to the next start, which finds the tablet taken and only removes the staging.
fn accept_promised(node: &Arc<Node>, promised: Vec<Promised>) -> Result<(), Failure> {
    let mut kept = Vec::new();
    for Promised { owner, disk, name, staged } in promised {
        match accept(node, &owner) {
            Ok(id) => {
                let left = Left::new(staged, 0, "its migration is accepted under a new number");
                kept.push((disk, name, id, left));
            }
            Err(failure) => {
                let id = owner.migration_id.map(|id| format!(" {id}")).unwrap_or_default();
                tracing::error!(
                    tablet = %owner.key,
                    "migration{id} is not accepted again, and what it staged on {} is kept: {failure}",
                    owner.destination.path
                );
            }
        }
    }
    fault::point("promises_accepted");
    let at = Arc::clone(node);
    run_isolated("promised", move || {
        for (disk, name, id, left) in kept {
            let disk = at.disk(disk);
            if id.is_some_and(|id| hands_over(disk, &name, id)) {
                continue;
            }
            // What fails is left undone, named, and tried again by the sweep.
            drop(tidy::try_again(&at, disk, left));
        }
    })
}

/// Accepts again what a staging directory says was promised, after the journal was lost. The migration that goes on with
/// it, if any.
fn accept(node: &Arc<Node>, owner: &Owner) -> Result<Option<MigrationId>, Failure> {
    let Some(source) = owner.source.clone() else { return Ok(None) };
    let Some(entry) = node.catalog().get(owner.key).copied() else { return Ok(None) };
    if let Some(id) = entry.migration() {
        // A start that was killed after it had accepted it.
        let is_it = |row: &Migration| {
            row.steering.known_by == KnownBy::Staging
                && (row.source.uuid, row.destination.uuid) == (source.uuid, owner.destination.uuid)
        };
        return Ok(node.job(id).is_some_and(|job| is_it(&job.lock())).then_some(id));
    }
    let mut row = new_row(owner.key, source, owner.destination.clone(), entry.size_bytes, entry.file_count);
    let asked = owner.asked.clone();
    let mode = asked.as_ref().map_or(Mode::Auto, |asked| asked.mode);
    row.mode = mode;
    row.steering.requested_by = asked.map(|asked| asked.by).unwrap_or_default();
    row.steering.known_by = KnownBy::Staging;
    row.status_reason = format!(
        "the journal was lost; accepted again from what its staging directory says, to wait for a cutover (asked for as \
         {})",
        mode.as_str()
    );
    row.id = node.journal.accept(row.clone())?;
    Counts::add(&node.counts.accepted);
    tracing::warn!(migration = %row.id, tablet = %row.key, "{}", row.status_reason);
    let id = row.id;
    take_up(node, row, MigrationVerdict::GoOn);
    Ok(Some(id))
}
