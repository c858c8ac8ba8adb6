//! A journal that answers when a test says so.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::engine::parts::journal_request::Request;
use crate::engine::parts::journal_thread::JournalHandle;
use crate::model::Migration;

/// The other end of a journal that answers when a test says so.
pub(crate) struct SlowJournal(Receiver<Request>);

/// A row that was posted, and is durable once the test says so.
pub(crate) struct Unwritten(Request);

impl SlowJournal {
    pub(crate) fn new() -> (JournalHandle, Self) {
        let (sender, requests) = mpsc::channel();
        (JournalHandle { sender, health: Arc::default(), ended: mpsc::channel().1.into() }, Self(requests))
    }

    /// The next row that is posted within `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Option<Unwritten> {
        self.0.recv_timeout(patience).ok().map(Unwritten)
    }
}

impl Unwritten {
    pub(crate) fn row(&self) -> &Migration {
        match &self.0 {
            Request::Update(row, _) | Request::Reopen(row, _) => row,
            _ => panic!("no row of a migration"),
        }
    }

    pub(crate) fn make_durable(self) {
        let id = self.row().id;
        if let Request::Update(_, Some(reply)) = self.0 {
            let _ = reply.send(Ok(id));
        }
    }
}
