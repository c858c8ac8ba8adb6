//! One disk while the daemon runs: what it is, how it does, and how its writes become durable.
//!
//! Holds no descriptor: each thread that works on a disk opens the root for itself, in its own table.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use nix::errno::Errno;

use super::clock::to_ms;
use super::disk_calls::{Calls, InCall};
use super::disk_space::SpaceBooks;
use super::grants::Grants;
use super::known_disks::if_lost;
use super::opened::OpenedSlot;
use super::pace_state::Pace;
use super::purging::Purging;
use super::thread::spawn_isolated;
use super::walk::Walk;
use crate::model::{DiskCondition, DiskIndex, DiskRef, ErrorCode, Failure, Medium};
use crate::storage::{NativeStore, Root, RootScan, StorageError, leads_elsewhere};
use crate::transfer::{Limiter, Traffic};

/// Threads that may be at work on one disk for other things than migrations: a bound on what a hung disk can tie up.
const VISITORS_MAX: u64 = 64;

/// What is said of a disk whose file system is read-only.
pub(crate) const TURNED_READ_ONLY: &str = "its file system is read-only: its tablets are served and can be moved away, \
     and nothing is written to it; once it is mounted read-write again it is looked through and taken back by itself";

/// How long the end of a forgotten disk's thread is waited for.
const FORGET_WAIT: Duration = Duration::from_secs(20);

/// One disk.
pub(crate) struct Disk {
    pub(crate) index: DiskIndex,
    pub(crate) path: String,
    pub(crate) medium: Medium,
    /// Set once the root has been opened.
    pub(crate) opened: OpenedSlot,
    pub(crate) limiter: Limiter,
    /// Of the same rate, for what is read back only to compare: it takes nothing from what is copied.
    read_back_limiter: Limiter,
    /// What adaptive throttling makes of it.
    pub(crate) pace: Pace,
    /// Milliseconds copies have waited for the limits of this disk.
    pub(crate) throttled_ms: AtomicU64,
    pub(crate) trash_bytes: AtomicU64,
    /// What is being purged from it.
    pub(crate) purging: Purging,
    /// Migrations that have a barrier of this disk to pass, now or later.
    pub(crate) barriers: AtomicUsize,
    /// Held by the tablet of this disk that is being verified.
    pub(crate) verifying: Mutex<()>,
    /// Held by whoever writes the probe's file.
    pub(crate) probing: Mutex<()>,
    pub(crate) grants: Grants,
    pub(crate) space: SpaceBooks,
    /// What the walk for files without a record has found.
    pub(crate) unrecorded: Walk,
    state: Mutex<State>,
    calls: Calls,
    visitors: AtomicU64,
    forgotten: AtomicBool,
    is_copy: AtomicBool,
    something_aside: AtomicBool,
    /// Raised by every failed sync: whoever wrote since the last good one must not believe its copy.
    write_epoch: AtomicU64,
}

#[derive(Default)]
struct State {
    broken: Option<String>,
    suspect: Option<String>,
    /// Why, while its file system takes no writes, or has not been looked through since it takes them again.
    read_only: Option<String>,
    /// By whom and why, while it is.
    disabled: Option<String>,
    /// It is being looked at whether it can be forgotten.
    leaving: bool,
}

