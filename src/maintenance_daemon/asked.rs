//! What is asked of the node as a whole, of its settings, and of tasks by their disks.

use std::time::{Duration, Instant};

use super::inner::{Inner, lock};
use crate::config::{Config, PersistError, Reload};
use crate::engine::{
    ConfigChangeError, Destination, Persistence, RuleAnswer, Submit, TaskChange, TaskFilter, TaskView,
};
use crate::maintenance::{digests, inspect};
use crate::model::{ErrorCode, Failure, Inspection, TabletKey, TaskId, TaskRequest, TaskStatus};

impl Inner {
    /// What a drain of each root would move and leave: read as `tabletctl doris inspect` does. The roots are locked, so that
    /// what was read holds until something is moved.
    pub(super) fn inspect(&self, age_max: Duration) -> Inspection {
        // Held while they are read: who asks meanwhile is answered from the same reading.
        let mut inspected = lock(&self.inspected);
        let moved = self.events.now();
        if let Some((read, at, found)) = &*inspected
            && read.elapsed() < age_max
            && *at == moved
        {
            return Inspection { age_seconds: read.elapsed().as_secs(), ..found.clone() };
        }
        let paths: Vec<String> = self.session.node().roots.iter().map(|root| root.path.clone()).collect();
        let found = inspect(&paths, false);
        *inspected = Some((Instant::now(), moved, found.clone()));
        found
    }

    pub(super) fn explain(&self, key: TabletKey, disk: &str) -> Vec<RuleAnswer> {
        let submit =
            Submit { destination: Destination::Disk(disk.to_owned()), ..Submit::new(key, disk.to_owned()) };
        self.validate(&submit).checks
    }

    /// The MD5 of each file that a query reads. The node is not held while they are read.
    pub(super) fn file_digests(&self, key: TabletKey) -> Result<Vec<(String, [u8; 16])>, Failure> {
        let (dir, names) = self.session.node().files_to_digest(key)?;
        digests(&dir, &names)
    }

    pub(super) fn unavailable(&self, most: usize) -> Vec<(TabletKey, String)> {
        let mut found = Vec::new();
        self.session.node().for_each_tablet(&mut |root, tablet| {
            if let Some(why) = &tablet.unavailable
                && found.len() < most
            {
                found.push((tablet.key, format!("on {root}: {why}")));
            }
        });
        found
    }

    pub(super) fn set_config(
        &self,
        key: &str,
        value: &str,
        persistence: Persistence,
    ) -> Result<(), ConfigChangeError> {
        let mut config = self.config_mut();
        if persistence == Persistence::Kept {
            let custom_file = config.custom_file();
            return Err(PersistError::NotOurs { path: custom_file }.into());
        }
        config.set(key, value)?;
        tracing::info!("{key} = {value} from now on");
        Ok(())
    }

    pub(super) fn reload_config(&self) -> Result<Reload, Failure> {
        let files =
            Config::load_again(&self.be_conf, &|name| std::env::var(name).ok()).map_err(|errors| {
                Failure::new(
                    ErrorCode::InvalidArgument,
                    format!("nothing was changed: {}", errors.in_one_line()),
                )
            })?;
        let mut config = self.config_mut();
        let reload = config.reloaded(&files.config);
        *config = reload.config.clone();
        Ok(reload)
    }

    /// Pauses a task, or takes nothing more from these disks.
    pub(super) fn pause_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
        if disks.is_empty() {
            return self.steer_task(id, "paused", TaskStatus::Paused);
        }
        let uuids = self.uuids(disks)?;
        self.change_task(id, "paused", &|task| {
            let new = uuids.iter().filter(|uuid| !task.paused_disks.contains(uuid));
            let new: Vec<_> = new.copied().collect();
            task.paused_disks.extend(new);
        })
    }

    pub(super) fn resume_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
        if disks.is_empty() {
            return self.steer_task(id, "resumed", TaskStatus::Running);
        }
        let uuids = self.uuids(disks)?;
        self.change_task(id, "resumed", &|task| task.paused_disks.retain(|uuid| !uuids.contains(uuid)))
    }

    fn uuids(&self, disks: &[String]) -> Result<Vec<crate::model::DiskUuid>, Failure> {
        let node = self.session.node();
        let uuid = |path: &String| {
            let text = || format!("no root is written {}", crate::model::quoted(path));
            let known = node.reference(path).map(|disk| disk.uuid);
            known.ok_or_else(|| Failure::new(ErrorCode::DiskNotFound, text()))
        };
        disks.iter().map(uuid).collect()
    }

    pub(super) fn update_task(&self, id: TaskId, change: &TaskChange) -> Result<TaskView, Failure> {
        if change.rate_bytes_per_sec.is_some_and(|rate| rate > 0) || change.replan.is_some() {
            let text = "on Doris roots only the name and the priority of a task can be changed";
            return Err(Failure::new(ErrorCode::PreconditionFailed, text));
        }
        self.change_task(id, "changed", &|task| {
            if let Some(name) = &change.name {
                task.name.clone_from(name);
            }
            if let Some(priority) = change.priority {
                task.options.priority = priority;
            }
        })
    }

    pub(super) fn cancel_drains(&self, path: &str) -> Result<Vec<TaskView>, Failure> {
        // A mistyped path is refused, not answered with an empty list.
        self.uuids(&[path.to_owned()])?;
        let is_it = |disk: &String| disk.trim_end_matches('/') == path.trim_end_matches('/');
        let drains = |view: &TaskView| {
            matches!(&view.task.request, TaskRequest::Drain { disks, .. } if disks.iter().any(is_it))
                && !view.task.status.is_over()
        };
        let all = self.task_list(&TaskFilter { limit: usize::MAX, ..TaskFilter::default() });
        all.items.iter().filter(|view| drains(view)).map(|view| self.cancel_task(view.task.id)).collect()
    }
}
