//! Looks at what a configuration without problems names: roots, state_dir, TLS files, the audit log. Opens nothing for
//! writing and makes nothing, so that it can be asked beside a running daemon.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, Uid, User, access, geteuid};

use super::interpret::Loaded;
use super::keys::Key;
use super::problem::{FileLine, Problem};
use super::slips;
use super::value::BrokenDisks;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The daemon will not start.
    pub problems: Vec<Problem>,
    /// It will, and its operator should know.
    pub notes: Vec<Problem>,
}

/// Whether a node has run with this state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// It would be the first start, which wants a disk.
    NeverRan,
    /// It starts without any disk, serves nothing, and takes the verbs that bring one back.
    HasRun,
}

/// A root that was looked at, to compare the next ones with.
struct Seen<'a> {
    path: &'a str,
    canonical: PathBuf,
    meta: Metadata,
}

const ROOTS: &str = "storage_root_path";
const MEND_ROOT: &str = "mend it, or set ignore_broken_disk = true to start with the others";

impl Loaded {
    /// Looks at every place the configuration names. A disk that hangs holds this up.
    pub fn look(&self, before: Before) -> Found {
        let mut found = Found::default();
        self.look_at_roots(&mut found, before);
        let folder = |key: &str, path: &str| self.problem(key, path, folder_trouble(Path::new(path))?);
        found.problems.extend(folder("state_dir", &self.config.state_dir));
        for (key, path) in
            [("audit_log_file", &self.config.audit_log_file), ("log_file", &self.config.log_file)]
        {
            let trouble = (!path.is_empty()).then(|| log_trouble(Path::new(path))).flatten();
            found.problems.extend(trouble.and_then(|what| self.problem(key, path, what)));
        }
        for (key, path) in [
            ("tls_certificate_file", &self.config.tls_certificate_file),
            ("tls_private_key_file", &self.config.tls_private_key_file),
        ] {
            let trouble = (!path.is_empty()).then(|| file_trouble(Path::new(path))).flatten();
            found.problems.extend(trouble.and_then(|what| self.problem(key, path, what)));
        }
        for key in self.written.keys().filter(|key| **key != ROOTS) {
            let value = Key::find(key).map(|key| key.value_in(&self.config)).unwrap_or_default();
            if value.starts_with('/')
                && let Some(slip) = slips::in_value(&value)
            {
                found.notes.extend(self.problem(key, &value, format!("probably a slip: {slip}")));
            }
        }
        found
    }

    /// Files whose content opens the door and that others than their owner can write, or that everybody can read.
    pub fn exposed_files(&self) -> Vec<String> {
        let config = &self.config;
        let secret =
            [("tokens_file", &config.tokens_file), ("tls_private_key_file", &config.tls_private_key_file)];
        let exposed = |(key, path): (&str, &String)| {
            let mode = fs::metadata(path).ok().filter(Metadata::is_file)?.mode() & 0o777;
            let who = match (mode & 0o022 != 0, mode & 0o004 != 0) {
                (true, _) => "others can write it",
                (false, true) => "everybody can read it",
                (false, false) => return None,
            };
            Some(format!("{key} {path} has mode {mode:o}: {who}; chmod 600 {path}"))
        };
        secret.into_iter().filter_map(exposed).collect()
    }

    fn look_at_roots(&self, found: &mut Found, before: Before) {
        let leave_out = self.config.ignore_broken_disk == BrokenDisks::LeaveOut;
        let mut seen: Vec<Seen<'_>> = Vec::new();
        let mut troubles = Vec::new();
        for root in &self.roots.roots {
            match look_at_root(&root.path, &seen) {
                Ok((one, None)) => seen.push(one),
                Ok((one, Some(note))) => {
                    found.notes.extend(self.problem(ROOTS, &root.path, note));
                    seen.push(one);
                }
                Err(what) => troubles.push((root.path.as_str(), what)),
            }
        }
        let broken = &self.roots.broken;
        troubles.extend(broken.iter().map(|entry| (entry.entry.as_str(), entry.reason.clone())));
        let to = if leave_out { &mut found.notes } else { &mut found.problems };
        let place = self.place(ROOTS);
        to.extend(troubles.into_iter().map(|(entry, what)| {
            Problem::of_setting(
                place.clone(),
                ROOTS,
                entry,
                what,
                if leave_out { "it is left out" } else { MEND_ROOT },
            )
        }));
        if leave_out && seen.is_empty() {
            let (to, help) = match before {
                Before::NeverRan => (&mut found.problems, "mend one of them"),
                Before::HasRun => {
                    (&mut found.notes, "the daemon starts and serves nothing until one is back")
                }
            };
            let list = &self.config.storage_root_path;
            to.push(Problem::of_setting(place, ROOTS, list, "no disk can serve", help));
        }
    }

