//! Commands about one tablet that the daemon serves: show, explain, pin, unpin, verify.

use std::time::Duration;

use super::args::Output;
use super::client::{Answer, Client, Query};
use super::disk_name::DiskName;
use super::exit::{CliError, Exit, print};
use super::lines::Lines;
use super::table::{Align, Table, human_bytes};
use crate::api::wire::{PinTablet, Tablet, TabletCheck, WhichSchema};
use crate::model::{CheckState, SchemaHash, TabletId, counted, printable};

/// Between two looks at a verification.
const POLL: Duration = Duration::from_millis(500);

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
    told(&client.unpin(id, &WhichSchema { schema_hash })?, output)
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

/// `tablet verify`: asks for it and waits for its end.
///
/// # Errors
/// [`Exit::Failed`] when a file is not as the manifest says, or the verification could not be brought to an end.
pub(super) fn verify(
    client: &Client,
    id: TabletId,
    schema_hash: Option<SchemaHash>,
    output: Output,
) -> Result<(), CliError> {
    let mut answer = client.verify(id, &WhichSchema { schema_hash })?;
    let query = vec![("schema_hash", answer.value.schema_hash.to_string())];
    let asked_at = answer.value.started_at;
    let mut lines = Lines::new(output, false);
    while !answer.value.state.is_settled() {
        let check = &answer.value;
        let (read, total) = (human_bytes(check.checked_bytes), human_bytes(check.total_bytes));
        let line = format!("tablet {id} on {}: {}, {read} of {total} read", check.disk, check.state.as_str());
        lines.tell(check.state.as_str(), &line);
        std::thread::sleep(POLL);
        answer = client.verification(id, &query)?;
        if answer.value.started_at != asked_at {
            let text = "the daemon was restarted in the middle of the verification; ask again";
            return Err(CliError::new(Exit::Failed, text));
        }
    }
    let check = &answer.value;
    match output {
        Output::Json => print(&answer.text)?,
        Output::Text => print(&in_words(check))?,
    }
    match check.state {
        CheckState::Passed => Ok(()),
        _ => Err(CliError::reported()),
    }
}

fn in_words(check: &TabletCheck) -> String {
    let (id, disk, state) = (check.tablet_id, &check.disk, check.state.as_str());
    let how = match check.cold {
        Some(true) => ", all of it from the medium",
        Some(false) => ", some of it perhaps from the page cache",
        None => "",
    };
    let (files, bytes) = (counted(check.checked_files, "file"), human_bytes(check.checked_bytes));
    let mut out = format!("tablet {id} on {disk}: {state}; {files}, {bytes} read{how}\n");
    for file in &check.damaged {
        out += &format!("damaged: {}: {}\n", printable(&file.name), printable(&file.reason));
    }
    for file in &check.unreadable {
        out += &format!("unreadable: {}: {}\n", printable(&file.name), printable(&file.reason));
    }
    if check.unrecorded_files > 0 {
        let count = check.unrecorded_files;
        out += &format!("{} without a recorded checksum: only sizes were compared\n", counted(count, "file"));
    }
    if let Some(error) = &check.error {
        out += &format!("{} ({})\n", printable(&error.message), error.code);
    }
    out
}

/// `tablet show`: what the daemon knows of it.
pub(super) fn show(
    client: &Client,
    id: TabletId,
    schema_hash: Option<SchemaHash>,
    output: Output,
) -> Result<(), CliError> {
    let Answer { value: tablet, text } = client.tablet(id, &which(schema_hash))?;
    if output == Output::Json {
        return print(&text);
    }
    let lines = [
        ("tablet", tablet.tablet_id.to_string()),
        ("schema hash", tablet.schema_hash.to_string()),
        ("table", tablet.table_id.to_string()),
        ("partition", tablet.partition_id.to_string()),
        ("disk", tablet.disk.clone()),
        ("shard", tablet.shard_id.to_string()),
        ("generation", tablet.generation.to_string()),
        ("files", format!("{}, {}", tablet.file_count, human_bytes(tablet.size_bytes))),
        ("migration", tablet.migration_id.map(|id| id.to_string()).unwrap_or_default()),
        ("unavailable", tablet.unavailable.clone().unwrap_or_default()),
        ("damaged", tablet.damaged.clone().unwrap_or_default()),
        ("unreadable", tablet.unreadable.clone().unwrap_or_default()),
        ("pinned", pin_in_words(&tablet).unwrap_or_default()),
    ];
    let told = lines.iter().filter(|(_, value)| !value.is_empty());
    print(&told.map(|(name, value)| format!("{name:<12} {}\n", printable(value))).collect::<String>())
}

fn which(schema_hash: Option<SchemaHash>) -> Query<'static> {
    schema_hash.into_iter().map(|hash| ("schema_hash", hash.to_string())).collect()
}

/// `tablet explain`.
pub(super) fn explain(
    client: &Client,
    tablet: TabletId,
    schema_hash: Option<SchemaHash>,
    disk: &DiskName,
    output: Output,
) -> Result<(), CliError> {
    let mut query = which(schema_hash);
    query.push(("disk", client.path_of(disk)?));
    let Answer { value: list, text } = client.explain(tablet, &query)?;
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
