//! Campaigns: planned over many members, approved by the fingerprint of what was shown, steered.

use std::collections::BTreeMap;

use super::desk::{Desk, Made};
use super::refusal::Refusal;
use super::sources::By;
use super::state::{Kept, Key, State, remove, set};
use crate::api::wire::Timestamp;
use crate::api::wire::fleet::{Campaign as Shown, CampaignAction, CreateCampaign, UpdateCampaign};
use crate::members::{fullest_percent, skew_points};
use crate::model::fleet::{Approval, Approved, Campaign, CampaignId, CampaignStatus, Part, PartStatus};
use crate::model::{DailyWindows, PlanCompleteness, TaskRequest, counted, quoted};
use crate::rules::fleet::{Candidate, ended, fingerprint, request_of, select};

/// Members that are asked for a plan at once.
const PLANS_AT_ONCE: usize = 16;

/// What one member would do, or why nothing.
pub(super) type Fit = Result<Approved, String>;

impl Desk {
    /// Plans over the selected members and shows it; with `dry_run: false` and the fingerprint of what was shown it becomes
    /// a campaign.
    /// Asked twice under one `key` it is made once.
    pub(super) fn create_campaign(
        &self,
        asked: CreateCampaign,
        key: Option<String>,
        by: &By,
    ) -> Result<Shown, Refusal> {
        check(&asked)?;
        let asked_as = key.filter(|_| !asked.dry_run).map(|key| (key, in_short(&asked)));
        if let Some(id) = self.read(|state| asked_before(state, asked_as.as_ref()))? {
            return self.campaign(id);
        }
        let names = self.selected(&asked)?;
        let fits = self.fits(&asked, &names);
        let plan: Vec<_> = names.iter().zip(&fits).collect();
        let approved: Vec<_> =
            plan.iter().map(|(name, fit)| (name.as_str(), fit.as_ref().ok().copied())).collect();
        let found = fingerprint(&asked.request, &asked.policy, &approved);
        let now = Timestamp::now().0;
        let mut campaign = Campaign {
            id: CampaignId(0),
            name: if asked.name.is_empty() { asked.request.kind().to_owned() } else { asked.name },
            request: asked.request,
            select: asked.select,
            policy: asked.policy,
            order: names.clone(),
            fingerprint: found,
            status: CampaignStatus::Stopped,
            status_reason: String::new(),
            approvals: Vec::new(),
            failures_forgiven: 0,
            asked_as,
            requested_by: by.who.clone(),
            reason: by.why.clone(),
            created_ms: now,
            updated_ms: now,
        };
        let parts = |id: CampaignId| -> BTreeMap<String, Part> {
            let part = |(name, fit): (&String, &Fit)| {
                let part = match fit {
                    Ok(approved) => Part::new(id, name, *approved),
                    Err(why) => {
                        let part = Part::new(id, name, Approved::default());
                        ended(&part, PartStatus::Skipped, why.clone(), now)
                    }
                };
                (name.clone(), part)
            };
            names.iter().zip(&fits).map(part).collect()
        };
        if asked.dry_run {
            return Ok(self.only_planned(&campaign, &parts(CampaignId(0))));
        }
        let Some(seen) = asked.fingerprint else {
            let text = "fingerprint: name the one of the plan that you have looked at; --dry-run (\"dry_run\": true) shows it";
            return Err(Refusal::invalid(text));
        };
        if seen != found {
            let text =
                format!("the plan made now has the fingerprint {found}, not {seen}: members have changed");
            let hint = Some("look at the plan again: --dry-run, or \"dry_run\": true");
            return Err(Refusal { hint, ..Refusal::new(412, "PLAN_DRIFTED", text) });
        }
        if fits.iter().all(Result::is_err) {
            let text =
                "no selected member has anything to do; --dry-run (\"dry_run\": true) says why for each";
            return Err(Refusal::new(409, "PLAN_REFUSED", text));
        }
        let id = self.keep(&mut campaign, &parts, by)?;
        self.campaign(id)
    }

