//! What the store says, folded into values. Only what was committed is here.

use std::collections::{BTreeMap, VecDeque};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::TimestampMs;
use crate::model::fleet::{Campaign, CampaignId, Member, Part};
use crate::store::{Change, Expect, Record, Snapshot};

/// Lines of the audit that are kept.
pub(super) const AUDIT_MAX: usize = 10_000;

/// A value and the revision at which it last changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept<T> {
    pub(super) value: T,
    pub(super) revision: u64,
}

/// What is true of the fleet as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) format: u32,
    /// Identity of the fleet.
    pub(super) fleet: String,
    /// The next campaign's number.
    pub(super) next_campaign: u64,
    #[serde(default)]
    pub(super) prometheus: Option<String>,
    #[serde(default)]
    pub(super) grafana: Option<String>,
}

/// Format of the records that this release writes.
pub(super) const FORMAT: u32 = 1;

/// One line of the audit: who did what, why, under which leadership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AuditLine {
    pub(super) at_ms: TimestampMs,
    pub(super) by: String,
    pub(super) what: String,
    #[serde(default)]
    pub(super) reason: String,
    pub(super) epoch: u64,
}

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Meta,
    Member(String),
    Campaign(CampaignId),
    Part(CampaignId, String),
    Audit(String),
}

impl Key {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Meta => "meta".to_owned(),
            Self::Member(name) => format!("member/{name}"),
            Self::Campaign(id) => format!("campaign/{:020}", id.0),
            Self::Part(id, member) => format!("part/{:020}/{member}", id.0),
            Self::Audit(at) => format!("audit/{at}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, '/');
        let id = |word: &str| word.parse().ok().map(CampaignId);
        match (words.next()?, words.next(), words.next()) {
            ("meta", None, None) => Some(Self::Meta),
            ("member", Some(name), None) => Some(Self::Member(name.to_owned())),
            ("campaign", Some(number), None) => Some(Self::Campaign(id(number)?)),
            ("part", Some(number), Some(member)) => Some(Self::Part(id(number)?, member.to_owned())),
            ("audit", Some(at), None) => Some(Self::Audit(at.to_owned())),
            _ => None,
        }
    }
}

/// The fold.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) revision: u64,
    pub(super) meta: Option<Kept<Meta>>,
    pub(super) members: BTreeMap<String, Kept<Member>>,
    pub(super) campaigns: BTreeMap<CampaignId, Kept<Campaign>>,
    pub(super) parts: BTreeMap<(CampaignId, String), Kept<Part>>,
    pub(super) audit: VecDeque<(String, AuditLine)>,
}

impl State {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut state = Self { revision: snapshot.revision, ..Self::default() };
        for (key, record) in &snapshot.records {
            state.fold(key, Some(record));
        }
        state
    }

    /// One record as it is now.
    pub(super) fn fold(&mut self, key: &str, record: Option<&Record>) {
        let understood = match Key::read(key) {
            Some(Key::Meta) => read(record).map(|kept| self.meta = kept),
            Some(Key::Member(name)) => read(record).map(|kept| put(&mut self.members, name, kept)),
            Some(Key::Campaign(id)) => read(record).map(|kept| put(&mut self.campaigns, id, kept)),
            Some(Key::Part(id, member)) => read(record).map(|kept| put(&mut self.parts, (id, member), kept)),
            Some(Key::Audit(at)) => read(record).map(|kept| self.fold_audit(at, kept)),
            None => None,
        };
        if understood.is_none() {
            tracing::warn!(
                "the store has a record that this release cannot read, and leaves as it is: {key}"
            );
        }
    }

    fn fold_audit(&mut self, at: String, line: Option<Kept<AuditLine>>) {
        match line {
            Some(line) => self.audit.push_back((at, line.value)),
            None => self.audit.retain(|(known, _)| *known != at),
        }
    }

    /// Parts of one campaign, by member.
    pub(super) fn parts_of(&self, id: CampaignId) -> impl Iterator<Item = &Part> {
        let from = (id, String::new());
        self.parts.range(from..).take_while(move |((of, _), _)| *of == id).map(|(_, kept)| &kept.value)
    }

    /// Identity of the fleet; empty before its first leader.
    pub(super) fn fleet_id(&self) -> &str {
        self.meta.as_ref().map_or("", |meta| meta.value.fleet.as_str())
    }
}

/// The value of a record; `None` when it cannot be read.
fn read<T: DeserializeOwned>(record: Option<&Record>) -> Option<Option<Kept<T>>> {
    let Some(record) = record else { return Some(None) };
    let value = serde_json::from_str(&record.value).ok()?;
    Some(Some(Kept { value, revision: record.revision }))
}

fn put<K: Ord, T>(map: &mut BTreeMap<K, Kept<T>>, key: K, kept: Option<Kept<T>>) {
    match kept {
        Some(kept) => drop(map.insert(key, kept)),
        None => drop(map.remove(&key)),
    }
}

/// The change that writes `value`, given what was read before.
pub(super) fn set<T: Serialize, U>(key: &Key, before: Option<&Kept<U>>, value: &T) -> Change {
    let value = serde_json::to_string(value).expect("records are of names, numbers and texts");
    Change { key: key.text(), value: Some(value), expect: expected(before) }
}

/// The change that removes what was read before.
pub(super) fn remove<U>(key: &Key, before: &Kept<U>) -> Change {
    Change { key: key.text(), value: None, expect: Expect::Revision(before.revision) }
}

fn expected<U>(before: Option<&Kept<U>>) -> Expect {
    before.map_or(Expect::Absent, |kept| Expect::Revision(kept.revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_what_it_is_about() {
        let keys = [
            Key::Meta,
            Key::Member("be-1".to_owned()),
            Key::Campaign(CampaignId(7)),
            Key::Part(CampaignId(7), "be-1".to_owned()),
            Key::Audit("00000001.00000002".to_owned()),
        ];
        for key in keys {
            assert_eq!(Key::read(&key.text()), Some(key));
        }
        for strange in ["", "member", "part/7", "campaign/x", "plan/1/2/3", "meta/1"] {
            assert_eq!(Key::read(strange), None, "{strange}");
        }
    }
}
