//! Is the tablet on disk what its manifest says? By names and sizes before a copy, and by every byte when asked.

use std::collections::HashSet;

use super::buffer::BufferBudget;
use super::coldness::Coldness;
use super::crew::{Crew, Watch};
use super::end::End;
use super::hooks::{CopyHooks, Side};
use super::plan::{CopyOptions, Strangers};
use super::read_back::read_files;
use crate::model::{ErrorCode, Failure, FileEntry, Manifest};
use crate::storage::{Dir, DiskError, EntryKind};

/// A failure on a source, from whatever went wrong on the way through its directory.
struct OnSource(Failure);

impl From<DiskError> for OnSource {
    fn from(error: DiskError) -> Self {
        Self(error.on_source())
    }
}

impl From<OnSource> for Failure {
    fn from(OnSource(failure): OnSource) -> Self {
        failure
    }
}

/// Compares names, kinds and sizes in a tablet's directory with its manifest. Opens no file.
///
/// # Errors
/// `UNEXPECTED_ENTRY` for a name that is not in the manifest, or is not a regular file; `SOURCE_DAMAGED` for a file that
/// is missing or has another size.
pub fn check_source(source: &Dir, manifest: &Manifest) -> Result<(), Failure> {
    check_listed(source, manifest, Strangers::Refused)
}

/// As [`check_source`], but for the sizes: for whoever opens every file next, and finds those out.
///
/// # Errors
/// As [`check_source`].
pub fn check_names(source: &Dir, manifest: &Manifest) -> Result<(), Failure> {
    let seen = names_seen(source, manifest, Strangers::Refused)?;
    let missing = manifest.files().iter().find(|entry| !seen.contains(entry.name.as_str()));
    missing.map_or(Ok(()), |entry| Err(is_missing(source, entry)))
}

/// As [`check_source`], with what is not listed refused or left out.
pub(super) fn check_listed(source: &Dir, manifest: &Manifest, strangers: Strangers) -> Result<(), Failure> {
    let seen = names_seen(source, manifest, strangers)?;
    for entry in manifest.files() {
        let stat = if seen.contains(entry.name.as_str()) { source.stat(&entry.name) } else { Ok(None) };
        let Some(stat) = stat.map_err(DiskError::on_source)? else {
            return Err(is_missing(source, entry));
        };
        if u64::try_from(stat.st_size) != Ok(entry.size_bytes) {
            let why = format!("it has {} bytes, the manifest says {}", stat.st_size, entry.size_bytes);
            return Err(is_damaged(source, entry, &why));
        }
    }
    Ok(())
}

/// Whether every file of the manifest stands in the directory of its copy under its name, as a regular file: each was read
/// back by the descriptor it was written with.
pub(super) fn check_copied(destination: &End<'_>, manifest: &Manifest) -> Result<(), Failure> {
    let mut seen = HashSet::with_capacity(manifest.files().len());
    destination.dir().for_each(|name, kind| -> Result<(), Failure> {
        let Some(entry) = name.to_str().and_then(|name| manifest.get(name)) else { return Ok(()) };
        if kind != EntryKind::File {
            let why = format!("{} stands under its name", kind.as_str());
            return Err(destination.damaged(&entry.name, &why));
        }
        seen.insert(entry.name.as_str());
        Ok(())
    })?;
    let missing = manifest.files().iter().find(|entry| !seen.contains(entry.name.as_str()));
    missing.map_or(Ok(()), |entry| Err(destination.damaged(&entry.name, "nothing stands under its name")))
}

fn is_missing(source: &Dir, entry: &FileEntry) -> Failure {
    is_damaged(source, entry, "it is missing, and the manifest lists it")
}

fn is_damaged(source: &Dir, entry: &FileEntry, why: &str) -> Failure {
    let path = source.path().join(&entry.name);
    Failure::new(ErrorCode::SourceDamaged, format!("{}: {why}; the source was left as it is", path.display()))
}

