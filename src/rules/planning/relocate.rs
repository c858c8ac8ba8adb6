//! `move` and `drain`: tablets that must go, and where. Each one moves, or is named with the rule that keeps it.

use std::collections::{BTreeMap, BTreeSet};

use super::inventory::{Disk, Inventory, Pin, Selector, Tablet};
use super::ledger::Ledger;
use super::places::{Open, Openings};
use super::reason::Reason;
use super::report::{Misfit, Obstacle, Refusal, Why, obstacles};
use super::shortfall::Shortfall;
use super::{Draft, Request, Settings, Target};
use crate::model::{DiskCondition, DiskIndex, DrainMedia, Medium, PlanOutcome, TabletKey};

/// What becomes of tablets of a request.
struct Wish<'a> {
    why: Why,
    /// Where they may go.
    openings: Openings<'a>,
    /// Whether a tablet that does not move for this reason is as it was asked for all the same.
    is_fulfilled: &'a dyn Fn(Reason) -> bool,
}

/// The tablets a request is about, in the order of their keys.
pub(super) fn scope<'a>(request: &Request, inventory: &'a Inventory) -> Vec<&'a Tablet> {
    let disks: BTreeMap<_, _> = inventory.disks.iter().map(|disk| (disk.index, disk)).collect();
    let mut tablets = inventory.sorted_tablets();
    tablets.retain(|tablet| {
        let disk = disks.get(&tablet.disk);
        match request {
            Request::Move { select, .. } => select.selects(tablet, disk.map(|disk| disk.medium)),
            Request::Drain { disks, .. } => {
                disks.contains(&tablet.disk) || tablet.moving_to.is_some_and(|to| disks.contains(&to))
            }
            Request::Rebalance { medium } => disk.is_some_and(|disk| {
                disk.condition == DiskCondition::Online && medium.is_none_or(|medium| disk.medium == medium)
            }),
        }
    });
    tablets
}

/// Plans a `move`.
pub(super) fn select(
    select: &Selector,
    to: &Target,
    inventory: &Inventory,
    settings: &Settings,
) -> Result<Draft, Refusal> {
    let named = match to {
        Target::Disks(disks) => disks.as_slice(),
        Target::Medium(_) => &[],
    };
    all_known(inventory, named.iter().chain(&select.disks))?;
    let here: BTreeSet<_> = inventory.tablets.iter().map(|tablet| tablet.key.tablet_id).collect();
    let unknown: Vec<_> = select.tablets.iter().filter(|id| !here.contains(id)).copied().collect();
    if !unknown.is_empty() {
        return Err(Refusal::UnknownTablets(unknown));
    }
    let request = Request::Move { select: select.clone(), to: to.clone() };
    let tablets = scope(&request, inventory);
    if tablets.is_empty() {
        return Err(Refusal::NothingSelected);
    }
    let is_target = |disk: &Disk| match to {
        Target::Disks(disks) => disks.contains(&disk.index),
        Target::Medium(medium) => disk.medium == *medium,
    };
    let mut left_out = Vec::new();
    let mut going = Vec::new();
    for tablet in tablets {
        let reason = if inventory.disk(tablet.disk).is_some_and(is_target) {
            Some(Reason::AlreadyThere)
        } else {
            why_it_stays(tablet, inventory)
        };
        match reason {
            Some(reason) => left_out.push((tablet.key, reason)),
            None => going.push(tablet),
        }
    }
    let refuses = |source: &Disk, disk: &Disk| refuses(&request, source, disk);
    let asked = |disk: &Disk| match to {
        Target::Disks(disks) => disks.contains(&disk.index),
        Target::Medium(_) => true,
    };
    let is_fulfilled = |reason| match reason {
        Reason::AlreadyThere => true,
        Reason::Moving { to } => inventory.disk(to).is_some_and(is_target),
        _ => false,
    };
    let tier = |source: &Disk, disk: &Disk| tier(&request, source, disk);
    let openings = Openings { asked: &asked, refuses: &refuses, tier: &tier };
    let wish = Wish { why: Why::Selected, openings, is_fulfilled: &is_fulfilled };
    relocate(&going, left_out, inventory, settings, &wish)
}

/// Plans a `drain`.
pub(super) fn drain(
    drained: &[DiskIndex],
    media: DrainMedia,
    inventory: &Inventory,
    settings: &Settings,
) -> Result<Draft, Refusal> {
    all_known(inventory, drained.iter())?;
    for disk in drained.iter().filter_map(|index| inventory.disk(*index)) {
        if !disk.condition.is_readable() {
            let condition = disk.condition.as_str();
            return Err(Refusal::SourceUnreadable { path: disk.path.clone(), condition });
        }
    }
    let request = Request::Drain { disks: drained.to_vec(), media };
    let mut left_out = Vec::new();
    let mut going = Vec::new();
    for tablet in scope(&request, inventory) {
        let reason = if drained.contains(&tablet.disk) {
            why_it_stays(tablet, inventory)
        } else {
            Some(Reason::Arriving { from: tablet.disk })
        };
        match reason {
            Some(reason) => left_out.push((tablet.key, reason)),
            None => going.push(tablet),
        }
    }
    let refuses = |source: &Disk, disk: &Disk| refuses(&request, source, disk);
    let tier = |source: &Disk, disk: &Disk| tier(&request, source, disk);
    let is_fulfilled = |reason| matches!(reason, Reason::Moving { to } if !drained.contains(&to));
    let openings = Openings { asked: &|_| true, refuses: &refuses, tier: &tier };
    let wish = Wish { why: Why::Drained, openings, is_fulfilled: &is_fulfilled };
    let mut draft = relocate(&going, left_out, inventory, settings, &wish)?;
    draft.without = drained.to_vec();
    Ok(draft)
}

