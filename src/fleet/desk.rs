//! Where every change of the fleet is made: decided on what is known, committed under the leadership that decides, and
//! only then known.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::refusal::Refusal;
use super::state::{AUDIT_MAX, AuditLine, FORMAT, Kept, Key, Meta, State, set};
use crate::api::wire::Timestamp;
use crate::members::{CallError, Credentials, DiskSeen, Driver, Identity, Reach};
use crate::model::TimestampMs;
use crate::model::fleet::Member;
use crate::store::{
    Change, Changes, Expect, LEASE, Leader, Leadership, Moment, Process, Record, Standing, Store, StoreError,
};

/// How a member was seen last. In memory only: the member knows it better.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) asked_ms: Option<TimestampMs>,
    pub(super) answered_ms: Option<TimestampMs>,
    pub(super) identity: Identity,
    pub(super) disks: Vec<DiskSeen>,
    /// What is wrong; empty where nothing is.
    pub(super) error: String,
    /// It is not the node that was added.
    pub(super) is_another: bool,
    /// When the counters of its part were written down last.
    pub(super) counters_saved: Option<Instant>,
}

impl Seen {
    /// Whether it answered as it should when it was asked last.
    pub(super) fn is_online(&self) -> bool {
        self.answered_ms.is_some() && self.error.is_empty()
    }
}

/// What a change comes to: records, who is told, and a line of the audit.
pub(super) struct Made<T> {
    pub(super) changes: Vec<Change>,
    pub(super) answer: T,
    /// What was done, in words; nothing is written down where it is empty.
    pub(super) what: String,
}

