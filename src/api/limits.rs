//! What the service may cost.

use std::time::Duration;

use crate::config::Config;

/// What the service may cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Calls into the node at once.
    pub workers: usize,
    /// Connections open at once; more wait.
    pub connections: usize,
    /// Time for a request's head; also how long a connection may be idle between two requests.
    pub header_read_timeout: Duration,
    /// Time for a request; also how long a client may leave an answer unread.
    pub request_timeout: Duration,
    /// Largest request head, in bytes.
    pub header_bytes: usize,
    /// Largest request body, in bytes.
    pub body_bytes: usize,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let time = |ms: u32| Duration::from_millis(ms.into());
        Self {
            workers: size(config.webserver_num_workers.into()),
            connections: size(config.http_max_connections.into()),
            header_read_timeout: time(config.http_header_read_timeout_ms),
            request_timeout: time(config.http_request_timeout_ms),
            header_bytes: size(config.http_max_header_bytes),
            body_bytes: size(config.http_max_body_bytes),
        }
    }
}
