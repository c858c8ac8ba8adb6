//! `/api/v1/tasks`: plans, and the tasks that carry them out.

use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;

use super::asked::idempotency;
use super::body::Body;
use super::parameters;
use super::shape::{page, whole};
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::query::{Strict, invalid, read_id};
use crate::api::wire::{CreateTask, DrainDisk, List, Task, TaskAction, Timestamp, UpdateTask};
use crate::engine::{NewTask, TargetFilter, TaskChange, TaskFilter};
use crate::model::{self, Failure, MoveOptions, TaskId, quoted};

/// Bytes a task's name may have.
const NAME_MAX_BYTES: usize = 200;

/// `GET /tasks`, ascending by number, without their plans. Filters `status` (several, separated by commas; `stage` is another
/// word for it), `kind` and `disk` (with a move from or to it, or a drain of it); pages by `marker` and `limit`. How each goes
/// on its disks is told with `with_status=true`.
#[utoipa::path(
    get,
    path = "/api/v1/tasks",
    operation_id = "list_tasks",
    tag = "tasks",
    params(
        ("status" = Option<Vec<model::TaskStatus>>, Query, explode = false, description = "Several, separated by commas"),
        ("stage" = Option<Vec<model::TaskStatus>>, Query, explode = false, description = "As status"),
        ("with_status" = Option<bool>, Query, description = "With how each goes on its disks"),
        ("kind" = Option<String>, Query, pattern = "^(drain|move|rebalance)$", description = "Of this kind"),
        ("disk" = Option<String>, Query, description = "With a move from or to it, or a drain of it"),
        ("marker" = Option<TaskId>, Query, description = "The last number of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100000, description = "At most so many, 1 to 100000"),
    ),
    responses((status = 200, body = List<Task>, description = "All of them, without their plans"))
)]
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["status", "stage", "with_status", "kind", "disk", "marker", "limit"])?;
    let mut filter = TaskFilter {
        statuses: statuses(&query)?,
        kind: query.text("kind").map(str::to_owned),
        disk: query.text("disk").map(str::to_owned),
        after: query.read("marker")?,
        limit: query.limit(MAX_LIMIT)?,
        with_disks: false,
    };
    if let Some(kind) = filter.kind.as_deref().filter(|kind| !KINDS.contains(kind)) {
        let text =
            format!("parameter kind: {} is no kind of task; accepted: {}", quoted(&kind), KINDS.join(", "));
        return Err(invalid(text).into());
    }
    let with_status = query.read::<bool>("with_status")?.unwrap_or(false);
    filter.with_disks = with_status;
    let found = app.ask(Touches::Memory, move |node| node.tasks(&filter)).await?;
    let shown = |view| if with_status { Task::with_status(view) } else { Task::in_list(view) };
    Ok(page(found.total, found.items.into_iter().map(shown).collect()))
}

/// `status`, or DM's word for it.
fn statuses(query: &Strict) -> Result<Vec<model::TaskStatus>, Failure> {
    match (query.text("status"), query.text("stage")) {
        (Some(_), Some(_)) => Err(invalid("parameters status and stage are the same; give one of them")),
        (None, Some(_)) => query.several("stage"),
        (_, None) => query.several("status"),
    }
}

const KINDS: [&str; 3] = ["drain", "move", "rebalance"];
const MAX_LIMIT: i64 = 100_000;

/// `GET /tasks/{id}/migrate_targets`: the moves of its plan as they stand, in the order of service. Filters `status`
/// (several, separated by commas) and `disk` (either end); pages by `marker` (the last position of the page before) and
/// `limit`.
#[utoipa::path(
    get,
    path = "/api/v1/tasks/{id}/migrate_targets",
    operation_id = "migrate_targets",
    tag = "tasks",
    params(
        ("id" = TaskId, Path, description = "Its number"),
        ("status" = Option<Vec<model::MoveStatus>>, Query, explode = false, description = "Several, separated by commas"),
        ("disk" = Option<String>, Query, description = "At either end"),
        ("marker" = Option<u64>, Query, description = "The last position of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100000, description = "At most so many, 1 to 100000"),
    ),
    responses((status = 200, body = List<model::MigrateTarget>, description = "The moves of its plan as they stand"))
)]
pub(super) async fn targets(
    State(app): State<App>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["status", "disk", "marker", "limit"])?;
    let id: TaskId = read_id(&id)?;
    let filter = TargetFilter {
        statuses: query.several("status")?,
        disk: query.text("disk").map(str::to_owned),
        after: query.read("marker")?,
        limit: query.limit(MAX_LIMIT)?,
    };
    let found = app.try_ask(Touches::Journal, move |node| node.migrate_targets(id, &filter)).await?;
    Ok(page(found.total, found.items))
}

