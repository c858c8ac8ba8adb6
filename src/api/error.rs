//! Errors as the job API answers them, and the one table from error codes to HTTP statuses.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::wire::ErrorBody;
use crate::model::{ErrorCode, Failure};

/// A refusal on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Problem {
    /// One that HTTP has a word for and the engine has not.
    pub(super) fn of_http(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self { status: http_status(failure.code), code: failure.code.as_str(), message: failure.message }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let retry = matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let body = ErrorBody { error_msg: self.message, error_code: self.code.to_owned() };
        let mut response = (self.status, axum::Json(body)).into_response();
        if retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The status a refusal with `code` has at `/api/v1`.
pub(super) const fn http_status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidArgument => StatusCode::BAD_REQUEST,
        ErrorCode::TabletNotFound
        | ErrorCode::DiskNotFound
        | ErrorCode::MigrationNotFound
        | ErrorCode::TaskNotFound
        | ErrorCode::TrashNotFound => StatusCode::NOT_FOUND,
        ErrorCode::AlreadyOnDisk
        | ErrorCode::DiskFull
        | ErrorCode::NoSpace
        | ErrorCode::MigrationExists
        | ErrorCode::IllegalTransition
        | ErrorCode::StepNotAllowed
        | ErrorCode::IdempotencyMismatch
        | ErrorCode::NotRevertible
        | ErrorCode::PlanRefused
        | ErrorCode::Aborted => StatusCode::CONFLICT,
        // What the caller believes of the node is not so.
        ErrorCode::SchemaHashMismatch
        | ErrorCode::DiskChanged
        | ErrorCode::PlanDrifted
        | ErrorCode::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorCode::QueueFull => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::TabletUnavailable
        | ErrorCode::DiskUnavailable
        | ErrorCode::TimedOut
        | ErrorCode::JournalUnavailable
        | ErrorCode::ShuttingDown
        | ErrorCode::ResourceExhausted => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::SourceDamaged
        | ErrorCode::UnexpectedEntry
        | ErrorCode::ReadBackMismatch
        | ErrorCode::SyncFailed
        | ErrorCode::IoError
        | ErrorCode::RecordDamaged
        | ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
