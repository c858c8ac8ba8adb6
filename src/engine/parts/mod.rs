//! What a node is made of: data, each with its own rules and its own lock. No part knows the node; what one needs of
//! another it is given.

pub(crate) mod catalog;
pub(crate) mod checks;
pub(crate) mod clock;
pub(crate) mod counts;
pub(crate) mod disk;
pub(crate) mod disk_calls;
pub(crate) mod disk_space;
pub(crate) mod disk_table;
pub(crate) mod events;
pub(crate) mod flush;
pub(crate) mod grants;
pub(crate) mod histogram;
pub(crate) mod job;
pub(crate) mod journal_batch;
pub(crate) mod journal_health;
pub(crate) mod journal_thread;
pub(crate) mod known_disks;
pub(crate) mod marks;
pub(crate) mod opened;
pub(crate) mod pressure;
pub(crate) mod probe;
pub(crate) mod progress;
pub(crate) mod purging;
pub(crate) mod reservation;
pub(crate) mod rewrite;
pub(crate) mod thread;
pub(crate) mod turn;
pub(crate) mod undone;
