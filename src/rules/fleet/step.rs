//! What a part comes to by what its member says. Every answer may come twice, or after a crash: nothing here counts.

use crate::model::fleet::{Approved, CampaignStatus, Drift, Part, PartCounters, PartStatus, Progress, Steer};
use crate::model::{TaskStatus, TimestampMs, counted};

/// What the campaign wants of a part that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It goes on.
    Go,
    /// Nothing new begins, and what moves waits.
    Hold,
    /// It is called off.
    Cancel,
}

/// A level, not an event: whoever leads decides it anew at every look.
pub const fn wanted(status: CampaignStatus, enabled: bool) -> Wanted {
    match (status, enabled) {
        (CampaignStatus::Cancelled, _) => Wanted::Cancel,
        (CampaignStatus::Running, true) => Wanted::Go,
        _ => Wanted::Hold,
    }
}

/// A part that has come to its end.
#[must_use]
pub fn ended(part: &Part, status: PartStatus, reason: impl Into<String>, now: TimestampMs) -> Part {
    Part { status, reason: reason.into(), ended_ms: Some(now), ..part.clone() }
}

/// The plan made now is held against what was approved.
///
/// # Errors
/// In words: why somebody has to look again.
pub fn within(drift: Drift, approved: Approved, planned: Approved) -> Result<(), String> {
    if planned.fingerprint == approved.fingerprint {
        return Ok(());
    }
    let numbers = format!(
        "approved: {} of {} bytes; now it would be {} of {}",
        counted(approved.moves, "move"),
        approved.bytes,
        planned.moves,
        planned.bytes
    );
    match drift {
        Drift::Refuse => Err(format!("the member has changed since the approval: {numbers}")),
        Drift::Within { bytes_percent, moves } => {
            let more = u128::from(approved.bytes) * u128::from(bytes_percent) / 100;
            let bytes_fit = u128::from(planned.bytes) <= u128::from(approved.bytes) + more;
            if bytes_fit && planned.moves <= approved.moves.saturating_add(moves) {
                return Ok(());
            }
            Err(format!(
                "the member has changed more than the drift rule allows ({bytes_percent} % of bytes, {}): {numbers}",
                counted(moves, "move")
            ))
        }
    }
}

/// What a part that moves comes to, and what its member is told. The part is written down before the member is told.
pub fn moved(part: &Part, wanted: Wanted, progress: &Progress, now: TimestampMs) -> (Part, Option<Steer>) {
    let mut next = Part { task_id: Some(progress.task_id), counters: progress.counters, ..part.clone() };
    next.reason.clone_from(&progress.reason);
    let steer = match (progress.status, wanted) {
        (TaskStatus::Finished, _) => return (finished(&next, progress, now), None),
        (TaskStatus::Cancelled, Wanted::Cancel) => {
            return (ended(&next, PartStatus::Cancelled, "called off; what has moved stays", now), None);
        }
        (TaskStatus::Cancelled, _) => {
            return (ended(&next, PartStatus::Failed, "the task was called off at the member", now), None);
        }
        (_, Wanted::Cancel) => Some(Steer::Cancel),
        (TaskStatus::Stopped, Wanted::Go) if !progress.was_started => Some(Steer::Start),
        (TaskStatus::Stopped, Wanted::Go) => {
            "somebody has stopped the task at the member; starting it there lets it go on"
                .clone_into(&mut next.reason);
            None
        }
        (TaskStatus::Running, Wanted::Hold) => {
            next.held = true;
            Some(Steer::Pause)
        }
        (TaskStatus::Running, Wanted::Go) => {
            next.held = false;
            None
        }
        (TaskStatus::Paused, Wanted::Go) if part.held => Some(Steer::Resume),
        (TaskStatus::Paused, Wanted::Go) => {
            "somebody has paused the task at the member; resuming it there lets it go on"
                .clone_into(&mut next.reason);
            None
        }
        (TaskStatus::Stopped | TaskStatus::Paused, Wanted::Hold) => None,
    };
    (next, steer)
}

/// How a BE's part stands as a whole: it is planned anew after every change of its driver, and what was approved and is not
/// planned any more is done, or gone with its tablet.
#[must_use]
pub fn of_the_whole(part: &Part, progress: Progress) -> Progress {
    let moves = part.approved.moves.saturating_sub(part.planned.moves);
    let bytes = part.approved.bytes.saturating_sub(part.planned.bytes);
    let counters = progress.counters;
    let counters = PartCounters {
        moves_total: counters.moves_total + moves,
        moves_completed: counters.moves_completed + moves,
        bytes_total: counters.bytes_total + bytes,
        bytes_completed: counters.bytes_completed + bytes,
        ..counters
    };
    Progress { counters, ..progress }
}

