//! Whether the promise held: while one good copy of a tablet is on a disk that is here, the tablet is served from it or
//! one documented verb away from it; no start is refused for what is on a disk; no acknowledged end is undone.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tabletd::model::TabletKey;

use super::first::{Story, has_ended, wait, wait_at_most};
use super::next::{Loss, Next, end};
use super::place::{DESTINATION, MOVED, Place, SOURCE, THIRD};
use crate::harness::Daemon;
use crate::node::PATIENCE;
use crate::rng::Rng;

/// What a refusal says whose cause goes away by itself.
const BUSY_WORDS: [&str; 3] = ["is being", "has it", "is under way"];

/// How long a verb may be refused because something else has the tablet.
const BUSY: Duration = Duration::from_secs(5);

/// Starts the node on what is left, and looks; then lets come back what comes back, and looks again.
pub(super) fn judge(place: &mut Place, story: &Story, next: Next, rng: &mut Rng) -> Result<(), String> {
    let owed = place.good_copies();
    let daemon = place.start()?;
    let mut verbs = BTreeSet::new();
    for key in owed.keys() {
        served_or_one_verb_away(place, &daemon, *key, &mut verbs)
            .map_err(|why| with_log(&daemon, &format!("with the {next}: {why}")))?;
    }
    end(daemon, rng);
    let kept = place.good_copies();
    if let Some(key) = owed.keys().find(|key| !kept.contains_key(key)) {
        return Err(format!(
            "with the {next}: no good copy of tablet {key} is left, it had been on {owed:?}"
        ));
    }

    next.undo(place).map_err(|error| error.to_string())?;
    let mut owed: BTreeSet<_> = place.good_copies().into_keys().collect();
    owed.extend(kept.into_keys());
    let daemon = place.start()?;
    let ended = all_ends(place, &daemon, next, rng).map_err(|why| with_log(&daemon, &why))?;
    for key in &owed {
        served_or_one_verb_away(place, &daemon, *key, &mut verbs)
            .map_err(|why| with_log(&daemon, &format!("after the {next}: {why}")))?;
    }
    if verbs.is_empty() {
        check_promises(story, next, &ended).map_err(|why| with_log(&daemon, &why))?;
    }
    daemon.stop();
    // What the last daemon has left undone, the next one finds.
    place.start()?.stop();
    let placement = place.examine(&owed)?;
    if let (true, Some((owner, status))) = (verbs.is_empty(), story.promised) {
        let at = placement.get(&MOVED);
        let away = matches!(next, Next::Disk(disk, Loss::Replaced) if disk == owner);
        if at != Some(&owner) && !away && next != Next::Orders {
            return Err(format!("{status} was acknowledged with disk {owner}, and the tablet is on {at:?}"));
        }
    }
    Ok(())
}

fn with_log(daemon: &Daemon, why: &str) -> String {
    format!("{why}\n{}", daemon.said())
}

/// Nothing waits for ever once every disk is here: gates are opened, what is paused goes on. The ended migrations.
fn all_ends(place: &Place, daemon: &Daemon, next: Next, rng: &mut Rng) -> Result<Vec<Value>, String> {
    let some_gone = matches!(next, Next::Disk(_, Loss::Replaced)) || !place.given_up.is_empty();
    let mut rows = Vec::new();
    let cuts_over = rng.coin();
    // One whose other end is gone for good waits for an operator who says so.
    let patience = if some_gone { Duration::ZERO } else { PATIENCE };
    let ended = wait_at_most(patience, "migrations never end", || {
        rows = daemon.try_migrations()?;
        let open: Vec<_> = rows.iter().filter(|row| !has_ended(row)).collect();
        for row in &open {
            let takes = |verb: &str| {
                row["actions"].as_array().is_some_and(|actions| actions.iter().any(|action| action == verb))
            };
            let paused = row["status"] == "paused";
            let order = match row["status"].as_str() {
                _ if some_gone && takes("abort") => json!({"abort": {}}),
                Some("paused" | "ready" | "prepared" | "preflight_passed") if !cuts_over => {
                    json!({"abort": {}})
                }
                Some("paused") if paused => json!({"resume": {}}),
                Some("ready" | "prepared" | "preflight_passed") => json!({"force_complete": {}}),
                _ => continue,
            };
            daemon.try_post(&format!("/api/v1/migrations/{}/action", row["id"]), &order)?;
        }
        Ok(open.is_empty())
    });
    if let Err(why) = ended
        && !some_gone
    {
        return Err(format!("{why}: {rows:#?}"));
    }
    // What was asked to be undone here is given the time for it: two daemons that end at once do not come to it.
    let _ = wait_at_most(BUSY, "an abort never ends", || {
        rows = daemon.try_migrations()?;
        Ok(rows.iter().all(|row| row["status"] != "aborting"))
    });
    Ok(rows)
}

