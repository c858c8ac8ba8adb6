//! What became of the configuration when its files were read again.

use serde::{Deserialize, Serialize};

use crate::config;

/// `POST /api/v1/config/reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reloaded {
    /// In force from now on; what was set at run time and not kept is among them.
    pub changed: Vec<KeyChange>,
    /// Read at a start only: their new values wait for the next one.
    pub waiting: Vec<KeyChange>,
}

/// A key whose value in the files was not the one in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KeyChange {
    /// Its name.
    pub key: String,
    /// In force before.
    pub from: String,
    /// In the files.
    pub to: String,
}

impl From<config::Reload> for Reloaded {
    fn from(reload: config::Reload) -> Self {
        let told = |list: Vec<config::KeyChange>| list.into_iter().map(KeyChange::from).collect();
        Self { changed: told(reload.changed), waiting: told(reload.waiting) }
    }
}

impl From<config::KeyChange> for KeyChange {
    fn from(change: config::KeyChange) -> Self {
        Self { key: change.key.to_owned(), from: change.from, to: change.to }
    }
}
