//! A closer look at one copy of a tablet: tells damage from a disk that did not answer.
//!
//! A damaged copy owns nothing and is set aside. A copy that could not be read may be sound, and newer than all others:
//! nothing is decided about its tablet before somebody has read it. Changes nothing.

use std::sync::Arc;

use nix::errno::Errno;

use super::recovery::ACTION_WAIT;
use crate::engine::parts::disk::{Disk, visit};
use crate::engine::parts::rewrite::content_crc32;
use crate::model::{ErrorCode, Failure, RecordSummary, TabletKey};
use crate::storage::layout::tablet_dir;
use crate::storage::{MetadataStore, Root, StorageError};
use crate::transfer::check_source;

/// What a copy turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Its record is whole, and its files are there with their sizes.
    Sound { record: RecordSummary, content_crc32: u32 },
    /// It was read, and is not what it should be.
    Damaged(String),
    /// The disk did not give it.
    Unreadable(String),
}

/// Looks at the copy of this tablet on this disk.
///
/// # Errors
/// The disk does not answer at all.
pub(crate) fn look(disk: &Arc<Disk>, key: TabletKey) -> Result<Look, Failure> {
    visit(disk, ACTION_WAIT, move |root, store| Ok(look_at(root, store, key)))
}

/// The same, for who has opened the disk.
pub(crate) fn look_at(root: &Root, store: &dyn MetadataStore, key: TabletKey) -> Look {
    let record = match store.get(key) {
        Ok(Some(record)) => record,
        Ok(None) => return Look::Damaged("its record is gone".to_owned()),
        // Something else stands under a record's name.
        Err(StorageError::Disk(error))
            if matches!(error.errno, Errno::EISDIR | Errno::ELOOP | Errno::ENXIO | Errno::EFBIG) =>
        {
            return Look::Damaged(error.to_string());
        }
        Err(error) => return judge(error.code(), error.to_string()),
    };
    let dir = match root.dir().open_if_exists(tablet_dir(record.shard_id, key)) {
        Ok(Some(dir)) => dir,
        Ok(None) => return Look::Damaged("its directory is missing".to_owned()),
        Err(error) => return judge(error.code(), error.to_string()),
    };
    match check_source(&dir, &record.manifest) {
        Ok(()) => Look::Sound { record: record.summary(), content_crc32: content_crc32(&record.manifest) },
        Err(failure) => judge(failure.code, failure.message),
    }
}

fn judge(code: ErrorCode, why: String) -> Look {
    match code {
        ErrorCode::RecordDamaged | ErrorCode::SourceDamaged | ErrorCode::UnexpectedEntry => {
            Look::Damaged(why)
        }
        _ => Look::Unreadable(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_disk_did_not_give_is_not_damage() {
        for (code, is_damage) in [
            (ErrorCode::RecordDamaged, true),
            (ErrorCode::SourceDamaged, true),
            (ErrorCode::UnexpectedEntry, true),
            (ErrorCode::IoError, false),
            (ErrorCode::ResourceExhausted, false),
            (ErrorCode::DiskUnavailable, false),
        ] {
            assert_eq!(matches!(judge(code, String::new()), Look::Damaged(_)), is_damage, "{code:?}");
        }
    }
}
