//! Which queued migrations may start now.
//!
//! A migration runs when it holds a read slot on its source and a write slot on its destination, both taken at once, so
//! that nobody waits for one while sitting on the other. First come, first served within a priority; a blocked migration
//! does not hold up others on other disks.
//!
//! Small tablets share: up to `small_batch` of them, between the same two disks, run under one pair of slots, so that
//! their syncs fall together. Nobody joins a shared pair while an earlier migration waits for one of its disks.
//!
//! The queue is kept per pair of disks; a decision costs the number of pairs, not the length of the queue.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{DiskIndex, Haste, MigrationId, Priority, TimestampMs, counted_as};

/// One migration in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub id: MigrationId,
    pub source: DiskIndex,
    pub destination: DiskIndex,
    /// A forced one goes before every other.
    pub haste: Haste,
    pub priority: Priority,
    /// Whether others of its priority go first.
    pub turn: Turn,
    /// Size of its tablet.
    pub size_bytes: u64,
    /// Not before this time.
    pub not_before_ms: Option<TimestampMs>,
}

/// When a migration has its turn among those of its priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// In the order of their numbers.
    Own,
    /// Behind all others: its disk did not give it the last time, and takes long to say so again.
    Last,
}

/// Slots of one disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSlots {
    /// Migrations that may read from it at once.
    pub read_limit: u32,
    /// Migrations that may write to it at once.
    pub write_limit: u32,
    /// Whether it may be read from now.
    pub readable: bool,
    /// Whether it may be written to now.
    pub writable: bool,
}

/// Limits of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// Migrations running at once.
    pub running: usize,
    /// Tablets up to this size share a pair of slots.
    pub small_bytes: u64,
    /// This many at most.
    pub small_batch: usize,
    /// What is below this priority does not start now, unless it is forced.
    pub priority_min: Priority,
}

type Pair = (DiskIndex, DiskIndex);
/// Ascending order is order of service.
type Rank = (Reverse<(Haste, Priority)>, Turn, MigrationId);

/// Where a waiting migration is kept.
#[derive(Debug, Clone, Copy)]
enum Kept {
    InQueue(Pair, Rank),
    Until(TimestampMs),
}

#[derive(Debug)]
struct Lease {
    members: BTreeSet<MigrationId>,
    shared: bool,
}

/// The queue and the slots in use.
#[derive(Debug, Default)]
pub struct Schedule {
    waiting: HashMap<Pair, BTreeMap<Rank, Waiting>>,
    delayed: BTreeMap<(TimestampMs, MigrationId), Waiting>,
    kept: HashMap<MigrationId, Kept>,
    leases: HashMap<Pair, Vec<Lease>>,
    running: usize,
}

impl Schedule {
    /// Adds a migration; one that is there already is replaced.
    pub fn push(&mut self, entry: Waiting) {
        self.remove(entry.id);
        match entry.not_before_ms {
            Some(at) => {
                self.kept.insert(entry.id, Kept::Until(at));
                self.delayed.insert((at, entry.id), entry);
            }
            None => self.enqueue(entry),
        }
    }

    fn enqueue(&mut self, entry: Waiting) {
        let pair = (entry.source, entry.destination);
        let place = (Reverse((entry.haste, entry.priority)), entry.turn, entry.id);
        self.kept.insert(entry.id, Kept::InQueue(pair, place));
        self.waiting.entry(pair).or_default().insert(place, entry);
    }

    /// Takes a waiting migration out of the queue; `None` when it is not waiting.
    pub fn remove(&mut self, id: MigrationId) -> Option<Waiting> {
        match self.kept.remove(&id)? {
            Kept::InQueue(pair, place) => self.waiting.get_mut(&pair)?.remove(&place),
            Kept::Until(at) => self.delayed.remove(&(at, id)),
        }
    }

    /// Migrations waiting, delayed ones included.
    pub fn waiting_count(&self) -> usize {
        self.kept.len()
    }

    /// Migrations running.
    pub fn running_count(&self) -> usize {
        self.running
    }

    /// The migrations that run.
    pub fn running(&self) -> Vec<MigrationId> {
        self.leases.values().flatten().flat_map(|lease| lease.members.iter().copied()).collect()
    }

    /// Whether a migration holds slots now.
    pub fn is_running(&self, id: MigrationId) -> bool {
        self.leases.values().flatten().any(|lease| lease.members.contains(&id))
    }