    fn place(&self, key: &str) -> FileLine {
        let nowhere = || FileLine { file: self.be_conf.clone(), line: None };
        self.written.get(key).cloned().unwrap_or_else(nowhere)
    }

    #[allow(clippy::unnecessary_wraps, reason = "its callers chain it behind what may be no trouble")]
    fn problem(&self, key: &str, value: &str, what: String) -> Option<Problem> {
        let help = "mend it, or name another place";
        Some(Problem::of_setting(self.place(key), key, value, what, help))
    }
}

/// A root beside those seen before it: what it is, with a note if there is one, or why it cannot serve.
fn look_at_root<'a>(path: &'a str, others: &[Seen<'_>]) -> Result<(Seen<'a>, Option<String>), String> {
    let canonical = fs::canonicalize(path).map_err(|error| error.to_string())?;
    let meta = fs::metadata(&canonical).map_err(|error| error.to_string())?;
    if !meta.is_dir() {
        return Err("not a directory".to_owned());
    }
    for other in others {
        if (meta.dev(), meta.ino()) == (other.meta.dev(), other.meta.ino()) {
            return Err(format!("the same directory as {}; configure it once", other.path));
        }
        let inside = canonical.starts_with(&other.canonical) || other.canonical.starts_with(&canonical);
        if inside && meta.dev() == other.meta.dev() {
            return Err(format!(
                "one of it and {} is inside the other; give each its own directory",
                other.path
            ));
        }
    }
    let note = match access(&canonical, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => None,
        Err(Errno::EROFS) => Some("read-only: its tablets are served and can be moved away".to_owned()),
        Err(Errno::EACCES) => {
            let (owner, own) = (user_name(meta.uid()), user_name(geteuid().as_raw()));
            return Err(format!("belongs to {owner}, and {own} may not write there: chown -R {own}: {path}"));
        }
        Err(errno) => return Err(errno.desc().to_owned()),
    };
    Ok((Seen { path, canonical, meta }, note))
}

/// The user's name where there is one: people type names.
fn user_name(uid: u32) -> String {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// Why the daemon could not keep files in the folder at `path`, which it makes if it is not there.
fn folder_trouble(path: &Path) -> Option<String> {
    let standing = path.ancestors().find(|part| fs::symlink_metadata(part).is_ok())?;
    match fs::metadata(standing) {
        Ok(meta) if !meta.is_dir() => return Some(format!("{} is not a directory", standing.display())),
        Ok(_) => {}
        Err(error) => return Some(format!("{}: {error}", standing.display())),
    }
    let wanted = AccessFlags::W_OK | AccessFlags::X_OK;
    let errno = access(standing, wanted).err()?;
    Some(format!("{} cannot be written: {}", standing.display(), errno.desc()))
}

fn log_trouble(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => Some("not a regular file".to_owned()),
        Ok(_) => {
            access(path, AccessFlags::W_OK).err().map(|errno| format!("cannot be written: {}", errno.desc()))
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            folder_trouble(path.parent()?)
        }
        Err(error) => Some(error.to_string()),
    }
}

