//! Moves off a root whose database does not open, when a run finds them unfinished: only the destination has a say.

use super::accept::{ids_of, take_up};
use super::book::Book;
use super::line::end_moved;
use super::node::Node;
use super::settle::{Settled, end_at_source, end_failed, find, read, see_destination};
use crate::model::{ErrorCode, Failure, Migration, SourceAfter, Status, Swap};
use crate::rules::settling::AtDestination;

/// The roots of a move of which nothing at its source may be touched: the source's, where it is here, and the destination's.
pub(super) fn ends_without_source(node: &Node, row: &Migration) -> Option<(Option<usize>, usize)> {
    let (from, to) = (find(node, &row.source), find(node, &row.destination)?);
    let is_damaged = |root: usize| node.roots[root].is_damaged();
    let left_alone = row.doris.as_ref().is_some_and(|doris| doris.source_after == SourceAfter::LeftAlone);
    (!is_damaged(to) && (left_alone || from.is_some_and(is_damaged))).then_some((from, to))
}

/// Settles such a move.
///
/// # Errors
/// The destination cannot be read: nothing is settled.
pub(super) fn settle_without_source(
    node: &Node,
    book: &mut Book,
    mut row: Migration,
    (from, to): (Option<usize>, usize),
) -> Result<Settled, Failure> {
    let Some(doris) = row.doris.as_deref().cloned() else { return Ok(Settled::Waits(Box::new(row))) };
    let at_destination = read(&node.roots[to], ids_of(row.key))?;
    let destination = see_destination(&at_destination, &doris, None);
    let is_rescue = doris.source_after == SourceAfter::LeftAlone;
    let done = |row: Migration| Ok(Settled::Row(Box::new(row)));
    match (destination, from) {
        // Read from the medium: it is durable, whatever a call said.
        (AtDestination::AsWritten, _) => {
            row.failure = None;
            if let Some(doris) = &mut row.doris {
                doris.swap = Swap::Durable;
                if doris.retired_run.is_none() {
                    doris.source_after = SourceAfter::LeftAlone;
                }
            }
            end_moved(&node.roots[to], book, &mut row);
            done(row)
        }
        (AtDestination::Gone, _) if row.status == Status::Aborting => {
            let aborted = Failure::new(ErrorCode::Aborted, row.status_reason.clone());
            done(end_at_source(node, book, row, to, aborted))
        }
        (AtDestination::Gone, Some(from)) if is_rescue && node.roots[from].is_damaged() => {
            match take_up(node, row, from, to) {
                Ok(accepted) => Ok(Settled::GoesOn(Box::new(accepted))),
                Err((row, failure)) => done(end_at_source(node, book, *row, to, failure)),
            }
        }
        (AtDestination::Gone, _) => {
            let path = &row.source.path;
            let text = format!("the database of {path} does not open: tabletctl doris rescue {path}");
            done(end_at_source(node, book, row, to, Failure::new(ErrorCode::RecordDamaged, text)))
        }
        (AtDestination::Serves | AtDestination::Retired, _) => {
            let text = "the destination is not as the move left it: a backend has run meanwhile; nothing was touched";
            done(end_failed(book, row, Failure::new(ErrorCode::PreconditionFailed, text)))
        }
    }
}
