//! Taking back the newest run, while no backend has started since: its logs go, and everything is as RocksDB left it.
//!
//! Nothing that was kept is ever copied back: it is only compared with. The order keeps a whole copy in a record at every
//! moment: first the sources have their directories and their keys again, durably; only then the destinations forget.

use std::collections::BTreeSet;

use super::accept::ids_of;
use super::book::Book;
use super::node::Node;
use super::root::Root;
use crate::doris::keys::TabletIds;
use crate::fault;
use crate::model::{ErrorCode, Failure, Migration, ShardId, SourceAfter, Status, Swap};
use crate::storage::layout::{FILES, MIGRATING, tablet_parent};
use crate::storage::{
    SinceKept, bring_back, forget_kept, is_placed, kept_runs, remove_empty_parents, remove_staging,
    since_kept, tablets_in_log,
};

/// What was taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenBack {
    /// Names of the runs; several where one had ended what another began. Empty where there was none.
    pub runs: Vec<String>,
    /// Tablets that are at their sources again.
    pub tablets: Vec<i64>,
}

/// Runs that go together, and the logs they added to each root.
struct Ground {
    runs: Vec<String>,
    /// By root: names of logs of ours.
    logs: Vec<Vec<String>>,
}

/// Takes the newest run back.
///
/// # Errors
/// A backend has started since, or a move has not ended: nothing was touched. Or a failed call: it can be done again.
pub(super) fn undo(node: &Node, book: &mut Book) -> Result<TakenBack, Failure> {
    let refused = |text: String| Failure::new(ErrorCode::NotRevertible, text);
    let (unfinished, _) = book.unfinished()?;
    if let Some(row) = unfinished.first() {
        let how = match row.status {
            Status::Paused => "start tabletd --conf with this be.conf, and abort it there",
            _ => "end it first: tabletctl doris resume",
        };
        return Err(refused(format!("move {} is {}; {how}", row.id, row.status)));
    }
    let rows = book.all()?;
    let Some(ground) = survey(node, &rows)? else { return Ok(TakenBack::default()) };
    let of_these = |run: &str| ground.runs.iter().any(|own| own == run);
    let concerned: Vec<Migration> = rows
        .into_iter()
        .filter(|row| {
            // Also of a move that was accepted by a run which never wrote, and carried out by one of these.
            row.doris.as_ref().is_some_and(|doris| {
                let wrote = of_these(&doris.run) || doris.retired_run.as_deref().is_some_and(of_these);
                wrote && doris.swap != Swap::Undone
            })
        })
        .collect();
    let (sources, destinations) = ends(node, &concerned)?;
    if let Some(both) = sources.intersection(&destinations).next() {
        let text = format!(
            "tablets went both from and to {} in this run: no order of taking it back is safe; move them back one by one",
            node.roots[*both].path
        );
        return Err(refused(text));
    }
    for (nth, root) in node.roots.iter().enumerate() {
        if !ground.logs[nth].is_empty() && !sources.contains(&nth) && !destinations.contains(&nth) {
            let text = format!(
                "the journal does not say what was moved from or to {}; nothing was touched",
                root.path
            );
            return Err(refused(text));
        }
    }
    for (root, logs) in node.roots.iter().zip(&ground.logs) {
        check_logs(root, logs, &concerned)?;
    }
    take_back(node, &concerned, &ground, (&sources, &destinations))?;
    for mut row in concerned.clone() {
        if let Some(doris) = &mut row.doris {
            doris.swap = Swap::Undone;
        }
        row.status_reason = "undone: the tablet is where it was".to_owned();
        book.note(&row)?;
    }
    for root in &node.roots {
        for run in &ground.runs {
            forget_kept(&root.disk, run)?;
        }
    }
    let tablets = concerned.iter().filter(|row| row.status == Status::Completed);
    Ok(TakenBack { tablets: tablets.map(|row| row.key.tablet_id.0).collect(), runs: ground.runs })
}

/// The newest run, with those whose moves it ended; and that nobody else has written since the oldest of them.
fn survey(node: &Node, rows: &[Migration]) -> Result<Option<Ground>, Failure> {
    let mut kept: BTreeSet<String> = BTreeSet::new();
    for root in &node.roots {
        kept.extend(kept_runs(&root.disk)?);
    }
    let Some(newest) = kept.last() else { return Ok(None) };
    let mut oldest = newest.clone();
    loop {
        let retired_since = |row: &&Migration| {
            let doris = row.doris.as_ref();
            doris.and_then(|doris| doris.retired_run.as_ref()).is_some_and(|run| *run >= oldest)
        };
        let begun = rows.iter().filter(retired_since).filter_map(|row| Some(&row.doris.as_ref()?.run)).min();
        match begun.filter(|run| **run < oldest) {
            Some(run) => oldest.clone_from(run),
            None => break,
        }
    }
    let runs: Vec<String> = kept.range(oldest.clone()..).cloned().collect();
    let mut logs = Vec::new();
    for root in &node.roots {
        let first = kept_runs(&root.disk)?.into_iter().find(|run| *run >= oldest);
        let since = first.map(|run| since_kept(&root.disk, &run)).transpose()?;
        match since {
            None | Some(SinceKept::NotKept) => logs.push(Vec::new()),
            Some(SinceKept::OurLogs(own)) => logs.push(own),
            Some(SinceKept::Changed(file)) => {
                let text = format!(
                    "a backend has started since: meta/{file} of {} is not what it was; nothing was touched, and tablets go \
                     back by moving them",
                    root.path
                );
                return Err(Failure::new(ErrorCode::NotRevertible, text));
            }
        }
    }
    Ok(Some(Ground { runs, logs }))
}

