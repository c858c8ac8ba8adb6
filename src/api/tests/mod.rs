//! The API against a made-up node, over real sockets.

mod doris;
mod fake;
mod fuzz;
mod http;
mod limits;
pub(super) mod sample;
mod v1;
mod v1_tasks;