fn check_promises(story: &Story, next: Next, rows: &[Value]) -> Result<(), String> {
    let Some(id) = story.id.filter(|_| !next.forgets() && next != Next::Orders) else { return Ok(()) };
    let Some(row) = rows.iter().find(|row| row["id"] == id) else {
        return Err(format!("migration {id} was acknowledged and is forgotten"));
    };
    match story.promised {
        Some((_, status)) if row["status"] != status => {
            Err(format!("migration {id} was {status} and is {}: {row:#}", row["status"]))
        }
        _ => Ok(()),
    }
}

/// What an operator may type when a tablet is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Heal,
    Restore,
    Adopt,
    GiveUp,
    HealElsewhere,
    HealOlder,
    HealOlderElsewhere,
    AdoptOlder,
    GiveUpOlder,
}

impl Verb {
    const ALL: [Self; 9] = [
        Self::Heal,
        Self::Restore,
        Self::HealElsewhere,
        Self::Adopt,
        Self::GiveUp,
        Self::HealOlder,
        Self::HealOlderElsewhere,
        Self::AdoptOlder,
        Self::GiveUpOlder,
    ];

    /// Types it. What it was answered with.
    fn say(self, place: &mut Place, daemon: &Daemon, key: TabletKey) -> Result<String, String> {
        let accept_older =
            matches!(self, Self::HealOlder | Self::HealOlderElsewhere | Self::AdoptOlder | Self::GiveUpOlder);
        match self {
            Self::Adopt | Self::AdoptOlder => adopt(place, daemon, key, accept_older),
            Self::Heal | Self::HealElsewhere | Self::HealOlder | Self::HealOlderElsewhere => {
                let elsewhere = matches!(self, Self::HealElsewhere | Self::HealOlderElsewhere);
                let to = elsewhere.then(|| place.path(THIRD));
                let body = json!({"schema_hash": key.schema_hash, "accept_older": accept_older, "to": to});
                operate(daemon, &format!("/api/v1/tablets/{}/heal", key.tablet_id), &body)
            }
            Self::Restore => {
                let body = json!({"tablet_id": key.tablet_id, "schema_hash": key.schema_hash});
                operate(daemon, "/api/v1/trash/restore", &body)
            }
            Self::GiveUp | Self::GiveUpOlder => give_up(place, daemon, accept_older),
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Heal => "tablet heal",
            Self::Restore => "trash restore",
            Self::Adopt => "tablet adopt, or quarantine restore",
            Self::AdoptOlder => "tablet adopt --accept-older, or quarantine restore --accept-older",
            Self::GiveUp => "disk forget --lost, or disk replace",
            Self::HealElsewhere => "tablet heal --to DISK",
            Self::HealOlder => "tablet heal --accept-older",
            Self::HealOlderElsewhere => "tablet heal --accept-older --to DISK",
            Self::GiveUpOlder => "disk forget --lost --accept-older",
        })
    }
}

