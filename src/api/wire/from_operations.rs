//! From the operations of the engine to what goes over the wire. Pure.

use super::{Operation, OperationItem, QuarantineItem, Salvaged, Timestamp};
use crate::engine::{OperationView, QuarantineView};
use crate::model;

impl From<OperationView> for Operation {
    fn from(view: OperationView) -> Self {
        Self {
            id: view.id,
            kind: view.kind,
            state: view.state,
            subject: view.subject,
            tablet_id: view.key.map(|key| key.tablet_id),
            schema_hash: view.key.map(|key| key.schema_hash),
            generation: view.generation,
            requested_by: view.requested_by,
            note: view.note,
            done_tablets: view.done_tablets,
            total_tablets: view.total_tablets,
            read_bytes: view.read_bytes,
            total_bytes: view.total_bytes,
            items: view.items.into_iter().map(OperationItem::from).collect(),
            salvaged: view.salvaged.map(Into::into),
            error: view.failure.map(Into::into),
            started_at: Timestamp(view.started_ms),
            finished_at: view.finished_ms.map(Timestamp),
        }
    }
}

impl From<model::OperationItem> for OperationItem {
    fn from(item: model::OperationItem) -> Self {
        Self {
            tablet_id: item.key.map(|key| key.tablet_id),
            schema_hash: item.key.map(|key| key.schema_hash),
            disk: item.disk,
            entry: item.entry,
            size_bytes: item.size_bytes,
            done: item.outcome.is_ok(),
            not_done_because: item.outcome.err(),
        }
    }
}

impl From<QuarantineView> for QuarantineItem {
    fn from(view: QuarantineView) -> Self {
        Self {
            disk: view.disk,
            entry: view.entry,
            path: view.path,
            reason: view.reason,
            tablet_id: view.key.map(|key| key.tablet_id),
            schema_hash: view.key.map(|key| key.schema_hash),
            generation: view.generation,
            has_files: view.has_files,
            file_count: view.file_count,
            size_bytes: view.size_bytes,
            is_salvaged: view.is_salvaged,
            salvaged: view.salvaged.map(Into::into),
        }
    }
}

impl From<model::Salvage> for Salvaged {
    fn from(receipt: model::Salvage) -> Self {
        Self {
            state: receipt.state,
            source: receipt.source.path,
            generation: receipt.generation,
            total_files: receipt.total_files,
            saved_bytes: receipt.saved_bytes,
            lost_bytes: receipt.lost_bytes,
            lost: receipt.lost,
            damaged: receipt.damaged,
            begun_at: Timestamp(receipt.begun_ms),
        }
    }
}
