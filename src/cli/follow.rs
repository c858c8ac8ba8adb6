//! Watching one migration to its end. A daemon that restarts meanwhile is waited for: the migration goes on by itself.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::Output;
use super::client::{Answer, Client};
use super::exit::{CliError, Exit, print};
use super::headline::{headline, hint};
use super::lines::Lines;
use super::table::human_bytes;
use crate::api::wire::Migration;
use crate::model::Phase;

const POLL: Duration = Duration::from_millis(200);
/// Between attempts to reach a daemon that has gone away.
const KNOCK: Duration = Duration::from_secs(1);
/// How long a daemon may stay away: a restart with many disks takes a while.
const PATIENCE: Duration = Duration::from_secs(600);

const BAR: &str =
    "{spinner} {msg:11} [{bar:30}] {bytes} of {total_bytes} verified, {bytes_per_sec}, {eta} left";

/// `follow`, from what was heard of the migration so far. Done only when it is completed, or waits to be asked on.
///
/// # Errors
/// [`Exit::Failed`] when it ended otherwise; [`Exit::Unreachable`] when the daemon goes away and stays away.
pub(super) fn follow(client: &Client, first: Answer<Migration>, output: Output) -> Result<(), CliError> {
    let id = first.value.id;
    let bar = bar(BAR);
    let mut lines = Lines::new(output, !bar.is_hidden());
    let mut away_since: Option<Instant> = None;
    let mut answer = first;
    loop {
        let migration = &answer.value;
        show(&bar, migration);
        lines.tell(&headline(migration), &with_progress(migration));
        if migration.status.is_final() {
            bar.finish_and_clear();
            return end(&answer, output);
        }
        if let Some(hint) = hint(migration) {
            // It would be waited for until somebody asks it on, and that may well be whoever is watching here.
            bar.finish_and_clear();
            match output {
                Output::Json => print(&answer.text)?,
                Output::Text => print(&format!("{}\nlet it go on with: {hint}\n", headline(migration)))?,
            }
            return Ok(());
        }
        std::thread::sleep(POLL);
        answer = loop {
            match client.migration(id) {
                Ok(answer) => {
                    away_since = None;
                    break answer;
                }
                Err(error) if error.exit == Exit::Unreachable => {
                    let since = away_since.get_or_insert_with(|| {
                        lines.say("the daemon does not answer; waiting for it to come back");
                        Instant::now()
                    });
                    if since.elapsed() > PATIENCE {
                        bar.finish_and_clear();
                        return Err(error);
                    }
                    bar.set_message("waiting for the daemon");
                    std::thread::sleep(KNOCK);
                }
                Err(error) => {
                    bar.finish_and_clear();
                    return Err(error);
                }
            }
        };
    }
}

/// A bar that looks like `template`: on standard error, and only where somebody sees it.
pub(super) fn bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(POLL);
    bar
}

/// The headline of one that copies, with how far it is.
fn with_progress(migration: &Migration) -> String {
    let counters = &migration.counters;
    let (verified, total) = (counters.disk_verified_bytes, counters.disk_total_bytes);
    if total == 0 || migration.status.is_final() {
        return headline(migration);
    }
    let percent = u128::from(verified) * 100 / u128::from(total);
    let mut said = format!(
        "{}; {} of {} verified, {percent} %",
        headline(migration),
        human_bytes(verified),
        human_bytes(total)
    );
    if let (Some(speed), Some(left)) = (migration.speed_bytes_per_sec, migration.eta_seconds) {
        let left = indicatif::HumanDuration(Duration::from_secs(left));
        said += &format!(", {}/s, {left} left", human_bytes(speed));
    }
    said
}

fn show(bar: &ProgressBar, migration: &Migration) {
    let counters = &migration.counters;
    if counters.disk_total_bytes > 0 {
        bar.set_length(counters.disk_total_bytes);
    }
    bar.set_position(counters.disk_verified_bytes);
    bar.set_message(migration.status.to_string());
}

fn end(answer: &Answer<Migration>, output: Output) -> Result<(), CliError> {
    let migration = &answer.value;
    match output {
        Output::Json => print(&answer.text)?,
        Output::Text => print(&format!("{}\n", headline(migration)))?,
    }
    match (migration.status.phase(), &migration.error) {
        (Phase::Complete, _) => Ok(()),
        (_, Some(error)) => Err(CliError::new(Exit::Failed, format!("{} ({})", error.message, error.code))),
        (_, None) => Err(CliError::reported()),
    }
}
