//! What must be true of a node whose disks are well: what was accepted comes to an end, what is owed is served or one verb
//! away from it, and what was acknowledged is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tabletd::engine::{Contract as _, Engine, MigrationFilter, Older, OperationView, waits_at_gate};
use tabletd::model::{Failure, Migration, MigrationId, Status, TabletKey};

use crate::life::{Verbs, note, notes};
use crate::machine::disk::Disk;
use crate::machine::threads::inside;
use crate::operator;
use crate::rng::Rng;
use crate::world::{disk_in, good_copies_on, path_of, read_all};

/// What was put in.
pub(crate) type Tablets = BTreeMap<TabletKey, Vec<(String, Vec<u8>)>>;

/// What a refusal says whose cause goes away by itself.
const BUSY_WORDS: [&str; 3] = ["is being", "has it", "is under way"];
/// How often a verb is tried again while something else has the tablet.
const PATIENCE: usize = 120;

/// Judges; on the way gates are opened and verbs typed.
pub(crate) fn judge(
    engine: &Engine,
    tablets: &Tablets,
    owed: &BTreeSet<TabletKey>,
    verbs: Verbs,
    rng: &mut Rng,
) -> Result<(), String> {
    let slots = (0..8).filter(|slot| is_here(engine, *slot)).collect::<Vec<_>>();
    let with_disk = |slot: usize, look: &dyn Fn(&Disk) -> BTreeSet<TabletKey>| {
        inside(|machine| look(&machine.files.disks[disk_in(slot)]))
    };
    let good = |slot: &usize| with_disk(*slot, &|disk| good_copies_on(disk, tablets));
    let here: BTreeSet<_> = slots.iter().flat_map(good).collect();
    let owed: BTreeSet<_> = owed.intersection(&here).copied().collect();
    let open = all_end(engine, rng)?;
    if verbs == Verbs::Tried {
        // As its operator would: what never comes back is given up, unless something older would be served.
        operator::give_up_all(engine, Older::Leave);
    }
    for key in &owed {
        served(engine, tablets, *key, verbs)?;
    }
    remembered(engine)?;
    inside(|machine| {
        let stale =
            |note: &String| ["here ", "waits ", "not served "].iter().any(|kind| note.starts_with(kind));
        machine.notes.retain(|note| !stale(note));
    });
    slots.iter().for_each(|slot| note(format!("here {slot}")));
    open.iter().for_each(|id| note(format!("waits {id}")));
    tablets.keys().filter(|key| !owed.contains(key)).for_each(|key| note(format!("not served {key}")));
    Ok(())
}

fn is_here(engine: &Engine, slot: usize) -> bool {
    let path = path_of(slot);
    engine.disks().iter().any(|disk| disk.path == path && disk.condition.is_readable())
}

