//! The daemon's log: to standard error or a file, by a thread of its own.
//!
//! Nobody waits for the log and nobody dies of it. A line that cannot be written, because the disk behind it is full or
//! the pipe is closed, and one that finds too many before it, because the disk hangs, is dropped and counted. One event is
//! one line: what a path or a reason brings along cannot forge another.

mod rolling;

pub use rolling::Rolling;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::model::{counted_as, printable};
use crate::storage::os::own_descriptor_table;

/// Lines that may wait for the disk.
const QUEUE: usize = 10_000;
/// A longer one is cut.
const LINE_BYTES_MAX: usize = 16 << 10;
/// How long a stop waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

static DROPPED: AtomicU64 = AtomicU64::new(0);
type SetFilter = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;
static FILTER: OnceLock<SetFilter> = OnceLock::new();
static LEVELS: Mutex<Levels> = Mutex::new(Levels { all: String::new(), modules: BTreeMap::new() });

/// What the filter is made of.
struct Levels {
    /// The level of everything.
    all: String,
    /// What single modules say beyond it, from 1 to 10.
    modules: BTreeMap<String, i32>,
}

impl Levels {
    /// As `EnvFilter` reads it.
    fn directives(&self) -> String {
        let said = self.modules.iter().map(|(module, level)| {
            let level = if *level >= EVERYTHING { "trace" } else { "debug" };
            format!(",tabletd::{module}={level}")
        });
        std::iter::once(self.all.clone()).chain(said).collect()
    }
}

/// What a module says that was never asked to say more.
const NOTHING_MORE: i32 = -1;
/// The most that a module can be asked for.
const EVERYTHING: i32 = 10;

/// Lines that were dropped since the start.
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Keeps the log going; dropped last, it waits a moment for what is still to be written.
#[derive(Debug)]
pub struct Log(SyncSender<Message>);

impl Drop for Log {
    fn drop(&mut self) {
        let (done, ended) = sync_channel(1);
        if self.0.try_send(Message::Flush(done)).is_ok() {
            let _ = ended.recv_timeout(LAST_LINES);
        }
    }
}

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A line for people.
    Text,
    /// A line of JSON.
    Json,
    /// A line for systemd's journal: its priority in front as `sd-daemon(3)` has it, and no time, which the journal has.
    Journal,
}

/// Begins the log: events of `level` and above, or what the environment's `TABLETD_LOG` says; into `file`, or to standard
/// error.
///
/// # Errors
/// No thread can be started.
pub fn start(level: &str, form: Form, file: Option<Rolling>) -> io::Result<Log> {
    let (lines, waiting) = sync_channel(QUEUE);
    let mut out: Box<dyn Write + Send> = match file {
        Some(file) => Box::new(file),
        None => Box::new(io::stderr()),
    };
    std::thread::Builder::new().name("log".to_owned()).spawn(move || {
        // On a disk that hangs, this thread alone keeps what it has open.
        let _ = own_descriptor_table();
        write_all(&waiting, &mut out, form);
    })?;
    let said = std::env::var("TABLETD_LOG").ok().filter(|text| text.parse::<EnvFilter>().is_ok());
    let level = said.unwrap_or_else(|| level.to_owned());
    let filter = EnvFilter::new(&level);
    levels().all = level;
    let writer = Lines { form, level: Level::INFO, queue: lines.clone() };
    let plain = tracing_subscriber::fmt().log_internal_errors(false).with_ansi(false).with_writer(writer);
    match form {
        Form::Text => {
            let subscriber = plain.with_env_filter(filter).with_filter_reloading();
            let handle = subscriber.reload_handle();
            begin(subscriber.finish(), Box::new(move |filter| handle.reload(filter).is_ok()));
        }
        Form::Journal => {
            let bare = plain.without_time().with_level(false);
            let subscriber = bare.with_env_filter(filter).with_filter_reloading();
            let handle = subscriber.reload_handle();
            begin(subscriber.finish(), Box::new(move |filter| handle.reload(filter).is_ok()));
        }
        Form::Json => {
            let flat = plain.json().flatten_event(true).with_span_list(false).with_current_span(false);
            let subscriber = flat.with_env_filter(filter).with_filter_reloading();
            let handle = subscriber.reload_handle();
            begin(subscriber.finish(), Box::new(move |filter| handle.reload(filter).is_ok()));
        }
    }
    Ok(Log(lines))
}

