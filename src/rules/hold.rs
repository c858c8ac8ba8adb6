//! What a task or a disk does to a migration that is under way: it is held back, let go on, or called off.
//!
//! Holds are levels, not events: decided anew at every look, from how things stand and not from what happened. A daemon
//! that was killed between a wish and its carrying out does the rest at its next look. What an operator paused by its
//! number is let go by nobody else (`steering.held_by` tells the two apart).

use crate::model::{Hold, Status, TimestampMs};

/// What its task wants of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskWish {
    /// Nothing: it has no task, or the task lets it be.
    None,
    Pause,
    /// It is called off.
    Cancel,
}

/// Whether its destination takes new copies by an operator's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DestinationService {
    Enabled,
    /// It does not.
    Disabled,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldFacts {
    /// Where the migration stands.
    pub status: Status,
    /// What holds it, when it is paused.
    pub held_by: Option<Hold>,
    pub task: TaskWish,
    pub destination: DestinationService,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldVerdict {
    Leave,
    /// Pause it, in this name.
    Hold(Hold),
    /// Resume it: what held it is over.
    LetGo,
    CallOff,
}

/// A pause that was asked for and has not come to rest yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingPause {
    None,
    /// By an operator, or by what holds the migration.
    AskedBy(Option<Hold>),
}

/// Who holds a migration that is asked to pause once more. What an operator has asked for is let go by nobody else, whoever
/// came first; of two that hold it the later one is named, and the next look does the rest.
pub fn holder(pending: PendingPause, asked_by: Option<Hold>) -> Option<Hold> {
    match pending {
        PendingPause::AskedBy(None) => None,
        PendingPause::None | PendingPause::AskedBy(Some(_)) => asked_by,
    }
}

/// Decides about one migration.
pub fn hold(facts: HoldFacts) -> HoldVerdict {
    let HoldFacts { status, held_by, task, destination } = facts;
    // A swap that has begun is finished, and what is undone is undone.
    if status.is_final() || matches!(status, Status::Finalizing | Status::Aborting) {
        return HoldVerdict::Leave;
    }
    if task == TaskWish::Cancel {
        return HoldVerdict::CallOff;
    }
    let disabled = destination == DestinationService::Disabled;
    match (status, held_by) {
        (Status::Paused, None) => HoldVerdict::Leave,
        (Status::Paused, Some(_)) if task == TaskWish::Pause => HoldVerdict::Leave,
        // Let go, it queues, and there it waits for its destination with a reason.
        (Status::Paused, Some(Hold::Task)) => HoldVerdict::LetGo,
        (Status::Paused, Some(Hold::Disk)) if disabled => HoldVerdict::Leave,
        (Status::Paused, Some(Hold::Disk)) => HoldVerdict::LetGo,
        _ if task == TaskWish::Pause => HoldVerdict::Hold(Hold::Task),
        // Nothing is written for one that is queued, and one at its last gate has written all it will before its swap.
        (Status::Preflight | Status::Prepared | Status::Copying, _) if disabled => {
            HoldVerdict::Hold(Hold::Disk)
        }
        _ => HoldVerdict::Leave,
    }
}

/// When everything that lives is looked at: at once when what is wished has changed, else now and then. Never at every
/// event, of which there are as many as there are migrations.
#[derive(Debug)]
pub struct Looks<W> {
    last: Option<(TimestampMs, W)>,
    last_found: Found,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Something is held, or is on its way to be.
    SomethingHeld,
    NothingHeld,
}

impl<W> Default for Looks<W> {
    fn default() -> Self {
        Self { last: None, last_found: Found::SomethingHeld }
    }
}

impl<W: PartialEq + Default> Looks<W> {
    /// Whether to look now, when this is wished; if so, that is done, and [`Self::found`] told. Where nothing is wished
    /// (`W::default()`) and nothing is held, nothing is to be found, however long the queue is.
    pub fn is_due(&mut self, now_ms: TimestampMs, wished: W) -> bool {
        let is_idle = self.last_found == Found::NothingHeld && wished == W::default();
        let is_due = self.last.as_ref().is_none_or(|(looked, before)| {
            *before != wished || (!is_idle && now_ms - looked >= LOOK_EVERY_MS)
        });
        if is_due {
            self.last = Some((now_ms, wished));
        }
        is_due
    }

    /// What the look that was due found.
    pub const fn found(&mut self, found: Found) {
        self.last_found = found;
    }
}