/// The fleet, as one process has it.
pub struct Desk {
    store: Box<dyn Store>,
    process: Process,
    reach: Reach,
    poll: Duration,
    state: Mutex<State>,
    standing: Mutex<Standing>,
    trouble: Mutex<Option<String>>,
    seen: Mutex<BTreeMap<String, Seen>>,
    /// Held while something is committed: decisions are made one after the other.
    writing: Mutex<()>,
    audit_lines: AtomicU64,
    stopping: AtomicBool,
    /// Until then another process may lead.
    standing_back: Mutex<Option<Moment>>,
    woken: (Mutex<bool>, Condvar),
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// A process called `process`, which remembers in `store`.
    pub fn new(
        store: Box<dyn Store>,
        process: Process,
        credentials: Credentials,
        poll: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            process,
            reach: Reach::new(credentials),
            poll,
            state: Mutex::default(),
            standing: Mutex::new(Standing::Follows(None)),
            trouble: Mutex::default(),
            seen: Mutex::default(),
            writing: Mutex::default(),
            audit_lines: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            standing_back: Mutex::default(),
            woken: (Mutex::new(false), Condvar::new()),
        })
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(super) const fn process(&self) -> &Process {
        &self.process
    }

    /// Has `work` talk to a member.
    ///
    /// # Errors
    /// What it says, or that there is no way to the member.
    pub(super) fn talk<T>(
        &self,
        member: &Member,
        work: impl FnOnce(&dyn Driver) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let leads = || self.leadership().is_some();
        work(&*self.reach.driver(member, &leads)?)
    }

    pub(super) const fn poll(&self) -> Duration {
        self.poll
    }

    /// Reads what is known.
    pub(super) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&locked(&self.state))
    }

    /// The leadership of this process, while it may be believed.
    pub(super) fn leadership(&self) -> Option<Leadership> {
        match &*locked(&self.standing) {
            Standing::Leads(leadership) if !leadership.believed_until.has_passed() => {
                Some(leadership.clone())
            }
            _ => None,
        }
    }

    /// Who leads, as far as this process knows.
    pub(super) fn leader(&self) -> Option<Leader> {
        match &*locked(&self.standing) {
            Standing::Leads(leadership) if !leadership.believed_until.has_passed() => {
                Some(leadership.of(&self.process))
            }
            Standing::Leads(_) => None,
            Standing::Follows(leader) => leader.clone(),
        }
    }

    pub(super) fn set_standing(&self, standing: Standing) {
        *locked(&self.standing) = standing;
        self.wake();
    }

    /// Lets others lead, for as long as a lease lasts. The keeper gives leadership up: it may be renewing it just now.
    pub(super) fn stand_back(&self) {
        *locked(&self.standing_back) = Some(Moment::now().after(LEASE));
        self.set_standing(Standing::Follows(None));
    }

    /// Whether it is the turn of others.
    pub(super) fn stands_back(&self) -> bool {
        locked(&self.standing_back).is_some_and(|until| !until.has_passed())
    }

    pub(super) fn trouble(&self) -> Option<String> {
        locked(&self.trouble).clone()
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *locked(&self.trouble) = trouble;
    }

    /// How a member was seen last.
    pub(super) fn seen(&self, member: &str) -> Seen {
        locked(&self.seen).get(member).cloned().unwrap_or_default()
    }

    /// Notes how a member is seen; `None` forgets it.
    pub(super) fn note_seen(&self, member: &str, change: impl FnOnce(&mut Seen)) {
        change(locked(&self.seen).entry(member.to_owned()).or_default());
    }

    /// Everything is looked at anew: after a change of its address it may be another.
    pub(super) fn forget_seen(&self, member: &str) {
        locked(&self.seen).remove(member);
        self.wake();
    }

    /// Has the loops look at once.
    pub(super) fn wake(&self) {
        *locked(&self.woken.0) = true;
        self.woken.1.notify_all();
    }

    /// Waits for a while, or until there is something to do.
    pub(super) fn rest(&self, time: Duration) {
        let woken = locked(&self.woken.0);
        let mut woken = self
            .woken
            .1
            .wait_timeout_while(woken, time, |woken| !*woken)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        *woken = false;
    }

    /// Ends the loops.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Whether the loops are to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Makes one change: `make` decides on what is known, and what it decides is committed whole or not at all.
    ///
    /// # Errors
    /// What `make` says; [`Refusal`] when this process does not lead, or the store does not take it.
    pub(super) fn change<T>(
        &self,
        by: &str,
        reason: &str,
        make: impl FnOnce(&State) -> Result<Made<T>, Refusal>,
    ) -> Result<T, Refusal> {
        let _one_at_a_time = locked(&self.writing);
        let leadership = self.leadership().ok_or_else(Refusal::no_leader)?;
        let Made { mut changes, answer, what } = self.read(make)?;
        let line = (!what.is_empty()).then(|| AuditLine {
            at_ms: Timestamp::now().0,
            by: by.to_owned(),
            what,
            reason: reason.to_owned(),
            epoch: leadership.epoch,
        });
        changes.extend(line.iter().flat_map(|line| self.audit(line)));
        if !changes.is_empty() {
            self.commit(&leadership, &changes)?;
        }
        // Not before: what was not written has not happened.
        if let Some(AuditLine { by, what, reason, .. }) = line {
            let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            tracing::info!(%by, "{what}{because}");
        }
        Ok(answer)
    }

    fn audit(&self, line: &AuditLine) -> Vec<Change> {
        let number = self.audit_lines.fetch_add(1, Ordering::Relaxed);
        let key = Key::Audit(format!("{:010}.{number:010}", line.epoch));
        let mut changes = vec![set(&key, None::<&Kept<AuditLine>>, line)];
        let oldest = self.read(|state| {
            let full = state.audit.len() >= AUDIT_MAX;
            state.audit.front().filter(|_| full).map(|(at, _)| Key::Audit(at.clone()))
        });
        changes.extend(oldest.map(|key| Change { key: key.text(), value: None, expect: Expect::Any }));
        changes
    }

    fn commit(&self, leadership: &Leadership, changes: &[Change]) -> Result<(), StoreError> {
        let committed = self.store.commit(leadership, changes);
        match &committed {
            Ok(revision) => {
                let mut state = locked(&self.state);
                for change in changes {
                    let record = change.value.as_ref();
                    let record = record.map(|value| Record { value: value.clone(), revision: *revision });
                    state.fold(&change.key, record.as_ref());
                }
                state.revision = *revision;
                drop(state);
                self.wake();
            }
            Err(StoreError::NotLeading) => {
                tracing::warn!("the store refuses this process's epoch {}: it steps down", leadership.epoch);
                self.set_standing(Standing::Follows(None));
            }
            // Whether it was written is seen by looking.
            Err(StoreError::Unknown(_) | StoreError::Unavailable(_) | StoreError::Conflict(_)) => {
                if let Err(error) = self.read_again() {
                    tracing::warn!("after a write of unknown outcome the store cannot be read: {error}");
                    self.set_trouble(Some(error.to_string()));
                    self.set_standing(Standing::Follows(None));
                }
            }
            Err(_) => {}
        }
        committed.map(drop)
    }

    /// Takes a snapshot.
    pub(super) fn read_again(&self) -> Result<(), StoreError> {
        let snapshot = self.store.snapshot()?;
        *locked(&self.state) = State::of(&snapshot);
        Ok(())
    }

    /// Follows what others write.
    pub(super) fn follow(&self, wait: Duration) -> Result<(), StoreError> {
        let from = self.read(|state| state.revision);
        match self.store.changes_after(from, wait)? {
            Changes::Compacted => self.read_again(),
            Changes::Some(changes, revision) => {
                let mut state = locked(&self.state);
                for (key, record) in &changes {
                    state.fold(key, record.as_ref());
                }
                state.revision = revision;
                Ok(())
            }
        }
    }

    /// What a fresh leader does first: it says so, and gives a fleet without an identity one. Everything was read before it
    /// led: from then on others of its threads write, and a snapshot would take back what they have done meanwhile.
    pub(super) fn take_over(&self) -> Result<(), Refusal> {
        let (name, addr) = (&self.process.name, &self.process.addr);
        self.change(name, "", |state| {
            let meta = state.meta.is_none().then(|| {
                let fleet = uuid::Uuid::new_v4().to_string();
                let meta = Meta { format: FORMAT, fleet, next_campaign: 1, prometheus: None, grafana: None };
                set(&Key::Meta, None::<&Kept<Meta>>, &meta)
            });
            let what = format!("{name} at {addr} leads");
            Ok(Made { changes: meta.into_iter().collect(), answer: (), what })
        })
    }

    /// Every member.
    pub(super) fn members(&self) -> Vec<Member> {
        self.read(|state| state.members.values().map(|kept| kept.value.clone()).collect())
    }
}
