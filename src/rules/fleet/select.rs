//! Which members a campaign is about, and in which order.

use crate::model::TaskRequest;
use crate::model::fleet::{Member, MemberSelector, Order};

/// A member with what was seen of its disks, in per cent and percentage points.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The member.
    pub member: &'a Member,
    /// How full its fullest disk is.
    pub fullest: f64,
    /// How far its fullest and its emptiest disk are apart.
    pub skew: f64,
}

/// Names of the selected, in the order in which they begin.
pub fn select(selector: &MemberSelector, order: Order, candidates: &[Candidate<'_>]) -> Vec<String> {
    let mut chosen: Vec<_> = candidates.iter().filter(|one| is_selected(selector, one)).collect();
    let place = |one: &Candidate<'_>| selector.sources.iter().position(|name| *name == one.member.name);
    chosen.sort_by(|a, b| (place(a), &a.member.name).cmp(&(place(b), &b.member.name)));
    if order == Order::FullestFirst {
        chosen.sort_by(|a, b| b.fullest.total_cmp(&a.fullest));
    }
    chosen.into_iter().map(|one| one.member.name.clone()).collect()
}

fn is_selected(selector: &MemberSelector, one: &Candidate<'_>) -> bool {
    let Candidate { member, fullest, skew } = one;
    (selector.sources.is_empty() || selector.sources.contains(&member.name))
        && selector.labels.iter().all(|(name, value)| member.label(name) == Some(value.as_str()))
        && selector.cluster.as_ref().is_none_or(|cluster| member.cluster == *cluster)
        && selector.used_above.is_none_or(|above| *fullest > f64::from(above))
        && selector.skew_above.is_none_or(|above| *skew > f64::from(above))
}

/// What one member is asked, by the paths of its disks: of a drain those of the disks that it has. `None` when it has none.
pub fn request_of(request: &TaskRequest, paths: &[&str]) -> Option<TaskRequest> {
    let TaskRequest::Drain { disks, media } = request else { return Some(request.clone()) };
    let disks: Vec<_> = disks.iter().filter(|disk| paths.contains(&disk.as_str())).cloned().collect();
    (!disks.is_empty()).then_some(TaskRequest::Drain { disks, media: *media })
}
