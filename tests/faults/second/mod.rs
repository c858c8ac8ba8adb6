//! The second dimension: what happened first, crossed with what an operator or a disk does next.
//!
//! Each pair is a cell with a name. A round brings a fresh node of three disks in memory to the first, lets the second
//! happen, starts the node on what is left and asks the oracle ([`judge`]). Everything a round chooses comes from its seed
//! and its cell: `--only 'second event' --seed N` makes the same rounds again.
//!
//! | room | subject |
//! |---|---|
//! | [`first`], [`next`] | the two dimensions |
//! | [`judge`] | what must be true then |
//! | [`known`] | what is known not to be, yet |
//! | [`place`], [`memory`] | the node and its disks |

mod first;
mod judge;
mod known;
mod memory;
mod next;
mod place;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use first::First;
use next::Next;
use place::Place;

use crate::rng::Rng;
use crate::scenario::{Bench, Need, Scale, Scenario};

/// All of them.
pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "second event: first x next",
        needs: &[Need::FaultInjection, Need::Root],
        run: grid,
    }]
}

/// Rounds at the short scale: a sample of the grid.
const ROUNDS_SHORT: usize = 400;
/// Rounds of each cell at the long scale.
const ROUNDS_PER_CELL_LONG: usize = 8;
/// At once: a round waits for children and clocks more than it computes.
const WORKERS: usize = 4;

/// One field of the grid.
#[derive(Debug, Clone, Copy)]
struct Cell {
    first: First,
    next: Next,
}

impl Cell {
    fn all() -> Vec<Self> {
        let nexts = Next::all();
        First::all()
            .into_iter()
            .flat_map(|first| nexts.iter().map(move |&next| Self { first, next }))
            .collect()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, then {}", self.first, self.next)
    }
}

/// Which cells, in which order: each once before any comes twice. `TABLETD_CELL` takes those whose name contains it,
/// `TABLETD_GRID_ROUNDS` says how many rounds of them.
fn rounds(bench: &Bench<'_>) -> (usize, Vec<Cell>) {
    let mut cells = Cell::all();
    let total = cells.len();
    if let Ok(part) = std::env::var("TABLETD_CELL") {
        cells.retain(|cell| cell.to_string().contains(&part));
    }
    let mut rng = bench.rng();
    for at in (1..cells.len()).rev() {
        cells.swap(at, rng.index(at + 1));
    }
    let again = cells.len().max(1);
    let asked = std::env::var("TABLETD_GRID_ROUNDS").ok();
    let wanted = match (asked, bench.scale) {
        (Some(text), _) => text.parse().expect("TABLETD_GRID_ROUNDS is a number"),
        (None, Scale::Short) => ROUNDS_SHORT.min(again * ROUNDS_PER_CELL_LONG),
        (None, Scale::Long) => again * ROUNDS_PER_CELL_LONG,
    };
    (total, (0..wanted).map(|n| cells[n % again]).collect())
}

fn grid(bench: &mut Bench<'_>) -> io::Result<()> {
    let (total, rounds) = rounds(bench);
    let (seed, scratch) = (bench.seed, bench.scratch.path().to_owned());
    let begun = Instant::now();
    let turn = AtomicUsize::new(0);
    let (sender, found) = mpsc::channel();
    let mut covered: BTreeMap<String, u64> = BTreeMap::new();
    let mut known_broken: BTreeMap<&'static str, u64> = BTreeMap::new();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            let (sender, rounds, turn, scratch) = (sender.clone(), &rounds, &turn, &scratch);
            scope.spawn(move || {
                while let Some((at, cell)) = {
                    let at = turn.fetch_add(1, Ordering::Relaxed);
                    rounds.get(at).map(|cell| (at, cell))
                } {
                    let result = round(seed, at, *cell, scratch);
                    if sender.send((at, *cell, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (at, cell, result) in found {
            *covered.entry(cell.to_string()).or_default() += 1;
            match (result, known::known(&cell)) {
                (Err(_), Some(why)) => *known_broken.entry(why).or_default() += 1,
                (result, _) => {
                    bench.count(result.map_err(|what| format!("{cell} (round {at}): {what}")), |_| Ok(()))?;
                }
            }
        }
        Ok::<_, io::Error>(())
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("  {}: {} of {total} cells covered in {} rounds", bench.name, covered.len(), rounds.len());
    for (why, rounds) in known_broken {
        println!("  {}: known, {rounds} rounds: {why}", bench.name);
    }
    bench.board.figure(bench.name, "cells covered", covered.len() as f64);
    bench.board.figure(bench.name, "of", total as f64);
    bench.board.figure(bench.name, "rounds per second", rounds.len() as f64 / seconds);
    Ok(())
}

/// One life of one node. A panic of the harness is said like a violation: it proves nothing either way.
fn round(seed: u64, at: usize, cell: Cell, scratch: &Path) -> Result<(), String> {
    let mut rng = Rng::named(seed.wrapping_add(at as u64), &cell.to_string());
    let life = AssertUnwindSafe(|| {
        let sizes = [20_000 + rng.index(40_000), 5000, 0];
        let mut place = Place::new(scratch, &sizes[..1 + rng.index(3)])
            .map_err(|error| format!("no place to play: {error}"))?;
        let mut story = cell.first.bring(&mut place, &mut rng)?;
        cell.next.happen(&mut place, &mut story, &mut rng)?;
        judge::judge(&mut place, &story, cell.next, &mut rng)
    });
    std::panic::catch_unwind(life).unwrap_or_else(|_| Err("panicked, see above".to_owned()))
}
