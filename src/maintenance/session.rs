//! One run: opened, settled, planned, carried out. Whoever calls it shows what it tells.

//!
//! A session may be shared between threads: a move is accepted, and the node looked at, while another one copies. Only its
//! batches, and what is settled, need the node alone.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::accept::{Accepted, Asked, begin, ids_of, may_begin};
use super::book::Book;
use super::bytes::Means;
use super::kind::remember_roots;
use super::line::{Stop, commit, copy, retire};
use super::node::{Node, NotOpened};
use super::plan::{Plan, Planned, Request, plan};
use super::rescue::{ends_without_source, settle_without_source};
use super::settle::{Settled, doubt, end_at_source, put_back, settle};
use super::told::{Moved, Outcome, Told, told};
use super::undo::{TakenBack, undo};
use super::watch::{Watch, WhenStopped};
use super::wishes::Wishes;
use crate::config::Loaded;
use crate::model::{ErrorCode, Failure, Migration, Space, Status, TabletKey, quoted};
use crate::storage::layout::MIGRATING;

/// A run on a node.
pub struct Session {
    node: RwLock<Node>,
    book: OnceLock<Mutex<Book>>,
    state_dir: PathBuf,
    run: String,
}

/// One move that is asked for.
pub struct Asking<'a> {
    pub key: TabletKey,
    /// The root it is to go to, as the configuration writes it.
    pub to: &'a str,
    pub wishes: Wishes,
    /// Promised on that root to moves that are accepted already.
    pub reserved: Space,
    /// What else goes into its row before that is durable.
    pub dress: &'a dyn Fn(&mut Migration),
}

impl Session {
    /// Opens the node: locks, reads and compares every root. Writes nothing.
    ///
    /// # Errors
    /// [`NotOpened`], every reason at once.
    pub fn open(loaded: Loaded, without: &[String]) -> Result<Self, NotOpened> {
        let state_dir = PathBuf::from(&loaded.config.state_dir);
        Node::open(loaded, without).map(|node| Self::of(node, state_dir))
    }

    /// The same, with one root whose database does not open: tablets can only leave it, and nothing is written to it.
    ///
    /// # Errors
    /// As [`Session::open`]; that root's database opens, or is not understood.
    pub fn open_for_rescue(loaded: Loaded, without: &[String], damaged: &str) -> Result<Self, NotOpened> {
        let state_dir = PathBuf::from(&loaded.config.state_dir);
        Node::open_for_rescue(loaded, without, damaged).map(|node| Self::of(node, state_dir))
    }

    fn of(node: Node, state_dir: PathBuf) -> Self {
        let run = node.run.clone();
        Self { node: RwLock::new(node), book: OnceLock::new(), state_dir, run }
    }

    /// The node as it is now. Waits for a batch that is being written, and never for a copy.
    pub fn node(&self) -> RwLockReadGuard<'_, Node> {
        // A panic elsewhere fails one move; the inventory is consistent between statements.
        self.node.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn node_alone(&self) -> RwLockWriteGuard<'_, Node> {
        self.node.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_book(&self) -> Result<&Mutex<Book>, Failure> {
        self.book.get().ok_or_else(|| Failure::new(ErrorCode::Internal, "a run settles before it moves"))
    }

    pub(super) fn book(&self) -> Result<MutexGuard<'_, Book>, Failure> {
        Ok(self.open_book()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The name of this run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// What would move where. Writes nothing.
    ///
    /// # Errors
    /// In words.
    pub fn plan(&self, request: &Request, wishes: Wishes) -> Result<Plan, String> {
        plan(&|| self.node(), request, wishes)
    }

    /// Opens the journal, once.
    ///
    /// # Errors
    /// It cannot be opened; another process has it.
    pub fn open_journal(&self) -> Result<(), Failure> {
        if self.book.get().is_none() {
            let book = Book::open(&self.state_dir, self.highest_number()?)?;
            remember_roots(&self.state_dir, &self.node())?;
            let _ = self.book.set(Mutex::new(book));
        }
        Ok(())
    }

    /// Opens the journal and brings to an end what earlier runs left.
    ///
    /// # Errors
    /// The journal cannot be opened, or a database cannot be read.
    pub fn settle(&self, watch: &dyn Watch) -> Result<Vec<Moved>, Failure> {
        self.open_journal()?;
        let mut ended = Vec::new();
        // One that waits for its operator goes on by the daemon's own word alone.
        for row in self.unfinished()?.into_iter().filter(|row| row.status != Status::Paused) {
            if watch.go_on().is_err() {
                break;
            }
            let moved = self.finish(row, watch)?;
            let in_doubt = moved.outcome == Outcome::InDoubt;
            ended.push(moved);
            if in_doubt {
                break;
            }
        }
        Ok(ended)
    }

    /// The moves that have not ended, oldest first.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn unfinished(&self) -> Result<Vec<Migration>, Failure> {
        let (rows, damaged) = self.book()?.unfinished()?;
        for row in damaged {
            tracing::warn!("{row}");
        }
        Ok(rows)
    }

