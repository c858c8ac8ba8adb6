//! The HTTP client of the job API. The only room here that speaks HTTP.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::Request;
use ureq::http::header::AUTHORIZATION;
use ureq::middleware::MiddlewareNext;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector as _, TcpConnector};
use ureq::{Agent, SendBody};

use super::exit::{CliError, Exit};
use super::hint;
use super::tls::Tls;
use super::token_args::TrustArgs;
use super::trust::{tls, token};
use crate::api::wire::{
    Action, CreateMigration, CreateTask, DisableDisk, Disk, DiskLimits, DiskLoss, DiskPath, ErrorBody,
    ForgetDisk, List, Migration, RegisterDisk, ReplaceDisk, RunStep, SubmittedMany, Task, TaskAction,
    UpdateTask, Validation,
};
use crate::model::{ErrorCode, MigrateTarget, MigrationId, Step, TaskId};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Above the daemon's own limit of a request, so that its answer is heard.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// An answer: what it says, and its text as it came.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) value: T,
    /// The body, unchanged; a line feed at its end.
    pub(super) text: String,
}

/// Direction of a change of a disk's service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Service {
    Enable,
    Disable { reason: String },
}

/// A daemon.
pub(super) struct Client {
    agent: Agent,
    base: String,
}

/// Parameters of a query.
pub(super) type Query<'a> = Vec<(&'a str, String)>;

impl Client {
    /// A client of the daemon at `addr`; nothing is sent yet.
    ///
    /// # Errors
    /// [`Exit::Usage`] for an address that cannot be one, and for files of a token or of certificates that cannot be used.
    pub(super) fn new(addr: &str, trust: &TrustArgs) -> Result<Self, CliError> {
        Self::with_patience(addr, trust, CALL_TIMEOUT)
    }

