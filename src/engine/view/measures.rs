//! What is counted and measured: distributions, and how the journal does.

/// The journal, as its thread sees it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JournalView {
    /// What its commits took, each with one sync.
    pub commit_seconds: HistogramView,
    /// It failed, and takes nothing more until a restart.
    pub failed: bool,
    /// There is no space below it: nothing new is accepted until there is, and then it goes on by itself.
    pub full: bool,
    /// Rows that wait for space.
    pub waiting_rows: u64,
    /// This start found it damaged, or none although tablets of these disks were moved before.
    pub lost: bool,
    /// The directory it is in.
    pub state_dir: String,
    /// What the file system of that directory has left, and its size; nothing before it was measured.
    pub space: Option<StateSpace>,
    /// What is wrong, with the way out; nothing on a good day.
    pub trouble: Option<String>,
}

/// What the file system of the state directory has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateSpace {
    /// Bytes that can be written.
    pub available_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// What was counted so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HistogramView {
    /// Upper ends of the classes, rising; a last class without one follows.
    pub bounds: &'static [f64],
    /// How many fell into each class, `bounds.len() + 1` of them.
    pub counts: Vec<u64>,
    /// Sum of all that was counted.
    pub sum: f64,
}

impl HistogramView {
    /// One in which nothing was counted yet.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(crate) fn count(&mut self, value: f64) {
        let class = self.bounds.partition_point(|bound| *bound < value);
        self.counts[class] += 1;
        self.sum += value;
    }
}
