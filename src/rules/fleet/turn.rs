//! Whose turn it is: which of the parts that wait may begin now, and what each of the others waits for.

use std::collections::BTreeMap;

use crate::model::fleet::{
    Campaign, CampaignId, CampaignStatus, Member, MembersLimit, Part, PartStatus, Unreachable,
};
use crate::model::{DailyWindows, TimestampMs, counted_as};
use crate::rules::window;

use super::budget::{canary, exhausted};

/// What is known of a member at this moment.
#[derive(Debug, Clone)]
pub struct MemberNow {
    /// As it was described.
    pub member: Member,
    /// What is wrong with it; `None` when it answers as it should.
    pub trouble: Option<String>,
    /// Another campaign whose part of it is under way.
    pub busy_with: Option<CampaignId>,
}

/// What becomes of a part that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It begins.
    Begin,
    /// It waits, for this.
    Wait(String),
    /// It is left out, for this.
    Skip(String),
    /// It has failed, for this.
    Fail(String),
}

/// When it is.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Milliseconds since the epoch; for what was written down by the same clock.
    pub ms: TimestampMs,
}

impl Now {
    /// Seconds since midnight, so many minutes east of UTC.
    fn second_of_day(self, utc_offset_minutes: i32) -> u32 {
        let seconds = self.ms.div_euclid(1000) + i64::from(utc_offset_minutes) * 60;
        u32::try_from(seconds.rem_euclid(24 * 3600)).unwrap_or(0)
    }
}

/// The turn of every part that waits, in the order of the campaign. What begins is counted: the limits hold for all that
/// is granted together with all that is under way.
pub fn turns(
    campaign: &Campaign,
    parts: &BTreeMap<String, Part>,
    members: &BTreeMap<String, MemberNow>,
    now: Now,
) -> Vec<(String, Turn)> {
    let under_way = || parts.values().filter(|part| part.status.is_under_way());
    let mut places = Places { campaign, moving: 0, by_label: BTreeMap::new(), limit: limit(campaign, parts) };
    for member in under_way().filter_map(|part| members.get(&part.member)) {
        places.take(&member.member);
    }
    // A member that was removed in mid-move still moves.
    places.moving = under_way().count();
    let stage = stage(campaign, parts, now);
    let waiting = campaign.order.iter().filter_map(|name| parts.get(name));
    let waiting = waiting.filter(|part| part.status == PartStatus::Waiting);
    waiting
        .map(|part| {
            let turn = turn(part, members.get(&part.member), &stage, &mut places);
            (part.member.clone(), turn)
        })
        .collect()
}

fn turn(part: &Part, member: Option<&MemberNow>, stage: &Stage, places: &mut Places<'_>) -> Turn {
    let Some(MemberNow { member, trouble, busy_with }) = member else {
        return Turn::Fail("the member was removed from the fleet".to_owned());
    };
    if let Stage::Nobody(why) = stage {
        return Turn::Wait(why.clone());
    }
    if !member.enable {
        return Turn::Wait("the member is disabled; enabling it lets it go on".to_owned());
    }
    if let Some(other) = busy_with {
        return Turn::Wait(format!("campaign {other} has the member"));
    }
    if let Some(trouble) = trouble {
        return match places.campaign.policy.unreachable {
            Unreachable::Wait => Turn::Wait(format!("the member is away: {trouble}")),
            Unreachable::Skip => Turn::Skip(format!("the member is away: {trouble}")),
            Unreachable::Fail => Turn::Fail(format!("the member is away: {trouble}")),
        };
    }
    if let Stage::Only(canary, why) = stage
        && !canary.contains(&part.member)
    {
        return Turn::Wait(why.clone());
    }
    match places.full_for(member) {
        Some(why) => Turn::Wait(why),
        None => {
            places.take(member);
            Turn::Begin
        }
    }
}

/// Who may begin at all.
enum Stage {
    Everybody,
    Only(Vec<String>, String),
    Nobody(String),
}

