//! `disk replace`: a blank file system in the place of a lost disk becomes a disk of its own there.

use std::sync::Arc;

use super::give_up::give_up;
use super::loss::{GiveUp, Loss, Path};
use crate::engine::node::Node;
use crate::engine::parts::thread::run_isolated;
use crate::engine::tend::register;
use crate::model::{ErrorCode, Failure};
use crate::storage::check_blank;

/// Gives up what was at the path and lets what is there now join. Repeated after a failure it goes on where that stopped.
pub(crate) fn replace(node: &Arc<Node>, request: &GiveUp) -> Result<Loss, Failure> {
    let _one = node.registering();
    let path = &request.path;
    let Some(medium) = register::configured_medium(node, path) else {
        return Err(node.find_disk(path).err().unwrap_or_else(|| not_configured(path)));
    };
    let refused =
        |why: String| Failure::new(ErrorCode::DiskUnavailable, format!("disk {path} is not replaced: {why}"));
    let at = path.clone();
    run_isolated("look-at-blank", move || check_blank(&at))?.map_err(|error| refused(error.to_string()))?;
    let loss = match node.disk_at(path).cloned() {
        Some(disk) => give_up(node, &disk, request, Path::Stays)?,
        // Given up already, by an attempt that stopped before the new disk had joined.
        None => Loss { path: path.clone(), uuid: None, tablets: Vec::new(), migrations: Vec::new() },
    };
    if !request.dry_run {
        register::join(node, path, medium, &register::Joining::InPlace)?;
    }
    Ok(loss)
}

fn not_configured(path: &str) -> Failure {
    let why = format!("{path} is not in storage_root_path; a new disk joins by tabletctl disk register");
    Failure::new(ErrorCode::DiskNotFound, why)
}
