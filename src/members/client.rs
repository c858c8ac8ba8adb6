//! One member's HTTP: its address, its credential, and a deadline for every call.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::Agent;

use super::credential::Credentials;
use super::driver::CallError;
use crate::api::wire::ErrorBody;
use crate::model::fleet::Member;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A member that plans a hundred thousand tablets takes its time; one that hangs takes no more than this.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Answers longer than this are no answers.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// The way to one member.
pub(super) struct Client {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

impl Client {
    /// Nothing is sent yet.
    pub(super) fn new(member: &Member, credentials: &Credentials) -> Result<Self, CallError> {
        let secret = member.credential.as_deref().map(|name| credentials.read(name)).transpose();
        let secret = secret.map_err(CallError::Credential)?;
        let authorization = secret.map(|secret| match &member.user {
            Some(user) => format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{secret}"))),
            None => format!("Bearer {secret}"),
        });
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(CALL_TIMEOUT))
            // Members are of one network; a credential is sent to nobody that a redirect names.
            .proxy(None)
            .max_redirects(0)
            .build();
        Ok(Self { agent: agent.into(), base: format!("http://{}", member.address()), authorization })
    }

    /// GET.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        read(request.call())
    }

    /// GET, for what answers with more than JSON, or with errors that are answers: the status and the text.
    pub(super) fn get_text(&self, path: &str, query: &[(&str, &str)]) -> Result<(u16, String), CallError> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        for (name, value) in query {
            request = request.query(*name, *value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let unreachable = |error: ureq::Error| CallError::Unreachable(error.to_string());
        let mut answer = request.call().map_err(unreachable)?;
        let status = answer.status().as_u16();
        let text =
            answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(unreachable)?;
        Ok((status, text))
    }

    /// [`Self::get_text`] of what is refused to whoever has no credential.
    pub(super) fn get_as_us(&self, path: &str, query: &[(&str, &str)]) -> Result<(u16, String), CallError> {
        match self.get_text(path, query)? {
            (status @ (401 | 403), text) => Err(CallError::Credential(format!("{status} {text}"))),
            answer => Ok(answer),
        }
    }

    /// POST.
    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        read(request.send_json(body))
    }
}

fn read<T: DeserializeOwned>(
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<T, CallError> {
    let unreachable = |error: ureq::Error| CallError::Unreachable(error.to_string());
    let mut answer = answer.map_err(unreachable)?;
    let status = answer.status();
    let text =
        answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(unreachable)?;
    if status.is_success() {
        return serde_json::from_str(&text).map_err(|error| CallError::Odd(error.to_string()));
    }
    let (code, message) = match serde_json::from_str(&text) {
        Ok(ErrorBody { error_msg, error_code, .. }) => (error_code, error_msg),
        Err(_) => (format!("HTTP_{}", status.as_u16()), format!("it answers {status}, and not as expected")),
    };
    match status.as_u16() {
        401 | 403 => Err(CallError::Credential(format!("{} {message}", status.as_u16()))),
        // It is there and cannot do it now, or a proxy lost its answer: as good as away.
        429 | 500..=599 => Err(CallError::Unreachable(format!("{code}: {message}"))),
        _ => Err(CallError::Refused { code, message }),
    }
}
