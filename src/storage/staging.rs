//! Staging: an unfinished copy, in a directory that says whose it is.
//!
//! ```text
//! migrating/<name>/owner.json    written first; tells start-up what this is and where its files may have gone
//! migrating/<name>/files/        the tablet's files; renamed as a whole to data/<shard>/<tablet_id>/<schema_hash>
//! migrating/<name>/record.json   the metadata record; renamed into meta/ at the commit point
//! ```

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::dir::Dir;
use super::envelope;
use super::error::{DiskError, StorageError};
use super::file::{ReadFrom, read_small, replace_durably, write_new};
use super::layout::{FILES, MIGRATING, OWNER_FILE, RECORD_FILE, shard_dir, tablet_dir, tablet_parent};
use super::record::decode_summary;
use crate::model::{DiskRef, MigrationId, Mode, ShardId, TabletKey};

/// What a staging directory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Migration,
    /// A tablet coming back from trash.
    Restore,
    /// A directory being adopted.
    Import,
}

/// Who a staging directory belongs to. Enough to go on with a migration even when the journal is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub purpose: Purpose,
    /// The migration, where there is one.
    pub migration_id: Option<MigrationId>,
    #[serde(flatten)]
    pub key: TabletKey,
    /// The shard its files go to.
    pub shard_id: ShardId,
    /// From where, where there is a disk.
    pub source: Option<DiskRef>,
    /// The shard they come from.
    pub source_shard: Option<ShardId>,
    /// The disk this directory is on.
    pub destination: DiskRef,
    /// How the migration was asked for; `None` where there is none, and in what version 0.1 has written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

/// How a migration was asked for: what a lost journal would have known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// How far by itself.
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

impl Owner {
    /// Whether this is the same work on the same disks, however it was asked for.
    pub fn is_same_work(&self, other: &Self) -> bool {
        let identity = |owner: &Self| Self { asked: None, ..owner.clone() };
        identity(self) == identity(other)
    }
}

/// An open staging directory.
#[derive(Debug)]
pub struct Staging {
    parent: Dir,
    name: String,
    dir: Dir,
    files: Dir,
    owner: Owner,
    is_new: bool,
}

impl Staging {
    /// Makes the staging directory `name`, or opens the one of the same owner that a restart left behind.
    ///
    /// # Errors
    /// A failed call; or one of that name belongs to somebody else.
    pub fn open_or_create(root: &Dir, name: &str, owner: &Owner) -> Result<Self, StorageError> {
        let parent = root.open(MIGRATING)?;
        let dir = match parent.create(name) {
            Err(error) if error.errno == Errno::EEXIST => {
                let dir = parent.open(name)?;
                match read_owner(&dir)? {
                    Some(found) if found.is_same_work(owner) => {
                        let files = dir.ensure(FILES)?;
                        let name = name.to_owned();
                        return Ok(Self { parent, name, dir, files, owner: found, is_new: false });
                    }
                    Some(_) => {
                        return Err(StorageError::Unexpected {
                            path: dir.path().to_owned(),
                            why: "a staging directory of another owner is in the way".into(),
                        });
                    }
                    // A kill between mkdir and the owner record: nothing is in it yet.
                    None => {
                        parent.remove_tree(name)?;
                        parent.create(name)?
                    }
                }
            }
            made => made?,
        };
        let bytes = envelope::seal(owner).map_err(|error| StorageError::Record {
            path: dir.path().join(OWNER_FILE),
            why: error.to_string(),
        })?;
        // Before the folder of the files: what may hold bytes says whose they are.
        write_new(&dir, OWNER_FILE, &bytes)?;
        let files = dir.create(FILES)?;
        Ok(Self { parent, name: name.to_owned(), dir, files, owner: owner.clone(), is_new: true })
    }

    /// Whether it was made just now: nobody has put anything into it.
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// The staging directory, where a record is staged.
    pub const fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Where the tablet's files are written.
    pub const fn files(&self) -> &Dir {
        &self.files
    }

    /// Renames the files to their place below `data/`; after this nothing is written to them. Not durable before the
    /// caller's barrier.
    ///
    /// # Errors
    /// `EEXIST` when something stands there already.
    pub fn place(&self, root: &Dir) -> Result<(), DiskError> {
        let shard = root.ensure(&shard_dir(self.owner.shard_id))?;
        let parent = shard.open_or_create(&self.owner.key.tablet_id.to_string())?;
        self.dir.rename(FILES, &parent, &self.owner.key.schema_hash.to_string())
    }

