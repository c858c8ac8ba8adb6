//! What the cluster's frontend says before its backend goes down: whose only replica is here, and how long it waits before it
//! repairs elsewhere what does not answer. It is only asked, over its HTTP port; nothing of it is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use base64::Engine as _;
use serde::Serialize;
use serde_json::Value;

use crate::cli::doris_args::FrontendArgs;
use crate::cli::exit::{CliError, Exit};
use crate::model::{counted, counted_as};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Numbers that a person is shown.
const SHOWN_MAX: usize = 20;
const REPAIR_DELAY: &str = "tablet_repair_delay_factor_second";
const DISK_BALANCE: &str = "disable_disk_balance";

/// A tablet, and where the frontend has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) tablet_id: i64,
    pub(super) table_id: i64,
    pub(super) partition_id: i64,
}

/// What it says.
#[derive(Debug, Default, Serialize)]
pub(super) struct Look {
    /// How long it waits at least before it repairs what is missing; `null` where it does not say.
    repair_delay_sec: Option<u64>,
    /// Whether it leaves it to others which disk has what; `null` where it does not say.
    disk_balance_is_off: Option<bool>,
    /// Tablets of which it knows one replica.
    single_replicas: Vec<i64>,
    /// Tablets that it does not know.
    unknown: Vec<i64>,
    /// How many it was asked for.
    asked: usize,
    /// How long the backend is down for, at least.
    estimate_sec: u64,
}

/// Asks the frontend, if one is named.
///
/// # Errors
/// [`Exit::Refused`]: it does not answer as a frontend does. Whoever names one wants to know.
pub(super) fn look(
    args: &FrontendArgs,
    asked: &[Asked],
    estimate_sec: u64,
) -> Result<Option<Look>, CliError> {
    let Some(address) = &args.fe else { return Ok(None) };
    let frontend = Frontend::new(address, args)?;
    let mut look = Look { asked: asked.len(), estimate_sec, ..Look::default() };
    look.repair_delay_sec = frontend.setting(REPAIR_DELAY)?.and_then(|value| value.parse().ok());
    look.disk_balance_is_off = frontend.setting(DISK_BALANCE)?.and_then(|value| value.parse().ok());
    let replicas = frontend.replicas_of(asked)?;
    for one in asked {
        match replicas.get(&one.tablet_id) {
            Some(1) => look.single_replicas.push(one.tablet_id),
            Some(_) => {}
            None => look.unknown.push(one.tablet_id),
        }
    }
    Ok(Some(look))
}

/// What a person should know of it before the backend goes down.
pub(super) fn to_text(look: &Look) -> String {
    let mut out = String::new();
    let singles = look.single_replicas.len();
    let _ = writeln!(
        out,
        "frontend: of {}, {} no other replica{}",
        counted(look.asked, "tablet"),
        counted_as(singles, "has", "have"),
        match singles {
            0 => "",
            1 => ": it is not served while the backend is down, and nothing can repair it",
            _ => ": they are not served while the backend is down, and nothing can repair them",
        }
    );
    for (what, ids) in [("single", &look.single_replicas), ("not known to it", &look.unknown)] {
        if !ids.is_empty() {
            let shown: Vec<String> = ids.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
            let more = if ids.len() > SHOWN_MAX { " ... (--json shows all)" } else { "" };
            let _ = writeln!(out, "  {what}: {}{more}", shown.join(", "));
        }
    }
    let estimate = look.estimate_sec;
    let _ = match look.repair_delay_sec {
        Some(delay) if delay <= estimate => writeln!(
            out,
            "frontend: it begins to repair elsewhere after {delay} s, and this takes about {estimate} s: before the stop, \
             ADMIN SET FRONTEND CONFIG (\"{REPAIR_DELAY}\" = \"{}\")",
            delay_for(estimate)
        ),
        Some(delay) => {
            writeln!(out, "frontend: it begins to repair elsewhere after {delay} s, later than this takes")
        }
        None => {
            writeln!(out, "frontend: it does not say when it begins to repair elsewhere ({REPAIR_DELAY})")
        }
    };
    if look.disk_balance_is_off == Some(false) {
        let _ = writeln!(
            out,
            "frontend: it moves tablets between disks itself: ADMIN SET FRONTEND CONFIG (\"{DISK_BALANCE}\" = \"true\")"
        );
    }
    out
}

/// Twice what it should take, in whole minutes, so that an estimate that is too low does no harm.
const fn delay_for(estimate_sec: u64) -> u64 {
    estimate_sec.saturating_mul(2).div_ceil(60).saturating_mul(60)
}

struct Frontend {
    agent: ureq::Agent,
    base: String,
    authorization: String,
}

