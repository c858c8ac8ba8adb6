//! Salvage: what can be read of a tablet whose disk does not give all of it, or whose bytes are wrong, copied to another
//! disk, around what cannot be read (`transfer/salvage.rs`).
//!
//! The copy is an entry of quarantine that has `salvaged.json` before it has a file: the receipt with every lost range, and
//! the tablet's record as it was. To every reader such an entry holds no tablet: it is never restored, healed from or
//! adopted, and who owns the tablet is as before. Its source is left as it is, in its place.

use std::sync::Arc;

use super::copying::Copying;
use super::wish::known_key;
use crate::engine::look::reading::{Reading, open_tablet, owner, read_record};
use crate::engine::node::Node;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::disk::{Disk, note_storage_error};
use crate::engine::parts::flush::SharedBarrier;
use crate::engine::parts::limits;
use crate::engine::parts::operation_book::{NewOperation, Operation};
use crate::engine::view::operations::{Heal, OperationView, SalvageTo};
use crate::engine::{damage, operations};
use crate::model::{
    ErrorCode, Failure, OperationItem, OperationKind, Salvage, SalvageState, Space, TabletKey, TabletRecord,
};
use crate::rules::capacity::fits;
use crate::rules::giving_up::Older;
use crate::storage::Barrier;
use crate::storage::layout::QUARANTINE;
use crate::storage::{
    Root, SalvagedEntry, StorageError, purge_quarantined, quarantine_entries, read_quarantined,
};
use crate::transfer::{CheckRequest, CopyOptions, salvage as save_files, verify_files};

/// Salvages a tablet.
///
/// # Errors
/// `TABLET_NOT_FOUND`, `DISK_NOT_FOUND`; `NOT_DAMAGED` where nothing is known to be wrong with it; `ALREADY_ON_DISK` for the
/// disk that has it; as [`operations::begin`].
pub(crate) fn salvage(node: &Arc<Node>, request: &SalvageTo) -> Result<OperationView, Failure> {
    let key = known_key(
        node,
        &Heal {
            tablet_id: request.tablet_id,
            schema_hash: request.schema_hash,
            to: None,
            older: Older::Leave,
            requested_by: String::new(),
        },
    )?;
    let source = owner(node, key)?;
    let destination = Arc::clone(node.find_disk(&request.to)?);
    if destination.index == source.index {
        let text = format!("tablet {key} is on {}: salvage it to another disk", source.path);
        return Err(Failure::new(ErrorCode::AlreadyOnDisk, text));
    }
    if damage::trouble_of(node, key).is_none() {
        let (id, to) = (key.tablet_id, &destination.path);
        let text = format!(
            "nothing is known to be wrong with tablet {key} on {}: tabletctl migrate {id} --disk {to} moves it, tabletctl \
             tablet verify {id} reads it",
            source.path
        );
        return Err(Failure::new(ErrorCode::NotDamaged, text));
    }
    let new = NewOperation {
        kind: OperationKind::Salvage,
        subject: format!("tablet {key} from {} to {}", source.path, destination.path),
        requested_by: request.requested_by.clone(),
        claims: Some(key),
    };
    operations::begin(node, &new, move |node, operation| {
        Work { node, operation, key, source: &source, destination: &destination }.run()
    })
}

struct Work<'a> {
    node: &'a Node,
    operation: &'a Operation,
    key: TabletKey,
    source: &'a Arc<Disk>,
    destination: &'a Arc<Disk>,
}

