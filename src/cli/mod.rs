//! `tabletctl`, the command line: a client of the daemon's job API, and offline work on storage roots.
//!
//! Rooms in reading order: [`args`] is the command line; [`exit`] how it ends; `client` the only room that speaks HTTP;
//! `jobs`, `follow`, `glance`, `events`, `node`, `lost`, `tablet`, `operations`, `plan` and `tasks` the commands; [`tokens`] works on the file of tokens,
//! [`offline`] on roots without a daemon, `doris` on those of a real backend. Knows the API's wire types and the storage, never the engine.

mod adopt;
pub mod adopt_args;
pub mod args;
mod client;
mod client_tablets;
pub mod complete;
mod config;
pub mod config_args;
pub mod disk_args;
pub mod disk_name;
mod doris;
pub mod doris_args;
mod events;
pub mod exit;
mod fleet;
pub mod fleet_args;
mod fleet_campaign;
pub mod fleet_campaign_args;
mod follow;
mod glance;
mod headline;
mod hint;
mod input;
mod jobs;
mod journal;
mod journal_args;
mod lines;
mod lost;
mod man;
pub mod migrate_args;
mod migrate_many;
mod node;
pub mod offline;
pub mod operation_args;
mod operations;
mod plan;
mod quarantine;
pub mod quarantine_args;
pub mod steer_args;
mod table;
mod tablet;
pub mod task_args;
mod task_text;
mod tasks;
mod tls;
pub mod token_args;
pub mod tokens;
pub mod trash_args;
mod trust;
pub mod values;

use std::time::Duration;

use args::{CheckArgs, Cli, Command, ImportArgs, Output, TabletCommand};
use client::{Client, Query, Service};
use disk_args::DiskCommand;
use disk_name::DiskName;
use exit::{CliError, Exit};
use migrate_args::{MigrateArgs, StatusArgs};
use offline::CheckedRoots;
use steer_args::{MigrationCommand, One};
use task_args::TaskCommand;
use trash_args::TrashCommand;

use crate::api::wire::{
    Action, Extend, HealTablet, Limits, NoParameters, OnDisks, PinTablet, SalvageTablet, TaskAction,
    UpdateTask,
};
use crate::model::{ReplanPolicy, SchemaHash, TabletId};

/// Of the actions that take no parameters.
const AT_ONCE: Option<NoParameters> = Some(NoParameters {});

/// `tablet salvage` and `migrate --salvage`.
fn salvage(
    client: &Client,
    tablet_id: TabletId,
    schema_hash: Option<SchemaHash>,
    to: &DiskName,
    output: Output,
) -> Result<(), CliError> {
    let request = SalvageTablet { schema_hash, to: client.path_of(to)? };
    operations::follow(client, client.salvage(tablet_id, &request)?, output)
}

/// `migrate`: one tablet, or all that a file names.
fn migrate(client: &Client, args: &MigrateArgs, output: Output) -> Result<(), CliError> {
    match &args.from_file {
        Some(file) => migrate_many::migrate_many(client, args, file, output),
        None => jobs::migrate(client, args, output),
    }
}

/// Does what the command line says.
///
/// # Errors
/// With the exit status and the sentence to end with.
pub fn run(cli: &Cli) -> Result<(), CliError> {
    let output = if cli.json { Output::Json } else { Output::Text };
    let client = || Client::new(&cli.addr, &cli.trust);
    match &cli.command {
        Command::Migrate(MigrateArgs {
            salvage: true,
            tablet_id: Some(tablet_id),
            schema_hash,
            disk: Some(to),
            ..
        }) => salvage(&client()?, *tablet_id, *schema_hash, to, output),
        Command::Migrate(args) => migrate(&client()?, args, output),
        Command::Status(StatusArgs { migration_id: None, tablet: None }) => {
            glance::status(&client()?, output)
        }
        Command::Status(args) => jobs::status(&client()?, args, output),
        Command::Fleet(args) => fleet::run(&Client::new(&args.fleet, &cli.trust)?, &args.command, output),
        Command::Top { interval } => glance::top(&client()?, Duration::from_secs(*interval), output),
        Command::List(args) => jobs::list(&client()?, args, output),
        Command::Follow { id } => {
            let client = client()?;
            let first = client.migration(*id)?;
            follow::follow(&client, first, output)
        }
        Command::Abort { id } => jobs::act(&client()?, *id, Action::Abort(AT_ONCE), output),
        Command::Pause { id } => jobs::act(&client()?, *id, Action::Pause(AT_ONCE), output),
        Command::Resume { id } => jobs::act(&client()?, *id, Action::Resume(AT_ONCE), output),
        Command::Retry { id } => jobs::act(&client()?, *id, Action::Retry(AT_ONCE), output),
        Command::Migration { command } => run_migration(&client()?, command, output),
        Command::Events(args) => events::events(&client()?, args, output),
        Command::Disks => node::disks(&client()?, output),
        Command::Disk { command } => run_disk(&client()?, command, output),
        Command::Task { command } => run_task(&client()?, command, output),
        Command::Tablets(args) => node::tablets(&client()?, args, output),
        Command::Trash { command } => run_trash(&client()?, command, output),
        Command::Tablet { command } => run_tablet(client, command, output),
        Command::Quarantine { command } => quarantine::run(&client()?, command, output),
        Command::Config { command } => config::run(&client()?, command, output),
        Command::Operation { command } => operations::run(&client()?, command, output),
        Command::Journal { command } => journal::run(&client()?, command),
        Command::Doris { command } => doris::run(command, output),
        Command::Token(args) => tokens::run(args, output),
        Command::Man { dir } => man::write_all(dir).map_err(|error| {
            CliError::new(Exit::Failed, format!("cannot write man pages to {}: {error}", dir.display()))
        }),
        Command::Completions { shell } => exit::print(&complete::script(*shell)?),
    }
}

