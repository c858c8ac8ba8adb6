//! A scenario: events, and the lives they make.

use std::collections::BTreeSet;

use tabletd::model::TabletKey;

use crate::event::{Choice, Down, End, Event, draw};
use crate::life::{self, Plan, Verbs};
use crate::machine::disk::Disk;
use crate::oracle;
use crate::rng::Rng;
use crate::world::World;

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) lives: u64,
    pub(crate) events: u64,
    pub(crate) recoveries: u64,
    pub(crate) violations: u64,
}

/// One scenario: a node and what happens to it.
pub(crate) struct Scenario {
    seed: u64,
    /// With their places in the whole list, so that a shorter list draws the same for each that is left.
    pub(crate) events: Vec<(usize, Event)>,
}

/// Whether the logs of all lives are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logs {
    Shown,
    Hidden,
}

impl Scenario {
    /// The scenario of a seed.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = Rng::named(seed, "scenario");
        let world = World::new(&mut Rng::named(seed, "world"));
        let homes = world.homes();
        let choice = Choice { homes, disks: world.slots.len() };
        Self { seed, events: draw(&mut rng, &choice).into_iter().enumerate().collect() }
    }

    /// The same with fewer events.
    pub(crate) fn with(&self, events: Vec<(usize, Event)>) -> Self {
        Self { seed: self.seed, events }
    }

    /// Lives it. What was broken, if anything was.
    pub(crate) fn live(&self, logs: Logs, tally: &mut Tally) -> Result<(), String> {
        let mut run = Run {
            world: World::new(&mut Rng::named(self.seed, "world")),
            seed: self.seed,
            owed: BTreeSet::new(),
            logs,
            lives: 0,
            tally,
        };
        run.owed = run.world.tablets.keys().copied().collect();
        let mut pending = Vec::new();
        for (at, event) in &self.events {
            run.tally.events += 1;
            match event {
                Event::End(end) => run.life(*at, std::mem::take(&mut pending), *end)?,
                Event::Down(down) => {
                    if !pending.is_empty() {
                        run.life(*at, std::mem::take(&mut pending), End::Kill)?;
                    }
                    run.happen(*down)?;
                }
                live => pending.push(live.clone()),
            }
        }
        if !pending.is_empty() {
            run.life(self.events.len(), pending, End::Kill)?;
        }
        let is_harmless = self.events.iter().all(|(_, event)| event.is_harmless());
        run.last_judgement(if is_harmless { Verbs::Done } else { Verbs::Tried })
    }
}

struct Run<'a> {
    world: World,
    seed: u64,
    /// Tablets of which a good copy must be on some disk.
    owed: BTreeSet<TabletKey>,
    logs: Logs,
    lives: u64,
    tally: &'a mut Tally,
}

