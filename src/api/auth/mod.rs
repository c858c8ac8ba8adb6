//! Who may, over HTTP: the layer that lets a request in or answers 401 or 403, and that has every request which changes
//! something written to the audit log.
//!
//! Rooms: `visitor` is who looks at the page, `watch` keeps the tokens in memory as their file changes, `audit` writes the log, `challenge` makes the refusals.
//! The decision itself is [`crate::access`]'s. Handlers see a [`Caller`](super::caller::Caller) and nothing of tokens.
//!
//! Who may. One layer (`api/auth/layer.rs`) is the only way in: host name, other sites, credentials, role, audit, in
//! that order. Tokens are 256 random bits, so their SHA-256 is kept without a KDF; Digest needs `HA1` beside it
//! (`--no-digest` leaves it out). Ended tokens do not open the door again, nor does a file of tokens that vanishes
//! while the daemon runs. Tokens and certificates follow their files on threads of their own, so that no request waits
//! for a disk.

mod audit;
mod challenge;
mod layer;
mod visitor;
mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audit::Audit;

use crate::access::{self, Anonymous, Door, Loopback, Nonces, Sessions, TokenFileError, Tokens};
use crate::config::{Config, HttpAuth, LoopbackAccess, MetricsAccess};

pub(super) use layer::{Doorway, RequestTarget, let_in};
pub(super) use visitor::Cookie;
pub use visitor::{SignIn, Visitor};
pub(super) use watch::Watched;

/// Everything the service knows about who may. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    door: Door,
    tokens: Watched<Tokens>,
    nonces: Arc<Nonces>,
    sessions: Arc<Mutex<Sessions>>,
    audit: Option<Arc<Audit>>,
    open_metrics: bool,
}

/// Why the service cannot guard itself.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The tokens are there and cannot be read.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// The audit log cannot be written.
    #[error("audit_log_file {}: {source}", path.display())]
    Audit {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no randomness, or no thread, to be had.
    #[error("cannot guard the HTTP service: {0}")]
    System(#[from] io::Error),
}

impl Access {
    /// As the configuration has it. The file of tokens is looked at again whenever it changes.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn new(config: &Config) -> Result<Self, AccessError> {
        let path = PathBuf::from(&config.tokens_file);
        let audit_path = PathBuf::from(&config.audit_log_file);
        let audit = Audit::open(&audit_path, config.audit_log_max_bytes, config.audit_log_keep_files)
            .map_err(|source| AccessError::Audit { path: audit_path, source })?;
        let door = Door {
            anonymous: match config.enable_all_http_auth {
                HttpAuth::Off => Anonymous::UntilTokensExist,
                HttpAuth::Required => Anonymous::Never,
            },
            loopback: match config.allow_loopback_without_credentials {
                LoopbackAccess::AsOthers => Loopback::AsOthers,
                LoopbackAccess::Free => Loopback::Free,
            },
        };
        let tokens = access::read(&path)?;
        let reread = path.clone();
        let once_there_were = AtomicBool::new(tokens.exist());
        let tokens = Watched::start("tokens", vec![path], tokens, move || {
            let tokens = access::read(&reread).map_err(|error| error.to_string())?;
            // A file that vanished with its disk must not open the door.
            if once_there_were.fetch_or(tokens.exist(), Ordering::Relaxed) && !tokens.exist() {
                return Err(format!("{} is gone or empty; a restart believes it", reread.display()));
            }
            Ok(tokens)
        })?;
        Ok(Self {
            door,
            tokens,
            nonces: Arc::new(Nonces::new(access::random_bytes()?)),
            sessions: Arc::new(Mutex::new(Sessions::new(access::random_bytes()?))),
            audit: Some(Arc::new(audit)),
            open_metrics: config.metrics_without_credentials == MetricsAccess::Free,
        })
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the tokens the configuration names can be read.
    ///
    /// # Errors
    /// [`AccessError::Tokens`].
    pub fn check(config: &Config) -> Result<(), AccessError> {
        access::read(&PathBuf::from(&config.tokens_file))?;
        Ok(())
    }

    /// Everybody may everything and nothing is written down.
    #[cfg(test)]
    pub(super) fn open() -> Self {
        Self::of_tokens(Tokens::default())
    }

    /// With these tokens, which stay as they are.
    #[cfg(test)]
    pub(super) fn of_tokens(tokens: Tokens) -> Self {
        let door = Door { anonymous: Anonymous::UntilTokensExist, loopback: Loopback::AsOthers };
        let nonces = Arc::new(Nonces::new([5; 32]));
        let sessions = Arc::new(Mutex::new(Sessions::new([6; 32])));
        Self { door, tokens: Watched::fixed(tokens), nonces, sessions, audit: None, open_metrics: false }
    }

    /// With `/metrics` open to everybody.
    #[cfg(test)]
    pub(super) fn with_open_metrics(self) -> Self {
        Self { open_metrics: true, ..self }
    }

    /// With this audit log.
    #[cfg(test)]
    pub(super) fn audited(self, path: &std::path::Path) -> Self {
        Self { audit: Some(Arc::new(Audit::open(path, 1 << 20, 2).expect("a new file"))), ..self }
    }
}
