//! How many system calls a move costs, over the daemon's whole life and over HTTP, counted with `strace`. A figure that does
//! not depend on the machine: with small files and small tablets the calls are the time.
//!
//! Not counted is what waits (`futex`, `epoll_wait`, `clock_nanosleep`) and what threads on a timer do, which is the more the
//! longer a run takes.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tabletd::model::TabletKey;

use crate::harness::daemon::{PATIENCE, start};
use crate::harness::{Daemon, Node};

/// Calls that only wait.
const WAITING: [&str; 3] = ["futex", "epoll_wait", "clock_nanosleep"];
/// Threads that work by the clock.
const TIMERS: [&str; 5] = ["disk-health", "disk-pace", "ticker", "trash", "watch-tokens"];
/// The standard library's own check of a descriptor that is closed, in builds with debug assertions only.
const CHECK_OF_A_DEBUG_BUILD: &str = "F_GETFD";

/// A node's tablets, all of which are moved.
struct Workload {
    tablets: i64,
    files: usize,
    file_bytes: usize,
}

/// Calls of each name.
type Counts = BTreeMap<String, u64>;

impl Workload {
    /// Moves everything; `None`, said aloud, without strace.
    fn count(&self) -> Option<Counts> {
        if Command::new("strace").arg("-V").output().is_err() {
            assert!(std::env::var_os("TABLETD_REQUIRE_ROOT_TESTS").is_none(), "strace is not installed");
            eprintln!("skipped: strace is not installed");
            return None;
        }
        let mut node = Node::new(2);
        let sizes = vec![self.file_bytes; self.files];
        let tablets: Vec<_> = (1..=self.tablets).map(|id| node.add_tablet(0, id, &sizes)).collect();
        let traced = node.dir.path().join("strace");
        let daemon = start(under_strace(&node, &traced)).expect("the daemon starts under strace");
        let pid = daemon.pid();
        let client = Client::new(&daemon);
        client.submit(&tablets, &node.disk(1));
        client.wait_until_idle();
        drop(client);
        daemon.stop();
        let end = format!("{pid}<tabletd> +++ exited with 0 +++");
        let text = wait_for(|| fs::read_to_string(&traced).ok().filter(|text| text.contains(&end)));
        assert!(node.assert_whole().values().all(|root| *root == 1), "not every tablet has moved");
        Some(count(&text))
    }
}

/// The daemon as it is started by a [`Node`], with strace as its grandchild: what is started here is the daemon itself.
fn under_strace(node: &Node, traced: &std::path::Path) -> Command {
    let daemon = node.command();
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-q", "--decode-pids=comm", "-o"]).arg(traced);
    command.arg(daemon.get_program()).args(daemon.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// One kept connection, and few questions: they are counted too.
struct Client<'a> {
    daemon: &'a Daemon,
    agent: ureq::Agent,
}

impl<'a> Client<'a> {
    fn new(daemon: &'a Daemon) -> Self {
        Self { daemon, agent: ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().into() }
    }

    /// All at once: a request for each would be counted with it.
    fn submit(&self, tablets: &[TabletKey], disk: &str) {
        let items: Vec<_> =
            tablets.iter().map(|key| json!({"tablet_id": key.tablet_id, "dest_disk": disk})).collect();
        let request = self.agent.post(self.daemon.url("/api/v1/migrations"));
        let answer: Value =
            request.send_json(items).expect("an answer").body_mut().read_json().expect("JSON");
        assert_eq!(answer["accepted"], tablets.len(), "{answer}");
    }

    fn get(&self, path: &str) -> Value {
        self.agent.get(self.daemon.url(path)).call().expect("an answer").body_mut().read_json().expect("JSON")
    }

    fn wait_until_idle(&self) {
        wait_for(|| (self.get("/api/v1/migrations?phase=NEW,WORKING&limit=1")["total"] == 0).then_some(()));
    }
}

fn wait_for<T>(look: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it does not come about");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Lines are `PID<THREAD> CALL(ARGUMENTS...`; one that was interrupted by another thread's has a second line, without a
/// parenthesis behind its name.
fn count(trace: &str) -> Counts {
    let mut counts = Counts::new();
    for line in trace.lines() {
        let Some((who, what)) = line.split_once("> ") else { continue };
        let thread = who.split_once('<').map_or("", |(_, thread)| thread);
        let Some((call, arguments)) = what.trim_start().split_once('(') else { continue };
        let is_call = call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_check = call == "fcntl" && arguments.contains(CHECK_OF_A_DEBUG_BUILD);
        if is_call && !is_check && !WAITING.contains(&call) && !TIMERS.contains(&thread) {
            *counts.entry(call.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Prints the calls per `what`, most frequent first, and holds their sum.
fn assert_at_most(bound: f64, counts: &Counts, units: i64, what: &str) {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let per_unit = |calls: u64| calls as f64 / units as f64;
    let mut by_call: Vec<_> = counts.iter().collect();
    by_call.sort_by_key(|(_, calls)| std::cmp::Reverse(**calls));
    for (call, calls) in by_call.iter().take(24) {
        println!("{:8.2} {call}", per_unit(**calls));
    }
    let all = per_unit(counts.values().sum());
    println!("{all:8.1} calls per {what}");
    assert!(all <= bound, "{all:.1} calls per {what}, {bound} at most");
}

#[test]
fn a_small_file_costs_few_calls() {
    let small_files = Workload { tablets: 200, files: 20, file_bytes: 16 << 10 };
    let Some(counts) = small_files.count() else { return };
    assert_at_most(19.0, &counts, 200 * 20, "file");
}

#[test]
fn a_small_tablet_costs_few_calls() {
    let small_tablets = Workload { tablets: 500, files: 1, file_bytes: 4 << 10 };
    let Some(counts) = small_tablets.count() else { return };
    assert_at_most(150.0, &counts, 500, "tablet");
}
