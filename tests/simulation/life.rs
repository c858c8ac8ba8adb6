//! One process of the node, from its start to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, alarm, fork};
use tabletd::config::Config;
use tabletd::engine::{Contract as _, Engine, MigrationFilter, TabletFilter};
use tabletd::model::{OperationState, Status, TabletKey};

use crate::event::{End, Event, Trouble};
use crate::judge;
use crate::machine::calls_write;
use crate::machine::files::Fail;
use crate::machine::image::{Reader, Writer};
use crate::machine::threads::{self, Wait, inside};
use crate::machine::{Ending, Machine};
use crate::operator;
use crate::rng::Rng;
use crate::world::{World, disk_in};

/// A life that lasts longer is locked up.
const LONGEST_NS: u64 = 3600 * 1_000_000_000;
/// The longest that a stop may take beyond its grace: every wait in it has a deadline.
const STOP_NS: u64 = 120 * 1_000_000_000;
/// Given to what runs when the node is stopped.
const GRACE: Duration = Duration::from_secs(30);
/// Real time that no life takes.
const REAL_SECONDS_MAX: u32 = 120;

/// What happens in one life.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Of its threads and of its disks' whims.
    pub(crate) seed: u64,
    pub(crate) events: Vec<Event>,
    pub(crate) end: End,
    /// Whether it is the life in which the node is judged: by these tablets, before or after the verbs.
    pub(crate) judges: Option<(BTreeSet<TabletKey>, Verbs)>,
}

/// What is typed when a tablet is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbs {
    /// Every verb that may help.
    Tried,
    /// None any more.
    Done,
}

/// What came of it.
pub(crate) struct Lived {
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
        die_at_call: None,
        end_by_ns: LONGEST_NS,
        said: Vec::new(),
        notes: world.notes.clone(),
        pthreads: Vec::new(),
        finish: Box::new(move |machine, ending| hand_over(machine, &ending, to)),
    };
    let tablets = world.tablets.clone();
    let plan = plan.clone();
    stay_on_one_processor(plan.seed);
    // Should the machine itself be stuck, the process ends without a word.
    alarm::set(REAL_SECONDS_MAX);
    // A thread of its own: what belongs to the thread that forked was made in another life.
    let first = std::thread::Builder::new().name("node".to_owned()).stack_size(8 << 20).spawn(move || {
        threads::begin(Box::new(machine));
        let ending = match run(&plan, &tablets) {
            Ok(()) => Ending::Done,
            Err(why) => Ending::Broken(why),
        };
        inside(|machine| machine.end(ending));
    });
    let _ = first.map(std::thread::JoinHandle::join);
    std::process::abort();
}

