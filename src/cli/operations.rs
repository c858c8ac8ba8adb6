//! Operations: what begins one, and following it to its end.

use std::time::Duration;

use super::args::Output;
use super::client::{Answer, Client, Query};
use super::exit::{CliError, Exit, print};
use super::jobs::remainder;
use super::lines::Lines;
use super::operation_args::{OperationCommand, VerifyArgs};
use super::table::{Align, Table, human_bytes};
use crate::api::wire::{
    HealTablet, List, Operation, OperationItem, PurgeTrash, PurgedItem, RestoreTablet, SalvageTablet,
    Salvaged, VerifyTablets,
};
use crate::model::{ErrorCode, OperationId, OperationKind, OperationState, TabletId, counted, printable};

/// Between two looks: short at first, since most are over soon.
const POLL_FIRST: Duration = Duration::from_millis(20);
const POLL: Duration = Duration::from_millis(500);

impl Client {
    /// Brings a damaged or lost tablet back.
    pub(super) fn heal(&self, id: TabletId, request: &HealTablet) -> Result<Answer<Operation>, CliError> {
        self.post(&format!("/api/v1/tablets/{id}/heal"), request)
    }

    /// Copies what can be read of a tablet to another disk.
    pub(super) fn salvage(
        &self,
        id: TabletId,
        request: &SalvageTablet,
    ) -> Result<Answer<Operation>, CliError> {
        self.post(&format!("/api/v1/tablets/{id}/salvage"), request)
    }

    /// One operation.
    pub(super) fn operation(&self, id: OperationId) -> Result<Answer<Operation>, CliError> {
        self.get(&format!("/api/v1/operations/{id}"), &vec![])
    }

    /// Operations, the newest first.
    pub(super) fn operations(&self, query: &Query<'_>) -> Result<Answer<List<Operation>>, CliError> {
        self.get("/api/v1/operations", query)
    }

    /// Stops an operation.
    pub(super) fn cancel_operation(&self, id: OperationId) -> Result<Answer<Operation>, CliError> {
        self.post(&format!("/api/v1/operations/{id}/cancel"), &())
    }

    /// Brings a tablet back from trash.
    pub(super) fn restore(&self, request: &RestoreTablet) -> Result<Answer<Operation>, CliError> {
        self.post("/api/v1/trash/restore", request)
    }

    /// What would be removed from trash; the request says that it is a dry run.
    pub(super) fn would_purge(&self, request: &PurgeTrash) -> Result<Answer<List<PurgedItem>>, CliError> {
        self.post("/api/v1/trash/purge", request)
    }

    /// Removes from trash.
    pub(super) fn purge(&self, request: &PurgeTrash) -> Result<Answer<Operation>, CliError> {
        self.post("/api/v1/trash/purge", request)
    }
}

/// `operation ...`.
pub(super) fn run(client: &Client, command: &OperationCommand, output: Output) -> Result<(), CliError> {
    match command {
        OperationCommand::List { limit } => list(client, &vec![("limit", limit.to_string())], output),
        OperationCommand::Show { id } => shown(&client.operation(*id)?, output),
        OperationCommand::Follow { id } => follow(client, client.operation(*id)?, output),
        OperationCommand::Cancel { id } => shown(&client.cancel_operation(*id)?, output),
    }
}

/// `tablet verify` of many: asks for it and follows it to its end.
///
/// # Errors
/// [`Exit::Failed`] unless every tablet is good; [`Exit::Usage`] for a schema hash of several.
pub(super) fn verify(client: &Client, args: &VerifyArgs, output: Output) -> Result<(), CliError> {
    if args.schema_hash.is_some() {
        return Err(CliError::new(Exit::Usage, "--schema-hash is for one tablet"));
    }
    let disk = client.path_if_any(args.disk.as_ref())?;
    let request = VerifyTablets { disk, tablet_ids: args.tablet_ids.clone(), all: args.all };
    let begun: Answer<Operation> = client.post("/api/v1/tablets/verify", &request)?;
    follow(client, begun, output)
}

fn list(client: &Client, query: &Query<'_>, output: Output) -> Result<(), CliError> {
    let Answer { value: list, text } = client.operations(query)?;
    if output == Output::Json {
        return print(&text);
    }
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("KIND", Align::Left),
        ("STATE", Align::Left),
        ("SUBJECT", Align::Left),
        ("DONE", Align::Right),
        ("READ", Align::Right),
        ("STARTED", Align::Left),
        ("NOTE", Align::Left),
    ]);
    for operation in &list.data {
        table.row([
            operation.id.to_string(),
            operation.kind.as_str().to_owned(),
            operation.state.as_str().to_owned(),
            operation.subject.clone(),
            format!("{} of {}", operation.done_tablets, operation.total_tablets),
            human_bytes(operation.read_bytes),
            operation.started_at.to_string(),
            operation.note.clone(),
        ]);
    }
    print(&(table.render_or("no operation is remembered") + &remainder(list.data.len(), list.total)))
}

