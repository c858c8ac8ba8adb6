//! Questions: what the node shows, made from copies that were taken under short locks. Nothing here changes anything.

pub(crate) mod digests;
pub(crate) mod disks;
pub(crate) mod facts;
pub(crate) mod migrations;
pub(crate) mod reading;
pub(crate) mod removal;
pub(crate) mod segments;
pub(crate) mod tablets;
pub(crate) mod totals;
pub(crate) mod trash;