    /// The same, for whoever waits no longer than this for an answer.
    pub(super) fn with_patience(addr: &str, trust: &TrustArgs, patience: Duration) -> Result<Self, CliError> {
        let base = match addr.split_once("://") {
            Some(("http" | "https", _)) => addr.to_owned(),
            None => format!("http://{addr}"),
            Some((scheme, _)) => {
                let text = format!(
                    "--addr: {scheme}:// is not spoken here; use http://HOST:PORT or https://HOST:PORT"
                );
                return Err(CliError::new(Exit::Usage, text));
            }
        };
        let authorization = token(trust)?.map(|token| format!("Bearer {token}"));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .middleware(move |mut request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
                if let Some(value) = authorization.as_deref().and_then(|value| value.parse().ok()) {
                    request.headers_mut().insert(AUTHORIZATION, value);
                }
                next.handle(request)
            })
            .timeout_connect(Some(CONNECT_TIMEOUT.min(patience)))
            .timeout_global(Some(patience))
            // A node's own daemon is never behind a proxy, whatever the environment says.
            .proxy(None)
            .build();
        let agent = match &trust.ca {
            None => config.into(),
            Some(file) => {
                let connector = TcpConnector::default().chain(Tls(tls(file)?));
                Agent::with_parts(config, connector, DefaultResolver::default())
            }
        };
        Ok(Self { agent, base: base.trim_end_matches('/').to_owned() })
    }

    /// Accepts a migration.
    pub(super) fn submit(
        &self,
        request: &CreateMigration,
        idempotency_key: Option<&str>,
    ) -> Result<Answer<Migration>, CliError> {
        self.post_migrations(request, idempotency_key)
    }

    fn post_migrations<T: DeserializeOwned>(
        &self,
        body: &impl Serialize,
        idempotency_key: Option<&str>,
    ) -> Result<Answer<T>, CliError> {
        let mut post = self.agent.post(format!("{}/api/v1/migrations", self.base));
        if let Some(key) = idempotency_key {
            post = post.header("Idempotency-Key", key);
        }
        self.understand(post.send_json(body))
    }

    /// Accepts what can be accepted of a list.
    pub(super) fn submit_many(
        &self,
        requests: &[CreateMigration],
        idempotency_key: Option<&str>,
    ) -> Result<Answer<SubmittedMany>, CliError> {
        self.post_migrations(&requests, idempotency_key)
    }

    /// Asks what would become of a migration; the request says that it is a dry run.
    pub(super) fn validate(&self, request: &CreateMigration) -> Result<Answer<Validation>, CliError> {
        self.post("/api/v1/migrations", request)
    }

    /// Does the step a migration waits for.
    pub(super) fn run_step(&self, id: MigrationId, step: Step) -> Result<Answer<Migration>, CliError> {
        self.post(&format!("/api/v1/migrations/{id}/run"), &RunStep { step })
    }

    /// The stream of events of one migration or of all, from behind `last_id`.
    pub(super) fn events(
        &self,
        of: Option<MigrationId>,
        follow: bool,
        last_id: Option<&str>,
    ) -> Result<ureq::BodyReader<'static>, CliError> {
        let path = of.map_or_else(
            || format!("/api/v1/events?follow={follow}"),
            |id| format!("/api/v1/migrations/{id}/events"),
        );
        let mut get = self.agent.get(format!("{}{path}", self.base));
        if let Some(id) = last_id {
            get = get.header("Last-Event-ID", id);
        }
        // It lasts as long as there is something to hear; the daemon says so every ten seconds.
        let get = get.config().timeout_global(None).timeout_recv_body(None).build();
        let mut answer = get.call().map_err(|error| self.not_answered(&error))?;
        if answer.status().is_success() {
            return Ok(answer.into_body().into_reader());
        }
        let text = answer.body_mut().read_to_string().map_err(|error| self.not_answered(&error))?;
        Err(self.refused(answer.status().as_u16(), &text))
    }

    /// One migration.
    pub(super) fn migration(&self, id: MigrationId) -> Result<Answer<Migration>, CliError> {
        self.get(&format!("/api/v1/migrations/{id}"), &vec![])
    }

    /// Migrations, ascending by number.
    pub(super) fn migrations(&self, query: &Query<'_>) -> Result<Answer<List<Migration>>, CliError> {
        self.get("/api/v1/migrations", query)
    }

    /// Tells a migration what to do.
    pub(super) fn act(&self, id: MigrationId, action: Action) -> Result<Answer<Migration>, CliError> {
        self.post(&format!("/api/v1/migrations/{id}/action"), &action)
    }

    /// Makes a plan, or a task of it.
    pub(super) fn create_task(&self, request: &CreateTask) -> Result<Answer<Task>, CliError> {
        self.post("/api/v1/tasks", request)
    }

    /// Tasks, without their plans.
    pub(super) fn tasks(&self, query: &Query<'_>) -> Result<Answer<List<Task>>, CliError> {
        self.get("/api/v1/tasks", query)
    }

    /// The moves of a task as they stand.
    pub(super) fn targets(
        &self,
        id: TaskId,
        query: &Query<'_>,
    ) -> Result<Answer<List<MigrateTarget>>, CliError> {
        self.get(&format!("/api/v1/tasks/{id}/migrate_targets"), query)
    }

    /// Changes a stopped task.
    pub(super) fn update_task(&self, id: TaskId, change: &UpdateTask) -> Result<Answer<Task>, CliError> {
        self.patch(&format!("/api/v1/tasks/{id}"), change)
    }

    /// Calls off every drain of a disk.
    pub(super) fn cancel_drain(&self, path: &str) -> Result<Answer<List<Task>>, CliError> {
        self.post("/api/v1/disks/cancel_drain", &DiskPath { path: path.to_owned() })
    }

    /// Lets a disk join.
    pub(super) fn register_disk(&self, request: &RegisterDisk) -> Result<Answer<Disk>, CliError> {
        self.post("/api/v1/disks", request)
    }

    /// Lets a disk go.
    pub(super) fn forget_disk(&self, path: &str) -> Result<(), CliError> {
        let url = format!("{}/api/v1/disks/forget", self.base);
        self.no_content(
            self.agent.post(url).send_json(ForgetDisk { path: path.to_owned(), ..ForgetDisk::default() }),
        )
    }

    /// Gives a disk up that never comes back, or says what that would mean.
    pub(super) fn give_up_disk(&self, request: &ForgetDisk) -> Result<Answer<DiskLoss>, CliError> {
        self.post("/api/v1/disks/forget", request)
    }

    /// Lets a blank file system join in the place of a lost disk.
    pub(super) fn replace_disk(&self, request: &ReplaceDisk) -> Result<Answer<DiskLoss>, CliError> {
        self.post("/api/v1/disks/replace", request)
    }

    /// One disk.
    pub(super) fn disk(&self, path: &str) -> Result<Answer<Disk>, CliError> {
        self.get("/api/v1/disks/show", &vec![("path", path.to_owned())])
    }

    /// One task.
    pub(super) fn task(&self, id: TaskId) -> Result<Answer<Task>, CliError> {
        self.get(&format!("/api/v1/tasks/{id}"), &vec![])
    }

    /// Tells a task what to do.
    pub(super) fn act_on_task(&self, id: TaskId, action: &TaskAction) -> Result<Answer<Task>, CliError> {
        self.post(&format!("/api/v1/tasks/{id}/action"), action)
    }

    /// Forgets a task.
    pub(super) fn delete_task(&self, id: TaskId) -> Result<(), CliError> {
        self.delete(&format!("/api/v1/tasks/{id}"))
    }

    /// Changes what is at a path.
    pub(super) fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, CliError> {
        self.understand(self.agent.patch(format!("{}{path}", self.base)).send_json(body))
    }

    /// Deletes what is at a path.
    pub(super) fn delete(&self, path: &str) -> Result<(), CliError> {
        self.no_content(self.agent.delete(format!("{}{path}", self.base)).call())
    }

    fn no_content(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<(), CliError> {
        let mut answer = answer.map_err(|error| self.not_answered(&error))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let text = answer.body_mut().read_to_string().map_err(|error| self.not_answered(&error))?;
        Err(self.refused(answer.status().as_u16(), &text))
    }

    /// All disks.
    pub(super) fn disks(&self) -> Result<Answer<List<Disk>>, CliError> {
        self.get("/api/v1/disks", &vec![])
    }

    /// Takes a disk into or out of service.
    pub(super) fn set_service(&self, path: &str, service: Service) -> Result<Answer<Disk>, CliError> {
        let path = path.to_owned();
        match service {
            Service::Enable => self.post("/api/v1/disks/enable", &DiskPath { path }),
            Service::Disable { reason } => self.post("/api/v1/disks/disable", &DisableDisk { path, reason }),
        }
    }

    /// Limits a disk; `None` is the limit of all disks.
    pub(super) fn set_limits(
        &self,
        path: &str,
        rate_bytes_per_sec: Option<u64>,
    ) -> Result<Answer<Disk>, CliError> {
        self.post("/api/v1/disks/limits", &DiskLimits { path: path.to_owned(), rate_bytes_per_sec })
    }

    /// Asks a path with a query.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query<'_>,
    ) -> Result<Answer<T>, CliError> {
        let query = query.iter().map(|(name, value)| (*name, value.as_str()));
        let answer = self.agent.get(format!("{}{path}", self.base)).query_pairs(query).call();
        self.understand(answer)
    }

    /// Sends a body to a path.
    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, CliError> {
        self.understand(self.agent.post(format!("{}{path}", self.base)).send_json(body))
    }

    /// Sends a query to a path, and no body.
    pub(super) fn post_query<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query<'_>,
    ) -> Result<Answer<T>, CliError> {
        let query = query.iter().map(|(name, value)| (*name, value.as_str()));
        self.understand(self.agent.post(format!("{}{path}", self.base)).query_pairs(query).send_empty())
    }

    fn understand<T: DeserializeOwned>(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer<T>, CliError> {
        let mut answer = answer.map_err(|error| self.not_answered(&error))?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(u64::MAX).read_to_string();
        let text = text.map_err(|error| self.not_answered(&error))?;
        if !status.is_success() {
            return Err(self.refused(status.as_u16(), &text));
        }
        match serde_json::from_str(&text) {
            Ok(value) if text.ends_with('\n') => Ok(Answer { value, text }),
            Ok(value) => Ok(Answer { value, text: text + "\n" }),
            Err(error) => {
                let text =
                    format!("{} answers, but not as this release of tabletd does: {error}", self.shown());
                Err(CliError::new(Exit::Failed, text))
            }
        }
    }

    fn refused(&self, status: u16, text: &str) -> CliError {
        let Ok(mut body) = serde_json::from_str::<ErrorBody>(text) else {
            let text =
                format!("{} answers {status}, and not as tabletd does: is it another server?", self.shown());
            return CliError::new(if status < 500 { Exit::Refused } else { Exit::Failed }, text);
        };
        let exit = match status {
            400..=499 => Exit::Refused,
            _ if body.error_code == ErrorCode::ShuttingDown.as_str() => Exit::Unreachable,
            _ => Exit::Failed,
        };
        body.hint = hint::in_our_words(&body);
        CliError::refused(exit, body)
    }

    fn not_answered(&self, error: &ureq::Error) -> CliError {
        let shown = self.shown();
        match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                CliError::new(Exit::Usage, format!("--addr {shown}: not an address; use http://HOST:PORT"))
            }
            error => CliError::new(
                Exit::Unreachable,
                format!(
                    "no daemon answers at {shown}: is it running? (--addr or TABLETD_ADDR names another; {error})"
                ),
            ),
        }
    }

    /// The address without credentials.
    fn shown(&self) -> String {
        let Some((scheme, rest)) = self.base.split_once("://") else { return self.base.clone() };
        format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_out_its_scheme_and_shows_no_password() {
        let shown = |addr| {
            Client::new(addr, &TrustArgs::default()).map(|client| client.shown()).map_err(|error| error.exit)
        };
        assert_eq!(shown("127.0.0.1:1").as_deref(), Ok("http://127.0.0.1:1"));
        assert_eq!(shown("http://me:secret@host:1/").as_deref(), Ok("http://host:1"));
        assert_eq!(shown("https://host").as_deref(), Ok("https://host"));
        assert_eq!(shown("ftp://host"), Err(Exit::Usage));
    }

    #[test]
    fn refusals_keep_the_daemons_sentence_and_say_who_is_to_blame_by_status() {
        let client = Client::new("h:1", &TrustArgs::default()).expect("an address");
        let body = r#"{"error_msg":"tablet 7 is unknown","error_code":"TABLET_NOT_FOUND"}"#;
        let error = client.refused(404, body);
        assert_eq!(
            (error.exit, error.message.as_str()),
            (
                Exit::Refused,
                "tablet 7 is unknown (TABLET_NOT_FOUND); tabletctl tablet list shows the tablets of this node"
            )
        );
        assert_eq!(client.refused(500, body).exit, Exit::Failed);
        let stopping = r#"{"error_msg":"stopping","error_code":"SHUTTING_DOWN"}"#;
        assert_eq!(client.refused(503, stopping).exit, Exit::Unreachable);
        assert!(client.refused(404, "<html>").message.contains("another server"));
    }
}
