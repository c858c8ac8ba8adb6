//! What a request for a migration says, in the engine's words, and the key that it came under.

use axum::http::request::Parts;
use md5::{Digest, Md5};
use serde::Serialize;

use crate::api::caller::Caller;
use crate::api::query::invalid;
use crate::api::wire::CreateMigration;
use crate::engine::{Destination, Precondition, Submit};
use crate::model::{Failure, Idempotency, TabletKey};

/// Longest idempotency key, in bytes.
const KEY_MAX_BYTES: usize = 255;

/// What a request asks of the node.
///
/// # Errors
/// It names no destination, or two.
pub(super) fn to_submit(
    request: &CreateMigration,
    key: TabletKey,
    caller: &Caller,
) -> Result<Submit, Failure> {
    Ok(Submit {
        key,
        destination: destination(request)?,
        mode: request.mode,
        priority: request.priority,
        reason: caller.reason_or(&request.reason, "/api/v1/migrations"),
        task: None,
        rate_bytes_per_sec: request.rate_bytes_per_sec,
        requested_by: caller.to_string(),
        idempotency: None,
        reverts: None,
        precondition: request.precondition.as_ref().map_or_else(Precondition::default, |asked| {
            Precondition { source_disk: asked.source_disk.clone(), generation: asked.generation }
        }),
    })
}

fn destination(request: &CreateMigration) -> Result<Destination, Failure> {
    match (&request.dest_disk, request.dest_medium) {
        (Some(disk), None) => Ok(Destination::Disk(disk.clone())),
        (None, Some(medium)) => Ok(Destination::Medium(medium)),
        _ => {
            Err(invalid("name either dest_disk, written as in storage_root_path, or dest_medium, SSD or HDD"))
        }
    }
}

/// The key of the request with what the request is: two bodies that say the same are the same.
pub(super) fn idempotency(parts: &Parts, request: &impl Serialize) -> Result<Option<Idempotency>, Failure> {
    let Some(key) = idempotency_key(parts)? else { return Ok(None) };
    Ok(Some(Idempotency { key: key.to_owned(), fingerprint: fingerprint(request)? }))
}

/// The key of the request.
///
/// # Errors
/// It is none.
pub(super) fn idempotency_key(parts: &Parts) -> Result<Option<&str>, Failure> {
    let Some(key) = parts.headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=KEY_MAX_BYTES).contains(&key.len()));
    let none =
        || invalid(format!("the header Idempotency-Key must be 1 to {KEY_MAX_BYTES} printable characters"));
    key.map(Some).ok_or_else(none)
}

/// Of what a request says.
pub(super) fn fingerprint(request: &impl Serialize) -> Result<String, Failure> {
    let said = serde_json::to_vec(request).map_err(|error| invalid(format!("the body: {error}")))?;
    Ok(Md5::digest(&said).iter().map(|byte| format!("{byte:02x}")).collect())
}
