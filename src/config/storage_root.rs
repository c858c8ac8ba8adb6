//! The grammar of `storage_root_path`, as Doris reads it (`be/src/olap/options.cpp`).
//!
//! ```text
//! list  = entry *( ";" entry ) [ ";" ]
//! entry = path *( "," item )
//! item  = capacity_gb | "capacity:" N | "medium:" ( ssd | hdd | remote_cache )
//! ```
//!
//! Pure: whether a path exists, and what it resolves to, is asked of a function. Opens nothing, and does not decide
//! what a missing disk means.

use std::collections::BTreeSet;

use super::blanks::trim;
use super::slips;
use super::value::BrokenDisks;
use crate::model::Medium;

/// One entry, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageRootSpec {
    /// The path as it was written, without trailing `/`. Never resolved: clients name a disk by this text.
    pub path: String,
    /// By item, else by the extension of the resolved path, else HDD.
    pub medium: Medium,
    /// As written (GiB there). Kept for show: Doris reads it and then uses the file system's size.
    pub capacity_bytes: Option<u64>,
}

/// An entry that names no usable root now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenEntry {
    /// The entry as written.
    pub entry: String,
    pub reason: String,
    /// What it says, when only the path is missing; none when the entry itself is not understood.
    pub spec: Option<StorageRootSpec>,
}

/// The whole list. An entry is in exactly one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StorageRoots {
    /// Entries whose path is there, in the order written.
    pub roots: Vec<StorageRootSpec>,
    /// The others. A path that is not there is no error of the file: with `ignore_broken_disk` the daemon starts
    /// without it, else it does not start, and that is for the engine to say.
    pub broken: Vec<BrokenEntry>,
}

/// Why an entry is refused, in Doris's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The path is empty or does not begin with `/`.
    #[error("invalid store path. path={0}")]
    Path(String),
    /// An item has a name that is neither `capacity` nor `medium`.
    #[error("invalid property of store path, {0}")]
    Property(String),
    /// The capacity is no whole number of GiB from 0.
    #[error("invalid capacity of store path, capacity={0}")]
    Capacity(String),
    /// The medium, or the extension of the path, is none of the three.
    #[error("invalid storage medium. medium={0}")]
    Medium(String),
    /// Another entry has the same path.
    #[error("a duplicated path is found, path={0}")]
    Duplicate(String),
}

/// A refused entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidEntry {
    /// The entry as written.
    pub entry: String,
    pub error: EntryError,
}

const GIB: u64 = 1 << 30;

/// Reads a `storage_root_path`. `canonical` resolves a path (`realpath`), or says none when it cannot. An empty list
/// is a list of no roots.
///
/// # Errors
/// Every bad entry, unless bad ones are to be left out; a duplicate always.
pub fn parse_storage_root_path(
    text: &str,
    broken_disks: BrokenDisks,
    canonical: &dyn Fn(&str) -> Option<String>,
) -> Result<StorageRoots, Vec<InvalidEntry>> {
    let mut list = StorageRoots::default();
    let mut invalid = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in pieces(text, ';') {
        let entry_text = || trim(entry).to_owned();
        match parse_entry(entry, canonical) {
            // Compared as written, as Doris does: two names of one directory are found when the roots are opened.
            Ok((spec, _)) if !seen.insert(spec.path.clone()) => {
                invalid.push(InvalidEntry { entry: entry_text(), error: EntryError::Duplicate(spec.path) });
            }
            Ok((spec, Presence::Found)) => list.roots.push(spec),
            Ok((spec, Presence::Missing)) => list.broken.push(BrokenEntry {
                entry: entry_text(),
                reason: not_there(&spec.path),
                spec: Some(spec),
            }),
            Err(error) if broken_disks == BrokenDisks::LeaveOut => {
                list.broken.push(BrokenEntry { entry: entry_text(), reason: error.to_string(), spec: None });
            }
            Err(error) => invalid.push(InvalidEntry { entry: entry_text(), error }),
        }
    }
    if invalid.is_empty() { Ok(list) } else { Err(invalid) }
}

/// Reads a `broken_storage_path`: `p1;p2;`.
pub fn parse_broken_storage_path(text: &str) -> Vec<String> {
    pieces(text, ';').map(|path| trim(path).to_owned()).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Found,
    Missing,
}

fn not_there(path: &str) -> String {
    let what = "the path does not exist or cannot be resolved";
    slips::in_root_path(path).map_or_else(|| what.to_owned(), |slip| format!("{what}; {slip}"))
}

