//! Healing: a tablet that is damaged, or that nobody serves, gets its newest good copy back.
//!
//! ```text
//! claim      the tablet is nobody else's until the end, and its new generation is given to nobody else
//! look       is it damaged at all? A served tablet is read past the page cache first
//! search     every disk that answers: trash, staging, quarantine, sources that were never retired
//! choose     `rules::healing`: nothing older unless an operator accepts it, nothing while a newer one may be away
//! bring      beside what stands there, read past the page cache, COMMIT POINT: its record, above all generations
//! settle     only then the damaged copy is set aside
//! ```

mod adopt;
mod asked;
mod bring;
mod copying;
mod find;
pub(crate) mod guest;
mod picture;
pub(crate) mod quarantine;
mod run;
mod salvage;
pub(crate) mod set_aside;
mod settle;
mod wish;

pub(super) use asked::{adopt, heal, restore, restore_from_quarantine};
pub(super) use salvage::salvage;
