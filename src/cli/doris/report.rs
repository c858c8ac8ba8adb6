//! What a look at Doris roots found: as JSON, and as a page for a person.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::walk::Stray;
use crate::cli::table::{Align, Table, human_bytes};
use crate::doris::inventory::Found;
use crate::doris::judge::Reason;
use crate::doris::keys::TabletIds;
use crate::doris::record::TabletState;
use crate::model::printable;
use crate::storage::Judged;

/// Lines of one kind that a person is shown; the JSON has all.
const SHOWN_MAX: usize = 20;

/// Everything found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    roots: Vec<RootReport>,
    on_several_roots: Vec<Several>,
}

/// A tablet with a record on more than one root.
#[derive(Debug, Serialize)]
struct Several {
    tablet_id: i64,
    schema_hash: i32,
    /// Root, state and generation of each copy.
    copies: Vec<CopyOf>,
    /// The root whose copy a backend would keep; `null` where it could be either.
    owner: Option<String>,
}

#[derive(Debug, Serialize)]
struct CopyOf {
    root: String,
    state: &'static str,
    generation: Option<u64>,
}

/// One root.
#[derive(Debug, Default, Serialize)]
pub(super) struct RootReport {
    root: String,
    pub(super) cluster_id: Option<String>,
    pub(super) deploy_mode: Option<String>,
    /// Why nothing could be read.
    pub(super) unreadable: Option<String>,
    /// Why nothing may be written to it.
    pub(super) refused_for_writing: Option<String>,
    /// What a rescue passed over.
    pub(super) lost: Vec<String>,
    pub(super) tablets: Vec<TabletReport>,
    pub(super) strays: Vec<Stray>,
    pub(super) left_over_keys: usize,
    pub(super) unknown_keys: Vec<String>,
}

/// One tablet of one root.
#[derive(Debug, Serialize)]
pub(super) struct TabletReport {
    #[serde(skip)]
    pub(super) ids: TabletIds,
    tablet_id: i64,
    schema_hash: i32,
    table_id: Option<i64>,
    partition_id: Option<i64>,
    state: Option<&'static str>,
    shard: Option<i64>,
    tablet_uid: Option<String>,
    version: Option<i64>,
    generation: Option<u64>,
    /// `move` or `leave`.
    verdict: &'static str,
    reasons: BTreeSet<&'static str>,
    file_count: usize,
    bytes: u64,
    missing: Vec<String>,
    damaged: Vec<Damaged>,
    garbage: Vec<String>,
    #[serde(skip)]
    why: BTreeSet<Reason>,
}

#[derive(Debug, Serialize)]
struct Damaged {
    file: String,
    what: String,
}

impl TabletReport {
    pub(super) fn of(found: &Found, judged: Judged) -> Self {
        let Judged { reasons: why, files, damaged } = judged;
        let tablet = found.record.as_ref().ok();
        let mut report = Self {
            ids: found.ids,
            tablet_id: found.ids.tablet_id,
            schema_hash: found.ids.schema_hash,
            table_id: tablet.map(|tablet| tablet.table_id),
            partition_id: tablet.map(|tablet| tablet.partition_id),
            state: tablet.map(|tablet| tablet.state.as_str()),
            shard: tablet.map(|tablet| tablet.shard),
            tablet_uid: tablet.map(|tablet| tablet.uid.to_string()),
            version: found.version(),
            generation: found.generation(),
            verdict: "move",
            reasons: BTreeSet::new(),
            file_count: files.files.len(),
            bytes: files.files.values().sum(),
            missing: files.missing,
            damaged: damaged.into_iter().map(|(file, what)| Damaged { file, what }).collect(),
            garbage: files.garbage,
            why: BTreeSet::new(),
        };
        why.into_iter().for_each(|reason| report.leave_for(reason));
        report
    }