fn parse_entry(
    entry: &str,
    canonical: &dyn Fn(&str) -> Option<String>,
) -> Result<(StorageRootSpec, Presence), EntryError> {
    let mut items = pieces(entry, ',');
    let path = trim(items.next().unwrap_or_default()).trim_end_matches('/');
    if !path.starts_with('/') {
        return Err(EntryError::Path(path.to_owned()));
    }
    let resolved = canonical(path);
    // What a missing path would resolve to is unknown, so an odd extension of the written one refuses nothing.
    let mut medium = match &resolved {
        Some(resolved) => extension(resolved).to_owned(),
        None => Some(extension(path)).filter(|name| name.parse::<Medium>().is_ok()).unwrap_or("").to_owned(),
    };
    let mut capacity = "";
    for item in items {
        let (name, value) = match item.split_once(':') {
            Some((name, value)) if !value.is_empty() => (trim(name), trim(value)),
            _ => ("capacity", trim(item)),
        };
        if name.eq_ignore_ascii_case("capacity") {
            capacity = value;
        } else if name.eq_ignore_ascii_case("medium") {
            value.clone_into(&mut medium);
        } else {
            return Err(EntryError::Property(item.to_owned()));
        }
    }
    let spec = StorageRootSpec {
        path: path.to_owned(),
        capacity_bytes: parse_capacity(capacity)?,
        medium: if medium.is_empty() {
            Medium::Hdd
        } else {
            medium.parse().map_err(|()| EntryError::Medium(medium.to_ascii_uppercase()))?
        },
    };
    Ok((spec, if resolved.is_some() { Presence::Found } else { Presence::Missing }))
}

fn parse_capacity(text: &str) -> Result<Option<u64>, EntryError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse::<i64>()
        .ok()
        .and_then(|gib| u64::try_from(gib).ok())
        .and_then(|gib| gib.checked_mul(GIB))
        // Doris keeps a signed number and lets it overflow.
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .map(Some)
        .ok_or_else(|| EntryError::Capacity(text.to_owned()))
}

