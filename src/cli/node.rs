//! Commands about the node: disks, tablets, trash.

use super::args::{Output, TabletsArgs};
use super::client::{Answer, Client, Query, Service};
use super::disk_name::DiskName;
use super::exit::{CliError, Exit, confirm, print};
use super::jobs::remainder;
use super::operations;
use super::table::{Align, Table, human_bytes};
use super::tablet::pin_in_words;
use super::task_text::headline;
use super::trash_args::{PurgeArgs, RestoreArgs, TrashArgs};
use crate::api::wire::{Disk, DiskMigrations, PurgeTrash, RegisterDisk, RestoreTablet, TrashItem, Undone};
use crate::model::{Medium, SchemaHash, TabletId, TaskId, counted, printable};

/// `disks`.
pub(super) fn disks(client: &Client, output: Output) -> Result<(), CliError> {
    let Answer { value: list, text } = client.disks()?;
    if output == Output::Json {
        return print(&text);
    }
    let mut table = Table::new(&[
        ("DISK", Align::Left),
        ("MEDIUM", Align::Left),
        ("FS", Align::Left),
        ("CONDITION", Align::Left),
        ("SIZE", Align::Right),
        ("FREE", Align::Right),
        ("RESERVED", Align::Right),
        ("TABLETS", Align::Right),
        ("BYTES", Align::Right),
        ("TRASH", Align::Right),
        ("READS", Align::Right),
        ("WRITES", Align::Right),
        ("QUEUED", Align::Right),
        ("WHY", Align::Left),
    ]);
    for disk in &list.data {
        table.row([
            disk.path.clone(),
            disk.medium.to_string(),
            disk.file_system.clone(),
            disk.condition.clone(),
            human_bytes(disk.total_bytes),
            human_bytes(disk.avail_bytes),
            human_bytes(disk.reserved_bytes),
            disk.tablet_count.to_string(),
            human_bytes(disk.tablet_bytes),
            human_bytes(disk.trash_bytes),
            format!("{}/{}", disk.read_slots.in_use, disk.read_slots.limit),
            format!("{}/{}", disk.write_slots.in_use, disk.write_slots.limit),
            format!("{} out, {} in", disk.queued_from, disk.queued_to),
            remarks(disk),
        ]);
    }
    print(&table.render())
}

/// Empty where the file system counts none.
fn inodes(disk: &Disk) -> String {
    match disk.total_inodes {
        0 => String::new(),
        total => format!("{} of {total} left, {} reserved", disk.avail_inodes, disk.reserved_inodes),
    }
}

/// `disk register`.
pub(super) fn register(client: &Client, path: &str, medium: Medium, output: Output) -> Result<(), CliError> {
    let Answer { value: disk, text } =
        client.register_disk(&RegisterDisk { path: path.to_owned(), medium })?;
    match output {
        Output::Json => print(&text),
        Output::Text => {
            let (condition, tablets) = (&disk.condition, counted(disk.tablet_count, "tablet"));
            print(&format!("registered: {} ({}), {condition}, {tablets}\n", disk.path, disk.medium))
        }
    }
}

/// `disk forget`. Asks first, unless told not to.
pub(super) fn forget(client: &Client, path: &str, yes: bool, output: Output) -> Result<(), CliError> {
    if !yes {
        let question = format!("Forget {path} and leave it out of every further start?");
        confirm("", &question, "nothing was forgotten")?;
    }
    client.forget_disk(path)?;
    match output {
        Output::Json => Ok(()),
        Output::Text => print(&format!(
            "forgotten: {path}; nothing of it is held open; storage_root_path is in be_custom.conf now, which wins over \
             be.conf\n"
        )),
    }
}

