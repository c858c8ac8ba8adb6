//! Campaigns as they are shown. What a part waits for is made at the moment of the question.

use std::collections::BTreeMap;

use super::campaigns::campaign_of;
use super::desk::Desk;
use super::refusal::Refusal;
use super::state::State;
use crate::api::wire::Timestamp;
use crate::api::wire::fleet::{Campaign as Shown, CampaignPart, PartTotals};
use crate::model::fleet::{Campaign, CampaignId, CampaignStatus, Part, PartCounters, PartStatus};
use crate::rules::fleet::{MemberNow, Now, Turn, turns};

impl Desk {
    /// One campaign with its parts.
    pub(super) fn campaign(&self, id: CampaignId) -> Result<Shown, Refusal> {
        let (campaign, parts) = self.read(|state| {
            campaign_of(state, id).map(|kept| (kept.value.clone(), parts_by_name(state, id)))
        })?;
        let mut shown = shown(&campaign, &parts);
        shown.status_list = Some(self.status_list(&campaign, &parts));
        Ok(shown)
    }

    /// All of them, without their parts.
    pub(super) fn campaigns(&self, statuses: &[CampaignStatus]) -> Vec<Shown> {
        self.read(|state| {
            let wanted = |campaign: &&Campaign| statuses.is_empty() || statuses.contains(&campaign.status);
            let all = state.campaigns.values().map(|kept| &kept.value).filter(wanted);
            all.map(|campaign| shown(campaign, &parts_by_name(state, campaign.id))).collect()
        })
    }

    /// A plan that was only looked at.
    pub(super) fn only_planned(&self, campaign: &Campaign, parts: &BTreeMap<String, Part>) -> Shown {
        let mut shown = shown(campaign, parts);
        shown.id = None;
        shown.status = None;
        shown.status_reason =
            "only planned; with \"dry_run\": false and this fingerprint it becomes a campaign".to_owned();
        let list = self.status_list(campaign, parts).into_iter().map(|part| CampaignPart {
            // It has none yet; who is left out says why.
            status: part.status.filter(|status| *status == PartStatus::Skipped),
            status_reason: if part.status == Some(PartStatus::Skipped) {
                part.status_reason
            } else {
                String::new()
            },
            ..part
        });
        shown.status_list = Some(list.collect());
        shown
    }

    /// What is known of every member that a campaign is about.
    pub(super) fn members_now(&self, campaign: &Campaign) -> BTreeMap<String, MemberNow> {
        let found = self.read(|state| {
            let known = campaign.order.iter().filter_map(|name| state.members.get(name));
            known.map(|kept| (kept.value.clone(), busy_with(state, &kept.value.name, campaign.id))).collect()
        });
        let found: Vec<_> = found;
        let now = |(member, busy_with): (crate::model::fleet::Member, _)| {
            let seen = self.seen(&member.name);
            let trouble = match (seen.is_online(), seen.asked_ms) {
                (true, _) => None,
                (false, None) => Some("it was not looked at yet".to_owned()),
                (false, Some(_)) => Some(seen.error),
            };
            (member.name.clone(), MemberNow { member, trouble, busy_with })
        };
        found.into_iter().map(now).collect()
    }

    fn status_list(&self, campaign: &Campaign, parts: &BTreeMap<String, Part>) -> Vec<CampaignPart> {
        let now = Now { ms: Timestamp::now().0 };
        let members = self.members_now(campaign);
        let turns: BTreeMap<_, _> = turns(campaign, parts, &members, now).into_iter().collect();
        let driver = self.leader().map(|leader| leader.process.name).unwrap_or_default();
        let part = |part: &Part| {
            let reason = match turns.get(&part.member) {
                Some(Turn::Wait(why) | Turn::Skip(why) | Turn::Fail(why)) => why.clone(),
                Some(Turn::Begin) => "it is its turn".to_owned(),
                None => under_way(campaign, part, members.get(&part.member)),
            };
            let driver = if part.status.is_over() { String::new() } else { driver.clone() };
            CampaignPart {
                source_name: part.member.clone(),
                driver,
                status: Some(part.status),
                status_reason: reason,
                approved: part.approved,
                planned: part.planned,
                attempt: part.attempt,
                task_id: part.task_id,
                counters: part.counters,
                started_at: part.started_ms.map(Timestamp),
                ended_at: part.ended_ms.map(Timestamp),
            }
        };
        campaign.order.iter().filter_map(|name| parts.get(name)).map(part).collect()
    }
}

