//! A plan that is only looked at: what each disk holds before and after, what moves, what does not and why. From here it
//! becomes a task, which is refused when the node has changed since.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::action::Action;
use super::ask::Ask;
use super::frame;
use super::picture::{Part, bar, bytes};
use super::view::{Section, View};
use super::wish::{self, Wish};
use crate::access::Role;
use crate::api::Refused;
use crate::api::wire::{Disk, List, Task};
use crate::model::{PlannedDisk, TaskPlan, counted};

/// Moves that are shown, and tablets that stay.
const SHOWN_MAX: usize = 50;

/// `GET /ui/tasks/plan?kind=drain&disk=`, and what else [`wish`] reads.
pub(super) async fn show(ask: Ask) -> Response {
    let view = view(&ask).await;
    ask.answer(view)
}

async fn view(ask: &Ask) -> Result<View, Refused> {
    let disks: List<Disk> = ask.get("/api/v1/disks").await?;
    let may = ask.visitor.role >= Role::Operator;
    let planned = match wish::read(&ask.query) {
        Err(text) => html! { p.trouble role="alert" { (text) } },
        Ok(Some(wish)) if may => planned(ask, &wish, &disks.data).await?,
        Ok(_) => html! {},
    };
    let body = html! { (wish::form(&ask.query, &disks.data, may)) (planned) };
    let kind = wish::kind(&ask.query);
    Ok(View { title: format!("Plan a {kind}"), section: Section::Tasks, body })
}

async fn planned(ask: &Ask, wish: &Wish, disks: &[Disk]) -> Result<Markup, Refused> {
    let body = body(wish, true);
    let task: Result<Task, Refused> = ask.inside.send(&ask.visitor, "POST", "/api/v1/tasks", &body).await;
    let task = match task {
        Ok(task) => task,
        // The form stays, so that the wish can be changed.
        Err(refused) if refused.status.is_client_error() => return Ok(frame::trouble(&refused).body),
        Err(refused) => return Err(refused),
    };
    let plan = task.plan.as_ref();
    let plan = plan.map(|plan| html! { (picture(plan, disks)) (create(ask, wish, plan)) });
    Ok(plan.unwrap_or_default())
}

fn body(wish: &Wish, dry_run: bool) -> Value {
    let mut body = json!({ "name": wish.name, "request": wish.request, "dry_run": dry_run });
    for (name, value) in &wish.how {
        body[name] = value.clone();
    }
    body
}

/// The plan as a picture and in words.
pub(super) fn picture(plan: &TaskPlan, disks: &[Disk]) -> Markup {
    html! {
        section.plan aria-label="The plan" {
            p { (counted(plan.moves.len(), "move")) ", " (bytes(plan.total_bytes)) "; unevenness "
                (format!("{:.1}", plan.score_before)) " before, " (format!("{:.1}", plan.score_after)) " after." }
            @for text in &plan.falls_short { p.trouble { (text) } }
            div.wide { table.levels {
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
                span.small { (counted(level.tablets, "tablet")) ", " (bytes(level.load_bytes)) " in use"
                    @if level.committed_bytes > load { ", " (bytes(level.committed_bytes - load)) " trash and leaving" } }
            }
        }
    };
    html! { tr { th scope="row" { code { (planned.path) } } (level("before", &planned.before)) (level("after", &planned.after)) } }
}

fn create(ask: &Ask, wish: &Wish, plan: &TaskPlan) -> Markup {
    if plan.moves.is_empty() {
        return html! { p { "There is nothing to move." } };
    }
    let mut body = body(wish, false);
    body["fingerprint"] = json!(plan.fingerprint);
    let mut command: Vec<&str> = wish.command.iter().map(String::as_str).collect();
    command.push("--stopped");
    let action = Action::post("Keep as a task", "/api/v1/tasks".to_owned(), body, "/ui/tasks/{id}");
    html! {
        h2 { "Keep it" }
        p { "The task is made and not started. It is refused when the node has changed since this plan." }
        (action.command(&command).field("text:reason", "Why, for the record", "").show(&ask.visitor))
    }
}