/// `disk show`.
pub(super) fn disk(client: &Client, path: &str, output: Output) -> Result<(), CliError> {
    let Answer { value: disk, text } = client.disk(path)?;
    if output == Output::Json {
        return print(&text);
    }
    let limit = Some(disk.rate_limit_bytes_per_sec).filter(|rate| *rate > 0).map(limit_text);
    let limit = limit.unwrap_or_default();
    let lines = [
        ("disk", disk.path.clone()),
        ("uuid", disk.uuid.clone().unwrap_or_default()),
        ("medium", disk.medium.to_string()),
        ("file system", disk.file_system.clone()),
        ("condition", disk.condition.clone()),
        ("because", disk.condition_reason.clone()),
        ("size", human_bytes(disk.total_bytes)),
        ("free", human_bytes(disk.avail_bytes)),
        ("reserved", human_bytes(disk.reserved_bytes)),
        ("inodes", inodes(&disk)),
        ("tablets", format!("{}, {}", disk.tablet_count, human_bytes(disk.tablet_bytes))),
        ("trash", human_bytes(disk.trash_bytes)),
        ("read slots", format!("{} of {}", disk.read_slots.in_use, disk.read_slots.limit)),
        ("write slots", format!("{} of {}", disk.write_slots.in_use, disk.write_slots.limit)),
        ("migrations from it", counts(&disk.migrations_from)),
        ("migrations to it", counts(&disk.migrations_to)),
        ("limit", limit),
        ("safe to remove", if disk.safe_to_remove { "yes" } else { "no" }.to_owned()),
        ("because", disk.not_safe_because.clone().unwrap_or_default()),
    ];
    let told = lines.iter().filter(|(_, value)| !value.is_empty());
    let mut out: String = told.map(|(name, value)| format!("{name:20}{}\n", printable(value))).collect();
    out.extend(disk.undone.iter().map(undone_in_words));
    // How far a drain has come, and what is stuck, is what one wants to know of a disk that is being emptied.
    for id in &disk.task_ids {
        let task = client.task(*id)?.value;
        out += &format!("{}\n", headline(&task));
    }
    print(&out)
}

/// `disk tables` and `task tables`: of a disk, of a task, or of what a task takes from a disk.
pub(super) fn tables(
    client: &Client,
    disk: Option<&DiskName>,
    task: Option<TaskId>,
    output: Output,
) -> Result<(), CliError> {
    let mut query: Query<'_> = vec![("limit", "100000".to_owned())];
    query.extend(client.path_if_any(disk)?.map(|disk| ("disk", disk)));
    query.extend(task.map(|task| ("task", task.to_string())));
    let Answer { value: list, text } = client.tables(&query)?;
    if output == Output::Json {
        return print(&text);
    }
    let mut table =
        Table::new(&[("TABLE", Align::Right), ("TABLETS", Align::Right), ("BYTES", Align::Right)]);
    for one in &list.data {
        table.row([one.table_id.to_string(), one.tablet_count.to_string(), human_bytes(one.tablet_bytes)]);
    }
    print(&(table.render_or("no table") + &remainder(list.data.len(), list.total)))
}

fn counts(counts: &DiskMigrations) -> String {
    format!("{} running, {} queued, {} paused", counts.running, counts.queued, counts.paused)
}