/// What a part that is under way waits for, if it waits; else what its member said last.
fn under_way(campaign: &Campaign, part: &Part, member: Option<&MemberNow>) -> String {
    if !part.status.is_under_way() {
        return part.reason.clone();
    }
    match (member, campaign.status) {
        (None, _) => "the member was removed from the fleet; what it does goes on".to_owned(),
        (Some(MemberNow { trouble: Some(trouble), .. }), _) => format!("the member is away: {trouble}"),
        (Some(now), _) if !now.member.enable => "held, because the member is disabled".to_owned(),
        (_, CampaignStatus::Paused) => "held, because the campaign is paused".to_owned(),
        (_, CampaignStatus::Cancelled) => "it is being called off".to_owned(),
        _ => part.reason.clone(),
    }
}

/// Another campaign of which a part is under way at this member. Of two that wait the older goes first.
fn busy_with(state: &State, member: &str, own: CampaignId) -> Option<CampaignId> {
    let other = |id: &CampaignId| *id != own;
    let part = |id: CampaignId| state.parts.get(&(id, member.to_owned()));
    let under_way = |id: &CampaignId| part(*id).is_some_and(|part| part.value.status.is_under_way());
    state.campaigns.keys().copied().filter(other).find(under_way)
}

pub(super) fn parts_by_name(state: &State, id: CampaignId) -> BTreeMap<String, Part> {
    state.parts_of(id).map(|part| (part.member.clone(), part.clone())).collect()
}

fn shown(campaign: &Campaign, parts: &BTreeMap<String, Part>) -> Shown {
    let mut totals = PartTotals::default();
    let mut counters = PartCounters::default();
    for part in parts.values() {
        totals.parts_total += 1;
        *match part.status {
            PartStatus::Waiting => &mut totals.parts_waiting,
            PartStatus::Done => &mut totals.parts_done,
            PartStatus::Failed => &mut totals.parts_failed,
            PartStatus::Skipped => &mut totals.parts_skipped,
            PartStatus::Cancelled => &mut totals.parts_cancelled,
            PartStatus::Checking | PartStatus::Planning | PartStatus::Moving | PartStatus::Settling => {
                &mut totals.parts_under_way
            }
        } += 1;
        // Before it begins a part has what was approved of it.
        let begun = part.counters.moves_total > 0;
        counters.moves_total += if begun { part.counters.moves_total } else { part.planned.moves };
        counters.bytes_total += if begun { part.counters.bytes_total } else { part.planned.bytes };
        counters.moves_completed += part.counters.moves_completed;
        counters.moves_failed += part.counters.moves_failed;
        counters.bytes_completed += part.counters.bytes_completed;
    }
    Shown {
        id: Some(campaign.id),
        name: campaign.name.clone(),
        kind: campaign.request.kind().to_owned(),
        request: campaign.request.clone(),
        select: campaign.select.clone(),
        policy: campaign.policy.clone(),
        fingerprint: campaign.fingerprint,
        status: Some(campaign.status),
        status_reason: campaign.status_reason.clone(),
        totals,
        counters,
        approvals: campaign.approvals.clone(),
        requested_by: campaign.requested_by.clone(),
        reason: campaign.reason.clone(),
        status_list: None,
        created_at: Timestamp(campaign.created_ms),
        updated_at: Timestamp(campaign.updated_ms),
    }
}
