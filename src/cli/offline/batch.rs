//! Many imports in one run: one lock, one scan, and every sync shared by all tablets in flight.

use std::io::{self, BufRead, BufReader, Lines, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::hooks::Means;
use super::import::{Imported, Importer};
use super::locked::open_to_change;
use super::wish::{Said, understand};
use crate::cli::args::Output;
use crate::cli::exit::{CliError, Exit, print_json};
use crate::cli::input::open_input;
use crate::model::{ErrorCode, Failure};
use crate::storage::DirectBarrier;

/// Tablets in flight: that many share one sync. Mostly they wait for it, so there may be many more than cores.
const TABLETS_IN_FLIGHT: usize = 64;

#[derive(Default, serde::Serialize)]
struct Summary {
    imported: u64,
    adopted_in_place: u64,
    files: u64,
    bytes: u64,
    failed: Vec<Refusal>,
    duration_ms: u64,
}

#[derive(serde::Serialize)]
struct Refusal {
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    dir: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tablet_id: Option<i64>,
    error_code: ErrorCode,
    error_msg: String,
}

type Input = Box<dyn Read + Send>;

struct Work<'a> {
    /// With the number of the line that was taken last.
    lines: Mutex<(usize, Lines<BufReader<Input>>)>,
    importer: &'a Importer<'a>,
    summary: Mutex<Summary>,
    stop: AtomicBool,
}

/// `tabletctl tablet import --batch FILE`: one JSON object per line with `dir` and what the flags of a single import say
/// (`tablet_id`, `schema_hash`, `table_id`, `partition_id`, `shard`, `header`). Prints a JSON summary.
///
/// # Errors
/// [`Exit::Failed`] when any line was not imported; the others are.
pub fn import_batch(batch: &Path, root: &Path, output: Output) -> Result<(), CliError> {
    let started = Instant::now();
    let input: Input = if batch == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let unreadable = |error| CliError::new(Exit::Usage, format!("{}: {error}", batch.display()));
        Box::new(open_input(batch).map_err(unreadable)?)
    };
    let locked = open_to_change(root)?;
    let barrier = DirectBarrier(locked.root.dir());
    let importer = Importer::new(&locked.root, &locked.path, &barrier, Means::for_many())
        .map_err(|error| CliError::new(Exit::Failed, error))?;
    let work = Work {
        lines: Mutex::new((0, BufReader::new(input).lines())),
        importer: &importer,
        summary: Mutex::default(),
        stop: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        for _ in 1..TABLETS_IN_FLIGHT {
            // Fewer threads do it too.
            if std::thread::Builder::new().spawn_scoped(scope, || work.run()).is_err() {
                break;
            }
        }
        work.run();
    });
    let mut summary = work.summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    summary.failed.sort_by_key(|refusal| refusal.line);
    if output == Output::Text {
        for Refusal { line, error_msg, .. } in &summary.failed {
            eprintln!("line {line}: {error_msg}");
        }
    }
    print_json(&summary)?;
    if summary.failed.is_empty() { Ok(()) } else { Err(CliError::reported()) }
}

impl Work<'_> {
    fn run(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let Some((number, line)) = self.next_line() else { return };
            let text = match line {
                Ok(text) if text.trim().is_empty() => continue,
                Ok(text) => text,
                Err(error) => {
                    self.stop.store(true, Ordering::Relaxed);
                    let failure = Failure::new(ErrorCode::IoError, format!("cannot be read: {error}"));
                    self.note(number, None, Err(failure));
                    return;
                }
            };
            let said: Result<Said, _> = serde_json::from_str(&text);
            match said {
                Ok(said) => self.import(number, said),
                Err(error) => {
                    let failure = Failure::new(ErrorCode::InvalidArgument, error.to_string());
                    self.note(number, None, Err(failure));
                }
            }
        }
    }

    fn next_line(&self) -> Option<(usize, io::Result<String>)> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.1.next()?;
        lines.0 += 1;
        Some((lines.0, line))
    }

    fn import(&self, number: usize, said: Said) {
        let outcome = understand(&said, self.importer.root()).and_then(|wish| self.importer.import(&wish));
        // What was written since the last good sync is in doubt, for every tablet in flight: no more of them.
        if outcome.as_ref().is_err_and(|failure| failure.code == ErrorCode::SyncFailed) {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.note(number, Some(said), outcome);
    }

    fn note(&self, line: usize, about: Option<Said>, outcome: Result<Imported, Failure>) {
        let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(imported) => {
                summary.imported += 1;
                summary.adopted_in_place += u64::from(imported.adopted_in_place);
                summary.files += imported.files as u64;
                summary.bytes += imported.bytes;
            }
            Err(failure) => summary.failed.push(Refusal {
                line,
                tablet_id: about.as_ref().and_then(|said| said.tablet_id),
                dir: about.map(|said| said.dir),
                error_code: failure.code,
                error_msg: failure.message,
            }),
        }
    }
}
