//! `POST /api/restore_tablet`: the newest copy of a tablet comes back from trash.

use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::rapid_json::status_json;
use super::{json, require};
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::query::Query;
use crate::engine::{Older, OperationView, Restore};
use crate::model::{ErrorCode, Failure, TabletKey};

/// Doris answers when it is done: between two looks whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Brings the newest copy of a tablet back from trash, and answers when that is done.
#[utoipa::path(
    post,
    path = "/api/restore_tablet",
    operation_id = "doris_restore_tablet",
    tag = "doris",
    params(
        ("tablet_id" = String, Query, description = "The tablet"),
        ("schema_hash" = String, Query, description = "Its schema"),
    ),
    responses((status = 200, body = serde_json::Value, description = "Served again"))
)]
pub(super) async fn restore(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    RawQuery(raw): RawQuery,
) -> Response {
    match answer(&app, &caller, &Query::parse(raw.as_deref())).await {
        Ok(()) => json(StatusCode::OK, status_json("OK", "OK")),
        Err(text) => json(StatusCode::INTERNAL_SERVER_ERROR, status_json("INTERNAL_ERROR", &text)),
    }
}

async fn answer(app: &App, caller: &Caller, query: &Query) -> Result<(), String> {
    require(query, &["tablet_id", "schema_hash"])?;
    // Doris reads both with `atol`, so that garbage is tablet 0. A restore is worth an exact name.
    let key = TabletKey {
        tablet_id: query.first("tablet_id").parse().map_err(|error| format!("invalid argument: {error}"))?,
        schema_hash: query
            .first("schema_hash")
            .parse()
            .map_err(|error| format!("invalid argument: {error}"))?,
    };
    let known =
        app.ask(Touches::Memory, move |node| node.tablet(key)).await.map_err(|failure| failure.message)?;
    if known.is_some_and(|tablet| tablet.damaged.is_none() && tablet.unreadable.is_none()) {
        return Err("tablet already exists, can not restore.".to_owned());
    }
    caller.asks(format_args!("restore tablet {key} from trash"));
    let requested_by = caller.to_string();
    let request = Restore { key, from: None, header: None, to: None, older: Older::Leave, requested_by };
    let operation = app.try_ask(Touches::Disk, move |node| node.restore(&request)).await.map_err(text)?;
    until_it_ends(app, operation).await.map_err(text)
}

/// Waits for the end of an operation; its failure, where it did not end well.
pub(super) async fn until_it_ends(app: &App, mut operation: OperationView) -> Result<(), Failure> {
    while !operation.state.is_settled() {
        tokio::time::sleep(LOOK_EVERY).await;
        let id = operation.id;
        operation = app.try_ask(Touches::Memory, move |node| node.operation(id)).await?;
    }
    operation.failure.map_or(Ok(()), Err)
}

fn text(failure: Failure) -> String {
    match failure.code {
        ErrorCode::AlreadyOnDisk => "tablet already exists, can not restore.".to_owned(),
        ErrorCode::MigrationExists | ErrorCode::OperationExists => "tablet is already restoring".to_owned(),
        // It means "cannot".
        ErrorCode::TrashNotFound => "can find tablet path in trash".to_owned(),
        ErrorCode::RecordDamaged => "load header failed".to_owned(),
        _ => failure.message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_texts_of_doris_where_it_has_one() {
        for (code, expected) in [
            (ErrorCode::AlreadyOnDisk, "tablet already exists, can not restore."),
            (ErrorCode::TrashNotFound, "can find tablet path in trash"),
            (ErrorCode::MigrationExists, "tablet is already restoring"),
            (ErrorCode::OperationExists, "tablet is already restoring"),
            (ErrorCode::RecordDamaged, "load header failed"),
            (ErrorCode::DiskFull, "our words"),
        ] {
            assert_eq!(text(Failure::new(code, "our words")), expected, "{code}");
        }
    }
}
