//! The end of the line at a gate: the row says durably what is waited for and until when, and everything is given back.

use super::base::Line;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::job::Job;
use crate::engine::parts::verbs::gate_reason;
use crate::model::{Failure, KnownBy};
use crate::rules::gate::{Gate, deadline};

/// Why an attempt ends before its swap.
pub(super) enum Halt {
    /// It waits to be let through.
    AtGate,
    /// It failed, or was asked to stop.
    Failed(Failure),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Line<'_> {
    /// Walks through the gate that the status of this moment is, if the migration may.
    ///
    /// # Errors
    /// [`Halt::AtGate`] when it waits there from now on; what it was asked to stop with; `JOURNAL_UNAVAILABLE`.
    pub(super) fn pass_gate(&self) -> Result<(), Halt> {
        self.job.checkpoint()?;
        // A gate is only ever opened from outside, never closed.
        if Job::gate(&self.job.lock()) == Gate::Passes {
            return Ok(());
        }
        let deadline_sec = u64::from(self.node.config().cutover_deadline_sec);
        let posted = self.job.turn().change_if(&self.node.journal, |row| {
            if Job::gate(row) == Gate::Passes {
                return Ok(None);
            }
            let now = now_ms();
            row.steering.waits_since_ms = Some(now);
            row.steering.deadline_ms = match row.steering.known_by {
                KnownBy::Request => deadline(now, deadline_sec),
                KnownBy::Staging => None,
            };
            row.status_reason = gate_reason(row);
            row.updated_ms = now;
            Ok(Some(()))
        })?;
        match posted {
            None => Ok(()),
            Some(((), posted)) => {
                posted.wait()?;
                crate::fault::point("waits_at_gate");
                Err(Halt::AtGate)
            }
        }
    }
}
