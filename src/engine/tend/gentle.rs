//! How hard migrations may push: rates of disks and of the node, the I/O class of copying threads, and the hours in which
//! copies start. Applies what the configuration says now; keeps nothing of its own. How rates adapt is in `pace`.

use std::cell::Cell;
use std::sync::Once;
use std::time::Duration;

use chrono::Timelike;

use crate::config::{Config, IoClass};
use crate::engine::node::Node;
use crate::model::{Haste, Migration, Priority, limit_in_words};
use crate::rules::window::{closed_text, opens_in};
use crate::storage::os::{IO_PRIORITY_IDLE, io_priority, set_io_priority};

/// The limit of the disk at `path`, in bytes per second; 0 is none.
pub(crate) fn disk_rate(config: &Config, path: &str) -> u64 {
    config.disk_rate_limit_overrides.get(path).unwrap_or(config.disk_rate_limit_bytes_per_sec)
}

/// Puts every rate of the configuration in force; who waits feels it at once.
pub(crate) fn apply_rates(node: &Node) {
    {
        let config = node.config();
        for disk in node.disks.iter() {
            disk.set_rate(disk_rate(&config, &disk.path));
        }
        node.limiter.set_rate(config.node_rate_limit_bytes_per_sec);
    }
    name_strangers(node);
}

/// Changes the limit of one disk; `None` takes back what was said of it.
pub(crate) fn set_disk_rate(node: &Node, path: &str, rate_bytes_per_sec: Option<u64>) {
    // What the key cannot be written with is as good as no limit.
    let rate = rate_bytes_per_sec.map(|rate| if i64::try_from(rate).is_ok() { rate } else { 0 });
    node.config_mut().disk_rate_limit_overrides.set(path, rate);
    apply_rates(node);
    tracing::warn!(disk = path, "{}, says an operator", limit_in_words(rate));
}

/// A misspelt path would leave a disk without the limit it was meant to have.
pub(crate) fn name_strangers(node: &Node) {
    for path in node.config().disk_rate_limit_overrides.paths() {
        if node.disk_at(path).is_none() {
            tracing::warn!("disk_rate_limit_overrides names {path}, and no configured disk is written so");
        }
    }
}

/// Priority below which nothing starts at this hour.
pub(crate) fn priority_min(node: &Node) -> Priority {
    match window_opens_in(node) {
        Some(_) => Priority::High,
        None => Priority::Low,
    }
}

/// Why a queued migration waits for its hour; `None` when it does not.
pub(crate) fn outside_window(node: &Node, migration: &Migration) -> Option<String> {
    if migration.priority == Priority::High || migration.steering.haste == Haste::Forced {
        return None;
    }
    let wait = window_opens_in(node)?;
    Some(closed_text(&node.config().migration_window, wait))
}

fn window_opens_in(node: &Node) -> Option<Duration> {
    let config = node.config();
    if config.migration_window.as_slice().is_empty() {
        return None;
    }
    opens_in(&config.migration_window, chrono::Local::now().num_seconds_from_midnight())
}

thread_local! {
    /// The I/O priority this thread had before it was made idle.
    static OWN_PRIORITY: Cell<Option<i32>> = const { Cell::new(None) };
}

/// Gives the calling thread the I/O class that copies have now. Cheap when it has it; asked before every block.
pub(crate) fn wear_io_class(class: IoClass) {
    let changed = match (class, OWN_PRIORITY.get()) {
        (IoClass::Idle, None) => io_priority().and_then(|own| {
            set_io_priority(IO_PRIORITY_IDLE)?;
            OWN_PRIORITY.set(Some(own));
            Ok(())
        }),
        (IoClass::BestEffort, Some(own)) => {
            OWN_PRIORITY.set(None);
            set_io_priority(own)
        }
        _ => Ok(()),
    };
    if let Err(errno) = changed {
        static WARNED: Once = Once::new();
        WARNED.call_once(|| {
            tracing::warn!(
                "migration_io_class: this system does not let a thread change it ({})",
                errno.desc()
            );
        });
    }
}

/// Gives the calling thread its own I/O class back when dropped.
pub(crate) struct OwnIoClass;

impl Drop for OwnIoClass {
    fn drop(&mut self) {
        wear_io_class(IoClass::BestEffort);
    }
}
