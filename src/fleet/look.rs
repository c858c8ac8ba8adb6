//! A look at one member: who answers there, and how its disks are.

use super::desk::{Desk, Made};
use super::state::{Key, set};
use crate::api::wire::Timestamp;
use crate::members::{CallError, code};
use crate::model::fleet::Member;
use crate::rules::fleet::{is_the_same, twin};

/// Asks one member who it is and how its disks are.
///
/// # Errors
/// What [`Seen`](super::desk::Seen) has in words; that it is another one is only there.
pub(super) fn look(desk: &Desk, member: &Member) -> Result<(), CallError> {
    let answer = desk.talk(member, |driver| driver.look());
    let now = Timestamp::now().0;
    let twin = answer.as_ref().ok().and_then(|(identity, _)| twin_of(desk, member, &identity.marks));
    let error = match &answer {
        Ok(_) if twin.is_some() => format!(
            "the node at {} is the member {} already; remove one of the two",
            member.address(),
            twin.unwrap_or_default()
        ),
        Ok((identity, _)) if !is_the_same(&member.identity, &identity.marks) => format!(
            "another node answers at {}: it has {}, the one that was added had {}",
            member.address(),
            in_words(&identity.marks),
            in_words(&member.identity)
        ),
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    let came_to = answer.as_ref().map(drop).map_err(Clone::clone);
    let same = error.is_empty();
    let marks = answer.as_ref().map(|(identity, _)| identity.marks.clone()).unwrap_or_default();
    desk.note_seen(&member.name, |seen| {
        seen.asked_ms = Some(now);
        let has_changed =
            matches!(&answer, Err(CallError::Refused { code, .. }) if code == code::KIND_CHANGED);
        seen.is_another = has_changed || (answer.is_ok() && !error.is_empty());
        seen.error = error;
        if let Ok((identity, disks)) = answer {
            seen.answered_ms = Some(now);
            seen.identity = identity;
            seen.disks = disks;
        }
    });
    if same && !marks.is_empty() && member.identity != marks {
        remember(desk, member, marks);
    }
    came_to
}

/// Another member that is the same node.
fn twin_of(desk: &Desk, member: &Member, marks: &[String]) -> Option<String> {
    desk.read(|state| {
        let others = state.members.values().map(|kept| &kept.value);
        twin(member, marks, others).map(|other| other.name.clone())
    })
}

fn in_words(marks: &[String]) -> String {
    if marks.is_empty() { "no disk".to_owned() } else { marks.join(", ") }
}

/// Who it was that answered: whoever answers there next is held against it.
fn remember(desk: &Desk, member: &Member, marks: Vec<String>) {
    let done = desk.change(&desk.process().name.clone(), "", |state| {
        let is_taken = twin(member, &marks, state.members.values().map(|kept| &kept.value)).is_some();
        let kept = state.members.get(&member.name).filter(|kept| !is_taken && kept.value == *member);
        let changes = kept.map(|kept| {
            let known = Member { identity: marks, ..member.clone() };
            set(&Key::Member(member.name.clone()), Some(kept), &known)
        });
        Ok(Made { changes: changes.into_iter().collect(), answer: (), what: String::new() })
    });
    if let Err(refusal) = done {
        tracing::debug!("who {} is was not written down, and is tried again: {refusal}", member.name);
    }
}

/// What is wrong with a member that did not answer as it should.
pub(super) fn note_failure(desk: &Desk, member: &str, error: &CallError) {
    desk.note_seen(member, |seen| seen.error = error.to_string());
}
