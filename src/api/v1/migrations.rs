//! `/api/v1/migrations`.

use std::str::FromStr;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
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
use crate::api::query::{Strict, invalid};
use crate::api::wire::{Action, Extend, List, Migration, RunStep, Timestamp};
use crate::engine::{ListOrder, MigrationFilter};
use crate::model::{self, ErrorCode, Failure, MigrationId, SchemaHash, Step, TabletId, TabletKey};

/// Most migrations on one page.
const MAX_LIMIT: i64 = 10_000;

pub(super) fn shown(migration: model::Migration) -> Migration {
    Migration::from_model(migration, Timestamp::now().0)
}

/// `GET /migrations`: filters `status` and `phase` (several, separated by commas), `tablet_id`, `disk` (at either end),
/// `source_disk`, `dest_disk`, `task`, `since` and `before` (when it was accepted); `sort` is `id` or `-id`; pages by
/// `marker` (the last id of the page before) and `limit`. Without what the steps said unless `with_steps=true`.
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    let query = parameters(&parts, LIST_PARAMETERS)?;
    answer_list(app, &query, filter(&query)?).await
}

/// What narrows, orders and cuts a list.
pub(super) const LIST_PARAMETERS: &[&str] = &[
    "status",
    "phase",
    "tablet_id",
    "disk",
    "source_disk",
    "dest_disk",
    "task",
    "since",
    "before",
    "sort",
    "marker",
    "limit",
    "with_steps",
];

pub(super) async fn answer_list(
    app: App,
    query: &Strict,
    filter: MigrationFilter,
) -> Result<Response, Problem> {
    let with_steps = query.read::<bool>("with_steps")?.unwrap_or(false);
    let page = app.ask(Touches::Journal, move |node| node.migrations(&filter)).await?;
    let data = page.items.into_iter().map(|migration| {
        let shown = shown(migration);
        if with_steps { shown } else { Migration { steps: None, ..shown } }
    });
    let list = List::<Migration> { total: page.total, data: data.collect() };
    Ok((Extension(IsList), Json(list)).into_response())
}

pub(super) fn filter(query: &Strict) -> Result<MigrationFilter, Failure> {
    let text = |name| query.text(name).map(str::to_owned);
    let time = |name| Ok::<_, Failure>(query.read::<Timestamp>(name)?.map(|time| time.0));
    let (since_ms, before_ms) = (time("since")?, time("before")?);
    if since_ms.zip(before_ms).is_some_and(|(since, before)| since > before) {
        return Err(invalid("parameter since is later than before"));
    }
    Ok(MigrationFilter {
        statuses: words(query, "status")?,
        phases: words(query, "phase")?,
        tablet_id: query.read("tablet_id")?,
        disk: text("disk"),
        source: text("source_disk"),
        destination: text("dest_disk"),
        task: query.read("task")?,
        since_ms,
        before_ms,
        order: match query.text("sort") {
            None | Some("id") => ListOrder::OldestFirst,
            Some("-id") => ListOrder::NewestFirst,
            Some(other) => return Err(invalid(format!("parameter sort must be id or -id, got {other:?}"))),
        },
        after: query.read("marker")?,
        limit: query.number("limit", 1..=MAX_LIMIT)?.and_then(|limit| limit.try_into().ok()).unwrap_or(0),
    })
}

fn words<T: FromStr<Err = String>>(query: &Strict, name: &'static str) -> Result<Vec<T>, Failure> {
    let Some(list) = query.text(name) else { return Ok(Vec::new()) };
    list.split(',')
        .map(|word| word.parse().map_err(|error| invalid(format!("parameter {name}: {error}"))))
        .collect()
}

/// JSON numbers are wider than ids.
pub(super) fn checked_ids(
    tablet_id: TabletId,
    schema_hash: Option<SchemaHash>,
) -> Result<(TabletId, Option<SchemaHash>), Failure> {
    let tablet_id = tablet_id.to_string().parse().map_err(|error| invalid(format!("{error}")))?;
    let schema_hash = schema_hash
        .map(|hash| hash.to_string().parse())
        .transpose()
        .map_err(|error| invalid(format!("{error}")))?;
    Ok((tablet_id, schema_hash))
}