fn index(node: &Node, row: &Migration, disk: &crate::model::DiskRef) -> Result<usize, Failure> {
    node.roots.iter().position(|root| root.is(disk)).ok_or_else(|| {
        let text = format!("{}, which move {} concerns, is not here", disk.path, row.id);
        Failure::new(ErrorCode::DiskUnavailable, text)
    })
}

/// Nothing was changed at the source, and nothing is now.
fn leaves_source_alone(row: &Migration) -> bool {
    row.doris.as_ref().is_some_and(|doris| doris.source_after == SourceAfter::LeftAlone)
}

fn ends(node: &Node, rows: &[Migration]) -> Result<(BTreeSet<usize>, BTreeSet<usize>), Failure> {
    let (mut sources, mut destinations) = (BTreeSet::new(), BTreeSet::new());
    for row in rows {
        if !leaves_source_alone(row) {
            sources.insert(index(node, row, &row.source)?);
        }
        destinations.insert(index(node, row, &row.destination)?);
    }
    Ok((sources, destinations))
}

fn take_back(
    node: &Node,
    rows: &[Migration],
    ground: &Ground,
    (sources, destinations): (&BTreeSet<usize>, &BTreeSet<usize>),
) -> Result<(), Failure> {
    for row in rows {
        if !leaves_source_alone(row) {
            let source = &node.roots[index(node, row, &row.source)?];
            bring_back(&source.disk, row.id, row.source_shard.unwrap_or(ShardId(0)), row.key)?;
        }
        if let Some(replaced) = row.doris.as_ref().and_then(|doris| doris.replaces.as_ref()) {
            let destination = &node.roots[index(node, row, &row.destination)?];
            bring_back(&destination.disk, row.id, replaced.shard, row.key)?;
        }
    }
    for root in sources.union(destinations) {
        node.roots[*root].disk.dir().sync_file_system()?;
    }
    fault::point("undo_directories_back");
    for root in sources {
        remove_logs(&node.roots[*root], &ground.logs[*root])?;
    }
    fault::point("undo_sources_back");
    for root in destinations {
        remove_logs(&node.roots[*root], &ground.logs[*root])?;
    }
    fault::point("undo_destinations_forgotten");
    for row in rows {
        remove_placed(&node.roots[index(node, row, &row.destination)?], row)?;
    }
    for root in destinations {
        node.roots[*root].disk.dir().sync_file_system()?;
    }
    Ok(())
}

/// A second belt: each batch of a log that is about to go must be of a tablet that is taken back.
fn check_logs(root: &Root, logs: &[String], rows: &[Migration]) -> Result<(), Failure> {
    let meta = root.disk.dir().open("meta")?;
    for log in logs {
        let refused = |why: String| {
            let text = format!("meta/{log} of {}: {why}; nothing was touched", root.path);
            Failure::new(ErrorCode::NotRevertible, text)
        };
        let batches = tablets_in_log(&meta, log).map_err(refused)?;
        let is_taken_back = |tablets: &BTreeSet<TabletIds>| {
            !tablets.is_empty() && tablets.iter().all(|ids| rows.iter().any(|row| ids_of(row.key) == *ids))
        };
        if let Some(foreign) = batches.iter().find(|tablets| !is_taken_back(tablets)) {
            let named: Vec<String> = foreign.iter().map(ToString::to_string).collect();
            let text = format!("a batch in it ({}) is of no move that is taken back", named.join(", "));
            return Err(refused(text));
        }
    }
    Ok(())
}

/// Durable when this returns.
fn remove_logs(root: &Root, logs: &[String]) -> Result<(), Failure> {
    let meta = root.disk.dir().open("meta")?;
    for log in logs {
        meta.unlink(log)?;
    }
    Ok(meta.sync()?)
}

/// The copy at the destination, which no record names any more.
fn remove_placed(destination: &Root, row: &Migration) -> Result<(), Failure> {
    let root = destination.disk.dir();
    let Some(shard) = row.destination_shard else { return Ok(()) };
    let migrating = destination.disk.ensure_room()?.0.open(MIGRATING)?;
    let name = row.id.to_string();
    if is_placed(root, shard, row.key)? {
        let staging = migrating.ensure(&name)?;
        staging.remove_tree(FILES)?;
        let parent = root.open(tablet_parent(shard, row.key.tablet_id))?;
        parent.rename(&row.key.schema_hash.to_string(), &staging, FILES)?;
        remove_empty_parents(root, shard, row.key)?;
    }
    Ok(remove_staging(&migrating, &name)?)
}
