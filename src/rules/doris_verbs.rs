//! What the daemon's verbs do on the roots of a real Doris backend, beside what they do on native ones: one table, in force
//! and in `docs/doris.md`.

use std::fmt::Write;

use crate::model::{ErrorCode, Failure};

/// What a verb does on Doris roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDoris {
    /// What it does on native ones.
    Same,
    Differs(&'static str),
    /// Nothing: this helps instead.
    Refused(&'static str),
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $variant:ident = $name:literal: $on:expr,)*) => {
        /// A verb of the daemon.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum DorisVerb {
            $($(#[$doc])* $variant,)*
        }

        impl DorisVerb {
            /// Every verb, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it does on Doris roots.
            pub const fn on_doris(self) -> OnDoris {
                use OnDoris::{Differs, Refused, Same};
                match self { $(Self::$variant => $on,)* }
            }
        }
    };
}

verbs! {
    /// A tablet goes to another root.
    Move = "move, tablet_migration": Differs("one by one; the tablet gets a new uid, its source goes to .tabletd/retired"),
    /// Tasks.
    Drain = "task drain, move, rebalance": Differs("a drain or a move names its roots and tablets; no options of a rebalance"),
    /// A move is called off.
    Abort = "migration abort, retry, priority": Differs("until its commit"),
    /// A move waits.
    Pause = "migration pause, resume": Differs("while it is queued; one that copies is aborted, or its task paused"),
    /// Gates.
    Steps = "migration step, cutover, force-complete, extend, limit": Refused("a move goes through by itself: mode auto"),
    /// A move is taken back.
    Revert = "migration revert": Differs("moves the tablet back; before a backend starts: tabletctl doris undo"),
    /// A doubt is ended.
    Settle = "migration settle": Refused("let the backend start and stop once; then tabletctl doris resume"),
    /// Looks.
    Look = "tablet list, show, header, calc_crc, tablets_json, segment_lost": Same,
    /// Reads a tablet whole.
    Verify = "tablet verify": Refused("GET /api/calc_crc reads it whole; tabletctl doris confirm compares what was moved"),
    /// No plan moves it.
    Pin = "tablet pin, unpin": Refused("name what moves: tabletctl doris move --tablet ID"),
    /// A tablet from elsewhere.
    Import = "import": Refused("a backend makes its tablets itself"),
    /// A directory becomes a tablet.
    Adopt = "tablet adopt, set-aside, unrecorded": Refused("tabletctl doris inspect shows what no record names"),
    /// A tablet is mended.
    Heal = "tablet heal": Refused("let Doris repair it from another replica"),
    /// What a bad disk still gives.
    Salvage = "tablet salvage": Refused("tabletctl doris rescue moves what is whole off a damaged root"),
    /// Out of trash.
    Restore = "restore_tablet, trash restore": Refused("move the tablet back, or take the run back: tabletctl doris undo"),
    /// A directory is loaded.
    Reload = "reload_tablet": Refused("a backend loads its tablets at its start"),
    /// What was retired goes.
    Purge = "trash purge": Refused("tabletctl doris confirm, then tabletctl doris purge, once the backend has run"),
    /// What start-up set aside.
    Quarantine = "quarantine list, show, restore, purge": Refused("nothing is ever put into quarantine on a Doris root"),
    /// Disks come and go.
    Disks = "disk add, forget, replace": Refused("the roots are those of be.conf, all of them"),
    /// Disks in and out of service.
    Service = "disk disable, enable, limit": Refused("leave a root out with --without ROOT"),
    /// A key outlives the process.
    Keep = "config set --persist": Refused("be_custom.conf is the backend's; write the key into be.conf"),
}

/// The refusal of a verb that does not apply.
pub fn refused_on_doris(verb: DorisVerb) -> Failure {
    let way_out = match verb.on_doris() {
        OnDoris::Refused(way_out) => way_out,
        OnDoris::Same | OnDoris::Differs(_) => "this form of it does not apply",
    };
    let text = format!("not on the roots of a Doris backend ({}): {way_out}", verb.as_str());
    Failure::new(ErrorCode::PreconditionFailed, text)
}

/// The whole table as Markdown, for the documentation.
pub fn doris_verb_table() -> String {
    let mut table = String::from("| verb | on Doris roots |\n|---|---|\n");
    for verb in DorisVerb::ALL {
        let text = match verb.on_doris() {
            OnDoris::Same => "as on native roots".to_owned(),
            OnDoris::Differs(how) => how.to_owned(),
            OnDoris::Refused(way_out) => format!("**refused**: {way_out}"),
        };
        writeln!(table, "| {} | {text} |", verb.as_str()).expect("writing to a String does not fail");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_verb_and_the_way_out() {
        for verb in DorisVerb::ALL {
            let text = refused_on_doris(*verb).message;
            assert!(text.contains(verb.as_str()), "{text}");
        }
        assert!(refused_on_doris(DorisVerb::Heal).message.contains("another replica"));
    }

    #[test]
    fn the_documents_have_the_table_in_force() {
        let text = include_str!("../../docs/doris.md");
        let table = doris_verb_table();
        assert!(text.contains(&table), "docs/doris.md must contain this table:\n{table}");
    }
}
