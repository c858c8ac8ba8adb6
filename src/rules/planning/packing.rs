//! Finding a place for each of many tablets that must move.
//!
//! Space that suffices in sum may still not hold the pieces, so each is placed by itself, the largest first. The first
//! attempt spreads: it keeps loads even and the tablets of a partition apart. When that leaves something without a place,
//! tight packing is tried, and then a search through all packings, cut off after a fixed number of steps. Only what no
//! attempt could place is given back as homeless.

use std::collections::HashMap;

use super::inventory::Tablet;
use super::ledger::Ledger;
use crate::model::{DiskIndex, Space};

/// Steps of the search, some tenths of a second at most. Ten tablets on three disks are always searched through; of a
/// larger puzzle only as much as the steps allow.
const SEARCH_STEPS: usize = 200_000;

/// A disk and the bin it is in.
pub(super) type Place = (DiskIndex, usize);

/// A tablet to place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) tablet: &'a Tablet,
    /// Where it may go, best disks first: a disk of a later list is taken only when the earlier ones are full.
    pub(super) choices: &'a [Vec<Place>],
}

impl Item<'_> {
    fn all(&self) -> impl Iterator<Item = Place> {
        self.choices.iter().flatten().copied()
    }
}

/// Places, in the order of the items; `None` for the homeless.
type Places = Vec<Option<Place>>;

