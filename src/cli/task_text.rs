//! What a task and its plan are in words: one line, a table of disks, a table of moves. Asks nobody and decides nothing.

use std::fmt::Write as _;
use std::time::Duration;

use super::table::{Align, Table, human_bytes};
use crate::api::wire::Task;
use crate::model::{
    BlockedMove, FailedMove, PlanOutcome, TaskDisk, TaskPlan, TaskStatus, counted, printable,
};

/// Moves and remarks of a plan that are shown; `--json` shows all.
const SHOWN: usize = 20;

/// How it goes on each disk, and what is stuck there.
pub(super) fn disks(task: &Task) -> String {
    let list: &[TaskDisk] = task.status_list.as_deref().unwrap_or_default();
    if list.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("FROM", Align::Left),
        ("STATUS", Align::Left),
        ("STEP", Align::Left),
        ("MOVES", Align::Right),
        ("DONE", Align::Right),
        ("RUNNING", Align::Right),
        ("FAILED", Align::Right),
        ("BYTES", Align::Right),
        ("DONE", Align::Right),
        ("SPEED", Align::Right),
    ]);
    for disk in list {
        table.row([
            disk.disk.clone(),
            disk.status.as_str().to_owned(),
            disk.unit.map(|step| step.to_string()).unwrap_or_default(),
            disk.moves_total.to_string(),
            disk.moves_completed.to_string(),
            disk.moves_running.to_string(),
            disk.moves_failed.to_string(),
            human_bytes(disk.total_bytes),
            human_bytes(disk.finished_bytes),
            disk.bytes_per_sec.map(|speed| human_bytes(speed) + "/s").unwrap_or_default(),
        ]);
    }
    let line = |stuck: &BlockedMove| {
        let (id, to) = (stuck.key.tablet_id, &stuck.destination);
        format!("stuck: tablet {id} to {to}: {}\n", printable(&stuck.reason))
    };
    let stuck: String = list.iter().flat_map(|disk| disk.blocked.iter()).map(line).collect();
    table.render() + &stuck
}

/// Where it stands, in one line.
pub(super) fn headline(task: &Task) -> String {
    let progress = &task.progress;
    let failed = match progress.moves_failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let because = match printable(&task.status_reason) {
        why if why.is_empty() => String::new(),
        why => format!(" ({why})"),
    };
    format!(
        "task {} ({}): {}, {} of {} done{failed}, {}{because}",
        task.id.map(|id| id.to_string()).unwrap_or_default(),
        printable(&task.name),
        task.status.map_or("planned", TaskStatus::as_str),
        progress.moves_completed,
        counted(progress.moves_total, "move"),
        how_far(task),
    )
}

/// How far it is by bytes, those of moves under way among them, and when it will be done at the speed it has.
pub(super) fn how_far(task: &Task) -> String {
    let disks: &[TaskDisk] = task.status_list.as_deref().unwrap_or_default();
    let total = task.progress.bytes_total;
    let done = disks.iter().map(|disk| disk.finished_bytes).fold(0, u64::saturating_add);
    // A list of tasks does not carry the disks: then what is completed is all that is known.
    let done = done.max(task.progress.bytes_completed).min(total);
    let percent = u128::from(done) * 100 / u128::from(total.max(1));
    let mut said = format!("{} of {}", human_bytes(done), human_bytes(total));
    if total > 0 {
        said += &format!(", {percent} %");
    }
    let speed = disks.iter().filter_map(|disk| disk.bytes_per_sec).fold(0, u64::saturating_add);
    if speed > 0 && done < total {
        let left = Duration::from_secs((total - done).div_ceil(speed));
        said += &format!(", {}/s, {} left", human_bytes(speed), indicatif::HumanDuration(left));
    }
    said
}

/// Moves that were given up, a line each.
pub(super) fn failures(task: &Task) -> String {
    let line = |failed: &FailedMove| {
        format!("  given up: tablet {}: {}\n", failed.key.tablet_id, printable(&failed.reason))
    };
    task.failed.iter().map(line).collect()
}

/// The plan in words: what happens to each disk (full counts trash and promises, load does not), the first moves,
/// everything that does not move, and how even the disks are before and after.
pub(super) fn plan(task: &Task) -> String {
    let Some(plan) = &task.plan else { return String::new() };
    let mut out = plan_of_disks(plan) + "\n" + &first_moves(plan);
    let more = |out: &mut String, count: usize, what: &str| {
        if count > SHOWN {
            let _ = writeln!(out, "... and {} more {what}; --json shows all", count - SHOWN);
        }
    };
    more(&mut out, plan.moves.len(), "to move");
    for left in plan.left_out.iter().take(SHOWN) {
        let _ = writeln!(out, "stays: tablet {}: {}", left.key.tablet_id, printable(&left.reason));
    }
    more(&mut out, plan.left_out.len(), "staying");
    for misfit in plan.fits_nowhere.iter().take(SHOWN) {
        let (id, size) = (misfit.key.tablet_id, human_bytes(misfit.size_bytes));
        let _ = writeln!(out, "fits nowhere: tablet {id}, {size}: {}", printable(&misfit.tried.join("; ")));
    }
    more(&mut out, plan.fits_nowhere.len(), "fitting nowhere");
    for replan in &task.replans {
        let (at, by, reason) = (replan.at, printable(&replan.requested_by), printable(&replan.reason));
        let _ = writeln!(out, "planned anew: {} at {at} by {by}: {reason}", counted(replan.moves, "move"));
    }
    for why in &plan.falls_short {
        let _ = writeln!(out, "falls short: {}", printable(why));
    }
    let _ = writeln!(
        out,
        "{}; unevenness {:.1} points, then {:.1}; fingerprint {}",
        match plan.outcome {
            PlanOutcome::Reaches => "all that was asked for",
            PlanOutcome::CutShort => "cut short at the limit of moves: plan again when they are done",
            PlanOutcome::FallsShort => "not all that was asked for",
        },
        plan.score_before,
        plan.score_after,
        plan.fingerprint
    );
    out
}

fn plan_of_disks(plan: &TaskPlan) -> String {
    let percent = |permille: u64| format!("{}.{} %", permille / 10, permille % 10);
    let mut disks = Table::new(&[
        ("DISK", Align::Left),
        ("TABLETS", Align::Right),
        ("THEN", Align::Right),
        ("FULL", Align::Right),
        ("THEN", Align::Right),
        ("LOAD", Align::Right),
        ("THEN", Align::Right),
    ]);
    for disk in &plan.disks {
        disks.row([
            disk.path.clone(),
            disk.before.tablets.to_string(),
            disk.after.tablets.to_string(),
            percent(disk.before.committed_permille),
            percent(disk.after.committed_permille),
            percent(disk.before.load_permille),
            percent(disk.after.load_permille),
        ]);
    }
    disks.render()
}

fn first_moves(plan: &TaskPlan) -> String {
    let mut moves = Table::new(&[
        ("TABLET", Align::Right),
        ("SIZE", Align::Right),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("BEFORE", Align::Left),
    ]);
    for planned in plan.moves.iter().take(SHOWN) {
        moves.row([
            planned.key.tablet_id.to_string(),
            human_bytes(planned.size_bytes),
            planned.source.path.clone(),
            planned.destination.path.clone(),
            planned.formerly.iter().map(|disk| disk.path.as_str()).collect::<Vec<_>>().join(", "),
        ]);
    }
    moves.render_or("nothing moves")
}
