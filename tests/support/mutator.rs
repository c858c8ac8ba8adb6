//! Inputs that are almost right: a seedable mutator over a corpus, for fuzzing without instrumentation.
//!
//! How long it runs says the environment: `TABLETD_FUZZ_ITERATIONS` (default: a second's worth) and
//! `TABLETD_FUZZ_SEED`. Knows no format.

use std::time::{Duration, Instant};

/// Changes made to one input, at most.
const CHANGES_MAX: u64 = 6;
/// Inputs do not grow beyond this many bytes.
const BYTES_MAX: usize = 4096;

/// Bytes that parsers like to stumble over.
const MORSELS: &[&[u8]] = &[
    b"",
    b"\0",
    b"\n",
    b"\r\n",
    b"=",
    b"&",
    b"%",
    b"%00",
    b"%2",
    b"%zz",
    b"%ff",
    b"+",
    b"#",
    b"//",
    b"..",
    b";",
    b",",
    b":",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"${",
    b"${HOME}",
    b"-1",
    b"0",
    b"1e400",
    b"9223372036854775808",
    b"18446744073709551616",
    b"99999999999999999999",
    b"NaN",
    b"true",
    b"null",
    b"\xff\xfe",
    b"\xc3\x28",
    b"\xef\xbb\xbf",
    "\u{202e}".as_bytes(),
    "\u{a0}".as_bytes(),
    b"9999999999999999999999T",
    b"100%",
    b" ",
    b"\t",
];

/// A stream of mutated inputs.
pub(crate) struct Mutator {
    state: u64,
}

impl Mutator {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }

    /// One of a list.
    pub(crate) fn pick<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.below(list.len())]
    }

    /// An input of the corpus, changed in some places.
    pub(crate) fn mutate(&mut self, corpus: &[&[u8]]) -> Vec<u8> {
        let mut bytes = self.pick(corpus).to_vec();
        for _ in 0..1 + self.next() % CHANGES_MAX {
            let at = self.below(bytes.len() + 1);
            let len = self.below(16.min(bytes.len() - at) + 1);
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 => drop(bytes.drain(at..at + len)),
                2 => {
                    let again = bytes[at..at + len].to_vec();
                    drop(bytes.splice(at..at, again));
                }
                3 => bytes.truncate(at),
                4 => {
                    let other = self.pick(corpus);
                    let from = self.below(other.len() + 1);
                    drop(bytes.splice(at.., other[from..].iter().copied()));
                }
                _ => {
                    let morsel = *self.pick(MORSELS);
                    drop(bytes.splice(at..at + len, morsel.iter().copied()));
                }
            }
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }
}

/// Calls `one` as often as the environment says, else for about a second. What it panics over is said by its seed.
pub(crate) fn fuzz(name: &str, mut one: impl FnMut(&mut Mutator)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("TABLETD_FUZZ_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0 >> 16);
    let wanted = number("TABLETD_FUZZ_ITERATIONS");
    let begun = Instant::now();
    let mut done = 0;
    while wanted.map_or(begun.elapsed() < Duration::from_secs(1), |wanted| done < wanted) {
        let seed = first.wrapping_add(done);
        let held =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(&mut Mutator { state: seed })));
        if let Err(panic) = held {
            eprintln!("{name}: repeat with TABLETD_FUZZ_SEED={seed} TABLETD_FUZZ_ITERATIONS=1");
            std::panic::resume_unwind(panic);
        }
        done += 1;
    }
    println!(
        "{name}: {done} inputs from seed {first}, {:.0} per second",
        done as f64 / begun.elapsed().as_secs_f64()
    );
}
