//! What a harness says to the server of its fault disks: one JSON line each way over a unix socket.
//!
//! Disks are numbered from 0, as their files are named (`disk0`, `disk1`, ...).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::log::{CutModel, Event, Position};
use super::rules::Rule;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Declare what each disk holds now durable and begin its log anew.
    MarkBase,
    /// Make the image that a power cut at `position` leaves of disk `from`, and put it on disk `into`.
    Cut {
        /// The disk whose log is cut.
        from: usize,
        /// The disk that receives the image, with a log of its own that begins here.
        into: usize,
        /// When the power goes.
        position: Position,
        /// What becomes of the volatile writes.
        model: CutModel,
        /// Chooses among the outcomes of the model.
        seed: u64,
    },
    /// Add a fault.
    Fault {
        /// The disk.
        disk: usize,
        /// The fault.
        rule: Rule,
    },
    /// Remove all faults of a disk; what hangs goes on.
    Clear {
        /// The disk.
        disk: usize,
    },
    /// Counters of a disk and the position of all.
    Status {
        /// The disk.
        disk: usize,
    },
    /// The log of a disk without its bytes.
    Events {
        /// The disk.
        disk: usize,
    },
    /// Where on a disk these bytes lie.
    Find {
        /// The disk.
        disk: usize,
        /// At most a page of bytes.
        needle: Vec<u8>,
    },
    /// Bytes of a disk as the medium and its cache hold them, past every page cache and every rule.
    Peek {
        /// The disk.
        disk: usize,
        /// First byte.
        offset: usize,
        /// Number of bytes.
        len: usize,
    },
    /// Flip one bit at rest. The rot is durable at once and is no write: a later cut at any position has it only if
    /// the base is marked after it.
    Rot {
        /// The disk.
        disk: usize,
        /// Byte offset.
        offset: usize,
        /// Bit of that byte, 0 to 7.
        bit: u8,
    },
    /// Write a disk's image to a sparse file, as evidence.
    Save {
        /// The disk.
        disk: usize,
        /// The file, created or overwritten.
        path: PathBuf,
    },
}

/// Counters of one disk since the server began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Operations logged so far on all disks of the server.
    pub(crate) position: Position,
    /// Reads answered.
    pub(crate) reads: u64,
    /// Writes answered.
    pub(crate) writes: u64,
    /// Flushes answered.
    pub(crate) flushes: u64,
    /// Operations that a rule changed.
    pub(crate) faults: u64,
    /// Operations that wait for [`Request::Clear`].
    pub(crate) hanging: u64,
    /// Bytes the log holds.
    pub(crate) log_bytes: u64,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Done.
    Done,
    /// The request makes no sense here.
    Refused(String),
    /// To [`Request::Status`] and [`Request::MarkBase`].
    Status(Status),
    /// To [`Request::Events`].
    Events(Vec<Event>),
    /// To [`Request::Find`]: offsets.
    Found(Vec<usize>),
    /// To [`Request::Peek`].
    Bytes(Vec<u8>),
}