    fn leave_for(&mut self, reason: Reason) {
        self.verdict = "leave";
        self.reasons.insert(reason.as_str());
        self.why.insert(reason);
    }

    /// Whether it is worth a second look: a backend at work may have changed it meanwhile.
    pub(super) fn has_finding(&self) -> bool {
        !self.missing.is_empty() || !self.damaged.is_empty() || self.why.contains(&Reason::DirectoryMissing)
    }

    fn is_damaged(&self) -> bool {
        let of_records =
            [Reason::RecordDamaged, Reason::RowsetDamaged, Reason::KeyAndRecordDiffer, Reason::UidZero];
        self.has_finding() || of_records.iter().any(|reason| self.why.contains(reason))
    }
}

impl RootReport {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.display().to_string(), ..Self::default() }
    }
}

impl Report {
    /// Puts roots of one node together: what is on two of them is seen only then.
    pub(super) fn of(mut roots: Vec<RootReport>) -> Self {
        let mut places: BTreeMap<TabletIds, Vec<(usize, usize)>> = BTreeMap::new();
        for (n, root) in roots.iter().enumerate() {
            for (m, tablet) in root.tablets.iter().enumerate() {
                places.entry(tablet.ids).or_default().push((n, m));
            }
        }
        let mut on_several_roots = Vec::new();
        for (ids, copies) in places.into_iter().filter(|(_, copies)| copies.len() > 1) {
            let running: Vec<_> = copies
                .iter()
                .copied()
                .filter(|(n, m)| roots[*n].tablets[*m].state == Some(TabletState::Running.as_str()))
                .collect();
            let newest = running.iter().map(|(n, m)| roots[*n].tablets[*m].generation).max().flatten();
            let mut newest_copies =
                running.iter().filter(|(n, m)| roots[*n].tablets[*m].generation == newest);
            let owner = newest_copies.next().map(|(n, _)| roots[*n].root.clone());
            on_several_roots.push(Several {
                tablet_id: ids.tablet_id,
                schema_hash: ids.schema_hash,
                owner: owner.filter(|_| newest_copies.next().is_none()),
                copies: copies
                    .iter()
                    .map(|(n, m)| CopyOf {
                        root: roots[*n].root.clone(),
                        state: roots[*n].tablets[*m].state.unwrap_or("unreadable"),
                        generation: roots[*n].tablets[*m].generation,
                    })
                    .collect(),
            });
            if running.len() > 1 {
                for (n, m) in running {
                    roots[n].tablets[m].leave_for(Reason::Duplicate);
                }
            }
        }
        Self { roots, on_several_roots }
    }

    /// Roots that cannot be read, damaged tablets, and blocks that are lost.
    pub(super) fn damage(&self) -> usize {
        self.roots
            .iter()
            .map(|root| {
                let tablets = root.tablets.iter().filter(|tablet| tablet.is_damaged()).count();
                usize::from(root.unreadable.is_some()) + root.lost.len() + tablets
            })
            .sum()
    }

    pub(super) fn to_text(&self) -> String {
        let mut out = String::new();
        for root in &self.roots {
            root.write(&mut out);
        }
        let ids: BTreeSet<_> = self.roots.iter().filter_map(|root| root.cluster_id.as_deref()).collect();
        if ids.len() > 1 {
            let _ =
                writeln!(out, "these roots are of different clusters: {}", Vec::from_iter(ids).join(", "));
        }
        for several in self.on_several_roots.iter().take(SHOWN_MAX) {
            let owner = several.owner.as_deref().unwrap_or("either");
            let copies: Vec<_> =
                several.copies.iter().map(|copy| format!("{} ({})", copy.root, copy.state)).collect();
            let _ = writeln!(
                out,
                "tablet {}.{} is on {}; a backend would keep the one on {owner}",
                several.tablet_id,
                several.schema_hash,
                copies.join(" and ")
            );
        }
        out
    }
}