/// The key of a tablet known under one schema hash.
pub(super) fn only_key(node: &dyn Node, tablet_id: TabletId) -> Result<TabletKey, Failure> {
    let found = node.tablets_by_id(tablet_id);
    match found.as_slice() {
        [one] => Ok(one.key),
        [] => Err(Failure::new(ErrorCode::TabletNotFound, format!("no tablet {tablet_id} on this node"))),
        several => {
            let hashes: Vec<_> = several.iter().map(|tablet| tablet.key.schema_hash.to_string()).collect();
            Err(invalid(format!(
                "tablet {tablet_id} has several schema hashes, say which: {}",
                hashes.join(", ")
            )))
        }
    }
}

pub(super) fn read_id(text: &str) -> Result<MigrationId, Failure> {
    text.parse().map_err(|error| invalid(format!("{error}")))
}

/// `GET /migrations/{id}`.
pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<Migration>, Problem> {
    parameters(&parts, &[])?;
    let id = read_id(&id)?;
    let found = app.ask(Touches::Journal, move |node| node.migration(id)).await?;
    let unknown = || Failure::new(ErrorCode::MigrationNotFound, format!("no migration {id} is known"));
    Ok(Json(shown(found.ok_or_else(unknown)?)))
}

/// `DELETE /migrations/{id}`: aborts it; 202, because undoing takes its time.
pub(super) async fn abort(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    apply(app, caller, read_id(&id)?, Action::Abort(None)).await
}

/// `POST /migrations/{id}/action`: 202 and the migration as it stands then.
pub(super) async fn act(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
    Body(action): Body<Action>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    apply(app, caller, read_id(&id)?, action).await
}

/// `POST /migrations/{id}/run {"step": "data"}`: 202; a step that is not in `next_steps` is refused with those that are.
pub(super) async fn run(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
    Body(RunStep { step }): Body<RunStep>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    run_step(app, caller, read_id(&id)?, step).await
}

pub(super) async fn run_step(
    app: App,
    caller: Caller,
    id: MigrationId,
    step: Step,
) -> Result<Response, Problem> {
    caller.asks(format_args!("run {step} of migration {id}"));
    let migration = app.try_ask(Touches::Journal, move |node| node.run_step(id, step)).await?;
    Ok((StatusCode::ACCEPTED, Json(shown(migration))).into_response())
}

/// Most seconds a deadline is moved at once: a year.
const MAX_EXTEND_SECONDS: u64 = 31_536_000;

pub(super) async fn apply(
    app: App,
    caller: Caller,
    id: MigrationId,
    action: Action,
) -> Result<Response, Problem> {
    if let Action::Extend(Extend { seconds }) = action
        && !(1..=MAX_EXTEND_SECONDS).contains(&seconds)
    {
        let text = format!("extend: seconds must be from 1 to {MAX_EXTEND_SECONDS}, got {seconds}");
        return Err(invalid(text).into());
    }
    caller.asks(format_args!("{} migration {id}", action.as_str()));
    // Whether a move can be taken back is seen in the trash of its source.
    let touches = if matches!(action, Action::Revert(_)) { Touches::Disk } else { Touches::Journal };
    let migration = app.try_ask(touches, move |node| match action {
        Action::Pause(_) => node.pause(id),
        Action::Resume(_) => node.resume(id),
        Action::Abort(_) => node.abort(id),
        Action::Retry(_) => node.retry(id),
        Action::Cutover(_) => node.cutover(id),
        Action::ForceComplete(_) => node.force_complete(id),
        Action::Extend(extend) => node.extend(id, extend.seconds),
        Action::Limits(limits) => node.set_rate(id, limits.rate_bytes_per_sec),
        Action::Priority(priority) => node.set_priority(id, priority),
        Action::Revert(_) => node.revert(id, &caller.to_string()),
    });
    Ok((StatusCode::ACCEPTED, Json(shown(migration.await?))).into_response())
}
