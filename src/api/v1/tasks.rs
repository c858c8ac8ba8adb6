//! `/api/v1/tasks`: plans, and the tasks that carry them out.

use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::body::Body;
use super::parameters;
use super::shape::IsList;
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::node::Node;
use crate::api::query::invalid;
use crate::api::wire::{CreateTask, List, Task, TaskAction, Timestamp};
use crate::engine::NewTask;
use crate::model::{Failure, TaskId};

/// Bytes a task's name may have.
const NAME_MAX_BYTES: usize = 200;

/// `GET /tasks`, ascending by number, without their plans.
#[utoipa::path(
    get,
    path = "/api/v1/tasks",
    operation_id = "list_tasks",
    tag = "tasks",
    responses((status = 200, body = List<Task>, description = "All of them, without their plans"))
)]
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let tasks = app.ask(Touches::Memory, <dyn Node>::tasks).await?;
    let data: Vec<Task> = tasks.into_iter().map(Task::in_list).collect();
    let total = u64::try_from(data.len()).unwrap_or(u64::MAX);
    Ok((Extension(IsList), Json(List { total, data })).into_response())
}

/// `POST /tasks`: 200 and the plan for a dry run, which is the default; else 201 and a task that is stopped.
#[utoipa::path(
    post,
    path = "/api/v1/tasks",
    operation_id = "create_task",
    tag = "tasks",
    request_body = CreateTask,
    responses((status = 200, body = Task, description = "Only planned: a dry run, which is the default"), (status = 201, body = Task, description = "Made, and stopped"))
)]
pub(super) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(CreateTask { name, request, completeness, dry_run, reason }): Body<CreateTask>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    if name.len() > NAME_MAX_BYTES {
        return Err(invalid(format!("name: {} bytes are more than {NAME_MAX_BYTES}", name.len())).into());
    }
    let name = if name.is_empty() { request.kind().to_owned() } else { name };
    let reason = match reason {
        given if given.is_empty() => format!("/api/v1/tasks, called from {caller}"),
        given => given,
    };
    let asked = NewTask { name, request, completeness, reason };
    if dry_run {
        let told = asked.clone();
        let plan = app.try_ask(Touches::Memory, move |node| node.plan_task(&asked)).await?;
        return Ok(Json(Task::only_planned(told, plan, Timestamp::now().0)).into_response());
    }
    caller.asks(format_args!("task {:?}: {:?}: {}", asked.name, asked.request, asked.reason));
    let view = app.try_ask(Touches::Journal, move |node| node.create_task(&asked)).await?;
    let location = format!("/api/v1/tasks/{}", view.task.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(Task::from(view))).into_response())
}

fn read_id(text: &str) -> Result<TaskId, Failure> {
    text.parse().map_err(|error| invalid(format!("{error}")))
}

/// `GET /tasks/{id}`, with its plan.
#[utoipa::path(
    get,
    path = "/api/v1/tasks/{id}",
    operation_id = "show_task",
    tag = "tasks",
    params(
        ("id" = TaskId, Path, description = "Its number"),
    ),
    responses((status = 200, body = Task, description = "With its plan"))
)]
pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<Task>, Problem> {
    parameters(&parts, &[])?;
    let id = read_id(&id)?;
    Ok(Json(app.try_ask(Touches::Memory, move |node| node.task(id)).await?.into()))
}

/// `POST /tasks/{id}/action`: 202 and the task as it stands then.
#[utoipa::path(
    post,
    path = "/api/v1/tasks/{id}/action",
    operation_id = "act_on_task",
    tag = "tasks",
    params(
        ("id" = TaskId, Path, description = "Its number"),
    ),
    request_body = TaskAction,
    responses((status = 202, body = Task, description = "As it stands then"))
)]
pub(super) async fn act(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
    Body(action): Body<TaskAction>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let id = read_id(&id)?;
    caller.asks(format_args!("{} task {id}", action.as_str()));
    let view = app.try_ask(Touches::Journal, move |node| match action {
        TaskAction::Start(_) => node.start_task(id),
        TaskAction::Stop(_) => node.stop_task(id),
    });
    Ok((StatusCode::ACCEPTED, Json(Task::in_list(view.await?))).into_response())
}

/// `DELETE /tasks/{id}`: 204; its migrations stay.
#[utoipa::path(
    delete,
    path = "/api/v1/tasks/{id}",
    operation_id = "delete_task",
    tag = "tasks",
    params(
        ("id" = TaskId, Path, description = "Its number"),
    ),
    responses((status = 204, description = "Forgotten"))
)]
pub(super) async fn delete(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    parameters(&parts, &[])?;
    let id = read_id(&id)?;
    caller.asks(format_args!("delete task {id}"));
    app.try_ask(Touches::Journal, move |node| node.delete_task(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
