//! A screen of at most 80 columns, and the same in one line.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::alarm::alarms;
use super::{Glance, Traffic};
use crate::api::wire::{Disk, Migration, Task};
use crate::cli::disk_name::short_names;
use crate::cli::table::human_bytes;
use crate::cli::task_text::how_far;
use crate::model::{TaskStatus, counted, printable};

const WIDTH: usize = 80;
/// Of what is under way so much is shown; lists have the rest.
const ROWS_MAX: usize = 5;

const GOOD: Style = AnsiColor::Green.on_default();
const CARE: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const HEAD: Style = Style::new().bold();

/// The whole of it, each line ended.
pub(super) fn screen(glance: &Glance) -> String {
    let status = &glance.status;
    let alarms = alarms(status, &glance.disks);
    let mut out = String::new();
    let up = indicatif::HumanDuration(std::time::Duration::from_secs(status.uptime_seconds));
    let (style, said) = match alarms.len() {
        0 => (GOOD, "nothing is wrong".to_owned()),
        count => (BAD, counted(count, "alarm")),
    };
    line(&mut out, style, &format!("tabletd {}, up {up}: {said}", status.version));
    let counts = format!(
        "{}, {} damaged, {} not served; migrations: {} running, {} queued",
        counted(status.tablets, "tablet"),
        status.damaged_tablets.len(),
        status.tablets_unavailable,
        status.running,
        status.queued
    );
    line(&mut out, Style::new(), &counts);
    for alarm in alarms.iter().take(2 * ROWS_MAX) {
        line(&mut out, BAD, &format!("! {}", alarm.what));
        if !alarm.command.is_empty() {
            // Never cut: it is there to be typed.
            let _ = writeln!(out, "    {}", printable(&alarm.command));
        }
    }
    let heading = format!(
        "{:<18} {:<8} {:>4} {:>8} {:>7} {:>8} {:>8}  STATE",
        "DISK", "USED", "", "FREE", "TABLETS", "IN/s", "OUT/s"
    );
    let _ = writeln!(out, "{HEAD}{heading}{HEAD:#}");
    let traffic = glance.traffic();
    let names = Names::of(&glance.disks);
    for disk in &glance.disks {
        disk_row(&mut out, &names, disk, traffic.get(disk.path.as_str()).copied().unwrap_or_default());
    }
    section(&mut out, "TASK", &glance.tasks, task_text);
    section(&mut out, "MIGRATION", &glance.at_work, |migration| migration_text(&names, migration));
    out
}

/// For a log: the node in one line.
pub(super) fn line_of(glance: &Glance) -> String {
    let status = &glance.status;
    let speed = glance.traffic().values().map(|traffic| traffic.bytes_in).fold(0, u64::saturating_add);
    let mut said = format!("{} running, {} queued, {}/s", status.running, status.queued, human_bytes(speed));
    for task in &glance.tasks {
        let _ = write!(said, "; {}", task_text(task));
    }
    let alarms = alarms(status, &glance.disks);
    if let Some(first) = alarms.first() {
        let _ = write!(said, "; {}, the first: {}", counted(alarms.len(), "alarm"), printable(&first.what));
    }
    said
}

fn disk_row(out: &mut String, names: &Names<'_>, disk: &Disk, traffic: Traffic) {
    const BAR: usize = 8;
    let used = disk.total_bytes.saturating_sub(disk.avail_bytes);
    let of = |whole: usize| u128::from(used) * whole as u128 / u128::from(disk.total_bytes.max(1));
    let filled = usize::try_from(of(BAR)).unwrap_or(0);
    let bar: String = (0..BAR).map(|at| if at < filled { '#' } else { '.' }).collect();
    let rate = |bytes| if bytes == 0 { "-".to_owned() } else { human_bytes(bytes) };
    let (style, state) = match disk.condition.as_str() {
        "online" if disk.safe_to_remove => (GOOD, "removable"),
        "online" => (GOOD, "online"),
        "read-only" | "disabled" | "suspect" => (CARE, disk.condition.as_str()),
        other => (BAD, other),
    };
    let _ = writeln!(
        out,
        "{:<18} {bar} {:>3}% {:>8} {:>7} {:>8} {:>8}  {style}{}{style:#}",
        names.name(&disk.path),
        of(100),
        human_bytes(disk.avail_bytes),
        disk.tablet_count,
        rate(traffic.bytes_in),
        rate(traffic.bytes_out),
        printable(state),
    );
}

fn section<T>(out: &mut String, heading: &str, rows: &[T], text: impl Fn(&T) -> String) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(out, "{HEAD}{heading}{HEAD:#}");
    for row in rows.iter().take(ROWS_MAX) {
        line(out, Style::new(), &text(row));
    }
    if let Some(further) = rows.len().checked_sub(ROWS_MAX).filter(|further| *further > 0) {
        let _ = writeln!(out, "and {further} more");
    }
}

fn task_text(task: &Task) -> String {
    let id = task.id.map(|id| id.to_string()).unwrap_or_default();
    let status = task.status.map_or("planned", TaskStatus::as_str);
    let stuck = task.status_list.iter().flatten().map(|disk| disk.blocked.len()).sum::<usize>();
    let stuck = if stuck == 0 { String::new() } else { format!(", {stuck} stuck") };
    format!("{id} {}: {status}, {}{stuck}", task.name, how_far(task))
}

