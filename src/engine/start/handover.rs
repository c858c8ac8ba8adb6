//! What was staged for a migration that the journal has lost goes on with the one that was accepted in its place.
//!
//! What was promised before a journal was lost is in the new one before its staging goes. The journal says where its
//! own history begins (`history_from`): a number from there on without a row was pruned, one before it was promised by
//! a journal that is gone. What is accepted again goes on with what was staged (`engine/start/handover.rs`) and waits
//! at its gate for an operator, without a deadline, `auto` ones too (`model::KnownBy`): mode and requester are in
//! `owner.json`, what was decided since is gone. The list of disks has a copy on each root (`node_disks.json`, the
//! newest by a counter), read only when `disks.json` is missing.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::parts::disk::{Disk, visit};
use crate::model::MigrationId;
use crate::storage::hand_over;

/// How long it may take: a rename, a small file and a sync.
const WAIT: Duration = Duration::from_secs(600);

/// Gives what was staged to the migration that was accepted again: what is verified in it is not copied again. Whether that
/// could be done; if not it is copied anew.
pub(crate) fn hands_over(disk: &Arc<Disk>, name: &str, id: MigrationId) -> bool {
    let own = name.to_owned();
    let handed = visit(disk, WAIT, move |root, _| {
        root.check_identity()?;
        let handed = hand_over(root.dir(), &own, id)?;
        root.dir().sync_file_system()?;
        Ok(handed)
    });
    match handed {
        Ok(true) => {
            tracing::info!(migration = %id, disk = disk.path, "goes on with what was staged as {name}");
            true
        }
        Ok(false) => false,
        Err(failure) => {
            tracing::warn!(migration = %id, disk = disk.path, "what was staged as {name} is copied anew: {failure}");
            false
        }
    }
}