fn run_disk(client: &Client, command: &DiskCommand, output: Output) -> Result<(), CliError> {
    use DiskCommand as C;
    let path_of = |disk| client.path_of(disk);
    match command {
        C::List => node::disks(client, output),
        C::Drain(args) => plan::drain(client, args, output),
        C::CancelDrain { path } => tasks::cancel_drain(client, &path_of(path)?, output),
        C::Register { path, medium } => node::register(client, path, *medium, output),
        C::Forget { path, lost: true, how, yes } => lost::forget(client, &path_of(path)?, how, *yes, output),
        C::Forget { path: _, lost: false, how, yes: _ } if how.accept_older || how.dry_run => {
            let why = "--accept-older and --dry-run are for a disk that never comes back: say --lost as well";
            Err(CliError::new(Exit::Usage, why))
        }
        C::Forget { path, lost: false, how: _, yes } => node::forget(client, &path_of(path)?, *yes, output),
        C::Replace { path, how, yes } => lost::replace(client, &path_of(path)?, how, *yes, output),
        C::Show { path } => node::disk(client, &path_of(path)?, output),
        C::Tables { path } => node::tables(client, Some(path), None, output),
        C::Enable { path } => node::set_service(client, &path_of(path)?, Service::Enable, output),
        C::Disable { path, reason } => {
            node::set_service(client, &path_of(path)?, Service::Disable { reason: reason.clone() }, output)
        }
        C::Limits { path, rate, default: _ } => node::set_limits(client, &path_of(path)?, *rate, output),
    }
}

fn run_migration(client: &Client, command: &MigrationCommand, output: Output) -> Result<(), CliError> {
    use MigrationCommand as C;
    let (id, action) = match command {
        C::Create(args) => return migrate(client, args, output),
        C::List(args) => return jobs::list(client, args, output),
        C::Show(args) => return jobs::status(client, args, output),
        C::Follow(One { id }) => return follow::follow(client, client.migration(*id)?, output),
        C::Run { id, step } => return jobs::run_step(client, *id, *step, output),
        C::Cutover(One { id }) => (id, Action::Cutover(AT_ONCE)),
        C::ForceComplete(One { id }) => (id, Action::ForceComplete(AT_ONCE)),
        C::Extend { id, seconds } => (id, Action::Extend(Extend { seconds: *seconds })),
        C::Revert(One { id }) => (id, Action::Revert(AT_ONCE)),
        C::Settle(One { id }) => (id, Action::Settle(AT_ONCE)),
        C::Limits { id, rate } => (id, Action::Limits(Limits { rate_bytes_per_sec: *rate })),
        C::Priority { id, priority } => (id, Action::Priority((*priority).into())),
        C::Pause(One { id }) => (id, Action::Pause(AT_ONCE)),
        C::Resume(One { id }) => (id, Action::Resume(AT_ONCE)),
        C::Abort(One { id }) => (id, Action::Abort(AT_ONCE)),
        C::Retry(One { id }) => (id, Action::Retry(AT_ONCE)),
    };
    jobs::act(client, *id, action, output)
}

fn run_task(client: &Client, command: &TaskCommand, output: Output) -> Result<(), CliError> {
    let act = |id, action: &TaskAction| tasks::act(client, id, action, output);
    match command {
        TaskCommand::List { status, kind, disk, limit } => {
            let status = status.iter().map(|status| status.as_str());
            let mut query = page(*limit, status, client.path_if_any(disk.as_ref())?);
            query.extend(kind.iter().map(|kind| ("kind", kind.clone())));
            tasks::list(client, &query, output)
        }
        TaskCommand::Targets { id, status, disk, limit } => {
            let status = status.iter().map(|status| status.as_str());
            tasks::targets(client, *id, &page(*limit, status, client.path_if_any(disk.as_ref())?), output)
        }
        TaskCommand::Tables { id, disk } => node::tables(client, disk.as_ref(), Some(*id), output),
        TaskCommand::Show { id } => tasks::show(client, *id, output),
        TaskCommand::Follow { id } => tasks::follow(client, *id, output),
        TaskCommand::Move(args) => plan::move_tablets(client, args, output),
        TaskCommand::Rebalance(args) => plan::rebalance(client, args, output),
        TaskCommand::Start { id } => act(*id, &TaskAction::Start(AT_ONCE)),
        TaskCommand::Stop { id } => act(*id, &TaskAction::Stop(AT_ONCE)),
        TaskCommand::Pause { id, disk } => act(*id, &TaskAction::Pause(on(client, disk)?)),
        TaskCommand::Resume { id, disk } => act(*id, &TaskAction::Resume(on(client, disk)?)),
        TaskCommand::Replan { id } => act(*id, &TaskAction::Replan(AT_ONCE)),
        TaskCommand::Cancel { id } => act(*id, &TaskAction::Cancel(AT_ONCE)),
        TaskCommand::Update { id, name, priority, rate_bytes_per_sec, replan } => {
            let change = UpdateTask {
                name: name.clone(),
                priority: priority.map(Into::into),
                rate_bytes_per_sec: *rate_bytes_per_sec,
                replan: replan.then_some(ReplanPolicy::Automatic),
            };
            tasks::update(client, *id, &change, output)
        }
        TaskCommand::Delete { id, yes } => tasks::delete(client, *id, *yes, output),
    }
}

