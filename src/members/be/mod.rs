//! A plain Doris BE, driven over what it serves anyway: `/api/tablet_migration`, and what is read for a plan. It has no
//! plan, no task and no pause; those are kept here, in [`Feeds`], and made anew where they are lost.

mod feeds;
mod picture;

use serde_json::Value;

pub(super) use feeds::Feeds;

use self::picture::Picture;
use super::client::Client;
use super::driver::{
    CallError, DiskSeen, Driver, FEED_LOST, Identity, KIND_CHANGED, Order, Planned, refused,
};
use crate::api::wire::Timestamp;
use crate::model::fleet::{Approved, Member, Progress, Steer};
use crate::model::{PlanCompleteness, TaskId, TaskRequest};
use crate::rules::fleet::be::{self, Answer, Mode, Move, Next, Place, Release};

/// A plain BE.
pub(super) struct Be<'a> {
    client: Client,
    member: &'a Member,
    feeds: &'a Feeds,
    /// Whether something may still be asked of it; said right before it is asked.
    may_ask: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Be<'a> {
    /// Reached by `client`.
    pub(super) const fn new(
        client: Client,
        member: &'a Member,
        feeds: &'a Feeds,
        may_ask: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        Self { client, member, feeds, may_ask }
    }

    /// Its release as it says it; `None` where it serves no such thing, as up to 1.1.
    fn version(&self) -> Result<Option<String>, CallError> {
        let (status, text) = self.client.get_text("/api/be_version_info", &[])?;
        if status == 404 {
            return Ok(None);
        }
        let said: Value = serde_json::from_str(&text).map_err(|error| CallError::Odd(error.to_string()))?;
        let info = &said["data"]["beVersionInfo"];
        if info["dorisBuildVersionPrefix"] == "tabletd" {
            return Err(refused(KIND_CHANGED, self.is_tabletd()));
        }
        let number = |name: &str| info[name].as_u64().or_else(|| info[name].as_str()?.parse().ok());
        let numbers = [
            number("dorisBuildVersionMajor"),
            number("dorisBuildVersionMinor"),
            number("dorisBuildVersionPatch"),
        ];
        Ok(match numbers {
            // A build of no release calls itself 0.0.0.
            [Some(major), Some(minor), Some(patch)] if major > 0 => Some(format!("{major}.{minor}.{patch}")),
            _ => None,
        })
    }

    fn is_tabletd(&self) -> String {
        let address = self.member.address();
        format!("{address} was added as a plain BE and answers as tabletd; two would move its tablets")
    }

    /// A BE knows no `/api/v1`; whoever does is none.
    fn check_kind(&self) -> Result<(), CallError> {
        match self.client.get_text("/api/v1/status", &[])? {
            (404, _) => Ok(()),
            (500..=599, text) => Err(CallError::Unreachable(format!("it answers with an error: {text}"))),
            _ => Err(refused(KIND_CHANGED, self.is_tabletd())),
        }
    }

    /// Nothing is moved on a BE that can crash of it, unless somebody has said yes to that.
    fn check_release(&self) -> Result<(), CallError> {
        let release = self.version()?.and_then(|text| text.parse::<Release>().ok());
        match be::refusal(release) {
            Some(why) if !self.member.accept_known_defects => Err(refused("KNOWN_DEFECTS", why)),
            _ => Ok(()),
        }
    }

    /// The hash under which a tablet is asked for. Up to 2.0 the list of tablets has it, later its header alone.
    fn hash_of(&self, one: &Move) -> Result<Result<i32, Answer>, CallError> {
        if let Some(hash) = one.schema_hash {
            return Ok(Ok(hash));
        }
        let (status, text) = self.client.get_as_us(&format!("/api/meta/header/{}", one.tablet), &[])?;
        let header: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let state = header["tablet_state"].as_str().unwrap_or_default();
        let hash = header["schema_hash"].as_i64().and_then(|hash| i32::try_from(hash).ok());
        Ok(match hash.filter(|_| status == 200) {
            Some(_) if ["NOTREADY", "SHUTDOWN"].iter().any(|bad| state.contains(bad)) => {
                Err(Answer::Never(format!("its header says {state}")))
            }
            Some(hash) => Ok(hash),
            // It may have been dropped: where it is decides.
            None => Err(Answer::Unsure(format!("its header is not to be had: {status}"))),
        })
    }

    fn migration(&self, query: &[(&str, &str)]) -> Result<(String, String, Option<String>), CallError> {
        let (status, text) = self.client.get_as_us("/api/tablet_migration", query)?;
        if status != 200 {
            return Err(CallError::Unreachable(format!("/api/tablet_migration answers {status}")));
        }
        let said: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let word = |name: &str| said[name].as_str().map(str::to_owned);
        Ok((word("status").unwrap_or_default(), word("msg").unwrap_or_default(), word("dest_disk")))
    }

    fn run(&self, one: &Move, hash: i32) -> Result<Answer, CallError> {
        let (tablet, hash) = (one.tablet.to_string(), hash.to_string());
        let query =
            [("goal", "run"), ("tablet_id", &tablet), ("schema_hash", &hash), ("disk", &one.destination)];
        self.migration(&query).map(|(status, text, _)| be::of_run(&status, &text))
    }

    fn status(&self, one: &Move, hash: i32) -> Result<Answer, CallError> {
        let (tablet, hash) = (one.tablet.to_string(), hash.to_string());
        let query = [("goal", "status"), ("tablet_id", &tablet), ("schema_hash", &hash)];
        self.migration(&query).map(|(status, text, dest)| be::of_status(&status, &text, dest.as_deref()))
    }

    /// One thing is asked.
    fn ask(&self, next: Next, one: &Move) -> Result<(), CallError> {
        let now = || Timestamp::now().0;
        match next {
            Next::Look(at) => {
                let place = picture::place(&self.client, one)?;
                let status = match (place, self.hash_of(one)?) {
                    (Place::Elsewhere, Ok(hash)) => self.status(one, hash)?,
                    (Place::Elsewhere, Err(answer)) => answer,
                    _ => Answer::Unknown,
                };
                self.feeds.with(self.member, |feed| feed.found(at, place, status, now()));
            }
            Next::Status(at) => {
                let answer = match self.hash_of(one)? {
                    Ok(hash) => self.status(one, hash)?,
                    Err(answer) => answer,
                };
                self.feeds.with(self.member, |feed| feed.answered(at, answer, now()));
            }
            Next::Run(at) => {
                let answer = match self.hash_of(one)? {
                    Err(answer) => answer,
                    Ok(_) if !(self.may_ask)() => {
                        self.feeds.with(self.member, |feed| feed.not_asked(at, now()));
                        return Ok(());
                    }
                    Ok(hash) => self.run(one, hash)?,
                };
                self.feeds.with(self.member, |feed| feed.answered(at, answer, now()));
            }
        }
        Ok(())
    }
}