/// A task that has finished is done only if nothing of it was given up, and nothing that was asked for is left.
fn finished(part: &Part, progress: &Progress, now: TimestampMs) -> Part {
    let counters = progress.counters;
    if counters.moves_failed > 0 {
        let text = format!(
            "{} of {} given up: {}",
            counters.moves_failed,
            counted(counters.moves_total, "move"),
            progress.reason
        );
        return ended(part, PartStatus::Failed, text, now);
    }
    if let Some(shortfall) = &progress.shortfall {
        return ended(part, PartStatus::Failed, shortfall.clone(), now);
    }
    let moved_ms = part.moved_ms.or(Some(now));
    Part { status: PartStatus::Settling, reason: String::new(), moved_ms, held: false, ..part.clone() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::TaskId;
    use crate::model::fleet::CampaignId;

    fn progress(status: TaskStatus, was_started: bool, failed: u64, shortfall: bool) -> Progress {
        Progress {
            task_id: TaskId(7),
            status,
            was_started,
            counters: PartCounters { moves_total: 3, moves_failed: failed, ..PartCounters::default() },
            reason: "as it says".to_owned(),
            shortfall: shortfall.then(|| "one tablet stays".to_owned()),
        }
    }

    fn moving(held: bool) -> Part {
        let part = Part::new(CampaignId(1), "be-1", Approved { fingerprint: 5, moves: 3, bytes: 100 });
        Part { status: PartStatus::Moving, held, ..part }
    }

    #[test]
    fn what_was_paused_elsewhere_is_not_resumed_and_what_was_stopped_elsewhere_is_not_started() {
        let told = |held, status, started| {
            moved(&moving(held), Wanted::Go, &progress(status, started, 0, false), 1).1
        };
        assert_eq!(told(true, TaskStatus::Paused, true), Some(Steer::Resume));
        assert_eq!(told(false, TaskStatus::Paused, true), None);
        assert_eq!(told(false, TaskStatus::Stopped, false), Some(Steer::Start));
        assert_eq!(told(false, TaskStatus::Stopped, true), None);
    }

    #[test]
    fn the_drift_rule_holds_at_its_edges() {
        let approved = Approved { fingerprint: 1, moves: 10, bytes: 1000 };
        let planned = |moves, bytes| Approved { fingerprint: 2, moves, bytes };
        let rule = Drift::Within { bytes_percent: 10, moves: 5 };
        assert!(within(Drift::Refuse, approved, approved).is_ok());
        assert!(within(Drift::Refuse, approved, planned(10, 1000)).is_err());
        for (moves, bytes, fits) in [(15, 1100, true), (16, 1100, false), (15, 1101, false), (0, 0, true)] {
            assert_eq!(within(rule, approved, planned(moves, bytes)).is_ok(), fits, "{moves} {bytes}");
        }
    }

    fn any_status() -> impl Strategy<Value = TaskStatus> {
        prop::sample::select(TaskStatus::ALL)
    }

    proptest! {
        /// Unknown is never success: a part is on its way to done only by a finished task of which nothing is left.
        #[test]
        fn only_a_finished_task_with_nothing_left_settles(
            status in any_status(), started: bool, held: bool, failed in 0..3_u64, short: bool,
            wanted in prop::sample::select(vec![Wanted::Go, Wanted::Hold, Wanted::Cancel]),
        ) {
            let (next, steer) = moved(&moving(held), wanted, &progress(status, started, failed, short), 9);
            let whole = status == TaskStatus::Finished && failed == 0 && !short;
            prop_assert_eq!(next.status == PartStatus::Settling, whole);
            prop_assert!(next.status != PartStatus::Done);
            // Nothing is started or resumed that is not to go on, and what is paused is known to be our doing.
            if matches!(steer, Some(Steer::Start | Steer::Resume)) {
                prop_assert_eq!(wanted, Wanted::Go);
            }
            if steer == Some(Steer::Pause) {
                prop_assert!(next.held && wanted == Wanted::Hold);
            }
            if wanted == Wanted::Cancel && !next.status.is_over() && status != TaskStatus::Finished {
                prop_assert_eq!(steer, Some(Steer::Cancel));
            }
            prop_assert!(steer.is_none() || !next.status.is_over(), "what is over is told nothing");
        }
    }
}
