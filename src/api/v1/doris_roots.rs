//! `/api/v1/doris/inspection`: the roots of a real Doris backend, where the configuration names such.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::parameters;
use crate::api::app::App;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::model::{InspectedTablet, Inspection};

/// Tablets that are named of each root when not all are asked for: those of which there is something to say.
const NAMED_MAX: usize = 1000;

/// `GET /doris/inspection`: what a drain of each root would move, what it would leave and why, and what is damaged or
/// stray, as `tabletctl doris inspect` finds it. Without `all_tablets=true` only damaged tablets are named. With `age_max_sec`
/// an earlier look is good enough that is not older, and since which nothing was moved.
#[utoipa::path(
    get,
    path = "/api/v1/doris/inspection",
    operation_id = "inspect_doris_roots",
    tag = "node",
    params(
        ("all_tablets" = Option<bool>, Query, description = "Name every tablet"),
        ("age_max_sec" = Option<u32>, Query, minimum = 0, maximum = 86400, description = "How old a look may be, in seconds; 0 where it is left out"),
    ),
    responses(
        (status = 200, body = Inspection, description = "What was found, and how long ago"),
        (status = 404, body = crate::api::wire::ErrorBody, description = "This node has no roots of a Doris backend"),
    )
)]
pub(super) async fn inspect(State(app): State<App>, parts: Parts) -> Result<Json<Inspection>, Problem> {
    let query = parameters(&parts, &["all_tablets", "age_max_sec"])?;
    let all = query.read("all_tablets")?.unwrap_or(false);
    let age_max = query.number("age_max_sec", 0..=86_400)?.unwrap_or(0);
    let age_max = Duration::from_secs(age_max.unsigned_abs());
    let found = app.ask(Touches::Disk, move |node| node.inspect(age_max)).await?;
    let Some(mut found) = found else {
        let text = "this node has no roots of a Doris backend";
        return Err(Problem::of_http(StatusCode::NOT_FOUND, "NOT_FOUND", text));
    };
    if !all {
        for root in &mut found.roots {
            root.tablets.retain(is_remarkable);
            root.tablets.truncate(NAMED_MAX);
        }
    }
    Ok(Json(found))
}

fn is_remarkable(tablet: &InspectedTablet) -> bool {
    tablet.is_damaged || !tablet.garbage.is_empty()
}