/// `PATCH /tasks/{id}`: a stopped task under another name, in another order of service, at another speed.
#[utoipa::path(
    patch,
    path = "/api/v1/tasks/{id}",
    operation_id = "update_task",
    tag = "tasks",
    params(
        ("id" = TaskId, Path, description = "Its number"),
    ),
    request_body = UpdateTask,
    responses((status = 200, body = Task, description = "Changed"))
)]
pub(super) async fn update(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
    Body(change): Body<UpdateTask>,
) -> Result<Json<Task>, Problem> {
    parameters(&parts, &[])?;
    let id: TaskId = read_id(&id)?;
    let asked = as_json(&change);
    let UpdateTask { name, priority, rate_bytes_per_sec, replan } = change;
    check_name(name.as_deref().unwrap_or("a name"))?;
    let change = TaskChange { name, priority, rate_bytes_per_sec, replan };
    caller.asks(format_args!("change task {id}: {asked}"));
    Ok(Json(app.try_ask(Touches::Journal, move |node| node.update_task(id, &change)).await?.into()))
}

/// `PUT /tasks/{id}`: as `PATCH`; what is left out stays here too, because the plan is no client's to write.
#[utoipa::path(
    put,
    path = "/api/v1/tasks/{id}",
    operation_id = "put_task",
    tag = "tasks",
    params(
        ("id" = TaskId, Path, description = "Its number"),
    ),
    request_body = UpdateTask,
    responses((status = 200, body = Task, description = "Changed"))
)]
pub(super) async fn put(
    app: State<App>,
    caller: Extension<Caller>,
    id: Path<String>,
    parts: Parts,
    change: Body<UpdateTask>,
) -> Result<Json<Task>, Problem> {
    update(app, caller, id, parts, change).await
}

/// What was asked for as it came.
fn as_json(asked: &impl Serialize) -> String {
    serde_json::to_string(asked).unwrap_or_default()
}

fn check_name(name: &str) -> Result<(), Failure> {
    match name.len() {
        0 => Err(invalid("name: it is empty")),
        length if length > NAME_MAX_BYTES => {
            Err(invalid(format!("name: {length} bytes are more than {NAME_MAX_BYTES}")))
        }
        _ => Ok(()),
    }
}

/// `POST /tasks`: plans a drain, a rebalance or a move of selected tablets, and keeps it as a task.
///
/// 200 and the plan for a dry run, which is the default; else 201 and a task that is stopped.
#[utoipa::path(
    post,
    path = "/api/v1/tasks",
    operation_id = "create_task",
    tag = "tasks",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body again: the same task"),
    ),
    request_body = CreateTask,
    responses((status = 200, body = Task, description = "Only planned: a dry run, which is the default"), (status = 201, body = Task, description = "Made, and stopped"))
)]
pub(super) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(asked): Body<CreateTask>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    plan_or_create(&app, &caller, &parts, asked).await
}

/// `POST /disks/drain`: as `POST /tasks` with a drain of this disk; `POST /tasks/{id}/action {"start": {}}` begins it.
#[utoipa::path(
    post,
    path = "/api/v1/disks/drain",
    operation_id = "drain_disk",
    tag = "disks",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body again: the same task"),
    ),
    request_body = DrainDisk,
    responses((status = 200, body = Task, description = "Only planned: a dry run, which is the default"), (status = 201, body = Task, description = "Made, and stopped"))
)]
pub(super) async fn drain(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(asked): Body<DrainDisk>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    plan_or_create(&app, &caller, &parts, asked.into()).await
}

