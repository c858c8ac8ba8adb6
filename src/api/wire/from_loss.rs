//! From what is given up with a disk to what goes over the wire.

use super::{Disk, DiskLoss, LostMigration, LostTablet};
use crate::engine::{self, DiskView, Loss};

/// Tablets in one answer.
const TABLETS_MAX: usize = 10_000;

impl DiskLoss {
    /// The answer; with the disk that took its place, where one did.
    pub fn of(loss: Loss, dry_run: bool, disk: Option<DiskView>) -> Self {
        Self {
            confirm: loss.confirmation(),
            path: loss.path,
            uuid: loss.uuid,
            dry_run,
            total: loss.tablets.len() as u64,
            data: loss.tablets.into_iter().take(TABLETS_MAX).map(LostTablet::from).collect(),
            migrations: loss.migrations.into_iter().map(LostMigration::from).collect(),
            disk: disk.map(Disk::from),
        }
    }
}

impl From<engine::LostTablet> for LostTablet {
    fn from(tablet: engine::LostTablet) -> Self {
        Self {
            tablet_id: tablet.key.tablet_id,
            schema_hash: tablet.key.schema_hash,
            lost_generation: tablet.lost_generation,
            fate: tablet.fate.as_str().to_owned(),
            generation: tablet.fate.generation(),
            disk: tablet.left_on,
            detail: tablet.detail,
        }
    }
}

impl From<engine::LostMigration> for LostMigration {
    fn from(migration: engine::LostMigration) -> Self {
        Self {
            migration_id: migration.id,
            tablet_id: migration.key.tablet_id,
            schema_hash: migration.key.schema_hash,
            fate: migration.fate.as_str().to_owned(),
        }
    }
}
