//! Disks that join and leave while the daemon runs. What a start would refuse is refused here; what a start would have to
//! settle is left to a start: a disk that joins must hold nothing that this node knows of already.
//!
//! A disk joins by what a start does to it, into the next place of a table that is only ever appended to
//! (`engine/parts/disk_table.rs`). It is refused when it holds anything that a start would have to settle: a tablet
//! this node knows of, unfinished copies, damaged records. A disk is forgotten only when nothing needs it: no tablet,
//! migration or task, nor the last trace of a tablet in its trash or quarantine. Then its threads end, nothing of it is
//! held open, and what was said of it (disabled) goes too. Joining and leaving both write `storage_root_path` to
//! be_custom.conf, which from then on wins over be.conf. `safe_to_remove` asks more than that, because pulling a disk
//! takes its whole file system along: no other root's tablets there, and not `state_dir`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, BrokenDisks};
use crate::engine::look::disks;
use crate::engine::look::removal::in_use;
use crate::engine::node::Node;
use crate::engine::parts::disk::Disk;
use crate::engine::parts::entry::Entry;
use crate::engine::parts::known_disks::{KnownDisks, if_lost};
use crate::engine::parts::limits::disk_rate;
use crate::engine::parts::thread::run_isolated;
use crate::engine::recover::open::open_beside;
use crate::engine::tend::{disk_list, housekeeping, last_seen, marks};
use crate::model::{ErrorCode, Failure, Marked, Medium, TabletKey};
use crate::storage::RootScan;

/// How long a walk for files without a record is waited for before that is a reason to refuse.
const WALK_WAIT: Duration = Duration::from_secs(2);

const ROOTS_KEY: &str = "storage_root_path";

/// Why no disk may go.
pub(crate) const ONLY_ONE: &str = "it is the only one; tabletctl disk register PATH lets another join first";

/// Opens a disk, probes and scans it as a start would, writes it into be_custom.conf and lets it serve.
pub(crate) fn register(node: &Arc<Node>, path: &str, medium: Medium) -> Result<(), Failure> {
    let _one = node.registering();
    let refuse = |code, why: String| Err(Failure::new(code, format!("disk {path} is not registered: {why}")));
    if let Some(known) = node.disk_at(path) {
        let condition = known.condition(node.hang_after());
        let why = match condition.is_readable() {
            true => "it is configured already".to_owned(),
            false => format!(
                "it is configured already, and {}: {}; {}",
                condition.as_str(),
                condition.reason(),
                if_lost(&known.path)
            ),
        };
        return refuse(ErrorCode::DiskExists, why);
    }
    let raw = node.config().storage_root_path.clone();
    let entry = format!("{path},medium:{}", medium.as_str().to_ascii_lowercase());
    let longer = match raw.trim() {
        "" => entry,
        // A disk that was replaced, and did not join.
        _ if understood(&raw, path).is_ok() => raw,
        _ => format!("{};{entry}", raw.trim_end_matches([';', ' '])),
    };
    if let Err(why) = understood(&longer, path) {
        return refuse(ErrorCode::InvalidArgument, why);
    }
    join(node, path, medium, &Joining::AtTheEnd(longer))
}

/// How a disk joins.
pub(crate) enum Joining {
    /// As a further one; the list of the configuration that has it.
    AtTheEnd(String),
    /// In the place of one that was given up: the configuration names it already, and what is there is blank.
    InPlace,
}

