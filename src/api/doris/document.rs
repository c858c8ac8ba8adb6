//! What the OpenAPI document says of this room. Bodies are loosely described: they are Doris's, and scripts know them.

use utoipa::OpenApi;

/// Every operation of this room.
#[derive(OpenApi)]
#[openapi(
    paths(
        super::migration::handle,
        super::health::health,
        super::health::version,
        super::tablets::distribution,
        super::tablets::list,
        super::meta::show,
        super::meta::show_with_hash,
        super::segments::check,
        super::crc::calc,
        super::restore::restore,
        super::reload::reload,
        super::compaction::run_status,
        super::compaction::show,
        super::glog::adjust,
        super::config::show,
        super::config::update,
    ),
    components(schemas(super::migration::DorisAnswer))
)]
pub(in crate::api) struct Described;
