//! Carries campaigns out: whoever may begins, each part under way is taken one step further, and a campaign whose failures
//! say so stops. A decision is in the store before the call that carries it out, and every call is safe to repeat.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::desk::{Desk, Made, Seen};
use super::look::{look, note_failure};
use super::pool::Pool;
use super::refusal::Refusal;
use super::show::parts_by_name;
use super::state::{Key, State, set};
use crate::api::wire::Timestamp;
use crate::members::{CallError, Driver, Order, code};
use crate::model::fleet::{Campaign, CampaignId, CampaignStatus, Member, MemberKind, Part, PartStatus};
use crate::model::{PlanCompleteness, TaskRequest, counted};
use crate::rules::fleet::{
    Now, Turn, Wanted, ended, exhausted, is_over, moved, of_the_whole, request_of, turns, wanted, within,
};

/// How often a part that moves is looked at.
const EVERY: Duration = Duration::from_secs(2);
/// How often counters alone are written down.
const COUNTERS_EVERY: Duration = Duration::from_secs(5);
/// A member that changes faster than it can be planned for is somebody's to look at.
const ATTEMPTS_MAX: u32 = 5;
/// Steps in one go.
const STEPS_MAX: u32 = 6;

/// When each part was looked at last.
pub(super) type Looked = BTreeMap<(CampaignId, String), Instant>;

/// One turn over all campaigns.
pub(super) fn drive(desk: &Arc<Desk>, pool: &Pool, looked: &mut Looked) {
    let open = desk.read(|state| state.campaigns.keys().copied().filter(|id| is_open(state, *id)).collect());
    let open: Vec<CampaignId> = open;
    looked.retain(|(id, _), _| open.contains(id));
    for id in open {
        if let Err(refusal) = turn(desk, pool, looked, id) {
            tracing::warn!("campaign {id} is not taken further now: {refusal}");
        }
    }
}

fn is_open(state: &State, id: CampaignId) -> bool {
    state.campaigns.get(&id).is_some_and(|kept| match kept.value.status {
        CampaignStatus::Running | CampaignStatus::Paused => true,
        CampaignStatus::Cancelled => state.parts_of(id).any(|part| !part.status.is_over()),
        CampaignStatus::Stopped | CampaignStatus::Finished => false,
    })
}

fn turn(desk: &Arc<Desk>, pool: &Pool, looked: &mut Looked, id: CampaignId) -> Result<(), Refusal> {
    let Some(campaign) = desk.read(|state| state.campaigns.get(&id).map(|kept| kept.value.clone())) else {
        return Ok(());
    };
    close(desk, id)?;
    begin(desk, &campaign)?;
    let every = EVERY.min(desk.poll());
    for part in desk.read(|state| parts_by_name(state, id)).into_values() {
        let key = (id, part.member.clone());
        let is_due = looked.get(&key).is_none_or(|last| last.elapsed() >= every);
        if !part.status.is_under_way() || !is_due {
            continue;
        }
        let (job_desk, name) = (Arc::clone(desk), part.member.clone());
        if pool.submit(&part.member, move || advance(&job_desk, id, &name)) {
            looked.insert(key, Instant::now());
        }
    }
    Ok(())
}

/// Lets those begin whose turn it is.
fn begin(desk: &Desk, campaign: &Campaign) -> Result<(), Refusal> {
    let members = desk.members_now(campaign);
    let (id, now) = (campaign.id, Timestamp::now().0);
    let decided = |state: &State| {
        let campaign = state.campaigns.get(&id).map(|kept| &kept.value)?;
        let parts = parts_by_name(state, id);
        // Nobody can be asked any more how these stand.
        let removed = |part: &&Part| part.status.is_under_way() && !state.members.contains_key(&part.member);
        let removed = parts.values().filter(removed).map(|part| {
            let why = "the member was removed from the fleet; what is under way there goes on";
            ended(part, PartStatus::Failed, why, now)
        });
        if campaign.status == CampaignStatus::Cancelled {
            let waiting = parts.values().filter(|part| part.status == PartStatus::Waiting);
            let called_off = waiting.map(|part| ended(part, PartStatus::Cancelled, "called off", now));
            return Some(called_off.chain(removed).collect());
        }
        let decided = turns(campaign, &parts, &members, Now { ms: now }).into_iter();
        let next = decided.filter_map(|(name, turn)| {
            let part = parts.get(&name)?;
            match turn {
                Turn::Wait(_) => None,
                Turn::Begin => {
                    Some(Part { status: PartStatus::Checking, started_ms: Some(now), ..part.clone() })
                }
                Turn::Skip(why) => Some(ended(part, PartStatus::Skipped, why, now)),
                Turn::Fail(why) => Some(ended(part, PartStatus::Failed, why, now)),
            }
        });
        Some(next.chain(removed).collect::<Vec<_>>())
    };
    if desk.read(decided).is_none_or(|next| next.is_empty()) {
        return Ok(());
    }
    desk.change(&own(desk), "", |state| {
        let next = decided(state).unwrap_or_default();
        let words: Vec<_> =
            next.iter().map(|part| format!("{} {}", part.member, part.status.as_str())).collect();
        let what =
            if words.is_empty() { String::new() } else { format!("campaign {id}: {}", words.join(", ")) };
        Ok(Made { changes: next.iter().filter_map(|part| write(state, part)).collect(), answer: (), what })
    })
}