impl Work<'_> {
    fn run(&self) -> Result<String, Failure> {
        let (source_root, store) = self.source.open()?;
        let record = read_record(&store, self.key)?;
        let files = open_tablet(&source_root, &record)?;
        let (root, _) = self.destination.open()?;
        let need = self.check_destination(&record)?;
        self.remove_cut_short(&root)?;
        let begun = self.begun(&record)?;
        let barrier = SharedBarrier::new(self.destination);
        self.on_destination(root.check_identity())?;
        let entry = self.on_destination(SalvagedEntry::create(root.dir(), &record, &begun))?;
        self.destination.note_something_aside();
        // Before the first file: a salvage that is cut short is never anything else.
        self.on_destination(barrier.sync())?;
        self.destination.space.reserve(need);
        let done = self.fill(&entry, &files, &record, begun, &barrier);
        self.destination.space.unreserve(need);
        let done = done.inspect_err(|failure| {
            // What a dying disk has given stays; what somebody does not want goes.
            if failure.code == ErrorCode::Aborted {
                self.remove(&root, entry.name());
            }
        })?;
        // What cannot be measured now is measured by the next probe.
        let _ = self.destination.space.measure(&root);
        if done.lost.is_empty() && done.damaged.is_empty() {
            self.remove(&root, entry.name());
            damage::note_whole_read(self.node, self.key, self.source);
            let (id, to) = (self.key.tablet_id, &self.destination.path);
            let text = format!(
                "every byte of tablet {} was given this time, and is as the manifest says: nothing to salvage; tabletctl \
                 migrate {id} --disk {to} moves it",
                self.key
            );
            return Err(Failure::new(ErrorCode::NotDamaged, text));
        }
        Ok(self.ended(entry.name(), done))
    }

    fn check_destination(&self, record: &TabletRecord) -> Result<Space, Failure> {
        let disk = self.destination;
        let condition = disk.condition(self.node.hang_after());
        if !condition.is_writable() {
            let text = format!("disk {}", condition.refusal(&disk.path));
            return Err(Failure::new(ErrorCode::DiskUnavailable, text));
        }
        let need = Space::of_tablet(record.manifest.total_bytes(), record.manifest.files().len() as u64);
        fits(disk.space.capacity(), disk.space.reserved(), need, limits::capacity(&self.node.config()))
            .map_err(|full| Failure::new(ErrorCode::DiskFull, format!("disk {}: {full}", disk.path)))?;
        Ok(need)
    }

    fn begun(&self, record: &TabletRecord) -> Result<Salvage, Failure> {
        let source = self.source.reference().ok_or_else(|| {
            Failure::new(ErrorCode::DiskUnavailable, format!("disk {} was never opened", self.source.path))
        })?;
        Ok(Salvage {
            key: self.key,
            generation: record.generation,
            source,
            state: SalvageState::Begun,
            total_files: record.manifest.files().len() as u64,
            saved_bytes: 0,
            lost_bytes: 0,
            lost: Vec::new(),
            damaged: Vec::new(),
            begun_ms: now_ms(),
        })
    }

    /// What an earlier salvage of this tablet to this disk left when it was cut short.
    fn remove_cut_short(&self, root: &Root) -> Result<(), Failure> {
        for name in self.on_destination(quarantine_entries(root.dir()))? {
            let Some(item) = self.on_destination(read_quarantined(root.dir(), &name))? else { continue };
            let is_left = |left: &Salvage| left.key == self.key && left.state == SalvageState::Begun;
            if item.salvaged.receipt().is_some_and(is_left) {
                self.operation.note(format!("removing {QUARANTINE}/{name}, which was cut short"));
                self.on_destination(purge_quarantined(root.dir(), &name, &|| {
                    self.destination.enter("unlink")
                }))?;
            }
        }
        Ok(())
    }

    /// The files, durable and compared with what was read; then the receipt.
    fn fill(
        &self,
        entry: &SalvagedEntry,
        files: &crate::storage::Dir,
        record: &TabletRecord,
        begun: Salvage,
        barrier: &SharedBarrier,
    ) -> Result<Salvage, Failure> {
        self.operation.note(format!("reading around what {} does not give", self.source.path));
        let hooks = Copying {
            node: self.node,
            operation: self.operation,
            source: self.source,
            destination: self.destination,
        };
        let saved = save_files(files, entry.files(), &record.manifest, &hooks)?;
        self.on_destination(barrier.sync())?;
        self.operation.note("reading back what was saved");
        let stop = || self.operation.checkpoint();
        let compared = verify_files(&CheckRequest {
            dir: entry.files(),
            manifest: &saved.manifest,
            options: &CopyOptions { threads: 1, ..self.node.copy_options() },
            budget: &self.node.budget,
            hooks: &Reading {
                node: self.node,
                disk: self.destination,
                bytes: &self.operation.read_bytes,
                stop: Some(&stop),
                count: None,
            },
        });
        compared.inspect_err(|failure| {
            if matches!(failure.code, ErrorCode::SourceDamaged | ErrorCode::SourceUnreadable) {
                self.destination.mark_suspect(format!("what was just written reads back wrong: {failure}"));
            }
        })?;
        let done = Salvage {
            state: SalvageState::Done,
            saved_bytes: saved.saved_bytes,
            lost_bytes: saved.lost.iter().map(|range| range.length_bytes).sum(),
            lost: saved.lost,
            damaged: saved.damaged,
            ..begun
        };
        if !(done.lost.is_empty() && done.damaged.is_empty()) {
            self.on_destination(entry.finish(&done))?;
        }
        Ok(done)
    }

    fn ended(&self, entry: &str, done: Salvage) -> String {
        self.operation.done_with(OperationItem {
            key: Some(self.key),
            disk: self.destination.path.clone(),
            entry: Some(entry.to_owned()),
            size_bytes: done.saved_bytes,
            outcome: Ok(()),
        });
        let (path, text) = (&self.destination.path, done.to_string());
        self.operation.salvaged(done);
        format!(
            "{text}; it is in {path}/{QUARANTINE}/{entry}: tabletctl quarantine show {entry} --disk {path}"
        )
    }

    fn remove(&self, root: &Root, entry: &str) {
        if let Err(error) = purge_quarantined(root.dir(), entry, &|| self.destination.enter("unlink")) {
            tracing::warn!(
                disk = self.destination.path,
                entry,
                "a salvage that is not needed stays: {error}"
            );
        }
    }

    /// An error on the destination means what it means for every copy to it.
    fn on_destination<T, E: Into<StorageError>>(&self, answer: Result<T, E>) -> Result<T, Failure> {
        answer.map_err(|error| {
            let error = error.into();
            note_storage_error(self.destination, &error);
            error.into()
        })
    }
}
