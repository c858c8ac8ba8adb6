//! The types a key can have, how each is read and written, and the range rules on top of them.
//!
//! Type names are those Doris prints in `/api/show_config`. Knows no key.

use std::borrow::Cow;
use std::net::IpAddr;

use nix::unistd::{Group, User};

use crate::model::{CapacityRule, DailyWindows, FileOwner, LeftBytes, LeftBytesFrom, parse_bytes};

/// Why a text is not a value, told apart as Doris tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not of the type at all.
    Convert,
    /// Of the type, but not accepted.
    Validate,
}

/// A type a key can have.
pub(super) trait Value: Sized {
    /// As `/api/show_config` prints it.
    const TYPE_NAME: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// The text is not of this type, or is outside of what the type can hold here.
    fn parse(text: &str) -> Result<Self, Refusal>;

    /// Writes it so that [`Self::parse`] reads the same value.
    fn render(&self) -> String;

    /// What is accepted, in words.
    fn accepted() -> String;

    /// The value as a number, if it is one.
    fn number(&self) -> Option<i64> {
        None
    }
}

/// What a key demands beyond its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Any,
    /// A number from the first to the second, both included.
    Range(i64, i64),
    /// So many bytes, from the first to the second, both included; `50M` is read as well.
    Bytes(i64, i64),
    /// The same, and a multiple of the first: `MultipleOf(unit, min, max)`.
    MultipleOf(i64, i64, i64),
    /// A path from `/`, or nothing (then the default is worked out at start).
    AbsolutePath,
}

impl Rule {
    /// Whether `value` keeps it.
    pub(super) fn allows<T: Value>(self, value: &T) -> bool {
        let number_in = |test: &dyn Fn(i64) -> bool| value.number().is_some_and(test);
        match self {
            Self::Any => true,
            Self::Range(min, max) | Self::Bytes(min, max) => number_in(&|n| (min..=max).contains(&n)),
            Self::MultipleOf(unit, min, max) => number_in(&|n| (min..=max).contains(&n) && n % unit == 0),
            Self::AbsolutePath => {
                let text = value.render();
                text.is_empty() || text.starts_with('/')
            }
        }
    }

    /// A value as its type reads it. What is no size stays as it is, to be refused by the type in its own words.
    pub(super) fn spelled_out(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Bytes(..) | Self::MultipleOf(..) => {
                parse_bytes(text).map_or(Cow::Borrowed(text), |bytes| Cow::Owned(bytes.to_string()))
            }
            Self::Any | Self::Range(..) | Self::AbsolutePath => Cow::Borrowed(text),
        }
    }

    /// What is accepted for a key of type `T`, in words.
    pub(super) fn accepted<T: Value>(self) -> String {
        match self {
            Self::Any => T::accepted(),
            Self::Range(min, max) => format!("a whole number from {min} to {max}"),
            Self::Bytes(min, max) => {
                format!("a number of bytes from {min} to {max}, such as 52428800 or 50M")
            }
            Self::MultipleOf(unit, min, max) => format!("a multiple of {unit} from {min} to {max}"),
            Self::AbsolutePath => "a path that begins with '/'".to_owned(),
        }
    }
}

macro_rules! numbers {
    ($($type:ty as $doris:ty = $name:literal,)*) => {$(
        impl Value for $type {
            const TYPE_NAME: &'static str = $name;
            fn parse(text: &str) -> Result<Self, Refusal> {
                let number: $doris = text.parse().map_err(|_| Refusal::Convert)?;
                Self::try_from(number).map_err(|_| Refusal::Validate)
            }
            fn render(&self) -> String {
                self.to_string()
            }
            fn accepted() -> String {
                "a whole number".to_owned()
            }
            fn number(&self) -> Option<i64> {
                i64::try_from(*self).ok()
            }
        }
    )*};
}

numbers! {
    u16 as i32 = "int32_t",
    u32 as i32 = "int32_t",
    i32 as i32 = "int32_t",
    u64 as i64 = "int64_t",
}

/// Whatever is read was written; only a key that no line has keeps the default's `from`.
impl Value for LeftBytes {
    const TYPE_NAME: &'static str = u64::TYPE_NAME;
    fn parse(text: &str) -> Result<Self, Refusal> {
        Ok(Self { bytes: u64::parse(text)?, from: LeftBytesFrom::Setting })
    }
    fn render(&self) -> String {
        self.bytes.render()
    }
    fn accepted() -> String {
        u64::accepted()
    }
    fn number(&self) -> Option<i64> {
        self.bytes.number()
    }
}

impl Value for String {
    const TYPE_NAME: &'static str = "std::string";
    fn parse(text: &str) -> Result<Self, Refusal> {
        // A line break would not survive being written to a file of lines.
        if text.chars().any(char::is_control) { Err(Refusal::Convert) } else { Ok(text.to_owned()) }
    }
    fn render(&self) -> String {
        self.clone()
    }
    fn accepted() -> String {
        "text without control characters".to_owned()
    }
}

