//! Decisions: pure functions and values over the model. No file, no clock, no thread: whoever asks brings the facts.

pub mod throttle;
