//! What a migration takes as it stands, and what it waits for, in words. The table is in [`crate::rules::gate`].

use super::job::Job;
use crate::model::{ErrorCode, Failure, Hold, KnownBy, Migration, Status, Step, utc};
use crate::rules::gate::{self, Gate, Verb, taken_now, takes};

/// Refuses a verb that the table does not have for the migration as it stands, and says what it takes instead.
///
/// # Errors
/// `ILLEGAL_TRANSITION`; `STEP_NOT_ALLOWED` for a step.
pub(crate) fn check(row: &Migration, verb: Verb) -> Result<(), Failure> {
    if takes(row.status, Job::gate(row), verb) { Ok(()) } else { Err(refusal(row, verb)) }
}

/// Why a verb is not taken, and what is instead.
pub(crate) fn refusal(row: &Migration, verb: Verb) -> Failure {
    let gate = Job::gate(row);
    let code = match verb {
        Verb::Run(_) => ErrorCode::StepNotAllowed,
        _ => ErrorCode::IllegalTransition,
    };
    let waiting = match gate {
        Gate::Waits => " and waits",
        Gate::InDoubt => " and in doubt",
        Gate::Passes => "",
    };
    let text = format!(
        "migration {}: it is {}{waiting} and does not take {}; it takes: {}",
        row.id,
        row.status,
        verb.name(),
        taken_now(row.status, gate)
    );
    Failure::new(code, text)
}

/// The names of the actions that a migration takes as it stands.
pub fn actions(row: &Migration) -> Vec<String> {
    gate::actions(row.status, Job::gate(row))
}

/// The steps that may be run of a migration as it stands.
pub fn next_steps(row: &Migration) -> Vec<Step> {
    gate::next_steps(row.status, Job::gate(row))
}

/// Whether a migration waits at a gate to be asked on.
pub fn waits_at_gate(row: &Migration) -> bool {
    Job::gate(row) == Gate::Waits
}

/// What a migration at a gate waits for, since when and until when.
pub(crate) fn gate_reason(row: &Migration) -> String {
    let waits_for = match row.status {
        Status::PreflightPassed => "preflight passed; waits for run prepare",
        Status::Prepared => "staging stands; waits for run data",
        _ => "a verified, durable copy stands in staging; waits for cutover",
    };
    let since = row.steering.waits_since_ms.map(|at| format!(" since {}", utc(at)));
    let until = row.steering.deadline_ms.map_or_else(
        || ", without a deadline".to_owned(),
        |at| format!(", and is undone at {} unless let through or extended", utc(at)),
    );
    let known_by = match row.steering.known_by {
        KnownBy::Request => "",
        KnownBy::Staging => {
            "; the journal was lost, and what was decided with it, so that an operator has the word"
        }
    };
    format!("{waits_for}{}{until}{known_by}", since.unwrap_or_default())
}

/// Why a migration that is being paused is.
pub(crate) fn why_paused(row: &Migration) -> String {
    match (row.steering.held_by, row.task) {
        (None, _) => "paused by an operator".to_owned(),
        (Some(Hold::Task), Some(task)) => format!("task {task} is paused, here at least; it goes on with it"),
        (Some(Hold::Task), None) => "paused with its task; it goes on with it".to_owned(),
        (Some(Hold::Disk), _) => {
            format!("its destination {} is disabled; it goes on once that is enabled", row.destination.path)
        }
    }
}
