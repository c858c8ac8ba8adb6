//! One root, looked at: its database, its directories, and what becomes of both together.
//!
//! A backend may be at work meanwhile. The database is read again when its files changed under the reader, and a tablet
//! with a finding is judged once more by what its record says afterwards: a segment that a compaction has removed in
//! between is no damage.

use std::collections::BTreeSet;
use std::path::Path;

use super::report::{RootReport, TabletReport};
use super::walk::{Place, walk};
use crate::doris::database::Strictness;
use crate::doris::error::DorisError;
use crate::doris::inventory::{Found, Inventory};
use crate::doris::keys::TabletIds;
use crate::storage::{Dir, DiskError, ReadFrom, judge, look_at_tablet, read_one_state, read_small};

/// Looks at one root.
pub(super) fn look(root: &Path, rescue: bool) -> RootReport {
    let mut report = RootReport::new(root);
    if let Err(why) = look_into(&mut report, root, rescue) {
        report.unreadable = Some(why);
    }
    report
}

fn look_into(report: &mut RootReport, root: &Path, rescue: bool) -> Result<(), String> {
    let words = |error: DiskError| error.to_string();
    let dir = Dir::open_absolute(root).map_err(words)?;
    report.cluster_id = small_text(&dir, "cluster_id")?;
    report.deploy_mode = small_text(&dir, "deploy_mode")?;
    if dir.open_if_exists("meta").map_err(words)?.is_none() {
        let ours = dir.kind(crate::storage::layout::DISK_FILE).map_err(words)?.is_some();
        let what = if ours { "it is a root of tabletd's own" } else { "no backend has started with it yet" };
        return Err(format!("there is no meta/ in it: {what}"));
    }
    let strictness = if rescue { Strictness::Rescue } else { Strictness::Refuse };
    let (inventory, damage) = read_database(&dir, strictness)?;
    report.lost = damage.iter().chain(&inventory.lost_blocks).map(ToString::to_string).collect();
    report.left_over_keys = inventory.left_over.len();
    report.unknown_keys = inventory.unknown.iter().map(|key| key.escape_ascii().to_string()).collect();
    report.refused_for_writing = refusal(report, &inventory);
    let owned: BTreeSet<Place> = inventory.tablets.values().filter_map(place).collect();
    let damaged: BTreeSet<TabletIds> =
        inventory.tablets.values().filter(|found| found.record.is_err()).map(|found| found.ids).collect();
    let walked = walk(&dir, &owned, &damaged).map_err(words)?;
    report.strays = walked.strays;
    let mut again = Vec::new();
    for found in inventory.tablets.values() {
        let listing = place(found).and_then(|place| walked.tablets.get(&place));
        let tablet = TabletReport::of(found, judge(&dir, found, listing).map_err(words)?);
        if tablet.has_finding() {
            again.push(found.ids);
        }
        report.tablets.push(tablet);
    }
    if !again.is_empty() {
        let (later, _) = read_database(&dir, strictness)?;
        for ids in again {
            report.tablets.retain(|tablet| tablet.ids != ids);
            let Some(found) = later.tablets.get(&ids) else { continue };
            let judged = look_at_tablet(&dir, found).map_err(words)?;
            report.tablets.push(TabletReport::of(found, judged));
        }
        report.tablets.sort_by_key(|tablet| tablet.ids);
    }
    Ok(())
}

fn place(found: &Found) -> Option<Place> {
    let tablet = found.record.as_ref().ok()?;
    Some((tablet.shard, found.ids))
}

/// What keeps a root from being written to, whatever its tablets are.
fn refusal(report: &RootReport, inventory: &Inventory) -> Option<String> {
    if report.deploy_mode.as_deref().is_some_and(|mode| mode != "local") {
        return Some("its deploy_mode is not \"local\"".to_owned());
    }
    if inventory.retired_headers > 0 {
        return Some("it has keys hdr_ of before 0.11, with which no backend starts".to_owned());
    }
    (!report.lost.is_empty()).then(|| "its database is damaged".to_owned())
}

fn small_text(dir: &Dir, name: &str) -> Result<Option<String>, String> {
    let bytes = read_small(dir, name, ReadFrom::Cache).map_err(|error| error.to_string())?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}

/// Reads all keys of one state of the database.
fn read_database(root: &Dir, strictness: Strictness) -> Result<(Inventory, Vec<DorisError>), String> {
    read_one_state(root, strictness, |database| Ok((Inventory::read(database)?, database.damage().to_vec())))
}
