//! The configuration of a node that runs: changed key by key, or read again from its files.
//!
//! One change at a time: what is in force and what be_custom.conf keeps then agree, whatever was asked at once.

use crate::config::{self, Config, PersistError, Reload, SetError};
use crate::engine::node::Node;
use crate::engine::tend::gentle;
use crate::model::{ErrorCode, Failure};

/// Whether a changed key outlives the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// In force until the daemon stops.
    UntilStop,
    /// Written to be_custom.conf too.
    Kept,
}

/// Why a key was not changed, or not kept.
#[derive(Debug, thiserror::Error)]
pub enum ConfigChangeError {
    #[error(transparent)]
    Refused(#[from] SetError),
    /// Changed, but the next start will not know.
    #[error(transparent)]
    NotKept(#[from] PersistError),
}

pub(crate) fn change(
    node: &Node,
    key: &str,
    value: &str,
    persistence: Persistence,
) -> Result<(), ConfigChangeError> {
    let _one_at_a_time = node.be_conf();
    node.config_mut().set(key, value)?;
    tracing::info!("{key} = {value} from now on");
    take_effect(node);
    if persistence == Persistence::Kept {
        let file = node.config().custom_file();
        config::persist(&file, key, value)?;
    }
    Ok(())
}

/// Reads be.conf and be_custom.conf again. An error in either changes nothing.
pub(crate) fn reload(node: &Node) -> Result<Reload, Failure> {
    let be_conf = node.be_conf();
    let files = Config::load_again(&be_conf, &|name| std::env::var(name).ok()).map_err(|errors| {
        Failure::new(ErrorCode::InvalidArgument, format!("nothing was changed: {}", errors.in_one_line()))
    })?;
    let reload = node.config().reloaded(&files.config);
    *node.config_mut() = reload.config.clone();
    take_effect(node);
    for change in &reload.changed {
        tracing::info!("{} = {} from now on, it was {}", change.key, change.to, change.from);
    }
    for change in &reload.waiting {
        tracing::warn!("{} = {} waits for the next start, {} stays", change.key, change.to, change.from);
    }
    Ok(reload)
}

fn take_effect(node: &Node) {
    gentle::apply_rates(node);
    node.ring();
}
