//! Which operation of a fault disk goes wrong, and how. Pure: a rule counts and decides, the server acts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::image::PAGE_SIZE;

/// The operations a disk knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum On {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Flushes of the disk's cache.
    Flush,
    /// All three.
    Any,
}

/// What happens instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    /// The disk answers EIO and does nothing.
    Eio,
    /// A write, or a flush, is answered with success and not done. A read is done.
    Drop,
    /// A flush is answered with EIO *and* what the disk held in its cache is gone. The log starts anew at this point.
    LoseCache,
    /// One bit of the bytes in transit is flipped: of a read after the medium, of a write before it.
    /// The number chooses the bit, modulo the length.
    Flip {
        /// Number of the bit.
        bit: usize,
    },
    /// The operation is done after a while. The disk does one thing at a time, so what queues behind waits too.
    Delay {
        /// How long, in microseconds.
        micros: u64,
    },
    /// The operation is not answered until the rules are cleared; then it is done.
    Hang,
}

/// One fault: "let `skip` matching operations pass, then do this to the next `times`".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    /// The operations it looks at.
    pub(crate) on: On,
    /// Only operations that touch this range of bytes; flushes have no place and match always.
    pub(crate) within: Option<(usize, usize)>,
    /// Only reads and writes of which a page begins with these bytes: finds a file's data wherever a file system puts it.
    pub(crate) holding: Option<Vec<u8>>,
    /// Matching operations to let pass first.
    pub(crate) skip: u64,
    /// Matching operations to hit after that; `None` is all of them.
    pub(crate) times: Option<u64>,
    /// What to do to them.
    pub(crate) action: Action,
    /// Operations hit so far.
    pub(crate) hits: u64,
}

impl Rule {
    /// Every operation of this kind, from now on.
    pub(crate) fn every(on: On, action: Action) -> Self {
        Self { on, within: None, holding: None, skip: 0, times: None, action, hits: 0 }
    }

    /// The next operation of this kind, once.
    pub(crate) fn next(on: On, action: Action) -> Self {
        Self::nth(on, 1, action)
    }

    /// The `k`-th operation of this kind from now, once; the next one is the first.
    pub(crate) fn nth(on: On, k: u64, action: Action) -> Self {
        assert!(k > 0, "the next operation is the first, there is no operation number 0");
        Self { skip: k - 1, times: Some(1), ..Self::every(on, action) }
    }

    /// A disk that answers nothing but EIO any more.
    pub(crate) fn dead() -> Self {
        Self::every(On::Any, Action::Eio)
    }

    /// A disk that answers nothing at all until it is cleared.
    pub(crate) fn hung() -> Self {
        Self::every(On::Any, Action::Hang)
    }

    /// A disk whose operations each take this much longer.
    pub(crate) fn slow(on: On, by: Duration) -> Self {
        let micros = u64::try_from(by.as_micros()).expect("a delay is shorter than 500,000 years");
        Self::every(on, Action::Delay { micros })
    }

    /// The same rule for the bytes `start..end` of the disk only.
    pub(crate) fn only_within(self, start: usize, end: usize) -> Self {
        Self { within: Some((start, end)), ..self }
    }

    /// The same rule for reads and writes of pages that begin with `marker` only.
    pub(crate) fn only_holding(self, marker: &[u8]) -> Self {
        Self { holding: Some(marker.to_vec()), ..self }
    }

    /// Whether this operation is hit. Counts it if it matches.
    fn hits(&mut self, on: On, place: Option<(usize, usize)>, bytes: &[u8]) -> bool {
        let kind_matches = self.on == On::Any || self.on == on;
        let place_matches = match (self.within, place) {
            (Some((start, end)), Some((offset, len))) => offset < end && start < offset + len,
            _ => true,
        };
        let holds = self.holding.as_ref().is_none_or(|marker| marked_pages(bytes, marker).next().is_some());
        if !kind_matches || !place_matches || !holds || self.times == Some(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if let Some(times) = &mut self.times {
            *times -= 1;
        }
        self.hits += 1;
        true
    }
}

/// Offsets of the pages of `bytes` that begin with `marker`. A file system with blocks smaller than a page may put them at
/// any sector.
fn marked_pages<'b>(bytes: &'b [u8], marker: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
    (0..bytes.len()).step_by(512).filter(|&at| bytes[at..].starts_with(marker))
}

/// The action for one operation on `bytes` (none for a flush): the rules are asked in order, the first that hits decides
/// and the rest do not see it. A flip by a rule that looks for a marker lands in a page that has it.
pub(crate) fn decide(
    rules: &mut [Rule],
    on: On,
    place: Option<(usize, usize)>,
    bytes: &[u8],
) -> Option<Action> {
    let rule = rules.iter_mut().find_map(|rule| rule.hits(on, place, bytes).then_some(&*rule))?;
    match (rule.action, &rule.holding) {
        (Action::Flip { bit }, Some(marker)) => {
            let pages: Vec<_> = marked_pages(bytes, marker).collect();
            let page = pages[bit / (PAGE_SIZE * 8) % pages.len()];
            // Behind the end of a file the last page holds nothing that anybody would miss.
            Some(Action::Flip { bit: page * 8 + bit % (512 * 8) })
        }
        (action, _) => Some(action),
    }
}

/// Flips one bit of `bytes`.
pub(crate) fn flip(bytes: &mut [u8], bit: usize) {
    if !bytes.is_empty() {
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}
