//! One disk: its card, what can be done with it, and what could not be done on it.

use axum::response::Response;
use maud::html;
use serde_json::json;

use super::action::Action;
use super::address::{escaped, link};
use super::alarm::{enable, give_up, purge};
use super::ask::Ask;
use super::node::{disks, standing};
use super::picture::badge;
use super::picture::rate;
use super::view::{Section, View};
use crate::access::Role;
use crate::api::Refused;
use crate::api::wire::Disk;

/// `GET /ui/disk?path=`.
pub(super) async fn show(ask: Ask) -> Response {
    let view = view(&ask).await;
    ask.answer(view)
}

async fn view(ask: &Ask) -> Result<View, Refused> {
    let path = ask.parameter("path").unwrap_or_default();
    let one: Disk = ask.get(&format!("/api/v1/disks/show?path={}", escaped(path))).await?;
    let all = disks(ask).await?;
    let body = html! {
        (ask.done())
        div id="disk" data-live {
            p { (badge(&one.condition)) }
            (standing(&one, &all))
            dl.figures {
                div { dt { "Reading" } dd { (one.read_slots.in_use) " of " (one.read_slots.limit) } }
                div { dt { "Writing" } dd { (one.write_slots.in_use) " of " (one.write_slots.limit) } }
                div { dt { "Waiting to leave" } dd { (one.queued_from) } }
                div { dt { "Waiting to come" } dd { (one.queued_to) } }
                div { dt { "Limit" } dd { @if one.rate_limit_bytes_per_sec == 0 { "none" } @else { (rate(one.rate_limit_bytes_per_sec)) } } }
                @if let Some(uuid) = &one.uuid { div { dt { "Identity" } dd { code { (uuid) } } } }
            }
            @if let Some(pace) = &one.pace { p { "Paced: " (rate(pace.rate_bytes_per_sec)) ", " (pace.reason) } }
            @if !one.shares_file_system_with.is_empty() {
                p { "On the same file system: " (one.shares_file_system_with.join(", ")) }
            }
            @if !one.undone.is_empty() {
                h2 { "Left undone" }
                ul { @for undone in &one.undone { li { code { (undone.path) } ": " (undone.reason) " (since " (undone.since) ")" } } }
            }
        }
        h2 { "See" }
        p {
            a href=(link("/ui/tablets", &[("disk", path)])) { "Its tablets" } ", "
            a href=(link("/ui/migrations", &[("disk", path)])) { "its migrations" } ", "
            a href=(link("/ui/trash", &[("disk", path)])) { "its trash" }
            @for id in &one.task_ids { ", " a href=(format!("/ui/tasks/{id}")) { "task " (id) } }
        }
        h2 { "Do" }
        p { a.button href=(link("/ui/tasks/plan", &[("kind", "drain"), ("disk", path)])) { "Plan a drain" } }
        (verbs(ask, &one))
    };
    Ok(View { title: format!("Disk {path}"), section: Section::Node, body })
}

fn verbs(ask: &Ask, disk: &Disk) -> maud::Markup {
    let (path, visitor, here) = (disk.path.as_str(), &ask.visitor, ask.here.as_str());
    let limit = |rate| json!({ "path": path, "rate_bytes_per_sec": rate });
    html! {
        div.actions {
            @if disk.condition == "disabled" {
                (enable(ask, path))
            } @else {
                (Action::post("Disable", "/api/v1/disks/disable".to_owned(), json!({ "path": path }), here)
                    .command(&["disk", "disable", path]).field("text:reason", "Why", "").show(visitor))
            }
            (Action::post("Limit", "/api/v1/disks/limits".to_owned(), limit(json!(0)), here)
                .command(&["disk", "limits", path, "--rate", "0"])
                .field("number:rate_bytes_per_sec", "Bytes per second (0: no limit)", "").show(visitor))
            (Action::post("Limit as all disks", "/api/v1/disks/limits".to_owned(), limit(json!(null)), here)
                .command(&["disk", "limits", path, "--default"]).show(visitor))
            (Action::post("Cancel drain", "/api/v1/disks/cancel_drain".to_owned(), json!({ "path": path }), here)
                .command(&["disk", "cancel-drain", path])
                .warn("Drains of this disk are called off for good. What has moved stays where it is.")
                .show(visitor))
            (purge(ask, path))
            (Action::post("Forget", "/api/v1/disks/forget".to_owned(), json!({ "path": path }), "/")
                .role(Role::Admin).command(&["disk", "forget", path])
                .warn("The node lets go of the disk and of everything it was told about it; refused while anything needs it.")
                .show(visitor))
            @if disk.condition == "broken" { (give_up(path)) }
        }
    }
}
