//! The node: every root of the configuration, locked and read, or the reasons why nothing may be written.

use std::collections::{BTreeMap, BTreeSet};

use super::root::{Root, open_damaged, open_root};
use crate::config::{Config, Loaded};
use crate::doris::inventory::Inventory;
use crate::doris::judge::Reason;
use crate::doris::keys::TabletIds;
use crate::doris::record::TabletState;
use crate::rules::capacity::CapacityLimits;
use crate::storage::{DorisLock, DorisRoot};

/// Why no work is done on the node: every reason at once, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct NotOpened(pub Vec<String>);

/// All roots of a stopped backend.
pub struct Node {
    /// In the order of the configuration.
    pub roots: Vec<Root>,
    /// Roots that are left out by the operator's word.
    pub without: Vec<String>,
    pub(super) config: Config,
    /// The name of this run, under which `meta/` is kept before it is written to.
    pub(super) run: String,
    /// A backend that runs on a root we leave out is a backend that runs.
    _also_locked: Vec<(DorisRoot, DorisLock)>,
}

impl Node {
    /// Opens, locks and reads every root of the configuration but those of `without`. Writes nothing.
    ///
    /// # Errors
    /// A backend runs; a root is absent, damaged, not understood, or of another cluster or kind.
    pub fn open(loaded: Loaded, without: &[String]) -> Result<Self, NotOpened> {
        Self::open_with(loaded, without, None)
    }

    /// The same, with one root whose database does not open: it is read for what is left of it, and never written to.
    ///
    /// # Errors
    /// As [`Node::open`]; that root's database opens, or is not understood.
    pub fn open_for_rescue(loaded: Loaded, without: &[String], damaged: &str) -> Result<Self, NotOpened> {
        Self::open_with(loaded, without, Some(damaged.trim_end_matches('/')))
    }

    fn open_with(loaded: Loaded, without: &[String], damaged: Option<&str>) -> Result<Self, NotOpened> {
        let Loaded { roots: configured, config, .. } = loaded;
        let mut problems = Vec::new();
        let mut known = BTreeSet::new();
        let mut roots = Vec::new();
        let mut also_locked = Vec::new();
        for spec in &configured.roots {
            known.insert(spec.path.clone());
            if damaged == Some(&spec.path) {
                match open_damaged(&spec.path, spec.medium) {
                    Ok(root) => roots.push(root),
                    Err(why) => problems.push(why),
                }
                continue;
            }
            if without.contains(&spec.path) {
                also_locked.extend(lock_left_out(&spec.path, &mut problems));
                continue;
            }
            match open_root(&spec.path, spec.medium) {
                Ok(root) => roots.push(root),
                Err(why) => problems.push(why),
            }
        }
        for broken in &configured.broken {
            let path = broken.spec.as_ref().map_or(&broken.entry, |spec| &spec.path);
            known.insert(path.clone());
            if !without.contains(path) {
                problems.push(format!("{path}: {}", broken.reason));
            }
        }
        problems.extend(
            without
                .iter()
                .filter(|path| !known.contains(*path))
                .map(|path| format!("--without {path}: no root of the configuration is written so")),
        );
        if let Some(damaged) = damaged.filter(|damaged| !known.contains(*damaged)) {
            problems.push(format!("{damaged}: no root of the configuration is written so"));
        }
        problems.extend(of_one_cluster(&roots));
        if !problems.is_empty() {
            problems.push(
                "nothing was written; a root that is not here, or is for looking only, is left out with --without ROOT: \
                 copies of tablets on it are then not seen"
                    .to_owned(),
            );
            return Err(NotOpened(problems));
        }
        let run = chrono::Utc::now().format("%Y%m%dT%H%M%S%6fZ").to_string();
        let mut node = Self { roots, without: without.to_vec(), config, run, _also_locked: also_locked };
        node.name_duplicates();
        node.name_present_elsewhere();
        Ok(node)
    }

    /// The root that the operator wrote so.
    pub(super) fn root_at(&self, path: &str) -> Option<usize> {
        let path = path.trim_end_matches('/');
        self.roots.iter().position(|root| root.path == path)
    }

    /// The root whose record of a tablet serves; one that has retired it only where no other has it.
    pub(super) fn owner_of(&self, ids: TabletIds) -> Option<usize> {
        let has = |root: &&Root| root.inventory.tablets.contains_key(&ids);
        let serves = |root: &Root| {
            let record = root.inventory.tablets.get(&ids).map(|found| &found.record);
            record.is_some_and(|record| {
                record.as_ref().is_ok_and(|tablet| tablet.state != TabletState::Shutdown)
            })
        };
        let runs = |root: &Root| {
            let record = root.inventory.tablets.get(&ids).and_then(|found| found.record.as_ref().ok());
            record.is_some_and(|tablet| tablet.state == TabletState::Running)
        };
        let roots = || self.roots.iter().enumerate();
        let owner = roots().find(|(_, root)| runs(root));
        let owner = owner.or_else(|| roots().find(|(_, root)| serves(root)));
        let owner = owner.or_else(|| roots().find(|(_, root)| has(root)));
        owner.map(|(index, _)| index)
    }

