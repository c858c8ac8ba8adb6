//! What is known to be wrong with tablets that are served: found by a verification, or by any other read that failed.
//!
//! Two things, and neither changes who owns the tablet: *damaged*, the bytes are wrong; *unreadable*, the disk did not give
//! them. What was found is in the journal, so that the next run of the daemon knows it too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::journal_thread::JournalHandle;
use crate::model::{CheckState, DamagedFile, ErrorCode, Failure, TabletCheck, TabletKey, UnreadableFile};

/// Verifications that are remembered.
const KEPT_MAX: usize = 10_000;
/// Of those that found nothing wrong, as many are forgotten at once.
const FORGOTTEN_AT_ONCE: usize = 1000;
/// Files that are told by name, of each kind.
const NAMED_MAX: usize = 1000;

/// The last verification of each tablet.
pub(crate) type Checks = BTreeMap<TabletKey, Arc<Check>>;

/// One verification.
pub(crate) struct Check {
    seen: Mutex<TabletCheck>,
    /// What an earlier one found: as long as this one has not come to an end of its own, that stands.
    pub(crate) trouble_before: Option<Trouble>,
    /// Read of the file that is being read.
    pub(crate) bytes: AtomicU64,
    pub(crate) ended: Condvar,
}

/// What is wrong with a tablet of this generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) generation: u64,
    pub(crate) kind: TroubleKind,
    /// In words, with what to type.
    pub(crate) why: String,
}

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TroubleKind {
    /// The disk did not give all of it.
    Unreadable,
    /// It is not what it should be.
    Damaged,
}

impl TroubleKind {
    /// What a failed read says of the tablet; `None` where it says nothing.
    pub(crate) const fn of(code: ErrorCode) -> Option<Self> {
        match code {
            ErrorCode::RecordDamaged | ErrorCode::SourceDamaged | ErrorCode::UnexpectedEntry => {
                Some(Self::Damaged)
            }
            ErrorCode::SourceUnreadable => Some(Self::Unreadable),
            _ => None,
        }
    }
}

impl Check {
    /// As it stands.
    pub(crate) fn of(seen: TabletCheck) -> Self {
        Self { seen: seen.into(), trouble_before: None, bytes: AtomicU64::new(0), ended: Condvar::new() }
    }

    /// The same, with what an earlier one found.
    pub(crate) fn after(self, trouble_before: Option<Trouble>) -> Self {
        Self { trouble_before, ..self }
    }