fn stage(campaign: &Campaign, parts: &BTreeMap<String, Part>, now: Now) -> Stage {
    match campaign.status {
        CampaignStatus::Running => {}
        CampaignStatus::Stopped => {
            return Stage::Nobody(format!(
                "the campaign is not started; tabletctl fleet campaign start {} begins it",
                campaign.id
            ));
        }
        status => return Stage::Nobody(format!("the campaign is {}", status.as_str())),
    }
    // Whoever fails stops the others at once, not only when the pause has been written down.
    if let Some(why) = exhausted(campaign, &parts.values().collect::<Vec<_>>()) {
        return Stage::Nobody(why);
    }
    let policy = &campaign.policy;
    // What cannot be read opens at no hour: it was checked when it was asked for.
    let Ok(windows) = policy.windows.parse::<DailyWindows>() else {
        return Stage::Nobody(format!("the windows cannot be read: {}", policy.windows));
    };
    if let Some(wait) = window::opens_in(&windows, now.second_of_day(policy.utc_offset_minutes)) {
        return Stage::Nobody(window::closed_text(&windows, wait));
    }
    let canary: Vec<_> = canary(campaign).map(str::to_owned).collect();
    let left = canary.iter().filter(|name| parts.get(*name).is_some_and(|part| !part.status.is_over()));
    let left: Vec<_> = left.map(String::as_str).collect();
    if !left.is_empty() {
        let why = format!("the canary goes first: {}", left.join(", "));
        return Stage::Only(canary, why);
    }
    if canary.is_empty() {
        return Stage::Everybody;
    }
    if policy.approve_after_canary && !campaign.approvals.iter().any(|approval| approval.after_canary) {
        return Stage::Nobody(format!(
            "the canary is done; tabletctl fleet campaign approve {} lets the others begin",
            campaign.id
        ));
    }
    let ended = canary.iter().filter_map(|name| parts.get(name)?.ended_ms).max().unwrap_or(now.ms);
    let baked_ms = ended.saturating_add(i64::from(policy.bake_sec) * 1000);
    if now.ms < baked_ms {
        let left = (baked_ms - now.ms + 999) / 1000;
        return Stage::Nobody(format!("the canary is done; the others wait {left} s more"));
    }
    Stage::Everybody
}

/// How many members may move at once. A share is of those that have anything to do.
fn limit(campaign: &Campaign, parts: &BTreeMap<String, Part>) -> usize {
    let count = match campaign.policy.max_members {
        MembersLimit::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
        MembersLimit::Percent(share) => {
            let all = parts.values().filter(|part| part.status != PartStatus::Skipped).count();
            all.saturating_mul(usize::try_from(share).unwrap_or(0)) / 100
        }
    };
    count.max(1)
}

fn moving_members<N: std::fmt::Display + PartialEq + Copy + From<u8>>(count: N) -> String {
    counted_as(count, "member moves", "members move")
}

struct Places<'a> {
    campaign: &'a Campaign,
    limit: usize,
    moving: usize,
    /// Label and value.
    by_label: BTreeMap<(&'a str, String), u32>,
}

impl<'a> Places<'a> {
    fn labels(&self, member: &Member) -> Vec<((&'a str, String), u32)> {
        let limits = self.campaign.policy.max_per_label.iter();
        limits
            .filter_map(|(name, most)| Some(((name.as_str(), member.label(name)?.to_owned()), *most)))
            .collect()
    }

    fn take(&mut self, member: &Member) {
        self.moving += 1;
        for (label, _) in self.labels(member) {
            *self.by_label.entry(label).or_default() += 1;
        }
    }

    fn full_for(&self, member: &Member) -> Option<String> {
        if self.moving >= self.limit {
            return Some(format!("{}, of {} that may at once", moving_members(self.moving), self.limit));
        }
        self.labels(member).into_iter().find_map(|(label, most)| {
            let moving = self.by_label.get(&label).copied().unwrap_or(0);
            let (name, value) = label;
            (moving >= most)
                .then(|| format!("{name} {value}: {}, of {most} that may at once", moving_members(moving)))
        })
    }
}
