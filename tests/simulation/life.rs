//! One process of the node, from its start to its end.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use tabletd::config::Config;
use tabletd::engine::{Contract as _, Destination, Engine, MigrationFilter, Precondition, Submit};
use tabletd::model::{Mode, Priority, TabletKey};

use crate::machine::calls_write;
use crate::machine::image::{Reader, Writer};
use crate::machine::threads::{self, inside};
use crate::machine::{Ending, Machine};
use crate::rng::Rng;
use crate::world::World;

/// A life that lasts longer is locked up.
const LONGEST_NS: u64 = 24 * 3600 * 1_000_000_000;

/// What an operator orders.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    /// Move a tablet to a disk.
    Move { tablet: usize, to: usize },
}

/// What happens in one life.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Of its threads and of its disks' whims.
    pub(crate) seed: u64,
    pub(crate) orders: Vec<Order>,
    pub(crate) die_at_call: Option<u64>,
}

/// What came of it.
pub(crate) struct Lived {
    pub(crate) was_killed: bool,
    pub(crate) broken: Option<String>,
    pub(crate) calls: u64,
    pub(crate) now_ns: u64,
    pub(crate) said: String,
}

/// Lives one life on the world's disks, in a process of its own.
pub(crate) fn live(world: &mut World, plan: &Plan) -> Result<Lived, String> {
    let (reader, writer) = std::io::pipe().map_err(|error| error.to_string())?;
    // SAFETY: this process has one thread, so that the child may do all that it may do.
    match unsafe { fork() }.map_err(|errno| format!("fork: {errno}"))? {
        ForkResult::Child => {
            drop(reader);
            be_the_node(world, plan, writer.as_raw_fd());
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let mut bytes = Vec::new();
            let mut reader = reader;
            reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            let status = waitpid(child, None).map_err(|errno| format!("waitpid: {errno}"))?;
            take_over(world, &bytes).ok_or_else(|| format!("the process ended without a word: {status:?}"))
        }
    }
}

fn be_the_node(world: &World, plan: &Plan, to: i32) -> ! {
    let machine = Machine {
        now_ns: 1_000_000_000,
        threads: Vec::new(),
        running: 0,
        rng: Rng::named(plan.seed, "threads"),
        quantum: [20, 200, 2000, 20_000][usize::try_from(plan.seed % 4).unwrap_or(0)],
        moments_left: 1,
        files: world.files(),
        calls: 0,
        die_at_call: plan.die_at_call,
        end_by_ns: LONGEST_NS,
        said: Vec::new(),
        notes: world.notes.clone(),
        pthreads: Vec::new(),
        finish: Box::new(move |machine, ending| hand_over(machine, &ending, to)),
    };
    let keys: Vec<_> = world.tablets.keys().copied().collect();
    let disks: Vec<_> = world.mounts[2..].iter().map(|(path, _)| path.clone()).collect();
    let plan = plan.clone();
    // A thread of its own: what belongs to the thread that forked was made in another life.
    let first = std::thread::Builder::new().name("node".to_owned()).stack_size(8 << 20).spawn(move || {
        threads::begin(Box::new(machine));
        let ending = match run(&plan, &keys, &disks) {
            Ok(()) => Ending::Done,
            Err(why) => Ending::Broken(why),
        };
        inside(|machine| machine.end(ending));
    });
    let _ = first.map(std::thread::JoinHandle::join);
    std::process::abort();
}

/// Writes what is left to the parent and ends the process, whatever its threads are at.
fn hand_over(machine: &mut Machine, ending: &Ending, to: i32) {
    let (kind, why) = match ending {
        Ending::Done => (0, ""),
        Ending::Killed => (1, ""),
        Ending::LockedUp(why) | Ending::Broken(why) => (2, why.as_str()),
    };
    let mut out = Writer::default();
    out.number(kind);
    out.text(why);
    out.number(machine.calls);
    out.number(machine.now_ns);
    out.bytes(&machine.said);
    out.number(machine.notes.len() as u64);
    machine.notes.iter().for_each(|note| out.text(note));
    out.number(machine.files.disks.len() as u64);
    for disk in &mut machine.files.disks {
        disk.sweep();
        out.disk(disk);
    }
    let mut rest = out.0.as_slice();
    while let Ok(count @ 1..) = usize::try_from(calls_write(to, rest)) {
        rest = &rest[count..];
    }
    // SAFETY: ends the process at once; nothing of it is needed any more.
    unsafe { libc::_exit(0) };
}

fn take_over(world: &mut World, bytes: &[u8]) -> Option<Lived> {
    let mut input = Reader(bytes);
    let (kind, why) = (input.number()?, input.text()?);
    let (calls, now_ns) = (input.number()?, input.number()?);
    let said = String::from_utf8_lossy(&input.bytes()?).into_owned();
    let notes = (0..input.number()?).map(|_| input.text()).collect::<Option<_>>()?;
    let disks = (0..input.number()?).map(|_| input.disk()).collect::<Option<_>>()?;
    (world.notes, world.disks) = (notes, disks);
    Some(Lived { was_killed: kind == 1, broken: (kind == 2).then_some(why), calls, now_ns, said })
}

/// What the log is written to.
struct Log;

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        inside(|machine| machine.said.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn note(line: String) {
    inside(|machine| machine.notes.push(line));
}

/// The node's first thread: starts the engine, gives the orders, waits until nothing moves, and stops.
fn run(plan: &Plan, keys: &[TabletKey], disks: &[String]) -> Result<(), String> {
    let _ = tracing_subscriber::fmt().with_writer(|| Log).without_time().with_ansi(false).try_init();
    let conf = "/sim/state/be.conf";
    let loaded = Config::load(Path::new(conf), &|_| None).map_err(|errors| format!("be.conf: {errors}"))?;
    let engine = Engine::start(loaded).map_err(|error| format!("no start: {error}"))?;
    for order in &plan.orders {
        give(&engine, order, keys, disks);
    }
    all_end(&engine)?;
    for key in keys {
        let view = engine.tablet(*key).ok_or_else(|| format!("tablet {key} is not known"))?;
        if let Some(why) = view.unavailable.or(view.damaged) {
            return Err(format!("tablet {key}: {why}"));
        }
    }
    engine.shutdown(Duration::from_secs(30));
    Ok(())
}

fn give(engine: &Engine, order: &Order, keys: &[TabletKey], disks: &[String]) {
    match order {
        Order::Move { tablet, to } => {
            let request = Submit {
                key: keys[*tablet],
                destination: Destination::Disk(disks[*to].clone()),
                mode: Mode::Auto,
                priority: Priority::default(),
                reason: "simulated".to_owned(),
                task: None,
                rate_bytes_per_sec: None,
                requested_by: "operator".to_owned(),
                idempotency: None,
                reverts: None,
                precondition: Precondition::default(),
            };
            match engine.submit(&request) {
                Ok(migration) => note(format!("accepted {}", migration.id)),
                Err(failure) => tracing::info!("refused: {}", failure.message),
            }
        }
    }
}

/// Waits until no migration has anything left to do.
fn all_end(engine: &Engine) -> Result<(), String> {
    for _ in 0..600 {
        let page = engine.migrations(&MigrationFilter::default()).map_err(|failure| failure.message)?;
        if page.items.iter().all(|migration| migration.status.is_final()) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Err("migrations never end".to_owned())
}