/// The part of the last name after its last dot; empty without one. `.ssd` is all extension, as in Doris.
fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    if matches!(name, "." | "..") {
        return "";
    }
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// The pieces between separators that hold more than blanks.
fn pieces(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separator).filter(|piece| !trim(piece).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything_exists(path: &str) -> Option<String> {
        Some(path.to_owned())
    }

    fn read(text: &str) -> Result<StorageRoots, Vec<InvalidEntry>> {
        parse_storage_root_path(text, BrokenDisks::RefuseStart, &everything_exists)
    }

    fn refusals(text: &str) -> Vec<String> {
        read(text).unwrap_err().into_iter().map(|invalid| invalid.error.to_string()).collect()
    }

    #[test]
    fn entries_mean_what_they_mean_in_doris() {
        let gib = |n: u64| Some(n * GIB);
        for (text, path, medium, capacity) in [
            ("/home/disk1/palo.HDD,50", "/home/disk1/palo.HDD", Medium::Hdd, gib(50)),
            ("/home/disk1/palo,medium:ssd,capacity:50", "/home/disk1/palo", Medium::Ssd, gib(50)),
            ("/p , medium: ssd, 60", "/p", Medium::Ssd, gib(60)),
            ("/p, medium: ssd, 60, medium: hdd, capacity: 10", "/p", Medium::Hdd, gib(10)),
            ("/p.ssd, medium: hdd, 60, capacity: 10", "/p.ssd", Medium::Hdd, gib(10)),
            ("/p", "/p", Medium::Hdd, None),
            ("/p.ssd", "/p.ssd", Medium::Ssd, None),
            ("/p.SSD", "/p.SSD", Medium::Ssd, None),
            ("/p.ssd/", "/p.ssd", Medium::Ssd, None),
            ("/p.ssd/doris", "/p.ssd/doris", Medium::Hdd, None),
            ("/p.", "/p.", Medium::Hdd, None),
            ("/p///", "/p", Medium::Hdd, None),
            ("/p/../q", "/p/../q", Medium::Hdd, None),
            ("/p,MEDIUM:SSD", "/p", Medium::Ssd, None),
            ("/p,medium:remote_cache,capacity:50", "/p", Medium::RemoteCache, gib(50)),
            ("/p,CAPACITY : 7", "/p", Medium::Hdd, gib(7)),
            ("/p,0", "/p", Medium::Hdd, Some(0)),
            ("/p,+3", "/p", Medium::Hdd, gib(3)),
            ("/p,,50", "/p", Medium::Hdd, gib(50)),
            ("/p.ssd,medium: ,1", "/p.ssd", Medium::Hdd, gib(1)),
            ("/p,capacity: ,medium:ssd", "/p", Medium::Ssd, None),
            ("/data/doris.v2,medium:hdd", "/data/doris.v2", Medium::Hdd, None),
            ("/with blank ,5", "/with blank", Medium::Hdd, gib(5)),
        ] {
            let spec = StorageRootSpec { path: path.into(), medium, capacity_bytes: capacity };
            assert_eq!(read(text), Ok(StorageRoots { roots: vec![spec], broken: vec![] }), "{text:?}");
        }
    }

    #[test]
    fn refusals_use_the_words_of_doris() {
        for (text, words) in [
            ("p", "invalid store path. path=p"),
            ("/", "invalid store path. path="),
            (",", "invalid store path. path="),
            (",50", "invalid store path. path=50"),
            ("\"/p\"", "invalid store path. path=\"/p\""),
            ("/p,foo:1", "invalid property of store path, foo:1"),
            ("/p, mdium: ssd", "invalid property of store path,  mdium: ssd"),
            ("/p,ssd", "invalid capacity of store path, capacity=ssd"),
            ("/p,-1", "invalid capacity of store path, capacity=-1"),
            ("/p,1.5", "invalid capacity of store path, capacity=1.5"),
            ("/p,50GB", "invalid capacity of store path, capacity=50GB"),
            ("/p,capacity:", "invalid capacity of store path, capacity=capacity:"),
            ("/p,9999999999999", "invalid capacity of store path, capacity=9999999999999"),
            ("/p,medium:nvme", "invalid storage medium. medium=NVME"),
            ("/data/doris.v2", "invalid storage medium. medium=V2"),
            ("/data/.hidden", "invalid storage medium. medium=HIDDEN"),
            ("/p;/p", "a duplicated path is found, path=/p"),
            ("/p/;/p,medium:ssd", "a duplicated path is found, path=/p"),
        ] {
            assert_eq!(refusals(text), [words], "{text:?}");
        }
    }

    #[test]
    fn lists_may_end_in_a_semicolon_and_may_be_empty() {
        let roots = |text| read(text).unwrap().roots.into_iter().map(|spec| spec.path).collect::<Vec<_>>();
        assert_eq!(roots("/p;/p2.ssd;"), ["/p", "/p2.ssd"]);
        assert_eq!(roots(" /p ; ; /q ;"), ["/p", "/q"]);
        assert_eq!(roots(""), Vec::<String>::new());
        assert_eq!(roots(" ; "), Vec::<String>::new());
    }

    #[test]
    fn every_bad_entry_is_reported() {
        assert_eq!(
            refusals("/a,1x;b;/c;/c/"),
            [
                "invalid capacity of store path, capacity=1x",
                "invalid store path. path=b",
                "a duplicated path is found, path=/c"
            ]
        );
    }

    #[test]
    fn bad_entries_may_be_left_out_but_a_duplicate_never() {
        let leave_out = |text| parse_storage_root_path(text, BrokenDisks::LeaveOut, &everything_exists);
        let list = leave_out("/a;/b,foo:1;/c").unwrap();
        assert_eq!(list.roots.iter().map(|spec| spec.path.as_str()).collect::<Vec<_>>(), ["/a", "/c"]);
        assert_eq!(
            list.broken,
            [BrokenEntry {
                entry: "/b,foo:1".into(),
                reason: "invalid property of store path, foo:1".into(),
                spec: None
            }]
        );
        let duplicate = InvalidEntry { entry: "/a".into(), error: EntryError::Duplicate("/a".into()) };
        assert_eq!(leave_out("/a;/b,foo:1;/a"), Err(vec![duplicate]));
    }

    #[test]
    fn a_missing_path_is_a_broken_entry_that_keeps_what_it_says() {
        let nothing_exists = |_: &str| None;
        for (text, medium) in
            [("/p.ssd", Medium::Ssd), ("/p.v2", Medium::Hdd), ("/p.v2,medium:ssd", Medium::Ssd)]
        {
            let list = parse_storage_root_path(text, BrokenDisks::RefuseStart, &nothing_exists).unwrap();
            assert_eq!(list.roots, []);
            assert_eq!(list.broken[0].spec.as_ref().map(|spec| spec.medium), Some(medium), "{text:?}");
        }
        assert!(parse_storage_root_path("/p;/p", BrokenDisks::LeaveOut, &nothing_exists).is_err());
    }

    #[test]
    fn the_extension_is_that_of_the_resolved_path_and_the_kept_path_the_written_one() {
        let link = |path: &str| Some(path.replace("/link", "/mnt/disk.ssd"));
        let list = parse_storage_root_path("/link/", BrokenDisks::RefuseStart, &link).unwrap();
        assert_eq!(
            list.roots,
            [StorageRootSpec { path: "/link".into(), medium: Medium::Ssd, capacity_bytes: None }]
        );
    }

    #[test]
    fn broken_paths_are_split_at_semicolons() {
        assert_eq!(parse_broken_storage_path("/a;/b;"), ["/a", "/b"]);
        assert_eq!(parse_broken_storage_path(" /a ; "), ["/a"]);
        assert_eq!(parse_broken_storage_path(""), Vec::<String>::new());
    }
}
