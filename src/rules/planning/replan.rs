//! Other destinations for what is left of a plan, from the facts of today.
//!
//! A move whose destination still takes it stays as it was planned; so does one that no other disk takes: it waits. Nothing
//! that has begun is looked at here.

use std::collections::{BTreeMap, BTreeSet};

use super::inventory::{Disk, Inventory, Pin, Tablet};
use super::ledger::Ledger;
use super::places::{Open, Openings};
use super::relocate::{refuses, tier};
use super::report::{Forecast, Misfit, Move, Obstacle, Why};
use super::{Request, Settings, forecast};
use crate::model::{DiskIndex, TabletKey};

/// How far a move has come that may still go elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No migration carries it out.
    NotSubmitted,
    /// Its migration waits, and nothing is promised to it.
    Waits,
    /// Its migration waits for its turn, with room on its destination promised to it.
    HasRoom,
}

/// A move that is left to be done, of which nothing has been copied that is worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    pub key: TabletKey,
    pub source: DiskIndex,
    /// To, by the plan; `None` when that disk is not here any more.
    pub destination: Option<DiskIndex>,
    /// How far it has come.
    pub standing: Standing,
}

/// What changes of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Replan {
    /// The moves that go elsewhere.
    pub moves: Vec<Move>,
    /// What each destination has against the first move that it does not take any more.
    pub because: BTreeMap<DiskIndex, Obstacle>,
    /// Moves that cannot go on and that no other disk takes.
    pub misfits: Vec<Misfit>,
    /// Every disk, now and when all that is left is done.
    pub disks: Vec<Forecast>,
}

/// Decides what goes elsewhere. Of moves that a destination cannot take all of, the first of the plan keep their place.
pub fn replan(
    request: &Request,
    remaining: &[Remaining],
    inventory: &Inventory,
    settings: &Settings,
) -> Replan {
    let inventory = without_waiting(inventory, remaining);
    let before = Ledger::new(&inventory, settings.watermark);
    let mut ledger = before.clone();
    let (kept, going, because) = sort_out(remaining, &inventory, &mut ledger);
    let evens = matches!(request, Request::Rebalance { .. });
    let refuses = |source: &Disk, disk: &Disk| {
        let heavy = || evens && !is_lighter(&before, disk, source);
        refuses(request, source, disk).or_else(|| heavy().then_some(Obstacle::NotLighter))
    };
    let tier = |source: &Disk, disk: &Disk| tier(request, source, disk);
    let openings = Openings { asked: &|_| true, refuses: &refuses, tier: &tier };
    let open = Open::look(&going, &ledger, &openings);
    let (moves, misfits) = open.place(&going, &mut ledger, settings.stop_points, Why::Selected);

    let tablets: BTreeMap<_, _> = inventory.tablets.iter().map(|tablet| (tablet.key, tablet)).collect();
    let all: Vec<_> = kept.into_iter().chain(moves.iter().copied()).collect();
    for planned in &all {
        let ends = (ledger.bin_of(planned.source), ledger.bin_of(planned.destination));
        if let ((Some(from), Some(to)), Some(tablet)) = (ends, tablets.get(&planned.key)) {
            ledger.shift(tablet, from, to);
        }
    }
    let disks = forecast(&inventory, &before, &ledger, &all);
    Replan { moves, because, misfits, disks }
}

/// The picture without the migrations that only wait: their tablets are where they were.
fn without_waiting(inventory: &Inventory, remaining: &[Remaining]) -> Inventory {
    let waits = |one: &&Remaining| one.standing != Standing::NotSubmitted;
    let waiting: BTreeSet<_> = remaining.iter().filter(waits).map(|one| one.key).collect();
    let mut inventory = inventory.clone();
    for tablet in inventory.tablets.iter_mut().filter(|tablet| waiting.contains(&tablet.key)) {
        tablet.moving_to = None;
    }
    inventory
}

/// What stays as planned, counted in `ledger`; what needs another destination; and what stopped it.
fn sort_out<'a>(
    remaining: &[Remaining],
    inventory: &'a Inventory,
    ledger: &mut Ledger<'_>,
) -> (Vec<Move>, Vec<&'a Tablet>, BTreeMap<DiskIndex, Obstacle>) {
    let tablets: BTreeMap<_, _> = inventory.tablets.iter().map(|tablet| (tablet.key, tablet)).collect();
    let (mut kept, mut going, mut because) = (Vec::new(), Vec::new(), BTreeMap::new());
    for Remaining { key, source, destination, standing } in remaining.iter().copied() {
        let is_movable = |tablet: &&&Tablet| {
            tablet.disk == source && tablet.pin == Pin::Free && tablet.moving_to.is_none()
        };
        let Some(tablet) = tablets.get(&key).filter(is_movable).copied() else { continue };
        let readable = inventory.disk(source).is_some_and(|disk| disk.condition.is_readable());
        let here = destination.filter(|disk| inventory.disk(*disk).is_some());
        let stopped = here.map(|disk| (disk, stopped_by(tablet, disk, standing, inventory, ledger)));
        match stopped {
            Some((destination, None)) => {
                let size_bytes = tablet.size_bytes;
                kept.push(Move { key, source, destination, size_bytes, why: Why::Selected });
            }
            // It goes nowhere before its source is back.
            _ if !readable => {}
            Some((destination, Some(why))) => {
                because.entry(destination).or_insert(why);
                going.push(tablet);
            }
            None => going.push(tablet),
        }
    }
    (kept, going, because)
}

/// What the destination of a move has against it; where there is nothing, the move is counted as arriving.
fn stopped_by(
    tablet: &Tablet,
    destination: DiskIndex,
    standing: Standing,
    inventory: &Inventory,
    ledger: &mut Ledger<'_>,
) -> Option<Obstacle> {
    let disk = inventory.disk(destination)?;
    if !disk.condition.is_writable() {
        return Some(Obstacle::NotWritable { condition: disk.condition.as_str() });
    }
    let bin = ledger.bin_of(destination)?;
    // What has room promised is in the books already.
    if standing != Standing::HasRoom {
        if let Some(full) = ledger.why_not(bin, tablet.need()) {
            return Some(Obstacle::DoesNotFit(full));
        }
        ledger.bins[bin].arriving = ledger.bins[bin].arriving.plus(tablet.need());
    }
    None
}

/// Whether a disk is less loaded than another.
fn is_lighter(ledger: &Ledger<'_>, disk: &Disk, than: &Disk) -> bool {
    let load = |disk: &Disk| ledger.bin_of(disk.index).map(|bin| &ledger.bins[bin]);
    let (Some(one), Some(other)) = (load(disk), load(than)) else { return false };
    u128::from(one.load_bytes) * u128::from(other.total_bytes)
        < u128::from(other.load_bytes) * u128::from(one.total_bytes)
}
