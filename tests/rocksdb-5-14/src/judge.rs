//! Whether two roots have, after a move, what they had before it: by the true 5.14.2 and by the rules of the protocol,
//! written down here a second time.

use std::collections::BTreeMap;
use std::path::Path;

use crate::db::Content;
use crate::proto::{bytes, number, without};
use crate::records::{
    CREATED, END, ROWSET_ID, ROWSET_UID, ROWSETS, SEGMENTS, SHARD, STALE, START, Tablet, UID,
    tablets, uid_text,
};

/// Files of a tablet, by name.
pub type Files = BTreeMap<String, Vec<u8>>;

pub fn files(directory: &Path) -> Files {
    let mut files = Files::new();
    for (below, prefix) in [("", ""), ("_binlog", "_binlog/")] {
        for entry in std::fs::read_dir(directory.join(below))
            .into_iter()
            .flatten()
        {
            let entry = entry.expect("readable");
            if entry.file_type().expect("readable").is_file() {
                let name = entry.file_name().into_string().expect("text");
                files.insert(
                    format!("{prefix}{name}"),
                    std::fs::read(entry.path()).expect("readable"),
                );
            }
        }
    }
    files
}

/// Both roots before a move: what their databases have, and the files of every tablet.
pub struct Before {
    pub content: [Content; 2],
    pub files: BTreeMap<u64, Files>,
}

/// Holds what 5.14.2 reads now against what was there. Returns the tablets that have moved.
pub fn judge(before: &Before, after: &[Content; 2], roots: [&Path; 2]) -> Result<Vec<u64>, String> {
    let mut wanted = before.content.clone();
    let mut moved = Vec::new();
    for from in [0, 1] {
        let to = 1 - from;
        for old in tablets(&before.content[from]) {
            let places = [
                after[from].contains_key(&old.key),
                after[to].contains_key(&old.key),
            ];
            let old_files = &before.files[&old.id];
            match places {
                [true, false] => check_files(&old, roots[from], old_files)?,
                [false, true] => {
                    let new = tablets(&after[to])
                        .into_iter()
                        .find(|new| new.key == old.key)
                        .expect("is there");
                    let own = old.own(&before.content[from]);
                    own.keys().for_each(|key| drop(wanted[from].remove(key)));
                    wanted[to].extend(moved_keys(&old, &new, &own)?);
                    check_files(&new, roots[to], old_files)?;
                    if roots[from].join(old.directory()).exists() {
                        return Err(format!("{}: the source's directory is still there", old.id));
                    }
                    moved.push(old.id);
                }
                _ => {
                    return Err(format!(
                        "{}: at the source and the destination: {places:?}",
                        old.id
                    ));
                }
            }
        }
    }
    for root in [0, 1] {
        if wanted[root] != after[root] {
            let differ = wanted[root]
                .iter()
                .find(|(key, value)| after[root].get(*key) != Some(value));
            let more = after[root]
                .keys()
                .find(|key| !wanted[root].contains_key(*key));
            let key = differ
                .map(|(key, _)| key)
                .or(more)
                .map(|key| String::from_utf8_lossy(key).into_owned());
            return Err(format!("root {root}: {key:?} is not what it must be"));
        }
    }
    Ok(moved)
}

/// What the keys of a tablet must be at its destination.
fn moved_keys(old: &Tablet, new: &Tablet, own: &Content) -> Result<Content, String> {
    let wrong = |what: &str| Err(format!("{}: {what}", old.id));
    if new.uid == old.uid || bytes(&new.record, UID).is_empty() {
        return wrong("its uid is the old one");
    }
    const CHANGED: [u64; 4] = [SHARD, ROWSETS, UID, STALE];
    if without(&old.record, &CHANGED) != without(&new.record, &CHANGED) {
        return wrong("something else in its record has changed");
    }
    check_rowsets(old, new, own)?;
    let stale = |tablet: &Tablet| -> Vec<Vec<u8>> {
        tablet
            .rowsets(STALE)
            .iter()
            .map(|rowset| without(rowset, &[ROWSET_UID]))
            .collect()
    };
    if !new.rowsets(STALE).is_empty() && stale(old) != stale(new) {
        return wrong("some of its stale rowsets have changed");
    }
    let mut keys = Content::from([(new.key.clone(), new.record.clone())]);
    let (by_id, _) = old.prefixes();
    for (key, value) in own.iter().filter(|(key, _)| **key != old.key) {
        if by_id.iter().any(|prefix| key.starts_with(prefix)) {
            keys.insert(key.clone(), value.clone());
            continue;
        }
        let renamed = String::from_utf8(key.clone())
            .expect("text")
            .replace(&old.uid, &new.uid)
            .into_bytes();
        if key.starts_with(b"binlog_meta_") {
            keys.insert(renamed, value.clone());
        } else if key.starts_with(b"binlog_data_") {
            keys.insert(renamed, with_uid(value, &bytes(&new.record, UID)));
        }
        // A published rowset has gone into the record.
    }
    Ok(keys)
}

