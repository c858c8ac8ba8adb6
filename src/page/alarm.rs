//! What is wrong with the node, each thing with the verb that helps.

use maud::{Markup, html};
use serde_json::json;

use super::action::Action;
use super::address::link;
use super::ask::Ask;
use super::picture::{badge, bytes};
use crate::access::Role;
use crate::api::wire::{Disk, NodeStatus};
use crate::model::{SchemaHash, TabletId, counted, counted_as};

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
                    @for disk in full { (of_full(ask, disk)) }
                    (unavailable(ask, status))
                    (troubled(ask, disks, "damaged", status.damaged_tablets.iter().map(|tablet| {
                        (tablet.tablet_id, tablet.schema_hash, tablet.disk.as_str(), tablet.damaged.trim_start_matches("damaged: "))
                    })))
                    (troubled(ask, disks, "unreadable", status.unreadable_tablets.iter().map(|tablet| {
                        (tablet.tablet_id, tablet.schema_hash, tablet.disk.as_str(), tablet.unreadable.trim_start_matches("unreadable: "))
                    })))
                    @if status.undone_count > 0 {
                        li { (badge("undone")) " " (counted_as(status.undone_count, "thing", "things")) " could not be done on a disk, tried again by itself: "
                            @for undone in status.undone.iter().take(3) {
                                a href=(link("/ui/disk", &[("path", &undone.disk)])) { code { (undone.disk) "/" (undone.path) } } ": " (undone.reason) " "
                            }
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

/// One line: what is wrong, and what helps.
fn line(what: &Markup, helps: &Markup) -> Markup {
    html! { li { div.what { (what) } div.actions { (helps) } } }
}

fn of_disk(ask: &Ask, disk: &Disk) -> Markup {
    let path = disk.path.as_str();
    let what = html! {
        (badge(&disk.condition)) " " a href=(link("/ui/disk", &[("path", path)])) { code { (path) } } ": " (disk.condition_reason)
        @match disk.condition.as_str() {
            "broken" => { ". When it does not come back: " code { "tabletctl disk forget " (path) " --lost --dry-run" } },
            "hung" => { ". A call on it does not return. Nothing new is sent to it; see the kernel's log, and " code { "tabletctl disk show " (path) } "." },
            _ => {},
        }
    };
    let helps = html! {
        @match disk.condition.as_str() {
            "disabled" => { (enable(ask, path)) },
            "suspect" => { a.button href=(drain(path)) { "Plan a drain" } (enable(ask, path)) },
            "read-only" => { a.button href=(drain(path)) { "Plan a drain" } },
            "broken" => { (give_up(path)) },
            _ => {},
        }
    };
    line(&what, &helps)
}

fn drain(path: &str) -> String {
    link("/ui/tasks/plan", &[("kind", "drain"), ("disk", path)])
}

/// Takes a disk back into service, after a probe.
pub(super) fn enable(ask: &Ask, path: &str) -> Markup {
    Action::post("Enable", "/api/v1/disks/enable".to_owned(), json!({ "path": path }), &ask.here)
        .command(&["disk", "enable", path])
        .show(&ask.visitor)
}

/// What is left to do about a disk that never comes back.
pub(super) fn give_up(path: &str) -> Markup {
    html! { a.button href=(link("/ui/disk/lost", &[("path", path)])) { "See what would be lost" } }
}

fn of_full(ask: &Ask, disk: &Disk) -> Markup {
    let what = html! {
        (badge("full")) " " a href=(link("/ui/disk", &[("path", &disk.path)])) { code { (disk.path) } }
        " is full: nothing more is moved to it. " (bytes(disk.trash_bytes)) " of it is trash."
    };
    line(&what, &html! { (purge(ask, &disk.path)) a.button href=(drain(&disk.path)) { "Plan a drain" } })
}

/// Frees what moves have left behind on a disk.
pub(super) fn purge(ask: &Ask, path: &str) -> Markup {
    let body = json!({ "disk": path });
    Action::post("Purge trash", "/api/v1/trash/purge".to_owned(), body, "/ui/operations/{id}")
        .role(Role::Admin)
        .command(&["trash", "purge", "--disk", path])
        .warn("Retired copies on this disk are deleted for good, each after a cold check of the live copy.")
        .show(&ask.visitor)
}

/// A tablet that healing may help: its identity, its disk, and what is wrong.
type Trouble<'a> = (TabletId, SchemaHash, &'a str, &'a str);

fn troubled<'a>(
    ask: &Ask,
    disks: &[Disk],
    word: &str,
    all: impl ExactSizeIterator<Item = Trouble<'a>>,
) -> Markup {
    let further = all.len().saturating_sub(NAMED_MAX);
    html! {
        @for (id, hash, disk, why) in all.take(NAMED_MAX) {
            @let (id, hash) = (id.to_string(), hash.to_string());
            @let what = html! {
                (badge(word)) " tablet "
                a href=(link(&format!("/ui/tablets/{id}"), &[("schema_hash", &hash)])) { (id) }
                " on " code { (disk) } ": " (without_the_way_out(why))
            };
            (line(&what, &html! { (heal(ask, &id, &hash)) (salvage(ask, &id, &hash, disks, disk)) }))
        }
        @if further > 0 { li { "and " (counted(further, "tablet")) " more, " (word) } }
    }
}

/// What is wrong without the verbs that help: they are buttons here.
fn without_the_way_out(why: &str) -> &str {
    why.split_once("; tabletctl ").map_or(why, |(why, _)| why)
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

/// Saves what can still be read to the quarantine of another disk.
pub(super) fn salvage(ask: &Ask, tablet_id: &str, schema_hash: &str, disks: &[Disk], from: &str) -> Markup {
    let others = disks.iter().filter(|disk| disk.path != from && disk.condition == "online");
    let others: Vec<String> = others.map(|disk| disk.path.clone()).collect();
    let Some(first) = others.first().cloned() else { return html! {} };
    let hash: i64 = schema_hash.parse().unwrap_or_default();
    let path = format!("/api/v1/tablets/{tablet_id}/salvage");
    Action::post("Salvage", path, json!({ "schema_hash": hash, "to": first }), "/ui/operations/{id}")
        .command(&["tablet", "salvage", tablet_id, "--schema-hash", schema_hash, "--to", &first])
        .choose("text:to", "To the quarantine of", others)
        .show(&ask.visitor)
}

fn unavailable(ask: &Ask, status: &NodeStatus) -> Markup {
    html! {
        @for tablet in status.unavailable_tablets.iter().take(NAMED_MAX) {
            @let (id, hash) = (tablet.tablet_id.to_string(), tablet.schema_hash.to_string());
            @let what = html! {
                (badge("unavailable")) " tablet "
                a href=(link(&format!("/ui/tablets/{id}"), &[("schema_hash", &hash)])) { (id) } ": " (tablet.unavailable)
            };
            (line(&what, &heal(ask, &id, &hash)))
        }
        @if status.tablets_unavailable > NAMED_MAX as u64 {
            li { "in all " (counted_as(status.tablets_unavailable, "tablet is", "tablets are")) " not served" }
        }
    }
}
