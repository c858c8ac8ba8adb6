//! `tabletctl journal export`: what a node remembers, line by line as JSON, for whoever reads it without this daemon: after
//! a roll-back, in a report, with `jq`.
//!
//! It is asked of the daemon, so that nobody but it reads the journal. Of tokens only names are told, never what lets
//! anybody in.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::client::{Client, Query};
use super::exit::{CliError, Exit, print};
use super::journal_args::JournalCommand;
use super::tokens;
use crate::api::wire::List;

/// Rows of a page. A page is one answer, and in memory as a whole.
const PAGE: usize = 1000;

/// Does it.
///
/// # Errors
/// What the questions meet; [`Exit::Failed`] when the file of tokens cannot be read.
pub(super) fn run(client: &Client, command: &JournalCommand) -> Result<(), CliError> {
    let JournalCommand::Export { conf } = command;
    let status: Value = client.get("/api/v1/status", &vec![])?.value;
    line("node", &json!({ "version": status["version"], "exported_at": chrono::Utc::now().to_rfc3339() }))?;
    for (kind, path, id, filter) in [
        ("disk", "/api/v1/disks", None, None),
        ("task", "/api/v1/tasks", Some("id"), None),
        ("migration", "/api/v1/migrations", Some("id"), Some(("with_steps", "true"))),
        ("operation", "/api/v1/operations", None, None),
        ("pin", "/api/v1/tablets", Some("tablet_id"), Some(("pinned", "true"))),
    ] {
        pages(client, kind, path, id, filter)?;
    }
    conf.as_ref().map_or(Ok(()), |conf| names_of_tokens(conf.clone()))
}

/// All rows of a list. One that has no ids to go on from comes in one answer.
fn pages(
    client: &Client,
    kind: &str,
    path: &str,
    id: Option<&str>,
    filter: Option<(&'static str, &str)>,
) -> Result<(), CliError> {
    let mut marker = None;
    loop {
        let mut query: Query<'_> = filter.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        if id.is_some() {
            query.push(("limit", PAGE.to_string()));
        }
        query.extend(marker.take().map(|marker| ("marker", marker)));
        let page = client.get::<List<Value>>(path, &query)?.value;
        page.data.iter().try_for_each(|row| line(kind, row))?;
        marker =
            id.filter(|_| page.data.len() == PAGE).and_then(|id| Some(page.data.last()?[id].to_string()));
        if marker.is_none() {
            return Ok(());
        }
    }
}

fn names_of_tokens(conf: PathBuf) -> Result<(), CliError> {
    tokens::told(conf)?.iter().try_for_each(|token| line("token", token))
}

fn line(kind: &str, row: &Value) -> Result<(), CliError> {
    let text = serde_json::to_string(&json!({ "kind": kind, kind: row }));
    print(&(text.map_err(|error| CliError::new(Exit::Failed, error))? + "\n"))
}
