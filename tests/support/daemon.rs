//! The daemon as a child process: started by a [`super::Node`], spoken to over HTTP, killed when dropped.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tabletd::model::TabletKey;

/// How long anything here may take before the test says that it does not happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How many daemons came up, of all that were started here: a suite may say how often one recovered.
pub(crate) static CAME_UP: AtomicU64 = AtomicU64::new(0);

/// Starts the daemon and waits until it listens; what it said when it did not.
pub(crate) fn start(command: Command) -> Result<Daemon, String> {
    spawn(command).wait_until_listening(PATIENCE)
}

/// A daemon that may not listen yet.
pub(crate) struct Starting {
    pub(crate) child: Child,
    log: Receiver<String>,
}

impl Starting {
    /// Waits until it listens; what it said when it did not. It is then dead.
    pub(crate) fn wait_until_listening(self, patience: Duration) -> Result<Daemon, String> {
        let Self { mut child, log } = self;
        let mut said = String::new();
        let deadline = Instant::now() + patience;
        loop {
            match log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    said.push_str(&line);
                    said.push('\n');
                    if let Some((_, url)) = line.split_once("listening on ") {
                        let url = url.split_whitespace().next().unwrap_or_default().to_owned();
                        CAME_UP.fetch_add(1, Ordering::Relaxed);
                        return Ok(Daemon { child, url, log, said: said.into() });
                    }
                }
                Err(_) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(said);
                }
            }
        }
    }

    /// Lets one go on that [`super::Node::spawn_stopped`] has started.
    pub(crate) fn go_on(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, Signal::SIGCONT).expect("a stopped process");
    }
}

/// Starts the daemon and does not wait.
pub(super) fn spawn(mut command: Command) -> Starting {
    // A daemon must not outlive a test that is killed.
    // SAFETY: prctl is async-signal-safe and takes integers.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the daemon's binary");
    let stderr = child.stderr.take().expect("piped");
    let (sender, log) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    Starting { child, log }
}

/// A running daemon. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    url: String,
    log: Receiver<String>,
    said: std::cell::RefCell<String>,
}