    /// When the next delayed migration is due.
    pub fn next_due_ms(&self) -> Option<TimestampMs> {
        self.delayed.keys().next().map(|(at, _)| *at)
    }

    /// Read and write slots in use on a disk. A migration that is stuck on its other disk holds none here: a hung
    /// disk takes nothing from another.
    pub fn slots_in_use(&self, disk: DiskIndex, slots: &dyn Fn(DiskIndex) -> DiskSlots) -> (u32, u32) {
        let (mut reads, mut writes) = (0, 0);
        for ((source, destination), leases) in &self.leases {
            let leases = u32::try_from(leases.len()).unwrap_or(u32::MAX);
            if *source == disk && slots(*destination).writable {
                reads += leases;
            }
            if *destination == disk && slots(*source).readable {
                writes += leases;
            }
        }
        (reads, writes)
    }

    /// Takes the migrations that may start now out of the queue and gives them their slots.
    pub fn start_due(
        &mut self,
        now_ms: TimestampMs,
        node: NodeLimits,
        slots: &dyn Fn(DiskIndex) -> DiskSlots,
    ) -> Vec<MigrationId> {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now_ms) {
            let entry = entry.remove();
            self.enqueue(entry);
        }
        let mut started = Vec::new();
        let mut wanted_sources = BTreeSet::new();
        let mut wanted_destinations = BTreeSet::new();
        let mut blocked: BTreeSet<Pair> = BTreeSet::new();
        while self.running < node.running {
            let head = self
                .waiting
                .iter()
                .filter(|(pair, _)| !blocked.contains(pair))
                .filter_map(|(pair, queue)| {
                    queue.first_key_value().map(|(place, entry)| (*place, *pair, *entry))
                })
                // The first of a queue is a forced one, or has its highest priority.
                .filter(|(_, _, entry)| entry.haste == Haste::Forced || entry.priority >= node.priority_min)
                .min_by_key(|(place, _, _)| *place);
            let Some((place, pair, entry)) = head else { break };
            let (source, destination) = (slots(pair.0), slots(pair.1));
            let usable = source.readable && destination.writable;
            let small = entry.size_bytes <= node.small_bytes;
            let contested = wanted_sources.contains(&pair.0) || wanted_destinations.contains(&pair.1);
            let shared = (usable && small && !contested)
                .then(|| self.leases.get_mut(&pair))
                .flatten()
                .and_then(|leases| {
                    leases.iter_mut().find(|lease| lease.shared && lease.members.len() < node.small_batch)
                });
            if let Some(lease) = shared {
                lease.members.insert(entry.id);
            } else if usable
                && self.slots_in_use(pair.0, slots).0 < source.read_limit
                && self.slots_in_use(pair.1, slots).1 < destination.write_limit
            {
                let lease = Lease { members: BTreeSet::from([entry.id]), shared: small };
                self.leases.entry(pair).or_default().push(lease);
            } else {
                // What cannot run for the disk's own sake claims nothing; what waits for a slot keeps its turn.
                if usable {
                    wanted_sources.insert(pair.0);
                    wanted_destinations.insert(pair.1);
                }
                blocked.insert(pair);
                continue;
            }
            if let Some(queue) = self.waiting.get_mut(&pair) {
                queue.remove(&place);
            }
            self.kept.remove(&entry.id);
            self.running += 1;
            started.push(entry.id);
        }
        started
    }

    /// Gives back what a running migration held.
    pub fn finished(&mut self, id: MigrationId) {
        for leases in self.leases.values_mut() {
            for lease in leases.iter_mut() {
                if lease.members.remove(&id) {
                    self.running -= 1;
                }
            }
            leases.retain(|lease| !lease.members.is_empty());
        }
    }

    /// Why a waiting migration is not running, in words; `None` when it is not waiting.
    pub fn why_waiting(
        &self,
        id: MigrationId,
        now_ms: TimestampMs,
        node: NodeLimits,
        slots: &dyn Fn(DiskIndex) -> DiskSlots,
        name: &dyn Fn(DiskIndex) -> String,
    ) -> Option<String> {
        let pair = match self.kept.get(&id)? {
            Kept::InQueue(pair, _) => pair,
            Kept::Until(at) => {
                return Some(format!("waiting {} ms before the next attempt", (at - now_ms).max(0)));
            }
        };
        let (source, destination) = (slots(pair.0), slots(pair.1));
        let (reading, writing) = (self.slots_in_use(pair.0, slots).0, self.slots_in_use(pair.1, slots).1);
        Some(if !source.readable {
            format!("source {} cannot be read now", name(pair.0))
        } else if !destination.writable {
            format!("destination {} cannot be written now", name(pair.1))
        } else if self.running >= node.running {
            format!(
                "{} running, the node's limit",
                counted_as(self.running, "migration is", "migrations are")
            )
        } else if reading >= source.read_limit {
            format!("no read slot of {} is free, {reading} taken", name(pair.0))
        } else if writing >= destination.write_limit {
            format!("no write slot of {} is free, {writing} taken", name(pair.1))
        } else {
            "next in line".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NODE: NodeLimits =
        NodeLimits { running: 100, small_bytes: 10, small_batch: 3, priority_min: Priority::Low };

    fn slots(limit: u32) -> impl Fn(DiskIndex) -> DiskSlots {
        move |_| DiskSlots { read_limit: limit, write_limit: limit, readable: true, writable: true }
    }

    fn waiting(id: u64, source: u16, destination: u16, size_bytes: u64) -> Waiting {
        Waiting {
            id: MigrationId(id),
            source: DiskIndex(source),
            destination: DiskIndex(destination),
            haste: Haste::Normal,
            priority: Priority::Normal,
            turn: Turn::Own,
            size_bytes,
            not_before_ms: None,
        }
    }

    fn ids(list: &[u64]) -> Vec<MigrationId> {
        list.iter().map(|id| MigrationId(*id)).collect()
    }

    #[test]
    fn a_blocked_migration_does_not_hold_up_other_disks() {
        let mut schedule = Schedule::default();
        for (id, source, destination) in [(1, 0, 1), (2, 0, 1), (3, 2, 3)] {
            schedule.push(waiting(id, source, destination, 100));
        }
        assert_eq!(schedule.start_due(0, NODE, &slots(1)), ids(&[1, 3]));
        schedule.finished(MigrationId(1));
        assert_eq!(schedule.start_due(0, NODE, &slots(1)), ids(&[2]));
    }

    #[test]
    fn higher_priority_first_then_first_come() {
        let mut schedule = Schedule::default();
        schedule.push(waiting(1, 0, 1, 100));
        schedule.push(Waiting { priority: Priority::High, ..waiting(2, 0, 1, 100) });
        assert_eq!(schedule.start_due(0, NODE, &slots(1)), ids(&[2]));
        schedule.push(Waiting { haste: Haste::Forced, priority: Priority::Low, ..waiting(3, 0, 1, 100) });
        schedule.finished(MigrationId(2));
        assert_eq!(
            schedule.start_due(0, NODE, &slots(1)),
            ids(&[3]),
            "a forced one goes before every priority"
        );
    }

    #[test]
    fn a_forced_one_starts_below_the_priority_asked_for_and_holds_up_nobody_above_it() {
        let mut schedule = Schedule::default();
        schedule.push(Waiting { haste: Haste::Forced, ..waiting(1, 0, 1, 100) });
        schedule.push(Waiting { priority: Priority::High, ..waiting(2, 0, 1, 100) });
        schedule.push(waiting(3, 0, 1, 100));
        let closed = NodeLimits { priority_min: Priority::High, ..NODE };
        assert_eq!(schedule.start_due(0, closed, &slots(3)), ids(&[1, 2]));
    }

    #[test]
    fn small_tablets_share_a_pair_of_slots() {
        let mut schedule = Schedule::default();
        (1..=5).for_each(|id| schedule.push(waiting(id, 0, 1, 10)));
        assert_eq!(schedule.start_due(0, NODE, &slots(1)), ids(&[1, 2, 3]));
        assert_eq!(schedule.slots_in_use(DiskIndex(0), &slots(1)), (1, 0));
        schedule.finished(MigrationId(2));
        assert_eq!(schedule.start_due(0, NODE, &slots(1)), ids(&[4]));
    }

    #[test]
    fn nobody_joins_a_shared_pair_past_an_earlier_one_that_waits_for_its_disk() {
        let mut schedule = Schedule::default();
        schedule.push(waiting(1, 0, 1, 10));
        assert_eq!(schedule.start_due(0, NODE, &slots(1)), ids(&[1]));
        schedule.push(waiting(2, 0, 2, 100));
        schedule.push(waiting(3, 0, 1, 10));
        assert_eq!(schedule.start_due(0, NODE, &slots(1)), ids(&[]));
        schedule.finished(MigrationId(1));
        assert_eq!(schedule.start_due(0, NODE, &slots(1)), ids(&[2]));
    }

    #[test]
    fn what_a_disk_did_not_give_comes_behind_the_others_of_its_priority() {
        let mut schedule = Schedule::default();
        schedule.push(Waiting { turn: Turn::Last, ..waiting(1, 0, 1, 100) });
        schedule.push(waiting(2, 0, 1, 100));
        schedule.push(Waiting { priority: Priority::Low, ..waiting(3, 0, 1, 100) });
        for next in [2, 1, 3] {
            assert_eq!(schedule.start_due(0, NODE, &slots(1)), ids(&[next]));
            schedule.finished(MigrationId(next));
        }
    }

    #[test]
    fn a_delayed_one_waits_for_its_time_and_says_so() {
        let mut schedule = Schedule::default();
        schedule.push(Waiting { not_before_ms: Some(50), ..waiting(1, 0, 1, 100) });
        assert_eq!(schedule.start_due(49, NODE, &slots(1)), ids(&[]));
        assert_eq!(schedule.next_due_ms(), Some(50));
        let why = schedule.why_waiting(MigrationId(1), 20, NODE, &slots(1), &|_| String::new());
        assert_eq!(why.as_deref(), Some("waiting 30 ms before the next attempt"));
        assert_eq!(schedule.start_due(50, NODE, &slots(1)), ids(&[1]));
    }

    #[test]
    fn a_migration_stuck_on_a_hung_destination_gives_its_source_free() {
        let mut schedule = Schedule::default();
        schedule.push(waiting(1, 0, 1, 100));
        schedule.push(waiting(2, 0, 2, 100));
        assert_eq!(schedule.start_due(0, NODE, &slots(1)), ids(&[1]));
        let hung = |disk: DiskIndex| DiskSlots { writable: disk != DiskIndex(1), ..slots(1)(disk) };
        assert_eq!(schedule.start_due(0, NODE, &hung), ids(&[2]));
    }

    #[test]
    fn nothing_is_sent_to_a_disk_that_cannot_be_written() {
        let mut schedule = Schedule::default();
        schedule.push(waiting(1, 0, 1, 1));
        schedule.push(waiting(2, 0, 2, 1));
        let sick = |disk: DiskIndex| DiskSlots { writable: disk != DiskIndex(1), ..slots(1)(disk) };
        assert_eq!(schedule.start_due(0, NODE, &sick), ids(&[2]));
        assert!(schedule.remove(MigrationId(1)).is_some());
        assert_eq!(schedule.waiting_count(), 0);
    }

    #[test]
    fn outside_the_window_only_high_priority_starts_and_nothing_loses_its_turn() {
        let mut schedule = Schedule::default();
        schedule.push(waiting(1, 0, 1, 100));
        schedule.push(Waiting { priority: Priority::High, ..waiting(2, 0, 1, 100) });
        schedule.push(waiting(3, 2, 3, 5));
        let closed = NodeLimits { priority_min: Priority::High, ..NODE };
        assert_eq!(schedule.start_due(0, closed, &slots(2)), [MigrationId(2)]);
        assert_eq!(schedule.start_due(0, NODE, &slots(2)), [MigrationId(1), MigrationId(3)]);
    }

    proptest! {
        #[test]
        fn slots_are_never_exceeded_and_everything_runs_in_the_end(
            jobs in prop::collection::vec((0_u16..4, 0_u16..4, 0_u64..20), 1..60),
            limit in 1_u32..4,
        ) {
            let mut schedule = Schedule::default();
            for (id, (source, destination, size)) in jobs.iter().enumerate() {
                schedule.push(waiting(id as u64 + 1, *source, *destination, *size));
            }
            let mut running = std::collections::VecDeque::new();
            let mut done = 0;
            while done < jobs.len() {
                running.extend(schedule.start_due(0, NODE, &slots(limit)));
                for disk in 0..4 {
                    let (reads, writes) = schedule.slots_in_use(DiskIndex(disk), &slots(limit));
                    prop_assert!(reads <= limit && writes <= limit);
                }
                prop_assert_eq!(schedule.running_count(), running.len());
                let id = running.pop_front();
                prop_assert!(id.is_some(), "nothing runs though {} wait", schedule.waiting_count());
                schedule.finished(id.expect("checked"));
                done += 1;
            }
            prop_assert_eq!(schedule.waiting_count(), 0);
        }
    }
}