    fn keep(
        &self,
        campaign: &mut Campaign,
        parts: &dyn Fn(CampaignId) -> BTreeMap<String, Part>,
        by: &By,
    ) -> Result<CampaignId, Refusal> {
        self.change(&by.who, &by.why, |state| {
            // Somebody may have asked under the same key while this one was planned.
            if let Some(id) = asked_before(state, campaign.asked_as.as_ref())? {
                return Ok(Made { changes: Vec::new(), answer: id, what: String::new() });
            }
            let meta = state.meta.as_ref().ok_or_else(Refusal::no_leader)?;
            campaign.id = CampaignId(meta.value.next_campaign);
            let next = super::state::Meta { next_campaign: campaign.id.0 + 1, ..meta.value.clone() };
            let mut changes = vec![set(&Key::Meta, Some(meta), &next)];
            changes.push(set(&Key::Campaign(campaign.id), None::<&Kept<Campaign>>, campaign));
            for (name, part) in parts(campaign.id) {
                changes.push(set(&Key::Part(campaign.id, name), None::<&Kept<Part>>, &part));
            }
            let what = format!(
                "campaign {} ({}) over {} created, fingerprint {}",
                campaign.id,
                campaign.name,
                counted(campaign.order.len(), "member"),
                campaign.fingerprint
            );
            Ok(Made { changes, answer: campaign.id, what })
        })
    }

    fn selected(&self, asked: &CreateCampaign) -> Result<Vec<String>, Refusal> {
        let members = self.members();
        for name in &asked.select.sources {
            if !members.iter().any(|member| member.name == *name) {
                return Err(Refusal::no_source(name));
            }
        }
        let seen: Vec<_> = members.iter().map(|member| self.seen(&member.name).disks).collect();
        let candidate =
            |(member, disks)| Candidate { member, fullest: fullest_percent(disks), skew: skew_points(disks) };
        let candidates: Vec<_> = members.iter().zip(seen.iter().map(Vec::as_slice)).map(candidate).collect();
        let names = select(&asked.select, asked.policy.order, &candidates);
        if names.is_empty() {
            let hint =
                Some("tabletctl fleet source list (GET /api/v1/sources) has the members with their labels");
            return Err(Refusal { hint, ..Refusal::new(409, "PLAN_REFUSED", "no member is selected") });
        }
        // All parts are created in one transaction.
        let most = crate::store::CHANGES_MAX - 10;
        if names.len() > most {
            let text = format!("{} selected; a campaign has at most {most}", counted(names.len(), "member"));
            return Err(Refusal::invalid(text));
        }
        Ok(names)
    }

    fn fits(&self, asked: &CreateCampaign, names: &[String]) -> Vec<Fit> {
        let mut fits = Vec::with_capacity(names.len());
        for some in names.chunks(PLANS_AT_ONCE) {
            let made: Vec<_> = std::thread::scope(|scope| {
                let planned = some.iter().map(|name| scope.spawn(move || self.fit(asked, name)));
                let planned: Vec<_> = planned.collect();
                let lost = |_| Err("the plan was lost inside; the log says where".to_owned());
                planned.into_iter().map(|thread| thread.join().unwrap_or_else(lost)).collect()
            });
            fits.extend(made);
        }
        fits
    }

    fn fit(&self, asked: &CreateCampaign, name: &str) -> Fit {
        let found = self.read(|state| state.members.get(name).map(|kept| kept.value.clone()));
        let member = found.ok_or("it was removed meanwhile")?;
        if !member.enable {
            return Err("it is disabled".to_owned());
        }
        // What it came to is in what was seen.
        let _ = super::look::look(self, &member);
        let seen = self.seen(name);
        if !seen.is_online() {
            return Err(seen.error);
        }
        let paths: Vec<_> = seen.disks.iter().map(|disk| disk.path.as_str()).collect();
        let request = request_of(&asked.request, &paths).ok_or("it has none of the disks")?;
        let planned = self.talk(&member, |driver| driver.plan(&request, asked.policy.completeness));
        let planned = planned.map_err(|error| error.to_string())?;
        if asked.policy.completeness == PlanCompleteness::AllOrNothing && !planned.falls_short.is_empty() {
            return Err(format!("it cannot do all of it: {}", planned.falls_short.join("; ")));
        }
        if planned.plan.moves == 0 {
            return Err("nothing moves on it".to_owned());
        }
        Ok(planned.plan)
    }

