//! Errors as the job API answers them, and the one table from error codes to HTTP statuses.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::verbs::routes_named;
use super::wire::ErrorBody;
use crate::model::{ErrorCode, Failure, cut};

/// A refusal on its way out.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<Cow<'static, str>>,
    details: Option<serde_json::Value>,
}

/// The code of a refusal, beside the answer that carries it in its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusedAs(pub(super) &'static str);

impl Problem {
    /// One that HTTP has a word for and the engine has not.
    pub fn of_http(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None, details: None }
    }

    /// With what helps.
    #[must_use]
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// With facts for programs.
    #[must_use]
    pub fn details(self, details: serde_json::Value) -> Self {
        Self { details: Some(details), ..self }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        // The sentence is for everybody; beside it, what it says of the other tool is said in routes.
        let routes = routes_named(&failure.message).map(Cow::Owned);
        Self {
            status: http_status(failure.code),
            code: failure.code.as_str(),
            hint: routes.or_else(|| hint(failure.code).map(Cow::Borrowed)),
            message: failure.message,
            details: None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let retry = matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let body = ErrorBody {
            error_msg: cut(self.message),
            error_code: self.code.to_owned(),
            hint: self.hint.map(Cow::into_owned),
            details: self.details,
        };
        let mut response = (self.status, axum::Json(body.clone())).into_response();
        response.extensions_mut().insert(body);
        response.extensions_mut().insert(RefusedAs(self.code));
        if retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// What helps against a refusal with `code`, whatever its words; none where the sentence has said it.
const fn hint(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::TabletNotFound => "GET /api/v1/tablets lists the tablets of this node",
        ErrorCode::DiskNotFound => {
            "GET /api/v1/disks lists the disks; write the path as storage_root_path has it"
        }
        ErrorCode::MigrationNotFound => "GET /api/v1/migrations lists those that are remembered",
        ErrorCode::TaskNotFound => "GET /api/v1/tasks lists them",
        ErrorCode::TrashNotFound => "GET /api/v1/trash lists what is there",
        ErrorCode::QuarantineNotFound => "GET /api/v1/quarantine lists what is there",
        ErrorCode::OperationNotFound => "GET /api/v1/operations lists those that are remembered",
        ErrorCode::OperationExists => "GET /api/v1/operations/{id} says how it stands",
        ErrorCode::TabletUnavailable => "GET /api/v1/status names the tablets that are not served, and why",
        ErrorCode::SchemaHashMismatch => "GET /api/v1/tablets/{tablet_id} says what the tablet is now",
        ErrorCode::StepNotAllowed => "details.next_steps has the steps that are taken now",
        ErrorCode::IdempotencyMismatch => "take a new key for another request",
        ErrorCode::MigrationExists => "wait for the other migration, or abort it",
        ErrorCode::DiskFull => "GET /api/v1/tablets/{tablet_id}/explain?disk= gives the numbers",
        ErrorCode::SwapInDoubt => {
            "GET /api/v1/disks says how each disk is; settle it once one of the two is online"
        }
        ErrorCode::PlanDrifted => "make a new plan of the same request",
        ErrorCode::QueueFull => "repeat later; migration_queue_size bounds the queue",
        ErrorCode::TooManyRequests => "nothing was done; repeat later, with fewer requests at once",
        ErrorCode::ShuttingDown => "repeat when the daemon is back",
        ErrorCode::DiskUnavailable => "GET /api/v1/disks says how each disk is",
        ErrorCode::JournalUnavailable => "GET /api/v1/status says how state_dir and the journal are",
        ErrorCode::Internal => "the daemon's log says where",
        _ => return None,
    })
}

/// The status a refusal with `code` has at `/api/v1`.
pub(super) const fn http_status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidArgument => StatusCode::BAD_REQUEST,
        ErrorCode::TabletNotFound
        | ErrorCode::DiskNotFound
        | ErrorCode::MigrationNotFound
        | ErrorCode::TaskNotFound
        | ErrorCode::TrashNotFound
        | ErrorCode::QuarantineNotFound
        | ErrorCode::OperationNotFound => StatusCode::NOT_FOUND,
        ErrorCode::AlreadyOnDisk
        | ErrorCode::DiskFull
        | ErrorCode::NoSpace
        | ErrorCode::MigrationExists
        | ErrorCode::IllegalTransition
        | ErrorCode::StepNotAllowed
        | ErrorCode::IdempotencyMismatch
        | ErrorCode::NotRevertible
        | ErrorCode::PlanRefused
        | ErrorCode::DiskExists
        | ErrorCode::DiskInUse
        | ErrorCode::OperationExists
        | ErrorCode::NotDamaged
        | ErrorCode::OnlyOlderCopy
        | ErrorCode::SwapInDoubt
        | ErrorCode::Aborted => StatusCode::CONFLICT,
        // What the caller believes of the node is not so.
        ErrorCode::SchemaHashMismatch
        | ErrorCode::DiskChanged
        | ErrorCode::PlanDrifted
        | ErrorCode::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorCode::QueueFull | ErrorCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::TabletUnavailable
        | ErrorCode::DiskUnavailable
        | ErrorCode::TimedOut
        | ErrorCode::JournalUnavailable
        | ErrorCode::ShuttingDown
        | ErrorCode::ResourceExhausted => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::SourceDamaged
        | ErrorCode::SourceUnreadable
        | ErrorCode::UnexpectedEntry
        | ErrorCode::ReadBackMismatch
        | ErrorCode::SyncFailed
        | ErrorCode::IoError
        | ErrorCode::RecordDamaged
        | ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
