//! Decisions. Pure functions and small state machines over the model: no I/O, no threads, and time is an argument.

pub mod adaptive;
pub mod admission;
pub mod capacity;
pub mod doris_verbs;
pub mod doubt;
pub mod explain;
pub mod fleet;
pub mod gate;
pub mod giving_up;
pub mod healing;
pub mod hold;
pub mod joining;
pub mod node_kind;
pub mod placement;
pub mod planning;
pub mod recovery;
pub mod retry;
pub mod schedule;
pub mod settling;
pub mod task_standing;
pub mod throttle;
pub mod transition;
pub mod trash;
pub mod undone;
pub mod window;
