//! The files of one tablet, from its directory into staging: copied, durable, read back, and as much the backend's own as
//! they were.
//!
//! `_binlog/` holds hard links to the tablet's segments. What shares its bytes at the source shares them at the destination:
//! copied twice, it would need the space twice.

use std::collections::BTreeMap;

use crate::doris::files::{BINLOG, Listing};
use crate::model::{ErrorCode, Failure, FileEntry, Manifest};
use crate::storage::layout::FILES;
use crate::storage::{Dir, DirectBarrier, DiskError, Staging, give_as};
use crate::transfer::{
    BufferBudget, Coldness, CopyHooks, CopyOptions, CopyRequest, Strangers, copy as copy_files,
};

/// Buffers of one run.
const BUFFERS_BYTES: usize = 128 << 20;

/// What a copy may use.
pub(super) struct Means {
    options: CopyOptions,
    budget: BufferBudget,
}

impl Means {
    pub(super) fn new() -> Self {
        // What no rowset knows stays where it is.
        let options = CopyOptions { strangers: Strangers::LeftOut, ..CopyOptions::default() };
        Self { options, budget: BufferBudget::new(BUFFERS_BYTES) }
    }
}

/// A tablet's directory at its source.
pub(super) struct From<'a> {
    /// The directory above it.
    pub(super) parent: &'a Dir,
    pub(super) name: &'a str,
    pub(super) dir: &'a Dir,
}

/// What was copied.
pub(super) struct Copied {
    /// Every file with its checksum, those of `_binlog/` with it in front.
    pub(super) files: Vec<FileEntry>,
    /// Whether all of it is known to have been read back from the medium.
    pub(super) coldness: Coldness,
}

/// Copies the files into staging. All of it is durable when this returns.
///
/// # Errors
/// As [`copy_files`]; a failed call.
pub(super) fn copy(
    from: &From<'_>,
    files: &Listing,
    staging: &Staging,
    means: &Means,
    hooks: &dyn CopyHooks,
) -> Result<Copied, Failure> {
    let to = staging.files();
    // Opened before the first write, so that it hears of every write-back that fails.
    let barrier = DirectBarrier(to);
    let own = manifest(files.iter().filter(|(name, _)| !name.contains('/')))?;
    let request = |source, destination, manifest| CopyRequest {
        source,
        destination,
        manifest,
        barrier: &barrier,
        options: &means.options,
        budget: &means.budget,
        hooks,
    };
    let copy = copy_files(&request(from.dir, to, &own))?;
    let mut copied = Copied { files: copy.manifest().files().to_vec(), coldness: copy.coldness() };
    let binlog: Listing = files
        .iter()
        .filter_map(|(name, size)| Some((name.strip_prefix(BINLOG)?.strip_prefix('/')?.to_owned(), *size)))
        .collect();
    let binlog_dir = match binlog.is_empty() {
        true => None,
        false => Some((from.dir.open(BINLOG)?, to.ensure(BINLOG)?)),
    };
    if let Some((source, destination)) = &binlog_dir {
        let shared = shared_names((from.dir, &own), (source, &binlog))?;
        let alone = manifest(binlog.iter().filter(|(name, _)| !shared.contains_key(*name)))?;
        let copy = copy_files(&request(source, destination, &alone))?;
        copied.coldness = copied.coldness.max(copy.coldness());
        let in_binlog =
            |file: &FileEntry| FileEntry { name: format!("{BINLOG}/{}", file.name), ..file.clone() };
        let mut further: Vec<FileEntry> = copy.manifest().files().iter().map(in_binlog).collect();
        for (name, own_name) in &shared {
            to.link(own_name, destination, name)?;
            let file = copied.files.iter().find(|file| file.name == *own_name);
            let file = file.map(|file| FileEntry { name: format!("{BINLOG}/{name}"), ..file.clone() });
            further.extend(file);
        }
        copied.files.extend(further);
    }
    give_to_backend(from, staging, &own, binlog_dir.as_ref().map(|dirs| (dirs, &binlog)))?;
    to.sync_file_system()?;
    copied.files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(copied)
}

fn manifest<'a>(files: impl Iterator<Item = (&'a String, &'a u64)>) -> Result<Manifest, Failure> {
    let entry =
        |(name, size): (&String, &u64)| FileEntry { name: name.clone(), size_bytes: *size, crc32: None };
    Manifest::new(files.map(entry).collect())
        .map_err(|error| Failure::new(ErrorCode::UnexpectedEntry, error.to_string()))
}

/// Names in `_binlog/` that are the same file as one of the tablet's own: to which.
fn shared_names(
    own: (&Dir, &Manifest),
    binlog: (&Dir, &Listing),
) -> Result<BTreeMap<String, String>, DiskError> {
    let mut by_inode = BTreeMap::new();
    for file in own.1.files() {
        if let Some(stat) = own.0.stat(&file.name)? {
            by_inode.insert((stat.st_dev, stat.st_ino), &file.name);
        }
    }
    let mut shared = BTreeMap::new();
    for name in binlog.1.keys() {
        let stat = binlog.0.stat(name)?;
        if let Some(own_name) = stat.and_then(|stat| by_inode.get(&(stat.st_dev, stat.st_ino))) {
            shared.insert(name.clone(), (*own_name).clone());
        }
    }
    Ok(shared)
}

/// Owner, group and mode of every file and directory as at the source.
fn give_to_backend(
    from: &From<'_>,
    staging: &Staging,
    own: &Manifest,
    binlog: Option<(&(Dir, Dir), &Listing)>,
) -> Result<(), DiskError> {
    let to = staging.files();
    for file in own.files() {
        give_as((from.dir, &file.name), (to, &file.name))?;
    }
    if let Some(((source, destination), names)) = binlog {
        for name in names.keys() {
            give_as((source, name), (destination, name))?;
        }
        give_as((from.dir, BINLOG), (to, BINLOG))?;
    }
    give_as((from.parent, from.name), (staging.dir(), FILES))
}
