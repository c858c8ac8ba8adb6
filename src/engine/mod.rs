//! The work: which tablet is where, and how one gets to another disk.

mod view;

pub use view::{
    DiskView, MigrationFilter, Page, PurgeOutcome, PurgeSelect, Submit, TabletFilter, TabletView, Totals, TrashView,
};

use std::time::Duration;

use crate::model::{Failure, Migration, MigrationId, TabletId, TabletKey, TabletRecord};

/// The node's engine. Cheap to clone; every method may block on a disk or on the journal, none awaits.
#[derive(Clone)]
pub struct Engine;

#[allow(clippy::todo, missing_docs, unused_variables)]
impl Engine {
    /// Accepts a migration; it is journalled when this returns.
    pub fn submit(&self, submit: &Submit) -> Result<Migration, Failure> { todo!() }
    /// One migration, live counters merged; also after its end.
    pub fn migration(&self, id: MigrationId) -> Option<Migration> { todo!() }
    /// The newest migration of a tablet.
    pub fn latest_migration(&self, key: TabletKey) -> Option<Migration> { todo!() }
    pub fn migrations(&self, filter: &MigrationFilter) -> Page<Migration> { todo!() }
    pub fn abort(&self, id: MigrationId) -> Result<Migration, Failure> { todo!() }
    pub fn pause(&self, id: MigrationId) -> Result<Migration, Failure> { todo!() }
    pub fn resume(&self, id: MigrationId) -> Result<Migration, Failure> { todo!() }
    pub fn retry(&self, id: MigrationId) -> Result<Migration, Failure> { todo!() }
    /// All schema hashes of a tablet id on this node (normally one).
    pub fn tablets_by_id(&self, id: TabletId) -> Vec<TabletView> { todo!() }
    pub fn tablet(&self, key: TabletKey) -> Option<TabletView> { todo!() }
    pub fn tablets(&self, filter: &TabletFilter) -> Page<TabletView> { todo!() }
    /// Calls `visit` for every served tablet, under a read lock: be quick.
    pub fn for_each_tablet(&self, visit: &mut dyn FnMut(&TabletView)) { todo!() }
    pub fn disks(&self) -> Vec<DiskView> { todo!() }
    /// Takes a suspect or disabled disk back into service after a successful probe.
    pub fn enable_disk(&self, path: &str) -> Result<DiskView, Failure> { todo!() }
    pub fn disable_disk(&self, path: &str) -> Result<DiskView, Failure> { todo!() }
    /// Reads the tablet's metadata record from its disk.
    pub fn record(&self, key: TabletKey) -> Result<TabletRecord, Failure> { todo!() }
    /// MD5 of each file, by name.
    pub fn file_digests(&self, key: TabletKey) -> Result<Vec<(String, [u8; 16])>, Failure> { todo!() }
    pub fn trash(&self) -> Result<Vec<TrashView>, Failure> { todo!() }
    /// Brings a tablet back from trash: the newest entry, or the named one.
    pub fn restore(&self, key: TabletKey, entry: Option<&str>) -> Result<TabletView, Failure> { todo!() }
    pub fn purge(&self, select: &PurgeSelect) -> Result<Vec<PurgeOutcome>, Failure> { todo!() }
    pub fn totals(&self) -> Totals { todo!() }
    /// Runs `read` on the present configuration (`crate::config::Config`).
    // pub fn with_config<R>(&self, read: impl FnOnce(&Config) -> R) -> R
    // pub fn update_config(&self, key: &str, value: &str, persist: bool) -> Result<(), config::SetError>
    /// Stops accepting, lets running migrations reach a safe point, and returns when all is settled.
    pub fn shutdown(&self, grace: Duration) { todo!() }
}
