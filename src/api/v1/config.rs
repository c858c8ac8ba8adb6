//! `/api/v1/config`.

use axum::extract::State;
use axum::http::request::Parts;
use axum::{Extension, Json};

use super::parameters;
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::reload::reload as read_again;
use crate::api::wire::Reloaded;

/// `POST /config/reload`: as SIGHUP does.
#[utoipa::path(
    post,
    path = "/api/v1/config/reload",
    operation_id = "reload_config",
    tag = "node",
    responses(
        (status = 200, body = Reloaded, description = "Keys that changed, and those that wait for the next start"),
    )
)]
pub(super) async fn reload(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
) -> Result<Json<Reloaded>, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("read the configuration again"));
    Ok(Json(app.try_ask(Touches::Disk, read_again).await?.into()))
}
