//! tabletd: a storage-node daemon that moves tablets between the disks of one node.
//!
//! A *tablet* is one directory of immutable rowset files plus one metadata record. The daemon copies a tablet to
//! another disk, makes every byte durable there, reads it back from the medium, and only then moves ownership with one
//! durable write. At any moment, in any crash, each tablet has exactly one owner.
//!
//! # Reading order
//!
//! | module | subject | knows nothing of |
//! |---|---|---|
//! | [`model`] | the nouns: ids, tablets, disks, migrations, statuses, error codes | files, clocks |
//! | [`rules`] | decisions as pure functions: transition, admission, schedule, throttle, recovery | files, clocks, threads |
//! | [`config`] | be.conf: grammar, keys, defaults | everything but the model |
//! | [`doris`] | the bytes of a real Doris root: its database, records, files | files, clocks |
//! | [`storage`] | one storage root: layout, records, durable verbs, lock, trash | other roots, migrations |
//! | [`transfer`] | bytes from one disk to another: copy, sync, read back | who owns a tablet |
//! | [`journal`] | the durable record of migrations (SQLite) | disks |
//! | [`engine`] | the catalog, the scheduler, the straight line of a migration, start-up recovery | HTTP |
//! | [`maintenance`] | moves between roots of a stopped Doris backend, one run at a time | HTTP, the engine |
//! | [`logging`] | the daemon's log, which nobody waits for and nobody dies of | what is logged |
//! | [`replace`] | a small file replaced whole, durably | storage roots |
//! | [`access`] | who may: roles, tokens, credentials | HTTP routes, tablets |
//! | [`api`] | HTTP on port 8040 | how a migration works |
//! | [`maintenance_daemon`] | the daemon while a Doris backend is stopped: the same API over its roots | HTTP, the engine's rooms |
//! | [`page`] | the page for people at `/`: HTML made from the API's answers | everything but the API |
//! | [`cli`] | `tabletctl` | the engine |
//! | [`store`] | what the fleet remembers, behind one trait | what it means |
//! | [`members`] | the nodes that a fleet drives, over HTTP | campaigns |
//! | [`fleet`] | `tabletfleet`: campaigns over many nodes, and its HTTP API | disks, the engine |
//! | `traces` | ended migrations as traces, for a collector (feature `otlp`) | disks; how a migration works |
//! | [`service`] | the daemon to its machine: command line, service manager, kernel | disks, tablets |
//!
//! Imports point one way only; `tests/architecture.rs` holds the table.

pub mod access;
pub mod api;
pub mod cli;
pub mod config;
pub mod doris;
pub mod engine;
pub mod fault;
pub mod fleet;
pub mod journal;
pub mod logging;
pub mod maintenance;
pub mod maintenance_daemon;
pub mod members;
pub mod model;
pub mod page;
pub mod replace;
pub mod rules;
pub mod service;
pub mod storage;
pub mod store;
#[cfg(feature = "otlp")]
pub mod traces;
pub mod transfer;