impl Driver for Be<'_> {
    fn look(&self) -> Result<(Identity, Vec<DiskSeen>), CallError> {
        self.check_kind()?;
        let version = self.version()?.unwrap_or_else(|| "unknown".to_owned());
        let picture = Picture::of_disks(&self.client)?;
        Ok((Identity { version: format!("doris {version}"), marks: picture.marks() }, picture.seen()))
    }

    fn plan(&self, request: &TaskRequest, completeness: PlanCompleteness) -> Result<Planned, CallError> {
        self.check_kind()?;
        self.check_release()?;
        let mut picture = Picture::of_disks(&self.client)?;
        let plan = picture.plan(&self.client, request, completeness)?;
        let moves = picture.moves(&plan);
        let approved = Approved {
            fingerprint: plan.fingerprint,
            moves: u64::try_from(moves.len()).unwrap_or(u64::MAX),
            bytes: plan.total_bytes(),
        };
        let falls_short = picture.falls_short(&plan);
        self.feeds.remember_plan(self.member, approved.fingerprint, moves, picture.at_once());
        Ok(Planned { plan: approved, falls_short })
    }

    fn place(&self, order: &Order) -> Result<Progress, CallError> {
        if let Some(progress) = self.feeds.progress_of_key(self.member, &order.key) {
            return Ok(progress);
        }
        if !self.feeds.has_plan(self.member, order.fingerprint) {
            let planned = self.plan(&order.request, order.completeness)?;
            if planned.plan.fingerprint != order.fingerprint {
                return Err(refused("PLAN_DRIFTED", "its tablets have changed since the plan was made"));
            }
        }
        let placed = self.feeds.place(self.member, &order.key);
        placed.ok_or_else(|| refused("PLAN_DRIFTED", "its plan is not known any more"))
    }

    fn progress(&self, task: TaskId) -> Result<Progress, CallError> {
        let lost = || refused(FEED_LOST, "which moves are left is not known here, and is found out anew");
        let round = self.feeds.round(self.member, task, Timestamp::now().0).ok_or_else(lost)?;
        let mut came_to = Ok(());
        for (next, one) in round {
            // What was to be asked and was not is not known to be asked: it waits for its turn again.
            if came_to.is_err() || self.feeds.is_stopped(self.member) {
                if let Next::Run(at) = next {
                    self.feeds.with(self.member, |feed| feed.not_asked(at, Timestamp::now().0));
                }
                continue;
            }
            came_to = self.ask(next, &one);
        }
        came_to?;
        self.feeds.progress(self.member, task).ok_or_else(lost)
    }

    fn steer(&self, task: TaskId, steer: Steer) -> Result<Progress, CallError> {
        let mode = match steer {
            Steer::Start | Steer::Resume => Mode::Running,
            Steer::Pause => Mode::Paused,
            Steer::Cancel => Mode::Cancelled,
        };
        self.feeds.with(self.member, |feed| feed.mode = mode);
        let lost = || refused(FEED_LOST, "which moves are left is not known here, and is found out anew");
        self.feeds.progress(self.member, task).ok_or_else(lost)
    }
}
