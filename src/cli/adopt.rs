//! Files without a record: what there is of them, and how they become a tablet.

use super::adopt_args::{AdoptArgs, UnrecordedArgs};
use super::args::Output;
use super::client::{Answer, Client, Query};
use super::exit::{CliError, Exit, print};
use super::jobs::remainder;
use super::offline::read_header_file;
use super::operations;
use super::table::{Align, Table, human_bytes};
use crate::api::wire::{AdoptTablet, Disk, List, Operation, SetAsideDirectory, Unrecorded};

/// `tablet unrecorded`: every directory below `data/` that no record names, and where that is not known yet.
pub(super) fn unrecorded(client: &Client, args: &UnrecordedArgs, output: Output) -> Result<(), CliError> {
    let UnrecordedArgs { disk, tablet, marker, limit } = args;
    let disk = client.path_if_any(disk.as_ref())?;
    let mut query: Query<'_> = vec![("limit", limit.to_string())];
    query.extend(disk.as_ref().map(|disk| ("disk", disk.clone())));
    query.extend(tablet.map(|id| ("tablet_id", id.to_string())));
    query.extend(marker.as_ref().map(|marker| ("marker", marker.clone())));
    let Answer { value: list, text } = client.get::<List<Unrecorded>>("/api/v1/unrecorded", &query)?;
    if output == Output::Json {
        return print(&text);
    }
    let disks = client.get::<List<Disk>>("/api/v1/disks", &vec![])?.value;
    let wanted = disks.data.iter().filter(|one| disk.as_ref().is_none_or(|disk| *disk == one.path));
    let unknown: String = wanted
        .filter_map(|disk| Some(format!("{}: {}\n", disk.path, disk.unrecorded_not_looked_at.as_ref()?)))
        .collect();
    print(&(table(&list.data) + &remainder(list.data.len(), list.total) + &unknown))
}

fn table(items: &[Unrecorded]) -> String {
    let mut table = Table::new(&[
        ("PATH", Align::Left),
        ("TABLET", Align::Right),
        ("ENTRIES", Align::Right),
        ("SIZE", Align::Right),
        ("REMARK", Align::Left),
    ]);
    for item in items {
        table.row([
            item.path.clone(),
            item.tablet_id.map(|id| id.to_string()).unwrap_or_default(),
            item.entries.to_string(),
            human_bytes(item.size_bytes),
            item.remark.clone().unwrap_or_default(),
        ]);
    }
    table.render_or("no directory without a record")
}

/// `tablet adopt`: asks for it and follows it to its end.
pub(super) fn adopt(client: &Client, args: &AdoptArgs, output: Output) -> Result<(), CliError> {
    let header = args.header.as_deref().map(read_header_file).transpose();
    let header = header.map_err(|failure| CliError::new(Exit::Refused, failure))?;
    let request = AdoptTablet {
        path: args.path.clone(),
        header: header.map(|(_, verbatim)| verbatim),
        to: client.path_if_any(args.to.as_ref())?,
        accept_older: args.accept_older,
    };
    let begun: Answer<Operation> = client.post("/api/v1/tablets/adopt", &request)?;
    operations::follow(client, begun, output)
}

/// `tablet set-aside`: asks for it and follows it to its end.
pub(super) fn set_aside(client: &Client, path: &str, output: Output) -> Result<(), CliError> {
    let request = SetAsideDirectory { path: path.to_owned() };
    let begun: Answer<Operation> = client.post("/api/v1/unrecorded/set_aside", &request)?;
    operations::follow(client, begun, output)
}
