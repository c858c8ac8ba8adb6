//! Which files of a directory belong to a tablet: what its rowsets name, and what lies there under their names
//! (`doris-roots` section 3). Pure: the listing is handed in.

use std::collections::BTreeMap;

use super::record::{IndexFiles, Rowset, RowsetIs, Tablet};
use super::rowsets::Fresh;

/// Directory of hard links to segments, for binlogs.
pub const BINLOG: &str = "_binlog";

/// Missing segments that are named of one rowset: its record may say that there are more than there can be.
const MISSING_NAMED: usize = 1000;

/// Names and sizes in a tablet's directory; those in `_binlog/` with it in front.
pub type Listing = BTreeMap<String, u64>;

/// What a directory holds, seen from the tablet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TabletFiles {
    pub files: Listing,
    /// In the directory, and of no rowset of the tablet.
    pub garbage: Vec<String>,
    /// Segments that must be there and are not.
    pub missing: Vec<String>,
    /// Segments of stale rowsets that are not there: all stale rowsets are dropped then.
    pub stale_missing: bool,
    /// Some rowset has no index file of a kind that may be built later.
    pub index_not_built: bool,
    /// Some segment has no index file although its schema has an index: suspicious, not fatal.
    pub index_missing: bool,
}

/// Sorts a listing. `binlog_rowsets` are those that the keys of its binlog name.
pub fn sort_files(
    tablet: &Tablet,
    fresh: &Fresh<'_>,
    binlog_rowsets: &[String],
    listing: &Listing,
) -> TabletFiles {
    let mut sorted = TabletFiles::default();
    let living = || {
        let beside = fresh.joining.iter().chain(&fresh.committed).copied();
        tablet.rowsets.iter().chain(beside).filter(|rowset| rowset.place == RowsetIs::Local)
    };
    let stale = || tablet.stale.iter().filter(|rowset| rowset.place == RowsetIs::Local);
    sorted.stale_missing = stale().flat_map(segments).any(|name| !listing.contains_key(&name));
    let kept_stale = stale().filter(|_| !sorted.stale_missing);
    let known: Vec<&Rowset> = living().chain(kept_stale).collect();
    for rowset in living() {
        let missing = segments(rowset).filter(|name| !listing.contains_key(name));
        sorted.missing.extend(missing.take(MISSING_NAMED));
        match rowset.index_files.unwrap_or(tablet.index_files) {
            IndexFiles::None => {}
            IndexFiles::EachIndex => {
                let built = |segment: String| {
                    listing.range(segment.clone()..).any(|(name, _)| is_index_of(name, &segment))
                };
                sorted.index_not_built |= stems(rowset).any(|segment| !built(segment));
            }
            IndexFiles::EachSegment => {
                sorted.index_missing |=
                    stems(rowset).any(|stem| !listing.contains_key(&format!("{stem}.idx")));
            }
        }
    }
    let ids: Vec<(&str, u64)> = known.iter().map(|rowset| (rowset.id.as_str(), rowset.segments)).collect();
    for (name, size) in listing {
        let binlog = name.strip_prefix(BINLOG).and_then(|rest| rest.strip_prefix('/'));
        let ours = match binlog {
            Some(name) => binlog_rowsets.iter().any(|id| segment_of(name, id).is_some()),
            None => {
                ids.iter().any(|(id, count)| segment_of(name, id).is_some_and(|segment| segment < *count))
            }
        };
        if ours {
            sorted.files.insert(name.clone(), *size);
        } else {
            sorted.garbage.push(name.clone());
        }
    }
    sorted
}

fn stems(rowset: &Rowset) -> impl Iterator<Item = String> {
    (0..rowset.segments).map(|segment| format!("{}_{segment}", rowset.id))
}

fn segments(rowset: &Rowset) -> impl Iterator<Item = String> {
    stems(rowset).map(|stem| format!("{stem}.dat"))
}

fn is_index_of(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|rest| rest.ends_with(".idx") && rest.starts_with(['_', '.']))
}

/// The segment of a rowset that a name is of: `{id}_{segment}.dat`, `{id}_{segment}.idx`, `{id}_{segment}_….idx`.
fn segment_of(name: &str, rowset_id: &str) -> Option<u64> {
    let rest = name.strip_prefix(rowset_id)?.strip_prefix('_')?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (segment, kind) = rest.split_at(digits);
    let ours = kind == ".dat" || kind == ".idx" || kind.starts_with('_') && kind.ends_with(".idx");
    segment.parse().ok().filter(|_| ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for (name, segment) in [
            ("0200a_0.dat", Some(0)),
            ("0200a_12.idx", Some(12)),
            ("0200a_1_301602@v.name.idx", Some(1)),
            ("0200a_0-3.dat", None),
            ("0200a_0.dat.tmp", None),
            ("0200ab_0.dat", None),
            ("0200a_.dat", None),
        ] {
            assert_eq!(segment_of(name, "0200a"), segment, "{name}");
        }
    }
}
