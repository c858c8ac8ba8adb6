//! What a lost disk held, as far as this node knows: from the catalog, the notes in trash, the journal, and the copies
//! and stagings on the disks that are here. Looks, changes nothing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::loss::{Gone, Loss, LostMigration, LostTablet};
use super::settle::{fate_of, waiting};
use crate::engine::look::trash;
use crate::engine::node::Node;
use crate::engine::parts::disk::{Disk, stay};
use crate::engine::recover::look::{Look, look_at};
use crate::journal::{DiskMatch, Filter, RowOrder};
use crate::model::{DiskIndex, DiskUuid, Failure, MigrationId, Status, TabletKey};
use crate::rules::giving_up::{Older, TabletFacts, TabletFate, settle_tablet};
use crate::storage::layout::{MIGRATING, RECORD_FILE, TRASH};
use crate::storage::{
    Owner, Purpose, ReadFrom, Root, decode_summary, read_owner, read_small, retirements_cut_short,
};

/// How long one disk may take to be looked at.
const LOOK_WAIT: Duration = Duration::from_secs(3600);
/// Rows of the journal that are asked for at once.
const ROWS: u32 = 1000;

/// The way back of what is given up, in words.
const AGAIN: &str = "Should the disk be readable again, tabletctl tablet adopt takes it from there";

/// A verified copy in staging whose source is the lost disk.
#[derive(Debug, Clone)]
pub(super) struct Staged {
    pub(super) disk: DiskIndex,
    pub(super) name: String,
    pub(super) owner: Owner,
    /// Of its record; `None` when it has none: then it was never verified.
    pub(super) generation: Option<u64>,
}

/// One tablet of the lost disk.
pub(super) struct Tablet {
    pub(super) facts: TabletFacts,
    /// Where the newest good copy is.
    pub(super) here: Option<DiskIndex>,
    pub(super) staged: Option<Staged>,
    /// A disk with an older generation in trash.
    trash_on: Option<String>,
    pub(super) fate: TabletFate,
    /// What was wrong with its staged copy, which is in quarantine.
    staged_damage: Option<String>,
}

/// Everything it held.
#[derive(Default)]
pub(super) struct Held {
    pub(super) tablets: BTreeMap<TabletKey, Tablet>,
}

/// Gathers it, and decides what becomes of each tablet.
pub(super) fn gather(node: &Arc<Node>, gone: &Gone, older: Older) -> Result<Held, Failure> {
    let mut held = Held::default();
    let served: Vec<_> = {
        let catalog = node.catalog();
        let on_it = catalog.after(None).filter(|(_, entry)| Some(entry.disk) == gone.index);
        on_it.map(|(key, entry)| (key, entry.generation)).collect()
    };
    served.into_iter().for_each(|(key, generation)| held.saw(key, generation));
    if let Some(uuid) = gone.uuid {
        let claimed: Vec<_> = node.catalog().claims_of(uuid).collect();
        claimed.into_iter().for_each(|(key, generation)| held.saw(key, generation));
        held.read_trash(node, uuid)?;
        held.read_journal(node, uuid)?;
        held.read_ledger(node, uuid)?;
        held.read_staging(node, uuid)?;
    }
    held.look_around(node, gone)?;
    for tablet in held.tablets.values_mut() {
        tablet.fate = settle_tablet(&tablet.facts, older);
    }
    Ok(held)
}

/// Disks that are here, but for the lost one.
fn others<'a>(node: &'a Node, gone: &'a Gone) -> impl Iterator<Item = &'a Arc<Disk>> {
    let hang_after = node.hang_after();
    node.shown_disks()
        .filter(move |disk| Some(disk.index) != gone.index && disk.opened.get().is_some())
        .filter(move |disk| disk.condition(hang_after).is_readable())
}

impl Held {
    fn tablet(&mut self, key: TabletKey) -> &mut Tablet {
        self.tablets.entry(key).or_insert_with(Tablet::new)
    }

    /// The lost disk had this generation.
    fn saw(&mut self, key: TabletKey, generation: u64) {
        let facts = &mut self.tablet(key).facts;
        facts.lost = facts.lost.max(Some(generation));
    }

    /// The notes of retired sources say where their tablets went.
    fn read_trash(&mut self, node: &Node, uuid: DiskUuid) -> Result<(), Failure> {
        let mut headers = Vec::new();
        let readable = |disk: &Disk| disk.opened.get().is_some();
        trash::walk(
            node,
            readable,
            |_| true,
            |disk, item| {
                if let Some(note) = item.note.as_ref().filter(|note| note.moved_to.uuid == uuid) {
                    self.saw(item.key, note.generation);
                }
                headers.push((item.key, disk.path.clone()));
                ControlFlow::Continue(())
            },
        )?;
        for (key, path) in headers {
            if let Some(tablet) = self.tablets.get_mut(&key) {
                tablet.trash_on = Some(path);
            }
        }
        Ok(())
    }

