//! Whether a tablet of a Doris root can be moved, and every reason why not (`doris-roots` 5.2).

use super::files::TabletFiles;
use super::record::{RowsetIs, Tablet, TabletState};
use super::rowsets::Fresh;

/// Why a tablet is left where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A schema change is under way.
    AlterTask,
    /// A rowset is of the retired format.
    AlphaRowset,
    /// Keys of a binlog that is not understood.
    BinlogRow,
    /// Loads that are not published.
    CommittedRowsets,
    /// Part of it lies in remote storage.
    Cooldown,
    /// Its directory is not there.
    DirectoryMissing,
    /// It is running on two roots, and nothing of ours says why.
    Duplicate,
    /// Its record is of another tablet than its key.
    KeyAndRecordDiffer,
    /// Keys of it lie where the database cannot be read.
    KeysLost,
    /// What is left of a damaged database may be older than what was lost.
    MayBeOlder,
    /// A record without any rowset.
    NoRowset,
    /// Target of a schema change.
    NotReady,
    /// Another root has a record of it, and this one is of a damaged database.
    PresentElsewhere,
    /// Its record does not parse.
    RecordDamaged,
    /// A rowset lies in remote storage.
    RemoteRowset,
    /// A restore is under way.
    RestoreMode,
    /// A fresh rowset covers others: a backend has to start once first.
    RowsetCoversOthers,
    /// The record of a fresh rowset does not parse.
    RowsetDamaged,
    /// A segment's end is not what it should be.
    SegmentDamaged,
    /// A segment is not there.
    SegmentMissing,
    /// Garbage of the backend's own.
    Shutdown,
    /// A state of old releases, or of none.
    Stopped,
    Tombstoned,
    UidZero,
    /// A key that is not understood has its number or its uid.
    UnknownKey,
    /// Its rowsets do not follow one another from the first version on.
    VersionsMissing,
}

impl Reason {
    /// Its name, in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlterTask => "alter-task",
            Self::AlphaRowset => "alpha-rowset",
            Self::BinlogRow => "binlog-row",
            Self::CommittedRowsets => "committed-rowsets",
            Self::Cooldown => "cooldown",
            Self::DirectoryMissing => "directory-missing",
            Self::Duplicate => "duplicate",
            Self::KeyAndRecordDiffer => "key-and-record-differ",
            Self::KeysLost => "keys-lost",
            Self::MayBeOlder => "may-be-older",
            Self::NoRowset => "no-rowset",
            Self::NotReady => "notready",
            Self::PresentElsewhere => "present-elsewhere",
            Self::RecordDamaged => "record-damaged",
            Self::RemoteRowset => "remote-rowset",
            Self::RestoreMode => "restore-mode",
            Self::RowsetCoversOthers => "rst-covers-others",
            Self::RowsetDamaged => "rst-damaged",
            Self::SegmentDamaged => "segment-damaged",
            Self::SegmentMissing => "segment-missing",
            Self::Shutdown => "shutdown",
            Self::Stopped => "stopped",
            Self::Tombstoned => "tombstoned",
            Self::UidZero => "uid-zero",
            Self::UnknownKey => "unknown-key",
            Self::VersionsMissing => "versions-missing",
        }
    }

    /// What an operator does about it.
    pub const fn way_out(self) -> &'static str {
        match self {
            Self::AlterTask | Self::NotReady => {
                "let the schema change end, or cancel it, before the backend stops"
            }
            Self::RestoreMode => "let the restore end, or cancel it, before the backend stops",
            Self::CommittedRowsets | Self::RowsetCoversOthers | Self::Duplicate => {
                "start the backend once and stop it again: it settles this"
            }
            Self::Shutdown | Self::Tombstoned | Self::Stopped => "the backend's own sweep removes it",
            Self::SegmentDamaged | Self::SegmentMissing | Self::DirectoryMissing => {
                "let Doris repair it from another replica"
            }
            Self::MayBeOlder => "tabletctl doris rescue ROOT --accept-older ID moves what is left of it",
            Self::PresentElsewhere => "nothing: the other root has it",
            Self::Cooldown | Self::RemoteRowset => "not handled yet: use another replica",
            Self::AlphaRowset
            | Self::BinlogRow
            | Self::KeyAndRecordDiffer
            | Self::KeysLost
            | Self::NoRowset
            | Self::RecordDamaged
            | Self::RowsetDamaged
            | Self::UidZero
            | Self::UnknownKey
            | Self::VersionsMissing => "use another replica, or ask for help with this record",
        }
    }
}

/// What speaks against a move in the records alone, sorted.
pub fn reasons_in_records(tablet: &Tablet, fresh: &Fresh<'_>) -> Vec<Reason> {
    let rowsets = || {
        let beside = fresh.joining.iter().chain(&fresh.committed).chain(&fresh.covering).copied();
        tablet.rowsets.iter().chain(&tablet.stale).chain(beside)
    };
    let found = [
        (tablet.alters, Reason::AlterTask),
        (tablet.restores, Reason::RestoreMode),
        (tablet.cools_down, Reason::Cooldown),
        (tablet.uid.is_zero(), Reason::UidZero),
        (tablet.rowsets.is_empty(), Reason::NoRowset),
        (tablet.state == TabletState::NotReady, Reason::NotReady),
        (tablet.state == TabletState::Shutdown, Reason::Shutdown),
        (tablet.state == TabletState::Tombstoned, Reason::Tombstoned),
        (matches!(tablet.state, TabletState::Stopped | TabletState::Unknown), Reason::Stopped),
        (!fresh.committed.is_empty(), Reason::CommittedRowsets),
        (!fresh.covering.is_empty(), Reason::RowsetCoversOthers),
        (rowsets().any(|rowset| rowset.place == RowsetIs::Remote), Reason::RemoteRowset),
        (rowsets().any(|rowset| rowset.is_alpha), Reason::AlphaRowset),
    ];
    let mut reasons: Vec<_> = found.iter().filter(|(is, _)| *is).map(|(_, reason)| *reason).collect();
    reasons.sort_unstable();
    reasons
}

/// What speaks against a move in its directory; `None` where that is not there.
pub fn reasons_in_files(files: &TabletFiles, directory_is_there: bool) -> Vec<Reason> {
    let found = [
        (!directory_is_there, Reason::DirectoryMissing),
        (!files.missing.is_empty(), Reason::SegmentMissing),
    ];
    found.iter().filter(|(is, _)| *is).map(|(_, reason)| *reason).collect()
}
