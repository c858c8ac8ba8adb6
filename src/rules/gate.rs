//! Gates: where a migration waits to be asked, and which verbs it takes in which status. The table of verbs is printed
//! into the documentation; every pair is a test. Time is an argument.
//!
//! A gate is nothing but a durable status and the last step the migration has been let to do: it holds no slot and no
//! thread, and a start of the daemon finds it as it was.
//!
//! At a gate the line ends: no thread, no slot, no descriptor; the reserved space and the staging stay. Let through,
//! the migration takes its turn again and begins at the top: preflight and prepare look again, what the source has
//! become meanwhile is caught up with, and the staging that was verified is held against its directory's identity and
//! its files' sizes and neither copied nor read again. After a restart of the daemon, or a failed sync on that disk,
//! nothing is known of the staging any more: then it is read back from the medium, and a file that is not what it was
//! is copied anew.

use std::fmt::Write;

use super::transition::{Event, transition};
use crate::model::{KnownBy, Mode, Status, Step, TimestampMs};

/// Whether a migration stands at a gate until it is asked to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gate {
    Waits,
    /// It is not at a gate, or walks through it.
    Passes,
    /// Its swap ended without anybody knowing which disk owns the tablet: it stands until that is settled.
    InDoubt,
}

/// How far a migration goes by itself, whatever it was asked for as: one that only its staging tells of stops before its
/// swap, because what was decided about it since is not known.
pub const fn mode_in_force(asked: Mode, known_by: KnownBy) -> Mode {
    match (asked, known_by) {
        (Mode::Auto, KnownBy::Staging) => Mode::ManualCutover,
        (asked, _) => asked,
    }
}

/// The last step a migration may do before it has to be asked: as its mode says, or as far as it was let.
pub fn may_do(mode: Mode, released: Option<Step>) -> Step {
    let by_itself = match mode {
        Mode::Auto => Step::Finalize,
        Mode::ManualCutover => Step::Data,
        Mode::Stepwise => Step::Preflight,
    };
    released.map_or(by_itself, |released| released.max(by_itself))
}

/// The step behind the gate that a status is; `None` for a status that is no gate.
pub const fn step_behind(status: Status) -> Option<Step> {
    match status {
        Status::PreflightPassed => Some(Step::Prepare),
        Status::Prepared => Some(Step::Data),
        Status::Ready => Some(Step::Finalize),
        _ => None,
    }
}

/// Whether a migration in this status waits there.
pub fn gate(status: Status, mode: Mode, released: Option<Step>) -> Gate {
    match step_behind(status) {
        Some(step) if step > may_do(mode, released) => Gate::Waits,
        _ => Gate::Passes,
    }
}

/// Whether its time at the gate is over. The wall clock decides: the worst a wrong one can do is to undo a copy, or to
/// keep it longer.
pub fn is_overdue(gate: Gate, deadline_ms: Option<TimestampMs>, now_ms: TimestampMs) -> bool {
    gate == Gate::Waits && deadline_ms.is_some_and(|deadline| deadline <= now_ms)
}

/// The deadline of a gate reached at `now_ms`; `None` when it may wait for ever (0 seconds).
pub fn deadline(now_ms: TimestampMs, seconds: u64) -> Option<TimestampMs> {
    (seconds > 0).then(|| now_ms.saturating_add_unsigned(seconds.saturating_mul(1000)))
}

/// What can be asked of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Do the step behind the gate.
    Run(Step),
    /// Swap now: `run finalize` by its better-known name.
    Cutover,
    /// Be over with it: first in line, past every limit and every gate.
    ForceComplete,
    /// Wait longer at the gate.
    Extend,
    /// Stop for a while.
    Pause,
    /// Go on after that.
    Resume,
    Abort,
    Retry,
    /// Copy faster or slower.
    SetLimits,
    /// Change its place in line.
    SetPriority,
    /// Take the finished move back, by another one.
    Revert,
    /// End the doubt about its swap.
    Settle,
}

