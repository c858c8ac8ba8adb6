//! Whose node a configuration is of, told before anything is opened: by what its roots show, by what runs of ours have
//! seen, and by the ports in be.conf.
//!
//! `doris_roots` in the state directory has the roots that were a backend's: should all of them be unmounted one day, they
//! are not taken for new ones.

use std::collections::BTreeSet;
use std::path::Path;

use super::node::Node;
use crate::config::{IgnoredKey, Loaded};
use crate::model::{ErrorCode, Failure};
use crate::rules::node_kind::{NodeKind, RootShows, node_kind};
use crate::storage::{Dir, ReadFrom, layout, read_small, replace_durably};

const SEEN_FILE: &str = "doris_roots";
/// The list of a node of tabletd's own: it refuses an empty directory where a disk of its was, and says which.
const NATIVE_DISKS_FILE: &str = "disks.json";
/// Ports that a backend opens, and that mean nothing to tabletd.
const BACKEND_PORTS: [&str; 3] = ["be_port", "heartbeat_service_port", "brpc_port"];

/// Whether a configuration is of a real Doris backend.
///
/// # Errors
/// In words: nothing says, and nothing may be made before an operator has.
pub fn is_doris_node(loaded: &Loaded) -> Result<bool, String> {
    let ports = backend_ports(loaded);
    let state_dir = Path::new(&loaded.config.state_dir);
    let is_native = state_dir.join(NATIVE_DISKS_FILE).exists();
    match node_kind(&shows(loaded), !ports.is_empty() && !is_native) {
        NodeKind::Native => Ok(false),
        NodeKind::Doris => Ok(true),
        NodeKind::Undecided => {
            let ports: Vec<String> = ports.into_iter().map(in_words).collect();
            Err(format!(
                "{} has what only a Doris backend needs ({}), and no root of storage_root_path says whose it is: if they are \
                 the backend's, mount them; if tabletd is to make them its own, take these keys out of the file; nothing \
                 was made",
                loaded.be_conf,
                ports.join(", ")
            ))
        }
    }
}

fn in_words(key: &IgnoredKey) -> String {
    match key.places.last() {
        Some(place) => format!("{}, {place}", key.key),
        None => key.key.clone(),
    }
}

fn backend_ports(loaded: &Loaded) -> Vec<&IgnoredKey> {
    let is_port = |key: &&IgnoredKey| BACKEND_PORTS.contains(&key.key.as_str());
    loaded.ignored.iter().filter(is_port).collect()
}

/// Paths of all roots, of those too that are not there.
fn paths(loaded: &Loaded) -> Vec<&str> {
    let broken = loaded.roots.broken.iter().filter_map(|entry| entry.spec.as_ref());
    loaded.roots.roots.iter().chain(broken).map(|spec| spec.path.as_str()).collect()
}

fn shows(loaded: &Loaded) -> Vec<RootShows> {
    let seen = seen_before(Path::new(&loaded.config.state_dir));
    let one = |path: &str| match root_shows(path) {
        RootShows::Nothing if seen.contains(path) => RootShows::OnceDoris,
        shows => shows,
    };
    paths(loaded).into_iter().map(one).collect()
}

fn root_shows(path: &str) -> RootShows {
    let Ok(dir) = Dir::open_absolute(Path::new(path)) else { return RootShows::Nothing };
    let has = |name: &str| dir.stat(name).is_ok_and(|stat| stat.is_some());
    let has_database = || {
        let Ok(Some(meta)) = dir.open_if_exists(layout::META) else { return false };
        // CURRENT may be what a dying disk has lost.
        let of_rocksdb = |name: &str| {
            name == "CURRENT"
                || name.starts_with("MANIFEST-")
                || name.ends_with(".sst")
                || name.ends_with(".log")
        };
        let entries = meta.entries().unwrap_or_default();
        entries.iter().any(|entry| entry.name.to_str().is_some_and(of_rocksdb))
    };
    if has_database() || ["cluster_id", "deploy_mode"].into_iter().any(has) {
        return RootShows::Doris;
    }
    match has(layout::DISK_FILE) {
        true => RootShows::Native,
        false => RootShows::Nothing,
    }
}

fn seen_before(state_dir: &Path) -> BTreeSet<String> {
    let text = Dir::open_absolute(state_dir).and_then(|dir| read_small(&dir, SEEN_FILE, ReadFrom::Cache));
    let text = text.ok().flatten().unwrap_or_default();
    let lines = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect::<Vec<_>>();
    lines.into_iter().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Keeps in the state directory which roots are a backend's, durably.
///
/// # Errors
/// It cannot be written.
pub(super) fn remember_roots(state_dir: &Path, node: &Node) -> Result<(), Failure> {
    let mut seen = seen_before(state_dir);
    let before = seen.len();
    seen.extend(node.roots.iter().map(|root| root.path.clone()));
    seen.extend(node.without.iter().cloned());
    if seen.len() == before {
        return Ok(());
    }
    let mut text = "# Roots of a Doris backend: an empty directory at one of these paths is never formatted. Take a line out \
                    if its path is no longer the backend's.\n"
        .to_owned();
    for path in seen {
        text.push_str(&path);
        text.push('\n');
    }
    let written =
        Dir::open_absolute(state_dir).and_then(|dir| replace_durably(&dir, SEEN_FILE, text.as_bytes()));
    written.map_err(|error| Failure::new(ErrorCode::JournalUnavailable, error.to_string()))
}
