//! What the journal's thread is asked, and how it answers.

use std::sync::mpsc::SyncSender;

use crate::journal::{Filter, Journal, JournalError, Listed};
use crate::model::{
    DiskUuid, ErrorCode, Failure, LedgerLine, LedgerOwner, Mark, Marked, Migration, MigrationId, TabletCheck,
    TabletKey, Task, TaskId,
};

pub(crate) type Reply<T> = SyncSender<Result<T, Failure>>;

/// The number of each new migration, or why this one alone was not taken.
pub(crate) type Accepted = Vec<Result<MigrationId, Failure>>;

pub(crate) enum Request {
    /// New migrations, all in one transaction; each has its own answer.
    Accept(Vec<Migration>, Reply<Accepted>),
    Update(Box<Migration>, Option<Reply<MigrationId>>),
    Reopen(Box<Migration>, Reply<MigrationId>),
    Get(MigrationId, Reply<Option<Migration>>),
    LatestFor(TabletKey, Reply<Option<Migration>>),
    ByRequestKeys(Vec<String>, Reply<Vec<Option<Migration>>>),
    List(Box<Filter>, Reply<Listed>),
    RaiseNextId(MigrationId, Reply<()>),
    Distrust(MigrationId, Reply<()>),
    AddUptime(u64, Reply<u64>),
    Prune(u64),
    AddTask(Box<Task>, Reply<TaskId>),
    UpdateTask(Box<Task>, Reply<()>),
    DeleteTask(TaskId, Reply<()>),
    SetMark(Marked, Option<Mark>, Reply<()>),
    NoteOwners(Vec<(TabletKey, LedgerOwner)>, Reply<()>),
    LedgerLine(TabletKey, Reply<Option<LedgerLine>>),
    LedgerOf(DiskUuid, Reply<Vec<LedgerLine>>),
    SetCheck(Box<TabletCheck>),
    ClearCheck(TabletKey),
    Stop,
}

impl Request {
    /// Whether it says something that is so already, and that is written later rather than never when there is no space.
    pub(crate) const fn is_kept(&self) -> bool {
        match self {
            Self::Update(..)
            | Self::UpdateTask(..)
            | Self::DeleteTask(..)
            | Self::NoteOwners(..)
            | Self::SetCheck(..)
            | Self::ClearCheck(..) => true,
            // Who asks for something new hears that it is not done. A prune comes again.
            Self::Accept(..)
            | Self::Reopen(..)
            | Self::AddTask(..)
            | Self::SetMark(..)
            | Self::RaiseNextId(..)
            | Self::Distrust(..)
            | Self::AddUptime(..)
            | Self::Prune(..) => false,
            Self::Get(..)
            | Self::LatestFor(..)
            | Self::ByRequestKeys(..)
            | Self::List(..)
            | Self::LedgerLine(..)
            | Self::LedgerOf(..)
            | Self::Stop => false,
        }
    }
}

pub(crate) fn unavailable(why: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorCode::JournalUnavailable, why.to_string())
}

/// Answers everything that is not a write of a migration. A write that is to be kept comes back when there is no space for it.
pub(crate) fn answer(journal: &mut Journal, request: Request) -> Result<(), Request> {
    fn send<T>(reply: &Reply<T>, answer: Result<T, JournalError>) {
        // Who asked may have gone; that is their business.
        let _ = reply.send(answer.map_err(unavailable));
    }
    /// False when there is no space.
    fn send_unless_full<T>(reply: &Reply<T>, answer: Result<T, JournalError>) -> bool {
        let found_space = answer.as_ref().err().is_none_or(|error| !error.is_want_of_space());
        if found_space {
            send(reply, answer);
        }
        found_space
    }
    /// The same, where nobody waits.
    fn tell(done: Result<impl Sized, JournalError>) -> bool {
        match done {
            Err(error) if error.is_want_of_space() => return false,
            Err(error) => tracing::error!("journal: {error}"),
            Ok(_) => {}
        }
        true
    }
    let mut found_space = true;
    match &request {
        Request::Get(id, reply) => send(reply, journal.get(*id)),
        Request::LatestFor(key, reply) => send(reply, journal.latest_for(*key)),
        Request::ByRequestKeys(keys, reply) => {
            send(reply, keys.iter().map(|key| journal.by_request_key(key)).collect());
        }
        Request::List(filter, reply) => send(reply, journal.list(filter)),
        Request::LedgerLine(key, reply) => send(reply, journal.ledger_line(*key)),
        Request::LedgerOf(disk, reply) => send(reply, journal.ledger_of(*disk)),
        Request::RaiseNextId(id, reply) => send(reply, journal.ensure_next_id_above(*id)),
        Request::Distrust(id, reply) => send(reply, journal.distrust(*id)),
        Request::AddUptime(seconds, reply) => send(reply, journal.add_uptime(*seconds)),
        Request::AddTask(task, reply) => send(reply, journal.add_task(task)),
        Request::SetMark(marked, Some(mark), reply) => send(reply, journal.set_mark(*marked, mark)),
        Request::SetMark(marked, None, reply) => send(reply, journal.clear_mark(*marked)),
        // What is left over is pruned the next time.
        Request::Prune(keep) => drop(tell(journal.prune_finished(*keep))),
        Request::NoteOwners(owners, reply) => {
            found_space = send_unless_full(reply, journal.note_owners(owners));
        }
        Request::UpdateTask(task, reply) => found_space = send_unless_full(reply, journal.update_task(task)),
        Request::DeleteTask(id, reply) => found_space = send_unless_full(reply, journal.delete_task(*id)),
        Request::SetCheck(check) => found_space = tell(journal.set_check(check)),
        Request::ClearCheck(key) => found_space = tell(journal.clear_check(*key)),
        Request::Accept(..) | Request::Update(..) | Request::Reopen(..) | Request::Stop => {
            unreachable!("taken by the caller")
        }
    }
    if found_space { Ok(()) } else { Err(request) }
}
