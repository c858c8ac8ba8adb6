//! What the OpenAPI document says of this room. Bodies are loosely described: they are Doris's, and scripts know them.

use utoipa::{OpenApi, ToSchema};

/// The answer of `/api/tablet_migration`; other dialects leave fields out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what the handler writes by hand")]
pub(super) struct DorisAnswer {
    /// `Success` or `Fail`; the dialects of the releases from 1.2 on name the error.
    status: String,
    /// What happened, in the words of the documentation.
    msg: String,
    /// Where the tablet goes, or went.
    dest_disk: Option<String>,
    /// Number of the migration.
    migration_id: Option<u64>,
    /// Why not, by a stable name.
    error_code: Option<String>,
    /// Why not, in words.
    reason: Option<String>,
}

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
        super::crc::calc,
        super::restore::restore,
        super::reload::reload,
        super::compaction::run_status,
        super::compaction::show,
        super::glog::adjust,
        super::config::show,
        super::config::update,
    ),
    components(schemas(DorisAnswer))
)]
pub(in crate::api) struct Described;
