//! One root of the node: opened, locked and read; or refused, with the reason.
//!
//! Of a root whose database does not open what is left is read, and nothing is ever written to it: its lock is a shared one,
//! on a descriptor that cannot write. Lost blocks may hide newer values and deletions, so that each tablet is moved only by
//! its operator's word, and none that another root has.

use sha2::{Digest, Sha256};

use crate::doris::error::DorisError;
use crate::doris::inventory::{Found, Inventory};
use crate::doris::judge::Reason;
use crate::doris::rowsets::{Fresh, is_gapless};
use crate::model::{DiskRef, DiskUuid, Medium, quoted};
use crate::storage::{DorisLock, DorisLockError, DorisRoot, DorisStore, FileSystem};

/// One root, locked for the whole run.
pub struct Root {
    /// As the configuration writes it.
    pub path: String,
    pub medium: Medium,
    /// Whether its file system takes no writes: tablets can leave it, and it must leave the configuration then.
    pub read_only: bool,
    pub(super) disk: DorisRoot,
    pub(super) store: DorisStore,
    pub(super) inventory: Inventory,
    pub(super) file_system: FileSystem,
    /// What could not be read of its database: where that is anything, nothing is ever written to this root.
    pub lost: Vec<String>,
    _lock: Option<DorisLock>,
}

impl Root {
    /// Which disk it is. One that takes no writes has no identity of its own: its path stands for it.
    pub(super) fn reference(&self) -> DiskRef {
        let uuid = self.disk.uuid().ok().flatten().unwrap_or_else(|| uuid_of_path(&self.path));
        DiskRef { uuid, path: self.path.clone() }
    }

    /// Whether it is that disk. One that took no writes when it was named may have an identity by now.
    pub(super) fn is(&self, disk: &DiskRef) -> bool {
        self.reference().uuid == disk.uuid || uuid_of_path(&self.path) == disk.uuid
    }

    /// Whether its database does not open, and it is here for what is left of it.
    pub fn is_damaged(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Reads its database again.
    pub(super) fn read_again(&mut self) -> Result<(), String> {
        if self.is_damaged() {
            return self.read_what_is_left();
        }
        self.store = DorisStore::open(&self.disk).map_err(|error| error.to_string())?;
        self.inventory = self.store.scan().map_err(|error| error.to_string())?;
        Ok(())
    }
}

pub(super) fn uuid_of_path(path: &str) -> DiskUuid {
    let digest = Sha256::digest(path.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    DiskUuid(uuid::Uuid::from_bytes(bytes))
}

/// Opens a root whose database is whole.
///
/// # Errors
/// In words: a backend runs; it is absent, damaged, not understood.
pub(super) fn open_root(path: &str, medium: Medium) -> Result<Root, String> {
    let at = |why: &dyn std::fmt::Display| format!("{path}: {why}");
    let disk = DorisRoot::open(path).map_err(|error| error.to_string())?;
    let lock = disk.lock().map_err(|error| at(&error))?;
    let mode = disk.deploy_mode().map_err(|error| at(&error))?;
    if let Some(mode) = mode.filter(|mode| mode != "local") {
        return Err(at(&format!("its deploy_mode is {}: it is for looking only", quoted(&mode))));
    }
    let for_looking = |why: &dyn std::fmt::Display| {
        at(&format!(
            "{why}; it is for looking only: tabletctl doris inspect --rescue {path}; what is left of a damaged database is \
             moved by tabletctl doris rescue {path}"
        ))
    };
    let store = DorisStore::open(&disk).map_err(|error| for_looking(&error))?;
    let inventory = store.scan().map_err(|error| for_looking(&error))?;
    if inventory.retired_headers > 0 {
        return Err(at(
            &"it has keys hdr_ of before 0.11, with which no backend starts: it is for looking only",
        ));
    }
    disk.uuid().map_err(|why| at(&why))?;
    let read_only = disk.dir().is_on_read_only().map_err(|error| at(&error))?;
    let file_system = FileSystem::of(disk.dir()).map_err(|error| at(&error))?;
    let (path, lost) = (path.to_owned(), Vec::new());
    Ok(Root { path, medium, read_only, disk, store, inventory, file_system, lost, _lock: Some(lock) })
}

/// Opens a root for what is left of it.
///
/// # Errors
/// In words: a backend runs; nothing is wrong with it; something in it is not understood rather than damaged.
pub(super) fn open_damaged(path: &str, medium: Medium) -> Result<Root, String> {
    let at = |why: &dyn std::fmt::Display| format!("{path}: {why}");
    let disk = DorisRoot::open_damaged(path).map_err(|error| error.to_string())?;
    let lock = match DorisLock::acquire_shared(disk.dir()) {
        Ok(lock) => Some(lock),
        Err(held @ DorisLockError::Held { .. }) => return Err(at(&held)),
        // Lost as well: a backend that runs would hold the one of every other root.
        Err(DorisLockError::Disk(_)) => None,
    };
    let mode = disk.deploy_mode().ok().flatten();
    if let Some(mode) = mode.filter(|mode| mode != "local") {
        return Err(at(&format!("its deploy_mode is {}: it is for looking only", quoted(&mode))));
    }
    let opens = DorisStore::open(&disk).is_ok_and(|store| store.scan().is_ok());
    if opens {
        return Err(at(&format!("its database opens, nothing of it is lost: tabletctl doris drain {path}")));
    }
    let store = DorisStore::open_damaged(&disk).map_err(|error| at(&error))?;
    let file_system = FileSystem::of(disk.dir()).map_err(|error| at(&error))?;
    let mut root = Root {
        path: path.to_owned(),
        medium,
        // Nothing is written to it.
        read_only: true,
        disk,
        store,
        inventory: Inventory::default(),
        file_system,
        lost: Vec::new(),
        _lock: lock,
    };
    root.read_what_is_left().map_err(|why| at(&why))?;
    Ok(root)
}

impl Root {
    /// Reads what is left of a damaged database, and names what speaks against each tablet in it.
    fn read_what_is_left(&mut self) -> Result<(), String> {
        self.store = DorisStore::open_damaged(&self.disk).map_err(|error| error.to_string())?;
        self.inventory = self.store.scan().map_err(|error| error.to_string())?;
        let mut lost = self.store.damage();
        lost.append(&mut self.inventory.lost_blocks);
        if let Some(foreign) = lost.iter().find(|error| matches!(error, DorisError::NotUnderstood { .. })) {
            return Err(format!("{foreign}; it is for looking only"));
        }
        if self.inventory.retired_headers > 0 {
            return Err("it has keys hdr_ of before 0.11: it is for looking only".to_owned());
        }
        self.lost = lost.iter().map(ToString::to_string).collect();
        for (ids, found) in &mut self.inventory.tablets {
            found.add_reason(Reason::MayBeOlder);
            if self.store.get(*ids).is_err() {
                found.add_reason(Reason::KeysLost);
            }
            if has_gap(found) {
                found.add_reason(Reason::VersionsMissing);
            }
        }
        Ok(())
    }
}

fn has_gap(found: &Found) -> bool {
    let Ok(tablet) = &found.record else { return false };
    !is_gapless(tablet, &Fresh::sort(tablet, &found.fresh))
}
