//! What operators have said of tablets and disks: pins, and disks out of service.
//!
//! A pin (journal, table `mark`) binds plans only: at planning, at the start of a plan made before (it has drifted),
//! and at each move. A migration asked for by name is accepted.
//!
//! A disabled disk stays disabled over restarts (`mark` too). What waits for it stays queued with that reason; what is
//! being copied to it is paused and goes on once it is enabled.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Mark, Marked, TabletKey};

/// All marks.
pub(crate) type Marks = BTreeMap<Marked, Mark>;

/// Every pinned tablet.
pub(crate) fn all_pinned(marks: &Marks) -> BTreeSet<TabletKey> {
    let pinned = |marked: &Marked| match marked {
        Marked::Pinned(key) => Some(*key),
        Marked::Disabled(_) => None,
    };
    marks.keys().filter_map(pinned).collect()
}
