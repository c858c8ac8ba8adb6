//! Whole lives of a node in virtual time: the engine as it is, on a machine in memory.
//!
//! A scenario is a seed: it draws a node of a few disks, what its operators and its disks do, where its process dies and in
//! which order its threads run. Each life is a process of its own, forked from this one, so that nothing of one life is in
//! the next but what the disks kept. The same seed makes the same scenario, and of one that breaks a promise events are
//! taken out until each that is left is needed.
//!
//! | room | subject |
//! |---|---|
//! | [`machine`] | threads, time, disks and the C library in one process |
//! | [`world`] | a node's disks, from outside |
//! | [`event`], [`plot`], [`scenario`] | what happens, the lives it makes, and fewer of them |
//! | [`life`], [`operator`] | one process of the node, and those who give it orders |
//! | [`left_out`] | proof that a defect is found |
//! | [`judge`], [`oracle`] | what must be true of a node that runs, and of its disks |

mod event;
mod judge;
mod left_out;
mod life;
mod machine;
mod operator;
mod oracle;
mod plot;
#[path = "../faults/rng.rs"]
#[allow(dead_code)]
mod rng;
mod scenario;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use scenario::{Logs, Scenario, Tally, shrink};

#[global_allocator]
static MEMORY: machine::threads::Interrupting = machine::threads::Interrupting;

/// Lives a node's lives in virtual time, by seed; prints what it did as one JSON line, and fails on a broken promise.
#[derive(Debug, Parser)]
#[command(name = "simulation")]
struct Arguments {
    /// Begin no further scenario after so many seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Seed of the first scenario; the following ones count up from it.
    #[arg(long, default_value_t = 5000)]
    seed: u64,
    /// Live so many scenarios, whatever the time.
    #[arg(long)]
    scenarios: Option<u64>,
    /// Leave out each rule of the engine's in turn, and fail where that breaks no promise in the scenarios that are known to
    /// find it; with SECONDS, in any from --seed on in that time.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1)]
    without_rules: Option<Option<u64>>,
    /// Go on after a broken promise, with the next seed.
    #[arg(long)]
    go_on: bool,
    /// Do not look for fewer events that break a promise too.
    #[arg(long)]
    as_found: bool,
    /// Print the log of every life.
    #[arg(long)]
    log: bool,
    /// A filter, as `cargo test NAME` hands it to every test: there is one test here, which it never chooses.
    #[arg(hide = true)]
    filter: Option<String>,
    /// Options of the standard test runner, accepted and without effect.
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, short, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    show_output: bool,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    #[arg(long, hide = true)]
    list: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        println!("simulation: test");
        return ExitCode::SUCCESS;
    }
    if arguments.filter.is_some_and(|part| !"simulation".contains(part.as_str())) {
        return ExitCode::SUCCESS;
    }
    if let Some(seconds) = arguments.without_rules {
        return left_out::each_rule(seconds.map(|seconds| (seconds, arguments.seed)));
    }
    let first = arguments.seed;
    println!("simulation: seed {first}");
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut seed = first;
    let goes_on = |seed: u64| match arguments.scenarios {
        Some(scenarios) => seed - first < scenarios,
        None => begun.elapsed() < Duration::from_secs(arguments.seconds),
    };
    let logs = if arguments.log { Logs::Shown } else { Logs::Hidden };
    while goes_on(seed) {
        let scenario = Scenario::draw(seed);
        if let Err(why) = scenario.live(logs, &mut tally) {
            tally.violations += 1;
            println!("seed {seed}: {why}");
            if !arguments.as_found {
                report(seed, scenario, why, arguments.log);
            }
            if !arguments.go_on {
                break;
            }
        }
        seed += 1;
    }
    println!(
        "{{\"lives\":{},\"events\":{},\"recoveries\":{},\"violations\":{},\"seed\":{first}}}",
        tally.lives, tally.events, tally.recoveries, tally.violations
    );
    if tally.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says what was broken, and the few events that are needed for it.
fn report(seed: u64, scenario: Scenario, why: String, log: bool) {
    let (short, why) = shrink(scenario, why, &mut Tally::default());
    println!("with these events alone: {why}");
    for (at, event) in &short.events {
        println!("  {at:3}  {event}");
    }
    if !log {
        let _ = short.live(Logs::Shown, &mut Tally::default());
    }
    println!("again: cargo test --test simulation -- --seed {seed} --scenarios 1");
}
