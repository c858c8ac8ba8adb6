//! A disk that never comes back, given up by an operator: what it held is listed, what is here as good as that is written
//! again above it, and the disk is remembered as lost before anything of it is let go.
//!
//! Until that one durable write nothing is given up: a refusal, or a crash, leaves copies here with higher generations,
//! which changes nothing of who has what. Decided in [`crate::rules::giving_up`].

mod held;
mod replace;
mod settle;
mod survive;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::ledger::note_owners;
use super::node::Node;
use super::parts::disk::Disk;
use super::parts::known_disks::LostDisk;
use super::parts::thread::spawn_isolated;
use super::tend::register;
use super::tend::register::change_known_disks;
use crate::model::{DiskIndex, DiskUuid, ErrorCode, Failure, MigrationId, RecordSummary, TabletKey, quoted};
use crate::rules::giving_up::{MigrationFate, Older, TabletFate};
use crate::storage::read_disk_uuid;
pub(super) use replace::replace;
pub(super) use settle::end_those_of_lost_disks;

/// How long it is looked whether the disk can be read after all.
const LOOK_WAIT: Duration = Duration::from_secs(10);

/// What an operator asks of a disk that never comes back.
#[derive(Debug, Clone)]
pub struct GiveUp {
    /// The path, written as in `storage_root_path`.
    pub path: String,
    /// Whether copies older than what is lost are served.
    pub older: Older,
    /// Only look; nothing is changed.
    pub dry_run: bool,
    /// What the dry run named: the disk's uuid, or its path where none is known.
    pub confirm: Option<String>,
    /// Who asks.
    pub by: String,
}

/// What is given up with a disk, or would be.
#[derive(Debug, Clone)]
pub struct Loss {
    /// The path.
    pub path: String,
    /// The disk, where it was ever seen.
    pub uuid: Option<DiskUuid>,
    /// What this node knows of its tablets.
    pub tablets: Vec<LostTablet>,
    /// Migrations that wait for it.
    pub migrations: Vec<LostMigration>,
}

impl Loss {
    /// What has to be repeated to carry it out.
    pub fn confirmation(&self) -> String {
        self.uuid.map_or_else(|| self.path.clone(), |uuid| uuid.to_string())
    }
}

/// One tablet that the disk had, or may have had.
#[derive(Debug, Clone)]
pub struct LostTablet {
    /// The tablet.
    pub key: TabletKey,
    /// The highest generation the disk had, where that is known.
    pub lost_generation: Option<u64>,
    /// What becomes of it.
    pub fate: TabletFate,
    /// The disk that serves it afterwards, or has what is left of it.
    pub left_on: Option<String>,
    /// The same in words, with what helps.
    pub detail: String,
}

/// One migration that waits for the disk.
#[derive(Debug, Clone)]
pub struct LostMigration {
    /// Its number.
    pub id: MigrationId,
    /// Its tablet.
    pub key: TabletKey,
    /// What becomes of it.
    pub fate: MigrationFate,
}

/// `disk forget --lost`: gives the disk up and takes its path out of the configuration.
pub(super) fn forget(node: &Arc<Node>, request: &GiveUp) -> Result<Loss, Failure> {
    let _one = node.registering.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(disk) = node.disk_at(&request.path).cloned() else {
        return again(node, request);
    };
    let shorter = register::without(node, &request.path);
    if shorter.is_none() {
        let why = format!("disk {} is not forgotten: it is the only one", request.path);
        return Err(Failure::new(ErrorCode::DiskInUse, why));
    }
    let loss = give_up(node, &disk, request, Path::Leaves)?;
    if let (false, Some(shorter)) = (request.dry_run, shorter) {
        register::keep(node, &shorter)?;
    }
    Ok(loss)
}

/// Tablets that are served from now on: by which disk, as what.
type Served = BTreeMap<TabletKey, (DiskIndex, RecordSummary)>;

/// A disk that was given up before, and of which older copies are to be served after all.
fn again(node: &Arc<Node>, request: &GiveUp) -> Result<Loss, Failure> {
    let path = request.path.clone();
    let Some(uuid) = change_known_disks(node, move |known| Ok(known.lost_at(&path)))? else {
        return unconfigured(node, request);
    };
    let gone = Gone { path: request.path.clone(), index: None, uuid: Some(uuid) };
    let held = held::gather(node, &gone, request.older)?;
    carry_out(node, &gone, held, request, |_| Ok(()))
}

/// A disk that was taken out of the configuration by hand, and of which something is still waited for.
fn unconfigured(node: &Arc<Node>, request: &GiveUp) -> Result<Loss, Failure> {
    let path = request.path.clone();
    let Some(uuid) = change_known_disks(node, move |known| Ok(known.at(&path)))? else {
        return Err(node.find_disk(&request.path).err().unwrap_or_else(|| {
            Failure::new(ErrorCode::Internal, format!("disk {} appeared meanwhile", request.path))
        }));
    };
    if let Some(here) = node.disk_by_uuid(uuid) {
        let why = format!("disk {} is not given up: it is here, at {}", request.path, here.path);
        return Err(Failure::new(ErrorCode::DiskInUse, why));
    }
    refuse_if_found(&request.path, Some(uuid))?;
    let gone = Gone { path: request.path.clone(), index: None, uuid: Some(uuid) };
    let held = held::gather(node, &gone, request.older)?;
    carry_out(node, &gone, held, request, |node| {
        let lost = LostDisk { path: request.path.clone(), since_ms: node.now_ms(), by: request.by.clone() };
        let own = request.path.clone();
        change_known_disks(node, move |known| known.give_up(&own, Some((uuid, lost)), false))
    })
}

/// The disk that is given up.
struct Gone {
    path: String,
    /// While it is in the table of disks.
    index: Option<DiskIndex>,
    uuid: Option<DiskUuid>,
}

/// What becomes of the path of a disk that is given up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    /// It is not this node's any more.
    Leaves,
    /// Another disk takes its place.
    Stays,
}

/// Gives a disk up, but for the configuration.
fn give_up(node: &Arc<Node>, disk: &Arc<Disk>, request: &GiveUp, path: Path) -> Result<Loss, Failure> {
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
        let lost = LostDisk { path: own.clone(), since_ms: node.now_ms(), by };
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
fn carry_out(
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