fn write(state: &State, part: &Part) -> Option<crate::store::Change> {
    let kept = state.parts.get(&(part.campaign, part.member.clone()))?;
    Some(set(&Key::Part(part.campaign, part.member.clone()), Some(kept), part))
}

/// Who decides when nobody asked.
fn own(desk: &Desk) -> String {
    format!("tabletfleet {}", desk.process().name)
}

/// Pauses a campaign whose failures say so, and ends one of which nothing is left.
fn close(desk: &Desk, id: CampaignId) -> Result<(), Refusal> {
    let now = Timestamp::now().0;
    let decided = |state: &State| -> Option<Campaign> {
        let campaign = state.campaigns.get(&id).map(|kept| &kept.value)?;
        let parts: Vec<_> = state.parts_of(id).collect();
        let next = Campaign { updated_ms: now, ..campaign.clone() };
        match campaign.status {
            CampaignStatus::Running | CampaignStatus::Paused if is_over(&parts) => {
                let count = |status| parts.iter().filter(|part| part.status == status).count();
                let status_reason = format!(
                    "{} done, {} failed, {} left out",
                    count(PartStatus::Done),
                    count(PartStatus::Failed),
                    count(PartStatus::Skipped)
                );
                Some(Campaign { status: CampaignStatus::Finished, status_reason, ..next })
            }
            CampaignStatus::Running => exhausted(campaign, &parts).map(|why| Campaign {
                status: CampaignStatus::Paused,
                status_reason: why,
                ..next
            }),
            _ => None,
        }
    };
    if desk.read(decided).is_none() {
        return Ok(());
    }
    desk.change(&own(desk), "", |state| {
        let both = decided(state).and_then(|next| Some((next, state.campaigns.get(&id)?)));
        let changes = both.as_ref().map(|(next, kept)| set(&Key::Campaign(id), Some(kept), next));
        let what = both
            .as_ref()
            .map(|(next, _)| format!("campaign {id} {}: {}", next.status.as_str(), next.status_reason));
        Ok(Made { changes: changes.into_iter().collect(), answer: (), what: what.unwrap_or_default() })
    })
}

/// What one part stands in: read anew before every step.
struct Scene {
    campaign: Campaign,
    member: Member,
    part: Part,
    fleet: String,
}

fn scene(desk: &Desk, id: CampaignId, name: &str) -> Option<Scene> {
    desk.read(|state| {
        Some(Scene {
            campaign: state.campaigns.get(&id)?.value.clone(),
            member: state.members.get(name)?.value.clone(),
            part: state.parts.get(&(id, name.to_owned()))?.value.clone(),
            fleet: state.fleet_id().to_owned(),
        })
    })
}

/// Takes one part as far as it goes without waiting.
fn advance(desk: &Desk, id: CampaignId, name: &str) {
    for _ in 0..STEPS_MAX {
        let Some(scene) = scene(desk, id, name) else { return };
        // Without leadership nothing is asked of anybody.
        if !scene.part.status.is_under_way() || desk.leadership().is_none() {
            return;
        }
        let before = scene.part.clone();
        let next = match step(desk, &scene) {
            Ok(next) => next,
            Err(error) => match fate(desk, &scene, &error) {
                Some(next) => next,
                None => return,
            },
        };
        match save(desk, &before, &next) {
            Ok(true) => {}
            Ok(false) => return,
            Err(refusal) => {
                tracing::warn!("campaign {id}: {name} is not taken further now: {refusal}");
                return;
            }
        }
    }
}