impl Frontend {
    fn new(address: &str, args: &FrontendArgs) -> Result<Self, CliError> {
        if address.contains('/') || !address.contains(':') {
            let text = format!("--fe {address}: HOST:PORT of the frontend's HTTP server, usually port 8030");
            return Err(CliError::new(Exit::Usage, text));
        }
        let password = match &args.fe_password_file {
            None => String::new(),
            Some(file) => std::fs::read_to_string(file)
                .map_err(|error| CliError::new(Exit::Usage, format!("{}: {error}", file.display())))?,
        };
        let pair = format!("{}:{}", args.fe_user, password.trim_end_matches(['\r', '\n']));
        let agent =
            ureq::Agent::config_builder().timeout_global(Some(CALL_TIMEOUT)).http_status_as_error(false);
        Ok(Self {
            agent: agent.build().into(),
            base: format!("http://{address}"),
            authorization: format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)),
        })
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, CliError> {
        let url = format!("{}{path}", self.base);
        let refused = |why: &dyn std::fmt::Display| {
            CliError::new(
                Exit::Refused,
                format!("the frontend cannot be asked ({url}): {why}; nothing was moved"),
            )
        };
        let request = self.agent.get(&url).header("Authorization", &self.authorization);
        let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
        let mut answer = request.call().map_err(|error| refused(&error))?;
        let text = answer.body_mut().read_to_string().map_err(|error| refused(&error))?;
        if !answer.status().is_success() {
            return Err(refused(&format_args!("it answers {}", answer.status())));
        }
        let body: Value = serde_json::from_str(&text).map_err(|_| refused(&"its answer is not JSON"))?;
        // Its own errors come with status 200.
        match body["code"].as_i64() {
            Some(0) => Ok(body["data"].clone()),
            _ => Err(refused(&format_args!(
                "it says {}",
                body["data"].as_str().or(body["msg"].as_str()).unwrap_or("no")
            ))),
        }
    }

    /// One of its settings; `None` where it has none of that name.
    fn setting(&self, name: &str) -> Result<Option<String>, CliError> {
        let data = self.get("/rest/v1/config/fe/", &[("conf_item", name)])?;
        let rows = data["rows"].as_array().cloned().unwrap_or_default();
        let row = rows.iter().find(|row| row["Name"] == name);
        Ok(row.and_then(|row| row["Value"].as_str()).map(str::to_owned))
    }

    /// Rows of a place in its tree, as `SHOW PROC` prints them.
    fn proc(&self, path: &str) -> Result<Vec<Vec<String>>, CliError> {
        let data = self.get("/api/show_proc", &[("path", path), ("forward", "true")])?;
        let row = |row: &Value| -> Vec<String> {
            let cells = row.as_array().into_iter().flatten();
            cells.map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)).collect()
        };
        Ok(data.as_array().map(|rows| rows.iter().map(row).collect()).unwrap_or_default())
    }

    /// The numbers that begin the rows of a place.
    fn numbers(&self, path: &str) -> Result<BTreeSet<i64>, CliError> {
        let rows = self.proc(path)?;
        Ok(rows.iter().filter_map(|row| row.first()?.parse().ok()).collect())
    }

    /// How many replicas it knows of each tablet, of the partitions that are asked for.
    fn replicas_of(&self, asked: &[Asked]) -> Result<BTreeMap<i64, u64>, CliError> {
        let mut partitions: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
        for one in asked {
            partitions.entry(one.table_id).or_default().insert(one.partition_id);
        }
        let mut replicas = BTreeMap::new();
        if partitions.is_empty() {
            return Ok(replicas);
        }
        for database in self.numbers("/dbs")? {
            for table in self.numbers(&format!("/dbs/{database}"))? {
                let Some(wanted) = partitions.get(&table) else { continue };
                for kind in ["partitions", "temp_partitions"] {
                    let at = format!("/dbs/{database}/{table}/{kind}");
                    let known = self.numbers(&at)?;
                    for partition in known.intersection(wanted) {
                        self.count_replicas(&format!("{at}/{partition}"), &mut replicas)?;
                    }
                }
            }
        }
        Ok(replicas)
    }

    fn count_replicas(&self, partition: &str, replicas: &mut BTreeMap<i64, u64>) -> Result<(), CliError> {
        for index in self.numbers(partition)? {
            for row in self.proc(&format!("{partition}/{index}"))? {
                // A tablet without any has one row as well, with -1 for its replica.
                let number = |at: usize| row.get(at).and_then(|cell| cell.parse::<i64>().ok());
                if let (Some(tablet), Some(1..)) = (number(0), number(1)) {
                    *replicas.entry(tablet).or_default() += 1;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_that_is_too_short_is_said_with_what_to_type() {
        for (delay, estimate, wanted) in [
            (Some(60), 90, "\"tablet_repair_delay_factor_second\" = \"180\""),
            (Some(60), 60, "= \"120\""),
            (Some(600), 90, "later than this takes"),
            (None, 1, "does not say"),
        ] {
            let look = Look { repair_delay_sec: delay, estimate_sec: estimate, ..Look::default() };
            let text = to_text(&look);
            assert!(text.contains(wanted), "{delay:?} {estimate}: {text}");
        }
        let look = Look { single_replicas: (1..=30).collect(), asked: 40, ..Look::default() };
        let text = to_text(&look);
        assert!(
            text.contains("of 40 tablets, 30 have")
                && text.contains("nothing can repair")
                && text.contains("20 ..."),
            "{text}"
        );
    }
}