fn remarks(disk: &Disk) -> String {
    let shared = &disk.shares_file_system_with;
    let shared = (!shared.is_empty()).then(|| format!("on one file system with {}", shared.join(", ")));
    let reason = Some(disk.condition_reason.clone()).filter(|reason| !reason.is_empty());
    let limit = Some(disk.rate_limit_bytes_per_sec).filter(|rate| *rate > 0).map(limit_text);
    let safe = disk.safe_to_remove.then(|| "safe to remove".to_owned());
    let pace = disk.pace.as_ref().map(|pace| match pace.rate_bytes_per_sec {
        0 => format!("adaptive: {}", pace.reason),
        rate => format!("adaptive, {} per second now: {}", human_bytes(rate), pace.reason),
    });
    let undone = (disk.undone_count > 0).then(|| {
        format!("{} left undone, {}: see disk show", disk.undone_count, human_bytes(disk.undone_bytes))
    });
    [reason, undone, limit, pace, shared, safe].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// `disk enable`, `disk disable`.
pub(super) fn set_service(
    client: &Client,
    path: &str,
    service: Service,
    output: Output,
) -> Result<(), CliError> {
    let Answer { value: disk, text } = client.set_service(path, service)?;
    match output {
        Output::Json => print(&text),
        Output::Text => {
            let why = match disk.condition_reason.as_str() {
                "" => String::new(),
                reason => format!(" ({})", printable(reason)),
            };
            print(&format!("{}: {}{why}\n", disk.path, disk.condition))
        }
    }
}

/// `disk limits`.
pub(super) fn set_limits(
    client: &Client,
    path: &str,
    rate_bytes_per_sec: Option<u64>,
    output: Output,
) -> Result<(), CliError> {
    let Answer { value: disk, text } = client.set_limits(path, rate_bytes_per_sec)?;
    match output {
        Output::Json => print(&text),
        Output::Text => print(&format!("{}: {}\n", disk.path, limit_text(disk.rate_limit_bytes_per_sec))),
    }
}

fn limit_text(rate_bytes_per_sec: u64) -> String {
    match rate_bytes_per_sec {
        0 => "no limit".to_owned(),
        rate => format!("at most {} per second", human_bytes(rate)),
    }
}

/// `tablets`.
pub(super) fn tablets(client: &Client, args: &TabletsArgs, output: Output) -> Result<(), CliError> {
    let mut query: Query<'_> = vec![("limit", args.limit.to_string())];
    query.extend(client.path_if_any(args.disk.as_ref())?.map(|disk| ("disk", disk)));
    query.extend(args.table.iter().map(|table| ("table_id", table.to_string())));
    query.extend(args.partition.iter().map(|partition| ("partition_id", partition.to_string())));
    query.extend(args.pinned.then(|| ("pinned", "true".to_owned())));
    query.extend(args.marker.iter().map(|id| ("marker", id.to_string())));
    let Answer { value: list, text } = client.tablets(&query)?;
    if output == Output::Json {
        return print(&text);
    }
    let mut table = Table::new(&[
        ("TABLET", Align::Right),
        ("SCHEMA HASH", Align::Right),
        ("TABLE", Align::Right),
        ("PARTITION", Align::Right),
        ("DISK", Align::Left),
        ("SHARD", Align::Right),
        ("GENERATION", Align::Right),
        ("FILES", Align::Right),
        ("SIZE", Align::Right),
        ("REMARK", Align::Left),
    ]);
    for tablet in &list.data {
        let moving = tablet.migration_id.map(|id| format!("moved by migration {id}"));
        table.row([
            tablet.tablet_id.to_string(),
            tablet.schema_hash.to_string(),
            tablet.table_id.to_string(),
            tablet.partition_id.to_string(),
            tablet.disk.clone(),
            tablet.shard_id.to_string(),
            tablet.generation.to_string(),
            tablet.file_count.to_string(),
            human_bytes(tablet.size_bytes),
            tablet
                .unavailable
                .clone()
                .or(tablet.damaged.clone())
                .or(tablet.unreadable.clone())
                .or(moving)
                .or_else(|| pin_in_words(tablet))
                .unwrap_or_default(),
        ]);
    }
    print(&(table.render_or("no tablet") + &remainder(list.data.len(), list.total)))
}

/// `trash list`.
pub(super) fn trash(client: &Client, args: &TrashArgs, output: Output) -> Result<(), CliError> {
    let mut query: Query<'_> = vec![("limit", args.limit.to_string())];
    query.extend(client.path_if_any(args.disk.as_ref())?.map(|disk| ("disk", disk)));
    query.extend(args.tablet.iter().map(|id| ("tablet_id", id.to_string())));
    query.extend(args.marker.iter().map(|marker| ("marker", marker.clone())));
    let Answer { value: list, text } = client.trash(&query)?;
    match output {
        Output::Json => print(&text),
        Output::Text => {
            let table = trash_table(list.data.iter().map(|item| (item, item.kept_because.clone())));
            let unreadable: String = list.unreadable.iter().map(undone_in_words).collect();
            print(&(table + &remainder(list.data.len(), list.total) + &unreadable))
        }
    }
}

fn undone_in_words(undone: &Undone) -> String {
    let at = format!("{}/{}", undone.disk, undone.path);
    format!("{}: {}\n", printable(&at), printable(&undone.reason))
}

fn trash_table<'a>(rows: impl Iterator<Item = (&'a TrashItem, String)>) -> String {
    let mut table = Table::new(&[
        ("DISK", Align::Left),
        ("ENTRY", Align::Left),
        ("TABLET", Align::Right),
        ("SCHEMA HASH", Align::Right),
        ("SIZE", Align::Right),
        ("NOW ON", Align::Left),
        ("RETIRED", Align::Left),
        ("REMARK", Align::Left),
    ]);
    for (item, remark) in rows {
        table.row([
            item.disk.clone(),
            item.entry.clone(),
            item.tablet_id.to_string(),
            item.schema_hash.to_string(),
            human_bytes(item.size_bytes),
            item.moved_to.clone().unwrap_or_default(),
            item.retired_at.map(|time| time.to_string()).unwrap_or_default(),
            remark,
        ]);
    }
    table.render_or("nothing is in trash")
}

