//! A migration in one line, and the command that it waits for.

use crate::api::wire::Migration;
use crate::model::{Mode, Step, printable};

/// One line.
pub(super) fn headline(migration: &Migration) -> String {
    let Migration { id, tablet_id, source_disk, dest_disk, status, .. } = migration;
    let why = why(migration);
    let why = if why.is_empty() { why } else { format!(" ({})", printable(&why)) };
    format!("migration {id}, tablet {tablet_id}, {source_disk} -> {dest_disk}: {status}{why}")
}

pub(super) fn why(migration: &Migration) -> String {
    match &migration.error {
        Some(error) if migration.status_reason.is_empty() => error.message.clone(),
        _ => migration.status_reason.clone(),
    }
}

/// The command that a migration waits for.
pub(super) fn hint(migration: &Migration) -> Option<String> {
    let step = migration.next_steps.iter().find(|step| **step != Step::Abort)?;
    Some(match (migration.mode, step) {
        (Mode::ManualCutover, Step::Finalize) => format!("tabletctl migration cutover {}", migration.id),
        _ => format!("tabletctl migration run {} {step}", migration.id),
    })
}
