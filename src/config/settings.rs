//! What can be done with any key: find it, show it, set it at run time.

use super::keys::{Config, KEYS, Key};
use super::schema::Mutability;
use super::value::Refusal;

/// One key as `/api/show_config` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownKey {
    pub name: &'static str,
    /// Its type, in Doris's words.
    pub type_name: &'static str,
    pub value: String,
    /// Whether it can be changed at run time.
    pub mutability: Mutability,
}

/// Why a key was not changed. The first three texts are Doris's own (`config::set_config`); where it says only
/// `validate k=v failed`, what is accepted is added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    #[error("'{key}' is not found")]
    NotFound { key: String },
    /// A key that is read at start only.
    #[error("'{key}' is not support to modify")]
    NotMutable { key: String },
    /// Not of the key's type.
    #[error("convert '{value}' as {type_name} failed")]
    Convert {
        value: String,
        /// What it should have been.
        type_name: &'static str,
    },
    /// Of the type, but not accepted.
    #[error("validate {key}={value} failed, {help}")]
    Validate { key: String, value: String, help: String },
}

/// Two keys that are each fine and do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Conflict {
    /// Either of them: blame falls on whichever the reader set.
    pub(super) keys: [&'static str; 2],
    pub(super) what: &'static str,
}

impl Key {
    /// The row of `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }
}

impl Config {
    /// Every key with its present value, sorted by name as Doris shows them.
    pub fn show(&self) -> Vec<ShownKey> {
        let mut shown: Vec<_> = KEYS
            .iter()
            .map(|key| ShownKey {
                name: key.name,
                type_name: key.type_name,
                value: key.value_in(self),
                mutability: key.mutability,
            })
            .collect();
        shown.sort_unstable_by_key(|key| key.name);
        shown
    }

    /// Changes one key at run time. On an error nothing is changed.
    ///
    /// # Errors
    /// An unknown key, one that is fixed, or a value that is not accepted.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SetError> {
        let row = Key::find(key).ok_or_else(|| SetError::NotFound { key: key.to_owned() })?;
        if row.mutability == Mutability::Fixed {
            return Err(SetError::NotMutable { key: key.to_owned() });
        }
        let validate = |help| SetError::Validate { key: key.to_owned(), value: value.to_owned(), help };
        let mut next = self.clone();
        row.assign(&mut next, value).map_err(|refusal| match refusal {
            Refusal::Convert => SetError::Convert { value: value.to_owned(), type_name: row.type_name },
            Refusal::Validate => validate(format!("accepted: {}", row.accepted())),
        })?;
        if let Some(conflict) = next.conflicts().into_iter().find(|conflict| conflict.keys.contains(&key)) {
            return Err(validate(conflict.what.to_owned()));
        }
        *self = next;
        Ok(())
    }

    /// The pairs of keys that do not go together.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        if self.min_garbage_sweep_interval > self.max_garbage_sweep_interval {
            conflicts.push(Conflict {
                keys: ["min_garbage_sweep_interval", "max_garbage_sweep_interval"],
                what: "min_garbage_sweep_interval must not be above max_garbage_sweep_interval",
            });
        }
        if self.copy_block_bytes > self.copy_memory_limit_bytes {
            conflicts.push(Conflict {
                keys: ["copy_block_bytes", "copy_memory_limit_bytes"],
                what: "copy_memory_limit_bytes must hold at least one copy_block_bytes",
            });
        }
        if self.tls_certificate_file.is_empty() != self.tls_private_key_file.is_empty() {
            conflicts.push(Conflict {
                keys: ["tls_certificate_file", "tls_private_key_file"],
                what: "tls_certificate_file and tls_private_key_file are set together or not at all",
            });
        }
        conflicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Dialect;
    use crate::model::CapacityRule;

    #[test]
    fn names_are_unique_and_every_default_keeps_its_own_rule() {
        let default = Config::default();
        for (index, key) in KEYS.iter().enumerate() {
            assert!(KEYS[..index].iter().all(|other| other.name != key.name), "{} twice", key.name);
            let value = key.value_in(&default);
            let mut again = default.clone();
            assert_eq!(key.assign(&mut again, &value), Ok(()), "{} = {value}", key.name);
            assert_eq!(again.show(), default.show(), "{}", key.name);
            assert!(key.doc.ends_with('.') && !key.doc.starts_with(' '), "{}: {:?}", key.name, key.doc);
        }
        assert_eq!(default.conflicts(), []);
    }

    #[test]
    fn shown_keys_are_sorted_and_typed_as_in_doris() {
        let shown = Config::default().show();
        assert!(shown.is_sorted_by_key(|key| key.name));
        assert_eq!(shown.len(), KEYS.len());
        for (name, type_name, value, mutability) in [
            ("webserver_port", "int32_t", "8040", Mutability::Fixed),
            ("ignore_broken_disk", "bool", "false", Mutability::Fixed),
            ("storage_flood_stage_left_capacity_bytes", "int64_t", "1073741824", Mutability::Mutable),
            ("broken_storage_path", "std::string", "", Mutability::Mutable),
            ("sys_log_level", "std::string", "INFO", Mutability::Mutable),
        ] {
            let expected = ShownKey { name, type_name, value: value.into(), mutability };
            assert!(shown.contains(&expected), "{expected:?} in {shown:#?}");
        }
    }

    #[test]
    fn keys_are_set_at_run_time() {
        let mut config = Config::default();
        config.set("migration_capacity_rule", "and").unwrap();
        config.set("tablet_migration_dialect", "3.0").unwrap();
        config.set("hdd_write_slots", "3").unwrap();
        config.set("broken_storage_path", "/a;/b;").unwrap();
        assert_eq!(config.migration_capacity_rule, CapacityRule::And);
        assert_eq!(config.tablet_migration_dialect, Dialect::V3_0);
        assert_eq!(config.hdd_write_slots, 3);
        assert_eq!(config.broken_storage_path, "/a;/b;");
    }

    #[test]
    fn what_cannot_be_set_is_refused_in_the_words_of_doris_and_changes_nothing() {
        let mut config = Config::default();
        for (key, value, words) in [
            ("no_such_key", "1", "'no_such_key' is not found"),
            ("be_port", "1", "'be_port' is not found"),
            ("webserver_port", "1", "'webserver_port' is not support to modify"),
            ("webserver_port", "x", "'webserver_port' is not support to modify"),
            ("hdd_read_slots", "x", "convert 'x' as int32_t failed"),
            ("hdd_read_slots", "4294967296124", "convert '4294967296124' as int32_t failed"),
            ("disk_rate_limit_bytes_per_sec", "", "convert '' as int64_t failed"),
            ("broken_storage_path", "/a\n/b", "convert '/a\n/b' as std::string failed"),
            (
                "hdd_read_slots",
                "0",
                "validate hdd_read_slots=0 failed, accepted: a whole number from 1 to 256",
            ),
            (
                "migration_capacity_rule",
                "xor",
                "validate migration_capacity_rule=xor failed, accepted: one of or, and",
            ),
            (
                "min_garbage_sweep_interval",
                "4000",
                "validate min_garbage_sweep_interval=4000 failed, \
                 min_garbage_sweep_interval must not be above max_garbage_sweep_interval",
            ),
        ] {
            assert_eq!(config.set(key, value).unwrap_err().to_string(), words);
            assert_eq!(config, Config::default(), "{key} = {value}");
        }
    }
}
