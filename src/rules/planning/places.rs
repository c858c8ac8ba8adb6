//! Which disks are open to tablets that must move, and a place for each on one of them.

use std::collections::{BTreeMap, BTreeSet};

use super::inventory::{Disk, Tablet};
use super::ledger::Ledger;
use super::packing::{Item, Place, pack};
use super::report::{Fit, Misfit, Move, Obstacle, Why};
use crate::model::DiskIndex;

/// Where tablets may go, by what was asked.
#[derive(Clone, Copy)]
pub(super) struct Openings<'a> {
    /// Which disks are worth naming when they take nothing.
    pub(super) asked: &'a dyn Fn(&Disk) -> bool,
    /// What a disk (the second) has against tablets of a source (the first), whatever its condition and its space.
    pub(super) refuses: &'a dyn Fn(&Disk, &Disk) -> Option<Obstacle>,
    /// Whether a disk is only second best for a source: 0 or 1.
    pub(super) tier: &'a dyn Fn(&Disk, &Disk) -> usize,
}

/// The disks that are open to tablets of each source, and what the others have against them.
pub(super) struct Open {
    choices: BTreeMap<DiskIndex, Vec<Vec<Place>>>,
    /// Every other disk; `None` where it is open.
    others: BTreeMap<DiskIndex, Vec<(DiskIndex, Option<Obstacle>)>>,
}

impl Open {
    pub(super) fn look(going: &[&Tablet], ledger: &Ledger<'_>, openings: &Openings<'_>) -> Self {
        let inventory = ledger.inventory;
        let mut disks: Vec<_> = inventory.disks.iter().collect();
        disks.sort_by_key(|disk| disk.index);
        let obstacle = |source: &Disk, disk: &Disk| {
            let condition = disk.condition.as_str();
            (openings.refuses)(source, disk)
                .or_else(|| (!disk.condition.is_writable()).then_some(Obstacle::NotWritable { condition }))
        };
        let (mut choices, mut all) = (BTreeMap::new(), BTreeMap::new());
        let sources: BTreeSet<_> = going.iter().map(|tablet| tablet.disk).collect();
        for source in sources.iter().filter_map(|index| inventory.disk(*index)) {
            let mut tiers = vec![Vec::new(), Vec::new()];
            let mut others = Vec::new();
            for disk in disks.iter().filter(|disk| disk.index != source.index && (openings.asked)(disk)) {
                let why_not = obstacle(source, disk);
                if let (None, Some(bin)) = (why_not, ledger.bin_of(disk.index)) {
                    tiers[(openings.tier)(source, disk)].push((disk.index, bin));
                }
                others.push((disk.index, why_not));
            }
            choices.insert(source.index, tiers);
            all.insert(source.index, others);
        }
        Self { choices, others: all }
    }

    /// Whether no disk is open to anything.
    pub(super) fn is_empty(&self) -> bool {
        self.choices.values().flatten().all(Vec::is_empty)
    }

    /// What the disks have against tablets of the first source.
    pub(super) fn closed_to_the_first(&self) -> Vec<(DiskIndex, Obstacle)> {
        let first = self.others.values().next().into_iter().flatten();
        first.filter_map(|(disk, why)| Some((*disk, (*why)?))).collect()
    }

    /// A place for each, and what fits nowhere. What is placed is counted in `ledger` as arriving.
    pub(super) fn place(
        &self,
        going: &[&Tablet],
        ledger: &mut Ledger<'_>,
        stop_points: u32,
        why: Why,
    ) -> (Vec<Move>, Vec<Misfit>) {
        // A source that is not in the picture has no choices.
        let none: &[Vec<Place>] = &[];
        let choices = |tablet: &Tablet| self.choices.get(&tablet.disk).map_or(none, Vec::as_slice);
        let mut items: Vec<_> =
            going.iter().map(|tablet| Item { tablet, choices: choices(tablet) }).collect();
        let places = pack(&mut items, ledger, stop_points);
        let alone = ledger.clone();
        for (item, (_, bin)) in items.iter().zip(&places).filter_map(|(item, place)| Some((item, (*place)?)))
        {
            ledger.bins[bin].arriving = ledger.bins[bin].arriving.plus(item.tablet.need());
        }
        let (mut moves, mut fits_nowhere) = (Vec::new(), Vec::new());
        for (Item { tablet, choices }, place) in items.iter().zip(&places) {
            let (key, source, size_bytes) = (tablet.key, tablet.disk, tablet.size_bytes);
            if let Some((destination, _)) = place {
                moves.push(Move { key, source, destination: *destination, size_bytes, why });
                continue;
            }
            let ever = choices.iter().flatten().any(|(_, bin)| alone.bins[*bin].takes(tablet.need()));
            let fit = if ever { Fit::NotBesideTheOthers } else { Fit::Never };
            let tried = self.why_nowhere(tablet, ledger);
            fits_nowhere.push(Misfit { key, source, size_bytes, fit, tried });
        }
        (moves, fits_nowhere)
    }

    fn why_nowhere(&self, tablet: &Tablet, ledger: &Ledger<'_>) -> Vec<(DiskIndex, Obstacle)> {
        let tried = self.others.get(&tablet.disk).into_iter().flatten().filter_map(|(disk, why_not)| {
            let full = || ledger.why_not(ledger.bin_of(*disk)?, tablet.need()).map(Obstacle::DoesNotFit);
            Some((*disk, why_not.or_else(full)?))
        });
        tried.collect()
    }
}
