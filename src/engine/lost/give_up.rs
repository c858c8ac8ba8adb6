//! A disk is given up: nothing of it is waited for from then on.

use std::sync::Arc;
use std::time::Duration;

use super::loss::{GiveUp, Gone, Loss, Path};
use crate::engine::ledger::note_owners;
use crate::engine::lost::{held, settle, survive};
use crate::engine::node::Node;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::disk::Disk;
use crate::engine::parts::known_disks::LostDisk;
use crate::engine::parts::thread::spawn_isolated;
use crate::engine::tend::register;
use crate::engine::tend::register::change_known_disks;
use crate::model::{DiskUuid, ErrorCode, Failure, quoted};
use crate::storage::read_disk_uuid;

/// How long it is looked whether the disk can be read after all.
pub(crate) const LOOK_WAIT: Duration = Duration::from_secs(10);

/// `disk forget --lost`: gives the disk up and takes its path out of the configuration.
pub(crate) fn forget(node: &Arc<Node>, request: &GiveUp) -> Result<Loss, Failure> {
    let _one = node.registering();
    let Some(disk) = node.disk_at(&request.path).cloned() else {
        return again(node, request);
    };
    let shorter = register::without(node, &request.path);
    if shorter.is_none() {
        let why = format!("disk {} is not forgotten: {}", request.path, register::ONLY_ONE);
        return Err(Failure::new(ErrorCode::DiskInUse, why));
    }
    let loss = give_up(node, &disk, request, Path::Leaves)?;
    if let (false, Some(shorter)) = (request.dry_run, shorter) {
        register::keep(node, &shorter)?;
    }
    Ok(loss)
}

/// A disk that was given up before, and of which older copies are to be served after all.
pub(crate) fn again(node: &Arc<Node>, request: &GiveUp) -> Result<Loss, Failure> {
    let path = request.path.clone();
    let Some(uuid) = change_known_disks(node, move |known| Ok(known.lost_at(&path)))? else {
        return unconfigured(node, request);
    };
    let gone = Gone { path: request.path.clone(), index: None, uuid: Some(uuid) };
    let held = held::gather(node, &gone, request.older)?;
    carry_out(node, &gone, held, request, |_| Ok(()))
}

/// A disk that was taken out of the configuration by hand, and of which something is still waited for.
pub(crate) fn unconfigured(node: &Arc<Node>, request: &GiveUp) -> Result<Loss, Failure> {
    let path = request.path.clone();
    let Some(uuid) = change_known_disks(node, move |known| Ok(known.at(&path)))? else {
        return Err(node.find_disk(&request.path).err().unwrap_or_else(|| {
            Failure::new(ErrorCode::Internal, format!("disk {} appeared meanwhile", request.path))
        }));
    };
    if let Some(here) = node.disk_by_uuid(uuid) {
        let why = format!(
            "disk {0} is not given up: it is here, at {1}; tabletctl disk drain {1} moves what it holds away",
            request.path, here.path
        );
        return Err(Failure::new(ErrorCode::DiskInUse, why));
    }
    refuse_if_found(&request.path, Some(uuid))?;
    let gone = Gone { path: request.path.clone(), index: None, uuid: Some(uuid) };
    let held = held::gather(node, &gone, request.older)?;
    carry_out(node, &gone, held, request, |node| {
        let lost = LostDisk { path: request.path.clone(), since_ms: now_ms(), by: request.by.clone() };
        let own = request.path.clone();
        change_known_disks(node, move |known| known.give_up(&own, Some((uuid, lost)), false))
    })
}

/// Gives a disk up, but for the configuration.
pub(crate) fn give_up(
    node: &Arc<Node>,
    disk: &Arc<Disk>,
    request: &GiveUp,
    path: Path,
) -> Result<Loss, Failure> {
    let uuid = match disk.opened.get() {
        Some(opened) => Some(opened.identity.uuid),
        None => {
            let path = disk.path.clone();
            change_known_disks(node, move |known| Ok(known.at(&path)))?
        }
    };
    refuse_unless_lost(node, disk, uuid)?;
    let gone = Gone { path: disk.path.clone(), index: Some(disk.index), uuid };
    let held = held::gather(node, &gone, request.older)?;
    let loss = carry_out(node, &gone, held, request, |node| {
        let (own, by) = (disk.path.clone(), request.by.clone());
        let lost = LostDisk { path: own.clone(), since_ms: now_ms(), by };
        change_known_disks(node, move |known| {
            known.give_up(&own, uuid.map(|uuid| (uuid, lost)), path == Path::Stays)
        })
    })?;
    if !request.dry_run {
        disk.forget();
        node.ring();
    }
    Ok(loss)
}

/// Writes down what survives, then that the disk is lost, and lets go of what it held.
pub(crate) fn carry_out(
    node: &Arc<Node>,
    gone: &Gone,
    mut held: held::Held,
    request: &GiveUp,
    remember: impl FnOnce(&Node) -> Result<(), Failure>,
) -> Result<Loss, Failure> {
    let loss = held.loss(node, gone);
    if request.dry_run {
        return Ok(loss);
    }
    if request.confirm.as_deref() != Some(&loss.confirmation()) {
        let why = format!(
            "disk {} is not given up: repeat what is meant as confirm: {}, after a dry run",
            gone.path,
            quoted(&loss.confirmation())
        );
        return Err(Failure::new(ErrorCode::InvalidArgument, why));
    }
    settle::refuse_while_running(node, &loss)?;
    let _claimed = settle::Claimed::take(node, &loss)?;
    let served = survive::carry_out(node, &mut held, request.older)?;
    // A staged copy that was not whole changes what becomes of its tablet.
    let loss = held.loss(node, gone);
    remember(node)?;
    let owners = served.iter().map(|(key, (index, record))| (*key, &**node.disk(*index), record.generation));
    note_owners(node, owners);
    settle::let_go(node, gone, &loss, &served);
    let tablets = loss.tablets.len();
    tracing::warn!(disk = gone.path, tablets, by = request.by, "given up as lost by an operator");
    Ok(loss)
}

/// A disk that can be read is drained, not given up.
fn refuse_unless_lost(node: &Node, disk: &Arc<Disk>, uuid: Option<DiskUuid>) -> Result<(), Failure> {
    let refuse = |why: &str| {
        let text = format!("disk {} is not given up: {why}", disk.path);
        Err(Failure::new(ErrorCode::DiskInUse, text))
    };
    let path = &disk.path;
    if disk.condition(node.hang_after()).is_readable() {
        return refuse(&format!(
            "it can be read; move what it holds away with tabletctl disk drain {path}, then forget it without --lost"
        ));
    }
    refuse_if_found(path, uuid)
}

/// What is at the path can be looked at, and is this disk.
fn refuse_if_found(path: &str, uuid: Option<DiskUuid>) -> Result<(), Failure> {
    let (sender, answer) = std::sync::mpsc::sync_channel(1);
    let at = path.to_owned();
    spawn_isolated("look-at-disk", move || drop(sender.send(read_disk_uuid(&at))))?;
    // One that does not answer cannot be read.
    match answer.recv_timeout(LOOK_WAIT) {
        Ok(Ok(Some(found))) if Some(found) == uuid => Err(Failure::new(
            ErrorCode::DiskInUse,
            format!(
                "disk {path} is not given up: its disk.json can be read at {path}; restart to use what is there (with \
                 its path in storage_root_path), or unmount it if nothing more can be read from it"
            ),
        )),
        _ => Ok(()),
    }
}