impl Verb {
    /// Every verb, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::Run(Step::Prepare),
        Self::Run(Step::Data),
        Self::Run(Step::Finalize),
        Self::Cutover,
        Self::ForceComplete,
        Self::Extend,
        Self::Pause,
        Self::Resume,
        Self::Abort,
        Self::Retry,
        Self::SetLimits,
        Self::SetPriority,
        Self::Revert,
        Self::Settle,
    ];

    /// Its name in the API; steps are asked for by `run`.
    pub fn name(self) -> String {
        match self {
            Self::Run(step) => format!("run {step}"),
            Self::Cutover => "cutover".to_owned(),
            Self::ForceComplete => "force_complete".to_owned(),
            Self::Extend => "extend".to_owned(),
            Self::Pause => "pause".to_owned(),
            Self::Resume => "resume".to_owned(),
            Self::Abort => "abort".to_owned(),
            Self::Retry => "retry".to_owned(),
            Self::SetLimits => "limits".to_owned(),
            Self::SetPriority => "priority".to_owned(),
            Self::Revert => "revert".to_owned(),
            Self::Settle => "settle".to_owned(),
        }
    }
}

/// Whether a verb is taken in a status.
pub fn takes(status: Status, gate: Gate, verb: Verb) -> bool {
    let obeys = |event| transition(status, event).is_ok();
    let is_undone = status.is_final() || status == Status::Aborting;
    match verb {
        // An abort asked for twice is one abort.
        Verb::Abort => obeys(Event::Abort) || status == Status::Aborting,
        Verb::Run(Step::Abort) => takes(status, gate, Verb::Abort),
        Verb::Run(step) => gate == Gate::Waits && step_behind(status) == Some(step),
        Verb::Cutover => takes(status, gate, Verb::Run(Step::Finalize)),
        Verb::ForceComplete => !is_undone && !matches!(status, Status::Paused | Status::Finalizing),
        Verb::Extend => gate == Gate::Waits,
        Verb::Pause => obeys(Event::Pause),
        Verb::Resume => obeys(Event::Resume),
        Verb::Retry => status.is_final() && obeys(Event::Retry),
        Verb::SetLimits => !is_undone,
        Verb::SetPriority => !is_undone && status != Status::Finalizing,
        Verb::Revert => status == Status::Completed,
        Verb::Settle => status == Status::Finalizing && gate == Gate::InDoubt,
    }
}

/// The steps that `run` takes now.
pub fn next_steps(status: Status, gate: Gate) -> Vec<Step> {
    let steps = [Step::Prepare, Step::Data, Step::Finalize, Step::Abort];
    steps.into_iter().filter(|step| takes(status, gate, Verb::Run(*step))).collect()
}

/// The names of the verbs that are taken now, steps left out: `run` has those.
pub fn actions(status: Status, gate: Gate) -> Vec<String> {
    taken(status, gate).filter(|verb| !matches!(verb, Verb::Run(_))).map(Verb::name).collect()
}

fn taken(status: Status, gate: Gate) -> impl Iterator<Item = Verb> {
    Verb::ALL.iter().copied().filter(move |verb| takes(status, gate, *verb))
}

/// What a migration takes now, in words, for a refusal.
pub fn taken_now(status: Status, gate: Gate) -> String {
    let verbs: Vec<_> = taken(status, gate).map(Verb::name).collect();
    if verbs.is_empty() { "nothing".to_owned() } else { verbs.join(", ") }
}

