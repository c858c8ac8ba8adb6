//! What is known of one disk (a configured storage root).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::quoted;

/// Storage medium of a root. The spelling is that of `storage_root_path`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", try_from = "String")]
pub enum Medium {
    /// Rotating disk; Doris's default.
    Hdd,
    /// Solid-state disk.
    Ssd,
    /// A cache of remote data; accepted by the grammar, never a migration's destination by medium.
    RemoteCache,
}

impl Medium {
    /// Upper-case name, as Doris prints it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hdd => "HDD",
            Self::Ssd => "SSD",
            Self::RemoteCache => "REMOTE_CACHE",
        }
    }
}

impl FromStr for Medium {
    type Err = ();
    /// Case-insensitive, as `storage_root_path` is.
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Hdd, Self::Ssd, Self::RemoteCache]
            .into_iter()
            .find(|medium| medium.as_str().eq_ignore_ascii_case(text))
            .ok_or(())
    }
}

/// As requests and records have it, in any case.
impl TryFrom<String> for Medium {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let refused = |()| format!("{} is no medium; accepted: SSD, HDD, REMOTE_CACHE", quoted(&text));
        text.parse().map_err(refused)
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A limit of what is copied from and to a disk, for people: `None` is what holds for all disks, 0 is none.
pub fn limit_in_words(rate_bytes_per_sec: Option<u64>) -> String {
    match rate_bytes_per_sec {
        None => "the limit of all disks".to_owned(),
        Some(0) => "no limit".to_owned(),
        Some(rate) => format!("{rate} bytes per second at most"),
    }
}

/// Identity of a storage root, drawn once and kept in its `disk.json`. It moves with the disk; the path does not.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct DiskUuid(pub uuid::Uuid);

impl fmt::Display for DiskUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Space on the file system of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Capacity {
    /// Size of the file system.
    pub total_bytes: u64,
    /// Bytes an unprivileged writer may still use (`f_bavail`).
    pub avail_bytes: u64,
    /// Files, directories and the like it was made for; 0 where it counts none, as btrfs.
    #[serde(default)]
    pub total_inodes: u64,
    /// Of these, how many an unprivileged writer may still make (`f_favail`).
    #[serde(default)]
    pub avail_inodes: u64,
}

impl Capacity {
    /// Bytes in use, reserved blocks included.
    pub const fn used_bytes(self) -> u64 {
        self.total_bytes.saturating_sub(self.avail_bytes)
    }

    /// Inodes left, where they are counted.
    pub const fn inodes_left(self) -> Option<u64> {
        if self.total_inodes == 0 { None } else { Some(self.avail_inodes) }
    }
}

/// An amount of space: what a tablet needs on a disk, or what was promised of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Space {
    /// Bytes of files.
    pub bytes: u64,
    /// Files and directories.
    pub inodes: u64,
}

impl Space {
    /// Inodes that a tablet takes beside those of its files, at most: its staging directory with owner record, files and
    /// metadata record, a new version of that record, and the two directories above its place.
    pub const BESIDE_FILES_INODES: u64 = 7;

    /// Bytes alone.
    pub const fn of_bytes(bytes: u64) -> Self {
        Self { bytes, inodes: 0 }
    }

    /// What a tablet of that many files needs where it is copied to.
    pub const fn of_tablet(bytes: u64, files: u64) -> Self {
        Self { bytes, inodes: files.saturating_add(Self::BESIDE_FILES_INODES) }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            inodes: self.inodes.saturating_add(other.inodes),
        }
    }

    /// What is left without the other; none of what the other has more of.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            inodes: self.inodes.saturating_sub(other.inodes),
        }
    }

    /// Whether there is as much of both in the other.
    pub const fn is_within(self, other: Self) -> bool {
        self.bytes <= other.bytes && self.inodes <= other.inodes
    }
}

/// What may be done with a disk now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DiskCondition {
    /// Readable and writable.
    Online,
    /// A write-back or a read-back failed: nothing new is copied to it until an operator enables it again.
    Suspect {
        /// What was seen, in words.
        reason: String,
    },
    /// Its file system is mounted read-only, as ext4 does by itself on errors: served and moved from, never written to.
    ReadOnly {
        /// Since when, and what it waits for, in words.
        reason: String,
    },
    /// A call has not returned for longer than `disk_hang_timeout_sec`: no new work is sent to it.
    Hung {
        /// The call and the path it was made on.
        operation: String,
    },
    /// Not served: missing, locked by another daemon, unreadable, of another identity, ...
    Broken {
        /// What was seen, in words.
        reason: String,
    },
    /// Taken out of service by an operator.
    Disabled {
        /// By whom, and why where that was said.
        reason: String,
    },
    /// It joins, or is being forgotten, at this moment: nothing new is copied to it, and nobody has to enable it.
    InTransit {
        /// Which of the two, in words.
        reason: &'static str,
    },
}

impl DiskCondition {
    /// Every word of [`DiskCondition::as_str`].
    pub const WORDS: [&'static str; 6] = ["online", "suspect", "read-only", "hung", "broken", "disabled"];

    /// One lower-case word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Suspect { .. } => "suspect",
            Self::ReadOnly { .. } => "read-only",
            Self::Hung { .. } => "hung",
            Self::Broken { .. } => "broken",
            Self::Disabled { .. } | Self::InTransit { .. } => "disabled",
        }
    }

    /// Whether tablets on it can be read: a suspect disk still serves what it has.
    pub const fn is_readable(&self) -> bool {
        !matches!(self, Self::Hung { .. } | Self::Broken { .. })
    }

    /// Whether new copies may be sent to it.
    pub const fn is_writable(&self) -> bool {
        matches!(self, Self::Online)
    }

    /// Why it is not simply online; empty when it is.
    pub fn reason(&self) -> &str {
        match self {
            Self::Online => "",
            Self::Suspect { reason }
            | Self::ReadOnly { reason }
            | Self::Broken { reason }
            | Self::Disabled { reason } => reason,
            Self::InTransit { reason } => reason,
            Self::Hung { operation } => operation,
        }
    }

    /// What a refusal says of the disk at this path: its condition, why, and the verb that ends it where there is one.
    pub fn refusal(&self, path: &str) -> String {
        let is = format!("{path} is {}: {}", self.as_str(), self.reason());
        match self {
            Self::Disabled { .. } => format!("{is}; tabletctl disk enable {path} lets copies go there again"),
            Self::Suspect { .. } => {
                format!("{is}; after a look at it, tabletctl disk enable {path} lets copies go there again")
            }
            _ => is,
        }
    }
}

/// Position of a disk in the configured list: the short name of a disk within one run of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskIndex(pub u16);

/// Where the limit on bytes left comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftBytesFrom {
    /// Somebody wrote it, be it the default's number: kept to the letter.
    Setting,
    /// Nobody wrote it: at most the share that the percentage leaves free.
    Default,
}

/// The limit on bytes left (`storage_flood_stage_left_capacity_bytes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftBytes {
    pub bytes: u64,
    pub from: LeftBytesFrom,
}

/// How the two limits of a full disk are combined (`migration_capacity_rule`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapacityRule {
    /// Refuse when either limit is passed.
    Or,
    /// Refuse when both are, as Doris.
    And,
}

impl CapacityRule {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
        }
    }
}
