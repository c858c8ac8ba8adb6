//! The planner: from a picture of the node to a frozen, reviewable list of moves. Pure: the same picture, settings and
//! time give the same plan, in whatever order disks and tablets are told.
//!
//! ```text
//! move, drain   what must go where   relocate -> packing   each tablet by itself, not the sum of them
//! rebalance     what helps           rebalance             as few moves as bring every disk close to the mean
//! replan        what cannot go on    replan -> packing     other destinations for what is left of a plan
//! ```
//!
//! What every plan keeps:
//! - no disk is taken past its watermark, bytes in flight and in trash counted, and no move waits for another to free space;
//! - a pinned tablet, or one that a migration owns, is not touched;
//! - what is left out is named with the rule, and what fits nowhere is named before anything moves ([`Plan::ready`]).
//!
//! It moves nothing, and plans nothing by itself.

mod fingerprint;
mod inventory;
mod ledger;
mod packing;
mod places;
mod reason;
mod rebalance;
mod relocate;
mod replan;
mod report;
mod shortfall;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use fingerprint::{Frozen, fingerprint};
pub use inventory::{Disk, Inventory, Pin, Selector, Tablet};
pub use reason::Reason;
pub use replan::{Remaining, Replan, Standing, replan};
pub use report::{Fit, Forecast, Level, Misfit, Move, Obstacle, Plan, Refusal, Why, in_words};
pub use shortfall::Shortfall;

use self::ledger::{Ledger, permille};
use crate::model::{DiskIndex, DrainMedia, Medium, PlanCompleteness, PlanOutcome, TabletKey, TimestampMs};
use crate::rules::capacity::CapacityLimits;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Bring the selected tablets to a target.
    Move {
        /// Which.
        select: Selector,
        /// Where to.
        to: Target,
    },
    /// Empty disks.
    Drain {
        /// Which.
        disks: Vec<DiskIndex>,
        /// Onto which others.
        media: DrainMedia,
    },
    /// Make disks of one medium equally full.
    Rebalance {
        /// Of this medium only.
        medium: Option<Medium>,
    },
}

/// Where selected tablets go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To one of these disks.
    Disks(Vec<DiskIndex>),
    /// To any disk of this medium.
    Medium(Medium),
}

/// How plans are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// No plan takes a disk past this. At or below the limits of admission, or admission will refuse moves of the plan.
    pub watermark: CapacityLimits,
    /// A rebalance begins when a disk's load is farther than this from the mean, in percentage points...
    pub start_points: u32,
    /// ...and ends when every disk's is within this. The gap between the two keeps small changes from causing moves.
    pub stop_points: u32,
    /// A rebalance takes nothing from a disk loaded less than this: nearly empty disks may differ.
    pub source_floor_percent: u32,
    /// A rebalance moves nothing smaller.
    pub min_move_bytes: u64,
    /// A rebalance moves nothing that was moved less than this ago.
    pub cool_down_ms: TimestampMs,
    /// Moves in one plan.
    pub max_moves: usize,
    /// For a move or a drain that cannot be done in full.
    pub completeness: PlanCompleteness,
}

/// What the two ways of planning have in common.
struct Draft {
    moves: Vec<Move>,
    left_out: Vec<(TabletKey, Reason)>,
    fits_nowhere: Vec<Misfit>,
    outcome: PlanOutcome,
    falls_short: Vec<Shortfall>,
    /// Disks that are not compared with the others.
    without: Vec<DiskIndex>,
}

/// Makes a plan. That it exists does not mean that it may start: ask [`Plan::ready`].
///
/// # Errors
/// A [`Refusal`] when the request makes no sense on this node: unknown disks or tablets, nothing selected, nowhere to go.
pub fn plan(
    request: &Request,
    inventory: &Inventory,
    settings: &Settings,
    now_ms: TimestampMs,
) -> Result<Plan, Refusal> {
    if settings.stop_points > settings.start_points {
        return Err(Refusal::Settings(format!(
            "stop_points = {} is above start_points = {}: a rebalance would end before it begins",
            settings.stop_points, settings.start_points
        )));
    }
    let draft = match request {
        Request::Move { select, to } => relocate::select(select, to, inventory, settings)?,
        Request::Drain { disks, media } => relocate::drain(disks, *media, inventory, settings)?,
        Request::Rebalance { medium } => rebalance::rebalance(*medium, inventory, settings, now_ms),
    };
    let before = Ledger::new(inventory, settings.watermark);
    let mut after = before.clone();
    let tablets: BTreeMap<_, _> = inventory.tablets.iter().map(|tablet| (tablet.key, tablet)).collect();
    for planned in &draft.moves {
        let ends = (after.bin_of(planned.source), after.bin_of(planned.destination));
        if let ((Some(from), Some(to)), Some(tablet)) = (ends, tablets.get(&planned.key)) {
            after.shift(tablet, from, to);
            after.bins[to].arriving = after.bins[to].arriving.plus(tablet.need());
        }
    }
    Ok(Plan {
        request: request.clone(),
        settings: *settings,
        planned_at_ms: now_ms,
        disks: forecast(inventory, &before, &after, &draft.moves),
        score_before: before.score(&draft.without),
        score_after: after.score(&draft.without),
        moves: draft.moves,
        left_out: draft.left_out,
        fits_nowhere: draft.fits_nowhere,
        outcome: draft.outcome,
        falls_short: draft.falls_short,
        fingerprint: fingerprint(request, inventory),
    })
}

fn forecast(inventory: &Inventory, before: &Ledger<'_>, after: &Ledger<'_>, moves: &[Move]) -> Vec<Forecast> {
    let mut tablets: BTreeMap<DiskIndex, (usize, usize)> = BTreeMap::new();
    for tablet in &inventory.tablets {
        tablets.entry(tablet.disk).or_default().0 += 1;
        tablets.entry(tablet.moving_to.unwrap_or(tablet.disk)).or_default().1 += 1;
    }
    for planned in moves {
        tablets.entry(planned.source).or_default().1 -= 1;
        tablets.entry(planned.destination).or_default().1 += 1;
    }
    let mut disks: Vec<_> = inventory.disks.iter().map(|disk| disk.index).collect();
    disks.sort_unstable();
    let level = |ledger: &Ledger<'_>, disk, tablets| {
        let Some(bin) = ledger.bin_of(disk).map(|bin| &ledger.bins[bin]) else { return Level::default() };
        let committed_bytes = bin.capacity.used_bytes().saturating_add(bin.reserved.plus(bin.arriving).bytes);
        Level {
            committed_bytes,
            committed_permille: permille(committed_bytes, bin.capacity.total_bytes),
            load_bytes: bin.load_bytes,
            load_permille: permille(bin.load_bytes, bin.total_bytes),
            tablets,
        }
    };
    let one = |disk| {
        let (now, then) = tablets.get(&disk).copied().unwrap_or_default();
        Forecast { disk, before: level(before, disk, now), after: level(after, disk, then) }
    };
    disks.into_iter().map(one).collect()
}
