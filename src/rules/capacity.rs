//! Whether a tablet still fits on a disk.
//!
//! Doris's two keys, `storage_flood_stage_usage_percent` and `storage_flood_stage_left_capacity_bytes`. Doris refuses
//! only when **both** limits are passed, so that a 100 GiB disk at 97 % with 3 GiB left is still sent tablets; the
//! default here refuses when **either** is.
//!
//! Under that rule Doris's default of 1 GiB left would shut every disk of a few GiB for good. So the limit that
//! nobody wrote asks for no more than the share that the percentage leaves free anyway; one that is written is kept.

use crate::model::{Capacity, Space, counted_as};
pub use crate::model::{CapacityRule, LeftBytesFrom};

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapacityLimits {
    /// Used share at which a disk counts as full, percent.
    pub usage_percent: u64,
    /// Bytes left at which a disk counts as full.
    pub left_bytes: u64,
    /// Where `left_bytes` comes from.
    pub left_bytes_from: LeftBytesFrom,
    /// How they are combined.
    pub rule: CapacityRule,
}

impl CapacityLimits {
    /// The limits for a disk of this size.
    #[must_use]
    pub fn for_disk(self, total_bytes: u64) -> Self {
        let share = 100_u64.saturating_sub(self.usage_percent);
        let free_share = u64::try_from(u128::from(total_bytes) * u128::from(share) / 100).unwrap_or(u64::MAX);
        match (self.left_bytes_from, self.rule) {
            (LeftBytesFrom::Default, CapacityRule::Or) => {
                Self { left_bytes: self.left_bytes.min(free_share), ..self }
            }
            _ => self,
        }
    }
}

/// Why a tablet does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DoesNotFit {
    /// The disk would be too full. What it would look like with the tablet on it, and which limit forbids it.
    #[error(
        "{size_bytes} bytes do not fit: with {reserved_bytes} bytes of other moves in flight the disk would be \
         {used_percent} % full with {left_bytes} bytes left (limits: {} % used, {} bytes left)",
        limits.usage_percent, limits.left_bytes
    )]
    Bytes {
        /// Size of the tablet.
        size_bytes: u64,
        /// Bytes already promised to other moves.
        reserved_bytes: u64,
        /// Share used afterwards, rounded down.
        used_percent: u64,
        /// Bytes left afterwards; 0 when there are none.
        left_bytes: u64,
        /// The limits it was held against.
        limits: CapacityLimits,
    },
    /// Its file system has too few inodes left.
    #[error(
        "{} not fit: {} left on its file system, {reserved_inodes} of them meant for other moves in flight",
        counted_as(*inodes, "file or directory does", "files and directories do"),
        counted_as(*avail_inodes, "inode is", "inodes are")
    )]
    Inodes {
        /// What the tablet needs.
        inodes: u64,
        /// Already promised to other moves.
        reserved_inodes: u64,
        /// Left before all that.
        avail_inodes: u64,
    },
}

