//! tabletd end to end against what people copy directories with, and against what the disks can do.
//!
//! Run by `scripts/bench.sh`, which makes the file systems; directly it wants `--source DIR --dest DIR`. In one run all
//! contestants alternate, each with cold caches; medians are reported. Nothing here is part of the daemon.

mod contestant;
mod daemon;
mod foreground;
mod limit;
mod machine;
mod plot;
mod report;
mod scale;
mod workload;

use std::path::PathBuf;

use clap::Parser;

use contestant::{Contestant, Place};
use report::Report;
use workload::Workload;

#[derive(Parser)]
#[command(
    about = "Measures tabletd end to end against other ways to copy a directory, and against the disks' limit",
    // The last one said wins: the script's own come first.
    args_override_self = true
)]
struct Arguments {
    /// Directory on the disk that is copied from; subdirectories are made in it.
    #[arg(long)]
    source: Option<PathBuf>,
    /// Directory on the disk that is copied to.
    #[arg(long)]
    dest: Option<PathBuf>,
    /// Directory for the daemon's journal, on a disk of its own as on a real node; beside the source when not given.
    #[arg(long)]
    state: Option<PathBuf>,
    /// What these disks are, for the report: a name of letters, digits and dashes.
    #[arg(long, default_value = "given")]
    disks: String,
    /// Workloads: L, S, M, T.
    #[arg(long, value_delimiter = ',', default_value = "L,M,S,T")]
    workload: Vec<String>,
    /// Only the contestants whose name contains one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rounds; each contestant runs once in each.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// A tenth of the bytes, to see that everything works.
    #[arg(long)]
    quick: bool,
    /// Leave out the verification pass of the peers.
    #[arg(long)]
    unverified: bool,
    /// Further lines of be.conf for the daemon, e.g. `copy_threads_per_migration = 8`.
    #[arg(long)]
    conf: Vec<String>,
    /// Instead: nodes of that many tablets, their start, memory and queue.
    #[arg(long, value_delimiter = ',')]
    scale: Vec<u64>,
    /// Instead: what a reader of the source disk feels while tablets move, with the daemon idle, adaptive and
    /// unthrottled, and with rsync. Of the first workload given.
    #[arg(long)]
    foreground: bool,
    /// Where the report goes.
    #[arg(long, default_value = "benches/results")]
    results: PathBuf,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), String> {
    let arguments = Arguments::parse();
    let (Some(source), Some(dest)) = (&arguments.source, &arguments.dest) else {
        println!(
            "peers: nothing measured; scripts/bench.sh makes disks and runs this, or give --source and --dest"
        );
        return Ok(());
    };
    if !arguments.scale.is_empty() {
        let found: Result<Vec<_>, _> =
            arguments.scale.iter().map(|tablets| scale::run(*tablets, source, dest)).collect();
        return report::write_scale(&arguments.results, &arguments.disks, &found?);
    }
    let mut report = Report::new(&arguments.disks);
    for letter in &arguments.workload {
        let workload = Workload::named(letter, arguments.quick)?;
        eprintln!("{}: laying out {} on {}", letter, workload.describe(), source.display());
        let mut place = Place::new(workload.clone(), source, dest, &arguments.conf)?;
        if let Some(state) = &arguments.state {
            place.scratch = state.join("tabletd-bench.daemon");
        }
        place.lay_out()?;
        if arguments.foreground {
            foreground::run(&place, arguments.rounds, &arguments.disks, &arguments.results)?;
            return place.remove();
        }
        let (present, missing) = contestant::for_workload(&workload, &arguments.only);
        for name in missing {
            eprintln!("{letter}: {name} is not installed");
            report.missing(letter, name);
        }
        for round in 0..arguments.rounds {
            // Another one goes first in each round.
            let order = (0..present.len()).map(|n| &present[(n + round) % present.len()]);
            for contestant in order {
                let run = contestant.run(&place, !arguments.unverified)?;
                eprintln!("{letter} {}/{}: {}", round + 1, arguments.rounds, run.line(contestant.name()));
                report.add(letter, &workload, contestant.name(), run);
            }
        }
        place.remove()?;
        let names: Vec<_> = present.iter().map(|contestant| Contestant::name(contestant)).collect();
        println!("{}", report.table(letter, &names));
        // After each: a run that is broken off leaves what it has.
        report.write(&arguments.results)?;
    }
    Ok(())
}