    /// Removes the directory after its files were placed and its record committed: nothing but the owner record is left.
    ///
    /// # Errors
    /// As the calls made.
    pub fn remove_committed(self) -> Result<(), DiskError> {
        self.dir.unlink(OWNER_FILE)?;
        match self.parent.remove_empty(&self.name) {
            // Something is left all the same.
            Err(error) if matches!(error.errno, Errno::ENOTEMPTY | Errno::EEXIST) => self.remove(),
            removed => removed,
        }
    }

    /// Removes what is left of the directory. Never reaches a placed tablet.
    ///
    /// # Errors
    /// As the calls made.
    pub fn remove(self) -> Result<(), DiskError> {
        remove_staging(&self.parent, &self.name)
    }
}

/// Gives the staging directory `name` of a migration to the one that goes on with its work under another number: its name
/// first, then its owner record. Cut short in between it is done again under the new name. Not durable before the caller's
/// barrier.
///
/// Returns whether there was anything to give, and no directory of the other in the way.
///
/// # Errors
/// As the calls made; a record that cannot be written.
pub fn hand_over(root: &Dir, name: &str, to: MigrationId) -> Result<bool, StorageError> {
    let migrating = root.open(MIGRATING)?;
    let Some(dir) = migrating.open_if_exists(name)? else { return Ok(false) };
    let Some(owner) = read_owner(&dir)?.filter(|owner| owner.purpose == Purpose::Migration) else {
        return Ok(false);
    };
    let to_name = to.to_string();
    if name != to_name {
        if migrating.kind(&to_name)?.is_some() {
            return Ok(false);
        }
        migrating.rename(name, &migrating, &to_name)?;
    }
    let dir = migrating.open(&to_name)?;
    let owner = Owner { migration_id: Some(to), ..owner };
    let bytes = envelope::seal(&owner).map_err(|error| StorageError::Record {
        path: dir.path().join(OWNER_FILE),
        why: error.to_string(),
    })?;
    replace_durably(&dir, OWNER_FILE, &bytes)?;
    Ok(true)
}

/// The owner record of a staging directory; `None` when it has none yet or it is damaged (it is written first and whole,
/// so that but for damage only a power cut before its first sync leaves such a one).
///
/// # Errors
/// As `read(2)`.
pub fn read_owner(staging: &Dir) -> Result<Option<Owner>, DiskError> {
    Ok(read_small(staging, OWNER_FILE, ReadFrom::Cache)?
        .and_then(|bytes| serde_json::from_str(envelope::open(&bytes).ok()?.get()).ok()))
}

/// Where the files of a staging directory go, or have gone already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    pub key: TabletKey,
    pub shard_id: ShardId,
}

/// Where the files of a staging directory of this owner go. Where the owner cannot be read, the staged record says the
/// same: no files are placed before one is staged.
///
/// # Errors
/// As `read(2)`.
pub fn read_home(staging: &Dir, owner: Option<&Owner>) -> Result<Option<Home>, DiskError> {
    if let Some(&Owner { key, shard_id, .. }) = owner {
        return Ok(Some(Home { key, shard_id }));
    }
    Ok(read_small(staging, RECORD_FILE, ReadFrom::Cache)?
        .and_then(|bytes| decode_summary(&bytes).ok())
        .map(|record| Home { key: record.key, shard_id: record.shard_id }))
}

/// What is in a staging directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StagedContent {
    /// At most an owner record: nothing was copied yet.
    Nothing,
    /// Files, and no metadata record.
    Files,
    /// A metadata record, which is staged after the files.
    Record,
    /// It is not a directory, or something is in it that is never staged.
    Foreign,
}

/// Looks what is in a staging directory.
///
/// # Errors
/// As `readdir(2)`.
pub(super) fn staged_content(staging: &Dir) -> Result<StagedContent, DiskError> {
    let mut content = StagedContent::Nothing;
    for entry in staging.entries()? {
        match entry.name.to_str() {
            Some(OWNER_FILE) => {}
            Some(RECORD_FILE) => content = StagedContent::Record,
            Some(FILES) if content == StagedContent::Record => {}
            Some(FILES) if staging.open(FILES)?.entries()?.is_empty() => {}
            Some(FILES) => content = StagedContent::Files,
            _ => return Ok(StagedContent::Foreign),
        }
    }
    Ok(content)
}

/// Removes the staging directory `name` below `migrating`. Its owner record goes last, so that a kill in between leaves
/// a directory that still says whose it was.
///
/// # Errors
/// As the calls made.
pub fn remove_staging(migrating: &Dir, name: &str) -> Result<(), DiskError> {
    let Some(dir) = migrating.open_if_exists(name)? else { return Ok(()) };
    dir.remove_tree(FILES)?;
    dir.unlink(RECORD_FILE)?;
    migrating.remove_tree(name)
}