    /// What is known to be wrong, by this verification or the one before it.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let seen = self.lock();
        let kind = match seen.state {
            CheckState::Damaged => TroubleKind::Damaged,
            CheckState::Unreadable => TroubleKind::Unreadable,
            CheckState::Passed => return None,
            CheckState::Never | CheckState::Queued | CheckState::Running | CheckState::Failed => {
                return self.trouble_before.clone();
            }
        };
        Some(Trouble { generation: seen.generation, kind, why: in_words(&seen) })
    }

    /// The kind of it, without the words.
    pub(crate) fn kind(&self) -> Option<TroubleKind> {
        match self.lock().state {
            CheckState::Damaged => Some(TroubleKind::Damaged),
            CheckState::Unreadable => Some(TroubleKind::Unreadable),
            CheckState::Passed => None,
            CheckState::Never | CheckState::Queued | CheckState::Running | CheckState::Failed => {
                self.trouble_before.as_ref().map(|known| known.kind)
            }
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, TabletCheck> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it stands.
    pub(crate) fn view(&self) -> TabletCheck {
        let mut view = self.lock().clone();
        let bytes = view.checked_bytes + self.bytes.load(Ordering::Relaxed);
        view.checked_bytes = bytes.min(view.total_bytes);
        view
    }

    /// Waits so long for its end.
    pub(crate) fn wait(&self, patience: Duration) -> TabletCheck {
        let open = |check: &mut TabletCheck| !check.state.is_settled();
        drop(self.ended.wait_timeout_while(self.lock(), patience, open));
        self.view()
    }

    /// A file is not as the manifest says.
    pub(crate) fn note_damage(&self, name: &str, reason: String) {
        let mut check = self.lock();
        if check.damaged.len() < NAMED_MAX {
            check.damaged.push(DamagedFile { name: name.to_owned(), reason });
        }
    }

    /// A file was not given whole.
    fn note_unreadable(&self, name: &str, reason: String) {
        let mut check = self.lock();
        if check.unreadable.len() < NAMED_MAX {
            check.unreadable.push(UnreadableFile { name: name.to_owned(), reason });
        }
    }

    /// A file, or with its key's name the tablet, could not be read as it must be; whether that says anything of it.
    pub(crate) fn note_failure(&self, name: &str, failure: &Failure) -> bool {
        match TroubleKind::of(failure.code) {
            Some(TroubleKind::Damaged) => self.note_damage(name, failure.message.clone()),
            Some(TroubleKind::Unreadable) => self.note_unreadable(name, failure.message.clone()),
            None => return false,
        }
        true
    }
}

/// A check that nobody has asked for yet.
pub(crate) const fn unasked(key: TabletKey, disk: String) -> TabletCheck {
    TabletCheck {
        key,
        disk,
        generation: 0,
        state: CheckState::Never,
        total_files: 0,
        total_bytes: 0,
        checked_files: 0,
        checked_bytes: 0,
        unrecorded_files: 0,
        cold: None,
        damaged: Vec::new(),
        unreadable: Vec::new(),
        error: None,
        started_ms: None,
        finished_ms: None,
    }
}

/// Makes room for one more, and for others after it: a look at all of them is paid for by the room it makes.
pub(crate) fn forget_oldest(journal: &JournalHandle, checks: &mut Checks) {
    if checks.len() < KEPT_MAX {
        return;
    }
    let ended = checks.iter().filter_map(|(key, check)| {
        let check = check.lock();
        // What was found wrong is remembered longest.
        let is_wrong = matches!(check.state, CheckState::Damaged | CheckState::Unreadable);
        Some((is_wrong, check.finished_ms?, *key))
    });
    let mut ended: Vec<_> = ended.collect();
    ended.sort_unstable();
    let whole = ended.partition_point(|(is_wrong, ..)| !is_wrong);
    for (.., oldest) in ended.into_iter().take(whole.clamp(1, FORGOTTEN_AT_ONCE)) {
        checks.remove(&oldest);
        journal.clear_check(oldest);
    }
}

/// What was found, in a line.
pub(crate) fn in_words(check: &TabletCheck) -> String {
    let named = |word: &str, files: Vec<(&str, &str)>| {
        let shown: Vec<_> = files.iter().take(3).map(|(name, why)| format!("{name} ({why})")).collect();
        let more = files.len().saturating_sub(shown.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{word}: {}{more}; ", shown.join(", "))
    };
    let mut text = String::new();
    if !check.damaged.is_empty() {
        let files = check.damaged.iter().map(|file| (file.name.as_str(), file.reason.as_str()));
        text += &named("damaged", files.collect());
    }
    if !check.unreadable.is_empty() {
        let files = check.unreadable.iter().map(|file| (file.name.as_str(), file.reason.as_str()));
        text += &named("unreadable", files.collect());
    }
    let id = check.key.tablet_id;
    if check.damaged.is_empty() {
        text += &format!("tabletctl tablet verify {id} reads it again, ");
    }
    text + &way_out(check.key) + &format!(", tabletctl tablet salvage {id} --to DISK copies what can be read")
}

/// What to type when a tablet is damaged or cannot be read.
pub(crate) fn way_out(key: TabletKey) -> String {
    let id = key.tablet_id;
    format!("tabletctl tablet heal {id} brings its newest good copy back")
}

/// A failure that is about unreadable bytes, with what to type.
pub(crate) fn with_way_out(key: TabletKey, failure: Failure) -> Failure {
    if failure.code != ErrorCode::SourceUnreadable {
        return failure;
    }
    let id = key.tablet_id;
    let text = format!("{failure}; tabletctl tablet salvage {id} --to DISK copies what can be read");
    Failure::new(failure.code, text)
}
