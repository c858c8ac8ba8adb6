//! What the configuration comes to: limits of space, rates, slots and hours, derived anew at every look.

use std::time::Duration;

use chrono::Timelike;

use crate::config::{self, Config};
use crate::model::{DiskCondition, Haste, Medium, Migration, Priority, TimestampMs};
use crate::rules::capacity::CapacityLimits;
use crate::rules::schedule::{DiskSlots, NodeLimits};
use crate::rules::window::{closed_text, opens_in};
use crate::transfer::{CopyOptions, SharedBytes};

/// The limit of the disk at `path`, in bytes per second; 0 is none.
pub(crate) fn disk_rate(config: &Config, path: &str) -> u64 {
    config.disk_rate_limit_overrides.get(path).unwrap_or(config.disk_rate_limit_bytes_per_sec)
}

/// Priority below which nothing starts at this hour.
fn priority_min(config: &Config) -> Priority {
    match window_opens_in(config) {
        Some(_) => Priority::High,
        None => Priority::Low,
    }
}

/// Why a queued migration waits for its hour; `None` when it does not.
pub(crate) fn outside_window(config: &Config, migration: &Migration) -> Option<String> {
    if migration.priority == Priority::High || migration.steering.haste == Haste::Forced {
        return None;
    }
    let wait = window_opens_in(config)?;
    Some(closed_text(&config.migration_window, wait))
}

fn window_opens_in(config: &Config) -> Option<Duration> {
    if config.migration_window.as_slice().is_empty() {
        return None;
    }
    opens_in(&config.migration_window, chrono::Local::now().num_seconds_from_midnight())
}

/// How long a rebalance leaves a tablet that was moved alone.
pub(crate) fn cool_down_ms(config: &Config) -> TimestampMs {
    i64::from(config.rebalance_cool_down_sec).saturating_mul(1000)
}

/// When a call on a disk has been out for so long, the disk is hung.
pub(crate) fn hang_after(config: &Config) -> Duration {
    Duration::from_secs(u64::from(config.disk_hang_timeout_sec))
}

/// When a disk counts as full.
pub(crate) fn capacity(config: &Config) -> CapacityLimits {
    let left = config.storage_flood_stage_left_capacity_bytes;
    CapacityLimits {
        usage_percent: u64::from(config.storage_flood_stage_usage_percent),
        left_bytes: left.bytes,
        left_bytes_from: left.from,
        rule: config.migration_capacity_rule,
    }
}

/// What may run at once on the node.
pub(crate) fn of_node(config: &Config) -> NodeLimits {
    NodeLimits {
        priority_min: priority_min(config),
        running: config.max_tablet_migration_threads as usize,
        small_bytes: config.small_migration_bytes,
        small_batch: config.small_migration_batch as usize,
    }
}

/// Slots of a disk of this medium in this condition.
pub(crate) fn slots(config: &Config, medium: Medium, condition: &DiskCondition) -> DiskSlots {
    let (read_limit, write_limit) = match medium {
        Medium::Hdd => (config.hdd_read_slots, config.hdd_write_slots),
        Medium::Ssd | Medium::RemoteCache => (config.ssd_read_slots, config.ssd_write_slots),
    };
    DiskSlots {
        read_limit,
        write_limit,
        readable: condition.is_readable(),
        writable: condition.is_writable(),
    }
}

/// How a copy goes about it.
pub(crate) fn copy_options(config: &Config) -> CopyOptions {
    CopyOptions {
        threads: config.copy_threads_per_migration as usize,
        block_bytes: usize::try_from(config.copy_block_bytes).unwrap_or(1 << 20),
        direct_io_min_file_bytes: config.direct_io_min_file_bytes,
        owner: config.tablet_file_owner,
        shared_bytes: match config.migration_same_file_system {
            config::SameFileSystem::Clone => SharedBytes::WhereOneDevice,
            config::SameFileSystem::Copy => SharedBytes::Never,
        },
        ..CopyOptions::default()
    }
}
