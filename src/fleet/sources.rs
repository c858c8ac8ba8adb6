//! Members: added, changed, taken out of service and removed.

use super::desk::{Desk, Made, Seen};
use super::refusal::Refusal;
use super::state::{Kept, Key, State, remove, set};
use crate::api::wire::Timestamp;
use crate::api::wire::fleet::{CreateSource, Source, SourceDisk, SourceStatus};
use crate::members::DiskSeen;
use crate::model::fleet::{Campaign, CampaignId, Member};

/// What stands where a secret would.
const MASKED: &str = "******";

/// Who asks, and why.
#[derive(Debug, Clone)]
pub(super) struct By {
    pub(super) who: String,
    pub(super) why: String,
}

impl Desk {
    /// One member, as it is shown.
    pub(super) fn source(&self, name: &str) -> Result<Source, Refusal> {
        let member = self.read(|state| known(state, name).map(|kept| kept.value.clone()))?;
        Ok(self.shown(&member))
    }

    /// All of them.
    pub(super) fn sources(&self) -> Vec<Source> {
        self.members().iter().map(|member| self.shown(member)).collect()
    }

    fn shown(&self, member: &Member) -> Source {
        let campaigns = self.read(|state| campaigns_of(state, &member.name));
        Source {
            source_name: member.name.clone(),
            host: member.host.clone(),
            port: member.port,
            user: member.user.clone(),
            password: member.credential.as_ref().map(|_| MASKED.to_owned()),
            credential: member.credential.clone(),
            enable: member.enable,
            kind: member.kind,
            cluster: member.cluster.clone(),
            labels: member.labels.clone(),
            dialect: member.dialect.clone(),
            accept_known_defects: member.accept_known_defects,
            task_name_list: campaigns.iter().map(ToString::to_string).collect(),
            status_list: vec![self.status_of(&member.name)],
        }
    }

    /// How one member stands.
    pub(super) fn status_of(&self, name: &str) -> SourceStatus {
        let Seen { asked_ms, answered_ms, identity, disks, error, .. } = self.seen(name);
        let stage = match (asked_ms, error.is_empty()) {
            (None, _) => "unknown",
            (Some(_), true) => "online",
            (Some(_), false) => "offline",
        };
        SourceStatus {
            source_name: name.to_owned(),
            worker_name: self.leader().map(|leader| leader.process.name).unwrap_or_default(),
            stage: stage.to_owned(),
            error_msg: error,
            as_of: asked_ms.map(Timestamp),
            answered_at: answered_ms.map(Timestamp),
            version: identity.version,
            disks: disks.into_iter().map(|disk| disk_of(name, disk)).collect(),
        }
    }

    /// Adds a member.
    pub(super) fn add_source(&self, asked: CreateSource, by: &By) -> Result<Source, Refusal> {
        let member = described(asked)?;
        let name = member.name.clone();
        self.change(&by.who, &by.why, |state| {
            if state.members.contains_key(&name) {
                let text =
                    format!("a member is called {name} already: PUT /api/v1/sources/{name} changes it, tabletctl fleet source remove {name} makes room");
                return Err(Refusal::new(409, "SOURCE_EXISTS", text));
            }
            refuse_second(state, &member)?;
            let what = format!("member {name} at {} added", member.address());
            let changes = vec![set(&Key::Member(name.clone()), None::<&Kept<Member>>, &member)];
            Ok(Made { changes, answer: (), what })
        })?;
        self.forget_seen(&name);
        self.source(&name)
    }

    /// Describes a member anew; who answered there is forgotten when it is at another address from now on.
    pub(super) fn update_source(&self, name: &str, asked: CreateSource, by: &By) -> Result<Source, Refusal> {
        if asked.source_name != name {
            let text = format!("source_name must be {name}, as in the path; a member keeps its name");
            return Err(Refusal::invalid(text));
        }
        let keeps_credential = asked.password.is_some() && asked.credential.is_none();
        let mut member = described(asked)?;
        self.change(&by.who, &by.why, |state| {
            let kept = known(state, name)?;
            refuse_busy(state, name)?;
            refuse_second(state, &member)?;
            if keeps_credential {
                member.credential.clone_from(&kept.value.credential);
            }
            if member.address() == kept.value.address() {
                member.identity.clone_from(&kept.value.identity);
            }
            let changes = vec![set(&Key::Member(name.to_owned()), Some(kept), &member)];
            Ok(Made { changes, answer: (), what: format!("member {name} changed") })
        })?;
        self.forget_seen(name);
        self.source(name)
    }

