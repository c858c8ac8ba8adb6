//! A root that is ours while a command runs.

use std::path::Path;

use crate::cli::exit::{CliError, Exit};
use crate::model::DiskUuid;
use crate::storage::layout::{DISK_FILE, LOCK_FILE};
use crate::storage::{
    Dir, DiskError, KnownAs, LockError, ReadFrom, Root, RootIdentity, RootLock, read_small,
};

/// An opened root and the lock on it.
pub(super) struct LockedRoot {
    pub(super) root: Root,
    /// The path as given, made absolute.
    pub(super) path: String,
    /// `None` on a read-only file system, where nobody can take it, nor change anything.
    _lock: Option<RootLock>,
}

/// Takes a root to write to it; an empty directory becomes a root.
pub(super) fn open_to_change(path: &Path) -> Result<LockedRoot, CliError> {
    let path = absolute(path)?;
    let refused = |error: &dyn std::fmt::Display| CliError::new(Exit::Refused, error);
    // What is no directory, or a root of a Doris BE, is refused here, before a lock file is left in it.
    let dir = Dir::open_absolute(Path::new(&path)).map_err(|error| no_root(&error))?;
    let is_ours = dir.kind(DISK_FILE).map_err(|error| no_root(&error))?.is_some();
    let is_foreign = !is_ours && dir.stat("meta/CURRENT").is_ok_and(|stat| stat.is_some());
    let had_lock_file = dir.kind(LOCK_FILE).is_ok_and(|kind| kind.is_some());
    let lock = match is_foreign {
        true => None,
        false => Some(RootLock::acquire(&dir).map_err(|error| locked(&path, &error))?),
    };
    let root = Root::open(&path, KnownAs::New).map_err(|error| {
        if !is_ours && !had_lock_file && lock.is_some() {
            // Still locked: nobody else's. Failing to remove it changes nothing about the refusal.
            let _ = dir.unlink(LOCK_FILE);
        }
        refused(&error)
    })?;
    Ok(LockedRoot { root, path, _lock: lock })
}

/// Takes a root to read it. Makes nothing in it but the lock file, where even that is missing.
pub(super) fn open_to_read(path: &Path) -> Result<LockedRoot, CliError> {
    let path = absolute(path)?;
    let dir = Dir::open_absolute(Path::new(&path)).map_err(|error| no_root(&error))?;
    let uuid = read_uuid(&dir, &path)?;
    let lock = match RootLock::acquire(&dir) {
        Ok(lock) => Some(lock),
        Err(LockError::Disk(error)) if error.errno == nix::errno::Errno::EROFS => None,
        Err(error) => return Err(locked(&path, &error)),
    };
    let identity = RootIdentity::of(&dir, uuid).map_err(|error| no_root(&error))?;
    let root = Root::reopen(&path, &identity).map_err(|error| CliError::new(Exit::Failed, error))?;
    Ok(LockedRoot { root, path, _lock: lock })
}

fn absolute(path: &Path) -> Result<String, CliError> {
    let unusable = |why: &dyn std::fmt::Display| {
        CliError::new(Exit::Usage, format!("{}: cannot be used as a root: {why}", path.display()))
    };
    let absolute = std::path::absolute(path).map_err(|error| unusable(&error))?;
    absolute.into_os_string().into_string().map_err(|_| unusable(&"the path is not UTF-8"))
}

fn no_root(error: &DiskError) -> CliError {
    CliError::new(Exit::Failed, format!("{error}; is the disk mounted, and is this the path of its root?"))
}

fn locked(path: &str, error: &LockError) -> CliError {
    match error {
        LockError::Held { .. } => CliError::new(Exit::Refused, format!("{path}: {error}")),
        LockError::Disk(error) => CliError::new(Exit::Failed, format!("the root cannot be locked: {error}")),
    }
}

fn read_uuid(dir: &Dir, path: &str) -> Result<DiskUuid, CliError> {
    #[derive(serde::Deserialize)]
    struct DiskFile {
        uuid: DiskUuid,
    }
    let bytes = read_small(dir, DISK_FILE, ReadFrom::Cache).map_err(|error| no_root(&error))?;
    let Some(bytes) = bytes else {
        let why = "no disk.json: not a root of tabletd, or the disk is not mounted";
        return Err(CliError::new(Exit::Failed, format!("{path}: {why}")));
    };
    let file: DiskFile = serde_json::from_slice(&bytes).map_err(|error| {
        CliError::new(Exit::Failed, format!("{path}: disk.json does not parse ({error}); restore it first"))
    })?;
    Ok(file.uuid)
}
