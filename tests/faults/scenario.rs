//! A scenario: a named function that tries faults and counts them, and what it needs of the machine.

use std::io;
use std::path::Path;
use std::process::Command;

use crate::mounts::FsKind;
use crate::rng::Rng;
use crate::sandbox::{self, Scratch};
use crate::scoreboard::{Loss, Scoreboard};

/// A violation often comes in hundreds: what the first ones leave is kept, the others are counted.
const KEPT_PER_KIND: usize = 3;

/// How much to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scale {
    /// Minutes: on each change.
    Short,
    /// Hours: every position, every model.
    Long,
}

/// What a scenario needs of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// To mount.
    Root,
    /// To serve fault disks.
    Fuse,
    /// To fault system calls. Wants no root.
    Strace,
    /// A daemon that can be killed at named points and can leave rules out.
    FaultInjection,
    /// A file system in the kernel and its mkfs.
    Fs(FsKind),
}

impl Need {
    /// What is missing, in words, or nothing.
    pub(crate) fn missing(self) -> Option<String> {
        match self {
            Self::Root => (!sandbox::is_root()).then(|| "needs root".to_owned()),
            Self::Fuse => (!Path::new("/dev/fuse").exists()).then(|| "needs /dev/fuse".to_owned()),
            Self::Strace => {
                let found = Command::new("strace").arg("-V").output().is_ok();
                (!found).then(|| "needs strace".to_owned())
            }
            Self::FaultInjection => {
                (!cfg!(feature = "fault-injection")).then(|| "needs --features fault-injection".to_owned())
            }
            Self::Fs(kind) => kind.missing(),
        }
    }
}

#[derive(Clone, Copy)]
/// One scenario. An error it returns means that the harness failed, not that the promise was broken.
pub(crate) struct Scenario {
    /// A sentence, also the kind under which the scoreboard shows what did not run.
    pub(crate) name: &'static str,
    /// All of these must be there.
    pub(crate) needs: &'static [Need],
    /// Tries faults.
    pub(crate) run: fn(&mut Bench<'_>) -> io::Result<()>,
}

/// What a scenario works with.
pub(crate) struct Bench<'run> {
    /// Its name on the scoreboard.
    pub(crate) name: &'static str,
    /// A directory of its own.
    pub(crate) scratch: Scratch,
    /// How much to try.
    pub(crate) scale: Scale,
    /// The seed of the run.
    pub(crate) seed: u64,
    /// Where it counts.
    pub(crate) board: &'run mut Scoreboard,
}

impl Bench<'_> {
    /// The stream of choices of this scenario: independent of the others that run.
    pub(crate) fn rng(&self) -> Rng {
        Rng::named(self.seed, self.name)
    }

    /// Counts one trial of this scenario's kind. `found` says what was broken, if anything was; `keep` puts what is
    /// needed to see it again into a directory that outlives the run.
    pub(crate) fn count(
        &mut self,
        found: Result<(), String>,
        keep: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        self.count_as(self.name, found, keep)
    }

    /// Counts one trial for which a sentence is evidence enough.
    pub(crate) fn expect(&mut self, holds: bool, otherwise: &str) -> io::Result<()> {
        self.count(if holds { Ok(()) } else { Err(otherwise.to_owned()) }, |_| Ok(()))
    }

    /// [`Bench::count`] under another name: a scenario may try several kinds.
    pub(crate) fn count_as(
        &mut self,
        kind: &str,
        found: Result<(), String>,
        keep: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        match found {
            Ok(()) => self.board.held(kind),
            Err(what) => {
                let repeat =
                    format!("cargo test --test faults -- --only '{}' --seed {}", self.name, self.seed);
                let kept = (self.board.losses(kind) < KEPT_PER_KIND).then(|| sandbox::keep_directory(kind));
                let kept = kept.transpose()?;
                let saved = kept.as_deref().map_or(Ok(()), |dir| {
                    std::fs::write(dir.join("what.txt"), format!("{what}\n{repeat}\n"))?;
                    keep(dir)
                });
                self.board.lost(kind, Loss { what, repeat, kept });
                saved?;
            }
        }
        Ok(())
    }
}
