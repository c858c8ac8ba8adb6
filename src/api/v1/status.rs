//! `/api/v1/status`.

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;

use super::parameters;
use crate::api::app::App;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::wire::NodeStatus;
use crate::engine::Contract;

/// Tablets that are not served and told by name.
const UNAVAILABLE_SHOWN: usize = 1000;

/// `GET /status`: the node at a glance.
///
/// Never waits for a disk.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    operation_id = "show_status",
    tag = "node",
    responses((status = 200, body = NodeStatus, description = "The node at a glance"))
)]
pub(super) async fn show(State(app): State<App>, parts: Parts) -> Result<Json<NodeStatus>, Problem> {
    parameters(&parts, &[])?;
    let look = |node: &dyn Contract| {
        NodeStatus::from_engine(node.totals(), &node.disks(), node.unavailable_tablets(UNAVAILABLE_SHOWN))
    };
    Ok(Json(app.ask(Touches::Memory, look).await?))
}
