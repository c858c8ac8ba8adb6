//! Every change of a migration's status, live and at start-up, in one function.

use std::fmt::Write;

use crate::model::Status;

/// What can happen to a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// It holds a slot on both disks.
    Start,
    /// Tablet, disks and space are as they must be.
    PreflightPassed,
    /// Bytes are reserved and staging stands.
    Prepared,
    CopyStarted,
    /// A verified, durable copy stands in staging.
    CopyVerified,
    FinalizeStarted,
    /// The destination owns the tablet and the source is in trash.
    Completed,
    /// It failed and another attempt may help.
    Retry,
    /// It failed for good; what it made is removed.
    Fail,
    /// The daemon stopped or was killed under it; it goes on by itself.
    Interrupted,
    /// An operator stops it for a while.
    Pause,
    /// An operator lets it go on.
    Resume,
    /// It was let through its gate.
    GoOn,
    /// An operator calls it off.
    Abort,
    /// What it made is removed.
    Undone,
    /// It waited at a gate past its deadline.
    Expire,
    /// What it made is removed, because of that.
    Expired,
}

impl Event {
    /// Every event.
    pub const ALL: &'static [Self] = &[
        Self::Start,
        Self::PreflightPassed,
        Self::Prepared,
        Self::CopyStarted,
        Self::CopyVerified,
        Self::FinalizeStarted,
        Self::Completed,
        Self::Retry,
        Self::Fail,
        Self::Interrupted,
        Self::Pause,
        Self::Resume,
        Self::GoOn,
        Self::Abort,
        Self::Undone,
        Self::Expire,
        Self::Expired,
    ];

    /// The name used in the documentation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::PreflightPassed => "preflight passed",
            Self::Prepared => "prepared",
            Self::CopyStarted => "copy started",
            Self::CopyVerified => "copy verified",
            Self::FinalizeStarted => "finalize started",
            Self::Completed => "completed",
            Self::Retry => "retry",
            Self::Fail => "fail",
            Self::Interrupted => "interrupted",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::GoOn => "go on",
            Self::Undone => "undone",
            Self::Expire => "deadline passed",
            Self::Expired => "expired",
        }
    }
}

/// That event has no place in that status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a migration that is {status} cannot take \"{}\"", event.as_str())]
pub struct Illegal {
    pub status: Status,
    pub event: Event,
}

/// The next status.
///
/// # Errors
/// [`Illegal`]; in particular nothing but completion, or a failure before the commit point, leaves `finalizing`: past
/// the commit point a migration cannot be aborted, only finished.
pub fn transition(status: Status, event: Event) -> Result<Status, Illegal> {
    use Event as E;
    use Status as S;
    Ok(match (status, event) {
        (S::Queued, E::Start) => S::Preflight,
        (S::Preflight, E::PreflightPassed) => S::PreflightPassed,
        (S::PreflightPassed, E::Prepared) => S::Prepared,
        (S::Prepared, E::CopyStarted) => S::Copying,
        (S::Copying, E::CopyVerified) => S::Ready,
        (S::Ready, E::FinalizeStarted) => S::Finalizing,
        (S::Finalizing, E::Completed) => S::Completed,

        // A second attempt starts from the beginning; what is verified in staging is kept.
        (
            S::Preflight | S::PreflightPassed | S::Prepared | S::Copying | S::Ready | S::Finalizing,
            E::Retry | E::Interrupted,
        ) => S::Queued,
        (S::Queued, E::Interrupted) => S::Queued,
        (S::Paused, E::Interrupted) => S::Paused,
        (S::Aborting, E::Interrupted) => S::Aborting,

        // A queued migration fails when what it moves is gone or has moved elsewhere.
        (
            S::Queued
            | S::Preflight
            | S::PreflightPassed
            | S::Prepared
            | S::Copying
            | S::Ready
            | S::Finalizing
            | S::Paused,
            E::Fail,
        ) => S::Failed,

        (S::Queued | S::Preflight | S::PreflightPassed | S::Prepared | S::Copying | S::Ready, E::Pause) => {
            S::Paused
        }
        (S::Paused, E::Resume) => S::Queued,

        (
            S::Queued | S::Preflight | S::PreflightPassed | S::Prepared | S::Copying | S::Ready | S::Paused,
            E::Abort,
        ) => S::Aborting,
        (S::Aborting, E::Undone) => S::Aborted,

        // A gate holds no slot: what was let through it waits for its turn, and finds its staging as it left it.
        (S::PreflightPassed | S::Prepared | S::Ready, E::GoOn) => S::Queued,
        // Undone first: `expired` is a status in which nothing is left.
        (S::PreflightPassed | S::Prepared | S::Ready, E::Expire) => S::Aborting,
        (S::Aborting, E::Expired) => S::Expired,

        // Start-up may find that the commit had happened before an abort was journalled.
        (
            S::Queued
            | S::Preflight
            | S::PreflightPassed
            | S::Prepared
            | S::Copying
            | S::Ready
            | S::Paused
            | S::Aborting,
            E::Completed,
        ) => S::Completed,

        // An operator's retry of what gave up.
        (S::Failed | S::Expired | S::Aborted, E::Retry) => S::Queued,

        (status, event) => return Err(Illegal { status, event }),
    })
}

