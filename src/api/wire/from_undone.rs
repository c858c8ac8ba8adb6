//! From the engine's views of what is left undone, and of trash, to the wire.

use super::{Timestamp, Trash, Undone, Unrecorded};
use crate::engine::{TrashPage, UndoneView, UnrecordedView};

impl From<UndoneView> for Undone {
    fn from(view: UndoneView) -> Self {
        Self {
            disk: view.disk,
            path: view.path,
            tablet_id: view.key.map(|key| key.tablet_id),
            schema_hash: view.key.map(|key| key.schema_hash),
            size_bytes: view.size_bytes,
            reason: view.why,
            since: Timestamp(view.since_ms),
        }
    }
}

impl From<TrashPage> for Trash {
    fn from(page: TrashPage) -> Self {
        Self {
            total: page.total,
            data: page.items.into_iter().map(Into::into).collect(),
            unreadable: page.unreadable.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<UnrecordedView> for Unrecorded {
    fn from(view: UnrecordedView) -> Self {
        Self {
            disk: view.disk,
            path: view.path,
            tablet_id: view.key.map(|key| key.tablet_id),
            schema_hash: view.key.map(|key| key.schema_hash),
            entries: view.entries,
            size_bytes: view.size_bytes,
            remark: view.remark,
        }
    }
}