fn begin(subscriber: impl Subscriber + Send + Sync + 'static, set_filter: SetFilter) {
    let _ = FILTER.set(set_filter);
    subscriber.init();
}

/// From now on, events of `level` and above.
pub fn set_level(level: &str) {
    let mut levels = levels();
    level.clone_into(&mut levels.all);
    apply(&levels);
}

/// From now on, what a module of this program (`engine`, `engine::schedule`) has to say beyond that: from 1, nearly
/// everything; from 10, all; below 1, nothing. Returns what it was before.
pub fn set_module_level(module: &str, level: i32) -> i32 {
    let mut levels = levels();
    let before = match level {
        1.. => levels.modules.insert(module.to_owned(), level),
        _ => levels.modules.remove(module),
    };
    apply(&levels);
    before.unwrap_or(NOTHING_MORE)
}

fn levels() -> MutexGuard<'static, Levels> {
    LEVELS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn apply(levels: &Levels) {
    if let Some(set) = FILTER.get() {
        set(EnvFilter::new(levels.directives()));
    }
}

#[derive(Debug, Clone)]
struct Lines {
    form: Form,
    /// Of the event that is written.
    level: Level,
    queue: SyncSender<Message>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self {
        Self { level: *event.level(), ..self.clone() }
    }
}

impl Write for Lines {
    /// Is handed one event at a time, whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = match self.form {
            Form::Text => one_line(event),
            Form::Json => json_line(event),
            Form::Journal => [priority(self.level), &one_line(event)].concat(),
        };
        if self.queue.try_send(Message::Line(line)).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The priority of syslog(3) that a level is, as the journal reads it at the front of a line.
fn priority(level: Level) -> &'static [u8] {
    match level {
        Level::ERROR => b"<3>",
        Level::WARN => b"<4>",
        Level::INFO => b"<6>",
        _ => b"<7>",
    }
}

/// The word about lines that were dropped, as a line of the log.
fn word_of_loss(form: Form, count: u64) -> String {
    let text = format!("{} dropped", counted_as(count, "line of this log was", "lines of this log were"));
    match form {
        Form::Text => format!("{text}\n"),
        Form::Journal => format!("<4>{text}\n"),
        Form::Json => {
            let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            let level = "WARN";
            format!("{}\n", serde_json::json!({ "timestamp": now, "level": level, "message": text }))
        }
    }
}

/// An event of JSON, which escapes control characters itself. Where it is too long its message is cut, so that it still
/// is one object.
fn json_line(event: &[u8]) -> Vec<u8> {
    if event.len() <= LINE_BYTES_MAX {
        return event.to_vec();
    }
    let Ok(mut object) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(event) else {
        return one_line(event);
    };
    for value in object.values_mut() {
        if let serde_json::Value::String(text) = value {
            shorten(text, LINE_BYTES_MAX / 8);
        }
    }
    let mut line = serde_json::Value::from(object).to_string();
    line.push('\n');
    line.into_bytes()
}

/// An event as one line, with its control characters escaped and its end cut off where it is too long.
fn one_line(event: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(event);
    let mut line = printable(text.trim_end_matches('\n'));
    shorten(&mut line, LINE_BYTES_MAX);
    line.push('\n');
    line.into_bytes()
}

fn shorten(text: &mut String, most: usize) {
    if text.len() > most {
        let end = text.floor_char_boundary(most);
        let cut_off = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("... ({cut_off} bytes cut off)"));
    }
}

/// Lines that are written with one call at most, but for the last of them.
const CHUNK_BYTES: usize = 8 << 10;
/// How long a line waits for others: of a burst each would be a call of its own.
const GATHER: Duration = Duration::from_millis(5);