fn file_trouble(path: &Path) -> Option<String> {
    let readable = || -> io::Result<bool> {
        let is_file = fs::metadata(path)?.is_file();
        access(path, AccessFlags::R_OK)?;
        Ok(is_file)
    };
    match readable() {
        Ok(true) => None,
        Ok(false) => Some("not a regular file".to_owned()),
        Err(error) => Some(format!("cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::config::Config;

    /// What is found about `text`, with `@` for a scratch folder that holds `a`, `a/b` and `c`.
    fn look(text: &str, prepare: impl FnOnce(&Path)) -> (Vec<String>, Vec<String>) {
        look_after(Before::NeverRan, text, prepare)
    }

    fn look_after(before: Before, text: &str, prepare: impl FnOnce(&Path)) -> (Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        for name in ["a/b", "c"] {
            fs::create_dir_all(at.join(name)).unwrap();
        }
        prepare(at);
        let conf = at.join("be.conf");
        fs::write(&conf, text.replace('@', &at.display().to_string())).unwrap();
        let found = Config::load(&conf, &|_| None).unwrap().look(before);
        let texts = |list: Vec<Problem>| list.iter().map(ToString::to_string).collect();
        (texts(found.problems), texts(found.notes))
    }

    #[test]
    fn what_the_daemon_would_not_start_with_is_a_problem() {
        for (text, words) in [
            ("storage_root_path = @/a;@/c", ""),
            ("storage_root_path = @/a;@/a/b", "is inside the other"),
            ("storage_root_path = @/a;@/link", "the same directory as"),
            ("storage_root_path = @/a;@/nowhere", "does not exist"),
            ("storage_root_path = @/a;@/file", "not a directory"),
            ("storage_root_path = @/a # data", "line of its own"),
            ("storage_root_path = @/a；@/c", "U+FF1B"),
            ("storage_root_path = @/a:ssd", ",medium:ssd"),
            ("storage_root_path = @/a\nstate_dir = @/file/state", "@/file is not a directory"),
            ("storage_root_path = @/a\naudit_log_file = @/c", "not a regular file"),
            (
                "storage_root_path = @/a\ntls_certificate_file = @/no\ntls_private_key_file = @/file",
                "cannot be read",
            ),
            ("storage_root_path = @/a\naudit_log_file = @/file/audit.log", "@/file is not a directory"),
            ("storage_root_path = @/a\nstate_dir = @/file/state", "@/file is not a directory"),
            ("storage_root_path = @/no;@/file\nignore_broken_disk = true", "no disk can serve"),
        ] {
            let mut scratch = String::new();
            let (problems, _) = look(text, |at| {
                fs::write(at.join("file"), "x").unwrap();
                symlink(at.join("a"), at.join("link")).unwrap();
                scratch = at.display().to_string();
            });
            assert_eq!(problems.len(), usize::from(!words.is_empty()), "{text}: {problems:?}");
            assert!(
                problems.iter().all(|said| said.contains(&words.replace('@', &scratch))),
                "{text}: {problems:?}"
            );
        }
    }

    #[test]
    fn what_is_left_out_or_odd_is_a_note() {
        let (problems, notes) = look("storage_root_path = @/a;@/no\nignore_broken_disk = true", |_| {});
        assert_eq!((problems.len(), notes.len()), (0, 1), "{problems:?} {notes:?}");
        let (problems, notes) = look("storage_root_path = @/a\nstate_dir = @/state # journal", |_| {});
        assert_eq!((problems.len(), notes.len()), (0, 1), "{problems:?} {notes:?}");
        assert!(notes[0].contains("be.conf:2: ") && notes[0].contains("line of its own"), "{notes:?}");
        let no_disk = "storage_root_path = @/no\nignore_broken_disk = true";
        let (problems, notes) = look_after(Before::HasRun, no_disk, |_| {});
        assert_eq!(problems.len(), 0, "it starts, and takes the verbs that bring a disk back: {problems:?}");
        assert!(notes.iter().any(|note| note.contains("no disk can serve")), "{notes:?}");
    }

    #[test]
    fn secrets_that_others_can_read_or_write_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (conf, tokens) = (folder.path().join("be.conf"), folder.path().join("tokens"));
        let text = format!("storage_root_path = /d\ntokens_file = {}\n", tokens.display());
        fs::write(&conf, text).unwrap();
        let loaded = Config::load(&conf, &|_| None).unwrap();
        assert_eq!(loaded.exposed_files(), Vec::<String>::new(), "there is no file yet");
        fs::write(&tokens, "").unwrap();
        for (mode, words) in
            [(0o600, ""), (0o640, ""), (0o644, "everybody can read"), (0o660, "others can write")]
        {
            fs::set_permissions(&tokens, fs::Permissions::from_mode(mode)).unwrap();
            let named = loaded.exposed_files().join("\n");
            assert!(named.contains(words) && named.is_empty() == words.is_empty(), "{mode:o}: {named}");
        }
    }
}
