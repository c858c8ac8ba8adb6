//! Who asks, and the line in the log about every request that changes something.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::cut;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address(pub(super) SocketAddr);

/// Whether the wire can be listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Plain,
    Tls,
}

/// Who was let in, and what it turned out to want; shared with the audit log.
#[derive(Debug, Clone)]
pub struct Caller {
    address: Address,
    request_id: Arc<str>,
    token: Option<Arc<str>>,
    /// What the header `X-Reason` says.
    reason: Option<Arc<str>>,
    notes: Arc<Mutex<Notes>>,
}

/// What is known of a request once it has been understood.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    /// What was asked for, in words.
    pub(super) asked: Vec<String>,
    /// The code of a refusal that has no HTTP status of its own.
    pub(super) refused: Option<&'static str>,
}

/// `ops at 127.0.0.1:50000`; the address alone for who needed no credentials.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(token) = &self.token {
            write!(f, "{token} at ")?;
        }
        fmt::Display::fmt(&self.address.0, f)
    }
}

impl Caller {
    /// The holder of the token of this name, at that address, with a request of that id and the reason its head gives.
    pub(super) fn new(
        address: Address,
        request_id: &str,
        token: Option<String>,
        reason: Option<String>,
    ) -> Self {
        let reason = reason.filter(|reason| !reason.is_empty()).map(Into::into);
        let (request_id, token) = (request_id.into(), token.map(Into::into));
        Self { address, request_id, token, reason, notes: Arc::default() }
    }

    /// Why it asks: as its body says, else as its head does, else that it called `path`.
    pub fn reason_or(&self, given: &str, path: &str) -> String {
        match (given, &self.reason) {
            ("", Some(reason)) => reason.to_string(),
            ("", None) => format!("{path}, called from {self}"),
            (given, _) => cut(given.to_owned()),
        }
    }

    /// Logs that this caller asks for `what`, before it is done, and has the audit log say so too.
    pub fn asks(&self, what: fmt::Arguments<'_>) {
        let what = cut(what.to_string());
        tracing::info!(caller = %self, request_id = %self.request_id, "asked to {what}");
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).asked.push(what);
    }

    /// Notes for the audit log that nothing was changed although the HTTP status will not say so.
    pub(super) fn was_refused(&self, code: &'static str) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).refused = Some(code);
    }

    /// What was noted so far.
    pub(super) fn notes(&self) -> Notes {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
