//! What start-up does with what it finds. Small tables; every row is a test.
//!
//! Ownership comes first and looks at the disks alone: among the good copies of a tablet the highest generation owns it.
//! Time stamps never decide. Only then is each unfinished migration, and each staging directory, settled by it.
//!
//! While a disk of this node is missing nothing is retired, quarantined or swept that the missing disk might contradict: a
//! copy goes only when its tablet's owner is *seen*, by this run, in the newest generation that anything names.
//!
//! A copy that cannot be read (EIO, no descriptors) is not damaged: it is looked at again, and until it can be read its
//! tablet is unavailable and nothing of it is retired or set aside (`engine/recover/look.rs`). A retirement that was
//! cut short is finished by the note in its trash entry, or by the header where a power cut left no bytes in the note
//! (a file system's commit takes the names of what is not synced yet, and not its data). The same goes for the journal:
//! SQLite calls a file malformed when a read of it fails, so it is read from end to end and examined once more before
//! it is set aside; a journal that cannot be read stops the start. While a configured disk is missing nothing that it
//! might contradict is retired, quarantined or swept, and a tablet whose newer generation is, or may be, on the missing
//! disk is reported unavailable instead of being served old. Each row of these tables is a test in
//! `src/rules/recovery.rs`.

use super::gate::Gate;
use crate::model::{DiskIndex, Reached, Status};

/// One copy of a tablet below `data/`, with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyFound {
    pub disk: DiskIndex,
    pub generation: u64,
    /// Whether the record parses, its checksum is right and the files it lists are there with their sizes.
    pub soundness: Soundness,
    /// CRC-32 over the manifest's checksums: two copies of one generation are the same only if this is equal.
    pub content_crc32: u32,
}

/// Whether a copy can own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Soundness {
    Good,
    Bad,
}

/// Whether all disks of this node are here: those that are configured, and those that were and have never been forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disks {
    AllPresent,
    /// At least one is not.
    SomeMissing,
}

/// Who owns a tablet, and what happens to the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// This copy owns; it is synced first, then the others go.
    Owner {
        /// Disk of the owner.
        disk: DiskIndex,
        /// Good copies of a lower generation: to trash.
        retire: Vec<DiskIndex>,
        /// Bad copies: to quarantine.
        quarantine: Vec<DiskIndex>,
    },
    /// Nobody serves it; nothing is touched.
    Unavailable(Unavailable),
}

/// Why nobody serves a tablet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// A newer generation is, or may be, on a disk that is not here.
    NewerOnMissingDisk,
    /// Two good copies of one generation differ.
    Contradiction,
    /// Every copy is bad, or older than what was acknowledged and is not there any more.
    NoGoodCopy,
}

/// What is known of a tablet beside the copies that are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// The highest generation that anything gives to a disk which is not here.
    pub elsewhere: Option<u64>,
    /// The generation that was acknowledged to be on a disk which is here: a disk that has come back older, or has lost
    /// its record, does not undo an end.
    pub acknowledged: Option<u64>,
}

/// Settles one tablet.
pub fn settle_ownership(copies: &[CopyFound], known: Known, disks: Disks) -> Ownership {
    let newest_elsewhere = known.elsewhere;
    let good = || copies.iter().filter(|copy| copy.soundness == Soundness::Good);
    let Some(newest) = good().map(|copy| copy.generation).max() else {
        return Ownership::Unavailable(match newest_elsewhere {
            Some(_) => Unavailable::NewerOnMissingDisk,
            None => Unavailable::NoGoodCopy,
        });
    };
    if newest_elsewhere.is_some_and(|elsewhere| elsewhere >= newest) {
        return Ownership::Unavailable(Unavailable::NewerOnMissingDisk);
    }
    if known.acknowledged.is_some_and(|acknowledged| acknowledged > newest) {
        return Ownership::Unavailable(Unavailable::NoGoodCopy);
    }
    let mut newest_copies = good().filter(|copy| copy.generation == newest);
    let Some(owner) = newest_copies.clone().min_by_key(|copy| copy.disk) else {
        return Ownership::Unavailable(Unavailable::NoGoodCopy);
    };
    if newest_copies.any(|copy| copy.content_crc32 != owner.content_crc32) {
        return Ownership::Unavailable(Unavailable::Contradiction);
    }
    let others = |soundness: Soundness| -> Vec<DiskIndex> {
        copies
            .iter()
            .filter(|copy| copy.disk != owner.disk && copy.soundness == soundness)
            .map(|copy| copy.disk)
            .collect()
    };
    // With a disk missing, an older generation is left where it is: only the whole picture may retire a copy.
    match disks {
        Disks::AllPresent => Ownership::Owner {
            disk: owner.disk,
            retire: others(Soundness::Good),
            quarantine: others(Soundness::Bad),
        },
        Disks::SomeMissing => Ownership::Owner { disk: owner.disk, retire: vec![], quarantine: vec![] },
    }
}

