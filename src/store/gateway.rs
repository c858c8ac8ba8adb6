//! etcd's JSON gateway: one address after the other, a deadline for every call, and what its JSON looks like (base64
//! texts, 64-bit numbers as texts, nothing where a number is 0).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use ureq::Agent;

use super::record::StoreError;

/// A call that takes longer has failed; a lease lasts five times as long.
const DEADLINE: Duration = Duration::from_secs(2);
/// All of a fleet's records together.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// The way to etcd.
pub(super) struct Gateway {
    agent: Agent,
    endpoints: Vec<String>,
    /// Which of them is asked first: the one that answered last.
    first: AtomicUsize,
}

/// Why one address did not do it.
enum Trouble {
    /// It was not reached: another may be.
    Away(String),
    /// It said no, or nothing.
    Other(StoreError),
}

impl Gateway {
    /// By these client addresses, such as `http://10.0.0.1:2379`.
    pub(super) fn new(endpoints: &[String]) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(DEADLINE / 4))
            .timeout_global(Some(DEADLINE))
            .proxy(None)
            .build();
        Self { agent: agent.into(), endpoints: endpoints.to_vec(), first: AtomicUsize::new(0) }
    }

    /// A call that may be made again: the next address is asked where one does not answer.
    pub(super) fn ask(&self, path: &str, body: &Value) -> Result<Value, StoreError> {
        self.each(path, body, true)
    }

    /// A write: the next address is asked only where one was not reached.
    pub(super) fn write(&self, path: &str, body: &Value) -> Result<Value, StoreError> {
        self.each(path, body, false)
    }

    fn each(&self, path: &str, body: &Value, may_repeat: bool) -> Result<Value, StoreError> {
        let mut last = StoreError::Unavailable("no address of etcd was given".to_owned());
        let (first, all) = (self.first.load(Ordering::Relaxed), self.endpoints.len());
        for at in (0..all).map(|step| (first + step) % all) {
            last = match self.one(&self.endpoints[at], path, body) {
                Ok(answer) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(Trouble::Away(why)) => StoreError::Unavailable(why),
                Err(Trouble::Other(StoreError::Unknown(why))) if may_repeat => StoreError::Unavailable(why),
                Err(Trouble::Other(error)) => {
                    // One that hangs would take every write for ever.
                    if matches!(error, StoreError::Unknown(_)) {
                        self.first.store((at + 1) % all, Ordering::Relaxed);
                    }
                    return Err(error);
                }
            };
        }
        Err(last)
    }

    fn one(&self, endpoint: &str, path: &str, body: &Value) -> Result<Value, Trouble> {
        let unknown =
            |error: ureq::Error| Trouble::Other(StoreError::Unknown(format!("etcd at {endpoint}: {error}")));
        let sent = self.agent.post(format!("{endpoint}{path}")).send_json(body);
        let mut answer = sent.map_err(|error| match error {
            ureq::Error::ConnectionFailed
            | ureq::Error::HostNotFound
            | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                Trouble::Away(format!("etcd at {endpoint}: {error}"))
            }
            ureq::Error::Io(ref cause) if cause.kind() == std::io::ErrorKind::ConnectionRefused => {
                Trouble::Away(format!("etcd at {endpoint}: {error}"))
            }
            error => unknown(error),
        })?;
        let status = answer.status();
        let text =
            answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(unknown)?;
        let said: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() && said.get("error").is_none() {
            return Ok(said);
        }
        let why = said["message"].as_str().or(said["error"].as_str()).unwrap_or(&text).trim().to_owned();
        let why = format!("etcd at {endpoint}: {why}");
        Err(Trouble::Other(if why.contains("too large") || why.contains("space exceeded") {
            StoreError::TooLarge(why)
        } else if why.contains("timed out") || why.contains("leader changed") || why.contains("no leader") {
            StoreError::Unknown(why)
        } else {
            StoreError::Unavailable(why)
        }))
    }
}

/// One key as etcd has it.
pub(super) struct KeyValue {
    pub(super) key: String,
    pub(super) value: String,
    /// The revision that made it.
    pub(super) created: u64,
    /// The revision that changed it last.
    pub(super) changed: u64,
    /// Number of the lease it is under; empty without one.
    pub(super) lease: String,
}

/// What a range came to.
pub(super) fn key_values(answer: &Value) -> Vec<KeyValue> {
    let text = |value: &Value| {
        let bytes = BASE64_STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let all = answer["kvs"].as_array().into_iter().flatten();
    let one = |kv: &Value| KeyValue {
        key: text(&kv["key"]),
        value: text(&kv["value"]),
        created: number(&kv["create_revision"]),
        changed: number(&kv["mod_revision"]),
        lease: kv["lease"].as_str().unwrap_or_default().to_owned(),
    };
    all.map(one).collect()
}

/// 0 is left out.
pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

/// As the gateway has bytes.
pub(super) fn encoded(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

/// The first key behind all that begin with `from`, which ends with a slash.
pub(super) fn end_of(from: &str) -> String {
    let mut bytes = from.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last += 1;
    }
    BASE64_STANDARD.encode(bytes)
}
