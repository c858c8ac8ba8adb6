//! The numbers of a tablet's and a rowset's record that a mover has to know. Everything else stays bytes.
//!
//! Numbers of fields: `gensrc/proto/olap_file.proto` of Doris, `doris-be` sections 5.1 to 5.4.

use super::error::Malformed;
use super::keys::TabletIds;
use super::proto::Message;
use super::uid::Uid;

/// `TabletStatePB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TabletState {
    /// Target of a schema change.
    NotReady,
    Running,
    /// Being removed, in old releases.
    Tombstoned,
    /// Stopped, in old releases.
    Stopped,
    /// Garbage of the backend's own.
    Shutdown,
    /// A number that no release has.
    Unknown,
}

impl TabletState {
    const fn of(number: u64) -> Self {
        match number {
            0 => Self::NotReady,
            1 => Self::Running,
            2 => Self::Tombstoned,
            3 => Self::Stopped,
            4 => Self::Shutdown,
            _ => Self::Unknown,
        }
    }

    /// Doris's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotReady => "NOTREADY",
            Self::Running => "RUNNING",
            Self::Tombstoned => "TOMBSTONED",
            Self::Stopped => "STOPPED",
            Self::Shutdown => "SHUTDOWN",
            Self::Unknown => "unknown",
        }
    }
}

/// `RowsetStatePB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsetState {
    /// A load has begun, or a number that no release has.
    Other,
    /// A transaction that is not published.
    Committed,
    Visible,
}

/// Where the files of a rowset are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsetIs {
    /// In the tablet's directory.
    Local,
    Remote,
}

/// How inverted indexes are kept (`InvertedIndexStorageFormatPB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexFiles {
    None,
    /// One file for each index and segment; it may be missing until it is built.
    EachIndex,
    /// One file for each segment.
    EachSegment,
}

/// What a mover has to know of a rowset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rowset {
    /// As text, as in the names of its files.
    pub id: String,
    pub state: RowsetState,
    /// First version in it.
    pub start_version: i64,
    /// Last version in it.
    pub end_version: i64,
    /// Seconds since 1970.
    pub creation_time: i64,
    /// Of the tablet it was made for.
    pub uid: Uid,
    /// Segment files: `{id}_0.dat` and on.
    pub segments: u64,
    pub place: RowsetIs,
    /// Whether it is of the retired format.
    pub is_alpha: bool,
    /// By its own schema; `None` where only the tablet's says.
    pub index_files: Option<IndexFiles>,
    /// Partition 0 in too many of them ends a backend's start.
    pub partition_id: i64,
    /// Of its files, as its record says.
    pub bytes: u64,
}

impl Rowset {
    /// Reads a `RowsetMetaPB`.
    ///
    /// # Errors
    /// It does not walk, or its required number is missing.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        const BETA: u64 = 1;
        let message = Message::parse(bytes)?;
        let old_id = message.int64(1).ok_or(Malformed("a rowset has no number"))?;
        let id = match message.bytes(23) {
            Some(id) => String::from_utf8(id.to_vec()).map_err(|_| Malformed("a rowset's id is no text"))?,
            None => old_id.to_string(),
        };
        Ok(Self {
            id,
            state: match message.number(7) {
                Some(1) => RowsetState::Committed,
                Some(2) => RowsetState::Visible,
                _ => RowsetState::Other,
            },
            start_version: message.int64(8).unwrap_or(0),
            end_version: message.int64(9).unwrap_or(0),
            creation_time: message.int64(20).unwrap_or(0),
            uid: message.bytes(21).map(Uid::read).transpose()?.unwrap_or_default(),
            segments: message.number(22).unwrap_or(0),
            place: if message.bytes(24).is_some_and(|id| !id.is_empty()) {
                RowsetIs::Remote
            } else {
                RowsetIs::Local
            },
            is_alpha: message.number(6) != Some(BETA),
            index_files: message.bytes(28).map(index_files).transpose()?,
            partition_id: message.int64(2).unwrap_or(0),
            bytes: message.number(12).or_else(|| message.number(13)).unwrap_or(0),
        })
    }

    /// Whether all versions of `other` are in it.
    pub const fn covers(&self, other: &Self) -> bool {
        self.start_version <= other.start_version && other.end_version <= self.end_version
    }
}

fn index_files(schema: &[u8]) -> Result<IndexFiles, Malformed> {
    const INVERTED: u64 = 1;
    const ANN: u64 = 4;
    let schema = Message::parse(schema)?;
    for index in schema.all_bytes(16) {
        if matches!(Message::parse(index)?.number(3), Some(INVERTED | ANN)) {
            let by_index = matches!(schema.number(25), None | Some(0));
            return Ok(if by_index { IndexFiles::EachIndex } else { IndexFiles::EachSegment });
        }
    }
    Ok(IndexFiles::None)
}

/// What a mover has to know of a tablet, without its fresh rowsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tablet {
    pub ids: TabletIds,
    pub table_id: i64,
    pub partition_id: i64,
    /// Directory below `data/`.
    pub shard: i64,
    pub uid: Uid,
    pub state: TabletState,
    /// `rs_metas`.
    pub rowsets: Vec<Rowset>,
    /// `stale_rs_metas`.
    pub stale: Vec<Rowset>,
    /// A schema change is under way.
    pub alters: bool,
    /// A restore is under way.
    pub restores: bool,
    /// Part of it lies in remote storage.
    pub cools_down: bool,
    /// `_binlog/` is kept.
    pub binlog: bool,
    pub index_files: IndexFiles,
}

impl Tablet {
    /// Reads a `TabletMetaPB`.
    ///
    /// # Errors
    /// It, or one of its rowsets, does not walk.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let message = Message::parse(bytes)?;
        let rowsets = |number| message.all_bytes(number).map(Rowset::read).collect::<Result<Vec<_>, _>>();
        let binlog = message.bytes(27).map(Message::parse).transpose()?;
        let schema_hash = message.int64(4).unwrap_or(0);
        Ok(Self {
            ids: TabletIds {
                tablet_id: message.int64(3).unwrap_or(0),
                schema_hash: i32::try_from(schema_hash)
                    .map_err(|_| Malformed("a schema hash is too large"))?,
            },
            table_id: message.int64(1).unwrap_or(0),
            partition_id: message.int64(2).unwrap_or(0),
            shard: message.int64(5).unwrap_or(0),
            uid: message.bytes(14).map(Uid::read).transpose()?.unwrap_or_default(),
            state: TabletState::of(message.number(8).unwrap_or(0)),
            rowsets: rowsets(10)?,
            stale: rowsets(18)?,
            alters: message.has(12),
            restores: message.number(13).is_some_and(|flag| flag != 0),
            cools_down: message.has(26),
            binlog: binlog.is_some_and(|config| config.number(1).is_some_and(|flag| flag != 0)),
            index_files: message.bytes(9).map(index_files).transpose()?.unwrap_or(IndexFiles::None),
        })
    }
}