fn on(client: &Client, disks: &[DiskName]) -> Result<Option<OnDisks>, CliError> {
    Ok(Some(OnDisks { disks: client.paths_of(disks)? }))
}

fn page<'a>(limit: u32, statuses: impl Iterator<Item = &'a str>, disk: Option<String>) -> Query<'static> {
    let statuses: Vec<_> = statuses.collect();
    let mut query = vec![("limit", limit.to_string())];
    if !statuses.is_empty() {
        query.push(("status", statuses.join(",")));
    }
    query.extend(disk.map(|disk| ("disk", disk)));
    query
}

fn run_trash(client: &Client, command: &TrashCommand, output: Output) -> Result<(), CliError> {
    match command {
        TrashCommand::List(args) => node::trash(client, args, output),
        TrashCommand::Restore(args) => node::restore(client, args, output),
        TrashCommand::Purge(args) => node::purge(client, args, output),
    }
}

/// `client` is called only for what asks the daemon: the rest works on a root itself.
fn run_tablet(
    client: impl Fn() -> Result<Client, CliError>,
    command: &TabletCommand,
    output: Output,
) -> Result<(), CliError> {
    use TabletCommand as C;
    match command {
        C::List(args) => node::tablets(&client()?, args, output),
        C::Adopt(args) => adopt::adopt(&client()?, args, output),
        C::SetAside { path } => adopt::set_aside(&client()?, path, output),
        C::Unrecorded(args) => adopt::unrecorded(&client()?, args, output),
        C::Show { tablet_id, schema_hash, root: None } => {
            tablet::show(&client()?, *tablet_id, *schema_hash, output)
        }
        C::Show { tablet_id, schema_hash, root: Some(root) } => {
            offline::show(*tablet_id, *schema_hash, root, output)
        }
        C::Explain { tablet_id, schema_hash, disk } => {
            tablet::explain(&client()?, *tablet_id, *schema_hash, disk, output)
        }
        C::Pin { tablet_id, schema_hash, reason } => {
            let request = PinTablet { schema_hash: *schema_hash, reason: reason.clone() };
            tablet::pin(&client()?, *tablet_id, &request, output)
        }
        C::Unpin { tablet_id, schema_hash } => tablet::unpin(&client()?, *tablet_id, *schema_hash, output),
        C::Verify(args) => match (&*args.tablet_ids, &args.disk) {
            ([one], None) => tablet::verify(&client()?, *one, args.schema_hash, output),
            _ => operations::verify(&client()?, args, output),
        },
        C::Heal { tablet_id, schema_hash, to, accept_older } => {
            let client = client()?;
            let to = client.path_if_any(to.as_ref())?;
            let request = HealTablet { schema_hash: *schema_hash, to, accept_older: *accept_older };
            operations::follow(&client, client.heal(*tablet_id, &request)?, output)
        }
        C::Salvage { tablet_id, schema_hash, to } => {
            salvage(&client()?, *tablet_id, *schema_hash, to, output)
        }
        C::Import(args) => match args {
            ImportArgs { batch: Some(batch), root, .. } => offline::import_batch(batch, root, output),
            ImportArgs { dir: Some(dir), .. } => offline::import_one(dir, args, output),
            ImportArgs { .. } => Err(CliError::new(Exit::Usage, "name a directory, or --batch FILE")),
        },
        C::Check(args) => offline::check(&checked_roots(args)?, output),
    }
}

fn checked_roots(args: &CheckArgs) -> Result<CheckedRoots, CliError> {
    let mut roots = CheckedRoots { paths: args.root.clone(), broken: Vec::new() };
    if let Some(conf) = &args.conf {
        let loaded = crate::config::Config::load(conf, &|name| std::env::var(name).ok())
            .map_err(|errors| CliError::new(Exit::Usage, errors))?;
        roots.paths.extend(loaded.roots.roots.into_iter().map(|root| root.path.into()));
        roots.broken.extend(loaded.roots.broken.into_iter().map(|broken| (broken.entry, broken.reason)));
    }
    let mut seen = std::collections::HashSet::new();
    roots.paths.retain(|path| seen.insert(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    Ok(roots)
}
