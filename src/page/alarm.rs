//! What is wrong with the node, each thing with the verb that helps.

use maud::{Markup, html};
use serde_json::json;

use super::action::Action;
use super::address::link;
use super::ask::Ask;
use super::picture::badge;
use crate::api::wire::{Disk, NodeStatus};
use crate::model::{SchemaHash, TabletId};

/// Of each kind so many are named.
const NAMED_MAX: usize = 10;

/// All alarms; says so when there is none.
pub(super) fn alarms(ask: &Ask, status: &NodeStatus, disks: &[Disk], flood_percent: u64) -> Markup {
    let unwell: Vec<_> = disks.iter().filter(|disk| disk.condition != "online").collect();
    let full: Vec<_> = disks.iter().filter(|disk| is_full(disk, flood_percent)).collect();
    let nothing = unwell.is_empty()
        && full.is_empty()
        && status.damaged_tablets.is_empty()
        && status.unreadable_tablets.is_empty()
        && status.tablets_unavailable == 0
        && status.undone_count == 0
        && status.state_dir.trouble.is_none();
    html! {
        section.alarms id="alarms" data-live aria-label="Alarms" {
            @if nothing {
                p.calm { "Nothing is wrong." }
            } @else {
                ul {
                    @if let Some(trouble) = &status.state_dir.trouble { li { (badge("failed")) " " (trouble) } }
                    @for disk in unwell { (of_disk(ask, disk)) }
                    @for disk in full {
                        li { (badge("full")) " " code { (disk.path) } " is full: nothing more is moved to it. "
                            a href=(link("/ui/disk", &[("path", &disk.path)])) { "Trash and drain" } }
                    }
                    (troubled(ask, "damaged", status.damaged_tablets.iter().map(|tablet| {
                        (tablet.tablet_id, tablet.schema_hash, tablet.disk.as_str(), tablet.damaged.as_str())
                    })))
                    (troubled(ask, "unreadable", status.unreadable_tablets.iter().map(|tablet| {
                        (tablet.tablet_id, tablet.schema_hash, tablet.disk.as_str(), tablet.unreadable.as_str())
                    })))
                    (unavailable(status))
                    @if status.undone_count > 0 {
                        li { (badge("undone")) " " (status.undone_count) " things could not be done on a disk and are tried again: "
                            @for undone in status.undone.iter().take(3) { code { (undone.disk) "/" (undone.path) } ": " (undone.reason) " " }
                        }
                    }
                }
            }
        }
    }
}

/// Beyond the share of it that may be used.
pub(super) fn is_full(disk: &Disk, flood_percent: u64) -> bool {
    let used = disk.total_bytes.saturating_sub(disk.avail_bytes);
    disk.total_bytes > 0 && u128::from(used) * 100 >= u128::from(disk.total_bytes) * u128::from(flood_percent)
}

fn of_disk(ask: &Ask, disk: &Disk) -> Markup {
    html! {
        li {
            (badge(&disk.condition)) " " a href=(link("/ui/disk", &[("path", &disk.path)])) { code { (disk.path) } } ": "
            (disk.condition_reason) " "
            @match disk.condition.as_str() {
                "disabled" => {
                    (Action::post("Enable", "/api/v1/disks/enable".to_owned(), json!({ "path": disk.path }), &ask.here)
                        .command(&["disk", "enable", &disk.path]).show(&ask.visitor))
                }
                "suspect" | "read-only" => { "What is on it can be moved away: " a href=(link("/ui/tasks/plan", &[("kind", "drain"), ("disk", &disk.path)])) { "plan a drain" } },
                "broken" => { "When it does not come back: " code { "tabletctl disk forget " (disk.path) " --lost --dry-run" } ", or with a blank disk in its place: " code { "tabletctl disk replace " (disk.path) " --dry-run" } },
                "hung" => { "A call on it does not return. Nothing new is sent to it; see the kernel's log." },
                _ => {},
            }
        }
    }
}

/// A tablet that healing may help: its identity, its disk, and what is wrong.
type Trouble<'a> = (TabletId, SchemaHash, &'a str, &'a str);

fn troubled<'a>(ask: &Ask, word: &str, all: impl ExactSizeIterator<Item = Trouble<'a>>) -> Markup {
    let further = all.len().saturating_sub(NAMED_MAX);
    html! {
        @for (id, hash, disk, why) in all.take(NAMED_MAX) {
            @let (id, hash) = (id.to_string(), hash.to_string());
            li {
                (badge(word)) " tablet "
                a href=(link(&format!("/ui/tablets/{id}"), &[("schema_hash", &hash)])) { (id) }
                " on " code { (disk) } ": " (why) " "
                (heal(ask, &id, &hash))
            }
        }
        @if further > 0 { li { "and " (further) " " (word) " tablets more" } }
    }
}

/// Brings the newest good copy of a tablet back.
pub(super) fn heal(ask: &Ask, tablet_id: &str, schema_hash: &str) -> Markup {
    let hash: i64 = schema_hash.parse().unwrap_or_default();
    let path = format!("/api/v1/tablets/{tablet_id}/heal");
    let then = format!("/ui/tablets/{tablet_id}?schema_hash={schema_hash}");
    Action::post("Heal", path, json!({ "schema_hash": hash }), &then)
        .command(&["tablet", "heal", tablet_id, "--schema-hash", schema_hash])
        .field("flag:accept_older", "an older copy will do (what is newer is lost)", "")
        .show(&ask.visitor)
}

fn unavailable(status: &NodeStatus) -> Markup {
    html! {
        @for tablet in status.unavailable_tablets.iter().take(NAMED_MAX) {
            li {
                (badge("unavailable")) " tablet "
                a href=(link(&format!("/ui/tablets/{}", tablet.tablet_id), &[("schema_hash", &tablet.schema_hash.to_string())])) { (tablet.tablet_id) }
                ": " (tablet.unavailable)
            }
        }
        @if status.tablets_unavailable > NAMED_MAX as u64 {
            li { "in all " (status.tablets_unavailable) " tablets are not served" }
        }
    }
}
