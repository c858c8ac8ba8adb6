//! HTTP on port 8040: what a Doris node answers (`doris`) and the job API below `/api/v1` (`v1`).
//!
//! Rooms in reading order: [`wire`] says what goes over the wire; `Contract` is all the API knows of the engine;
//! [`Server`] owns the socket; `router` lists every path; `auth` says who may. Nothing here decides anything about
//! tablets or disks: a handler turns a request into one call of the node and its answer into bytes.

mod app;
mod auth;
mod caller;
mod calls;
mod document;
mod doris;
mod error;
mod guard;
mod inside;
pub mod kit;
mod limits;
mod metrics;
mod query;
mod reload;
mod router;
mod routes;
mod server;
mod stall;
#[cfg(test)]
mod tests;
mod tls;
mod v1;
mod verbs;
pub mod wire;

pub use auth::{Access, AccessError, SignIn, Visitor};
pub use inside::{Inside, Refused};
pub use limits::Limits;
pub use reload::reload;
pub use router::MakePage;
pub use server::{Server, Stopped};
pub use tls::{Tls, TlsError};