/// Opens a disk, probes and scans it, and lets it serve. The caller has the sole right to register.
pub(crate) fn join(node: &Arc<Node>, path: &str, medium: Medium, how: &Joining) -> Result<(), Failure> {
    let refuse = |code, why: String| Err(Failure::new(code, format!("disk {path} is not registered: {why}")));
    let config = node.config().clone();
    let Some(index) = node.disks.next() else {
        return refuse(ErrorCode::ResourceExhausted, "too many disks since the start; restart".to_owned());
    };
    let disk = Arc::new(Disk::new(index, path.to_owned(), medium, disk_rate(&config, path)));
    let others: Vec<_> = node.shown_disks().cloned().collect();
    let (owned, counts, at) = (Arc::clone(&disk), Arc::clone(&node.syncs), config);
    let takes_blank = matches!(how, Joining::InPlace);
    let opened = run_isolated("register-disk", move || {
        if let Some(other) = at_the_same_place(&owned, &others) {
            let why = format!("it is the same directory as {}, which is configured already", other.path);
            return Err((ErrorCode::DiskExists, why));
        }
        let unavailable = |why| (ErrorCode::DiskUnavailable, why);
        let configured = others.iter().map(|disk| disk.path.as_str());
        let mut known = KnownDisks::load(&PathBuf::from(&at.state_dir), configured).map_err(unavailable)?;
        if takes_blank {
            known.expect_new(&owned.path);
        }
        open_beside(&owned, &others, &known, &at, &counts).map_err(unavailable)
    })?;
    let (scan, opened) = match opened {
        Ok(opened) => opened,
        Err((code, why)) => return refuse(code, why),
    };
    if let Some(why) = to_be_settled(node, &scan) {
        return refuse(ErrorCode::DiskInUse, format!("{why}; {}", way_by_restart(node, path)));
    }
    // From here on the next start knows of it; should we die before it serves, nothing is lost by that.
    if let Joining::AtTheEnd(longer) = how {
        keep(node, longer)?;
    }
    let (uuid, own) = (opened.identity.uuid, path.to_owned());
    let remembered = change_known_disks(node, move |known| known.remember(&own, uuid));
    if let Err(failure) = remembered {
        tracing::warn!(disk = path, "not remembered before the next start: {failure}");
    }
    if disk.opened.set(opened).is_err() {
        return refuse(ErrorCode::Internal, "it was opened twice".to_owned());
    }
    marks::restore_service(node, &disk);
    if !node.disks.add(Arc::clone(&disk)) {
        return refuse(ErrorCode::Internal, "its number was taken".to_owned());
    }
    disk.note_scan(&scan);
    {
        let mut catalog = node.catalog_mut();
        for (key, generation) in generations(&scan) {
            catalog.saw_generation(key, generation);
        }
        for record in &scan.records {
            catalog.insert(record.key, Entry::new(index, record));
        }
    }
    if let Err(failure) = housekeeping::look_after(node, &disk) {
        tracing::error!(
            disk = path,
            "it serves, but its health is not watched before the next start: {failure}"
        );
    }
    tracing::warn!(disk = path, tablets = scan.records.len(), "registered by an operator");
    disk_list::spread(node);
    node.ring();
    Ok(())
}

/// Lets a disk go that holds nothing: out of the configuration, its lock and its descriptors free.
pub(crate) fn forget(node: &Arc<Node>, path: &str) -> Result<(), Failure> {
    let _one = node.registering();
    let disk = Arc::clone(node.find_disk(path)?);
    // Nothing may arrive between the look and the end. The catalog's lock orders the two: a move that is granted is
    // counted by now, or sees that the disk is leaving.
    disk.set_leaving(true);
    drop(node.catalog_mut());
    let granted = disk.grants.count();
    let refuse = |why: String| {
        disk.set_leaving(false);
        Failure::new(ErrorCode::DiskInUse, format!("disk {path} is not forgotten: {why}"))
    };
    if granted > 0 {
        return Err(refuse(
            "a migration from or to it is being accepted at this moment; ask again".to_owned(),
        ));
    }
    disk.unrecorded.wait(WALK_WAIT);
    let under_way = disks::under_way(node, &disk);
    let shorter = without(node, path);
    if let Some(why) = in_use(node, &disk, under_way) {
        let way_out = match shorter {
            // A drain has nowhere to go.
            None => format!("; {ONLY_ONE}"),
            Some(_) if node.catalog().usage(disk.index).0 > 0 => {
                format!("; tabletctl disk drain {path} empties it")
            }
            Some(_) => String::new(),
        };
        return Err(refuse(why + &way_out));
    }
    let Some(shorter) = shorter else {
        return Err(refuse(ONLY_ONE.to_owned()));
    };
    keep(node, &shorter).map_err(|failure| refuse(failure.message))?;
    let own = path.to_owned();
    if let Err(failure) = change_known_disks(node, move |known| known.forget(&own)) {
        tracing::warn!(disk = path, "still remembered in the state directory: {failure}");
    }
    if let Some(uuid) = disk.reference().map(|reference| reference.uuid) {
        let state_dir = PathBuf::from(&node.config().state_dir);
        if let Err(failure) = run_isolated("last-seen", move || last_seen::forget(&state_dir, uuid)) {
            tracing::warn!(disk = path, "the list of its tablets stays: {failure}");
        }
    }
    // Registered again it is a new disk: what was said of the old one goes with it.
    if let Some(opened) = disk.opened.get()
        && let Err(failure) = marks::set(node, Marked::Disabled(opened.identity.uuid), None)
    {
        tracing::warn!(disk = path, "it is still marked as disabled should it ever return: {failure}");
    }
    disk.forget();
    tracing::warn!(disk = path, "forgotten by an operator");
    node.ring();
    Ok(())
}

