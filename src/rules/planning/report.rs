//! What the planner hands over: the frozen list of moves, what it does to each disk, and what was left out and why.
//!
//! Every part can be shown as a sentence; nothing here decides.

use std::fmt;

use super::inventory::Inventory;
use super::reason::Reason;
use super::shortfall::Shortfall;
use super::{Request, Settings};
use crate::model::{DiskIndex, Medium, PlanOutcome, TabletId, TabletKey, TimestampMs, counted_as};
use crate::rules::capacity::DoesNotFit;
use crate::rules::trash::purge_offer;

/// Why a move is in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was asked for by a selector.
    Selected,
    /// Its disk is being emptied.
    Drained,
    /// It makes the disks of one medium more even. Loads leave trash out, in thousandths, before and after the plan.
    Evens {
        /// Load of its source, before and after.
        source_permille: (u64, u64),
        /// Load of its destination, before and after.
        destination_permille: (u64, u64),
        /// Load of all disks of that medium together.
        mean_permille: u64,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |permille: u64| format!("{}.{} %", permille / 10, permille % 10);
        match self {
            Self::Selected => f.write_str("selected"),
            Self::Drained => f.write_str("its disk is being drained"),
            Self::Evens { source_permille, destination_permille, mean_permille } => write!(
                f,
                "takes the source from {} to {} and the destination from {} to {}; the mean is {}",
                percent(source_permille.0),
                percent(source_permille.1),
                percent(destination_permille.0),
                percent(destination_permille.1),
                percent(*mean_permille),
            ),
        }
    }
}

/// One tablet goes from one disk to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    pub key: TabletKey,
    pub source: DiskIndex,
    pub destination: DiskIndex,
    pub size_bytes: u64,
    pub why: Why,
}

/// Why one disk cannot take one tablet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// It takes no new copies.
    #[error("is {condition}")]
    NotWritable {
        /// Its condition in a word.
        condition: &'static str,
    },
    /// It is being drained itself.
    #[error("is being drained too")]
    Drained,
    /// It is of a medium that was not asked for.
    #[error("is {0}, which was not asked for")]
    OtherMedium(Medium),
    /// It is of another medium than the drained disk, and the drain was not let onto another.
    #[error("is {0}, another medium than the drained disk's; --any-medium (\"media\": \"any\") allows it")]
    MediumNotAllowed(Medium),
    /// It shares the source's file system: the move would free nothing.
    #[error("is on the source's file system")]
    SameFileSystem,
    /// It is no less loaded than the source: a rebalance would make the disks less even.
    #[error("is no less loaded than the source")]
    NotLighter,
    /// There is no space beside what the plan sends there already.
    #[error(transparent)]
    DoesNotFit(#[from] DoesNotFit),
}

/// How hopeless it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// No disk could take it even alone.
    Never,
    /// Some disk could, but not beside the other moves of this plan.
    NotBesideTheOthers,
}

/// A tablet that must move and fits nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub key: TabletKey,
    pub source: DiskIndex,
    pub size_bytes: u64,
    /// Alone, or only beside the others.
    pub fit: Fit,
    /// Every disk but its own, with the reason.
    pub tried: Vec<(DiskIndex, Obstacle)>,
}

/// A disk at one moment. Disks of one file system share its bytes and show the same figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// In use or promised, trash included: what watermarks are held against. It does not fall on a source before its
    /// trash is purged.
    pub committed_bytes: u64,
    /// Share of the disk, in thousandths.
    pub committed_permille: u64,
    /// The same without trash and without tablets that are leaving: what disks are compared by.
    pub load_bytes: u64,
    /// Share of the disk, in thousandths.
    pub load_permille: u64,
    /// Tablets on it; afterwards, with moves in flight arrived.
    pub tablets: usize,
}

/// One disk, now and when the plan is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    pub disk: DiskIndex,
    pub before: Level,
    /// When every move is done and no trash is purged yet.
    pub after: Level,
}