/// The table of verbs as Markdown, for the documentation. A gate has a row for each of its two faces, a swap one for
/// when it is in doubt.
pub fn verb_table() -> String {
    let mut table = String::from("| status | verbs it takes |\n|---|---|\n");
    for status in Status::ALL {
        let mut row = |name: &str, gate| {
            writeln!(table, "| `{status}`{name} | {} |", taken_now(*status, gate))
                .expect("writing to a String does not fail");
        };
        row("", Gate::Passes);
        if step_behind(*status).is_some() {
            row(", waiting", Gate::Waits);
        }
        if *status == Status::Finalizing {
            row(", in doubt", Gate::InDoubt);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [Mode; 3] = [Mode::Auto, Mode::ManualCutover, Mode::Stepwise];

    #[test]
    fn each_mode_waits_where_it_should_and_nowhere_else() {
        for (mode, gates) in [
            (Mode::Auto, &[][..]),
            (Mode::ManualCutover, &[Status::Ready]),
            (Mode::Stepwise, &[Status::PreflightPassed, Status::Prepared, Status::Ready]),
        ] {
            for status in Status::ALL {
                let waits = gate(*status, mode, None) == Gate::Waits;
                assert_eq!(waits, gates.contains(status), "{mode:?} {status}");
            }
        }
    }

    #[test]
    fn a_released_step_opens_its_gate_and_those_before_it_and_none_behind_it() {
        for (released, still) in [
            (Step::Prepare, &[Status::Prepared, Status::Ready][..]),
            (Step::Data, &[Status::Ready]),
            (Step::Finalize, &[]),
        ] {
            for status in Status::ALL {
                let waits = gate(*status, Mode::Stepwise, Some(released)) == Gate::Waits;
                assert_eq!(waits, still.contains(status), "{released} {status}");
            }
        }
        assert_eq!(may_do(Mode::Auto, Some(Step::Prepare)), Step::Finalize, "a release never holds back");
    }

    #[test]
    fn what_waits_can_be_asked_on_called_off_and_expires() {
        for mode in MODES {
            for status in Status::ALL {
                if gate(*status, mode, None) == Gate::Waits {
                    for event in [Event::GoOn, Event::Expire, Event::Abort, Event::Pause] {
                        assert!(transition(*status, event).is_ok(), "{status} {event:?}");
                    }
                    let steps = next_steps(*status, Gate::Waits);
                    assert_eq!(steps.len(), 2, "{status}: {steps:?}");
                    assert_eq!(steps.last(), Some(&Step::Abort));
                }
            }
        }
    }

    #[test]
    fn what_only_its_staging_tells_of_stops_before_its_swap() {
        for mode in MODES {
            assert_eq!(mode_in_force(mode, KnownBy::Request), mode);
            let held = mode_in_force(mode, KnownBy::Staging);
            assert_eq!(gate(Status::Ready, held, None), Gate::Waits, "{mode:?}");
            assert_eq!(gate(Status::Ready, held, Some(Step::Finalize)), Gate::Passes, "{mode:?}");
        }
    }

    #[test]
    fn verbs_row_by_row() {
        let expected = "\
| status | verbs it takes |
|---|---|
| `queued` | force_complete, pause, abort, limits, priority |
| `preflight` | force_complete, pause, abort, limits, priority |
| `preflight_passed` | force_complete, pause, abort, limits, priority |
| `preflight_passed`, waiting | run prepare, force_complete, extend, pause, abort, limits, priority |
| `prepared` | force_complete, pause, abort, limits, priority |
| `prepared`, waiting | run data, force_complete, extend, pause, abort, limits, priority |
| `copying` | force_complete, pause, abort, limits, priority |
| `ready` | force_complete, pause, abort, limits, priority |
| `ready`, waiting | run finalize, cutover, force_complete, extend, pause, abort, limits, priority |
| `finalizing` | limits |
| `finalizing`, in doubt | limits, settle |
| `completed` | revert |
| `paused` | resume, abort, limits, priority |
| `aborting` | abort |
| `aborted` | retry |
| `failed` | retry |
| `expired` | retry |
";
        assert_eq!(verb_table(), expected);
    }

    #[test]
    fn the_steps_and_the_actions_together_are_the_verbs() {
        for status in Status::ALL {
            for gate in [Gate::Waits, Gate::Passes, Gate::InDoubt] {
                let steps = next_steps(*status, gate).into_iter().filter(|step| *step != Step::Abort);
                let steps: Vec<_> = steps.map(|step| Verb::Run(step).name()).collect();
                let both = [steps, actions(*status, gate)].concat();
                let said = if both.is_empty() { "nothing".to_owned() } else { both.join(", ") };
                assert_eq!(said, taken_now(*status, gate), "{status} {gate:?}");
            }
        }
    }

    #[test]
    fn a_deadline_passes_only_for_what_waits() {
        assert_eq!(deadline(5, 2), Some(2005));
        assert_eq!(deadline(5, 0), None);
        assert_eq!(deadline(i64::MAX - 1, u64::MAX), Some(i64::MAX));
        for (gate, deadline_ms, now_ms, overdue) in [
            (Gate::Waits, Some(10), 9, false),
            (Gate::Waits, Some(10), 10, true),
            (Gate::Waits, None, i64::MAX, false),
            (Gate::Passes, Some(10), 11, false),
        ] {
            assert_eq!(is_overdue(gate, deadline_ms, now_ms), overdue, "{gate:?} {deadline_ms:?} {now_ms}");
        }
    }
}
