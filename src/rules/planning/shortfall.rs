//! Why a plan does less than was asked: one sentence per disk and rule, each with the key or the option that allows more.
//!
//! Nothing here decides; the planners say what they found.

use std::fmt;

use super::inventory::Inventory;
use super::reason::Reason;
use crate::model::{DiskIndex, Medium, TabletKey, counted_as};

/// One reason for which a plan falls short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortfall {
    /// A disk is fuller than the others and gives nothing, because it is nearly empty all the same.
    BelowFloor {
        disk: DiskIndex,
        /// Its load, in thousandths.
        load_permille: u64,
        /// Load from which a disk gives.
        floor_percent: u32,
    },
    /// A disk stays too full or too empty, and no tablet's move would help that fits.
    NoFurtherMove {
        disk: DiskIndex,
        /// Its load, in thousandths.
        load_permille: u64,
    },
    /// No two disks of one medium are in service: disks of different media are not compared.
    AloneInMedium {
        disk: DiskIndex,
        medium: Medium,
    },
    /// Tablets stay for a rule.
    Stay {
        count: usize,
        /// The first of them.
        first: TabletKey,
        /// The rule, with the numbers of the first.
        reason: Reason,
    },
    FitNowhere {
        count: usize,
        first: TabletKey,
    },
}

impl Shortfall {
    /// Tablets that stay, one entry per rule.
    pub(super) fn by_rule(stay: impl IntoIterator<Item = (TabletKey, Reason)>) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for (key, why) in stay {
            let same = found.iter_mut().find_map(|known| match known {
                Self::Stay { count, reason, .. }
                    if std::mem::discriminant(reason) == std::mem::discriminant(&why) =>
                {
                    Some(count)
                }
                _ => None,
            });
            match same {
                Some(count) => *count += 1,
                None => found.push(Self::Stay { count: 1, first: key, reason: why }),
            }
        }
        found
    }

    /// The sentence, with paths for numbers.
    pub fn in_words<'a>(&'a self, inventory: &'a Inventory) -> impl fmt::Display + 'a {
        InWords { shortfall: self, inventory }
    }
}

struct InWords<'a> {
    shortfall: &'a Shortfall,
    inventory: &'a Inventory,
}

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |disk: DiskIndex| self.inventory.path(disk);
        let percent = |permille: u64| format!("{}.{} %", permille / 10, permille % 10);
        match *self.shortfall {
            Shortfall::BelowFloor { disk, load_permille, floor_percent } => write!(
                f,
                "{} is loaded to {}: below the floor of {floor_percent} % a rebalance takes nothing from a disk \
                 (rebalance_source_floor_percent)",
                path(disk),
                percent(load_permille),
            ),
            Shortfall::NoFurtherMove { disk, load_permille } => write!(
                f,
                "{} stays at a load of {}: no further move that fits would make the disks more even",
                path(disk),
                percent(load_permille),
            ),
            Shortfall::AloneInMedium { disk, medium } => write!(
                f,
                "{} is the only {medium} disk in service, and disks of different media are not compared; \
                 `tabletctl task move --to` takes tablets from one medium to another",
                path(disk),
            ),
            Shortfall::Stay { count, first, reason } => {
                let stay = counted_as(count, "tablet stays", "tablets stay");
                write!(f, "{stay}, tablet {} because: {}", first.tablet_id, reason.in_words(self.inventory))
            }
            Shortfall::FitNowhere { count, first } => {
                let fit = counted_as(count, "tablet fits nowhere", "tablets fit nowhere");
                write!(f, "{fit}, the largest is tablet {}", first.tablet_id)
            }
        }
    }
}
