//! The fault suite: real file systems on disks that fail on demand, and a scoreboard of what held.
//!
//! `cargo test --test faults` runs the short scale. It has a runner of its own, because the binary must become the
//! server of the fault disks, must enter a mount namespace before any thread exists, and must say what it did not run.
//!
//! | room | subject |
//! |---|---|
//! | [`disk`] | block devices with a write log, power cuts and faults |
//! | [`mounts`], [`loopdev`], [`godown`] | real file systems, mounted by guards |
//! | [`strace`], [`census`] | one fault in one system call, for every call of a run |
//! | [`scenario`], [`scoreboard`], [`rng`] | what is tried, how it is counted, by which seed |
//! | [`sandbox`] | leaving nothing behind |
//! | [`node`] | the daemon under each of these faults |
//! | [`second`] | each point of a migration crossed with what an operator or a disk does next |
//! | [`selftest`] | proof that the tools themselves can fail a test |

mod census;
mod disk;
mod explain;
mod godown;
#[path = "../support/mod.rs"]
mod harness;
mod loopdev;
mod mounts;
mod node;
mod rng;
mod sandbox;
mod scenario;
mod scoreboard;
mod second;
mod selftest;
mod strace;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use clap::Parser;

use scenario::{Bench, Need, Scale, Scenario};
use scoreboard::{NotRun, Scoreboard, Verdict};

/// Set to 1 where the whole suite must run: what did not run is then a failure.
const REQUIRE_ROOT_TESTS: &str = "TABLETD_REQUIRE_ROOT_TESTS";

/// Faults injected, promises held: prints tried / held / lost / not run per kind.
#[derive(Debug, Parser)]
#[command(name = "faults")]
struct Arguments {
    /// Run scenarios whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// The same, as `cargo test NAME` hands it to every test.
    filter: Option<String>,
    /// Seed of all choices; fresh and printed if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// How much to try.
    #[arg(long, value_enum, default_value = "short")]
    scale: Scale,
    /// Write the scoreboard as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Run nothing: add up these scoreboards of earlier runs.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    sum: Vec<PathBuf>,
    /// List the scenarios and stop.
    #[arg(long)]
    list: bool,
    /// Remove what dead runs left and stop. Every run does this first.
    #[arg(long)]
    cleanup: bool,
    /// Options of the standard test runner, accepted and without effect, so that `cargo test -- --nocapture` works.
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, short, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    show_output: bool,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
}

fn main() -> ExitCode {
    if let Some(code) = become_helper() {
        return code;
    }
    let arguments = Arguments::parse();
    let chosen = |scenario: &&Scenario| {
        let wanted = [&arguments.only, &arguments.filter];
        wanted.into_iter().flatten().all(|part| scenario.name.contains(part.as_str()))
    };
    let all = selftest::scenarios().into_iter().chain(node::scenarios()).chain(second::scenarios());
    let scenarios: Vec<_> = all.filter(|scenario| chosen(&scenario)).collect();
    if arguments.list {
        scenarios.iter().for_each(|scenario| println!("{}: test", scenario.name));
        return ExitCode::SUCCESS;
    }
    if !arguments.sum.is_empty() {
        return match Scoreboard::sum(&arguments.sum) {
            Ok(board) => report(&board, arguments.json.as_deref()),
            Err(error) => {
                eprintln!("faults: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if sandbox::is_root() {
        sandbox::sweep_leftovers().iter().for_each(|line| println!("left by a dead run: {line}"));
        if let Err(error) = sandbox::enter_private_namespace() {
            eprintln!("faults: {error}");
            return ExitCode::FAILURE;
        }
    }
    if arguments.cleanup {
        return ExitCode::SUCCESS;
    }

    let seed = arguments.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0 >> 16);
    let scale = format!("{:?}", arguments.scale).to_lowercase();
    println!("faults: {} scenarios, seed {seed}, scale {scale}", scenarios.len());
    let mut board = Scoreboard::new(seed, scale);
    for scenario in &scenarios {
        let begun = Instant::now();
        attempt(scenario, seed, arguments.scale, &mut board);
        println!("  {:6.1} s  {}", begun.elapsed().as_secs_f64(), scenario.name);
    }
    board
        .note_work(harness::CAME_UP.load(Ordering::Relaxed), harness::BYTES_VERIFIED.load(Ordering::Relaxed));
    report(&board, arguments.json.as_deref())
}

/// Prints the board, files it, and says what it amounts to.
fn report(board: &Scoreboard, file: Option<&Path>) -> ExitCode {
    println!("\n{board}");
    if let Some(path) = file
        && let Err(error) = std::fs::write(path, board.to_json())
    {
        eprintln!("faults: cannot write {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    let all_must_run = std::env::var(REQUIRE_ROOT_TESTS).is_ok_and(|value| value == "1");
    match board.verdict(all_must_run) {
        Verdict::Held => ExitCode::SUCCESS,
        Verdict::Failed => ExitCode::FAILURE,
    }
}

/// Runs one scenario, or notes why it cannot run.
fn attempt(scenario: &Scenario, seed: u64, scale: Scale, board: &mut Scoreboard) {
    let missing: Vec<_> = scenario.needs.iter().copied().filter_map(Need::missing).collect();
    // A build without fault injection is not a machine that lacks something: the build that has it runs these.
    if let (Some(why), true) =
        (Need::FaultInjection.missing(), scenario.needs.contains(&Need::FaultInjection))
    {
        return board.not_run(scenario.name, NotRun::LeftOut(why));
    }
    if !missing.is_empty() {
        return board.not_run(scenario.name, NotRun::Missing(missing.join(", ")));
    }
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let scratch = sandbox::Scratch::new()?;
        (scenario.run)(&mut Bench { name: scenario.name, scratch, scale, seed, board: &mut *board })
    }));
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => board.not_run(scenario.name, NotRun::Broken(error.to_string())),
        Err(_) => board.not_run(scenario.name, NotRun::Broken("panicked, see above".into())),
    }
}

/// The hidden subcommands: processes that the suite starts of itself.
fn become_helper() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next()?;
    let rest: Vec<_> = arguments.collect();
    let outcome = match name.to_str()? {
        disk::SUBCOMMAND => disk::serve(&rest),
        name => selftest::play(name, &rest)?,
    };
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("faults {}: {error}", name.display());
            ExitCode::FAILURE
        }
    })
}