    /// What was moved to it, and what was on the way to it or from it.
    fn read_journal(&mut self, node: &Node, uuid: DiskUuid) -> Result<(), Failure> {
        let mut after = None;
        loop {
            let filter = Filter {
                destination: Some(DiskMatch::Uuid(uuid)),
                statuses: vec![Status::Completed],
                order: RowOrder::OldestFirst,
                after,
                limit: ROWS,
                ..Filter::default()
            };
            let page = node.journal.list(filter)?;
            for row in page.rows.migrations {
                if let Some(receipt) = row.receipt {
                    self.saw(row.key, receipt.generation);
                }
            }
            after = page.next_after;
            if after.is_none() {
                break;
            }
        }
        for job in waiting(node) {
            let row = job.lock();
            let above = || node.catalog().next_generation(row.key);
            let swap = row.receipt.as_ref().map(|receipt| receipt.generation);
            if row.source.uuid == uuid {
                self.tablet(row.key);
            } else if row.destination.uuid == uuid && row.status == Status::Finalizing {
                let generation = swap.unwrap_or_else(above);
                let facts = &mut self.tablet(row.key).facts;
                facts.in_doubt = facts.in_doubt.max(Some(generation));
            }
        }
        Ok(())
    }

    /// What was acknowledged to be on it however long ago, and what may have got there by rows that cannot be read.
    fn read_ledger(&mut self, node: &Node, uuid: DiskUuid) -> Result<(), Failure> {
        for line in node.journal.ledger_of(uuid)? {
            if let Some(owner) = line.owner.as_ref().filter(|owner| owner.disk.uuid == uuid) {
                self.saw(line.key, owner.generation);
            }
            for claim in line.may_own.iter().filter(|claim| claim.disk.uuid == uuid) {
                let facts = &mut self.tablet(line.key).facts;
                facts.in_doubt = facts.in_doubt.max(Some(claim.generation));
            }
        }
        Ok(())
    }

    /// Copies of migrations from the lost disk that have not ended.
    fn read_staging(&mut self, node: &Arc<Node>, uuid: DiskUuid) -> Result<(), Failure> {
        let hang_after = node.hang_after();
        let here = node.shown_disks().filter(|disk| disk.opened.get().is_some());
        for disk in here.filter(|disk| disk.condition(hang_after).is_readable()) {
            let index = disk.index;
            let found = stay(disk, LOOK_WAIT, move |root, _| staged_from(root, index, uuid))?;
            for staged in found {
                let ended = |id: MigrationId| {
                    node.journal.get(id).map(|row| row.is_some_and(|row| row.status.is_final()))
                };
                if staged.owner.migration_id.map_or(Ok(true), ended)? {
                    continue;
                }
                let tablet = self.tablet(staged.owner.key);
                if tablet.staged.as_ref().is_none_or(|known| known.generation < staged.generation) {
                    tablet.facts.staged = staged.generation;
                    tablet.staged = Some(staged);
                }
            }
        }
        Ok(())
    }

    /// Where else these tablets are.
    fn look_around(&mut self, node: &Arc<Node>, gone: &Gone) -> Result<(), Failure> {
        let hang_after = node.hang_after();
        let mut unserved = Vec::new();
        {
            let catalog = node.catalog();
            for (key, tablet) in &mut self.tablets {
                tablet.facts.highest_seen = catalog.next_generation(*key) - 1;
                let elsewhere = catalog.claimed_elsewhere(*key, gone.uuid);
                tablet.facts.elsewhere = elsewhere.max(catalog.held_against(*key, gone.uuid));
                match catalog.get(*key).filter(|entry| Some(entry.disk) != gone.index) {
                    // One on a disk that is away as well stays what it is until that one is settled.
                    Some(entry) if !node.disk(entry.disk).condition(hang_after).is_readable() => {
                        tablet.facts.elsewhere = tablet.facts.elsewhere.max(Some(entry.generation));
                    }
                    Some(entry) => {
                        tablet.facts.here = Some(entry.generation);
                        tablet.here = Some(entry.disk);
                    }
                    None => unserved.push(*key),
                }
            }
        }
        for disk in others(node, gone) {
            let keys = unserved.clone();
            let found = stay(disk, LOOK_WAIT, move |root, store| {
                let cut_short = retirements_cut_short(&root.dir().open(TRASH)?)?;
                let looks = keys.into_iter().map(|key| (key, look_at(root, store, key)));
                Ok((looks.collect::<Vec<_>>(), cut_short))
            })?;
            let (found, cut_short) = found;
            for key in cut_short {
                if let Some(tablet) = self.tablets.get_mut(&key) {
                    tablet.trash_on.get_or_insert_with(|| disk.path.clone());
                }
            }
            for (key, look) in found {
                let Look::Sound { record, .. } = look else { continue };
                let tablet = self.tablet(key);
                if tablet.facts.here < Some(record.generation) {
                    tablet.facts.here = Some(record.generation);
                    tablet.here = Some(disk.index);
                }
            }
        }
        Ok(())
    }