impl Disk {
    pub(crate) fn new(index: DiskIndex, path: String, medium: Medium, rate_bytes_per_sec: u64) -> Self {
        Self {
            index,
            path,
            medium,
            opened: OpenedSlot::default(),
            limiter: Limiter::new(rate_bytes_per_sec),
            read_back_limiter: Limiter::new(rate_bytes_per_sec),
            pace: Pace::default(),
            throttled_ms: AtomicU64::new(0),
            trash_bytes: AtomicU64::new(0),
            purging: Purging::default(),
            barriers: AtomicUsize::new(0),
            verifying: Mutex::default(),
            probing: Mutex::default(),
            grants: Grants::default(),
            space: SpaceBooks::default(),
            unrecorded: Walk::default(),
            state: Mutex::default(),
            calls: Calls::default(),
            visitors: AtomicU64::new(0),
            forgotten: AtomicBool::new(false),
            is_copy: AtomicBool::new(false),
            something_aside: AtomicBool::new(false),
            write_epoch: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may be done with it now. `hang_after` is how long a call may take.
    pub(crate) fn condition(&self, hang_after: Duration) -> DiskCondition {
        let state = self.state();
        if let Some(reason) = &state.broken {
            return DiskCondition::Broken { reason: reason.clone() };
        }
        if let Some((operation, since)) =
            self.calls.oldest().filter(|(_, since)| since.elapsed() >= hang_after)
        {
            let operation = format!("{operation} has not returned for {} s", since.elapsed().as_secs());
            return DiskCondition::Hung { operation };
        }
        if let Some(reason) = &state.read_only {
            return DiskCondition::ReadOnly { reason: reason.clone() };
        }
        match (&state.suspect, &state.disabled) {
            (Some(reason), _) => DiskCondition::Suspect { reason: reason.clone() },
            (None, Some(reason)) => DiskCondition::Disabled { reason: reason.clone() },
            (None, None) if state.leaving => DiskCondition::InTransit { reason: "it is being forgotten" },
            (None, None) => DiskCondition::Online,
        }
    }

    pub(crate) fn mark_broken(&self, reason: impl Into<String>) {
        let reason = reason.into();
        let before = self.state().broken.replace(reason.clone());
        // Said once, not at every look.
        if before.as_ref() != Some(&reason) {
            tracing::error!(disk = self.path, "disk is broken: {reason}");
        }
    }

    /// It is as it was when it was opened.
    pub(crate) fn clear_broken(&self) {
        self.state().broken = None;
    }

    /// Served and moved from, and not written to any more.
    pub(crate) fn mark_read_only(&self, reason: impl Into<String>) {
        let reason = reason.into();
        let before = self.state().read_only.replace(reason.clone());
        if before.as_ref() != Some(&reason) {
            tracing::error!(disk = self.path, "disk is read-only: {reason}");
        }
    }

    /// Takes writes again: it was looked through, and nothing on it contradicts what is known.
    pub(crate) fn clear_read_only(&self) {
        self.state().read_only = None;
    }

    /// Whether nothing may be written to it.
    pub(crate) fn is_read_only(&self) -> bool {
        self.state().read_only.is_some()
    }

    /// Nothing new is copied to it until an operator enables it again, or the daemon starts anew.
    pub(crate) fn mark_suspect(&self, reason: impl Into<String>) {
        let reason = reason.into();
        tracing::error!(disk = self.path, "disk is suspect: {reason}");
        self.state().suspect.get_or_insert(reason);
    }

    /// Takes it out of service, with the reason, or back in; returns how it was.
    pub(crate) fn set_disabled(&self, because: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.state().disabled, because)
    }

    /// Whether nothing new may begin on it because it is to be forgotten. What an operator says of it meanwhile is said
    /// beside this.
    pub(crate) fn set_leaving(&self, leaving: bool) {
        self.state().leaving = leaving;
    }

    /// Whether it is being looked at whether it can be forgotten.
    pub(crate) fn is_leaving(&self) -> bool {
        self.state().leaving
    }

    /// Notes what a scan has found beside live tablets.
    pub(crate) fn note_scan(&self, scan: &RootScan) {
        let headers = scan.trash.iter().filter_map(|item| item.header);
        self.trash_bytes.store(headers.map(|header| header.size_bytes).sum(), Ordering::Relaxed);
        self.something_aside.store(!scan.trash.is_empty() || !scan.quarantined.is_empty(), Ordering::Relaxed);
    }

    /// Notes that something was put into trash or quarantine.
    pub(crate) fn note_something_aside(&self) {
        self.something_aside.store(true, Ordering::Relaxed);
    }

    /// Whether it had something in trash or quarantine when it was scanned, or has got something since.
    pub(crate) fn had_something_aside(&self) -> bool {
        self.something_aside.load(Ordering::Relaxed)
    }

    /// Nothing is done with it any more: its threads end, and its lock and its descriptors go.
    pub(crate) fn forget(&self) {
        self.forgotten.store(true, Ordering::SeqCst);
        self.mark_broken("it was forgotten by an operator");
        if let Some(opened) = self.opened.get() {
            // Wakes the thread that holds the root open, so that the file system can be unmounted.
            let (reply, answer) = mpsc::sync_channel(1);
            if opened.syncs.send(reply).is_ok() {
                let _ = answer.recv_timeout(FORGET_WAIT);
            }
        }
    }

    /// Lets go of a file system that is no longer at the disk's path: what is in flight on it fails, and it can be
    /// unmounted. Whether its path leads elsewhere since it was opened, or nothing is held of it.
    pub(crate) fn let_go_if_elsewhere(&self) -> bool {
        let Some(opened) = self.opened.get() else { return false };
        if self.opened.is_let_go() {
            return true;
        }
        let is_elsewhere = {
            let _call = self.enter("a look at the root");
            leads_elsewhere(&self.path, &opened.identity)
        };
        drop(opened);
        if is_elsewhere && self.opened.let_go() {
            self.write_epoch.fetch_add(1, Ordering::SeqCst);
            tracing::warn!(disk = self.path, "its path leads elsewhere: what was opened there is let go of");
        }
        is_elsewhere
    }

    /// It is a second one of a disk that serves: left out, for whatever is on it.
    pub(crate) fn leave_out_as_copy(&self, reason: String) {
        self.is_copy.store(true, Ordering::SeqCst);
        self.mark_broken(reason);
    }

    /// Whether it is a second one of a disk that serves.
    pub(crate) fn is_copy(&self) -> bool {
        self.is_copy.load(Ordering::SeqCst)
    }

    /// Whether it is only kept for its number.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::SeqCst)
    }

