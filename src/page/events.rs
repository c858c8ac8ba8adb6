//! What has happened of late; the script adds what happens next.

use axum::response::Response;
use maud::html;

use super::ask::Ask;
use super::picture::badge;
use super::view::{Section, View};
use crate::api::Refused;
use crate::api::wire::Event;

/// Rows that are shown.
const SHOWN_MAX: usize = 200;

/// `GET /ui/events`.
pub(super) async fn list(ask: Ask) -> Response {
    let view = view(&ask).await;
    ask.answer(view)
}

async fn view(ask: &Ask) -> Result<View, Refused> {
    let text = ask.inside.text(&ask.visitor, "/api/v1/events?follow=false").await?;
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Event> = data.filter_map(|line| serde_json::from_str(line).ok()).collect();
    // Bytes that move are drawn elsewhere.
    let told = events.iter().rev().filter(|event| event.kind == "status" || event.kind == "step");
    let body = html! {
        p { "The newest first: what is remembered of status and steps of every migration." }
        div.wide {
            table {
                caption.unseen { "Events" }
                thead { tr { th scope="col" { "When" } th scope="col" { "Migration" } th scope="col" { "Tablet" } th scope="col" { "What" } th scope="col" { "Why" } } }
                tbody id="event-rows" {
                    @for event in told.take(SHOWN_MAX) {
                        @let id = event.migration_id.map(|id| id.to_string()).unwrap_or_default();
                        tr {
                            td { time { (event.at) } }
                            td { a href=(format!("/ui/migrations/{id}")) { (id) } }
                            td { @if let Some(tablet) = event.tablet_id { (tablet) } }
                            td {
                                @if let Some(status) = event.status { (badge(status.as_str())) }
                                @if let Some(step) = event.step { (step.as_str()) " " }
                                @if let Some(status) = event.step_status { (badge(status.as_str())) }
                            }
                            td { (event.status_reason.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    };
    Ok(View { title: "Events".to_owned(), section: Section::Events, body })
}
