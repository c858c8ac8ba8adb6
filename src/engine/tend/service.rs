//! A disk is taken out of service by an operator, and back into it.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::node::Node;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::disk::{TURNED_READ_ONLY, visit};
use crate::engine::parts::probe::probe;
use crate::engine::tend::marks;
use crate::model::{ErrorCode, Failure, Mark, Marked};

/// How long a probe asked for by an operator may take.
const PROBE_WAIT: Duration = Duration::from_secs(20);

/// Takes a suspect or disabled disk back after a successful probe.
///
/// # Errors
/// `DISK_NOT_FOUND`; the probe's failure.
pub(crate) fn enable(node: &Node, path: &str) -> Result<(), Failure> {
    let disk = Arc::clone(node.find_disk(path)?);
    let own = Arc::clone(&disk);
    visit(&disk, PROBE_WAIT, move |root, _| {
        root.check_identity()?;
        if root.is_read_only()? {
            let why = format!("disk {} is not enabled: {TURNED_READ_ONLY}", root.dir().path().display());
            return Err(Failure::new(ErrorCode::DiskUnavailable, why));
        }
        Ok(probe(&own, root)?)
    })?;
    if let Some(reference) = disk.reference() {
        marks::set(node, Marked::Disabled(reference.uuid), None)?;
    }
    disk.clear_suspicion();
    tracing::warn!(disk = disk.path, "enabled by an operator");
    node.ring();
    Ok(())
}

/// Nothing new is copied to the disk, over restarts too.
///
/// # Errors
/// `DISK_NOT_FOUND`, `JOURNAL_UNAVAILABLE`.
pub(crate) fn disable(node: &Node, path: &str, by: String, reason: String) -> Result<(), Failure> {
    let disk = node.find_disk(path)?;
    // A disk that was never opened takes nothing anyway, and has no name to be remembered by.
    let mark = Mark { by, reason, since_ms: now_ms() };
    if let Some(reference) = disk.reference() {
        marks::set(node, Marked::Disabled(reference.uuid), Some(mark.clone()))?;
    }
    tracing::warn!(disk = disk.path, "disabled {mark}");
    disk.set_disabled(Some(mark.to_string()));
    node.ring();
    Ok(())
}
