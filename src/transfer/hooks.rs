//! What a copy asks of and tells its owner while it runs. The copy itself knows no job, no slot and no limit.

use crate::model::Failure;

/// One of the two ends of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where the tablet is.
    Source,
    Destination,
}

impl Side {
    /// In words, for messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

/// What bytes are about to be moved for; each has its own cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Traffic {
    /// A read of the source and a write to the destination.
    Copy,
    /// A read past the page cache, to compare: of the destination after a copy, or of a tablet being checked.
    ReadBack,
}

/// What [`CopyHooks::enter_call`] gave, to be handed back when the call returns. Its meaning is the owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallToken(pub u64);

/// The owner of a copy, as the copy sees it. Called from several threads at once. What is not overridden asks nothing and
/// tells nobody: the whole of it for a copy that no one watches.
pub trait CopyHooks: Sync {
    /// Asked before every block and every small file.
    ///
    /// # Errors
    /// The copy is to stop: aborted, paused, shutting down, timed out. The failure is what the copy returns.
    fn checkpoint(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Returns when that many bytes of that traffic may pass. While waiting, asks `go_on` now and then and gives up with its error.
    ///
    /// # Errors
    /// What `go_on` said.
    fn take(
        &self,
        _traffic: Traffic,
        _bytes: u64,
        _go_on: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// The longest block that may be read or written at once now, in bytes: who reads a little from the same disk waits
    /// for the block before it. Asked before every block; cheap.
    fn block_bytes_max(&self) -> usize {
        usize::MAX
    }

    /// Bytes were written to the destination, not yet durably.
    fn copied(&self, _bytes: u64) {}

    /// A file of the copy has taken up that much of the destination's file system.
    fn allocated(&self, _bytes: u64) {}

    /// So much of the destination's file system was given back: a file that was there already was not what it should be.
    fn freed(&self, _bytes: u64) {}

    /// Bytes were read back and are as they should be.
    fn verified(&self, _bytes: u64) {}

    /// One more file is verified from its first byte to its last.
    fn file_verified(&self) {}

    /// Bytes were found on the destination, durable and right: reported as copied and verified as well.
    fn resumed(&self, _bytes: u64) {}

    /// Bytes are on the destination without having been written: they are the source's own.
    fn cloned(&self, _bytes: u64) {}

    /// A line for the step's log.
    fn log(&self, _text: String) {}

    /// A call that can hang with the disk is about to be made by this thread. Cheap: there are two per block.
    fn enter_call(&self, _side: Side, _operation: &'static str) -> CallToken {
        CallToken::default()
    }

    /// It returned.
    fn leave_call(&self, _token: CallToken) {}
}