/// Removes a tablet directory that was placed but never owned, and its parents as far as they are empty.
///
/// The caller has made sure that no record on this disk names it.
///
/// # Errors
/// As the calls made.
pub fn remove_unowned_tablet(root: &Dir, shard: ShardId, key: TabletKey) -> Result<(), DiskError> {
    if let Some(parent) = root.open_if_exists(tablet_parent(shard, key.tablet_id))? {
        parent.remove_tree(&key.schema_hash.to_string())?;
    }
    remove_empty_parents(root, shard, key)
}

/// Removes `data/<shard>/<tablet_id>` and `data/<shard>` when nothing is left in them.
///
/// # Errors
/// As `unlinkat(2)`.
pub fn remove_empty_parents(root: &Dir, shard: ShardId, key: TabletKey) -> Result<(), DiskError> {
    let Some(shard_dir) = root.open_if_exists(shard_dir(shard))? else { return Ok(()) };
    shard_dir.remove_if_empty(&key.tablet_id.to_string())
}

/// Whether the tablet's directory stands in its place.
///
/// # Errors
/// As `fstatat(2)`.
pub fn is_placed(root: &Dir, shard: ShardId, key: TabletKey) -> Result<bool, DiskError> {
    Ok(root.kind(tablet_dir(shard, key))?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DiskUuid;

    fn owner() -> Owner {
        let disk = |n| DiskRef { uuid: DiskUuid(uuid::Uuid::from_u128(n)), path: format!("/d{n}") };
        Owner {
            purpose: Purpose::Migration,
            migration_id: Some(MigrationId(7)),
            key: TabletKey::new(1, 2),
            shard_id: ShardId(3),
            source: Some(disk(1)),
            source_shard: Some(ShardId(3)),
            destination: disk(2),
            asked: None,
        }
    }

    #[test]
    fn staging_is_handed_over_with_its_files_also_when_that_was_cut_short() {
        let at = tempfile::tempdir().unwrap();
        let root = Dir::open_absolute(at.path()).unwrap();
        let migrating = root.create(MIGRATING).unwrap();
        let now = Owner { migration_id: Some(MigrationId(9)), ..owner() };
        for is_cut_short in [false, true] {
            let made = Staging::open_or_create(&root, "7", &owner()).unwrap();
            write_new(made.files(), "a.dat", b"bytes").unwrap();
            let mut name = "7";
            if is_cut_short {
                migrating.rename("7", &migrating, "9").unwrap();
                name = "9";
            }
            assert!(hand_over(&root, name, MigrationId(9)).unwrap());
            let staging = Staging::open_or_create(&root, "9", &now).unwrap();
            assert!(
                staging.files().kind("a.dat").unwrap().is_some() && migrating.kind("7").unwrap().is_none()
            );
            staging.remove().unwrap();
        }
        assert!(!hand_over(&root, "7", MigrationId(9)).unwrap(), "nothing is there");
        Staging::open_or_create(&root, "7", &owner()).unwrap();
        Staging::open_or_create(&root, "9", &now).unwrap();
        assert!(!hand_over(&root, "7", MigrationId(9)).unwrap(), "the other has begun already");
        let restore = Owner { purpose: Purpose::Restore, migration_id: None, ..owner() };
        Staging::open_or_create(&root, "restore", &restore).unwrap();
        assert!(!hand_over(&root, "restore", MigrationId(8)).unwrap(), "no migration's");
    }

    #[test]
    fn staging_is_opened_again_by_the_same_work_however_it_was_asked_for_and_by_nobody_else() {
        let at = tempfile::tempdir().unwrap();
        let root = Dir::open_absolute(at.path()).unwrap();
        root.create(MIGRATING).unwrap();
        let by_version_0_1 = owner();
        Staging::open_or_create(&root, "7", &by_version_0_1).unwrap();
        let asked = Some(Asked { mode: Mode::Stepwise, by: "ops".to_owned() });
        let now = Owner { asked, ..by_version_0_1 };
        assert_eq!(Staging::open_or_create(&root, "7", &now).unwrap().owner.asked, None);
        let third = DiskRef { path: "/d3".to_owned(), ..now.destination.clone() };
        let other = Owner { destination: third, ..now.clone() };
        Staging::open_or_create(&root, "7", &other).expect_err("another disk's");
        Staging::open_or_create(&root, "8", &now).unwrap();
        let found = read_owner(&root.open("migrating/8").unwrap()).unwrap();
        assert_eq!(found, Some(now));
    }
}
