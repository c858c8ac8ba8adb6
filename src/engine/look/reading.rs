//! A served tablet is read from its disk: its record, its directory, its bytes, within the limits of disk and node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;

use crate::engine::node::Node;
use crate::engine::parts::disk::{Disk, visit};
use crate::engine::parts::io_class::wear_io_class;
use crate::model::{ErrorCode, Failure, TabletKey, TabletRecord};
use crate::storage::layout::tablet_dir;
use crate::storage::{Dir, DiskError, MetadataStore, NativeStore, Root, StorageError};
use crate::transfer::{CallToken, CopyHooks, Side, Traffic};

/// How long reading a record may take.
const RECORD_WAIT: Duration = Duration::from_secs(10);

/// The directory of a tablet.
///
/// # Errors
/// `SOURCE_DAMAGED` when it is missing, `SOURCE_UNREADABLE` when the disk does not give it; as `openat2(2)`.
pub(crate) fn open_tablet(root: &Root, record: &TabletRecord) -> Result<Dir, Failure> {
    root.dir().open(tablet_dir(record.shard_id, record.key)).map_err(missing_is_damage)
}

/// A name that a record gives, and that is not there, is damage: the disk has answered.
pub(crate) fn missing_is_damage(error: DiskError) -> Failure {
    let is_missing = error.errno == Errno::ENOENT;
    let failure = error.on_source();
    if is_missing { Failure { code: ErrorCode::SourceDamaged, ..failure } } else { failure }
}

/// Reads a tablet at length: stops when the daemon does, keeps to the limits of the disk and of the node, and to the
/// I/O class of migrations.
pub(crate) struct Reading<'a> {
    pub(crate) node: &'a Node,
    pub(crate) disk: &'a Disk,
    /// Counts what is read.
    pub(crate) bytes: &'a AtomicU64,
    /// Who else may stop it.
    pub(crate) stop: Option<&'a (dyn Fn() -> Result<(), Failure> + Sync)>,
    /// Counts it as well, over many tablets.
    pub(crate) count: Option<&'a AtomicU64>,
}

impl CopyHooks for Reading<'_> {
    fn checkpoint(&self) -> Result<(), Failure> {
        self.node.stopping.check()?;
        self.stop.map_or(Ok(()), |stop| stop())
    }

    fn take(
        &self,
        traffic: Traffic,
        bytes: u64,
        go_on: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        wear_io_class(self.node.config().migration_io_class);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(count) = self.count {
            count.fetch_add(bytes, Ordering::Relaxed);
        }
        self.disk.take(traffic, bytes, go_on)?;
        self.node.limiter.take(bytes, go_on).map(drop)
    }

    fn log(&self, text: String) {
        tracing::debug!("{text}");
    }

    fn enter_call(&self, _: Side, operation: &'static str) -> CallToken {
        CallToken(self.disk.begin_call(operation))
    }

    fn leave_call(&self, token: CallToken) {
        self.disk.end_call(token.0);
    }
}

pub(crate) fn owner(node: &Node, key: TabletKey) -> Result<Arc<Disk>, Failure> {
    let catalog = node.catalog();
    match (catalog.get(key), catalog.why_unavailable(key)) {
        (Some(entry), _) => Ok(Arc::clone(node.disk(entry.disk))),
        (None, Some(why)) => {
            Err(Failure::new(ErrorCode::TabletUnavailable, format!("tablet {key} is unavailable: {why}")))
        }
        (None, None) => {
            Err(Failure::new(ErrorCode::TabletNotFound, format!("tablet {key} is not on this node")))
        }
    }
}

pub(crate) fn record(node: &Node, key: TabletKey) -> Result<TabletRecord, Failure> {
    visit(&owner(node, key)?, RECORD_WAIT, move |_, store| read_record(store, key))
}

/// The record of a tablet that the catalog has on this disk.
pub(crate) fn read_record(store: &NativeStore, key: TabletKey) -> Result<TabletRecord, Failure> {
    store.get(key).map_err(StorageError::on_source)?.ok_or_else(|| {
        Failure::new(ErrorCode::RecordDamaged, format!("the metadata record of {key} is gone"))
    })
}