/// The whole table as Markdown, for the documentation.
pub fn transition_table() -> String {
    let mut table = String::from("| status | event -> next status |\n|---|---|\n");
    for status in Status::ALL {
        let legal: Vec<_> = Event::ALL
            .iter()
            .filter_map(|event| Some((event, transition(*status, *event).ok()?)))
            .map(|(event, next)| format!("{} -> `{next}`", event.as_str()))
            .collect();
        let legal = if legal.is_empty() { "(final)".to_owned() } else { legal.join(", ") };
        writeln!(table, "| `{status}` | {legal} |").expect("writing to a String does not fail");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row by row, every status and every event: what is not named here is illegal.
    const LEGAL: &[(&str, &str)] = &[
        (
            "queued",
            "start>preflight completed>completed fail>failed interrupted>queued pause>paused abort>aborting",
        ),
        (
            "preflight",
            "preflight passed>preflight_passed completed>completed retry>queued fail>failed interrupted>queued pause>paused abort>aborting",
        ),
        (
            "preflight_passed",
            "prepared>prepared completed>completed retry>queued fail>failed interrupted>queued pause>paused go on>queued abort>aborting deadline passed>aborting",
        ),
        (
            "prepared",
            "copy started>copying completed>completed retry>queued fail>failed interrupted>queued pause>paused go on>queued abort>aborting deadline passed>aborting",
        ),
        (
            "copying",
            "copy verified>ready completed>completed retry>queued fail>failed interrupted>queued pause>paused abort>aborting",
        ),
        (
            "ready",
            "finalize started>finalizing completed>completed retry>queued fail>failed interrupted>queued pause>paused go on>queued abort>aborting deadline passed>aborting",
        ),
        ("finalizing", "completed>completed retry>queued fail>failed interrupted>queued"),
        ("completed", ""),
        ("paused", "completed>completed fail>failed interrupted>paused resume>queued abort>aborting"),
        ("aborting", "completed>completed interrupted>aborting undone>aborted expired>expired"),
        ("aborted", "retry>queued"),
        ("failed", "retry>queued"),
        ("expired", "retry>queued"),
    ];

    #[test]
    fn every_pair_of_status_and_event_is_as_listed() {
        assert_eq!(LEGAL.len(), Status::ALL.len());
        for (status, row) in LEGAL {
            let status: Status = status.parse().expect("a status");
            let mut left = (*row).to_owned();
            for event in Event::ALL {
                if let Ok(next) = transition(status, *event) {
                    let pair = format!("{}>{next}", event.as_str());
                    assert!(left.contains(&pair), "{status}: {pair} is legal and not listed");
                    left = left.replacen(&pair, "", 1);
                }
            }
            assert_eq!(left.trim(), "", "{status}: listed and not legal");
        }
    }

    #[test]
    fn the_straight_line_reads_aloud() {
        let events = [
            Event::Start,
            Event::PreflightPassed,
            Event::Prepared,
            Event::CopyStarted,
            Event::CopyVerified,
            Event::FinalizeStarted,
            Event::Completed,
        ];
        let end = events.into_iter().try_fold(Status::Queued, transition);
        assert_eq!(end, Ok(Status::Completed));
    }

    #[test]
    fn what_is_completed_stays_completed() {
        for event in Event::ALL {
            assert!(transition(Status::Completed, *event).is_err(), "{event:?}");
        }
    }

    #[test]
    fn finalizing_cannot_be_called_off() {
        for event in [Event::Abort, Event::Pause, Event::Expire] {
            assert!(transition(Status::Finalizing, event).is_err(), "{event:?}");
        }
    }

    #[test]
    fn only_a_verified_copy_is_finalized() {
        for status in Status::ALL {
            let legal = transition(*status, Event::FinalizeStarted).is_ok();
            assert_eq!(legal, *status == Status::Ready, "{status}");
        }
    }

    #[test]
    fn an_interruption_never_ends_a_migration() {
        for status in Status::ALL {
            if let Ok(next) = transition(*status, Event::Interrupted) {
                assert!(!next.is_final(), "{status} -> {next}");
            } else {
                assert!(status.is_final(), "{status}");
            }
        }
    }
}
