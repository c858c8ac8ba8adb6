//! Commands about migrations: submit, show, list, steer.

use std::fmt::Write;

use super::args::Output;
use super::client::{Answer, Client, Query};
use super::exit::{CliError, Exit, print};
use super::follow::follow;
use super::headline::{headline, hint, why};
use super::migrate_args::{ListArgs, MigrateArgs, StatusArgs};
use super::table::{Align, Table, human_bytes};
use crate::api::wire::{Action, CreateMigration, Migration, Precondition, Receipt, Step as StepOfIt};
use crate::model::{MigrationId, Step, StepStatus, TabletId, counted, printable};

/// `migrate`.
pub(super) fn migrate(client: &Client, args: &MigrateArgs, output: Output) -> Result<(), CliError> {
    let Some(tablet_id) = args.tablet_id else {
        return Err(CliError::new(Exit::Usage, "name a tablet, or --from-file FILE"));
    };
    let request = CreateMigration {
        tablet_id,
        schema_hash: args.schema_hash,
        dest_disk: client.path_if_any(args.disk.as_ref())?,
        dest_medium: args.to_medium,
        mode: args.mode.into(),
        priority: args.priority.into(),
        reason: args.reason.clone(),
        rate_bytes_per_sec: args.rate,
        precondition: precondition(client, args)?,
        dry_run: args.dry_run,
    };
    if args.dry_run {
        return validate(client, &request, output);
    }
    let accepted = client.submit(&request, args.idempotency_key.as_deref())?;
    let id = accepted.value.id;
    if output == Output::Text {
        print(&format!("accepted: {}\n", headline(&accepted.value)))?;
    } else if !args.follow {
        print(&accepted.text)?;
    }
    if args.follow {
        follow(client, accepted, output)
    } else if output == Output::Text {
        print(&format!("watch it with: tabletctl follow {id}\n"))
    } else {
        Ok(())
    }
}

/// What is taken for granted of the tablet.
pub(super) fn precondition(client: &Client, args: &MigrateArgs) -> Result<Option<Precondition>, CliError> {
    let source_disk = client.path_if_any(args.expect_disk.as_ref())?;
    let generation = args.expect_generation;
    Ok((source_disk.is_some() || generation.is_some()).then_some(Precondition { source_disk, generation }))
}

/// `migrate --dry-run`.
fn validate(client: &Client, request: &CreateMigration, output: Output) -> Result<(), CliError> {
    let Answer { value, text } = client.validate(request)?;
    if output == Output::Json {
        print(&text)?;
    } else {
        let mut table =
            Table::new(&[("RULE", Align::Left), ("ALLOWS", Align::Left), ("DETAIL", Align::Left)]);
        for check in &value.checks {
            let allows = check.allows.map_or("-", |allows| if allows { "yes" } else { "no" });
            table.row([check.rule.clone(), allows.to_owned(), check.detail.clone()]);
        }
        let to = value.dest_disk.as_deref().unwrap_or("no disk");
        print(&format!("{}to {to}: nothing was submitted\n", table.render()))?;
    }
    match value.error {
        None => Ok(()),
        Some(error) => Err(CliError::new(Exit::Refused, format!("{} ({})", error.message, error.code))),
    }
}

/// `status`.
pub(super) fn status(client: &Client, args: &StatusArgs, output: Output) -> Result<(), CliError> {
    let id = match (args.migration_id, args.tablet) {
        (Some(id), _) => id,
        (None, Some(tablet)) => newest_of(client, tablet)?,
        (None, None) => return Err(CliError::new(Exit::Usage, "name a migration, or --tablet TABLET_ID")),
    };
    let Answer { value, text } = client.migration(id)?;
    match output {
        Output::Json => print(&text),
        Output::Text => print(&details(&value)),
    }
}

fn newest_of(client: &Client, tablet: TabletId) -> Result<MigrationId, CliError> {
    let mut newest = None;
    loop {
        let mut query: Query<'_> = vec![("tablet_id", tablet.to_string())];
        query.extend(newest.map(|id: MigrationId| ("marker", id.to_string())));
        match client.migrations(&query)?.value.data.iter().map(|migration| migration.id).max() {
            Some(id) if Some(id) > newest => newest = Some(id),
            _ => break,
        }
    }
    newest.ok_or_else(|| CliError::new(Exit::Refused, format!("no migration of tablet {tablet} is known")))
}

/// `list`.
pub(super) fn list(client: &Client, args: &ListArgs, output: Output) -> Result<(), CliError> {
    let mut query: Query<'_> = vec![("limit", args.limit.to_string())];
    let statuses: Vec<_> = args.status.iter().map(|status| status.as_str()).collect();
    let phases: Vec<_> = args.phase.iter().map(|phase| phase.as_str()).collect();
    for (name, values) in [("status", statuses), ("phase", phases)] {
        if !values.is_empty() {
            query.push((name, values.join(",")));
        }
    }
    query.extend(client.path_if_any(args.disk.as_ref())?.map(|disk| ("disk", disk)));
    query.extend(args.tablet.iter().map(|tablet| ("tablet_id", tablet.to_string())));
    query.extend(args.task.iter().map(|task| ("task", task.to_string())));
    query.extend(client.path_if_any(args.from.as_ref())?.map(|disk| ("source_disk", disk)));
    query.extend(client.path_if_any(args.to.as_ref())?.map(|disk| ("dest_disk", disk)));
    query.extend(args.since.iter().map(|time| ("since", time.clone())));
    query.extend(args.before.iter().map(|time| ("before", time.clone())));
    query.extend(args.marker.iter().map(|id| ("marker", id.to_string())));
    if args.newest {
        query.push(("sort", "-id".to_owned()));
    }
    let Answer { value: list, text } = client.migrations(&query)?;
    if output == Output::Json {
        return print(&text);
    }
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("TABLET", Align::Right),
        ("STATUS", Align::Left),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("DONE", Align::Right),
        ("OF", Align::Right),
        ("ACCEPTED", Align::Left),
        ("WHY", Align::Left),
    ]);
    for migration in &list.data {
        table.row([
            migration.id.to_string(),
            migration.tablet_id.to_string(),
            migration.status.to_string(),
            migration.source_disk.clone(),
            migration.dest_disk.clone(),
            human_bytes(migration.counters.disk_verified_bytes),
            human_bytes(migration.counters.disk_total_bytes),
            migration.created_at.to_string(),
            why(migration),
        ]);
    }
    print(&(table.render_or("no migration") + &remainder(list.data.len(), list.total)))
}

