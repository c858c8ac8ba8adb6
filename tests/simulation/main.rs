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
//! | [`world`] | a node's disks and what is put on them before its first life |
//! | [`life`] | one process of the node, from its start to its end |
//! | [`oracle`] | what must be true |
//! | [`rng`] | choices by a seed |

mod life;
mod machine;
mod oracle;
#[path = "../faults/rng.rs"]
#[allow(dead_code)]
mod rng;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use rng::Rng;

#[global_allocator]
static MEMORY: machine::threads::Interrupting = machine::threads::Interrupting;

/// Lives a node's lives in virtual time, by seed; prints what it did as one JSON line, and fails on a broken promise.
#[derive(Debug, Parser)]
#[command(name = "simulation")]
struct Arguments {
    /// Begin no further scenario after so many seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Seed of the first scenario; the following ones count up from it. Fresh and printed if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Live so many scenarios, whatever the time.
    #[arg(long)]
    scenarios: Option<u64>,
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

/// What was done.
#[derive(Debug, Default)]
struct Tally {
    lives: u64,
    events: u64,
    recoveries: u64,
    violations: u64,
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
    let first = arguments.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0 >> 32);
    println!("simulation: seed {first}");
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut seed = first;
    let goes_on = |seed: u64| match arguments.scenarios {
        Some(scenarios) => seed - first < scenarios,
        None => begun.elapsed() < Duration::from_secs(arguments.seconds),
    };
    while goes_on(seed) {
        if let Err(why) = scenario(seed, arguments.log, &mut tally) {
            tally.violations += 1;
            println!("seed {seed}: {why}");
            break;
        }
        seed += 1;
    }
    println!(
        "{{\"lives\":{},\"events\":{},\"recoveries\":{},\"violations\":{},\"seed\":{first}}}",
        tally.lives, tally.events, tally.recoveries, tally.violations
    );
    if tally.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One scenario: lives until all that was planned has happened.
fn scenario(seed: u64, log: bool, tally: &mut Tally) -> Result<(), String> {
    let mut rng = Rng::named(seed, "scenario");
    let mut world = world::World::new(&mut rng);
    let kills = 1 + rng.index(3);
    for n in 0..=kills {
        let plan = life::Plan {
            seed: rng.next(),
            orders: if n == 0 { vec![life::Order::Move { tablet: 0, to: 1 }] } else { Vec::new() },
            die_at_call: (n < kills).then(|| 1 + rng.below(1500)),
        };
        let lived = life::live(&mut world, &plan)?;
        tally.lives += 1;
        tally.events += plan.orders.len() as u64;
        tally.recoveries += u64::from(n > 0);
        if log {
            println!("-- life {n}: {} calls, {} ms\n{}", lived.calls, lived.now_ns / 1_000_000, lived.said);
        }
        if let Some(why) = lived.broken {
            return Err(format!("life {n}: {why}\n{}", lived.said));
        }
        if lived.was_killed && rng.coin() {
            world.cut(&mut rng);
        }
    }
    oracle::judge(&world)
}
