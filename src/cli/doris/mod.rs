//! `tabletctl doris ...`: the roots of a real Doris backend, looked at; and, while it is stopped, tablets moved between them.

mod after;
mod frontend;
mod header;
mod moving;
mod report;
mod stopping;

use std::path::PathBuf;

use super::args::Output;
use super::doris_args::{DorisCommand, FrontendArgs};
use super::exit::{CliError, Exit, print, print_json};
use crate::maintenance::{self, Request};
use crate::storage::os::{IO_PRIORITY_IDLE, set_io_priority};

/// Does what the command line says.
///
/// # Errors
/// [`Exit::Failed`] when a root cannot be read, or something in it is damaged.
pub(super) fn run(command: &DorisCommand, output: Output) -> Result<(), CliError> {
    match command {
        DorisCommand::Inspect { roots, rescue, frontend } => inspect(roots, *rescue, frontend, output),
        DorisCommand::Header { tablet_id, roots, schema_hash } => {
            print(&header::header(*tablet_id, *schema_hash, roots)?)
        }
        DorisCommand::Move { tablets, to, how } => {
            moving::run(&Request::Move { tablets: tablets.clone(), to: to.clone() }, how, output)
        }
        DorisCommand::Drain { root, how } => moving::run(&Request::Drain { root: root.clone() }, how, output),
        DorisCommand::Rescue { root, accept_older, to, how } => {
            let (root, accept, to) = (root.clone(), accept_older.clone(), to.clone());
            moving::run(&Request::Rescue { root, accept, to }, how, output)
        }
        DorisCommand::Rebalance { medium, how } => {
            moving::run(&Request::Rebalance { medium: *medium }, how, output)
        }
        DorisCommand::Undo { node, yes } => after::undo(node, *yes, output),
        DorisCommand::Confirm { conf } => after::confirm(conf, output),
        DorisCommand::Purge { conf, yes } => after::purge(conf, *yes, output),
        DorisCommand::Resume { node } => moving::resume(node, output),
    }
}

fn inspect(roots: &[PathBuf], rescue: bool, frontend: &FrontendArgs, output: Output) -> Result<(), CliError> {
    // A backend that serves queries comes first. Where the kernel does not take the hint, this is merely less polite.
    let _ = set_io_priority(IO_PRIORITY_IDLE);
    let found = maintenance::inspect(roots, rescue);
    let asked = report::would_move(&found);
    let (bytes, tablets) = (report::bytes_to_move(&found), asked.len() as u64);
    let frontend = frontend::look(frontend, &asked, maintenance::estimate_sec(bytes, tablets))?;
    match (output, &frontend) {
        (Output::Json, None) => print_json(&found)?,
        (Output::Json, Some(look)) => {
            let mut value =
                serde_json::to_value(&found).map_err(|error| CliError::new(Exit::Failed, error))?;
            value["frontend"] = serde_json::json!(look);
            print_json(&value)?;
        }
        (Output::Text, look) => {
            let look = look.as_ref().map(frontend::to_text).unwrap_or_default();
            print(&(report::to_text(&found) + &look))?;
        }
    }
    match found.damage() {
        0 => Ok(()),
        count => Err(CliError::new(Exit::Failed, format!("{count} findings of damage; see above"))),
    }
}