fn shown(answer: &Answer<Operation>, output: Output) -> Result<(), CliError> {
    match output {
        Output::Json => print(&answer.text),
        Output::Text => print(&in_words(&answer.value)),
    }
}

/// Watches an operation to its end, and ends as it does.
///
/// # Errors
/// [`Exit::Failed`] unless it did all that it was for; [`Exit::Refused`] where it found nothing to do or must not do it.
pub(super) fn follow(client: &Client, mut answer: Answer<Operation>, output: Output) -> Result<(), CliError> {
    let started_at = answer.value.started_at;
    let mut poll = POLL_FIRST;
    let mut lines = Lines::new(output, false);
    while !answer.value.state.is_settled() {
        let operation = &answer.value;
        lines.tell(&operation.note, &progress(operation));
        std::thread::sleep(poll);
        poll = (poll * 2).min(POLL);
        answer = client.operation(answer.value.id)?;
        if answer.value.started_at != started_at {
            let text = "the daemon was restarted in the middle of the operation; ask again";
            return Err(CliError::new(Exit::Failed, text));
        }
    }
    end(&answer, output)
}

/// What one does, and how far it is where it knows how much it has to read.
fn progress(operation: &Operation) -> String {
    let Operation { id, note, done_tablets, total_tablets, .. } = operation;
    let mut said = format!("operation {id}: {}", printable(note));
    if let Some(total) = operation.total_bytes.filter(|total| *total > 0) {
        let (read, total) = (human_bytes(operation.read_bytes), human_bytes(total));
        said += &format!("; {read} of {total} read, {done_tablets} of {}", counted(*total_tablets, "tablet"));
    }
    said
}

fn end(answer: &Answer<Operation>, output: Output) -> Result<(), CliError> {
    let operation = &answer.value;
    if output == Output::Json {
        print(&answer.text)?;
    }
    let Some(error) = &operation.error else {
        if output == Output::Text {
            print(&in_words(operation))?;
        }
        let all_done = operation.items.iter().all(|item| item.done);
        return if all_done { Ok(()) } else { Err(CliError::reported()) };
    };
    let refused = [
        ErrorCode::NotDamaged,
        ErrorCode::OnlyOlderCopy,
        ErrorCode::TrashNotFound,
        ErrorCode::QuarantineNotFound,
        ErrorCode::AlreadyOnDisk,
        ErrorCode::TabletUnavailable,
    ];
    let is_refused = refused.iter().any(|code| code.as_str() == error.code);
    let exit = if is_refused { Exit::Refused } else { Exit::Failed };
    Err(CliError::new(exit, format!("{} ({})", error.message, error.code)))
}

fn in_words(operation: &Operation) -> String {
    let Operation { id, kind, state, subject, note, .. } = operation;
    let mut out = match state {
        OperationState::Completed => format!("{}\n", printable(note)),
        _ => format!(
            "operation {id}, {} {}: {}: {}\n",
            kind.as_str(),
            printable(subject),
            state.as_str(),
            printable(note)
        ),
    };
    if let Some(salvaged) = &operation.salvaged {
        out += &what_is_lost(salvaged);
    }
    if *kind == OperationKind::Verify {
        let bad = operation.items.iter().filter_map(|item| {
            let (id, why) = (item.tablet_id?, item.not_done_because.as_ref()?);
            Some(format!("tablet {id} on {}: {}\n", printable(&item.disk), printable(why)))
        });
        out = bad.collect::<String>() + &out;
    }
    let is_purge = matches!(kind, OperationKind::PurgeTrash | OperationKind::PurgeQuarantine);
    if is_purge && !operation.items.is_empty() {
        out = items(&operation.items) + &out;
    }
    out
}

/// What a salvaged tablet lacks, a line each.
pub(super) fn what_is_lost(salvaged: &Salvaged) -> String {
    let lost = salvaged.lost.iter().map(|range| format!("lost         {}\n", printable(&range.to_string())));
    let damaged = salvaged
        .damaged
        .iter()
        .map(|file| format!("damaged      {}: {}\n", printable(&file.name), printable(&file.reason)));
    lost.chain(damaged).collect()
}

fn items(items: &[OperationItem]) -> String {
    let mut table = Table::new(&[
        ("DISK", Align::Left),
        ("ENTRY", Align::Left),
        ("TABLET", Align::Right),
        ("SCHEMA HASH", Align::Right),
        ("SIZE", Align::Right),
        ("REMARK", Align::Left),
    ]);
    for item in items {
        table.row([
            item.disk.clone(),
            item.entry.clone().unwrap_or_default(),
            item.tablet_id.map(|id| id.to_string()).unwrap_or_default(),
            item.schema_hash.map(|hash| hash.to_string()).unwrap_or_default(),
            human_bytes(item.size_bytes),
            item.not_done_because.as_ref().map_or_else(|| "done".to_owned(), |why| format!("kept: {why}")),
        ]);
    }
    table.render_or("nothing was to be done")
}
