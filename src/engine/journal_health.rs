//! What is told of the journal: how long its commits take, whether it still writes, and what a start found of it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::histogram::{Histogram, HistogramView};
use crate::config;
use crate::journal::{Journal, Origin};
use crate::storage::RootScan;

/// Whether a daemon has moved tablets of these disks before: an import writes generation 1, every move one more.
pub(super) fn some_were_moved(scans: &[Option<RootScan>]) -> bool {
    scans.iter().flatten().flat_map(|scan| &scan.records).any(|record| record.generation > 1)
}

/// The journal, as its thread sees it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JournalView {
    /// What its commits took, each with one sync.
    pub commit_seconds: HistogramView,
    /// It failed, and takes nothing more until a restart.
    pub failed: bool,
    /// This start found it damaged, or none although tablets of these disks were moved before.
    pub lost: bool,
}

/// Written by the journal thread, read by whoever looks.
pub(super) struct JournalHealth {
    /// A commit is one transaction with one sync.
    pub(super) commits: Histogram,
    failed: AtomicBool,
    lost: AtomicBool,
}

impl Default for JournalHealth {
    fn default() -> Self {
        Self {
            commits: Histogram::of_commits(),
            failed: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        }
    }
}

impl JournalHealth {
    /// Once it failed, it writes nothing more: the journal itself latches its first error.
    pub(super) fn look(&self, journal: &Journal) {
        if journal.check_available().is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    /// What this start found: a journal that was damaged, or none although tablets of these disks were moved before.
    pub(super) fn found(&self, origin: &Origin, moved_before: bool) {
        let lost = match origin {
            Origin::Existing => false,
            Origin::Created => moved_before,
            Origin::Replaced(_) => true,
        };
        self.lost.store(lost, Ordering::Relaxed);
    }

    pub(super) fn view(&self) -> JournalView {
        JournalView {
            commit_seconds: self.commits.view(),
            failed: self.failed.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }
}

/// Says what of the journal could not be read.
pub(super) fn report_journal(origin: &Origin, damaged_rows: &[String]) {
    if let Origin::Replaced(aside) = origin {
        tracing::error!(
            "the journal was damaged ({}) and is kept as {}; what the disks hold decides",
            aside.reason,
            aside.file.display()
        );
    }
    for row in damaged_rows {
        tracing::error!("a row of the journal cannot be read and is left as it is: {row}");
    }
}

/// Used disks meet a state directory that knows nothing of them: a slip in its path looks like this.
pub(super) fn warn_of_new_state_dir(config: &config::Config) {
    let open = config.enable_all_http_auth == config::HttpAuth::Off
        && !std::path::Path::new(&config.tokens_file).exists();
    tracing::warn!(
        "state_dir {} is new, and the disks hold tablets: history, tasks and disabled disks of before are not known{}",
        config.state_dir,
        if open { "; there is no token either, so nobody needs one now" } else { "" }
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::SetAside;

    #[test]
    fn a_first_start_has_lost_nothing() {
        let aside = SetAside { file: "/s/journal.db.damaged".into(), reason: "torn".into() };
        for (origin, moved_before, expected) in [
            (Origin::Existing, true, false),
            (Origin::Created, false, false),
            (Origin::Created, true, true),
            (Origin::Replaced(aside.clone()), false, true),
        ] {
            let health = JournalHealth::default();
            health.found(&origin, moved_before);
            assert_eq!(health.view().lost, expected, "{origin:?} {moved_before}");
        }
    }
}