    /// Whether an operator took it out of service.
    pub(crate) fn is_disabled(&self) -> bool {
        self.state().disabled.is_some()
    }

    /// Back into service, after a probe went well.
    pub(crate) fn clear_suspicion(&self) {
        let mut state = self.state();
        state.suspect = None;
        state.disabled = None;
    }

    /// Identity and path, as a migration names it; `None` while the root has never been opened.
    pub(crate) fn reference(&self) -> Option<DiskRef> {
        self.opened.get().map(|opened| DiskRef { uuid: opened.identity.uuid, path: self.path.clone() })
    }

    /// Opens the root for the calling thread, which must have a descriptor table of its own.
    ///
    /// # Errors
    /// The disk was never opened, or another directory is at its path now.
    pub(crate) fn open(&self) -> Result<(Root, NativeStore), Failure> {
        let opened = self.opened.get().ok_or_else(|| {
            let condition = self.condition(Duration::MAX);
            Failure::new(
                ErrorCode::DiskUnavailable,
                format!(
                    "disk {} is {}: {}; {}",
                    self.path,
                    condition.as_str(),
                    condition.reason(),
                    if_lost(&self.path)
                ),
            )
        })?;
        let _call = self.enter("open");
        let root = Root::reopen(&self.path, &opened.identity)?;
        let store = NativeStore::open(root.dir())?;
        Ok((root, store))
    }

    /// Another limit for what is copied from and to it; who waits feels it at once.
    pub(crate) fn set_rate(&self, rate_bytes_per_sec: u64) {
        self.limiter.set_rate(rate_bytes_per_sec);
        self.read_back_limiter.set_rate(rate_bytes_per_sec);
    }

    /// Waits for both limits of the disk, the one that is set for such traffic and the one that adapts; returns for how
    /// long.
    ///
    /// # Errors
    /// What `go_on` said.
    pub(crate) fn take<E>(
        &self,
        traffic: Traffic,
        bytes: u64,
        go_on: impl Fn() -> Result<(), E>,
    ) -> Result<Duration, E> {
        let set = match traffic {
            Traffic::Copy => &self.limiter,
            Traffic::ReadBack => &self.read_back_limiter,
        };
        let waited = set.take(bytes, &go_on)? + self.pace.take(bytes, &go_on)?;
        self.throttled_ms.fetch_add(to_ms(waited), Ordering::Relaxed);
        Ok(waited)
    }