/// One thread runs at a time: handing the baton on is quickest where nobody else has to be woken up for it.
fn stay_on_one_processor(seed: u64) {
    let Ok(allowed) = sched_getaffinity(Pid::from_raw(0)) else { return };
    let processors: Vec<_> = (0..CpuSet::count()).filter(|n| allowed.is_set(*n).unwrap_or(false)).collect();
    let Some(processor) = processors.get(usize::try_from(seed >> 32).unwrap_or(0) % processors.len().max(1))
    else {
        return;
    };
    let mut one = CpuSet::new();
    let _ = one.set(*processor).and_then(|()| sched_setaffinity(Pid::from_raw(0), &one));
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
    Some(Lived { broken: (kind == 2).then_some(why), calls, now_ns, said })
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

/// Notes what the node has acknowledged.
pub(crate) fn note(line: String) {
    inside(|machine| machine.notes.push(line));
}

/// What was acknowledged so far, in this life and before.
pub(crate) fn notes() -> Vec<String> {
    inside(|machine| machine.notes.clone())
}

/// The node's first thread: starts the engine, lets happen what happens, and ends.
fn run(plan: &Plan, tablets: &judge::Tablets) -> Result<(), String> {
    std::panic::set_hook(Box::new(|panic| {
        let why = panic.to_string();
        inside(|machine| machine.end(Ending::Broken(why)));
    }));
    let _ = tracing_subscriber::fmt().with_writer(|| Log).without_time().with_ansi(false).try_init();
    let (before, after) = match plan.events.split_first() {
        Some((first @ Event::DieAfter { .. }, rest)) => (Some(first), rest),
        _ => (None, plan.events.as_slice()),
    };
    if let Some(Event::DieAfter { calls }) = before {
        die_after(*calls);
    }
    let conf = "/sim/state/be.conf";
    let loaded = Config::load(Path::new(conf), &|_| None).map_err(|errors| format!("be.conf: {errors}"))?;
    // Nothing that is found on disks, or not found there, keeps a node from starting.
    let engine = Engine::start(loaded).map_err(|error| format!("no start: {error}"))?;
    check_generations(&engine)?;
    let keys: Vec<_> = tablets.keys().copied().collect();
    let mut rng = Rng::named(plan.seed, "operator");
    after.iter().for_each(|event| happen(&engine, event, &keys, &mut rng));
    if let Some((owed, verbs)) = &plan.judges {
        judge::judge(&engine, tablets, owed, *verbs, &mut rng)?;
    }
    if inside(|machine| machine.die_at_call.is_some()) {
        std::thread::sleep(Duration::from_secs(5));
    }
    if plan.end != End::Stop {
        std::thread::sleep(Duration::from_micros(rng.below(2_000_000)));
        note_ends(&engine);
        inside(|machine| machine.end(Ending::Killed));
    }
    note_ends(&engine);
    inside(|machine| machine.end_by_ns = machine.end_by_ns.min(machine.now_ns + STOP_NS));
    engine.shutdown(GRACE);
    Ok(())
}

/// Nothing is served that is older than what was served before.
fn check_generations(engine: &Engine) -> Result<(), String> {
    let (served, owned) = (served_so_far(), owned_so_far());
    for view in engine.tablets(&TabletFilter::default()).items {
        let of = |notes: &BTreeMap<String, u64>| notes.get(&view.key.to_string()).copied().unwrap_or(0);
        let before = of(&served).max(of(&owned));
        if view.unavailable.is_none() && view.generation < before {
            let (now, disk) = (view.generation, view.disk);
            return Err(format!(
                "tablet {} was served as generation {before}, and is as {now} from {disk}",
                view.key
            ));
        }
    }
    Ok(())
}

/// What was served; once a disk was exchanged, nothing may be left that knows.
fn served_so_far() -> BTreeMap<String, u64> {
    highest("served", &["journal", "exchanged"])
}

/// What was served with nothing under way: the journal knows that for ever.
fn owned_so_far() -> BTreeMap<String, u64> {
    highest("owned", &["journal"])
}

/// The highest generation of each tablet in notes of this kind, by its key as text, since the last note of another kind.
fn highest(kind: &str, forgotten_with: &[&str]) -> BTreeMap<String, u64> {
    let mut highest = BTreeMap::new();
    for note in notes() {
        let mut words = note.split(' ');
        match (words.next(), words.next(), words.next().and_then(|text| text.parse().ok())) {
            (Some(word), Some(key), Some(generation)) if word == kind => {
                highest.insert(key.to_owned(), generation);
            }
            (Some(word), ..) if forgotten_with.contains(&word) => highest.clear(),
            _ => {}
        }
    }
    highest
}

fn die_after(calls: u64) {
    inside(|machine| machine.die_at_call = Some(machine.calls + calls));
}

/// What has ended, and what is served, is acknowledged as such to whoever asks.
fn note_ends(engine: &Engine) {
    let Ok(page) = engine.migrations(&MigrationFilter::default()) else { return };
    let under_way: BTreeSet<_> =
        page.items.iter().filter(|row| !row.status.is_final()).map(|row| row.key).collect();
    let operations = engine.operations(1000).items;
    let is_calm = operations.iter().all(|operation| operation.state != OperationState::Running);
    let (served, owned) = (served_so_far(), owned_so_far());
    for view in
        engine.tablets(&TabletFilter::default()).items.iter().filter(|view| view.unavailable.is_none())
    {
        let key = view.key.to_string();
        let line = |kind: &str| note(format!("{kind} {key} {}", view.generation));
        if served.get(&key) != Some(&view.generation) {
            line("served");
        }
        if is_calm && !under_way.contains(&view.key) && owned.get(&key) != Some(&view.generation) {
            line("owned");
        }
    }
    for migration in page.items.iter().filter(|row| row.status == Status::Completed) {
        let line = format!("completed {}", migration.id);
        if !notes().contains(&line) {
            note(line);
        }
    }
}

fn happen(engine: &Engine, event: &Event, keys: &[TabletKey], rng: &mut Rng) {
    match event {
        Event::Order(order) => {
            let (engine, order, keys) = (engine.clone(), order.clone(), keys.to_vec());
            let typed = std::thread::Builder::new().name("operator".to_owned()).spawn(move || {
                let answer = operator::give(&engine, &order, &keys);
                tracing::info!("{order:?}: {answer}");
            });
            drop(typed);
            // The next order may come at once, or when this one has long been answered.
            std::thread::sleep(Duration::from_micros([0, 50, 2000, 100_000][rng.index(4)]));
        }
        Event::Trouble(slot, trouble) => befall(disk_in(*slot), *trouble),
        Event::Wait { ms } => std::thread::sleep(Duration::from_millis(*ms)),
        Event::DieAfter { calls } => die_after(*calls),
        Event::End(_) | Event::Down(_) => {}
    }
}

fn befall(disk: usize, trouble: Trouble) {
    inside(|machine| {
        let files = &mut machine.files;
        let used = files.disks[disk].used_bytes();
        let it = &mut files.disks[disk];
        match trouble {
            Trouble::Fail { kind, after, errno } => files.fails.push(Fail { disk, kind, after, errno }),
            Trouble::Hang { ms } => {
                files.hangs.insert(disk, Some(machine.now_ns + ms * 1_000_000));
            }
            Trouble::Full => it.capacity_bytes = used,
            Trouble::Roomy => it.capacity_bytes = World::blank().capacity_bytes,
            Trouble::ReadOnly => it.is_read_only = true,
            Trouble::Writable => it.is_read_only = false,
            Trouble::Unplug => it.is_dead = true,
            Trouble::Plug => {
                it.is_dead = false;
                machine.wake(usize::MAX, |on| on == Wait::Disk(disk));
            }
        }
    });
}
