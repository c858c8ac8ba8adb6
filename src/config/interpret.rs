//! From the lines of be.conf and be_custom.conf to a [`Config`], or to every problem at once. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::doris_keys;
use super::grammar::{Setting, Sheet, expand, is_script_export};
use super::keys::Key;
use super::keys::{Config, KEYS};
use super::problem::{ConfigErrors, FileLine, IgnoredKey, IgnoredWhy, Problem};
use super::slips;
use super::storage_root::{EntryError, StorageRoots, parse_storage_root_path};
use super::value::Refusal;

/// What a configuration depends on beside its text.
pub struct Surroundings<'a> {
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Resolves a path (`realpath`), or says none when it cannot.
    pub canonical: &'a dyn Fn(&str) -> Option<String>,
    /// The folder of be.conf, absolute.
    pub conf_dir: &'a Path,
}

/// A configuration without problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Every key, defaults filled in.
    pub config: Config,
    /// `storage_root_path`, understood; at least one entry, which may be a broken one.
    pub roots: StorageRoots,
    /// Keys without effect, to be logged once at start. In the order of the files.
    pub ignored: Vec<IgnoredKey>,
    /// What the operator should know although nothing is wrong.
    pub notes: Vec<String>,
    /// The keys the files set and where, so that a default can be told from a choice of the same value.
    pub written: BTreeMap<&'static str, FileLine>,
    /// The first file, as it was named.
    pub be_conf: String,
}

impl Config {
    /// Where `persist=true` writes to: read after be.conf, and wins.
    pub fn custom_file(&self) -> PathBuf {
        Path::new(&self.custom_config_dir).join(CUSTOM_FILE_NAME)
    }
}

pub(super) const CUSTOM_FILE_NAME: &str = "be_custom.conf";
const ROOTS_KEY: &str = "storage_root_path";
const CUSTOM_DIR_KEY: &str = "custom_config_dir";
/// Doris's way to ask for TLS, and the keys of ours that its files stand for where those are not set.
const HTTPS_KEY: &str = "enable_https";
const HTTPS_FILES: [(&str, &str); 2] =
    [("ssl_certificate_path", "tls_certificate_file"), ("ssl_private_key_path", "tls_private_key_file")];

/// Reads `sheets` (be.conf, then be_custom.conf if there is one; later ones win).
///
/// # Errors
/// Every problem of every sheet.
pub fn interpret(sheets: &[Sheet], around: &Surroundings<'_>) -> Result<Loaded, ConfigErrors> {
    let mut reading = Reading {
        sheets,
        around,
        config: Config::default(),
        written: BTreeMap::new(),
        problems: sheets.iter().flat_map(|sheet| sheet.problems.clone()).collect(),
    };
    for key in KEYS {
        reading.settle(key);
    }
    reading.settle_https();
    reading.refuse_misplaced_custom_dir();
    reading.refuse_conflicts();
    reading.refuse_exposure();
    reading.refuse_odd_collector();
    let roots = reading.storage_roots();
    let Reading { config, written, mut problems, .. } = reading;
    if problems.is_empty() {
        let be_conf = sheets.first().map(|sheet| sheet.file.clone()).unwrap_or_default();
        let notes = overridden_roots(sheets).into_iter().chain(copied_default(&config, &written)).collect();
        let ignored = ignored_keys(sheets);
        return Ok(Loaded { config, roots, ignored, notes, written, be_conf });
    }
    let file_rank = |file: &str| sheets.iter().position(|sheet| sheet.file == file);
    problems.sort_by_key(|problem| (file_rank(&problem.place.file), problem.place.line));
    Err(ConfigErrors { problems, ignored: ignored_keys(sheets) })
}

/// Two files that name other disks: the one an operator reads first is not the one in force.
fn overridden_roots(sheets: &[Sheet]) -> Option<String> {
    let lists: Vec<_> =
        sheets.iter().filter_map(|sheet| Some((&sheet.file, sheet.last(ROOTS_KEY)?))).collect();
    let [(be_conf, theirs), .., (custom, ours)] = lists.as_slice() else { return None };
    (theirs.value != ours.value).then(|| {
        format!(
            "{custom}:{}: storage_root_path = {} is in force; {be_conf}:{} has another list, which is not read",
            ours.line, ours.value, theirs.line
        )
    })
}

