//! One run: opened, settled, planned, carried out. Whoever calls it shows what it tells.

use std::path::PathBuf;

use super::accept::begin;
use super::book::Book;
use super::bytes::Means;
use super::line::{Stop, commit, retire};
use super::node::{Node, NotOpened};
use super::plan::{Plan, Planned, Request, plan};
use super::settle::{Settled, doubt, end_at_source, settle};
use super::undo::{TakenBack, undo};
use super::wishes::Wishes;
use crate::config::Loaded;
use crate::doris::keys::TabletIds;
use crate::model::{ErrorCode, Failure, Migration, Status, Swap};
use crate::storage::layout::MIGRATING;
use crate::transfer::CopyHooks;

/// A run on a node.
pub struct Session {
    node: Node,
    book: Option<Book>,
    state_dir: PathBuf,
}

/// What came of one move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its number; 0 where it was not accepted.
    pub id: u64,
    /// The tablet.
    pub tablet_id: i64,
    /// Hash of its schema.
    pub schema_hash: i32,
    /// The root it was on.
    pub from: String,
    /// The root it was to go to.
    pub to: String,
    /// Of its files.
    pub bytes: u64,
    /// How it stands.
    pub outcome: Outcome,
    /// In a sentence.
    pub reason: String,
}

/// How a move stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Moved,
    /// The destination owns the tablet, and the source is not retired yet.
    NotRetired,
    /// The source owns the tablet as before.
    Failed,
    /// Which copy a backend keeps is not known; both are whole.
    InDoubt,
    /// A root of it is not here.
    Waits,
}

impl Outcome {
    /// Its name, in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::NotRetired => "moved, source not retired",
            Self::Failed => "failed",
            Self::InDoubt => "in doubt",
            Self::Waits => "waits for a root",
        }
    }
}

/// What a run tells while it works.
pub enum Told<'a> {
    /// The next of so many begins.
    Begins(&'a Planned, usize, usize),
    /// One has come to its end.
    Ended(&'a Moved),
}

/// Whether a run may go on; asked before every block.
pub type GoOn<'a> = &'a (dyn Fn() -> Result<(), Failure> + Sync);

struct Watched<'a>(GoOn<'a>);

impl CopyHooks for Watched<'_> {
    fn checkpoint(&self) -> Result<(), Failure> {
        (self.0)()
    }
}

impl Session {
    /// Opens the node: locks, reads and compares every root. Writes nothing.
    ///
    /// # Errors
    /// [`NotOpened`], every reason at once.
    pub fn open(loaded: Loaded, without: &[String]) -> Result<Self, NotOpened> {
        let state_dir = PathBuf::from(&loaded.config.state_dir);
        let node = Node::open(loaded, without)?;
        Ok(Self { node, book: None, state_dir })
    }

    /// The node as it was read.
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// The name of this run.
    pub fn run(&self) -> &str {
        &self.node.run
    }

    /// What would move where. Writes nothing.
    ///
    /// # Errors
    /// In words.
    pub fn plan(&self, request: &Request, wishes: Wishes) -> Result<Plan, String> {
        plan(&self.node, request, wishes)
    }

    /// Opens the journal and brings to an end what earlier runs left.
    ///
    /// # Errors
    /// The journal cannot be opened, or a database cannot be read.
    pub fn settle(&mut self, go_on: GoOn<'_>) -> Result<Vec<Moved>, Failure> {
        let mut book = Book::open(&self.state_dir, self.highest_number()?)?;
        let (rows, damaged) = book.unfinished()?;
        for row in damaged {
            tracing::warn!("{row}");
        }
        let settles = !rows.is_empty();
        let mut ended = Vec::new();
        for row in rows {
            match settle(&mut self.node, &mut book, row)? {
                Settled::Row(row) => ended.push(told(*row)),
                Settled::Waits(row) => ended.push(Moved { outcome: Outcome::Waits, ..told(*row) }),
                Settled::GoesOn(accepted) => {
                    let moved = carry_on(&mut self.node, &mut book, *accepted, go_on);
                    ended.push(moved);
                }
            }
        }
        self.book = Some(book);
        if settles {
            let failed = |why| Failure::new(ErrorCode::RecordDamaged, why);
            self.node.read_again().map_err(failed)?;
        }
        Ok(ended)
    }