    /// Brings one unfinished move to its end, by what both databases say of it: one that has only been accepted is carried
    /// out from its beginning.
    ///
    /// # Errors
    /// A database cannot be read: nothing is settled.
    pub fn finish(&self, row: Migration, watch: &dyn Watch) -> Result<Moved, Failure> {
        let settled = {
            let (mut node, mut book) = (self.node_alone(), self.book()?);
            match ends_without_source(&node, &row) {
                Some(ends) => settle_without_source(&node, &mut book, row, ends)?,
                None => settle(&mut node, &mut book, row)?,
            }
        };
        match settled {
            // Whoever accepted it wants it: a stop of this run does not end it.
            Settled::GoesOn(accepted) => {
                Ok(self.carry_on(self.open_book()?, *accepted, watch, WhenStopped::GoesOnLater))
            }
            Settled::Waits(row) => Ok(Moved { outcome: Outcome::Waits, ..told(*row) }),
            Settled::Row(row) => {
                watch.stands(&row);
                let failed = |why| Failure::new(ErrorCode::RecordDamaged, why);
                self.node_alone().read_again().map_err(failed)?;
                Ok(told(*row))
            }
        }
    }

    /// Takes the newest run back, while no backend has started since.
    ///
    /// # Errors
    /// Refused, with nothing touched; or a failed call, after which it can be done again.
    pub fn undo(&self) -> Result<TakenBack, Failure> {
        self.open_journal()?;
        undo(&self.node(), &mut *self.book()?)
    }

    /// The highest number of a move that any root has seen.
    fn highest_number(&self) -> Result<u64, Failure> {
        let mut highest = 0;
        for root in &self.node().roots {
            let room = if root.is_damaged() { None } else { root.disk.room()? };
            let Some(room) = room else { continue };
            for part in [MIGRATING, "retired"] {
                let Some(dir) = room.open_if_exists(part)? else { continue };
                let numbers = dir.entries()?;
                let numbers = numbers.iter().filter_map(|entry| entry.name.to_str()?.parse::<u64>().ok());
                highest = numbers.fold(highest, u64::max);
            }
        }
        Ok(highest)
    }

    /// Accepts one move: everything is looked at, and its row is durable when this returns.
    ///
    /// # Errors
    /// Something speaks against it, or the journal takes no row: nothing has happened.
    pub fn accept(&self, asking: &Asking<'_>) -> Result<Migration, Failure> {
        self.begin(asking).map(|accepted| accepted.row)
    }

    /// What would speak against a move. Nothing is written.
    ///
    /// # Errors
    /// As [`Session::accept`].
    pub fn check(&self, asking: &Asking<'_>) -> Result<(), Failure> {
        self.asked(asking, &mut |node, asked| may_begin(node, asked).map(drop))
    }

    fn begin(&self, asking: &Asking<'_>) -> Result<Accepted, Failure> {
        let mut accepted = None;
        self.asked(asking, &mut |node, asked| {
            accepted = Some(begin(node, &mut *self.book()?, asked)?);
            Ok(())
        })?;
        accepted.ok_or_else(|| Failure::new(ErrorCode::Internal, "a move was neither accepted nor refused"))
    }

