//! What is told of the journal: how long its commits take, whether it still writes, and what a start found of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::histogram::Histogram;
use crate::config;
use crate::engine::view::measures::{JournalView, StateSpace};
use crate::journal::{Journal, Origin};
use crate::model::{ErrorCode, Failure, counted};
use crate::storage::RootScan;

/// Whether a daemon has moved tablets of these disks before: an import writes generation 1, every move one more.
pub(crate) fn some_were_moved(scans: &[Option<RootScan>]) -> bool {
    scans.iter().flatten().flat_map(|scan| &scan.records).any(|record| record.generation > 1)
}

/// Less than this is no space: not even the journal finds a page.
const NO_SPACE_BYTES: u64 = 64 << 10;

/// Written by the journal thread, read by whoever looks.
pub(crate) struct JournalHealth {
    /// A commit is one transaction with one sync.
    pub(crate) commits: Histogram,
    state_dir: PathBuf,
    failed: AtomicBool,
    wants_space: AtomicBool,
    waiting_rows: AtomicUsize,
    space: Mutex<Option<StateSpace>>,
    /// What this start found to be lost, in words.
    loss: Mutex<Option<String>>,
    stopping: AtomicBool,
}

impl Default for JournalHealth {
    fn default() -> Self {
        Self::of(PathBuf::new())
    }
}

impl JournalHealth {
    pub(crate) fn of(state_dir: PathBuf) -> Self {
        Self {
            commits: Histogram::of_commits(),
            state_dir,
            failed: AtomicBool::new(false),
            wants_space: AtomicBool::new(false),
            waiting_rows: AtomicUsize::new(0),
            space: Mutex::new(None),
            loss: Mutex::new(None),
            stopping: AtomicBool::new(false),
        }
    }

    /// Once it failed, it writes nothing more: the journal itself latches every error but a full disk.
    pub(crate) fn look(&self, journal: &Journal, waiting_rows: usize) {
        if journal.check_available().is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        let wants_space = journal.wants_space();
        let waited = self.waiting_rows.swap(if wants_space { waiting_rows } else { 0 }, Ordering::Relaxed);
        let wanted_space = self.wants_space.load(Ordering::Relaxed);
        if wants_space != wanted_space {
            self.measure();
            self.wants_space.store(wants_space, Ordering::Relaxed);
        }
        match (wanted_space, wants_space) {
            (false, true) => tracing::error!("{}", self.refusal()),
            (true, false) => tracing::warn!(
                "state_dir {} has space again, and the journal goes on; {} had waited",
                self.state_dir.display(),
                counted(waited, "row")
            ),
            _ => {}
        }
    }

    /// Asks the file system how much space there is. By the journal's thread: should the disk hang, it does already.
    pub(crate) fn measure(&self) {
        let Ok(stat) = nix::sys::statvfs::statvfs(&self.state_dir) else { return };
        let space = StateSpace {
            available_bytes: stat.blocks_available() * stat.fragment_size(),
            total_bytes: stat.blocks() * stat.fragment_size(),
        };
        *self.space() = Some(space);
    }

    fn space(&self) -> MutexGuard<'_, Option<StateSpace>> {
        self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the last write found no space.
    pub(crate) fn wants_space(&self) -> bool {
        self.wants_space.load(Ordering::Relaxed)
    }

    /// Why nothing new is accepted while there is no space, and the way out.
    pub(crate) fn refusal(&self) -> Failure {
        let text = format!(
            "state_dir {} is full: nothing is accepted or changed until there is space; free some on its file system, \
             and the journal goes on by itself",
            self.state_dir.display()
        );
        Failure::new(ErrorCode::JournalUnavailable, text)
    }

    pub(crate) fn expect_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// What this start found: a journal that was damaged, or none although tablets of these disks were moved before.
    pub(crate) fn found(&self, origin: &Origin, moved_before: bool) {
        *self.loss() = match origin {
            Origin::Created if moved_before => Some(format!(
                "state_dir {} had no journal, although tablets of these disks were moved before; what the disks hold decides",
                self.state_dir.display()
            )),
            origin => origin.loss(),
        };
    }

    fn loss(&self) -> MutexGuard<'_, Option<String>> {
        self.loss.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn view(&self) -> JournalView {
        let space = *self.space();
        let no_space_left = space.is_some_and(|space| space.available_bytes < NO_SPACE_BYTES);
        let failed = self.failed.load(Ordering::Relaxed);
        let full = self.wants_space() || no_space_left;
        let loss = self.loss().clone();
        let trouble = match (failed, full) {
            (true, _) => Some(format!(
                "the journal in state_dir {} has failed: nothing is accepted; check the disk below it, then restart the \
                 daemon",
                self.state_dir.display()
            )),
            (false, true) => Some(self.refusal().message),
            (false, false) => loss.clone(),
        };
        JournalView {
            commit_seconds: self.commits.view(),
            failed,
            full,
            waiting_rows: self.waiting_rows.load(Ordering::Relaxed) as u64,
            lost: loss.is_some(),
            state_dir: self.state_dir.display().to_string(),
            space,
            trouble,
        }
    }
}

/// Says what of the journal could not be read.
pub(crate) fn report_journal(origin: &Origin, damaged_rows: &[String]) {
    if let Some(loss) = origin.loss() {
        tracing::error!("{loss}");
    }
    for row in damaged_rows {
        tracing::error!("a row of the journal cannot be read and is left as it is: {row}");
    }
}

/// Used disks meet a state directory that knows nothing of them: a slip in its path looks like this.
pub(crate) fn warn_of_new_state_dir(config: &config::Config) {
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