/// The be.conf of version 0.1 wrote this default out, and there that was as good as silence. Since then it is a choice.
fn copied_default(config: &Config, written: &BTreeMap<&'static str, FileLine>) -> Option<String> {
    const KEY: &str = "storage_flood_stage_left_capacity_bytes";
    let place = written.get(KEY)?;
    let bytes = config.storage_flood_stage_left_capacity_bytes.bytes;
    (bytes == Config::default().storage_flood_stage_left_capacity_bytes.bytes).then(|| {
        format!(
            "{place}: {KEY} = {bytes} holds for small disks too, because it is written; without the line a disk of \
             less than 10 GiB keeps less free"
        )
    })
}

/// The folder of be_custom.conf as `be_conf` has it; none when what it has is a problem.
pub(super) fn custom_config_dir(be_conf: &Sheet, around: &Surroundings<'_>) -> Option<PathBuf> {
    match be_conf.last(CUSTOM_DIR_KEY) {
        Some(entry) if !entry.value.is_empty() => expand(&entry.value, around.env).ok().map(PathBuf::from),
        _ => Some(around.conf_dir.to_owned()),
    }
}

struct Reading<'a> {
    sheets: &'a [Sheet],
    around: &'a Surroundings<'a>,
    config: Config,
    written: BTreeMap<&'static str, FileLine>,
    problems: Vec<Problem>,
}

impl<'a> Reading<'a> {
    /// The line that counts for `key`: the last one of the last file that has one.
    fn winner(&self, key: &str) -> Option<(&'a Sheet, &'a Setting)> {
        self.sheets.iter().rev().find_map(|sheet| Some((sheet, sheet.last(key)?)))
    }

    /// Where to point for `key`: its line, or the first file as a whole.
    fn place(&self, key: &str) -> FileLine {
        match self.winner(key) {
            Some((sheet, entry)) => FileLine { file: sheet.file.clone(), line: Some(entry.line) },
            None => FileLine {
                file: self.sheets.first().map_or_else(|| "be.conf".to_owned(), |sheet| sheet.file.clone()),
                line: None,
            },
        }
    }

    /// Gives `key` its value: what is written, else what is worked out for it, else its default.
    fn settle(&mut self, key: &'static Key) {
        let place = self.place(key.name);
        let help = || format!("accepted: {}", key.accepted());
        let mut value = match self.winner(key.name) {
            None => String::new(),
            Some((_, entry)) => {
                self.written.insert(key.name, place.clone());
                // What was no UTF-8 in the file has become this character.
                if entry.value.contains(char::REPLACEMENT_CHARACTER) {
                    let what = "not UTF-8";
                    self.problems.push(Problem::of_setting(place, key.name, &entry.value, what, help()));
                    return;
                }
                match expand(&entry.value, self.around.env) {
                    Ok(value) => value,
                    Err(error) => {
                        let help = "set it where the daemon is started, or write the value out";
                        let what = error.to_string();
                        self.problems.push(Problem::of_setting(place, key.name, &entry.value, what, help));
                        return;
                    }
                }
            }
        };
        if value.is_empty() {
            match self.worked_out(key.name) {
                Some(default) => value = default,
                None if !self.written.contains_key(key.name) => return,
                None => {}
            }
        }
        if let Err(refusal) = key.assign(&mut self.config, &value) {
            let what = match refusal {
                Refusal::Convert => format!("cannot be read as {}", key.type_name),
                Refusal::Validate => "not an accepted value".to_owned(),
            };
            self.problems.push(Problem::of_setting(place, key.name, &value, what, help()));
        }
    }

    /// Defaults that depend on where the daemon is installed.
    fn worked_out(&self, key: &str) -> Option<String> {
        let doris_home = (self.around.env)("DORIS_HOME").filter(|home| !home.is_empty());
        let conf_dir = self.around.conf_dir;
        match key {
            // An empty list that was *written* is a mistake to point at, not a wish for the default.
            ROOTS_KEY if !self.written.contains_key(key) => doris_home.map(|home| format!("{home}/storage")),
            CUSTOM_DIR_KEY => Some(conf_dir.to_string_lossy().into_owned()),
            "state_dir" | "audit_log_file" => {
                let below_home = if key == "state_dir" { "state" } else { "log/audit.log" };
                Some(match doris_home {
                    Some(home) => format!("{home}/{below_home}"),
                    // `<home>/conf/be.conf` shows the home; any other folder is taken for it, so that nothing is ever
                    // written beside a folder that was named.
                    None => {
                        let home =
                            conf_dir.parent().filter(|_| conf_dir.ends_with("conf")).unwrap_or(conf_dir);
                        home.join(below_home).to_string_lossy().into_owned()
                    }
                })
            }
            // Its row comes after that of state_dir, which so is settled.
            "tokens_file" => Some(format!("{}/tokens", self.config.state_dir)),
            _ => None,
        }
    }

