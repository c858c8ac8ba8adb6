//! Trash: what waits there, why it is kept, and the two verbs.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;

use super::action::Action;
use super::address::{link, pair};
use super::ask::Ask;
use super::picture::bytes;
use super::view::{Section, View, next_page};
use crate::access::Role;
use crate::api::Refused;
use crate::api::wire::{Disk, List, Trash, TrashItem};

/// Rows of one page.
const PAGE: usize = 50;

/// `GET /ui/trash`.
pub(super) async fn list(ask: Ask) -> Response {
    let view = view(&ask).await;
    ask.answer(view)
}

async fn view(ask: &Ask) -> Result<View, Refused> {
    let given = |name: &str| ask.parameter(name).unwrap_or_default().to_owned();
    let (disk, tablet, marker) = (given("disk"), given("tablet_id"), given("marker"));
    let query: Vec<_> = [("disk", &disk), ("tablet_id", &tablet), ("marker", &marker)]
        .iter()
        .map(|(name, value)| pair(name, value))
        .filter(|pair| !pair.is_empty())
        .collect();
    let trash: Trash = ask.get(&format!("/api/v1/trash?limit={PAGE}&{}", query.join("&"))).await?;
    let disks: List<Disk> = ask.get("/api/v1/disks").await?;
    let last = trash.data.last().filter(|_| trash.data.len() >= PAGE);
    let last = last.map(|item| format!("{}:{}", item.disk, item.entry));
    let next =
        last.map(|marker| link("/ui/trash", &[("disk", &disk), ("tablet_id", &tablet), ("marker", &marker)]));
    let body = html! {
        (ask.done())
        (filters(&disk, &tablet, &disks.data))
        (purge(ask, &disk))
        div.wide {
            table {
                caption.unseen { "Trash" }
                thead { tr { th scope="col" { "Tablet" } th scope="col" { "Disk" } th scope="col" { "Size" } th scope="col" { "Retired" } th scope="col" { "Went to" } th scope="col" { "Kept because" } th scope="col" { "Do" } } }
                tbody { @for item in &trash.data { (row(ask, item)) } }
            }
            @if trash.data.is_empty() { p { "The trash is empty." } }
        }
        (next_page(next, trash.data.len(), trash.total))
        @if !trash.unreadable.is_empty() {
            h2 { "Cannot be read" }
            ul { @for one in &trash.unreadable { li { code { (one.disk) "/" (one.path) } ": " (one.reason) } } }
        }
    };
    Ok(View { title: "Trash".to_owned(), section: Section::Trash, body })
}

fn filters(disk: &str, tablet: &str, disks: &[Disk]) -> Markup {
    html! {
        form.filters method="get" action="/ui/trash" {
            label for="disk" { "Disk" }
            select id="disk" name="disk" {
                option value="" { "any" }
                @for one in disks { option value=(one.path) selected[disk == one.path] { (one.path) } }
            }
            label for="tablet_id" { "Tablet" }
            input id="tablet_id" name="tablet_id" inputmode="numeric" size="12" value=(tablet);
            button type="submit" { "Show" }
        }
    }
}

fn purge(ask: &Ask, disk: &str) -> Markup {
    let (body, mut command) = if disk.is_empty() {
        (json!({ "all": true }), vec!["trash", "purge"])
    } else {
        (json!({ "disk": disk }), vec!["trash", "purge", "--disk", disk])
    };
    command.push("--yes");
    html! {
        div.actions {
            (Action::post("Purge", "/api/v1/trash/purge".to_owned(), body, "/ui/operations/{id}")
                .role(Role::Admin).command(&command)
                .warn("Retired copies are deleted for good, each after a cold check of the live copy. What is still needed stays.")
                .show(&ask.visitor))
        }
    }
}

fn row(ask: &Ask, item: &TrashItem) -> Markup {
    let (id, hash) = (item.tablet_id.to_string(), item.schema_hash.to_string());
    let body = json!({ "tablet_id": item.tablet_id, "schema_hash": item.schema_hash, "entry": item.entry });
    html! {
        tr {
            th scope="row" { a href=(link(&format!("/ui/tablets/{id}"), &[("schema_hash", &hash)])) { (id) } }
            td { code { (item.disk) } }
            td { (bytes(item.size_bytes)) }
            td { @if let Some(at) = item.retired_at { (at) } }
            td { @if let Some(to) = &item.moved_to { code { (to) } } }
            td { (item.kept_because) }
            td {
                (Action::post("Restore", "/api/v1/trash/restore".to_owned(), body, "/ui/operations/{id}")
                    .command(&["trash", "restore", &id, "--schema-hash", &hash, "--entry", &item.entry])
                    .warn("This copy becomes the tablet again. It is refused where the tablet is served and well.")
                    .field("flag:accept_older", "also when it is older than what there was", "").show(&ask.visitor))
            }
        }
    }
}