    /// Tells a campaign what to do.
    pub(super) fn act_on_campaign(
        &self,
        id: CampaignId,
        action: &CampaignAction,
        by: &By,
    ) -> Result<Shown, Refusal> {
        self.change(&by.who, &by.why, |state| {
            let kept = campaign_of(state, id)?;
            let failed = state.parts_of(id).filter(|part| part.status == PartStatus::Failed).count();
            let failed = u32::try_from(failed).unwrap_or(u32::MAX);
            let now = Timestamp::now().0;
            let next = steered(&kept.value, action, failed, by, now)?;
            let what = format!("campaign {id} ({}): {}", kept.value.name, verb(action));
            Ok(Made { changes: vec![set(&Key::Campaign(id), Some(kept), &next)], answer: (), what })
        })?;
        self.campaign(id)
    }

    /// Changes its limits.
    pub(super) fn update_campaign(
        &self,
        id: CampaignId,
        change: &UpdateCampaign,
        by: &By,
    ) -> Result<Shown, Refusal> {
        self.change(&by.who, &by.why, |state| {
            let kept = campaign_of(state, id)?;
            refuse_over(&kept.value)?;
            let mut next = kept.value.clone();
            if let Some(limit) = &change.max_members {
                let read =
                    limit.parse().map_err(|error| Refusal::invalid(format!("max_members: {error}")))?;
                next.policy.max_members = read;
            }
            if let Some(windows) = &change.windows {
                check_windows(windows)?;
                next.policy.windows.clone_from(windows);
            }
            next.policy.failures_max = change.failures_max.unwrap_or(next.policy.failures_max);
            let what = format!(
                "campaign {id}: limits changed: members at once {}, windows \"{}\", {}",
                next.policy.max_members,
                next.policy.windows,
                counted(next.policy.failures_max, "failure")
            );
            Ok(Made { changes: vec![set(&Key::Campaign(id), Some(kept), &next)], answer: (), what })
        })?;
        self.campaign(id)
    }

    /// Forgets a campaign that is over, or was never started.
    pub(super) fn delete_campaign(&self, id: CampaignId, by: &By) -> Result<(), Refusal> {
        self.change(&by.who, &by.why, |state| {
            let kept = campaign_of(state, id)?;
            let status = kept.value.status;
            let open = state.parts_of(id).any(|part| part.status.is_under_way());
            if open || !(status.is_over() || status == CampaignStatus::Stopped) {
                let text =
                    format!("campaign {id} is {}; cancel it first, and let its parts end", status.as_str());
                return Err(Refusal::new(409, "ILLEGAL_TRANSITION", text));
            }
            let mut changes = vec![remove(&Key::Campaign(id), kept)];
            let names = state.parts_of(id).map(|part| part.member.clone());
            for name in names.collect::<Vec<_>>() {
                let key = Key::Part(id, name.clone());
                changes.extend(state.parts.get(&(id, name)).map(|part| remove(&key, part)));
            }
            Ok(Made { changes, answer: (), what: format!("campaign {id} ({}) forgotten", kept.value.name) })
        })
    }
}

/// Of everything that was asked.
fn in_short(asked: &CreateCampaign) -> u32 {
    crc32fast::hash(&serde_json::to_vec(asked).expect("names, numbers and texts serialise"))
}

/// The campaign that was made under this key.
fn asked_before(state: &State, asked_as: Option<&(String, u32)>) -> Result<Option<CampaignId>, Refusal> {
    let Some((key, asked)) = asked_as else { return Ok(None) };
    let known =
        state.campaigns.values().filter_map(|kept| Some((kept.value.id, kept.value.asked_as.as_ref()?)));
    match known.into_iter().find(|(_, (other, _))| other == key) {
        None => Ok(None),
        Some((id, (_, before))) if before == asked => Ok(Some(id)),
        Some((id, _)) => {
            let text = format!("Idempotency-Key {}: campaign {id} was made of another request", quoted(key));
            Err(Refusal::new(409, "IDEMPOTENCY_MISMATCH", text))
        }
    }
}

