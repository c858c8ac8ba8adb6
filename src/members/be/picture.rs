//! What a BE has, read for a plan: its disks from `/metrics` and `storage_root_path`, its tablets from
//! `/api/tablets_distribution`. The planner is the node's own.
//!
//! Each call for a partition has the BE visit every tablet, so that only partitions are asked for that matter, one after
//! the other.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::client::Client;
use super::super::driver::{CallError, DiskSeen, refused};
use crate::api::wire::Timestamp;
use crate::config::{BrokenDisks, parse_storage_root_path};
use crate::model::{
    Capacity, CapacityRule, DiskCondition, DiskIndex, Medium, PlanCompleteness, Space, TabletKey,
    TaskRequest, counted_as,
};
use crate::rules::capacity::{CapacityLimits, LeftBytesFrom};
use crate::rules::fleet::be::{Move, Place, Standing};
use crate::rules::planning::{self, Disk, Inventory, Pin, Plan, Request, Settings, Tablet};

/// Doris's own flood stage.
const WATERMARK: CapacityLimits = CapacityLimits {
    usage_percent: 90,
    left_bytes: 1 << 30,
    left_bytes_from: LeftBytesFrom::Default,
    rule: CapacityRule::Or,
};

/// A BE at one moment.
pub(super) struct Picture {
    inventory: Inventory,
    /// Tablets of each partition on each disk, by its path.
    spread: BTreeMap<i64, BTreeMap<String, u64>>,
    at_once: usize,
}

fn odd(what: impl Into<String>) -> CallError {
    CallError::Odd(what.into())
}

impl Picture {
    /// Its disks, and how many tablets each has.
    pub(super) fn of_disks(client: &Client) -> Result<Self, CallError> {
        let (status, metrics) = client.get_text("/metrics", &[])?;
        if status != 200 {
            return Err(odd(format!("/metrics answers {status}")));
        }
        let media = media(client)?;
        let mut figures: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for (name, path, value) in metrics.lines().filter_map(figure) {
            figures.entry(path).or_default().insert(name, value);
        }
        let mut disks: Vec<Disk> = Vec::new();
        for (at, (path, figures)) in figures.into_iter().enumerate() {
            let value = |name: &str| figures.get(name).copied();
            let total =
                value("total_capacity").ok_or_else(|| odd(format!("{path} has no size in /metrics")))?;
            let avail = value("avail_capacity").unwrap_or(0);
            let condition = match value("state") {
                Some(0) => DiskCondition::Broken { reason: "the BE calls it unusable".to_owned() },
                _ => DiskCondition::Online,
            };
            // Roots of one size with as much free are probably one file system.
            let twin = disks
                .iter()
                .find(|disk| disk.capacity.total_bytes == total && disk.capacity.avail_bytes == avail);
            let file_system = twin.map_or(u32::try_from(at).unwrap_or(u32::MAX), |twin| twin.file_system);
            disks.push(Disk {
                index: DiskIndex(u16::try_from(at).map_err(|_| odd("more disks than can be counted"))?),
                uuid: None,
                medium: media.get(&path).copied().unwrap_or(Medium::Hdd),
                path,
                condition,
                capacity: Capacity {
                    total_bytes: total,
                    avail_bytes: avail,
                    total_inodes: 0,
                    avail_inodes: 0,
                },
                reserved: Space::of_bytes(0),
                trash_bytes: value("trash_used_capacity").unwrap_or(0),
                file_system,
            });
        }
        if disks.is_empty() {
            return Err(odd("/metrics names no disk"));
        }
        let spread = spread(client)?;
        let threads = setting(client, "max_tablet_migration_threads")?;
        let at_once = threads.and_then(|text| text.parse().ok()).unwrap_or(1).clamp(1, 16);
        Ok(Self { inventory: Inventory { disks, tablets: Vec::new() }, spread, at_once })
    }

    /// Its roots with their sizes: all that tells one BE from another.
    pub(super) fn marks(&self) -> Vec<String> {
        let mark = |disk: &Disk| format!("{}:{}", disk.path, disk.capacity.total_bytes);
        self.inventory.disks.iter().map(mark).collect()
    }

    pub(super) fn seen(&self) -> Vec<DiskSeen> {
        let one = |disk: &Disk| {
            let tablet_count = self.spread.values().filter_map(|disks| disks.get(&disk.path)).sum();
            DiskSeen {
                path: disk.path.clone(),
                medium: disk.medium.as_str().to_owned(),
                condition: disk.condition.as_str().to_owned(),
                total_bytes: disk.capacity.total_bytes,
                avail_bytes: disk.capacity.avail_bytes,
                tablet_count,
                safe_to_remove: false,
                not_safe_because: Some(match tablet_count {
                    0 => "a BE puts new tablets on it until it is out of storage_root_path".to_owned(),
                    count => format!("{} on it", counted_as(count, "tablet is", "tablets are")),
                }),
            }
        };
        self.inventory.disks.iter().map(one).collect()
    }