    /// Notes that this thread is about to make a call that can hang with the disk.
    pub(crate) fn enter(&self, operation: &'static str) -> InCall<'_> {
        self.calls.enter(operation)
    }

    /// As [`Disk::enter`], where a guard cannot be kept.
    pub(crate) fn begin_call(&self, operation: &'static str) -> u64 {
        self.calls.begin(operation)
    }

    /// Ends what [`Disk::begin_call`] began.
    pub(crate) fn end_call(&self, token: u64) {
        self.calls.end(token);
    }

    /// Number of failed syncs so far.
    pub(crate) fn write_epoch(&self) -> u64 {
        self.write_epoch.load(Ordering::SeqCst)
    }

    /// A sync failed somewhere on this disk: every copy in flight on it fails, and it takes no new ones.
    pub(crate) fn sync_failed(&self, why: &str) {
        self.write_epoch.fetch_add(1, Ordering::SeqCst);
        self.mark_suspect(why.to_owned());
    }

    /// Its file system takes no writes any more: every copy in flight on it fails, as after a failed sync.
    pub(crate) fn turned_read_only(&self) {
        self.write_epoch.fetch_add(1, Ordering::SeqCst);
        self.mark_read_only(TURNED_READ_ONLY);
    }
}

/// Runs `work`, a few short calls, with the disk's root opened, on a thread of its own, and waits at most `wait`.
///
/// # Errors
/// The disk cannot be opened, did not answer in time, or has too many such threads already: a hung disk costs its own
/// callers a refusal and nobody else anything.
pub(crate) fn visit<T: Send + 'static>(
    disk: &Arc<Disk>,
    wait: Duration,
    work: impl FnOnce(&Root, &NativeStore) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let owned = Arc::clone(disk);
    stay(disk, wait, move |root, store| {
        let _call = owned.enter("a request");
        work(root, store)
    })
}

/// As [`visit`], for work that takes long on a disk in good health, and notes its calls itself: a disk is hung when one
/// call does not return, not when a tablet is large.
///
/// # Errors
/// As [`visit`].
pub(crate) fn stay<T: Send + 'static>(
    disk: &Arc<Disk>,
    wait: Duration,
    work: impl FnOnce(&Root, &NativeStore) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (sender, answer) = mpsc::sync_channel(1);
    if disk.visitors.fetch_add(1, Ordering::SeqCst) >= VISITORS_MAX {
        disk.visitors.fetch_sub(1, Ordering::SeqCst);
        let why = format!("{VISITORS_MAX} calls are waiting for disk {} already", disk.path);
        return Err(Failure::new(ErrorCode::DiskUnavailable, why));
    }
    let owned = Arc::clone(disk);
    let spawned = spawn_isolated("disk-visit", move || {
        let done = owned.open().and_then(|(root, store)| work(&root, &store));
        owned.visitors.fetch_sub(1, Ordering::SeqCst);
        // Who asked may have given up.
        let _ = sender.send(done);
    });
    if let Err(failure) = spawned {
        disk.visitors.fetch_sub(1, Ordering::SeqCst);
        return Err(failure);
    }
    answer.recv_timeout(wait).map_err(|_| {
        let why = format!("disk {} did not answer within {} s", disk.path, wait.as_secs());
        Failure::new(ErrorCode::DiskUnavailable, why)
    })?
}

/// What a storage error means for the disk it came from: a failed sync, a read-back that differs or a vanished root is
/// not the tablet's fault.
pub(crate) fn note_storage_error(disk: &Disk, error: &StorageError) {
    match error {
        StorageError::Disk(error) if error.errno == Errno::EROFS => disk.turned_read_only(),
        StorageError::Disk(error) if error.is_sync() && error.code() == ErrorCode::SyncFailed => {
            disk.sync_failed(&error.to_string());
        }
        StorageError::ReadBack { .. } => disk.mark_suspect(error.to_string()),
        StorageError::Changed { .. } => disk.mark_broken(error.to_string()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_not_forgotten_after_all_is_as_operators_have_left_it() {
        let disk = Disk::new(DiskIndex(0), "/d0".to_owned(), Medium::Ssd, 0);
        disk.set_leaving(true);
        assert_eq!(disk.condition(Duration::MAX).as_str(), "disabled");
        assert!(!disk.is_disabled(), "what is being copied to it is not paused for a question");
        disk.set_disabled(Some("by ops".to_owned()));
        disk.set_leaving(false);
        assert_eq!(disk.condition(Duration::MAX).reason(), "by ops");
    }
}
