//! Trash entries made in advance: what a retirement takes on a disk that has no block and no inode left for a new one. They
//! lie beside the trash, each with an empty directory for the tablet and a note of spaces, whose block is written to in
//! place. Taking one is a rename; what a crash leaves of it is an empty entry, which the next start clears away.

use std::os::unix::fs::FileExt;

use nix::fcntl::OFlag;

use super::dir::{Dir, EntryKind};
use super::error::DiskError;
use super::file::write_new;
use super::layout::{RETIRED_FILE, SPARE};
use crate::model::TabletId;

/// How many of them a disk has: one is used up by each retirement that finds no room, until there is room again.
const SPARES: usize = 4;
/// Room for a note, one block: a longer one is refused.
const NOTE_BYTES: usize = 4096;
/// The tablet's directory before it has a name: a number that no tablet has got yet, so that an entry which nothing has
/// reached is known as one.
const TABLET: &str = "9223372036854775807";
/// One that is being made.
const UNFINISHED: &str = "new";

/// Makes those that are missing. One listing where none is.
///
/// # Errors
/// As the calls made; `ENOSPC` where there is no room for them either.
pub fn ensure_spares(root: &Dir) -> Result<(), DiskError> {
    let spares = root.ensure(SPARE)?;
    let names: Vec<_> = numbered(&spares)?;
    for number in 0..SPARES {
        let name = number.to_string();
        if names.contains(&name) {
            continue;
        }
        spares.remove_tree(UNFINISHED)?;
        let made = spares.create(UNFINISHED).and_then(|spare| {
            write_new(&spare, RETIRED_FILE, &[b' '; NOTE_BYTES])?;
            spare.create(TABLET)
        });
        if let Err(error) = made {
            // Somebody else can use the little that it took.
            let _ = spares.remove_tree(UNFINISHED);
            return Err(error);
        }
        spares.rename(UNFINISHED, &spares, &name)?;
    }
    Ok(())
}

fn numbered(spares: &Dir) -> Result<Vec<String>, DiskError> {
    let entries = spares.entries()?.into_iter().filter(|entry| entry.kind == EntryKind::Directory);
    let names = entries.filter_map(|entry| entry.name.into_string().ok());
    Ok(names.filter(|name| name != UNFINISHED).collect())
}

/// Makes one of them the entry `name` of the trash, with this note and a directory for this tablet, which is returned;
/// `None` where there is none, or the note is too long. Needs no block and no inode but, where the trash's own directory
/// is full to the last name, one for that.
///
/// # Errors
/// As the calls made. What is left then is an entry that no tablet has reached.
pub(super) fn take_spare(
    root: &Dir,
    trash: &Dir,
    name: &str,
    note: &[u8],
    tablet_id: TabletId,
) -> Result<Option<Dir>, DiskError> {
    let Some(spares) = root.open_if_exists(SPARE)? else { return Ok(None) };
    if note.len() > NOTE_BYTES {
        return Ok(None);
    }
    let Some(spare) = numbered(&spares)?.pop() else { return Ok(None) };
    // Whoever renames it has it.
    spares.rename(&spare, trash, name)?;
    let entry = trash.open(name)?;
    let file = entry.open_file(RETIRED_FILE, OFlag::O_WRONLY)?;
    let written = file.write_all_at(note, 0);
    written.map_err(|error| DiskError::from_io("write", entry.path().join(RETIRED_FILE), &error))?;
    let tablet = tablet_id.to_string();
    if tablet != TABLET {
        entry.rename(TABLET, &entry, &tablet)?;
    }
    entry.open(tablet).map(Some)
}
