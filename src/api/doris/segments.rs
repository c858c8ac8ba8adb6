//! `POST /api/check_tablet_segment_lost`: tablets of which a file is not there.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::json;
use crate::api::app::App;
use crate::api::calls::Touches;
use crate::api::query::Query;
use crate::engine::Contract;

#[derive(Serialize)]
struct Checked {
    status: &'static str,
    msg: &'static str,
    num: usize,
    bad_tablets: Vec<i64>,
    set_bad: &'static str,
    host: String,
}

/// Lists the directories of all tablets. `repair=true` sets tablets bad in Doris, so that its frontend clones them anew;
/// here that is refused, since nobody would.
#[utoipa::path(
    post,
    path = "/api/check_tablet_segment_lost",
    operation_id = "check_tablet_segment_lost",
    tag = "doris",
    params(("repair" = Option<String>, Query, description = "false; true is refused")),
    responses((status = 200, body = serde_json::Value, description = "The tablets, or why not"))
)]
pub(super) async fn check(State(app): State<App>, RawQuery(raw): RawQuery) -> Response {
    let refused = |text: &str| {
        json(StatusCode::OK, format!("{{\"status\":\"Fail\",\"msg\":{}}}", serde_json::json!(text)))
    };
    match Query::parse(raw.as_deref()).first("repair") {
        "" | "false" => {}
        "true" => {
            return refused(
                "repair=true is not done here: nobody would clone the tablets anew; ask with repair=false, then see \
                 tabletctl tablet heal",
            );
        }
        _ => return refused("Parameter 'repair' must be set to 'true' or 'false'"),
    }
    let host = app.host().to_owned();
    match app.try_ask(Touches::Disk, <dyn Contract>::lost_segments).await {
        Ok(lost) => {
            let bad_tablets: Vec<i64> = lost.iter().map(|key| key.tablet_id.0).collect();
            let checked = Checked {
                status: "Success",
                msg: "Succeed to check all tablet segment",
                num: bad_tablets.len(),
                bad_tablets,
                set_bad: "false",
                host,
            };
            let body = serde_json::to_string(&checked).expect("names and numbers always serialise");
            json(StatusCode::OK, body)
        }
        Err(failure) => refused(&failure.message),
    }
}
