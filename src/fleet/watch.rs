//! The leader's loop: looks at members when it is time.

use std::sync::Arc;
use std::time::Duration;

use super::desk::{Desk, Made};
use super::pool::Pool;
use super::state::{Key, set};
use crate::api::wire::Timestamp;
use crate::members::driver;
use crate::model::fleet::Member;
use crate::rules::fleet::is_the_same;

/// How often the loop looks for something to do.
const TURN: Duration = Duration::from_millis(200);

/// Until the desk is stopped.
///
/// # Errors
/// There is no thread to be had.
pub fn watch(desk: &Arc<Desk>) -> std::io::Result<()> {
    let pool = Pool::start()?;
    while !desk.is_stopping() {
        if desk.leadership().is_some() {
            look_around(desk, &pool);
        }
        desk.rest(TURN);
    }
    Ok(())
}

fn look_around(desk: &Arc<Desk>, pool: &Pool) {
    let now = Timestamp::now().0;
    for member in desk.members() {
        let since = desk.seen(&member.name).asked_ms.map_or(i64::MAX, |asked| now.saturating_sub(asked));
        // A clock that was set back makes it due as well.
        if !(0..i64::try_from(desk.poll().as_millis()).unwrap_or(i64::MAX)).contains(&since) {
            let (desk, name) = (Arc::clone(desk), member.name.clone());
            pool.submit(&name, move || look(&desk, &member));
        }
    }
}

/// Asks one member who it is and how its disks are.
pub(super) fn look(desk: &Desk, member: &Member) {
    let answer = driver(member, desk.credentials()).and_then(|driver| driver.look());
    let now = Timestamp::now().0;
    let error = match &answer {
        Ok((identity, _)) if !is_the_same(&member.identity, &identity.marks) => format!(
            "another node answers at {}: it has {}, the one that was added had {}",
            member.address(),
            in_words(&identity.marks),
            in_words(&member.identity)
        ),
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    let same = error.is_empty();
    let marks = answer.as_ref().map(|(identity, _)| identity.marks.clone()).unwrap_or_default();
    desk.note_seen(&member.name, |seen| {
        seen.asked_ms = Some(now);
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
}

fn in_words(marks: &[String]) -> String {
    if marks.is_empty() { "no disk".to_owned() } else { marks.join(", ") }
}

/// Who it was that answered: whoever answers there next is held against it.
fn remember(desk: &Desk, member: &Member, marks: Vec<String>) {
    let done = desk.change(&desk.process().name.clone(), "", |state| {
        let kept = state.members.get(&member.name).filter(|kept| kept.value == *member);
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
