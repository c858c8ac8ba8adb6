//! What a fleet does next, as pure functions: who is who, who may move now, what a part comes to.

mod identity;

pub use identity::is_the_same;
