//! docs/seeds.md, typed in: every command of it is run, in its order, against a real daemon, and what comes back has the shape
//! that the page shows. Each call of the five documents has its heading there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tabletd::model::TabletKey;

use crate::harness::mounts::{Image, skip};
use crate::harness::{Daemon, HASH, Node, daemon};
use crate::modes::submit;

/// The calls that the documents show, each under the name of its section here.
const CALLS: &[(&str, &[&str])] = &[
    ("Doris", &["GET /api/tablet_migration?goal=run", "GET /api/tablet_migration?goal=status"]),
    (
        "Nova",
        &[
            "GET /servers/{server_id}/migrations",
            "GET /servers/{server_id}/migrations/{migration_id}",
            "POST /servers/{server_id}/migrations/{migration_id}/action",
            "DELETE /servers/{server_id}/migrations/{migration_id}",
        ],
    ),
    (
        "Scalingo",
        &[
            "POST /v1/apps/:app_id/region_migrations",
            "GET /v1/apps/:app_id/region_migrations",
            "POST /v1/apps/:app_id/region_migrations/:migration_id/run",
            "POST /v1/apps/:app_id/region_migrations/:migration_id/run (abort)",
        ],
    ),
    ("Atlas", &["GET /groups/{groupId}/liveMigrations/{liveMigrationId}"]),
    (
        "TiDB DM",
        &[
            "API error message template",
            "GET /api/v1/cluster/masters",
            "DELETE /api/v1/cluster/masters/{master-name}",
            "GET /api/v1/cluster/workers",
            "DELETE /api/v1/cluster/workers/{worker-name}",
            "POST /api/v1/sources",
            "GET /api/v1/sources/{source-name}",
            "GET /api/v1/sources",
            "GET /api/v1/sources/{source-name}/status",
            "PUT /api/v1/sources/{source-name}",
            "POST /api/v1/sources/{source-name}/enable",
            "POST /api/v1/sources/{source-name}/disable",
            "POST /api/v1/sources/{source-name}/relay/enable",
            "POST /api/v1/sources/{source-name}/relay/disable",
            "POST /api/v1/sources/{source-name}/relay/purge",
            "POST /api/v1/sources/{source-name}/transfer",
            "GET /api/v1/sources/{source-name}/schemas",
            "GET /api/v1/sources/{source-name}/schemas/{schema-name}",
            "DELETE /api/v1/sources/{source-name}",
            "POST /api/v1/tasks",
            "GET /api/v1/tasks",
            "GET /api/v1/tasks/{task-name}",
            "PUT /api/v1/tasks/{task-name}",
            "GET /api/v1/tasks/{task-name}/sources/{source-name}/migrate_targets",
            "GET /api/v1/tasks/{task-name}/sources/{source-name}/schemas",
            "GET /api/v1/tasks/{task-name}/sources/{source-name}/schemas/{schema-name}",
            "GET /api/v1/tasks/{task-name}/sources/{source-name}/schemas/{schema-name}/{table-name}",
            "POST /api/v1/tasks/{task-name}/sources/{source-name}/schemas/{schema-name}/{table-name}",
            "DELETE /api/v1/tasks/{task-name}/sources/{source-name}/schemas/{schema-name}/{table-name}",
            "POST /api/v1/tasks/{task-name}/start",
            "GET /api/v1/tasks/{task-name}/status",
            "POST /api/v1/tasks/{task-name}/stop",
            "DELETE /api/v1/tasks/{task-name}",
        ],
    ),
];

/// Commands that belong together, and what the first of them answers.
struct Block {
    commands: Vec<String>,
    answer: Option<Value>,
}

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/seeds.md");
    fs::read_to_string(path).expect("the page")
}

/// The calls of a section, with their blocks.
fn calls(title: &str) -> Vec<(String, Vec<Block>)> {
    let page = page();
    let section = page.split("\n## ").skip(1).find(|section| section.starts_with(&format!("{title}\n")));
    let parts = section.expect("a section").split("\n### ").skip(1).map(|part| {
        let (heading, body) = part.split_once('\n').expect("a heading and more");
        (heading.to_owned(), blocks(body))
    });
    parts.collect()
}

