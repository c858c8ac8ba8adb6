//! The node: what is wrong, every disk as a bar, and what is under way.

use std::collections::BTreeMap;

use axum::response::Response;
use maud::{Markup, html};

use super::address::link;
use super::alarm::alarms;
use super::ask::Ask;
use super::picture::{self, Part, badge, bar, bytes, legend, rate, seconds};
use super::view::{Section, View};
use super::wish::KINDS;
use crate::api::Refused;
use crate::api::wire::{Disk, List, Migration, NodeStatus};
use crate::model::counted;

/// What is used at most, when the configuration does not say.
const FLOOD_PERCENT: u64 = 90;

/// What migrations do to one disk now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traffic {
    pub(super) in_bytes_per_sec: u64,
    pub(super) out_bytes_per_sec: u64,
    pub(super) staging_bytes: u64,
}

/// Everything that is known of the disks.
pub(super) struct Disks {
    pub(super) list: Vec<Disk>,
    pub(super) traffic: BTreeMap<String, Traffic>,
    pub(super) flood_percent: u64,
}

/// Asks for it.
pub(super) async fn disks(ask: &Ask) -> Result<Disks, Refused> {
    let list: List<Disk> = ask.get("/api/v1/disks").await?;
    let at_work: Result<List<Migration>, _> =
        ask.get("/api/v1/migrations?status=copying,ready,finalizing,paused,prepared&limit=500").await;
    let mut traffic: BTreeMap<String, Traffic> = BTreeMap::new();
    // Without the journal the disks are shown all the same.
    for migration in at_work.map(|list| list.data).unwrap_or_default() {
        // A short one ends before it has a rate of its last seconds: that of its whole life stands for it.
        let recent = migration.recent_bps.filter(|rate| *rate > 0);
        let speed = recent.or(migration.speed_bytes_per_sec).unwrap_or(0);
        traffic.entry(migration.source_disk).or_default().out_bytes_per_sec += speed;
        let to = traffic.entry(migration.dest_disk).or_default();
        to.in_bytes_per_sec += speed;
        to.staging_bytes += migration.counters.disk_processed_bytes;
    }
    let shown: Result<Vec<(String, String, String, String)>, _> =
        ask.get("/api/show_config?conf_item=storage_flood_stage_usage_percent").await;
    let flood_percent = shown.ok().and_then(|keys| keys.first()?.2.parse().ok()).unwrap_or(FLOOD_PERCENT);
    Ok(Disks { list: list.data, traffic, flood_percent })
}

/// `GET /`.
pub(super) async fn show(ask: Ask) -> Response {
    let view = view(&ask).await;
    ask.answer(view)
}

async fn view(ask: &Ask) -> Result<View, Refused> {
    let status: NodeStatus = ask.get("/api/v1/status").await?;
    let disks = disks(ask).await?;
    let body = html! {
        (ask.done())
        @if ask.inside.has_doris_roots() {
            p.wary { "These are the roots of a Doris backend that is stopped. " a href="/ui/doris" { "What a drain would move, and why the rest would stay" } }
        }
        (alarms(ask, &status, &disks.list, disks.flood_percent))
        dl.figures id="figures" data-live {
            div { dt { "Tablets" } dd { (picture::count(status.tablets)) } }
            div { dt { "Running" } dd { a href="/ui/migrations?status=preflight,copying,finalizing" { (status.running) } } }
            div { dt { "Queued" } dd { a href="/ui/migrations?status=queued" { (status.queued) } } }
            div { dt { "Completed" } dd { (picture::count(status.totals.completed)) } }
            div { dt { "Failed" } dd { @if status.totals.failed > 0 { a href="/ui/migrations?status=failed" { (picture::count(status.totals.failed)) } } @else { "0" } } }
            div { dt { "Up" } dd { (seconds(status.uptime_seconds)) } }
            div { dt { "Release" } dd { (status.version) } }
        }
        h2 { "Disks" }
        p.actions { "Plan:" @for (kind, label) in KINDS { a.button href=(format!("/ui/tasks/plan?kind={kind}")) { (label) } } }
        div.disks id="disks" data-live {
            @for disk in &disks.list { (card(disk, &disks)) }
        }
    };
    Ok(View { title: "Node".to_owned(), section: Section::Node, body })
}

/// One disk among others.
fn card(disk: &Disk, all: &Disks) -> Markup {
    html! {
        article.disk aria-label=(disk.path) {
            h3 { a href=(link("/ui/disk", &[("path", &disk.path)])) { code { (disk.path) } } " " (badge(&disk.condition)) }
            (standing(disk, all))
        }
    }
}

/// How a disk stands.
pub(super) fn standing(disk: &Disk, all: &Disks) -> Markup {
    let traffic = all.traffic.get(&disk.path).copied().unwrap_or_default();
    let parts = parts(disk, traffic);
    let used = disk.total_bytes.saturating_sub(disk.avail_bytes);
    html! {
        div {
            p.small { (disk.medium) ", " (disk.file_system) ", " (counted(disk.tablet_count, "tablet")) ", "
                (bytes(disk.avail_bytes)) " free of " (bytes(disk.total_bytes)) " (" (picture::percent(used, disk.total_bytes)) " used)" }
            @if !disk.condition_reason.is_empty() { p { (disk.condition_reason) } }
            (bar(&disk.path, &parts, disk.total_bytes, Some(all.flood_percent * 10)))
            (legend(&parts))
            p.small {
                span.in { "in " (rate(traffic.in_bytes_per_sec)) } " " span.out { "out " (rate(traffic.out_bytes_per_sec)) } " "
                svg.plot aria-hidden="true" viewBox="0 0 120 24" preserveAspectRatio="none" data-plot=(disk.path)
                    data-in=(traffic.in_bytes_per_sec) data-out=(traffic.out_bytes_per_sec) { polyline.in {} polyline.out {} }
            }
            @if disk.total_inodes > 0 {
                p.small {
                    "inodes: " (picture::percent(disk.avail_inodes, disk.total_inodes)) " of " (picture::count(disk.total_inodes)) " left"
                    @if disk.reserved_inodes > 0 { ", " (picture::count(disk.reserved_inodes)) " reserved" }
                }
            }
            @match &disk.not_safe_because {
                None if disk.safe_to_remove => p.safe { "Safe to remove." },
                None => p.small { "Not safe to remove." },
                Some(why) => details id=(format!("why-{:08x}", crc32fast::hash(disk.path.as_bytes()))) { summary { "Not safe to remove" } p { (why) } },
            }
        }
    }
}

/// What its bytes are used for. Roots that share a file system see each other's tablets among `others`.
pub(super) fn parts(disk: &Disk, traffic: Traffic) -> Vec<Part> {
    let used = disk.total_bytes.saturating_sub(disk.avail_bytes);
    let known = disk.tablet_bytes + disk.trash_bytes + traffic.staging_bytes;
    vec![
        Part { class: "tablets", name: "tablets", bytes: disk.tablet_bytes },
        Part { class: "trash", name: "trash", bytes: disk.trash_bytes },
        Part { class: "staging", name: "staging", bytes: traffic.staging_bytes },
        Part { class: "others", name: "others", bytes: used.saturating_sub(known) },
        Part { class: "reserved", name: "reserved", bytes: disk.reserved_bytes },
    ]
}
