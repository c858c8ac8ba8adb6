//! `migrate --from-file`: many tablets, submitted as lists.

use std::io::Read as _;
use std::path::Path;

use super::args::Output;
use super::client::Client;
use super::exit::{CliError, Exit, print};
use super::jobs::precondition;
use super::migrate_args::MigrateArgs;
use crate::api::wire::{CreateMigration, MIGRATIONS_MAX, SubmittedMany};
use crate::model::{SchemaHash, TabletId, quoted};

/// A body stays below the least `http_max_body_bytes` that is usual, 1 MiB.
const BODY_BYTES: usize = 900_000;

/// Submits a migration for every line of `file`.
pub(super) fn migrate_many(
    client: &Client,
    args: &MigrateArgs,
    file: &Path,
    output: Output,
) -> Result<(), CliError> {
    let template = CreateMigration {
        tablet_id: TabletId(1),
        schema_hash: None,
        dest_disk: client.path_if_any(args.disk.as_ref())?,
        dest_medium: args.to_medium,
        mode: args.mode.into(),
        priority: args.priority.into(),
        reason: args.reason.clone(),
        rate_bytes_per_sec: args.rate,
        precondition: precondition(client, args)?,
        dry_run: false,
    };
    let lines = read_lines(file)?;
    let wanted: Vec<_> = lines
        .iter()
        .map(|(tablet_id, schema_hash)| CreateMigration {
            tablet_id: *tablet_id,
            schema_hash: *schema_hash,
            ..template.clone()
        })
        .collect();
    let mut all = SubmittedMany { total: 0, accepted: 0, data: Vec::new() };
    for (nth, part) in wanted.chunks(at_once(&template)).enumerate() {
        // Each list is a request of its own.
        let key = args.idempotency_key.as_deref();
        let key = key.map(|key| if nth == 0 { key.to_owned() } else { format!("{key}-{nth}") });
        let answer = client.submit_many(part, key.as_deref()).map_err(|error| after(&all, error))?.value;
        all.total += answer.total;
        all.accepted += answer.accepted;
        all.data.extend(answer.data);
    }
    tell(&all, output)
}

/// How many fit into one request.
fn at_once(one: &CreateMigration) -> usize {
    let widest = serde_json::to_string(one).map_or(BODY_BYTES, |text| text.len() + 64);
    (BODY_BYTES / widest).clamp(1, MIGRATIONS_MAX)
}

/// What was accepted before a later list failed stays accepted.
fn after(done: &SubmittedMany, error: CliError) -> CliError {
    if done.total == 0 {
        return error;
    }
    let message = format!("{} of the first {} were accepted; then: {error}", done.accepted, done.total);
    CliError { message, ..error }
}

fn tell(all: &SubmittedMany, output: Output) -> Result<(), CliError> {
    if output == Output::Json {
        let text = serde_json::to_string(all).map_err(|error| CliError::new(Exit::Failed, error))?;
        print(&format!("{text}\n"))?;
    } else {
        let mut text = format!("accepted {} of {}", all.accepted, all.total);
        let mut ids = all.data.iter().filter_map(|answer| answer.id);
        if let Some(first) = ids.next() {
            let last = ids.next_back().unwrap_or(first);
            text += &format!(": migrations {first} to {last}; watch them with: tabletctl list");
        }
        text.push('\n');
        for refused in all.data.iter().filter(|answer| answer.id.is_none()) {
            let tablet = refused.tablet_id.map_or_else(|| "-".to_owned(), |tablet| tablet.to_string());
            let code = refused.error_code.as_deref().unwrap_or_default();
            text +=
                &format!("tablet {tablet}: {} ({code})\n", refused.error_msg.as_deref().unwrap_or_default());
        }
        print(&text)?;
    }
    match all.total - all.accepted {
        0 => Ok(()),
        refused => Err(CliError::new(Exit::Refused, format!("{refused} of {} were refused", all.total))),
    }
}

type Line = (TabletId, Option<SchemaHash>);

fn read_lines(file: &Path) -> Result<Vec<Line>, CliError> {
    let unreadable =
        |error: std::io::Error| CliError::new(Exit::Usage, format!("{}: {error}", file.display()));
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(unreadable)?;
        text
    } else {
        std::fs::read_to_string(file).map_err(unreadable)?
    };
    parse(&text).map_err(|why| CliError::new(Exit::Usage, format!("{}: {why}", file.display())))
}

/// One tablet a line; empty lines, and what follows a `#`, say nothing.
fn parse(text: &str) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for (nth, line) in text.lines().enumerate() {
        let words: Vec<_> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        let read = match *words.as_slice() {
            [] => continue,
            [tablet] => tablet.parse().map(|tablet| (tablet, None)),
            [tablet, hash] => tablet.parse().and_then(|tablet| Ok((tablet, Some(hash.parse()?)))),
            _ => {
                return Err(format!(
                    "line {}: TABLET_ID [SCHEMA_HASH] is wanted, got {}",
                    nth + 1,
                    quoted(line)
                ));
            }
        };
        lines.push(read.map_err(|error| format!("line {}: {error}", nth + 1))?);
    }
    if lines.is_empty() { Err("it names no tablet".to_owned()) } else { Ok(lines) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_one_tablet_a_line() {
        let lines = parse("# of disk1\n15001\n\n 15002  7 # the old schema\n").expect("it is right");
        assert_eq!(lines, [(TabletId(15001), None), (TabletId(15002), Some(SchemaHash(7)))]);
        for (wrong, says) in
            [("1\nx\n", "line 2"), ("1 2 3", "line 1: TABLET_ID [SCHEMA_HASH]"), ("#\n", "no tablet")]
        {
            let why = parse(wrong).expect_err(wrong);
            assert!(why.contains(says), "{wrong}: {why}");
        }
    }
}
