//! Operations: healing, restoring and purging, as they go.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;

use super::action::Action;
use super::address::escaped;
use super::ask::Ask;
use super::picture::{badge, bytes};
use super::view::{Section, View};
use crate::api::Refused;
use crate::api::wire::{List, Operation, Salvaged};

/// Rows that are shown.
const SHOWN_MAX: usize = 100;

/// `GET /ui/operations`.
pub(super) async fn list(ask: Ask) -> Response {
    let view = list_view(&ask).await;
    ask.answer(view)
}

async fn list_view(ask: &Ask) -> Result<View, Refused> {
    let list: List<Operation> = ask.get(&format!("/api/v1/operations?limit={SHOWN_MAX}")).await?;
    let body = html! {
        p { "Healing, restoring, purging and verifying, since the start of the daemon." }
        div.wide id="operations" data-live {
            table {
                caption.unseen { "Operations" }
                thead { tr { th scope="col" { "Operation" } th scope="col" { "State" } th scope="col" { "About" } th scope="col" { "Tablets" } th scope="col" { "Note" } } }
                tbody { @for one in &list.data {
                    tr {
                        th scope="row" { a href=(format!("/ui/operations/{}", one.id)) { (one.id) " " (one.kind.as_str().replace('_', " ")) } }
                        td { (badge(one.state.as_str())) }
                        td { (one.subject) }
                        td { (one.done_tablets) " of " (one.total_tablets) }
                        td { (one.note) }
                    }
                } }
            }
            @if list.data.is_empty() { p { "None." } }
        }
    };
    Ok(View { title: "Operations".to_owned(), section: Section::Operations, body })
}

/// `GET /ui/operations/{id}`.
pub(super) async fn show(axum::extract::Path(id): axum::extract::Path<String>, ask: Ask) -> Response {
    let view = one_view(&ask, &escaped(&id)).await;
    ask.answer(view)
}

async fn one_view(ask: &Ask, id: &str) -> Result<View, Refused> {
    let one: Operation = ask.get(&format!("/api/v1/operations/{id}")).await?;
    let body = html! {
        (ask.done())
        div id="operation" data-live { (standing(&one)) (verbs(ask, id, &one)) }
    };
    let title = format!("Operation {id}: {}", one.kind.as_str().replace('_', " "));
    Ok(View { title, section: Section::Operations, body })
}

fn standing(one: &Operation) -> Markup {
    html! {
        p { (badge(one.state.as_str())) " " (one.subject) ": " (one.note) }
        dl.figures {
            div { dt { "Tablets" } dd { (one.done_tablets) " of " (one.total_tablets) } }
            div { dt { "Read" } dd {
                (bytes(one.read_bytes))
                @if let Some(total) = one.total_bytes { " of " (bytes(total)) }
            } }
            div { dt { "Asked by" } dd { (one.requested_by) } }
            div { dt { "Begun" } dd { (one.started_at) } }
            @if let Some(at) = one.finished_at { div { dt { "Ended" } dd { (at) } } }
        }
        @if let Some(error) = &one.error { p.trouble { code { (error.code) } ": " (error.message) } }
        @if let Some(salvaged) = &one.salvaged { (receipt(salvaged)) }
        ul { @for item in one.items.iter().take(SHOWN_MAX) {
            li {
                @if let Some(tablet) = item.tablet_id { "tablet " (tablet) " on " } code { (item.disk) }
                @if let Some(entry) = &item.entry { ", " (entry) }
                ": " @if item.done { "done" } @else { (item.not_done_because.as_deref().unwrap_or("not yet")) }
            }
        } }
    }
}

/// What was saved of a tablet, and what was not.
fn receipt(salvaged: &Salvaged) -> Markup {
    html! {
        p { (bytes(salvaged.saved_bytes)) " saved from " code { (salvaged.source) } ", " (bytes(salvaged.lost_bytes)) " lost." }
        ul {
            @for range in salvaged.lost.iter().take(SHOWN_MAX) { li { "lost: " (range) } }
            @for file in salvaged.damaged.iter().take(SHOWN_MAX) { li { "damaged: " code { (file.name) } ": " (file.reason) } }
        }
    }
}

fn verbs(ask: &Ask, id: &str, one: &Operation) -> Markup {
    html! {
        @if one.state.as_str() == "running" {
            div.actions {
                (Action::post("Stop", format!("/api/v1/operations/{id}/cancel"), json!({}), &format!("/ui/operations/{id}"))
                    .command(&["operation", "cancel", id]).show(&ask.visitor))
            }
        }
        @if let Some(tablet) = one.tablet_id { p { a href=(format!("/ui/tablets/{tablet}")) { "To tablet " (tablet) } } }
    }
}
