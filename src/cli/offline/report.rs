//! What a check found, for programs and for people. Decides nothing but the words.

use std::fmt::Write;

use crate::cli::table::human_bytes;
use crate::model::{TabletKey, counted, printable};

/// Something found, and where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    /// The tablet concerned, `<tablet_id>_<schema_hash>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tablet: Option<String>,
    pub(super) path: String,
    pub(super) why: String,
}

/// Kinds of findings. The first group is damage, the second is worth knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A metadata record does not parse, has a wrong checksum, or is no record.
    BadRecord,
    /// The record's directory is not there, or is no directory.
    MissingDirectory,
    /// A file of the record is not there.
    MissingFile,
    /// A rowset of the header has no file in the tablet, or lies in remote storage.
    MissingRowset,
    /// A file has another size or other bytes than the record says.
    DamagedFile,
    /// A file or directory cannot be read.
    Unreadable,
    /// Something in a tablet's directory that its record does not list.
    UnlistedEntry,
    /// A tablet's directory that no record names, or anything else below `data/` that is none.
    Unowned,
    /// Two roots hold the tablet in the same generation.
    TwoOwners,

    /// Two roots hold the tablet in different generations: the daemon retires the lower one when it starts.
    OlderCopy,
    /// The header says that Doris has dropped the tablet (`PB_SHUTDOWN`).
    ShutDown,
    /// Staging of something that was cut short: the daemon settles it when it starts.
    Staging,
    /// Set aside by the daemon.
    Quarantined,
    /// An empty directory a tablet has left.
    EmptyDirectory,
    /// A name at the top of the root that is not part of one.
    Stranger,
}

impl Kind {
    /// Whether it makes the check fail.
    pub(super) const fn is_damage(self) -> bool {
        !matches!(
            self,
            Self::OlderCopy
                | Self::ShutDown
                | Self::Staging
                | Self::Quarantined
                | Self::EmptyDirectory
                | Self::Stranger
        )
    }

    const fn words(self) -> &'static str {
        match self {
            Self::BadRecord => "bad record",
            Self::MissingDirectory => "missing directory",
            Self::MissingFile => "missing file",
            Self::MissingRowset => "missing rowset",
            Self::DamagedFile => "damaged file",
            Self::Unreadable => "unreadable",
            Self::UnlistedEntry => "unlisted entry",
            Self::Unowned => "unowned",
            Self::TwoOwners => "two owners",
            Self::OlderCopy => "older copy",
            Self::ShutDown => "shut down",
            Self::Staging => "staging",
            Self::Quarantined => "quarantined",
            Self::EmptyDirectory => "empty directory",
            Self::Stranger => "stranger",
        }
    }
}

/// Findings of one kind shown to people, who look at the disk long before they have read that many.
const SHOWN_PER_ROOT: usize = 100;

impl Finding {
    fn to_line(&self) -> String {
        let mark = if self.kind.is_damage() { '!' } else { '-' };
        let tablet = self.tablet.as_ref().map(|key| format!(" of tablet {key}")).unwrap_or_default();
        let (what, path) = (self.kind.words(), printable(&self.path));
        format!("  {mark} {what}{tablet}: {path}: {}\n", printable(&self.why))
    }

    pub(super) fn new(
        kind: Kind,
        tablet: Option<TabletKey>,
        path: impl AsRef<std::path::Path>,
        why: impl Into<String>,
    ) -> Self {
        let path = path.as_ref().to_string_lossy().into_owned();
        Self { kind, tablet: tablet.map(|key| key.to_string()), path, why: why.into() }
    }
}

/// One root.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct RootReport {
    pub(super) root: String,
    pub(super) uuid: Option<String>,
    /// Why it could not be checked; everything below is then empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unchecked: Option<String>,
    pub(super) tablets: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) trashed_tablets: u64,
    /// Whether every byte is known to have come from below the page cache.
    pub(super) verified_cold: bool,
    pub(super) damage: Vec<Finding>,
    pub(super) notes: Vec<Finding>,
    pub(super) duration_ms: u64,
}

impl RootReport {
    pub(super) fn add(&mut self, finding: Finding) {
        if finding.kind.is_damage() { self.damage.push(finding) } else { self.notes.push(finding) }
    }
}

/// All roots.
#[derive(Debug, serde::Serialize)]
pub(super) struct Report {
    pub(super) tablets: u64,
    pub(super) damaged: usize,
    pub(super) roots: Vec<RootReport>,
}

impl Report {
    pub(super) fn of(roots: Vec<RootReport>) -> Self {
        Self {
            tablets: roots.iter().map(|root| root.tablets).sum(),
            damaged: roots.iter().map(|root| root.damage.len()).sum(),
            roots,
        }
    }

    /// For people: a line per root, then a line per finding.
    pub(super) fn to_text(&self) -> String {
        let mut out = String::new();
        for root in &self.roots {
            let _ = writeln!(out, "{}", root.headline());
            for (findings, what) in [(&root.damage, "damages"), (&root.notes, "notes")] {
                for finding in findings.iter().take(SHOWN_PER_ROOT) {
                    out.push_str(&finding.to_line());
                }
                if findings.len() > SHOWN_PER_ROOT {
                    let more = findings.len() - SHOWN_PER_ROOT;
                    let _ = writeln!(out, "  ... and {more} more {what}; --json lists all");
                }
            }
        }
        out
    }
}

impl RootReport {
    fn headline(&self) -> String {
        if let Some(why) = &self.unchecked {
            return format!("{}: NOT CHECKED: {why}", self.root);
        }
        let verdict = match self.damage.len() {
            0 => "good".to_owned(),
            1 => "1 DAMAGE".to_owned(),
            n => format!("{n} DAMAGES"),
        };
        let how =
            if self.verified_cold { "read from the medium" } else { "read, partly from the page cache" };
        #[allow(clippy::cast_precision_loss)]
        let seconds = self.duration_ms as f64 / 1000.0;
        format!(
            "{}: {verdict}; {}, {}, {} {how} in {seconds:.1} s; {} in trash",
            self.root,
            counted(self.tablets, "tablet"),
            counted(self.files, "file"),
            human_bytes(self.bytes),
            self.trashed_tablets
        )
    }
}
