//! What would move where: the daemon's planner over what the databases say, and what stays for a reason of Doris's own.

use std::ops::Deref;

use serde::Serialize;

use super::accept::key_of;
use super::node::Node;
use super::root::Root;
use super::wishes::{Older, OtherMedia, Wishes};
use crate::doris::inventory::Found;
use crate::doris::judge::Reason;
use crate::doris::keys::TabletIds;
use crate::model::{
    DiskCondition, DiskIndex, DrainMedia, Medium, PlanCompleteness, TabletId, TabletKey, quoted,
};
use crate::rules::planning::{self, Disk, Inventory, Pin, Selector, Settings, Tablet, Target};
use crate::storage::{Dir, look_at_tablet, same_file_system};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// These tablets go to that root.
    Move {
        tablets: Vec<i64>,
        /// As the configuration writes it.
        to: String,
    },
    /// A root is emptied.
    Drain {
        /// As the configuration writes it.
        root: String,
    },
    /// Of a root whose database does not open, these tablets are moved, which may be older than what was lost.
    Rescue {
        /// As the configuration writes it.
        root: String,
        /// Their numbers.
        accept: Vec<i64>,
        /// The root they go to; any other that takes them, where none is said.
        to: Option<String>,
    },
    /// Roots of one medium are made equally full.
    Rebalance {
        /// Of this medium only.
        medium: Option<Medium>,
    },
}

/// What would move, and what would not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// In the order they are made.
    pub moves: Vec<Planned>,
    /// Tablets that were asked for and stay.
    pub left: Vec<LeftBehind>,
    /// Tablets that no other root takes.
    pub fits_nowhere: Vec<Misfit>,
}

/// One move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    pub tablet_id: i64,
    /// Hash of its schema.
    pub schema_hash: i32,
    /// The root it leaves.
    pub from: String,
    /// The root it goes to.
    pub to: String,
    pub bytes: u64,
    pub files: u64,
}

/// A tablet that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftBehind {
    pub tablet_id: i64,
    /// Hash of its schema.
    pub schema_hash: i32,
    pub root: String,
    pub reasons: Vec<String>,
    pub help: Option<&'static str>,
}

/// A tablet that no other root takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Misfit {
    pub tablet_id: i64,
    /// Hash of its schema.
    pub schema_hash: i32,
    pub bytes: u64,
    /// What each root has against it.
    pub tried: String,
}

impl Plan {
    /// Bytes to be copied.
    pub fn bytes(&self) -> u64 {
        self.moves.iter().map(|planned| planned.bytes).sum()
    }

    /// How long it takes at least, in seconds: what the backend is down for.
    pub fn estimate_sec(&self) -> u64 {
        estimate_sec(self.bytes(), self.moves.len() as u64)
    }
}

/// How long so much takes at least, in seconds, on disks that give 100 MB/s and take a fifth of a second for the syncs of a
/// tablet.
pub const fn estimate_sec(bytes: u64, tablets: u64) -> u64 {
    const BYTES_PER_SEC: u64 = 100_000_000;
    const TABLETS_PER_SEC: u64 = 5;
    bytes.div_ceil(BYTES_PER_SEC) + tablets.div_ceil(TABLETS_PER_SEC)
}

/// Makes a plan. Looks at every tablet it is about, and writes nothing. The node is asked for again and again, and not held
/// while directories are read: whoever moves meanwhile does not wait for a long look.
///
/// # Errors
/// In words: the request makes no sense on this node, or a directory cannot be read.
pub(super) fn plan<N: Deref<Target = Node>>(
    node: &dyn Fn() -> N,
    request: &Request,
    wishes: Wishes,
) -> Result<Plan, String> {
    let (asked, wish, about) = resolve(&node(), request, wishes)?;
    let mut made = Plan::default();
    let mut tablets = Vec::new();
    for (index, ids) in about {
        let (place, found) = {
            let node = node();
            let root = &node.roots[index];
            // It has moved since.
            let Some(found) = root.inventory.tablets.get(&ids) else { continue };
            let dir = root.disk.dir().open(".").map_err(|error| format!("{}: {error}", root.path))?;
            (Place { index, path: root.path.clone(), dir }, found.clone())
        };
        match look(&place, &found, request.allows(ids, wishes))? {
            Ok(tablet) => tablets.push(tablet),
            // A rebalance asks for no tablet in particular.
            Err(_) if asked == Asked::All => {}
            Err(left) => made.left.push(left),
        }
    }
    if matches!(request, Request::Move { .. }) {
        // Of a tablet that moves, a copy that a backend has retired elsewhere is not what was asked for.
        let moves = |left: &LeftBehind| {
            let key = TabletKey::new(left.tablet_id, left.schema_hash);
            tablets.iter().any(|tablet| tablet.key == key)
        };
        made.left.retain(|left| !moves(left));
    }
    let node = node();
    if let Request::Move { to, .. } | Request::Rescue { to: Some(to), .. } = request {
        let target = root_at(&node, to)?;
        keep_to_medium(&node, target, wishes, &mut tablets, &mut made);
    }
    if tablets.is_empty() {
        return Ok(made);
    }
    placed(&node, &wish, tablets, made)
}

