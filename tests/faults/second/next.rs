//! What an operator or a disk does next.

use std::fmt;
use std::io;
use std::time::Duration;

use serde_json::json;

use super::first::Story;
use super::memory::MemoryDisk;
use super::place::{DESTINATION, Place, SOURCE, THIRD};
use crate::harness::Daemon;
use crate::rng::Rng;

/// A second event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Something with one disk.
    Disk(usize, Loss),
    /// The journal's files are gone.
    JournalLost,
    /// The whole state directory is gone.
    StateLost,
    /// The daemons that recover are killed.
    KilledInRecovery,
    /// An operator gives orders at once.
    Orders,
    /// Of ended migrations only one is remembered, and others end.
    ShortHistory,
    /// The journal is gone, and the daemons that recover are killed.
    JournalLostAndKilled,
    /// The journal is gone, and something with one disk.
    JournalLostAnd(usize, Loss),
}

/// What happens to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Not mounted any more.
    Lost,
    /// Taken out of `storage_root_path`.
    Unconfigured,
    /// An empty file system is mounted in its place.
    Replaced,
    /// Its file system is read-only.
    ReadOnly,
    /// It has no free block.
    Full,
}

impl Next {
    /// All of them.
    pub(super) fn all() -> Vec<Self> {
        let losses = [Loss::Lost, Loss::Unconfigured, Loss::Replaced, Loss::ReadOnly, Loss::Full];
        let disks = || [SOURCE, DESTINATION].into_iter();
        let alone = [
            Self::JournalLost,
            Self::StateLost,
            Self::KilledInRecovery,
            Self::Orders,
            Self::ShortHistory,
            Self::JournalLostAndKilled,
        ];
        let with_journal = [Loss::Lost, Loss::Unconfigured];
        disks()
            .flat_map(|disk| losses.map(|loss| Self::Disk(disk, loss)))
            .chain(alone)
            .chain(disks().flat_map(|disk| with_journal.map(|loss| Self::JournalLostAnd(disk, loss))))
            .collect()
    }

    /// What it does to one disk, if anything.
    pub(super) fn disk(self) -> Option<(usize, Loss)> {
        match self {
            Self::Disk(disk, loss) | Self::JournalLostAnd(disk, loss) => Some((disk, loss)),
            _ => None,
        }
    }

    /// Whether what the journal remembered is gone.
    pub(super) fn forgets(self) -> bool {
        matches!(
            self,
            Self::JournalLost
                | Self::StateLost
                | Self::ShortHistory
                | Self::JournalLostAndKilled
                | Self::JournalLostAnd(..)
        )
    }

    /// Whether it can happen under a daemon that lives.
    fn may_be_live(self) -> bool {
        matches!(self, Self::Disk(_, Loss::Lost | Loss::ReadOnly | Loss::Full) | Self::Orders)
    }

    /// Does it. What lives after it is in the story again.
    pub(super) fn happen(self, place: &mut Place, story: &mut Story, rng: &mut Rng) -> Result<(), String> {
        let live = story.daemon.take_if(|_| !(self.may_be_live() && rng.coin()));
        if let Some(daemon) = live {
            end(daemon, rng);
        }
        let say = |error: io::Error| error.to_string();
        match self {
            Self::Disk(disk, loss) => loss.happen(place, disk, rng).map_err(say)?,
            Self::JournalLost => lose_journal(place).map_err(say)?,
            Self::StateLost => std::fs::remove_dir_all(place.node.dir.path().join("state")).map_err(say)?,
            Self::KilledInRecovery => kill_in_recovery(place, rng).map_err(say)?,
            Self::Orders => {
                let daemon = match story.daemon.take() {
                    Some(daemon) => daemon,
                    None => place.start()?,
                };
                give_orders(&daemon, story.id, rng);
                story.daemon = Some(daemon);
            }
            Self::ShortHistory => shorten_history(place)?,
            Self::JournalLostAndKilled => {
                lose_journal(place).map_err(say)?;
                kill_in_recovery(place, rng).map_err(say)?;
            }
            Self::JournalLostAnd(disk, loss) => {
                lose_journal(place).map_err(say)?;
                loss.happen(place, disk, rng).map_err(say)?;
            }
        }
        // A daemon that lived through it serves on; what is judged is a start.
        if let Some(daemon) = story.daemon.take() {
            std::thread::sleep(Duration::from_micros(rng.below(30_000)));
            daemon.kill();
        }
        Ok(())
    }

    /// Takes back what can be taken back; what was full has room again.
    pub(super) fn undo(self, place: &mut Place) -> io::Result<()> {
        place.disks.iter().try_for_each(MemoryDisk::recover)?;
        let Some((disk, loss)) = self.disk() else { return Ok(()) };
        match loss {
            Loss::Lost => place.disks[disk].plug(),
            Loss::Unconfigured => {
                place.configure(disk, true);
                Ok(())
            }
            Loss::Replaced | Loss::ReadOnly | Loss::Full => Ok(()),
        }
    }
}

