//! The feeds of all members: what a BE has no memory for. Of a cluster, one copy of a tablet is in motion at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::fleet::{Member, PartCounters, Progress};
use crate::model::{TabletId, TaskId, TaskStatus, TimestampMs};
use crate::rules::fleet::be::{Feed, Mode, Move, Next, Standing};

/// A part that failed leaves behind what it had asked; no other copy waits for that longer than this.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

struct Kept {
    key: String,
    cluster: String,
    feed: Feed,
    touched: Instant,
}

/// A plan that was made and is not carried out yet.
struct Plan {
    fingerprint: u32,
    moves: Vec<Move>,
    at_once: usize,
}

/// By member.
#[derive(Default)]
pub(in crate::members) struct Feeds {
    feeds: Mutex<BTreeMap<String, Kept>>,
    plans: Mutex<BTreeMap<String, Plan>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number under which the fleet knows the feed of a key; a BE has none.
fn number_of(key: &str) -> TaskId {
    TaskId(crc32fast::hash(key.as_bytes()).into())
}

impl Feeds {
    pub(super) fn remember_plan(&self, member: &Member, fingerprint: u32, moves: Vec<Move>, at_once: usize) {
        locked(&self.plans).insert(member.name.clone(), Plan { fingerprint, moves, at_once });
    }

    pub(super) fn has_plan(&self, member: &Member, fingerprint: u32) -> bool {
        locked(&self.plans).get(&member.name).is_some_and(|plan| plan.fingerprint == fingerprint)
    }

    /// The plan that was remembered becomes the feed of `key`.
    pub(super) fn place(&self, member: &Member, key: &str) -> Option<Progress> {
        let Plan { moves, at_once, .. } = locked(&self.plans).remove(&member.name)?;
        let feed = Feed { mode: Mode::Stopped, moves, at_once, stopped_by: None };
        let cluster = member.cluster.clone();
        let kept = Kept { key: key.to_owned(), cluster, feed, touched: Instant::now() };
        let progress = progress(&kept);
        locked(&self.feeds).insert(member.name.clone(), kept);
        Some(progress)
    }

    pub(super) fn progress_of_key(&self, member: &Member, key: &str) -> Option<Progress> {
        locked(&self.feeds).get(&member.name).filter(|kept| kept.key == key).map(progress)
    }

    pub(super) fn progress(&self, member: &Member, task: TaskId) -> Option<Progress> {
        locked(&self.feeds).get(&member.name).filter(|kept| number_of(&kept.key) == task).map(progress)
    }

    pub(super) fn with(&self, member: &Member, change: impl FnOnce(&mut Feed)) {
        if let Some(kept) = locked(&self.feeds).get_mut(&member.name) {
            change(&mut kept.feed);
        }
    }

    pub(super) fn is_stopped(&self, member: &Member) -> bool {
        locked(&self.feeds).get(&member.name).is_none_or(|kept| kept.feed.stopped_by.is_some())
    }

    /// What is asked of the member now. Whoever is to run is taken to be in motion from here on, so that no other member's
    /// copy begins meanwhile.
    pub(super) fn round(&self, member: &Member, task: TaskId, now: TimestampMs) -> Option<Vec<(Next, Move)>> {
        let mut feeds = locked(&self.feeds);
        let elsewhere = in_motion_elsewhere(&feeds, member);
        let kept = feeds.get_mut(&member.name).filter(|kept| number_of(&kept.key) == task)?;
        kept.touched = Instant::now();
        let next = kept.feed.next(now, |tablet| !elsewhere.contains(&tablet));
        let round = next.iter().map(|next| {
            let (Next::Look(at) | Next::Status(at) | Next::Run(at)) = *next;
            (*next, kept.feed.moves[at].clone())
        });
        let round = round.collect();
        for next in next {
            if let Next::Run(at) = next {
                kept.feed.about_to_run(at);
            }
        }
        Some(round)
    }
}

/// Tablets of which a copy is in motion at another member of the same cluster. Members that name no cluster are each one of
/// its own.
fn in_motion_elsewhere(feeds: &BTreeMap<String, Kept>, member: &Member) -> BTreeSet<TabletId> {
    let other = |(name, kept): &(&String, &Kept)| {
        **name != member.name
            && !member.cluster.is_empty()
            && kept.cluster == member.cluster
            && kept.touched.elapsed() < LEFT_BEHIND
    };
    feeds.iter().filter(other).flat_map(|(_, kept)| kept.feed.in_motion()).collect()
}

fn progress(kept: &Kept) -> Progress {
    let feed = &kept.feed;
    let status = match feed.mode {
        Mode::Cancelled if feed.is_quiet() => TaskStatus::Cancelled,
        _ if feed.is_over() => TaskStatus::Finished,
        Mode::Stopped => TaskStatus::Stopped,
        Mode::Paused => TaskStatus::Paused,
        Mode::Running | Mode::Cancelled => TaskStatus::Running,
    };
    let mut counters = PartCounters::default();
    for one in &feed.moves {
        counters.moves_total += 1;
        counters.bytes_total += one.bytes;
        match one.standing {
            Standing::Done | Standing::Gone => {
                counters.moves_completed += 1;
                counters.bytes_completed += one.bytes;
            }
            Standing::Failed(_) => counters.moves_failed += 1,
            Standing::Todo(_) | Standing::Asked | Standing::Unsure => {}
        }
    }
    Progress {
        task_id: number_of(&kept.key),
        status,
        was_started: feed.mode != Mode::Stopped,
        counters,
        reason: reason(feed),
        shortfall: feed.stopped_by.clone(),
    }
}

/// What went wrong first, or what is waited for.
fn reason(feed: &Feed) -> String {
    let failed = feed.moves.iter().find_map(|one| match &one.standing {
        Standing::Failed(why) => Some(format!("tablet {}: {why}", one.tablet)),
        _ => None,
    });
    let waits = || {
        let one = feed.moves.iter().find(|one| !one.standing.is_over() && !one.said.is_empty())?;
        Some(format!("tablet {} is tried again: {}", one.tablet, one.said))
    };
    failed.or_else(waits).unwrap_or_default()
}