    pub(super) const fn at_once(&self) -> usize {
        self.at_once
    }

    /// Reads the tablets that matter, and plans.
    pub(super) fn plan(
        &mut self,
        client: &Client,
        request: &TaskRequest,
        completeness: PlanCompleteness,
    ) -> Result<Plan, CallError> {
        let (asked, points) = match request {
            TaskRequest::Drain { disks, media } => {
                let index = |path: &String| {
                    let found = self.inventory.disks.iter().find(|disk| disk.path == *path);
                    let missing = || refused("DISK_NOT_FOUND", format!("it has no disk {path}"));
                    found.map(|disk| disk.index).ok_or_else(missing)
                };
                let disks = disks.iter().map(index).collect::<Result<_, _>>()?;
                (Request::Drain { disks, media: *media }, (10, 5))
            }
            TaskRequest::Rebalance { medium, start_points, stop_points } => {
                let start = start_points.unwrap_or(10);
                (Request::Rebalance { medium: *medium }, (start, stop_points.unwrap_or(5.min(start))))
            }
            TaskRequest::Move { .. } => {
                return Err(refused("INVALID_ARGUMENT", "a BE is drained or rebalanced"));
            }
        };
        self.read_tablets(client, &asked)?;
        let settings = Settings {
            watermark: WATERMARK,
            start_points: points.0,
            stop_points: points.1,
            source_floor_percent: 0,
            min_move_bytes: 0,
            cool_down_ms: 0,
            max_moves: 100_000,
            completeness,
        };
        planning::plan(&asked, &self.inventory, &settings, Timestamp::now().0)
            .map_err(|refusal| refused("PLAN_REFUSED", refusal.to_string()))
    }

    fn read_tablets(&mut self, client: &Client, asked: &Request) -> Result<(), CallError> {
        let sources: Vec<_> = match asked {
            Request::Drain { disks, .. } => disks.iter().map(|disk| self.inventory.path(*disk)).collect(),
            _ => self.inventory.disks.iter().map(|disk| disk.path.clone()).collect(),
        };
        let matters = |disks: &BTreeMap<String, u64>| {
            sources.iter().any(|path| disks.get(path).is_some_and(|count| *count > 0))
        };
        let wanted: Vec<_> =
            self.spread.iter().filter(|(_, disks)| matters(disks)).map(|(id, _)| *id).collect();
        for partition in wanted {
            for found in tablets_of(client, partition)? {
                let disk = self.inventory.disks.iter().find(|disk| disk.path == found.path);
                let Some(disk) = disk.map(|disk| disk.index) else { continue };
                self.inventory.tablets.push(Tablet {
                    key: TabletKey::new(found.tablet, found.schema_hash.unwrap_or(0)),
                    disk,
                    table_id: 0,
                    partition_id: partition,
                    size_bytes: found.bytes,
                    file_count: 0,
                    pin: Pin::Free,
                    moving_to: None,
                    last_moved_ms: None,
                });
            }
        }
        Ok(())
    }

    /// What is asked of the BE for it, in its order.
    pub(super) fn moves(&self, plan: &Plan) -> Vec<Move> {
        let partitions: BTreeMap<_, _> =
            self.inventory.tablets.iter().map(|tablet| (tablet.key, tablet.partition_id)).collect();
        let one = |planned: &planning::Move| Move {
            tablet: planned.key.tablet_id,
            schema_hash: Some(planned.key.schema_hash.0).filter(|hash| *hash != 0),
            partition: partitions.get(&planned.key).copied().unwrap_or(0),
            destination: self.inventory.path(planned.destination),
            bytes: planned.size_bytes,
            standing: Standing::Todo(0),
            tries: 0,
            said: String::new(),
        };
        plan.moves.iter().map(one).collect()
    }

    /// Why it does not do all of it.
    pub(super) fn falls_short(&self, plan: &Plan) -> Vec<String> {
        plan.falls_short.iter().map(|short| short.in_words(&self.inventory).to_string()).collect()
    }
}