impl Daemon {
    /// One that was started in another way, and whose log is elsewhere.
    pub(crate) fn of(child: Child, url: String) -> Self {
        let (_, log) = std::sync::mpsc::channel();
        Self { child, url, log, said: String::new().into() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written to its log so far.
    pub(crate) fn said(&self) -> String {
        let mut said = self.said.borrow_mut();
        for line in self.log.try_iter() {
            said.push_str(&line);
            said.push('\n');
        }
        said.clone()
    }

    pub(crate) fn try_get(&self, path: &str) -> Result<Value, String> {
        let agent = agent();
        let mut answer = agent.get(self.url(path)).call().map_err(|error| error.to_string())?;
        answer.body_mut().read_json().map_err(|error| error.to_string())
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|error| panic!("GET {path}: {error}\n{}", self.said()))
    }

    pub(crate) fn get_text(&self, path: &str) -> String {
        let mut answer =
            agent().get(self.url(path)).call().unwrap_or_else(|error| panic!("GET {path}: {error}"));
        answer.body_mut().read_to_string().expect("text")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let mut answer = agent()
            .post(self.url(path))
            .send_json(body)
            .unwrap_or_else(|error| panic!("POST {path}: {error}"));
        answer.body_mut().read_json().expect("JSON")
    }

    /// Begins an operation and waits for its end; a refusal is returned as it came.
    pub(crate) fn operate(&self, path: &str, body: &Value) -> Value {
        let begun = self.post(path, body);
        let Some(id) = begun["state"].as_str().and_then(|_| begun["id"].as_u64()) else { return begun };
        let look = || self.get(&format!("/api/v1/operations/{id}"));
        assert!(
            self.becomes(|| look()["state"] != "running"),
            "operation {id} does not end: {}",
            self.said()
        );
        look()
    }

    /// POST: the status of the answer and its body, also when the daemon may die under it.
    pub(crate) fn try_post(&self, path: &str, body: &Value) -> Result<(u16, Value), String> {
        let mut answer = agent().post(self.url(path)).send_json(body).map_err(|error| error.to_string())?;
        let body = answer.body_mut().read_json().map_err(|error| error.to_string())?;
        Ok((answer.status().as_u16(), body))
    }

    /// POST, with further headers: the status of the answer and its body.
    pub(crate) fn send(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
        let mut request = agent().post(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.send_json(body).unwrap_or_else(|error| panic!("POST {path}: {error}"));
        (answer.status().as_u16(), answer.body_mut().read_json().expect("JSON"))
    }

    /// An action on a migration; it must be granted.
    pub(crate) fn act(&self, id: u64, action: &Value) -> Value {
        let (status, answer) = self.send(&format!("/api/v1/migrations/{id}/action"), &[], action);
        assert_eq!(status, 202, "{action}: {answer:#}");
        answer
    }

    /// DELETE; it must be granted.
    pub(crate) fn delete(&self, path: &str) {
        let answer =
            agent().delete(self.url(path)).call().unwrap_or_else(|error| panic!("DELETE {path}: {error}"));
        assert!(answer.status().is_success(), "DELETE {path}: {}", answer.status());
    }

    pub(crate) fn run(&self, key: TabletKey, disk: &str) -> Value {
        self.get(&format!(
            "/api/tablet_migration?goal=run&tablet_id={}&schema_hash={}&disk={disk}",
            key.tablet_id, key.schema_hash
        ))
    }

    pub(crate) fn status(&self, key: TabletKey) -> Value {
        self.get(&format!(
            "/api/tablet_migration?goal=status&tablet_id={}&schema_hash={}",
            key.tablet_id, key.schema_hash
        ))
    }

    /// Submits and expects it to be accepted. Returns the number of the migration.
    pub(crate) fn accept(&self, key: TabletKey, disk: &str) -> u64 {
        let answer = self.run(key, disk);
        assert_eq!(answer["status"], "Success", "{answer}");
        answer["migration_id"].as_u64().expect("a number")
    }

    pub(crate) fn migration(&self, id: u64) -> Value {
        self.get(&format!("/api/v1/migrations/{id}"))
    }

    /// Waits until a migration has one of these statuses.
    pub(crate) fn wait_for(&self, id: u64, statuses: &[&str]) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let migration = self.migration(id);
            if statuses.iter().any(|status| migration["status"] == *status) {
                return migration;
            }
            assert!(Instant::now() < deadline, "migration {id} does not become {statuses:?}: {migration:#}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it is so; false when it does not come about.
    pub(crate) fn becomes(&self, so: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while !so() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Waits until no migration is alive.
    pub(crate) fn wait_until_idle(&self) {
        self.try_wait_until_idle(PATIENCE).unwrap_or_else(|why| panic!("{why}"));
    }

    /// The same; what the daemon said when it does not happen.
    pub(crate) fn try_wait_until_idle(&self, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        // Both at once: what goes from one to the other between two questions would be in neither answer.
        let open = || -> Result<u64, String> {
            let list = self.try_get("/api/v1/migrations?phase=NEW,WORKING&limit=1")?;
            list["total"].as_u64().ok_or_else(|| format!("a list without a total: {list}"))
        };
        loop {
            match open() {
                Ok(0) => return Ok(()),
                Ok(open) if Instant::now() > deadline => {
                    return Err(format!("{open} migrations never end: {}", self.said()));
                }
                Err(why) => return Err(format!("{why}: {}", self.said())),
                Ok(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Everything the daemon knows of its migrations, page by page.
    pub(crate) fn try_migrations(&self) -> Result<Vec<Value>, String> {
        const PAGE: usize = 500;
        let mut all: Vec<Value> = Vec::new();
        loop {
            let marker = all.last().map(|last| format!("&marker={}", last["id"])).unwrap_or_default();
            let mut list = self.try_get(&format!("/api/v1/migrations?limit={PAGE}{marker}"))?;
            let Value::Array(page) = list["data"].take() else {
                return Err(format!("not a list of migrations: {list}"));
            };
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Submits. The number of the migration if it was acknowledged.
    pub(crate) fn try_accept(&self, key: TabletKey, disk: &str) -> Result<u64, String> {
        let answer = self.try_get(&format!(
            "/api/tablet_migration?goal=run&tablet_id={}&schema_hash={}&disk={disk}",
            key.tablet_id, key.schema_hash
        ))?;
        match answer["migration_id"].as_u64() {
            Some(id) if answer["status"] == "Success" => Ok(id),
            _ => Err(answer.to_string()),
        }
    }

    /// Whether the process is there.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGTERM, without waiting.
    pub(crate) fn terminate(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("a running daemon");
    }

    /// SIGHUP, without waiting.
    pub(crate) fn hang_up(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, Signal::SIGHUP).expect("a running daemon");
    }

    /// SIGKILL, without waiting: a daemon with a thread stuck in the kernel cannot be waited for.
    pub(crate) fn kill_without_waiting(&mut self) {
        self.child.kill().expect("a running daemon");
    }

    /// SIGKILL, and reaped.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a running daemon");
        self.child.wait().expect("a child");
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("a child")
    }

    /// SIGTERM; it must end with 0.
    pub(crate) fn stop(mut self) {
        self.terminate();
        let status = self.child.wait().expect("a child");
        assert!(status.success(), "{status}: {}", self.said());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}
