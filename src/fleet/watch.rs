//! The leader's loop: looks at members when it is time.

use std::sync::Arc;
use std::time::Duration;

use super::desk::Desk;
use super::drive::{Looked, drive};
use super::look::look;
use super::pool::Pool;
use crate::api::wire::Timestamp;

/// How often the loop looks for something to do.
const TURN: Duration = Duration::from_millis(200);

/// Until the desk is stopped.
///
/// # Errors
/// There is no thread to be had.
pub fn watch(desk: &Arc<Desk>) -> std::io::Result<()> {
    let pool = Pool::start()?;
    let mut looked = Looked::new();
    while !desk.is_stopping() {
        if desk.leadership().is_some() {
            look_around(desk, &pool);
            drive(desk, &pool, &mut looked);
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
            pool.submit(&name, move || drop(look(&desk, &member)));
        }
    }
}
