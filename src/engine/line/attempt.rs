//! One attempt, read from top to bottom.

use std::time::Instant;

use super::base::Line;
use super::ending::{Ending, end};
use super::gate::Halt;
use crate::engine::line::{data, finalize, preflight, prepare};
use crate::engine::node::Node;
use crate::engine::parts::counts::Counts;
use crate::engine::parts::job::{Job, KeptCopy};
use crate::engine::parts::pressure::OUT;
use crate::engine::parts::reservation;
use crate::model::{Failure, Receipt, Step, StepStatus};
use crate::rules::transition::Event;

/// What came of an attempt.
enum Attempted {
    Completed(Receipt),
    /// It waits at a gate, and says so durably.
    AtGate,
    /// Before the commit point: the source is as it was.
    Stopped(Failure),
    /// At the commit point: whether the destination owns the tablet is not known.
    InDoubt(Failure),
}

/// Runs one attempt on the calling thread, which has a descriptor table of its own, and settles what came of it.
pub(crate) fn run(node: &Node, job: &Job) {
    let line = match Line::new(node, job) {
        Ok(line) => line,
        Err(failure) => return end(node, job, Ending::Failed(failure)),
    };
    Counts::add(&node.counts.started);
    match line.attempt() {
        Attempted::Completed(receipt) => line.complete(receipt),
        Attempted::AtGate => {}
        Attempted::Stopped(failure) => line.settle_stop(failure),
        Attempted::InDoubt(failure) => line.settle_doubt(&failure),
    }
}

impl Line<'_> {
    fn attempt(&self) -> Attempted {
        reservation::not_allocated(&self.destination, self.job);
        job_begins(self.job);
        let verified = match self.up_to_the_swap() {
            Ok(verified) => verified,
            Err(Halt::AtGate) => {
                self.release_space();
                return Attempted::AtGate;
            }
            Err(Halt::Failed(failure)) => return Attempted::Stopped(failure),
        };
        let moved = self.step(Step::Finalize, || {
            let swapped = finalize::swap(self, verified)?;
            Ok(finalize::retire(self, swapped))
        });
        match moved {
            Ok(receipt) => Attempted::Completed(receipt),
            Err(finalize::SwapError::BeforeCommit(failure)) => Attempted::Stopped(failure),
            Err(finalize::SwapError::InDoubt(failure)) => Attempted::InDoubt(failure),
        }
    }

    fn up_to_the_swap(&self) -> Result<data::Ready, Halt> {
        self.advance(Event::Start, "checking tablet, disks and space")?;
        let passed = self.step(Step::Preflight, || preflight::check(self))?;
        self.advance(Event::PreflightPassed, "tablet, disks and space are as they must be")?;
        self.pass_gate()?;
        let prepared = self.step(Step::Prepare, || prepare::prepare(self, passed))?;
        self.advance(Event::Prepared, "staging stands")?;
        self.pass_gate()?;
        self.advance(Event::CopyStarted, "copying")?;
        let ready = self.step(Step::Data, || data::copy(self, prepared))?;
        self.job.claim.set_verified_copy(true);
        self.advance(Event::CopyVerified, "a verified, durable copy stands in staging")?;
        let write_epoch = self.destination.write_epoch();
        if let Err(halt) = self.pass_gate() {
            self.job.keep_copy(KeptCopy { copy: ready.copy, write_epoch });
            return Err(halt);
        }
        Ok(ready)
    }

    /// Runs one step with its record, log and timing.
    fn step<T, E: AsRef<Failure>>(&self, step: Step, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.job.begin_step(step);
        if step == Step::Data {
            // The long one: should the daemon die in it, the next start knows which step that was.
            self.job.note_row(&self.node.journal, |_| {});
        }
        let began = Instant::now();
        let done = {
            // A copy's calls are counted one by one; the other steps are short, and nothing but calls.
            let _out = (step != Step::Data).then(|| OUT.guard());
            work()
        };
        if let Err(error) = &done {
            self.job.log(error.as_ref().message.clone());
        }
        let how = if done.is_ok() { StepStatus::Done } else { StepStatus::Error };
        self.node.counts.step_ended(step, began.elapsed(), how);
        self.job.end_step(how);
        done
    }
}

fn job_begins(job: &Job) {
    job.reset_progress();
    let mut row = job.lock();
    row.attempts += 1;
    row.not_before_ms = None;
}

impl AsRef<Self> for Failure {
    fn as_ref(&self) -> &Self {
        self
    }
}
