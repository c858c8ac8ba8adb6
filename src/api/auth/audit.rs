//! The audit log: one JSON line for each request that changes something, or tried to.
//!
//! A thread of its own writes, so that no request waits for the log's disk. A line that cannot be written, or that finds
//! the queue full, goes to the daemon's log instead of being lost. Lines are not synced: a power cut may take the last.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use serde::Serialize;

use crate::access::Role;
use crate::api::wire::Timestamp;
use crate::logging::Rolling;
use crate::storage::os::own_descriptor_table;

/// Lines that may wait for the disk.
const QUEUE: usize = 10_000;
/// How long a stop waits for them.
const LAST_LINES: Duration = Duration::from_secs(2);

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RequestEnd {
    /// Done, or accepted to be done.
    Accepted,
    /// Nothing was changed, for a reason the caller was told.
    Refused,
    /// Something broke on the way.
    Failed,
    /// Nobody waited for its end: the client left, or the time was over.
    GivenUp,
}

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) time: Timestamp,
    pub(super) request_id: String,
    pub(super) caller: String,
    pub(super) token: Option<String>,
    pub(super) role: Option<Role>,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) reason: Option<String>,
    pub(super) asked: Vec<String>,
    pub(super) status: Option<u16>,
    pub(super) error_code: Option<String>,
    pub(super) outcome: RequestEnd,
}

enum Message {
    Line(String),
    Stop(SyncSender<()>),
}

/// The log.
#[derive(Debug)]
pub(super) struct Audit {
    lines: SyncSender<Message>,
}

impl Audit {
    /// Opens, or begins, the log at `path`; at `max_bytes` it becomes `path.1`, what was that `path.2`, up to `keep`.
    ///
    /// # Errors
    /// The file cannot be written, or no thread be started.
    pub(super) fn open(path: &Path, max_bytes: u64, keep: u32) -> io::Result<Self> {
        let mut file = Rolling::open(path, max_bytes, keep)?;
        let (lines, waiting) = sync_channel(QUEUE);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || {
            if let Err(errno) = own_descriptor_table() {
                tracing::error!("the audit log's thread shares the process's descriptors: {errno}");
            }
            write_all(&waiting, &mut file);
        })?;
        Ok(Self { lines })
    }

    /// Writes a line down.
    pub(super) fn write(&self, line: &Line) {
        let text = serde_json::to_string(line).expect("names, numbers and strings always serialise");
        if let Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) =
            self.lines.try_send(Message::Line(text))
            && let Message::Line(text) = message
        {
            tracing::warn!("audit (its own log does not keep up): {text}");
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        let (done, ended) = sync_channel(1);
        if self.lines.try_send(Message::Stop(done)).is_ok() {
            let _ = ended.recv_timeout(LAST_LINES);
        }
    }
}

fn write_all(waiting: &Receiver<Message>, file: &mut Rolling) {
    for message in waiting {
        match message {
            Message::Line(text) => {
                if let Err(error) = file.append(format!("{text}\n").as_bytes()) {
                    tracing::error!("{} cannot be written ({error}): {text}", file.path().display());
                }
            }
            Message::Stop(done) => {
                let _ = done.send(());
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(target: &str) -> Line {
        Line {
            time: Timestamp(0),
            request_id: "r-1".into(),
            caller: "127.0.0.1:1".into(),
            token: Some("ops".into()),
            role: Some(Role::Operator),
            method: "POST".into(),
            target: target.into(),
            reason: Some("tidy\nup".into()),
            asked: vec![],
            status: Some(201),
            error_code: None,
            outcome: RequestEnd::Accepted,
        }
    }

    #[test]
    fn lines_are_appended_whole_and_one_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log/audit.log");
        for target in ["/a", "/b"] {
            let audit = Audit::open(&path, 1 << 20, 1).unwrap();
            audit.write(&line(target));
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let targets: Vec<String> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["target"].to_string())
            .collect();
        assert_eq!(targets, ["\"/a\"", "\"/b\""]);
    }
}
