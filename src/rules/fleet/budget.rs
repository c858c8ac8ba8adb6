//! When a campaign stops by itself, and when it is over.

use crate::model::fleet::{Campaign, Part, PartStatus};

/// Why the campaign pauses, if its failures say so. Members that are away take nothing from the budget: they wait.
pub fn exhausted(campaign: &Campaign, parts: &[&Part]) -> Option<String> {
    let mut failed: Vec<_> = parts.iter().filter(|part| part.status == PartStatus::Failed).collect();
    failed.sort_by_key(|part| part.ended_ms);
    let forgiven = usize::try_from(campaign.failures_forgiven).unwrap_or(usize::MAX);
    let fresh = failed.get(forgiven.min(failed.len())..).unwrap_or_default();
    let last = fresh.last()?;
    let last = format!("{}: {}", last.member, last.reason);
    if let Some(name) = canary(campaign).find(|name| fresh.iter().any(|part| part.member == *name)) {
        return Some(format!("{name}, of the canary, has failed; {last}"));
    }
    let most = usize::try_from(campaign.policy.failures_max).unwrap_or(usize::MAX);
    if fresh.len() > most {
        return Some(format!("members that failed: {}, of {most} that may; {last}", fresh.len()));
    }
    let in_a_row = usize::try_from(campaign.policy.failures_in_a_row).unwrap_or(usize::MAX);
    let mut ended: Vec<_> =
        parts.iter().filter(|part| matches!(part.status, PartStatus::Done | PartStatus::Failed)).collect();
    ended.sort_by_key(|part| (part.ended_ms, part.status == PartStatus::Failed));
    let row =
        ended.iter().rev().take_while(|part| part.status == PartStatus::Failed).count().min(fresh.len());
    (in_a_row > 0 && row >= in_a_row)
        .then(|| format!("members that failed one after the other: {row}; {last}"))
}

/// Those that go first and alone.
pub(super) fn canary(campaign: &Campaign) -> impl Iterator<Item = &str> {
    campaign.order.iter().take(usize::try_from(campaign.policy.canary).unwrap_or(0)).map(String::as_str)
}

/// Whether nothing is left to be done.
pub fn is_over(parts: &[&Part]) -> bool {
    parts.iter().all(|part| part.status.is_over())
}