impl RootReport {
    fn write(&self, out: &mut String) {
        let _ = writeln!(out, "{}", self.root);
        if let Some(why) = &self.unreadable {
            let _ = writeln!(out, "  cannot be read: {why}");
            let _ = writeln!(out, "  what is left of a damaged database: tabletctl doris inspect --rescue");
        }
        let of_verdict = |verdict| self.tablets.iter().filter(move |tablet| tablet.verdict == verdict);
        let bytes = |verdict| human_bytes(of_verdict(verdict).map(|tablet| tablet.bytes).sum());
        let (moving, staying) = (of_verdict("move").count(), of_verdict("leave").count());
        let _ = writeln!(out, "  a drain would move   {moving} tablets, {}", bytes("move"));
        let _ = writeln!(out, "  and leave            {staying} tablets, {}", bytes("leave"));
        if let Some(why) = &self.refused_for_writing {
            let _ = writeln!(out, "  for looking only     {why}");
        }
        if !self.strays.is_empty() {
            let bytes = human_bytes(self.strays.iter().map(|stray| stray.bytes).sum());
            let _ = writeln!(out, "  stray directories    {}, {bytes}", self.strays.len());
        }
        let garbage: usize = self.tablets.iter().map(|tablet| tablet.garbage.len()).sum();
        if garbage > 0 {
            let _ = writeln!(out, "  files of no rowset   {garbage}; they would not be moved");
        }
        if self.left_over_keys + self.unknown_keys.len() > 0 {
            let _ = writeln!(
                out,
                "  other keys           {} left over, {} not understood",
                self.left_over_keys,
                self.unknown_keys.len()
            );
        }
        for lost in self.lost.iter().take(SHOWN_MAX) {
            let _ = writeln!(out, "  lost: {}", printable(lost));
        }
        self.write_reasons(out);
        self.write_partitions(out);
        for tablet in self.tablets.iter().filter(|tablet| tablet.has_finding()).take(SHOWN_MAX) {
            for file in &tablet.missing {
                let _ = writeln!(out, "  tablet {}: {} is missing", tablet.ids, printable(file));
            }
            for Damaged { file, what } in &tablet.damaged {
                let _ = writeln!(out, "  tablet {}: {}: {what}", tablet.ids, printable(file));
            }
        }
    }

    fn write_reasons(&self, out: &mut String) {
        let mut count: BTreeMap<Reason, usize> = BTreeMap::new();
        for reason in self.tablets.iter().flat_map(|tablet| &tablet.why) {
            *count.entry(*reason).or_default() += 1;
        }
        if count.is_empty() {
            return;
        }
        let mut table = Table::new(&[
            ("  LEFT FOR", Align::Left),
            ("TABLETS", Align::Right),
            ("WHAT HELPS", Align::Left),
        ]);
        for (reason, count) in count {
            table.row([format!("  {}", reason.as_str()), count.to_string(), reason.way_out().to_owned()]);
        }
        out.push_str(&table.render());
    }

    fn write_partitions(&self, out: &mut String) {
        let mut partitions: BTreeMap<i64, (usize, u64)> = BTreeMap::new();
        for tablet in &self.tablets {
            let (count, bytes) = partitions.entry(tablet.partition_id.unwrap_or(0)).or_default();
            (*count, *bytes) = (*count + 1, *bytes + tablet.bytes);
        }
        let columns = [("  PARTITION", Align::Left), ("TABLETS", Align::Right), ("SIZE", Align::Right)];
        let mut table = Table::new(&columns);
        let more = partitions.len().saturating_sub(SHOWN_MAX);
        for (partition, (count, bytes)) in partitions.into_iter().take(SHOWN_MAX) {
            table.row([format!("  {partition}"), count.to_string(), human_bytes(bytes)]);
        }
        out.push_str(&table.render());
        if more > 0 {
            let _ = writeln!(out, "  and {more} partitions more (--json shows all)");
        }
    }
}
