//! What happened first: how a node comes to each point of a migration.

use std::fmt;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::place::{DESTINATION, MOVED, Place, SOURCE};
use crate::harness::{Daemon, POINTS};
use crate::node::PATIENCE;
use crate::rng::Rng;

/// A point of a migration, or of what may come after one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// Killed when this has just become durable.
    Killed(&'static str),
    /// Some of its bytes are copied.
    Copying,
    /// Paused while it was copied.
    Paused,
    /// Space is reserved, staging is made; waits for `run data`.
    Prepared,
    /// Verified, waits for its cutover.
    Ready,
    /// Aborted at its gate: an acknowledged end.
    Aborted,
    /// Completed, the old copy in trash: an acknowledged end.
    Completed,
    /// Completed there and back: a copy in trash on both disks.
    MovedBack,
    /// Completed, but the old copy could not be retired for want of room.
    NotRetired,
    /// Completed, then found damaged.
    Damaged,
    /// Being healed from trash.
    Healing,
    /// Lost its directory and is being restored from trash.
    Restoring,
    /// The source is being drained.
    Draining,
}

impl First {
    /// All of them.
    pub(super) fn all() -> Vec<Self> {
        let staged = [
            Self::Copying,
            Self::Paused,
            Self::Prepared,
            Self::Ready,
            Self::Aborted,
            Self::Completed,
            Self::MovedBack,
            Self::NotRetired,
            Self::Damaged,
            Self::Healing,
            Self::Restoring,
            Self::Draining,
        ];
        POINTS.iter().copied().map(Self::Killed).chain(staged).collect()
    }

    /// Brings a fresh node there.
    pub(super) fn bring(self, place: &mut Place, rng: &mut Rng) -> Result<Story, String> {
        match self {
            Self::Killed(point) => killed_at(place, point, rng),
            _ => {
                let daemon = place.start()?;
                self.bring_live(place, daemon, rng)
            }
        }
    }

    fn bring_live(self, place: &Place, daemon: Daemon, rng: &mut Rng) -> Result<Story, String> {
        let mut story = Story { daemon: None, id: None, promised: None };
        match self {
            Self::Copying | Self::Paused => {
                limit(&daemon, SLOW)?;
                let id = submit(place, &daemon, DESTINATION, "auto")?;
                until(&daemon, id, |row| row["disk_processed_bytes"].as_u64() > Some(0))?;
                if self == Self::Paused {
                    // Refused where it was quicker.
                    let _ = act(&daemon, id, &json!({"pause": {}}));
                    until(&daemon, id, |row| row["status"] == "paused" || has_ended(row))?;
                }
                story.id = Some(id);
            }
            Self::Prepared => {
                let id = submit(place, &daemon, DESTINATION, "stepwise")?;
                until(&daemon, id, |row| row["status"] == "preflight_passed")?;
                granted(&daemon, &format!("/api/v1/migrations/{id}/run"), &json!({"step": "prepare"}))?;
                until(&daemon, id, |row| row["status"] == "prepared")?;
                story.id = Some(id);
            }
            Self::Ready | Self::Aborted => {
                let id = submit(place, &daemon, DESTINATION, "manual_cutover")?;
                until(&daemon, id, |row| row["status"] == "ready")?;
                if self == Self::Aborted {
                    act(&daemon, id, &json!({"abort": {}}))?;
                    until(&daemon, id, |row| row["status"] == "aborted")?;
                    story.promised = Some((SOURCE, "aborted"));
                }
                story.id = Some(id);
            }
            Self::NotRetired => {
                place.disks[SOURCE].fill(rng.coin()).map_err(|error| error.to_string())?;
                story = moved(place, &daemon, DESTINATION)?;
            }
            Self::MovedBack => {
                moved(place, &daemon, DESTINATION)?;
                story = moved(place, &daemon, SOURCE)?;
            }
            Self::Draining => drain(place, &daemon, rng)?,
            _ => {
                story = moved(place, &daemon, DESTINATION)?;
                if self != Self::Completed {
                    self.hurt(place, &daemon)?;
                    // Its cure may bring it to another disk.
                    story.promised = None;
                }
            }
        }
        story.daemon = Some(daemon);
        Ok(story)
    }

    /// The moved tablet is damaged or loses its directory, which a verification finds; then its cure is begun.
    fn hurt(self, place: &Place, daemon: &Daemon) -> Result<(), String> {
        let dir = place.node.tablet_dir(DESTINATION, MOVED);
        let done = match self {
            // With its parent: nobody clears an empty one away when no good copy is left.
            Self::Restoring => std::fs::remove_dir_all(dir.parent().expect("data/SHARD/ID")),
            _ => flip_a_byte(&dir.join("02000000_0.dat")),
        };
        done.map_err(|error| format!("{}: {error}", dir.display()))?;
        let path = format!("/api/v1/tablets/{}", MOVED.tablet_id);
        granted(daemon, &format!("{path}/verify"), &json!({}))?;
        let is_known = || Ok(daemon.try_get(&path)?["damaged"].is_string());
        wait("the damage is not found", is_known)?;
        let (path, body) = match self {
            Self::Damaged => return Ok(()),
            Self::Healing => (format!("{path}/heal"), json!({})),
            _ => (
                "/api/v1/trash/restore".to_owned(),
                json!({"tablet_id": 7, "schema_hash": MOVED.schema_hash}),
            ),
        };
        limit(daemon, SLOW)?;
        granted(daemon, &path, &body)
    }
}

