//! How often a run made each system call: the list of places where it can be hurt.
//!
//! Reads logs that `strace -f -o` wrote. strace counts `when=` per thread, so the counts are kept per thread too.

use std::collections::BTreeMap;

/// Calls of one run: name, then thread, then how many.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Census(BTreeMap<String, BTreeMap<u32, u64>>);

impl Census {
    /// Counts the calls in a log. A call that was interrupted in the log by another thread counts once.
    pub(crate) fn of_log(log: &str) -> Self {
        let mut census = Self::default();
        for (thread, name) in log.lines().filter_map(call) {
            *census.0.entry(name.to_owned()).or_default().entry(thread).or_default() += 1;
        }
        census
    }

    /// How many places a fault in this call can be put: the most that any one thread made of it.
    /// `when=k` then reaches the k-th call of *every* thread that makes that many.
    pub(crate) fn places(&self, name: &str) -> u64 {
        self.0.get(name).and_then(|threads| threads.values().copied().max()).unwrap_or(0)
    }

    /// Calls of this name in all threads together.
    pub(crate) fn total(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |threads| threads.values().sum())
    }
}

/// The thread and the name, if the line begins a call: `1234 openat(AT_FDCWD, ...`.
fn call(line: &str) -> Option<(u32, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (name, _) = rest.trim_start().split_once('(')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    Some((thread.parse().ok()?, is_name.then_some(name)?))
}

/// How many faults a log says were delivered. A kill counts once, however many threads died of it.
pub(crate) fn hits(log: &str) -> usize {
    const MARKS: [&str; 2] = ["(INJECTED", "(DELAYED"];
    let marked = log.lines().filter(|line| MARKS.iter().any(|mark| line.contains(mark))).count();
    marked + usize::from(log.contains("+++ killed by SIGKILL"))
}
