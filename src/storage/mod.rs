//! One storage root: its layout, its metadata records, its trash, and the durable verbs everything above is built from.
//!
//! Rooms in reading order: [`layout`] names every path; [`Dir`] is the only way to a file; [`Root`] is an opened root;
//! [`MetadataStore`] says who owns which tablet there; [`Staging`] is a copy that owns nothing yet.
//!
//! Knows nothing of a second root or of how a migration goes. Every call that touches a disk runs below a directory
//! descriptor, never follows a symlink and never leaves the file system it started on.
//!
//! Paths. Files are reached with `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV)` below the root's
//! descriptor. Only the configured root path may be a symlink.

mod checkpoint;
mod dir;
mod disk_list;
mod doris;
mod envelope;
mod error;
mod file;
mod how_to_scan;
pub mod layout;
mod listing;
mod lock;
mod mounts;
mod native;
pub mod os;
mod quarantine;
mod record;
mod record_scan;
mod retire;
mod root;
mod salvaged;
mod scan;
mod spare;
mod staging;
mod store;
mod trash;
mod unrecorded;

pub use checkpoint::{Draft, Stamp};
pub use dir::{Barrier, Dir, DirEntry, DirectBarrier, EntryKind};
pub use disk_list::{get_disk_list, put_disk_list};
pub use doris::{
    AddedLog, DORIS_ROOM, DorisFiles, DorisLock, DorisLockError, DorisRoot, DorisStore, Judged, SinceKept,
    bring_back, doris_directory, forget_kept, give_as, judge, keep_meta, keep_record, kept_runs, list_tablet,
    look_at_tablet, purge_retired, read_one_state, retire_directory, retired_path, since_kept, sum_of_pairs,
    tablets_in_log,
};
pub use error::{CommitError, DiskError, StorageError};
pub use file::{ReadFrom, read_small, replace_durably, write_new};
pub use how_to_scan::{HowToScan, LookForDirectories, ScanProgress, WhichRecords};
pub use lock::{LockError, RootLock};
pub use mounts::{FileSystem, same_file_system};
pub use native::NativeStore;
pub use quarantine::{
    QuarantineItem, purge_quarantined, quarantine_entries, read_quarantined, read_quarantined_record,
};
pub use record::{
    HeaderFields, decode_record, decode_summary, encode_record, header_with_shard, read_header,
    read_unsealed_record, synthesize_header, synthesize_header_in,
};
pub use retire::{RetiredNote, ensure_note, finish_retiring, retire, retire_again, rewrite_note};
pub use root::{KnownAs, Root, RootError, RootIdentity, check_blank, leads_elsewhere, read_disk_uuid};
pub use salvaged::{Salvaged, SalvagedEntry};
pub use scan::{RootScan, StagingItem, UnreadableEntry, look_at_entry, scan_root};
pub use spare::ensure_spares;
pub use staging::{
    Asked, Home, Owner, Purpose, StagedContent, Staging, hand_over, is_placed, read_home, read_owner,
    remove_empty_parents, remove_staging, remove_unowned_tablet,
};
pub use store::{ListedRecord, MetadataStore, ScannedRecord, StagedRecord};
pub use trash::{
    Quarantined, TrashItem, TrashedCopy, UnfinishedEntry, list_trash, open_trashed, purge_entry, quarantine,
    read_entry, read_trashed_copy, remove_bare_entry, retirements_cut_short, take_retirement_back,
    trash_entries,
};
pub use unrecorded::{DataDir, Unnamed, data_dirs, look_unnamed, shard_names};