/// Reads or changes what the state directory says of disks, on a thread of its own: its disk may hang.
pub(crate) fn change_known_disks<T: Send + 'static>(
    node: &Node,
    change: impl FnOnce(&mut KnownDisks) -> Result<T, String> + Send + 'static,
) -> Result<T, Failure> {
    let state_dir = PathBuf::from(&node.config().state_dir);
    let paths: Vec<_> = node.shown_disks().map(|disk| disk.path.clone()).collect();
    let changed = run_isolated("known-disks", move || {
        let mut known = KnownDisks::load(&state_dir, paths.iter().map(String::as_str))?;
        let before = known.times_written();
        let answer = change(&mut known)?;
        Ok((answer, known.times_written() > before))
    })?;
    let (answer, is_changed) = changed.map_err(|why: String| Failure::new(ErrorCode::IoError, why))?;
    if is_changed {
        disk_list::spread(node);
    }
    Ok(answer)
}

/// The disk that has the same directory under another name. Touches disks.
fn at_the_same_place<'a>(disk: &Disk, others: &'a [Arc<Disk>]) -> Option<&'a Arc<Disk>> {
    let place = std::fs::canonicalize(&disk.path).ok()?;
    others.iter().find(|other| std::fs::canonicalize(&other.path).is_ok_and(|own| own == place))
}

/// A start takes what a registration does not; the list that it reads may be the one that was kept.
fn way_by_restart(node: &Node, path: &str) -> String {
    let kept = node.config().custom_file();
    if config::is_kept(&kept, ROOTS_KEY) {
        let kept = kept.display();
        format!("add {path} to {ROOTS_KEY} in {kept}, which wins over be.conf, and restart the daemon")
    } else {
        format!("add {path} to {ROOTS_KEY} in be.conf and restart the daemon")
    }
}

/// Whether the list, as a start would read it, has the path as it is written here.
fn understood(list: &str, path: &str) -> Result<(), String> {
    let roots =
        config::parse_storage_root_path(list, BrokenDisks::RefuseStart, &|path| Some(path.to_owned()))
            .map_err(|errors| {
                errors.iter().map(|invalid| invalid.error.to_string()).collect::<Vec<_>>().join("; ")
            })?;
    let found = roots.roots.iter().any(|root| root.path == path);
    found.then_some(()).ok_or_else(|| format!("write it as {ROOTS_KEY} would: an absolute path"))
}

/// The list of the configuration without this path; `None` when nothing else is on it.
pub(crate) fn without(node: &Node, path: &str) -> Option<String> {
    let list = node.config().storage_root_path.clone();
    let rest: Vec<_> = list
        .split(';')
        .filter(|entry| !entry.trim().is_empty() && understood(entry, path).is_err())
        .collect();
    (!rest.is_empty()).then(|| rest.join(";"))
}

/// The medium of a path of the configuration; `None` when it is not on the list.
pub(crate) fn configured_medium(node: &Node, path: &str) -> Option<Medium> {
    let list = node.config().storage_root_path.clone();
    let roots = config::parse_storage_root_path(&list, BrokenDisks::LeaveOut, &|path| Some(path.to_owned()));
    roots.ok()?.roots.iter().find(|root| root.path == path).map(|root| root.medium)
}

/// Writes the list into be_custom.conf, whose `storage_root_path` is the one in force from then on.
pub(crate) fn keep(node: &Node, list: &str) -> Result<(), Failure> {
    config::persist(&node.config().custom_file(), ROOTS_KEY, list)
        .map_err(|error| Failure::new(ErrorCode::IoError, error.to_string()))?;
    list.clone_into(&mut node.config_mut().storage_root_path);
    Ok(())
}

/// Tablets that are not on the disk as live copies, with the generations seen.
fn generations(scan: &RootScan) -> impl Iterator<Item = (TabletKey, u64)> {
    let trash = scan.trash.iter().filter_map(|item| Some((item.key, item.header?.generation)));
    trash.chain(scan.quarantined.iter().copied())
}

/// What only a start can settle; `None` when the disk can simply join.
fn to_be_settled(node: &Node, scan: &RootScan) -> Option<String> {
    let left = [
        (scan.without_directory.len(), "records without a directory"),
        (scan.damaged.len(), "damaged records"),
        (scan.staging.len(), "unfinished copies"),
        (scan.unfinished_trash.len(), "unfinished entries in its trash"),
    ];
    if let Some((count, what)) = left.iter().find(|(count, _)| *count > 0) {
        return Some(format!("it holds {count} {what}, which a start settles"));
    }
    let catalog = node.catalog();
    let own = scan.records.iter().map(|record| record.key);
    let mut keys = own.chain(generations(scan).map(|(key, _)| key));
    let known = keys.find(|key| catalog.is_known(*key))?;
    Some(format!("tablet {known} is known to this node already, and a start says which copy owns it"))
}
