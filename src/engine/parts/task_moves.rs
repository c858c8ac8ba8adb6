//! How the moves of one task stand, sorted so that nobody has to look through all of them for the next one: the feeder
//! looks at every end of a migration, and a plan may have a hundred thousand moves.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Deref};

use crate::model::{DiskUuid, MigrationId, PlannedMove};
use crate::rules::task_standing::Standing as MoveState;

/// Source and destination of a move.
type Pair = (DiskUuid, DiskUuid);

/// The states of the moves of a plan, by their places in it. Read as a slice.
#[derive(Default)]
pub(crate) struct Moves {
    states: Vec<MoveState>,
    running: BTreeMap<usize, MigrationId>,
    pending: BTreeMap<Pair, BTreeSet<usize>>,
}

impl Deref for Moves {
    type Target = [MoveState];

    fn deref(&self) -> &[MoveState] {
        &self.states
    }
}

impl Moves {
    /// Of a plan whose moves stand like this.
    pub(crate) fn new(states: Vec<MoveState>, plan: &[PlannedMove]) -> Self {
        let mut moves = Self { states, ..Self::default() };
        for at in 0..moves.states.len() {
            moves.sort_in(at, plan);
        }
        moves
    }

    fn sort_in(&mut self, at: usize, plan: &[PlannedMove]) {
        match self.states.get(at) {
            Some(MoveState::Running(id)) => drop(self.running.insert(at, *id)),
            Some(MoveState::Pending) => {
                if let Some(pair) = pair(plan, at) {
                    self.pending.entry(pair).or_default().insert(at);
                }
            }
            Some(MoveState::Completed | MoveState::Failed(_) | MoveState::Cancelled) | None => {}
        }
    }

    /// One of them stands like this now.
    pub(crate) fn set(&mut self, at: usize, state: MoveState, plan: &[PlannedMove]) {
        let Some(known) = self.states.get_mut(at) else { return };
        *known = state;
        self.running.remove(&at);
        if let Some(pair) = pair(plan, at)
            && let Some(places) = self.pending.get_mut(&pair)
        {
            places.remove(&at);
        }
        self.sort_in(at, plan);
    }

    /// All of them stand as `how` says.
    pub(crate) fn restate(&mut self, plan: &[PlannedMove], how: impl FnMut(MoveState) -> MoveState) {
        let states = std::mem::take(&mut self.states);
        *self = Self::new(states.into_iter().map(how).collect(), plan);
    }

    /// Whether something is left to be done.
    pub(crate) fn are_open(&self) -> bool {
        !self.running.is_empty() || self.pending.values().any(|places| !places.is_empty())
    }

    /// Those under way, by their places.
    pub(crate) fn running(&self) -> impl Iterator<Item = (usize, MigrationId)> + '_ {
        self.running.iter().map(|(at, id)| (*at, *id))
    }

    /// The first pending one behind `after` whose disks are `wanted`. Costs the pairs of disks, not the moves.
    pub(crate) fn next_pending(
        &self,
        after: Option<usize>,
        wanted: impl Fn(DiskUuid, DiskUuid) -> bool,
    ) -> Option<usize> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let queues = self.pending.iter().filter(|((source, destination), _)| wanted(*source, *destination));
        queues.filter_map(|(_, places)| places.range((behind, Bound::Unbounded)).next().copied()).min()
    }
}

fn pair(plan: &[PlannedMove], at: usize) -> Option<Pair> {
    plan.get(at).map(|planned| (planned.source.uuid, planned.destination.uuid))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::model::{DiskRef, TabletKey};

    fn disk(number: u128) -> DiskRef {
        DiskRef { uuid: DiskUuid(uuid::Uuid::from_u128(number)), path: format!("/d{number}") }
    }

    /// From disk 1 to disks 2 and 3 in turn.
    fn plan(count: u32) -> Vec<PlannedMove> {
        let one = |number: u32| PlannedMove {
            key: TabletKey::new(i64::from(number) + 1, 5),
            source: disk(1),
            destination: disk(2 + u128::from(number % 2)),
            size_bytes: 1,
            why: String::new(),
            formerly: Vec::new(),
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn the_next_move_of_a_hundred_thousand_costs_the_pairs_of_disks() {
        const COUNT: u32 = 100_000;
        let plan = plan(COUNT);
        let mut moves = Moves::new(vec![MoveState::Pending; plan.len()], &plan);
        let asked = Cell::new(0);
        // Disk 2 takes nothing: half of the plan waits, and is not looked through.
        let wanted = |_, destination| {
            asked.set(asked.get() + 1);
            destination != disk(2).uuid
        };
        let mut ends = 0;
        while let Some(at) = moves.next_pending(None, wanted) {
            assert_eq!(at % 2, 1);
            moves.set(at, MoveState::Running(MigrationId(7)), &plan);
            assert_eq!(moves.running().collect::<Vec<_>>(), [(at, MigrationId(7))]);
            moves.set(at, MoveState::Completed, &plan);
            ends += 1;
        }
        assert_eq!((ends, asked.get()), (50_000, 2 * 50_001));
        assert!(moves.are_open());
        moves.restate(&plan, |state| match state {
            MoveState::Pending => MoveState::Cancelled,
            state => state,
        });
        assert!(!moves.are_open());
    }

    #[test]
    fn a_move_that_was_given_another_destination_waits_for_that_one() {
        let mut plan = plan(2);
        let mut moves = Moves::new(vec![MoveState::Pending; 2], &plan);
        let to_third = |_, destination| destination == disk(3).uuid;
        assert_eq!(moves.next_pending(None, to_third), Some(1));
        assert_eq!(moves.next_pending(Some(1), to_third), None);
        plan[0].destination = disk(3);
        moves.restate(&plan, |state| state);
        assert_eq!(moves.next_pending(None, to_third), Some(0));
        assert_eq!(moves.next_pending(Some(0), to_third), Some(1));
    }
}
