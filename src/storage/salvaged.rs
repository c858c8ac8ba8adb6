//! A salvaged copy on disk: an entry of quarantine with a mark of its own, which is no record of a tablet to any reader.
//!
//! ```text
//! quarantine/<entry>/reason.json
//! quarantine/<entry>/salvaged.json   durable before the first file: the receipt, and the tablet's record as it was
//! quarantine/<entry>/files/          what could be read, with holes for what could not
//! ```

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::dir::Dir;
use super::envelope;
use super::error::{DiskError, StorageError};
use super::file::{ReadFrom, read_small, replace_durably, write_new};
use super::layout::{FILES, QUARANTINE, REASON_FILE, SALVAGED_FILE};
use super::record::encode_record;
use super::retire::create_entry;
use crate::model::{Salvage, TabletKey, TabletRecord};

#[derive(Serialize, Deserialize)]
struct Mark {
    salvaged: Salvage,
    /// The record as it stands below `meta/` of its source.
    original: Box<RawValue>,
}

/// An entry that is being filled.
#[derive(Debug)]
pub struct SalvagedEntry {
    dir: Dir,
    files: Dir,
    name: String,
    original: Box<RawValue>,
}

impl SalvagedEntry {
    /// Makes an entry. What it is stands in it before anything else, durably once the caller's barrier was passed.
    ///
    /// # Errors
    /// As the calls made.
    pub fn create(root: &Dir, record: &TabletRecord, begun: &Salvage) -> Result<Self, StorageError> {
        let (dir, name) = create_entry(&root.open(QUARANTINE)?)?;
        let words = |error: serde_json::Error| StorageError::Record {
            path: dir.path().join(SALVAGED_FILE),
            why: error.to_string(),
        };
        let bytes = encode_record(record).map_err(words)?;
        let original = serde_json::from_slice(&bytes).map_err(words)?;
        let mark = envelope::seal(&Mark { salvaged: begun.clone(), original }).map_err(words)?;
        write_new(&dir, SALVAGED_FILE, &mark)?;
        let reason = serde_json::json!({ "reason": begun.to_string() }).to_string();
        write_new(&dir, REASON_FILE, reason.as_bytes())?;
        let original = serde_json::from_slice(&bytes).map_err(words)?;
        let files = dir.create(FILES)?;
        Ok(Self { dir, files, name, original })
    }

    /// Where files go.
    pub const fn files(&self) -> &Dir {
        &self.files
    }

    /// Its name below `quarantine/`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes the receipt, durably. Its files must be durable by now.
    ///
    /// # Errors
    /// As the calls made.
    pub fn finish(&self, receipt: &Salvage) -> Result<(), StorageError> {
        let mark = Mark { salvaged: receipt.clone(), original: self.original.clone() };
        let bytes = envelope::seal(&mark).map_err(|error| StorageError::Record {
            path: self.dir.path().join(SALVAGED_FILE),
            why: error.to_string(),
        })?;
        let reason = serde_json::json!({ "reason": receipt.to_string() }).to_string();
        replace_durably(&self.dir, REASON_FILE, reason.as_bytes())?;
        Ok(replace_durably(&self.dir, SALVAGED_FILE, &bytes)?)
    }
}

/// Whether an entry of quarantine is a salvage, and its receipt where that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Salvaged {
    /// It is something else.
    #[default]
    No,
    /// It is one, whose mark is damaged.
    Damaged,
    /// It is this one.
    Receipt(Box<Salvage>),
}

impl Salvaged {
    /// The receipt.
    pub fn receipt(&self) -> Option<&Salvage> {
        match self {
            Self::Receipt(receipt) => Some(receipt),
            Self::No | Self::Damaged => None,
        }
    }
}

/// What the mark of an entry says.
///
/// # Errors
/// As the calls made.
pub(super) fn read_mark(entry: &Dir) -> Result<Salvaged, DiskError> {
    let Some(bytes) = read_small(entry, SALVAGED_FILE, ReadFrom::Cache)? else { return Ok(Salvaged::No) };
    let mark = envelope::open(&bytes).ok().and_then(|body| serde_json::from_str::<Mark>(body.get()).ok());
    Ok(mark.map_or(Salvaged::Damaged, |mark| Salvaged::Receipt(Box::new(mark.salvaged))))
}

/// Generation of the tablet that an entry is a salvage of.
pub(super) fn generation_of(salvaged: &Salvaged) -> Option<(TabletKey, u64)> {
    salvaged.receipt().map(|receipt| (receipt.key, receipt.generation))
}