fn root_at(node: &Node, path: &str) -> Result<usize, String> {
    let unknown = || format!("no root is written {}; there are {}", quoted(path), node.paths());
    node.root_at(path).ok_or_else(unknown)
}

/// What is asked for, as the planner takes it, and the tablets it is about, by root.
type Resolved<'a> = (Asked<'a>, planning::Request, Vec<(usize, TabletIds)>);

fn resolve<'a>(node: &Node, request: &'a Request, wishes: Wishes) -> Result<Resolved<'a>, String> {
    let at = |path: &str| root_at(node, path);
    let (asked, wish) = match request {
        Request::Move { tablets, to } => (Asked::Tablets(tablets), planning_move(at(to)?)),
        Request::Rescue { root, to: Some(to), .. } => (Asked::On(at(root)?), planning_move(at(to)?)),
        Request::Drain { root } | Request::Rescue { root, .. } => {
            (Asked::On(at(root)?), planning_drain(at(root)?, wishes))
        }
        Request::Rebalance { medium } => (Asked::All, planning::Request::Rebalance { medium: *medium }),
    };
    let has = |root: &Root, id: i64| root.inventory.tablets.keys().any(|ids| ids.tablet_id == id);
    match request {
        Request::Rescue { root, accept, .. } => {
            let known = &node.roots[at(root)?];
            if let Some(id) = accept.iter().find(|id| !has(known, **id)) {
                return Err(format!("no record of tablet {id} is left on {root}"));
            }
        }
        Request::Move { tablets, .. } => {
            if let Some(id) = tablets.iter().find(|id| !node.roots.iter().any(|root| has(root, **id))) {
                return Err(format!("no root has a record of tablet {id}"));
            }
        }
        Request::Drain { .. } | Request::Rebalance { .. } => {}
    }
    let of_root = |(index, root): (usize, &Root)| {
        let wanted = root.inventory.tablets.keys().filter(|ids| asked.about(index, **ids));
        wanted.map(|ids| (index, *ids)).collect::<Vec<_>>()
    };
    Ok((asked, wish, node.roots.iter().enumerate().flat_map(of_root).collect()))
}