    /// The same for people and programs.
    pub(super) fn loss(&self, node: &Node, gone: &Gone) -> Loss {
        let tablets: Vec<_> = self
            .tablets
            .iter()
            .map(|(key, tablet)| {
                let (key, fate) = (*key, tablet.fate);
                let left_on = match fate {
                    TabletFate::Adopted(_) | TabletFate::OlderAdopted(_) => {
                        tablet.staged.as_ref().map(|staged| staged.disk)
                    }
                    _ => tablet.here.or(tablet.staged.as_ref().map(|staged| staged.disk)),
                };
                LostTablet {
                    key,
                    lost_generation: tablet.facts.lost,
                    fate,
                    left_on: left_on.map(|index| node.disk(index).path.clone()),
                    detail: tablet.in_words(key, fate),
                }
            })
            .collect();
        let migrations = waiting(node)
            .iter()
            .filter_map(|job| {
                let row = job.lock();
                let fate = fate_of(node, &row, gone, &tablets)?;
                Some(LostMigration { id: row.id, key: row.key, fate })
            })
            .collect();
        Loss { path: gone.path.clone(), uuid: gone.uuid, tablets, migrations }
    }
}

impl Tablet {
    const fn new() -> Self {
        Self {
            facts: TabletFacts {
                lost: None,
                in_doubt: None,
                here: None,
                staged: None,
                highest_seen: 0,
                elsewhere: None,
            },
            here: None,
            staged: None,
            trash_on: None,
            fate: TabletFate::Untouched,
            staged_damage: None,
        }
    }

    /// Its staged copy is in quarantine; what that changes is decided again.
    pub(super) fn set_aside(&mut self, why: String, older: Older) {
        (self.staged, self.facts.staged) = (None, None);
        self.staged_damage = Some(why);
        self.fate = settle_tablet(&self.facts, older);
    }

    fn in_words(&self, key: TabletKey, fate: TabletFate) -> String {
        let aside = self.staged_damage.as_ref();
        let aside =
            aside.map_or_else(String::new, |why| format!("; its staged copy is in quarantine: {why}"));
        self.fate_in_words(key, fate) + &aside
    }

    fn fate_in_words(&self, key: TabletKey, fate: TabletFate) -> String {
        let lost =
            self.facts.lost.map_or_else(String::new, |generation| format!(" (generation {generation})"));
        match fate {
            TabletFate::Untouched => "a newer one is here".to_owned(),
            TabletFate::Kept(to) => format!("the copy here is as good, and is served as generation {to}"),
            TabletFate::Adopted(to) => format!(
                "its verified copy in staging is checked, and becomes the tablet as generation {to}; set aside in \
                 quarantine if it is not whole"
            ),
            TabletFate::OlderServed(to) | TabletFate::OlderAdopted(to) => {
                format!("what the disk had{lost} is lost; an older copy is served as generation {to}")
            }
            TabletFate::OlderLeft => format!(
                "what the disk had{lost} is lost; an older copy is here and not served: tabletctl tablet heal {0} \
                 --accept-older serves it. {AGAIN}",
                key.tablet_id
            ),
            TabletFate::Elsewhere => "another disk that is not here may have it".to_owned(),
            TabletFate::GivenUp => match &self.trash_on {
                Some(path) => {
                    format!("lost{lost}; trash on {path} has an older one: tabletctl trash restore")
                }
                None => format!("lost{lost}; no copy of it is here. {AGAIN}"),
            },
        }
    }
}

/// Staging directories on one disk of migrations whose source was this one.
fn staged_from(root: &Root, disk: DiskIndex, source: DiskUuid) -> Result<Vec<Staged>, Failure> {
    let migrating = root.dir().open(MIGRATING)?;
    let mut found = Vec::new();
    for entry in migrating.entries()? {
        let Some(name) = entry.name.to_str() else { continue };
        let Ok(Some(dir)) = migrating.open_if_exists(name) else { continue };
        let Ok(Some(owner)) = read_owner(&dir) else { continue };
        let of_it = owner.source.as_ref().is_some_and(|owned| owned.uuid == source);
        if owner.purpose != Purpose::Migration || !of_it {
            continue;
        }
        let record = read_small(&dir, RECORD_FILE, ReadFrom::Cache).ok().flatten();
        let record =
            record.and_then(|bytes| decode_summary(&bytes).ok()).filter(|found| found.key == owner.key);
        let generation = record.map(|record| record.generation);
        found.push(Staged { disk, name: name.to_owned(), owner, generation });
    }
    Ok(found)
}
