//! A journal that is whole and older than the disks.

use crate::engine::parts::journal_thread::{JournalHandle, Loaded};
use crate::journal::Origin;
use crate::model::{Failure, Migration, MigrationId, TaskStatus};

/// Disks that know a number which the journal never gave out saw a later state of it: it was restored from a copy, or lost
/// its log. A number is durable before anything is made under it.
///
/// # Errors
/// `JOURNAL_UNAVAILABLE`: it cannot be written down that nothing of it goes on unasked.
pub(crate) fn distrust_if_outdated(
    journal: &JournalHandle,
    remembered: &mut Loaded,
    known_to_disks: Option<MigrationId>,
) -> Result<(), Failure> {
    let next_id = remembered.opened.next_id;
    let Some(known) = known_to_disks.filter(|known| *known >= next_id) else { return Ok(()) };
    if remembered.opened.origin != Origin::Existing {
        return Ok(());
    }
    let why = format!(
        "the journal is older than the disks: they know migration {known}, and the next one it would have numbered is \
         {next_id}; what was accepted, ended, pinned or disabled since is forgotten; what the disks hold decides, and no \
         migration or task of before goes on unasked"
    );
    tracing::error!("{why}");
    journal.distrust(known)?;
    remembered.unfinished.iter_mut().for_each(Migration::await_operator);
    let running = remembered.tasks.iter_mut().filter(|task| task.status == TaskStatus::Running);
    running.for_each(|task| task.status = TaskStatus::Stopped);
    remembered.opened.origin = Origin::Outdated(why);
    Ok(())
}
