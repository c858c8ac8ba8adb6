//! Which rowsets a tablet would have after a backend's start: those of its record, and the fresh ones of its uid that
//! still lie beside it (`doris-roots` section 4).

use super::record::{Rowset, RowsetState, Tablet};

/// What becomes of the fresh rowsets (`rst_`) of a tablet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fresh<'a> {
    /// They join the tablet: by version.
    pub joining: Vec<&'a Rowset>,
    /// A checkpoint or a compaction took them over already.
    pub contained: Vec<&'a Rowset>,
    /// They cover others, which a backend would make stale: it has to start once first.
    pub covering: Vec<&'a Rowset>,
    /// Transactions that are not published.
    pub committed: Vec<&'a Rowset>,
}

impl<'a> Fresh<'a> {
    /// Sorts the fresh rowsets of a tablet.
    pub fn sort(tablet: &Tablet, fresh: &'a [Rowset]) -> Self {
        let mut sorted = Self::default();
        for rowset in fresh {
            let others = || {
                let visible = fresh.iter().filter(|other| other.state == RowsetState::Visible);
                tablet.rowsets.iter().chain(visible).filter(|other| other.id != rowset.id)
            };
            let known = tablet.rowsets.iter().any(|known| known.id == rowset.id);
            match rowset.state {
                RowsetState::Committed => sorted.committed.push(rowset),
                RowsetState::Other => {}
                RowsetState::Visible if known || others().any(|other| other.covers(rowset)) => {
                    sorted.contained.push(rowset);
                }
                RowsetState::Visible if others().any(|other| rowset.covers(other)) => {
                    sorted.covering.push(rowset);
                }
                RowsetState::Visible => sorted.joining.push(rowset),
            }
        }
        sorted.joining.sort_by_key(|rowset| (rowset.start_version, rowset.end_version));
        sorted
    }
}

/// Of which copy a backend would say that it is newer: `end_version << 32 | creation_time` of the newest visible rowset
/// orders exactly as its rule for duplicates does (`doris-roots` 0.5 and 4.1). `None` without a rowset.
pub fn generation(tablet: &Tablet, fresh: &Fresh<'_>) -> Option<u64> {
    let newest = visible(tablet, fresh).map(|rowset| (rowset.end_version, rowset.creation_time)).max()?;
    let (version, time) = (u64::try_from(newest.0).ok()?, u32::try_from(newest.1).unwrap_or(u32::MAX));
    Some(version << 32 | u64::from(time))
}

/// Last version of the tablet; `None` without a rowset.
pub fn version(tablet: &Tablet, fresh: &Fresh<'_>) -> Option<i64> {
    visible(tablet, fresh).map(|rowset| rowset.end_version).max()
}

/// Whether the visible rowsets follow one another from the first version on, so that none of them can have been lost but at
/// the end.
pub fn is_gapless(tablet: &Tablet, fresh: &Fresh<'_>) -> bool {
    let mut ranges: Vec<(i64, i64)> =
        visible(tablet, fresh).map(|rowset| (rowset.start_version, rowset.end_version)).collect();
    ranges.sort_unstable();
    let mut next = Some(0);
    for (start, end) in ranges {
        if next != Some(start) || end < start {
            return false;
        }
        next = end.checked_add(1);
    }
    true
}

fn visible<'a>(tablet: &'a Tablet, fresh: &'a Fresh<'_>) -> impl Iterator<Item = &'a Rowset> {
    tablet.rowsets.iter().chain(fresh.joining.iter().copied())
}
