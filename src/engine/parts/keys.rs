//! Idempotency keys of requests that are being accepted at this moment.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{ErrorCode, Failure, quoted};

/// The keys.
#[derive(Default)]
pub(crate) struct Keys(Mutex<HashSet<String>>);

/// The sole right to accept a request under a key, until dropped.
pub(crate) struct KeyClaim<'a> {
    keys: &'a Keys,
    key: String,
}

impl Keys {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims a key, so that of two requests under it at once only one is accepted.
    ///
    /// # Errors
    /// `IDEMPOTENCY_MISMATCH` while another one is being accepted.
    pub(crate) fn claim(&self, key: &str) -> Result<KeyClaim<'_>, Failure> {
        if self.lock().insert(key.to_owned()) {
            return Ok(KeyClaim { keys: self, key: key.to_owned() });
        }
        let text = format!(
            "a request under the idempotency key {} is being accepted at this moment; repeat it",
            quoted(key)
        );
        Err(Failure::new(ErrorCode::IdempotencyMismatch, text))
    }
}

impl Drop for KeyClaim<'_> {
    fn drop(&mut self) {
        self.keys.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_requests_under_a_key_one_is_accepted_and_the_next_after_it() {
        let keys = Keys::default();
        let first = keys.claim("a").expect("free");
        assert_eq!(keys.claim("a").err().map(|refused| refused.code), Some(ErrorCode::IdempotencyMismatch));
        assert!(keys.claim("b").is_ok());
        drop(first);
        assert!(keys.claim("a").is_ok());
    }
}