/// A rowset's record with its uid in the place of the old one.
fn with_uid(rowset: &[u8], uid: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut written = false;
    for field in crate::proto::fields(rowset) {
        match (field.number == ROWSET_UID, written) {
            (false, _) => out.extend(field.raw),
            (true, false) => {
                crate::proto::put_bytes(&mut out, ROWSET_UID, uid);
                written = true;
            }
            (true, true) => {}
        }
    }
    if !written {
        crate::proto::put_bytes(&mut out, ROWSET_UID, uid);
    }
    out
}

fn check_rowsets(old: &Tablet, new: &Tablet, own: &Content) -> Result<(), String> {
    let id = |rowset: &Vec<u8>| (bytes(rowset, ROWSET_ID), number(rowset, 1));
    let versions = |rowset: &Vec<u8>| (number(rowset, START), number(rowset, END));
    let known = old.rowsets(ROWSETS);
    let covered = |rowset: &Vec<u8>| {
        let (start, end) = versions(rowset);
        known
            .iter()
            .any(|other| versions(other).0 <= start && end <= versions(other).1)
    };
    let fresh = own
        .iter()
        .filter(|(key, _)| key.starts_with(b"rst_"))
        .map(|(_, rowset)| rowset.clone());
    let mut wanted: BTreeMap<_, Vec<u8>> = known
        .iter()
        .cloned()
        .chain(fresh.filter(|rowset| !covered(rowset)))
        .map(|rowset| (id(&rowset), rowset))
        .collect();
    let newest = wanted.values().map(|rowset| number(rowset, END)).max();
    for rowset in new.rowsets(ROWSETS) {
        let Some(was) = wanted.remove(&id(&rowset)) else {
            return Err(format!(
                "{}: a rowset that was not there, or stands twice",
                old.id
            ));
        };
        let (created, then) = (number(&rowset, CREATED), number(&was, CREATED));
        let right = without(&rowset, &[CREATED, ROWSET_UID])
            == without(&was, &[CREATED, ROWSET_UID])
            && uid_text(&bytes(&rowset, ROWSET_UID)) == new.uid
            && if Some(number(&was, END)) == newest {
                created > then
            } else {
                created == then
            };
        if !right {
            return Err(format!("{}: a rowset has changed", old.id));
        }
    }
    if wanted.is_empty() {
        Ok(())
    } else {
        Err(format!("{}: {} rowsets are lost", old.id, wanted.len()))
    }
}

/// Every segment that the record names is there, and no file has changed.
fn check_files(tablet: &Tablet, root: &Path, before: &Files) -> Result<(), String> {
    let now = files(&root.join(tablet.directory()));
    for rowset in tablet.rowsets(ROWSETS) {
        let id = match bytes(&rowset, ROWSET_ID) {
            id if id.is_empty() => number(&rowset, 1).to_string(),
            id => String::from_utf8(id).expect("text"),
        };
        for segment in 0..number(&rowset, SEGMENTS) {
            if !now.contains_key(&format!("{id}_{segment}.dat")) {
                return Err(format!("{}: {id}_{segment}.dat is not there", tablet.id));
            }
        }
    }
    match now
        .iter()
        .find(|(name, bytes)| before.get(*name) != Some(bytes))
    {
        Some((name, _)) => Err(format!("{}: {name} has changed", tablet.id)),
        None => Ok(()),
    }
}
