//! Commands about the daemon's configuration.

use serde::Deserialize;

use super::args::Output;
use super::client::{Answer, Client};
use super::config_args::ConfigCommand;
use super::exit::{CliError, Exit, print};
use super::table::{Align, Table};
use crate::api::wire::{KeyChange, NoParameters, Reloaded};
use crate::model::printable;

/// `/api/show_config`: name, type, value, whether it can be changed.
type Row = [String; 4];

/// `/api/update_config`, of one key.
#[derive(Debug, Deserialize)]
struct SetAnswer {
    status: String,
    msg: String,
}

/// `config ...`.
pub(super) fn run(client: &Client, command: &ConfigCommand, output: Output) -> Result<(), CliError> {
    match command {
        ConfigCommand::Get { key } => get(client, key.as_deref(), output),
        ConfigCommand::Set { key, value, persist } => set(client, key, value, *persist, output),
        ConfigCommand::Reload => reload(client, output),
    }
}

fn get(client: &Client, key: Option<&str>, output: Output) -> Result<(), CliError> {
    let query = key.map(|key| ("conf_item", key.to_owned())).into_iter().collect();
    let Answer { value: rows, text } = client.get::<Vec<Row>>("/api/show_config", &query)?;
    if let (Some(key), true) = (key, rows.is_empty()) {
        let why = format!("{key} is no key of be.conf; tabletctl config get lists them");
        return Err(CliError::new(Exit::Refused, why));
    }
    if output == Output::Json {
        return print(&text);
    }
    let mut table = Table::new(&[
        ("KEY", Align::Left),
        ("TYPE", Align::Left),
        ("AT RUN TIME", Align::Left),
        ("VALUE", Align::Left),
    ]);
    for [name, kind, value, mutable] in rows {
        let at_run_time = if mutable == "true" { "yes" } else { "no" };
        table.row([name, kind, at_run_time.to_owned(), value]);
    }
    print(&table.render())
}

fn set(client: &Client, key: &str, value: &str, persist: bool, output: Output) -> Result<(), CliError> {
    let query = vec![(key, value.to_owned()), ("persist", persist.to_string())];
    let Answer { value: outcomes, text } =
        client.post_query::<Vec<SetAnswer>>("/api/update_config", &query)?;
    if let Some(refused) = outcomes.iter().find(|outcome| outcome.status != "OK") {
        return Err(CliError::new(Exit::Refused, &refused.msg));
    }
    match output {
        Output::Json => print(&text),
        Output::Text => print(&format!("{} = {}\n", printable(key), printable(value))),
    }
}

fn reload(client: &Client, output: Output) -> Result<(), CliError> {
    let Answer { value, text } = client.post::<Reloaded>("/api/v1/config/reload", &NoParameters {})?;
    if output == Output::Json {
        return print(&text);
    }
    let line = |change: &KeyChange, what: &str| {
        let KeyChange { key, from, to } = change;
        printable(&format!("{key}: {from} -> {to}{what}")) + "\n"
    };
    let changed = value.changed.iter().map(|change| line(change, ""));
    let waiting = value.waiting.iter().map(|change| line(change, ", at the next start"));
    let said: String = changed.chain(waiting).collect();
    print(if said.is_empty() { "nothing has changed\n" } else { &said })
}
