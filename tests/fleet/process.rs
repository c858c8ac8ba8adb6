//! `tabletfleet` as a child process, with a state directory that outlives it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::daemon::{self, PATIENCE};
use crate::harness::{Daemon, Node};

/// A fleet to be: where it remembers.
pub(crate) struct Fleet {
    pub(crate) dir: TempDir,
    name: &'static str,
    /// The state directory when there is none.
    store: Option<String>,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        Self::called("fleet-1", None)
    }

    /// One of several, which remember in etcd.
    pub(crate) fn on_etcd(url: &str, name: &'static str) -> Self {
        Self::called(name, Some(format!("etcd://{}/prod", url.trim_start_matches("http://"))))
    }

    fn called(name: &'static str, store: Option<String>) -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory"), name, store }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tabletfleet"));
        command.arg("--state-dir").arg(self.state_dir()).args(["--port", "0", "--name", self.name]);
        command.args(self.store.iter().flat_map(|url| ["--store", url]));
        command.arg("--credentials-dir").arg(self.dir.path()).args(["--poll-sec", "1"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts it and waits until it listens and leads.
    pub(crate) fn start(&self) -> Process {
        let daemon = daemon::start(self.command()).unwrap_or_else(|said| panic!("tabletfleet: {said}"));
        let process = Process { daemon };
        process.becomes("a leader", |process| process.get("/api/v1/cluster/info")["epoch"].is_u64());
        process
    }
}

/// A running one.
pub(crate) struct Process {
    pub(crate) daemon: Daemon,
}

impl Process {
    pub(crate) fn get(&self, path: &str) -> Value {
        self.daemon.get(path)
    }

    pub(crate) fn text(&self, path: &str) -> String {
        let mut answer = ureq::get(self.daemon.url(path)).call().expect("an answer");
        answer.body_mut().read_to_string().expect("text")
    }

    /// The status of the answer and its body; `null` where it has none.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.send_as(method, path, None, body)
    }

    /// Under an idempotency key.
    pub(crate) fn keyed(&self, method: &str, path: &str, key: &str, body: &Value) -> (u16, Value) {
        self.send_as(method, path, Some(key), Some(body))
    }

    fn send_as(&self, method: &str, path: &str, key: Option<&str>, body: Option<&Value>) -> (u16, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .into();
        let request = ureq::http::Request::builder().method(method).uri(self.daemon.url(path));
        let request = key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key));
        let sent = match body {
            Some(body) => {
                let request = request.header("Content-Type", "application/json").body(body.to_string());
                agent.run(request.expect("a request"))
            }
            None => agent.run(request.body(()).expect("a request")),
        };
        let mut answer = sent.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let text = answer.body_mut().read_to_string().expect("text");
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// It must be done.
    pub(crate) fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.send(method, path, Some(body));
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer:#}\n{}", self.daemon.said());
        answer
    }

    /// It must be refused so.
    pub(crate) fn refused(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String, String) {
        let (status, answer) = self.send(method, path, body);
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        assert!(status >= 400, "{method} {path}: {status} {answer:#}");
        (status, text("error_code"), text("error_msg"))
    }

    /// Waits until it is so.
    pub(crate) fn becomes(&self, what: &str, so: impl Fn(&Self) -> bool) {
        assert!(self.daemon.becomes(|| so(self)), "{what} does not come about:\n{}", self.daemon.said());
    }

    /// Adds a node that runs as a member, and waits until it was seen.
    pub(crate) fn add(&self, name: &str, node: &Daemon, more: &Value) {
        let url = node.url("");
        let port: u16 = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
        let mut asked = json!({ "source_name": name, "host": "127.0.0.1", "port": port });
        for (key, value) in more.as_object().into_iter().flatten() {
            asked[key] = value.clone();
        }
        self.done("POST", "/api/v1/sources", &asked);
        self.becomes("a look at it", |process| process.stage(name) == "online");
    }

    pub(crate) fn stage(&self, name: &str) -> String {
        let source = self.get(&format!("/api/v1/sources/{name}"));
        source["status_list"][0]["stage"].as_str().expect("a stage").to_owned()
    }
}

/// A node with two disks and these tablets on the first.
pub(crate) fn node_with(tablets: &[i64]) -> (Node, Daemon) {
    let mut node = Node::new(2);
    for id in tablets {
        node.add_tablet(0, *id, &[50_000, 3000]);
    }
    let daemon = node.start();
    (node, daemon)
}