fn blocks(body: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for fenced in body.split("```").skip(1).step_by(2) {
        let (kind, text) = fenced.split_once('\n').expect("a fence says what is in it");
        match (kind, blocks.last_mut()) {
            ("sh", _) => blocks.push(Block { commands: commands(text), answer: None }),
            ("json", Some(block)) => {
                let answer = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
                block.answer = Some(answer);
            }
            other => panic!("nobody knows what this is: {}", other.0),
        }
    }
    blocks
}

/// A command ends with its line, unless its quotes are open or the line ends with a backslash.
fn commands(text: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match commands.last_mut().filter(|_| open) {
            Some(command) => *command += &format!("\n{line}"),
            None => commands.push(line.to_owned()),
        }
        let command = commands.last().expect("one was pushed");
        open = command.ends_with('\\') || command.matches('\'').count() % 2 == 1;
    }
    commands
}

/// Somebody who types, in front of a node.
struct Machine {
    node: Node,
    daemon: Daemon,
    /// `tabletfleet`, where the page asks one, with the node as its member `be-1`.
    fleet: Option<Daemon>,
    token: String,
    /// Kept mounted; `/mnt/disk3` and the next are no disks of the node yet.
    images: Vec<Image>,
}

impl Machine {
    fn of(node: Node, images: Vec<Image>) -> Self {
        let daemon = node.start();
        let mut machine = Self { node, daemon, fleet: None, token: String::new(), images };
        let conf = machine.node.dir.path().join("be.conf").display().to_string();
        let (_, token) = machine.run("", &format!("tabletctl token create ops --role admin --conf {conf}"));
        token.trim().clone_into(&mut machine.token);
        // Who asks before it has read the new file would be refused.
        let Self { node, daemon, .. } = machine;
        daemon.stop();
        let daemon = node.start();
        Self { node, daemon, fleet: None, token: machine.token, images: machine.images }
    }

    /// The same with a fleet.
    fn in_a_fleet(self) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tabletfleet"));
        command.arg("--state-dir").arg(self.node.dir.path().join("fleet"));
        command.args(["--name", "fleet-1", "--port", "0", "--poll-sec", "1"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let fleet = daemon::start(command).unwrap_or_else(|said| panic!("tabletfleet: {said}"));
        assert!(fleet.becomes(|| fleet.get("/api/v1/cluster/info")["epoch"].is_u64()), "{}", fleet.said());
        let url = self.daemon.url("");
        let port: u16 = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
        let member = serde_json::json!({ "source_name": "be-1", "host": "127.0.0.1", "port": port });
        fleet.post("/api/v1/sources", &member);
        Self { fleet: Some(fleet), ..self }
    }

    fn disk(&self, n: usize) -> PathBuf {
        self.images
            .get(n)
            .map_or_else(|| self.node.dir.path().join(format!("disk{n}")), |image| image.path().to_owned())
    }

    /// What the page calls it is this here.
    fn here(&self, text: &str) -> String {
        let mut text = text.replace("http://127.0.0.1:8040", &self.daemon.url(""));
        if let Some(fleet) = &self.fleet {
            text = text.replace("http://127.0.0.1:8240", &fleet.url(""));
        }
        for n in 0..4 {
            text = text.replace(&format!("/mnt/disk{}", n + 1), &self.disk(n).display().to_string());
        }
        text
    }

    /// Runs one command; the HTTP status or the exit status of it, and what it said. It must be the one that stands behind it.
    fn run(&self, heading: &str, command: &str) -> (String, String) {
        let (typed, expected) = command.rsplit_once("  # ").unwrap_or((command, "exit status 0"));
        let tools = Path::new(env!("CARGO_BIN_EXE_tabletctl")).parent().expect("a directory");
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
        let script =
            format!("curl() {{ command curl -sS -w '\\n%{{http_code}}' \"$@\"; }}\n{}", self.here(typed));
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &script]).env("PATH", path).env("TABLETD_ADDR", self.daemon.url(""));
        shell.envs(self.fleet.as_ref().map(|fleet| ("TABLETFLEET_ADDR", fleet.url(""))));
        shell.env("AUTH_TOKEN", &self.token).env_remove("TABLETD_TOKEN").stdin(Stdio::null());
        let output = shell.output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let (status, text) = match said.rsplit_once('\n') {
            Some((text, status)) if typed.starts_with("curl") => (status.to_owned(), text.to_owned()),
            _ => (format!("exit status {}", output.status.code().unwrap_or(-1)), said),
        };
        let why = String::from_utf8_lossy(&output.stderr);
        assert_eq!(status, expected, "{heading}: {command}\n{text}{why}\n{}", self.daemon.said());
        (status, text)
    }

    /// Waits until nothing moves that waits for nobody.
    fn settle(&self) {
        let rests = |one: &Value| one["blockers"][0]["kind"] == "operator";
        let list = || self.daemon.get("/api/v1/migrations?phase=NEW,WORKING")["data"].clone();
        let all_rest = || list().as_array().is_some_and(|all| all.iter().all(rests));
        assert!(self.daemon.becomes(all_rest), "{:#}", list());
    }
}

