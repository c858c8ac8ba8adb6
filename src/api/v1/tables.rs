//! `/api/v1/tables`: the tables of the node, or of one disk, counted from its tablets. Knows of a table nothing but its id.

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

const MAX_LIMIT: i64 = 100_000;
/// Items on a page when the caller names no number.
const PAGE_DEFAULT: usize = 1000;

/// `GET /tables`: filter `disk`; pages by `marker` (the last id of the page before) and `limit`. Looks at every tablet.
#[utoipa::path(
    get,
    path = "/api/v1/tables",
    operation_id = "list_tables",
    tag = "tablets",
    params(
        ("disk" = Option<String>, Query, description = "Their tablets on the disk at this path"),
        ("marker" = Option<i64>, Query, minimum = 0, description = "The last id of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100000, description = "At most so many, 1 to 100000"),
    ),
    responses((status = 200, body = List<Table>, description = "One page of them, ascending by id"))
)]
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["disk", "marker", "limit"])?;
    let disk = query.text("disk").map(str::to_owned);
    let after: Option<i64> = query.number("marker", 0..=i64::MAX)?;
    let limit = match query.limit(MAX_LIMIT)? {
        0 => PAGE_DEFAULT,
        limit => limit,
    };
    let tables = app.ask(Touches::Memory, move |node| {
        let mut tables: BTreeMap<i64, Table> = BTreeMap::new();
        node.for_each_tablet(&mut |tablet| {
            if disk.as_ref().is_none_or(|disk| *disk == tablet.disk) {
                let table = tables.entry(tablet.table_id).or_insert_with(|| Table::empty(tablet.table_id));
                table.tablet_count += 1;
                table.tablet_bytes += tablet.size_bytes;
            }
        });
        tables
    });
    let tables = tables.await?;
    let total = tables.len() as u64;
    let following = tables.into_values().filter(|table| after.is_none_or(|after| table.table_id > after));
    Ok(page(total, following.take(limit).collect()))
}