    /// TLS as a be.conf of Doris asks for it: from the files it names, or not at all; never silently without.
    fn settle_https(&mut self) {
        let Some((_, asked)) = self.winner(HTTPS_KEY) else { return };
        match asked.value.as_str() {
            "true" => {}
            "" | "false" => return,
            other => {
                let (what, help) = ("cannot be read as bool", "accepted: true or false");
                self.problems.push(Problem::of_setting(self.place(HTTPS_KEY), HTTPS_KEY, other, what, help));
                return;
            }
        }
        for (doris, ours) in HTTPS_FILES {
            let Some(key) = Key::find(ours) else { continue };
            if !key.value_in(&self.config).is_empty() {
                continue;
            }
            let entry =
                self.winner(doris).map(|(_, entry)| entry.value.as_str()).filter(|text| !text.is_empty());
            let place = self.place(if entry.is_some() { doris } else { HTTPS_KEY });
            let path = expand(entry.unwrap_or(""), self.around.env).unwrap_or_default();
            if path.starts_with('/') && key.assign(&mut self.config, &path).is_ok() {
                self.written.insert(ours, place);
                continue;
            }
            let what = match entry {
                None => format!("enable_https is true, and neither {doris} nor {ours} is set"),
                Some(_) => "enable_https is true, and this is no absolute path".to_owned(),
            };
            let help =
                "name the file in PEM without quotes, ${DORIS_HOME} in braces, or set enable_https = false";
            self.problems.push(Problem::of_setting(place, doris, entry.unwrap_or(""), what, help));
        }
    }

    /// be_custom.conf cannot say where be_custom.conf is.
    fn refuse_misplaced_custom_dir(&mut self) {
        for sheet in self.sheets.iter().skip(1) {
            if let Some(entry) = sheet.last(CUSTOM_DIR_KEY) {
                let place = FileLine { file: sheet.file.clone(), line: Some(entry.line) };
                let (what, help) = ("has no effect in this file", "set it in be.conf");
                self.problems.push(Problem::of_setting(place, CUSTOM_DIR_KEY, &entry.value, what, help));
            }
        }
    }

    /// Whoever reaches the port can move and purge data: beyond loopback only on purpose.
    fn refuse_exposure(&mut self) {
        const HOST: &str = "webserver_bind_host";
        const AUTH: &str = "enable_all_http_auth";
        if !self.config.webserver_bind_host.is_loopback() && !self.written.contains_key(AUTH) {
            let what = "opens the port to the network, where anybody could move data";
            let help = "listen on 127.0.0.1, or write enable_all_http_auth = true and make tokens with tabletctl \
                        token create, or write enable_all_http_auth = false to say that this is meant";
            let host = self.config.webserver_bind_host.to_string();
            self.problems.push(Problem::of_setting(self.place(HOST), HOST, &host, what, help));
        }
    }

    /// A collector is asked over HTTP, and nobody would see before the first trace that it cannot be.
    fn refuse_odd_collector(&mut self) {
        const KEY: &str = "otlp_endpoint";
        let value = self.config.otlp_endpoint.clone();
        if !value.is_empty() && !value.starts_with("http://") && !value.starts_with("https://") {
            let (what, help) = ("is no address of a collector", "write it as http://127.0.0.1:4318");
            self.problems.push(Problem::of_setting(self.place(KEY), KEY, &value, what, help));
        }
    }

    fn refuse_conflicts(&mut self) {
        for conflict in self.config.conflicts() {
            // Defaults go together, so one of the two is written.
            let blamed = conflict.keys.into_iter().find(|key| self.written.contains_key(*key));
            let Some(key) = blamed.and_then(Key::find) else { continue };
            let values: Vec<_> = conflict
                .keys
                .into_iter()
                .filter_map(Key::find)
                .map(|key| format!("{} is {}", key.name, key.value_in(&self.config)))
                .collect();
            let value = key.value_in(&self.config);
            let help = values.join(", ");
            self.problems.push(Problem::of_setting(
                self.place(key.name),
                key.name,
                &value,
                conflict.what,
                help,
            ));
        }
    }

