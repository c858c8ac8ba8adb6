//! Commands about one tablet that the daemon serves: explain, pin, unpin.

use super::args::Output;
use super::client::{Answer, Client};
use super::exit::{CliError, print};
use super::table::{Align, Table, printable};
use crate::api::wire::{PinTablet, Tablet, UnpinTablet};
use crate::model::{SchemaHash, TabletId};

/// `tablet pin`.
pub(super) fn pin(
    client: &Client,
    id: TabletId,
    request: &PinTablet,
    output: Output,
) -> Result<(), CliError> {
    told(&client.pin(id, request)?, output)
}

/// `tablet unpin`.
pub(super) fn unpin(
    client: &Client,
    id: TabletId,
    schema_hash: Option<SchemaHash>,
    output: Output,
) -> Result<(), CliError> {
    told(&client.unpin(id, &UnpinTablet { schema_hash })?, output)
}

fn told(answer: &Answer<Tablet>, output: Output) -> Result<(), CliError> {
    let tablet = &answer.value;
    match output {
        Output::Json => print(&answer.text),
        Output::Text => {
            let pin = pin_in_words(tablet).unwrap_or_else(|| "plans may move it".to_owned());
            print(&format!("tablet {} on {}: {pin}\n", tablet.tablet_id, tablet.disk))
        }
    }
}

/// Who pinned it, why and when.
pub(super) fn pin_in_words(tablet: &Tablet) -> Option<String> {
    let pinned = tablet.pinned.as_ref()?;
    let why =
        if pinned.reason.is_empty() { String::new() } else { format!(": {}", printable(&pinned.reason)) };
    Some(format!("pinned by {} at {}{why}", printable(&pinned.by), pinned.since))
}

/// `tablet explain`.
pub(super) fn explain(client: &Client, tablet: TabletId, disk: &str, output: Output) -> Result<(), CliError> {
    let Answer { value: list, text } = client.explain(tablet, disk)?;
    if output == Output::Json {
        return print(&text);
    }
    let mut table = Table::new(&[
        ("RULE", Align::Left),
        ("MAY IT", Align::Left),
        ("BINDS", Align::Left),
        ("BECAUSE", Align::Left),
    ]);
    for answer in &list.data {
        let word = match answer.allows {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        let binds = if answer.plans_only { "plans" } else { "every move" };
        table.row([answer.rule.clone(), word.to_owned(), binds.to_owned(), answer.detail.clone()]);
    }
    print(&table.render())
}