    fn asked(
        &self,
        asking: &Asking<'_>,
        then: &mut dyn FnMut(&Node, &Asked<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let node = self.node();
        let ids = ids_of(asking.key);
        let from = node.owner_of(ids).ok_or_else(|| {
            let text = format!("no root of this node has a record of tablet {ids}");
            Failure::new(ErrorCode::TabletNotFound, text)
        })?;
        let to = node.root_at(asking.to).ok_or_else(|| {
            let text = format!("no root is written {}; there are {}", quoted(asking.to), node.paths());
            Failure::new(ErrorCode::DiskNotFound, text)
        })?;
        let Asking { wishes, reserved, dress, .. } = asking;
        then(&node, &Asked { ids, from, to, wishes, reserved: *reserved, dress: *dress })
    }

    /// Makes the moves of a plan, one after the other, until `go_on` says otherwise: then the one under way goes back, as long
    /// as it is not committed, and no further one is begun. A move that fails does not hold up the others, unless it leaves a
    /// root in doubt: then nothing more is written in this run.
    ///
    /// # Errors
    /// The journal was not opened: [`Session::settle`] comes first.
    pub fn carry_out(
        &self,
        plan: &Plan,
        wishes: Wishes,
        watch: &dyn Watch,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<Vec<Moved>, Failure> {
        drop(self.book()?);
        let mut ended = Vec::new();
        for (nth, planned) in plan.moves.iter().enumerate() {
            if watch.go_on().is_err() {
                break;
            }
            tell(Told::Begins(planned, nth + 1, plan.moves.len()));
            let moved = self.make(planned, wishes, watch);
            tell(Told::Ended(&moved));
            let in_doubt = moved.outcome == Outcome::InDoubt;
            ended.push(moved);
            if in_doubt {
                break;
            }
        }
        Ok(ended)
    }

    fn make(&self, planned: &Planned, wishes: Wishes, watch: &dyn Watch) -> Moved {
        let key = TabletKey::new(planned.tablet_id, planned.schema_hash);
        let asking = Asking {
            key,
            to: &planned.to,
            wishes,
            reserved: Space::default(),
            dress: &|_: &mut Migration| {},
        };
        let begun = self.free_to_move(key).and_then(|()| Ok((self.open_book()?, self.begin(&asking)?)));
        match begun {
            Ok((book, accepted)) => self.carry_on(book, accepted, watch, watch.when_stopped()),
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

    /// # Errors
    /// Another move has the tablet, and was left as it is.
    fn free_to_move(&self, key: TabletKey) -> Result<(), Failure> {
        let other = self.unfinished()?.into_iter().find(|row| row.key.tablet_id == key.tablet_id);
        other.map_or(Ok(()), |row| {
            let text = format!(
                "move {} of tablet {key} is {}: start tabletd --conf with this be.conf, and resume or abort it there",
                row.id, row.status
            );
            Err(Failure::new(ErrorCode::MigrationExists, text))
        })
    }

    /// `book` has its row.
    fn carry_on(
        &self,
        book: &Mutex<Book>,
        accepted: Accepted,
        watch: &dyn Watch,
        when_stopped: WhenStopped,
    ) -> Moved {
        let (from, to) = (accepted.from, accepted.to);
        let copied = copy(&self.node(), accepted, &Means::new(), watch);
        let mut node = self.node_alone();
        let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
        let committed = match copied {
            Ok(copied) => commit(&mut node, &mut book, copied, watch),
            Err((row, failure)) => Err((row, Stop::BeforeCommit(failure))),
        };
        let row = match committed {
            Ok(committed) => retire(&mut node, &mut book, committed),
            Err((row, Stop::BeforeCommit(failure)))
                if failure.code == ErrorCode::ShuttingDown && when_stopped == WhenStopped::GoesOnLater =>
            {
                put_back(&mut book, *row, &failure)
            }
            Err((row, Stop::BeforeCommit(failure))) => end_at_source(&node, &mut book, *row, to, failure),
            Err((row, Stop::InDoubt(failure))) => {
                let row = doubt(&mut node, &mut book, *row, from, failure);
                drop((book, node));
                watch.stands(&row);
                return Moved { outcome: Outcome::InDoubt, ..told(row) };
            }
        };
        drop((book, node));
        watch.stands(&row);
        told(row)
    }
}
