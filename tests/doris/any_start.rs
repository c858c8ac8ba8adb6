//! Two roots as they stand, and whether any start of a backend would find a tablet on them, once and whole.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tabletd::doris::database::{Database, Strictness};
use tabletd::doris::inventory::Inventory;
use tabletd::doris::keys::TabletIds;

use super::fixtures::OnDisk;
use super::start_model::{Live, starts};

/// Both roots, their databases read.
pub(crate) struct Roots<'a> {
    paths: [&'a Path; 2],
    inventories: [Inventory; 2],
}

pub(crate) fn ids_of(tablet: &Value) -> TabletIds {
    let number = |name: &str| tablet[name].as_i64().expect("a number");
    TabletIds {
        tablet_id: number("tablet_id"),
        schema_hash: i32::try_from(number("schema_hash")).expect("fits"),
    }
}

pub(crate) fn directory(root: &Path, shard: i64, ids: TabletIds) -> PathBuf {
    root.join(format!("data/{shard}/{}/{}", ids.tablet_id, ids.schema_hash))
}

impl<'a> Roots<'a> {
    pub(crate) fn read(paths: [&'a Path; 2]) -> Result<Self, String> {
        let inventory = |path: &Path| {
            let database = Database::open(&OnDisk(path.join("meta")), Strictness::Refuse);
            let inventory = database.and_then(|database| Inventory::read(&database));
            inventory.map_err(|error| format!("{}: {error}", path.display()))
        };
        Ok(Self { inventories: [inventory(paths[0])?, inventory(paths[1])?], paths })
    }

    /// Whether each of the backend's possible starts has the tablet: always the same rowsets, from the root that owns it,
    /// and every file of theirs there.
    pub(crate) fn any_start_has(&self, tablet: &Value, owner: Option<usize>) -> Result<(), String> {
        let ids = ids_of(tablet);
        let copies = [0, 1].map(|root| self.inventories[root].tablets.get(&ids).cloned());
        starts(&copies).into_iter().try_for_each(|live| {
            let live = live.ok_or_else(|| format!("no copy of {ids}"))?;
            self.is_whole(tablet, owner, &live).map_err(|what| format!("{ids} on root {}: {what}", live.root))
        })
    }

    fn is_whole(&self, tablet: &Value, owner: Option<usize>, live: &Live) -> Result<(), String> {
        if owner.is_some_and(|owner| owner != live.root) {
            return Err("the other one must own it".to_owned());
        }
        if live.rowsets.iter().map(|rowset| rowset.end_version).max() != tablet["version"].as_i64() {
            return Err("another version".to_owned());
        }
        if !live.open.is_empty() {
            return Err(format!("open transactions: {:?}", live.open));
        }
        let at = directory(self.paths[live.root], live.tablet.shard, ids_of(tablet));
        for rowset in &live.rowsets {
            for segment in 0..rowset.segments {
                let name = format!("{}_{segment}.dat", rowset.id);
                let files = tablet["files"].as_array().expect("a list");
                let wanted = files.iter().find(|file| file[0] == name.as_str());
                let wanted = wanted.ok_or_else(|| format!("{name} is no file of it"))?;
                let found = std::fs::read(at.join(&name)).map_err(|error| format!("{name}: {error}"))?;
                let sum: String = Sha256::digest(found).iter().map(|byte| format!("{byte:02x}")).collect();
                if wanted[2] != sum.as_str() {
                    return Err(format!("{name} has other bytes"));
                }
            }
        }
        Ok(())
    }
}
