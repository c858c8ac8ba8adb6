//! What happens to a node, and how a scenario draws it.

use std::fmt;

use tabletd::model::Mode;

use crate::machine::disk::Errno;
use crate::machine::files::Kind;
use crate::plot;
use crate::rng::Rng;

/// One thing that happens. A list of them is a scenario.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// An operator asks for something, on a thread of his own.
    Order(Order),
    /// Something goes wrong with a disk under a node that lives, or comes right.
    Trouble(usize, Trouble),
    /// Time passes.
    Wait { ms: u64 },
    /// The process dies at the so-manieth call on a file from here.
    DieAfter { calls: u64 },
    /// The life ends.
    End(End),
    /// Something happens while no process runs.
    Down(Down),
}

/// What an operator asks for.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    Move { tablet: usize, to: usize, mode: Mode },
    Steer { which: usize, how: Steer },
    Drain { disk: usize },
    Heal { tablet: usize, to: Option<usize> },
    Restore { tablet: usize },
    Purge,
    Verify { tablet: usize },
    Disable { disk: usize },
    Enable { disk: usize },
    Forget { disk: usize },
    GiveUp { disk: usize },
    Replace { disk: usize },
    Register { disk: usize },
    ShortHistory,
}

/// What is done with a migration.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Steer {
    Abort,
    Pause,
    Resume,
    Retry,
    Cutover,
    ForceComplete,
    Revert,
    Rate,
    Settle,
}

/// What a disk does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    Fail { kind: Option<Kind>, after: u64, errno: Errno },
    Hang { ms: u64 },
    Full,
    Roomy,
    ReadOnly,
    Writable,
    Unplug,
    Plug,
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As an operator stops it.
    Stop,
    /// SIGKILL: what the kernel has cached stays.
    Kill,
    /// The power is cut: only what was synced stays for certain.
    Cut,
}

/// What happens to a node that does not run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Down {
    LoseJournal,
    Unmount(usize),
    Mount(usize),
    /// A blank disk stands in the place of this one, which never comes back.
    Blank(usize),
    /// A copy of the disk is kept, as a snapshot or a backup would.
    Keep(usize),
    /// The disk is what was kept of it.
    Old(usize),
    Unconfigure(usize),
    Configure(usize),
}

/// What a scenario may choose from.
pub(crate) struct Choice {
    /// The disk of each tablet.
    pub(crate) homes: Vec<usize>,
    pub(crate) disks: usize,
}

/// Draws a scenario: one that is told on purpose, at times with something more behind it, or anything.
pub(crate) fn draw(rng: &mut Rng, choice: &Choice) -> Vec<Event> {
    match rng.below(8) {
        0..4 => plot::draw(rng, choice),
        4 => [plot::draw(rng, choice), draw_anything(rng, choice)].concat(),
        _ => draw_anything(rng, choice),
    }
}

fn draw_anything(rng: &mut Rng, choice: &Choice) -> Vec<Event> {
    let mut events = Vec::new();
    for _ in 0..1 + rng.index(5) {
        if rng.below(4) == 0 {
            events.push(Event::DieAfter { calls: 1 + rng.below(700) });
        }
        for _ in 0..1 + rng.index(6) {
            events.push(draw_live(rng, choice));
        }
        events.push(Event::End([End::Stop, End::Kill, End::Kill, End::Cut, End::Cut][rng.index(5)]));
        while rng.below(3) == 0 {
            events.push(Event::Down(draw_down(rng, choice)));
        }
    }
    events
}

fn draw_live(rng: &mut Rng, choice: &Choice) -> Event {
    match rng.below(20) {
        0..7 => Event::Order(draw_move(rng, choice)),
        7..14 => Event::Order(draw_order(rng, choice)),
        14..17 => Event::Trouble(rng.index(choice.disks), draw_trouble(rng)),
        17 => Event::Wait { ms: rng.below(2000) },
        18 => Event::Wait { ms: rng.below(60_000) },
        _ => Event::DieAfter { calls: 1 + rng.below(400) },
    }
}

fn draw_move(rng: &mut Rng, choice: &Choice) -> Order {
    let mode = [Mode::Auto, Mode::Auto, Mode::ManualCutover, Mode::Stepwise][rng.index(4)];
    Order::Move { tablet: rng.index(choice.homes.len()), to: rng.index(choice.disks), mode }
}

fn draw_order(rng: &mut Rng, choice: &Choice) -> Order {
    use Steer::{Abort, Cutover, ForceComplete, Pause, Rate, Resume, Retry, Revert, Settle};
    let steers = [Abort, Pause, Resume, Retry, Cutover, ForceComplete, Revert, Rate, Settle];
    let (tablet, disk) = (rng.index(choice.homes.len()), rng.index(choice.disks));
    match rng.below(24) {
        0..12 => Order::Steer { which: rng.index(4) / 2, how: steers[rng.index(steers.len())] },
        12 => Order::Drain { disk },
        13 => Order::Heal { tablet, to: None },
        14 => Order::Restore { tablet },
        15 => Order::Purge,
        16 => Order::Verify { tablet },
        17 => Order::Disable { disk },
        18 => Order::Enable { disk },
        19 => Order::Forget { disk },
        20 => Order::GiveUp { disk },
        21 => Order::Replace { disk },
        22 => Order::Register { disk },
        _ => Order::ShortHistory,
    }
}

fn draw_trouble(rng: &mut Rng) -> Trouble {
    let kinds =
        [None, Some(Kind::Look), Some(Kind::Read), Some(Kind::Write), Some(Kind::Names), Some(Kind::Sync)];
    match rng.below(12) {
        0..5 => Trouble::Fail {
            kind: kinds[rng.index(kinds.len())],
            after: rng.below(60),
            errno: if rng.below(4) == 0 { libc::ENOSPC } else { libc::EIO },
        },
        5 => Trouble::Hang { ms: rng.below(90_000) },
        6 => Trouble::Full,
        7 => Trouble::Roomy,
        8 => Trouble::ReadOnly,
        9 => Trouble::Writable,
        10 => Trouble::Unplug,
        _ => Trouble::Plug,
    }
}

fn draw_down(rng: &mut Rng, choice: &Choice) -> Down {
    let disk = rng.index(choice.disks);
    match rng.below(10) {
        0 => Down::LoseJournal,
        1 | 2 => Down::Unmount(disk),
        3 | 4 => Down::Mount(disk),
        5 => Down::Blank(disk),
        6 => Down::Keep(disk),
        7 => Down::Old(disk),
        8 => Down::Unconfigure(disk),
        _ => Down::Configure(disk),
    }
}

impl Event {
    /// Whether nothing is wrong with a disk or the journal then, and no disk is given up: after such events alone, and any
    /// kills and power cuts, nothing is asked of an operator.
    pub(crate) const fn is_harmless(&self) -> bool {
        match self {
            Self::Order(order) => !matches!(
                order,
                Order::Forget { .. } | Order::GiveUp { .. } | Order::Replace { .. } | Order::Register { .. }
            ),
            Self::Wait { .. } | Self::DieAfter { .. } | Self::End(_) => true,
            Self::Trouble(..) | Self::Down(_) => false,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(order) => write!(f, "order {order:?}"),
            Self::Trouble(disk, trouble) => write!(f, "disk {disk}: {trouble:?}"),
            Self::Wait { ms } => write!(f, "wait {ms} ms"),
            Self::DieAfter { calls } => write!(f, "die at call {calls} from here"),
            Self::End(end) => write!(f, "end: {end:?}"),
            Self::Down(down) => write!(f, "down: {down:?}"),
        }
    }
}
