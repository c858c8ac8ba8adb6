//! Disks as people name them: by path, or by a part of it that no other disk has.

use std::convert::Infallible;
use std::str::FromStr;

use super::client::Client;
use super::exit::{CliError, Exit};
use crate::model::{printable, quoted};

/// A disk as the command line names it. What it means is known once the daemon was asked: `Client::path_of`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskName(String);

impl FromStr for DiskName {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl Client {
    /// The path of the disk that is meant. One that begins with a slash is the daemon's to judge, and asks nothing.
    ///
    /// # Errors
    /// [`Exit::Refused`] when no disk, or more than one, is called so; and what the question for the disks meets.
    pub(super) fn path_of(&self, disk: &DiskName) -> Result<String, CliError> {
        if disk.0.starts_with('/') {
            return Ok(disk.0.clone());
        }
        let paths: Vec<_> = self.disks()?.value.data.into_iter().map(|disk| disk.path).collect();
        meant(&disk.0, &paths).map(str::to_owned).map_err(|why| CliError::new(Exit::Refused, why))
    }

    /// The same of a disk that may be left out.
    pub(super) fn path_if_any(&self, disk: Option<&DiskName>) -> Result<Option<String>, CliError> {
        disk.map(|disk| self.path_of(disk)).transpose()
    }

    /// The same of several.
    pub(super) fn paths_of(&self, disks: &[DiskName]) -> Result<Vec<String>, CliError> {
        disks.iter().map(|disk| self.path_of(disk)).collect()
    }
}

/// The one of `paths` that `name` means: which ends with it, or else has it inside, by whole components.
fn meant<'a>(name: &str, paths: &'a [String]) -> Result<&'a str, String> {
    let wanted: Vec<_> = components(name).collect();
    let ends_so = |path: &&String| components(path).collect::<Vec<_>>().ends_with(&wanted);
    let has_it = |path: &&String| {
        let all: Vec<_> = components(path).collect();
        all.windows(wanted.len().max(1)).any(|run| run == wanted)
    };
    let mut called: Vec<_> = paths.iter().filter(ends_so).collect();
    if called.is_empty() {
        called = paths.iter().filter(has_it).collect();
    }
    let list = |paths: &[&String]| paths.iter().map(|path| printable(path)).collect::<Vec<_>>().join(", ");
    match (called.as_slice(), wanted.is_empty()) {
        (_, true) => Err(format!("{} names no disk", quoted(name))),
        ([one], _) => Ok(one),
        ([], _) => Err(format!(
            "no disk is called {}; the disks of this node: {}",
            quoted(name),
            list(&paths.iter().collect::<Vec<_>>())
        )),
        (several, _) => Err(format!("{} may be {}: write more of its path", quoted(name), list(several))),
    }
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

/// The shortest name of each path that means it and nothing else.
pub(super) fn short_names(paths: &[String]) -> Vec<String> {
    let shortest = |path: &String| {
        let all: Vec<_> = components(path).collect();
        (1..=all.len())
            .map(|count| all[all.len() - count..].join("/"))
            .find(|name| meant(name, paths).is_ok_and(|found| found == path))
    };
    paths.iter().filter_map(shortest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(list: &[&str]) -> Vec<String> {
        list.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn a_name_means_the_one_disk_that_has_it() {
        let plain = paths(&["/mnt/disk1", "/mnt/disk10", "/mnt/b/disk2", "/mnt/c/disk2"]);
        let below = paths(&["/data1/doris", "/data2/doris", "/data2/doris/inner"]);
        for (name, of, means) in [
            ("disk1", &plain, Some("/mnt/disk1")),
            ("disk1/", &plain, Some("/mnt/disk1")),
            ("mnt/disk10", &plain, Some("/mnt/disk10")),
            ("disk", &plain, None),
            ("disk2", &plain, None),
            ("b/disk2", &plain, Some("/mnt/b/disk2")),
            ("mnt", &plain, None),
            ("", &plain, None),
            ("data1", &below, Some("/data1/doris")),
            ("data2", &below, None),
            ("data2/doris", &below, Some("/data2/doris")),
            ("inner", &below, Some("/data2/doris/inner")),
        ] {
            assert_eq!(meant(name, of).ok(), means, "{name}");
        }
    }

    #[test]
    fn a_refusal_names_what_could_be_meant() {
        let of = paths(&["/a/disk1", "/b/disk1", "/b/disk\n2"]);
        let refused = meant("disk1", &of).unwrap_err();
        assert!(refused.contains("/a/disk1, /b/disk1: write more"), "{refused}");
        let refused = meant("disk9", &of).unwrap_err();
        assert!(refused.contains("/a/disk1, /b/disk1, /b/disk\\n2"), "{refused}");
    }

    #[test]
    fn short_names_are_the_shortest_that_mean_one_disk() {
        let of = paths(&["/a/disk1", "/b/disk1", "/b/disk2", "/disk3"]);
        assert_eq!(short_names(&of), ["a/disk1", "b/disk1", "disk2", "disk3"]);
    }
}