/// The files of the manifest that are in the directory, as regular files.
fn names_seen<'m>(
    source: &Dir,
    manifest: &'m Manifest,
    strangers: Strangers,
) -> Result<HashSet<&'m str>, Failure> {
    let mut seen = HashSet::with_capacity(manifest.files().len());
    source.for_each(|name, kind| {
        let path = source.path().join(&name);
        let unexpected = |what: &str| {
            let text = format!("{}: {what}; the source was left as it is", path.display());
            Err(OnSource(Failure::new(ErrorCode::UnexpectedEntry, text)))
        };
        let Some(entry) = name.to_str().and_then(|name| manifest.get(name)) else {
            if strangers == Strangers::LeftOut {
                return Ok(());
            }
            return unexpected(&format!("{} that the manifest does not list", kind.as_str()));
        };
        if kind != EntryKind::File {
            return unexpected(&format!("{}, not a regular file", kind.as_str()));
        }
        seen.insert(entry.name.as_str());
        Ok(())
    })?;
    Ok(seen)
}

/// Files to be read past the page cache.
#[derive(Clone, Copy)]
pub struct CheckRequest<'a> {
    pub dir: &'a Dir,
    pub manifest: &'a Manifest,
    /// Threads, block and window sizes.
    pub options: &'a CopyOptions,
    /// The memory all copies and checks share.
    pub budget: &'a BufferBudget,
    /// The owner; sees [`Side::Source`] and [`super::Traffic::ReadBack`].
    pub hooks: &'a dyn CopyHooks,
}

/// Sums every file of the manifest, read past the page cache, whatever the manifest records.
///
/// # Errors
/// `SOURCE_DAMAGED` where a size differs; a call's.
pub fn sum_files(request: &CheckRequest<'_>) -> Result<(Manifest, Coldness), Failure> {
    let watch = Watch::new(request.hooks);
    let crew = Crew { watch: &watch, options: request.options, budget: request.budget };
    let end = End::new(request.dir, Side::Source, request.hooks);
    let files: Vec<&FileEntry> = request.manifest.files().iter().collect();
    let mut coldness = Coldness::Cold;
    let summed = read_files(crew, &end, &files)?.into_iter().zip(files).map(|(reading, entry)| {
        coldness = coldness.max(reading.coldness);
        FileEntry { crc32: Some(reading.crc32), ..entry.clone() }
    });
    let summed = Manifest::new(summed.collect())
        .map_err(|error| Failure::new(ErrorCode::RecordDamaged, error.to_string()))?;
    Ok((summed, coldness))
}

/// CRC-32 of one file of exactly `size_bytes`, read past the page cache.
///
/// # Errors
/// As [`sum_files`].
pub fn read_cold_crc(
    dir: &Dir,
    name: &str,
    size_bytes: u64,
    options: &CopyOptions,
    budget: &BufferBudget,
    hooks: &dyn CopyHooks,
) -> Result<(u32, Coldness), Failure> {
    let watch = Watch::new(hooks);
    let crew = Crew { watch: &watch, options, budget };
    let end = End::new(dir, Side::Source, hooks);
    let entry = FileEntry { name: name.to_owned(), size_bytes, crc32: None };
    let readings = read_files(crew, &end, &[&entry])?;
    let [reading] = readings.as_slice() else {
        return Err(Failure::new(ErrorCode::Internal, "one file in, one sum out"));
    };
    Ok((reading.crc32, reading.coldness))
}

/// Reads every file past the page cache and compares it with the checksum the manifest records, where it records one.
///
/// # Errors
/// `SOURCE_DAMAGED` naming every file that differs; a call's.
pub fn verify_files(request: &CheckRequest<'_>) -> Result<Coldness, Failure> {
    let (summed, coldness) = sum_files(request)?;
    let mut damaged = Vec::new();
    for (is, should_be) in summed.files().iter().zip(request.manifest.files()) {
        match (is.crc32, should_be.crc32) {
            (Some(is), Some(recorded)) if is != recorded => {
                damaged.push(format!("{} (CRC-32 {is:08x}, recorded {recorded:08x})", should_be.name));
            }
            _ => {
                request.hooks.verified(is.size_bytes);
                request.hooks.file_verified();
            }
        }
    }
    if damaged.is_empty() {
        return Ok(coldness);
    }
    let text = format!("{}: damaged: {}", request.dir.path().display(), damaged.join(", "));
    Err(Failure::new(ErrorCode::SourceDamaged, text))
}