/// Sorts the items, largest first, and finds their places.
pub(super) fn pack(items: &mut [Item<'_>], ledger: &Ledger<'_>, stop_points: u32) -> Places {
    items.sort_by_key(|item| (std::cmp::Reverse(item.tablet.size_bytes), item.tablet.key));
    let spread = spread(items, ledger, stop_points);
    // What could not even go alone is no puzzle.
    let hopeless = |item: &Item<'_>| !item.all().any(|(_, bin)| ledger.bins[bin].takes(item.tablet.need()));
    let homeless = |places: &Places| places.iter().filter(|place| place.is_none()).count();
    let least = items.iter().filter(|item| hopeless(item)).count();
    if homeless(&spread) == least {
        return spread;
    }
    let tight = tight(items, ledger);
    if homeless(&tight) == least {
        return tight;
    }
    let possible: Vec<usize> = (0..items.len()).filter(|at| !hopeless(&items[*at])).collect();
    if let Some(found) = search(&possible.iter().map(|at| items[*at]).collect::<Vec<_>>(), ledger) {
        let mut places = vec![None; items.len()];
        for (at, place) in possible.into_iter().zip(found) {
            places[at] = Some(place);
        }
        return places;
    }
    if homeless(&tight) < homeless(&spread) { tight } else { spread }
}

fn lefts(ledger: &Ledger<'_>) -> Vec<Option<Space>> {
    ledger.bins.iter().map(super::ledger::Bin::left).collect()
}

fn takes(left: Option<Space>, need: Space) -> bool {
    left.is_some_and(|left| need.is_within(left))
}

/// Even loads, partitions apart.
fn spread(items: &[Item<'_>], ledger: &Ledger<'_>, stop_points: u32) -> Places {
    let mut left = lefts(ledger);
    let mut load: Vec<u64> = ledger.bins.iter().map(|bin| bin.load_bytes).collect();
    let mut crowd: HashMap<(i64, usize), u32> = HashMap::new();
    // The level that all destinations would reach together, and a little more: below it loads are even enough, and
    // keeping a partition apart counts for more.
    let mut taking: Vec<usize> = items.iter().flat_map(Item::all).map(|(_, bin)| bin).collect();
    taking.sort_unstable();
    taking.dedup();
    let sum = |each: &mut dyn Iterator<Item = u64>| each.map(u128::from).sum::<u128>();
    let total = sum(&mut taking.iter().map(|bin| ledger.bins[*bin].total_bytes)).max(1);
    let filled = sum(&mut taking.iter().map(|bin| load[*bin]))
        + sum(&mut items.iter().map(|item| item.tablet.size_bytes));
    let calm_ppm = filled * 1_000_000 / total + u128::from(stop_points) * 10_000;
    let place = |item: &Item<'_>| {
        let Item { tablet, choices } = item;
        let best = |choices: &Vec<Place>| {
            let open = choices.iter().filter(|(_, bin)| takes(left[*bin], tablet.need()));
            open.min_by_key(|(disk, bin)| {
                let whole = u128::from(ledger.bins[*bin].total_bytes.max(1));
                let after_ppm = (u128::from(load[*bin]) + u128::from(tablet.size_bytes)) * 1_000_000 / whole;
                let mates = ledger.crowd(tablet, *bin)
                    + crowd.get(&(tablet.partition_id, *bin)).copied().unwrap_or(0);
                let calm = after_ppm <= calm_ppm;
                (!calm, if calm { mates } else { 0 }, after_ppm, *disk)
            })
            .copied()
        };
        let (disk, bin) = choices.iter().find_map(best)?;
        left[bin] = left[bin].map(|left| left.minus(tablet.need()));
        load[bin] = load[bin].saturating_add(tablet.size_bytes);
        if tablet.partition_id != 0 {
            *crowd.entry((tablet.partition_id, bin)).or_default() += 1;
        }
        Some((disk, bin))
    };
    items.iter().map(place).collect()
}

/// Each where it leaves the least room, so that large gaps stay large.
fn tight(items: &[Item<'_>], ledger: &Ledger<'_>) -> Places {
    let mut left = lefts(ledger);
    let place = |item: &Item<'_>| {
        let need = item.tablet.need();
        let open = item.all().filter(|(_, bin)| takes(left[*bin], need));
        let (disk, bin) = open.min_by_key(|(disk, bin)| (left[*bin], *disk))?;
        left[bin] = left[bin].map(|left| left.minus(need));
        Some((disk, bin))
    };
    items.iter().map(place).collect()
}

/// All packings, tightest first; `None` when there is none, or none was found in [`SEARCH_STEPS`].
fn search(items: &[Item<'_>], ledger: &Ledger<'_>) -> Option<Vec<Place>> {
    let mut left = lefts(ledger);
    // Bytes of this item and all later ones.
    let mut rest = vec![0_u128; items.len() + 1];
    for (at, item) in items.iter().enumerate().rev() {
        rest[at] = rest[at + 1] + u128::from(item.tablet.size_bytes);
    }
    // Per item placed so far: the choices not tried yet, and the one taken.
    let mut path: Vec<(Vec<Place>, Option<Place>)> = Vec::new();
    for _ in 0..SEARCH_STEPS {
        let at = path.len();
        if at == items.len() && path.last().is_none_or(|(_, taken)| taken.is_some()) {
            return path.into_iter().map(|(_, taken)| taken).collect();
        }
        if path.last().is_none_or(|(_, taken)| taken.is_some()) {
            let need = items[at].tablet.need();
            let open_bytes: u128 = left.iter().flatten().map(|left| u128::from(left.bytes)).sum();
            let mut untried: Vec<_> = if rest[at] > open_bytes {
                Vec::new()
            } else {
                items[at].all().filter(|(_, bin)| takes(left[*bin], need)).collect()
            };
            untried.sort_by_key(|(disk, bin)| std::cmp::Reverse((left[*bin], *disk)));
            untried.dedup_by_key(|(_, bin)| *bin);
            path.push((untried, None));
        }
        // Either the new item, or one whose choice led nowhere.
        let at = path.len() - 1;
        let (untried, taken) = path.last_mut()?;
        if let Some(place) = untried.pop() {
            left[place.1] = left[place.1].map(|left| left.minus(items[at].tablet.need()));
            *taken = Some(place);
            continue;
        }
        path.pop();
        let before = path.len().checked_sub(1)?;
        if let Some((_, bin)) = path[before].1.take() {
            left[bin] = left[bin].map(|left| left.plus(items[before].tablet.need()));
        }
    }
    None
}
