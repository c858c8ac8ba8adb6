//! From the tablets of the engine to what goes over the wire. Pure.

use super::{Pinned, RuleAnswer, Tablet, TabletCheck, Timestamp};
use crate::engine::{self, TabletView};
use crate::model;

impl From<TabletView> for Tablet {
    fn from(view: TabletView) -> Self {
        Self {
            tablet_id: view.key.tablet_id,
            schema_hash: view.key.schema_hash,
            table_id: view.table_id,
            partition_id: view.partition_id,
            disk: view.disk,
            shard_id: view.shard_id,
            generation: view.generation,
            size_bytes: view.size_bytes,
            file_count: view.file_count,
            migration_id: view.migration,
            unavailable: view.unavailable,
            pinned: view.pinned.map(|mark| Pinned {
                by: mark.by,
                reason: mark.reason,
                since: Timestamp(mark.since_ms),
            }),
            damaged: view.damaged,
            unreadable: view.unreadable,
        }
    }
}

impl From<model::TabletCheck> for TabletCheck {
    fn from(check: model::TabletCheck) -> Self {
        Self {
            tablet_id: check.key.tablet_id,
            schema_hash: check.key.schema_hash,
            disk: check.disk,
            generation: check.generation,
            state: check.state,
            total_files: check.total_files,
            total_bytes: check.total_bytes,
            checked_files: check.checked_files,
            checked_bytes: check.checked_bytes,
            unrecorded_files: check.unrecorded_files,
            cold: check.cold,
            damaged: check.damaged,
            unreadable: check.unreadable,
            error: check.error.map(Into::into),
            started_at: check.started_ms.map(Timestamp),
            finished_at: check.finished_ms.map(Timestamp),
        }
    }
}

impl From<engine::RuleAnswer> for RuleAnswer {
    fn from(answer: engine::RuleAnswer) -> Self {
        Self {
            rule: answer.rule.to_owned(),
            allows: answer.allows,
            detail: answer.detail,
            plans_only: answer.binds == engine::RuleBinds::Plans,
        }
    }
}