/// Where a tablet turned out to be, seen from one migration of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TabletIs {
    /// Owned by the migration's source.
    OnSource,
    /// Owned by its destination.
    OnDestination,
    /// Owned by a third disk.
    OnOtherDisk,
    /// Known, but not served now.
    Unavailable,
    Gone,
}

/// What becomes of a migration that had not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationVerdict {
    /// Back into the queue; it goes on by itself.
    GoOn,
    /// The commit had happened: retire what is left of the source and say so.
    Complete,
    /// Remove what it made; it was being aborted.
    FinishAbort,
    StayPaused,
    /// Stays at its gate until it is asked to go on, or its deadline passes.
    StayAtGate,
    /// Stays as it is until the disk that can tell is back.
    Wait,
    /// The tablet is gone, or somewhere this migration did not put it.
    Fail,
}

impl MigrationVerdict {
    /// For the log.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::GoOn => "it goes on",
            Self::Complete => "it is completed",
            Self::FinishAbort => "its abort is finished",
            Self::StayPaused => "it stays paused",
            Self::StayAtGate => "it stays at its gate",
            Self::Wait => "it waits for the disk that can tell",
            Self::Fail => "it has failed",
        }
    }
}

/// Settles one unfinished migration.
pub const fn settle_migration(status: Status, gate: Gate, tablet: TabletIs) -> MigrationVerdict {
    match (status, tablet) {
        (_, TabletIs::OnDestination) => MigrationVerdict::Complete,
        (_, TabletIs::Unavailable) => MigrationVerdict::Wait,
        (Status::Aborting, TabletIs::OnSource | TabletIs::OnOtherDisk | TabletIs::Gone) => {
            MigrationVerdict::FinishAbort
        }
        (_, TabletIs::OnOtherDisk | TabletIs::Gone) => MigrationVerdict::Fail,
        (Status::Paused, TabletIs::OnSource) => MigrationVerdict::StayPaused,
        (_, TabletIs::OnSource) if matches!(gate, Gate::Waits) => MigrationVerdict::StayAtGate,
        (_, TabletIs::OnSource) => MigrationVerdict::GoOn,
    }
}

impl TabletIs {
    /// For the log.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::OnSource => "the tablet is on its source",
            Self::OnDestination => "the tablet is on its destination",
            Self::OnOtherDisk => "the tablet is on another disk",
            Self::Unavailable => "the tablet is not served now",
            Self::Gone => "the tablet is nowhere",
        }
    }

    /// Whether this run has read a good copy of the newest generation that anything names. Only then may another copy go.
    pub const fn is_seen(self) -> bool {
        matches!(self, Self::OnSource | Self::OnDestination | Self::OnOtherDisk)
    }
}

/// What becomes of the copy that a settled migration has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyVerdict {
    /// Kept where it is.
    Keep,
    /// It is the owner now: what is left of its staging directory goes, and nothing else.
    RemoveStaging,
    /// Removed, also where it was placed and never committed.
    Remove,
    /// To quarantine: it may be the only copy there is.
    SetAside,
}

/// Settles the copy of a migration, after the migration itself.
pub const fn settle_copy(migration: MigrationVerdict, tablet: TabletIs) -> CopyVerdict {
    match (migration, tablet) {
        (MigrationVerdict::Complete, TabletIs::OnDestination) => CopyVerdict::RemoveStaging,
        (MigrationVerdict::FinishAbort | MigrationVerdict::Fail, _) if tablet.is_seen() => {
            CopyVerdict::Remove
        }
        (MigrationVerdict::FinishAbort | MigrationVerdict::Fail, TabletIs::Gone) => CopyVerdict::SetAside,
        _ => CopyVerdict::Keep,
    }
}

/// Whose a staging directory is, by the word of its owner record and of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StagingOwner {
    /// A migration that has not ended.
    Unfinished,
    /// A migration that has ended with the tablet where this directory is, or of which only that it ended is known.
    Completed,
    /// A migration that has ended otherwise.
    Undone,
    /// A migration that the journal has never heard of (it was lost, or set aside).
    UnknownMigration,
    /// Not a migration: an import, a restore or a healing that was cut short.
    CutShort,
    /// It does not say.
    Nobody,
}

