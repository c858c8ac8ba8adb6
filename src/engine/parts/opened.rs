//! What a disk turned out to be when it was opened, for whoever works on it. It is let go of when its path leads elsewhere,
//! and set again when it was mounted anew: on another device, but by its uuid the same disk.

use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, PoisonError, RwLock};

use crate::model::Failure;
use crate::storage::{FileSystem, RootIdentity};

/// What an opened root turned out to be.
pub(crate) struct Opened {
    pub(crate) identity: RootIdentity,
    pub(crate) file_system: FileSystem,
    /// The way to the thread that syncs this disk's file system, and keeps its lock.
    pub(crate) syncs: mpsc::Sender<SyncSender<Result<(), Failure>>>,
}

/// Nothing, until the root has been opened.
#[derive(Default)]
pub(crate) struct OpenedSlot(RwLock<Slot>);

#[derive(Default)]
struct Slot {
    opened: Option<Arc<Opened>>,
    let_go: bool,
}

impl OpenedSlot {
    /// What it turned out to be when it was opened last.
    pub(crate) fn get(&self) -> Option<Arc<Opened>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).opened.clone()
    }

    /// It was opened, for the first time or anew.
    ///
    /// # Errors
    /// It is open already.
    pub(crate) fn set(&self, opened: Opened) -> Result<(), &'static str> {
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if slot.opened.is_some() && !slot.let_go {
            return Err("it was opened twice");
        }
        *slot = Slot { opened: Some(Arc::new(opened)), let_go: false };
        Ok(())
    }

    /// Lets its thread, its lock and its descriptors go, so that the file system can; who it was stays known. False
    /// where that is done already, or there is nothing.
    pub(crate) fn let_go(&self) -> bool {
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(opened) = slot.opened.clone().filter(|_| !slot.let_go) else { return false };
        // Nobody listens at the other end any more; the thread ends once the last one who asked it is gone.
        let (syncs, _) = mpsc::channel();
        let known = Opened { identity: opened.identity, file_system: opened.file_system.clone(), syncs };
        *slot = Slot { opened: Some(Arc::new(known)), let_go: true };
        true
    }

    /// Whether it was let go of and not opened since.
    pub(crate) fn is_let_go(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).let_go
    }
}