impl Value for IpAddr {
    const TYPE_NAME: &'static str = "std::string";
    fn parse(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|_| Refusal::Validate)
    }
    fn render(&self) -> String {
        self.to_string()
    }
    fn accepted() -> String {
        "an IP address, such as 127.0.0.1, 0.0.0.0 or ::".to_owned()
    }
}

impl Value for DailyWindows {
    const TYPE_NAME: &'static str = "std::string";
    fn parse(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|_| Refusal::Validate)
    }
    fn render(&self) -> String {
        self.to_string()
    }
    fn accepted() -> String {
        "windows such as 22:00-06:00, separated by commas, or nothing".to_owned()
    }
}

impl Value for FileOwner {
    const TYPE_NAME: &'static str = "std::string";
    /// Names become numbers here: a user who is renamed later does not take his files along.
    fn parse(text: &str) -> Result<Self, Refusal> {
        if let Ok(owner) = text.parse() {
            return Ok(owner);
        }
        let (user, group) = text.split_once(':').ok_or(Refusal::Validate)?;
        let uid = user.parse().ok().or_else(|| Some(User::from_name(user).ok()??.uid.as_raw()));
        let gid = group.parse().ok().or_else(|| Some(Group::from_name(group).ok()??.gid.as_raw()));
        match (uid, gid) {
            (Some(uid), Some(gid)) => format!("{uid}:{gid}").parse().map_err(|_| Refusal::Validate),
            _ => Err(Refusal::Validate),
        }
    }
    fn render(&self) -> String {
        self.to_string()
    }
    fn accepted() -> String {
        "keep, or a user and a group that this system knows, by name or number, such as doris:doris or 1000:1000"
            .to_owned()
    }
}

