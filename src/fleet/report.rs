//! The fleet at a glance, for people and for Prometheus. As this process has seen it: who does not lead has old eyes, and
//! says so by `tabletfleet_leader`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::desk::Desk;
use super::sources::disk_of;
use crate::api::wire::Timestamp;
use crate::api::wire::fleet::{MemberReport, Report, WaitingPart};
use crate::members::{fullest_percent, skew_points};
use crate::model::fleet::{CampaignStatus, PartStatus};

impl Desk {
    /// The whole fleet.
    pub(super) fn report(&self) -> Report {
        let mut report = Report {
            as_of: Timestamp::now(),
            leader: self.leader().map(|leader| leader.process.name),
            members: Vec::new(),
            safe_to_remove: Vec::new(),
            not_reached: Vec::new(),
            waiting: Vec::new(),
        };
        for member in self.members() {
            let seen = self.seen(&member.name);
            let round = |number: f64| (number * 10.0).round() / 10.0;
            if !seen.is_online() {
                report.not_reached.push(member.name.clone());
            }
            report.members.push(MemberReport {
                source_name: member.name.clone(),
                cluster: member.cluster.clone(),
                stage: self.status_of(&member.name).stage,
                error_msg: seen.error.clone(),
                answered_at: seen.answered_ms.map(Timestamp),
                fullest_percent: round(fullest_percent(&seen.disks)),
                skew_points: round(skew_points(&seen.disks)),
                tablet_count: seen.disks.iter().map(|disk| disk.tablet_count).sum(),
            });
            let safe = seen.disks.into_iter().filter(|disk| disk.safe_to_remove);
            report.safe_to_remove.extend(safe.map(|disk| disk_of(&member.name, disk)));
        }
        report.members.sort_by(|one, other| other.skew_points.total_cmp(&one.skew_points));
        for campaign in self.campaigns(&[CampaignStatus::Running, CampaignStatus::Paused]) {
            let Some(id) = campaign.id else { continue };
            let parts = self.campaign(id).ok().and_then(|campaign| campaign.status_list).unwrap_or_default();
            let waits = parts.into_iter().filter(|part| part.status == Some(PartStatus::Waiting));
            report.waiting.extend(waits.map(|part| WaitingPart {
                campaign: id,
                source_name: part.source_name,
                status_reason: part.status_reason,
            }));
        }
        report
    }

    /// For Prometheus.
    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        let leads = u8::from(self.leadership().is_some());
        let epoch = self.leader().map_or(0, |leader| leader.epoch);
        let revision = self.read(|state| state.revision);
        gauge(
            &mut text,
            "tabletfleet_leader",
            "Whether this process leads.",
            &[(String::new(), leads.into())],
        );
        gauge(
            &mut text,
            "tabletfleet_epoch",
            "Number of the leadership; 0 while nobody leads.",
            &[(String::new(), epoch)],
        );
        gauge(
            &mut text,
            "tabletfleet_store_revision",
            "How far the store was read.",
            &[(String::new(), revision)],
        );
        let trouble = u64::from(self.trouble().is_some());
        gauge(
            &mut text,
            "tabletfleet_store_trouble",
            "Whether the store cannot be used.",
            &[(String::new(), trouble)],
        );
        let mut stages = BTreeMap::from([("online", 0), ("offline", 0), ("unknown", 0)]);
        for member in self.members() {
            let stage = self.status_of(&member.name).stage;
            if let Some(count) = stages.get_mut(stage.as_str()) {
                *count += 1;
            }
        }
        let stages: Vec<_> =
            stages.into_iter().map(|(stage, count)| (format!("stage=\"{stage}\""), count)).collect();
        gauge(&mut text, "tabletfleet_members", "Members, by how they were seen last.", &stages);
        let parts = self.read(|state| {
            let mut parts: BTreeMap<String, u64> = BTreeMap::new();
            for kept in state.parts.values() {
                *parts.entry(format!("status=\"{}\"", kept.value.status.as_str())).or_default() += 1;
            }
            parts.into_iter().collect::<Vec<_>>()
        });
        gauge(&mut text, "tabletfleet_parts", "Parts of all campaigns, by where they stand.", &parts);
        let campaigns = self.read(|state| {
            let mut found: BTreeMap<String, u64> = BTreeMap::new();
            for kept in state.campaigns.values() {
                *found.entry(format!("status=\"{}\"", kept.value.status.as_str())).or_default() += 1;
            }
            found.into_iter().collect::<Vec<_>>()
        });
        gauge(&mut text, "tabletfleet_campaigns", "Campaigns, by where they stand.", &campaigns);
        text
    }
}

fn gauge(text: &mut String, name: &str, help: &str, values: &[(String, u64)]) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, value) in values {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}
