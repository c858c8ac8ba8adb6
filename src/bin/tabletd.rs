//! The daemon: reads its configuration, starts the engine, serves HTTP, stops in order.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tabletd::model::counted;

use clap::Parser;
use nix::sys::signal::{SigHandler, Signal, signal};
use tabletd::api::{Access, Limits, Server, Stopped, Tls};
use tabletd::config::{Before, BrokenDisks, Config, Loaded, LogFormat};
use tabletd::engine::{Contract, Engine, has_run, misplaced_disks};
use tabletd::logging::{self, Rolling};
use tabletd::maintenance::is_doris_node;
use tabletd::maintenance_daemon::MaintenanceDaemon;
use tabletd::page;
use tabletd::service::{Arguments, Notify, check_kernel, stderr_is_the_journal};
use tokio::signal::unix::{SignalKind, signal as on_signal};

/// Time given to requests under way when the daemon stops.
const HTTP_GRACE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let loaded = match Config::load(&arguments.conf, &|name| std::env::var(name).ok()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            say(&errors);
            errors.ignored.iter().for_each(|key| say(key));
            return ExitCode::from(2);
        }
    };
    if arguments.check_config {
        return check(&loaded);
    }
    let ended = begin_log(&loaded.config).and_then(|log| {
        let ended = run(loaded, &arguments.without);
        drop(log);
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            say(&format!("tabletd cannot start:\n{reason}"));
            ExitCode::FAILURE
        }
    }
}