/// An enum written as one word each. A `bool` one reads exactly `true` and `false`, as Doris does; the words of the
/// others are read in any case.
macro_rules! words {
    (@miss "bool") => { Refusal::Convert };
    (@miss $other:literal) => { Refusal::Validate };
    (@accepted "bool", $words:expr) => { "true or false".to_owned() };
    (@accepted $other:literal, $words:expr) => { format!("one of {}", $words.join(", ")) };
    (@eq "bool", $word:literal, $text:ident) => { $word == $text };
    (@eq $other:literal, $word:literal, $text:ident) => { $word.eq_ignore_ascii_case($text) };
    (@value $name:ident as $type_name:tt, [$($variant:ident = $word:literal),*]) => {
        impl Value for $name {
            const TYPE_NAME: &'static str = $type_name;
            fn parse(text: &str) -> Result<Self, Refusal> {
                $(if words!(@eq $type_name, $word, text) { return Ok(Self::$variant); })*
                Err(words!(@miss $type_name))
            }
            fn render(&self) -> String {
                self.as_str().to_owned()
            }
            fn accepted() -> String {
                words!(@accepted $type_name, [$($word),*])
            }
        }
    };
    ($($(#[$outer:meta])* $name:ident as $type_name:tt {
        $($(#[$doc:meta])* $variant:ident = $word:literal,)*
    })*) => {$(
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// The word for it in be.conf.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        words!(@value $name as $type_name, [$($variant = $word),*]);
    )*};
}

// The rule for full disks is the model's: the rules decide by it.
words!(@value CapacityRule as "std::string", [Or = "or", And = "and"]);

words! {
    /// What a broken disk does to the start of the daemon (`ignore_broken_disk`).
    BrokenDisks as "bool" {
        /// The daemon does not start.
        RefuseStart = "false",
        /// It starts with the others.
        LeaveOut = "true",
    }

    /// Whether every HTTP request wants credentials (`enable_all_http_auth`).
    HttpAuth as "bool" {
        Off = "false",
        Required = "true",
    }

    /// Whether this host needs credentials where others do (`allow_loopback_without_credentials`).
    LoopbackAccess as "bool" {
        AsOthers = "false",
        Free = "true",
    }

    /// Whether `/metrics` needs credentials where other paths do (`metrics_without_credentials`).
    MetricsAccess as "bool" {
        /// Like any other path.
        AsOthers = "false",
        Free = "true",
    }

    /// What start-up does with the tablet directories the records name (`catalog_check_on_start`).
    CatalogCheck as "bool" {
        TrustRecords = "false",
        /// Looks at each directory once.
        StatDirectories = "true",
    }

    /// Which releases' answers `/api/tablet_migration` gives (`tablet_migration_dialect`).
    Dialect as "std::string" {
        /// As the documentation has it.
        Documented = "documented",
        /// As Doris 1.1 answers.
        V1_1 = "1.1",
        /// As Doris 1.2 answers.
        V1_2 = "1.2",
        /// As Doris 2.0 answers.
        V2_0 = "2.0",
        /// As Doris 2.1 answers.
        V2_1 = "2.1",
        /// As Doris 3.0 answers.
        V3_0 = "3.0",
        /// As Doris 4.0 answers.
        V4_0 = "4.0",
    }

    /// How copies are served by the kernel's I/O scheduler (`migration_io_class`).
    IoClass as "std::string" {
        /// As everybody else, or as the daemon was started.
        BestEffort = "best_effort",
        /// When nobody else wants the disk.
        Idle = "idle",
    }

    /// Whether copies back off by themselves (`migration_throttle`).
    Throttle as "std::string" {
        /// No: only limits that are set.
        None = "none",
        /// When the disk or the kernel says that others wait.
        Adaptive = "adaptive",
    }

    /// How a tablet moves within one file system (`migration_same_file_system`).
    SameFileSystem as "std::string" {
        /// The copy shares its blocks with the source, where the file system can.
        Clone = "clone",
        /// Every byte is written anew.
        Copy = "copy",
    }

    /// How an event is logged (`log_format`).
    LogFormat as "std::string" {
        /// A line for people.
        Text = "text",
        /// A line of JSON.
        Json = "json",
    }

    /// How much is logged (`sys_log_level`).
    LogLevel as "std::string" {
        Debug = "DEBUG",
        Info = "INFO",
        /// What should be looked at.
        Warning = "WARNING",
        Error = "ERROR",
        /// What ended the daemon.
        Fatal = "FATAL",
    }
}

impl LogLevel {
    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::parse(name).ok()
    }

    /// As a filter of `tracing`, which has no level of its own for what ends the daemon.
    pub const fn filter(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warn",
            Self::Error | Self::Fatal => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_refused_as_doris_refuses_them() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("65535", Ok(65_535)),
            ("65536", Err(Refusal::Validate)),
            ("-1", Err(Refusal::Validate)),
            ("2147483648", Err(Refusal::Convert)),
            ("", Err(Refusal::Convert)),
            ("8040x", Err(Refusal::Convert)),
            ("8040.0", Err(Refusal::Convert)),
        ] {
            assert_eq!(u16::parse(text), expected, "{text:?}");
        }
        assert_eq!(u64::parse("9223372036854775807"), Ok(i64::MAX.unsigned_abs()));
        assert_eq!(u64::parse("9223372036854775808"), Err(Refusal::Convert));
        assert_eq!(u64::parse("-1"), Err(Refusal::Validate));
    }

    #[test]
    fn booleans_are_exactly_true_and_false() {
        assert_eq!(BrokenDisks::parse("true"), Ok(BrokenDisks::LeaveOut));
        assert_eq!(BrokenDisks::parse("false"), Ok(BrokenDisks::RefuseStart));
        for text in ["True", "1", "yes", "on", ""] {
            assert_eq!(BrokenDisks::parse(text), Err(Refusal::Convert), "{text:?}");
        }
        assert_eq!(BrokenDisks::accepted(), "true or false");
    }

    #[test]
    fn words_are_read_in_any_case_and_written_in_one() {
        assert_eq!(LogLevel::parse("warning"), Ok(LogLevel::Warning));
        assert_eq!(LogLevel::Warning.render(), "WARNING");
        assert_eq!(Dialect::parse("3.0"), Ok(Dialect::V3_0));
        assert_eq!(Dialect::parse("2.2"), Err(Refusal::Validate));
        assert_eq!(Dialect::accepted(), "one of documented, 1.1, 1.2, 2.0, 2.1, 3.0, 4.0");
    }

    #[test]
    fn only_sizes_take_a_unit() {
        for (rule, text, spelled_out) in [
            (Rule::Bytes(0, 1), "50M", "52428800"),
            (Rule::MultipleOf(4096, 0, 1), "1k", "1024"),
            (Rule::Bytes(0, 1), "007", "7"),
            (Rule::Bytes(0, 1), "50MB", "50MB"),
            (Rule::Bytes(0, 1), "-1", "-1"),
            (Rule::Range(0, 1), "50M", "50M"),
            (Rule::Any, "50M", "50M"),
        ] {
            assert_eq!(rule.spelled_out(text), spelled_out, "{text:?}");
        }
    }

    #[test]
    fn rules_hold_at_their_edges() {
        assert!(Rule::Range(1, 3).allows(&1_u32) && Rule::Range(1, 3).allows(&3_u32));
        assert!(!Rule::Range(1, 3).allows(&0_u32) && !Rule::Range(1, 3).allows(&4_u32));
        assert!(Rule::Bytes(1, 3).allows(&3_u64) && !Rule::Bytes(1, 3).allows(&4_u64));
        assert!(Rule::MultipleOf(4096, 4096, 8192).allows(&8192_u64));
        assert!(!Rule::MultipleOf(4096, 4096, 8192).allows(&5000_u64));
        assert!(!Rule::MultipleOf(4096, 4096, 8192).allows(&0_u64));
        assert!(Rule::AbsolutePath.allows(&"/x".to_owned()) && Rule::AbsolutePath.allows(&String::new()));
        assert!(!Rule::AbsolutePath.allows(&"x".to_owned()));
    }
}
