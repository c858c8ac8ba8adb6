//! The configuration read again, on SIGHUP or by a request, with what follows for the process.

use crate::config::{LogLevel, Reload};
use crate::engine::Contract;
use crate::logging;
use crate::model::Failure;

/// Reads the files of the configuration again; the log follows at once. Files of tokens and of certificates are followed
/// by themselves.
///
/// # Errors
/// As [`crate::engine::Engine::reload_config`].
pub fn reload(node: &dyn Contract) -> Result<Reload, Failure> {
    let reload = node.reload_config()?;
    reload.changed.iter().for_each(|change| follow_log_level(change.key, &change.to));
    Ok(reload)
}

/// The log is the process's, not the node's.
pub(super) fn follow_log_level(key: &str, value: &str) {
    if key == "sys_log_level"
        && let Some(level) = LogLevel::named(value)
    {
        logging::set_level(level.filter());
    }
}
