//! `tabletctl doris undo`, `confirm` and `purge`: what comes after a run.

use std::fmt::Write;
use std::path::Path;

use super::moving::{load, open};
use crate::cli::args::Output;
use crate::cli::doris_args::DorisNode;
use crate::cli::exit::{CliError, Exit, confirm as ask, print, print_json};
use crate::cli::table::human_bytes;
use crate::maintenance;
use crate::model::{ErrorCode, counted, counted_as};

/// Takes the newest run back.
///
/// # Errors
/// [`Exit::Refused`] when a backend has started since; nothing was touched then.
pub(super) fn undo(node: &DorisNode, yes: bool, output: Output) -> Result<(), CliError> {
    if !yes {
        ask("", "Take the newest run back?", "nothing was touched")?;
    }
    let taken = open(node)?.undo().map_err(|failure| match failure.code {
        ErrorCode::NotRevertible => CliError::new(Exit::Refused, failure.message),
        _ => failure.into(),
    })?;
    match output {
        Output::Json => print_json(&serde_json::json!({ "runs": taken.runs, "tablets": taken.tablets })),
        Output::Text if taken.runs.is_empty() => print("there is no run to take back\n"),
        Output::Text => {
            let runs = taken.runs.join(", ");
            let are =
                counted_as(taken.tablets.len(), "tablet is where it was", "tablets are where they were");
            print(&format!("{are}; taken back: {runs}\n"))
        }
    }
}

/// Compares what was moved with what the backend has now.
///
/// # Errors
/// [`Exit::Failed`] when something that was moved is not confirmed.
pub(super) fn confirm(conf: &Path, output: Output) -> Result<(), CliError> {
    let told = maintenance::confirm(&load(conf)?)?;
    match output {
        Output::Json => {
            let each = told.iter().map(|one| {
                serde_json::json!({
                    "id": one.id, "tablet_id": one.tablet_id, "root": one.root, "now": one.now.as_str(),
                    "confirmed": one.now.is_confirmed(), "about": one.about,
                })
            });
            print_json(&each.collect::<Vec<_>>())?;
        }
        Output::Text => {
            let mut text = String::new();
            for one in &told {
                let now = one.now.as_str();
                let _ = writeln!(text, "tablet {} on {}: {now} ({})", one.tablet_id, one.root, one.about);
            }
            if told.is_empty() {
                text.push_str("no move is to be confirmed\n");
            }
            print(&text)?;
        }
    }
    match told.iter().filter(|one| !one.now.is_confirmed()).count() {
        0 => Ok(()),
        count => {
            let are = counted_as(count, "tablet is", "tablets are");
            Err(CliError::new(Exit::Failed, format!("{are} not confirmed")))
        }
    }
}

/// Frees what confirmed moves left.
///
/// # Errors
/// As the work itself.
pub(super) fn purge(conf: &Path, yes: bool, output: Output) -> Result<(), CliError> {
    if !yes {
        ask("", "Remove for good what confirmed moves left at their sources?", "nothing was removed")?;
    }
    let purged = maintenance::purge(&load(conf)?)?;
    match output {
        Output::Json => print_json(&serde_json::json!({
            "moves": purged.moves, "bytes": purged.bytes, "unconfirmed": purged.unconfirmed,
        })),
        Output::Text => print(&format!(
            "{} freed, of {}; {}\n",
            human_bytes(purged.bytes),
            counted(purged.moves, "move"),
            counted_as(purged.unconfirmed, "is not confirmed and stays", "are not confirmed and stay")
        )),
    }
}