impl fmt::Display for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed(point) => return write!(f, "killed at {point}"),
            Self::Copying => "copying",
            Self::Paused => "paused",
            Self::Prepared => "prepared",
            Self::Ready => "ready",
            Self::Aborted => "aborted",
            Self::Completed => "completed",
            Self::MovedBack => "moved back",
            Self::NotRetired => "not retired",
            Self::Damaged => "damaged",
            Self::Healing => "healing",
            Self::Restoring => "restoring",
            Self::Draining => "draining",
        })
    }
}

/// What has been until now.
pub(super) struct Story {
    /// The daemon, where it lives.
    pub(super) daemon: Option<Daemon>,
    /// The migration, where one was acknowledged.
    pub(super) id: Option<u64>,
    /// The end that a client saw: the disk that owns the tablet, and the migration's status.
    pub(super) promised: Option<(usize, &'static str)>,
}

fn killed_at(place: &mut Place, point: &str, rng: &mut Rng) -> Result<Story, String> {
    place.node.env = vec![("TABLETD_FAIL_POINT", format!("{point}=kill"))];
    let mut daemon = place.start()?;
    // Both modes go through the same points; at the gate the other one waits for its operator.
    let mode = if rng.coin() { "auto" } else { "manual_cutover" };
    let mut id = submit(place, &daemon, DESTINATION, mode).ok();
    if let Some(number) = id.filter(|_| mode == "manual_cutover") {
        // It may die on the way there, and under the answer.
        let reached = until(&daemon, number, |row| row["status"] == "ready");
        if reached.is_ok() {
            let _ = act(&daemon, number, &json!({"cutover": {}}));
        }
    }
    wait(&format!("{point} was never reached"), || Ok(!daemon.is_running()))?;
    place.node.env.clear();
    if point == "accepted" {
        // Durable, and never said.
        id = None;
    }
    Ok(Story { daemon: None, id, promised: None })
}

fn moved(place: &Place, daemon: &Daemon, to: usize) -> Result<Story, String> {
    let id = submit(place, daemon, to, "auto")?;
    let row = until(daemon, id, has_ended)?;
    if row["status"] != "completed" {
        return Err(format!("an undisturbed move did not complete: {row:#}"));
    }
    Ok(Story { daemon: None, id: Some(id), promised: Some((to, "completed")) })
}

/// Bytes per second at which a round's tablet is still under way when the next thing happens.
const SLOW: u64 = 30_000;

/// Begins, and is left at a random moment of it.
fn drain(place: &Place, daemon: &Daemon, rng: &mut Rng) -> Result<(), String> {
    let plan = json!({"path": place.path(SOURCE), "dry_run": false});
    granted(daemon, "/api/v1/disks/drain", &plan)?;
    std::thread::sleep(Duration::from_micros(rng.below(60_000)));
    Ok(())
}

/// Submits a move of the tablet.
pub(super) fn submit(place: &Place, daemon: &Daemon, to: usize, mode: &str) -> Result<u64, String> {
    let wish = json!({"tablet_id": MOVED.tablet_id, "dest_disk": place.path(to), "mode": mode});
    let (status, answer) = daemon.try_post("/api/v1/migrations", &wish)?;
    answer["id"].as_u64().filter(|_| status == 201).ok_or_else(|| format!("refused: {answer:#}"))
}

/// Asks for something that must be granted.
pub(super) fn granted(daemon: &Daemon, path: &str, body: &Value) -> Result<(), String> {
    match daemon.try_post(path, body)? {
        (200..300, _) => Ok(()),
        (_, refusal) => Err(format!("POST {path} {body}: {refusal:#}")),
    }
}

fn act(daemon: &Daemon, id: u64, action: &Value) -> Result<(), String> {
    granted(daemon, &format!("/api/v1/migrations/{id}/action"), action)
}

fn limit(daemon: &Daemon, bytes_per_sec: u64) -> Result<(), String> {
    let path = format!("/api/update_config?node_rate_limit_bytes_per_sec={bytes_per_sec}");
    granted(daemon, &path, &json!({}))
}

pub(super) fn has_ended(row: &Value) -> bool {
    row["status"]
        .as_str()
        .is_some_and(|status| ["completed", "failed", "aborted", "expired"].contains(&status))
}

/// Waits for a migration.
pub(super) fn until(daemon: &Daemon, id: u64, is_so: impl Fn(&Value) -> bool) -> Result<Value, String> {
    let mut row = Value::Null;
    wait("the migration does not get there", || {
        row = daemon.try_get(&format!("/api/v1/migrations/{id}"))?;
        Ok(is_so(&row))
    })
    .map_err(|why| format!("{why}: {row:#}"))?;
    Ok(row)
}

/// Waits until it is so.
pub(super) fn wait(otherwise: &str, is_so: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
    wait_at_most(PATIENCE, otherwise, is_so)
}

/// The same with less patience; it is looked at least once.
pub(super) fn wait_at_most(
    patience: Duration,
    otherwise: &str,
    mut is_so: impl FnMut() -> Result<bool, String>,
) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    while !is_so()? {
        if Instant::now() > deadline {
            return Err(otherwise.to_owned());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn flip_a_byte(file: &std::path::Path) -> std::io::Result<()> {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(file)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, 100)?;
    file.write_all_at(&[byte[0] ^ 1], 100)
}
