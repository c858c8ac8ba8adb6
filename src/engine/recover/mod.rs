//! Start-up recovery: settles whatever the disks and the journal hold. What to do is decided in
//! [`crate::rules::recovery`]; here it is looked up and done.
//!
//! Order matters. Ownership is settled first, from the disks alone, and the owner is synced before anything else is
//! retired: after a SIGKILL its rename may be in memory only. Then each unfinished migration, then each staging directory.
//! Every action is safe to repeat: a start that is killed is settled by the next one.

mod elsewhere;
pub(crate) mod findings;
mod jobs;
pub(crate) mod look;
pub(crate) mod open;
mod ownership;
mod recovery;
pub(crate) mod verdicts;

use std::collections::HashMap;

use elsewhere::elsewhere;
use findings::{Findings, Settled};
use recovery::{Recovery, moves};

use crate::rules::recovery::Disks;

/// Settles everything. What cannot be done on a disk is left undone, and named: it concerns that disk or that tablet.
pub(super) fn settle(findings: Findings<'_>) -> Settled {
    let all_opened = findings.scans.iter().all(Option::is_some);
    let present = |all: bool| if all { Disks::AllPresent } else { Disks::SomeMissing };
    let mut recovery = Recovery {
        configured: present(all_opened),
        present: present(all_opened && findings.last_seen.is_empty()),
        elsewhere: elsewhere(&findings),
        moves: moves(&findings),
        unreadable: HashMap::new(),
        unsynced: HashMap::new(),
        settled: Settled::default(),
        findings,
    };
    recovery.name_unreadable();
    recovery.settle_tablets();
    recovery.settle_migrations();
    recovery.settle_staging();
    recovery.settled
}