/// A word about what a limit has cut off.
pub(super) fn remainder(shown: usize, total: u64) -> String {
    match total > shown as u64 {
        true => format!("({shown} of {total}; --limit N shows more)\n"),
        false => String::new(),
    }
}

/// `abort`, `pause`, `resume`, `retry`.
pub(super) fn act(client: &Client, id: MigrationId, action: Action, output: Output) -> Result<(), CliError> {
    let Answer { value, text } = client.act(id, action)?;
    match output {
        Output::Json => print(&text),
        Output::Text => print(&format!("{}\n", headline(&value))),
    }
}

/// `migration run`.
pub(super) fn run_step(client: &Client, id: MigrationId, step: Step, output: Output) -> Result<(), CliError> {
    let Answer { value, text } = client.run_step(id, step)?;
    match output {
        Output::Json => print(&text),
        Output::Text => print(&format!("{}\n", headline(&value))),
    }
}

/// A line of [`details`]; none where there is nothing to say.
fn line(out: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        let _ = writeln!(out, "  {name:<12} {}", printable(value));
    }
}

fn details(migration: &Migration) -> String {
    let mut out = headline(migration) + "\n";
    let mut say = |name: &str, value: String| line(&mut out, name, &value);
    say("schema hash", migration.schema_hash.to_string());
    say("asked for", migration.reason.clone());
    say("by", migration.requested_by.clone());
    say("task", migration.task_id.map(|task| task.to_string()).unwrap_or_default());
    work_done(migration, &mut say);
    if let Some(hint) = hint(migration) {
        say("next", hint);
    }
    say("takes", migration.actions.join(", "));
    say("attempts", migration.attempts.to_string());
    say("accepted", migration.created_at.to_string());
    say("ended", migration.finished_at.map(|time| time.to_string()).unwrap_or_default());
    say("next try", migration.not_before.map(|time| time.to_string()).unwrap_or_default());
    if let Some(error) = &migration.error {
        say("last error", format!("{} ({})", error.message, error.code));
    }
    if let Some(receipt) = &migration.receipt {
        say("receipt", receipt_in_words(receipt));
        say("trash", receipt.trash_path.clone().unwrap_or_default());
    }
    for step in migration.steps.iter().flatten() {
        out += &step_in_words(step);
    }
    out
}

/// How much of it is done, and how fast it goes.
fn work_done(migration: &Migration, say: &mut impl FnMut(&str, String)) {
    let counters = &migration.counters;
    say(
        "bytes",
        format!(
            "{} copied, {} verified, of {}",
            human_bytes(counters.disk_processed_bytes),
            human_bytes(counters.disk_verified_bytes),
            human_bytes(counters.disk_total_bytes)
        ),
    );
    say("files", format!("{} verified of {}", counters.disk_verified_files, counters.disk_total_files));
    if counters.disk_resumed_bytes > 0 {
        say("resumed", human_bytes(counters.disk_resumed_bytes));
    }
    if counters.disk_cloned_bytes > 0 {
        say("shared", format!("{} with the source", human_bytes(counters.disk_cloned_bytes)));
    }
    if let Some(speed) = migration.speed_bytes_per_sec {
        say("speed", format!("{}/s", human_bytes(speed)));
    }
    if let Some(seconds) = migration.eta_seconds {
        say("time left", format!("{seconds} s"));
    }
    if migration.rate_bytes_per_sec > 0 {
        say("limit", format!("{}/s", human_bytes(migration.rate_bytes_per_sec)));
    }
}

fn receipt_in_words(receipt: &Receipt) -> String {
    let cold = if receipt.verified_cold { "read back from the medium" } else { "read back, not proven cold" };
    format!(
        "generation {}, {}, {} bytes, checksum {}, {cold}, in {} ms, gate closed {} us",
        receipt.generation,
        counted(receipt.files, "file"),
        receipt.bytes,
        receipt.manifest_crc32,
        receipt.duration_ms,
        receipt.pause_us
    )
}

/// A step with its checks and its log, a line each.
fn step_in_words(step: &StepOfIt) -> String {
    let ended = match (step.status, step.ended_at) {
        (StepStatus::Running, _) | (_, None) => String::new(),
        (_, Some(time)) => format!(" .. {time}"),
    };
    let again = if step.attempts > 1 { format!(", attempt {}", step.attempts) } else { String::new() };
    let mut out = format!("  step {:<10} {:<8} {}{ended}{again}\n", step.step, step.status, step.started_at);
    for check in &step.checks {
        let _ = writeln!(out, "    {:<18} {:<8} {}", check.name, check.status, printable(&check.found));
    }
    for entry in &step.logs {
        let _ = writeln!(out, "    {} {}", entry.at, printable(&entry.text));
    }
    out
}