    /// The line that is probably the list of roots, when no line is.
    fn misnamed_roots(&self) -> Option<Problem> {
        if self.written.contains_key(ROOTS_KEY) {
            return None;
        }
        self.sheets.iter().find_map(|sheet| {
            let entry =
                sheet.entries.iter().rfind(|entry| slips::meant_key(&entry.key) == Some(ROOTS_KEY))?;
            let place = FileLine { file: sheet.file.clone(), line: Some(entry.line) };
            let help = match slips::without_export(&entry.key) {
                Some(_) => "did you mean storage_root_path? 'export' belongs to shell scripts, leave it out",
                None => "did you mean storage_root_path?",
            };
            Some(Problem::of_setting(place, &entry.key, &entry.value, "unknown key", help))
        })
    }

    fn storage_roots(&mut self) -> StorageRoots {
        let place = self.place(ROOTS_KEY);
        if self.problems.iter().any(|problem| problem.place == place && place.line.is_some()) {
            return StorageRoots::default();
        }
        // The default would be taken for what was meant, and formatted.
        if let Some(problem) = self.misnamed_roots() {
            self.problems.push(problem);
            return StorageRoots::default();
        }
        let text = &self.config.storage_root_path;
        let parsed = parse_storage_root_path(text, self.config.ignore_broken_disk, self.around.canonical);
        match parsed {
            Ok(roots) if roots.roots.is_empty() && roots.broken.is_empty() => {
                let what = match self.written.contains_key(ROOTS_KEY) {
                    true => "names no directory",
                    false => "not set, and without DORIS_HOME in the environment there is no default",
                };
                let help = "set storage_root_path, for example /disk1,medium:ssd;/disk2,medium:hdd";
                self.problems.push(Problem::of_setting(place, ROOTS_KEY, text, what, help));
                roots
            }
            Ok(roots) => roots,
            Err(invalid) => {
                for refused in invalid {
                    let (what, help) = explain(&refused.error, text);
                    self.problems.push(Problem::of_setting(
                        place.clone(),
                        ROOTS_KEY,
                        &refused.entry,
                        what,
                        help,
                    ));
                }
                StorageRoots::default()
            }
        }
    }
}

/// The words of Doris for a refused entry of the list `value`, and the way out.
fn explain(error: &EntryError, value: &str) -> (String, &'static str) {
    let whole = format!("{error} (fail to parse storage_root_path config. value={value})");
    match error {
        EntryError::Duplicate(_) => (error.to_string(), "accepted: each path once"),
        EntryError::Path(_) => (whole, "accepted: a path that begins with '/', entries separated by ';'"),
        EntryError::Property(_) => (whole, "accepted: path[,medium:ssd|hdd|remote_cache][,capacity:GiB]"),
        EntryError::Capacity(_) => {
            (whole, "accepted: a whole number of GiB, as in /disk1,medium:ssd,capacity:50")
        }
        EntryError::Medium(_) => (
            whole,
            "accepted: ssd, hdd, remote_cache; a path whose own extension is none of them needs ',medium:hdd' \
             or ',medium:ssd'",
        ),
    }
}

fn ignored_keys(sheets: &[Sheet]) -> Vec<IgnoredKey> {
    let mut ignored: Vec<IgnoredKey> = Vec::new();
    let https =
        sheets.iter().rev().find_map(|sheet| sheet.last(HTTPS_KEY)).is_some_and(|on| on.value == "true");
    let is_taken =
        |key: &str| https && (key == HTTPS_KEY || HTTPS_FILES.iter().any(|(doris, _)| *doris == key));
    for sheet in sheets {
        for entry in &sheet.entries {
            if Key::find(&entry.key).is_some() || is_taken(&entry.key) || is_script_export(&entry.key) {
                continue;
            }
            let place = FileLine { file: sheet.file.clone(), line: Some(entry.line) };
            if let Some(known) = ignored.iter_mut().find(|known| known.key == entry.key) {
                known.places.push(place);
                continue;
            }
            let why = match doris_keys::reason_ignored(&entry.key) {
                Some(reason) => IgnoredWhy::DorisOnly { reason },
                None => IgnoredWhy::Unknown { closest: slips::meant_key(&entry.key) },
            };
            ignored.push(IgnoredKey { key: entry.key.clone(), places: vec![place], why });
        }
    }
    ignored
}
