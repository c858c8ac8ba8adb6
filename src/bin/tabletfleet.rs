//! `tabletfleet`: opens its store, keeps its leadership, looks at its members, serves its API, stops in order.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tabletd::api::{Access, Limits, Server, Tls};
use tabletd::config::Config;
use tabletd::fleet::{self, Arguments, Desk};
use tabletd::logging;
use tabletd::members::Credentials;
use tabletd::service::Notify;
use tabletd::store::{self, Process};
use tokio::signal::unix::{SignalKind, signal};

/// Time given to requests under way when the process stops.
const HTTP_GRACE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = match logging::start("info", logging::Form::Text, None) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("tabletfleet: the log cannot begin: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = run(&arguments);
    drop(log);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("tabletfleet cannot start:\n{reason}");
            ExitCode::FAILURE
        }
    }
}

/// The door is the daemon's: its keys are set from the command line, the others are what they are by default.
fn door(arguments: &Arguments) -> Config {
    let file = |name: &str| arguments.state_dir.join(name).display().to_string();
    Config {
        state_dir: arguments.state_dir.display().to_string(),
        webserver_bind_host: arguments.host,
        webserver_port: arguments.port,
        tokens_file: file("tokens"),
        audit_log_file: file("audit.log"),
        tls_certificate_file: arguments.tls_certificate.clone(),
        tls_private_key_file: arguments.tls_private_key.clone(),
        ..Config::default()
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let notify = Notify::from_env();
    if arguments.store.is_some() && !arguments.tls_certificate.is_empty() {
        return Err("--tls-certificate: processes pass changes on to each other in the clear; leave it out with --store"
            .to_owned());
    }
    let store =
        store::open(&arguments.state_dir, arguments.store.as_deref()).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("http").build();
    let runtime = runtime.map_err(|error| format!("cannot start the HTTP threads: {error}"))?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        let both =
            signal(SignalKind::terminate()).and_then(|one| Ok((one, signal(SignalKind::interrupt())?)));
        both.map_err(|error| format!("cannot watch for signals: {error}"))?
    };
    let config = door(arguments);
    let access = Access::new(&config).map_err(|error| error.to_string())?;
    let tls = Tls::new(&config).map_err(|error| error.to_string())?;
    let server = Server::bind(arguments.host, arguments.port, Limits::from(&config), access)
        .map_err(|error| format!("cannot listen on {}:{}: {error}", arguments.host, arguments.port))?
        .with_tls(tls);
    let process = Process {
        name: name(arguments)?,
        addr: arguments.advertise.clone().unwrap_or_else(|| server.local_addr().to_string()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let credentials = Credentials::new(arguments.credentials_dir.clone());
    let desk = Desk::new(store, process, credentials, Duration::from_secs(arguments.poll_sec));
    let keeper = start("keeper", &desk, fleet::keep)?;
    let watcher = start("watcher", &desk, |desk| {
        if let Err(error) = fleet::watch(desk) {
            tracing::error!("members cannot be looked at: {error}");
            desk.stop();
        }
    })?;
    notify.ready();
    let asked = {
        let desk = Arc::clone(&desk);
        async move {
            let left = async {
                while !desk.is_stopping() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = left => {}
            }
        }
    };
    let served = runtime.block_on(server.serve_routes(fleet::routes(Arc::clone(&desk)), asked, HTTP_GRACE));
    notify.stopping();
    desk.stop();
    let _ = keeper.join();
    let _ = watcher.join();
    runtime.shutdown_background();
    served.map(drop).map_err(|error| error.to_string())
}

fn start(
    name: &str,
    desk: &Arc<Desk>,
    work: impl FnOnce(&Arc<Desk>) + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, String> {
    let desk = Arc::clone(desk);
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&desk));
    started.map_err(|error| format!("cannot start the thread {name}: {error}"))
}

/// As it was given, or the host's.
fn name(arguments: &Arguments) -> Result<String, String> {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let name = arguments.name.clone().unwrap_or_else(host);
    tabletd::model::fleet::check_name("--name", &name).map_err(|error| error.to_string())?;
    Ok(name)
}