impl Loss {
    fn happen(self, place: &mut Place, disk: usize, rng: &mut Rng) -> io::Result<()> {
        match self {
            Self::Lost => place.disks[disk].pull(),
            Self::Unconfigured => {
                place.configure(disk, false);
                Ok(())
            }
            Self::Replaced => place.disks[disk].replace(),
            // Busy while something is being written: then it is full instead, as near as makes no difference.
            Self::ReadOnly => place.disks[disk].turn_read_only().or_else(|_| place.disks[disk].fill(true)),
            Self::Full => place.disks[disk].fill(rng.coin()),
        }
    }
}

/// By a signal that it hears, or by one that it does not.
pub(super) fn end(daemon: Daemon, rng: &mut Rng) {
    if rng.coin() {
        daemon.kill();
    } else {
        daemon.stop();
    }
}

fn lose_journal(place: &Place) -> io::Result<()> {
    let state = place.node.dir.path().join("state");
    for name in crate::harness::read_dir_names(&state) {
        if name.starts_with("journal.db") {
            std::fs::remove_file(state.join(name))?;
        }
    }
    Ok(())
}

/// Points that a start may pass when it finishes what it finds.
const POINTS_OF_RECOVERY: &[&str] = &[
    "promises_accepted",
    "next_id_raised",
    "record_renamed",
    "source_record_retired",
    "source_directory_retired",
    "source_in_trash",
    "source_synced",
    "staging_removed",
    "completed",
];

fn kill_in_recovery(place: &mut Place, rng: &mut Rng) -> io::Result<()> {
    for _ in 0..=rng.below(3) {
        if rng.coin() {
            let point = POINTS_OF_RECOVERY[rng.index(POINTS_OF_RECOVERY.len())];
            place.node.env = vec![("TABLETD_FAIL_POINT", format!("{point}=kill"))];
        }
        let mut starting = place.node.spawn();
        std::thread::sleep(Duration::from_micros(rng.below(80_000)));
        starting.child.kill()?;
        starting.child.wait()?;
        place.node.env.clear();
    }
    Ok(())
}

/// Refusals are answers; what is granted must be kept, and whoever is asked may be anywhere.
fn give_orders(daemon: &Daemon, id: Option<u64>, rng: &mut Rng) {
    let orders = [
        json!({"limits": {"rate_bytes_per_sec": 50_000_000}}),
        json!({"priority": "high"}),
        json!({"pause": {}}),
        json!({"resume": {}}),
        json!({"abort": {}}),
        json!({"cutover": {}}),
        json!({"force_complete": {}}),
        json!({"revert": {}}),
        json!({"retry": {}}),
    ];
    let path = format!("/api/v1/migrations/{}/action", id.unwrap_or(1));
    for _ in 0..=rng.below(4) {
        let order = &orders[rng.index(orders.len())];
        std::thread::sleep(Duration::from_micros(rng.below(5000)));
        let _ = daemon.try_post(&path, order);
    }
}

/// Other tablets move there and back, so that the row of the first move is forgotten.
fn shorten_history(place: &mut Place) -> Result<(), String> {
    place.set("finished_migration_tasks_size = 1");
    let daemon = place.start()?;
    // The source may be full.
    for to in [DESTINATION, THIRD] {
        let wish = json!({"tablet_id": 13, "dest_disk": place.path(to)});
        let (status, answer) = daemon.try_post("/api/v1/migrations", &wish)?;
        let id = answer["id"].as_u64().filter(|_| status == 201).ok_or(format!("refused: {answer:#}"))?;
        super::first::until(&daemon, id, super::first::has_ended)?;
    }
    daemon.kill();
    Ok(())
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |disk: &usize| if *disk == SOURCE { "source" } else { "destination" };
        match self {
            Self::Disk(disk, loss) => write!(f, "{} {loss}", name(disk)),
            Self::JournalLost => f.write_str("journal lost"),
            Self::StateLost => f.write_str("state directory lost"),
            Self::KilledInRecovery => f.write_str("killed in recovery"),
            Self::Orders => f.write_str("orders"),
            Self::ShortHistory => f.write_str("short history"),
            Self::JournalLostAndKilled => f.write_str("journal lost and killed in recovery"),
            Self::JournalLostAnd(disk, loss) => write!(f, "journal lost and {} {loss}", name(disk)),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Unconfigured => "unconfigured",
            Self::Replaced => "replaced",
            Self::ReadOnly => "read-only",
            Self::Full => "full",
        })
    }
}
