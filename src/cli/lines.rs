//! What a command that waits says where no bar is drawn: a line when something happens, and every few seconds a line
//! while only numbers change, so that a log shows both that it lives and how far it is.

use std::time::{Duration, Instant};

use super::args::Output;

/// While only numbers change, a line at most so often.
const EVERY: Duration = Duration::from_secs(5);

/// The lines of one command, on standard error. Programs that read JSON get none.
pub(super) struct Lines {
    wanted: bool,
    told: Option<(Instant, String, String)>,
}

impl Lines {
    /// For a command with `output`, unless a bar is drawn instead.
    pub(super) const fn new(output: Output, bar_is_drawn: bool) -> Self {
        Self { wanted: matches!(output, Output::Text) && !bar_is_drawn, told: None }
    }

    /// Where it stands, and the same with its numbers. Said at once when the first has changed.
    pub(super) fn tell(&mut self, state: &str, line: &str) {
        if self.wanted && self.is_due(state, line, Instant::now()) {
            eprintln!("{line}");
        }
    }

    /// Said whatever was said before.
    pub(super) fn say(&self, line: &str) {
        if self.wanted {
            eprintln!("{line}");
        }
    }

    fn is_due(&mut self, state: &str, line: &str, now: Instant) -> bool {
        let is_due = self.told.as_ref().is_none_or(|(at, last_state, last_line)| {
            last_state != state || (last_line != line && now - *at >= EVERY)
        });
        if is_due {
            self.told = Some((now, state.to_owned(), line.to_owned()));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_told_at_once_and_numbers_now_and_then() {
        let mut lines = Lines::new(Output::Text, false);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        for (at, state, line, told) in [
            (0, "copying", "0 %", true),
            (1, "copying", "1 %", false),
            (5, "copying", "5 %", true),
            (20, "copying", "5 %", false),
            (21, "copying", "6 %", true),
            (22, "ready", "6 %", true),
        ] {
            assert_eq!(lines.is_due(state, line, after(at)), told, "{at} s");
        }
    }
}
