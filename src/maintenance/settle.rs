//! What earlier runs left unfinished, settled by what both databases say now; and a commit that is in doubt.

use super::accept::{Accepted, ids_of, pairs, take_up, written};
use super::book::{Book, advance};
use super::line::{Committed, end_moved, put_away, remove_copy, retire};
use super::node::Node;
use super::root::Root;
use crate::doris::database::Pair;
use crate::doris::keys::TabletIds;
use crate::doris::moving::{Batches, NewPlace, Stale, batches};
use crate::doris::record::{Tablet, TabletState};
use crate::doris::rowsets::Fresh;
use crate::doris::uid::Uid;
use crate::model::{DiskRef, DorisMove, ErrorCode, Failure, Migration, ShardId, Status, Swap};
use crate::rules::settling::{AtDestination, AtSource, Settling, settle as verdict};
use crate::rules::transition::Event;
use crate::storage::sum_of_pairs;

/// What became of one unfinished move.
pub(super) enum Settled {
    /// It has ended, or could not be brought to its end: see its row.
    Row(Box<Migration>),
    /// It is to go on.
    GoesOn(Box<Accepted>),
    /// A root of it is not here.
    Waits(Box<Migration>),
}

/// Settles one unfinished move.
///
/// # Errors
/// A database cannot be read: nothing is settled.
pub(super) fn settle(node: &mut Node, book: &mut Book, row: Migration) -> Result<Settled, Failure> {
    let Some(doris) = row.doris.as_deref().cloned() else { return Ok(Settled::Waits(Box::new(row))) };
    let (Some(from), Some(to)) = (find(node, &row.source), find(node, &row.destination)) else {
        return Ok(Settled::Waits(Box::new(row)));
    };
    if node.roots[from].is_damaged() || node.roots[to].is_damaged() {
        return Ok(Settled::Waits(Box::new(row)));
    }
    let ids = ids_of(row.key);
    let (at_source, at_destination) = (read(&node.roots[from], ids)?, read(&node.roots[to], ids)?);
    let source = see_source(&at_source, &doris);
    let planned = match (source, row.destination_shard) {
        (AtSource::AsBefore, Some(shard)) => Some(written(ids, &at_source, &doris, shard)?),
        _ => None,
    };
    let destination = see_destination(&at_destination, &doris, planned.as_ref());
    let what = verdict(doris.swap, source, destination);
    tracing::info!(migration = %row.id, tablet = %row.key, "source: {}; destination: {}: {}", source.in_words(), destination.in_words(), what.in_words());
    let done = |row: Migration| Ok(Settled::Row(Box::new(row)));
    match what {
        Settling::GoOn if row.status == Status::Aborting => {
            let aborted = Failure::new(ErrorCode::Aborted, row.status_reason.clone());
            done(end_at_source(node, book, row, to, aborted))
        }
        Settling::GoOn => match take_up(node, row, from, to) {
            Ok(accepted) => Ok(Settled::GoesOn(Box::new(accepted))),
            Err((row, failure)) => done(end_at_source(node, book, *row, to, failure)),
        },
        Settling::RetireSource => {
            let batches = planned.unwrap_or_default();
            let mut row = row;
            row.failure = None;
            done(retire(node, book, Committed::of_earlier_run(row, (from, to), at_source, batches)))
        }
        Settling::PutAway => {
            let mut row = row;
            row.failure = None;
            put_away_if_there(&mut row, &node.roots[from]);
            end_moved(&node.roots[to], book, &mut row);
            done(row)
        }
        Settling::Outrank => done(outrank(node, book, row, from)),
        Settling::EndsMoved => {
            let mut row = row;
            row.failure = None;
            row.status_reason = "a backend has run meanwhile and has it at the destination".to_owned();
            end_moved(&node.roots[to], book, &mut row);
            done(row)
        }
        Settling::EndsAtSource => {
            let why = "the source has the tablet; the destination does not serve it";
            done(end_at_source(node, book, row, to, Failure::new(ErrorCode::PreconditionFailed, why)))
        }
        Settling::EndsOpen => {
            let why = "both roots are not as the move left them: a backend has run meanwhile, and settles at its start which \
                       copy it keeps; nothing was touched";
            done(end_failed(book, row, Failure::new(ErrorCode::PreconditionFailed, why)))
        }
    }
}

