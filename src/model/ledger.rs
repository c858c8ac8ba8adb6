//! What is kept of a tablet's moves for ever: the highest generation given out, the disk that owns it, and those that may.
//! A line per tablet that was ever moved or brought back; the rows of the migrations themselves are forgotten in time.

use serde::{Deserialize, Serialize};

use super::{DiskRef, Migration, MigrationId, Receipt, Status, TabletKey};

/// One tablet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLine {
    #[serde(flatten)]
    pub key: TabletKey,
    /// The highest generation that was about to be committed, or was.
    pub highest: u64,
    /// Who has it by the last end that was acknowledged; `None` while there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<LedgerOwner>,
    /// Destinations of swaps that had begun, and of which it is not known yet how they ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_own: Vec<MayOwn>,
}

/// A disk that owns a tablet, durably.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerOwner {
    pub disk: DiskRef,
    /// The generation it has.
    pub generation: u64,
    /// What that holds, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<LedgerContent>,
}

/// What a generation holds: enough to know it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerContent {
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// CRC-32 over the manifest's checksums, as in a [`Receipt`].
    pub manifest_crc32: u32,
}

impl From<&Receipt> for LedgerContent {
    fn from(receipt: &Receipt) -> Self {
        let Receipt { files, bytes, manifest_crc32, .. } = *receipt;
        Self { files, bytes, manifest_crc32 }
    }
}

/// A disk that may own a tablet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MayOwn {
    /// Whose swap it was.
    pub migration: MigrationId,
    pub disk: DiskRef,
    /// The generation it was to get.
    pub generation: u64,
}

impl LedgerLine {
    /// One of which nothing is known yet.
    pub const fn new(key: TabletKey) -> Self {
        Self { key, highest: 0, owner: None, may_own: Vec::new() }
    }

    /// What a migration's row says of its tablet, beside what was known: a swap that has begun may own, one that is
    /// completed does, and one that went back to any other status does not.
    #[must_use]
    pub fn after(mut self, migration: &Migration) -> Self {
        let id = migration.id;
        self.may_own.retain(|claim| claim.migration != id);
        match (migration.status, &migration.receipt) {
            (Status::Finalizing, Some(Receipt { generation, .. })) => {
                let generation = *generation;
                self.highest = self.highest.max(generation);
                let disk = migration.destination.clone();
                self.may_own.push(MayOwn { migration: id, disk, generation });
                self
            }
            (Status::Completed, Some(receipt)) => self.owned_by(LedgerOwner {
                disk: migration.destination.clone(),
                generation: receipt.generation,
                content: Some(receipt.into()),
            }),
            _ => self,
        }
    }

    /// A disk owns it from now on. A newer owner stays, and what may own something older does so no longer.
    #[must_use]
    pub fn owned_by(mut self, owner: LedgerOwner) -> Self {
        self.highest = self.highest.max(owner.generation);
        self.may_own.retain(|claim| claim.generation > owner.generation);
        if self.owner.as_ref().is_none_or(|known| known.generation <= owner.generation) {
            self.owner = Some(owner);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::DiskUuid;

    fn disk(number: u128) -> DiskRef {
        DiskRef { uuid: DiskUuid(uuid::Uuid::from_u128(number)), path: format!("/d{number}") }
    }

    fn moved(id: u64, to: u128, generation: u64, status: Status) -> Migration {
        let receipt = Receipt {
            generation,
            files: 1,
            bytes: 1,
            manifest_crc32: 0,
            verified_cold: true,
            pause_us: 0,
            duration_ms: 0,
            trash_path: None,
        };
        let receipt = matches!(status, Status::Finalizing | Status::Completed).then_some(receipt);
        let row = Migration::new(TabletKey::new(7, 1), disk(0), disk(to), 0);
        Migration { id: MigrationId(id), status, receipt, ..row }
    }

    #[test]
    fn row_by_row() {
        let mut line = LedgerLine::new(TabletKey::new(7, 1));
        for (status, id, to, generation, highest, owner, may_own) in [
            (Status::Copying, 1, 1, 2, 0, None, None),
            (Status::Finalizing, 1, 1, 2, 2, None, Some((1, 2))),
            // A row of another migration says nothing of this one's swap.
            (Status::Failed, 9, 2, 0, 2, None, Some((1, 2))),
            (Status::Completed, 1, 1, 2, 2, Some((1, 2)), None),
            // A swap that failed has used its generation up, and changes no owner.
            (Status::Finalizing, 2, 2, 3, 3, Some((1, 2)), Some((2, 3))),
            (Status::Queued, 2, 2, 0, 3, Some((1, 2)), None),
            (Status::Finalizing, 2, 2, 4, 4, Some((1, 2)), Some((2, 4))),
            // A completed one outlives what may own something older.
            (Status::Completed, 3, 3, 5, 5, Some((3, 5)), None),
            // An old row that is written once more.
            (Status::Completed, 1, 1, 2, 5, Some((3, 5)), None),
        ] {
            line = line.after(&moved(id, to, generation, status));
            assert_eq!(line.highest, highest, "{status} {generation}");
            let found = line.owner.clone().map(|last| (last.disk, last.generation));
            assert_eq!(found, owner.map(|(to, generation)| (disk(to), generation)), "{status}");
            let claims: Vec<_> =
                line.may_own.iter().map(|claim| (claim.disk.clone(), claim.generation)).collect();
            assert_eq!(
                claims,
                may_own.map(|(to, generation)| (disk(to), generation)).into_iter().collect::<Vec<_>>()
            );
        }
    }

    proptest! {
        #[test]
        fn the_highest_and_the_owner_never_go_back_whatever_is_written(
            rows in prop::collection::vec((1_u64..4, 1_u128..4, 1_u64..6, 0_usize..5), 1..12),
        ) {
            let statuses =
                [Status::Copying, Status::Finalizing, Status::Completed, Status::Failed, Status::Queued];
            let mut line = LedgerLine::new(TabletKey::new(7, 1));
            for (id, to, generation, status) in rows {
                let before = line.clone();
                line = line.after(&moved(id, to, generation, statuses[status]));
                let owned = |line: &LedgerLine| line.owner.as_ref().map(|owner| owner.generation);
                prop_assert!(line.highest >= before.highest);
                prop_assert!(owned(&line) >= owned(&before));
                prop_assert!(owned(&line).unwrap_or(0) <= line.highest);
                prop_assert!(line.may_own.iter().all(|claim| claim.generation <= line.highest));
            }
        }
    }
}
