//! A plan that is only looked at: what each disk holds before and after, what moves, what does not and why. From here it
//! becomes a task, which is refused when the node has changed since.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::action::Action;
use super::ask::Ask;
use super::picture::{Part, bar, bytes};
use super::view::{Section, View};
use crate::api::Refused;
use crate::api::wire::{Disk, List, Task};
use crate::model::{PlannedDisk, TaskPlan};

/// Moves that are shown, and tablets that stay.
const SHOWN_MAX: usize = 50;

/// `GET /ui/tasks/plan?kind=drain&disk=&media=&completeness=`.
pub(super) async fn show(ask: Ask) -> Response {
    let view = view(&ask).await;
    ask.answer(view)
}

async fn view(ask: &Ask) -> Result<View, Refused> {
    let kind = if ask.parameter("kind") == Some("rebalance") { "rebalance" } else { "drain" };
    let disks: List<Disk> = ask.get("/api/v1/disks").await?;
    let form = form(ask, kind, &disks.data);
    let planned = match request(ask, kind) {
        Some(request) => {
            let body = json!({ "request": request, "completeness": completeness(ask), "dry_run": true });
            let task: Task = ask.inside.send(&ask.visitor, "POST", "/api/v1/tasks", &body).await?;
            let plan = task
                .plan
                .as_ref()
                .map(|plan| html! { (picture(plan, &disks.data)) (create(ask, kind, &request, plan)) });
            plan.unwrap_or_default()
        }
        None => html! {},
    };
    let body = html! { (form) (planned) };
    Ok(View { title: format!("Plan a {kind}"), section: Section::Tasks, body })
}

fn completeness(ask: &Ask) -> &'static str {
    if ask.parameter("completeness") == Some("what_fits") { "what_fits" } else { "all_or_nothing" }
}

fn request(ask: &Ask, kind: &str) -> Option<Value> {
    if kind == "rebalance" {
        return Some(json!({ "kind": "rebalance" }));
    }
    let media = if ask.parameter("media") == Some("any") { "any" } else { "same" };
    ask.parameter("disk").map(|disk| json!({ "kind": "drain", "disks": [disk], "media": media }))
}

fn form(ask: &Ask, kind: &str, disks: &[Disk]) -> Markup {
    let chosen = ask.parameter("disk").unwrap_or_default();
    html! {
        form.filters method="get" action="/ui/tasks/plan" {
            input type="hidden" name="kind" value=(kind);
            @if kind == "drain" {
                label for="disk" { "Empty the disk" }
                select id="disk" name="disk" {
                    @for disk in disks { option value=(disk.path) selected[disk.path == chosen] { (disk.path) } }
                }
                label { input type="checkbox" name="media" value="any" checked[ask.parameter("media") == Some("any")]; " onto other media too" }
            }
            label { input type="checkbox" name="completeness" value="what_fits" checked[completeness(ask) == "what_fits"]; " also when not all of it can be done" }
            button type="submit" { "Plan" }
        }
    }
}

/// The plan as a picture and in words.
pub(super) fn picture(plan: &TaskPlan, disks: &[Disk]) -> Markup {
    html! {
        section.plan aria-label="The plan" {
            p { (plan.moves.len()) " moves, " (bytes(plan.total_bytes)) "; unevenness "
                (format!("{:.1}", plan.score_before)) " before, " (format!("{:.1}", plan.score_after)) " after." }
            @for text in &plan.falls_short { p.trouble { (text) } }
            div.wide { table {
                caption.quiet { "Each disk before and after" }
                thead { tr { th scope="col" { "Disk" } th scope="col" { "Before" } th scope="col" { "After" } } }
                tbody { @for disk in &plan.disks { (before_and_after(disk, disks)) } }
            } }
            @if !plan.moves.is_empty() {
                details id="moves" {
                    summary { "The moves, in order" @if plan.moves.len() > SHOWN_MAX { " (the first " (SHOWN_MAX) ")" } }
                    ol { @for one in plan.moves.iter().take(SHOWN_MAX) {
                        li { "tablet " (one.key.tablet_id) ", " (bytes(one.size_bytes)) ": " code { (one.source.path) } " to " code { (one.destination.path) } @if !one.why.is_empty() { " (" (one.why) ")" } }
                    } }
                }
            }
            @if !plan.fits_nowhere.is_empty() {
                h2 { "Fits nowhere: " (plan.fits_nowhere.len()) }
                ul { @for one in plan.fits_nowhere.iter().take(SHOWN_MAX) {
                    li { "tablet " (one.key.tablet_id) " on " code { (one.source) } ", " (bytes(one.size_bytes)) ": " (one.tried.join("; ")) }
                } }
            }
            @if !plan.left_out.is_empty() {
                h2 { "Left out: " (plan.left_out.len()) }
                ul { @for one in plan.left_out.iter().take(SHOWN_MAX) { li { "tablet " (one.key.tablet_id) ": " (one.reason) } } }
            }
        }
    }
}

fn before_and_after(planned: &PlannedDisk, disks: &[Disk]) -> Markup {
    let total = disks.iter().find(|disk| disk.path == planned.path).map_or(0, |disk| disk.total_bytes);
    let level = |label: &str, level: &crate::model::PlannedLevel| {
        let load = level.load_bytes.min(level.committed_bytes);
        let parts = [
            Part { class: "tablets", name: "in use", bytes: load },
            Part { class: "trash", name: "trash and leaving", bytes: level.committed_bytes - load },
        ];
        html! {
            td {
                (bar(&format!("{} {label}", planned.path), &parts, total, None))
                span.small { (level.tablets) " tablets, " (bytes(level.load_bytes)) " in use, " (bytes(level.committed_bytes - load)) " trash and leaving" }
            }
        }
    };
    html! { tr { th scope="row" { code { (planned.path) } } (level("before", &planned.before)) (level("after", &planned.after)) } }
}

fn create(ask: &Ask, kind: &str, request: &Value, plan: &TaskPlan) -> Markup {
    if plan.moves.is_empty() {
        return html! { p { "There is nothing to move." } };
    }
    let disk = ask.parameter("disk").unwrap_or_default();
    let name = if kind == "drain" { format!("drain {disk}") } else { kind.to_owned() };
    let body = json!({
        "name": name, "request": request, "completeness": completeness(ask), "dry_run": false,
        "fingerprint": plan.fingerprint,
    });
    let mut command = if kind == "drain" { vec!["disk", "drain", disk] } else { vec!["task", "rebalance"] };
    command.push("--stopped");
    if ask.parameter("media") == Some("any") && kind == "drain" {
        command.push("--any-medium");
    }
    if completeness(ask) == "what_fits" {
        command.push("--what-fits");
    }
    let action = Action::post("Keep as a task", "/api/v1/tasks".to_owned(), body, "/ui/tasks/{id}");
    html! {
        h2 { "Keep it" }
        p { "The task is made and not started. It is refused when the node has changed since this plan." }
        (action.command(&command).field("text:reason", "Why, for the record", "").show(&ask.visitor))
    }
}
