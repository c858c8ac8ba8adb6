//! One task: how far it has come, what is under way, what is stuck, the plan it follows, and what can be done with it.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;

use super::action::Action;
use super::address::{escaped, link};
use super::ask::Ask;
use super::picture::{badge, bytes, progress, rate, seconds};
use super::plan;
use super::rows;
use super::view::{Section, View};
use crate::api::Refused;
use crate::api::wire::{Disk, List, Migration, Task};
use crate::model::{TaskStatus, counted_as};

/// `GET /ui/tasks/{id}`.
pub(super) async fn show(axum::extract::Path(id): axum::extract::Path<String>, ask: Ask) -> Response {
    let view = view(&ask, &id).await;
    ask.answer(view)
}

async fn view(ask: &Ask, id: &str) -> Result<View, Refused> {
    let id = escaped(id);
    let task: Task = ask.get(&format!("/api/v1/tasks/{id}")).await?;
    let disks: List<Disk> = ask.get("/api/v1/disks").await?;
    let under_way = format!(
        "/api/v1/migrations?task={id}&status=queued,preflight,preflight_passed,prepared,copying,ready,finalizing,paused&limit=20"
    );
    let under_way: List<Migration> = ask.get(&under_way).await?;
    let body = html! {
        (ask.done())
        div id="task" data-live {
            (standing(&task, &under_way.data))
            (verbs(ask, &id, &task))
        }
        div id="moves-under-way" data-live { (moves(&id, &task, &under_way)) }
        h2 { "The plan" }
        @if let Some(plan) = &task.plan { (plan::picture(plan, &disks.data)) }
    };
    Ok(View { title: format!("Task {id} {}", task.name), section: Section::Tasks, body })
}

fn standing(task: &Task, under_way: &[Migration]) -> Markup {
    let moves = &task.progress;
    let by_disk = task.status_list.as_deref().unwrap_or_default();
    // What is verified of moves under way counts too.
    let finished = by_disk.iter().map(|disk| disk.finished_bytes).sum::<u64>().max(moves.bytes_completed);
    let speed: u64 = by_disk.iter().filter_map(|disk| disk.bytes_per_sec).sum();
    let speed = if speed > 0 { speed } else { under_way.iter().filter_map(|one| one.recent_bps).sum() };
    let left = moves.bytes_total.saturating_sub(finished);
    let running = task.status == Some(TaskStatus::Running);
    html! {
        p { (badge(task.status.map_or("planned", |status| status.as_str()))) " " (task.status_reason) }
        (progress("bytes moved", finished, moves.bytes_total))
        dl.figures {
            div { dt { "Bytes" } dd { (bytes(finished)) " of " (bytes(moves.bytes_total)) } }
            div { dt { "Moves" } dd { (moves.moves_completed) " of " (moves.moves_total) } }
            div { dt { "Under way" } dd { (moves.moves_running) } }
            div { dt { "Given up" } dd { (moves.moves_failed) } }
            div { dt { "Speed" } dd { (rate(speed)) } }
            div { dt { "Left" } dd { @if running && speed > 0 { (seconds(left / speed)) } @else { (bytes(left)) } } }
        }
        @for one in &task.replans {
            p { (counted_as(one.moves, "move was", "moves were")) " planned anew at " (one.at) " by " (one.requested_by) ": " (one.reason) }
        }
        @if let Some(text) = &task.shortfall { p.trouble { (text) } }
        @if !task.reason.is_empty() { p { "Why: " (task.reason) } }
        @for disk in by_disk {
            @for one in &disk.blocked { p.wary { "Stuck on " code { (disk.disk) } ": tablet " (one.key.tablet_id) ": " (one.reason) } }
        }
        @for one in &task.failed { p.trouble { "Given up: tablet " (one.key.tablet_id) ": " (one.reason) } }
    }
}

fn verbs(ask: &Ask, id: &str, task: &Task) -> Markup {
    let act = |verb: &str, label: &str| {
        let path = format!("/api/v1/tasks/{id}/action");
        let here = format!("/ui/tasks/{id}");
        Action::post(label, path, json!({ verb: {} }), &here).command(&["task", verb, id])
    };
    let status = task.status.unwrap_or(TaskStatus::Stopped);
    let again = if status == TaskStatus::Finished { "Try again what was given up" } else { "Start" };
    html! {
        div.actions {
            @if matches!(status, TaskStatus::Stopped) || (status == TaskStatus::Finished && task.progress.moves_failed > 0) { (act("start", again).show(&ask.visitor)) }
            @if status == TaskStatus::Running { (act("pause", "Pause").show(&ask.visitor)) (act("stop", "Stop").show(&ask.visitor)) }
            @if status == TaskStatus::Paused { (act("resume", "Resume").show(&ask.visitor)) }
            @if !status.is_over() {
                (act("replan", "Plan what is left anew").show(&ask.visitor))
                (act("cancel", "Cancel").warn("What is under way is undone, what has moved stays, and the task never starts again.").show(&ask.visitor))
                (ask_again(task))
            }
            @if matches!(status, TaskStatus::Stopped | TaskStatus::Finished | TaskStatus::Cancelled) {
                (Action::post("Delete", format!("/api/v1/tasks/{id}"), serde_json::Value::Null, "/ui/tasks").method("DELETE")
                    .command(&["task", "delete", id]).warn("The task and its plan are forgotten; tablets stay where they are.").show(&ask.visitor))
            }
        }
    }
}

/// The same question asked again of the node as it is now.
fn ask_again(task: &Task) -> Markup {
    let href = match &task.request {
        crate::model::TaskRequest::Drain { disks, .. } if disks.len() == 1 => {
            Some(link("/ui/tasks/plan", &[("kind", "drain"), ("disk", &disks[0])]))
        }
        crate::model::TaskRequest::Rebalance { .. } => Some(link("/ui/tasks/plan", &[("kind", "rebalance")])),
        _ => None,
    };
    html! { @if let Some(href) = href { a.button href=(href) { "Ask the same again" } } }
}

fn moves(id: &str, task: &Task, under_way: &List<Migration>) -> Markup {
    html! {
        h2 { "Moves under way" }
        @if under_way.data.is_empty() { p { "None." } } @else {
            div.wide { (rows::migrations(&under_way.data, "Moves under way")) }
        }
        @if task.progress.moves_completed + task.progress.moves_failed > 0 {
            p { a href=(link("/ui/migrations", &[("task", id)])) { "All migrations of this task" } }
        }
    }
}