/// Opens gates and lets go on what is paused, or calls it off, until nothing goes on by itself. What is left waits for a disk
/// that never comes back.
fn all_end(engine: &Engine, rng: &mut Rng) -> Result<Vec<MigrationId>, String> {
    let cuts_over = rng.coin();
    let mut open: Vec<Migration> = Vec::new();
    for _ in 0..300 {
        let page = engine.migrations(&MigrationFilter::default()).map_err(|failure| failure.message)?;
        open = page.items.into_iter().filter(|migration| !migration.status.is_final()).collect();
        if open.is_empty() {
            return Ok(Vec::new());
        }
        for migration in &open {
            let is_waiting = migration.status == Status::Paused || waits_at_gate(migration);
            let _ = match (is_waiting, cuts_over, migration.status) {
                (false, ..) => continue,
                (true, false, _) => engine.abort(migration.id),
                (true, true, Status::Paused) => engine.resume(migration.id),
                (true, true, _) => engine.force_complete(migration.id),
            };
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    // What waits for a disk that is gone for good ends when an operator says so.
    for migration in &open {
        let _ = engine.settle(migration.id).or_else(|_| engine.abort(migration.id));
    }
    std::thread::sleep(Duration::from_secs(30));
    let page = engine.migrations(&MigrationFilter::default()).map_err(|failure| failure.message)?;
    open = page.items.into_iter().filter(|migration| !migration.status.is_final()).collect();
    let all_here = engine.disks().iter().all(|disk| disk.condition.is_readable());
    match open.first() {
        Some(first) if all_here => {
            Err(format!("migration {} never ends: {} {:?}", first.id, first.status, first))
        }
        _ => Ok(open.iter().map(|migration| migration.id).collect()),
    }
}

/// Served with the bytes that were put in, or so after one verb.
fn served(engine: &Engine, tablets: &Tablets, key: TabletKey, verbs: Verbs) -> Result<(), String> {
    for _ in 0..PATIENCE {
        let why = match is_served(engine, tablets, key) {
            Ok(()) => return Ok(()),
            // Nothing in here flips a bit: wrong bytes that are not said to be wrong are the program's.
            Err(NotServed::WrongBytes(dir)) => {
                return Err(format!("{dir} is served as tablet {key} and has other bytes than were put in"));
            }
            Err(NotServed::Said(why)) => why,
        };
        if verbs == Verbs::Done {
            return Err(format!("tablet {key} was served and is not: {why}"));
        }
        let mut answers = Vec::new();
        for (name, verb) in the_verbs() {
            answers.push(format!("  {name}: {}", verb(engine, key)));
            if is_served(engine, tablets, key).is_ok() {
                return Ok(());
            }
        }
        let said = answers.join("\n");
        // Nobody would think of it, had no refusal named it.
        if said.contains("tabletctl disk enable") && operator::enable_all(engine) > 0 {
            continue;
        }
        if !BUSY_WORDS.iter().any(|word| said.contains(word)) {
            return Err(format!("tablet {key} is not served ({why}), and no verb helps:\n{said}"));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Err(format!("tablet {key} is busy for ever"))
}

type Verb = fn(&Engine, TabletKey) -> String;

fn the_verbs() -> [(&'static str, Verb); 8] {
    [
        ("tablet heal", |engine, key| twice(engine, || operator::heal(engine, key, Older::Leave))),
        ("trash restore", |engine, key| twice(engine, || operator::restore(engine, key, Older::Leave))),
        ("tablet heal --to DISK", |engine, key| heal_elsewhere(engine, key, Older::Leave)),
        ("tablet adopt", |engine, key| operator::adopt(engine, key, Older::Leave)),
        ("disk forget --lost", |engine, _| operator::give_up_all(engine, Older::Leave)),
        ("tablet heal --accept-older", |engine, key| heal_elsewhere(engine, key, Older::Serve)),
        ("tablet adopt --accept-older", |engine, key| operator::adopt(engine, key, Older::Serve)),
        ("disk forget --lost --accept-older", |engine, _| operator::give_up_all(engine, Older::Serve)),
    ]
}

/// Two operators at once.
fn twice(engine: &Engine, verb: impl Fn() -> Result<OperationView, Failure>) -> String {
    let (one, other) = (verb(), verb());
    format!("{}; {}", operator::follow(engine, one), operator::follow(engine, other))
}

fn heal_elsewhere(engine: &Engine, key: TabletKey, older: Older) -> String {
    let mut answers = vec![operator::follow(engine, operator::heal(engine, key, older))];
    for disk in engine.disks() {
        answers.push(operator::follow(engine, operator::heal_to(engine, key, Some(disk.path), older)));
    }
    answers.join("; ")
}

/// Why a tablet is not served.
enum NotServed {
    /// As the node says.
    Said(String),
    /// The node says nothing of it: this directory.
    WrongBytes(String),
}

fn is_served(engine: &Engine, tablets: &Tablets, key: TabletKey) -> Result<(), NotServed> {
    let view = engine
        .tablet(key)
        .ok_or_else(|| NotServed::Said(engine.why_not_served(key.tablet_id, None).message))?;
    if let Some(why) = view.unavailable.or(view.damaged).or(view.unreadable) {
        return Err(NotServed::Said(why));
    }
    let dir = format!("{}/data/{}/{}/{}", view.disk, view.shard_id, key.tablet_id, key.schema_hash);
    let found = inside(|machine| {
        let (disk, rest) = machine.files.mount_of(dir.as_bytes()).ok()?;
        Some(read_all(&machine.files.disks[disk], std::str::from_utf8(rest).ok()?.trim_start_matches('/')))
    });
    if found.as_ref() == tablets.get(&key) { Ok(()) } else { Err(NotServed::WrongBytes(dir)) }
}

/// No journal was lost, and yet something is forgotten; or an acknowledged end is undone.
fn remembered(engine: &Engine) -> Result<(), String> {
    let notes = notes();
    if notes.iter().any(|note| note == "journal lost" || note == "short history") {
        return Ok(());
    }
    for note in &notes {
        let Some((what, id)) = note.split_once(' ') else { continue };
        let Some(id) = id.parse().ok().map(MigrationId) else { continue };
        let found = || engine.migration(id).map_err(|failure| failure.message);
        match what {
            "accepted" if found()?.is_none() => {
                return Err(format!("migration {id} was accepted and is forgotten"));
            }
            "completed" => match found()? {
                Some(migration) if migration.status == Status::Completed => {}
                other => return Err(format!("migration {id} was completed and is {other:?}")),
            },
            _ => {}
        }
    }
    Ok(())
}
