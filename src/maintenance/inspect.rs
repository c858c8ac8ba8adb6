//! Roots of a backend, looked at: the database and the directories of each, and what becomes of both together. No lock is
//! taken and nothing is written.
//!
//! A backend may be at work meanwhile. The database is read again when its files changed under the reader, and a tablet
//! with a finding is judged once more by what its record says afterwards: a segment that a compaction has removed in
//! between is no damage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::walk::{TabletAt, walk};
use crate::doris::database::Strictness;
use crate::doris::error::DorisError;
use crate::doris::inventory::{Found, Inventory};
use crate::doris::judge::Reason;
use crate::doris::keys::TabletIds;
use crate::doris::record::TabletState;
use crate::model::{
    DamagedSegment, InspectedCopy, InspectedPartition, InspectedRoot, InspectedSum, InspectedTablet,
    Inspection, LeftFor, SeveralCopies, Verdict,
};
use crate::storage::ReadFrom;
use crate::storage::{Dir, DiskError, Judged, judge, layout, look_at_tablet, read_one_state, read_small};

/// Reasons that are damage by themselves.
const DAMAGE: [Reason; 5] = [
    Reason::DirectoryMissing,
    Reason::RecordDamaged,
    Reason::RowsetDamaged,
    Reason::KeyAndRecordDiffer,
    Reason::UidZero,
];

/// One root, while it is looked at.
struct Looked {
    report: InspectedRoot,
    tablets: Vec<LookedAt>,
}

/// One tablet, with why it would be left.
struct LookedAt {
    ids: TabletIds,
    report: InspectedTablet,
    why: BTreeSet<Reason>,
}

/// Looks at the roots of one node; with `rescue` also at what is left of a damaged database.
pub fn inspect<P: AsRef<Path>>(roots: &[P], rescue: bool) -> Inspection {
    let mut looked: Vec<Looked> = roots.iter().map(|root| look(root.as_ref(), rescue)).collect();
    let on_several_roots = several(&mut looked);
    Inspection { roots: looked.into_iter().map(Looked::ended).collect(), on_several_roots, age_seconds: 0 }
}

fn look(root: &Path, rescue: bool) -> Looked {
    let report = InspectedRoot { root: root.display().to_string(), ..InspectedRoot::default() };
    let mut looked = Looked { report, tablets: Vec::new() };
    if let Err(why) = look_into(&mut looked, root, rescue) {
        looked.report.unreadable = Some(why);
    }
    looked
}

fn look_into(looked: &mut Looked, root: &Path, rescue: bool) -> Result<(), String> {
    let words = |error: DiskError| error.to_string();
    let report = &mut looked.report;
    let dir = Dir::open_absolute(root).map_err(words)?;
    report.cluster_id = small_text(&dir, "cluster_id")?;
    report.deploy_mode = small_text(&dir, "deploy_mode")?;
    if dir.open_if_exists("meta").map_err(words)?.is_none() {
        let ours = dir.kind(layout::DISK_FILE).map_err(words)?.is_some();
        let what = if ours { "it is a root of tabletd's own" } else { "no backend has started with it yet" };
        return Err(format!("there is no meta/ in it: {what}"));
    }
    let strictness = if rescue { Strictness::Rescue } else { Strictness::Refuse };
    let (inventory, damage) = read_database(&dir, strictness)?;
    report.lost = damage.iter().chain(&inventory.lost_blocks).map(ToString::to_string).collect();
    report.left_over_keys = inventory.left_over.len();
    report.unknown_keys = inventory.unknown.iter().map(|key| key.escape_ascii().to_string()).collect();
    report.refused_for_writing = refusal(report, &inventory);
    let owned: BTreeSet<TabletAt> = inventory.tablets.values().filter_map(place).collect();
    let damaged: BTreeSet<TabletIds> =
        inventory.tablets.values().filter(|found| found.record.is_err()).map(|found| found.ids).collect();
    let walked = walk(&dir, &owned, &damaged).map_err(words)?;
    report.strays = walked.strays;
    let mut again = Vec::new();
    for found in inventory.tablets.values() {
        let listing = place(found).and_then(|place| walked.tablets.get(&place));
        let tablet = LookedAt::of(found, judge(&dir, found, listing).map_err(words)?);
        if tablet.has_finding() {
            again.push(found.ids);
        }
        looked.tablets.push(tablet);
    }
    if !again.is_empty() {
        let (later, _) = read_database(&dir, strictness)?;
        for ids in again {
            looked.tablets.retain(|tablet| tablet.ids != ids);
            let Some(found) = later.tablets.get(&ids) else { continue };
            let judged = look_at_tablet(&dir, found).map_err(words)?;
            looked.tablets.push(LookedAt::of(found, judged));
        }
        looked.tablets.sort_by_key(|tablet| tablet.ids);
    }
    Ok(())
}

fn place(found: &Found) -> Option<TabletAt> {
    let tablet = found.record.as_ref().ok()?;
    Some((tablet.shard, found.ids))
}

