//! Properties of a whole campaign, driven to its end in no time: limits hold at every moment, whoever waits says for what,
//! nothing begins that was not approved, and a pause is a pause.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{MemberNow, Now, Turn, exhausted, is_over, turns};
use crate::model::fleet::{
    Approved, Campaign, CampaignId, CampaignStatus, Member, MemberKind, MemberSelector, MembersLimit, Part,
    PartStatus, Policy, Unreachable,
};
use crate::model::{DrainMedia, TaskRequest};

fn member(number: usize, racks: usize) -> Member {
    Member {
        name: format!("be-{number:02}"),
        kind: MemberKind::Tabletd,
        host: "127.0.0.1".to_owned(),
        port: 8040,
        user: None,
        credential: None,
        enable: true,
        cluster: String::new(),
        labels: BTreeMap::from([("rack".to_owned(), format!("r{}", number % racks))]),
        dialect: None,
        accept_known_defects: false,
        identity: Vec::new(),
    }
}

fn campaign(members: usize, policy: Policy) -> Campaign {
    Campaign {
        id: CampaignId(1),
        name: "drain".to_owned(),
        request: TaskRequest::Drain { disks: vec!["/data3".to_owned()], media: DrainMedia::default() },
        select: MemberSelector::default(),
        policy,
        order: (0..members).map(|number| member(number, 1).name).collect(),
        fingerprint: 7,
        status: CampaignStatus::Running,
        status_reason: String::new(),
        approvals: Vec::new(),
        failures_forgiven: 0,
        asked_as: None,
        requested_by: "ops".to_owned(),
        reason: String::new(),
        created_ms: 0,
        updated_ms: 0,
    }
}

#[derive(Debug, Clone)]
struct Case {
    members: usize,
    racks: usize,
    policy: Policy,
    /// Bits: away, fails, ends soon.
    fates: Vec<u8>,
}

fn cases() -> impl Strategy<Value = Case> {
    let limit =
        prop_oneof![(1..6_u32).prop_map(MembersLimit::Count), (1..101_u32).prop_map(MembersLimit::Percent)];
    let unreachable = prop::sample::select(vec![Unreachable::Wait, Unreachable::Skip, Unreachable::Fail]);
    let policy = (limit, 0..3_u32, 0..4_u32, 0..3_u32, 0..3_u32, unreachable).prop_map(
        |(max_members, per_rack, canary, failures_max, failures_in_a_row, unreachable)| Policy {
            max_members,
            max_per_label: (per_rack > 0).then(|| ("rack".to_owned(), per_rack)).into_iter().collect(),
            canary,
            failures_max,
            failures_in_a_row,
            unreachable,
            ..Policy::default()
        },
    );
    (1..20_usize, 1..5_usize, policy).prop_flat_map(|(members, racks, policy)| {
        prop::collection::vec(any::<u8>(), members).prop_map(move |fates| Case {
            members,
            racks,
            policy: policy.clone(),
            fates,
        })
    })
}

fn most(limit: MembersLimit, members: usize) -> usize {
    match limit {
        MembersLimit::Count(count) => usize::try_from(count).expect("small"),
        MembersLimit::Percent(share) => (members * usize::try_from(share).expect("small") / 100).max(1),
    }
}

