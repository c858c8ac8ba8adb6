//! How each disk stands.

use std::time::Duration;

use super::node::seconds;
use super::page::Family;
use super::page::Kind::{Counter, Gauge};
use crate::engine::DiskView;
use crate::model::DiskCondition;

pub(super) fn families(disks: &[DiskView]) -> Vec<Family> {
    let mut families = counted(disks);
    families.push(throttled(disks));
    families.extend(paced(disks));
    families.push(conditions(disks));
    families
}

fn counted(disks: &[DiskView]) -> Vec<Family> {
    type Value = fn(&DiskView) -> u64;
    let per_disk: [(&str, &str, Value); 18] = [
        ("tabletd_disk_tablets", "Tablets owned.", |disk| disk.tablet_count),
        ("tabletd_disk_reserved_bytes", "Bytes promised to migrations.", |disk| disk.reserved.bytes),
        (
            "tabletd_disk_inodes",
            "Files and directories its file system was made for; 0 where not counted.",
            |disk| disk.capacity.total_inodes,
        ),
        ("tabletd_disk_inodes_available", "Of these, how many are left.", |disk| disk.capacity.avail_inodes),
        ("tabletd_disk_reserved_inodes", "Inodes promised to migrations.", |disk| disk.reserved.inodes),
        ("tabletd_disk_safe_to_remove", "1 when the disk may be pulled.", |disk| {
            disk.not_safe_because.is_none().into()
        }),
        ("tabletd_disk_undone", "Things that could not be done on it, and are tried again.", |disk| {
            disk.undone.count
        }),
        ("tabletd_disk_undone_bytes", "Bytes they take up.", |disk| disk.undone.bytes),
        ("tabletd_disk_unrecorded", "Directories below data/ that no record names, found so far.", |disk| {
            disk.unrecorded.count
        }),
        ("tabletd_disk_unrecorded_bytes", "Bytes of them.", |disk| disk.unrecorded.bytes),
        ("tabletd_disk_looked_through", "1 once it was looked through for them.", |disk| {
            disk.unrecorded.not_looked_at.is_none().into()
        }),
        ("tabletd_disk_read_slots_in_use", "Read slots held.", |disk| disk.read_slots.0.into()),
        ("tabletd_disk_read_slots_limit", "Read slots there are.", |disk| disk.read_slots.1.into()),
        ("tabletd_disk_write_slots_in_use", "Write slots held.", |disk| disk.write_slots.0.into()),
        ("tabletd_disk_write_slots_limit", "Write slots there are.", |disk| disk.write_slots.1.into()),
        ("tabletd_disk_queued_from", "Migrations waiting to read from it.", |disk| disk.queued_from),
        ("tabletd_disk_queued_to", "Migrations waiting to write to it.", |disk| disk.queued_to),
        ("tabletd_disk_rate_limit_bytes_per_second", "Bandwidth limit; 0 is none.", |disk| {
            disk.rate_limit_bytes_per_sec
        }),
    ];
    let family = |(name, help, value): (&'static str, &'static str, Value)| {
        let mut family = Family::new(name, Gauge, help);
        disks.iter().for_each(|disk| family.sample(&[("path", &disk.path)], value(disk)));
        family
    };
    per_disk.into_iter().map(family).collect()
}

fn throttled(disks: &[DiskView]) -> Family {
    let help = "Seconds copies waited for the limits of this disk.";
    let mut family = Family::new("tabletd_disk_throttled_seconds_total", Counter, help);
    for disk in disks {
        family.sample(&[("path", &disk.path)], seconds(disk.throttled_ms));
    }
    family
}

fn paced(disks: &[DiskView]) -> [Family; 2] {
    let paced = || disks.iter().filter_map(|disk| disk.pace.as_ref().map(|pace| (&disk.path, pace)));
    let help = "Rate set by adaptive throttling; 0 is none. Only while it is at work.";
    let mut rate = Family::new("tabletd_disk_pace_bytes_per_second", Gauge, help);
    let help = "What nine of ten small reads take at most, now and on the calm disk.";
    let mut reads = Family::new("tabletd_disk_small_read_seconds", Gauge, help);
    for (path, pace) in paced() {
        rate.sample(&[("path", path)], pace.rate_bytes_per_sec);
        for (when, us) in [("now", pace.latency_us), ("calm", pace.calm_latency_us)] {
            if let Some(us) = us {
                reads.sample(&[("path", path), ("when", when)], Duration::from_micros(us).as_secs_f64());
            }
        }
    }
    [rate, reads]
}

fn conditions(disks: &[DiskView]) -> Family {
    let help = "1 for the condition a disk is in, 0 for the others.";
    let mut family = Family::new("tabletd_disk_condition", Gauge, help);
    for disk in disks {
        for condition in DiskCondition::WORDS {
            let is = disk.condition.as_str() == condition;
            family.sample(&[("path", &disk.path), ("condition", condition)], is);
        }
    }
    family
}
