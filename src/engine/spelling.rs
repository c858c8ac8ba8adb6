//! A path with a slash at its end names the same directory, and `storage_root_path` loses it too. Every request is spelled
//! as the configuration is before it goes on, so that no room compares one path in two spellings.

use super::lost::GiveUp;
use super::view::operations::{
    Adopt, Heal, PurgeQuarantine, QuarantineFilter, Restore, RestoreQuarantined, SalvageTo, VerifyMany,
};
use super::view::trash::{PurgeSelect, TrashFilter};
use super::view::{
    Destination, MigrationFilter, NewTask, Submit, TabletFilter, TargetFilter, TaskFilter, UnrecordedFilter,
};
use crate::model::{MoveTarget, TaskRequest};

/// The path as the configuration would have it.
pub(super) fn as_configured(path: &str) -> &str {
    match path.trim_end_matches('/') {
        // The root directory, or nothing.
        "" => path,
        path => path,
    }
}

/// The same of several.
pub(super) fn spelled(paths: &[String]) -> Vec<String> {
    paths.iter().map(|path| as_configured(path).to_owned()).collect()
}

/// What is asked, and which paths of disks are in it.
pub(super) trait NamesDisks: Clone {
    fn paths(&mut self) -> Vec<&mut String>;

    /// The same with every path as the configuration would have it.
    fn spelled(&self) -> Self {
        let mut spelled = self.clone();
        for path in spelled.paths() {
            path.truncate(as_configured(path).len());
        }
        spelled
    }
}

/// `Type: field, field;` for fields that are a path, or may be one.
macro_rules! names_disks {
    ($($request:ty: $($field:ident),+;)*) => {$(
        impl NamesDisks for $request {
            fn paths(&mut self) -> Vec<&mut String> {
                let mut paths = Vec::new();
                $(paths.extend(&mut self.$field);)+
                paths
            }
        }
    )*};
}

names_disks! {
    MigrationFilter: disk, source, destination;
    TabletFilter: disk;
    TaskFilter: disk;
    TargetFilter: disk;
    TrashFilter: disk;
    UnrecordedFilter: disk;
    QuarantineFilter: disk;
    PurgeSelect: disk;
    PurgeQuarantine: disk;
    VerifyMany: disk;
    Heal: to;
    Restore: to;
    Adopt: to;
}

impl NamesDisks for Submit {
    fn paths(&mut self) -> Vec<&mut String> {
        let destination = match &mut self.destination {
            Destination::Disk(path) => Some(path),
            Destination::Medium(_) => None,
        };
        destination.into_iter().chain(&mut self.precondition.source_disk).collect()
    }
}

impl NamesDisks for NewTask {
    fn paths(&mut self) -> Vec<&mut String> {
        match &mut self.request {
            TaskRequest::Drain { disks, .. } => disks.iter_mut().collect(),
            TaskRequest::Move { select, to: MoveTarget::Disks(disks) } => {
                select.disks.iter_mut().chain(disks).collect()
            }
            TaskRequest::Move { select, to: MoveTarget::Medium(_) } => select.disks.iter_mut().collect(),
            TaskRequest::Rebalance { .. } => Vec::new(),
        }
    }
}

impl NamesDisks for GiveUp {
    fn paths(&mut self) -> Vec<&mut String> {
        vec![&mut self.path]
    }
}

impl NamesDisks for SalvageTo {
    fn paths(&mut self) -> Vec<&mut String> {
        vec![&mut self.to]
    }
}

impl NamesDisks for RestoreQuarantined {
    fn paths(&mut self) -> Vec<&mut String> {
        std::iter::once(&mut self.disk).chain(&mut self.to).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TabletKey;

    #[test]
    fn slashes_at_the_end_go_and_nothing_else_does() {
        for (path, configured) in [("/d1", "/d1"), ("/d1//", "/d1"), ("/", "/"), ("", ""), ("d/1/", "d/1")] {
            assert_eq!(as_configured(path), configured);
        }
    }

    #[test]
    fn every_disk_that_a_request_names_is_spelled_as_configured() {
        let mut submit = Submit::new(TabletKey::new(1, 2), "/d1/".to_owned());
        submit.precondition.source_disk = Some("/d2/".to_owned());
        let Submit { destination, precondition, .. } = submit.spelled();
        assert_eq!(destination.to_string(), "\"/d1\"");
        assert_eq!(precondition.source_disk.as_deref(), Some("/d2"));
        let filter = MigrationFilter { source: Some("/d1/".to_owned()), ..MigrationFilter::default() };
        assert_eq!(filter.spelled().source.as_deref(), Some("/d1"));
    }
}
