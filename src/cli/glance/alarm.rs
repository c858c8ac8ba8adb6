//! What is wrong with a node, each thing with the command that helps.

use crate::api::wire::{Disk, NodeStatus};
use crate::model::{counted, counted_as};

/// Of each kind so many are named.
const NAMED_MAX: usize = 3;

/// Something that wants an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alarm {
    pub(super) what: String,
    /// What to type; empty where waiting helps.
    pub(super) command: String,
}

/// All alarms, what is lost or wrong first.
pub(super) fn alarms(status: &NodeStatus, disks: &[Disk]) -> Vec<Alarm> {
    let mut all = Vec::new();
    all.extend(
        status
            .state_dir
            .trouble
            .as_ref()
            .map(|trouble| Alarm { what: trouble.clone(), command: "tabletctl --json status".to_owned() }),
    );
    let named = status.damaged_tablets.iter().take(NAMED_MAX).map(|tablet| Alarm {
        what: format!("tablet {} on {}: {}", tablet.tablet_id, tablet.disk, tablet.damaged),
        command: format!("tabletctl tablet heal {}", tablet.tablet_id),
    });
    all.extend(named);
    all.extend(more(status.damaged_tablets.len(), "damaged tablet", "tabletctl --json status"));
    let named = status.unreadable_tablets.iter().take(NAMED_MAX).map(|tablet| Alarm {
        what: format!("tablet {} on {}: {}", tablet.tablet_id, tablet.disk, tablet.unreadable),
        command: format!("tabletctl tablet heal {}", tablet.tablet_id),
    });
    all.extend(named);
    all.extend(more(status.unreadable_tablets.len(), "unreadable tablet", "tabletctl --json status"));
    let named = status.unavailable_tablets.iter().take(NAMED_MAX).map(|tablet| Alarm {
        what: format!("tablet {} is not served: {}", tablet.tablet_id, tablet.unavailable),
        command: String::new(),
    });
    all.extend(named);
    let unavailable = usize::try_from(status.tablets_unavailable).unwrap_or(usize::MAX);
    all.extend(more(unavailable, "unavailable tablet", "tabletctl --json status"));
    all.extend(disks.iter().filter_map(of_disk));
    for disk in disks.iter().filter(|disk| disk.undone_count > 0) {
        all.push(Alarm {
            what: format!(
                "{} on {}, tried again by itself",
                counted_as(disk.undone_count, "thing is left undone", "things are left undone"),
                disk.path
            ),
            command: format!("tabletctl disk show {}", disk.path),
        });
    }
    all
}

/// Of so many of a kind, those that are not named.
fn more(count: usize, noun: &str, command: &str) -> Option<Alarm> {
    let further = count.checked_sub(NAMED_MAX).filter(|further| *further > 0)?;
    Some(Alarm { what: counted(further, &format!("more {noun}")), command: command.to_owned() })
}

fn of_disk(disk: &Disk) -> Option<Alarm> {
    let path = &disk.path;
    let command = match disk.condition.as_str() {
        "online" => return None,
        "disabled" => format!("tabletctl disk enable {path}"),
        "suspect" | "read-only" => format!("tabletctl disk drain {path} --dry-run"),
        "broken" => format!("tabletctl disk forget {path} --lost --dry-run"),
        _ => format!("tabletctl disk show {path}"),
    };
    let why = if disk.condition_reason.is_empty() { "" } else { ": " };
    Some(Alarm { what: format!("{path} is {}{why}{}", disk.condition, disk.condition_reason), command })
}
