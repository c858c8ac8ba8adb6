//! The moves of one part on one BE, which has no queue, no list and no progress of its own: what is asked next, and what its
//! answers come to. A BE takes few at once; what it was not asked it cannot do, so that a pause is felt after those.
//!
//! Nothing of it is durable. After a crash the plan is made anew from where the tablets are.

use super::answer::Answer;
use crate::model::{TabletId, TimestampMs, counted};

/// Tries of a move that a BE puts off.
pub const TRIES_MAX: u32 = 8;
/// The longest a try is put off.
const PAUSE_MAX_MS: i64 = 60_000;

/// Where one move stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not asked before this moment.
    Todo(TimestampMs),
    /// The BE has taken it in this life of ours.
    Asked,
    /// It may have been asked or done; only where the tablet is decides.
    Unsure,
    /// Done.
    Done,
    /// The tablet went by itself.
    Gone,
    /// Given up, for this.
    Failed(String),
}

impl Standing {
    /// Whether it never goes on.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Gone | Self::Failed(_))
    }

    const fn is_in_motion(&self) -> bool {
        matches!(self, Self::Asked | Self::Unsure)
    }
}

/// One move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Which tablet.
    pub tablet: TabletId,
    /// Its schema hash, where it is known.
    pub schema_hash: Option<i32>,
    /// Its partition, for looking where it is.
    pub partition: i64,
    /// To which disk, as the BE writes it.
    pub destination: String,
    /// Its size when it was planned.
    pub bytes: u64,
    /// Where it stands.
    pub standing: Standing,
    /// How often it was put off.
    pub tries: u32,
    /// What the BE said last.
    pub said: String,
}

/// What the feed was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Not begun.
    Stopped,
    /// It goes on.
    Running,
    /// Nothing new is asked.
    Paused,
    /// Nothing new is asked any more.
    Cancelled,
}

/// Where a tablet was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the disk where it was to go.
    Destination,
    /// On another one.
    Elsewhere,
    /// On none.
    Nowhere,
}

/// What is asked next of the BE, by the number of the move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Where the tablet is.
    Look(usize),
    /// `goal=status`.
    Status(usize),
    /// `goal=run`.
    Run(usize),
}

/// The moves of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// What it was told.
    pub mode: Mode,
    /// The moves, in the order in which they are asked.
    pub moves: Vec<Move>,
    /// Moves that the BE has at once.
    pub at_once: usize,
    /// A disk is at fault: nothing further is asked.
    pub stopped_by: Option<String>,
}

impl Feed {
    /// What to ask now, in this order. `is_free` says whether no other copy of the tablet is in motion in its cluster.
    pub fn next(&self, now: TimestampMs, is_free: impl Fn(TabletId) -> bool) -> Vec<Next> {
        let standing = |wanted: Standing| {
            let all = self.moves.iter().enumerate();
            all.filter(move |(_, one)| one.standing == wanted).map(|(at, _)| at)
        };
        let looks = standing(Standing::Unsure).map(Next::Look);
        let asked = standing(Standing::Asked).map(Next::Status);
        let mut next: Vec<_> = looks.chain(asked).collect();
        if self.mode == Mode::Running && self.stopped_by.is_none() {
            let room = self.at_once.saturating_sub(next.len());
            let due = self.moves.iter().enumerate().filter(|(_, one)| match one.standing {
                Standing::Todo(from) => from <= now && is_free(one.tablet),
                _ => false,
            });
            next.extend(due.map(|(at, _)| Next::Run(at)).take(room));
        }
        next
    }

    /// Tablets that may be in motion.
    pub fn in_motion(&self) -> impl Iterator<Item = TabletId> {
        self.moves.iter().filter(|one| one.standing.is_in_motion()).map(|one| one.tablet)
    }

    /// Nothing is under way at the BE.
    pub fn is_quiet(&self) -> bool {
        self.in_motion().next().is_none()
    }

    /// Nothing is left to be asked, or nothing further is.
    pub fn is_over(&self) -> bool {
        let all = self.moves.iter().all(|one| one.standing.is_over());
        all || (self.stopped_by.is_some() && self.is_quiet())
    }