/// Between two looks while nothing else is wished.
const LOOK_EVERY_MS: TimestampMs = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_events_are_a_look_now_and_then_and_a_new_wish_is_one_at_once() {
        let mut looks = Looks::default();
        let seen = (0..10_000).filter(|now| looks.is_due(*now, "paused")).count();
        assert_eq!(seen, 20);
        assert!(looks.is_due(10_000, "resumed"), "it has changed");
        assert!(!looks.is_due(10_001, "resumed"));
    }

    #[test]
    fn nobody_looks_for_what_nobody_wishes_once_nothing_is_held() {
        let mut looks = Looks::default();
        assert!(looks.is_due(0, ""), "a start may find something held");
        assert!(looks.is_due(1000, ""), "it was not told what was found");
        looks.found(Found::NothingHeld);
        assert_eq!((1001..100_000).filter(|now| looks.is_due(*now, "")).count(), 0);
        assert!(looks.is_due(100_000, "paused"), "at once");
        looks.found(Found::SomethingHeld);
        assert!(looks.is_due(100_001, ""), "what is held is let go");
        assert!(looks.is_due(101_000, ""), "until it is");
        looks.found(Found::NothingHeld);
        assert!(!looks.is_due(200_000, ""));
    }

    #[test]
    fn a_pause_that_an_operator_asked_for_is_let_go_by_nobody_else_whoever_came_first() {
        let holds = [Some(Hold::Task), Some(Hold::Disk)];
        for by in holds {
            assert_eq!(holder(PendingPause::AskedBy(None), by), None, "an operator, then {by:?}");
            assert_eq!(holder(PendingPause::AskedBy(by), None), None, "{by:?}, then an operator");
            assert_eq!(holder(PendingPause::None, by), by);
            for later in holds {
                assert_eq!(holder(PendingPause::AskedBy(by), later), later);
            }
        }
        assert_eq!(holder(PendingPause::None, None), None);
    }

    fn every_case() -> impl Iterator<Item = HoldFacts> {
        let holds = [None, Some(Hold::Task), Some(Hold::Disk)];
        let wishes = [TaskWish::None, TaskWish::Pause, TaskWish::Cancel];
        let services = [DestinationService::Enabled, DestinationService::Disabled];
        Status::ALL.iter().flat_map(move |&status| {
            holds.into_iter().flat_map(move |held_by| {
                wishes.into_iter().flat_map(move |task| {
                    services.map(|destination| HoldFacts { status, held_by, task, destination })
                })
            })
        })
    }

    #[test]
    fn what_is_decided_can_be_done_in_that_status() {
        use crate::rules::transition::{Event, transition};
        for facts in every_case() {
            let event = match hold(facts) {
                HoldVerdict::Leave => continue,
                HoldVerdict::Hold(_) => Event::Pause,
                HoldVerdict::LetGo => Event::Resume,
                HoldVerdict::CallOff => Event::Abort,
            };
            assert!(transition(facts.status, event).is_ok(), "{facts:?}: {event:?}");
        }
    }

    #[test]
    fn an_operators_own_pause_is_ended_by_nobody_else() {
        for facts in every_case().filter(|facts| facts.status == Status::Paused && facts.held_by.is_none()) {
            let expected = match facts.task {
                TaskWish::Cancel => HoldVerdict::CallOff,
                TaskWish::None | TaskWish::Pause => HoldVerdict::Leave,
            };
            assert_eq!(hold(facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn where_nothing_is_wished_everything_held_goes_on_and_nothing_else_changes() {
        let free = |facts: &HoldFacts| {
            facts.task == TaskWish::None && facts.destination == DestinationService::Enabled
        };
        for facts in every_case().filter(free) {
            let held = facts.status == Status::Paused && facts.held_by.is_some();
            let expected = if held { HoldVerdict::LetGo } else { HoldVerdict::Leave };
            assert_eq!(hold(facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn holding_and_letting_go_come_to_rest() {
        // Done what is decided, nothing further is decided until something changes.
        for facts in every_case() {
            let then = match hold(facts) {
                HoldVerdict::Hold(by) => HoldFacts { status: Status::Paused, held_by: Some(by), ..facts },
                HoldVerdict::LetGo => HoldFacts { status: Status::Queued, held_by: None, ..facts },
                HoldVerdict::CallOff => HoldFacts { status: Status::Aborting, ..facts },
                HoldVerdict::Leave => facts,
            };
            assert_eq!(hold(then), HoldVerdict::Leave, "{facts:?}");
        }
    }

    #[test]
    fn a_disabled_destination_stops_what_writes_to_it_and_leaves_the_queue_in_place() {
        let at = |status| {
            let (task, destination) = (TaskWish::None, DestinationService::Disabled);
            hold(HoldFacts { status, held_by: None, task, destination })
        };
        assert_eq!(at(Status::Copying), HoldVerdict::Hold(Hold::Disk));
        for status in [Status::Queued, Status::Ready, Status::Finalizing] {
            assert_eq!(at(status), HoldVerdict::Leave, "{status}");
        }
    }
}
