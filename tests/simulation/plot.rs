//! Bad days told on purpose: few events that meet, where chance alone seldom puts them together. Each is one kind of what
//! once lost a tablet or locked it up; what is drawn is the moment, the disk, and what comes on top.

use tabletd::model::Mode;

use crate::event::{Choice, Down, End, Event, Order, Steer, Trouble};
use crate::machine::files::Kind;
use crate::rng::Rng;

/// Calls on files of one migration of a small tablet, about.
const MIGRATION_CALLS: u64 = 600;

/// Who plays.
struct Cast {
    tablet: usize,
    /// Where it is.
    from: usize,
    to: usize,
    /// Another tablet, if there is one, and a third disk.
    other: usize,
    third: usize,
}

/// Draws one of them.
pub(crate) fn draw(rng: &mut Rng, choice: &Choice) -> Vec<Event> {
    let tablet = rng.index(choice.homes.len());
    let from = choice.homes[tablet];
    let to = (from + 1 + rng.index(choice.disks - 1)) % choice.disks;
    let third = (0..choice.disks).find(|disk| ![from, to].contains(disk)).unwrap_or(from);
    let cast = Cast { tablet, from, to, other: (tablet + 1) % choice.homes.len(), third };
    let plots: [fn(&Cast, &mut Rng) -> Vec<Event>; 8] = [
        cut_about_the_swap,
        cut_about_the_swap,
        steered_at_the_end,
        source_gone_at_the_gate,
        retirement_fails,
        short_memory_and_an_old_disk,
        two_heals,
        staging_stays,
    ];
    plots[rng.index(plots.len())](&cast, rng)
}

impl Cast {
    fn moves(&self, mode: Mode) -> Event {
        Event::Order(Order::Move { tablet: self.tablet, to: self.to, mode })
    }
}

fn steer(how: Steer) -> Event {
    Event::Order(Order::Steer { which: 0, how })
}

fn life(events: Vec<Event>, end: End) -> Vec<Event> {
    [events, vec![Event::End(end)]].concat()
}

/// Power cuts and kills alone: nothing else is wrong, and nothing may be asked of an operator afterwards.
fn cut_about_the_swap(cast: &Cast, rng: &mut Rng) -> Vec<Event> {
    let mut events = vec![cast.moves(Mode::Auto)];
    if rng.coin() {
        events.push(Event::DieAfter { calls: 1 + rng.below(MIGRATION_CALLS) });
    }
    events.push(Event::Wait { ms: [0, 20, 300, 3000][rng.index(4)] });
    let mut all = life(events, if rng.below(4) == 0 { End::Kill } else { End::Cut });
    if rng.below(3) == 0 {
        let again = vec![Event::DieAfter { calls: 1 + rng.below(MIGRATION_CALLS) }];
        all.extend(life(again, End::Cut));
    }
    all
}

/// Orders that race the last row of a migration.
fn steered_at_the_end(cast: &Cast, rng: &mut Rng) -> Vec<Event> {
    let gated = rng.below(3) == 0;
    let mut events = vec![cast.moves(if gated { Mode::ManualCutover } else { Mode::Auto })];
    if gated {
        events.extend([Event::Wait { ms: 1000 }, steer(Steer::ForceComplete)]);
    }
    for _ in 0..4 + rng.index(10) {
        let how = [Steer::Rate, Steer::Rate, Steer::Rate, Steer::ForceComplete, Steer::Pause, Steer::Abort];
        events.push(steer(how[rng.index(how.len())]));
    }
    events.push(Event::Wait { ms: 3000 });
    life(events, End::Kill)
}

/// The source, or its place in the configuration, is gone while the one verified copy waits.
fn source_gone_at_the_gate(cast: &Cast, rng: &mut Rng) -> Vec<Event> {
    let mut events = vec![cast.moves(Mode::ManualCutover), Event::Wait { ms: 2000 }];
    if rng.coin() {
        events.extend([Event::DieAfter { calls: 1 + rng.below(60) }, steer(Steer::Abort)]);
    }
    let mut all = life(events, End::Kill);
    if rng.coin() {
        all.push(Event::Down(Down::LoseJournal));
    }
    let gone = if rng.coin() { Down::Unmount(cast.from) } else { Down::Unconfigure(cast.from) };
    all.push(Event::Down(gone));
    let asked = [Steer::Abort, Steer::Settle, Steer::Retry, Steer::Cutover][rng.index(4)];
    all.extend(life(vec![Event::Wait { ms: 1000 }, steer(asked), Event::Wait { ms: 5000 }], End::Kill));
    all
}