/// What the page shows of an answer is in the answer: every field of it, of the same kind.
fn has_the_shape(shown: &Value, got: &Value, at: &str) -> Result<(), String> {
    match (shown, got) {
        (Value::Object(shown), Value::Object(got)) => shown.iter().try_for_each(|(name, value)| {
            let found = got.get(name).ok_or_else(|| format!("{at}.{name} is not there"))?;
            has_the_shape(value, found, &format!("{at}.{name}"))
        }),
        (Value::Array(shown), Value::Array(got)) => shown.iter().enumerate().try_for_each(|(n, value)| {
            let found = got.get(n).ok_or_else(|| format!("{at} has only {}", got.len()))?;
            has_the_shape(value, found, &format!("{at}[{n}]"))
        }),
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Null, Value::Null) => Ok(()),
        (Value::Bool(shown), Value::Bool(got)) if shown == got => Ok(()),
        _ => Err(format!("{at} is {got}, the page has {shown}")),
    }
}

/// These words are the contract, wherever the page shows them.
fn says_the_same(shown: &Value, got: &Value) -> Result<(), String> {
    for name in ["msg", "phase", "error_code", "condition", "total"] {
        if let (Some(shown), Some(got)) = (shown.get(name), got.get(name))
            && shown != got
        {
            return Err(format!("{name} is {got}, the page has {shown}"));
        }
    }
    Ok(())
}

/// With `--include` the heads stand before it, one for each answer of Digest.
fn body(text: &str) -> &str {
    match text.starts_with("HTTP/") {
        true => text.rsplit_once("\r\n\r\n").map_or(text, |(_, body)| body),
        false => text,
    }
}

/// While the task runs, it is looked at and stopped.
const WHILE_IT_RUNS: [&str; 2] =
    ["POST /api/v1/tasks/{task-name}/start", "GET /api/v1/tasks/{task-name}/status"];

fn type_in(title: &str, machine: &Machine) {
    for (heading, blocks) in calls(title) {
        for block in blocks {
            let mut said = Vec::new();
            for command in &block.commands {
                said.push(machine.run(&heading, command).1);
            }
            if !WHILE_IT_RUNS.contains(&heading.as_str()) {
                machine.settle();
            }
            let by: Vec<_> = block.commands.iter().map(|command| command.split(' ').next()).collect();
            assert_eq!(by, [Some("curl"), Some("tabletctl")], "{heading}: both ways, once each");
            let Some(shown) = &block.answer else { continue };
            let text = body(&said[0]);
            let got: Value =
                serde_json::from_str(text).unwrap_or_else(|error| panic!("{heading}: {error}: {text}"));
            let compared = has_the_shape(shown, &got, "").and_then(|()| says_the_same(shown, &got));
            compared.unwrap_or_else(|why| panic!("{heading}: {why}\n{got:#}"));
        }
    }
}

