//! What an operator types, as calls of the engine. A refusal is an answer like any other.

use std::time::Duration;

use tabletd::engine::{
    Adopt, Contract as _, Destination, Engine, GiveUp, Heal, NewTask, Older, OperationView, Persistence,
    Precondition, PurgeSelect, QuarantineFilter, Restore, RestoreQuarantined, Submit, UnrecordedFilter,
};
use tabletd::model::{
    DiskCondition, DrainMedia, Failure, Medium, MigrationId, Mode, MoveOptions, OperationState,
    PlanCompleteness, Priority, TabletKey, TaskRequest,
};

use crate::event::{Order, Steer};
use crate::life::{note, notes};
use crate::world::path_of;

const WHO: &str = "operator";

/// Gives an order. What was answered.
pub(crate) fn give(engine: &Engine, order: &Order, keys: &[TabletKey]) -> String {
    let answer = match order {
        Order::Move { tablet, to, mode } => submit(engine, keys[*tablet], path_of(*to), *mode),
        Order::Steer { which, how } => steer(engine, *which, *how),
        Order::Drain { disk } => drain(engine, path_of(*disk)),
        Order::Heal { tablet, to } => {
            heal_to(engine, keys[*tablet], to.map(path_of), Older::Leave).map(|view| begun(&view))
        }
        Order::Restore { tablet } => restore(engine, keys[*tablet], Older::Leave).map(|view| begun(&view)),
        Order::Purge => engine.purge(&PurgeSelect::default(), WHO).map(|view| begun(&view)),
        Order::Verify { tablet } => engine.verify(keys[*tablet]).map(|_| "begun".to_owned()),
        Order::Disable { disk } => {
            engine.disable_disk(&path_of(*disk), WHO.to_owned(), String::new()).map(|_| "disabled".to_owned())
        }
        Order::Enable { disk } => engine.enable_disk(&path_of(*disk)).map(|_| "enabled".to_owned()),
        Order::Forget { disk } => engine.forget_disk(&path_of(*disk)).map(|()| "forgotten".to_owned()),
        Order::GiveUp { disk } => give_up(engine, &path_of(*disk), Older::Leave, Engine::forget_lost_disk),
        Order::Replace { disk } => give_up(engine, &path_of(*disk), Older::Leave, Engine::replace_disk),
        Order::Register { disk } => {
            engine.register_disk(&path_of(*disk), Medium::Ssd).map(|_| "registered".to_owned())
        }
        Order::ShortHistory => {
            let set = engine.set_config("finished_migration_tasks_size", "1", Persistence::Kept);
            note("short history".to_owned());
            return set.map_or_else(|error| error.to_string(), |()| "set".to_owned());
        }
    };
    answer.unwrap_or_else(|failure| format!("refused: {}", failure.message))
}

fn begun(operation: &OperationView) -> String {
    format!("operation {}", operation.id)
}

fn submit(engine: &Engine, key: TabletKey, to: String, mode: Mode) -> Result<String, Failure> {
    let request = Submit {
        key,
        destination: Destination::Disk(to),
        mode,
        priority: Priority::default(),
        reason: "simulated".to_owned(),
        task: None,
        rate_bytes_per_sec: None,
        requested_by: WHO.to_owned(),
        idempotency: None,
        reverts: None,
        precondition: Precondition::default(),
    };
    let migration = engine.submit(&request)?;
    note(format!("accepted {}", migration.id));
    Ok(format!("accepted {}", migration.id))
}

fn steer(engine: &Engine, which: usize, how: Steer) -> Result<String, Failure> {
    let accepted: Vec<u64> =
        notes().iter().filter_map(|note| note.strip_prefix("accepted ")?.parse().ok()).collect();
    let Some(id) = accepted.iter().rev().nth(which).or(accepted.last()).copied().map(MigrationId) else {
        return Ok("nothing to steer".to_owned());
    };
    let migration = match how {
        Steer::Abort => engine.abort(id),
        Steer::Pause => engine.pause(id),
        Steer::Resume => engine.resume(id),
        Steer::Retry => engine.retry(id),
        Steer::Cutover => engine.cutover(id),
        Steer::ForceComplete => engine.force_complete(id),
        Steer::Revert => engine.revert(id, WHO),
        Steer::Rate => engine.set_rate(id, 50_000_000),
        Steer::Settle => engine.settle(id),
    }?;
    if migration.id != id {
        note(format!("accepted {}", migration.id));
    }
    Ok(format!("{how:?} {id}: {}", migration.status))
}

fn drain(engine: &Engine, disk: String) -> Result<String, Failure> {
    let task = NewTask {
        name: "drain".to_owned(),
        request: TaskRequest::Drain { disks: vec![disk], media: DrainMedia::Any },
        completeness: PlanCompleteness::WhatFits,
        fingerprint: None,
        options: MoveOptions::default(),
        reason: "simulated".to_owned(),
        idempotency: None,
    };
    let view = engine.create_task(&task)?;
    engine.start_task(view.task.id).map(|view| format!("task {}", view.task.id))
}