/// The source cannot be retired, and then the new owner is away.
fn retirement_fails(cast: &Cast, rng: &mut Rng) -> Vec<Event> {
    let trouble = match rng.below(3) {
        0 => Trouble::ReadOnly,
        1 => Trouble::Full,
        _ => Trouble::Fail { kind: Some(Kind::Names), after: rng.below(4), errno: libc::EIO },
    };
    let mut events = vec![cast.moves(Mode::Auto), Event::Trouble(cast.from, trouble)];
    if rng.coin() {
        events.push(Event::DieAfter { calls: 1 + rng.below(MIGRATION_CALLS) });
    }
    events.push(Event::Wait { ms: 3000 });
    let mut all = life(events, End::Kill);
    if rng.coin() {
        all.push(Event::Down(Down::Unmount(cast.to)));
    }
    all.extend(life(vec![Event::Wait { ms: 2000 }], End::Kill));
    all
}

/// History of one row, a source that comes back as it was before the move, and an owner that is away.
fn short_memory_and_an_old_disk(cast: &Cast, rng: &mut Rng) -> Vec<Event> {
    let mut all = life(vec![Event::Order(Order::ShortHistory)], End::Stop);
    all.push(Event::Down(Down::Keep(cast.from)));
    let flush = Event::Order(Order::Move { tablet: cast.other, to: cast.third, mode: Mode::Auto });
    let wait = || Event::Wait { ms: 3000 };
    all.extend(life(vec![cast.moves(Mode::Auto), wait(), flush, wait()], End::Kill));
    all.push(Event::Down(Down::Old(cast.from)));
    all.push(Event::Down(if rng.coin() { Down::Unmount(cast.to) } else { Down::Unconfigure(cast.to) }));
    all.extend(life(vec![Event::Wait { ms: 1000 }], End::Kill));
    all
}

/// Several operators bring one tablet back, each to another disk.
fn two_heals(cast: &Cast, rng: &mut Rng) -> Vec<Event> {
    let mut all = life(vec![cast.moves(Mode::Auto), Event::Wait { ms: 3000 }], End::Kill);
    all.push(Event::Down(Down::Unmount(cast.to)));
    let mut events = vec![Event::Order(Order::GiveUp { disk: cast.to }), Event::Wait { ms: 2000 }];
    for _ in 0..2 + rng.index(3) {
        let heal = |to| Event::Order(Order::Heal { tablet: cast.tablet, to });
        events.push(match rng.below(4) {
            0 => Event::Order(Order::Restore { tablet: cast.tablet }),
            1 => heal(None),
            2 => heal(Some(cast.from)),
            _ => heal(Some(cast.third)),
        });
    }
    events.push(Event::Wait { ms: 5000 });
    all.extend(life(events, if rng.coin() { End::Stop } else { End::Kill }));
    all
}

/// A call on the destination fails about the swap, so that something of the move is left there.
fn staging_stays(cast: &Cast, rng: &mut Rng) -> Vec<Event> {
    let kinds = [Kind::Names, Kind::Names, Kind::Sync, Kind::Look];
    let fail = Trouble::Fail { kind: Some(kinds[rng.index(4)]), after: rng.below(40), errno: libc::EIO };
    let events =
        vec![cast.moves(Mode::Auto), Event::Trouble(cast.to, fail), Event::Wait { ms: rng.below(3000) }];
    let mut all = life(events, End::Kill);
    if rng.below(4) == 0 {
        all.push(Event::Down(Down::LoseJournal));
    }
    all.extend(life(vec![Event::Wait { ms: 1000 }], End::Kill));
    all
}
