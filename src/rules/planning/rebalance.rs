//! `rebalance`: the few moves that bring every disk of a medium close to the mean load.
//!
//! It begins only when some disk is farther from the mean than `start_points`, and stops as soon as all are within
//! `stop_points`. Each step makes the sum of squared distances from the mean (weighted by size) strictly smaller and has
//! a disk outside the band at one end, so that it ends, and what stands at the end cannot be improved by one more move:
//! the plan of an applied plan is empty. Moves that later ones made needless are then taken back.
//!
//! Disks that are not online take no part: emptying those is a drain.

use std::collections::{BTreeMap, BTreeSet};

use super::inventory::{Inventory, Pin, Tablet};
use super::ledger::{Ledger, permille};
use super::reason::Reason;
use super::report::{Move, Why};
use super::shortfall::Shortfall;
use super::{Draft, Settings};
use crate::model::{DiskCondition, DiskIndex, Medium, PlanOutcome, TimestampMs};

/// How many tablets of about the right size are looked at for the one whose partition is most crowded.
const ALIKE: usize = 16;

/// Plans a rebalance.
pub(super) fn rebalance(
    medium: Option<Medium>,
    inventory: &Inventory,
    settings: &Settings,
    now_ms: TimestampMs,
) -> Draft {
    let before = Ledger::new(inventory, settings.watermark);
    let tablets = inventory.sorted_tablets();
    let mut draft = Draft {
        moves: Vec::new(),
        left_out: Vec::new(),
        fits_nowhere: Vec::new(),
        outcome: PlanOutcome::Reaches,
        falls_short: Vec::new(),
        without: Vec::new(),
    };
    let groups = before.groups(&[]);
    let in_service: usize = groups.iter().map(|(_, bins)| bins.len()).sum();
    if in_service > 1 && groups.iter().all(|(_, bins)| bins.len() < 2) {
        draft.outcome = PlanOutcome::FallsShort;
        let asked = groups.iter().filter(|(of, _)| medium.is_none_or(|medium| medium == *of));
        draft.falls_short.extend(asked.filter_map(|(medium, bins)| {
            Some(Shortfall::AloneInMedium { disk: before.first_disk(*bins.first()?)?, medium: *medium })
        }));
    }
    for (of, bins) in groups {
        if medium.is_none_or(|medium| medium == of) {
            let limit = settings.max_moves - draft.moves.len();
            let mut group = Group::new(of, bins, before.clone(), &tablets, settings, now_ms);
            group.level(limit);
            group.report(&before, limit, &mut draft);
        }
    }
    draft.left_out.sort_by_key(|(key, _)| *key);
    draft
}

/// The disks of one medium.
struct Group<'a> {
    bins: Vec<usize>,
    ledger: Ledger<'a>,
    settings: &'a Settings,
    tablets: &'a [&'a Tablet],
    /// Sum of loads and of sizes; moves inside the group change neither.
    load_bytes: u128,
    total_bytes: u128,
    /// The disk of each bin that takes what comes.
    receiver: BTreeMap<usize, DiskIndex>,
    /// Tablets that may move, by bin and size. A tablet is its place in `tablets`.
    movable: BTreeMap<usize, BTreeSet<(u64, usize)>>,
    kept: Vec<(usize, Reason)>,
    /// Where planned tablets are now: their first bin and the present one.
    moved: BTreeMap<usize, (usize, usize)>,
}

