//! `/api/v1/tables`: the tables of the node, of one disk or of a task, counted from their tablets. Knows of a table nothing
//! but its id.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::IntoResponse;

use super::parameters;
use super::shape::page;
use crate::api::app::App;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::wire::{List, Table};
use crate::engine::{TabletView, page_limit};
use crate::model::TaskId;

const MAX_LIMIT: i64 = 100_000;

/// `GET /tables`: the tables that have tablets here.
///
/// Filters `disk` and `task` (those its plan moves, also before it starts; with `disk`, from there); pages by `marker` (the last id of the page before) and `limit`. Looks at every tablet.
#[utoipa::path(
    get,
    path = "/api/v1/tables",
    operation_id = "list_tables",
    tag = "tablets",
    params(
        ("disk" = Option<String>, Query, description = "Their tablets on the disk at this path"),
        ("task" = Option<TaskId>, Query, description = "Those that the plan of this task moves"),
        ("marker" = Option<i64>, Query, minimum = 0, description = "The last id of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100000, description = "At most so many, 1 to 100000"),
    ),
    responses((status = 200, body = List<Table>, description = "One page of them, ascending by id"))
)]
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["disk", "task", "marker", "limit"])?;
    let disk = query.text("disk").map(str::to_owned);
    let task: Option<TaskId> = query.read("task")?;
    let after: Option<i64> = query.number("marker", 0..=i64::MAX)?;
    let limit = page_limit(query.limit(MAX_LIMIT)?);
    let tables = app.try_ask(Touches::Memory, move |node| {
        let mut tables: BTreeMap<i64, Table> = BTreeMap::new();
        let mut count = |tablet: &TabletView| {
            let table = tables.entry(tablet.table_id).or_insert_with(|| Table::empty(tablet.table_id));
            table.tablet_count += 1;
            table.tablet_bytes += tablet.size_bytes;
        };
        let is_there = |path: &str| disk.as_ref().is_none_or(|disk| *disk == path);
        match task {
            Some(id) => {
                let view = node.task(id)?;
                let moves = view.task.plan.moves.iter().filter(|planned| is_there(&planned.source.path));
                moves.filter_map(|planned| node.tablet(planned.key)).for_each(|tablet| count(&tablet));
            }
            None => node.for_each_tablet(&mut |tablet| {
                if is_there(&tablet.disk) {
                    count(tablet);
                }
            }),
        }
        Ok(tables)
    });
    let tables = tables.await?;
    let total = tables.len() as u64;
    let following = tables.into_values().filter(|table| after.is_none_or(|after| table.table_id > after));
    Ok(page(total, following.take(limit).collect()))
}
