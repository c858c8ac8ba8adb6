//! The page at `/`, with the real daemon: who is let in and what a form may do over HTTP, and in a real browser what a
//! person sees and clicks.

mod alarms;
mod api;
mod browser;
mod clicks;
mod door;
mod doris;
#[path = "../support/mod.rs"]
mod harness;
mod looks;
mod pictures;
mod plans;
mod verbs;
mod work;