    /// Takes a member into service or out of it; its parts go on or wait.
    pub(super) fn enable_source(&self, name: &str, enable: bool, by: &By) -> Result<Source, Refusal> {
        self.change(&by.who, &by.why, |state| {
            let kept = known(state, name)?;
            let member = Member { enable, ..kept.value.clone() };
            let what = format!("member {name} {}", if enable { "enabled" } else { "disabled" });
            let changes = match kept.value.enable == enable {
                true => Vec::new(),
                false => vec![set(&Key::Member(name.to_owned()), Some(kept), &member)],
            };
            Ok(Made { what: if changes.is_empty() { String::new() } else { what }, changes, answer: () })
        })?;
        self.source(name)
    }

    /// Removes a member; one with a part that is not over only by force, and what is under way there goes on.
    pub(super) fn remove_source(&self, name: &str, force: bool, by: &By) -> Result<(), Refusal> {
        self.change(&by.who, &by.why, |state| {
            let kept = known(state, name)?;
            if !force {
                refuse_busy(state, name)?;
            }
            let changes = vec![remove(&Key::Member(name.to_owned()), kept)];
            Ok(Made { changes, answer: (), what: format!("member {name} removed") })
        })?;
        self.forget_seen(name);
        Ok(())
    }
}

/// The member that a request describes.
fn described(asked: CreateSource) -> Result<Member, Refusal> {
    if asked.password.is_some_and(|password| password != MASKED) {
        let text = "password: no secret lies in the fleet's store; write it to a file in --credentials-dir and name that \
                    file as credential";
        return Err(Refusal::invalid(text));
    }
    let member = Member {
        name: asked.source_name,
        kind: asked.kind,
        host: asked.host,
        port: asked.port,
        user: asked.user,
        credential: asked.credential,
        enable: asked.enable,
        cluster: asked.cluster,
        labels: asked.labels,
        dialect: asked.dialect,
        accept_known_defects: asked.accept_known_defects,
        identity: Vec::new(),
    };
    member.check()?;
    Ok(member)
}

pub(super) fn known<'a>(state: &'a State, name: &str) -> Result<&'a Kept<Member>, Refusal> {
    state.members.get(name).ok_or_else(|| Refusal::no_source(name))
}

/// Two members at one address would be moved twice at once.
fn refuse_second(state: &State, member: &Member) -> Result<(), Refusal> {
    let same =
        |other: &&Kept<Member>| other.value.name != member.name && other.value.address() == member.address();
    match state.members.values().find(same) {
        Some(other) => {
            let text = format!("{} is the member {} already", member.address(), other.value.name);
            Err(Refusal::new(409, "SOURCE_EXISTS", text))
        }
        None => Ok(()),
    }
}

fn refuse_busy(state: &State, name: &str) -> Result<(), Refusal> {
    match campaigns_of(state, name).first() {
        Some(id) => {
            let text =
                format!("member {name} has a part in campaign {id}, which is not over; cancel it first");
            Err(Refusal::new(409, "SOURCE_IN_USE", text))
        }
        None => Ok(()),
    }
}

/// Campaigns that are not over and have a part of this member that is not over, and those called off in which it is still
/// under way.
pub(super) fn campaigns_of(state: &State, name: &str) -> Vec<CampaignId> {
    let holds = |campaign: &&Kept<Campaign>| {
        let part = state.parts.get(&(campaign.value.id, name.to_owned()));
        part.map(|part| part.value.status).is_some_and(|status| {
            status.is_under_way() || !(status.is_over() || campaign.value.status.is_over())
        })
    };
    state.campaigns.values().filter(holds).map(|campaign| campaign.value.id).collect()
}

pub(super) fn disk_of(member: &str, disk: DiskSeen) -> SourceDisk {
    SourceDisk {
        source_name: member.to_owned(),
        used_percent: (disk.used_percent() * 10.0).round() / 10.0,
        path: disk.path,
        medium: disk.medium,
        condition: disk.condition,
        total_bytes: disk.total_bytes,
        avail_bytes: disk.avail_bytes,
        tablet_count: disk.tablet_count,
        safe_to_remove: disk.safe_to_remove,
        not_safe_because: disk.not_safe_because,
    }
}