/// Served, or served after one of the verbs. Each is tried while something else may have the tablet.
fn served_or_one_verb_away(
    place: &mut Place,
    daemon: &Daemon,
    key: TabletKey,
    verbs: &mut BTreeSet<Verb>,
) -> Result<(), String> {
    let deadline = Instant::now() + BUSY;
    loop {
        let Err(why) = place.is_served(daemon, key) else { return Ok(()) };
        let (mut answers, mut is_busy) = (Vec::new(), false);
        for verb in Verb::ALL {
            let answer = verb.say(place, daemon, key)?;
            is_busy |= BUSY_WORDS.iter().any(|word| answer.contains(word));
            verbs.insert(verb);
            if place.is_served(daemon, key).is_ok() {
                return Ok(());
            }
            answers.push(format!("  {verb}: {answer}"));
        }
        if !is_busy || Instant::now() > deadline {
            let said = answers.join("\n");
            return Err(format!("tablet {key} is not served ({why}), and no verb helps:\n{said}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn operate(daemon: &Daemon, path: &str, body: &Value) -> Result<String, String> {
    let (status, begun) = daemon.try_post(path, body)?;
    let Some(id) = begun["id"].as_u64().filter(|_| status == 202) else {
        return Ok(begun["error_msg"].to_string());
    };
    let mut last = begun;
    wait("the operation does not end", || {
        last = daemon.try_get(&format!("/api/v1/operations/{id}"))?;
        Ok(last["state"] != "running")
    })?;
    Ok(format!("{} {}", last["state"], last["error"]["message"]))
}

/// Takes in what no record names, and what was set aside, until the tablet is served.
fn adopt(place: &Place, daemon: &Daemon, key: TabletKey, accept_older: bool) -> Result<String, String> {
    wait("the disks are not looked through", || {
        let disks = daemon.try_get("/api/v1/disks")?;
        let here =
            disks["data"].as_array().into_iter().flatten().filter(|disk| disk["condition"] != "broken");
        Ok(here.into_iter().all(|disk| disk["unrecorded_not_looked_at"].is_null()))
    })?;
    let mut asked = Vec::new();
    let left = daemon.try_get(&format!("/api/v1/unrecorded?tablet_id={}", key.tablet_id))?;
    for dir in left["data"].as_array().into_iter().flatten() {
        asked.push(("/api/v1/tablets/adopt", json!({"path": dir["path"], "accept_older": accept_older})));
    }
    let aside = daemon.try_get(&format!("/api/v1/quarantine?tablet_id={}", key.tablet_id))?;
    for item in aside["data"].as_array().into_iter().flatten() {
        let body = json!({"disk": item["disk"], "entry": item["entry"], "accept_older": accept_older});
        asked.push(("/api/v1/quarantine/restore", body));
    }
    let mut answers = Vec::new();
    for (route, body) in asked {
        answers.push(operate(daemon, route, &body)?);
        if place.is_served(daemon, key).is_ok() {
            break;
        }
    }
    Ok(answers.join("; "))
}

/// Gives up every disk that is not here, as its operator would: by replacing where a blank one stands there.
fn give_up(place: &mut Place, daemon: &Daemon, accept_older: bool) -> Result<String, String> {
    let mut answers = Vec::new();
    for disk in [SOURCE, DESTINATION] {
        let path = place.path(disk);
        let shown = daemon.try_get(&format!("/api/v1/disks/show?path={path}"))?;
        if ["online", "read-only", "disabled"].iter().any(|fine| shown["condition"] == *fine) {
            continue;
        }
        let is_blank = place.is_here(disk);
        let (route, mut body) = match is_blank {
            true => ("/api/v1/disks/replace", json!({"path": path, "accept_older": accept_older})),
            false => {
                ("/api/v1/disks/forget", json!({"path": path, "accept_older": accept_older, "lost": true}))
            }
        };
        body["dry_run"] = json!(true);
        let (_, look) = daemon.try_post(route, &body)?;
        body["dry_run"] = json!(false);
        body["confirm"] = look["confirm"].clone();
        let (status, done) = daemon.try_post(route, &body)?;
        if status < 300 && !is_blank {
            place.given_up.insert(disk);
        }
        answers.push(format!("{path}: {status} {}", done["error_msg"]));
    }
    Ok(answers.join("; "))
}