    /// Takes the newest run back, while no backend has started since.
    ///
    /// # Errors
    /// Refused, with nothing touched; or a failed call, after which it can be done again.
    pub fn undo(&mut self) -> Result<TakenBack, Failure> {
        let mut book = Book::open(&self.state_dir, self.highest_number()?)?;
        undo(&self.node, &mut book)
    }

    /// The highest number of a move that any root has seen.
    fn highest_number(&self) -> Result<u64, Failure> {
        let mut highest = 0;
        for root in &self.node.roots {
            let Some(room) = root.disk.room()? else { continue };
            for part in [MIGRATING, "retired"] {
                let Some(dir) = room.open_if_exists(part)? else { continue };
                let numbers = dir.entries()?;
                let numbers = numbers.iter().filter_map(|entry| entry.name.to_str()?.parse::<u64>().ok());
                highest = numbers.fold(highest, u64::max);
            }
        }
        Ok(highest)
    }

    /// Makes the moves of a plan, one after the other, until `go_on` says otherwise: then the one under way goes back, as long
    /// as it is not committed, and no further one is begun. A move that fails does not hold up the others, unless it leaves a
    /// root in doubt: then nothing more is written in this run.
    ///
    /// # Errors
    /// The journal was not opened: [`Session::settle`] comes first.
    pub fn carry_out(
        &mut self,
        plan: &Plan,
        wishes: Wishes,
        go_on: GoOn<'_>,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<Vec<Moved>, Failure> {
        let Some(book) = &mut self.book else {
            return Err(Failure::new(ErrorCode::Internal, "a run settles before it moves"));
        };
        let mut ended = Vec::new();
        for (nth, planned) in plan.moves.iter().enumerate() {
            if go_on().is_err() {
                break;
            }
            tell(Told::Begins(planned, nth + 1, plan.moves.len()));
            let moved = make(&mut self.node, book, planned, &wishes, go_on);
            tell(Told::Ended(&moved));
            let in_doubt = moved.outcome == Outcome::InDoubt;
            ended.push(moved);
            if in_doubt {
                break;
            }
        }
        Ok(ended)
    }
}

fn make(node: &mut Node, book: &mut Book, planned: &Planned, wishes: &Wishes, go_on: GoOn<'_>) -> Moved {
    let ids = TabletIds { tablet_id: planned.tablet_id, schema_hash: planned.schema_hash };
    let ends = node.root_at(&planned.from).zip(node.root_at(&planned.to));
    let accepted = match ends {
        Some((from, to)) => begin(node, book, (ids, from, to), wishes),
        None => Err(Failure::new(ErrorCode::DiskNotFound, "a root of the plan is not open")),
    };
    match accepted {
        Ok(accepted) => carry_on(node, book, accepted, go_on),
        Err(failure) => Moved {
            id: 0,
            tablet_id: planned.tablet_id,
            schema_hash: planned.schema_hash,
            from: planned.from.clone(),
            to: planned.to.clone(),
            bytes: planned.bytes,
            outcome: Outcome::Failed,
            reason: failure.message,
        },
    }
}

fn carry_on(node: &mut Node, book: &mut Book, accepted: super::accept::Accepted, go_on: GoOn<'_>) -> Moved {
    let (from, to) = (accepted.from, accepted.to);
    let row = match commit(node, book, accepted, &Means::new(), &Watched(go_on)) {
        Ok(committed) => retire(node, book, committed),
        Err((row, Stop::BeforeCommit(failure))) => end_at_source(node, book, *row, to, failure),
        Err((row, Stop::InDoubt(failure))) => {
            let row = doubt(node, book, *row, from, failure);
            return Moved { outcome: Outcome::InDoubt, ..told(row) };
        }
    };
    told(row)
}

/// A row as a run tells it.
fn told(row: Migration) -> Moved {
    let swap = row.doris.as_ref().map_or(Swap::Open, |doris| doris.swap);
    let outcome = match (row.status, swap) {
        (Status::Completed, _) => Outcome::Moved,
        (Status::Failed, _) => Outcome::Failed,
        (_, Swap::InDoubt) => Outcome::InDoubt,
        _ => Outcome::NotRetired,
    };
    Moved {
        id: row.id.0,
        tablet_id: row.key.tablet_id.0,
        schema_hash: row.key.schema_hash.0,
        from: row.source.path,
        to: row.destination.path,
        bytes: row.counters.total_bytes,
        outcome,
        reason: row.status_reason,
    }
}