/// What a disk has against tablets of a source by what was asked, whatever its condition and its space.
pub(super) fn refuses(request: &Request, source: &Disk, disk: &Disk) -> Option<Obstacle> {
    let same_file_system = || (disk.file_system == source.file_system).then_some(Obstacle::SameFileSystem);
    match request {
        // Whoever names a disk means it, even on the same file system.
        Request::Move { to: Target::Disks(disks), .. } if disks.contains(&disk.index) => None,
        // A cache of remote data is not a place to keep a tablet.
        Request::Move { to: Target::Medium(medium), .. }
            if disk.medium == *medium && *medium != Medium::RemoteCache =>
        {
            same_file_system()
        }
        Request::Move { .. } => Some(Obstacle::OtherMedium(disk.medium)),
        Request::Drain { disks, .. } if disks.contains(&disk.index) => Some(Obstacle::Drained),
        Request::Drain { media, .. } => same_file_system().or_else(|| match (disk.medium, media) {
            (Medium::RemoteCache, _) => Some(Obstacle::OtherMedium(disk.medium)),
            (medium, DrainMedia::Same) if medium != source.medium => Some(Obstacle::MediumNotAllowed(medium)),
            _ => None,
        }),
        Request::Rebalance { .. } if disk.medium != source.medium => Some(Obstacle::OtherMedium(disk.medium)),
        Request::Rebalance { .. } => same_file_system(),
    }
}

/// Whether a disk is only second best for tablets of a source: 0 or 1.
pub(super) fn tier(request: &Request, source: &Disk, disk: &Disk) -> usize {
    match request {
        Request::Drain { .. } => usize::from(disk.medium != source.medium),
        Request::Move { .. } | Request::Rebalance { .. } => 0,
    }
}

fn all_known<'a>(
    inventory: &Inventory,
    mut disks: impl Iterator<Item = &'a DiskIndex>,
) -> Result<(), Refusal> {
    disks
        .find(|disk| inventory.disk(**disk).is_none())
        .map_or(Ok(()), |disk| Err(Refusal::UnknownDisk(*disk)))
}

/// The rules that hold for every tablet of a move or a drain.
fn why_it_stays(tablet: &Tablet, inventory: &Inventory) -> Option<Reason> {
    let condition = inventory.disk(tablet.disk).map(|disk| &disk.condition);
    if let Some(to) = tablet.moving_to {
        return Some(Reason::Moving { to });
    }
    if tablet.pin == Pin::Pinned {
        return Some(Reason::Pinned);
    }
    if !condition.is_some_and(DiskCondition::is_readable) {
        let condition = condition.map_or("missing", DiskCondition::as_str);
        return Some(Reason::SourceUnreadable { condition });
    }
    None
}

/// Finds places for `going`.
fn relocate(
    going: &[&Tablet],
    mut left_out: Vec<(TabletKey, Reason)>,
    inventory: &Inventory,
    settings: &Settings,
    wish: &Wish<'_>,
) -> Result<Draft, Refusal> {
    let mut ledger = Ledger::new(inventory, settings.watermark);
    let open = Open::look(going, &ledger, &wish.openings);
    if !going.is_empty() && open.is_empty() {
        return Err(Refusal::NoDestination(obstacles(inventory, &open.closed_to_the_first())));
    }
    let (mut moves, fits_nowhere) = open.place(going, &mut ledger, settings.stop_points, wish.why);
    let max_moves = settings.max_moves;
    let beyond = moves.split_off(max_moves.min(moves.len()));
    let is_cut = !beyond.is_empty();
    left_out.extend(beyond.into_iter().map(|planned| (planned.key, Reason::MoveLimit { max_moves })));
    left_out.sort_by_key(|(key, _)| *key);
    let stay = left_out.iter().copied().filter(|(_, reason)| !(wish.is_fulfilled)(*reason));
    let mut falls_short = Shortfall::by_rule(stay);
    if let Some(Misfit { key, .. }) = fits_nowhere.first() {
        falls_short.insert(0, Shortfall::FitNowhere { count: fits_nowhere.len(), first: *key });
    }
    let outcome = match (fits_nowhere.is_empty(), is_cut, falls_short.is_empty()) {
        (true, true, _) => PlanOutcome::CutShort,
        (true, false, true) => PlanOutcome::Reaches,
        _ => PlanOutcome::FallsShort,
    };
    Ok(Draft { moves, left_out, fits_nowhere, outcome, falls_short, without: Vec::new() })
}
