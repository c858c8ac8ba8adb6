//! The processes of the fleet, and the fleet as a whole.

use super::desk::{Desk, Made};
use super::refusal::Refusal;
use super::sources::By;
use super::state::{AuditLine, Key, Meta, set};
use crate::api::wire::fleet::{ClusterInfo, Master, Topology, UpdateCluster, Worker};
use crate::store::Process;

impl Desk {
    /// DM's masters.
    pub(super) fn masters(&self) -> Result<Vec<Master>, Refusal> {
        let leader = self.leader();
        let shown = |process: Process| {
            let epoch = leader.as_ref().filter(|leader| leader.process.name == process.name);
            let epoch = epoch.map(|leader| leader.epoch);
            let Process { name, addr, version } = process;
            Master { name, alive: true, leader: epoch.is_some(), addr, version, epoch }
        };
        Ok(self.store().processes()?.into_iter().map(shown).collect())
    }

    /// DM's workers.
    pub(super) fn workers(&self) -> Result<Vec<Worker>, Refusal> {
        let members: Vec<_> = self.members().into_iter().map(|member| member.name).collect();
        let shown = |master: Master| {
            let bound_sources = if master.leader { members.clone() } else { Vec::new() };
            Worker {
                name: master.name,
                addr: master.addr,
                bound_stage: if bound_sources.is_empty() { "free" } else { "bound" }.to_owned(),
                bound_source_name: bound_sources.first().cloned(),
                bound_sources,
            }
        };
        Ok(self.masters()?.into_iter().map(shown).collect())
    }

    /// The fleet.
    pub(super) fn info(&self) -> Result<ClusterInfo, Refusal> {
        let addresses = self.store().processes().unwrap_or_default();
        let leader = self.leader();
        Ok(self.read(|state| {
            let meta = state.meta.as_ref().map(|kept| &kept.value);
            ClusterInfo {
                cluster_id: state.fleet_id().to_owned(),
                topology: Topology {
                    master_topology_list: addresses.into_iter().map(|process| process.addr).collect(),
                    prometheus: meta.and_then(|meta| meta.prometheus.clone()),
                    grafana: meta.and_then(|meta| meta.grafana.clone()),
                },
                store: self.store().kind().to_owned(),
                store_revision: state.revision,
                epoch: leader.map(|leader| leader.epoch),
                trouble: self.trouble(),
            }
        }))
    }

    /// Where the monitoring is.
    pub(super) fn update_info(&self, change: UpdateCluster, by: &By) -> Result<ClusterInfo, Refusal> {
        let url = |name: &str, given: Option<String>, before: &Option<String>| match given {
            None => Ok(before.clone()),
            Some(url) if url.is_empty() => Ok(None),
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => Ok(Some(url)),
            Some(url) => {
                let url = crate::model::quoted(&url);
                Err(Refusal::invalid(format!("{name} must begin with http:// or https://, got {url}")))
            }
        };
        self.change(&by.who, &by.why, |state| {
            let kept = state.meta.as_ref().ok_or_else(Refusal::no_leader)?;
            let meta = Meta {
                prometheus: url("prometheus", change.prometheus, &kept.value.prometheus)?,
                grafana: url("grafana", change.grafana, &kept.value.grafana)?,
                ..kept.value.clone()
            };
            let changes = vec![set(&Key::Meta, Some(kept), &meta)];
            Ok(Made { changes, answer: (), what: "where the monitoring is was changed".to_owned() })
        })?;
        self.info()
    }

    fn process_named(&self, name: &str) -> Result<Vec<Process>, Refusal> {
        let all = self.store().processes()?;
        match all.iter().any(|process| process.name == name) {
            true => Ok(all),
            false => Err(Refusal::no_process(name)),
        }
    }

    /// Has a process leave.
    pub(super) fn remove_process(&self, name: &str, by: &By) -> Result<(), Refusal> {
        if self.process_named(name)?.len() == 1 {
            return Err(Refusal::last_process(name));
        }
        if name != self.process().name {
            let text = format!("{name} is another process; ask it itself, or stop its service");
            return Err(Refusal::new(409, "OTHER_MASTER", text));
        }
        tracing::info!(by = %by.who, "asked to leave");
        // Whoever leads sees another one go; its own end it writes down itself.
        if self.leadership().is_some() {
            let what = format!("process {name} leaves");
            self.change(&by.who, &by.why, |_| Ok(Made { changes: Vec::new(), answer: (), what }))?;
        }
        self.stop();
        Ok(())
    }

    /// Writes down which processes have come and gone since the last look. Only the leader sees them all the time.
    pub(super) fn note_processes(&self, known: &mut Option<Vec<Process>>) {
        let Ok(now) = self.store().processes() else { return };
        let before = known.replace(now.clone());
        let Some(before) = before.filter(|before| *before != now) else { return };
        let named = |all: &[Process], one: &Process| all.iter().any(|other| other.name == one.name);
        let come = now
            .iter()
            .filter(|one| !named(&before, one))
            .map(|one| format!("process {} at {} has come", one.name, one.addr));
        let gone =
            before.iter().filter(|one| !named(&now, one)).map(|one| format!("process {} is gone", one.name));
        let what = come.chain(gone).collect::<Vec<_>>().join(", ");
        let noted = self
            .change(&self.process().name.clone(), "", |_| Ok(Made { changes: Vec::new(), answer: (), what }));
        if let Err(refusal) = noted {
            tracing::warn!("which processes came and went was not written down: {refusal}");
        }
    }

    /// Hands leadership over.
    pub(super) fn transfer(&self, to: &str, by: &By) -> Result<(), Refusal> {
        if self.process_named(to)?.len() == 1 {
            return Err(Refusal::last_process(to));
        }
        let leader = self.leader().ok_or_else(Refusal::no_leader)?;
        if leader.process.name == to {
            return Ok(());
        }
        let what = format!("leadership is handed over from {} to {to}", leader.process.name);
        self.change(&by.who, &by.why, |_| Ok(Made { changes: Vec::new(), answer: (), what }))?;
        self.stand_back();
        Ok(())
    }

    /// Which process drives a member.
    pub(super) fn transfer_source(&self, member: &str, to: &str) -> Result<Vec<Worker>, Refusal> {
        self.source(member)?;
        self.process_named(to)?;
        let leader = self.leader().ok_or_else(Refusal::no_leader)?.process.name;
        if leader != to {
            let text = format!(
                "{leader} leads and drives every member; tabletctl fleet transfer {to} (POST /api/v1/cluster/transfer) \
                 hands all of them over"
            );
            return Err(Refusal::new(409, "NOT_SUPPORTED", text));
        }
        self.workers()
    }

    /// The last lines of the audit, newest first, and how many there are.
    pub(super) fn audit_lines(&self, limit: usize) -> (u64, Vec<AuditLine>) {
        self.read(|state| {
            let total = u64::try_from(state.audit.len()).unwrap_or(u64::MAX);
            (total, state.audit.iter().rev().take(limit).map(|(_, line)| line.clone()).collect())
        })
    }
}