/// One step; what the part is afterwards.
fn step(desk: &Desk, scene: &Scene) -> Result<Part, CallError> {
    let Scene { campaign, member, part, .. } = scene;
    let now = Timestamp::now().0;
    let wanted = wanted(campaign.status, member.enable);
    // Another node may have tasks of the same numbers: who it is comes first, at every step.
    let came_to = look(desk, member);
    let seen = desk.seen(&member.name);
    if seen.is_another {
        return Ok(ended(part, PartStatus::Failed, seen.error, now));
    }
    // A credential that is refused is not silence.
    came_to?;
    desk.talk(member, |driver| step_with(desk, driver, scene, &seen, wanted, now))
}

fn step_with(
    desk: &Desk,
    driver: &dyn Driver,
    scene: &Scene,
    seen: &Seen,
    wanted: Wanted,
    now: i64,
) -> Result<Part, CallError> {
    let Scene { campaign, part, .. } = scene;
    match part.status {
        PartStatus::Checking | PartStatus::Planning if wanted == Wanted::Cancel => {
            Ok(ended(part, PartStatus::Cancelled, "called off before it moved", now))
        }
        PartStatus::Checking | PartStatus::Planning if wanted == Wanted::Hold => Ok(part.clone()),
        PartStatus::Checking => Ok(Part { status: PartStatus::Planning, ..part.clone() }),
        PartStatus::Planning => plan(driver, scene, seen, now),
        PartStatus::Moving => move_on(desk, driver, scene, seen, wanted, now),
        PartStatus::Settling => Ok(settle(campaign, part, seen, now)),
        _ => Ok(part.clone()),
    }
}

/// What this member is asked.
fn asked(scene: &Scene, seen: &Seen) -> Result<TaskRequest, CallError> {
    let paths: Vec<_> = seen.disks.iter().map(|disk| disk.path.as_str()).collect();
    request_of(&scene.campaign.request, &paths).ok_or_else(|| CallError::Refused {
        code: "DISK_NOT_FOUND".to_owned(),
        message: "the member has none of the disks any more".to_owned(),
    })
}

fn plan(driver: &dyn Driver, scene: &Scene, seen: &Seen, now: i64) -> Result<Part, CallError> {
    let Scene { campaign, part, .. } = scene;
    if part.attempt >= ATTEMPTS_MAX {
        let text = format!("the member changed while it was planned for, {ATTEMPTS_MAX} times");
        return Ok(ended(part, PartStatus::Failed, text, now));
    }
    let planned = driver.plan(&asked(scene, seen)?, campaign.policy.completeness)?;
    if campaign.policy.completeness == PlanCompleteness::AllOrNothing && !planned.falls_short.is_empty() {
        let text = format!("it cannot do all of it any more: {}", planned.falls_short.join("; "));
        return Ok(ended(part, PartStatus::Failed, text, now));
    }
    // No move is no success: what is on its disks says whether it is done.
    if planned.plan.moves == 0 {
        return Ok(Part { status: PartStatus::Settling, moved_ms: Some(now), ..part.clone() });
    }
    if let Err(why) = within(campaign.policy.drift, part.approved, planned.plan) {
        return Ok(ended(part, PartStatus::Failed, why, now));
    }
    let attempt = part.attempt + 1;
    Ok(Part { status: PartStatus::Moving, planned: planned.plan, attempt, task_id: None, ..part.clone() })
}

fn move_on(
    desk: &Desk,
    driver: &dyn Driver,
    scene: &Scene,
    seen: &Seen,
    wanted: Wanted,
    now: i64,
) -> Result<Part, CallError> {
    let Scene { campaign, part, fleet, .. } = scene;
    let progress = match part.task_id {
        Some(task) => match driver.progress(task) {
            // Another process drove it, or this one before it was restarted: what is left is planned anew. It is the same
            // attempt, because nothing has changed at the member.
            Err(CallError::Refused { code, .. }) if code == code::FEED_LOST => {
                let attempt = part.attempt.saturating_sub(1);
                return Ok(Part { status: PartStatus::Planning, attempt, task_id: None, ..part.clone() });
            }
            came_to => came_to?,
        },
        None if wanted == Wanted::Hold => return Ok(part.clone()),
        // Also of what is called off: whether it was placed before is known by asking again.
        None => {
            let order = Order {
                key: part.key(fleet),
                name: format!("campaign {} {}", campaign.id, campaign.name),
                request: asked(scene, seen)?,
                completeness: campaign.policy.completeness,
                fingerprint: part.planned.fingerprint,
                reason: campaign.reason.clone(),
            };
            // The look may have taken longer than the leadership lasted.
            if desk.leadership().is_none() {
                return Ok(part.clone());
            }
            match driver.place(&order) {
                Ok(progress) => return Ok(Part { task_id: Some(progress.task_id), ..part.clone() }),
                Err(CallError::Refused { code, .. })
                    if code == "PLAN_DRIFTED" && wanted == Wanted::Cancel =>
                {
                    return Ok(ended(part, PartStatus::Cancelled, "called off before it moved", now));
                }
                Err(CallError::Refused { code, .. }) if code == "PLAN_DRIFTED" => {
                    return Ok(Part { status: PartStatus::Planning, ..part.clone() });
                }
                Err(error) => return Err(error),
            }
        }
    };
    let whole = |progress| match scene.member.kind {
        MemberKind::Be => of_the_whole(part, progress),
        MemberKind::Tabletd => progress,
    };
    let progress = whole(progress);
    let (next, steer) = moved(part, wanted, &progress, now);
    let Some(steer) = steer else { return Ok(next) };
    // Written down first: whoever leads next knows that the pause is ours.
    if next.held != part.held {
        return Ok(Part { held: next.held, ..part.clone() });
    }
    if desk.leadership().is_none() {
        return Ok(part.clone());
    }
    let progress = whole(driver.steer(progress.task_id, steer)?);
    Ok(moved(&next, wanted, &progress, now).0)
}