async fn plan_or_create(
    app: &App,
    caller: &Caller,
    parts: &Parts,
    asked: CreateTask,
) -> Result<Response, Problem> {
    let idempotency = idempotency(parts, &asked)?;
    let CreateTask { name, request, completeness, dry_run, fingerprint, priority, .. } = asked;
    let CreateTask { rate_bytes_per_sec, replan, reason, .. } = asked;
    let name = if name.is_empty() { request.kind().to_owned() } else { name };
    check_name(&name)?;
    let rate_bytes_per_sec = rate_bytes_per_sec.filter(|rate| *rate > 0);
    let options = MoveOptions { priority, rate_bytes_per_sec, replan };
    let reason = caller.reason_or(&reason, parts.uri.path());
    let asked = NewTask { name, request, completeness, fingerprint, options, reason, idempotency };
    if dry_run {
        let told = asked.clone();
        let plan = app.try_ask(Touches::Memory, move |node| node.plan_task(&asked)).await?;
        return Ok(Json(Task::only_planned(told, plan, Timestamp::now().0)).into_response());
    }
    let (named, request) = (quoted(&asked.name), as_json(&asked.request));
    caller.asks(format_args!("task {named}: {request}: {}", asked.reason));
    let view = app.try_ask(Touches::Journal, move |node| node.create_task(&asked)).await?;
    let location = format!("/api/v1/tasks/{}", view.task.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(Task::from(view))).into_response())
}

/// `GET /tasks/{id}`, with its plan, and with how it goes on each disk unless `with_status=false`.
#[utoipa::path(
    get,
    path = "/api/v1/tasks/{id}",
    operation_id = "show_task",
    tag = "tasks",
    params(
        ("id" = TaskId, Path, description = "Its number"),
        ("with_status" = Option<bool>, Query, description = "false leaves out how it goes on each disk"),
    ),
    responses((status = 200, body = Task, description = "With its plan"))
)]
pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<Task>, Problem> {
    let query = parameters(&parts, &["with_status"])?;
    let id: TaskId = read_id(&id)?;
    let with_status = query.read::<bool>("with_status")?.unwrap_or(true);
    let task: Task = app.try_ask(Touches::Memory, move |node| node.task(id)).await?.into();
    Ok(Json(if with_status { task } else { Task { status_list: None, ..task } }))
}

/// `GET /tasks/{id}/status`: how it goes on each disk it takes tablets from. Filter `stage` (several, separated by commas).
#[utoipa::path(
    get,
    path = "/api/v1/tasks/{id}/status",
    operation_id = "show_task_status",
    tag = "tasks",
    params(
        ("id" = TaskId, Path, description = "Its number"),
        ("stage" = Option<Vec<model::TaskStatus>>, Query, explode = false, description = "Several, separated by commas"),
    ),
    responses((status = 200, body = List<model::TaskDisk>, description = "One row per disk"))
)]
pub(super) async fn status(
    State(app): State<App>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["stage"])?;
    let id: TaskId = read_id(&id)?;
    let stages: Vec<model::TaskStatus> = query.several("stage")?;
    let task = app.try_ask(Touches::Memory, move |node| node.task(id)).await?;
    let wanted = |disk: &model::TaskDisk| stages.is_empty() || stages.contains(&disk.status);
    Ok(whole(task.disks.into_iter().filter(wanted).collect()))
}

/// `POST /tasks/{id}/action`: starts, stops, pauses, resumes, cancels or plans anew.
///
/// 202 and the task as it stands then.
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
    let id: TaskId = read_id(&id)?;
    let which = match &action {
        TaskAction::Pause(Some(on)) | TaskAction::Resume(Some(on)) if !on.disks.is_empty() => {
            format!(" on {}", on.disks.join(", "))
        }
        _ => String::new(),
    };
    caller.asks(format_args!("{} task {id}{which}", action.as_str()));
    let requested_by = caller.to_string();
    let view = app.try_ask(Touches::Journal, move |node| match action {
        TaskAction::Start(_) => node.start_task(id),
        TaskAction::Stop(_) => node.stop_task(id),
        TaskAction::Pause(on) => node.pause_task(id, &on.unwrap_or_default().disks),
        TaskAction::Resume(on) => node.resume_task(id, &on.unwrap_or_default().disks),
        TaskAction::Replan(_) => node.replan_task(id, &requested_by),
        TaskAction::Cancel(_) => node.cancel_task(id),
    });
    Ok((StatusCode::ACCEPTED, Json(Task::in_list(view.await?))).into_response())
}

/// `DELETE /tasks/{id}`: forgets a task that is not under way.
///
/// 204; its migrations stay.
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
    let id: TaskId = read_id(&id)?;
    caller.asks(format_args!("delete task {id}"));
    app.try_ask(Touches::Journal, move |node| node.delete_task(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
