//! The API against a made-up node, over real sockets.

mod document;
mod doris;
mod fake;
mod fuzz;
mod http;
mod limits;
pub(super) mod sample;
mod v1;
mod v1_tasks;
mod who;
