//! `disk forget --lost` and `disk replace`: what is given up is shown, asked about, and only then given up.

use super::args::Output;
use super::client::{Answer, Client};
use super::disk_args::LostArgs;
use super::exit::{CliError, confirm, print};
use super::table::{Align, Table};
use crate::api::wire::{DiskLoss, ForgetDisk, ReplaceDisk};

/// `disk forget --lost`.
pub(super) fn forget(
    client: &Client,
    path: &str,
    args: &LostArgs,
    yes: bool,
    output: Output,
) -> Result<(), CliError> {
    let request = |dry_run, confirm| ForgetDisk {
        path: path.to_owned(),
        lost: true,
        accept_older: args.accept_older,
        dry_run,
        confirm,
    };
    let verb =
        Verb { question: format!("Give up disk {path} for good?"), done: format!("given up: {path}\n") };
    carry_out(&verb, args.dry_run, yes, output, |dry_run, confirm| {
        client.give_up_disk(&request(dry_run, confirm))
    })
}

/// `disk replace`.
pub(super) fn replace(
    client: &Client,
    path: &str,
    args: &LostArgs,
    yes: bool,
    output: Output,
) -> Result<(), CliError> {
    let request = |dry_run, confirm| ReplaceDisk {
        path: path.to_owned(),
        accept_older: args.accept_older,
        dry_run,
        confirm,
    };
    let verb = Verb {
        question: format!("Give up the disk that was at {path} for good, and take the blank one?"),
        done: format!("replaced: {path}\n"),
    };
    carry_out(&verb, args.dry_run, yes, output, |dry_run, confirm| {
        client.replace_disk(&request(dry_run, confirm))
    })
}

/// What is said before and after.
struct Verb {
    question: String,
    done: String,
}

fn carry_out(
    verb: &Verb,
    only_look: bool,
    yes: bool,
    output: Output,
    ask: impl Fn(bool, Option<String>) -> Result<Answer<DiskLoss>, CliError>,
) -> Result<(), CliError> {
    let Answer { value: look, text } = ask(true, None)?;
    if only_look {
        return match output {
            Output::Json => print(&text),
            Output::Text => print(&listing(&look)),
        };
    }
    if !yes {
        confirm(&listing(&look), &verb.question, "nothing was given up")?;
    }
    let Answer { value: loss, text } = ask(false, Some(look.confirm))?;
    match output {
        Output::Json => print(&text),
        Output::Text => {
            let joined = loss.disk.as_ref().map(|disk| {
                format!(
                    "{} is {} as disk {}\n",
                    disk.path,
                    disk.condition,
                    disk.uuid.as_deref().unwrap_or("?")
                )
            });
            print(&(listing(&loss) + &verb.done + &joined.unwrap_or_default()))
        }
    }
}

fn listing(loss: &DiskLoss) -> String {
    let mut tablets = Table::new(&[
        ("TABLET", Align::Right),
        ("SCHEMA HASH", Align::Right),
        ("FATE", Align::Left),
        ("DISK", Align::Left),
        ("REMARK", Align::Left),
    ]);
    for tablet in &loss.data {
        tablets.row([
            tablet.tablet_id.to_string(),
            tablet.schema_hash.to_string(),
            tablet.fate.clone(),
            tablet.disk.clone().unwrap_or_default(),
            tablet.detail.clone(),
        ]);
    }
    let mut migrations =
        Table::new(&[("MIGRATION", Align::Right), ("TABLET", Align::Right), ("FATE", Align::Left)]);
    for migration in &loss.migrations {
        migrations.row([
            migration.migration_id.to_string(),
            migration.tablet_id.to_string(),
            migration.fate.clone(),
        ]);
    }
    let mut text = match loss.total {
        0 => "Nothing is known of any tablet on it.\n".to_owned(),
        _ => tablets.render(),
    };
    let more = loss.total.saturating_sub(loss.data.len() as u64);
    if more > 0 {
        text += &format!("and {more} more; the daemon's log names every one\n");
    }
    if !loss.migrations.is_empty() {
        text += &migrations.render();
    }
    text
}
