//! What a look at Doris roots found, as a page for a person; the JSON is what was found.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::frontend::Asked;
use crate::cli::table::{Align, Table, human_bytes};
use crate::model::{InspectedRoot, InspectedTablet, Inspection, Verdict, counted, printable};

/// Lines of one kind that a person is shown; the JSON has all.
const SHOWN_MAX: usize = 20;

/// All roots, and what is on several of them.
pub(super) fn to_text(found: &Inspection) -> String {
    let mut out = String::new();
    for root in &found.roots {
        write_root(root, &mut out);
    }
    let ids: BTreeSet<_> = found.roots.iter().filter_map(|root| root.cluster_id.as_deref()).collect();
    if ids.len() > 1 {
        let _ = writeln!(out, "these roots are of different clusters: {}", Vec::from_iter(ids).join(", "));
    }
    for several in found.on_several_roots.iter().take(SHOWN_MAX) {
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

/// The tablets that a drain of each root would move.
pub(super) fn would_move(found: &Inspection) -> Vec<Asked> {
    let tablets = found.roots.iter().flat_map(|root| &root.tablets);
    let moving = tablets.filter(|tablet| tablet.verdict == Verdict::Move);
    let asked = |tablet: &InspectedTablet| {
        let (table_id, partition_id) = (tablet.table_id?, tablet.partition_id?);
        Some(Asked { tablet_id: tablet.tablet_id, table_id, partition_id })
    };
    moving.filter_map(asked).collect()
}

/// Their bytes.
pub(super) fn bytes_to_move(found: &Inspection) -> u64 {
    found.roots.iter().fold(0, |sum, root| sum.saturating_add(root.would_move.bytes))
}

fn write_root(root: &InspectedRoot, out: &mut String) {
    let _ = writeln!(out, "{}", root.root);
    if let Some(why) = &root.unreadable {
        let _ = writeln!(out, "  cannot be read: {why}");
        let _ = writeln!(out, "  what is left of a damaged database: tabletctl doris inspect --rescue");
    }
    let (moving, staying) = (root.would_move, root.would_leave);
    let _ = writeln!(
        out,
        "  a drain would move   {}, {}",
        counted(moving.tablets, "tablet"),
        human_bytes(moving.bytes)
    );
    let _ = writeln!(
        out,
        "  and leave            {}, {}",
        counted(staying.tablets, "tablet"),
        human_bytes(staying.bytes)
    );
    if let Some(why) = &root.refused_for_writing {
        let _ = writeln!(out, "  for looking only     {why}");
    }
    if !root.strays.is_empty() {
        let bytes = human_bytes(root.strays.iter().map(|stray| stray.bytes).sum());
        let _ = writeln!(out, "  stray directories    {}, {bytes}", root.strays.len());
    }
    let garbage: usize = root.tablets.iter().map(|tablet| tablet.garbage.len()).sum();
    if garbage > 0 {
        let _ = writeln!(out, "  files of no rowset   {garbage}; they would not be moved");
    }
    if root.left_over_keys + root.unknown_keys.len() > 0 {
        let _ = writeln!(
            out,
            "  other keys           {} left over, {} not understood",
            root.left_over_keys,
            root.unknown_keys.len()
        );
    }
    for lost in root.lost.iter().take(SHOWN_MAX) {
        let _ = writeln!(out, "  lost: {}", printable(lost));
    }
    write_reasons(root, out);
    write_partitions(root, out);
    for tablet in root.tablets.iter().filter(|tablet| tablet.has_finding()).take(SHOWN_MAX) {
        let ids = format!("{}.{}", tablet.tablet_id, tablet.schema_hash);
        for file in &tablet.missing {
            let _ = writeln!(out, "  tablet {ids}: {} is missing", printable(file));
        }
        for file in &tablet.damaged {
            let _ = writeln!(out, "  tablet {ids}: {}: {}", printable(&file.file), file.what);
        }
    }
}

fn write_reasons(root: &InspectedRoot, out: &mut String) {
    if root.left_for.is_empty() {
        return;
    }
    let columns = [("  LEFT FOR", Align::Left), ("TABLETS", Align::Right), ("WHAT HELPS", Align::Left)];
    let mut table = Table::new(&columns);
    for one in &root.left_for {
        table.row([format!("  {}", one.reason), one.tablets.to_string(), one.way_out.clone()]);
    }
    out.push_str(&table.render());
}

fn write_partitions(root: &InspectedRoot, out: &mut String) {
    let columns = [("  PARTITION", Align::Left), ("TABLETS", Align::Right), ("SIZE", Align::Right)];
    let mut table = Table::new(&columns);
    for one in root.partitions.iter().take(SHOWN_MAX) {
        table.row([format!("  {}", one.partition_id), one.tablets.to_string(), human_bytes(one.bytes)]);
    }
    out.push_str(&table.render());
    let more = root.partitions.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        let _ = writeln!(out, "  and {more} partitions more (--json shows all)");
    }
}
