//! Keeps the leadership, or follows who has it. A thread of its own: what members do never delays it.

use std::sync::Arc;
use std::time::Duration;

use super::desk::Desk;
use crate::store::Standing;

/// How often leadership is renewed, and who leads is looked at; a fifth of what it lasts.
const TURN: Duration = Duration::from_secs(2);

/// Keeps on until the desk is stopped, and then gives leadership up.
pub fn keep(desk: &Arc<Desk>) {
    let mut processes = None;
    while !desk.is_stopping() {
        turn(desk);
        match desk.leadership() {
            Some(_) => desk.note_processes(&mut processes),
            None => processes = None,
        }
        let end = std::time::Instant::now() + TURN;
        while !desk.is_stopping() && !desk.stands_back() && std::time::Instant::now() < end {
            if desk.leadership().is_some() {
                std::thread::sleep(Duration::from_millis(50));
            } else if desk.leader().is_none() || desk.follow(Duration::from_millis(500)).is_err() {
                break;
            }
        }
    }
    give_up(desk);
}

fn give_up(desk: &Desk) {
    // Before it is given up, not after: nothing is asked of a member while another leads.
    desk.set_standing(Standing::Follows(None));
    if let Err(error) = desk.store().resign() {
        tracing::warn!("leadership was not given up in order: {error}; it ends by itself");
    }
}

fn turn(desk: &Arc<Desk>) {
    if desk.stands_back() {
        give_up(desk);
        std::thread::sleep(Duration::from_millis(100));
        return;
    }
    let before = desk.leadership().map(|leadership| leadership.epoch);
    match desk.store().lead(desk.process()) {
        Ok(standing) => {
            let now = match &standing {
                Standing::Leads(leadership) => Some(leadership.epoch),
                Standing::Follows(_) => None,
            };
            // Nobody acts on what was read while another led.
            if now.is_some()
                && now != before
                && let Err(error) = desk.read_again()
            {
                desk.set_trouble(Some(error.to_string()));
                std::thread::sleep(Duration::from_millis(200));
                return;
            }
            desk.set_standing(standing);
            desk.set_trouble(None);
            match (before, now) {
                (old, Some(epoch)) if old != Some(epoch) => begin(desk, epoch),
                (Some(epoch), None) => tracing::warn!("this process leads no more; its epoch was {epoch}"),
                _ => {}
            }
        }
        Err(error) => {
            tracing::warn!("{error}");
            desk.set_trouble(Some(error.to_string()));
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn begin(desk: &Arc<Desk>, epoch: u64) {
    tracing::info!("this process leads, epoch {epoch}");
    if let Err(refusal) = desk.take_over() {
        tracing::warn!("taking over failed, and is tried again: {refusal}");
        desk.set_standing(Standing::Follows(None));
    }
}