fn migration_text(names: &Names<'_>, migration: &Migration) -> String {
    let Migration { id, tablet_id, status, counters, .. } = migration;
    let (from, to) = (names.name(&migration.source_disk), names.name(&migration.dest_disk));
    let done = u128::from(counters.disk_verified_bytes) * 100 / u128::from(counters.disk_total_bytes.max(1));
    format!("{id} tablet {tablet_id}, {from} -> {to}: {status}, {done} %")
}

/// One line, cut where the screen ends.
fn line(out: &mut String, style: Style, text: &str) {
    let text = printable(text);
    let shown: String = match text.char_indices().nth(WIDTH) {
        None => text.to_string(),
        Some(_) => text.chars().take(WIDTH - 1).chain(['…']).collect(),
    };
    let _ = writeln!(out, "{style}{shown}{style:#}");
}

/// Disks by their paths, or, where that takes more than its column, by what `tabletctl` takes in its place.
struct Names<'a>(BTreeMap<&'a str, String>);

impl<'a> Names<'a> {
    const WIDTH: usize = 18;

    fn of(disks: &'a [Disk]) -> Self {
        let paths: Vec<_> = disks.iter().map(|disk| disk.path.clone()).collect();
        let short = short_names(&paths);
        // Of two disks of one path none has a short name.
        let pairs = if short.len() == paths.len() { disks.iter().zip(short).collect() } else { Vec::new() };
        Self(pairs.into_iter().map(|(disk, name)| (disk.path.as_str(), name)).collect())
    }

    fn name(&self, path: &str) -> String {
        let shown =
            if path.chars().count() > Self::WIDTH { self.0.get(path).map(String::as_str) } else { None };
        tail(shown.unwrap_or(path), Self::WIDTH)
    }
}

/// The end of a path, which tells disks apart.
fn tail(path: &str, width: usize) -> String {
    let path = printable(path);
    match path.chars().count().checked_sub(width) {
        None | Some(0) => path.to_string(),
        Some(over) => std::iter::once('…').chain(path.chars().skip(over + 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn disk(path: &str, condition: &str) -> Value {
        json!({
            "path": path, "uuid": null, "medium": "HDD", "condition": condition, "condition_reason": "I/O errors",
            "total_bytes": 1_000_000_000_000_u64, "avail_bytes": 250_000_000_000_u64, "reserved_bytes": 0,
            "tablet_count": 123_456, "tablet_bytes": 0, "trash_bytes": 0, "file_system": "ext4",
            "shares_file_system_with": [], "read_slots": {"in_use": 0, "limit": 2}, "write_slots": {"in_use": 0, "limit": 2},
            "queued_from": 0, "queued_to": 0, "rate_limit_bytes_per_sec": 0
        })
    }

    fn glance(disks: &[Value], damaged: usize) -> Glance {
        let damaged: Vec<Value> = (0..damaged)
            .map(|id| json!({"tablet_id": id, "schema_hash": 7, "disk": "/d1", "damaged": "0123456789 ".repeat(20)}))
            .collect();
        let status = json!({
            "version": "1.2.3", "uptime_seconds": 7, "disks": {}, "tablets": 5, "tablets_unavailable": 0,
            "damaged_tablets": damaged, "queued": 1, "running": 2,
            "totals": {"accepted": 0, "started": 0, "completed": 0, "failed": 0, "aborted": 0, "retried": 0, "refused": {},
                "copied_bytes": 0, "verified_bytes": 0, "throttled_ms": 0, "steps": [], "quarantined": 0, "purged": 0}
        });
        Glance {
            status: serde_json::from_value(status).expect("a status"),
            disks: disks.iter().map(|disk| serde_json::from_value(disk.clone()).expect("a disk")).collect(),
            tasks: Vec::new(),
            at_work: Vec::new(),
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn no_line_is_wider_than_a_terminal_whatever_disks_and_reasons_are_called() {
        let path = format!("/mnt/{}\n", "long".repeat(30));
        let shown = plain(&screen(&glance(&[disk(&path, "online"), disk("/d2", "read-only")], 5)));
        let commands = |line: &&str| line.trim_start().starts_with("tabletctl ");
        for line in shown.lines().filter(|line| !commands(line)) {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert!(shown.contains("75%"), "{shown}");
    }

    #[test]
    fn a_disk_with_a_long_path_is_called_as_it_can_be_typed() {
        let disks = [disk("/var/lib/storage/rack7/disk1", "online"), disk("/mnt/disk2", "online")];
        let shown = plain(&screen(&glance(&disks, 0)));
        assert!(shown.lines().any(|line| line.starts_with("disk1  ")), "{shown}");
        assert!(shown.lines().any(|line| line.starts_with("/mnt/disk2  ")), "{shown}");
    }

    #[test]
    fn what_is_wrong_comes_with_the_command_that_helps_and_a_calm_node_says_so() {
        let shown = plain(&screen(&glance(&[disk("/d2", "broken")], 5)));
        for told in [
            "tabletctl tablet heal 0",
            "2 more damaged tablets",
            "tabletctl disk forget /d2 --lost --dry-run",
        ] {
            assert!(shown.contains(told), "{told} is missing:\n{shown}");
        }
        let mut full = glance(&[disk("/d2", "online")], 0);
        full.status.state_dir.trouble = Some("state_dir /s is full".into());
        assert!(plain(&screen(&full)).contains("! state_dir /s is full"));
        let calm = glance(&[disk("/d2", "online")], 0);
        assert!(plain(&screen(&calm)).contains("nothing is wrong"));
        assert_eq!(line_of(&calm), "2 running, 1 queued, 0 B/s");
    }
}