/// All pairs of a tablet on a root.
pub(super) fn read(root: &Root, ids: TabletIds) -> Result<Vec<Pair>, Failure> {
    let failed =
        |why| Failure::new(ErrorCode::RecordDamaged, format!("tablet {ids} on {}: {why}", root.path));
    root.store.get(ids).map_err(failed)
}

pub(super) fn find(node: &Node, disk: &DiskRef) -> Option<usize> {
    node.roots.iter().position(|root| root.is(disk))
}

fn see_source(pairs: &[Pair], doris: &DorisMove) -> AtSource {
    match state(pairs) {
        None => AtSource::Gone,
        Some(_) if sum_of_pairs(pairs) == doris.before_sha256 => AtSource::AsBefore,
        Some((TabletState::Shutdown, _)) => AtSource::Retired,
        Some(_) => AtSource::Serves,
    }
}

pub(super) fn see_destination(pairs: &[Pair], doris: &DorisMove, planned: Option<&Batches>) -> AtDestination {
    let is_there = |put: &Pair| pairs.binary_search(put).is_ok();
    match (state(pairs), planned) {
        (None, _) => AtDestination::Gone,
        // The copy that the commit would have replaced.
        (Some((TabletState::Shutdown, _)), _) if is_replaced(pairs, doris) => AtDestination::Gone,
        (Some((TabletState::Shutdown, _)), _) => AtDestination::Retired,
        (Some(_), Some(planned)) if planned.put.iter().all(is_there) => AtDestination::AsWritten,
        (Some((_, uid)), None) if uid == (Uid { hi: doris.uid_hi, lo: doris.uid_lo }) => {
            AtDestination::AsWritten
        }
        (Some(_), _) => AtDestination::Serves,
    }
}

fn is_replaced(pairs: &[Pair], doris: &DorisMove) -> bool {
    doris.replaces.as_ref().is_some_and(|replaced| replaced.sha256 == sum_of_pairs(pairs))
}

/// State and uid of the record among the pairs; `None` where there is none.
fn state(pairs: &[Pair]) -> Option<(TabletState, Uid)> {
    let record = pairs.iter().find(|(key, _)| key.starts_with(b"tabletmeta_"))?;
    // One that does not parse was refused when the pairs were read.
    Tablet::read(&record.1).ok().map(|tablet| (tablet.state, tablet.uid))
}

/// The keys are gone; the directory may have been put away already.
fn put_away_if_there(row: &mut Migration, source: &Root) {
    let shard = row.source_shard.unwrap_or(ShardId(0));
    match crate::storage::is_placed(source.disk.dir(), shard, row.key) {
        Ok(true) => put_away(row, source),
        Ok(false) => {}
        Err(error) => row.failure = Some(error.into()),
    }
}

/// Ends a move whose tablet is where it was. What was made at the destination and owns nothing goes.
pub(super) fn end_at_source(
    node: &Node,
    book: &mut Book,
    mut row: Migration,
    to: usize,
    failure: Failure,
) -> Migration {
    if let Err(left) = remove_copy(&node.roots[to], &row) {
        row.log(super::book::now_ms(), format!("its copy is left in .tabletd/migrating/{}: {left}", row.id));
    }
    end_failed(book, row, failure)
}

/// A move that was stopped before its commit, and that the next run or start takes up.
pub(super) fn put_back(book: &mut Book, mut row: Migration, why: &Failure) -> Migration {
    let reason = format!("stopped, and goes on at the next start: {}", why.message);
    if let Err(illegal) = advance(&mut row, Event::Interrupted, reason) {
        tracing::error!("{illegal}");
    }
    if let Err(failure) = book.note(&row) {
        tracing::error!("{failure}");
    }
    row
}

