//! The API against a made-up node, over real sockets.

pub(super) mod sample;