    /// A call is about to be made whose answer may be lost.
    pub fn about_to_run(&mut self, at: usize) {
        self.moves[at].standing = Standing::Unsure;
    }

    /// The call was not made after all.
    pub fn not_asked(&mut self, at: usize, now: TimestampMs) {
        self.moves[at].standing = Standing::Todo(now);
    }

    /// What `goal=run` or `goal=status` came to.
    pub fn answered(&mut self, at: usize, answer: Answer, now: TimestampMs) {
        let one = &mut self.moves[at];
        let ours = |dest: &Option<String>| dest.as_ref().is_none_or(|dest| *dest == one.destination);
        match answer {
            Answer::UnderWay(dest) if ours(&dest) => one.standing = Standing::Asked,
            Answer::Busy(dest) if dest == one.destination => one.standing = Standing::Asked,
            Answer::Done(dest) if ours(&dest) => one.standing = Standing::Done,
            Answer::UnderWay(_) | Answer::Busy(_) => {
                put_off(one, "another move has the tablet, to another disk", now);
            }
            // Of an earlier move: what was asked now is not known.
            Answer::Done(_) | Answer::Unknown => one.standing = Standing::Unsure,
            Answer::Later(said) => put_off(one, &said, now),
            Answer::Gone(said) => (one.standing, one.said) = (Standing::Gone, said),
            Answer::Never(said) => one.standing = Standing::Failed(said),
            Answer::Disk(said) => {
                self.stopped_by = Some(format!("tablet {} to {}: {said}", one.tablet, one.destination));
                one.standing = Standing::Failed(said);
            }
            Answer::Unsure(said) => (one.standing, one.said) = (Standing::Unsure, said),
        }
    }

    /// Where the tablet of an unsure move was found, and what `goal=status` says of it.
    pub fn found(&mut self, at: usize, place: Place, status: Answer, now: TimestampMs) {
        let one = &mut self.moves[at];
        match (place, status) {
            (Place::Destination, _) => one.standing = Standing::Done,
            (Place::Nowhere, _) => one.standing = Standing::Gone,
            (Place::Elsewhere, Answer::UnderWay(Some(dest))) if dest == one.destination => {
                one.standing = Standing::Asked;
            }
            (Place::Elsewhere, Answer::Never(said)) => one.standing = Standing::Failed(said),
            (Place::Elsewhere, Answer::Disk(said)) => self.answered(at, Answer::Disk(said), now),
            (Place::Elsewhere, Answer::Later(said) | Answer::Unsure(said)) => put_off(one, &said, now),
            (Place::Elsewhere, _) => {
                let said = std::mem::take(&mut one.said);
                put_off(one, if said.is_empty() { "the BE knows nothing of the move" } else { &said }, now);
            }
        }
    }
}

