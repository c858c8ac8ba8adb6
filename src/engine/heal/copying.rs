//! What a copy that an operation makes asks of and tells the engine.

use std::sync::atomic::Ordering;

use crate::engine::node::Node;
use crate::engine::parts::disk::Disk;
use crate::engine::parts::io_class::wear_io_class;
use crate::engine::parts::operation_book::Operation;
use crate::model::Failure;
use crate::transfer::{CallToken, CopyHooks, Side, Traffic};

/// A copy from one disk to another, within the limits of both.
pub(super) struct Copying<'a> {
    pub(super) node: &'a Node,
    pub(super) operation: &'a Operation,
    pub(super) source: &'a Disk,
    pub(super) destination: &'a Disk,
}

impl Copying<'_> {
    fn disk_of(&self, side: Side) -> &Disk {
        match side {
            Side::Source => self.source,
            Side::Destination => self.destination,
        }
    }
}

impl CopyHooks for Copying<'_> {
    fn checkpoint(&self) -> Result<(), Failure> {
        self.operation.checkpoint()
    }

    fn take(
        &self,
        traffic: Traffic,
        bytes: u64,
        go_on: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        wear_io_class(self.node.config().migration_io_class);
        self.destination.take(traffic, bytes, go_on)?;
        if traffic == Traffic::Copy {
            self.operation.read_bytes.fetch_add(bytes, Ordering::Relaxed);
            self.source.take(traffic, bytes, go_on)?;
            self.node.limiter.take(bytes, go_on)?;
        }
        Ok(())
    }

    fn log(&self, text: String) {
        tracing::info!(operation = %self.operation.id, "{text}");
    }

    fn enter_call(&self, side: Side, operation: &'static str) -> CallToken {
        CallToken(self.disk_of(side).begin_call(operation) << 1 | u64::from(side == Side::Destination))
    }

    fn leave_call(&self, token: CallToken) {
        let side = if token.0 & 1 == 1 { Side::Destination } else { Side::Source };
        self.disk_of(side).end_call(token.0 >> 1);
    }
}