#[test]
fn every_call_that_the_documents_show_has_its_heading_and_a_call_or_why_there_is_none() {
    let page = page();
    let titles: Vec<_> = page.split("\n## ").skip(1).filter_map(|section| section.lines().next()).collect();
    assert_eq!(titles, CALLS.iter().map(|(title, _)| *title).collect::<Vec<_>>());
    for (title, expected) in CALLS {
        let calls = calls(title);
        let headings: Vec<_> = calls.iter().map(|(heading, _)| heading.as_str()).collect();
        assert_eq!(headings, *expected, "{title}");
        for (heading, blocks) in &calls {
            let text = page.split(&format!("\n### {heading}\n")).nth(1).expect("its text");
            let text = text.split("\n#").next().unwrap_or(text);
            let is_said = text.contains("Not here");
            assert!(is_said || !blocks.is_empty(), "{heading}: neither a call nor why there is none");
        }
    }
    assert!(page.lines().all(|line| line.chars().count() <= 120), "a line is too long");
}

fn on_directories(tablets: &[i64]) -> Option<Machine> {
    if Command::new("curl").arg("--version").output().is_err() {
        skip("there is no curl");
        return None;
    }
    let mut node = Node::new(2);
    for id in tablets {
        node.add_tablet(0, *id, &[50_000, 3000]);
    }
    node.settings = "allow_loopback_without_credentials = true".to_owned();
    Some(Machine::of(node, Vec::new()))
}

#[test]
fn the_calls_of_doris_do_what_the_page_says() {
    let Some(machine) = on_directories(&[123, 124]) else { return };
    type_in("Doris", &machine);
    machine.daemon.stop();
    let placed = machine.node.assert_whole();
    assert!([123, 124].iter().all(|id| placed[&TabletKey::new(*id, HASH)] == 1));
}

#[test]
fn the_calls_of_nova_do_what_the_page_says() {
    let tablets = [15007, 15008, 15009, 15010];
    let Some(machine) = on_directories(&tablets) else { return };
    for id in tablets {
        submit(&machine.daemon, TabletKey::new(id, HASH), &machine.node.disk(1), "manual_cutover");
    }
    machine.settle();
    type_in("Nova", &machine);
    machine.daemon.stop();
    let placed = machine.node.assert_whole();
    assert_eq!(tablets.map(|id| placed[&TabletKey::new(id, HASH)]), [1, 1, 0, 0]);
}

#[test]
fn the_calls_of_scalingo_do_what_the_page_says() {
    let Some(machine) = on_directories(&[201, 202]) else { return };
    type_in("Scalingo", &machine);
    machine.daemon.stop();
    assert!(machine.node.assert_whole().values().all(|root| *root == 0), "both were aborted");
}

#[test]
fn the_calls_of_atlas_do_what_the_page_says() {
    let Some(machine) = on_directories(&[7]) else { return };
    machine.daemon.accept(TabletKey::new(7, HASH), &machine.node.disk(1));
    machine.settle();
    type_in("Atlas", &machine);
    machine.daemon.stop();
}

/// Slow enough that a task can be looked at while it runs: one tablet at a time.
#[test]
fn the_calls_of_dm_do_what_the_page_says() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let images: Option<Vec<_>> =
        (1..=4).map(|n| Image::ext4(dir.path(), &format!("disk{n}"), 32 << 20)).collect();
    let Some(images) = images else { return };
    let roots = images[..2].iter().map(|image| image.path().to_owned()).collect();
    let mut node = Node::on(dir, roots);
    node.media = vec!["hdd", "hdd"];
    node.settings = "allow_loopback_without_credentials = true\nsmall_migration_bytes = 0".to_owned();
    for id in [301, 304, 307, 310, 313, 316] {
        node.add_tablet(0, id, &[200_000]);
    }
    for id in [302, 305, 308, 311, 314] {
        node.add_tablet(1, id, &[200_000]);
    }
    let machine = Machine::of(node, images).in_a_fleet();
    type_in("TiDB DM", &machine);
    machine.daemon.stop();
    machine.node.assert_whole();
}
