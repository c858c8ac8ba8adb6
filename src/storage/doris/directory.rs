//! A tablet's directory on a Doris root: what lies there, and whether the tablet can be moved as it is.

use std::collections::BTreeSet;

use super::DorisFiles;
use crate::doris::files::{BINLOG, Listing, TabletFiles, sort_files};
use crate::doris::inventory::Found;
use crate::doris::judge::{Reason, reasons_in_files};
use crate::doris::keys::TabletIds;
use crate::doris::rowsets::Fresh;
use crate::doris::segment::damage_of_footer;
use crate::doris::source::MetaFiles;
use crate::storage::{Dir, DiskError, EntryKind};

/// A tablet, its records and its files held against each other.
#[derive(Debug, Clone, Default)]
pub struct Judged {
    /// What speaks against a move.
    pub reasons: BTreeSet<Reason>,
    /// Its files, sorted.
    pub files: TabletFiles,
    /// Segments whose end is not what it should be, and what is wrong.
    pub damaged: Vec<(String, String)>,
}

/// Where a record says that its tablet is, below the root.
pub fn doris_directory(shard: i64, ids: TabletIds) -> String {
    format!("data/{shard}/{}/{}", ids.tablet_id, ids.schema_hash)
}

/// The files of a tablet's directory, those of its `_binlog/` included.
///
/// # Errors
/// As the calls made.
pub fn list_tablet(dir: &Dir) -> Result<Listing, DiskError> {
    let mut listing = Listing::new();
    let mut add = |dir: &Dir, prefix: &str| -> Result<(), DiskError> {
        for entry in dir.entries()? {
            if let (EntryKind::File, Some(name)) = (entry.kind, entry.name.to_str())
                && let Some(stat) = dir.stat(name)?
            {
                listing.insert(format!("{prefix}{name}"), u64::try_from(stat.st_size).unwrap_or(0));
            }
        }
        Ok(())
    };
    add(dir, "")?;
    if let Some(binlog) = dir.open_if_exists(BINLOG)? {
        add(&binlog, &format!("{BINLOG}/"))?;
    }
    Ok(listing)
}

/// Lists a tablet's directory and judges it.
///
/// # Errors
/// As the calls made.
pub fn look_at_tablet(root: &Dir, found: &Found) -> Result<Judged, DiskError> {
    let at = found.record.as_ref().ok().map(|tablet| doris_directory(tablet.shard, found.ids));
    let listing = match at.map(|at| root.open_if_exists(at)).transpose()?.flatten() {
        Some(dir) => Some(list_tablet(&dir)?),
        None => None,
    };
    judge(root, found, listing.as_ref())
}

/// Judges a tablet by its records and by what lies in its directory; `None` where that is not there.
///
/// # Errors
/// The directory cannot be opened.
pub fn judge(root: &Dir, found: &Found, listing: Option<&Listing>) -> Result<Judged, DiskError> {
    let reasons: BTreeSet<Reason> = found.reasons().into_iter().collect();
    let Ok(tablet) = &found.record else { return Ok(Judged { reasons, ..Judged::default() }) };
    let fresh = Fresh::sort(tablet, &found.fresh);
    let binlog: Vec<String> = found.binlog_rowsets.iter().cloned().collect();
    let nothing = Listing::new();
    let files = sort_files(tablet, &fresh, &binlog, listing.unwrap_or(&nothing));
    let mut judged = Judged { reasons, files, damaged: Vec::new() };
    judged.reasons.extend(reasons_in_files(&judged.files, listing.is_some()));
    if listing.is_some() {
        let dir = DorisFiles(root.open(doris_directory(tablet.shard, found.ids))?);
        for name in segments_of(&judged.files) {
            if let Some(what) = damage_of_segment(&dir, &name) {
                judged.files.files.remove(&name);
                judged.damaged.push((name, what));
            }
        }
    }
    if !judged.damaged.is_empty() {
        judged.reasons.insert(Reason::SegmentDamaged);
    }
    Ok(judged)
}

/// Those in `_binlog/` are further names of the same files.
fn segments_of(files: &TabletFiles) -> Vec<String> {
    let segments = files.files.keys().filter(|name| name.ends_with(".dat") && !name.starts_with(BINLOG));
    segments.cloned().collect()
}

fn damage_of_segment(dir: &DorisFiles, name: &str) -> Option<String> {
    match dir.open(name) {
        Ok(Some(file)) => match damage_of_footer(file.as_ref()) {
            Ok(damage) => damage.map(str::to_owned),
            Err(why) => Some(format!("cannot be read: {why}")),
        },
        // Gone since it was listed.
        Ok(None) => None,
        Err(error) => Some(error.to_string()),
    }
}