/// For whoever started it. Nobody may be there to read it, which is no reason to end in another way.
fn say(line: &dyn Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Says everything that would keep the daemon from starting, or that its operator should know.
fn check(loaded: &Loaded) -> ExitCode {
    let before = if has_run(Path::new(&loaded.config.state_dir)) { Before::HasRun } else { Before::NeverRan };
    let found = loaded.look(before);
    let mut problems: Vec<_> = found.problems.iter().map(ToString::to_string).collect();
    // The files themselves were looked at above: a second word about one that is not there helps nobody.
    if problems.is_empty() {
        problems.extend(Tls::check(&loaded.config).err().map(|error| error.to_string()));
    }
    problems.extend(Access::check(&loaded.config).err().map(|error| error.to_string()));
    problems.extend(is_doris_node(loaded).err());
    let roots: Vec<_> = loaded.roots.roots.iter().map(|root| root.path.as_str()).collect();
    let misplaced = misplaced_disks(Path::new(&loaded.config.state_dir), &roots);
    match loaded.config.ignore_broken_disk {
        BrokenDisks::LeaveOut => misplaced.iter().for_each(|disk| say(&format!("note: {disk}"))),
        BrokenDisks::RefuseStart => problems.extend(misplaced),
    }
    problems.iter().for_each(|problem| say(problem));
    loaded.ignored.iter().for_each(|key| say(key));
    found.notes.iter().for_each(|note| say(&format!("note: {note}")));
    loaded.notes.iter().chain(&loaded.exposed_files()).for_each(|note| say(&format!("note: {note}")));
    if !problems.is_empty() {
        return ExitCode::from(2);
    }
    println!("{}: no problem found", loaded.be_conf);
    ExitCode::SUCCESS
}

fn begin_log(config: &Config) -> Result<logging::Log, String> {
    let form = match config.log_format {
        LogFormat::Text if config.log_file.is_empty() && stderr_is_the_journal() => logging::Form::Journal,
        LogFormat::Text => logging::Form::Text,
        LogFormat::Json => logging::Form::Json,
    };
    let file = (!config.log_file.is_empty())
        .then(|| Rolling::open(Path::new(&config.log_file), config.log_max_bytes, config.log_keep_files))
        .transpose()
        .map_err(|error| format!("log_file {}: {error}", config.log_file))?;
    logging::start(config.sys_log_level.filter(), form, file)
        .map_err(|error| format!("the log cannot begin: {error}"))
}

fn run(loaded: Loaded, without: &[String]) -> Result<(), String> {
    check_kernel()?;
    let notify = Arc::new(Notify::from_env());
    for key in &loaded.ignored {
        tracing::warn!("{key}");
    }
    for note in loaded.notes.iter().cloned().chain(loaded.exposed_files()) {
        tracing::warn!("{note}");
    }
    // A file that grows past a limit of ours is an error of that write, not the end of the daemon.
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.map_err(|errno| errno.to_string())?;

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("http")
        .build()
        .map_err(|error| format!("cannot start the HTTP threads: {error}"))?;
    // Watched from here on: a SIGTERM during a long start is honoured at its end, not answered with a sudden death.
    let (stop, mut hang_up) = {
        let _inside = runtime.enter();
        let hang_up = on_signal(SignalKind::hangup());
        stop_asked()
            .and_then(|stop| Ok((stop, hang_up?)))
            .map_err(|error| format!("cannot watch for signals: {error}"))?
    };
    let config = loaded.config.clone();
    let access = Access::new(&config).map_err(|error| error.to_string())?;
    let tls = Tls::new(&config).map_err(|error| error.to_string())?;
    let (host, port) = (config.webserver_bind_host, config.webserver_port);
    let server = Server::bind(host, port, Limits::from(&config), access)
        .map_err(|error| {
            format!("cannot listen on {host}:{port} (webserver_bind_host, webserver_port): {error}")
        })?
        .also_named(&config.http_allowed_hosts)
        .with_tls(tls)
        .with_page(page::routes);
    notify.starting("opening disks and settling what was unfinished");
    let engine = start(loaded, without)?;
    let traces = begin_traces(&config, port, &engine)?;
    notify.ready();
    if notify.is_heard() {
        runtime.spawn(tell(Arc::clone(&notify), Arc::clone(&engine)));
    }
    {
        let (notify, engine) = (Arc::clone(&notify), Arc::clone(&engine));
        runtime.spawn(async move {
            while hang_up.recv().await.is_some() {
                let (notify, engine) = (Arc::clone(&notify), Arc::clone(&engine));
                // The files may be on a disk that hangs: the next one is heard all the same.
                tokio::task::spawn_blocking(move || reload(&notify, &*engine));
            }
        });
    }
    let served = runtime.block_on(server.serve(Arc::clone(&engine), stop, HTTP_GRACE));
    notify.stopping();
    match &served {
        Ok(Stopped::Drained) => tracing::info!("stopping: every request was answered"),
        Ok(Stopped::CutOff) => tracing::warn!("stopping: requests that were still under way were cut off"),
        Err(error) => tracing::error!("stopping: {error}"),
    }
    drop(traces);
    engine.shutdown(Duration::from_secs(u64::from(config.shutdown_grace_sec)));
    // A call that hangs with its disk must not keep the daemon from ending.
    runtime.shutdown_background();
    served.map(drop).map_err(|error| error.to_string())
}

/// The node that the configuration is of: its own roots, or those of a Doris backend that is stopped.
fn start(loaded: Loaded, without: &[String]) -> Result<Arc<dyn Contract>, String> {
    if is_doris_node(&loaded)? {
        return Ok(Arc::new(MaintenanceDaemon::start(loaded, without)?));
    }
    if let Some(path) = without.first() {
        return Err(format!(
            "--without {path}: no Doris backend has ever started with a root of this configuration"
        ));
    }
    Ok(Arc::new(Engine::start(loaded).map_err(|error| error.to_string())?))
}

/// Traces, where be.conf names a collector.
#[cfg(feature = "otlp")]
fn begin_traces(
    config: &Config,
    port: u16,
    engine: &Arc<dyn Contract>,
) -> Result<Option<tabletd::traces::Traces>, String> {
    if config.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let instance = format!("{}:{port}", host.trim());
    tabletd::traces::Traces::start(&config.otlp_endpoint, &instance, Arc::clone(engine)).map(Some)
}

/// What was left out of this build is not left out silently.
#[cfg(not(feature = "otlp"))]
fn begin_traces(config: &Config, _: u16, _: &Arc<dyn Contract>) -> Result<(), String> {
    let built = config.otlp_endpoint.is_empty();
    built
        .then_some(())
        .ok_or_else(|| "otlp_endpoint is set, and this tabletd was built without traces".to_owned())
}

/// On SIGHUP: be.conf and be_custom.conf once more. Whatever they say, the daemon goes on.
fn reload(notify: &Notify, engine: &dyn Contract) {
    notify.reloading();
    if let Err(failure) = tabletd::api::reload(engine) {
        tracing::error!("SIGHUP: {}", failure.message);
    }
    notify.ready();
}

/// Ready at SIGTERM or SIGINT, also at one that came before anybody waited.
fn stop_asked() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = on_signal(SignalKind::terminate())?;
    let mut interrupt = on_signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Tells the service manager how the node stands. A task of the runtime that serves HTTP: it stays silent when that is
/// stuck, and it looks at memory only, so that no disk can silence it.
async fn tell(notify: Arc<Notify>, engine: Arc<dyn Contract>) {
    let mut turn = tokio::time::interval(notify.every());
    loop {
        turn.tick().await;
        let totals = engine.totals();
        notify.alive(&format!(
            "{}, {} damaged, {} not served; migrations: {} running, {} waiting",
            counted(totals.tablets, "tablet"),
            totals.damaged.len(),
            totals.unavailable,
            totals.running,
            totals.queued
        ));
    }
}
