//! Locks in their order. A thread that takes two locks of the node takes them in the order of [`Rank`]: then no two threads
//! ever wait for each other. Debug builds check it at every lock; release builds do not.

use std::ops::{Deref, DerefMut};

/// The order, outermost first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Held as long as a disk takes to join or to leave.
    Registering,
    /// The right to say where one migration stands: held as long as the journal takes.
    Turn,
    /// Held over the writing of be_custom.conf. From here on nothing is held over a call on a disk or on the journal.
    BeConf,
    Config,
    Tasks,
    Marks,
    Checks,
    Operations,
    Catalog,
    Board,
    Schedule,
}

impl Rank {
    #[cfg(debug_assertions)]
    const fn as_str(self) -> &'static str {
        match self {
            Self::Registering => "registering",
            Self::Turn => "a turn",
            Self::BeConf => "be.conf",
            Self::Config => "the configuration",
            Self::Tasks => "tasks",
            Self::Marks => "marks",
            Self::Checks => "checks",
            Self::Operations => "operations",
            Self::Catalog => "the catalog",
            Self::Board => "the board",
            Self::Schedule => "the schedule",
        }
    }
}

/// A lock that is held.
pub(crate) struct Held<G> {
    // Let go of before its place is.
    guard: G,
    place: Entered,
}

impl<G> Held<G> {
    /// Takes the lock that has this place.
    pub(crate) fn take(place: Rank, lock: impl FnOnce() -> G) -> Self {
        let place = Entered::enter(place);
        Self { guard: lock(), place }
    }

    /// Lets go of it for a while, as a wait for a bell does.
    pub(crate) fn through(self, wait: impl FnOnce(G) -> G) -> Self {
        Self { guard: wait(self.guard), place: self.place }
    }
}

impl<G: Deref> Deref for Held<G> {
    type Target = G::Target;
    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for Held<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.guard
    }
}

/// A place in the order that this thread has taken, until dropped.
struct Entered(#[cfg(debug_assertions)] Rank);

#[cfg(debug_assertions)]
thread_local! {
    static TAKEN: std::cell::RefCell<Vec<Rank>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl Entered {
    #[cfg(debug_assertions)]
    fn enter(place: Rank) -> Self {
        TAKEN.with_borrow_mut(|taken| {
            if let Some(behind) = taken.iter().find(|held| **held >= place) {
                panic!("{} is locked behind {}", place.as_str(), behind.as_str());
            }
            taken.push(place);
        });
        Self(place)
    }

    #[cfg(not(debug_assertions))]
    const fn enter(_: Rank) -> Self {
        Self()
    }
}

#[cfg(debug_assertions)]
impl Drop for Entered {
    fn drop(&mut self) {
        TAKEN.with_borrow_mut(|taken| {
            if let Some(at) = taken.iter().rposition(|held| *held == self.0) {
                taken.remove(at);
            }
        });
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn locks_are_taken_in_their_order_and_let_go_of_in_any() {
        let first = Held::take(Rank::Catalog, || &1);
        let second = Held::take(Rank::Board, || &2);
        drop(first);
        let third = Held::take(Rank::Schedule, || &3).through(|guard| guard);
        assert_eq!((*second, *third), (2, 3));
        drop((second, third));
        assert_eq!(*Held::take(Rank::Config, || &4), 4);
    }

    #[test]
    #[should_panic(expected = "the catalog is locked behind the board")]
    fn the_other_way_round_is_a_fault() {
        let _board = Held::take(Rank::Board, || &1);
        let _catalog = Held::take(Rank::Catalog, || &2);
    }

    #[test]
    #[should_panic(expected = "the configuration is locked behind the configuration")]
    fn so_is_the_same_one_again() {
        let _first = Held::take(Rank::Config, || &1);
        let _again = Held::take(Rank::Config, || &2);
    }
}
