//! What is being purged from a disk right now: of two purges that meet at one thing, one removes it and counts it, and the
//! other says so.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The things of one disk that somebody purges.
#[derive(Default)]
pub(crate) struct Purging(Mutex<BTreeSet<String>>);

/// The sole right to purge one thing, until it is dropped.
pub(crate) struct PurgeClaim<'a> {
    purging: &'a Purging,
    what: String,
}

impl Purging {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims what is named by its path below the root.
    ///
    /// # Errors
    /// In words: somebody has it.
    pub(crate) fn claim(&self, what: String) -> Result<PurgeClaim<'_>, String> {
        if self.lock().insert(what.clone()) {
            return Ok(PurgeClaim { purging: self, what });
        }
        Err("another purge is removing it".to_owned())
    }
}

impl Drop for PurgeClaim<'_> {
    fn drop(&mut self) {
        self.purging.lock().remove(&self.what);
    }
}

/// Said of what somebody has removed since it was listed.
pub(crate) const GONE: &str = "it is gone already: another purge removed it";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_a_thing_and_the_next_one_after_it() {
        let purging = Purging::default();
        let first = purging.claim("trash/a/1_2".to_owned()).map_err(|why| assert_eq!(why, "")).ok();
        assert!(first.is_some() && purging.claim("trash/a/1_2".to_owned()).is_err());
        assert!(purging.claim("trash/b/1_2".to_owned()).is_ok(), "another one is free");
        drop(first);
        assert!(purging.claim("trash/a/1_2".to_owned()).is_ok());
    }
}