impl Request {
    /// What is allowed for one tablet.
    fn allows(&self, ids: TabletIds, wishes: Wishes) -> Wishes {
        match self {
            Self::Rescue { accept, .. } if !accept.contains(&ids.tablet_id) => {
                Wishes { older: Older::Refused, ..wishes }
            }
            _ => wishes,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked<'a> {
    Tablets(&'a [i64]),
    On(usize),
    All,
}

impl Asked<'_> {
    fn about(&self, root: usize, ids: TabletIds) -> bool {
        match self {
            Self::Tablets(wanted) => wanted.contains(&ids.tablet_id),
            Self::On(wanted) => root == *wanted,
            Self::All => true,
        }
    }
}

fn index_of(root: usize) -> DiskIndex {
    DiskIndex(u16::try_from(root).unwrap_or(u16::MAX))
}

fn planning_move(to: usize) -> planning::Request {
    planning::Request::Move { select: Selector::default(), to: Target::Disks(vec![index_of(to)]) }
}

fn planning_drain(root: usize, wishes: Wishes) -> planning::Request {
    let media = match wishes.media {
        OtherMedia::Never => DrainMedia::Same,
        OtherMedia::Allowed => DrainMedia::Any,
    };
    planning::Request::Drain { disks: vec![index_of(root)], media }
}

/// Where a tablet is looked at.
struct Place {
    index: usize,
    path: String,
    dir: Dir,
}

/// A tablet as the planner sees it, or why it stays.
fn look(place: &Place, found: &Found, wishes: Wishes) -> Result<Result<Tablet, LeftBehind>, String> {
    let ids = found.ids;
    let judged = look_at_tablet(&place.dir, found).map_err(|error| format!("{}: {error}", place.path))?;
    let against: Vec<Reason> = wishes.against(&judged.reasons).collect();
    if let Some(first) = against.first() {
        return Ok(Err(LeftBehind {
            tablet_id: ids.tablet_id,
            schema_hash: ids.schema_hash,
            root: place.path.clone(),
            reasons: against.iter().map(|reason| reason.as_str().to_owned()).collect(),
            help: Some(first.way_out()),
        }));
    }
    let tablet = found.record.as_ref().ok();
    Ok(Ok(Tablet {
        key: key_of(ids),
        disk: index_of(place.index),
        table_id: tablet.map_or(0, |tablet| tablet.table_id),
        partition_id: tablet.map_or(0, |tablet| tablet.partition_id),
        size_bytes: judged.files.files.values().sum(),
        file_count: judged.files.files.len() as u64,
        pin: Pin::Free,
        moving_to: None,
        last_moved_ms: None,
    }))
}

/// Whoever names a root means it, but a frontend would order the tablet back to its medium.
fn keep_to_medium(node: &Node, target: usize, wishes: Wishes, tablets: &mut Vec<Tablet>, made: &mut Plan) {
    if wishes.media == OtherMedia::Allowed {
        return;
    }
    let medium = node.roots[target].medium;
    tablets.retain(|tablet| {
        let root = &node.roots[usize::from(tablet.disk.0)];
        if root.medium != medium {
            made.left.push(LeftBehind {
                tablet_id: tablet.key.tablet_id.0,
                schema_hash: tablet.key.schema_hash.0,
                root: root.path.clone(),
                reasons: vec![format!("other-medium ({} to {medium})", root.medium)],
                help: Some("name a root of its own medium; the frontend would order it back (--cross-medium allows it)"),
            });
        }
        root.medium == medium
    });
}

fn placed(
    node: &Node,
    wish: &planning::Request,
    tablets: Vec<Tablet>,
    mut made: Plan,
) -> Result<Plan, String> {
    let mut inventory = Inventory { disks: disks(node)?, tablets };
    let request = match wish {
        planning::Request::Move { to, .. } => {
            let ids = inventory.tablets.iter().map(|tablet| tablet.key.tablet_id).collect::<Vec<TabletId>>();
            let select = Selector { tablets: ids, ..Selector::default() };
            planning::Request::Move { select, to: to.clone() }
        }
        other => other.clone(),
    };
    let plan = planning::plan(&request, &inventory, &settings(node), super::book::now_ms())
        .map_err(|refusal| refusal.to_string())?;
    let path = |disk: DiskIndex| node.roots[usize::from(disk.0)].path.clone();
    let source_of = |key: TabletKey| inventory.tablets.iter().find(|tablet| tablet.key == key);
    made.moves = plan
        .moves
        .iter()
        .map(|planned| Planned {
            tablet_id: planned.key.tablet_id.0,
            schema_hash: planned.key.schema_hash.0,
            from: path(planned.source),
            to: path(planned.destination),
            bytes: planned.size_bytes,
            files: source_of(planned.key).map_or(0, |tablet| tablet.file_count),
        })
        .collect();
    let left_out = plan.left_out.iter().filter(|_| !matches!(request, planning::Request::Rebalance { .. }));
    made.left.extend(left_out.map(|(key, reason)| LeftBehind {
        tablet_id: key.tablet_id.0,
        schema_hash: key.schema_hash.0,
        root: source_of(*key).map_or_else(String::new, |tablet| path(tablet.disk)),
        reasons: vec![reason.in_words(&inventory)],
        help: None,
    }));
    made.fits_nowhere = plan
        .fits_nowhere
        .iter()
        .map(|misfit| {
            let tried = misfit.tried.iter().map(|(disk, why)| format!("{} {why}", inventory.path(*disk)));
            Misfit {
                tablet_id: misfit.key.tablet_id.0,
                schema_hash: misfit.key.schema_hash.0,
                bytes: misfit.size_bytes,
                tried: tried.collect::<Vec<_>>().join(", "),
            }
        })
        .collect();
    inventory.tablets.clear();
    Ok(made)
}

fn disks(node: &Node) -> Result<Vec<Disk>, String> {
    let each = node.roots.iter().enumerate().map(|(index, root)| {
        let capacity = root.disk.capacity().map_err(|error| format!("{}: {error}", root.path))?;
        let shares = |other: &Root| same_file_system(&other.file_system, &root.file_system);
        let first = node.roots.iter().position(shares).unwrap_or(index);
        Ok(Disk {
            index: index_of(index),
            uuid: None,
            path: root.path.clone(),
            medium: root.medium,
            condition: match root.read_only {
                true if root.is_damaged() => {
                    DiskCondition::ReadOnly { reason: "its database is damaged".to_owned() }
                }
                true => DiskCondition::ReadOnly { reason: "it is mounted read-only".to_owned() },
                false => DiskCondition::Online,
            },
            capacity,
            reserved: crate::model::Space::default(),
            trash_bytes: 0,
            file_system: u32::try_from(first).unwrap_or(u32::MAX),
        })
    });
    each.collect()
}

fn settings(node: &Node) -> Settings {
    Settings {
        watermark: node.limits(),
        start_points: 10,
        stop_points: 5,
        source_floor_percent: node.config.rebalance_source_floor_percent,
        min_move_bytes: node.config.rebalance_min_move_bytes,
        cool_down_ms: 0,
        max_moves: usize::MAX,
        completeness: PlanCompleteness::WhatFits,
    }
}