fn settle(campaign: &Campaign, part: &Part, seen: &Seen, now: i64) -> Part {
    let since = now.saturating_sub(part.moved_ms.unwrap_or(now));
    // A clock that was set back does not make anybody wait for years.
    if (0..i64::from(campaign.policy.settle_sec) * 1000).contains(&since) {
        return part.clone();
    }
    let TaskRequest::Drain { disks, .. } = &campaign.request else {
        return ended(part, PartStatus::Done, "", now);
    };
    let left = seen.disks.iter().filter(|disk| disks.contains(&disk.path) && disk.tablet_count > 0);
    let left = left.map(|disk| format!("{} on {}", counted(disk.tablet_count, "tablet"), disk.path));
    let left: Vec<_> = left.collect();
    match (left.is_empty(), campaign.policy.completeness) {
        (true, _) => ended(part, PartStatus::Done, "", now),
        (false, PlanCompleteness::WhatFits) => {
            ended(part, PartStatus::Done, format!("what fits has moved; left: {}", left.join(", ")), now)
        }
        (false, PlanCompleteness::AllOrNothing) => {
            ended(part, PartStatus::Failed, format!("still there after the drain: {}", left.join(", ")), now)
        }
    }
}

/// What an error means. No answer means nothing: it is asked again, and nothing is counted.
fn fate(desk: &Desk, scene: &Scene, error: &CallError) -> Option<Part> {
    let now = Timestamp::now().0;
    note_failure(desk, &scene.member.name, error);
    match error {
        CallError::Unreachable(_) => None,
        CallError::Credential(_) | CallError::Refused { .. } | CallError::Odd(_) => {
            let task = scene.part.task_id.map(|task| format!("; its task {task} is left as it is"));
            let text = format!("{error}{}", task.unwrap_or_default());
            Some(ended(&scene.part, PartStatus::Failed, text, now))
        }
    }
}

/// Writes a part down, unless somebody else did meanwhile. Whether there is more to do at once.
fn save(desk: &Desk, before: &Part, next: &Part) -> Result<bool, Refusal> {
    if next == before {
        return Ok(false);
    }
    let goes_on = next.status != before.status || next.task_id != before.task_id || next.held != before.held;
    let mut is_due = true;
    desk.note_seen(&next.member, |seen| {
        is_due = goes_on || seen.counters_saved.is_none_or(|at| at.elapsed() >= COUNTERS_EVERY);
        if is_due {
            seen.counters_saved = Some(Instant::now());
        }
    });
    if !is_due {
        return Ok(false);
    }
    let what = match next.status.is_over() && !before.status.is_over() {
        true => format!("campaign {}: {} {}", next.campaign, next.member, next.status.as_str()),
        false => String::new(),
    };
    desk.change(&own(desk), &next.reason.clone(), |state| {
        let kept = state.parts.get(&(next.campaign, next.member.clone()));
        match kept.filter(|kept| kept.value == *before) {
            Some(kept) => {
                let key = Key::Part(next.campaign, next.member.clone());
                Ok(Made {
                    changes: vec![set(&key, Some(kept), next)],
                    answer: goes_on && !next.status.is_over(),
                    what,
                })
            }
            None => Ok(Made { changes: Vec::new(), answer: false, what: String::new() }),
        }
    })
}
