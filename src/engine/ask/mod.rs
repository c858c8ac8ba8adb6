//! What may be asked of one migration: to begin, to stop, to go on. Whether it is granted is decided in `rules`.

pub(crate) mod admit;
pub(crate) mod go_on;
pub(crate) mod revert;
pub(crate) mod stop;
