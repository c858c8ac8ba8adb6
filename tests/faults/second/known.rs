//! Cells of which it is known that the product does not keep its promise there yet. The list must shrink: nothing is added
//! to it for a cell that once held.

use super::Cell;
use super::first::First;
use super::next::Loss;
use super::place::SOURCE;

/// Why a violation in this cell is no news; `None` where it is.
pub(super) fn known(cell: &Cell) -> Option<&'static str> {
    let gone = |wanted: usize| {
        let is_gone = |loss| matches!(loss, Loss::Lost | Loss::Unconfigured | Loss::Replaced);
        cell.next.disk().is_some_and(|(disk, loss)| disk == wanted && is_gone(loss))
    };
    match cell.first {
        First::Killed("placed" | "placed_synced") if gone(SOURCE) => {
            Some("placed files whose record was never committed wait for `tablet adopt`")
        }
        _ => None,
    }
}