fn write_all(waiting: &Receiver<Message>, out: &mut dyn Write, form: Form) {
    let mut told = 0;
    // Half a line may stand there.
    let mut broken = false;
    while let Ok(message) = waiting.recv() {
        let (lines, flushed) = gather(message, waiting);
        let dropped = dropped_lines();
        let mut text = Vec::new();
        if broken {
            text.push(b'\n');
        }
        if dropped > told {
            text.extend(word_of_loss(form, dropped - told).into_bytes());
        }
        let mut ends = Vec::with_capacity(lines.len());
        for line in lines {
            text.extend(line);
            ends.push(text.len());
        }
        if !ends.is_empty() {
            let written = write_as_far_as_it_goes(out, &text);
            broken = written < text.len();
            let lost = ends.iter().filter(|end| **end > written).count();
            DROPPED.fetch_add(lost as u64, Ordering::Relaxed);
            if !broken {
                told = dropped;
            }
        }
        if let Some(flushed) = flushed {
            let _ = flushed.send(());
        }
    }
}

/// Returns how much of it was written.
fn write_as_far_as_it_goes(out: &mut dyn Write, text: &[u8]) -> usize {
    let mut written = 0;
    while written < text.len() {
        match out.write(&text[written..]) {
            Ok(more) if more > 0 => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    written
}

/// What is to be written together, and who waits for it.
fn gather(first: Message, waiting: &Receiver<Message>) -> (Vec<Vec<u8>>, Option<SyncSender<()>>) {
    let until = Instant::now() + GATHER;
    let (mut lines, mut bytes) = (Vec::new(), 0);
    let mut message = first;
    loop {
        match message {
            Message::Line(line) => {
                bytes += line.len();
                lines.push(line);
            }
            Message::Flush(done) => return (lines, Some(done)),
        }
        if bytes >= CHUNK_BYTES {
            return (lines, None);
        }
        match waiting.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(next) => message = next,
            Err(_) => return (lines, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_is_one_line() {
        for (event, line) in [
            ("plain\n", "plain\n".to_owned()),
            ("a\n2026-11-28 INFO forged\u{1b}[2J\n", "a\\n2026-11-28 INFO forged\\u{1b}[2J\n".to_owned()),
            (&"é".repeat(9000), format!("{}... (1616 bytes cut off)\n", "é".repeat(8192))),
        ] {
            assert_eq!(String::from_utf8(one_line(event.as_bytes())).unwrap(), line);
        }
    }

    #[test]
    fn a_long_event_of_json_is_still_an_object() {
        let event = serde_json::json!({"level": "INFO", "message": "é".repeat(20_000)}).to_string() + "\n";
        let line = json_line(event.as_bytes());
        assert!(line.len() < LINE_BYTES_MAX && line.ends_with(b"\n"));
        let object: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(object["level"], "INFO");
        assert!(object["message"].as_str().is_some_and(|text| text.ends_with(" bytes cut off)")));
    }

    #[test]
    fn a_loss_is_told_in_the_form_of_the_log() {
        let object: serde_json::Value = serde_json::from_str(&word_of_loss(Form::Json, 3)).unwrap();
        assert_eq!(
            (&object["level"], &object["message"]),
            (&"WARN".into(), &"3 lines of this log were dropped".into())
        );
        assert_eq!(word_of_loss(Form::Journal, 1), "<4>1 line of this log was dropped\n");
    }

    /// Takes so many bytes, then nothing.
    struct Disk {
        kept: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.room -= taken;
            self.kept.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_counted_and_told_later() {
        let mut disk = Disk { kept: Vec::new(), room: 8 };
        let send = |disk: &mut Disk, lines: &[&str]| {
            let (sender, receiver) = sync_channel(10);
            lines.iter().for_each(|line| sender.try_send(Message::Line(one_line(line.as_bytes()))).unwrap());
            drop(sender);
            write_all(&receiver, disk, Form::Text);
        };
        let before = dropped_lines();
        send(&mut disk, &["first", "second", "third"]);
        assert_eq!(dropped_lines() - before, 2);
        assert_eq!(disk.kept, b"first\nse");
        disk.room = 1000;
        send(&mut disk, &["fourth"]);
        assert!(String::from_utf8(disk.kept).unwrap().ends_with(" lines of this log were dropped\nfourth\n"));
    }
}
