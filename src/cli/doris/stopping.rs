//! When a run on a stopped node ends early: a signal, or the time of day that was said.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Days, Local, NaiveTime};
use nix::sys::signal::{SigHandler, Signal, signal};

use crate::cli::exit::{CliError, Exit};
use crate::model::{ErrorCode, Failure};

static SIGNALLED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_signal(_: libc::c_int) {
    SIGNALLED.store(true, Ordering::Relaxed);
}

/// When to stop.
pub(super) struct Stop {
    at: Option<DateTime<Local>>,
}

impl Stop {
    /// At a signal, and at the next time of day that is said.
    ///
    /// # Errors
    /// Signals cannot be watched for; or there is no such time on that day.
    pub(super) fn at(until: Option<NaiveTime>) -> Result<Self, CliError> {
        let failed = |why: String| CliError::new(Exit::Failed, why);
        for which in [Signal::SIGINT, Signal::SIGTERM] {
            // SAFETY: the handler stores to an atomic, which is safe in a signal handler.
            unsafe { signal(which, SigHandler::Handler(note_signal)) }
                .map_err(|errno| failed(format!("cannot watch for signals: {errno}")))?;
        }
        let at = until.map(|time| {
            next(Local::now(), time).ok_or_else(|| failed(format!("there is no {time} on that day")))
        });
        Ok(Self { at: at.transpose()? })
    }

    /// # Errors
    /// Why the run is to stop.
    pub(super) fn go_on(&self) -> Result<(), Failure> {
        let stop = |why: &str| Err(Failure::new(ErrorCode::ShuttingDown, why));
        if SIGNALLED.load(Ordering::Relaxed) {
            return stop("stopped by a signal; the tablet is where it was");
        }
        match self.at {
            Some(at) if Local::now() >= at => stop("the time is up; the tablet is where it was"),
            _ => Ok(()),
        }
    }
}

/// The next moment after `now` at which a clock shows this time.
fn next(now: DateTime<Local>, time: NaiveTime) -> Option<DateTime<Local>> {
    let today = now.date_naive();
    let day = if time > now.time() { today } else { today.checked_add_days(Days::new(1))? };
    day.and_time(time).and_local_timezone(Local).earliest()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_time_of_day_is_the_next_one_and_ends_the_run_once_it_has_come() {
        let now = Local::now();
        for (ahead_min, at_most_h) in [(1, 1), (90, 2), (-1, 26)] {
            let time = (now + TimeDelta::minutes(ahead_min)).time();
            let Some(at) = next(now, time) else { continue };
            assert!(at > now && at - now <= TimeDelta::hours(at_most_h), "{ahead_min}: {at}");
            assert_eq!(at.time(), time);
            assert_eq!(Stop { at: Some(at) }.go_on(), Ok(()), "{ahead_min}");
        }
        let past = Stop { at: Some(now - TimeDelta::seconds(1)) }.go_on().unwrap_err();
        assert_eq!(past.code, ErrorCode::ShuttingDown);
        assert!(past.message.contains("the tablet is where it was"), "{past}");
    }
}
