//! Request bodies: JSON, said to be JSON, of a bounded size.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::super::error::Problem;
use super::super::query::invalid;
use crate::model::quoted;

/// A request body, read.
pub struct Body<T>(
    /// What it says.
    pub T,
);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // A web page can send anything but this content type without the browser asking first.
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or("").trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let text = format!("the content type must be application/json, got {}", quoted(kind));
            return Err(Problem::of_http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", text));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| not_whole(&rejection))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| invalid(not_read(&bytes, &error)).into())
    }
}

/// A request body that may be left out, with its content type: nothing in it is needed.
pub(super) struct MaybeBody<T>(pub(super) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let bytes = Bytes::from_request(whole, state).await.map_err(|rejection| not_whole(&rejection))?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        let Body(read) = Body::from_request(Request::from_parts(parts, bytes.into()), state).await?;
        Ok(Self(read))
    }
}

/// Why a body cannot be read. What is JSON and yet no syntax for the request is one of several objects, with no key or
/// with more than one.
fn not_read(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_syntax() && serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
        return "the body: an object with exactly one key is wanted, such as {\"pause\": {}}".to_owned();
    }
    format!("the body: {error}")
}

/// What a body that did not arrive, or is too large, is answered with.
pub(in crate::api) fn not_whole(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        too_large_problem()
    } else {
        invalid(format!("the body did not arrive whole: {}", rejection.body_text())).into()
    }
}

fn too_large_problem() -> Problem {
    let text = "the body is larger than http_max_body_bytes";
    Problem::of_http(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", text)
}

/// What a body above the limit is answered with, on any path.
pub(in crate::api) fn too_large() -> Response {
    too_large_problem().into_response()
}
