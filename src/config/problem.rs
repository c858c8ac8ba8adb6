//! What is wrong with a configuration, and what was ignored, in the words an operator reads.

use std::fmt;

use super::slips;
use crate::model::printable;

/// Where something stands: a file, and a line of it where there is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileLine {
    /// The file as it was named.
    pub file: String,
    /// 1-based; none where the trouble is with what the file does *not* say.
    pub line: Option<usize>,
}

/// One thing that keeps the daemon from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub place: FileLine,
    /// What was written there: `key = value`, the offending line, or the key alone.
    pub subject: String,
    /// What is wrong with it.
    pub what: String,
    /// What is accepted, or what helps.
    pub help: String,
}

/// Every problem of the files, in the order of file and line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    pub problems: Vec<Problem>,
    /// Keys without effect: one of them may be what was meant.
    pub ignored: Vec<IgnoredKey>,
}

/// A key of the files that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredKey {
    pub key: String,
    pub places: Vec<FileLine>,
    /// Why it has none.
    pub why: IgnoredWhy,
}

/// Why a key has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoredWhy {
    /// Doris knows it; here it would steer something that does not exist.
    DorisOnly {
        /// What it steers in Doris, or what stands in its place here.
        reason: &'static str,
    },
    Unknown {
        /// The key it is probably a slip of.
        closest: Option<&'static str>,
    },
}

impl Problem {
    /// A setting whose value is not accepted.
    pub fn of_setting(
        place: FileLine,
        key: &str,
        value: &str,
        what: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let mut help = help.into();
        let what = what.into();
        if let Some(slip) = slips::in_value(value).filter(|slip| !what.contains(slip)) {
            help.push_str("; ");
            help.push_str(slip);
        }
        Self { place, subject: format!("{key} = {value}"), what, help }
    }

    /// A line that is neither a comment nor a setting.
    pub fn of_line(place: FileLine, line: &str) -> Self {
        Self {
            place,
            subject: line.to_owned(),
            what: "neither a comment nor a setting".to_owned(),
            help: "accepted: 'key = value', or a line that starts with '#'".to_owned(),
        }
    }
}

impl fmt::Display for FileLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// `file:line: key = value: what is wrong; what is accepted`, always one line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&format!("{}: {}: {}; {}", self.place, self.subject, self.what, self.help)))
    }
}

impl ConfigErrors {
    /// Every problem, for an answer or a line of a log.
    pub fn in_one_line(&self) -> String {
        self.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
    }
}

/// One problem per line.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for IgnoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, place) in self.places.iter().enumerate() {
            write!(f, "{}{place}", if index > 0 { ", " } else { "" })?;
        }
        write!(f, ": {} is ignored: ", self.key.escape_debug())?;
        match self.why {
            IgnoredWhy::DorisOnly { reason } => write!(f, "a Doris key without meaning here ({reason})"),
            IgnoredWhy::Unknown { closest: Some(closest) } => {
                write!(f, "unknown key, did you mean {closest}?")?;
                match slips::without_export(&self.key) {
                    Some(_) => f.write_str(" 'export' belongs to shell scripts, leave it out"),
                    None => Ok(()),
                }
            }
            IgnoredWhy::Unknown { closest: None } => f.write_str("unknown key"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_whatever_was_written() {
        let place = FileLine { file: "conf/be.conf".into(), line: Some(3) };
        let problem = Problem::of_setting(place, "webserver_port", "80\u{1b}[2J\n", "bad", "accepted: good");
        assert_eq!(
            problem.to_string(),
            "conf/be.conf:3: webserver_port = 80\\u{1b}[2J\\n: bad; accepted: good"
        );
    }

    #[test]
    fn ignored_keys_name_every_place_and_the_likely_slip() {
        let place = |line| FileLine { file: "be.conf".into(), line: Some(line) };
        let mut ignored = IgnoredKey {
            key: "webserver_prot".into(),
            places: vec![place(2), place(9)],
            why: IgnoredWhy::Unknown { closest: Some("webserver_port") },
        };
        assert_eq!(
            ignored.to_string(),
            "be.conf:2, be.conf:9: webserver_prot is ignored: unknown key, did you mean webserver_port?"
        );
        ignored.why = IgnoredWhy::Unknown { closest: None };
        assert!(ignored.to_string().ends_with("webserver_prot is ignored: unknown key"));
    }
}