fn put_off(one: &mut Move, said: &str, now: TimestampMs) {
    one.tries += 1;
    said.clone_into(&mut one.said);
    one.standing = if one.tries >= TRIES_MAX {
        Standing::Failed(format!("put off {}, last for: {said}", counted(one.tries, "time")))
    } else {
        let pause = 1000_i64.saturating_mul(1 << one.tries.min(10)).min(PAUSE_MAX_MS);
        Standing::Todo(now.saturating_add(pause))
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed(moves: usize, at_once: usize) -> Feed {
        let one = |number| Move {
            tablet: TabletId(number),
            schema_hash: Some(7),
            partition: 1,
            destination: "/d2".to_owned(),
            bytes: 10,
            standing: Standing::Todo(0),
            tries: 0,
            said: String::new(),
        };
        let moves = (1..=i64::try_from(moves).unwrap()).map(one).collect();
        Feed { mode: Mode::Running, moves, at_once, stopped_by: None }
    }

    fn any_answer() -> impl Strategy<Value = Answer> {
        let text = || "text".to_owned();
        prop::sample::select(vec![
            Answer::UnderWay(None),
            Answer::UnderWay(Some("/d2".to_owned())),
            Answer::UnderWay(Some("/d3".to_owned())),
            Answer::Done(None),
            Answer::Done(Some("/d2".to_owned())),
            Answer::Done(Some("/d3".to_owned())),
            Answer::Busy("/d2".to_owned()),
            Answer::Busy("/d3".to_owned()),
            Answer::Later(text()),
            Answer::Gone(text()),
            Answer::Never(text()),
            Answer::Disk(text()),
            Answer::Unknown,
            Answer::Unsure(text()),
        ])
    }

    #[test]
    fn a_lost_answer_decides_nothing_and_is_settled_by_where_the_tablet_is() {
        let mut feed = feed(1, 1);
        assert_eq!(feed.next(0, |_| true), [Next::Run(0)]);
        feed.about_to_run(0);
        // No answer comes. Nothing is asked to run again before somebody has looked.
        assert_eq!(feed.next(1, |_| true), [Next::Look(0)]);
        assert!(!feed.is_over() && !feed.is_quiet());
        feed.found(0, Place::Elsewhere, Answer::UnderWay(Some("/d2".to_owned())), 2);
        assert_eq!(feed.next(3, |_| true), [Next::Status(0)]);
        // An older move of the same tablet that ended elsewhere is not this one.
        feed.answered(0, Answer::Done(Some("/d3".to_owned())), 4);
        assert_eq!(feed.next(5, |_| true), [Next::Look(0)]);
        feed.found(0, Place::Destination, Answer::Unknown, 6);
        assert!(feed.is_over());
    }

    #[test]
    fn a_disk_at_fault_stops_what_was_not_asked_and_waits_for_what_was() {
        let mut feed = feed(3, 2);
        for at in [0, 1] {
            feed.about_to_run(at);
            feed.answered(at, Answer::UnderWay(None), 1);
        }
        feed.answered(0, Answer::Disk("full".to_owned()), 2);
        assert_eq!(feed.next(3, |_| true), [Next::Status(1)]);
        assert!(!feed.is_over());
        feed.answered(1, Answer::Done(Some("/d2".to_owned())), 4);
        assert!(feed.is_over() && feed.stopped_by.is_some());
    }

    proptest! {
        /// Whatever a BE answers: no more than `at_once` are in motion, nothing runs while it is not to, and a move is done
        /// only by a word that says so or by its place.
        #[test]
        fn whatever_a_be_answers(
            moves in 1..8_usize, at_once in 1..4_usize,
            answers in prop::collection::vec((any_answer(), 0..3_u8, 0..5_u8), 1..120),
        ) {
            let mut feed = feed(moves, at_once);
            let mut now = 0;
            for (answer, place, mode) in answers {
                now += 100_000;
                feed.mode = match mode { 0 => Mode::Paused, 1 => Mode::Cancelled, _ => Mode::Running };
                let next = feed.next(now, |tablet| tablet.0 % 5 != 0);
                prop_assert!(next.len() <= at_once.max(feed.in_motion().count()));
                for next in next {
                    match next {
                        Next::Run(at) => {
                            prop_assert!(feed.mode == Mode::Running && feed.stopped_by.is_none());
                            prop_assert!(feed.moves[at].tablet.0 % 5 != 0, "another copy is in motion");
                            feed.about_to_run(at);
                            prop_assert!(feed.in_motion().count() <= at_once);
                            feed.answered(at, answer.clone(), now);
                        }
                        Next::Status(at) => feed.answered(at, answer.clone(), now),
                        Next::Look(at) => {
                            let place = match place {
                                0 => Place::Destination,
                                1 => Place::Elsewhere,
                                _ => Place::Nowhere,
                            };
                            feed.found(at, place, answer.clone(), now);
                            prop_assert_eq!(feed.moves[at].standing == Standing::Done, place == Place::Destination);
                        }
                    }
                    // A disk at fault stops the rest of this round too.
                    if feed.stopped_by.is_some() {
                        break;
                    }
                }
                prop_assert!(feed.moves.iter().all(|one| one.tries <= TRIES_MAX));
            }
        }
    }
}