/// The frozen list of moves and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub request: Request,
    pub settings: Settings,
    pub planned_at_ms: TimestampMs,
    /// The moves. Space suffices in any order: none waits for another to free bytes.
    pub moves: Vec<Move>,
    /// Every disk, in order.
    pub disks: Vec<Forecast>,
    /// How uneven the disks in service are, in percentage points; 0 is even.
    pub score_before: f64,
    pub score_after: f64,
    /// Tablets the request is about that do not move. For a rebalance: those on disks that stay too full.
    pub left_out: Vec<(TabletKey, Reason)>,
    /// Tablets that must move and cannot.
    pub fits_nowhere: Vec<Misfit>,
    /// How far it goes. A tablet that another migration is taking where it is to go counts as done. A rebalance reaches
    /// its end when of each medium every disk is within `stop_points` of the mean, or was within `start_points` from the
    /// beginning and nothing moves.
    pub outcome: PlanOutcome,
    /// Why not all the way; empty when it reaches.
    pub falls_short: Vec<Shortfall>,
    /// Of what it was made from; see [`Plan::ready`].
    pub fingerprint: u32,
}

impl Plan {
    /// Sum of the moves.
    pub fn total_bytes(&self) -> u64 {
        self.moves.iter().fold(0, |sum, planned| sum.saturating_add(planned.size_bytes))
    }
}

/// Why there is no plan, or why it may not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request names a disk that is not there.
    #[error("there is no disk {}", .0.0)]
    UnknownDisk(DiskIndex),
    /// The selector names tablets that are not there.
    #[error("not on this node: tablet {}", list(.0))]
    UnknownTablets(Vec<TabletId>),
    /// The selector selects nothing.
    #[error("no tablet is selected")]
    NothingSelected,
    /// There is no disk to move to.
    #[error("no disk can take anything: {0}")]
    NoDestination(String),
    /// The disk that is to be emptied cannot be read.
    #[error(
        "{path} is {condition}: nothing can be moved off a disk that cannot be read; bring it back first, or give up what \
         it held with `tabletctl disk forget {path} --lost`"
    )]
    SourceUnreadable {
        path: String,
        /// Its condition in a word.
        condition: &'static str,
    },
    /// The settings contradict themselves.
    #[error("{0}")]
    Settings(String),
    /// Not all of it can be done, and it was not asked to do what it can.
    #[error(
        "{} nowhere, the first is {first} with {size_bytes} bytes; nothing is moved; --what-fits \
         (\"completeness\": \"what_fits\") moves the others{}",
        counted_as(*count, "tablet fits", "tablets fit"),
        if tried.is_empty() { String::new() } else { format!(" ({tried})") }
    )]
    FitsNowhere {
        count: usize,
        first: TabletKey,
        size_bytes: u64,
        /// What each disk has against it, in words; empty when that is not known any more.
        tried: String,
    },
    /// The node is not as it was.
    #[error(
        "the disks or tablets it was made for have changed (fingerprint {planned:08x}, now {now:08x}); plan again"
    )]
    Drifted { planned: u32, now: u32 },
    /// Space that was there is gone.
    #[error("disk {} no longer has room for the plan: {why}", disk.0)]
    NoLongerFits {
        disk: DiskIndex,
        /// All arrivals of the plan together.
        why: DoesNotFit,
    },
    /// The disks have become even in another way.
    #[error("it would no longer make the disks more even; plan again")]
    NoLongerHelps,
}

fn list(ids: &[TabletId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The paths of the disks and why each takes nothing.
pub(super) fn obstacles(inventory: &Inventory, tried: &[(DiskIndex, Obstacle)]) -> String {
    if tried.is_empty() {
        return "there is no other disk".to_owned();
    }
    let each: Vec<_> = tried.iter().map(|(disk, why)| in_words(inventory, *disk, *why)).collect();
    each.join(", ")
}

/// The path of a disk, why it takes nothing, and what frees space where trash is what fills it.
pub fn in_words(inventory: &Inventory, disk: DiskIndex, why: Obstacle) -> String {
    let path = inventory.path(disk);
    let trash_bytes = inventory.disk(disk).map_or(0, |disk| disk.trash_bytes);
    match (why, purge_offer(&path, trash_bytes)) {
        (Obstacle::DoesNotFit(_), Some(offer)) => format!("{path} {why}; {offer}"),
        _ => format!("{path} {why}"),
    }
}
