//! One directory becomes one tablet, in the order of durable writes of a migration:
//!
//! ```text
//! refuse what is there -> stage -> copy, sync, read back -> record, sync, read back -> place, sync -> commit
//! ```
//! Before the commit nothing of the root's tablets has changed; the directory that is imported never does.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::hooks::{Means, Unwatched};
use super::listing::list_files;
use super::sharing::SharedBarrier;
use super::wish::{Whereabouts, Wish};
use crate::model::{
    DiskRef, ErrorCode, Failure, HeaderClaims, Manifest, ShardId, TabletKey, TabletRecord, TabletState,
};
use crate::storage::layout::{FILES, META, MIGRATING, record_name, tablet_dir};
use crate::storage::{
    Barrier, CommitError, Dir, DirectBarrier, HowToScan, LookForDirectories, MetadataStore, NativeStore,
    Owner, Purpose, Root, ScanProgress, StagedRecord, Staging, StorageError, is_placed, read_home,
    read_owner, remove_staging, remove_unowned_tablet, scan_root,
};
use crate::transfer::{CheckRequest, Coldness, CopyRequest, check_source, copy, sum_files};

/// A root that takes tablets in. Shared by threads.
pub(super) struct Importer<'a> {
    root: &'a Root,
    store: NativeStore,
    barrier: SharedBarrier<'a>,
    disk: DiskRef,
    /// The highest generation ever seen of what is no longer live here: a new one must be above it.
    generations: HashMap<TabletKey, u64>,
    /// Tablets named so far: two threads must not stage the same one.
    claimed: Mutex<HashSet<TabletKey>>,
    means: Means,
}

/// A tablet that was taken in, durably.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Imported {
    #[serde(flatten)]
    key: TabletKey,
    table_id: i64,
    partition_id: i64,
    shard_id: ShardId,
    generation: u64,
    pub(super) files: usize,
    pub(super) bytes: u64,
    disk: String,
    path: String,
    verified_cold: bool,
    pub(super) adopted_in_place: bool,
    /// The header says that Doris has dropped the tablet.
    shut_down: bool,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tablet {} in {} (generation {})", self.key, self.path, self.generation)?;
        if self.shut_down {
            f.write_str("; its header says PB_SHUTDOWN: Doris has dropped this tablet")?;
        }
        Ok(())
    }
}

impl<'a> Importer<'a> {
    /// Looks once through trash and quarantine for generations. `barrier` is that of the root.
    ///
    /// # Errors
    /// The root cannot be read.
    pub(super) fn new(
        root: &'a Root,
        path: &str,
        barrier: &'a DirectBarrier<'a>,
        means: Means,
    ) -> Result<Self, StorageError> {
        let barrier = SharedBarrier::new(barrier);
        let store = NativeStore::open(root.dir())?;
        let scan =
            scan_root(root, &store, HowToScan::alone(LookForDirectories::No), &ScanProgress::default())?;
        let mut generations = scan.quarantined.into_iter().collect::<HashMap<_, _>>();
        for item in scan.trash {
            let noted = item.note.map_or(0, |note| note.generation);
            let highest = item.header.map_or(0, |header| header.generation).max(noted);
            let seen = generations.entry(item.key).or_default();
            *seen = highest.max(*seen);
        }
        let disk = DiskRef { uuid: root.identity().uuid, path: path.to_owned() };
        Ok(Self { root, store, barrier, disk, generations, claimed: Mutex::default(), means })
    }

