//! How hard migrations may push: rates of disks and of the node, the I/O class of copying threads, and the hours in which
//! copies start. Applies what the configuration says now; keeps nothing of its own. How rates adapt is in `pace`.

use crate::engine::node::Node;
use crate::engine::parts::limits::disk_rate;
use crate::model::{Failure, limit_in_words};

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
///
/// # Errors
/// `DISK_NOT_FOUND`.
pub(crate) fn set_disk_rate(node: &Node, path: &str, rate_bytes_per_sec: Option<u64>) -> Result<(), Failure> {
    node.find_disk(path)?;
    // What the key cannot be written with is as good as no limit.
    let rate = rate_bytes_per_sec.map(|rate| if i64::try_from(rate).is_ok() { rate } else { 0 });
    node.config_mut().disk_rate_limit_overrides.set(path, rate);
    apply_rates(node);
    tracing::warn!(disk = path, "{}, says an operator", limit_in_words(rate));
    Ok(())
}

/// A misspelt path would leave a disk without the limit it was meant to have.
pub(crate) fn name_strangers(node: &Node) {
    for path in node.config().disk_rate_limit_overrides.paths() {
        if node.disk_at(path).is_none() {
            tracing::warn!("disk_rate_limit_overrides names {path}, and no configured disk is written so");
        }
    }
}