fn check(asked: &CreateCampaign) -> Result<(), Refusal> {
    if let TaskRequest::Move { .. } = asked.request {
        let text =
            "request: a campaign drains or rebalances; a move of single tablets is a task of their node";
        return Err(Refusal::invalid(text));
    }
    if let TaskRequest::Drain { disks, .. } = &asked.request
        && disks.is_empty()
    {
        return Err(Refusal::invalid("request.disks: name the disks to drain"));
    }
    if asked.name.len() > 200 {
        return Err(Refusal::invalid("name: at most 200 bytes"));
    }
    if asked.policy.utc_offset_minutes.unsigned_abs() > 14 * 60 {
        let got = asked.policy.utc_offset_minutes;
        return Err(Refusal::invalid(format!("policy.utc_offset_minutes: -840 to 840, got {got}")));
    }
    if let Some((name, _)) = asked.policy.max_per_label.iter().find(|(_, most)| **most == 0) {
        return Err(Refusal::invalid(format!("policy.max_per_label: {} must be at least 1", quoted(name))));
    }
    check_windows(&asked.policy.windows)
}

fn check_windows(windows: &str) -> Result<(), Refusal> {
    let read = windows.parse::<DailyWindows>().map(drop);
    read.map_err(|error| Refusal::invalid(format!("windows: {error}, got {}", quoted(windows))))
}

pub(super) fn campaign_of(state: &State, id: CampaignId) -> Result<&Kept<Campaign>, Refusal> {
    state.campaigns.get(&id).ok_or_else(|| {
        let hint = Some("tabletctl fleet campaign list (GET /api/v1/campaigns) has them");
        Refusal { hint, ..Refusal::new(404, "CAMPAIGN_NOT_FOUND", format!("there is no campaign {id}")) }
    })
}

fn refuse_over(campaign: &Campaign) -> Result<(), Refusal> {
    if !campaign.status.is_over() {
        return Ok(());
    }
    let text = format!("campaign {} is {}: that is its end", campaign.id, campaign.status.as_str());
    Err(Refusal::new(409, "ILLEGAL_TRANSITION", text))
}

const fn verb(action: &CampaignAction) -> &'static str {
    match action {
        CampaignAction::Start(_) => "started",
        CampaignAction::Pause(_) => "paused",
        CampaignAction::Resume(_) => "resumed",
        CampaignAction::Cancel(_) => "cancelled",
        CampaignAction::Approve(_) => "approved after its canary",
    }
}

/// What a campaign is after an operator's word. `failed` parts are known to whoever resumes it.
fn steered(
    campaign: &Campaign,
    action: &CampaignAction,
    failed: u32,
    by: &By,
    now: i64,
) -> Result<Campaign, Refusal> {
    refuse_over(campaign)?;
    let mut next = Campaign { updated_ms: now, status_reason: String::new(), ..campaign.clone() };
    let approval = |after_canary| Approval {
        by: by.who.clone(),
        at_ms: now,
        fingerprint: campaign.fingerprint,
        after_canary,
    };
    match (action, campaign.status) {
        (CampaignAction::Start(_), CampaignStatus::Stopped) => {
            next.status = CampaignStatus::Running;
            next.approvals.push(approval(false));
        }
        (CampaignAction::Pause(_), CampaignStatus::Running | CampaignStatus::Paused) => {
            next.status = CampaignStatus::Paused;
            next.status_reason = format!("paused by {}", by.who);
        }
        (CampaignAction::Resume(_), CampaignStatus::Paused) => {
            next.status = CampaignStatus::Running;
            next.failures_forgiven = failed;
        }
        (CampaignAction::Cancel(_), _) => next.status = CampaignStatus::Cancelled,
        (CampaignAction::Approve(_), CampaignStatus::Running | CampaignStatus::Paused) => {
            next.status_reason.clone_from(&campaign.status_reason);
            next.approvals.push(approval(true));
        }
        (action, status) => {
            let text =
                format!("campaign {} is {}: it cannot be {}", campaign.id, status.as_str(), verb(action));
            return Err(Refusal::new(409, "ILLEGAL_TRANSITION", text));
        }
    }
    Ok(next)
}