/// Whether `need` more fits, with `reserved` already promised.
///
/// # Errors
/// [`DoesNotFit`]. What is simply not there is refused under either rule.
pub fn fits(
    capacity: Capacity,
    reserved: Space,
    need: Space,
    limits: CapacityLimits,
) -> Result<(), DoesNotFit> {
    let limits = limits.for_disk(capacity.total_bytes);
    let wanted = reserved.plus(need);
    let used = capacity.used_bytes().saturating_add(wanted.bytes);
    let left_bytes = capacity.avail_bytes.saturating_sub(wanted.bytes);
    let used_percent = if capacity.total_bytes == 0 {
        100
    } else {
        u64::try_from(u128::from(used) * 100 / u128::from(capacity.total_bytes)).unwrap_or(u64::MAX)
    };
    let too_used = used_percent >= limits.usage_percent;
    let too_little_left = left_bytes <= limits.left_bytes;
    let refused = match limits.rule {
        CapacityRule::Or => too_used || too_little_left,
        CapacityRule::And => too_used && too_little_left,
    };
    if refused || wanted.bytes > capacity.avail_bytes {
        let (size_bytes, reserved_bytes) = (need.bytes, reserved.bytes);
        return Err(DoesNotFit::Bytes { size_bytes, reserved_bytes, used_percent, left_bytes, limits });
    }
    match capacity.inodes_left() {
        Some(avail_inodes) if wanted.inodes > avail_inodes => {
            let (inodes, reserved_inodes) = (need.inodes, reserved.inodes);
            Err(DoesNotFit::Inodes { inodes, reserved_inodes, avail_inodes })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn limits(rule: CapacityRule) -> CapacityLimits {
        CapacityLimits { usage_percent: 90, left_bytes: GIB, left_bytes_from: LeftBytesFrom::Setting, rule }
    }

    #[test]
    fn the_disk_that_doris_accepts_at_97_percent() {
        let disk = Capacity { total_bytes: 100 * GIB, avail_bytes: 3 * GIB, ..Capacity::default() };
        assert!(fits(disk, Space::of_bytes(0), Space::of_bytes(GIB), limits(CapacityRule::And)).is_ok());
        assert!(fits(disk, Space::of_bytes(0), Space::of_bytes(GIB), limits(CapacityRule::Or)).is_err());
    }

    #[test]
    fn a_small_disk_is_not_shut_by_a_limit_nobody_chose() {
        let disk = Capacity { total_bytes: GIB / 2, avail_bytes: GIB / 2, ..Capacity::default() };
        let default = CapacityLimits { left_bytes_from: LeftBytesFrom::Default, ..limits(CapacityRule::Or) };
        assert!(fits(disk, Space::of_bytes(0), Space::of_bytes(GIB / 4), default).is_ok());
        assert!(fits(disk, Space::of_bytes(0), Space::of_bytes(GIB / 4), limits(CapacityRule::Or)).is_err());
        assert!(fits(disk, Space::of_bytes(0), Space::of_bytes(GIB / 2 - GIB / 25), default).is_err());
        let large = Capacity { total_bytes: 100 * GIB, avail_bytes: 12 * GIB, ..Capacity::default() };
        assert!(fits(large, Space::of_bytes(0), Space::of_bytes(GIB + GIB / 2), default).is_ok());
        assert!(fits(large, Space::of_bytes(0), Space::of_bytes(2 * GIB), default).is_err());
    }

    #[test]
    fn bytes_in_flight_count() {
        let disk = Capacity { total_bytes: 100 * GIB, avail_bytes: 50 * GIB, ..Capacity::default() };
        assert!(fits(disk, Space::of_bytes(0), Space::of_bytes(30 * GIB), limits(CapacityRule::Or)).is_ok());
        assert!(
            fits(disk, Space::of_bytes(20 * GIB), Space::of_bytes(30 * GIB), limits(CapacityRule::Or))
                .is_err()
        );
    }

    #[test]
    fn files_are_counted_where_the_file_system_counts_them() {
        let bytes = Capacity { total_bytes: 100 * GIB, avail_bytes: 50 * GIB, ..Capacity::default() };
        let disk = Capacity { total_inodes: 100, avail_inodes: 40, ..bytes };
        let (tablet, limits) = (Space::of_tablet(GIB, 13), limits(CapacityRule::And));
        assert_eq!(tablet.inodes, 20);
        assert!(fits(bytes, Space::of_tablet(GIB, 1_000_000), tablet, limits).is_ok());
        assert!(fits(disk, tablet, tablet, limits).is_ok());
        let refused = fits(disk, tablet.plus(Space { bytes: 0, inodes: 1 }), tablet, limits).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "20 files and directories do not fit: 40 inodes are left on its file system, 21 of them meant for other moves \
             in flight"
        );
    }

    #[test]
    fn a_disk_of_unknown_size_takes_nothing() {
        assert!(
            fits(Capacity::default(), Space::of_bytes(0), Space::of_bytes(1), limits(CapacityRule::And))
                .is_err()
        );
    }

    proptest::proptest! {
        #[test]
        fn what_fits_beside_more_fits_alone(
            total in 1..u64::MAX, avail: u64, reserved: u64, size: u64, either: bool,
        ) {
            let disk = Capacity { total_bytes: total, avail_bytes: avail.min(total), ..Capacity::default() };
            let limits = limits(if either { CapacityRule::Or } else { CapacityRule::And });
            if fits(disk, Space::of_bytes(reserved), Space::of_bytes(size), limits).is_ok() {
                proptest::prop_assert!(fits(disk, Space::of_bytes(0), Space::of_bytes(size), limits).is_ok());
                proptest::prop_assert!(reserved + size <= disk.avail_bytes);
            }
        }
    }
}
