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
        let at =
            until.map(|time| next(time).ok_or_else(|| failed(format!("there is no {time} on that day"))));
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

/// The next moment at which a clock shows this time.
fn next(time: NaiveTime) -> Option<DateTime<Local>> {
    let now = Local::now();
    let today = now.date_naive();
    let day = if time > now.time() { today } else { today.checked_add_days(Days::new(1))? };
    day.and_time(time).and_local_timezone(Local).earliest()
}
