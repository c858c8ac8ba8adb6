//! The list of tasks.

use axum::response::Response;
use maud::html;

use super::address::{link, pair};
use super::ask::Ask;
use super::picture::{badge, bytes, progress};
use super::view::{Section, View, next_page};
use super::wish::KINDS;
use crate::api::Refused;
use crate::api::wire::{List, Task};

/// Rows of one page.
const PAGE: usize = 50;

/// `GET /ui/tasks`.
pub(super) async fn list(ask: Ask) -> Response {
    let view = view(&ask).await;
    ask.answer(view)
}

async fn view(ask: &Ask) -> Result<View, Refused> {
    let marker = ask.parameter("marker").unwrap_or_default();
    let list: List<Task> = ask.get(&format!("/api/v1/tasks?limit={PAGE}&{}", pair("marker", marker))).await?;
    let last = list.data.last().and_then(|task| task.id).map(|id| id.to_string());
    let next = last.filter(|_| list.data.len() == PAGE).map(|id| link("/ui/tasks", &[("marker", &id)]));
    let body = html! {
        (ask.done())
        p.actions {
            "Plan:" @for (kind, label) in KINDS { a.button href=(format!("/ui/tasks/plan?kind={kind}")) { (label) } }
        }
        div.wide id="tasks" data-live {
            table {
                caption.unseen { "Tasks" }
                thead { tr { th scope="col" { "Task" } th scope="col" { "Kind" } th scope="col" { "Status" } th scope="col" { "Moves" } th scope="col" { "Bytes" } th scope="col" { "Progress" } th scope="col" { "Why" } } }
                tbody {
                    @for task in &list.data {
                        @let id = task.id.map(|id| id.to_string()).unwrap_or_default();
                        @let moves = &task.progress;
                        tr {
                            th scope="row" { a href=(format!("/ui/tasks/{id}")) { (id) " " (task.name) } }
                            td { (task.kind) }
                            td { (badge(task.status.map_or("planned", |status| status.as_str()))) }
                            td { (moves.moves_completed) " of " (moves.moves_total) @if moves.moves_failed > 0 { ", " (moves.moves_failed) " failed" } }
                            td { (bytes(moves.bytes_total)) }
                            td { (progress(&format!("task {id}"), moves.bytes_completed, moves.bytes_total)) }
                            td { (task.reason) }
                        }
                    }
                }
            }
            @if list.data.is_empty() { p { "There is no task." } }
        }
        (next_page(next, list.data.len(), list.total))
    };
    Ok(View { title: "Tasks".to_owned(), section: Section::Tasks, body })
}
