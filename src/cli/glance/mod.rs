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
use crate::api::wire::{Disk, Migration, NodeStatus, Task};

/// Migrations that are asked for; those at work come first, so that gates with many waiting do not hide them.
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
        // With how it goes on each disk, and with that speed and time left.
        let under_way = vec![("status", "running,paused".to_owned()), ("with_status", "true".to_owned())];
        let tasks = client.tasks(&under_way)?.value.data;
        let in_any_of = |statuses: &str| {
            let query = vec![("status", statuses.to_owned()), ("limit", AT_WORK_MAX.to_string())];
            client.migrations(&query).map(|answer| answer.value.data)
        };
        let mut at_work = in_any_of("preflight,copying,finalizing,aborting")?;
        at_work.extend(in_any_of("preflight_passed,prepared,ready")?);
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
    let on_screen = output == Output::Text && std::io::stdout().is_terminal();
    let mut text = look(client, output, on_screen)?;
    loop {
        if on_screen {
            redraw(&text)?;
        } else {
            write(|out| out.write_all(text.as_bytes()))?;
        }
        let mut is_told = false;
        text = loop {
            std::thread::sleep(interval);
            match look(client, output, on_screen) {
                Ok(text) => break text,
                Err(error) if error.exit == Exit::Unreachable => {
                    if !std::mem::replace(&mut is_told, true) {
                        eprintln!("the daemon does not answer; waiting for it to come back");
                    }
                }
                Err(error) => return Err(error),
            }
        };
    }
}

fn look(client: &Client, output: Output, on_screen: bool) -> Result<String, CliError> {
    Ok(match output {
        Output::Json => client.get::<NodeStatus>("/api/v1/status", &vec![])?.text,
        Output::Text if on_screen => screen::screen(&Glance::of(client)?),
        Output::Text => {
            format!("{} {}\n", Local::now().format("%H:%M:%S"), screen::line_of(&Glance::of(client)?))
        }
    })
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