    /// The root.
    pub(super) const fn root(&self) -> &'a Root {
        self.root
    }

    /// Imports one tablet; it is owned, durably, when this returns.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, `UNEXPECTED_ENTRY`: refused, nothing was changed. Others: a call's; what was staged is removed.
    pub(super) fn import(&self, wish: &Wish) -> Result<Imported, Failure> {
        self.refuse_known(wish.key)?;
        match wish.place {
            Whereabouts::Elsewhere => self.copy_in(wish),
            Whereabouts::InPlace => self.adopt(wish),
        }
    }

    fn refuse_known(&self, key: TabletKey) -> Result<(), Failure> {
        let refused = |why: String| Err(Failure::new(ErrorCode::InvalidArgument, why));
        if !self.claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(key) {
            return refused(format!("tablet {key} is named twice in this run"));
        }
        match self.store.get(key) {
            Ok(None) => Ok(()),
            Ok(Some(record)) => refused(format!(
                "tablet {key} is on {} already, in {}",
                self.disk.path,
                tablet_dir(record.shard_id, key)
            )),
            Err(error @ StorageError::Record { .. }) => {
                refused(format!("tablet {key} has a record already, and a bad one: {error}"))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn copy_in(&self, wish: &Wish) -> Result<Imported, Failure> {
        let root = self.root.dir();
        let name = staging_name(wish.key);
        self.undo_cut_short(wish.key)?;
        let place = tablet_dir(wish.shard_id, wish.key);
        if is_placed(root, wish.shard_id, wish.key)? {
            let path = root.path().join(&place);
            let text =
                format!("{}: something is there that no record owns; move it away first", path.display());
            return Err(Failure::new(ErrorCode::InvalidArgument, text));
        }
        let listed = list_whole(wish)?;
        let owner = Owner {
            purpose: Purpose::Import,
            migration_id: None,
            key: wish.key,
            shard_id: wish.shard_id,
            source: None,
            source_shard: None,
            destination: self.disk.clone(),
            asked: None,
        };
        let staging = Staging::open_or_create(root, &name, &owner)?;
        match self.stage_and_place(wish, &staging, &listed) {
            Ok((staged, coldness)) => {
                self.store.commit(&staged, &self.barrier).map_err(|error| {
                    if matches!(error, CommitError::NotCommitted(_)) {
                        let _ = self.undo_cut_short(wish.key);
                    }
                    uncertain(wish.key, &error)
                })?;
                let imported = self.imported(wish, staged.record(), coldness);
                // Owned by now. What is left of the staging directory is swept at the daemon's next start at the latest.
                let _ = staging.remove();
                Ok(imported)
            }
            Err(failure) => {
                // The first failure is the one to tell; what cannot be removed now is found again by its owner record.
                let _ = self.undo_cut_short(wish.key);
                Err(failure)
            }
        }
    }

    fn stage_and_place<'s>(
        &self,
        wish: &Wish,
        staging: &'s Staging,
        listed: &Manifest,
    ) -> Result<(StagedRecord<'s>, Coldness), Failure> {
        let copied = copy(&CopyRequest {
            source: &wish.dir,
            destination: staging.files(),
            manifest: listed,
            barrier: &self.barrier,
            options: &self.means.options,
            budget: &self.means.budget,
            hooks: &Unwatched,
        })?;
        check_source(&wish.dir, listed)?;
        let staged = self.stage_record(staging.dir(), wish, copied.manifest().clone())?;
        self.root.check_identity()?;
        staging.place(self.root.dir())?;
        self.barrier.sync()?;
        Ok((staged, copied.coldness()))
    }

    /// The directory stands where the tablet's belongs: it is read, made durable and given a record.
    fn adopt(&self, wish: &Wish) -> Result<Imported, Failure> {
        let listed = list_whole(wish)?;
        self.barrier.sync()?;
        let (manifest, coldness) = sum_files(&CheckRequest {
            dir: &wish.dir,
            manifest: &listed,
            options: &self.means.options,
            budget: &self.means.budget,
            hooks: &Unwatched,
        })?;
        check_source(&wish.dir, &manifest)?;
        let migrating = self.root.dir().open(MIGRATING)?;
        let name = format!("adopt-{}", wish.key);
        remove_staging(&migrating, &name)?;
        // What a cut-short import placed here is the tablet from now on: nobody shall undo that import any more.
        remove_staging(&migrating, &staging_name(wish.key))?;
        // Without an owner record on purpose: whoever sweeps an owned staging directory also removes the files that
        // were placed from it, and these files are not ours to remove.
        let dir = migrating.create(&name)?;
        let staged = self.stage_record(&dir, wish, manifest)?;
        self.root.check_identity()?;
        self.store.commit(&staged, &self.barrier).map_err(|error| uncertain(wish.key, &error))?;
        let imported = self.imported(wish, staged.record(), coldness);
        let _ = remove_staging(&migrating, &name);
        Ok(imported)
    }

    fn stage_record<'s>(
        &self,
        staging: &'s Dir,
        wish: &Wish,
        manifest: Manifest,
    ) -> Result<StagedRecord<'s>, Failure> {
        let record = TabletRecord {
            generation: self.generations.get(&wish.key).copied().unwrap_or(0) + 1,
            key: wish.key,
            partition_id: wish.partition_id,
            shard_id: wish.shard_id,
            state: TabletState::Running,
            manifest,
            tablet_meta: wish.tablet_meta.clone(),
        };
        let staged = StagedRecord::write(staging, record)?;
        self.barrier.sync()?;
        staged.check()?;
        Ok(staged)
    }

    /// Removes what an earlier import of this tablet left behind: it has no record, so it owns nothing.
    fn undo_cut_short(&self, key: TabletKey) -> Result<(), Failure> {
        let migrating = self.root.dir().open(MIGRATING)?;
        let name = staging_name(key);
        let Some(dir) = migrating.open_if_exists(&name)? else { return Ok(()) };
        let owner = read_owner(&dir)?;
        let is_ours = owner.as_ref().is_none_or(|owner| owner.purpose == Purpose::Import);
        let place = read_home(&dir, owner.as_ref())?.filter(|place| is_ours && place.key == key);
        if let Some(place) = place {
            let was_placed = dir.kind(FILES)?.is_none();
            if was_placed && self.root.dir().kind(format!("{META}/{}", record_name(key)))?.is_none() {
                remove_unowned_tablet(self.root.dir(), place.shard_id, key)?;
            }
        }
        Ok(remove_staging(&migrating, &name)?)
    }

    fn imported(&self, wish: &Wish, record: &TabletRecord, coldness: Coldness) -> Imported {
        let place = tablet_dir(record.shard_id, record.key);
        Imported {
            key: record.key,
            table_id: record.table_id(),
            partition_id: record.partition_id,
            shard_id: record.shard_id,
            generation: record.generation,
            files: record.manifest.files().len(),
            bytes: record.manifest.total_bytes(),
            disk: self.disk.path.clone(),
            path: format!("{}/{place}", self.disk.path.trim_end_matches('/')),
            verified_cold: coldness == Coldness::Cold,
            adopted_in_place: wish.place == Whereabouts::InPlace,
            shut_down: HeaderClaims::of(&record.tablet_meta).is_shut_down,
        }
    }
}

/// The files of the directory, when they are all that the header says the tablet has.
fn list_whole(wish: &Wish) -> Result<Manifest, Failure> {
    let listed = list_files(&wish.dir)?;
    let absent = HeaderClaims::of(&wish.tablet_meta).not_held(|name| listed.get(name).is_some());
    if absent.is_empty() {
        return Ok(listed);
    }
    let why = absent.join("; ");
    let text = format!(
        "{}: {why}; import the whole directory of tablet {}, with the header of the same moment",
        wish.dir.path().display(),
        wish.key
    );
    Err(Failure::new(ErrorCode::InvalidArgument, text))
}

fn staging_name(key: TabletKey) -> String {
    format!("import-{key}")
}

/// What a failed commit means for the tablet, in words.
fn uncertain(key: TabletKey, error: &CommitError) -> Failure {
    let CommitError::InDoubt(error) = error else { return error.cause().clone().into() };
    let text = format!(
        "{error}; whether tablet {key} was committed is not known: run 'tabletctl tablet check' on this root"
    );
    Failure::new(error.code(), text)
}