impl StagingOwner {
    /// For the log.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Unfinished => "a migration that has not ended",
            Self::Completed => "a migration that has completed",
            Self::Undone => "a migration that was undone",
            Self::UnknownMigration => "a migration that the journal does not know",
            Self::CutShort => "an import, a restore or a healing that was cut short",
            Self::Nobody => "nobody",
        }
    }
}

/// What is in a staging directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staged {
    /// Nothing that could be missed: a kill came before the first file.
    Nothing,
    /// Files, and no record: nobody has verified them.
    Partial,
    /// A record as well: a whole copy, or one that has been placed.
    Verified,
}

impl Staged {
    /// For the log.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing is in it",
            Self::Partial => "files without a record are in it",
            Self::Verified => "a whole copy is in it",
        }
    }
}

/// What becomes of a staging directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StagingVerdict {
    /// Kept: the migration goes on with what is verified in it.
    Keep,
    /// Kept until the migration is accepted again, durably: it was promised. Then given to it, or where that is not possible
    /// removed; the tablet's owner is seen.
    AcceptAgain,
    /// Removed, and what was placed out of it and never committed as well.
    Sweep,
    /// Removed itself, and nothing that was ever placed out of it.
    SweepItself,
    SetAside,
    /// Left alone until the disk is here that can tell.
    Leave,
}

impl StagingVerdict {
    /// For the log.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Keep => "it is kept",
            Self::AcceptAgain => "the migration is accepted again",
            Self::Sweep => "it is removed, with what was placed out of it",
            Self::SweepItself => "it is removed",
            Self::SetAside => "it is set aside",
            Self::Leave => "it is left alone",
        }
    }
}

/// Settles one staging directory. It goes only when the tablet's owner is seen, or when nothing is in it.
pub const fn settle_staging(
    owner: StagingOwner,
    staged: Staged,
    disks: Disks,
    tablet: TabletIs,
) -> StagingVerdict {
    use StagingOwner as O;
    use StagingVerdict as V;
    match (owner, staged, disks, tablet) {
        (O::Unfinished, ..) => V::Keep,
        (O::Nobody, Staged::Nothing, ..) => V::SweepItself,
        (O::Nobody, ..) => V::SetAside,
        (O::Completed | O::Undone | O::CutShort, Staged::Nothing, ..) => V::SweepItself,
        (O::Completed, ..) if tablet.is_seen() => V::SweepItself,
        (O::Undone, ..) if tablet.is_seen() => V::Sweep,
        (_, _, Disks::SomeMissing, _) | (_, _, _, TabletIs::Unavailable) => V::Leave,
        (O::UnknownMigration, _, _, TabletIs::OnSource) => V::AcceptAgain,
        (O::UnknownMigration, _, _, TabletIs::OnDestination) => V::SweepItself,
        (O::UnknownMigration, _, _, TabletIs::OnOtherDisk) => V::Sweep,
        // What it was made from was not written by a migration, and is where it was: outside, or in trash.
        (O::CutShort, Staged::Partial, ..) => V::Sweep,
        (O::CutShort, _, _, TabletIs::Gone) => V::SetAside,
        (O::CutShort, ..) => V::Sweep,
        (O::Completed | O::Undone | O::UnknownMigration, _, _, _) => V::SetAside,
    }
}

/// Who owns the tablet of an unfinished trash entry now, seen from that entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerIs {
    /// Not known, or older than the owner the tablet was retired for: that one may be on a disk that is not here.
    NotHere,
    /// The one it was retired for, or a later one.
    Newer,
    /// The same, and it lives in the very directory that was retired.
    InItsPlace,
}

/// What becomes of an unfinished trash entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrashVerdict {
    Leave,
    /// Removed: there is nothing in it, and nothing is owed to it.
    Remove,
    /// The directory follows the header.
    Finish,
    /// The note is written again.
    Note,
}

/// Settles one unfinished trash entry, once it is known who owns the tablets.
pub const fn settle_trash(reached: Reached, owner: OwnerIs) -> TrashVerdict {
    match (reached, owner) {
        (_, OwnerIs::NotHere) | (Reached::Header, OwnerIs::InItsPlace) => TrashVerdict::Leave,
        (Reached::Nothing, _) => TrashVerdict::Remove,
        (Reached::Header, OwnerIs::Newer) => TrashVerdict::Finish,
        (Reached::Place, _) => TrashVerdict::Note,
    }
}

#[cfg(test)]
mod tests;