/// `trash restore`.
pub(super) fn restore(client: &Client, args: &RestoreArgs, output: Output) -> Result<(), CliError> {
    let tablet_id = args.tablet_id;
    let schema_hash = match args.schema_hash {
        Some(given) => given,
        None => only_hash(&client.trash(&vec![("tablet_id", tablet_id.to_string())])?.value.data, tablet_id)?,
    };
    let request = RestoreTablet {
        tablet_id,
        schema_hash,
        entry: args.entry.clone(),
        to: client.path_if_any(args.to.as_ref())?,
        accept_older: args.accept_older,
    };
    operations::follow(client, client.restore(&request)?, output)
}

fn only_hash(trash: &[TrashItem], tablet: TabletId) -> Result<SchemaHash, CliError> {
    let mut hashes: Vec<_> =
        trash.iter().filter(|item| item.tablet_id == tablet).map(|item| item.schema_hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    match hashes.as_slice() {
        [hash] => Ok(*hash),
        [] => Err(CliError::new(Exit::Refused, format!("nothing of tablet {tablet} is in trash"))),
        several => {
            let list: Vec<_> = several.iter().map(ToString::to_string).collect();
            let text = format!("tablet {tablet} is in trash under {}; say --schema-hash", list.join(", "));
            Err(CliError::new(Exit::Usage, text))
        }
    }
}

/// `trash purge`. Asks first, unless told not to.
pub(super) fn purge(client: &Client, args: &PurgeArgs, output: Output) -> Result<(), CliError> {
    let all = args.disk.is_none() && args.entry.is_none() && args.tablet.is_none();
    let request = PurgeTrash {
        disk: client.path_if_any(args.disk.as_ref())?,
        entry: args.entry.clone(),
        tablet_id: args.tablet,
        all,
        dry_run: true,
    };
    let Answer { value: plan, text } = client.would_purge(&request)?;
    let rows = |list: &[crate::api::wire::PurgedItem], verb: &str| {
        trash_table(list.iter().map(|purged| {
            let kept = purged.not_purged_because.as_ref().map(|why| format!("kept: {why}"));
            (&purged.item, kept.unwrap_or_else(|| verb.to_owned()))
        }))
    };
    if args.dry_run {
        return match output {
            Output::Json => print(&text),
            Output::Text => print(&rows(&plan.data, "would be purged")),
        };
    }
    if !args.yes {
        let count = plan.data.iter().filter(|item| item.not_purged_because.is_none()).count();
        let question = format!("Purge {} from trash for good?", counted(count, "tablet"));
        confirm(&rows(&plan.data, "would be purged"), &question, "nothing was purged")?;
    }
    operations::follow(client, client.purge(&PurgeTrash { dry_run: false, ..request })?, output)
}
