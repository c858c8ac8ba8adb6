//! `quarantine ...`: what was set aside, the way back, and the way out.

use super::args::Output;
use super::client::{Answer, Client, Query};
use super::exit::{CliError, confirm, print};
use super::jobs::remainder;
use super::operations;
use super::quarantine_args::{PurgeQuarantineArgs, QuarantineCommand};
use super::table::{Align, Table, human_bytes};
use crate::api::wire::{List, Operation, PurgeQuarantine, QuarantineItem, RestoreQuarantined};
use crate::model::{TabletId, counted, printable};

const LIST: &str = "/api/v1/quarantine";

/// `quarantine ...`.
pub(super) fn run(client: &Client, command: &QuarantineCommand, output: Output) -> Result<(), CliError> {
    match command {
        QuarantineCommand::List { disk, tablet, marker, limit } => {
            let mut query = filter(client.path_if_any(disk.as_ref())?, *tablet);
            query.extend(marker.as_ref().map(|marker| ("marker", marker.clone())));
            query.push(("limit", limit.to_string()));
            let Answer { value: list, text } = client.get::<List<QuarantineItem>>(LIST, &query)?;
            match output {
                Output::Json => print(&text),
                Output::Text => print(&(table(list.data.iter()) + &remainder(list.data.len(), list.total))),
            }
        }
        QuarantineCommand::Show { entry, disk } => {
            let query = vec![("disk", client.path_of(disk)?), ("entry", entry.clone())];
            let path = format!("{LIST}/show");
            let Answer { value, text } = client.get::<QuarantineItem>(&path, &query)?;
            match output {
                Output::Json => print(&text),
                Output::Text => print(&in_words(&value)),
            }
        }
        QuarantineCommand::Restore { entry, disk, to, accept_older } => {
            let request = RestoreQuarantined {
                disk: client.path_of(disk)?,
                entry: entry.clone(),
                to: client.path_if_any(to.as_ref())?,
                accept_older: *accept_older,
            };
            let begun: Answer<Operation> = client.post(&format!("{LIST}/restore"), &request)?;
            operations::follow(client, begun, output)
        }
        QuarantineCommand::Purge(args) => purge(client, args, output),
    }
}

fn filter(disk: Option<String>, tablet: Option<TabletId>) -> Query<'static> {
    let mut query: Query<'static> = disk.map(|disk| ("disk", disk)).into_iter().collect();
    query.extend(tablet.map(|id| ("tablet_id", id.to_string())));
    query
}

fn purge(client: &Client, args: &PurgeQuarantineArgs, output: Output) -> Result<(), CliError> {
    let PurgeQuarantineArgs { entry, disk, tablet, last_copy, yes } = args;
    let disk = client.path_if_any(disk.as_ref())?;
    if !yes {
        let list = client.get::<List<QuarantineItem>>(LIST, &filter(disk.clone(), *tablet))?.value;
        let is_named = |item: &&QuarantineItem| entry.as_ref().is_none_or(|entry| *entry == item.entry);
        let named: Vec<_> = list.data.iter().filter(is_named).collect();
        let question = format!("Remove {} from quarantine for good?", counted(named.len(), "entry"));
        confirm(&table(named.into_iter()), &question, "nothing was removed")?;
    }
    let all = disk.is_none() && entry.is_none() && tablet.is_none();
    let request =
        PurgeQuarantine { disk, entry: entry.clone(), tablet_id: *tablet, last_copy: *last_copy, all };
    let begun: Answer<Operation> = client.post(&format!("{LIST}/purge"), &request)?;
    operations::follow(client, begun, output)
}

fn in_words(item: &QuarantineItem) -> String {
    let tablet = item.tablet_id.map_or_else(|| "not known".to_owned(), |id| id.to_string());
    let lines = [
        ("path", item.path.clone()),
        ("why", item.reason.clone()),
        ("tablet", tablet),
        ("schema hash", item.schema_hash.map(|hash| hash.to_string()).unwrap_or_default()),
        ("generation", item.generation.map(|generation| generation.to_string()).unwrap_or_default()),
        ("files", format!("{}, {}", item.file_count, human_bytes(item.size_bytes))),
    ];
    let said: String =
        lines.iter().map(|(name, value)| format!("{name:<12} {}\n", printable(value))).collect();
    said + &item.salvaged.as_ref().map(operations::what_is_lost).unwrap_or_default()
}

fn table<'a>(items: impl Iterator<Item = &'a QuarantineItem>) -> String {
    let mut table = Table::new(&[
        ("DISK", Align::Left),
        ("ENTRY", Align::Left),
        ("TABLET", Align::Right),
        ("GENERATION", Align::Right),
        ("FILES", Align::Right),
        ("SIZE", Align::Right),
        ("WHY", Align::Left),
    ]);
    for item in items {
        table.row([
            item.disk.clone(),
            item.entry.clone(),
            item.tablet_id.map(|id| id.to_string()).unwrap_or_default(),
            item.generation.map(|generation| generation.to_string()).unwrap_or_default(),
            item.file_count.to_string(),
            human_bytes(item.size_bytes),
            item.reason.clone(),
        ]);
    }
    table.render_or("nothing is in quarantine")
}