/// What keeps a root from being written to, whatever its tablets are.
fn refusal(report: &InspectedRoot, inventory: &Inventory) -> Option<String> {
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

impl LookedAt {
    fn of(found: &Found, judged: Judged) -> Self {
        let Judged { reasons: why, files, damaged } = judged;
        let tablet = found.record.as_ref().ok();
        let report = InspectedTablet {
            tablet_id: found.ids.tablet_id,
            schema_hash: found.ids.schema_hash,
            table_id: tablet.map(|tablet| tablet.table_id),
            partition_id: tablet.map(|tablet| tablet.partition_id),
            state: tablet.map(|tablet| tablet.state.as_str().to_owned()),
            shard: tablet.map(|tablet| tablet.shard),
            tablet_uid: tablet.map(|tablet| tablet.uid.to_string()),
            version: found.version(),
            generation: found.generation(),
            verdict: Verdict::Move,
            reasons: BTreeSet::new(),
            file_count: files.files.len(),
            bytes: files.files.values().sum(),
            missing: files.missing.into_iter().collect(),
            damaged: damaged.into_iter().map(|(file, what)| DamagedSegment { file, what }).collect(),
            garbage: files.garbage.into_iter().collect(),
            is_damaged: false,
        };
        Self { ids: found.ids, report, why: why.into_iter().collect() }
    }

    /// Whether it is worth a second look: a backend at work may have changed it meanwhile.
    fn has_finding(&self) -> bool {
        self.report.has_finding() || self.why.contains(&Reason::DirectoryMissing)
    }

    /// With its verdict.
    fn ended(mut self) -> InspectedTablet {
        if !self.why.is_empty() {
            self.report.verdict = Verdict::Leave;
        }
        self.report.reasons = self.why.iter().map(|reason| reason.as_str().to_owned()).collect();
        self.report.is_damaged =
            self.report.has_finding() || DAMAGE.iter().any(|reason| self.why.contains(reason));
        self.report
    }
}

impl Looked {
    /// With what is true of all its tablets together.
    fn ended(self) -> InspectedRoot {
        let Self { mut report, tablets } = self;
        let mut reasons: BTreeMap<Reason, u64> = BTreeMap::new();
        let mut partitions: BTreeMap<i64, InspectedSum> = BTreeMap::new();
        for tablet in &tablets {
            tablet.why.iter().for_each(|reason| *reasons.entry(*reason).or_default() += 1);
            let whole = if tablet.why.is_empty() { &mut report.would_move } else { &mut report.would_leave };
            let partition = partitions.entry(tablet.report.partition_id.unwrap_or(0)).or_default();
            for sum in [whole, partition] {
                sum.tablets += 1;
                sum.bytes = sum.bytes.saturating_add(tablet.report.bytes);
            }
        }
        let left_for = |(reason, tablets): (Reason, u64)| LeftFor {
            reason: reason.as_str().to_owned(),
            tablets,
            way_out: reason.way_out().to_owned(),
        };
        report.left_for = reasons.into_iter().map(left_for).collect();
        let partition = |(partition_id, InspectedSum { tablets, bytes })| InspectedPartition {
            partition_id,
            tablets,
            bytes,
        };
        report.partitions = partitions.into_iter().map(partition).collect();
        report.tablets = tablets.into_iter().map(LookedAt::ended).collect();
        report
    }
}

/// What is on two roots is seen only when all are put together. A tablet that a backend would serve from either is left.
fn several(roots: &mut [Looked]) -> Vec<SeveralCopies> {
    let mut places: BTreeMap<TabletIds, Vec<(usize, usize)>> = BTreeMap::new();
    for (n, root) in roots.iter().enumerate() {
        for (m, tablet) in root.tablets.iter().enumerate() {
            places.entry(tablet.ids).or_default().push((n, m));
        }
    }
    let mut all = Vec::new();
    for (ids, copies) in places.into_iter().filter(|(_, copies)| copies.len() > 1) {
        let at = |(n, m): (usize, usize)| &roots[n].tablets[m].report;
        let running =
            |place: &(usize, usize)| at(*place).state.as_deref() == Some(TabletState::Running.as_str());
        let running: Vec<_> = copies.iter().copied().filter(running).collect();
        let newest = running.iter().map(|place| at(*place).generation).max().flatten();
        let mut newest_copies = running.iter().filter(|place| at(**place).generation == newest);
        let owner = newest_copies.next().map(|(n, _)| roots[*n].report.root.clone());
        let copy = |place: &(usize, usize)| InspectedCopy {
            root: roots[place.0].report.root.clone(),
            state: at(*place).state.clone().unwrap_or_else(|| "unreadable".to_owned()),
            generation: at(*place).generation,
        };
        all.push(SeveralCopies {
            tablet_id: ids.tablet_id,
            schema_hash: ids.schema_hash,
            owner: owner.filter(|_| newest_copies.next().is_none()),
            copies: copies.iter().map(copy).collect(),
        });
        if running.len() > 1 {
            for (n, m) in running {
                roots[n].tablets[m].why.insert(Reason::Duplicate);
            }
        }
    }
    all
}
