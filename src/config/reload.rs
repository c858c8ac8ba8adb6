//! What becomes of a running configuration when its files are read again. Pure.

use super::keys::{Config, KEYS};
use super::schema::Mutability;

/// A key whose value in the files is not the one in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    pub key: &'static str,
    /// In force until now.
    pub from: String,
    pub to: String,
}

/// A configuration made of the one in force and the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// In force from now on.
    pub config: Config,
    /// Keys that changed with it; what was set at run time and not kept is among them.
    pub changed: Vec<KeyChange>,
    /// Keys that are read at a start only: their new values wait for the next one.
    pub waiting: Vec<KeyChange>,
}

impl Config {
    /// The files' word for every key that can change at run time, and the word in force for all others.
    #[must_use]
    pub fn reloaded(&self, files: &Self) -> Reload {
        let mut reload = Reload { config: self.clone(), changed: Vec::new(), waiting: Vec::new() };
        for key in KEYS {
            if key.is_same(self, files) {
                continue;
            }
            let change = KeyChange { key: key.name, from: key.value_in(self), to: key.value_in(files) };
            match key.mutability {
                Mutability::Mutable => {
                    key.take_over(&mut reload.config, files);
                    reload.changed.push(change);
                }
                Mutability::Fixed => reload.waiting.push(change),
            }
        }
        reload
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::Key;

    #[test]
    fn what_can_change_does_and_what_cannot_is_named() {
        let mut running = Config::default();
        running.set("hdd_read_slots", "7").expect("a value");
        let mut files = Config::default();
        files.set("hdd_write_slots", "3").expect("a value");
        files.webserver_port = 1;
        let reload = running.reloaded(&files);
        let named = |list: &[KeyChange]| {
            list.iter().map(|one| format!("{} {} {}", one.key, one.from, one.to)).collect::<Vec<_>>()
        };
        let default = Config::default();
        let (read, write) = (default.hdd_read_slots, default.hdd_write_slots);
        assert_eq!(named(&reload.waiting), ["webserver_port 8040 1"]);
        assert_eq!(
            named(&reload.changed),
            [format!("hdd_read_slots 7 {read}"), format!("hdd_write_slots {write} 3")]
        );
        assert_eq!((reload.config.webserver_port, reload.config.hdd_write_slots), (8040, 3));
        assert!(files.reloaded(&files).changed.is_empty());
    }

    #[test]
    fn whether_a_key_is_written_is_read_again_with_it() {
        const KEY: &str = "storage_flood_stage_left_capacity_bytes";
        let silent = Config::default();
        let mut written = Config::default();
        written.set(KEY, "1G").expect("a value");
        assert_ne!(written, silent, "the default's number, but somebody wrote it");
        assert_eq!(silent.reloaded(&written).config, written);
        assert_eq!(written.reloaded(&silent).config, silent);
    }

    /// Then a mixture of two configurations that are each without conflict has none.
    #[test]
    fn keys_that_must_fit_each_other_change_together_or_not_at_all() {
        let mut config = Config::default();
        config.min_garbage_sweep_interval = config.max_garbage_sweep_interval + 1;
        config.copy_block_bytes = config.copy_memory_limit_bytes + 1;
        config.tls_certificate_file = "/c".to_owned();
        let conflicts = config.conflicts();
        assert_eq!(conflicts.len(), 3);
        for conflict in conflicts {
            let mutability = conflict.keys.map(|name| Key::find(name).map(|key| key.mutability));
            assert_eq!(mutability[0], mutability[1], "{conflict:?}");
        }
    }
}