impl<'a> Group<'a> {
    fn new(
        medium: Medium,
        bins: Vec<usize>,
        ledger: Ledger<'a>,
        tablets: &'a [&'a Tablet],
        settings: &'a Settings,
        now_ms: TimestampMs,
    ) -> Self {
        let mut receiver: BTreeMap<usize, DiskIndex> = BTreeMap::new();
        let mut of_disk: BTreeMap<DiskIndex, usize> = BTreeMap::new();
        for disk in &ledger.inventory.disks {
            let Some(bin) = ledger.bin_of(disk.index).filter(|bin| bins.contains(bin)) else { continue };
            if disk.medium == medium && disk.condition == DiskCondition::Online {
                of_disk.insert(disk.index, bin);
                receiver.entry(bin).and_modify(|first| *first = disk.index.min(*first)).or_insert(disk.index);
            }
        }
        let mut movable: BTreeMap<usize, BTreeSet<(u64, usize)>> = BTreeMap::new();
        let mut kept = Vec::new();
        for (at, tablet) in tablets.iter().enumerate() {
            let Some(bin) = of_disk.get(&tablet.disk) else { continue };
            match why_it_stays(tablet, settings, now_ms) {
                Some(reason) => kept.push((at, reason)),
                None => drop(movable.entry(*bin).or_default().insert((tablet.size_bytes, at))),
            }
        }
        let load_bytes = bins.iter().map(|bin| u128::from(ledger.bins[*bin].load_bytes)).sum();
        let total_bytes = bins.iter().map(|bin| u128::from(ledger.bins[*bin].total_bytes)).sum();
        let moved = BTreeMap::new();
        Self { bins, ledger, settings, tablets, load_bytes, total_bytes, receiver, movable, kept, moved }
    }

    fn size(&self, bin: usize) -> i128 {
        i128::from(self.ledger.bins[bin].total_bytes)
    }

    fn load(&self, bin: usize) -> i128 {
        i128::from(self.ledger.bins[bin].load_bytes)
    }

    /// How far the bin is above the mean; negative below it.
    fn excess(&self, bin: usize) -> i128 {
        let share = self.load_bytes * u128::from(self.ledger.bins[bin].total_bytes) / self.total_bytes.max(1);
        self.load(bin) - i128::try_from(share).unwrap_or(i128::MAX)
    }

    fn band(&self, bin: usize, points: u32) -> i128 {
        self.size(bin) * i128::from(points) / 100
    }

    fn is_within(&self, bin: usize, points: u32) -> bool {
        self.excess(bin).abs() <= self.band(bin, points)
    }

    /// Whether it is loaded too little to give anything.
    fn is_below_floor(&self, bin: usize) -> bool {
        self.load(bin) < self.size(bin) * i128::from(self.settings.source_floor_percent) / 100
    }

    fn reached(&self) -> bool {
        self.bins.iter().all(|bin| self.is_within(*bin, self.settings.stop_points))
    }

    fn level(&mut self, limit: usize) {
        if self.bins.iter().all(|bin| self.is_within(*bin, self.settings.start_points)) {
            return;
        }
        loop {
            while !self.reached() && self.moved.len() < limit && self.improve() {}
            if !self.take_back() {
                break;
            }
        }
    }

    /// One more move, if any helps: from the fullest towards the emptiest, with a disk outside the band at one end.
    fn improve(&mut self) -> bool {
        let mut order = self.bins.clone();
        order.sort_by(|a, b| {
            let (a_share, b_share) = (self.load(*a) * self.size(*b), self.load(*b) * self.size(*a));
            b_share.cmp(&a_share).then(a.cmp(b))
        });
        let stop = self.settings.stop_points;
        for from in &order {
            if self.is_below_floor(*from) {
                continue;
            }
            for to in order.iter().rev().filter(|to| *to != from) {
                let too_full = self.excess(*from) > self.band(*from, stop);
                let too_empty = self.excess(*to) < -self.band(*to, stop);
                if (too_full || too_empty)
                    && let Some(at) = self.best(*from, *to)
                {
                    self.shift(at, *from, *to);
                    return true;
                }
            }
        }
        false
    }

    /// The tablet whose move between the two helps most; among those about as good, one of a partition that is crowded
    /// here and not there.
    fn best(&self, from: usize, to: usize) -> Option<usize> {
        // Moving s makes things better while s (Cf + Ct) < 2 (Lf Ct - Lt Cf), and best at half of that.
        let sizes = self.size(from) + self.size(to);
        let lead = self.load(from) * self.size(to) - self.load(to) * self.size(from);
        if lead <= 0 {
            return None;
        }
        let most = i128::from(self.ledger.bins[to].left()?.bytes).min((2 * lead - 1) / sizes);
        let stop = self.settings.stop_points;
        let ideal = (lead / sizes)
            .min(self.excess(from).max(-self.excess(to)))
            .min(self.excess(from) + self.band(from, stop))
            .min(self.band(to, stop) - self.excess(to))
            .max(1);
        let (most, ideal) = (u64::try_from(most).ok()?, u64::try_from(ideal).ok()?);
        let movable = self.movable.get(&from)?;
        let below = movable.range(..=(ideal.min(most), usize::MAX)).rev().take(ALIKE);
        let above = (ideal < most).then(|| movable.range((ideal + 1, 0)..=(most, usize::MAX)).take(ALIKE));
        let near: Vec<_> = below
            .chain(above.into_iter().flatten())
            .filter(|(_, at)| self.ledger.bins[to].takes(self.tablets[*at].need()))
            .map(|(size_bytes, at)| (size_bytes.abs_diff(ideal), *at))
            .collect();
        let nearest = near.iter().map(|(off, _)| *off).min()?;
        near.into_iter()
            .filter(|(off, _)| *off <= nearest.saturating_add(ideal / 4))
            .min_by_key(|(off, at)| {
                let tablet = self.tablets[*at];
                let here = i64::from(self.ledger.crowd(tablet, from));
                let there = i64::from(self.ledger.crowd(tablet, to));
                (there - here, *off, *at)
            })
            .map(|(_, at)| at)
    }

    fn shift(&mut self, at: usize, from: usize, to: usize) {
        let tablet = self.tablets[at];
        self.ledger.shift(tablet, from, to);
        let (first, _) = *self.moved.entry(at).or_insert((from, from));
        if from != first {
            let arriving = &mut self.ledger.bins[from].arriving;
            *arriving = arriving.minus(tablet.need());
        }
        if to == first {
            self.moved.remove(&at);
        } else {
            let arriving = &mut self.ledger.bins[to].arriving;
            *arriving = arriving.plus(tablet.need());
            self.moved.insert(at, (first, to));
        }
        let entry = (tablet.size_bytes, at);
        self.movable.entry(from).or_default().remove(&entry);
        self.movable.entry(to).or_default().insert(entry);
    }

    /// Takes back each move, the smallest first, without which the disks are still close to the mean; or, where they
    /// are not, without which they are no less even. True when there was one.
    fn take_back(&mut self) -> bool {
        let mut order: Vec<_> = self.moved.iter().map(|(at, ends)| (*at, *ends)).collect();
        order.sort_by_key(|(at, _)| (self.tablets[*at].size_bytes, *at));
        let mut any = false;
        for (at, (first, now)) in order {
            let reached = self.reached();
            let size_bytes = i128::from(self.tablets[at].size_bytes);
            let lead = self.load(now) * self.size(first) - self.load(first) * self.size(now);
            let no_less_even = size_bytes * (self.size(first) + self.size(now)) <= 2 * lead;
            self.shift(at, now, first);
            if if reached { self.reached() } else { no_less_even } {
                any = true;
            } else {
                self.shift(at, first, now);
            }
        }
        any
    }

    fn report(self, before: &Ledger<'_>, limit: usize, draft: &mut Draft) {
        let reached = self.reached();
        let level = |ledger: &Ledger<'_>, bin: usize| {
            permille(ledger.bins[bin].load_bytes, ledger.bins[bin].total_bytes)
        };
        let mean = self.load_bytes * 1000 / self.total_bytes.max(1);
        for (at, (first, now)) in &self.moved {
            let tablet = self.tablets[*at];
            draft.moves.push(Move {
                key: tablet.key,
                source: tablet.disk,
                destination: self.receiver[now],
                size_bytes: tablet.size_bytes,
                why: Why::Evens {
                    source_permille: (level(before, *first), level(&self.ledger, *first)),
                    destination_permille: (level(before, *now), level(&self.ledger, *now)),
                    mean_permille: u64::try_from(mean).unwrap_or(u64::MAX),
                },
            });
        }
        let calm = self.bins.iter().all(|bin| self.is_within(*bin, self.settings.start_points));
        if reached || (calm && self.moved.is_empty()) {
            return;
        }
        let cut = self.moved.len() >= limit || draft.outcome == PlanOutcome::CutShort;
        draft.outcome = if cut { PlanOutcome::CutShort } else { PlanOutcome::FallsShort };
        // Only what stands in the way is worth naming: tablets kept on disks that stay too full.
        let stop = self.settings.stop_points;
        let too_full = |bin| self.excess(bin) > self.band(bin, stop);
        for (at, reason) in &self.kept {
            let tablet = self.tablets[*at];
            if self.ledger.bin_of(tablet.disk).is_some_and(too_full) {
                draft.left_out.push((tablet.key, *reason));
            }
        }
        self.why_short(draft);
    }

    /// What keeps each disk that stays outside the band there.
    fn why_short(&self, draft: &mut Draft) {
        let stop = self.settings.stop_points;
        let too_empty = self.bins.iter().any(|bin| self.excess(*bin) < -self.band(*bin, stop));
        let mut stay = Vec::new();
        for bin in &self.bins {
            let too_full = self.excess(*bin) > self.band(*bin, stop);
            let Some(disk) = self.ledger.first_disk(*bin) else { continue };
            let load = &self.ledger.bins[*bin];
            let load_permille = permille(load.load_bytes, load.total_bytes);
            let kept = self.kept.iter().map(|(at, reason)| (self.tablets[*at], *reason));
            let kept: Vec<_> =
                kept.filter(|(tablet, _)| self.ledger.bin_of(tablet.disk) == Some(*bin)).collect();
            if self.is_below_floor(*bin) && (too_full || (too_empty && self.excess(*bin) > 0)) {
                let floor_percent = self.settings.source_floor_percent;
                draft.falls_short.push(Shortfall::BelowFloor { disk, load_permille, floor_percent });
            } else if too_full && kept.is_empty() {
                draft.falls_short.push(Shortfall::NoFurtherMove { disk, load_permille });
            } else if too_full {
                stay.extend(kept.into_iter().map(|(tablet, reason)| (tablet.key, reason)));
            }
        }
        draft.falls_short.extend(Shortfall::by_rule(stay));
        if draft.falls_short.is_empty() {
            // Nobody is too full: somebody is too empty, and nobody has a tablet that would do.
            let emptiest = self.bins.iter().min_by_key(|bin| self.excess(**bin));
            draft.falls_short.extend(emptiest.and_then(|bin| {
                let load = &self.ledger.bins[*bin];
                let load_permille = permille(load.load_bytes, load.total_bytes);
                Some(Shortfall::NoFurtherMove { disk: self.ledger.first_disk(*bin)?, load_permille })
            }));
        }
    }
}

/// The rules that keep a tablet where it is.
fn why_it_stays(tablet: &Tablet, settings: &Settings, now_ms: TimestampMs) -> Option<Reason> {
    if let Some(to) = tablet.moving_to {
        return Some(Reason::Moving { to });
    }
    if tablet.pin == Pin::Pinned {
        return Some(Reason::Pinned);
    }
    let (size_bytes, min_bytes) = (tablet.size_bytes, settings.min_move_bytes.max(1));
    if size_bytes < min_bytes {
        return Some(Reason::TooSmall { size_bytes, min_bytes });
    }
    let until_ms = tablet.last_moved_ms?.saturating_add(settings.cool_down_ms);
    (until_ms > now_ms).then_some(Reason::CoolingDown { until_ms })
}
