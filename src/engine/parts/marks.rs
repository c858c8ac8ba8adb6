//! What operators have said of tablets and disks: pins, and disks out of service.

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