/// Ends a move, and touches nothing.
pub(super) fn end_failed(book: &mut Book, mut row: Migration, failure: Failure) -> Migration {
    let reason = failure.message.clone();
    let ended = match (failure.code, row.status) {
        (ErrorCode::Aborted, _) | (_, Status::Aborting) => {
            let aborting = advance(&mut row, Event::Abort, reason.as_str());
            // One that a kill met while it was aborting is that already.
            aborting.or(Ok(())).and_then(|()| advance(&mut row, Event::Undone, reason))
        }
        _ => advance(&mut row, Event::Fail, reason),
    };
    row.failure = Some(failure);
    if let Err(illegal) = ended {
        tracing::error!("{illegal}");
    }
    if let Err(failure) = book.note(&row) {
        tracing::error!("{failure}");
    }
    row
}

/// A call failed in the middle of the commit: what the destination keeps of it is not known, and nothing it says may be
/// built on. The source is whole, so the doubt is ended there: its record is written anew as a move would write it, with a
/// later time than the destination's, so that every backend takes the source's copy, whatever the destination kept.
/// Nothing is removed at the destination: it may have a record that names it.
pub(super) fn doubt(
    node: &mut Node,
    book: &mut Book,
    mut row: Migration,
    from: usize,
    failure: Failure,
) -> Migration {
    if let Some(doris) = &mut row.doris {
        doris.swap = Swap::InDoubt;
    }
    row.failure = Some(failure);
    if let Err(failure) = book.note(&row) {
        tracing::error!("{failure}");
    }
    if node.roots[from].is_damaged() {
        // Nothing is written there. No other copy serves, and the next run reads from the medium what the destination has.
        row.status_reason =
            "in doubt; the next run of doris rescue or doris resume looks what the destination has".into();
        return row;
    }
    outrank(node, book, row, from)
}

fn outrank(node: &mut Node, book: &mut Book, mut row: Migration, from: usize) -> Migration {
    let why = row.failure.as_ref().map_or_else(String::new, |failure| failure.message.clone());
    match outrank_at_source(&mut node.roots[from], &node.run, &row) {
        Ok(()) => {
            if let Some(doris) = &mut row.doris {
                doris.swap = Swap::TakenBack;
            }
            let text = format!(
                "the destination's batch is in doubt ({why}); the source's record outranks it: let a backend start and stop \
                 once, which removes what is left at the destination"
            );
            end_failed(book, row, Failure::new(ErrorCode::SyncFailed, text))
        }
        Err(second) => {
            row.status_reason = format!(
                "in doubt: {why}; and on the source: {second}; both copies are whole, and a backend's start keeps one of them"
            );
            if let Err(failure) = book.note(&row) {
                tracing::error!("{failure}");
            }
            row
        }
    }
}

fn outrank_at_source(source: &mut Root, run: &str, row: &Migration) -> Result<(), Failure> {
    let ids = ids_of(row.key);
    let before = pairs(source, ids)?;
    let Some(doris) = &row.doris else { return Ok(()) };
    let place = NewPlace {
        shard: u32::from(row.source_shard.unwrap_or(ShardId(0)).0),
        uid: super::accept::new_uid(),
        now: outranking(source, row, doris),
        stale: Stale::Keep,
    };
    let again = batches(ids, &before, &place)
        .map_err(|why| Failure::new(ErrorCode::RecordDamaged, format!("tablet {ids}: {why}")))?;
    crate::storage::keep_meta(&source.disk, run)?;
    source.store.commit(&again.delete, &again.put).map_err(Failure::from)
}

/// Later than what the destination's newest rowset got.
fn outranking(source: &Root, row: &Migration, doris: &DorisMove) -> i64 {
    let found = source.inventory.tablets.get(&ids_of(row.key));
    let newest = found.and_then(|found| {
        let tablet = found.record.as_ref().ok()?;
        let fresh = Fresh::sort(tablet, &found.fresh);
        let rowsets = tablet.rowsets.iter().chain(fresh.joining.iter().copied());
        rowsets.map(|rowset| rowset.creation_time).max()
    });
    doris.now_s.max(newest.map_or(0, |time| time.saturating_add(1))).saturating_add(1)
}
