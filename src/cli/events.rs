//! `tabletctl events`: the daemon's stream of events, line by line. A daemon that restarts meanwhile is waited for.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use super::args::Output;
use super::client::Client;
use super::exit::{CliError, Exit, print};
use super::steer_args::EventsArgs;
use super::table::human_bytes;
use crate::api::wire::Event;
use crate::model::printable;

/// Between attempts to reach a daemon that has gone away.
const KNOCK: Duration = Duration::from_secs(1);
/// How long a daemon may stay away.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why reading a stream ended.
enum End {
    /// The daemon ended it after a final status, or after all there was.
    Said,
    /// The connection broke, or the daemon stopped.
    Cut,
}

/// `events`.
///
/// # Errors
/// [`Exit::Unreachable`] when the daemon goes away and stays away.
pub(super) fn events(client: &Client, args: &EventsArgs, output: Output) -> Result<(), CliError> {
    let mut last_id: Option<String> = None;
    let mut away_since: Option<Instant> = None;
    loop {
        match client.events(args.migration, args.follow, last_id.as_deref()) {
            Ok(stream) => {
                away_since = None;
                match read(BufReader::new(stream), args, output, &mut last_id)? {
                    End::Said => return Ok(()),
                    End::Cut if !args.follow => return Ok(()),
                    End::Cut => {}
                }
            }
            Err(error) if error.exit == Exit::Unreachable && args.follow && last_id.is_some() => {
                let since = *away_since.get_or_insert_with(|| {
                    eprintln!("the daemon does not answer; waiting for it to come back");
                    Instant::now()
                });
                if since.elapsed() > PATIENCE {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        std::thread::sleep(KNOCK);
    }
}

fn read(
    stream: impl BufRead,
    args: &EventsArgs,
    output: Output,
    last_id: &mut Option<String>,
) -> Result<End, CliError> {
    for line in stream.lines() {
        let Ok(line) = line else { return Ok(End::Cut) };
        if let Some(id) = line.strip_prefix("id: ") {
            *last_id = Some(id.to_owned());
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let Ok(event) = serde_json::from_str::<Event>(data) else {
            return Err(CliError::new(
                Exit::Failed,
                format!("not an event as this release knows them: {data}"),
            ));
        };
        // What a look at all that is remembered begins with is no news.
        if event.kind != "reset" || args.follow {
            match output {
                Output::Json => print(&format!("{data}\n"))?,
                Output::Text => print(&format!("{}\n", told(&event)))?,
            }
        }
        if args.migration.is_some() && event.status.is_some_and(crate::model::Status::is_final) {
            return Ok(End::Said);
        }
    }
    Ok(if args.follow { End::Cut } else { End::Said })
}

fn told(event: &Event) -> String {
    let whose = event.migration_id.map(|id| format!("migration {id} ")).unwrap_or_default();
    let what = match (event.status, event.step, event.step_status) {
        (Some(status), _, _) => {
            let why = printable(event.status_reason.as_deref().unwrap_or(""));
            if why.is_empty() { status.to_string() } else { format!("{status} ({why})") }
        }
        (None, Some(step), Some(how)) => format!("step {step} {how}"),
        _ if event.kind == "reset" => "events before this are lost; look with: tabletctl list".to_owned(),
        _ => format!(
            "{} copied, {} verified, of {}, {}/s",
            human_bytes(event.disk_processed_bytes.unwrap_or(0)),
            human_bytes(event.disk_verified_bytes.unwrap_or(0)),
            human_bytes(event.disk_total_bytes.unwrap_or(0)),
            human_bytes(event.recent_bps.unwrap_or(0))
        ),
    };
    format!("{} {whose}{what}", event.at)
}
