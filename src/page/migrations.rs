//! The list of migrations, narrowed by what is asked for, the newest first.

use axum::response::Response;
use maud::{Markup, html};

use super::address::{link, pair};
use super::ask::Ask;
use super::rows;
use super::view::{Section, View, next_page};
use crate::api::Refused;
use crate::api::wire::{Disk, List, Migration};

/// Rows of one page.
const PAGE: usize = 50;
/// What narrows the list.
const FILTERS: [&str; 6] = ["status", "phase", "tablet_id", "disk", "task", "marker"];
const STATUSES: [&str; 13] = [
    "queued",
    "preflight",
    "preflight_passed",
    "prepared",
    "copying",
    "ready",
    "finalizing",
    "completed",
    "paused",
    "aborting",
    "aborted",
    "failed",
    "expired",
];

/// `GET /ui/migrations`.
pub(super) async fn list(ask: Ask) -> Response {
    let view = view(&ask).await;
    ask.answer(view)
}

async fn view(ask: &Ask) -> Result<View, Refused> {
    let given = |name: &'static str| (name, ask.parameter(name).unwrap_or_default());
    let narrowed: Vec<_> = FILTERS.into_iter().map(given).collect();
    let query: Vec<_> =
        narrowed.iter().map(|(name, value)| pair(name, value)).filter(|pair| !pair.is_empty()).collect();
    let list: List<Migration> =
        ask.get(&format!("/api/v1/migrations?sort=-id&limit={PAGE}&{}", query.join("&"))).await?;
    let disks: List<Disk> = ask.get("/api/v1/disks").await?;
    let last = list.data.last().map(|one| one.id.to_string()).filter(|_| list.data.len() == PAGE);
    let next = last.map(|marker| {
        let mut pairs = narrowed.clone();
        pairs.retain(|(name, _)| *name != "marker");
        pairs.push(("marker", &marker));
        link("/ui/migrations", &pairs)
    });
    let body = html! {
        (ask.done())
        p { a.button href="/ui/migrations/plan" { "Plan a migration" } }
        (filters(ask, &disks.data))
        div.wide id="migrations" data-live {
            (rows::migrations(&list.data, "Migrations"))
        }
        (next_page(next, list.data.len(), list.total))
    };
    Ok(View { title: "Migrations".to_owned(), section: Section::Migrations, body })
}

fn filters(ask: &Ask, disks: &[Disk]) -> Markup {
    let given = |name| ask.parameter(name).unwrap_or_default();
    html! {
        form.filters method="get" action="/ui/migrations" {
            label for="status" { "Status" }
            select id="status" name="status" {
                option value="" { "any" }
                @if given("status").contains(',') { option value=(given("status")) selected { (given("status").replace(',', ", ")) } }
                @for status in STATUSES { option value=(status) selected[given("status") == status] { (status) } }
            }
            label for="disk" { "Disk" }
            select id="disk" name="disk" {
                option value="" { "any" }
                @for disk in disks { option value=(disk.path) selected[given("disk") == disk.path] { (disk.path) } }
            }
            label for="tablet_id" { "Tablet" }
            input id="tablet_id" name="tablet_id" inputmode="numeric" size="10" value=(given("tablet_id"));
            label for="task" { "Task" }
            input id="task" name="task" inputmode="numeric" size="6" value=(given("task"));
            button type="submit" { "Show" }
        }
    }
}