proptest! {
    #[test]
    fn limits_hold_at_every_moment_and_every_waiting_part_says_for_what(case in cases()) {
        let mut campaign = campaign(case.members, case.policy.clone());
        let approved = Approved { fingerprint: 1, moves: 1, bytes: 1 };
        let mut parts: BTreeMap<String, Part> =
            campaign.order.iter().map(|name| (name.clone(), Part::new(campaign.id, name, approved))).collect();
        let members: BTreeMap<String, MemberNow> = (0..case.members)
            .map(|number| {
                let trouble = (case.fates[number] & 3 == 0).then(|| "no answer".to_owned());
                let member = member(number, case.racks);
                (member.name.clone(), MemberNow { member, trouble, busy_with: None })
            })
            .collect();
        for round in 0..200_i64 {
            for (name, turn) in turns(&campaign, &parts, &members, Now { ms: round * 1000 }) {
                let part = parts.get_mut(&name).expect("its part");
                match turn {
                    Turn::Begin => part.status = PartStatus::Moving,
                    Turn::Wait(why) => prop_assert!(!why.is_empty()),
                    Turn::Skip(why) => *part = super::ended(part, PartStatus::Skipped, why, round),
                    Turn::Fail(why) => *part = super::ended(part, PartStatus::Failed, why, round),
                }
            }
            let moving: Vec<_> = parts.values().filter(|part| part.status.is_under_way()).collect();
            prop_assert!(moving.len() <= most(case.policy.max_members, case.members));
            if let Some(per_rack) = case.policy.max_per_label.get("rack") {
                for rack in 0..case.racks {
                    let rack = format!("r{rack}");
                    let there = moving.iter().filter(|part| members[&part.member].member.labels["rack"] == rack);
                    prop_assert!(there.count() <= usize::try_from(*per_rack).expect("small"));
                }
            }
            let canary: Vec<_> = super::budget::canary(&campaign).map(str::to_owned).collect();
            if canary.iter().any(|name| !parts[name].status.is_over()) {
                prop_assert!(moving.iter().all(|part| canary.contains(&part.member)), "the canary goes alone");
            }
            // The oldest that moves ends, well or badly.
            if let Some(name) = moving.first().map(|part| part.member.clone()) {
                let number: usize = name[3..].parse().expect("a number");
                let status = if case.fates[number] & 12 == 0 { PartStatus::Failed } else { PartStatus::Done };
                let part = super::ended(&parts[&name], status, "its end", round);
                parts.insert(name, part);
            }
            let all: Vec<_> = parts.values().collect();
            if let Some(why) = exhausted(&campaign, &all) {
                prop_assert!(!why.is_empty());
                // Nothing begins while it is paused; an operator looks, and lets it go on.
                campaign.status = CampaignStatus::Paused;
                let begun = turns(&campaign, &parts, &members, Now { ms: round * 1000 });
                prop_assert!(begun.iter().all(|(_, turn)| matches!(turn, Turn::Wait(_))));
                campaign.status = CampaignStatus::Running;
                let failed = parts.values().filter(|part| part.status == PartStatus::Failed).count();
                campaign.failures_forgiven = u32::try_from(failed).expect("few");
            }
        }
        let waits_for_the_away = case.policy.unreachable == Unreachable::Wait;
        let all: Vec<_> = parts.values().collect();
        prop_assert!(is_over(&all) || waits_for_the_away, "whoever answers gets a turn");
        if waits_for_the_away {
            let canary: Vec<_> = super::budget::canary(&campaign).collect();
            let open = parts.values().filter(|part| !part.status.is_over());
            let held_up = canary.iter().any(|name| !parts[*name].status.is_over());
            for part in open {
                prop_assert!(held_up || members[&part.member].trouble.is_some(), "{}", part.member);
            }
        }
    }
}

#[test]
fn what_cannot_begin_says_why() {
    let mut one = campaign(2, Policy { windows: "22:00-06:00".to_owned(), ..Policy::default() });
    let approved = Approved::default();
    let parts: BTreeMap<_, _> =
        one.order.iter().map(|name| (name.clone(), Part::new(one.id, name, approved))).collect();
    let mut members: BTreeMap<_, _> = (0..2)
        .map(|number| {
            let member = member(number, 1);
            (member.name.clone(), MemberNow { member, trouble: None, busy_with: None })
        })
        .collect();
    let reason = |campaign: &Campaign, members: &BTreeMap<String, MemberNow>, hour: i64| match turns(
        campaign,
        &parts,
        members,
        Now { ms: hour * 3_600_000 },
    )
    .remove(0)
    .1
    {
        Turn::Begin => "begins".to_owned(),
        Turn::Wait(why) | Turn::Skip(why) | Turn::Fail(why) => why,
    };
    assert_eq!(reason(&one, &members, 12), "outside the window 22:00-06:00; opens in 10 h 0 min");
    assert_eq!(reason(&one, &members, 23), "begins");
    one.policy.utc_offset_minutes = 120;
    assert_eq!(reason(&one, &members, 21), "begins", "two hours east of UTC it is 23:00");
    one.policy.windows.clear();
    members.get_mut("be-00").expect("be-00").busy_with = Some(CampaignId(9));
    assert_eq!(reason(&one, &members, 0), "campaign 9 has the member");
    members.get_mut("be-00").expect("be-00").member.enable = false;
    assert!(reason(&one, &members, 0).contains("disabled"));
    members.remove("be-00");
    assert!(reason(&one, &members, 0).contains("removed"));
    one.status = CampaignStatus::Stopped;
    assert!(reason(&one, &members, 0).contains("removed"), "what is gone is gone, also before the start");
}
