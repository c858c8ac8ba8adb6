//! The I/O class of threads that copy, and their own again afterwards.
//!
//! Idle I/O class. `ioprio_set(2)` on threads that copy, given back when the copy ends: sync, swap and journal never
//! wait behind others. It has an effect under `bfq` and `mq-deadline`, none under `none` (most NVMe disks) and `kyber`,
//! and not on small files, which the kernel writes back by threads of its own.

use std::cell::Cell;
use std::sync::Once;

use crate::config::IoClass;
use crate::storage::os::{IO_PRIORITY_IDLE, io_priority, set_io_priority};

thread_local! {
    /// The I/O priority this thread had before it was made idle.
    static OWN_PRIORITY: Cell<Option<i32>> = const { Cell::new(None) };
}

/// Gives the calling thread the I/O class that copies have now. Cheap when it has it; asked before every block.
pub(crate) fn wear_io_class(class: IoClass) {
    let changed = match (class, OWN_PRIORITY.get()) {
        (IoClass::Idle, None) => io_priority().and_then(|own| {
            set_io_priority(IO_PRIORITY_IDLE)?;
            OWN_PRIORITY.set(Some(own));
            Ok(())
        }),
        (IoClass::BestEffort, Some(own)) => {
            OWN_PRIORITY.set(None);
            set_io_priority(own)
        }
        _ => Ok(()),
    };
    if let Err(errno) = changed {
        static WARNED: Once = Once::new();
        WARNED.call_once(|| {
            tracing::warn!(
                "migration_io_class: this system does not let a thread change it ({})",
                errno.desc()
            );
        });
    }
}

/// Gives the calling thread its own I/O class back when dropped.
pub(crate) struct OwnIoClass;

impl Drop for OwnIoClass {
    fn drop(&mut self) {
        wear_io_class(IoClass::BestEffort);
    }
}
