//! The node on one screen of 80 columns: `status` without arguments shows it once, `top` again and again.

mod alarm;
mod screen;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use chrono::Local;

use super::args::Output;
use super::client::{Answer, Client};
use super::exit::{CliError, Exit, print};
use crate::api::wire::{Disk, List, Migration, NodeStatus, Task};

/// Migrations that are asked for: more run on no node at once.
const AT_WORK_MAX: usize = 500;

/// What one screen is made of.
struct Glance {
    status: NodeStatus,
    disks: Vec<Disk>,
    /// Under way or paused, each with its disks.
    tasks: Vec<Task>,
    /// Migrations that hold a slot or wait at a gate.
    at_work: Vec<Migration>,
}

/// Bytes per second that migrations take from and put onto a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Traffic {
    bytes_in: u64,
    bytes_out: u64,
}

impl Glance {
    fn of(client: &Client) -> Result<Self, CliError> {
        let Answer { value: status, .. } = client.get("/api/v1/status", &vec![])?;
        let disks = client.disks()?.value.data;
        let under_way = vec![("status", "running,paused".to_owned())];
        let mut tasks = Vec::new();
        // A list leaves out how it goes on each disk, and with it speed and time left.
        for id in client.tasks(&under_way)?.value.data.iter().filter_map(|task| task.id) {
            tasks.push(client.task(id)?.value);
        }
        let statuses = "preflight,preflight_passed,prepared,copying,ready,finalizing,aborting";
        let query = vec![("status", statuses.to_owned()), ("limit", AT_WORK_MAX.to_string())];
        let List { data: at_work, .. } = client.migrations(&query)?.value;
        Ok(Self { status, disks, tasks, at_work })
    }

    fn traffic(&self) -> BTreeMap<&str, Traffic> {
        let mut all: BTreeMap<&str, Traffic> = BTreeMap::new();
        for migration in &self.at_work {
            let speed = migration.recent_bps.unwrap_or(0);
            all.entry(migration.source_disk.as_str()).or_default().bytes_out += speed;
            all.entry(migration.dest_disk.as_str()).or_default().bytes_in += speed;
        }
        all
    }
}

/// `status` without arguments.
pub(super) fn status(client: &Client, output: Output) -> Result<(), CliError> {
    if output == Output::Json {
        let Answer { text, .. } = client.get::<NodeStatus>("/api/v1/status", &vec![])?;
        return print(&text);
    }
    let screen = screen::screen(&Glance::of(client)?);
    write(|out| out.write_all(screen.as_bytes()))
}

/// `top`: until it is interrupted. Where nobody watches, a line at a time.
///
/// # Errors
/// What the first look meets; a daemon that goes away later is waited for.
pub(super) fn top(client: &Client, interval: Duration, output: Output) -> Result<(), CliError> {
    let mut glance = Glance::of(client)?;
    loop {
        if output == Output::Json {
            let Answer { text, .. } = client.get::<NodeStatus>("/api/v1/status", &vec![])?;
            print(&text)?;
        } else if std::io::stdout().is_terminal() {
            redraw(&screen::screen(&glance))?;
        } else {
            let line = screen::line_of(&glance);
            write(|out| writeln!(out, "{} {line}", Local::now().format("%H:%M:%S")))?;
        }
        std::thread::sleep(interval);
        glance = loop {
            match Glance::of(client) {
                Ok(glance) => break glance,
                Err(error) if error.exit == Exit::Unreachable => {
                    eprintln!("the daemon does not answer; waiting for it to come back");
                    std::thread::sleep(interval);
                }
                Err(error) => return Err(error),
            }
        };
    }
}

/// Over the screen before, line by line: clearing it first would flicker.
fn redraw(screen: &str) -> Result<(), CliError> {
    write(|out| {
        write!(out, "\x1b[H")?;
        for line in screen.lines() {
            writeln!(out, "{line}\x1b[K")?;
        }
        write!(out, "\x1b[J")
    })
}

/// To standard output, whose colours go where no terminal shows them or `NO_COLOR` forbids them. A reader that has gone
/// away (`| head`) ends the command.
fn write(what: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), CliError> {
    let mut out = anstream::stdout().lock();
    what(&mut out).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => CliError::reported(),
        _ => CliError::new(Exit::Failed, format!("standard output cannot be written: {error}")),
    })
}