/// `doris_be_disks_total_capacity{path="/d1"} 17`: what, of which disk, how much.
fn figure(line: &str) -> Option<(String, String, u64)> {
    let (name, rest) = line.strip_prefix("doris_be_disks_")?.split_once("{path=\"")?;
    let (path, value) = rest.rsplit_once("\"}")?;
    Some((name.to_owned(), path.to_owned(), value.trim().parse().ok()?))
}

/// One setting of the BE, as it runs.
fn setting(client: &Client, name: &str) -> Result<Option<String>, CallError> {
    let (_, text) = client.get_text("/api/show_config", &[("conf_item", name)])?;
    let said: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(said[0][2].as_str().map(str::to_owned))
}

/// The medium of each root, as be.conf has it.
fn media(client: &Client) -> Result<BTreeMap<String, Medium>, CallError> {
    let Some(text) = setting(client, "storage_root_path")? else { return Ok(BTreeMap::new()) };
    // Its links are on another host: what is written decides.
    let as_written = |path: &str| Some(path.to_owned());
    let roots = parse_storage_root_path(&text, BrokenDisks::LeaveOut, &as_written).unwrap_or_default();
    Ok(roots.roots.into_iter().map(|root| (root.path, root.medium)).collect())
}

fn distribution(client: &Client, partition: Option<i64>) -> Result<Vec<Value>, CallError> {
    let partition = partition.map(|id| id.to_string());
    let mut query = vec![("group_by", "partition")];
    query.extend(partition.iter().map(|id| ("partition_id", id.as_str())));
    let (status, text) = client.get_as_us("/api/tablets_distribution", &query)?;
    if status != 200 {
        return Err(CallError::Unreachable(format!("/api/tablets_distribution answers {status}")));
    }
    let said: Value = serde_json::from_str(&text).map_err(|error| odd(error.to_string()))?;
    let list = said["data"]["tablets_distribution"].as_array();
    list.cloned().ok_or_else(|| odd("/api/tablets_distribution has no list"))
}

fn spread(client: &Client) -> Result<BTreeMap<i64, BTreeMap<String, u64>>, CallError> {
    let mut spread: BTreeMap<i64, BTreeMap<String, u64>> = BTreeMap::new();
    for partition in distribution(client, None)? {
        let id = partition["partition_id"].as_i64().ok_or_else(|| odd("a partition without a number"))?;
        for disk in partition["disks"].as_array().into_iter().flatten() {
            let path = disk["disk_path"].as_str().unwrap_or_default().to_owned();
            let count =
                disk["tablets_num"].as_u64().ok_or_else(|| odd("a disk without a number of tablets"))?;
            spread.entry(id).or_default().insert(path, count);
        }
    }
    Ok(spread)
}

struct Found {
    tablet: i64,
    schema_hash: Option<i32>,
    path: String,
    bytes: u64,
}

fn tablets_of(client: &Client, partition: i64) -> Result<Vec<Found>, CallError> {
    let mut found = Vec::new();
    for part in distribution(client, Some(partition))? {
        if part["partition_id"].as_i64() != Some(partition) {
            continue;
        }
        for disk in part["disks"].as_array().into_iter().flatten() {
            let path = disk["disk_path"].as_str().unwrap_or_default();
            for tablet in disk["tablets"].as_array().into_iter().flatten() {
                let number = |name: &str| tablet[name].as_i64();
                found.push(Found {
                    tablet: number("tablet_id").ok_or_else(|| odd("a tablet without a number"))?,
                    schema_hash: number("schema_hash").and_then(|hash| i32::try_from(hash).ok()),
                    path: path.to_owned(),
                    bytes: tablet["tablet_size"].as_u64().unwrap_or(0),
                });
            }
        }
    }
    Ok(found)
}

/// Where the tablet of a move is now.
pub(super) fn place(client: &Client, one: &Move) -> Result<Place, CallError> {
    let all = tablets_of(client, one.partition)?;
    let mut here = all.iter().filter(|found| found.tablet == one.tablet.0).peekable();
    if here.peek().is_none() {
        return Ok(Place::Nowhere);
    }
    Ok(if here.any(|found| found.path == one.destination) { Place::Destination } else { Place::Elsewhere })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_metrics_is_a_figure_of_a_disk() {
        let read = figure("doris_be_disks_total_capacity{path=\"/mnt/d \\1\"} 170");
        assert_eq!(read, Some(("total_capacity".to_owned(), "/mnt/d \\1".to_owned(), 170)));
        for other in
            ["# TYPE doris_be_disks_state gauge", "doris_be_disks_state 1", "doris_be_x{path=\"/d\"} 1", ""]
        {
            assert_eq!(figure(other), None, "{other}");
        }
    }
}