impl Run<'_> {
    fn life(&mut self, at: usize, events: Vec<Event>, end: End) -> Result<(), String> {
        let seed = Rng::named(self.seed, &format!("life {at}")).next();
        let here: Vec<_> = self.world.here().collect();
        let mut before = self.world.copies_that_last(&here);
        // What was removed and could come back in a power cut is no copy.
        before.retain(|key| self.world.copies_on(&here).contains(key));
        self.live(&Plan { seed, events, end, judges: None })?;
        if end == End::Cut {
            self.world.cut(&mut Rng::named(seed, "cut"));
        }
        // What is not here may never come back: the last copy that is here stays.
        let after = self.world.copies_on(&here);
        if let Some(key) = before.iter().find(|key| !after.contains(key)) {
            return Err(format!(
                "life {} took the last copy of tablet {key} from the disks that are here",
                self.lives
            ));
        }
        self.check_copies("after that life")
    }

    fn live(&mut self, plan: &Plan) -> Result<(), String> {
        let lived = life::live(&mut self.world, plan)?;
        self.tally.lives += 1;
        self.tally.recoveries += u64::from(self.lives > 0);
        self.lives += 1;
        let number = self.lives;
        let (calls, ms) = (lived.calls, lived.now_ns / 1_000_000);
        if self.logs == Logs::Shown {
            let events: Vec<_> = plan.events.iter().map(ToString::to_string).collect();
            let events = events.join("; ");
            println!("-- life {number} ({calls} calls, {ms} ms): {events}; {:?}\n{}", plan.end, lived.said);
        }
        lived.broken.map_or(Ok(()), |why| Err(format!("life {number}: {why}")))
    }

    fn happen(&mut self, down: Down) -> Result<(), String> {
        let slots = self.world.slots.len();
        match down {
            Down::LoseJournal => self.world.lose_journal(),
            Down::Unmount(slot) => {
                if self.world.mounted().count() > 1 {
                    self.world.slots[slot].is_mounted = false;
                }
            }
            Down::Mount(slot) => self.world.slots[slot].is_mounted = true,
            Down::Unconfigure(slot) => {
                if (0..slots).filter(|slot| self.world.slots[*slot].is_configured).count() > 1 {
                    self.world.slots[slot].is_configured = false;
                    self.world.configure();
                }
            }
            Down::Configure(slot) => {
                self.world.slots[slot].is_configured = true;
                self.world.configure();
            }
            Down::Keep(slot) => {
                let disk = self.world.disk(slot).clone();
                self.world.slots[slot].kept = Some(disk);
            }
            Down::Blank(slot) => {
                // Of a node without a single disk of its own nothing can be asked.
                let has_own = |other: &usize| *other != slot && self.world.is_formatted(*other);
                if (0..slots).any(|other| has_own(&other)) {
                    self.exchange(slot, |_| Some(World::blank()));
                }
            }
            Down::Old(slot) => self.exchange(slot, |world| world.slots[slot].kept.clone()),
        }
        self.check_copies("before the next life")
    }

    /// Another disk stands in the place of one: what only that had is owed no more.
    fn exchange(&mut self, slot: usize, by: impl FnOnce(&World) -> Option<Disk>) {
        let Some(disk) = by(&self.world) else { return };
        *self.world.disk_mut(slot) = disk;
        self.world.notes.push("exchanged".to_owned());
        let good = self.world.good_copies();
        self.owed.retain(|key| good.contains(key));
    }

    fn check_copies(&mut self, when: &str) -> Result<(), String> {
        let good = self.world.good_copies();
        match self.owed.iter().find(|key| !good.contains(key)) {
            Some(key) => {
                Err(format!("no good copy of tablet {key} is on any disk {when} (life {})", self.lives))
            }
            None => Ok(()),
        }
    }

    /// All that can come right comes right; then nothing may be left to wish for.
    fn last_judgement(&mut self, first: Verbs) -> Result<(), String> {
        self.world.mend();
        let seed = Rng::named(self.seed, "judgement").next();
        let owed = self.owed.clone();
        self.live(&Plan { seed, events: Vec::new(), end: End::Stop, judges: Some((owed.clone(), first)) })?;
        self.check_copies("after the verbs")?;
        self.live(&Plan { seed, events: Vec::new(), end: End::Stop, judges: Some((owed, Verbs::Done)) })?;
        self.check_copies("at the end")?;
        oracle::judge(&self.world)
    }
}

/// Takes events out until each that is left is needed for the scenario to break a promise. What the last one broke.
pub(crate) fn shrink(scenario: Scenario, why: String, tally: &mut Tally) -> (Scenario, String) {
    let (mut scenario, mut why) = (scenario, why);
    let mut size = scenario.events.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < scenario.events.len() {
            let mut fewer = scenario.events.clone();
            fewer.drain(at..(at + size).min(scenario.events.len()));
            let fewer = scenario.with(fewer);
            match fewer.live(Logs::Hidden, tally) {
                Err(broken) => (scenario, why) = (fewer, broken),
                Ok(()) => at += size,
            }
        }
        size /= 2;
    }
    (scenario, why)
}