/// `tablet heal`.
pub(crate) fn heal(engine: &Engine, key: TabletKey, older: Older) -> Result<OperationView, Failure> {
    heal_to(engine, key, None, older)
}

/// `tablet heal --to`.
pub(crate) fn heal_to(
    engine: &Engine,
    key: TabletKey,
    to: Option<String>,
    older: Older,
) -> Result<OperationView, Failure> {
    engine.heal(&Heal {
        tablet_id: key.tablet_id,
        schema_hash: Some(key.schema_hash),
        to,
        older,
        requested_by: WHO.to_owned(),
    })
}

/// `trash restore`.
pub(crate) fn restore(engine: &Engine, key: TabletKey, older: Older) -> Result<OperationView, Failure> {
    engine.restore(&Restore { key, from: None, header: None, to: None, older, requested_by: WHO.to_owned() })
}

/// `disk forget --lost` and `disk replace`: first the look, then what it says confirmed.
pub(crate) fn give_up(
    engine: &Engine,
    path: &str,
    older: Older,
    verb: impl Fn(&Engine, &GiveUp) -> Result<tabletd::engine::Loss, Failure>,
) -> Result<String, Failure> {
    let mut request =
        GiveUp { path: path.to_owned(), older, dry_run: true, confirm: None, by: WHO.to_owned() };
    let loss = verb(engine, &request)?;
    (request.dry_run, request.confirm) = (false, Some(loss.confirmation()));
    let loss = verb(engine, &request)?;
    Ok(format!("given up with {} tablets", loss.tablets.len()))
}

/// Waits for an operation's end. What it came to.
pub(crate) fn follow(engine: &Engine, begun: Result<OperationView, Failure>) -> String {
    let begun = match begun {
        Ok(begun) => begun,
        Err(failure) => return failure.message,
    };
    for _ in 0..600 {
        match engine.operation(begun.id) {
            Ok(view) if view.state != OperationState::Running => {
                return format!(
                    "{:?} {}",
                    view.state,
                    view.failure.map_or_else(String::new, |failure| failure.message)
                );
            }
            Ok(_) => std::thread::sleep(Duration::from_millis(100)),
            Err(failure) => return failure.message,
        }
    }
    "the operation does not end".to_owned()
}

/// `tablet adopt` and `quarantine restore`, of all there is of a tablet.
pub(crate) fn adopt(engine: &Engine, key: TabletKey, older: Older) -> String {
    let mut answers = Vec::new();
    for _ in 0..600 {
        let is_looked_through = |disk: &tabletd::engine::DiskView| {
            !disk.condition.is_readable() || disk.unrecorded.not_looked_at.is_none()
        };
        if engine.disks().iter().all(is_looked_through) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let filter = UnrecordedFilter { tablet_id: Some(key.tablet_id), ..UnrecordedFilter::default() };
    for left in engine.unrecorded(&filter).map(|page| page.items).unwrap_or_default() {
        let request = Adopt { path: left.path, header: None, to: None, older, requested_by: WHO.to_owned() };
        answers.push(follow(engine, engine.adopt(&request)));
    }
    let filter =
        QuarantineFilter { tablet_id: Some(key.tablet_id), limit: 100, ..QuarantineFilter::default() };
    for aside in engine.quarantine(&filter).map(|page| page.items).unwrap_or_default() {
        let request = RestoreQuarantined {
            disk: aside.disk,
            entry: aside.entry,
            to: None,
            older,
            requested_by: WHO.to_owned(),
        };
        answers.push(follow(engine, engine.restore_quarantined(&request)));
    }
    answers.join("; ")
}

/// `disk enable`, of all that are out of service. How many are in service again.
pub(crate) fn enable_all(engine: &Engine) -> usize {
    let is_out = |condition: &DiskCondition| {
        matches!(condition, DiskCondition::Disabled { .. } | DiskCondition::Suspect { .. })
    };
    let disks = engine.disks().into_iter().filter(|disk| is_out(&disk.condition));
    disks.filter(|disk| engine.enable_disk(&disk.path).is_ok()).count()
}

/// Gives up what is not here: by replacing where a blank disk stands there.
pub(crate) fn give_up_all(engine: &Engine, older: Older) -> String {
    let mut answers = Vec::new();
    for disk in engine.disks() {
        if matches!(disk.condition, DiskCondition::Broken { .. }) {
            let replaced = give_up(engine, &disk.path, older, Engine::replace_disk);
            let done = replaced.or_else(|_| give_up(engine, &disk.path, older, Engine::forget_lost_disk));
            answers.push(done.unwrap_or_else(|failure| failure.message));
        }
    }
    answers.join("; ")
}