    /// How the configuration writes its roots, for messages.
    pub(super) fn paths(&self) -> String {
        let paths: Vec<_> = self.roots.iter().map(|root| root.path.as_str()).collect();
        paths.join(", ")
    }

    /// Reads every database again.
    pub(super) fn read_again(&mut self) -> Result<(), String> {
        for root in &mut self.roots {
            root.read_again().map_err(|why| format!("{}: {why}", root.path))?;
        }
        self.name_duplicates();
        self.name_present_elsewhere();
        Ok(())
    }

    /// A tablet that serves on two roots is a backend's to settle. One whose record cannot be read may serve.
    fn name_duplicates(&mut self) {
        let mut places: BTreeMap<i64, usize> = BTreeMap::new();
        let may_serve = |inventory: &Inventory, ids: &TabletIds| {
            inventory.tablets.get(ids).is_some_and(|found| match &found.record {
                Ok(tablet) => tablet.state == TabletState::Running || tablet.state == TabletState::NotReady,
                Err(_) => true,
            })
        };
        for root in self.roots.iter().filter(|root| !root.is_damaged()) {
            for ids in root.inventory.tablets.keys().filter(|ids| may_serve(&root.inventory, ids)) {
                *places.entry(ids.tablet_id).or_default() += 1;
            }
        }
        for root in self.roots.iter_mut().filter(|root| !root.is_damaged()) {
            let several: Vec<TabletIds> = root
                .inventory
                .tablets
                .keys()
                .filter(|ids| places.get(&ids.tablet_id).is_some_and(|count| *count > 1))
                .filter(|ids| may_serve(&root.inventory, ids))
                .copied()
                .collect();
            for ids in several {
                if let Some(found) = root.inventory.tablets.get_mut(&ids) {
                    found.add_reason(Reason::Duplicate);
                }
            }
        }
    }

    /// What another root has a record of, in whatever state, is not taken from a damaged one.
    fn name_present_elsewhere(&mut self) {
        let whole = self.roots.iter().filter(|root| !root.is_damaged());
        let there: BTreeSet<i64> =
            whole.flat_map(|root| root.inventory.tablets.keys().map(|ids| ids.tablet_id)).collect();
        for root in self.roots.iter_mut().filter(|root| root.is_damaged()) {
            for (ids, found) in &mut root.inventory.tablets {
                if there.contains(&ids.tablet_id) {
                    found.add_reason(Reason::PresentElsewhere);
                }
            }
        }
    }

    /// How full a root may become: the limits of the daemon.
    pub(super) fn limits(&self) -> CapacityLimits {
        let left = self.config.storage_flood_stage_left_capacity_bytes;
        CapacityLimits {
            usage_percent: u64::from(self.config.storage_flood_stage_usage_percent),
            left_bytes: left.bytes,
            left_bytes_from: left.from,
            rule: self.config.migration_capacity_rule,
        }
    }
}

/// The lock of a root that is left out, where it is here at all.
fn lock_left_out(path: &str, problems: &mut Vec<String>) -> Option<(DorisRoot, DorisLock)> {
    let disk = DorisRoot::open(path).ok()?;
    match disk.lock() {
        Ok(lock) => Some((disk, lock)),
        Err(crate::storage::DorisLockError::Held { holder }) => {
            problems.push(format!("{path}: the root is in use by {holder}; stop it first"));
            None
        }
        Err(crate::storage::DorisLockError::Disk(_)) => None,
    }
}

fn of_one_cluster(roots: &[Root]) -> Vec<String> {
    let mut clusters: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut problems = Vec::new();
    for root in roots {
        match root.disk.cluster_id() {
            Ok(Some(id)) => clusters.entry(id).or_default().push(&root.path),
            Ok(None) => {}
            Err(_) if root.is_damaged() => {}
            Err(error) => problems.push(format!("{}: {error}", root.path)),
        }
    }
    if clusters.len() > 1 {
        let each: Vec<_> =
            clusters.iter().map(|(id, paths)| format!("{} of {id}", paths.join(", "))).collect();
        problems.push(format!("these roots are of different clusters (cluster_id): {}", each.join("; ")));
    }
    problems
}
